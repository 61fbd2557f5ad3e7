# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store for each entry: what each may read, and the way there and back on a cluster in use."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from support import COLLECTIONS, ROOT, another, entry, values

ESO = "/apis/external-secrets.io/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/central-secret-store"
MANAGED = "/api/v1/secrets?labelSelector=reconcile.external-secrets.io%2Fmanaged%3Dtrue"
ENTRY = {"cluster_secrets_isolation": "entry"}


def targets(platform):
    """(uid, resourceVersion) of each target: the same as long as nobody writes it."""
    listed = platform.request("GET", MANAGED)["items"]
    return {
        (item["metadata"]["namespace"], item["metadata"]["name"]): (
            item["metadata"]["uid"],
            item["metadata"]["resourceVersion"],
        )
        for item in listed
    }


def stores(platform):
    return sorted(item["metadata"]["name"] for item in platform.request("GET", f"{ESO}/clustersecretstores")["items"])


class Poller(threading.Thread):
    """Looks at all targets and ExternalSecrets 20 times a second, and keeps what it should never see."""

    def __init__(self, platform):
        super().__init__(daemon=True)
        self.platform, self.before, self.seen, self.looks = platform, targets(platform), [], 0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.wait(0.05):
            self.looks += 1
            now = targets(self.platform)
            self.seen += [
                f"{key} was {self.before[key]}, is {now.get(key)}"
                for key in self.before
                if now.get(key) != self.before[key]
            ]
            for item in self.platform.request("GET", f"{ESO}/externalsecrets")["items"]:
                ready = [one for one in (item.get("status") or {}).get("conditions", []) if one["type"] == "Ready"]
                if ready and ready[0]["status"] != "True":
                    self.seen.append(
                        f"{item['metadata']['namespace']}/{item['metadata']['name']}: {ready[0]['message']}"
                    )

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_details):
        self.ending.set()
        self.join()


def test_there_and_back_on_a_cluster_in_use(bootstrapped, catalog):
    """No target is deleted, rewritten or unsynced for a moment, and check mode foresees each step."""
    platform = bootstrapped
    platform.play("bootstrap")
    names = [f"central-secret-store-{one['name']}" for one in catalog if one["name"] != "talos-config"]
    with Poller(platform) as poller:
        predicted = platform.play("bootstrap", "--check", variables=ENTRY)
        done = platform.play("bootstrap", variables=ENTRY)
        assert done.table == predicted.table != []
        assert stores(platform) == sorted(["central-secret-store", *names])
        shared = platform.get(f"{ESO}/clustersecretstores/central-secret-store")
        assert [one["status"] for one in shared["status"]["conditions"]] == ["True"]
        assert platform.get(f"{RBAC}/roles/central-secret-store-reader")["rules"][0]["resourceNames"] == ["-"]
        mark = platform.mark()
        assert platform.play("bootstrap", variables=ENTRY).recap["changed"] == 0
        assert platform.writes(mark) == []
        # Every ExternalSecret goes on being refreshed, through its own store.
        platform.play("rotate", variables={**ENTRY, "cluster_secrets_verify_refresh": "always"})
        predicted = platform.play("bootstrap", "--check")
        done = platform.play("bootstrap")
        assert done.table == predicted.table != []
        assert stores(platform) == ["central-secret-store"]
        assert platform.play("bootstrap").recap["changed"] == 0
    assert poller.looks > 50 and poller.seen == []
    left = [item["metadata"]["name"] for item in platform.request("GET", f"{RBAC}/roles")["items"]]
    assert left == ["central-secret-store-reader", "central-secret-store-token-request"]


