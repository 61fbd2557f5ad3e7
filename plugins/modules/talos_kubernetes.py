#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module talos_kubernetes: upgrade the Kubernetes of a Talos cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: talos_kubernetes
short_description: Upgrade Kubernetes on a Talos cluster
version_added: 1.0.0
description:
  - Reports what another version of Kubernetes would break, calls C(talosctl upgrade-k8s), and waits until the API
    server and all kubelets run that version.
  - Meanwhile, a Lease in O(store_namespace) keeps other runs away from the cluster.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: There is nothing to show; C(talosctl upgrade-k8s --dry-run) shows what it would change.
    support: none
options:
  state:
    description:
      - V(planned) only reads, and fails if the version would break something that O(accept) does not name.
      - V(upgraded) upgrades a cluster that does not yet run the version.
    type: str
    choices: [planned, upgraded]
    default: planned
  version:
    description: The version to upgrade to, such as V(1.37.2).
    type: str
    required: true
  address:
    description: The address at which C(talosctl) reaches a control plane node. Required for V(upgraded).
    type: str
  command:
    description: The program, with the arguments common to all its calls.
    type: list
    elements: str
    default: [talosctl]
  arguments:
    description: More arguments of C(talosctl upgrade-k8s).
    type: list
    elements: str
    default: []
  accept:
    description:
      - What may break. V(removed) means APIs that were requested since the API server started and that the version no
        longer serves, and V(kubelet) means kubelets that are too old for it.
    type: list
    elements: str
    choices: [removed, kubelet]
    default: []
  wait_timeout:
    description: How many seconds to wait once C(talosctl) has ended.
    type: int
    default: 1800
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.identities.namespace
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.attributes.writes
"""

EXAMPLES = r"""
- name: See whether the cluster is ready for another version of Kubernetes
  platform.cluster_secrets.talos_kubernetes:
    version: 1.36.3
"""

RETURN = r"""
todo:
  description: Whether the cluster does not run the version yet, or a talosctl that was begun for it did not end well.
  returned: when O(state=planned)
  type: bool
progress:
  description: The API server's version, and the nodes whose kubelet runs the wanted one, as a text.
  returned: when O(state=planned)
  type: str
problems:
  description: What would break, including what is accepted.
  returned: when O(state=planned)
  type: list
  elements: dict
  contains:
    check:
      description: The name that O(accept) has for it.
      type: str
    severity:
      description: Always V(error).
      type: str
    object:
      description: The node, or the API.
      type: str
    message:
      description: What is wrong.
      type: str
table:
  description: How far the upgrade has come, as lines of text.
  returned: when O(state=planned)
  type: list
  elements: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

