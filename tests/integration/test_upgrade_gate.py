# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate between two nodes: open on a healthy cluster, closed with the cause named for each way to break it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import ApiError
from broken import (
    ADMISSION,
    budget_blocks,
    certificate_ends,
    controller_scaled_down,
    entry_gone,
    made,
    namespace_unlabelled,
    node_cordoned,
    node_not_ready,
    pod,
    pod_can_not_pull,
    pod_finds_no_node,
    pod_pulls_later,
    pod_waits_for_a_key,
    pod_waits_for_a_secret,
    source_changed,
    store_gone,
    store_not_ready,
    two_without_a_leader,
    webhook_unavailable,
    webhook_without_endpoint,
)
from support import COLLECTIONS, ROOT, another, leaked

DRAIN = {"drain": True}
BROKEN = [
    (node_not_ready, {}, "Node node-0: it is not ready: the kubelet is away"),
    (node_cordoned, {}, "Node node-0: it is cordoned (since "),
    (
        pod_finds_no_node,
        {"except_nodes": ["node-0"]},
        "Pod backstage/nowhere: it uses the Secret gh-oauth and can't be scheduled: ",
    ),
    (None, {"except_nodes": ["none"]}, "Node none: there is no such node"),
    (controller_scaled_down, {}, "Deployment external-secrets: it is scaled to 0"),
    (webhook_without_endpoint, {}, "Service external-secrets-webhook: no endpoint is ready"),
    (webhook_unavailable, {}, "Deployment external-secrets-webhook: 0 of 1 replicas are available"),
    (store_not_ready, {}, "ClusterSecretStore central-secret-store: it is not ready: "),
    (store_gone, {}, "ClusterSecretStore central-secret-store: it is not there"),
    (entry_gone, {}, "ClusterExternalSecret cloudflare-api-token: it is not there"),
    (source_changed, {}, "Secret cert-manager/cloudflare-api-token: stale: it does not hold"),
    (namespace_unlabelled, {}, "Secret cert-manager/cloudflare-api-token: unlabelled"),
    (pod_waits_for_a_secret, {}, "Pod backstage/no-secret: it waits for the Secret absent (env)"),
    (pod_waits_for_a_key, {}, "Pod backstage/no-key: it can't start: couldn't find key token"),
    (pod_can_not_pull, {}, "Pod backstage/no-pull: it waits for the Secret absent-pull (imagePullSecrets)"),
    (pod_pulls_later, DRAIN, "Secret backstage/absent-pull: 1 pod(s) name it to pull images, and it is not there"),
    (budget_blocks, DRAIN, "PodDisruptionBudget blocks: it allows no eviction of external-secrets now"),
    (two_without_a_leader, DRAIN, "Deployment external-secrets: external-secrets has several replicas and no leader"),
    (certificate_ends, {"window": 3}, "key talosconfig: certificate O=os:admin ends at "),
    (None, {"window": 24 * 366 * 20}, "this task's credentials: certificate "),
]


def gate(platform, catalog, **options):
    return platform.module("upgrade_gate", catalog=catalog, check=False, **options)


@pytest.fixture(scope="module")
def healthy(bootstrapped, catalog):
    bootstrapped.play("bootstrap")
    assert gate(bootstrapped, catalog, wait=True, wait_timeout=30).result["open"]
    return bootstrapped


@pytest.mark.parametrize(("breaking", "options", "said"), BROKEN, ids=lambda one: getattr(one, "__name__", None))
def test_the_gate_closes_with_the_cause(healthy, catalog, breaking, options, said):
    if breaking is None:
        outcome = gate(healthy, catalog, **options)
    else:
        with breaking(healthy):
            outcome = gate(healthy, catalog, **options)
            if options and "except_nodes" not in options:
                # What only a drain or a long upgrade asks for does not close the gate between two nodes.
                between = gate(healthy, catalog).result
                assert between["open"], between["problems"]
    assert outcome.result.get("failed") and not outcome.result["open"], outcome.result
    assert said in outcome.result["msg"] and leaked(outcome.output) == [], outcome.result["msg"]
    again = gate(healthy, catalog, wait=True, wait_timeout=60).result
    assert again.get("open"), again


def test_the_named_node_may_be_away(healthy, catalog):
    with node_not_ready(healthy):
        assert gate(healthy, catalog, except_nodes=["node-0"]).result["open"]


def test_a_tenant_can_be_left_out(healthy, catalog):
    with pod_waits_for_a_secret(healthy), pod_pulls_later(healthy):
        assert not gate(healthy, catalog, **DRAIN).result["open"]
        assert gate(healthy, catalog, except_namespaces=["backstage"], **DRAIN).result["open"]


