# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML that Ansible reads as variables. Pure."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Writes texts that Ansible would take for templates so that it doesn't."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists below their key, as ansible-lint wants it."""
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    if any(mark in text for mark in ("{{", "{%", "{#")):
        return dumper.represent_scalar("!unsafe", text, style='"')
    return dumper.represent_scalar("tag:yaml.org,2002:str", text)


_Dumper.add_representer(str, _text)


def dump(content: Any, head: str) -> str:
    """YAML for Ansible's variables, with ``head`` as a comment in front."""
    comment = "".join("# %s\n" % line for line in head.splitlines())
    return "---\n" + comment + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
