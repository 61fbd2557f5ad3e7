#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module talos_nodes: which nodes an upgrade of Talos has done, and what it leaves on them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: talos_nodes
short_description: Say which nodes an upgrade of Talos has yet to do, and see each of them through
version_added: 1.0.0
description:
  - Compares what nodes run with what they are to run, so that an upgrade which was interrupted goes on where it was.
  - Marks a node before its upgrade by the annotation C(cluster-secrets/node-upgrade), which says whether it was
    cordoned then; waits for it afterwards, and takes away the mark, with a cordon that the upgrade has left.
  - It calls no C(talosctl).
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows what changes.
    support: full
options:
  state:
    description:
      - V(planned) reads only.
      - V(begun) marks O(node).
      - V(arrived) waits until O(node) is ready and runs what is wanted, then takes away its mark and the upgrade's
        cordon.
      - V(released) takes away both from each of O(nodes) that is ready, whatever it runs.
    type: str
    choices: [planned, begun, arrived, released]
    default: planned
  nodes:
    description: The nodes of the upgrade. Those of the control plane come first, whatever the order here.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the Node.
        type: str
        required: true
      address:
        description: Where C(talosctl) reaches it, for the result.
        type: str
  node:
    description: The name of one of O(nodes).
    type: str
  image:
    description: The installer's image, whose tag is the version that is wanted.
    type: str
    required: true
  version:
    description: The version that is wanted, such as V(v1.11.2), for an O(image) whose tag is none.
    type: str
  schematic:
    description: The schematic of the Image Factory that is wanted, too. Without it, any will do.
    type: str
  wait_timeout:
    description: How many seconds to wait for a node.
    type: int
    default: 1800
extends_documentation_fragment:
  - platform.cluster_secrets.connection
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
  description: The nodes that have yet to be upgraded, in the order of their upgrade, as O(nodes) has them.
  returned: when O(state=planned)
  type: list
  elements: dict
back:
  description: The names of those that were begun and run what is wanted.
  returned: when O(state=planned)
  type: list
  elements: str
begun:
  description: The names of those that were begun.
  returned: when O(state=planned)
  type: list
  elements: str
control_plane:
  description: The names of those that belong to the control plane.
  returned: when O(state=planned)
  type: list
  elements: str
table:
  description: All of it as lines of text.
  returned: when O(state=planned)
  type: list
  elements: str
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

from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.checker import close_to
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import ApiError, NotReady
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import run_module, wait_while
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan import (
    is_cordoned,
    plan_node_begun,
    plan_node_finished,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report.text import nodes_table
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    NODES,
    POD_DISRUPTION_BUDGETS,
    holds_true,
    label_of,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade import nodes

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import Object

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["planned", "begun", "arrived", "released"], "default": "planned"},
    "nodes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"name": {"type": "str", "required": True}, "address": {"type": "str"}},
    },
    "node": {"type": "str"},
    "image": {"type": "str", "required": True},
    "version": {"type": "str"},
    "schematic": {"type": "str"},
    "wait_timeout": {"type": "int", "default": 1800},
}


def run(context: Context) -> dict[str, Any]:
    """Look at the nodes, or see one of them through."""
    params, client = context.params, context.client
    wanted = nodes.Wanted(params["version"] or nodes.version_of(params["image"]), params["schematic"] or "")
    given = {one["name"]: one for one in params["nodes"]}
    state, name = params["state"], params["node"]
    if state in ("begun", "arrived") and name not in given:
        raise NotReady("'node' must be one of 'nodes'. Known are: %s." % ", ".join(given))
    if state == "planned":
        return _planned(context, given, wanted)
    if state == "released":
        found = client.each(lambda one: client.get(NODES.path(one)), list(given))
        ready = [item for item in found if item and holds_true(item, "Ready")]
        return context.result(_write(context, [plan_node_finished(item) for item in ready]))
    if state == "begun":
        live = client.get(NODES.path(name))
        if live is None:
            raise NotReady("there is no Node '%s'. Nothing was changed." % name)
        return context.result(_write(context, [plan_node_begun(live, wanted.version)]))
    if not context.check_mode:
        seconds = params["wait_timeout"]
        wait_while(client, lambda: _awaited(context, name, wanted, seconds), seconds, interval=2)
    live = client.get(NODES.path(name))
    return context.result(_write(context, [plan_node_finished(live)] if live else []))