def test_it_only_reads_in_few_requests(healthy, catalog):
    mark = healthy.mark()
    begun = time.monotonic()
    result = gate(healthy, catalog, drain=True, window=1).result
    assert result["open"] and healthy.writes(mark) == []
    assert result["api_requests"] <= 15 and time.monotonic() - begun < 5


def test_an_api_server_that_is_away_is_named_and_waited_for(healthy, catalog):
    if not healthy.plane:
        pytest.skip("needs the embedded control plane")
    healthy.plane.stop_component("kube-apiserver", 15)
    try:
        assert "cannot reach the Kubernetes API" in gate(healthy, catalog).result["msg"]
    finally:
        healthy.plane.start_component("kube-apiserver")
    assert gate(healthy, catalog, wait=True, wait_timeout=60).result["open"]


def test_cronjobs_are_suspended_and_resumed_as_they_were(healthy):
    path = "/apis/batch/v1/namespaces/default/cronjobs"
    template = {"spec": {"template": {"spec": {**pod("x")["spec"], "restartPolicy": "Never"}}}}
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": template}
    variables = {"cluster_secrets_snapshot": str(healthy.folder / "cron.json"), "cluster_secrets_upgrade_window": 1}
    variables["cluster_secrets_upgrade_cronjobs"] = [{"namespace": "default", "name": one} for one in ("defrag", "off")]
    variables["cluster_secrets_upgrade_etcd_check"] = ["true"]

    def suspended():
        return [healthy.get(f"{path}/{one}")["spec"]["suspend"] for one in ("defrag", "off")]

    defrag = {"metadata": {"name": "defrag"}, "spec": spec}
    with (
        made(healthy, path, defrag),
        made(healthy, path, {"metadata": {"name": "off"}, "spec": {**spec, "suspend": True}}),
    ):
        failed = healthy.play(
            "talos_upgrade_pre", variables={**variables, "cluster_secrets_upgrade_etcd_check": ["false"]}, check=False
        )
        assert failed.rc == 2 and suspended() == [False, True]
        healthy.play("talos_upgrade_pre", variables=variables)
        assert suspended() == [True, True]
        healthy.play("talos_upgrade_pre", variables=variables)
        missing = {**variables, "cluster_secrets_snapshot": str(healthy.folder / "none.json")}
        failed = healthy.play("talos_upgrade_post", variables=missing, check=False)
        assert failed.rc == 2 and suspended() == [False, True]
        healthy.play("talos_upgrade_pre", variables=variables)
        healthy.play("talos_upgrade_post", variables=variables)
        assert suspended() == [False, True]
        assert "annotations" not in healthy.get(f"{path}/defrag")["metadata"]
    variables["cluster_secrets_upgrade_cronjobs"] = [{"namespace": "default", "name": "none"}]
    outcome = healthy.play("talos_upgrade_pre", variables=variables, check=False)
    assert outcome.rc == 2 and "there is no CronJob default/none" in outcome.stdout


PLURALS = {
    "Deployment": "deployments",
    "ClusterSecretStore": "clustersecretstores",
    "ClusterExternalSecret": "clusterexternalsecrets",
    "ExternalSecret": "externalsecrets",
}
NOT_READY = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}


