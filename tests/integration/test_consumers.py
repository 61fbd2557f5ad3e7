# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses which target, in every way there is; and a rotation that ends at the workload."""

from __future__ import annotations

import copy
import statistics
import time

import pytest
from support import CANARY, Grants, another, entry, leaked

from controlplane import values

NAMESPACES = [f"team-{number:02}" for number in range(20)]
CATALOG = [
    entry("app", NAMESPACES, target="app"),
    entry("pull", NAMESPACES, target="pull", data={"KEY": "key", "OTHER": "key"}),
]


def container(**more):
    return {"name": "main", "image": "app:1", **more}


ENV = container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "app", "key": "KEY"}}}])
ENV_FROM = container(envFrom=[{"secretRef": {"name": "app"}}])
MOUNT = container(volumeMounts=[{"name": "v", "mountPath": "/v"}])
SUB_PATH = container(volumeMounts=[{"name": "v", "mountPath": "/v/x", "subPath": "KEY"}])
VOLUME = [{"name": "v", "secret": {"secretName": "app"}}]
PROJECTED = [
    {"name": "v", "projected": {"sources": [{"secret": {"name": "app", "items": [{"key": "KEY", "path": "k"}]}}]}}
]

#: name -> (kind, pod spec, how it names its Secret, whether a rotation of 'app' restarts it).
WORKLOADS = {
    "env": ("Deployment", {"containers": [ENV]}, ("app", "env", "KEY"), True),
    "envfrom": ("StatefulSet", {"containers": [ENV_FROM]}, ("app", "envFrom", None), True),
    "subpath": ("DaemonSet", {"containers": [SUB_PATH], "volumes": VOLUME}, ("app", "subPath", None), True),
    "volume": ("Deployment", {"containers": [MOUNT], "volumes": VOLUME}, ("app", "volume", None), False),
    "projected": ("Deployment", {"containers": [MOUNT], "volumes": PROJECTED}, ("app", "volume", "KEY"), False),
    "pull": (
        "Deployment",
        {"containers": [container()], "imagePullSecrets": [{"name": "pull"}]},
        ("pull", "imagePullSecrets", None),
        False,
    ),
    "cron": ("CronJob", {"containers": [ENV], "restartPolicy": "Never"}, ("app", "env", "KEY"), False),
    # kwok ends the pods of Jobs as soon as they run, so this one's find no node.
    "job": (
        "Job",
        {"containers": [ENV_FROM], "restartPolicy": "Never", "nodeSelector": {"no": "node"}},
        ("app", "envFrom", None),
        False,
    ),
    "bare": ("Pod", {"containers": [ENV]}, ("app", "env", "KEY"), False),
}

API = {
    "Deployment": "/apis/apps/v1",
    "StatefulSet": "/apis/apps/v1",
    "DaemonSet": "/apis/apps/v1",
    "CronJob": "/apis/batch/v1",
    "Job": "/apis/batch/v1",
    "Pod": "/api/v1",
    "ServiceAccount": "/api/v1",
    "Ingress": "/apis/networking.k8s.io/v1",
}


def path(kind, namespace, name=None):
    plural = "ingresses" if kind == "Ingress" else kind.lower() + "s"
    return f"{API[kind]}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def manifest(kind, name, spec):
    labels = {"app": name}
    pods = {"metadata": {"labels": labels}, "spec": copy.deepcopy(spec)}
    made = {"metadata": {"name": name}}
    if kind == "Pod":
        return {**made, "spec": spec}
    if kind == "CronJob":
        return {**made, "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": pods}}}}
    if kind == "Job":
        return {**made, "spec": {"template": pods}}
    return {**made, "spec": {"selector": {"matchLabels": labels}, "template": pods}}


@pytest.fixture(scope="module")
def own(platform):
    """20 namespaces with both targets, and three workloads in each."""
    with another(platform, "consumers") as own:
        values.write_vault(
            {f"{name}-source": {"key": CANARY + name} for name in ("app", "pull")}, own.vault, own.password
        )
        own.play("bootstrap", variables={"cluster_secrets_catalog": CATALOG})
        # Who starts in the second of the change counts as older.
        time.sleep(1.1)
        for number, namespace in enumerate(NAMESPACES):
            for step in range(3):
                name = sorted(WORKLOADS)[(3 * number + step) % len(WORKLOADS)]
                kind, spec, _use, _restarts = WORKLOADS[name]
                own.request("POST", path(kind, namespace), manifest(kind, name, spec))
        yield own


