# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real tenants against the walls: each attack of the table on each setting, and what must still work."""

from __future__ import annotations

import base64
import json
import time

import pytest
from attacks import (
    ATTACKS,
    CENTRAL,
    ENTRY,
    ESO,
    ESO_API,
    GUARD,
    LABEL,
    LOOT,
    NONE,
    OPEN,
    OWNER,
    RBAC,
    READER,
    STORE,
    TARGET,
    TENANTS,
    WIDE,
    external,
    patch,
    post,
    steal,
    table,
)
from support import CANARY, ROOT, ApiError, Client, Grants, connection

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
FAILURE = "validation.policy.admission.k8s.io/validation_failure"
COUNT = 8  # policies


class Attacker:
    """A tenant's client, its namespace and what it leaves there."""

    def __init__(self, grants, tenant):
        self.platform, self.tenant = grants.platform, tenant
        path = grants.kubeconfig(tenant.name, tenant.name)
        self.client = Client(connection({"kubeconfig": str(path)}))

    def send(self, request, dry_run):
        """One request as the tenant; the refusal's text, or None."""
        method, path, body, kind = json.loads(
            json.dumps(request)
            .replace("{ns}", self.tenant.name)
            .replace("{server}", f"https://127.0.0.1:{self.platform.plane.port}")
        )
        path, _mark, query = path.partition("?")
        query = dict(pair.split("=", 1) for pair in query.replace("%3D", "=").split("&") if pair)
        if dry_run:
            query["dryRun"] = "All"
        try:
            self.client.request(method, path, query, body, kind)
        except ApiError as error:
            return error.detail
        return None

    def refusal(self, requests, dry_run=True):
        """What refuses the first of the requests that is refused, RBAC or the guard; None when all are taken."""
        for request in requests:
            text = self.send(request, dry_run)
            if text is None:
                continue
            if "ValidatingAdmissionPolicy 'cluster-secrets-" in text:
                return GUARD
            assert "is forbidden: User" in text and " cannot " in text, text
            return RBAC
        return None

    def loot(self):
        """What becomes of the ExternalSecret: OPEN when it brings a source's value, else what stops it."""
        namespace, started = self.tenant.name, time.monotonic()

        def outcome():
            secret = self.platform.secret(namespace, LOOT)
            if secret and any(
                CANARY in base64.b64decode(value).decode(errors="replace")
                for value in (secret.get("data") or {}).values()
            ):
                return OPEN
            events = self.platform.request("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
            messages = " ".join(
                event.get("message") or "" for event in events if event["involvedObject"]["name"] == LOOT
            )
            if "denied by spec.condition" in messages:
                return STORE
            if "forbidden" in messages or "cannot get resource" in messages or "not allowed to get" in messages:
                return READER
            # A store is not ready for a moment after it was made, and for good when its reader may read nothing.
            if "is not ready" in messages and time.monotonic() - started > 8:
                return READER
            return ESO if "not defined" in messages else None

        return self.platform.eventually(outcome, 30, "an outcome")

    def clean(self):
        """Remove what attacks left, as the platform."""
        name = self.tenant.name
        for path in (f"{ESO_API}/clusterexternalsecrets/evil", f"{ESO_API}/clustersecretstores/evil"):
            self.platform.delete(path)
        for path in (
            f"{ESO_API}/namespaces/{name}/externalsecrets/{LOOT}",
            f"{ESO_API}/namespaces/{name}/secretstores/own",
        ):
            self.platform.delete(path)
        self.platform.delete(f"/apis/generators.external-secrets.io/v1alpha1/namespaces/{name}/fakes/fake")
        self.platform.delete(f"/api/v1/namespaces/{name}/configmaps/template")
        self.platform.eventually(
            lambda: not self.platform.get(f"{ESO_API}/namespaces/{name}/externalsecrets/{LOOT}"),
            what="the end of the loot",
        )
        self.platform.delete(f"/api/v1/namespaces/{name}/secrets/{LOOT}")
        self.platform.request("DELETE", f"/api/v1/namespaces/{name}/events")


@pytest.fixture(scope="module")
def attackers(bootstrapped):
    """The tenants, each in its namespace, on a cluster without the guard."""
    platform = bootstrapped
    if not platform.plane:
        pytest.skip("needs the embedded control plane")
    platform.module("admission_policies", catalog=[], state="absent")
    with Grants(platform) as grants:
        for tenant in TENANTS.values():
            name = tenant.name
            labels = {"labels": {LABEL: "true"}} if tenant.labelled else {}
            platform.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, **labels}})
            subject = grants.account(name, name)
            if tenant.role or tenant.rules:
                grants(f"{name}-own", tenant.rules, tenant.role, namespace=name, subject=subject)
            if tenant.wide:
                grants(name, tenant.wide, subject=subject)
        for tenant in TENANTS.values():
            if tenant.labelled:
                platform.eventually(
                    lambda tenant=tenant: platform.secret(tenant.name, TARGET), what="the tenants' own target"
                )
        yield {name: Attacker(grants, tenant) for name, tenant in TENANTS.items()}
        platform.module("admission_policies", catalog=[], state="absent")
    variables = {"cluster_secrets_secret": [ENTRY]}
    for name, tenant in TENANTS.items():
        if tenant.labelled:
            platform.play("offboard", variables={**variables, "cluster_secrets_namespace": name})
        platform.delete(f"/api/v1/namespaces/{name}")
    platform.eventually(
        lambda: not any(platform.get(f"/api/v1/namespaces/{name}") for name in TENANTS), 60, "the end of the tenants"
    )
    platform.play("bootstrap")


