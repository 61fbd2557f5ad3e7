# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate between two nodes: open on a healthy cluster, closed with the cause named for each way to break it."""

from __future__ import annotations

import json
import re
import signal
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
from runbook import Runbook, talosctl
from support import ROOT, Grants, another, leaked

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
    variables = {"cluster_secrets_snapshot_dir": str(healthy.folder / "cron"), "cluster_secrets_gate_window": 1}
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
        missing = {**variables, "cluster_secrets_snapshot_dir": str(healthy.folder / "none")}
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
    block = guide.split(":caption: health-checks.yml\n\n")[1].split("\nThe System Upgrade")[0]
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


def test_the_guides_plan_runs_the_gate(healthy):
    """What the System Upgrade Controller is given runs as it stands, and its exit status says whether to go on."""
    guide = (ROOT / "docs/docsite/rst/guide_talos.rst").read_text()
    plan = yaml.safe_load(textwrap.dedent(guide.split(":caption: plan.yml\n\n")[1].split("\nA talosconfig")[0]))
    program, playbook = plan["spec"]["prepare"]["command"]
    assert program == "ansible-playbook"
    arguments = [one.replace("timeout=600", "timeout=1") for one in plan["spec"]["prepare"]["args"]]
    playbook = playbook.removeprefix("platform.cluster_secrets.")
    assert healthy.play(playbook, *arguments).rc == 0
    with controller_scaled_down(healthy):
        assert healthy.play(playbook, *arguments, check=False).rc == 2


def test_the_playbook_has_an_exit_status(healthy):
    assert healthy.play("talos_upgrade_gate").recap["changed"] == 0
    with controller_scaled_down(healthy):
        outcome = healthy.play("talos_upgrade_gate", check=False)
        assert (
            outcome.rc == 2 and "The gate is closed. Deployment external-secrets: it is scaled to 0" in outcome.stdout
        )


def test_it_writes_what_it_found_for_machines(healthy):
    report = healthy.folder / "gate.json"
    variables = {"cluster_secrets_gate_json": str(report)}
    healthy.play("talos_upgrade_gate", "--check", variables=variables)
    assert not report.exists()
    healthy.play("talos_upgrade_gate", variables=variables)
    found = json.loads(report.read_text())
    assert found["open"] and found["problems"] == [] and found["error"] is None and found["server"]
    with controller_scaled_down(healthy):
        healthy.play("talos_upgrade_gate", variables=variables, check=False)
    found = json.loads(report.read_text())
    assert not found["open"] and found["problems"][0]["object"] == "Deployment external-secrets"
    healthy.play(
        "talos_upgrade_gate", variables={**variables, "cluster_secrets_host": "https://127.0.0.1:9"}, check=False
    )
    assert "cannot reach" in json.loads(report.read_text())["error"]