def expected():
    """(namespace, name) of each workload, with its entry of WORKLOADS."""
    names = sorted(WORKLOADS)
    return {
        (namespace, names[(3 * number + step) % len(names)]): WORKLOADS[names[(3 * number + step) % len(names)]]
        for number, namespace in enumerate(NAMESPACES)
        for step in range(3)
    }


def generations(own):
    return {
        key: own.get(path(kind, key[0], key[1]))["metadata"]["generation"]
        for key, (kind, _spec, _use, _restarts) in expected().items()
        if kind in ("Deployment", "StatefulSet", "DaemonSet")
    }


def running(own):
    """Whether every pod of the workloads runs."""
    pods = own.get("/api/v1/pods")["items"]
    ours = [pod for pod in pods if pod["metadata"]["namespace"] in NAMESPACES and "nodeSelector" not in pod["spec"]]
    wanted = [1 for kind, _spec, _use, _restarts in expected().values() if kind not in ("CronJob", "Job")]
    return len(ours) >= len(wanted) and all(pod["status"].get("phase") == "Running" for pod in ours)


def rotate(own, text, *arguments, check=True, **variables):
    changed = {"app-source": {"key": CANARY + text}, "pull-source": {"key": CANARY + "pull"}}
    values.write_vault(changed, own.vault, own.password)
    given = {"cluster_secrets_catalog": CATALOG, **variables}
    return own.play("rotate", *arguments, variables=given, check=check)


def test_the_consumers_are_exactly_those_that_there_are(own):
    own.eventually(lambda: running(own), 60, "all pods")
    result = own.module("consumers_info", catalog=CATALOG).result
    assert {
        ((one["namespace"], one["name"]), one["kind"], one["secret"], one["way"], one["key"])
        for one in result["consumers"]
    } == {(key, kind, *use) for key, (kind, _spec, use, _restarts) in expected().items()}
    assert len(result["consumers"]) == 60
    assert result["unlabelled"] == result["missing_keys"] == result["old"] == []
    users = {(namespace, use[0]) for (namespace, _name), (_kind, _spec, use, _restarts) in expected().items()}
    unused = {(one["namespace"], one["secret"]) for one in result["unused"]}
    assert unused == {(namespace, name) for namespace in NAMESPACES for name in ("app", "pull")} - users
    status = own.play("status", variables={"cluster_secrets_catalog": CATALOG})
    assert "USED BY" in status.stdout and leaked(status.output) == []


def test_what_names_a_target_that_it_does_not_get(own):
    own.request("POST", "/api/v1/namespaces", {"metadata": {"name": "stray"}})

    def takes(key, **more):
        source = {"secretKeyRef": {"name": "app", "key": key, **more}}
        return {"containers": [container(env=[{"name": "A", "valueFrom": source}])]}

    made = [
        ("Deployment", namespace, name, spec)
        for namespace, name, spec in (
            ("stray", "needs", takes("KEY")),
            ("stray", "may", takes("KEY", optional=True)),
            (NAMESPACES[0], "wrong", takes("NO")),
            (NAMESPACES[0], "maybe", takes("NO", optional=True)),
        )
    ]
    try:
        for kind, namespace, name, spec in made:
            own.request("POST", path(kind, namespace), manifest(kind, name, spec))
        ingress = {
            "metadata": {"name": "web"},
            "spec": {
                "tls": [{"hosts": ["x"], "secretName": "app"}],
                "defaultBackend": {"service": {"name": "x", "port": {"number": 80}}},
            },
        }
        own.request("POST", path("Ingress", "stray"), ingress)
        own.request(
            "POST", path("ServiceAccount", "stray"), {"metadata": {"name": "x"}, "imagePullSecrets": [{"name": "pull"}]}
        )
        result = own.module("consumers_info", catalog=CATALOG).result
        assert {(one["kind"], one["name"], one["way"], one["optional"]) for one in result["unlabelled"]} == {
            ("Deployment", "needs", "env", False),
            ("Deployment", "may", "env", True),
            ("Ingress", "web", "tls", False),
            ("ServiceAccount", "x", "imagePullSecrets", False),
        }
        assert {(one["name"], one["key"], one["optional"]) for one in result["missing_keys"]} == {
            ("wrong", "NO", False),
            ("maybe", "NO", True),
        }
        findings = own.module("audit", catalog=CATALOG).result["findings"]
        severities = {(one["check"], one["object"].partition("/")[2]): one["severity"] for one in findings}
        assert severities["missing-label", "Deployment needs"] == "warning"
        assert severities["missing-label", "Deployment may"] == "info"
        assert severities["missing-key", "Deployment wrong"] == "warning"
        assert severities["missing-key", "Deployment maybe"] == "info"
    finally:
        for kind, namespace, name, _spec in made:
            own.delete(path(kind, namespace, name))
        own.delete("/api/v1/namespaces/stray")


