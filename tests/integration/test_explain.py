# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One command says where the chain to a Secret breaks, and the command that it names fixes it."""

from __future__ import annotations

import base64
import shlex
import time
from contextlib import contextmanager

import pytest
from broken import (
    PODS,
    SOURCES,
    STORE,
    controller_scaled_down,
    entry_gone,
    made,
    namespace_unlabelled,
    patched,
    source_changed,
    store_gone,
    store_not_ready,
    webhook_without_endpoint,
)
from support import CANARY, RBAC, entry, leaked

PAIR = ("cert-manager", "cloudflare-api-token")
SECRET = "/api/v1/namespaces/cert-manager/secrets/cloudflare-api-token"
MASTER = f"{SOURCES}/cloudflare-api-token"
LABEL = "secrets/cloudflare-api-token"
ESO = "/apis/external-secrets.io/v1"
FIXING = "ansible-playbook platform.cluster_secrets."


def encoded(value):
    return base64.b64encode(value).decode()


# -- ways to break it that fix themselves, or that the command fixes -------------------------------------------------


@contextmanager
def namespace_ends(platform):
    path = "/api/v1/namespaces/ending"
    with made(platform, "/api/v1/namespaces", {"metadata": {"name": "ending", "finalizers": ["example.com/held"]}}):
        platform.delete(path)
        yield
        platform.patch(path, {"metadata": {"finalizers": None}})


def label_of_another_value(platform):
    path = "/api/v1/namespaces/cert-manager"
    return patched(platform, path, {"metadata": {"labels": {LABEL: "yes"}}}, {"metadata": {"labels": {LABEL: "true"}}})


@contextmanager
def entry_edited(platform):
    path = f"{ESO}/clusterexternalsecrets/cloudflare-api-token"
    platform.patch(path, {"spec": {"externalSecretSpec": {"target": {"name": "elsewhere"}}}})
    yield


@contextmanager
def entry_that_selects_others(platform):
    selectors = [{"matchLabels": {"other": "true"}}]
    platform.patch(f"{ESO}/clusterexternalsecrets/cloudflare-api-token", {"spec": {"namespaceSelectors": selectors}})
    yield


@contextmanager
def another_external_secret(platform):
    """A tenant's, which was there before the namespace was labelled."""
    spec = {
        "secretStoreRef": {"kind": "SecretStore", "name": "own"},
        "data": [{"secretKey": "a", "remoteRef": {"key": "b"}}],
    }
    body = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret"}
    body.update(metadata={"name": "cloudflare-api-token"}, spec=spec)
    with (
        made(platform, "/api/v1/namespaces", {"metadata": {"name": "early"}}),
        made(platform, f"{ESO}/namespaces/early/externalsecrets", body),
    ):
        platform.patch("/api/v1/namespaces/early", {"metadata": {"labels": {LABEL: "true"}}})
        yield


@contextmanager
def store_admits_others(platform):
    platform.patch(STORE, {"spec": {"conditions": [{"namespaces": ["elsewhere"]}]}})
    yield


@contextmanager
def store_reads_elsewhere(platform):
    platform.patch(STORE, {"spec": {"provider": {"kubernetes": {"remoteNamespace": "default"}}}})
    yield


@contextmanager
def reader_without_permission(platform):
    path = f"{RBAC}/namespaces/central-secret-store/roles/central-secret-store-reader"
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["github-oauth"], "verbs": ["get"]}
    platform.patch(path, {"rules": [rule]})
    yield


@contextmanager
def reader_without_binding(platform):
    platform.delete(f"{RBAC}/namespaces/central-secret-store/rolebindings/central-secret-store-reader")
    yield


@contextmanager
def reader_gone(platform):
    platform.delete("/api/v1/namespaces/central-secret-store/serviceaccounts/central-secret-store-reader")
    yield


@contextmanager
def source_gone(platform):
    platform.delete(MASTER)
    yield


@contextmanager
def key_gone(platform):
    platform.patch(MASTER, {"data": {"api-token": None, "other": encoded(b"x")}})
    yield


@contextmanager
def not_text(platform):
    platform.patch(f"{SOURCES}/github-pat", {"data": {"token": encoded(b"\xff\xfe" + CANARY.encode())}})
    yield


@contextmanager
def made_by_hand(platform):
    with made(platform, "/api/v1/namespaces", {"metadata": {"name": "hand"}}):
        # ESO takes over a Secret that belongs to nobody.
        owner = platform.request("POST", "/api/v1/namespaces/hand/configmaps", {"metadata": {"name": "owner"}})
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
        body = {"metadata": {"name": "cloudflare-api-token", "ownerReferences": [{**reference, "controller": True}]}}
        body["data"] = {"api-token": encoded(CANARY.encode())}
        platform.request("POST", "/api/v1/namespaces/hand/secrets", body)
        platform.patch("/api/v1/namespaces/hand", {"metadata": {"labels": {LABEL: "true"}}})
        yield


@contextmanager
def immutable_and_old(platform):
    platform.patch(SECRET, {"immutable": True})
    with source_changed(platform):
        yield
    platform.delete(SECRET)
    platform.play("bootstrap")


