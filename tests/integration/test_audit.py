# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit: clean where all is well; each hole is found where it is opened."""

from __future__ import annotations

import datetime
import json
import re
import subprocess

import pytest
from support import CANARY, Grants, browse, browser, found, leaked, talosconfig

ESO = "/apis/external-secrets.io/v1"
STORE_REF = {"name": "central-secret-store", "kind": "ClusterSecretStore"}


def test_a_bootstrapped_cluster_is_clean_but_for_a_vulnerable_eso(bootstrapped, catalog, vulnerable):
    bootstrapped.play("bootstrap")
    assert found(bootstrapped, catalog) == vulnerable
    outcome = bootstrapped.play("audit", check=False)
    assert outcome.rc == (2 if vulnerable else 0)
    assert not vulnerable or "the template function getSecretKey reads any Secret of the cluster" in outcome.stdout


def test_an_external_secret_that_a_tenant_took_for_himself(bootstrapped, catalog):
    """The API server takes an owner's group without a version, which neither ESO nor the garbage collector knows."""
    name, path = "cloudflare-api-token", f"{ESO}/namespaces/takes/externalsecrets/cloudflare-api-token"
    labels = {f"secrets/{name}": "true"}
    bootstrapped.request("POST", "/api/v1/namespaces", {"metadata": {"name": "takes", "labels": labels}})
    bootstrapped.eventually(lambda: bootstrapped.secret("takes", name), what="the target")
    (owner,) = bootstrapped.get(path)["metadata"]["ownerReferences"]
    taken = {"ownerReferences": [{**owner, "apiVersion": "external-secrets.io"}]}
    more = [{"secretKey": "loot", "remoteRef": {"key": "github-pat", "property": "token"}}]
    try:
        bootstrapped.patch(path, {"metadata": taken})
        bootstrapped.patch(path, {"spec": {"dataFrom": None, "data": more}})
        assert ("tenant-reads-store", "takes", name) in found(bootstrapped, catalog)
        target = {
            "metadata": {"ownerReferences": [{**owner, "apiVersion": "nope/v9", "kind": "Namespace", "name": "x"}]}
        }
        bootstrapped.patch(f"/api/v1/namespaces/takes/secrets/{name}", target)
        explained = bootstrapped.module("explain", catalog=catalog, namespace="takes", secret=name).result
        assert "elete Namespace" not in json.dumps(explained), explained
    finally:
        bootstrapped.delete(path)
        # ESO's finalizer stays where it could not do its work.
        bootstrapped.patch("/api/v1/namespaces/takes", {"metadata": {"labels": {f"secrets/{name}": None}}})
        bootstrapped.delete("/api/v1/namespaces/takes")
        bootstrapped.patch("/api/v1/namespaces/takes", {"metadata": {"finalizers": None}})
        bootstrapped.eventually(lambda: bootstrapped.get("/api/v1/namespaces/takes") is None, 60, "the namespace's end")