def test_a_rotation_restarts_exactly_those_that_keep_the_old_value_and_once(own):
    before = generations(own)
    wanted = {key for key, (_kind, _spec, _use, restarts) in expected().items() if restarts}
    # Before the value is written, check mode says what will be restarted when it is.
    whole = rotate(own, "second", "--check", "-v", cluster_secrets_rotate_restart="restart")
    assert whole.stdout.count('"kind": "Deployment", "name": "env"') >= 1 and whole.recap["changed"] == 3
    reported = rotate(own, "second", "-vvvv")
    assert leaked(reported.output) == [] and generations(own) == before
    assert "cluster_secrets_rotate_restart=restart" in reported.stdout
    old = own.module("consumers_info", catalog=CATALOG).result["old"]
    by_hand = {key for key, (kind, *_rest) in expected().items() if kind == "Pod"}
    assert {(one["namespace"], one["name"]) for one in old} - by_hand == wanted
    assert {one["kind"] for one in old} == {"Deployment", "StatefulSet", "DaemonSet", "Pod"}
    predicted = rotate(own, "second", "--check", cluster_secrets_rotate_restart="restart")
    assert generations(own) == before
    done = rotate(own, "second", cluster_secrets_rotate_restart="restart", cluster_secrets_rotate_restart_limit=8)
    assert done.recap["changed"] == predicted.recap["changed"] == 1
    assert {key for key, number in generations(own).items() if number == before[key] + 1} == wanted
    assert {key for key, number in generations(own).items() if number != before[key]} == wanted
    # No pod of theirs is older than its target's value.
    left = {(one["namespace"], one["name"]) for one in own.module("consumers_info", catalog=CATALOG).result["old"]}
    assert left <= by_hand
    mark = own.mark()
    again = rotate(own, "second", cluster_secrets_rotate_restart="restart")
    assert again.recap["changed"] == 0 and own.writes(mark) == []
    assert "run with an older value.\n" in again.stdout and "nothing makes its pods anew" in again.stdout


def test_a_rollout_that_cannot_finish_stops_the_wave_and_a_rerun_goes_on(own):
    wanted = sorted(key for key, (_kind, _spec, _use, restarts) in expected().items() if restarts)
    deployment = next(key for key in wanted if key[1] == "env")
    own.patch(path("Deployment", *deployment), {"metadata": {"annotations": {"cluster-secrets/restart": "false"}}})
    before = generations(own)
    own.patch("/api/v1/nodes/node-0", {"spec": {"unschedulable": True}})
    try:
        stopped = rotate(
            own,
            "third",
            check=False,
            cluster_secrets_rotate_restart="restart",
            cluster_secrets_rotate_restart_limit=2,
            cluster_secrets_rotate_restart_timeout=6,
        )
        begun = {key for key, number in generations(own).items() if number != before[key]}
        assert stopped.rc == 2 and 0 < len(begun) < len(wanted) - 1
        assert "is not rolled out: " in stopped.stdout and "is not scheduled: " in stopped.stdout
        assert "more workload(s) were not restarted" in stopped.stdout and leaked(stopped.output) == []
    finally:
        own.patch("/api/v1/nodes/node-0", {"spec": {"unschedulable": None}})
    done = rotate(own, "third", cluster_secrets_rotate_restart="restart", cluster_secrets_rotate_restart_limit=8)
    after = generations(own)
    assert {key for key, number in after.items() if number == before[key] + 1} == set(wanted) - {deployment}
    assert after[deployment] == before[deployment] and "cluster-secrets/restart is false" in done.stdout
    assert rotate(own, "third", cluster_secrets_rotate_restart="restart").recap["changed"] == 0