@pytest.fixture(scope="module")
def vulnerable(attackers, bootstrapped):
    """Whether the running ESO has a vulnerability, by its id."""
    found = {one["id"] for one in bootstrapped.module("eso_info").result["advisories"]}
    return found.__contains__


CELLS = [(name, tenant) for name, attack in ATTACKS.items() for tenant in TENANTS if attack.expected(tenant) != NONE]


@pytest.mark.parametrize(("name", "tenant"), CELLS)
def test_with_no_guard(attackers, vulnerable, name, tenant):
    """What the permissions, the store and ESO stop, and what they let through."""
    attack, attacker = ATTACKS[name], attackers[tenant]
    expected = attack.expected(tenant, vulnerable)
    if not attack.loot or expected == RBAC:
        refused = attacker.refusal(attack.requests)
        if expected == ESO:
            deployment = attacker.platform.get("/apis/apps/v1/namespaces/external-secrets/deployments/external-secrets")
            assert refused is None and "--enable-push-secret-reconciler=false" in str(deployment)
        else:
            assert refused == (None if expected == OPEN else expected)
        return
    try:
        assert attacker.refusal(attack.requests, dry_run=False) is None
        assert attacker.loot() == expected
    finally:
        attacker.clean()


def test_the_table_of_the_documentation():
    assert table() in (ROOT / "docs/security.md").read_text()


# -- isolation by entry ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def isolated(attackers, bootstrapped):
    """The same cluster with a store for each entry; the owner's label gives it cloudflare-api-token only."""
    bootstrapped.play(
        "bootstrap", variables={"cluster_secrets_isolation": "entry", "cluster_secrets_guard_mode": "off"}
    )
    return attackers[OWNER]


READS = [name for name, attack in ATTACKS.items() if attack.loot and attack.expected(OWNER) == OPEN]


@pytest.mark.parametrize("name", READS)
def test_an_owner_reads_no_source_of_others_with_isolation_by_entry(isolated, vulnerable, name):
    attack = ATTACKS[name]
    try:
        assert isolated.refusal(attack.requests, dry_run=False) is None
        # Only the hole of ESO itself is left, and only where ESO has it.
        assert isolated.loot() == (attack.expected(OWNER, vulnerable) if attack.advisory else STORE)
    finally:
        isolated.clean()


@pytest.mark.parametrize(("entry", "outcome"), [(ENTRY, READER), ("application-docker-registry", STORE)])
def test_nor_through_an_entrys_own_store(isolated, entry, outcome):
    ref = {"name": f"{CENTRAL}-{entry}", "kind": "ClusterSecretStore"}
    try:
        assert isolated.refusal([external(**steal(ref))], dry_run=False) is None
        assert isolated.loot() == outcome
    finally:
        isolated.clean()


def test_and_goes_back_to_the_shared_store(bootstrapped, isolated):
    bootstrapped.play("bootstrap", variables={"cluster_secrets_guard_mode": "off"})
    stores = bootstrapped.request("GET", f"{ESO_API}/clustersecretstores")["items"]
    assert [item["metadata"]["name"] for item in stores] == [CENTRAL]