def test_what_is_applied_is_what_was_foreseen(bootstrapped, catalog):
    """Part by part, the changes of check mode and of a run are the same, to the object and in the diff."""
    platform = bootstrapped
    catalog = [one for one in catalog if one["name"] != "talos-config"]
    url = {"server_url": f"https://127.0.0.1:{platform.plane.port}"} if platform.plane else {}
    for isolation in ("entry", "shared"):
        parts = [{"permissions": url}, {"stores": url}, {"entries": {}}, {"settle": url}]
        common = {"catalog": catalog, "isolation": isolation, "diff": True}
        foreseen = [platform.module("apply", check_mode=True, parts=part, **common).result for part in parts]
        done = [platform.module("apply", parts=part, **common).result for part in parts]
        assert [one["changes"] for one in foreseen] == [one["changes"] for one in done]
        assert [one["diff"] for one in foreseen] == [one["diff"] for one in done]
        assert done[1]["stores"]["pending"] and done[3]["changed"]
        again = [platform.module("apply", parts=part, **common).result for part in parts]
        assert not any(one["changed"] for one in again) and not again[1]["stores"]["pending"]


def test_a_store_that_somebody_begins_to_use_while_others_move_stays(bootstrapped, catalog):
    """Between the plan and its removals lies a wait of minutes."""
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import module
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts import stores as part
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts.steps import carried_out

    platform, used = bootstrapped, "central-secret-store-cloudflare-api-token"
    catalog = [one for one in catalog if one["name"] != "talos-config"]
    url = {"server_url": f"https://127.0.0.1:{platform.plane.port}"} if platform.plane else {}
    platform.play("bootstrap", variables=ENTRY)
    platform.module("apply", catalog=catalog, parts={"permissions": url, "stores": url, "entries": {}})
    params = ArgumentSpecValidator(part.SETTLE_OPTIONS).validate({"catalog": catalog, **url}).validated_parameters
    context = module.Context(params, False, False, lambda _text: None)
    context._client = platform.client
    plan = part.settled(context)
    assert used in {action.name for action in plan.actions if action.verb == "delete"}
    reference = {"secretKey": "key", "remoteRef": {"key": "cloudflare-api-token", "property": "api-token"}}
    spec = {"secretStoreRef": {"kind": "ClusterSecretStore", "name": used}, "data": [reference]}
    externals = f"{ESO}/namespaces/cert-manager/externalsecrets"
    late = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "late"}}
    platform.request("POST", externals, {**late, "spec": spec})
    try:
        done = carried_out(context, plan)
        assert not done.get("failed"), done
        assert sorted(stores(platform)) == ["central-secret-store", used]
        assert any(used in left["object"] and "late" in left["reason"] for left in done["left"]), done["left"]
    finally:
        platform.delete(f"{externals}/late")
        platform.play("bootstrap")
    assert stores(platform) == ["central-secret-store"]


def test_pruning_and_adding_an_entry_with_a_store_of_its_own(bootstrapped):
    platform = bootstrapped
    extra = {**ENTRY, "cluster_secrets_catalog_extra": [entry("extra", ["n8n"])]}
    values.write_vault({**platform.values, "extra-source": {"key": "value"}}, platform.vault, platform.password)
    platform.play("bootstrap", variables=extra)
    assert platform.data("n8n", "extra") == {"KEY": "value"}
    values.write_vault(platform.values, platform.vault, platform.password)
    # Without pruning the distribution goes on, and so does its store.
    platform.play("bootstrap", variables=ENTRY)
    assert "central-secret-store-extra" in stores(platform)
    findings = {(one["check"], one["object"]) for one in _audit(platform, **ENTRY)}
    assert {("left-over-entry", "extra"), ("left-over-store", "central-secret-store-extra")} <= findings
    prune = {
        **ENTRY,
        "cluster_secrets_prune": ["entries", "masters", "labels"],
    }
    predicted = platform.play("bootstrap", "--check", variables=prune)
    done = platform.play("bootstrap", variables=prune)
    assert done.table == predicted.table != []
    assert "central-secret-store-extra" not in stores(platform)
    assert platform.get(f"{RBAC}/roles/central-secret-store-reader-extra") is None
    assert platform.play("bootstrap", variables=prune).recap["changed"] == 0


