# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML files that people keep in their repositories. Pure."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, as ansible-lint wants it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """See yaml.Dumper."""
        super().increase_indent(flow, False)


class _VariablesDumper(_Dumper):
    """Marks texts that Ansible would take for templates."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    if any(mark in text for mark in ("{{", "{%", "{#")):
        return dumper.represent_scalar("!unsafe", text, style='"')
    return dumper.represent_scalar("tag:yaml.org,2002:str", text)


_VariablesDumper.add_representer(str, _text)


def dump(content: Any, head: str) -> str:
    """A file of Ansible's variables, with ``head`` as a comment in front."""
    return _dump(content, head, _VariablesDumper)


def dump_plain(content: Any, head: str) -> str:
    """A file that Ansible doesn't template, with ``head`` as a comment in front."""
    return _dump(content, head, _Dumper)


def dump_all(documents: list[Any], head: str) -> str:
    """A file of several documents, with ``head`` as a comment in front."""
    comment = "".join("# %s\n" % line for line in head.splitlines())
    return comment + yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=110, explicit_start=True)


def _dump(content: Any, head: str, dumper: type[yaml.SafeDumper]) -> str:
    comment = "".join("# %s\n" % line for line in head.splitlines())
    return "---\n" + comment + yaml.dump(content, Dumper=dumper, sort_keys=False, width=110, allow_unicode=True)
