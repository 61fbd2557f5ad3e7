# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that an upgrade of Talos has done, has begun and has to do."""

from __future__ import annotations

import json

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.nodes import (
    NODE_STAGED,
    NODE_UPGRADE,
    plan_node_begun,
    plan_node_finished,
    plan_node_staged,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade import nodes

WANTED = nodes.Wanted("v1.11.2")


def node(image="Talos (v1.11.2)", mark=None, cordoned=False, ready="True", control=False, schematic=None):
    annotations = {**({NODE_UPGRADE: mark} if mark else {}), **({nodes.SCHEMATIC: schematic} if schematic else {})}
    labels = {"node-role.kubernetes.io/control-plane": ""} if control else {}
    status = {"nodeInfo": {"osImage": image}, "conditions": [{"type": "Ready", "status": ready, "message": "away."}]}
    meta = {"name": "n", "resourceVersion": "1", "annotations": annotations, "labels": labels}
    return {"metadata": meta, "spec": {"unschedulable": True} if cordoned else {}, "status": status}


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("factory.talos.dev/installer/376567988ad370138ad8:v1.11.2", "v1.11.2"),
        ("registry:5000/installer:v1.12.0-beta.1@sha256:0", "v1.12.0-beta.1"),
        ("registry:5000/installer", None),
        ("installer:latest", None),
    ],
)
def test_the_version_of_an_image(image, version):
    if version:
        assert nodes.version_of(image) == version
    else:
        with pytest.raises(CatalogError, match="cluster_secrets_talos_version"):
            nodes.version_of(image)


def test_what_is_done_and_what_is_not():
    mark = json.dumps({"to": "v1.11.2", "cordoned": False})
    assert nodes.status(node(), WANTED) == nodes.DONE
    assert nodes.status(node(mark=mark), WANTED) == nodes.BACK
    assert nodes.status(node("Talos (v1.11.20)"), WANTED) == nodes.TO_DO
    assert nodes.status(node("Flatcar"), WANTED) == nodes.TO_DO
    other = nodes.Wanted("v1.11.2", "abc")
    assert nodes.lacks(node(), other) == ["its schematic is none and not abc"]
    assert nodes.lacks(node(schematic="abc"), other) == []
    assert nodes.waits_for(node("Talos (v1)", ready="False"), WANTED) == [
        "it is not ready: away",
        "it runs v1 and not v1.11.2",
    ]
    assert nodes.waits_for(None, WANTED) == ["it is not in the cluster"]


@pytest.mark.parametrize(
    ("address", "is_wrong"),
    [("10.0.0.11", False), ("fd00::b", False), ("10.0.1.11", True), ("control-1.example.com", False), ("", False)],
)
def test_an_address_that_is_another_nodes(address, is_wrong):
    """A node of the same name is in every cluster."""
    item = node()
    assert nodes.misplaced(item, address) == ""
    known = ("control-1", "10.0.0.11", "FD00:0::B")
    item["status"]["addresses"] = [{"type": "InternalIP", "address": one} for one in known]
    said = "Node n of this cluster has the address 10.0.0.11, fd00::b, and not 10.0.1.11" if is_wrong else ""
    assert nodes.misplaced(item, address) == said


def test_the_order():
    mark = json.dumps({"to": "v1", "cordoned": False})
    worker, begun, control = node(), node(mark=mark), node(control=True)
    assert nodes.in_order([worker, begun, control]) == [begun, control, worker]


def test_a_cordon_is_made_what_it_was():
    for before, now, patched in (
        (False, True, {"unschedulable": None}),
        (False, False, None),
        (True, True, None),
        (True, False, {"unschedulable": True}),
    ):
        live = node(mark=json.dumps({"to": "v1", "cordoned": before}), cordoned=now)
        action = plan_node_finished(live)
        assert action.body.get("spec") == patched
        assert action.body["metadata"]["annotations"] == {NODE_UPGRADE: None}
    assert plan_node_finished(node(cordoned=True)) is None
    # What somebody spoilt says nothing of the cordon.
    assert "spec" not in plan_node_finished(node(mark="x", cordoned=True)).body
    assert nodes.begun(node(mark="x")) == {"cordoned": True}
    assert plan_node_begun(node(mark="x"), "v1") is None
    made = plan_node_begun(node(cordoned=True), "v1").body["metadata"]["annotations"][NODE_UPGRADE]
    assert json.loads(made) == {"to": "v1", "cordoned": True}


def test_what_was_staged_is_rebooted_and_nothing_else():
    wanted = nodes.Wanted("v1.12.0", image="installer:v1.12.0")
    live = node()
    live["metadata"]["annotations"][NODE_STAGED] = "installer:v1.12.0"
    assert nodes.is_staged(live, wanted) and nodes.status(live, wanted) == nodes.TO_DO
    assert nodes.notes(live, wanted) == ["staged, to be rebooted"]
    assert not nodes.is_staged(live, nodes.Wanted("v1.12.1", image="installer:v1.12.1"))
    # Somebody has rebooted it: what is left is to say so.
    assert nodes.status(live, WANTED) == nodes.BACK
    assert plan_node_finished(live).body["metadata"]["annotations"] == {NODE_STAGED: None}
    begun = plan_node_begun(live, "v1.12.0").body["metadata"]["annotations"]
    assert begun[NODE_STAGED] is None and json.loads(begun[NODE_UPGRADE])["to"] == "v1.12.0"
    assert plan_node_staged(live, "installer:v1.12.0") is None


def test_batches():
    def named(name, control=False):
        found = node(control=control)
        found["metadata"]["name"] = name
        return found

    ordered = [named("c1", True), named("c2", True), named("w1"), named("w2"), named("w3")]
    assert nodes.batches(ordered, 2) == [["c1"], ["c2"], ["w1", "w2"], ["w3"]]
    assert nodes.batches(ordered[2:], 1) == [["w1"], ["w2"], ["w3"]]
    # A worker that was begun comes first, and alone if the control plane follows.
    assert nodes.batches([ordered[2], ordered[0], ordered[3]], 2) == [["w1"], ["c1"], ["w2"]]


def test_volumes_that_one_node_has():
    def volume(claim, *names, operator="In"):
        expression = {"key": "kubernetes.io/hostname", "operator": operator, "values": list(names)}
        affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
        return {"spec": {"claimRef": {"namespace": "a", "name": claim}, "nodeAffinity": affinity}}

    volumes = [volume("x", "n1"), volume("y", "n1", "n2"), volume("z", "other"), {"spec": {}}]
    assert nodes.held_by_nodes(volumes, {"n1", "n2"}) == ["a/x (on n1)"]
