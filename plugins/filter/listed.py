# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter listed: a list, however it was given."""

from __future__ import annotations

DOCUMENTATION = r"""
name: listed
short_description: The list that a text with commas or a list stands for
version_added: 1.0.0
description:
  - For variables that are given with C(-e NAME=a,b), where they are a text, as well as in YAML, where they are a list.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  _input:
    description: The text or the list. Nothing, and the empty text, are the empty list.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Show what a text stands for
  ansible.builtin.debug:
    msg: "{{ 'backstage, market-making' | platform.cluster_secrets.listed }}"
"""

RETURN = r"""
_value:
  description: The list, without what is empty.
  type: list
  elements: raw
"""

from typing import Any, Callable

from ansible.errors import AnsibleFilterError


def listed(value: Any) -> list[Any]:
    """The parts of a text between commas, without the space around them, or the items of a list."""
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, (list, tuple)):
        return [item for item in value if item not in ("", None)]
    raise AnsibleFilterError("'listed' takes a list, or a text with commas, and not a %s" % type(value).__name__)


class FilterModule:
    """What ansible-core loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filter by its name."""
        return {"listed": listed}
