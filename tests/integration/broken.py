# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to break a bootstrapped cluster, each a context that fixes it at its end."""

from __future__ import annotations

import base64
import datetime
import os
import signal
import time
from contextlib import contextmanager

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import holds_true
from support import CANARY, talosconfig

CONTROLLER = "/apis/apps/v1/namespaces/external-secrets/deployments/external-secrets"
STORE = "/apis/external-secrets.io/v1/clustersecretstores/central-secret-store"
SOURCES = "/api/v1/namespaces/central-secret-store/secrets"
PODS = "/api/v1/namespaces/backstage/pods"
NODE = "/api/v1/nodes/node-0"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


@contextmanager
def made(platform, path, body):
    platform.request("POST", path, body)
    try:
        yield
    finally:
        platform.delete(f"{path}/{body['metadata']['name']}")


@contextmanager
def patched(platform, path, broken, fixed):
    platform.patch(path, broken)
    try:
        yield
    finally:
        platform.patch(path, fixed)


def pod(name, image_pull=None, secret=None):
    spec = {"containers": [{"name": "one", "image": "example.com/one"}], "terminationGracePeriodSeconds": 0}
    if image_pull:
        spec["imagePullSecrets"] = [{"name": image_pull}]
    if secret:
        reference = {"name": secret, "key": "token"}
        spec["containers"][0]["env"] = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": reference}}]
    return {"metadata": {"name": name}, "spec": spec}


@contextmanager
def stuck(platform, body, reason, message=""):
    """A pod that the kubelet can't start: it is scheduled, then says so."""
    name = body["metadata"]["name"]
    with made(platform, PODS, body):
        platform.eventually(lambda: platform.get(f"{PODS}/{name}")["status"].get("podIP"), what="the pod's start")
        state = {"waiting": {"reason": reason, "message": message}}
        container = {"name": "one", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}
        platform.patch(f"{PODS}/{name}/status", {"status": {"phase": "Pending", "containerStatuses": [container]}})
        yield


# -- each way to break it: (what is done, what the gate must say) -----------------------------------------------------


@contextmanager
def node_not_ready(platform):
    """While kwok, which would fix it at once, is stopped."""
    if not platform.plane:
        pytest.skip("needs the embedded control plane")

    def condition(status):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        one = {"type": "Ready", "status": status, "reason": "Test", "message": "the kubelet is away"}
        return {"status": {"conditions": [{**one, "lastHeartbeatTime": now, "lastTransitionTime": now}]}}

    merge = "application/strategic-merge-patch+json"
    kwok = platform.plane.pids["kwok"]
    os.kill(kwok, signal.SIGSTOP)
    for _attempt in range(5):
        # What kwok sent last may come after what is sent now.
        platform.request("PATCH", f"{NODE}/status", condition("False"), merge)
        time.sleep(0.5)
        if not holds_true(platform.get(NODE), "Ready"):
            break
    try:
        yield
    finally:
        os.kill(kwok, signal.SIGCONT)
        platform.request("PATCH", f"{NODE}/status", condition("True"), merge)
        # The node controller looks every 5 s, and until then marks each new pod of the node unready. A kubelet says
        # again that it is ready; kwok doesn't.
        time.sleep(6)


def controller_scaled_down(platform):
    return patched(platform, CONTROLLER, {"spec": {"replicas": 0}}, {"spec": {"replicas": 1}})


@contextmanager
def webhook_without_endpoint(platform):
    service = {"namespace": "external-secrets", "name": "external-secrets-webhook", "path": "/validate"}
    rule = {"apiGroups": ["none.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nones"]}
    hook = {"name": "none.example.com", "clientConfig": {"service": service}, "rules": [rule]}
    hook.update(sideEffects="None", admissionReviewVersions=["v1"])
    body = {"metadata": {"name": "secretstore-validate-test"}, "webhooks": [hook]}
    with made(platform, "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", body):
        yield


@contextmanager
def webhook_unavailable(platform):
    labels = {"app.kubernetes.io/name": "external-secrets-webhook"}
    template = {"metadata": {"labels": labels}, "spec": {**pod("x")["spec"], "nodeSelector": {"none": "such"}}}
    body = {"metadata": {"name": "external-secrets-webhook", "labels": labels}}
    body["spec"] = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    with made(platform, CONTROLLER.rpartition("/")[0], body):
        yield


