# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter changes: what a run changed, as a table."""

from __future__ import annotations

DOCUMENTATION = r"""
name: changes
short_description: What modules changed, or would change, as lines of a table
version_added: 1.0.0
description:
  - Combines the results of the collection's modules into one table. It lists what is created, changed and removed, by
    kind of object, and ends with one line of totals. It never contains values.
  - In check mode it is what a run would do.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  _input:
    description: The results, as tasks register them. Those of skipped tasks may be among them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Seed the master Secrets
  platform.cluster_secrets.central_secrets:
    catalog: "{{ cluster_secrets_catalog }}"
    values: "{{ cluster_secrets_values }}"
  register: seeded

- name: Show what was changed
  platform.cluster_secrets.show:
    lines: "{{ [seeded] | platform.cluster_secrets.changes }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report.text import changes_lines


def changes(results: Any) -> list[str]:
    """The table of what the results say was changed."""
    try:
        return changes_lines(list(results))
    except (AttributeError, KeyError, TypeError) as error:
        raise AnsibleFilterError(
            "'changes' takes a list of what this collection's modules returned: %s" % error
        ) from None


class FilterModule:
    """What ansible-core loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filter by its name."""
        return {"changes": changes}
