# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter report_files: which file gets a report in which format."""

from __future__ import annotations

DOCUMENTATION = r"""
name: report_files
short_description: Which file gets a report in which format, by how its name ends
version_added: 1.0.0
description:
  - C(.html) is a page, C(.json) JSON, C(.xml) JUnit XML and C(.prom) OpenMetrics text.
  - A name that ends otherwise, or a format that was not asked for or is there twice, is an error.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
positional: formats
options:
  _input:
    description: The paths, as a list or separated by commas.
    type: raw
    required: true
  formats:
    description: The formats that can be written.
    type: list
    elements: str
    choices: [html, json, junit, metrics]
    required: true
"""

EXAMPLES = r"""
- name: Show where the page goes
  ansible.builtin.debug:
    msg: "{{ ('audit.html,audit.json' | platform.cluster_secrets.report_files(['html', 'json'])).html }}"
"""

RETURN = r"""
_value:
  description: The path of each format that a path was given for.
  type: dict
"""

from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from .listed import listed

#: How a file's name ends, and the format by the name that the modules have for it.
_ENDS = {".html": "html", ".json": "json", ".xml": "junit", ".prom": "metrics"}


def report_files(paths: Any, formats: list[str]) -> dict[str, str]:
    """{format: path} of the paths."""
    known = {end: name for end, name in _ENDS.items() if name in formats}
    by_format: dict[str, str] = {}
    for path in map(str, listed(paths)):
        name = next((name for end, name in known.items() if path.endswith(end)), None)
        if name is None:
            raise AnsibleFilterError("the report '%s' must end in one of %s" % (path, ", ".join(known)))
        if name in by_format:
            raise AnsibleFilterError("the reports '%s' and '%s' have the same format" % (by_format[name], path))
        by_format[name] = path
    return by_format


class FilterModule:
    """What ansible-core loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filter by its name."""
        return {"report_files": report_files}
