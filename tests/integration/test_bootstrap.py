# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootstrap from nothing: what check mode says, what a run does, what a second run doesn't."""

from __future__ import annotations

import base64
import json
import re
import shlex

import pytest
from handmade import distributed, ref
from support import CANARY, entry, leaked, values


def task_results(outcome):
    """{task: 'ok' or 'changed'} of a playbook's output, skipped tasks left out."""
    return dict(re.findall(r"^TASK \[(.*?)\] \**\n(?:.*\n)*?(ok|changed): \[localhost\]", outcome.stdout, re.MULTILINE))


EXTERNALS = "/apis/external-secrets.io/v1/namespaces"

EXPECTED = {
    ("backstage", "gh-docker-registry-creds"),
    ("backstage-catalog-api", "gh-docker-registry-creds"),
    ("code-server", "gh-docker-registry-creds"),
    ("image-factory-kargo", "gh-docker-registry-creds"),
    ("ai-dev", "gh-docker-registry-creds"),
    ("n8n", "gh-docker-registry-creds"),
    ("n8n-operator-system", "gh-docker-registry-creds"),
    ("backstage", "gh-oauth"),
    ("market-making", "gh-oauth"),
    ("argocd", "git-credentials"),
    ("backstage-kargo", "git-credentials"),
    ("image-factory-kargo", "git-credentials"),
    ("kargo", "kargo-admin-credentials"),
    ("kargo-cluster-secrets", "kargo-admin-credentials"),
    ("cert-manager", "cloudflare-api-token"),
    ("code-server", "code-server-ssh-key"),
    ("market-making", "metrics-service-credentials"),
}


def test_the_leak_finder_finds():
    for value in ("a" + CANARY, "ab" + CANARY + "c", "abc" + CANARY + "cd"):
        assert leaked(base64.b64encode(value.encode()).decode())


def test_check_mode_then_run_then_again(platform):
    """The three runs in one test, because the first two exist only once for a cluster."""
    mark = platform.mark()
    predicted = platform.play("bootstrap", "--check", "--diff", "-vvvv")
    assert platform.writes(mark) == []
    done = platform.play("bootstrap", "--diff", "-vvvv")
    assert done.recap["changed"] > 0
    assert task_results(predicted) == task_results(done) and predicted.table == done.table != []
    mark = platform.mark()
    again = platform.play("bootstrap", "--diff", "-vvvv")
    assert again.recap["changed"] == 0
    assert platform.writes(mark) == []
    for outcome in (predicted, done, again):
        assert "Apply the catalog" in outcome.stdout
        assert leaked(outcome.output) == []


def test_no_value_in_any_log_or_file(bootstrapped):
    for log in bootstrapped.plane.run.glob("*.log"):
        assert leaked(log.read_text(errors="replace")) == [], log


def test_all_pairs_hold_the_right_type_keys_and_values(bootstrapped):
    v = bootstrapped.values
    pat, oauth, kargo = v["github-pat"], v["github-oauth"], v["kargo-admin-credentials"]
    kucoin = v["market-making-kucoin-credentials"]
    contents = {
        "gh-oauth": {
            "GITHUB_CLIENT_ID": oauth["client-id"],
            "GITHUB_CLIENT_SECRET": oauth["client-secret"],
            "GITHUB_TOKEN": oauth["token"],
        },
        "git-credentials": {
            "repoURL": r"^https://github\.com/.+$",
            "repoURLIsRegex": "true",
            "username": pat["username"],
            "password": pat["token"],
        },
        "kargo-admin-credentials": {
            "ADMIN_ACCOUNT_PASSWORD_HASH": kargo["password-hash"],
            "ADMIN_ACCOUNT_TOKEN_SIGNING_KEY": kargo["token-signing-key"],
        },
        "cloudflare-api-token": {"api-token": v["cloudflare-api-token"]["api-token"]},
        "code-server-ssh-key": {"ssh-privatekey": v["code-server-ssh-key"]["ssh-privatekey"]},
        "metrics-service-credentials": {
            "KUCOIN_API_KEY": kucoin["api-key"],
            "KUCOIN_API_SECRET": kucoin["api-secret"],
            "KUCOIN_API_PASSPHRASE": kucoin["api-passphrase"],
        },
    }
    assert len(EXPECTED) == 17
    for namespace, name in EXPECTED:
        secret = bootstrapped.secret(namespace, name)
        data = bootstrapped.data(namespace, name)
        assert secret["metadata"]["labels"]["managed-by"] == "external-secrets"
        if name == "gh-docker-registry-creds":
            assert secret["type"] == "kubernetes.io/dockerconfigjson"
            auth = base64.b64encode(f"{pat['username']}:{pat['token']}".encode()).decode()
            wanted = {"auths": {"ghcr.io": {"username": pat["username"], "password": pat["token"], "auth": auth}}}
            assert json.loads(data[".dockerconfigjson"]) == wanted
        else:
            assert secret["type"] == "Opaque"
            assert data == contents[name]
    kargo_label = bootstrapped.secret("argocd", "git-credentials")["metadata"]["labels"]["kargo.akuity.io/cred-type"]
    assert kargo_label == "git"


