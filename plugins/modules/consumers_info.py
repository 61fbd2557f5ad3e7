#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module consumers_info: who uses which target."""

from __future__ import annotations

DOCUMENTATION = r"""
module: consumers_info
short_description: Report which workloads use which targets, and which run with an older value
version_added: 1.0.0
description:
  - Looks at Deployments, StatefulSets, DaemonSets, CronJobs, Jobs, other pods, ServiceAccounts, Ingresses, and the
    fields of O(consumer_paths), to find what they use from the catalog's targets.
  - Values are never returned. RV(old) compares a container's start time with the time when its Secret's value was last
    written. It considers only environment variables and C(subPath) mounts, since other mounted files follow a change.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
extends_documentation_fragment:
  - platform.cluster_secrets.consumers
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.reads
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store.namespace
"""

EXAMPLES = r"""
- name: Look who uses what
  platform.cluster_secrets.consumers_info:
    catalog: "{{ cluster_secrets_catalog }}"
    consumer_paths:
      - api_version: cert-manager.io/v1
        kind: ClusterIssuer
        path: spec.acme.solvers[].dns01.cloudflare.apiTokenSecretRef
        namespace: cert-manager
"""

RETURN = r"""
consumers:
  description: Every reference to a target.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of the consumer, the object that people write, such as C(Deployment).
      type: str
    namespace:
      description: Its namespace.
      type: str
    name:
      description: Its name.
      type: str
    secret:
      description: The target.
      type: str
    way:
      description: One of V(env), V(envFrom), V(volume), V(subPath), V(imagePullSecrets), V(tls), V(custom).
      type: str
    key:
      description: The key, if only one key is used.
      type: str
    optional:
      description: Whether the consumer can do without it.
      type: bool
unlabelled:
  description: References to the name of a target in a namespace that does not get it and has no other Secret of that
    name, in the format of RV(consumers), with the missing C(label).
  returned: success
  type: list
  elements: dict
missing_keys:
  description: References to a key that the target does not have, in the format of RV(consumers).
  returned: success
  type: list
  elements: dict
unused:
  description: Targets that nothing names.
  returned: success
  type: list
  elements: dict
  contains:
    namespace:
      description: The namespace.
      type: str
    secret:
      description: The target.
      type: str
old:
  description: Workloads with pods that still hold an older value.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of the workload.
      type: str
    namespace:
      description: Its namespace.
      type: str
    name:
      description: Its name.
      type: str
    secrets:
      description: The targets.
      type: list
      elements: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit import usage
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import snapshot, state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import usage as live_usage
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    CONSUMER_OPTIONS,
    STORE_NAMESPACE_OPTION,
    Context,
    customs,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import SECRETS, key_of

OPTIONS: dict[str, dict[str, Any]] = {
    "consumer_paths": CONSUMER_OPTIONS["consumer_paths"],
    **CATALOG_OPTION,
    **STORE_NAMESPACE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Read and compare."""
    params, client = context.params, context.client
    taken = snapshot.read(client, context.entries, context.eso_version(), params["store_namespace"], read_sources=False)
    rows = state.judge(context.entries, taken)
    others = {key_of(item) for item in client.list(SECRETS, partial=True)[0]}
    report = usage.judge(
        context.entries, rows, taken, others, live_usage.read(client, customs(params["consumer_paths"]))
    )
    return {
        "changed": False,
        "consumers": [used.as_dict() for used in report.used],
        "unlabelled": [{**one.as_dict(), "label": entry.label_text()} for one, entry in report.unlabelled],
        "missing_keys": [key.as_dict() for key in report.keys],
        "unused": [{"namespace": namespace, "secret": name} for namespace, name, _entry in report.unused],
        "old": [{**owner._asdict(), "secrets": names} for owner, names in usage.workloads_with_old_values(report.old)],
        "api_requests": client.requests,
    }


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