# -- audit -------------------------------------------------------------------------------------------


def test_bootstrap_applies_the_guard_in_audit_mode_and_says_how_to_enforce_it(attackers, bootstrapped):
    platform = bootstrapped
    predicted = platform.play("bootstrap", "--check")
    done = platform.play("bootstrap")
    assert done.table == predicted.table
    kinds = {line.split()[1] for line in done.table[1:-2]}
    assert kinds == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    assert "The guard only audits" in done.stdout and "cluster_secrets_guard_mode to 'enforce'" in done.stdout
    listed = platform.request("GET", POLICIES)["items"]
    assert len(listed) == COUNT
    assert platform.play("bootstrap").recap["changed"] == 0


def test_policies_are_type_checked_by_the_api_server(bootstrapped):
    """The controller-manager checks the CEL of built-in kinds; no warning may remain."""
    for item in bootstrapped.request("GET", POLICIES)["items"]:
        name = item["metadata"]["name"]
        status = bootstrapped.eventually(
            lambda name=name: bootstrapped.get(f"{POLICIES}/{name}").get("status"), what="the type check"
        )
        assert status.get("typeChecking", {}).get("expressionWarnings", []) == [], name


def told(attacker, requests):
    """Whether the API server's audit log names a policy for one of the requests, all of which it takes."""
    mark = attacker.platform.mark()
    assert [attacker.send(request, True) for request in requests] == [None] * len(requests)
    events = attacker.platform.requests(mark, attacker.tenant.user)
    return any("cluster-secrets-" in event.get("annotations", {}).get(FAILURE, "") for event in events)


@pytest.mark.parametrize(("name", "tenant"), CELLS)
def test_with_the_guard_in_audit_mode(attackers, name, tenant):
    """Nothing more is refused than with no guard, and whatever the guard would refuse is reported."""
    attack, attacker = ATTACKS[name], attackers[tenant]
    assert attacker.refusal(attack.requests) == (RBAC if attack.expected(tenant) == RBAC else None)
    if attack.expected(tenant) != RBAC and _guarded(attack, attacker):
        attacker.platform.eventually(lambda: told(attacker, attack.requests), what="a report")


def _guarded(attack, attacker):
    """A release without the vulnerability is not guarded against it."""
    return not attack.advisory or attack.advisory in str(attacker.platform.module("eso_info").result["advisories"])


# -- enforce -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def enforced(bootstrapped, attackers):
    bootstrapped.play("bootstrap", variables={"cluster_secrets_guard_mode": "enforce"})
    bootstrapped.eventually(
        lambda: attackers[OWNER].refusal(ATTACKS["labels its namespace"].requests) == GUARD, what="enforcement"
    )
    time.sleep(1)  # all policies come into force together, within a moment
    return attackers


@pytest.mark.parametrize(("name", "tenant"), CELLS)
def test_with_the_guard_enforced(enforced, name, tenant):
    attack, attacker = ATTACKS[name], enforced[tenant]
    if attack.expected(tenant) == RBAC:
        assert attacker.refusal(attack.requests) == RBAC
    elif _guarded(attack, attacker):
        assert attacker.refusal(attack.requests) == GUARD
    else:
        assert attacker.refusal(attack.requests) is None  # ESO itself refuses it: test_with_no_guard