def test_an_entry_of_several_sources_reads_these_and_is_rotated_by_each(bootstrapped, tmp_path):
    """Its namespaces are chosen by a selector; nobody onboards or offboards them by the entry."""
    platform = bootstrapped
    where = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["kargo", "central-secret-store"]}
    one = entry(
        "both",
        [],
        label=None,
        source=None,
        data={"A": "left/a", "B": {"text": "{left/a}-{base64:right/b}"}},
        namespace_selectors=[{"matchExpressions": [where]}],
    )
    one = {key: value for key, value in one.items() if value is not None}
    vault, given = tmp_path / "both.vault.yml", {"left": {"a": "1"}, "right": {"b": "2"}}
    values.write_vault({**platform.values, **given}, vault, platform.password)
    variables = {**ENTRY, "cluster_secrets_catalog_extra": [one], "cluster_secrets_values_file": str(vault)}
    try:
        predicted = platform.play("bootstrap", "--check", variables=variables)
        done = platform.play("bootstrap", variables=variables)
        assert predicted.table == done.table != []
        assert platform.play("bootstrap", variables=variables).recap["changed"] == 0
        assert platform.data("kargo", "both") == {"A": "1", "B": "1-Mg=="}
        assert platform.secret("central-secret-store", "both") is None
        role = platform.get(f"{RBAC}/roles/central-secret-store-reader-both")
        assert role["rules"][0]["resourceNames"] == ["left", "right"]
        values.write_vault({**platform.values, "right": {"b": "3"}}, vault, platform.password)
        rotated = platform.play("rotate", variables={**variables, "cluster_secrets_rotate_sources": "right"})
        assert rotated.recap["changed"] and platform.data("kargo", "both") == {"A": "1", "B": "1-Mw=="}
        explained = {"cluster_secrets_namespace": "kargo", "cluster_secrets_secret": "both"}
        assert "The chain is whole." in platform.play("explain", variables={**variables, **explained}).stdout
        for playbook, namespace, reason in (
            ("onboard", "n8n", "has no label that namespace 'n8n' could be given"),
            ("offboard", "kargo", "selects namespace 'kargo' by its 'namespace_selectors'"),
        ):
            place = {"cluster_secrets_namespace": namespace, "cluster_secrets_secret": "both"}
            refused = platform.play(playbook, variables={**variables, **place}, check=False)
            assert refused.rc != 0 and reason in refused.stdout, refused.stdout
    finally:
        prune = {"cluster_secrets_prune": ["entries", "masters"]}
        platform.play("bootstrap", variables=prune)
        platform.eventually(lambda: platform.secret("kargo", "both") is None, what="the end of the target")


def _audit(platform, **variables):
    report = platform.folder / "isolation.json"
    platform.play(
        "audit",
        variables={"cluster_secrets_report": str(report), "cluster_secrets_audit_fail_on": "never", **variables},
    )
    import json

    return json.loads(report.read_text())["findings"]


def test_settling_waits_for_eso_and_removes_nothing_until_then(bootstrapped, catalog):
    """ESO is down while the isolation changes: the old way stays open until it has moved everything."""
    platform = bootstrapped
    if not platform.plane:
        pytest.skip("needs the embedded control plane")
    platform.play("bootstrap", variables=ENTRY)
    before = targets(platform)
    deployment = "/apis/apps/v1/namespaces/external-secrets/deployments/external-secrets"
    platform.patch(deployment, {"spec": {"replicas": 0}})
    platform.eventually(
        lambda: not (platform.get(deployment).get("status") or {}).get("availableReplicas"), what="the end of ESO"
    )
    time.sleep(1)
    try:
        catalog = [one for one in catalog if one["name"] != "talos-config"]
        url = f"https://127.0.0.1:{platform.plane.port}"
        platform.module("cluster_secret_store", catalog=catalog, server_url=url)
        platform.module("cluster_external_secrets", catalog=catalog)
        settle = {"settle": {"server_url": url, "wait_timeout": 1}}
        outcome = platform.module("apply", catalog=catalog, parts=settle, check=False)
        assert (
            "17 ExternalSecret(s) still read through another store" in outcome.result["msg"]
            and "Nothing was removed" in outcome.result["msg"]
        )
        assert len(stores(platform)) == 8
    finally:
        platform.patch(deployment, {"spec": {"replicas": 1}})
    platform.play("bootstrap")
    assert stores(platform) == ["central-secret-store"] and targets(platform) == before