def test_the_guides_health_checks_are_right_by_the_api_servers_own_cel(healthy):
    """guide_talos.rst's expressions for tuppr, put into admission policies that are asked with dry runs."""
    guide = (ROOT / "docs/docsite/rst/guide_talos.rst").read_text()
    block = guide.split(":caption: health-checks.yml\n\n")[1].split("\nA talosconfig")[0]
    checks = yaml.safe_load(textwrap.dedent(block))["healthChecks"]
    assert {one["kind"] for one in checks} == set(PLURALS)
    for check in checks:
        group, version = check["apiVersion"].split("/")
        plural = PLURALS[check["kind"]]
        # tuppr names the object's fields without 'object'.
        expression = re.sub(r"\b(status|spec)\.", r"object.\1.", check["expr"])
        rule = {
            "apiGroups": [group],
            "apiVersions": [version],
            "resources": [f"{plural}/status"],
            "operations": ["UPDATE"],
        }
        policy = {
            "metadata": {"name": "health-check"},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": expression}],
            },
        }
        binding = {
            "metadata": {"name": "health-check"},
            "spec": {"policyName": "health-check", "validationActions": ["Deny"]},
        }
        place = f"namespaces/{check['namespace']}/" if "namespace" in check else ""
        listed = healthy.get(f"/apis/{check['apiVersion']}/{place}{plural}")["items"]
        items = [one for one in listed if check.get("name") in (None, one["metadata"]["name"])]
        broken = {"status": {"availableReplicas": None}} if check["kind"] == "Deployment" else NOT_READY

        def passes(item, patch, plural=plural, version=check["apiVersion"]):
            meta = item["metadata"]
            inside = f"namespaces/{meta['namespace']}/" if "namespace" in meta else ""
            path = f"/apis/{version}/{inside}{plural}/{meta['name']}/status"
            try:
                healthy.client.request("PATCH", path, {"dryRun": "All"}, patch, "application/merge-patch+json")
            except ApiError as error:
                assert "health-check" in str(error), error
                return False
            return True

        with (
            made(healthy, f"{ADMISSION}/validatingadmissionpolicies", policy),
            made(healthy, f"{ADMISSION}/validatingadmissionpolicybindings", binding),
        ):
            healthy.eventually(lambda: not passes(items[0], broken), 30, check["kind"])
            assert items and all(passes(one, {}) for one in items), check["kind"]
            assert not any(passes(one, broken) for one in items)


def test_the_playbook_has_an_exit_status(healthy):
    assert healthy.play("talos_upgrade_gate").recap["changed"] == 0
    with controller_scaled_down(healthy):
        outcome = healthy.play("talos_upgrade_gate", check=False)
        assert (
            outcome.rc == 2 and "The gate is closed. Deployment external-secrets: it is scaled to 0" in outcome.stdout
        )


TALOSCTL = '''#!{python}
"""A stand-in for talosctl: cordons and drains a node, lets it go away and come back with the image's version.

One of the nodes takes etcd along. A file 'mode' beside the log makes it fail: 'NODE drain' leaves the node cordoned,
'NODE old' brings it back with what it ran, 'NODE hang' drains it and never ends.
"""
import argparse, pathlib, sys, time
sys.path[:0] = {path!r}
from controlplane.cluster import ControlPlane

# What it doesn't have, it refuses.
parser = argparse.ArgumentParser()
command = parser.add_subparsers(required=True, dest="command")
upgrade = command.add_parser("upgrade")
upgrade.add_argument("--nodes", required=True)
upgrade.add_argument("--image", required=True)
upgrade.add_argument("--wait", action="store_true")
upgrade.add_argument("--drain-timeout")
command.add_parser("health").add_argument("--nodes")
given = parser.parse_args()
log = pathlib.Path({log!r})
if given.command == "health":
    sys.exit(0)
name = given.nodes
mode = log.with_name("mode").read_text().split() if log.with_name("mode").exists() else []
mode = mode[1] if mode[:1] == [name] else ""
plane = ControlPlane({plane!r})
merge = "application/merge-patch+json"

def send(method, path, body=None, kind=merge):
    status, answer = plane.api.request(method, path, body, kind)
    assert status < 400, (method, path, status, answer)
    return answer

def ready(value):
    one = {{"type": "Ready", "status": value, "reason": "Test", "message": "rebooting"}}
    path = f"/api/v1/nodes/{{name}}/status"
    send("PATCH", path, {{"status": {{"conditions": [one]}}}}, "application/strategic-merge-patch+json")

send("PATCH", f"/api/v1/nodes/{{name}}", {{"spec": {{"unschedulable": True}}}})
if mode == "drain":
    sys.exit("error draining node: pods are not evicted: context deadline exceeded")
for pod in send("GET", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{{name}}")["items"]:
    meta = pod["metadata"]
    body = {{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {{"name": meta["name"]}}}}
    path = f"/api/v1/namespaces/{{meta['namespace']}}/pods/{{meta['name']}}/eviction"
    send("POST", path, body, "application/json")
while send("GET", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{{name}}")["items"]:
    time.sleep(0.2)
ready("False")
while mode == "hang":
    log.with_name("hangs").touch()
    time.sleep(0.2)
asked = pathlib.Path({etcd!r})
if name == {with_etcd!r}:
    asked.touch()
    while asked.exists():
        time.sleep(0.2)
version = given.image.rpartition(":")[2]
if mode != "old":
    info = {{"status": {{"nodeInfo": {{"osImage": f"Talos ({{version}})"}}}}}}
    # What simulates the nodes writes all that it knows of one at times.
    for _again in range(8):
        send("PATCH", f"/api/v1/nodes/{{name}}/status", info, "application/strategic-merge-patch+json")
        time.sleep(0.3)
ready("True")
send("PATCH", f"/api/v1/nodes/{{name}}", {{"spec": {{"unschedulable": None}}}})
with log.open("a") as written:
    written.write(name + "\\n")
'''


