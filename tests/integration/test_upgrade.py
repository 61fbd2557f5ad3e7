# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrades of the nodes and crashes in the middle: nothing is lost, every difference is named."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import CANARY, another, cluster, leaked, values


@pytest.fixture(scope="module")
def snapshot(bootstrapped):
    return {"cluster_secrets_snapshot_dir": str(bootstrapped.folder / "snapshots")}


def test_before_and_after_a_restart_of_everything(bootstrapped, snapshot):
    platform = bootstrapped
    if not platform.plane:
        pytest.skip("needs the embedded control plane")
    platform.play("bootstrap")
    before = platform.play("talos_upgrade_pre", "-vvvv", variables=snapshot)
    saved = platform.folder / "snapshots" / "cluster_secrets.localhost.snapshot.json"
    assert leaked(before.output) == [] and leaked(saved.read_text()) == []
    assert saved.stat().st_mode & 0o077 == 0
    platform.plane.restart(signal.SIGTERM)
    after = platform.play("talos_upgrade_post", "-vvvv", "--diff", variables=snapshot)
    assert leaked(after.output) == []


def test_an_interrupted_upgrade_is_compared_with_its_beginning(bootstrapped, catalog, tmp_path):
    """What its first half lost is no beginning; nor is a file of another upgrade, or of another cluster."""
    path = tmp_path / "snapshot.json"

    def snapshot(state, mark="to v2", progress="none", check=True):
        options = {"catalog": catalog, "path": str(path), "state": state, "mark": mark, "progress": progress}
        return bootstrapped.module("sync_snapshot", **options, check=check).result

    assert snapshot("taken")["changed"]
    first = path.read_text()
    # Nothing was done since, so the beginning is now.
    assert snapshot("taken")["changed"] and path.read_text() != first
    begun = path.read_text()
    assert not snapshot("taken", progress="one node")["changed"] and path.read_text() == begun
    # Of another upgrade, there is nothing to compare with, and its file makes way.
    assert snapshot("compared", mark="to v3")["secrets"] == 0 and path.exists()
    assert snapshot("taken", mark="to v3", progress="one node")["changed"] and path.read_text() != begun
    path.write_text(begun)
    assert snapshot("compared")["differences"] == [] and not path.exists()
    for state in ("taken", "compared"):
        path.write_text(json.dumps({**json.loads(begun), "cluster": "another"}))
        refused = snapshot(state, progress="one node", check=False)
        assert (
            "is of another cluster (uid another" in refused["msg"] and "cluster_secrets_snapshot_dir" in refused["msg"]
        )


def test_every_difference_is_named(bootstrapped, snapshot):
    platform = bootstrapped
    platform.play("talos_upgrade_pre", variables=snapshot)
    # By somebody else: what the collection changes itself is no loss.
    time.sleep(1.1)
    data = {"api-token": base64.b64encode(f"{CANARY}other".encode()).decode(), "extra": "eA=="}
    platform.patch("/api/v1/namespaces/central-secret-store/secrets/cloudflare-api-token", {"data": data})
    outcome = platform.play("talos_upgrade_post", "-vvvv", variables=snapshot, check=False)
    assert outcome.rc == 2
    for difference in (
        "3 thing(s) differ from the snapshot",
        "central-secret-store/cloudflare-api-token: changed key api-token",
        "central-secret-store/cloudflare-api-token: new key extra",
        "cert-manager/cloudflare-api-token: changed key api-token",
    ):
        assert difference in outcome.stdout
    assert leaked(outcome.output) == []
    fixed = {"api-token": base64.b64encode(platform.values["cloudflare-api-token"]["api-token"].encode()).decode()}
    platform.patch(
        "/api/v1/namespaces/central-secret-store/secrets/cloudflare-api-token", {"data": {**fixed, "extra": None}}
    )
    platform.play("talos_upgrade_post", variables=snapshot)


