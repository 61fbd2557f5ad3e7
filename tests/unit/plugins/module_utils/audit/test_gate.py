# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the gate of an upgrade closed."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit import gate
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import OWNED
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.health import Health
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.snapshot import Snapshot
from samples import CONTROLS, ONE, entries

READY = {"type": "Ready", "status": "True"}
CONTROLLER = {"app.kubernetes.io/name": "external-secrets"}
WEBHOOK = {"app.kubernetes.io/name": "external-secrets-webhook"}


def ready(name, said=None, **more):
    """A live object of ESO's or a node; ``said`` is why it is not ready."""
    condition = READY if said is None else {"type": "Ready", "status": "False", "message": said}
    return {"metadata": {"name": name}, "status": {"conditions": [condition]}, **more}


def deployment(name="eso", labels=None, replicas=1, available=1, generation=1, arguments=()):
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"args": list(arguments)}]}}
    return {
        "metadata": {
            "name": name,
            "namespace": "external-secrets",
            "generation": generation,
            "labels": CONTROLLER if labels is None else labels,
        },
        "spec": {"replicas": replicas, "template": template},
        "status": {"observedGeneration": 1, "updatedReplicas": replicas, "availableReplicas": available},
    }


def pod(name="p", phase="Running", states=(), conditions=(), **spec):
    statuses = [{"state": {"waiting": {"reason": reason, "message": text}}} for reason, text in states]
    status = {"phase": phase, "containerStatuses": statuses, "conditions": list(conditions)}
    return {"metadata": {"name": name, "namespace": "a"}, "spec": {"containers": [], **spec}, "status": status}


def uses(secret, optional=False):
    return {"containers": [{"name": "c", "envFrom": [{"secretRef": {"name": secret, "optional": optional}}]}]}


def targets(held=b"v", kind="Opaque"):
    """The target of the entry in its namespace, and what the source holds now."""
    labelled = {"metadata": {"name": "a", "labels": {"secrets/one": "true"}}}
    meta = {"name": "one", "namespace": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}
    secret = {"metadata": meta, "type": kind, "data": {"KEY": base64.b64encode(held).decode()}}
    owner = {**CONTROLS, "kind": "ClusterExternalSecret", "name": "one"}
    external = ready("one")
    external["metadata"].update({"namespace": "a", "ownerReferences": [owner]})
    return Snapshot([labelled], [secret], "1", [external], {"src": {"key": b"v"}})


def health(snapshot=None, **lists):
    well = {
        "nodes": [ready("n")],
        "pods": [],
        "deployments": [deployment()],
        "webhooks": [],
        "endpoints": [],
        "budgets": [],
        "stores": [ready("store")],
        "distributed": [ready("one")],
    }
    return Health(**{**well, **lists}, targets=snapshot or targets())


def judged(found, secrets=(), **options):
    problems = gate.judge(entries(ONE), found, "store", gate.pods_that_count(found), secrets, **options)
    return [(one.check, one.object, one.message) for one in problems]


def test_it_is_open_when_all_is_well():
    assert judged(health()) == [] == judged(health(), drain=True)


# -- nodes -----------------------------------------------------------------------------------------


def test_a_node_that_is_not_ready_or_cordoned():
    tainted = ready("t", spec={"taints": [{"key": gate._CORDONED, "timeAdded": "2026-01-01T00:00:00Z"}]})
    nodes = [ready("n", "kubelet stopped"), ready("c", spec={"unschedulable": True}), tainted]
    found = judged(health(nodes=nodes))
    assert found[0] == ("node", "Node n", "it is not ready: kubelet stopped")
    assert [one[2] for one in found[1:]] == [
        "it is cordoned, so nothing can move there. Uncordon it, or except it (cluster_secrets_gate_except_nodes)",
        "it is cordoned (since 2026-01-01T00:00:00Z), so nothing can move there. Uncordon it, or "
        "except it (cluster_secrets_gate_except_nodes)",
    ]
    assert judged(health(nodes=nodes), except_nodes=["n", "c", "t"]) == []
    # A mistyped name would except nothing.
    assert judged(health(), except_nodes=["m"]) == [("node", "Node m", "there is no such node")]


