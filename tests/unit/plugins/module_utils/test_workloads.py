# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which a pod names a Secret."""

from __future__ import annotations

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