def test_the_check_before_fails_when_eso_is_not_healthy(bootstrapped, snapshot):
    platform = bootstrapped
    path = "/apis/apps/v1/namespaces/external-secrets/deployments/external-secrets"
    platform.patch(path, {"spec": {"replicas": 0}})
    try:
        outcome = platform.play(
            "talos_upgrade_pre", variables={**snapshot, "cluster_secrets_gate_timeout": 1}, check=False
        )
        assert outcome.rc == 2 and "ESO was not healthy after 1 s: 0 of 0 replicas" in outcome.stdout
    finally:
        platform.patch(path, {"spec": {"replicas": 1}})
    platform.play("talos_upgrade_post", variables=snapshot)


def test_a_rotation_between_pre_and_post_is_no_loss(bootstrapped, tmp_path):
    """What the collection itself changed is not; what somebody else changed is."""
    platform, snapshot = bootstrapped, {"cluster_secrets_snapshot_dir": str(tmp_path)}
    platform.play("talos_upgrade_pre", variables=snapshot)
    time.sleep(1.1)
    changed = {**platform.values, "github-pat": {**platform.values["github-pat"], "token": f"{CANARY}-between"}}
    values.write_vault(changed, platform.vault, platform.password)
    platform.play("rotate")
    platform.play("talos_upgrade_post", variables=snapshot)
    values.write_vault(platform.values, platform.vault, platform.password)
    platform.play("rotate")
    platform.play("talos_upgrade_post", variables=snapshot)
    path = "/api/v1/namespaces/central-secret-store/secrets/github-pat"
    before = platform.get(path)["data"]
    platform.patch(path, {"data": {"token": "bm90LW91cnM="}})
    try:
        outcome = platform.play("talos_upgrade_post", variables=snapshot, check=False)
        assert outcome.rc == 2 and "central-secret-store/github-pat: changed key token" in outcome.stdout
    finally:
        platform.patch(path, {"data": before})
        platform.play("rotate")


