# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML files that people keep in their repositories. Pure.

PyYAML is imported by the functions: most modules do without it.
"""

from __future__ import annotations

import re
from typing import Any

#: What makes some release of Ansible take a text for a template; the header sets other delimiters for it.
_MARKS = ("{{", "{%", "{#", "#jinja2:")


#: Texts that a parser of YAML 1.1 or of YAML 1.2 takes for something else, of which each knows its own.
_AMBIGUOUS = re.compile(r"(?i)[-+]?\.?[0-9]|[-+]?\.(?:inf|nan)\Z|(?:~|=|<<|y|n|yes|no|on|off|true|false|null)?\Z")


def dump(content: Any, head: str) -> str:
    """A file of Ansible's variables, with ``head`` as a comment; texts that may be templates are marked as none."""
    return "---\n" + _comment(head) + _dump([content], marked=True)


def dump_plain(content: Any, head: str) -> str:
    """A file that Ansible doesn't template, with ``head`` as a comment in front."""
    return "---\n" + _comment(head) + _dump([content])


def dump_all(documents: list[Any], head: str) -> str:
    """A file of several documents, with ``head`` as a comment in front."""
    return _comment(head) + _dump(documents, explicit_start=True)


def _comment(head: str) -> str:
    return "".join("# %s\n" % line for line in head.splitlines())


def _dump(documents: list[Any], marked: bool = False, **options: Any) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Indents lists below their key, as ansible-lint wants it."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            """See yaml.Dumper."""
            super().increase_indent(flow, False)

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        if marked and any(mark in value for mark in _MARKS):
            return dumper.represent_scalar("!unsafe", value, style='"')
        style = '"' if _AMBIGUOUS.match(value) and "\n" not in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    dumped: str = yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, width=110, allow_unicode=True, **options)
    return dumped