@contextmanager
def consumer_of_another_key(platform):
    reference = {"name": "gh-oauth", "key": "absent"}
    container = {"name": "one", "image": "example.com/one"}
    container["env"] = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": reference}}]
    with made(platform, PODS, {"metadata": {"name": "wrong-key"}, "spec": {"containers": [container]}}):
        yield


@contextmanager
def consumer_of_an_older_value(platform):
    container = {"name": "one", "image": "example.com/one"}
    container["env"] = [{"name": "T", "valueFrom": {"secretKeyRef": {"name": PAIR[1], "key": "api-token"}}}]
    path, labels = "/apis/apps/v1/namespaces/cert-manager/deployments", {"app": "older"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    with made(platform, path, {"metadata": {"name": "older"}, "spec": spec}):
        platform.eventually(
            lambda: platform.get(f"{path}/older")["status"].get("availableReplicas"), what="the pod's start"
        )
        with source_changed(platform):
            # What was broken before may have left other keys in the source.
            source = platform.data("central-secret-store", "cloudflare-api-token")["api-token"]
            refresh = {"metadata": {"annotations": {"external-secrets.io/force-sync": str(time.time())}}}
            platform.patch(f"{ESO}/clusterexternalsecrets/cloudflare-api-token", refresh)
            platform.eventually(lambda: platform.data(*PAIR)["api-token"] == source, 60, "the target's refresh")
            yield
    platform.play("rotate")


GONE = "'cloudflare-api-token' is not in the central store"
BROKEN = [
    (None, ("cert-manager", "none"), "entry", "no catalog entry makes a Secret 'none'; the catalog's are: "),
    (None, ("kargo", "talos-config"), "entry", "the entry 'talos-config' is not enabled"),
    (None, ("nowhere", PAIR[1]), "namespace", "the namespace 'nowhere' does not exist"),
    (namespace_ends, ("ending", PAIR[1]), "namespace", "it is being deleted, held by example.com/held"),
    (namespace_unlabelled, PAIR, "label", f"the namespace does not carry {LABEL}=true"),
    (label_of_another_value, PAIR, "label", f"{LABEL} is 'yes' and not 'true'"),
    (controller_scaled_down, PAIR, "operator", "Deployment external-secrets: it is scaled to 0"),
    (webhook_without_endpoint, PAIR, "operator", "Service external-secrets-webhook: no endpoint is ready"),
    (entry_gone, PAIR, "ClusterExternalSecret", "there is none of the name 'cloudflare-api-token'"),
    (entry_edited, PAIR, "ClusterExternalSecret", "catalog asks for: spec.externalSecretSpec.target.name"),
    (entry_that_selects_others, PAIR, "ClusterExternalSecret", "catalog asks for: spec.namespaceSelectors"),
    (another_external_secret, ("early", PAIR[1]), "ExternalSecret", "somebody else made early/cloudflare-api-token"),
    (store_gone, PAIR, "store", "there is no ClusterSecretStore 'central-secret-store'"),
    (store_admits_others, PAIR, "store", "does not admit this namespace"),
    (store_reads_elsewhere, PAIR, "store", "reads the namespace 'default', not 'central-secret-store'"),
    (store_not_ready, PAIR, "permission", "central-secret-store/nobody does not exist"),
    (reader_without_permission, PAIR, "permission", "may not read the source 'cloudflare-api-token'"),
    (reader_without_binding, PAIR, "permission", "may not read the source 'cloudflare-api-token'"),
    (reader_gone, PAIR, "permission", "central-secret-store/central-secret-store-reader does not exist"),
    (source_gone, PAIR, "source", GONE),
    (key_gone, PAIR, "keys", "has no key 'api-token'"),
    (not_text, ("backstage", "gh-docker-registry-creds"), "keys", "source 'github-pat' holds text that is not UTF-8"),
    (
        made_by_hand,
        ("hand", PAIR[1]),
        "target",
        "names ConfigMap owner as its owner made Secret hand/cloudflare-api-token",
    ),
    (source_changed, PAIR, "target", "stale: it does not hold the source's current value"),
    (immutable_and_old, PAIR, "target", "it is immutable"),
    (consumer_of_another_key, ("backstage", "gh-oauth"), "consumers", "Pod backstage/wrong-key names the key 'absent'"),
    (consumer_of_an_older_value, PAIR, "consumers", "running with an older value: Deployment cert-manager/older"),
]


#: One way to break each link, for which status and audit are asked as well.
SHOWN = {
    step: breaking
    for breaking, pair, step, _said in reversed(BROKEN)
    if breaking and step != "consumers" and pair[0] != "ending"
}.values()


def explained(platform, catalog, pair, **options):
    return platform.module("explain", catalog=catalog, namespace=pair[0], secret=pair[1], **options)


@pytest.fixture(scope="module")
def whole(bootstrapped):
    bootstrapped.play("bootstrap")
    return bootstrapped


def test_a_whole_chain(whole, catalog):
    for row in whole.module("sync_info", catalog=catalog).result["rows"]:
        outcome = explained(whole, catalog, (row["namespace"], row["secret"]))
        assert outcome.result["intact"], outcome.result["table"]
        assert {one["state"] for one in outcome.result["links"]} == {"ok"}, outcome.result["table"]
    mark = whole.mark()
    done = whole.play("explain", "-e", "cluster_secrets_namespace=backstage", "-e", "cluster_secrets_secret=gh-oauth")
    assert done.recap["failed"] == 0 and "\nThe chain is whole.\n" in done.stdout
    assert whole.writes(mark) == []


def others_see_it(platform, catalog, pair, found):
    """Status names the same cause, and the audit has it or what it says of the pair."""
    causes = platform.module("sync_info", catalog=catalog).result["causes"]
    same = [one for one in causes if all(one[key] == found[key] for key in ("step", "message", "hint", "command"))]
    assert same, (found, causes)
    assert same[0]["explain"].startswith(
        "ansible-playbook platform.cluster_secrets.explain -e cluster_secrets_namespace="
    )
    findings = platform.module("audit", catalog=catalog, check=False).result["findings"]
    told = [one for one in findings if one["check"] == "broken-chain" and found["message"] in one["message"]]
    of_pair = [one for one in findings if one["object"] == "/".join(pair) and one["severity"] != "info"]
    assert told or (of_pair and found["step"] in ("label", "target", "ExternalSecret")), (found, findings)


@pytest.mark.parametrize(("breaking", "pair", "step", "said"), BROKEN, ids=lambda one: getattr(one, "__name__", None))
def test_where_it_breaks_and_what_mends_it(whole, catalog, breaking, pair, step, said):
    if breaking is None:
        outcome = explained(whole, catalog, pair)
        found = outcome.result["broken"]
        assert found["step"] == step and said in found["message"] and found["hint"], outcome.result
        return
    with breaking(whole):
        outcome = explained(whole, catalog, pair)
        found = outcome.result["broken"]
        assert found, outcome.result["table"]
        assert found["step"] == step and said in found["message"] and (found["hint"] or found["command"]), (
            outcome.result["table"]
        )
        assert leaked(outcome.output) == []
        if breaking in SHOWN:
            others_see_it(whole, catalog, pair, found)
        if found["command"].startswith(FIXING) and not found["hint"]:
            name, *arguments = shlex.split(found["command"].partition(FIXING)[2])
            whole.play(name, *arguments)
            whole.eventually(lambda: explained(whole, catalog, pair).result["intact"], what="a whole chain")
        elif "rotate -e cluster_secrets_rotate_sources=" in found["command"]:
            whole.play("rotate")
            assert explained(whole, catalog, pair).result["intact"]
    # What is fixed by hand, the contexts fix.
    if pair == PAIR:
        whole.play("bootstrap")
        assert explained(whole, catalog, pair).result["intact"]


def test_the_playbook_fails_with_the_verdict(whole):
    with namespace_unlabelled(whole):
        done = whole.play(
            "explain",
            "-e",
            "cluster_secrets_namespace=cert-manager",
            "-e",
            "cluster_secrets_secret=cloudflare-api-token",
            check=False,
        )
    assert done.rc == 2 and "\nBROKEN   label " in done.stdout and "breaks at: label" in done.stdout
    assert (
        "\nTo fix it: ansible-playbook platform.cluster_secrets.onboard -e cluster_secrets_namespace=cert-manager"
        in done.stdout
    )
    for given in ("cluster_secrets_namespace=cert-manager", "cluster_secrets_secret=gh-oauth"):
        missing = whole.play("explain", "-e", given, check=False)
        assert (
            missing.rc == 2
            and "-e cluster_secrets_namespace=NAMESPACE -e cluster_secrets_secret=SECRET" in missing.stdout
        )


def test_without_an_operator_and_of_several_entries(whole, catalog):
    """A target's name may stand for several entries: the one that the namespace gets counts."""
    more = entry("again", ["kargo"], target="cloudflare-api-token", data={"K": "api-token"}, source=PAIR[1])
    there = explained(whole, [*catalog, more], PAIR).result["links"][0]["message"]
    other = explained(whole, [*catalog, more], ("kargo", PAIR[1])).result["links"][0]["message"]
    assert there.startswith("'cloudflare-api-token'") and other.startswith("'again'")


def test_what_may_not_be_read_is_unknown(whole, catalog, grant):
    grant.account("night-shift")
    subject = {"kind": "ServiceAccount", "name": "night-shift", "namespace": "default"}
    rules = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}]
    rules.append({"apiGroups": ["external-secrets.io"], "resources": ["*"], "verbs": ["get", "list"]})
    grant("night-shift", rules, subject=subject)
    outcome = explained(whole, catalog, PAIR, kubeconfig=grant.kubeconfig("night-shift"))
    states = {one["step"]: one["state"] for one in outcome.result["links"]}
    assert states["label"] == states["ClusterExternalSecret"] == states["ExternalSecret"] == states["store"] == "ok"
    assert states["source"] == states["target"] == states["permission"] == states["operator"] == "unknown"
    assert outcome.result["broken"] is None