def test_a_rolling_upgrade_loses_nothing_and_stops_at_the_first_closed_gate(platform, catalog):
    """Five nodes, 20 pods that use targets; the API server and etcd restart with the second node."""
    with another(platform, "rolling") as fresh:
        plane = fresh.plane
        fresh.play("bootstrap")
        names = [f"worker-{number}" for number in range(1, 6)]
        for name in names:
            fresh.request(
                "POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": {"kubernetes.io/os": "linux"}}}
            )
        # ESO's pod is to move as well.
        fresh.patch("/api/v1/nodes/node-0", {"spec": {"unschedulable": True}})
        for namespace, secret in (("backstage", "gh-oauth"), ("cert-manager", "cloudflare-api-token")):
            spec = pod("x")["spec"]
            spec["containers"][0]["envFrom"] = [{"secretRef": {"name": secret}}]
            labels = {"app": "user"}
            body = {"replicas": 10, "selector": {"matchLabels": labels}}
            body["template"] = {"metadata": {"labels": labels}, "spec": spec}
            deployment = {"metadata": {"name": "user"}, "spec": body}
            fresh.request("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", deployment)
        log, program = fresh.folder / "upgraded", fresh.folder / "talosctl"
        facts = {"python": sys.executable, "path": [str(ROOT / "tests"), COLLECTIONS], "plane": "rolling"}
        facts["etcd"] = str(fresh.folder / "restart-etcd")
        program.write_text(TALOSCTL.format(**facts, with_etcd="worker-2", log=str(log)))
        program.chmod(0o700)
        before = {
            one["metadata"]["uid"]: one["data"]
            for one in fresh.request("GET", "/api/v1/secrets?labelSelector=managed-by%3Dexternal-secrets")["items"]
        }
        variables = {
            "talos_upgrade_nodes": [{"name": one, "address": one} for one in names],
            "talos_upgrade_image": "installer:v1.11.2",
            "talos_upgrade_timeout": 60,
            "talos_upgrade_command": [str(program)],
            "cluster_secrets_snapshot": str(fresh.folder / "rolling.json"),
            "cluster_secrets_upgrade_timeout": 60,
            # It was cordoned before; without this word, the gate would close.
            "cluster_secrets_gate_except_nodes": ["node-0"],
        }
        asked = Path(facts["etcd"])

        def restart_when_asked():
            fresh.eventually(asked.exists, 120, "the second node's upgrade")
            plane.restart(signal.SIGTERM)
            asked.unlink()

        # What a thread starts would end with it.
        plane.bound = False
        with ThreadPoolExecutor(1) as pool:
            restarted = pool.submit(restart_when_asked)
            outcome = fresh.play("talos_upgrade", variables=variables)
            restarted.result()
        assert log.read_text().split() == names and leaked(outcome.output) == []
        after = fresh.request("GET", "/api/v1/secrets?labelSelector=managed-by%3Dexternal-secrets")["items"]
        assert {one["metadata"]["uid"]: one["data"] for one in after} == before and len(before) == 17
        pods = fresh.request("GET", "/api/v1/pods?labelSelector=app%3Duser")["items"]
        assert [one["status"]["phase"] for one in pods] == ["Running"] * 20
        # A target that can't be current stops it before the next node.
        log.unlink()
        program.write_text(TALOSCTL.format(**facts, with_etcd="none", log=str(log)) + BREAKING)
        next_one = {"talos_upgrade_image": "installer:v1.12.0", "cluster_secrets_upgrade_timeout": 3}
        stopped = fresh.play("talos_upgrade", variables={**variables, **next_one}, check=False)
        assert stopped.rc == 2 and log.read_text().split() == names[:1], stopped.output
        assert "Secret cert-manager/cloudflare-api-token: " in stopped.stdout


#: What happens while the first node is upgraded: somebody removes the source's key.
BREAKING = """
send("PATCH", "/api/v1/namespaces/central-secret-store/secrets/cloudflare-api-token", {"data": {"api-token": None}})
"""