@contextmanager
def store_not_ready(platform):
    def account(name):
        auth = {"serviceAccount": {"name": name, "namespace": "central-secret-store"}}
        return {"spec": {"provider": {"kubernetes": {"auth": auth}}}}

    real = platform.get(STORE)["spec"]["provider"]["kubernetes"]["auth"]["serviceAccount"]["name"]
    with patched(platform, STORE, account("nobody"), account(real)):
        platform.eventually(
            lambda: platform.get(STORE)["status"]["conditions"][0]["status"] == "False", what="the store's condition"
        )
        yield


@contextmanager
def store_gone(platform):
    platform.delete(STORE)
    yield
    platform.play("bootstrap")


@contextmanager
def entry_gone(platform):
    platform.delete("/apis/external-secrets.io/v1/clusterexternalsecrets/cloudflare-api-token")
    yield
    platform.play("bootstrap")


@contextmanager
def source_changed(platform):
    changed = base64.b64encode(f"{CANARY}changed".encode()).decode()
    live = platform.secret("central-secret-store", "cloudflare-api-token")["data"]
    with patched(platform, f"{SOURCES}/cloudflare-api-token", {"data": {"api-token": changed}}, {"data": live}):
        yield


@contextmanager
def namespace_unlabelled(platform):
    path = "/api/v1/namespaces/cert-manager"

    def labels(value):
        return {"metadata": {"labels": {"secrets/cloudflare-api-token": value}}}

    with patched(platform, path, labels(None), labels("true")):
        yield


def node_cordoned(platform):
    return patched(platform, NODE, {"spec": {"unschedulable": True}}, {"spec": {"unschedulable": None, "taints": None}})


@contextmanager
def pod_finds_no_node(platform):
    """As after a failed drain: nothing can move, and a pod that uses a target waits."""
    # A selector beside the cordon: the scheduler may not have heard of that yet when the pod is there.
    waiting = pod("nowhere", secret="gh-oauth")
    waiting["spec"]["nodeSelector"] = {"kubernetes.io/hostname": "absent"}
    with node_cordoned(platform), made(platform, PODS, waiting):
        path = f"{PODS}/nowhere"
        platform.eventually(
            lambda: any(
                one["type"] == "PodScheduled" and one["status"] == "False"
                for one in platform.get(path)["status"].get("conditions", [])
            ),
            what="the scheduler's word",
        )
        yield


def pod_waits_for_a_secret(platform):
    return stuck(platform, pod("no-secret", secret="absent"), "CreateContainerConfigError", 'secret "absent" not found')


def pod_waits_for_a_key(platform):
    body = pod("no-key", secret="gh-oauth")
    return stuck(platform, body, "CreateContainerConfigError", "couldn't find key token in Secret backstage/gh-oauth")


def pod_can_not_pull(platform):
    return stuck(platform, pod("no-pull", image_pull="absent-pull"), "ImagePullBackOff", "Back-off")


def pod_pulls_later(platform):
    return made(platform, PODS, pod("later", image_pull="absent-pull"))


@contextmanager
def budget_blocks(platform):
    labels = platform.get(CONTROLLER)["spec"]["template"]["metadata"]["labels"]
    chosen = {"app.kubernetes.io/name": labels["app.kubernetes.io/name"]}
    body = {"metadata": {"name": "blocks"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": chosen}}}
    path = "/apis/policy/v1/namespaces/external-secrets/poddisruptionbudgets"
    with made(platform, path, body):
        platform.eventually(
            lambda: platform.get(f"{path}/blocks").get("status", {}).get("currentHealthy"), what="status"
        )
        yield


@contextmanager
def two_without_a_leader(platform):
    with patched(platform, CONTROLLER, {"spec": {"replicas": 2}}, {"spec": {"replicas": 1}}):
        platform.eventually(
            lambda: platform.get(CONTROLLER)["status"].get("availableReplicas") == 2, what="two replicas"
        )
        yield


@contextmanager
def certificate_ends(platform):
    live = platform.secret("central-secret-store", "cloudflare-api-token")["data"]
    more = {"talosconfig": base64.b64encode(talosconfig(2).encode()).decode()}
    path = f"{SOURCES}/cloudflare-api-token"
    with patched(platform, path, {"data": {**live, **more}}, {"data": {"talosconfig": None}}):
        yield