def test_the_guides_job_has_exactly_the_permissions_that_it_needs(platform, catalog):
    """The manifest of guide_talos.rst: its Job is taken by the API server, its command runs with its ServiceAccount."""
    guide = (ROOT / "docs/docsite/rst/guide_talos.rst").read_text()
    block = guide.split(":caption: upgrade-gate.yml\n\n")[1].split("\nIt reads all Secrets")[0]
    items = yaml.safe_load(textwrap.dedent(block))["items"]
    with another(platform, "job") as own:
        own.play("bootstrap")
        roles = {}
        for item in items:
            namespace = item["metadata"].get("namespace")
            api = "/api/v1" if item["apiVersion"] == "v1" else f"/apis/{item['apiVersion']}"
            collection = f"{api}{f'/namespaces/{namespace}' if namespace else ''}/{item['kind'].lower()}s"
            own.request("POST", collection, item)
            if item["kind"] in ("ClusterRole", "Role"):
                roles[f"{collection}/{item['metadata']['name']}"] = item
            elif item["kind"] == "ConfigMap":
                (own.folder / "given.yml").write_text(item["data"]["cluster_secrets.yml"])
        container = items[-1]["spec"]["template"]["spec"]["containers"][0]
        assert container["args"] == ["-e", "@/etc/cluster-secrets/cluster_secrets.yml"]
        playbook = container["command"][1].removeprefix("platform.cluster_secrets.")
        path = str(Grants(own).kubeconfig("upgrade-gate", "upgrade-gate"))

        def run():
            arguments = ("-e", f"@{own.folder / 'given.yml'}")
            return own.play(playbook, *arguments, check=False, KUBECONFIG=path, K8S_AUTH_KUBECONFIG=path)

        outcome = run()
        assert outcome.rc == 0, outcome.output
        # None of them is too many.
        for path_of_role, item in roles.items():
            for number, rule in enumerate(item["rules"]):
                for resource in rule["resources"]:
                    less = [dict(one) for one in item["rules"]]
                    less[number]["resources"] = [one for one in rule["resources"] if one != resource]
                    less = [one for one in less if one["resources"]]
                    own.patch(path_of_role, {"rules": less})
                    outcome = own.module(
                        "upgrade_gate", catalog=catalog, drain=True, kubeconfig=Path(path), check=False
                    )
                    assert outcome.result.get("failed") or outcome.result.get("warnings"), (resource, outcome.result)
            own.patch(path_of_role, {"rules": item["rules"]})


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
        log, asked = fresh.folder / "upgraded", fresh.folder / "restarting"
        (fresh.folder / "restart").write_text("worker-2")
        before = {
            one["metadata"]["uid"]: one["data"]
            for one in fresh.request("GET", "/api/v1/secrets?labelSelector=managed-by%3Dexternal-secrets")["items"]
        }
        variables = {
            "cluster_secrets_talos_nodes": [{"name": one, "address": one} for one in names],
            "cluster_secrets_talos_image": "installer:v1.11.2",
            "cluster_secrets_talos_timeout": 60,
            "cluster_secrets_talos_command": talosctl(fresh),
            "cluster_secrets_snapshot_dir": str(fresh.folder / "rolling"),
            "cluster_secrets_gate_timeout": 60,
            # It was cordoned before; without this word, the gate would close.
            "cluster_secrets_gate_except_nodes": ["node-0"],
        }

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
        (fresh.folder / "restart").unlink()
        talosctl(fresh, afterwards=BREAKING)
        next_one = {"cluster_secrets_talos_image": "installer:v1.12.0", "cluster_secrets_gate_timeout": 3}
        stopped = fresh.play("talos_upgrade", variables={**variables, **next_one}, check=False)
        assert stopped.rc == 2 and log.read_text().split() == names[:1], stopped.output
        assert "Secret cert-manager/cloudflare-api-token: " in stopped.stdout


#: What happens while the first node is upgraded: somebody removes the source's key.
BREAKING = {"/api/v1/namespaces/central-secret-store/secrets/cloudflare-api-token": {"data": {"api-token": None}}}


