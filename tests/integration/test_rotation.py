# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rotation touches what reads the rotated source, all of it, and nothing else; and two runs at a time."""

from __future__ import annotations

import base64
import time
from concurrent.futures import ThreadPoolExecutor

import handmade
import pytest
import yaml
from support import CANARY, another, entry, found

from controlplane import values

ESO = "/apis/external-secrets.io/v1"
APPS = "/apis/apps/v1"


def deployment(name, secret):
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": "KEY"}}}]
    pods = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "a", "image": "a:1", "env": env}]}}
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}, "template": pods}}


def given(platform, **sources):
    values.write_vault(
        {f"{name}-source": {"key": value} for name, value in sources.items()}, platform.vault, platform.password
    )


CATALOG = {
    "cluster_secrets_catalog": [entry(name, ["shop"], target=name) for name in ("leaked", "other", "blocked")],
    "cluster_secrets_rotate_restart": "restart",
}

#: The other entries are left out, and what they distribute is left behind.
WITHOUT_OTHERS = {"cluster_secrets_takeover": {"losses": "accept"}}


@pytest.fixture(scope="module")
def rotating(platform):
    """Three entries, of which the target of one can't be written, and a workload each of the two others."""
    with another(platform, "rotating") as own:
        given(own, leaked="one", other="one", blocked="one")
        own.play("bootstrap", variables=CATALOG)
        time.sleep(1.1)
        for name in ("leaked", "other"):
            own.request("POST", f"{APPS}/namespaces/shop/deployments", deployment(name, name))

            def rolled_out(name=name):
                return own.get(f"{APPS}/namespaces/shop/deployments/{name}").get("status", {}).get("readyReplicas")

            own.eventually(rolled_out, 60, "the workload")
        yield own


def test_a_namespace_that_nobody_waits_for_gets_the_new_value(rotating):
    own, path = rotating, "/api/v1/namespaces/shop/secrets/other"
    given(own, leaked="one", other="three", blocked="one")
    variables = {**CATALOG, "cluster_secrets_rotate_restart": "none", "cluster_secrets_except_namespaces": ["shop"]}
    done = own.play("rotate", variables=variables)
    assert done.recap["changed"] == 2, done.output
    own.eventually(lambda: own.data("shop", "other") == {"KEY": "three"}, what="the new value")
    assert own.get(path) and own.play("rotate", variables=variables).recap["changed"] == 0
    given(own, leaked="one", other="one", blocked="one")
    own.play("rotate", variables={**CATALOG, "cluster_secrets_rotate_restart": "none"})