def test_a_snapshot_that_is_none(bootstrapped, catalog, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("{}")
    for path, message in ((tmp_path / "none", "Take one first"), (broken, "is not a snapshot")):
        outcome = bootstrapped.module("sync_snapshot", catalog=catalog, path=str(path), state="compared", check=False)
        assert message in outcome.result["msg"]


@pytest.mark.parametrize("seconds", [2.5])
def test_a_crash_in_the_middle_of_a_bootstrap(platform, seconds):
    """etcd, API server and ESO are killed during a bootstrap; a rerun converges and loses nothing."""

    name = f"crash{int(seconds * 10)}"
    with another(platform, name) as crashing:
        plane = crashing.plane

        def crash():
            time.sleep(seconds)
            plane.restart(signal.SIGKILL)

        # Children with a session of their own must be started by the main thread to be bound to it; unbind here.
        plane.bound = False
        with ThreadPoolExecutor(1) as pool:
            crashed = pool.submit(crash)
            first = crashing.play("bootstrap", "-vvvv", check=False)
            crashed.result()
        assert leaked(first.output) == [] and "Traceback" not in first.stdout
        crashing.play("bootstrap")
        assert "17 targets are synced" in crashing.play("status").stdout
        assert crashing.play("bootstrap").recap["changed"] == 0


def test_an_upgrade_of_eso_to_what_runs_already_changes_nothing(bootstrapped):
    mark = bootstrapped.mark()
    outcome = bootstrapped.play("eso_upgrade")
    assert "runs already" in outcome.stdout and outcome.recap["changed"] == 0
    assert bootstrapped.writes(mark) == []


def test_teardown_leaves_nothing_and_namespaces_delete_cleanly(bootstrapped, catalog):
    platform = bootstrapped
    platform.play("bootstrap")
    predicted = platform.play("teardown", "--check")
    done = platform.play("teardown")
    assert done.table == predicted.table != []
    assert platform.play("teardown").recap["changed"] == 0
    namespaces = platform.request("GET", "/api/v1/namespaces")["items"]
    for item in namespaces:
        assert not [name for name in item["metadata"].get("finalizers", []) if "external-secrets" in name], item[
            "metadata"
        ]["name"]
        assert not [label for label in item["metadata"].get("labels", {}) if label.startswith("secrets/")]
    assert platform.request("GET", "/apis/external-secrets.io/v1/externalsecrets")["items"] == []

    def targets():
        listed = platform.request(
            "GET", "/api/v1/secrets?labelSelector=reconcile.external-secrets.io%2Fmanaged%3Dtrue"
        )["items"]
        return [item for item in listed if "deletionTimestamp" not in item["metadata"]]

    platform.eventually(lambda: not targets(), what="the end of the targets")
    names = sorted({namespace for entry in catalog for namespace in entry["namespaces"]} | {"central-secret-store"})
    for name in names:
        platform.delete(f"/api/v1/namespaces/{name}")
    platform.eventually(
        lambda: not any(platform.get(f"/api/v1/namespaces/{name}") for name in names),
        60,
        "the deletion of all namespaces",
    )
    platform.play("bootstrap")
    assert "17 targets are synced" in platform.play("status").stdout


def test_teardown_looks_again_once_it_has_waited(bootstrapped):
    """While ESO removes targets, of which somebody holds one, a team begins to use the store."""
    platform = bootstrapped
    eso = "/apis/external-secrets.io/v1"
    held = "/api/v1/namespaces/cert-manager/secrets/cloudflare-api-token"
    used = {
        "secretStoreRef": {"kind": "ClusterSecretStore", "name": "central-secret-store"},
        "target": {"name": "late"},
        "dataFrom": [{"extract": {"key": "cloudflare-api-token"}}],
    }
    late = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterExternalSecret",
        "metadata": {"name": "late"},
        "spec": {"namespaces": ["cert-manager"], "externalSecretSpec": used},
    }
    platform.patch(held, {"metadata": {"finalizers": ["example.com/held"]}})

    def begin():
        ours = f"{eso}/clusterexternalsecrets"
        platform.eventually(lambda: not platform.request("GET", ours)["items"], 60, "the end of ours")
        platform.request("POST", ours, late)
        platform.patch(held, {"metadata": {"finalizers": None}})

    beginner = threading.Thread(target=begin)
    beginner.start()
    outcome = platform.play("teardown")
    beginner.join()
    assert "ClusterSecretStore central-secret-store stays: " in outcome.stdout, outcome.stdout
    assert platform.get(f"{eso}/clustersecretstores/central-secret-store")
    assert platform.data("central-secret-store", "cloudflare-api-token")
    assert platform.get("/api/v1/namespaces/central-secret-store/secrets/github-pat") is None
    platform.delete(f"{eso}/clusterexternalsecrets/late")
    platform.eventually(lambda: not platform.get(f"{eso}/clusterexternalsecrets/late"), 60, "the end of late")
    platform.play("teardown")
    assert platform.get(f"{eso}/clustersecretstores/central-secret-store") is None
    platform.play("bootstrap")


def test_nothing_is_left_running_on_ctrl_c(tmp_path):
    """The tool itself: interrupted while it runs, it takes everything with it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "controlplane", "--name", "interrupted", "run", "sleep", "60"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    plane = None
    for _attempt in range(200):
        time.sleep(0.1)
        plane = cluster.ControlPlane("interrupted")
        if plane.pids.get("kubelet"):
            break
    pids = list(plane.pids.values())
    assert len(pids) == 6
    for _attempt in range(3):
        # Python drops an interrupt that falls into a finalizer; people then press the keys again.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
            break
        except subprocess.TimeoutExpired:
            continue
    assert process.returncode == 130
    for pid in pids:
        assert str(plane.run) not in cluster.command_line(pid)