def test_no_other_namespace_holds_any(bootstrapped):
    listed = bootstrapped.request("GET", "/api/v1/secrets?labelSelector=managed-by%3Dexternal-secrets")["items"]
    assert {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in listed} == EXPECTED
    names = {name for _namespace, name in EXPECTED}
    everywhere = bootstrapped.request("GET", "/api/v1/secrets")["items"]
    places = {
        (item["metadata"]["namespace"], item["metadata"]["name"])
        for item in everywhere
        if item["metadata"]["name"] in names
    }
    assert {place for place in places if place[0] != "central-secret-store"} == EXPECTED


def test_status_shows_every_pair(bootstrapped):
    outcome = bootstrapped.play("status")
    assert "17 targets are synced" in outcome.stdout
    for namespace, name in EXPECTED:
        assert re.search(rf"{namespace} +{name} +synced", outcome.stdout)
    assert leaked(outcome.output) == []


def test_a_hand_edit_of_ours_is_taken_back_and_a_foreign_field_kept(bootstrapped):
    path = "/apis/external-secrets.io/v1/clusterexternalsecrets/cloudflare-api-token"
    bootstrapped.patch(
        path, {"metadata": {"labels": {"team": "edge"}}, "spec": {"externalSecretSpec": {"refreshInterval": "3h0m0s"}}}
    )
    first = bootstrapped.play("bootstrap")
    assert first.recap["changed"] == 1
    live = bootstrapped.get(path)
    assert live["spec"]["externalSecretSpec"]["refreshInterval"] == "1h0m0s"
    assert live["metadata"]["labels"]["team"] == "edge"
    assert bootstrapped.play("bootstrap").recap["changed"] == 0


def test_rotation_writes_once_for_the_source_and_once_for_each_entry(bootstrapped):
    platform = bootstrapped
    changed = json.loads(json.dumps(platform.values))
    changed["github-pat"]["token"] = f"ghp_{CANARY}rotated"
    values.write_vault(changed, platform.vault, platform.password)
    mark = platform.mark()
    predicted = platform.play("rotate", "--check")
    assert platform.writes(mark) == []
    mark = platform.mark()
    done = platform.play("rotate", "-vvvv", "--diff")
    assert leaked(done.output) == []
    assert sorted(write.split("?")[0] for write in platform.writes(mark)) == [
        "patch /api/v1/namespaces/central-secret-store/secrets/github-pat",
        "patch /apis/external-secrets.io/v1/clusterexternalsecrets/application-docker-registry",
        "patch /apis/external-secrets.io/v1/clusterexternalsecrets/kargo-git-credentials",
    ]
    assert predicted.table == done.table != []
    for namespace in ("argocd", "backstage-kargo", "image-factory-kargo"):
        assert platform.data(namespace, "git-credentials")["password"] == changed["github-pat"]["token"]
    mark = platform.mark()
    assert platform.play("rotate").recap["changed"] == 0
    assert platform.writes(mark) == []
    platform.values = changed


