# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which a pod names a Secret."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import workloads
from ansible_collections.platform.cluster_secrets.plugins.module_utils.workloads import (
    Reference,
    finished,
    references,
    waiting,
)


def test_every_way_is_found_once():
    reference = {"name": "env", "key": "a"}
    spec = {
        "initContainers": [{"env": [{"name": "A", "valueFrom": {"secretKeyRef": {**reference, "optional": True}}}]}],
        "containers": [
            {
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": reference}}, {"name": "B", "value": "b"}],
                "envFrom": [{"secretRef": {"name": "whole"}}, {"configMapRef": {"name": "no"}}],
                "volumeMounts": [{"name": "file", "subPath": "x"}, {"name": "folder"}],
            },
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": reference}}]},
        ],
        "volumes": [
            {"name": "file", "secret": {"secretName": "file", "items": [{"key": "x", "path": "x"}]}},
            {"name": "folder", "secret": {"secretName": "folder", "optional": True}},
            {"name": "both", "projected": {"sources": [{"secret": {"name": "part"}}, {"configMap": {"name": "no"}}]}},
            {"name": "csi", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "csi"}}},
            {"name": "azure", "azureFile": {"secretName": "azure", "shareName": "s"}},
            {"name": "empty", "emptyDir": {}},
        ],
        "imagePullSecrets": [{"name": "pull"}],
    }
    assert references(spec) == [
        Reference("env", "env", "a", True),
        Reference("env", "env", "a"),
        Reference("whole", "envFrom"),
        Reference("file", "subPath", "x"),
        Reference("folder", "volume", None, True),
        Reference("part", "volume"),
        Reference("csi", "volume"),
        Reference("azure", "volume"),
        Reference("pull", "imagePullSecrets"),
    ]
    assert references({}) == []


def test_which_pods_wait():
    state = {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": "m"}}}
    pod = {"metadata": {}, "status": {"initContainerStatuses": [state], "containerStatuses": [{"state": {}}]}}
    assert waiting(pod) == [("CreateContainerConfigError", "m")] and not finished(pod)
    assert finished({"metadata": {"deletionTimestamp": "x"}}) and finished(
        {"metadata": {}, "status": {"phase": "Failed"}}
    )


def test_what_a_container_keeps_from_its_start():
    spec = {
        "containers": [
            {"name": "a", "env": [{"valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}]},
            {"name": "b", "volumeMounts": [{"name": "v", "subPath": "x"}, {"name": "w"}]},
            {"name": "c", "volumeMounts": [{"name": "v"}]},
        ],
        "volumes": [{"name": "v", "secret": {"secretName": "vol"}}, {"name": "w", "secret": {"secretName": "other"}}],
    }
    assert workloads.frozen(spec) == {"a": {"env"}, "b": {"vol"}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("spec.tls[].secretName", ["a", "b"]),
        ("spec.issuer", [{"name": "c"}]),
        ("spec.none.at[].all", []),
        ("spec.tls[]", [{"secretName": "a"}, {"secretName": "b"}, {}]),
        ("spec.issuer[].name", ["c"]),
    ],
)
def test_a_path_through_a_custom_resource(path, found):
    item = {"spec": {"tls": [{"secretName": "a"}, {"secretName": "b"}, {}], "issuer": {"name": "c"}}}
    assert list(workloads.at_path(item, path)) == found


def workload(kind="Deployment", replicas=2, spec=None, **status):
    return {"metadata": {"generation": 2}, "spec": {"replicas": replicas, **(spec or {})}, "status": status}


@pytest.mark.parametrize(
    ("kind", "item", "done"),
    [
        ("Deployment", workload(observedGeneration=1), False),
        ("Deployment", workload(observedGeneration=2, updatedReplicas=2, availableReplicas=2), True),
        ("Deployment", workload(observedGeneration=2, updatedReplicas=1, availableReplicas=2), False),
        ("StatefulSet", workload(observedGeneration=2, updatedReplicas=2, availableReplicas=1), False),
        (
            "DaemonSet",
            workload(observedGeneration=2, desiredNumberScheduled=3, updatedNumberScheduled=3, numberAvailable=3),
            True,
        ),
        (
            "DaemonSet",
            workload(observedGeneration=2, desiredNumberScheduled=3, updatedNumberScheduled=2, numberAvailable=3),
            False,
        ),
    ],
)
def test_when_a_workload_is_rolled_out(kind, item, done):
    assert (workloads.rolled_out(kind, item) is None) is done


@pytest.mark.parametrize(
    ("kind", "item", "reason"),
    [
        ("Deployment", {"metadata": {}, "spec": {}}, None),
        ("Deployment", {"metadata": {"annotations": {workloads.RESTART: "false"}}}, "cluster-secrets/restart is false"),
        ("Deployment", {"metadata": {}, "spec": {"paused": True}}, "its rollouts are paused"),
        ("Deployment", {"metadata": {}, "spec": {"replicas": 0}}, "it has no pods"),
        (
            "DaemonSet",
            {"metadata": {}, "spec": {"updateStrategy": {"type": "OnDelete"}}},
            "only when they are deleted",
        ),
    ],
)
def test_what_is_left_alone(kind, item, reason):
    found = workloads.not_restartable(kind, item)
    assert found is None if reason is None else reason in found


def test_a_sidecar_counts_and_other_init_containers_do_not():
    take = {"env": [{"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}
    spec = {"initContainers": [{"name": "side", "restartPolicy": "Always", **take}, {"name": "init", **take}]}
    assert workloads.frozen(spec) == {"side": {"s"}}
    running = {"name": "side", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    pod = {"status": {"initContainerStatuses": [running], "containerStatuses": None}}
    assert workloads.started(pod) == {"side": "2026-01-01T00:00:00Z"}


def test_kinds_of_others_come_with_their_group():
    def owned(version, kind):
        return {
            "metadata": {"ownerReferences": [{"controller": True, "apiVersion": version, "kind": kind, "name": "x"}]}
        }

    assert workloads.controller(owned("apps/v1", "ReplicaSet")) == ("ReplicaSet", "x")
    assert workloads.controller(owned("v1", "ReplicationController")) == ("ReplicationController", "x")
    assert workloads.controller(owned("batch.volcano.sh/v1", "Job")) == ("Job.batch.volcano.sh", "x")
    assert workloads.controller({"metadata": {}}) is None


def test_an_older_rollouts_deadline_does_not_count():
    said = [{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "too late"}]
    item = {"metadata": {"generation": 3}, "status": {"observedGeneration": 3, "conditions": said}}
    assert workloads.gave_up(item) == "too late"
    assert workloads.gave_up({**item, "metadata": {"generation": 4}}) is None


def test_what_no_name_can_be_is_one_short_line():
    evil = "x (env)\nThe gate is closed. Run this"
    spec = {"volumes": [{"name": "v", "secret": {"secretName": evil, "items": [{"key": "k" * 1000}]}}]}
    (found,) = workloads.references(spec)
    assert "\n" not in found.secret and len(found.key) < 300
