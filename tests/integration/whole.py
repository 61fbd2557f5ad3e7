# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests on the whole cluster share: pods that live, and what they say when they are asked from inside."""

from __future__ import annotations

from typing import Any

from kubernetes import client, config
from kubernetes.stream import stream
from support import Platform

IMAGE = "localhost/workload:1"
APPS = "/apis/apps/v1/namespaces"


def deployment(name: str, container: dict[str, Any] | None = None, image: str = IMAGE, **spec: Any) -> dict[str, Any]:
    """A Deployment of one pod that waits to be told to end."""
    labels = {"app": name}
    main = {"name": "main", "image": image, **(container or {})}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [main], **spec},
            },
        },
    }


def start(platform: Platform, namespace: str, body: dict[str, Any]) -> str:
    """Make a Deployment; returns its path."""
    platform.request("POST", f"{APPS}/{namespace}/deployments", body)
    return f"{APPS}/{namespace}/deployments/{body['metadata']['name']}"


def available(platform: Platform, path: str, seconds: float = 60) -> None:
    """Wait until all that a Deployment wants is updated and available."""

    def condition() -> bool:
        found = platform.get(path) or {}
        status, wanted = found.get("status", {}), found["spec"]["replicas"]
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
        return seen and counts == [wanted] * 3

    platform.eventually(condition, seconds, what=path)


def pods(platform: Platform, namespace: str, name: str) -> list[dict[str, Any]]:
    """The pods of a Deployment that are not being deleted."""
    listed = platform.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{name}")
    assert listed is not None
    return [pod for pod in listed["items"] if "deletionTimestamp" not in pod["metadata"]]


def ask(platform: Platform, namespace: str, name: str, *question: str) -> str:
    """What the process itself has: ``env NAME`` or ``file PATH``, asked in the pod of a Deployment."""
    api = client.CoreV1Api(config.new_client_from_config(str(platform.kubeconfig)))
    pod = pods(platform, namespace, name)[0]["metadata"]["name"]
    return stream(
        api.connect_get_namespaced_pod_exec,
        pod,
        namespace,
        command=["/bin/workload", *question],
        stdout=True,
        stderr=True,
        stdin=False,
        tty=False,
    )
