#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cluster_secret_store: the stores that ESO reads the master Secrets through."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_secret_store
short_description: Manage the ClusterSecretStores over the central namespace
version_added: 1.0.0
description:
  - Manages the ClusterSecretStores, and the ServiceAccounts that they read with.
  - A store's ServiceAccount may C(get) the master Secrets of the store's entries, and no others. ESO may request tokens
    of these ServiceAccounts in the central namespace, and of no others.
  - A store's conditions admit only namespaces that one of its entries selects.
  - After a change of O(isolation), what served the ExternalSecrets before stays. The part C(settle) of
    M(platform.cluster_secrets.apply) removes it, once the ClusterExternalSecrets have been applied.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  state:
    description: Whether the stores and their ServiceAccounts should exist.
    type: str
    choices: [present, absent]
    default: present
  consumers:
    description:
      - What happens to consumers that read or write the central namespace through the shared store and that the catalog
        does not know.
      - With V(keep), the store and its permissions continue to serve the consumers that worked when the collection
        found a store created by others. The store's annotation C(cluster-secrets/kept) names them; none is added later.
      - With V(drop), the store serves the catalog only.
    type: str
    choices: [drop, keep]
    default: drop
  server_url:
    description: The URL at which ESO reaches the Kubernetes API.
    type: str
    default: https://kubernetes.default.svc
  create_namespace:
    description: Whether to create the namespace of the central store when it is missing.
    type: bool
    default: true
  wait:
    description: Whether to wait until ESO reports the stores as ready.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to wait.
    type: int
    default: 60
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.identities.eso
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.eso_objects
  - platform.cluster_secrets.ownership
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.isolation
"""

EXAMPLES = r"""
- name: Set up the store
  platform.cluster_secrets.cluster_secret_store:
    catalog: "{{ cluster_secrets_catalog }}"

- name: Give each entry a store of its own
  platform.cluster_secrets.cluster_secret_store:
    catalog: "{{ cluster_secrets_catalog }}"
    isolation: entry
"""

RETURN = r"""
left:
  description: What should have been removed but was left in place, each with the C(object), the C(reason) and the
    C(command) that would remove it.
  returned: when O(state=absent)
  type: list
  elements: dict
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
pending:
  description: Whether some stores or permissions remain only until the ExternalSecrets have moved, so that the part
    C(settle) of M(platform.cluster_secrets.apply) has something to do.
  returned: when O(state=present)
  type: bool
kept:
  description: What the stores served beside the catalog before this, each as its kind, with its place and name.
  returned: when O(state=present)
  type: list
  elements: str
api_version:
  description: The API version of ESO that was used.
  returned: success
  type: str
  sample: v1
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts.stores import OPTIONS, run


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