# -- ESO ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "said"),
    [
        ([], "ESO's controller is not there"),
        ([deployment(labels=WEBHOOK)], "ESO's controller is not there"),
        ([deployment(replicas=0, available=0)], "it is scaled to 0"),
        ([deployment(available=0)], "0 of 1 replicas are available"),
        ([deployment(), deployment("hook", WEBHOOK, 2, 1)], "1 of 2 replicas are available"),
        ([deployment(generation=2)], "its latest change is not rolled out yet"),
    ],
)
def test_esos_deployments(live, said):
    assert [(check, text) for check, _object, text in judged(health(deployments=live))] == [("eso", said)]


def test_a_webhook_without_endpoints_refuses_esos_objects():
    def hook(namespace):
        service = {"name": "hook", "namespace": namespace}
        return {"metadata": {"name": "w"}, "webhooks": [{"clientConfig": {"service": service}}]}

    def endpoint(**conditions):
        return {
            "metadata": {"labels": {"kubernetes.io/service-name": "hook"}},
            "endpoints": [{"conditions": conditions}],
        }

    ours = [hook("external-secrets")]
    text = "no endpoint is ready; it would refuse ESO's objects"
    assert judged(health(webhooks=ours)) == [("webhook", "Service hook", text)]
    assert judged(health(webhooks=ours, endpoints=[endpoint(ready=False)])) != []
    assert judged(health(webhooks=ours, endpoints=[endpoint()])) == []
    assert judged(health(webhooks=[hook("elsewhere")])) == []


def test_what_stops_eso_and_what_does_not():
    one_left = health(deployments=[deployment(replicas=2, available=1), deployment("certs", WEBHOOK, 1, 0)])
    assert gate.stopped(one_left) == []
    assert [one.message for one in gate.stopped(health(deployments=[deployment(available=0)]))] != []
    # Go reads each of these.
    for argument, said in (
        ("--enable-cluster-store-reconciler=false", True),
        ("-enable-cluster-store-reconciler=F", True),
        ("--enable-cluster-external-secret-reconciler=0", True),
        ("--enable-cluster-external-secret-reconciler=true", False),
        ("--enable-cluster-external-secret-reconciler", False),
    ):
        found = gate.stopped(health(deployments=[deployment(arguments=[argument])]))
        assert ["it runs with %s" % argument in one.message for one in found] == [True] * said, argument


# -- stores, ClusterExternalSecrets, targets -----------------------------------------------------------


def test_what_is_not_ready_or_not_there():
    assert judged(health(stores=[])) == [("store", "ClusterSecretStore store", "it is not there")]
    theirs, ours = ready("theirs", "no"), ready("left", "no access")
    ours["metadata"]["labels"] = OWNED
    silent = {"metadata": {"name": "one"}}
    found = judged(health(distributed=[theirs, ours, silent]))
    assert found == [
        ("distribution", "ClusterExternalSecret left", "it is not ready: no access"),
        ("distribution", "ClusterExternalSecret one", "it is not ready: ESO has not looked at it"),
    ]


def test_a_target_that_is_not_current():
    (found,) = judged(health(targets(b"old")))
    assert found == ("target", "Secret a/one", "stale: it does not hold the source's current value")
    assert judged(health(targets(b"old")), except_namespaces=["a"]) == []


def test_an_entry_that_fails_only_where_it_does_not_count():
    failing = ready("one", "1 namespace failed")
    failing["status"]["failedNamespaces"] = [{"namespace": "a", "reason": "quota"}]
    assert [one[0] for one in judged(health(distributed=[failing]))] == ["distribution"]
    assert judged(health(distributed=[failing]), except_namespaces=["a"]) == []
    failing["status"]["failedNamespaces"].append({"namespace": "b", "reason": "quota"})
    assert [one[0] for one in judged(health(distributed=[failing]), except_namespaces=["a"])] == ["distribution"]


# -- pods --------------------------------------------------------------------------------------------


