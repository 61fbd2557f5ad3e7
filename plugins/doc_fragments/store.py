# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options that say which store."""

from __future__ import annotations


class ModuleDocFragment:
    """The shared store, its namespace, and how entries are isolated."""

    DOCUMENTATION = r"""
options:
  store:
    description: The name of the ClusterSecretStore.
    type: str
    default: central-secret-store
"""

    NAMESPACE = r"""
options:
  store_namespace:
    description: The namespace that holds the master Secrets.
    type: str
    default: central-secret-store
"""

    ISOLATION = r"""
options:
  isolation:
    description:
      - V(shared) uses one ClusterSecretStore for all entries. Anyone who may create an ExternalSecret in a labelled
        namespace can read every source.
      - V(entry) gives each entry its own store, which reads only that entry's sources and admits only the namespaces
        that it selects.
    type: str
    choices: [shared, entry]
    default: shared
"""