class Simulated(Runbook):
    """Four nodes beside a cordoned one."""

    names = ("worker-1", "worker-2", "control-1", "worker-3")
    by_hand = ("node-0", "worker-2")

    def __init__(self, own):
        role = {"control-1": {"node-role.kubernetes.io/control-plane": ""}}
        for name in self.names:
            labels = {"kubernetes.io/os": "linux", **role.get(name, {})}
            own.request("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
        # Somebody's own cordons; they stay.
        for name in self.by_hand:
            own.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})
        own.eventually(lambda: all(is_ready(own, name) for name in self.names), 60, "nodes that are ready")
        super().__init__(own)
        self.variables["cluster_secrets_talos_check"] = [[*self.program, "health"], [*self.program, "etcd", "status"]]
        self.variables["cluster_secrets_gate_except_nodes"] = list(self.by_hand)

    def returns(self, name, version):
        """The node comes back by itself, as one does whose upgrade nobody follows any more."""
        status = {
            "nodeInfo": {"osImage": f"Talos ({version})"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Test"}],
        }
        body, kind = {"status": status}, "application/strategic-merge-patch+json"
        for _again in range(8):
            self.own.client.request("PATCH", f"/api/v1/nodes/{name}/status", {}, body, kind)
            time.sleep(0.3)


@pytest.fixture(scope="module")
def runbook(platform):
    with another(platform, "resumed") as own:
        own.play("bootstrap")
        yield Simulated(own)


def test_check_mode_names_the_nodes_in_their_order(runbook):
    mark = runbook.own.mark()
    predicted = runbook.play("v1.11.2", "--check")
    assert runbook.lines("calls") == [] and runbook.own.writes(mark) == []
    rows = [line.split()[0] for line in predicted.stdout.splitlines() if line.endswith((" to do", " stays so"))]
    assert rows == ["control-1", "worker-1", "worker-2", "worker-3"], predicted.stdout
    assert "Would upgrade control-1 (since " in predicted.stdout
    assert "done: control-1; to do: worker-2, worker-3" in predicted.stdout


def test_each_way_of_failing_is_named_and_leaves_nothing(runbook):
    runbook.mode.write_text("worker-1 drain")
    failed = runbook.play("v1.11.2", check=False)
    assert failed.rc == 2 and "error draining node" in failed.output and "PodDisruptionBudget" in failed.stdout
    assert runbook.lines("upgraded") == ["control-1"] and runbook.left() == ([], runbook.by_hand)
    # It returns, and the node runs what it ran.
    runbook.mode.write_text("worker-1 old")
    failed = runbook.play("v1.11.2", check=False)
    assert failed.rc == 2 and "Node worker-1 is not upgraded 5 s later: it runs " in failed.stdout, failed.stdout
    assert "and not v1.11.2" in failed.stdout and runbook.left() == ([], runbook.by_hand)
    # What Talos is at work on is waited for, and is neither uncordoned nor begun anew when that takes too long.
    runbook.mode.write_text("worker-1 locked")
    failed = runbook.play("v1.11.2", check=False)
    assert failed.rc == 2 and "The node is being upgraded already; wait for it" in failed.stdout, failed.stdout
    assert runbook.left() == (["worker-1"], runbook.by_hand)
    runbook.log.write_text("control-1\n")
    runbook.mode.unlink()
    failed = runbook.play("v1.11.2", cluster_secrets_talos_arguments={"upgrade": ["--wait", "--preserve"]}, check=False)
    assert failed.rc == 2 and "correct 'cluster_secrets_talos_arguments.upgrade'" in failed.stdout
    failed = runbook.play("v1.11.2", cluster_secrets_talos_command=["talosctl-absent"], check=False)
    assert failed.rc == 2 and "'talosctl-absent' can't be run" in failed.stdout
    failed = runbook.play("latest", check=False)
    assert failed.rc == 2 and "has no tag that is a version of Talos" in failed.stdout
    failed = runbook.play("v1.11.2", cluster_secrets_talos_workers=0, check=False)
    assert failed.rc == 2 and "cluster_secrets_talos_workers" in failed.stdout
    assert runbook.left() == ([], runbook.by_hand)


#: Step of a node's upgrade -> (how often talosctl begins the node, how often it reboots it) when a run killed there is
#: run again. A node that is away comes back by itself.
KILLED = {"install": (1, 1), "drained": (2, 1), "away": (1, 0), "booted": (1, 1), "back": (1, 1)}


@pytest.mark.parametrize("step", KILLED)
def test_a_run_that_was_killed_is_gone_on_with(runbook, step):
    """No node twice, nothing left cordoned or marked; and while it is at work, no other run gets in."""
    version = f"v1.{12 + list(KILLED).index(step)}.0"
    runbook.forget("begun", "upgraded")
    with runbook.begun(version, f"worker-1 {step}"):
        if step == "drained":
            other = runbook.play(version, check=False)
            assert other.rc == 2 and "another run is at work on this cluster" in other.stdout, other.stdout
    cordoned = ("node-0", "worker-2") if step == "install" else ("node-0", "worker-1", "worker-2")
    assert runbook.left() == (["worker-1"], cordoned)
    # A run that comes at once finds a node that is away, and waits until it is back by itself.
    with ThreadPoolExecutor(1) as pool:
        back = pool.submit(runbook.returns, "worker-1", version) if step in ("away", "booted") else None
        ended = runbook.play(version, cluster_secrets_talos_timeout=60, cluster_secrets_talos_workers=3)
        if back:
            back.result()
    begins, reboots = KILLED[step]
    others = [name for name in runbook.names if name != "worker-1"]
    assert sorted(runbook.lines("begun")) == sorted(f"{name} begun" for name in [*others, *["worker-1"] * begins])
    assert sorted(runbook.lines("upgraded")) == sorted([*others, *["worker-1"] * reboots])
    assert runbook.left() == ([], runbook.by_hand) and "cordoned, and stays so" in ended.stdout
    assert "done: none; to do: none" in ended.stdout
    again = runbook.play(version)
    assert len(runbook.lines("begun")) == 3 + begins and " done" in again.stdout


def test_what_was_staged_is_rebooted_later(runbook):
    runbook.forget("calls")
    staged = runbook.play("v1.20.0", cluster_secrets_talos_stage=True)
    calls = runbook.lines("calls")
    assert len(calls) == 4 and all(one.endswith("--no-reboot") for one in calls), calls
    assert "Staged." in staged.stdout and runbook.left() == ([], runbook.by_hand)
    again = runbook.play("v1.20.0", cluster_secrets_talos_stage=True)
    assert again.recap["changed"] == 0 and len(runbook.lines("calls")) == 4
    runbook.forget("calls")
    with runbook.begun("v1.20.0", "worker-1 back"):
        pass
    ended = runbook.play("v1.20.0", cluster_secrets_talos_workers=2)
    reboots = [one for one in runbook.lines("calls") if one.startswith(("upgrade", "reboot"))]
    order = [f"reboot --nodes {name} --drain --wait" for name in ("control-1", "worker-1", "worker-2", "worker-3")]
    # The last two at the same time.
    assert [*reboots[:2], *sorted(reboots[2:])] == order
    assert "staged, to be rebooted" in ended.stdout and runbook.left() == ([], runbook.by_hand)


def test_kubernetes_goes_by_the_same_gates(runbook):
    own = runbook.own
    version = json.loads(own.client.text("/version", {}, "version"))["gitVersion"].lstrip("v")
    minor = int(version.split(".")[1])
    given = {**runbook.variables, "cluster_secrets_talos_nodes": [{"name": "control-1"}]}

    def play(to, *arguments, **more):
        variables = {**given, "cluster_secrets_talos_kubernetes": to, **more}
        return own.play("talos_upgrade_kubernetes", *arguments, variables=variables, check=False)

    for to, said in (
        (f"1.{minor - 1}.0", "there is no way back"),
        (f"1.{minor + 2}.0", f"upgrade to 1.{minor + 1} first"),
    ):
        refused = play(to)
        assert refused.rc == 2 and said in refused.stdout, refused.stdout
    assert play("newest").rc == 2
    runbook.forget("calls")
    predicted = play(version, "--check")
    assert predicted.rc == 0 and runbook.lines("calls") == [] and "the kubelets of " in predicted.stdout
    # It ends with kube-proxy and the manifests, which no version shows: as long as it fails there, it is run again.
    runbook.mode.write_text("control-1 manifests")
    failed = play(version)
    assert failed.rc == 2 and "error updating manifests" in failed.stdout, failed.output
    runbook.mode.unlink()
    predicted = play(version, "--check")
    assert "an earlier talosctl did not end well, and is run once more" in predicted.stdout, predicted.output
    done = play(version)
    assert done.rc == 0 and runbook.lines("calls") == [f"upgrade-k8s --nodes control-1 --to {version}"] * 2, done.output
    again = play(version)
    assert again.rc == 0 and f"node(s) run Kubernetes {version}." in again.stdout
    assert len(runbook.lines("calls")) == 2
    # With an API server that will never run it, the wait ends with what is missing.
    failed = play(f"1.{minor}.99", cluster_secrets_talos_timeout=4)
    assert failed.rc == 2 and f"the API server runs {version}" in failed.stdout, failed.stdout


def is_ready(platform, name):
    status = platform.get(f"/api/v1/nodes/{name}").get("status") or {}
    return any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or [])
