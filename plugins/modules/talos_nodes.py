#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module talos_nodes: upgrade nodes of Talos, and go on where an earlier run stopped."""

from __future__ import annotations

DOCUMENTATION = r"""
module: talos_nodes
short_description: Upgrade Talos nodes, and continue where an earlier run stopped
version_added: 1.0.0
description:
  - Compares what nodes run with what they should run, so that an interrupted upgrade continues where it stopped.
  - Calls C(talosctl) for all given nodes at the same time, and waits until each is ready and runs what is wanted.
    Meanwhile, a Lease in O(store_namespace) keeps other runs away from the cluster.
  - Before a node is touched, the annotation C(cluster-secrets/node-upgrade) records the wanted version and whether
    the node was cordoned. Afterwards, the annotation is removed, together with a cordon that the upgrade left behind.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows what changes.
    support: full
options:
  state:
    description:
      - V(planned) only reads. It waits for a run that may be at work on the cluster, and fails if there is one.
      - V(upgraded) upgrades O(nodes) at the same time, by a reboot where V(staged) came before. If the upgrade of a
        node was begun and the node is away, the module waits for it before touching it again.
      - V(staged) installs what is wanted without a reboot.
      - V(arrived) waits for O(nodes) whose upgrade was begun earlier, and finishes it.
    type: str
    choices: [planned, upgraded, staged, arrived]
    default: planned
  nodes:
    description: The nodes. V(planned) puts those whose upgrade was begun first, then the control plane, whatever the
      order here.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the Node.
        type: str
        required: true
      address:
        description: The address at which C(talosctl) reaches it. By default, its name. An IP address must be one that
          the Node has in its status; if it is reached at another one, give a name.
        type: str
  image:
    description: The installer image, whose tag is the wanted version.
    type: str
    required: true
  version:
    description: The wanted version, such as V(v1.11.2), if the tag of O(image) is not a version.
    type: str
  schematic:
    description: The Image Factory schematic that is wanted as well. Without it, any is accepted.
    type: str
  workers:
    description: How many worker nodes are upgraded at the same time.
    type: int
    default: 1
  command:
    description: The program, with the arguments common to all its calls.
    type: list
    elements: str
    default: [talosctl]
  arguments:
    description: More arguments of C(talosctl upgrade).
    type: list
    elements: str
    default: [--wait]
  stage_arguments:
    description: The arguments that keep C(talosctl upgrade) from rebooting.
    type: list
    elements: str
    default: [--no-reboot]
  reboot_arguments:
    description: The arguments of C(talosctl reboot) for a node that was staged.
    type: list
    elements: str
    default: [--drain, --wait]
  wait_timeout:
    description: How many seconds to wait for a node once C(talosctl) has ended.
    type: int
    default: 1800
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.attributes.writes
"""

EXAMPLES = r"""
- name: See which nodes have yet to be upgraded
  platform.cluster_secrets.talos_nodes:
    image: factory.talos.dev/installer/SCHEMATIC:v1.11.2
    nodes:
      - {name: control-1, address: 10.0.0.11}
      - {name: worker-1, address: 10.0.0.21}
  register: plan
"""

