#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module admission_policies: keep tenants out of the central store."""

from __future__ import annotations

DOCUMENTATION = r"""
module: admission_policies
short_description: Manage the admission policies that keep tenants out of the central store
version_added: 1.0.0
description:
  - Manages ValidatingAdmissionPolicies, so that only the platform writes the central store and sets labels that begin with C(secrets/), only ESO
    and Kubernetes' own controllers write the targets, and no tenant's ExternalSecret, SecretStore or PushSecret reaches the central store.
  - Refuses to lock out the identity that it runs as.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  state:
    description: Whether the policies should be there.
    type: str
    choices: [present, absent]
    default: present
  mode:
    description: V(audit) only tells, in the audit log and as warnings, what V(enforce) would refuse. Begin with it.
    type: str
    choices: [audit, enforce]
    default: audit
  platform_users:
    description: User names that are the platform, such as C(system:serviceaccount:ci:deployer).
    type: list
    elements: str
    default: []
  platform_groups:
    description: Groups that are the platform.
    type: list
    elements: str
    default: [system:masters]
  eso_namespace:
    description: The namespace of ESO.
    type: str
    default: external-secrets
  eso_service_account:
    description: The ServiceAccount of ESO's controller.
    type: str
    default: external-secrets
  self_service_labels:
    description: Labels that anyone who may change a namespace may set or remove, the self-service mode.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.connection.writes
  - platform.cluster_secrets.connection.store_namespace
  - platform.cluster_secrets.connection.store
"""

EXAMPLES = r"""
- name: See first what would be refused
  platform.cluster_secrets.admission_policies:
    mode: audit

- name: Refuse it
  platform.cluster_secrets.admission_policies:
    mode: enforce
    platform_users: [system:serviceaccount:ci:deployer]
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.common import STORE_NAMESPACE_OPTION, STORE_OPTION, run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.guard import Identities, policies, service_account_user
from ansible_collections.platform.cluster_secrets.plugins.module_utils.kube import KubeError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan import plan_apply, plan_delete

_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

OPTIONS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "mode": {"type": "str", "choices": ["audit", "enforce"], "default": "audit"},
    "platform_users": {"type": "list", "elements": "str", "default": []},
    "platform_groups": {"type": "list", "elements": "str", "default": ["system:masters"]},
    "eso_namespace": {"type": "str", "default": "external-secrets"},
    "eso_service_account": {"type": "str", "default": "external-secrets"},
    "self_service_labels": {"type": "list", "elements": "str", "default": []},
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}


def work(context):
    """Plan against the live policies and write the difference."""
    params, client = context.params, context.client
    eso = service_account_user(params["eso_namespace"], params["eso_service_account"])
    identities = Identities(params["platform_users"], params["platform_groups"], eso)
    desired = policies(identities, params["store"], params["store_namespace"], params["self_service_labels"], params["mode"])
    live = client.each(lambda item: client.get(client.object_path(item)), desired)
    executor = Executor(client, context.check_mode)
    if params["state"] == "absent":
        found = [plan_delete(item) for item in live if item]
        # Bindings first: a binding without its policy is an error that the API server reports.
        bindings = [action for action in found if action.kind.endswith("Binding")]
        return context.result(executor.run(bindings, [action for action in found if action not in bindings]))
    _refuse_lock_out(client, identities)
    planned = [action for action in (plan_apply(item, found) for item, found in zip(desired, live)) if action]
    bindings = [action for action in planned if action.kind.endswith("Binding")]
    return context.result(executor.run([action for action in planned if action not in bindings], bindings))


def _refuse_lock_out(client, identities):
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    user = client.request("POST", _REVIEW, body=body, what="cannot ask who this play is")["status"]["userInfo"]
    if not identities.covers(user["username"], user.get("groups") or []):
        raise KubeError(
            "these policies would lock out this play's own identity, '%s'. Add it to 'platform_users', or one of its groups (%s) to 'platform_groups'."
            % (user["username"], ", ".join(user.get("groups") or []))
        )


def main():
    """Run the module."""
    run_module(work, OPTIONS)


if __name__ == "__main__":
    main()
