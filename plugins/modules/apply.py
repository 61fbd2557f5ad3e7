#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module apply: bring a cluster to a catalog, in whole or in part."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apply
short_description: Bring a cluster to a catalog, in whole or in part
version_added: 1.0.0
description:
  - Does what the modules for the master Secrets, the stores, the labels, the ClusterExternalSecrets, the guard and the
    targets do, in the order in which they depend on each other.
  - The cluster is read once. All parts are planned before the first of them is written, so that whatever one of them
    refuses, or a missing permission, stops the run before it has changed anything.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows which keys of Secrets change, and never a value.
    support: full
options:
  parts:
    description:
      - What to do, a mapping of parts to their options. Those are the options of the module of the part, without the
        ones that are given to this module, as all parts share them.
      - They are carried out in this order, however the mapping is ordered. C(secrets) seeds the master Secrets
        (M(platform.cluster_secrets.central_secrets)). C(permissions) sets up what the stores may read. C(labels)
        labels the namespaces (M(platform.cluster_secrets.namespace_labels)). C(stores) applies the ClusterSecretStores
        (M(platform.cluster_secrets.cluster_secret_store), whose options C(permissions) and C(settle) have, too).
        C(entries) applies the ClusterExternalSecrets (M(platform.cluster_secrets.cluster_external_secrets)).
        C(unlabel) removes the labels that are not listed.
        C(settle) finishes a change of O(isolation). It waits until every ExternalSecret reads through the right store,
        and removes what served them before; with C(prune), also the stores of entries that the catalog no longer has.
        C(guard) applies the admission policies (M(platform.cluster_secrets.admission_policies)). C(verify) refreshes
        the targets and waits for them (M(platform.cluster_secrets.sync)).
      - C(secrets) and C(permissions) need no External Secrets Operator.
      - C(entries) and C(verify) take from C(secrets) what it changed or replaced; don't pass it.
    type: dict
    required: true
  values:
    description: The values of the master Secrets, for C(secrets); see M(platform.cluster_secrets.central_secrets).
    type: dict
  assume_installed:
    description: Whether, in check mode, to predict what would be created when the External Secrets Operator is missing,
      as before an installation that check mode does not carry out.
    type: bool
    default: false
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.ownership
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store.isolation
  - platform.cluster_secrets.identities.eso
  - platform.cluster_secrets.identities.platform
seealso:
  - module: platform.cluster_secrets.central_secrets
  - module: platform.cluster_secrets.cluster_secret_store
  - module: platform.cluster_secrets.namespace_labels
  - module: platform.cluster_secrets.cluster_external_secrets
  - module: platform.cluster_secrets.admission_policies
  - module: platform.cluster_secrets.sync
"""

EXAMPLES = r"""
- name: Bring the cluster to the catalog, once ESO runs
  platform.cluster_secrets.apply:
    catalog: "{{ cluster_secrets_catalog }}"
    values: "{{ cluster_secrets_values }}"
    parts:
      secrets:
        takeover: {}
      permissions: {}
      labels:
        missing: create
      stores: {}
      entries:
        prune: true
      verify:
        wait_timeout: 300
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) written by all parts.
  returned: success, or failure of a part
  type: list
  elements: dict
  sample: [{"kind": "Secret", "namespace": "central-secret-store", "name": "github-pat", "result": "updated"}]
secrets:
  description: What else M(platform.cluster_secrets.central_secrets) returns. Each part has what its module returns
    under its own name like this, C(permissions), C(labels), C(stores), C(entries), C(unlabel), C(settle), C(guard) and
    C(verify).
  returned: when that part was carried out
  type: dict
api_requests:
  description: How many requests were sent to the API server.
  returned: success, or failure of a part
  type: int
"""

from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts.whole import OPTIONS, run


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