def _write(context: Context, planned: list[Any]) -> list[Any]:
    return Executor(context.client, context.check_mode).run([action for action in planned if action])


def _awaited(context: Context, name: str, wanted: nodes.Wanted, seconds: int) -> NotReady | None:
    """What a node that was upgraded is waited for, or None."""
    missing = nodes.waits_for(context.client.get(NODES.path(name)), wanted)
    if not missing:
        return None
    return NotReady(
        "Node %s is not upgraded %d s later: %s. Look at it with 'talosctl dmesg' and 'talosctl logs machined', then "
        "run this again: it goes on with this node." % (name, seconds, "; ".join(missing))
    )


def _planned(context: Context, given: dict[str, dict[str, Any]], wanted: nodes.Wanted) -> dict[str, Any]:
    client = context.client
    live = {item["metadata"]["name"]: item for item in client.list(NODES)[0]}
    absent = [name for name in given if name not in live]
    if absent:
        raise NotReady(
            "there is no Node %s. %sCorrect the list (talos_upgrade_nodes). Nothing was changed."
            % (", ".join(absent), "".join(close_to(name, live) for name in absent))
        )
    ordered = nodes.in_order([live[name] for name in given])
    todo = [item for item in ordered if nodes.status(item, wanted) == nodes.TO_DO]
    others = sorted(name for name in live if name not in given and nodes.running(live[name]) != wanted.version)
    lines = nodes_table([_row(item, wanted) for item in ordered])
    if todo and len(live) == 1:
        lines.append("There is one node: nothing can move elsewhere, and all pods are away while it restarts.")
    if todo:
        lines += _held_up(context)
    if others:
        lines.append("Not in the list, and not %s: %s." % (wanted.version, ", ".join(others)))
    names = {key: [item["metadata"]["name"] for item in found] for key, found in _parts(ordered, wanted).items()}
    return {
        **context.result([]),
        **names,
        "todo": [given[item["metadata"]["name"]] for item in todo],
        "table": lines,
    }


def _row(item: Object, wanted: nodes.Wanted) -> tuple[str, str, str, str, str]:
    state = nodes.status(item, wanted)
    notes = ["begun before"] if state != nodes.DONE and nodes.begun(item) is not None else []
    if is_cordoned(item) and nodes.begun(item) is None:
        notes.append("cordoned, and stays so")
    role = "control plane" if nodes.is_control_plane(item) else "worker"
    return item["metadata"]["name"], role, nodes.running(item) or "?", state, ", ".join(notes)


def _parts(ordered: list[Object], wanted: nodes.Wanted) -> dict[str, list[Object]]:
    return {
        "back": [item for item in ordered if nodes.status(item, wanted) == nodes.BACK],
        "begun": [item for item in ordered if nodes.begun(item) is not None],
        "control_plane": [item for item in ordered if nodes.is_control_plane(item)],
    }


def _held_up(context: Context) -> list[str]:
    """The PodDisruptionBudgets that allow no eviction now, for which a drain would wait."""
    try:
        budgets = context.client.list(POD_DISRUPTION_BUDGETS)[0]
    except ApiError as error:
        if error.status != 403:
            raise
        return ["What may hold up a drain is not known: %s" % error]
    return [
        "%s allows no eviction now (%s of %s pods are healthy): a drain of their nodes waits for it."
        % (
            label_of("PodDisruptionBudget", item),
            (item.get("status") or {}).get("currentHealthy", 0),
            (item.get("status") or {}).get("expectedPods", 0),
        )
        for item in budgets
        if (item.get("status") or {}).get("expectedPods") and not (item.get("status") or {}).get("disruptionsAllowed")
    ]


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