def test_a_runbook_that_was_interrupted_goes_on_where_it_was(platform, catalog):
    """Three nodes: no node twice, none left cordoned or marked, and each way of failing is named."""
    with another(platform, "resumed") as own:
        own.play("bootstrap")
        names = ["worker-1", "worker-2", "control-1"]
        role = {"control-1": {"node-role.kubernetes.io/control-plane": ""}}
        for name in names:
            labels = {"kubernetes.io/os": "linux", **role.get(name, {})}
            own.request("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
        # Somebody's own cordon; it stays.
        own.patch("/api/v1/nodes/node-0", {"spec": {"unschedulable": True}})
        own.patch("/api/v1/nodes/worker-2", {"spec": {"unschedulable": True}})
        own.eventually(lambda: all(is_ready(own, name) for name in names), 60, "nodes that are ready")
        log, program, mode = own.folder / "upgraded", own.folder / "talosctl", own.folder / "mode"
        facts = {"python": sys.executable, "path": [str(ROOT / "tests"), COLLECTIONS], "plane": "resumed"}
        program.write_text(TALOSCTL.format(**facts, etcd=str(own.folder / "none"), with_etcd="none", log=str(log)))
        program.chmod(0o700)
        variables = {
            "talos_upgrade_nodes": [{"name": one, "address": one} for one in names],
            "talos_upgrade_image": "installer:v1.11.2",
            "talos_upgrade_command": [str(program)],
            "talos_upgrade_check": [str(program), "health"],
            "talos_upgrade_timeout": 5,
            "cluster_secrets_snapshot": str(own.folder / "resumed.json"),
            "cluster_secrets_upgrade_timeout": 30,
            "cluster_secrets_gate_except_nodes": ["node-0", "worker-2"],
        }

        def upgraded():
            return log.read_text().split() if log.exists() else []

        def left():
            found = own.request("GET", "/api/v1/nodes")["items"]
            marks = [one["metadata"]["name"] for one in found if MARK in (one["metadata"].get("annotations") or {})]
            return marks, sorted(one["metadata"]["name"] for one in found if one["spec"].get("unschedulable"))

        by_hand = ["node-0", "worker-2"]
        mark = own.mark()
        predicted = own.play("talos_upgrade", "--check", variables=variables)
        assert upgraded() == [] and own.writes(mark) == []
        rows = [line.split()[0] for line in predicted.stdout.splitlines() if line.endswith((" to do", " stays so"))]
        assert rows == ["control-1", "worker-1", "worker-2"], predicted.stdout
        assert "control-1 would be number 1 of 3; to do: worker-1, worker-2" in predicted.stdout
        # A drain that fails: the node is named, and nothing stays cordoned.
        mode.write_text("worker-1 drain")
        failed = own.play("talos_upgrade", variables=variables, check=False)
        assert failed.rc == 2 and "error draining node" in failed.output
        assert upgraded() == ["control-1"] and left() == ([], by_hand)
        # It returns, and the node runs what it ran.
        mode.write_text("worker-1 old")
        failed = own.play("talos_upgrade", variables=variables, check=False)
        assert failed.rc == 2 and "Node worker-1 is not upgraded 5 s later: it runs " in failed.stdout, failed.stdout
        assert "and not v1.11.2" in failed.stdout and left() == ([], by_hand)
        log.write_text("control-1\n")
        # The runner is killed in the middle of a node.
        mode.write_text("worker-1 hang")
        argv = own.argv("talos_upgrade", variables=variables)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(argv, start_new_session=True, env=own.environment, cwd=own.folder, **quiet) as run:
            own.eventually((own.folder / "hangs").exists, 120, "a node that is being upgraded")
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        subprocess.run(["pkill", "-KILL", "-f", str(program)], check=False)
        assert left() == (["worker-1"], [*by_hand[:1], "worker-1", by_hand[1]])
        mode.unlink()
        ended = own.play("talos_upgrade", variables=variables)
        assert upgraded() == ["control-1", "worker-1", "worker-2"] and left()[0] == []
        assert "worker-1 is number 1 of 2; to do: worker-2" in ended.stdout
        assert left()[1] == by_hand and "cordoned, and stays so" in ended.stdout
        again = own.play("talos_upgrade", variables=variables)
        assert upgraded() == ["control-1", "worker-1", "worker-2"] and " done" in again.stdout
        latest = {**variables, "talos_upgrade_image": "installer:latest"}
        wrong = own.play("talos_upgrade", variables=latest, check=False)
        assert wrong.rc == 2 and "has no tag that is a version of Talos" in wrong.stdout


MARK = "cluster-secrets/node-upgrade"


def is_ready(platform, name):
    status = platform.get(f"/api/v1/nodes/{name}").get("status") or {}
    return any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or [])
