# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter reading: the entries of a catalog that read some sources."""

from __future__ import annotations

DOCUMENTATION = r"""
name: reading
short_description: The names of a catalog's enabled entries that read some sources
version_added: 1.0.0
description:
  - Checks the catalog as the modules do and returns the names of its enabled entries that read one of the sources,
    in the catalog's order.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  _input:
    description: The catalog.
    type: list
    elements: dict
    required: true
  sources:
    description: The names of the sources, by default all. A source that no enabled entry reads is an error.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Show what a leaked token is in
  ansible.builtin.debug:
    msg: "{{ cluster_secrets_catalog | platform.cluster_secrets.reading(['github-pat']) }}"
"""

RETURN = r"""
_value:
  description: The names.
  type: list
  elements: str
"""

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import (
    enabled_entries,
    of_sources,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError


def reading(catalog: Any, sources: Any = None) -> list[str]:
    """The names of the entries that read one of the sources, or of all (None)."""
    try:
        wanted = None if sources is None else list(sources)
        return [entry.name for entry in of_sources(enabled_entries(catalog), wanted)]
    except CatalogError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """What ansible-core loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filter by its name."""
        return {"reading": reading}