def test_onboard_and_offboard_a_namespace(bootstrapped):
    platform = bootstrapped
    variables = {
        "cluster_secrets_namespace": "team-a",
        "cluster_secrets_namespaces_missing": "create",
        "cluster_secrets_secret": ["application-docker-registry", "cloudflare-api-token"],
    }
    assert platform.play("onboard", variables=variables).recap["changed"] == 1
    assert platform.secret("team-a", "gh-docker-registry-creds") and platform.secret("team-a", "cloudflare-api-token")
    assert platform.play("onboard", variables=variables).recap["changed"] == 0
    gone = {"cluster_secrets_namespace": "team-a", "cluster_secrets_secret": "cloudflare-api-token"}
    assert platform.play("offboard", "--check", variables=gone).recap["changed"] == 1
    assert platform.play("offboard", variables=gone).recap["changed"] == 1
    mark = platform.mark()
    assert platform.play("offboard", variables=gone).recap["changed"] == 0 and platform.writes(mark) == []
    platform.eventually(lambda: platform.secret("team-a", "cloudflare-api-token") is None)
    assert platform.secret("team-a", "gh-docker-registry-creds")
    held = platform.get("/api/v1/namespaces/team-a")["metadata"]["finalizers"]
    assert held == ["externalsecrets.external-secrets.io/ces-application-docker-registry"]
    platform.play("offboard", variables={**gone, "cluster_secrets_secret": ["application-docker-registry"]})
    platform.delete("/api/v1/namespaces/team-a")
    platform.eventually(lambda: platform.get("/api/v1/namespaces/team-a") is None, what="the deletion of the namespace")


def test_a_namespace_that_does_not_exist_is_not_onboarded(bootstrapped, tmp_path):
    variables = {"cluster_secrets_namespace": "back-stage", "cluster_secrets_secret": "cloudflare-api-token"}
    mark = bootstrapped.mark()
    refused = bootstrapped.play("onboard", variables=variables, check=False)
    assert refused.rc == 2 and bootstrapped.writes(mark) == []
    assert "back-stage. Did you mean 'backstage'? Create them" in refused.output
    # What the inventory says of a bootstrap's namespaces is nothing about a name that was mistyped.
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("all: {hosts: {localhost: {cluster_secrets_namespaces_missing: create}}}")
    refused = bootstrapped.play("onboard", "-i", str(inventory), variables=variables, check=False)
    assert refused.rc == 2 and "back-stage. Did you mean" in refused.output, refused.output


@pytest.mark.parametrize("playbook", ["onboard", "offboard"])
def test_nothing_is_no_list_of_entries(bootstrapped, playbook):
    """A variable of a shell that isn't set, or an answer that was left out: nothing was done, and that is said."""
    given = {"cluster_secrets_namespace": "backstage", "cluster_secrets_secret": ""}
    refused = bootstrapped.play(playbook, variables=given, check=False)
    assert refused.rc == 2 and "Say which" in refused.stdout