def test_a_rotation_of_one_source_is_held_up_by_nothing_else(rotating):
    own = rotating
    # A stale workload that nobody asked to restart, and a target that ESO can't write.
    time.sleep(1.1)
    given(own, leaked="one", other="two", blocked="one")
    own.play("rotate", variables={**CATALOG, "cluster_secrets_rotate_restart": "none"})
    path = "/api/v1/namespaces/shop/secrets/blocked"
    own.delete(f"{ESO}/clusterexternalsecrets/blocked")
    own.eventually(lambda: not own.get(path), what="the target's end")
    held = {
        "metadata": {
            "name": "blocked",
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "uid": "1", "controller": True}
            ],
        }
    }
    config = own.request("POST", "/api/v1/namespaces/shop/configmaps", {"metadata": {"name": "none"}})
    held["metadata"]["ownerReferences"][0]["uid"] = config["metadata"]["uid"]
    own.request("POST", "/api/v1/namespaces/shop/secrets", held)
    before = own.get(f"{APPS}/namespaces/shop/deployments/other")["metadata"]["generation"]
    untouched = own.get(path)["metadata"]["resourceVersion"], own.secret("shop", "other")["metadata"]["resourceVersion"]
    given(own, leaked="two", other="two", blocked="one")
    started = time.monotonic()
    outcome = own.play("rotate", variables={**CATALOG, "cluster_secrets_rotate_sources": "leaked-source"})
    assert time.monotonic() - started < 60, outcome.stdout
    assert own.data("shop", "leaked") == {"KEY": "two"}
    template = own.get(f"{APPS}/namespaces/shop/deployments/leaked")["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    assert own.get(f"{APPS}/namespaces/shop/deployments/other")["metadata"]["generation"] == before
    assert (
        own.get(path)["metadata"]["resourceVersion"],
        own.secret("shop", "other")["metadata"]["resourceVersion"],
    ) == untouched


def test_without_named_sources_what_changed_comes_first(rotating):
    """The exit status still says that a target is broken, after the restarts."""
    own = rotating
    time.sleep(1.1)
    given(own, leaked="three", other="two", blocked="one")
    more = {"cluster_secrets_wait_timeout": 5, "cluster_secrets_prune": []}
    before = own.get(f"{APPS}/namespaces/shop/deployments/leaked")["metadata"]["generation"]
    outcome = own.play("rotate", variables={**CATALOG, **more}, check=False)
    assert outcome.rc == 2 and "shop/blocked is" in outcome.stdout, outcome.stdout
    assert own.data("shop", "leaked") == {"KEY": "three"}
    assert own.get(f"{APPS}/namespaces/shop/deployments/leaked")["metadata"]["generation"] > before


def test_what_was_kept_beside_the_catalog_gets_the_new_value_too(platform):
    with another(platform, "kept") as own:
        handmade.make(own, "v1")
        # Two master Secrets in one, by a label of the kind that entries have; the catalog serves all that it reads.
        labels = {"secrets/login": "true", "secrets/gh-docker-registry": "true", "secrets/gh-oauth-credentials": "true"}
        own.request("POST", "/api/v1/namespaces", {"metadata": {"name": "portal", "labels": labels}})
        data = [handmade.ref("ID", "github-oauth", "GITHUB_CLIENT_ID"), handmade.ref("TOKEN", "github-pat", "token")]
        # In a form that no entry can express.
        template = {"mergePolicy": "Merge", "data": {"SHORT": "{{ .ID | trunc 3 }}"}}
        login = handmade.distributed("login", "secrets/login", {"name": "login", "template": template}, data=data)
        made = {"apiVersion": "external-secrets.io/v1", "kind": "ClusterExternalSecret", **login}
        own.request("POST", f"{ESO}/clusterexternalsecrets", made)
        own.eventually(lambda: own.secret("portal", "login"), what="the Secret of two masters")
        own.play("adopt", variables={"cluster_secrets_dest": "adopted"})
        arguments = ("-e", f"@{own.folder / 'adopted' / 'cluster_secrets.yml'}")
        own.play("bootstrap", *arguments)
        catalog = yaml.safe_load((own.folder / "adopted/cluster_secrets.yml").read_text())["cluster_secrets_catalog"]
        checks = {one for one in found(own, catalog) if one[2] in ("login", "secrets/login")}
        assert checks == {("kept-consumer", None, "login")}
        # One that was not kept, in a namespace that the store admits.
        spec = {
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": handmade.CENTRAL},
            "data": [handmade.ref("t", "github-pat", "token")],
        }
        typed = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "tenants"}}
        own.request("POST", f"{ESO}/namespaces/n8n/externalsecrets", {**typed, "spec": spec})
        own.eventually(lambda: own.secret("n8n", "tenants"), what="the tenant's Secret")
        foreign = own.get(f"{ESO}/namespaces/n8n/externalsecrets/tenants")["metadata"]
        vault = own.folder / "adopted/cluster_secrets.vault.yml"
        new = values.read_vault(vault, own.password)
        new["github-pat"]["token"] = f"{CANARY}-new"
        values.write_vault(new, vault, own.password)
        predicted = own.play(
            "rotate", "--check", *arguments, variables={"cluster_secrets_rotate_sources": ["github-pat"]}
        )
        outcome = own.play("rotate", *arguments, variables={"cluster_secrets_rotate_sources": ["github-pat"]})
        assert own.data("two", "two")["token"] == f"{CANARY}-new"
        assert own.data("portal", "login")["TOKEN"] == f"{CANARY}-new"
        assert predicted.table == outcome.table != []
        assert "ExternalSecret n8n/tenants may hold the old value" in outcome.stdout, outcome.stdout
        assert "kubectl annotate externalsecret tenants --namespace n8n" in outcome.stdout
        after = own.get(f"{ESO}/namespaces/n8n/externalsecrets/tenants")["metadata"]
        assert after["generation"] == foreign["generation"] and after.get("annotations") == foreign.get("annotations")
        # What was kept is known to those who ask, too.
        kept = ["-e", "cluster_secrets_show_consumers=false", *arguments]
        assert (
            "Secret(s) were kept beside the catalog. ESO is ready with all of them." in own.play("status", *kept).stdout
        )
        asked = {"cluster_secrets_namespace": "portal", "cluster_secrets_secret": "login"}
        explained = own.play("explain", *arguments, variables=asked)
        assert "no catalog entry makes it, but ExternalSecret portal/login of" in " ".join(explained.stdout.split())
        # bootstrap brings new values, too, and so does restore with old ones.
        own.play("backup", variables={"cluster_secrets_backup_file": "before.yml"})
        new["github-pat"]["token"] = f"{CANARY}-third"
        values.write_vault(new, vault, own.password)
        assert "ExternalSecret n8n/tenants may hold" in own.play("bootstrap", *arguments).stdout
        assert own.data("portal", "login")["TOKEN"] == f"{CANARY}-third"
        own.play("restore", *arguments, variables={"cluster_secrets_backup_file": "before.yml"})
        assert own.data("portal", "login")["TOKEN"] == f"{CANARY}-new"
        # A run that was stopped after its first write: the next one knows of no change any more.
        given = {"catalog": catalog, "values": new, "sources": ["github-pat"], "preflight": "values"}
        own.module("central_secrets", **given)
        assert own.data("portal", "login")["TOKEN"] == f"{CANARY}-new"
        own.play("rotate", *arguments)
        assert own.data("portal", "login")["TOKEN"] == f"{CANARY}-third"
        mark = own.mark()
        own.play("rotate", *arguments)
        assert own.writes(mark) == []


