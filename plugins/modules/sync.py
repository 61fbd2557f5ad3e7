#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sync: refresh targets and wait until they hold the current values."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sync
short_description: Refresh the targets and wait until each holds its source's current value
version_added: 1.0.0
description:
  - ESO notices a changed master Secret only when its refresh interval has passed. This module makes it look
    immediately, with one patch for each ClusterExternalSecret, whatever the number of namespaces.
  - It then waits until every labelled namespace holds the value that the catalog and the central store call for, and
    fails, naming those that do not.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  check_mode:
    description: Predicts what would be refreshed, changes nothing and does not wait.
    support: full
  diff_mode:
    description: Shows which ClusterExternalSecrets are refreshed.
    support: full
options:
  refresh:
    description:
      - V(auto) refreshes the entries that have a stale or failing target.
      - V(always) refreshes all entries that have targets, and waits until ESO has refreshed each of them; V(never) only
        waits.
    type: str
    choices: [auto, always, never]
    default: auto
  changed_sources:
    description:
      - The keys of master Secrets that this play changes, as M(platform.cluster_secrets.central_secrets) returns them.
      - In check mode, they show which targets will become stale; a real run finds out by comparing.
    type: dict
    default: {}
  names:
    description: Only look at these entries of the catalog.
    type: list
    elements: str
  except_namespaces:
    description: Do not wait for the targets in these namespaces.
    type: list
    elements: str
    default: []
  namespaces:
    description: Only wait for the targets in these namespaces.
    type: list
    elements: str
  wait:
    description: Whether to wait.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to wait.
    type: int
    default: 120
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.ownership.advice
  - platform.cluster_secrets.identities.eso
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.isolation
"""

EXAMPLES = r"""
- name: Refresh one secret everywhere
  platform.cluster_secrets.sync:
    catalog: "{{ cluster_secrets_catalog }}"
    names: [application-docker-registry]
    refresh: always
"""

RETURN = r"""
refreshed:
  description: The entries that were (in check mode, would be) refreshed.
  returned: success, or when targets were not synced in time
  type: list
  elements: str
targets:
  description: How many namespace/secret pairs there are.
  returned: success, or when targets were not synced in time
  type: int
namespaces:
  description: How many namespaces these pairs are in.
  returned: success, or when targets were not synced in time
  type: int
unsynced:
  description: The unsynced pairs, each with its state and what ESO reports about it.
  returned: success, or when targets were not synced in time
  type: list
  elements: dict
changes:
  description: What was (in check mode, would be) written.
  returned: success, or when targets were not synced in time
  type: list
  elements: dict
api_requests:
  description: How many requests were sent to the API server.
  returned: success, or when targets were not synced in time
  type: int
"""

from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts.targets import OPTIONS, run


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