RETURN = r"""
todo:
  description: The nodes that have yet to be upgraded, in upgrade order and in the format of O(nodes).
  returned: when O(state=planned)
  type: list
  elements: dict
batches:
  description: The same, as lists of nodes that are upgraded together.
  returned: when O(state=planned)
  type: list
  elements: list
back:
  description: Nodes whose upgrade was begun or staged and that run what is wanted.
  returned: when O(state=planned)
  type: list
  elements: dict
begun:
  description: The names of nodes whose upgrade was begun.
  returned: when O(state=planned)
  type: list
  elements: str
control_plane:
  description: The names of the control plane nodes.
  returned: when O(state=planned)
  type: list
  elements: str
table:
  description: All of it as lines of text.
  returned: when O(state=planned)
  type: list
  elements: str
seconds:
  description: How long it took.
  returned: success
  type: int
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

import time
from typing import Any, Callable

from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.checker import close_to
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import Denied, NotReady
from ansible_collections.platform.cluster_secrets.plugins.module_utils.lock import Lock
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    STORE_NAMESPACE_OPTION,
    Context,
    run_module,
    wait_while,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.nodes import (
    plan_node_begun,
    plan_node_finished,
    plan_node_staged,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report.text import nodes_table
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    NODES,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    Object,
    Resource,
    label_of,
    shortened,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.talos import (
    UPGRADE,
    Commands,
    Upgrade,
    not_back,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade import nodes

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["planned", "upgraded", "staged", "arrived"], "default": "planned"},
    "nodes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"name": {"type": "str", "required": True}, "address": {"type": "str"}},
    },
    "image": {"type": "str", "required": True},
    "version": {"type": "str"},
    "schematic": {"type": "str"},
    "workers": {"type": "int", "default": 1},
    "command": {"type": "list", "elements": "str", "default": ["talosctl"]},
    "arguments": {"type": "list", "elements": "str", "default": ["--wait"]},
    "stage_arguments": {"type": "list", "elements": "str", "default": ["--no-reboot"]},
    "reboot_arguments": {"type": "list", "elements": "str", "default": ["--drain", "--wait"]},
    "wait_timeout": {"type": "int", "default": 1800},
    **STORE_NAMESPACE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Look at the nodes, or see those that are given through."""
    params = context.params
    wanted = nodes.Wanted(
        params["version"] or nodes.version_of(params["image"]), params["schematic"] or "", params["image"]
    )
    given = {node["name"]: node for node in params["nodes"]}
    if len(given) < len(params["nodes"]):
        raise NotReady("'nodes' (cluster_secrets_talos_nodes) names a node twice. Nothing was changed.")
    if params["workers"] < 1:
        raise NotReady("'workers' (cluster_secrets_talos_workers) must be 1 or more. Nothing was changed.")
    if params["state"] == "planned":
        return _planned(context, given, wanted)
    begun = time.monotonic()
    actions = _predicted(context, given, wanted) if context.check_mode else _carried_out(context, given, wanted)
    return context.result(actions, seconds=0 if context.check_mode else round(time.monotonic() - begun))


def _carried_out(context: Context, given: dict[str, dict[str, Any]], wanted: nodes.Wanted) -> list[Any]:
    params, client = context.params, context.client
    if params["state"] == "arrived":
        return _arrived(context, list(given), wanted)
    _meant(context, given)
    commands = Commands(params["command"], params["arguments"], params["stage_arguments"], params["reboot_arguments"])
    progress = context.progress("nodes are done")
    upgrade = Upgrade(
        client,
        _lock(context),
        wanted,
        {name: one.get("address") or name for name, one in given.items()},
        commands,
        params["wait_timeout"],
        progress,
    )
    try:
        if params["state"] == "staged":
            upgrade.stage()
        else:
            upgrade.upgrade()
    finally:
        progress.end()
    return upgrade.actions


def _lock(context: Context) -> Lock:
    return Lock(context.client, UPGRADE, context.params["store_namespace"])


def _live(context: Context, names: list[str]) -> list[Object]:
    items = context.client.each(lambda name: context.client.get(NODES.path(name)), names)
    absent = [name for name, item in zip(names, items) if item is None]
    if absent:
        raise NotReady("there is no Node %s. Nothing was changed." % ", ".join(absent))
    return [item for item in items if item]


def _refuse_misplaced(live: list[Object], given: dict[str, dict[str, Any]]) -> None:
    """Raise NotReady for an address that is another node's, maybe another cluster's."""
    problems = [nodes.misplaced(item, given[item["metadata"]["name"]].get("address") or "") for item in live]
    wrong = "; ".join(filter(None, problems))
    if wrong:
        raise NotReady(
            "%s. Correct the list (cluster_secrets_talos_nodes); a node that is reached at an address it does not know "
            "needs a name there. Nothing was changed." % wrong
        )


def _meant(context: Context, given: dict[str, dict[str, Any]]) -> list[Object]:
    """The live nodes that are given. Raises NotReady for one that is absent, or that another one's address is for."""
    live = _live(context, list(given))
    _refuse_misplaced(live, given)
    return live


def _predicted(context: Context, given: dict[str, dict[str, Any]], wanted: nodes.Wanted) -> list[Any]:
    """What a run writes first; what an upgrade makes of a node, nobody knows before."""
    state = context.params["state"]
    plan: dict[str, Callable[[Object], Any]] = {
        "staged": lambda item: plan_node_staged(item, wanted.image),
        "upgraded": lambda item: plan_node_begun(item, wanted.version),
        "arrived": plan_node_finished,
    }
    live = _live(context, list(given)) if state == "arrived" else _meant(context, given)
    planned = [plan[state](item) for item in live]
    return Executor(context.client, check_mode=True).run([action for action in planned if action])