@pytest.fixture(scope="module")
def opened(bootstrapped):
    """The cluster with one of each hole."""
    p = bootstrapped
    secret = {"metadata": {"name": "cloudflare-api-token"}, "stringData": {"api-token": "x"}}
    for name in ("shadow", "copycat", "odd", "thief", "orphan"):
        p.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    # ESO takes a hand-made Secret over, unless the ClusterExternalSecret can't work in the namespace.
    p.request("POST", "/api/v1/namespaces/shadow/secrets", secret)
    blocking = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "cloudflare-api-token"},
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": {"name": "none"},
            "target": {"name": "other"},
            "dataFrom": [{"extract": {"key": "x"}}],
        },
    }
    p.request("POST", f"{ESO}/namespaces/shadow/externalsecrets", blocking)
    p.request("POST", "/api/v1/namespaces/copycat/secrets", secret)
    p.patch("/api/v1/namespaces/shadow", {"metadata": {"labels": {"secrets/cloudflare-api-token": "true"}}})
    p.patch(
        "/api/v1/namespaces/odd",
        {"metadata": {"labels": {"secrets/unknown": "true", "secrets/gh-oauth-credentials": "yes"}}},
    )
    orphan = "externalsecrets.external-secrets.io/ces-long-gone"
    p.patch("/api/v1/namespaces/orphan", {"metadata": {"finalizers": [orphan]}})
    steal = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "steal"},
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": STORE_REF,
            "target": {"name": "stolen"},
            "dataFrom": [{"extract": {"key": "github-pat"}}],
        },
    }
    p.request("POST", f"{ESO}/namespaces/thief/externalsecrets", steal)
    push = {
        "apiVersion": "external-secrets.io/v1alpha1",
        "kind": "PushSecret",
        "metadata": {"name": "push"},
        "spec": {
            "secretStoreRefs": [STORE_REF],
            "selector": {"secret": {"name": "none"}},
            "data": [{"match": {"remoteRef": {"remoteKey": "x"}}}],
        },
    }
    p.request("POST", "/apis/external-secrets.io/v1alpha1/namespaces/thief/pushsecrets", push)
    own = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore",
        "metadata": {"name": "own"},
        "spec": {
            "provider": {
                "kubernetes": {
                    "remoteNamespace": "central-secret-store",
                    "auth": {"serviceAccount": {"name": "default"}},
                }
            }
        },
    }
    p.request("POST", f"{ESO}/namespaces/thief/secretstores", own)
    role = {"metadata": {"name": "wide"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    p.request("POST", f"{rbac}/namespaces/central-secret-store/roles", role)
    binding = {
        "metadata": {"name": "wide"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "wide"},
        "subjects": [{"kind": "User", "name": "mallory", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    p.request("POST", f"{rbac}/namespaces/central-secret-store/rolebindings", binding)
    p.patch(f"{ESO}/clustersecretstores/central-secret-store", {"spec": {"conditions": None}})
    shadow = f"{ESO}/namespaces/shadow/externalsecrets/cloudflare-api-token"
    p.eventually(
        lambda: "False" in [one["status"] for one in ((p.get(shadow) or {}).get("status") or {}).get("conditions", [])],
        what="ESO's word",
    )
    yield p
    p.delete("/apis/external-secrets.io/v1alpha1/namespaces/thief/pushsecrets/push")
    p.delete(f"{rbac}/namespaces/central-secret-store/rolebindings/wide")
    p.delete(f"{rbac}/namespaces/central-secret-store/roles/wide")
    for name in ("shadow", "copycat", "odd", "orphan"):
        p.patch(
            f"/api/v1/namespaces/{name}",
            {"metadata": {"finalizers": None, "labels": {"secrets/cloudflare-api-token": None}}},
        )
    for name in ("shadow", "copycat", "odd", "thief", "orphan"):
        p.delete(f"/api/v1/namespaces/{name}")
    p.play("bootstrap")


EXPECTED = {
    ("shadowed-target", "shadow", "cloudflare-api-token"),
    ("hand-made-copy", "copycat", "cloudflare-api-token"),
    ("label-without-entry", "odd", "secrets/unknown"),
    ("label-value", "odd", "secrets/gh-oauth-credentials"),
    ("orphaned-finalizer", "orphan", "externalsecrets.external-secrets.io/ces-long-gone"),
    ("tenant-reads-store", "thief", "steal"),
    ("tenant-writes-store", "thief", "push"),
    ("tenant-opens-store", "thief", "own"),
    ("wide-permission", "central-secret-store", "User mallory"),
    ("store-open", None, "central-secret-store"),
}


def test_each_hole_is_found_and_nothing_else(opened, catalog, vulnerable):
    assert found(opened, catalog) == EXPECTED | vulnerable


def test_missing_source_and_left_over_entry(opened, catalog):
    unknown = [*catalog, {"name": "new", "source": "nowhere", "label": "secrets/new", "data": {"K": "k"}}]
    assert {("missing-source", None, "new"), ("not-distributed", None, "new")} <= found(opened, unknown)
    fewer = [entry for entry in catalog if entry["name"] != "kargo-git-credentials"]
    assert ("left-over-entry", None, "kargo-git-credentials") in found(opened, fewer)


def test_unserved_version(opened, catalog):
    """A version that was served when objects were stored, and is no longer."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/webhooks.generators.external-secrets.io"
    assert opened.get(path)
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pushsecrets.external-secrets.io"
    live = opened.get(crd)
    stored = live["status"]["storedVersions"]
    version = {**live["spec"]["versions"][0], "name": "v1alpha9", "served": False, "storage": False}
    opened.patch(crd, {"spec": {"versions": [*live["spec"]["versions"], version]}})
    opened.patch(crd + "/status", {"status": {"storedVersions": [*stored, "v1alpha9"]}})
    assert ("unserved-version", None, "pushsecrets.external-secrets.io") in found(opened, catalog)
    opened.patch(crd + "/status", {"status": {"storedVersions": stored}})
    opened.patch(crd, {"spec": {"versions": live["spec"]["versions"]}})


def test_a_distributed_talosconfig_is_named_with_its_role_its_end_and_its_readers(opened, catalog):
    entry = {"name": "talos-config", "source": "talos-config", "label": "secrets/talos-config", "extract": True}
    body = {"metadata": {"name": "talos-config"}, "stringData": {"config": talosconfig(48)}}
    sources = "/api/v1/namespaces/central-secret-store/secrets"
    opened.request("POST", sources, body)
    with Grants(opened) as grants:
        grants("talos-reader", role="edit", namespace="thief")
        opened.patch("/api/v1/namespaces/thief", {"metadata": {"labels": {"secrets/talos-config": "true"}}})
        try:
            others = [one for one in catalog if one["name"] != "talos-config"]
            outcome = opened.module("audit", catalog=[*others, entry])
        finally:
            opened.patch("/api/v1/namespaces/thief", {"metadata": {"labels": {"secrets/talos-config": None}}})
            opened.delete(f"{sources}/talos-config")
    (one,) = [one for one in outcome.result["findings"] if one["check"] == "talosconfig"]
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=48)
    assert one["severity"] == "error" and leaked(outcome.output) == []
    assert one["message"] == (
        "its key 'config' is a talosconfig with the role os:admin until %s; it is in thief, where "
        "User talos-reader may read it" % end.strftime("%Y-%m-%d")
    )


def test_exit_status_table_json_and_no_value(opened, tmp_path, vulnerable):
    report = tmp_path / "audit.json"
    outcome = opened.play("audit", "-vvvv", variables={"cluster_secrets_report": str(report)}, check=False)
    assert outcome.rc == 2 and re.search(r"\d+ error\(s\) and \d+ warning\(s\) were found", outcome.stdout)
    assert re.search(r"error +orphaned-finalizer +orphan ", outcome.stdout)
    told = outcome.stdout.partition("\nWhat to do:\n")[2].partition("\n\n")[0].splitlines()
    assert {line.partition(": ")[0] for line in told} >= {one[0] for one in EXPECTED}
    assert (
        "orphaned-finalizer: ansible-playbook platform.cluster_secrets.offboard -e cluster_secrets_namespace=orphan "
        "-e cluster_secrets_secret=long-gone" in told
    )
    assert opened.play("audit", variables={"cluster_secrets_audit_fail_on": "never"}).rc == 0
    document = json.loads(report.read_text())
    # What is mere information does not count.
    seen = {(one["check"], one["object"]) for one in document["findings"] if one["severity"] != "info"}
    assert seen == {(check, "/".join(filter(None, place))) for check, *place in EXPECTED | vulnerable}
    assert len(document["rows"]) == 18
    assert leaked(outcome.output) == [] and leaked(report.read_text()) == []


def test_the_page_in_a_real_browser(opened, catalog, tmp_path):
    page = tmp_path / "audit.html"
    opened.module("audit", catalog=catalog, html=str(page))
    text = page.read_text()
    assert leaked(text) == []
    assert not re.search(r"(src|href)=|@import|url\(", text), "the page must not load anything"
    # A script of the test's own reports what was laid out.
    script = """
      const rows = [...document.querySelectorAll('.matrix tbody tr')];
      report({
        rows: rows.filter(r => r.getBoundingClientRect().height > 0).length,
        synced: document.getElementById('synced').innerText,
        shadow: rows.find(r => r.cells[0].innerText === 'shadow').innerText,
        red: getComputedStyle(document.querySelector('#findings .bad')).color,
        wide: document.body.scrollWidth <= innerWidth});"""
    seen = browse(page, script, tmp_path)
    assert seen["rows"] == 14 and seen["synced"] == "17 of 18 synced"
    assert "failing" in seen["shadow"] or "missing" in seen["shadow"]
    assert seen["red"] == "rgb(179, 38, 30)" and seen["wide"]
    picture = tmp_path / "audit.png"
    subprocess.run(
        [*browser(tmp_path), f"--screenshot={picture}", page.as_uri()], capture_output=True, timeout=60, check=True
    )
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000


def test_what_somebody_typed(bootstrapped, catalog):
    """By the API server's record of who wrote it; in the central namespace whoever did."""
    platform, path = bootstrapped, "/api/v1/namespaces/%s/secrets"
    body = {"metadata": {"name": "typed"}, "stringData": {"key": CANARY}}
    for namespace, manager in (("default", "kubectl-create"), ("central-secret-store", "vault-sync")):
        platform.client.request("POST", path % namespace, {"fieldManager": manager}, body)
    disabled = [{**one, "enabled": one["name"] != "cloudflare-api-token"} for one in catalog]
    fewer = [one for one in catalog if one["name"] != "github-oauth-credentials"]
    checks = ("hand-made-secret", "hand-made-source", "left-over-source")

    def seen(entries):
        outcome = platform.module("audit", catalog=entries, check=False)
        assert leaked(outcome.output) == []
        return {
            (one["severity"], one["check"], one["object"])
            for one in outcome.result["findings"]
            if one["check"] in checks
        }

    typed = {
        ("info", "hand-made-secret", "default/typed"),
        ("warning", "hand-made-source", "central-secret-store/typed"),
    }
    try:
        assert seen(catalog) == seen(disabled) == typed
        assert seen(fewer) == typed | {("warning", "left-over-source", "central-secret-store/github-oauth")}
    finally:
        for namespace in ("default", "central-secret-store"):
            platform.delete(f"{path % namespace}/typed")