def test_offboard_by_the_audits_words(bootstrapped):
    """A label that somebody removed, and an entry that is long gone, each leave a finalizer; nobody else loses any."""
    platform, path = bootstrapped, "/api/v1/namespaces/left"
    gone, kept = (f"externalsecrets.external-secrets.io/ces-{name}" for name in ("long-gone", "theirs"))
    platform.request("POST", "/api/v1/namespaces", {"metadata": {"name": "left", "finalizers": [gone]}})
    onboard = {"cluster_secrets_namespace": "left", "cluster_secrets_secret": "cloudflare-api-token"}
    platform.play("onboard", variables=onboard)
    platform.patch(path, {"metadata": {"labels": {"secrets/cloudflare-api-token": None}}})
    others = {
        item["metadata"]["name"]: item["metadata"].get("finalizers")
        for item in platform.request("GET", "/api/v1/namespaces")["items"]
        if item["metadata"]["name"] != "left"
    }
    done = platform.play("audit", check=False)
    commands = [line.partition(": ")[2] for line in done.stdout.splitlines() if line.startswith("orphaned-finalizer: ")]
    assert len(commands) == 1 and " -e cluster_secrets_namespace=left " in commands[0]
    name, *arguments = shlex.split(commands[0].partition(" (and ")[0])[1:]
    platform.play(name.rpartition(".")[2], *arguments)
    platform.play(
        "offboard",
        variables={"cluster_secrets_namespace": "left", "cluster_secrets_secret": "long-gone, cloudflare-api-token"},
    )
    assert "finalizers" not in platform.get(path)["metadata"]
    there = platform.request("GET", "/api/v1/namespaces")["items"]
    assert others == {
        item["metadata"]["name"]: item["metadata"].get("finalizers")
        for item in there
        if item["metadata"]["name"] != "left"
    }
    warned = platform.play(
        "offboard", variables={"cluster_secrets_namespace": "left", "cluster_secrets_secret": "typo"}
    )
    assert "has nothing of 'typo', and there is no enabled catalog entry of that name" in warned.output
    listed = platform.play(
        "offboard",
        "--check",
        variables={"cluster_secrets_namespace": "kargo", "cluster_secrets_secret": "kargo-admin-credentials"},
    )
    assert "lists namespace 'kargo' in its entry 'kargo-admin-credentials'" in " ".join(listed.output.split())
    # What selects the namespace still would put its finalizer back.
    theirs = distributed("theirs", "kubernetes.io/metadata.name", {"name": "theirs"}, data=[ref("a", "b", "c")])
    theirs["spec"]["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": "left"}}
    ces = "/apis/external-secrets.io/v1/clusterexternalsecrets"
    platform.request("POST", ces, {"apiVersion": "external-secrets.io/v1", "kind": "ClusterExternalSecret", **theirs})
    try:
        platform.eventually(lambda: kept in (platform.get(path)["metadata"].get("finalizers") or []), what="ESO's look")
        refused = platform.play(
            "offboard", variables={"cluster_secrets_namespace": "left", "cluster_secrets_secret": "theirs"}, check=False
        )
        assert refused.rc == 2 and "ClusterExternalSecret 'theirs' gives namespace 'left' its Secret" in refused.output
    finally:
        platform.delete(f"{ces}/theirs")
        platform.eventually(lambda: not platform.get(f"{ces}/theirs"), what="its end")
    platform.play("offboard", variables={"cluster_secrets_namespace": "left", "cluster_secrets_secret": "theirs"})
    platform.delete(path)
    platform.eventually(lambda: platform.get(path) is None, what="the deletion of the namespace")


def test_nobody_loses_what_a_label_of_others_gave(bootstrapped, catalog):
    """One label for two entries, two values of one label, a Secret that somebody made, and exclusive labels."""
    platform, path = bootstrapped, "/api/v1/namespaces/tiers"
    platform.request("POST", "/api/v1/namespaces", {"metadata": {"name": "tiers"}})
    tiers = [
        entry("silver", [], label="secrets/tier=silver", source="cloudflare-api-token", data={"K": "api-token"}),
        entry("gold", [], label="secrets/tier=gold", source="cloudflare-api-token", data={"K": "api-token"}),
        entry("also", [], label="secrets/tier=silver", source="cloudflare-api-token", data={"K": "api-token"}),
        {**entry("named", [], source="cloudflare-api-token", data={"K": "api-token"}), "namespaces_by_name": ["kargo"]},
        entry("mesh", [], label="mesh=on", source="cloudflare-api-token", data={"K": "api-token"}),
    ]
    del tiers[3]["label"]
    extra = {"cluster_secrets_catalog_extra": tiers}

    def run(playbook, names, refusal=None):
        given = {**extra, "cluster_secrets_namespace": "tiers", "cluster_secrets_secret": names}
        done = platform.play(playbook, variables=given, check=not refusal)
        if refusal:
            assert done.rc == 2 and refusal in " ".join(done.output.split()), done.output
        return done

    platform.play("bootstrap", variables=extra)
    try:
        run("onboard", ["silver", "gold"], "can't carry both secrets/tier=silver and secrets/tier=gold")
        run("onboard", ["named"], "entry 'named' has no label that namespace 'tiers' could be given")
        run("onboard", ["silver", "mesh"])
        for name in ("silver", "also"):
            platform.eventually(lambda name=name: platform.secret("tiers", name), what="what the label gives")
        run("onboard", ["gold"], "by which it has what 'silver' distributes, and 'gold' would take that away")
        run("offboard", ["silver"], "gives namespace 'tiers' what 'also' distributes, too")
        run("offboard", ["mesh"], "kubectl label namespace tiers mesh-")
        before = platform.get(path)
        run("offboard", ["gold"])
        assert platform.get(path)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        # Onboarding one namespace says nothing of the others, however exclusive the labels are.
        labels = {
            item["metadata"]["name"]: item["metadata"].get("labels")
            for item in platform.request("GET", "/api/v1/namespaces")["items"]
        }
        exclusive = {
            "cluster_secrets_prune": ["labels"],
            "cluster_secrets_namespace": "tiers",
            "cluster_secrets_namespaces_missing": "create",
        }
        platform.play("onboard", variables={**extra, **exclusive, "cluster_secrets_secret": ["silver"]})
        assert labels == {
            item["metadata"]["name"]: item["metadata"].get("labels")
            for item in platform.request("GET", "/api/v1/namespaces")["items"]
        }
        # The role, with its second task, takes from nobody what the catalog gives.
        result = platform.module(
            "namespace_labels",
            catalog=catalog + tiers,
            assignments={"tiers": ["silver"]},
            exclusive=True,
            check_mode=True,
        ).result
        assert {one["name"] for one in result["changes"]} <= {"tiers"}
        run("offboard", ["silver", "also"])
        platform.patch(path, {"metadata": {"labels": {"mesh": None}}})
        run("offboard", ["mesh"])
        platform.eventually(lambda: platform.secret("tiers", "silver") is None)
        # ESO would write over it, and offboarding would remove it.
        body = {"metadata": {"name": "silver"}, "stringData": {"K": f"{CANARY}-theirs"}}
        platform.eventually(lambda: platform.get(f"{EXTERNALS}/tiers/externalsecrets/silver") is None)
        platform.request("POST", f"{path}/secrets", body)
        run("onboard", ["silver"], "Secret 'silver' in namespace 'tiers' was not made by ESO")
        assert platform.data("tiers", "silver") == {"K": f"{CANARY}-theirs"}
    finally:
        platform.play("bootstrap", variables={"cluster_secrets_prune": ["entries"]})
        platform.delete(path)
        platform.eventually(lambda: platform.get(path) is None, what="the deletion of the namespace")


