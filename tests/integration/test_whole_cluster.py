# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user installs, on a real node: ESO in pods from its chart's repository, with its CRDs, its webhook and its
cert-controller, at the API's own address, and pods that live. No variable is set that only a test would set.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from runbook import Runbook
from support import CANARY, COLLECTIONS, ROOT, Platform, leaked
from whole import APPS, ask, available, deployment, pods, start

from controlplane import build, node, sandbox, values

pytestmark = pytest.mark.skipif(node.lacking() is not None, reason=str(node.lacking()))
PLAYBOOK = "platform.cluster_secrets."
ESO = f"{APPS}/external-secrets/deployments"
ESO_PODS = "/api/v1/namespaces/external-secrets/pods"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/external-secrets/leases/external-secrets-controller"
SPREAD = {"cluster_secrets_eso_high_availability": True}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    if os.environ.get("CLUSTER_SECRETS_TEST_KUBECONFIG"):
        pytest.skip("makes a cluster of its own")
    plane = node.Node("whole", bound=True)
    plane.start()
    try:
        plane.serve_chart()
        yield Platform(plane, tmp_path_factory.mktemp("whole"))
    finally:
        plane.stop()


def run(platform, folder, playbook, *arguments, status=0):
    """A command of the README, typed in a folder of init's; its output."""
    done = subprocess.run(
        ["ansible-playbook", PLAYBOOK + playbook, "--vault-password-file", str(platform.password), *arguments],
        cwd=folder,
        env=platform.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert leaked(done.stdout + done.stderr) == []
    return done.stdout


def changed(output):
    return int(output.rpartition("changed=")[2].split()[0])


def rotated(platform, source, key, more):
    """Change one value of the vault file; returns the new one."""
    after = copy.deepcopy(platform.values)
    after[source][key] += more
    platform.values = after
    values.write_vault(after, platform.vault, platform.password)
    return after[source][key]


def eso_pods(platform, part):
    listed = platform.get(f"{ESO_PODS}?labelSelector=app.kubernetes.io%2Fname%3D{part}")
    return [one["metadata"]["name"] for one in listed["items"] if "deletionTimestamp" not in one["metadata"]]


def evict(platform, pod):
    """What a drain does; the status that the API answers."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    # The collection's own client would try again as long as it is told to.
    return platform.plane.api.request("POST", f"{ESO_PODS}/{pod}/eviction", eviction)[0]


def test_from_nothing_to_a_pod_that_has_its_secret(whole):
    folder = whole.folder / "platform"
    secrets = [{"name": "smtp", "keys": ["user", "password"], "namespaces": ["shop"]}]
    given = {
        "cluster_secrets_init_secrets": secrets,
        "cluster_secrets_init_values": {"smtp": {"user": f"{CANARY}-mailer"}},
    }
    run(whole, whole.folder, "init", "-e", "cluster_secrets_dest=platform", "-e", json.dumps(given))
    # Where the chart comes from, which a user with a mirror writes down once.
    (folder / "group_vars/all/mirror.yml").write_text(yaml.safe_dump(whole.plane.ansible_variables()))
    predicted = run(whole, folder, "bootstrap", "--check", "--diff")
    assert whole.get(f"{ESO}/external-secrets") is None
    first = run(whole, folder, "bootstrap")
    assert changed(predicted) == changed(first) > 0
    assert "1 Secrets in 1 namespaces are current." in first
    assert changed(run(whole, folder, "bootstrap")) == 0
    assert "synced" in run(whole, folder, "status")
    assert "The chain is whole." in run(
        whole, folder, "explain", "-e", "cluster_secrets_namespace=shop", "-e", "cluster_secrets_secret=smtp"
    )
    assert "reconciled secret" in run(whole, folder, "logs")
    for name in ("external-secrets", "external-secrets-webhook", "external-secrets-cert-controller"):
        available(whole, f"{ESO}/{name}")
    body = deployment("mailer", {"envFrom": [{"secretRef": {"name": "smtp"}}]})
    available(whole, start(whole, "shop", body))
    assert ask(whole, "shop", "mailer", "env", "user") == f"{CANARY}-mailer"
    removed = run(
        whole,
        folder,
        "teardown",
        "-e",
        "cluster_secrets_teardown_eso=true",
        "-e",
        "cluster_secrets_teardown_confirmed=true",
    )
    assert changed(removed) > 0 and whole.secret("shop", "smtp") is None
    assert whole.get(f"{ESO}/external-secrets") is None
    assert whole.get(f"{APPS}/shop/deployments/mailer") is not None
    # Its pod would wait for the Secret once it moves, and say so to every gate.
    whole.delete(f"{APPS}/shop/deployments/mailer")


@pytest.fixture(scope="module")
def installed(whole):
    """The documented catalog on it, ESO installed anew, everything kept by a few commands away from the defaults."""
    predicted = whole.play("bootstrap", "--check", "--diff")
    done = whole.play("bootstrap")
    assert predicted.table == done.table != []
    assert whole.play("bootstrap").recap["changed"] == 0
    # The registry lets in who has the documented credentials, and nobody else.
    pat = whole.values["github-pat"]
    whole.plane.login.write_text(f"{pat['username']}:{pat['token']}")
    return whole


PULL = {"imagePullSecrets": [{"name": "gh-docker-registry-creds"}]}
OAUTH = {"secretRef": {"name": "gh-oauth"}}
ONE_KEY = {"name": "GITHUB_TOKEN", "valueFrom": {"secretKeyRef": {"name": "gh-oauth", "key": "GITHUB_TOKEN"}}}
VOLUME = {"volumes": [{"name": "oauth", "secret": {"secretName": "gh-oauth"}}]}

#: name -> (the container, the pod, what to ask for the token, whether a rotation restarts it).
LIVING = {
    "env": ({"env": [ONE_KEY]}, {}, ("env", "GITHUB_TOKEN"), True),
    "envfrom": ({"envFrom": [OAUTH]}, {}, ("env", "GITHUB_TOKEN"), True),
    "subpath": (
        {"volumeMounts": [{"name": "oauth", "mountPath": "/etc/token", "subPath": "GITHUB_TOKEN"}]},
        VOLUME,
        ("file", "/etc/token"),
        True,
    ),
    "mount": (
        {"volumeMounts": [{"name": "oauth", "mountPath": "/etc/oauth"}]},
        VOLUME,
        ("file", "/etc/oauth/GITHUB_TOKEN"),
        False,
    ),
}


@pytest.fixture(scope="module")
def living(installed):
    """Pods that use the Secrets of 'backstage' in every way, one of them from a private image."""
    for name, (container, pod, _question, _restarted) in LIVING.items():
        start(installed, "backstage", deployment(name, container, **pod))
    start(
        installed,
        "backstage",
        deployment("private", {"imagePullPolicy": "Always"}, image=node.PRIVATE_IMAGE, **PULL),
    )
    for name in (*LIVING, "private"):
        available(installed, f"{APPS}/backstage/deployments/{name}")
    return installed


def test_pods_have_the_values(living):
    token = living.values["github-oauth"]["token"]
    assert {name: ask(living, "backstage", name, *one[2]) for name, one in LIVING.items()} == dict.fromkeys(
        LIVING, token
    )


def test_every_other_command(living, tmp_path):
    """Each at work with the webhook on; what it does is tested elsewhere."""
    audit = living.play("audit", "-e", "cluster_secrets_audit_fail_on=never")
    assert "vulnerable-eso" in audit.output and " handmade" not in audit.output
    given = {"cluster_secrets_namespace": "n8n", "cluster_secrets_secret": "github-oauth-credentials"}
    assert living.play("onboard", variables=given).recap["changed"] > 0
    assert living.data("n8n", "gh-oauth")["GITHUB_TOKEN"] == living.values["github-oauth"]["token"]
    given = {"cluster_secrets_namespace": "n8n", "cluster_secrets_secret": "github-oauth-credentials"}
    assert living.play("offboard", variables=given).recap["changed"] > 0
    living.eventually(lambda: living.secret("n8n", "gh-oauth") is None, what="the copy is gone")
    kept = living.play("backup", variables={"cluster_secrets_backup_file": str(tmp_path / "backup.vault.yml")})
    assert kept.recap["failed"] == 0
    again = living.play("restore", variables={"cluster_secrets_backup_file": str(tmp_path / "backup.vault.yml")})
    assert again.recap["changed"] == 0
    assert living.play("render", variables={"cluster_secrets_dest": str(tmp_path / "rendered")}).recap["changed"] > 0
    assert living.play("adopt", variables={"cluster_secrets_dest": str(tmp_path / "adopted")}).recap["failed"] == 0


def test_a_rotation_reaches_the_processes(living):
    """The password that pulls the image is rotated with it: the new pod is pulled with the new one."""
    before = living.values["github-oauth"]["token"]
    password = rotated(living, "github-pat", "token", "-rotated")
    token = rotated(living, "github-oauth", "token", "-rotated")
    living.plane.login.write_text(f"{living.values['github-pat']['username']}:{password}")
    done = living.play("rotate", "-e", "cluster_secrets_rotate_restart=restart")
    assert leaked(done.output) == [] and living.play("bootstrap").recap["changed"] == 0
    for name, (_container, _pod, question, restarted) in LIVING.items():
        if restarted:
            # The play has waited for it.
            assert ask(living, "backstage", name, *question) == token != before, name
    # The kubelet brings a mounted file up to date in its own time.
    question = LIVING["mount"][2]
    living.eventually(lambda: ask(living, "backstage", "mount", *question) == token, 60, what="the mounted file")
    path = f"{APPS}/backstage/deployments/private"
    stamp = {"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}}
    living.patch(path, stamp)
    available(living, path)
    assert living.play("status", "-e", "cluster_secrets_show_consumers=true").recap["failed"] == 0


#: What stands in the way of a pod -> (the Deployment, what the kubelet says, what explain says).
WAITING = {
    "absent-key": (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "gh-oauth", "key": "absent"}}}]},
        {},
        "CreateContainerConfigError",
    ),
    "absent-pull": ({"imagePullPolicy": "Always"}, {"imagePullSecrets": [{"name": "absent"}]}, "ErrImagePull"),
}


def test_pods_that_can_not_start_are_named_with_what_the_kubelet_says(living):
    paths = []
    for name, (container, spec, _reason) in WAITING.items():
        image = node.PRIVATE_IMAGE if "pull" in name else "localhost/workload:1"
        paths.append(start(living, "backstage", deployment(name, container, image=image, **spec)))
    try:
        for name, (_container, _spec, reason) in WAITING.items():

            def waits(name=name, reason=reason):
                found = [
                    one["state"]["waiting"]
                    for pod in pods(living, "backstage", name)
                    for one in pod["status"].get("containerStatuses", [])
                    if "waiting" in one["state"]
                ]
                return any(one["reason"] in (reason, "ImagePullBackOff") for one in found) and found

            living.eventually(waits, 60, what=name)
        gate = living.play("talos_upgrade_gate", check=False, variables={"cluster_secrets_gate_timeout": 1})
        assert gate.rc != 0
        assert "couldn't find key absent in Secret backstage/gh-oauth" in gate.output
        assert "it waits for the Secret absent (imagePullSecrets)" in gate.output
        given = {"cluster_secrets_namespace": "backstage", "cluster_secrets_secret": "gh-oauth"}
        assert "absent-key" in living.play("explain", check=False, variables=given).output
    finally:
        for path in paths:
            living.delete(path)


def test_isolation_there_and_back(living):
    isolated = {"cluster_secrets_isolation": "entry"}
    assert living.play("bootstrap", variables=isolated).recap["changed"] > 0
    assert living.play("bootstrap", variables=isolated).recap["changed"] == 0
    assert living.play("status", variables=isolated).recap["failed"] == 0
    assert living.play("bootstrap").recap["changed"] > 0
    assert living.play("bootstrap").recap["changed"] == 0


def test_the_chart_may_be_a_folder(living):
    """As the published one, with its definitions in it; what runs stays what it is."""
    folder = {"cluster_secrets_eso_chart": str(build.eso_chart(crds=True))}
    before = living.get(f"{ESO}/external-secrets")["metadata"]["generation"]
    assert living.play("bootstrap", variables=folder).recap["failed"] == 0
    assert living.play("bootstrap", variables=folder).recap["changed"] == 0
    assert living.get(f"{ESO}/external-secrets")["metadata"]["generation"] == before
    living.play("bootstrap")
    assert living.play("bootstrap").recap["changed"] == 0


def test_the_newest_chart_of_the_repository(living, tmp_path):
    """By the lists of advisories that one gives, which the audit goes by as well."""
    newest = {"cluster_secrets_eso_chart_version": "newest"}
    refused = living.play("bootstrap", "--check", variables=newest, check=False)
    assert refused.rc == 2 and "no release without a known vulnerability is at hand" in refused.stdout
    lists = tmp_path / "advisories.yml"
    lists.write_text("advisories: []\nreleased: {'0.20': 2025-09-22}\n")
    own = {"cluster_secrets_eso_advisories": str(lists), "cluster_secrets_eso_allow": []}
    pinned = living.plane.ansible_variables()["cluster_secrets_eso_chart_version"]
    for mode in (["--check"], []):
        done = living.play("bootstrap", *mode, variables={**newest, **own})
        assert done.recap["changed"] == 0 and "out of support" not in done.output
        assert f"cluster_secrets_eso_chart_version: {pinned}" in done.stdout.splitlines()
    audit = living.play("audit", "-e", "cluster_secrets_audit_fail_on=never", variables=own)
    assert "vulnerable-eso" not in audit.output and "unsupported-eso" not in audit.output


def test_the_guard_refuses_nothing_of_the_system(living):
    """Enforced: whatever runs in the cluster goes on, pods are made anew, a rotation ends, ESO is restarted."""
    enforced = {"cluster_secrets_guard_mode": "enforce"}
    living.play("bootstrap", variables=enforced)
    try:
        for name in ("external-secrets", "external-secrets-webhook", "external-secrets-cert-controller"):
            living.patch(f"{ESO}/{name}", {"spec": {"template": {"metadata": {"annotations": {"again": "guarded"}}}}})
        for name in ("external-secrets", "external-secrets-webhook", "external-secrets-cert-controller"):
            available(living, f"{ESO}/{name}")
        token = rotated(living, "github-oauth", "token", "-guarded")
        living.play("rotate", "-e", "cluster_secrets_rotate_restart=restart", variables=enforced)
        assert ask(living, "backstage", "env", "env", "GITHUB_TOKEN") == token
        given = {"cluster_secrets_namespace": "n8n", "cluster_secrets_secret": "github-oauth-credentials", **enforced}
        living.play("onboard", variables=given)
        given = {"cluster_secrets_namespace": "n8n", "cluster_secrets_secret": "github-oauth-credentials", **enforced}
        living.play("offboard", variables=given)
        denied = [
            event
            for event in living.plane.audit_events(0)
            if event.get("responseStatus", {}).get("code") == 403
            and "cluster-secrets" in event["responseStatus"].get("message", "")
        ]
        assert denied == []
    finally:
        living.play("bootstrap")


def test_the_webhook_away_while_a_bootstrap_begins(living):
    """Its pod deleted: the API refuses ESO's objects until another one serves."""
    # Something that has to be written.
    living.delete("/apis/external-secrets.io/v1/clusterexternalsecrets/cloudflare-api-token")
    living.eventually(lambda: living.secret("cert-manager", "cloudflare-api-token") is None, 60, what="it is gone")
    for pod in eso_pods(living, "external-secrets-webhook"):
        living.delete(f"{ESO_PODS}/{pod}")
    living.play("bootstrap")
    assert living.secret("cert-manager", "cloudflare-api-token")
    assert living.play("bootstrap").recap["changed"] == 0


@pytest.fixture(scope="module")
def spread(living):
    """Two controllers, of which one leads, two webhooks, and budgets for both."""
    living.play("bootstrap", variables=SPREAD)
    assert living.play("bootstrap", variables=SPREAD).recap["changed"] == 0
    for name in ("external-secrets", "external-secrets-webhook"):
        available(living, f"{ESO}/{name}", 90)
        assert len(eso_pods(living, name)) == 2
    yield living
    living.play("bootstrap")


def test_the_leader_killed_in_the_middle_of_a_rotation(spread):
    lease = spread.get(LEASE)
    leader = lease["spec"]["holderIdentity"].partition("_")[0]
    assert leader in eso_pods(spread, "external-secrets")
    token = rotated(spread, "github-oauth", "token", "-led")
    killed = threading.Timer(1.2, lambda: spread.delete(f"{ESO_PODS}/{leader}?gracePeriodSeconds=0"))
    killed.start()
    spread.play("rotate", variables=SPREAD)
    killed.join()
    assert spread.data("backstage", "gh-oauth")["GITHUB_TOKEN"] == token
    assert spread.play("bootstrap", variables=SPREAD).recap["changed"] == 0


def test_a_drain_never_takes_both(spread):
    """The API refuses the second eviction until the first pod's successor is ready."""
    for part in ("external-secrets", "external-secrets-webhook"):
        available(spread, f"{ESO}/{part}", 90)
        path = f"/apis/policy/v1/namespaces/external-secrets/poddisruptionbudgets/{part}-pdb"
        spread.eventually(lambda path=path: (spread.get(path) or {})["status"]["disruptionsAllowed"] == 1, what=path)
        first, second = eso_pods(spread, part)
        assert evict(spread, first) == 201
        assert evict(spread, second) == 429, part
        spread.eventually(lambda second=second: evict(spread, second) == 201, 90, what=f"the drain of {second}")
    cloudflare = rotated(spread, "cloudflare-api-token", "api-token", "-drained")
    spread.play("rotate", variables=SPREAD)
    assert spread.data("cert-manager", "cloudflare-api-token")["api-token"] == cloudflare
    gate = {"cluster_secrets_gate_timeout": 90, "cluster_secrets_gate_drain": True}
    spread.play("talos_upgrade_gate", variables={**SPREAD, **gate})


def webhooks_gone(platform):
    for pod in eso_pods(platform, "external-secrets-webhook"):
        platform.delete(f"{ESO_PODS}/{pod}?gracePeriodSeconds=0")


def test_both_webhooks_gone(spread):
    spread.delete("/apis/external-secrets.io/v1/clusterexternalsecrets/cloudflare-api-token")
    spread.eventually(lambda: spread.secret("cert-manager", "cloudflare-api-token") is None, 60, what="it is gone")
    webhooks_gone(spread)
    gate = spread.play("talos_upgrade_gate", variables=SPREAD, check=False)
    assert gate.rc == 2 and "external-secrets-webhook" in gate.output
    spread.play("bootstrap", variables=SPREAD)
    assert spread.secret("cert-manager", "cloudflare-api-token")
    cloudflare = rotated(spread, "cloudflare-api-token", "api-token", "-webhooks")
    webhooks_gone(spread)
    spread.play("rotate", variables=SPREAD)
    assert spread.data("cert-manager", "cloudflare-api-token")["api-token"] == cloudflare
    # There is nothing to upgrade, and objects are stored anew all the same.
    webhooks_gone(spread)
    spread.play("eso_upgrade", variables=SPREAD)
    assert spread.data("cert-manager", "cloudflare-api-token")["api-token"] == cloudflare


class RealNode(Runbook):
    """The one node there is, whose kubelet tells which system it runs."""

    names = (node.NAME,)

    def __init__(self, own):
        super().__init__(own, real=True)
        own.plane.set_system("Talos (v1.11.0)")
        own.plane.kill("kubelet")
        own.plane.start_component("kubelet")
        self.variables |= SPREAD
        self.variables |= {"cluster_secrets_talos_timeout": 120, "cluster_secrets_gate_timeout": 180}


def test_the_runbook_on_a_node_that_really_goes_away(spread):
    """On the only node a drain can't end; without one, a run killed in any step is gone on with."""
    runbook = RealNode(spread)
    before = {key: spread.data(*key) for key in (("backstage", "gh-oauth"), ("cert-manager", "cloudflare-api-token"))}
    failed = runbook.play(
        "v1.11.1", cluster_secrets_talos_arguments={"upgrade": ["--wait", "--drain-timeout", "8s"]}, check=False
    )
    assert failed.rc == 2 and "error draining node" in failed.stdout and "--drain=false" in failed.stdout, failed.output
    assert runbook.lines("upgraded") == [] and runbook.left() == ([], ())
    undrained = {"cluster_secrets_talos_arguments": {"upgrade": ["--wait", "--drain=false"]}}
    for step in ("install", "away"):
        with runbook.begun("v1.11.1", f"{node.NAME} {step}", **undrained) as run:
            if step == "away":
                # talosctl may end as its node goes; for Kubernetes, that node is still ready then.
                runbook.lose_talosctl()
                assert run.wait(120) == 2
        spread.plane.reload()
        assert runbook.left()[0] == [node.NAME]
    runbook.forget("begun")
    # Talos ends by itself what it has begun.
    spread.plane.set_system("Talos (v1.11.1)")
    spread.plane.power_on()
    done = runbook.play("v1.11.1", **undrained)
    assert runbook.lines("begun") == [] and runbook.left() == ([], ()), done.output
    runbook.play("v1.11.2", **undrained)
    spread.plane.reload()
    assert runbook.lines("upgraded") == [node.NAME] and runbook.left() == ([], ())
    assert {key: spread.data(*key) for key in before} == before
    token = before["backstage", "gh-oauth"]["GITHUB_TOKEN"]
    for name in LIVING:
        available(spread, f"{APPS}/backstage/deployments/{name}")
        assert ask(spread, "backstage", name, *LIVING[name][2]) == token
    runbook.play("v1.11.2", **undrained)
    assert runbook.lines("upgraded") == [node.NAME]


def test_the_demo_shows_it_too():
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{COLLECTIONS}", "CLUSTER_SECRETS_DEMO": "node"}
    demo = [sys.executable, "-m", "demo.demo"]
    try:
        done = subprocess.run(demo, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.partition("== What is where")[2].count(" synced ") == 17
    finally:
        subprocess.run([*demo, "stop"], env=environment, check=True, timeout=60)


def test_nothing_is_left_of_a_node_whose_owner_was_killed():
    """Neither processes nor mounts, interfaces or control groups."""
    script = (
        "from controlplane.node import Node; import time; plane = Node('gone', bound=True); plane.start();"
        "print(plane.address, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        stdout=subprocess.PIPE,
        text=True,
    )
    address = owner.stdout.readline().strip()
    place = json.loads((build.run_root() / "gone/sandbox.json").read_text())
    assert address == place["address"]
    number = address.split(".")[2]
    interface = Path(f"/sys/class/net/csnode{number}/ifindex").read_text()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    run_folder = str(build.run_root() / "gone")

    def left():
        found = [str(root / place["cgroup"]) for root in sandbox.hierarchies() if (root / place["cgroup"]).exists()]
        link = Path(f"/sys/class/net/csnode{number}/ifindex")
        # Another node may have taken the number meanwhile; of one that is going, nothing can be read.
        with suppress(OSError):
            if link.read_text() == interface:
                found.append(f"csnode{number}")
        for one in Path("/proc").glob("[0-9]*"):
            try:
                words = (one / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if run_folder in words or f"pid/{place['pid']}/" in words:
                found.append(words.replace("\0", " "))
        if Path(f"/proc/{place['pid']}").exists():
            found.append(str(place["pid"]))
        mounts = Path("/proc/self/mounts").read_text()
        return found + [line for line in mounts.splitlines() if run_folder in line]

    deadline = time.monotonic() + 20
    while left():
        assert time.monotonic() < deadline, left()
        time.sleep(0.2)