def test_no_value_and_no_digest_is_left_at_the_workloads(own):
    for key, (kind, _spec, _use, _restarts) in expected().items():
        item = own.get(path(kind, *key))
        assert leaked(str(item)) == []
        template = item["spec"].get("template", {}).get("metadata", {})
        assert set(template.get("annotations") or {}) <= {"kubectl.kubernetes.io/restartedAt"}


def test_without_the_permission_to_look_at_workloads_a_rotation_goes_on(own):
    rules = [
        {"apiGroups": [""], "resources": ["namespaces", "secrets"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["external-secrets.io"], "resources": ["*"], "verbs": ["get", "list"]},
    ]
    with Grants(own) as grants:
        grants("narrow", rules, subject=grants.account("narrow"))
        narrow = grants.kubeconfig("narrow")
        seen = own.module("sync_info", catalog=CATALOG, consumers=True, kubeconfig=narrow).result
        assert len(seen["rows"]) == 40 and "consumers" not in seen["rows"][0]
        reported = own.module("workload_restart", catalog=CATALOG, state="reported", kubeconfig=narrow).result
        assert "consumers are not looked at" in str(seen["warnings"])
        assert "workloads with older values are not looked for" in str(reported["warnings"])
        refused = own.module("workload_restart", catalog=CATALOG, kubeconfig=narrow, check=False).result
        assert refused["failed"] and "pods" in refused["msg"]


def test_a_permission_that_is_missing_restarts_nothing(own):
    before = generations(own)
    rotate(own, "fourth")
    rules = [
        {"apiGroups": [""], "resources": ["namespaces", "secrets", "pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["external-secrets.io"], "resources": ["*"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["*"], "verbs": ["get", "list"]},
    ]
    with Grants(own) as grants:
        grants("reader-of-all", rules, subject=grants.account("reader-of-all"))
        grants(
            "patcher",
            [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]}],
            subject={"kind": "ServiceAccount", "name": "reader-of-all", "namespace": "default"},
        )
        options = {"kubeconfig": grants.kubeconfig("reader-of-all"), "check": False}
        refused = own.module("workload_restart", catalog=CATALOG, **options).result
    assert refused["failed"] and "missing permission: 'patch' on " in refused["msg"] and generations(own) == before


def test_requests_and_time_with_two_thousand_pods(own):
    """Requests grow by pages of what is listed; looking at who uses what at most doubles the time of a status."""
    many = [f"many-{number:03}" for number in range(200)]
    catalog = [*CATALOG, entry("wide", many, source="app-source", target="app", label="secrets/wide")]
    before = own.module("consumers_info", catalog=catalog).result["api_requests"]
    pod = {"schedulerName": "nobody", "containers": [ENV], "automountServiceAccountToken": False}

    def fill(namespace):
        labels = {"secrets/wide": "true"}
        own.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace, "labels": labels}})
        own.eventually(lambda: own.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default"), what="the account")
        for number in range(10):
            own.request("POST", path("Pod", namespace), manifest("Pod", f"pod-{number}", pod))

    rotate(own, "many", cluster_secrets_catalog=catalog)
    own.client.each(fill, many)
    given = {"cluster_secrets_catalog": catalog}
    own.play("bootstrap", variables=given)
    found = own.module("consumers_info", catalog=catalog).result
    assert len([one for one in found["consumers"] if one["kind"] == "Pod" and one["namespace"] in many]) == 2000
    # Four pages of pods, and one more of what each namespace has by itself, instead of one each.
    assert found["api_requests"] - before < 2 * 4
    seconds = {True: [], False: []}
    for _run in range(3):
        for shown in seconds:
            begun = time.monotonic()
            own.play("status", variables={**given, "cluster_secrets_show_consumers": shown})
            seconds[shown].append(time.monotonic() - begun)
    assert statistics.median(seconds[True]) < 2 * statistics.median(seconds[False]), seconds