GENERATED = {
    "cluster_secrets_catalog": [
        entry(f"made-{number}", [f"made-{number}"], generate={"key": {}}, target="made") for number in range(6)
    ],
    "cluster_secrets_values_from": "variable",
    "cluster_secrets_values": {},
}


def test_two_bootstraps_at_once_make_one_set_of_values(platform):
    with another(platform, "twice") as own:
        own.play("bootstrap", variables={**GENERATED, "cluster_secrets_catalog": []})
        own.plane.bound = False
        with ThreadPoolExecutor(2) as pool:
            runs = [pool.submit(own.play, "bootstrap", variables=GENERATED, check=False) for _number in range(2)]
            outcomes = [run.result() for run in runs]
        for outcome in outcomes:
            assert outcome.rc == 0 or "Run this again" in outcome.stdout, outcome.stdout
        for number in range(6):
            master = own.data("central-secret-store", f"made-{number}-source")["key"]
            assert own.data(f"made-{number}", "made") == {"KEY": master}
        assert own.play("bootstrap", variables=GENERATED).recap["changed"] == 0


def test_a_restored_key_leaves_with_the_values(platform, bootstrapped, tmp_path):
    """A restore doesn't make keys stay that have left the values; what others put there stays."""
    own = bootstrapped
    catalog = [entry("whole", ["whole"], extract=True, data=None)]
    catalog[0].pop("data")
    options = {"catalog": catalog, "store_namespace": "central-secret-store"}
    both = {"whole-source": {"a": "1-of-whole", "b": "2-of-whole"}}
    own.module("central_secrets", values=both, **options)
    path = "/api/v1/namespaces/central-secret-store/secrets/whole-source"
    own.patch(path, {"data": {"theirs": base64.b64encode(b"theirs").decode()}})
    saved = str(tmp_path / "saved.vault.yml")
    own.play("backup", variables={"cluster_secrets_backup_file": saved})
    try:
        own.delete(path)
        own.play("restore", variables={"cluster_secrets_backup_file": saved, "cluster_secrets_restore_verify": "false"})
        assert set(own.data("central-secret-store", "whole-source")) == {"a", "b", "theirs"}
        own.module("central_secrets", values={"whole-source": {"a": "1-of-whole"}}, **options)
        assert set(own.data("central-secret-store", "whole-source")) == {"a", "theirs"}
    finally:
        own.delete(path)