def test_two_hundred_entries_send_requests_by_pages(bootstrapped):
    platform = bootstrapped
    catalog = [entry(f"many-{number:03d}", []) for number in range(200)]
    options = {"catalog": catalog, "isolation": "entry", "store": "many", "wait": False}
    first = platform.module("cluster_secret_store", **options).result
    assert len([change for change in first["changes"] if change["kind"] == "ClusterSecretStore"]) == 201
    mark = platform.mark()
    again = platform.module("cluster_secret_store", **options).result
    assert not again["changed"] and again["api_requests"] <= 10 and platform.writes(mark) == []
    platform.module("cluster_secret_store", catalog=catalog, store="many", isolation="entry", state="absent")
    assert not [name for name in stores(platform) if name.startswith("many")]
    platform.play("bootstrap")


@pytest.mark.parametrize("seconds", [1.5])
def test_a_crash_in_the_middle_of_the_change(bootstrapped, seconds):
    """ansible is killed on the way; a rerun finishes, and no target is touched."""
    platform = bootstrapped
    if not platform.plane:
        pytest.skip("needs the embedded control plane")
    platform.play("bootstrap")
    before = targets(platform)
    argv = [
        "ansible-playbook",
        "platform.cluster_secrets.bootstrap",
        "-e",
        f"cluster_secrets_values_file={platform.vault}",
    ]
    argv += ["--vault-password-file", str(platform.password), "-e", "cluster_secrets_isolation=entry"]
    argv += ["-e", f"@{platform.environment['CLUSTER_SECRETS_TEST_VARS']}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(argv, env=platform.environment, cwd=platform.folder, start_new_session=True, **quiet)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    platform.play("bootstrap", variables=ENTRY)
    assert platform.play("bootstrap", variables=ENTRY).recap["changed"] == 0
    assert len(stores(platform)) == 8
    platform.play("bootstrap")
    assert stores(platform) == ["central-secret-store"] and targets(platform) == before


def test_an_upgrade_of_the_collection_changes_no_target(platform, tmp_path):
    """A cluster bootstrapped by the collection as of 7675966, which had neither isolation nor a hardened ESO."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "7675966"], capture_output=True, check=False)
    if archive.returncode:
        pytest.skip("needs the history of the repository")
    old = tmp_path / "source"
    old.mkdir()
    subprocess.run(["tar", "-x", "-C", str(old)], input=archive.stdout, check=True)
    collections = tmp_path / "collections"
    subprocess.run(
        ["ansible-galaxy", "collection", "build", "--output-path", str(tmp_path), str(old)],
        check=True,
        capture_output=True,
    )
    tarball = next(tmp_path.glob("platform-cluster_secrets-*.tar.gz"))
    subprocess.run(
        [
            "ansible-galaxy",
            "collection",
            "install",
            "--force",
            "--offline",
            "--no-deps",
            "-p",
            str(collections),
            str(tarball),
        ],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(old)
    with another(platform, "upgraded") as upgraded:
        upgraded.play("bootstrap", ANSIBLE_COLLECTIONS_PATH=str(collections))
        assert len(targets(upgraded)) == 17
        with Poller(upgraded) as poller:
            predicted = upgraded.play("bootstrap", "--check", ANSIBLE_COLLECTIONS_PATH=COLLECTIONS)
            done = upgraded.play("bootstrap", ANSIBLE_COLLECTIONS_PATH=COLLECTIONS)
        assert done.table == predicted.table != []
        assert poller.looks > 20 and poller.seen == []
        assert upgraded.play("bootstrap").recap["changed"] == 0


def test_no_tenant_holds_up_the_change(bootstrapped, catalog):
    """A target that can't be made, a forged ExternalSecret, a namespace that never ends: the doors close anyway."""
    platform = bootstrapped
    label, name = "secrets/cloudflare-api-token", "cloudflare-api-token"
    platform.play("bootstrap")
    for namespace in ("holds-up", "never-ends"):
        platform.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace, "labels": {label: "true"}}})
        platform.eventually(lambda namespace=namespace: platform.secret(namespace, name), what="the target")
    external = platform.get(f"{ESO}/namespaces/holds-up/externalsecrets/{name}")
    forged = {
        "apiVersion": external["apiVersion"],
        "kind": "ExternalSecret",
        "metadata": {"name": "loot", "ownerReferences": external["metadata"]["ownerReferences"]},
        "spec": {**external["spec"], "target": {"name": "loot"}},
    }
    platform.request("POST", f"{ESO}/namespaces/holds-up/externalsecrets", forged)
    # It is served, by the permission that the change takes away.
    platform.eventually(lambda: platform.secret("holds-up", "loot"), what="the loot")
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/secrets": "0"}}}
    platform.request("POST", "/api/v1/namespaces/holds-up/resourcequotas", quota)
    path = "/api/v1/namespaces/holds-up/resourcequotas/none"
    platform.eventually(lambda: (platform.get(path).get("status") or {}).get("hard"), what="the quota")
    time.sleep(1)
    platform.delete(f"/api/v1/namespaces/holds-up/secrets/{name}")
    stay = {"metadata": {"name": "stay", "finalizers": ["example.com/stay"]}}
    platform.request("POST", "/api/v1/namespaces/never-ends/configmaps", stay)
    platform.delete("/api/v1/namespaces/never-ends")
    platform.eventually(lambda: platform.secret("never-ends", name) is None, what="the end of the target")
    try:
        assert ("tenant-reads-store", "holds-up/loot") in {(one["check"], one["object"]) for one in _audit(platform)}
        done = platform.play(
            "bootstrap",
            variables={**ENTRY, "cluster_secrets_guard_mode": "enforce", "cluster_secrets_wait_timeout": 3},
            check=False,
        )
        # Only what the tenant holds up itself is reported.
        held_up = "1 of 18 targets were not synced" in done.stdout and "holds-up/" in done.stdout
        assert done.rc == 2 and held_up, done.output
        assert "ExternalSecret holds-up/loot: it uses ClusterSecretStore" in done.output
        assert platform.get(f"{RBAC}/roles/central-secret-store-reader")["rules"][0]["resourceNames"] == ["-"]
        findings = {one["check"] for one in _audit(platform, **ENTRY)}
        assert not {"isolation-unfinished", "may-label", "reads-every-source"} & findings
        policies = platform.request("GET", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings")
        assert {tuple(item["spec"]["validationActions"]) for item in policies["items"]} == {("Deny",)}
    finally:
        platform.module("admission_policies", catalog=catalog, state="absent")
        platform.patch("/api/v1/namespaces/never-ends/configmaps/stay", {"metadata": {"finalizers": None}})
        platform.delete("/api/v1/namespaces/holds-up/resourcequotas/none")
        platform.delete(f"{ESO}/namespaces/holds-up/externalsecrets/loot")
        for namespace in ("holds-up", "never-ends"):
            if platform.get(f"/api/v1/namespaces/{namespace}"):
                body = {"metadata": {"labels": {label: None}, "finalizers": None}}
                platform.patch(f"/api/v1/namespaces/{namespace}", body)
                platform.delete(f"/api/v1/namespaces/{namespace}")
        platform.eventually(
            lambda: not any(platform.get(f"/api/v1/namespaces/{name}") for name in ("holds-up", "never-ends")), 30
        )
        platform.play("bootstrap")


def test_a_change_that_was_cut_off_is_found(bootstrapped, catalog):
    """Between distribution and the end, the shared store is still open: the audit says so."""
    platform = bootstrapped
    chosen = [one for one in catalog if one["name"] != "talos-config"]
    url = {"server_url": f"https://127.0.0.1:{platform.plane.port}"} if platform.plane else {}
    platform.module("cluster_secret_store", catalog=chosen, isolation="entry", **url)
    found = {(one["check"], one["object"]) for one in _audit(platform, **ENTRY)}
    assert ("isolation-unfinished", "central-secret-store") in found
    platform.play("bootstrap", variables=ENTRY)
    assert not {one["check"] for one in _audit(platform, **ENTRY)} & {"isolation-unfinished", "wide-permission"}
    platform.play("bootstrap")