OWN = {
    "apiVersion": "external-secrets.io/v1",
    "kind": "SecretStore",
    "metadata": {"name": "mine"},
    "spec": {"provider": {"fake": {"data": [{"key": "k", "value": "v"}]}}},
}
TEMPLATE = {"name": "mine", "template": {"data": {"x": "{{ .x | upper }}"}, "metadata": {"labels": {"a": "b"}}}}
LEGITIMATE = {
    "its own Secret": post(
        "/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "mine"}, "stringData": {"a": "b"}, "immutable": True}
    ),
    "its own label": patch("/api/v1/namespaces/{ns}", {"metadata": {"labels": {"team": "x"}}}),
    "its own store": post(ESO_API + "/namespaces/{ns}/secretstores", OWN),
    "an ExternalSecret on its own store": external(
        "mine", **steal({"name": "mine", "kind": "SecretStore"}), target=TEMPLATE
    ),
    "an ExternalSecret on another cluster store": external(
        "mine", **steal({"name": "other", "kind": "ClusterSecretStore"}), target={"name": "mine"}
    ),
    "a refresh of a distributed ExternalSecret": patch(
        ESO_API + "/namespaces/{ns}/externalsecrets/" + ENTRY, {"metadata": {"annotations": {"force-sync": "1"}}}
    ),
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_legitimate_path_still_works(enforced, name):
    assert enforced[OWNER].refusal([LEGITIMATE[name]]) is None


def test_a_hand_made_secret_with_the_name_of_a_target_can_still_be_edited_and_deleted(bootstrapped, enforced):
    """It was there before the guard, and whoever uses it goes on."""
    path = "/api/v1/namespaces/t-owner/secrets"
    bootstrapped.request("POST", path, {"metadata": {"name": "gh-oauth"}, "stringData": {"a": "b"}})
    owner = enforced[OWNER]
    assert owner.refusal([patch(path + "/gh-oauth", {"stringData": {"a": "c"}})]) is None
    assert owner.refusal([patch(path + "/gh-oauth", {"immutable": True})]) == GUARD
    assert owner.refusal([("DELETE", path + "/gh-oauth", None, None)], dry_run=False) is None


def test_the_platform_eso_and_kubernetes_still_work(bootstrapped, enforced):
    platform = bootstrapped
    # A write that changes nothing, as of a new encryption key, is nobody's harm.
    target = platform.secret("n8n", "gh-docker-registry-creds")
    platform.request("PUT", "/api/v1/namespaces/n8n/secrets/gh-docker-registry-creds", target)
    enforcing = {"cluster_secrets_guard_mode": "enforce"}
    assert platform.play("bootstrap", variables=enforcing).recap["changed"] == 0
    variables = {"cluster_secrets_namespace": "t-outside", "cluster_secrets_secret": [ENTRY]}
    platform.play("onboard", variables=variables)
    assert CANARY in platform.data("t-outside", TARGET)["api-token"]
    platform.play("rotate", variables={"cluster_secrets_verify_refresh": "always"})
    platform.play("offboard", variables=variables)
    platform.eventually(lambda: platform.secret("t-outside", TARGET) is None, what="the garbage collector's work")
    # Kubernetes' own controllers in the central namespace: the root CA's publisher, for one.
    platform.delete(f"/api/v1/namespaces/{CENTRAL}/configmaps/kube-root-ca.crt")
    platform.eventually(
        lambda: platform.get(f"/api/v1/namespaces/{CENTRAL}/configmaps/kube-root-ca.crt"), what="the root CA"
    )


def test_a_whole_life_under_the_enforced_guard(bootstrapped, enforced):
    """Isolation changes, teardown and a namespace's end, with every policy in force."""
    platform = bootstrapped
    enforcing = {"cluster_secrets_guard_mode": "enforce"}
    platform.play("bootstrap", variables={**enforcing, "cluster_secrets_isolation": "entry"})
    platform.play("bootstrap", variables=enforcing)
    platform.request("POST", "/api/v1/namespaces", {"metadata": {"name": "short-lived", "labels": {LABEL: "true"}}})
    platform.eventually(lambda: platform.secret("short-lived", TARGET), what="the target")
    platform.delete("/api/v1/namespaces/short-lived")
    platform.module(
        "namespace_labels",
        catalog=_catalog_of(platform),
        state="absent",
        assignments={"short-lived": [ENTRY]},
        check=False,
    )
    platform.patch("/api/v1/namespaces/short-lived", {"metadata": {"finalizers": None}})
    platform.eventually(lambda: platform.get("/api/v1/namespaces/short-lived") is None, 30, "the namespace's end")


def _catalog_of(platform):
    return [{"name": ENTRY, "source": ENTRY, "label": LABEL, "data": {"api-token": "api-token"}}]


def test_self_service_labels_are_an_option(bootstrapped, enforced, catalog):
    bootstrapped.module("admission_policies", catalog=catalog, mode="enforce", self_service_labels=[LABEL])
    attacker = enforced["t-outside"], enforced["t-wide"]
    wanted = [patch("/api/v1/namespaces/{ns}", {"metadata": {"labels": {LABEL: "true"}}})]
    bootstrapped.eventually(lambda: attacker[1].refusal(wanted) is None, what="self-service")
    assert attacker[1].refusal(ATTACKS["labels its namespace"].requests) == GUARD
    bootstrapped.module("admission_policies", catalog=catalog, mode="enforce")


def test_it_does_not_lock_itself_out(bootstrapped, catalog):
    options = {"catalog": catalog, "platform_groups": ["nobody"], "check_mode": True}
    outcome = bootstrapped.module("admission_policies", mode="enforce", check=False, **options)
    assert "would lock out this play's own identity, 'cluster-admin'" in outcome.result["msg"]
    # Auditing refuses nothing.
    audited = bootstrapped.module("admission_policies", mode="audit", **options)
    assert "enforced, these policies would lock out this play's own identity" in str(audited.result["warnings"])


def test_nor_eso_itself(bootstrapped, catalog):
    for mode in ("audit", "enforce"):
        options = {"catalog": catalog, "mode": mode, "check_mode": True, "check": False}
        wrong = bootstrapped.module("admission_policies", eso_service_account="another", **options).result
        assert "would lock out the External Secrets controller, which runs as the ServiceAccount" in wrong["msg"]
    nowhere = bootstrapped.module("admission_policies", eso_namespace="default", **options).result
    assert "no External Secrets controller is seen in namespace 'default'" in nowhere["msg"]


def test_nor_gitops_where_that_owns_the_distribution(bootstrapped, catalog):
    platform = bootstrapped
    refused = platform.module(
        "admission_policies", catalog=catalog, mode="enforce", owner="gitops", check_mode=True, check=False
    ).result
    assert "'platform_users' names no ServiceAccount" in refused["msg"]
    users = ["system:serviceaccount:argocd:argocd-application-controller"]
    options = {"mode": "enforce", "owner": "gitops", "platform_users": users}
    platform.module("admission_policies", catalog=catalog, check_mode=True, **options)


def test_a_field_manager_is_named_and_stops_nothing(bootstrapped, catalog):
    """Whoever writes an object may call himself Argo CD."""
    platform = bootstrapped
    path = f"/apis/external-secrets.io/v1/clusterexternalsecrets/{ENTRY}"
    patched = {"metadata": {"annotations": {"team": "edge"}}}
    platform.client.request(
        "PATCH", path, {"fieldManager": "argocd-controller"}, patched, "application/merge-patch+json"
    )
    try:
        audited = platform.module("admission_policies", catalog=catalog, check_mode=True).result
        assert audited["writers"]["argocd-controller"] == [f"ClusterExternalSecret {ENTRY}"]
        assert any("'argocd-controller'" in line for line in audited["summary"])
        enforced = platform.module("admission_policies", catalog=catalog, mode="enforce", check_mode=True).result
        assert "a writer that calls itself 'argocd-controller'" in str(enforced["warnings"])
    finally:
        platform.patch(path, {"metadata": {"annotations": {"team": None}}})


def test_ten_thousand_names_are_kept(bootstrapped, enforced, catalog):
    """The API server takes no expression of more than 100,000 characters."""
    many = [f"kept-{number:05d}-{'n' * 40}" for number in range(10_000)]
    long = {**catalog[0], "namespaces": [*catalog[0]["namespaces"], *many]}
    bootstrapped.module("admission_policies", mode="enforce", catalog=[long, *catalog[1:]])
    for name in (many[0], many[5_000], many[-1]):
        creation = post("/api/v1/namespaces", {"metadata": {"name": name}})
        bootstrapped.eventually(lambda one=creation: enforced[WIDE].refusal([one]) == GUARD, what=f"{name} kept")
    bootstrapped.play("bootstrap", variables={"cluster_secrets_guard_mode": "enforce"})


def test_switching_the_guard_off(bootstrapped, enforced):
    off = {"cluster_secrets_guard_mode": False}  # what YAML makes of a bare 'off'
    assert bootstrapped.play("bootstrap", variables=off).recap["changed"] == 1
    assert bootstrapped.play("bootstrap", variables=off).recap["changed"] == 0
    assert bootstrapped.request("GET", POLICIES)["items"] == []
    bootstrapped.eventually(
        lambda: enforced[OWNER].refusal(ATTACKS["labels its namespace"].requests) is None, what="freedom"
    )
