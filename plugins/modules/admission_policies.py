#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module admission_policies: keep tenants out of the central store."""

from __future__ import annotations

DOCUMENTATION = r"""
module: admission_policies
short_description: Manage the admission policies that keep tenants out of the central store
version_added: 1.0.0
description:
  - Manages ValidatingAdmissionPolicies that let only the platform write to the central namespace, set labels that begin
    with C(secrets/) or by which namespaces get Secrets, create namespaces whose names the catalog lists, and write
    ESO's cluster-wide objects. Only ESO and Kubernetes' own controllers may change the targets, and only they and the
    platform the ExternalSecrets behind them, apart from annotations. No tenant's ExternalSecret, SecretStore or
    PushSecret can reach the central store, and no tenant's Secret can take the name of a target.
  - Refuses to lock out the identity that it runs as, or GitOps if GitOps owns the distribution. Warns about writers
    that call themselves a GitOps controller and write what the policies guard.
  - On a cluster without ValidatingAdmissionPolicies (before Kubernetes 1.30) it warns and changes nothing.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  state:
    description: Whether the policies should exist.
    type: str
    choices: [present, absent]
    default: present
  mode:
    description: V(audit) only reports, in the API server's audit log and as warnings, what V(enforce) would refuse.
      Start with this mode.
    type: str
    choices: [audit, enforce]
    default: audit
  owner:
    description: Who writes the ClusterExternalSecrets, stores and labels. With V(gitops), O(mode=enforce) requires a
      ServiceAccount in O(platform_users), which the policies then allow to write them.
    type: str
    choices: [collection, gitops]
    default: collection
  self_service_labels:
    description: Labels that anyone who may change a namespace may also set or remove (self-service mode).
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - platform.cluster_secrets.advisories
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.identities.platform
  - platform.cluster_secrets.identities.eso
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store
"""

EXAMPLES = r"""
- name: See first what would be refused
  platform.cluster_secrets.admission_policies:
    catalog: "{{ cluster_secrets_catalog }}"
    mode: audit

- name: Refuse it
  platform.cluster_secrets.admission_policies:
    catalog: "{{ cluster_secrets_catalog }}"
    mode: enforce
    platform_users: [system:serviceaccount:ci:deployer]
"""

RETURN = r"""
left:
  description: What should have been removed but was left in place, each with the C(object), the C(reason) and the
    C(command) that would remove it.
  returned: when O(state=absent), on a cluster that has admission policies
  type: list
  elements: dict
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
supported:
  description: Whether the cluster has ValidatingAdmissionPolicies.
  returned: success
  type: bool
writers:
  description:
    - Field managers other than the collection's and ESO's, each with what it last wrote of what the policies guard.
      V(enforce) does not let them write it again, unless they act as the platform.
  returned: when O(state=present)
  type: dict
  sample: {kubectl: [ClusterExternalSecret team-special]}
summary:
  description: The same in sentences, with what to do next.
  returned: when O(state=present)
  type: list
  elements: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts.policies import OPTIONS, run


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
