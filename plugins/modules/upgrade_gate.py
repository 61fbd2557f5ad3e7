#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module upgrade_gate: whether the next node may be upgraded."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_gate
short_description: Check whether the next node may be upgraded
version_added: 1.0.0
description:
  - Fails unless everything that the cluster's secrets depend on is healthy, and names each cause. It writes nothing and
    takes only a few requests, so it fits between two nodes.
  - The gate is open when every node is ready and not cordoned, the Deployments of ESO are available and its webhook has
    an endpoint, the stores and the catalog's ClusterExternalSecrets are ready, every target is current, and no pod
    waits for a Secret or, if it uses a target, for a node.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  except_nodes:
    description: The names of nodes that may be not ready, or cordoned.
    type: list
    elements: str
    default: []
  except_namespaces:
    description:
      - Namespaces whose targets and pods are ignored, such as that of a tenant whose pod has always waited for a Secret
        that nobody creates.
    type: list
    elements: str
    default: []
  drain:
    description:
      - Whether nodes are about to be drained. The gate then also requires the pull Secrets that pods name, since a pod
        that moves may have to pull its image again, and it requires that ESO can be drained.
      - ESO can be drained if no PodDisruptionBudget forbids its eviction now and, if it has several replicas, they
        elect a leader.
    type: bool
    default: false
  window:
    description:
      - How many hours the upgrade may take. The gate then also requires that the credentials of this task, and the
        certificates and tokens in the catalog's master Secrets, such as a talosconfig's, do not expire before then.
      - It needs the Python package C(cryptography) on the host of the task.
    type: int
    default: 0
  wait:
    description: Whether to wait until the cluster can be checked and the gate is open.
    type: bool
    default: false
  wait_timeout:
    description: How many seconds to wait.
    type: int
    default: 300
  fail:
    description: Whether a closed gate fails the task.
    type: bool
    default: true
  json:
    description:
      - Where to write the result as JSON, on the host that the module runs on, even if the cluster could not be
        checked. It has C(server), C(time), C(open), C(problems) as below, and C(error).
    type: path
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.identities.namespace
  - platform.cluster_secrets.attributes.reads
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.namespace
"""

EXAMPLES = r"""
- name: Go on to the next node only if the secrets are well
  platform.cluster_secrets.upgrade_gate:
    catalog: "{{ cluster_secrets_catalog }}"
    wait: true

- name: Look before the first drain
  platform.cluster_secrets.upgrade_gate:
    catalog: "{{ cluster_secrets_catalog }}"
    drain: true
    window: 8
"""

RETURN = r"""
open:
  description: Whether the gate is open.
  returned: when the cluster could be looked at
  type: bool
problems:
  description: What keeps it closed.
  returned: when the cluster could be looked at
  type: list
  elements: dict
  contains:
    check:
      description: One of V(node), V(eso), V(webhook), V(store), V(distribution), V(target), V(pod), V(drain),
        V(pull-secret), V(credentials).
      type: str
    object:
      description: The object, such as C(Node worker-1).
      type: str
    severity:
      description: Always V(error).
      type: str
    message:
      description: What is wrong with it.
      type: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

import datetime
import json
from typing import Any, Iterator

from ansible_collections.platform.cluster_secrets.plugins.module_utils import files, lifetimes
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.kubeconfig import connection
from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit import gate
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import (
    ClusterSecretsError,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.findings import Finding, problem
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import health, state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    ESO_NAMESPACE_OPTION,
    STORE_NAMESPACE_OPTION,
    STORE_OPTION,
    Context,
    run_module,
    wait_while,
)

OPTIONS: dict[str, dict[str, Any]] = {
    "except_nodes": {"type": "list", "elements": "str", "default": []},
    "except_namespaces": {"type": "list", "elements": "str", "default": []},
    "drain": {"type": "bool", "default": False},
    "window": {"type": "int", "default": 0},
    **ESO_NAMESPACE_OPTION,
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 300},
    "fail": {"type": "bool", "default": True},
    "json": {"type": "path"},
    **CATALOG_OPTION,
    **STORE_OPTION,
    **STORE_NAMESPACE_OPTION,
}

#: Problems that a failure's text names; the result has all.
_SHOWN = 10


class _Closed(ClusterSecretsError):
    """The cluster could be looked at, and has problems."""


def run(context: Context) -> dict[str, Any]:
    """Look, once or until the gate is open, and write that down."""
    try:
        result = _judged(context)
    except ClusterSecretsError as error:
        _write(context, {"open": False, "problems": [], "error": str(error)})
        raise
    _write(context, {"open": result["open"], "problems": result["problems"], "error": None})
    return result


def _write(context: Context, report: dict[str, Any]) -> None:
    path = context.params["json"]
    if path and not context.check_mode:
        try:
            server = context.client.server
        except ClusterSecretsError:
            server = None  # what is written says why
        document = {"server": server, "time": state.utcnow().strftime("%Y-%m-%dT%H:%M:%SZ"), **report}
        files.write(path, json.dumps(document, indent=2) + "\n", "report")


def _judged(context: Context) -> dict[str, Any]:
    params = context.params
    problems: list[Finding] = []

    def closed() -> ClusterSecretsError | None:
        try:
            problems[:] = _look(context)
        except ClusterSecretsError as error:
            # An API server that has just started refuses for a moment what it will allow.
            return error
        return _Closed() if problems else None

    try:
        wait_while(context.client, closed, params["wait_timeout"] if params["wait"] else 0, interval=0.5)
    except _Closed:
        pass  # the problems say why
    result: dict[str, Any] = {
        "changed": False,
        "open": not problems,
        "problems": [problem.as_dict() for problem in problems],
        "api_requests": context.client.requests,
    }
    if problems and params["fail"]:
        shown = ["%s: %s" % (closing.object, closing.message) for closing in problems[:_SHOWN]]
        more = ["and %d more" % (len(problems) - _SHOWN)] if len(problems) > _SHOWN else []
        result.update(failed=True, msg="The gate is closed. %s." % "; ".join(shown + more))
    return result


def _look(context: Context) -> list[Finding]:
    params, client, entries = context.params, context.client, context.entries
    live = health.read(client, entries, context.eso_version(), params["store_namespace"], params["eso_namespace"])
    pods = gate.pods_that_count(live, params["except_namespaces"])
    secrets = health.names_of_secrets(client, gate.to_look_at(pods, params["drain"]))
    problems = gate.judge(
        entries,
        live,
        params["store"],
        pods,
        secrets,
        params["except_nodes"],
        params["except_namespaces"],
        params["drain"],
    )
    if params["window"]:
        problems += _ending(context, live)
    return problems


def _ending(context: Context, live: health.Health) -> Iterator[Finding]:
    last = state.utcnow() + datetime.timedelta(hours=context.params["window"])
    places = [("this task's credentials", value) for value in _own_credentials(context)]
    for name, source in sorted((live.targets.sources or {}).items()):
        label = "Secret %s/%s" % (context.params["store_namespace"], name)
        places += [("%s, key %s" % (label, key), value) for key, value in sorted(source.items())]
    for place, value in places:
        for what, end in lifetimes.ends(value):
            if end <= last:
                yield problem("credentials", place, "%s ends at %s" % (what, end.strftime("%Y-%m-%d %H:%M UTC")))


def _own_credentials(context: Context) -> list[bytes]:
    used = connection(context.params)
    if used.again is not None:
        return []  # they renew themselves
    certificate = used.cert_data or (files.read(used.cert_file, "client certificate") if used.cert_file else b"")
    token = (used.authorization or "").partition("Bearer ")[2]
    return [certificate, token.encode()]


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
