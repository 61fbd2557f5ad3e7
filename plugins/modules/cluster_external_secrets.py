#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cluster_external_secrets: one ClusterExternalSecret for each catalog entry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_external_secrets
short_description: Manage the catalog's ClusterExternalSecrets
version_added: 1.0.0
description:
  - Applies one ClusterExternalSecret for each enabled entry of the catalog, server-side and with its own field manager.
    Labels and annotations of others are kept, and one that others made is taken over as it stands in the catalog. What
    it distributed until then is looked at by the part C(secrets) of M(platform.cluster_secrets.apply), with which a
    bootstrap begins.
  - Uses the newest API version of ESO that the cluster serves, C(v1) or C(v1beta1).
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  state:
    description:
      - With V(absent), all ClusterExternalSecrets that the collection created are deleted.
      - ESO then removes the ExternalSecrets, and Kubernetes the Secrets, that came from them.
    type: str
    choices: [present, absent]
    default: present
  prune:
    description: Whether to delete ClusterExternalSecrets that the collection created and that are no longer in the
      catalog, or are disabled there.
    type: bool
    default: false
  replace:
    description:
      - Secrets to delete once the ClusterExternalSecrets are applied, so that ESO recreates them; a mapping of
        namespaces, each a mapping of names, each a mapping whose key is the uid, as
        M(platform.cluster_secrets.central_secrets) returns them.
      - A Secret that has a different uid by then is left alone.
    type: dict
    default: {}
  wait_timeout:
    description: How many seconds to wait for the next deleted ClusterExternalSecret to disappear, and for ESO to
      recreate a replaced Secret.
    type: int
    default: 60
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.eso_objects
  - platform.cluster_secrets.ownership
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store.isolation
"""

EXAMPLES = r"""
- name: Distribute what the catalog lists, and stop distributing what it no longer lists
  platform.cluster_secrets.cluster_external_secrets:
    catalog: "{{ cluster_secrets_catalog }}"
    prune: true
"""

RETURN = r"""
left:
  description: What should have been removed but was left in place, each with the C(object), the C(reason) and the
    C(command) that would remove it.
  returned: success
  type: list
  elements: dict
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
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
from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts.entries import OPTIONS, run


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
