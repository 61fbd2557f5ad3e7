#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module cluster_secret_store: the store that ESO reads the master Secrets through."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_secret_store
short_description: Manage the ClusterSecretStore over the central namespace
version_added: 1.0.0
description:
  - Manages the ClusterSecretStore, and the ServiceAccount it reads with.
  - The ServiceAccount may C(get) the master Secrets that the catalog names, and nothing else.
  - The store's conditions admit only namespaces that carry one of the catalog's labels.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  state:
    description: Whether the store and its ServiceAccount should be there.
    type: str
    choices: [present, absent]
    default: present
  server_url:
    description: The URL at which ESO reaches the Kubernetes API.
    type: str
    default: https://kubernetes.default.svc
  create_namespace:
    description: Whether to create the namespace of the central store when it is missing.
    type: bool
    default: true
  wait:
    description: Whether to wait until ESO reports the store as ready.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to wait.
    type: int
    default: 60
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.connection.writes
  - platform.cluster_secrets.connection.eso_objects
  - platform.cluster_secrets.connection.catalog
  - platform.cluster_secrets.connection.store_namespace
  - platform.cluster_secrets.connection.store
"""

EXAMPLES = r"""
- name: Set up the store
  platform.cluster_secrets.cluster_secret_store:
    catalog: "{{ cluster_secrets_catalog }}"
"""

RETURN = r"""
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

from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.common import (
    CATALOG_OPTION,
    ESO_OBJECT_OPTIONS,
    STORE_NAMESPACE_OPTION,
    STORE_OPTION,
    EsoAbsent,
    run_module,
    wait_while,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import cluster_secret_store, store_rbac
from ansible_collections.platform.cluster_secrets.plugins.module_utils.kube import KubeError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan import NAMESPACES, plan_apply, plan_delete, plan_namespace
from ansible_collections.platform.cluster_secrets.plugins.module_utils.state import ready_condition

OPTIONS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "server_url": {"type": "str", "default": "https://kubernetes.default.svc"},
    "create_namespace": {"type": "bool", "default": True},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 60},
    **CATALOG_OPTION,
    **ESO_OBJECT_OPTIONS,
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}


def work(context):
    """Plan against the live objects and write the difference."""
    params, client = context.params, context.client
    absent = params["state"] == "absent"
    try:
        version = context.eso_version(params["assume_installed"])
    except EsoAbsent:
        if not absent:
            raise
        version = None
    store = cluster_secret_store(params["store"], params["store_namespace"], params["server_url"], context.entries, version)
    rbac = store_rbac(params["store_namespace"], context.entries)
    desired = rbac + ([store] if version else [])
    live = client.each(lambda item: client.get(client.object_path(item)), desired)
    executor = Executor(client, context.check_mode, params["force_conflicts"])
    if absent:
        found = [plan_delete(item) for item in live if item]
        return context.result(executor.run(found), api_version=version)
    first = []
    if client.get(NAMESPACES.path(params["store_namespace"])) is None:
        if not params["create_namespace"]:
            raise KubeError("the namespace '%s' does not exist. Create it, or set 'create_namespace: true'." % params["store_namespace"])
        first = [plan_namespace(params["store_namespace"], {})]
    planned = [plan_apply(item, found) for item, found in zip(desired, live)]
    # The store comes last: ESO validates it as soon as it sees it.
    actions = executor.run(first, [action for action in planned[:-1] if action], [action for action in planned[-1:] if action])
    if params["wait"] and not context.check_mode:
        wait_while(lambda: _not_ready(client, store, params["wait_timeout"]), params["wait_timeout"])
    return context.result(actions, api_version=version)


def _not_ready(client, store, seconds):
    condition = ready_condition(client.get(client.object_path(store)))
    if condition and condition.get("status") == "True":
        return None
    said = "ESO says: %s" % condition.get("message") if condition else "ESO has said nothing about it; is its controller running?"
    return KubeError("the ClusterSecretStore '%s' was not ready after %d s. %s" % (store["metadata"]["name"], seconds, said))


def main():
    """Run the module."""
    run_module(work, OPTIONS)


if __name__ == "__main__":
    main()