def test_a_pod_that_waits_for_a_secret():
    waiting = pod(states=[("CreateContainerConfigError", 'secret "x" not found')], **uses("x"))
    assert judged(health(pods=[waiting])) == [("pod", "Pod a/p", "it waits for the Secret x (envFrom)")]
    # It is there, and lacks a key: what the kubelet says is all that is known.
    assert judged(health(pods=[waiting]), {("a", "x")}) == [("pod", "Pod a/p", 'it can\'t start: secret "x" not found')]
    assert judged(health(pods=[pod(phase="Pending", **uses("x", optional=True))])) == []
    assert judged(health(pods=[pod(phase="Succeeded", **uses("x"))])) == []
    ending = pod(phase="Pending", **uses("x"))
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert judged(health(pods=[ending])) == []


def test_a_pull_secret_counts_where_pulling_fails():
    pulls = {"imagePullSecrets": [{"name": "x"}]}
    assert judged(health(pods=[pod(phase="Pending", **pulls)])) == []
    failing = pod(states=[("ImagePullBackOff", "denied")], **pulls)
    assert judged(health(pods=[failing])) == [("pod", "Pod a/p", "it waits for the Secret x (imagePullSecrets)")]
    # Another node has no image yet.
    (found,) = judged(health(pods=[pod(**pulls)]), drain=True)
    assert found == ("pull-secret", "Secret a/x", "1 pod(s) name it to pull images, and it is not there")


def test_a_pod_that_finds_no_node_counts_if_it_uses_a_target():
    full = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available."}

    def found(secret):
        waiting = pod(phase="Pending", conditions=[full], **uses(secret))
        return judged(health(pods=[waiting]), {("a", "one"), ("a", "other")})

    said = "it uses the Secret one and can't be scheduled: 0/1 nodes are available"
    assert found("one") == [("pod", "Pod a/p", said)] and found("other") == []
    # A queue that holds it back is no lack of nodes.
    held = pod(phase="Pending", conditions=[{**full, "reason": "SchedulingGated"}], **uses("one"))
    assert judged(health(pods=[held]), {("a", "one")}) == []


def test_what_was_kept_beside_the_catalog_is_a_target_too():
    kept = {"cluster-secrets/kept": '["ExternalSecret a/lone", "ClusterExternalSecret wide"]'}
    owned = {"app.kubernetes.io/managed-by": "platform.cluster_secrets"}
    store = {"metadata": {"name": "central-secret-store", "annotations": kept, "labels": owned}}
    wide = {
        "metadata": {"name": "wide"},
        "spec": {"namespaces": ["a"], "externalSecretSpec": {"target": {"name": "wide-target"}}},
    }
    well = health(stores=[store], distributed=[wide])
    well.targets.externals["a", "lone"] = {"metadata": {"name": "lone", "namespace": "a"}, "spec": {}}
    assert gate._kept_targets(well) == {("a", "lone"), ("a", "wide-target")}


def test_only_the_secrets_of_pods_that_matter_are_looked_up():
    pulling = pod(imagePullSecrets=[{"name": "x"}])
    assert gate.to_look_at([pod(), pulling]) == set() and gate.to_look_at([pulling], drain=True) == {"a"}
    assert gate.to_look_at([pod(phase="Pending")]) == {"a"}


# -- drains ------------------------------------------------------------------------------------------


def test_what_a_drain_needs_of_eso():
    two = deployment(replicas=2, available=2)
    assert judged(health(deployments=[two])) == []
    (found,) = judged(health(deployments=[two]), drain=True)
    assert found == ("drain", "Deployment eso", "eso has several replicas and no leader election")
    elects = deployment(replicas=2, available=2, arguments=["--enable-leader-election=true"])
    assert judged(health(deployments=[elects]), drain=True) == []
    budget = {
        "metadata": {"name": "b"},
        "spec": {"selector": {"matchLabels": {"app": "eso"}}},
        "status": {"disruptionsAllowed": 0},
    }
    (found,) = judged(health(budgets=[budget]), drain=True)
    assert found[:2] == ("drain", "PodDisruptionBudget b") and "allows no eviction of eso" in found[2]
    budget["status"]["disruptionsAllowed"] = 1
    assert judged(health(budgets=[budget]), drain=True) == []
