#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module central_secrets: seed the central store."""

from __future__ import annotations

DOCUMENTATION = r"""
module: central_secrets
short_description: Seed the master Secrets of the central store
version_added: 1.0.0
description:
  - Creates and updates the master Secrets that the catalog's entries read, from values that any lookup may give.
  - All values are checked against the catalog before anything is written.
  - Keys and Secrets of other owners are left alone.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows which keys change, and never a value.
    support: full
options:
  state:
    description: With V(absent), the master Secrets that this module created are deleted, and O(values) is not needed.
    type: str
    choices: [present, absent]
    default: present
  values:
    description:
      - The values, a mapping of sources, each a mapping of keys and strings.
      - Sources that no enabled entry of the catalog reads are left out, with a warning.
    type: dict
  create_namespace:
    description: Whether to create the namespace of the central store when it is missing.
    type: bool
    default: true
  prune:
    description: Whether to delete master Secrets that this module created and that no entry reads any more.
    type: bool
    default: false
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store.namespace
seealso:
  - module: platform.cluster_secrets.sync
"""

EXAMPLES = r"""
- name: Seed the central store from an ansible-vault file
  platform.cluster_secrets.central_secrets:
    catalog: "{{ cluster_secrets_catalog }}"
    values: "{{ lookup('platform.cluster_secrets.values_file', 'secrets.vault.yml') }}"
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
  sample: [{"kind": "Secret", "namespace": "central-secret-store", "name": "github-pat", "result": "updated"}]
changed_sources:
  description: The master Secrets that change, each with the keys that do, for the option of that name of
    M(platform.cluster_secrets.sync).
  returned: success
  type: dict
  sample: {"github-pat": ["token"]}
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog import check_values, required_sources
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import (
    central_secret,
    is_owned,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    STORE_NAMESPACE_OPTION,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan import (
    plan_apply,
    plan_delete,
    redact_secret,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import SECRETS

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan import Action
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import Object

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "values": {"type": "dict", "no_log": True},
    "create_namespace": {"type": "bool", "default": True},
    "prune": {"type": "bool", "default": False},
    **CATALOG_OPTION,
    **STORE_NAMESPACE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Plan against the live Secrets and write the difference."""
    params, client = context.params, context.client
    namespace = params["store_namespace"]
    values: dict[str, dict[str, bytes]] = {}
    ignored: list[str] = []
    if params["state"] == "present":
        if params["values"] is None:
            raise CatalogError("the option 'values' is missing. Give the values of the catalog's sources.")
        values, ignored = check_values(context.entries, params["values"])
    for name in ignored:
        context.warn("values are given for '%s', which no enabled catalog entry reads; they are not used" % name)
    live, _version = client.list(SECRETS, namespace=namespace)
    by_name = {item["metadata"]["name"]: item for item in live}
    first: list[Action] = []
    # A missing namespace lists as empty, so it is looked for only when nothing is there.
    if not live and values:
        first = context.missing_namespace(namespace, params["create_namespace"])
    planned = [
        plan_apply(central_secret(name, namespace, data), by_name.get(name), redact_secret)
        for name, data in values.items()
    ]
    writes = [action for action in planned if action]
    deletes = []
    if params["prune"] or params["state"] == "absent":
        kept = required_sources(context.entries) if params["state"] == "present" else {}
        deletes = [
            plan_delete({"apiVersion": "v1", "kind": "Secret", **item})
            for name, item in by_name.items()
            if is_owned(item) and name not in kept
        ]
    actions = Executor(client, context.check_mode).run(first, writes, deletes)
    return context.result(
        actions,
        changed_sources={action.name: _changed_keys(by_name.get(action.name), action.body) for action in writes},
    )


def _changed_keys(live: Object | None, desired: Object) -> list[str]:
    old = (live or {}).get("data") or {}
    return [key for key, value in desired["data"].items() if old.get(key) != value]


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