def test_a_backup_of_another_cluster_is_restored_only_where_it_is_said(rotating, bootstrapped, tmp_path):
    saved = str(tmp_path / "saved.vault.yml")
    bootstrapped.play("backup", variables={"cluster_secrets_backup_file": saved})
    password = ("--vault-password-file", str(bootstrapped.password))
    mark = rotating.mark()
    refused = rotating.play(
        "restore", *password, variables={**CATALOG, "cluster_secrets_backup_file": saved}, check=False
    )
    uid = rotating.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    assert (
        refused.rc == 2
        and "is of another cluster" in refused.stdout
        and f"cluster_secrets_restore_into) to {uid}" in refused.stdout
    )
    assert rotating.writes(mark) == []
    said = {
        **CATALOG,
        "cluster_secrets_backup_file": saved,
        "cluster_secrets_restore_into": uid,
        "cluster_secrets_restore_verify": False,
    }
    rotating.play("restore", *password, variables=said)
    assert rotating.data("central-secret-store", "github-pat") == bootstrapped.data(
        "central-secret-store", "github-pat"
    )


@pytest.mark.parametrize("playbook", ["bootstrap", "rotate", "onboard"])
def test_a_namespace_that_failed_once_is_healed_by_the_next_run(rotating, playbook):
    """ESO itself tries again after an hour; whatever made it fail, a quota here, is over."""
    own, namespace = rotating, f"healed-{playbook}"
    own.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    hard = {"hard": {"count/externalsecrets.external-secrets.io": "0"}}
    quota = f"/api/v1/namespaces/{namespace}/resourcequotas"
    own.request("POST", quota, {"metadata": {"name": "none"}, "spec": hard})
    own.eventually(lambda: own.get(f"{quota}/none").get("status", {}).get("hard"), 60, "the quota")
    own.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": {"secrets/leaked": "true"}}})
    entries = [one for one in CATALOG["cluster_secrets_catalog"] if one["name"] == "leaked"]
    variables = {"cluster_secrets_catalog": entries, "cluster_secrets_wait_timeout": 8, **WITHOUT_OTHERS}
    path = f"{ESO}/clusterexternalsecrets/leaked"
    own.eventually(lambda: namespace in str(own.get(path)["status"].get("failedNamespaces")), what="the failure")
    failed = own.play("bootstrap", variables=variables, check=False)
    assert failed.rc == 2 and f"{namespace}/leaked is" in failed.stdout, failed.stdout
    own.delete(f"{quota}/none")
    more = {"cluster_secrets_namespace": namespace, "cluster_secrets_secret": "leaked"} if playbook == "onboard" else {}
    own.play(playbook, variables={**variables, **more, "cluster_secrets_wait_timeout": 60})
    assert own.data(namespace, "leaked") == own.data("shop", "leaked")
    own.delete(f"/api/v1/namespaces/{namespace}")


def test_a_namespace_that_is_deleted_meanwhile_is_no_failure(rotating):
    own = rotating
    own.request("POST", "/api/v1/namespaces", {"metadata": {"name": "leaving", "labels": {"secrets/leaked": "true"}}})
    hard = {"hard": {"count/secrets": "0"}}
    own.request("POST", "/api/v1/namespaces/leaving/resourcequotas", {"metadata": {"name": "none"}, "spec": hard})
    entries = [one for one in CATALOG["cluster_secrets_catalog"] if one["name"] == "leaked"]
    own.plane.bound = False
    with ThreadPoolExecutor(1) as pool:
        variables = {"cluster_secrets_catalog": entries, **WITHOUT_OTHERS}
        run = pool.submit(own.play, "bootstrap", variables=variables, check=False)
        time.sleep(10)
        own.delete("/api/v1/namespaces/leaving")
        outcome = run.result()
    assert outcome.rc == 0, outcome.stdout
