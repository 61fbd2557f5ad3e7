# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter sources: the master Secrets that a catalog reads."""

from __future__ import annotations

DOCUMENTATION = r"""
name: sources
short_description: The names of the master Secrets that a catalog's enabled entries read
version_added: 1.0.0
description:
  - Checks the catalog as the modules do and returns the names of its sources, each once, in the catalog's order.
  - Sources whose values are all generated are left out, since nobody has to provide them.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  _input:
    description: The catalog.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what the central store must hold
  ansible.builtin.debug:
    msg: "{{ cluster_secrets_catalog | platform.cluster_secrets.sources }}"
"""

RETURN = r"""
_value:
  description: The names.
  type: list
  elements: str
"""

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import enabled_entries
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.values import to_be_given
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError


def sources(catalog: Any) -> list[str]:
    """The names of the sources of a catalog, each once."""
    try:
        return list(to_be_given(enabled_entries(catalog)))
    except CatalogError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """What ansible-core loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filter by its name."""
        return {"sources": sources}