def test_pruning_leaves_the_values_of_what_is_switched_off(bootstrapped):
    platform = bootstrapped
    prune = {"cluster_secrets_prune": ["entries", "masters"]}
    platform.play("bootstrap", variables={**prune, "cluster_secrets_disabled": ["cloudflare-api-token"]})
    assert platform.secret("central-secret-store", "cloudflare-api-token")
    platform.play("bootstrap")
    assert platform.secret("cert-manager", "cloudflare-api-token")


def test_adding_a_secret_is_one_entry_and_its_value(bootstrapped):
    platform = bootstrapped
    extra = {"cluster_secrets_catalog_extra": [entry("extra", ["n8n"])]}
    values.write_vault({**platform.values, "extra-source": {"key": CANARY}}, platform.vault, platform.password)
    platform.play("bootstrap", variables=extra)
    assert platform.data("n8n", "extra") == {"KEY": CANARY}
    # and taking it away again is taking the entry away, with pruning on request
    prune = {"cluster_secrets_prune": ["entries", "masters"]}
    platform.play(
        "onboard",
        variables={
            "cluster_secrets_namespace": "kept",
            "cluster_secrets_namespaces_missing": "create",
            "cluster_secrets_secret": "cloudflare-api-token",
        },
    )
    values.write_vault(platform.values, platform.vault, platform.password)
    platform.play("bootstrap", variables=prune)
    platform.eventually(lambda: platform.secret("n8n", "extra") is None)
    assert platform.get("/apis/external-secrets.io/v1/clusterexternalsecrets/extra") is None
    assert platform.secret("central-secret-store", "extra-source") is None
    assert platform.secret("n8n", "gh-docker-registry-creds")
    held = platform.get("/api/v1/namespaces/n8n")["metadata"]["finalizers"]
    assert held == ["externalsecrets.external-secrets.io/ces-application-docker-registry"]
    # The label stays, and onboard's too; being exclusive removes both.
    assert "secrets/extra" in platform.get("/api/v1/namespaces/n8n")["metadata"]["labels"]
    assert platform.secret("kept", "cloudflare-api-token")
    platform.play("bootstrap", variables={"cluster_secrets_prune": ["labels"]})
    platform.eventually(lambda: platform.secret("kept", "cloudflare-api-token") is None)
    platform.delete("/api/v1/namespaces/kept")
    labels = platform.get("/api/v1/namespaces/n8n")["metadata"]["labels"]
    assert [key for key in labels if key.startswith("secrets/")] == ["secrets/gh-docker-registry"]