def _arrived(context: Context, names: list[str], wanted: nodes.Wanted) -> list[Any]:
    seconds = context.params["wait_timeout"]
    live: list[Object] = []

    def awaited() -> NotReady | None:
        live[:] = _live(context, names)
        for item in live:
            missing = nodes.waits_for(item, wanted)
            if missing:
                return NotReady(not_back(item["metadata"]["name"], seconds, missing))
        return None

    wait_while(context.client, awaited, seconds, interval=2)
    planned = [plan_node_finished(item) for item in live]
    return Executor(context.client).run([action for action in planned if action])


def _planned(context: Context, given: dict[str, dict[str, Any]], wanted: nodes.Wanted) -> dict[str, Any]:
    client, workers = context.client, context.params["workers"]
    if not context.check_mode:
        _lock(context).wait()
    live = {item["metadata"]["name"]: item for item in client.list(NODES)[0]}
    absent = [name for name in given if name not in live]
    if absent:
        raise NotReady(
            "there is no Node %s. %sCorrect the list (cluster_secrets_talos_nodes). Nothing was changed."
            % (", ".join(absent), "".join(close_to(name, live) for name in absent))
        )
    _refuse_misplaced([live[name] for name in given], given)
    ordered = nodes.in_order([live[name] for name in given])
    todo = [item for item in ordered if nodes.status(item, wanted) == nodes.TO_DO]
    others = sorted(name for name in live if name not in given and nodes.running(live[name]) != wanted.version)
    lines = nodes_table([_row(item, wanted) for item in ordered])
    if todo and len(live) == 1:
        lines.append(
            "There is one node: nothing can move elsewhere, and all pods are away while it restarts. A drain can't end "
            "there; talosctl 1.13 and newer need '--drain=false' in cluster_secrets_talos_arguments.upgrade."
        )
    if todo:
        lines += _held_up(context, {item["metadata"]["name"] for item in todo})
    if others:
        lines.append("Not in the list, and not %s: %s." % (wanted.version, ", ".join(others)))
    return {
        **context.result([]),
        "back": [given[item["metadata"]["name"]] for item in ordered if nodes.status(item, wanted) == nodes.BACK],
        "begun": [item["metadata"]["name"] for item in ordered if nodes.begun(item) is not None],
        "control_plane": [item["metadata"]["name"] for item in ordered if nodes.is_control_plane(item)],
        "todo": [given[item["metadata"]["name"]] for item in todo],
        "batches": [[given[name] for name in batch] for batch in nodes.batches(todo, workers)],
        "table": lines,
    }


def _row(item: Object, wanted: nodes.Wanted) -> tuple[str, str, str, str, str]:
    role = "control plane" if nodes.is_control_plane(item) else "worker"
    notes = ", ".join(nodes.notes(item, wanted))
    return item["metadata"]["name"], role, nodes.running(item) or "?", nodes.status(item, wanted), notes


def _held_up(context: Context, names: set[str]) -> list[str]:
    """What a drain would wait for: PodDisruptionBudgets that allow no eviction now, and volumes that can't move."""
    unknown: list[str] = []

    def found(resource: Resource) -> list[Object]:
        try:
            return list(context.client.list(resource)[0])
        except Denied as error:
            unknown.append("What may hold up a drain is not all known: %s" % error)
            return []

    lines = [
        "%s allows no eviction now (%s of %s pods are healthy): a drain of their nodes waits for it."
        % (
            label_of("PodDisruptionBudget", item),
            (item.get("status") or {}).get("currentHealthy", 0),
            (item.get("status") or {}).get("expectedPods", 0),
        )
        for item in found(POD_DISRUPTION_BUDGETS)
        if (item.get("status") or {}).get("expectedPods") and not (item.get("status") or {}).get("disruptionsAllowed")
    ]
    volumes = nodes.held_by_nodes(found(PERSISTENT_VOLUMES), names)
    if volumes:
        lines.append("Volumes that only one node has, whose pods wait until it is back: %s." % shortened(volumes, 10))
    return lines + unknown


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