import json
from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories
from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import (
    ApiError,
    ClusterSecretsError,
    NotReady,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso
from ansible_collections.platform.cluster_secrets.plugins.module_utils.lock import Lock
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    ESO_NAMESPACE_OPTION,
    STORE_NAMESPACE_OPTION,
    Context,
    run_module,
    wait_while,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.nodes import plan_node_annotated
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import NODES, Object
from ansible_collections.platform.cluster_secrets.plugins.module_utils.talos import UPGRADE, run_locked
from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade import kubernetes
from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade.nodes import is_control_plane, misplaced

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.advisories import Number
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.client import Client

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["planned", "upgraded"], "default": "planned"},
    "version": {"type": "str", "required": True},
    "address": {"type": "str"},
    "command": {"type": "list", "elements": "str", "default": ["talosctl"]},
    "arguments": {"type": "list", "elements": "str", "default": []},
    "accept": {"type": "list", "elements": "str", "choices": list(kubernetes.CHECKS), "default": []},
    "wait_timeout": {"type": "int", "default": 1800},
    **ESO_NAMESPACE_OPTION,
    **STORE_NAMESPACE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Look at the cluster, or upgrade it."""
    params, client = context.params, context.client
    wanted = kubernetes.wanted_version(params["version"])
    server, nodes = _read(context)
    if params["state"] == "planned":
        return _planned(context, server, nodes, wanted)
    if kubernetes.is_done(server, nodes, wanted):
        return {"changed": False, "api_requests": client.requests}
    if not params["address"]:
        raise NotReady("'address' is missing: where talosctl reaches a node of the control plane. Nothing was changed.")
    control_plane = [item for item in nodes if is_control_plane(item)]
    wrong = [misplaced(item, params["address"]) for item in control_plane]
    if wrong and all(wrong):
        raise NotReady("%s. Correct 'address' (cluster_secrets_talos_nodes). Nothing was changed." % "; ".join(wrong))
    if not context.check_mode:
        to = ["upgrade-k8s", "--nodes", params["address"], "--to", advisories.text(wanted)]
        lock = Lock(client, UPGRADE, params["store_namespace"])
        run_locked(lock, [*params["command"], *to, *params["arguments"]], lambda: _mark(client, control_plane, wanted))
        wait_while(client, lambda: _awaited(context, wanted), params["wait_timeout"], interval=2)
        _unmark(client)
    return {"changed": True, "api_requests": client.requests}


def _mark(client: Client, control_plane: list[Object], wanted: Number) -> None:
    """Say in the cluster that talosctl has begun: it writes kube-proxy and manifests last, which no version shows."""
    first = min(item["metadata"]["name"] for item in control_plane)
    live = client.get(NODES.path(first))
    action = plan_node_annotated(live, {kubernetes.MARK: advisories.text(wanted)}) if live else None
    Executor(client).run([action] if action else [])


def _unmark(client: Client) -> None:
    planned = [plan_node_annotated(node, {kubernetes.MARK: None}) for node in client.list(NODES)[0]]
    Executor(client).run([action for action in planned if action])


def _read(context: Context) -> tuple[Number, list[Object]]:
    """(the API server's version, the live nodes)."""
    # No object of Kubernetes, which request() asks for.
    answer = context.client.text("/version", {}, "cannot read the version of Kubernetes")
    try:
        version = json.loads(answer)["gitVersion"]
    except (ValueError, KeyError, TypeError):
        raise ApiError(502, "", "it has none. Is 'host' a Kubernetes API?", "the answer to /version") from None
    return kubernetes.parse(version), list(context.client.list(NODES)[0])


def _awaited(context: Context, wanted: Number) -> ClusterSecretsError | None:
    missing = kubernetes.waits_for(*_read(context), wanted)
    if not missing:
        return None
    return NotReady(
        "Kubernetes is not upgraded %d s later: %s. Look at it with 'talosctl health', then run this again."
        % (context.params["wait_timeout"], "; ".join(missing))
    )


def _planned(context: Context, server: Number, nodes: list[Object], wanted: Number) -> dict[str, Any]:
    todo = not kubernetes.is_done(server, nodes, wanted)
    text = advisories.text(wanted)
    progress = " ".join([advisories.text(server), *kubernetes.running(nodes, wanted)])
    result: dict[str, Any] = {"changed": False, "todo": todo, "progress": progress, "problems": []}
    if not todo:
        table = ["The API server and %d node(s) run Kubernetes %s." % (len(nodes), text)]
        return {**result, "table": table, "api_requests": context.client.requests}
    kubernetes.refuse_way(server, wanted)
    if not context.check_mode:
        Lock(context.client, UPGRADE, context.params["store_namespace"]).wait()
    problems = kubernetes.judge(nodes, _metrics(context), wanted)
    warning = kubernetes.untested(eso.running_as(context.client, context.params["eso_namespace"])[0].number, wanted)
    if warning:
        context.warn(warning)
    why = kubernetes.waits_for(server, nodes, wanted) or ["an earlier talosctl did not end well, and is run once more"]
    result["table"] = ["To Kubernetes %s. %s." % (text, "; ".join(why))]
    result["problems"] = [problem.as_dict() for problem in problems]
    result["api_requests"] = context.client.requests
    stopping = [problem for problem in problems if problem.check not in context.params["accept"]]
    if stopping:
        message = (
            "Kubernetes %s would stop %d thing(s). Nothing was changed. Correct them, or accept a kind of them in "
        )
        lines = ["- %s" % problem.text() for problem in stopping]
        result.update(
            failed=True,
            msg="\n".join([message % (text, len(stopping)) + "'cluster_secrets_talos_kubernetes_accept'.", *lines]),
        )
    return result


def _metrics(context: Context) -> str:
    """What the API server counts; empty, with a warning, where that is not allowed."""
    try:
        return context.client.text("/metrics", {}, "cannot read the API server's metrics")
    except ApiError as error:
        if error.status not in (403, 404):
            raise
        context.warn("it is not known whether APIs are in use that the version no longer serves: %s" % error)
        return ""


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
