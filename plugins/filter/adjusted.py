# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter adjusted: a catalog with some entries changed by name."""

from __future__ import annotations

DOCUMENTATION = r"""
name: adjusted
short_description: Disable entries of a catalog, or change their namespaces, by name
version_added: 1.0.0
description:
  - Returns the catalog with the changes, so that an entry need not be copied to change where it goes.
  - A name that no entry has is an error.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  _input:
    description: The catalog.
    type: list
    elements: dict
    required: true
  disabled:
    description: The names of entries to disable.
    type: list
    elements: str
    default: []
  namespaces_add:
    description: Names of entries, each with the namespaces to label besides those of the entry.
    type: dict
    default: {}
  namespaces_replace:
    description: Names of entries, each with the namespaces to label instead of those of the entry.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Use the default catalog without one of its entries
  platform.cluster_secrets.cluster_external_secrets:
    catalog: "{{ cluster_secrets_catalog | platform.cluster_secrets.adjusted(disabled=['code-server-ssh-key']) }}"
"""

RETURN = r"""
_value:
  description: The changed catalog.
  type: list
  elements: dict
"""

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.adjust import adjusted as _adjusted
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError


def adjusted(catalog: Any, disabled: Any = (), namespaces_add: Any = None, namespaces_replace: Any = None) -> Any:
    """The catalog with the changes."""
    try:
        return _adjusted(catalog, disabled, namespaces_add, namespaces_replace)
    except CatalogError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """What ansible-core loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filter by its name."""
        return {"adjusted": adjusted}
