# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The guard against a real tenant: each attack fails, each legitimate path still works."""

from __future__ import annotations

import time

import pytest
from support import CANARY, kube

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ESO = "/apis/external-secrets.io/v1"
STORE_REF = {"name": "central-secret-store", "kind": "ClusterSecretStore"}
#: A tenant with more rights than most have: all Secrets and ESO objects, and its own namespaces' metadata.
TENANT_RULES = [
    {"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "create", "update", "patch", "delete"]},
    {"apiGroups": ["external-secrets.io"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["*"]},
]


def external_secret(name, **spec):
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name},
        "spec": {"refreshInterval": "1h", "target": {"name": name}, **spec},
    }


def steal(name, ref=None):
    """An ExternalSecret that copies github-pat out of the central store."""
    return external_secret(name, secretStoreRef=ref or STORE_REF, data=[{"secretKey": "x", "remoteRef": {"key": "github-pat", "property": "token"}}])


@pytest.fixture(scope="module")
def tenant(bootstrapped):
    """A client that acts as the tenant's ServiceAccount, with namespaces 'tenant' and 'n8n' to play in."""
    platform = bootstrapped
    base = {"metadata": {"name": "tenant"}}
    platform.request("POST", "/api/v1/namespaces", base)
    platform.request("POST", "/api/v1/namespaces/tenant/serviceaccounts", base)
    platform.request("POST", f"{RBAC}/clusterroles", {**base, "rules": TENANT_RULES})
    binding = {
        **base,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tenant"},
        "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": "tenant"}],
    }
    platform.request("POST", f"{RBAC}/clusterrolebindings", binding)
    path = platform.plane.token_kubeconfig("tenant", "tenant", platform.folder / "tenant.kubeconfig")
    yield kube.Client(kube.connection({"kubeconfig": str(path)}))
    platform.module("admission_policies", state="absent")
    platform.delete(f"{RBAC}/clusterrolebindings/tenant")
    platform.delete(f"{RBAC}/clusterroles/tenant")
    platform.delete("/api/v1/namespaces/tenant")


ATTACKS = {
    "writes a master Secret": ("POST", "/api/v1/namespaces/central-secret-store/secrets", {"metadata": {"name": "evil"}, "stringData": {"a": "b"}}),
    "changes a master Secret": ("PATCH", "/api/v1/namespaces/central-secret-store/secrets/github-pat", {"stringData": {"username": "evil"}}),
    "deletes a master Secret": ("DELETE", "/api/v1/namespaces/central-secret-store/secrets/github-pat", None),
    "grants itself the central store": (
        "POST",
        f"{RBAC}/namespaces/central-secret-store/rolebindings",
        {
            "metadata": {"name": "evil"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tenant"},
            "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": "tenant"}],
        },
    ),
    "labels its namespace": ("PATCH", "/api/v1/namespaces/tenant", {"metadata": {"labels": {"secrets/gh-oauth-credentials": "true"}}}),
    "labels it with a label to come": ("PATCH", "/api/v1/namespaces/tenant", {"metadata": {"labels": {"secrets/not-yet": "true"}}}),
    "creates a labelled namespace": (
        "POST",
        "/api/v1/namespaces",
        {"metadata": {"name": "evil", "labels": {"secrets/gh-docker-registry": "true"}}},
    ),
    "takes a label away": ("PATCH", "/api/v1/namespaces/n8n", {"metadata": {"labels": {"secrets/gh-docker-registry": None}}}),
    "edits a target": ("PATCH", "/api/v1/namespaces/n8n/secrets/gh-docker-registry-creds", {"metadata": {"annotations": {"evil": "x"}}}),
    "unmarks a target": (
        "PATCH",
        "/api/v1/namespaces/n8n/secrets/gh-docker-registry-creds",
        {"metadata": {"labels": {"managed-by": None, "reconcile.external-secrets.io/managed": None}}},
    ),
    "deletes a target": ("DELETE", "/api/v1/namespaces/n8n/secrets/gh-docker-registry-creds", None),
    "fakes a target": (
        "POST",
        "/api/v1/namespaces/tenant/secrets",
        {"metadata": {"name": "gh-oauth", "labels": {"managed-by": "external-secrets", "reconcile.external-secrets.io/managed": "true"}}},
    ),
    "reads the store": ("POST", f"{ESO}/namespaces/tenant/externalsecrets", steal("evil")),
    "reads the store by a source reference": (
        "POST",
        f"{ESO}/namespaces/tenant/externalsecrets",
        external_secret(
            "evil",
            secretStoreRef={"name": "own", "kind": "SecretStore"},
            data=[{"secretKey": "x", "remoteRef": {"key": "github-pat"}, "sourceRef": {"storeRef": STORE_REF}}],
        ),
    ),
    "reads the store by dataFrom": (
        "POST",
        f"{ESO}/namespaces/tenant/externalsecrets",
        external_secret("evil", dataFrom=[{"extract": {"key": "github-pat"}, "sourceRef": {"storeRef": STORE_REF}}]),
    ),
    "bends a distributed ExternalSecret": (
        "PATCH",
        f"{ESO}/namespaces/n8n/externalsecrets/application-docker-registry",
        {"spec": {"data": [{"secretKey": "x", "remoteRef": {"key": "github-oauth", "property": "token"}}]}},
    ),
    "opens the namespace by its own store": (
        "POST",
        f"{ESO}/namespaces/tenant/secretstores",
        {
            "apiVersion": "external-secrets.io/v1",
            "kind": "SecretStore",
            "metadata": {"name": "evil"},
            "spec": {"provider": {"kubernetes": {"remoteNamespace": "central-secret-store", "auth": {"serviceAccount": {"name": "default"}}}}},
        },
    ),
    "pushes into the store": (
        "POST",
        "/apis/external-secrets.io/v1alpha1/namespaces/tenant/pushsecrets",
        {
            "apiVersion": "external-secrets.io/v1alpha1",
            "kind": "PushSecret",
            "metadata": {"name": "evil"},
            "spec": {"secretStoreRefs": [STORE_REF], "selector": {"secret": {"name": "x"}}, "data": [{"match": {"remoteRef": {"remoteKey": "github-pat"}}}]},
        },
    ),
    "pushes into any store": (
        "POST",
        "/apis/external-secrets.io/v1alpha1/namespaces/tenant/pushsecrets",
        {
            "apiVersion": "external-secrets.io/v1alpha1",
            "kind": "PushSecret",
            "metadata": {"name": "evil"},
            "spec": {
                "secretStoreRefs": [{"kind": "ClusterSecretStore", "labelSelector": {"matchLabels": {"app.kubernetes.io/part-of": "cluster-secrets"}}}],
                "selector": {"secret": {"name": "x"}},
                "data": [{"match": {"remoteRef": {"remoteKey": "github-pat"}}}],
            },
        },
    ),
}


def attempt(client, method, path, body):
    """None if the request is carried out (as a dry run), or the refusal's text."""
    kind = {"PATCH": "application/merge-patch+json"}.get(method)
    try:
        client.request(method, path, {"dryRun": "All"}, body, kind)
    except kube.ApiError as error:
        return error.detail
    return None


def refusing(text):
    return text is not None and "ValidatingAdmissionPolicy 'cluster-secrets-" in text


def test_without_the_guard_the_attacks_get_through(tenant):
    """What makes the tests below worth something: RBAC alone lets all of these pass."""
    stopped = {name: attempt(tenant, *attack) for name, attack in ATTACKS.items()}
    assert {name: text for name, text in stopped.items() if text is not None} == {}


def test_the_store_serves_only_labelled_namespaces_even_without_the_guard(bootstrapped, tenant):
    tenant.request("POST", f"{ESO}/namespaces/tenant/externalsecrets", body=steal("unlabelled"))
    path = f"{ESO}/namespaces/tenant/externalsecrets/unlabelled"
    condition = bootstrapped.eventually(lambda: ((tenant.get(path) or {}).get("status") or {}).get("conditions"), what="ESO's word")
    assert condition[0]["status"] == "False"
    assert bootstrapped.secret("tenant", "unlabelled") is None
    tenant.request("DELETE", path)


def test_audit_mode_refuses_nothing_and_tells(bootstrapped, tenant):
    platform = bootstrapped
    predicted = platform.module("admission_policies", check_mode=True)
    assert platform.get("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/cluster-secrets-labels") is None
    done = platform.module("admission_policies")
    assert done.result["changes"] == predicted.result["changes"] and len(done.result["changes"]) == 8
    assert not platform.module("admission_policies").result["changed"]
    attack = ATTACKS["labels its namespace"]

    def told():
        mark = platform.mark()
        assert attempt(tenant, *attack) is None
        events = platform.requests(mark, "system:serviceaccount:tenant:tenant")
        return [event for event in events if "validation.policy.admission.k8s.io/validation_failure" in event.get("annotations", {})]

    assert platform.eventually(told, what="an audit annotation")


def test_policies_are_type_checked_by_the_api_server(bootstrapped):
    """The controller-manager checks the CEL of built-in kinds; no warning may remain."""
    listed = bootstrapped.request("GET", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies")["items"]
    assert len(listed) == 4
    for item in listed:
        status = bootstrapped.eventually(
            lambda item=item: bootstrapped.get("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/" + item["metadata"]["name"]).get("status"),
            what="the type check",
        )
        assert status.get("typeChecking", {}).get("expressionWarnings", []) == [], item["metadata"]["name"]


@pytest.fixture(scope="module")
def enforced(bootstrapped, tenant):
    bootstrapped.module("admission_policies", mode="enforce")
    bootstrapped.eventually(lambda: refusing(attempt(tenant, *ATTACKS["labels its namespace"])), what="enforcement")
    time.sleep(1)  # all four come into force together, within a moment
    return tenant


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(enforced, name):
    assert refusing(attempt(enforced, *ATTACKS[name])), name


LEGITIMATE = {
    "its own Secret": ("POST", "/api/v1/namespaces/tenant/secrets", {"metadata": {"name": "mine"}, "stringData": {"a": "b"}}),
    "its own label": ("PATCH", "/api/v1/namespaces/tenant", {"metadata": {"labels": {"team": "x"}}}),
    "its own namespace": ("POST", "/api/v1/namespaces", {"metadata": {"name": "tenant-two"}}),
    "an ExternalSecret on its own store": ("POST", f"{ESO}/namespaces/tenant/externalsecrets", steal("mine", {"name": "own", "kind": "SecretStore"})),
    "an ExternalSecret on another cluster store": (
        "POST",
        f"{ESO}/namespaces/tenant/externalsecrets",
        steal("mine", {"name": "other", "kind": "ClusterSecretStore"}),
    ),
    "a label on a labelled namespace": ("PATCH", "/api/v1/namespaces/n8n", {"metadata": {"labels": {"team": "x"}}}),
    "a refresh of a distributed ExternalSecret": (
        "PATCH",
        f"{ESO}/namespaces/n8n/externalsecrets/application-docker-registry",
        {"metadata": {"annotations": {"force-sync": "1"}}},
    ),
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_legitimate_path_still_works(enforced, name):
    assert attempt(enforced, *LEGITIMATE[name]) is None


def test_the_platform_and_eso_still_work(bootstrapped, enforced):
    platform = bootstrapped
    platform.play("bootstrap")
    variables = {"onboard_namespace": "tenant", "onboard_secrets": ["cloudflare-api-token"]}
    platform.play("onboard", variables=variables)
    assert CANARY in platform.data("tenant", "cloudflare-api-token")["api-token"]
    platform.play("onboard", variables={**variables, "cluster_secrets_namespaces_state": "absent"})
    platform.eventually(lambda: platform.secret("tenant", "cloudflare-api-token") is None, what="the garbage collector's work")


def test_self_service_labels_are_an_option(bootstrapped, enforced):
    label = "secrets/cloudflare-api-token"
    bootstrapped.module("admission_policies", mode="enforce", self_service_labels=[label])
    attack = ("PATCH", "/api/v1/namespaces/tenant", {"metadata": {"labels": {label: "true"}}})
    bootstrapped.eventually(lambda: attempt(enforced, *attack) is None, what="self-service")
    assert refusing(attempt(enforced, *ATTACKS["labels its namespace"]))
    bootstrapped.module("admission_policies", mode="enforce")


def test_it_does_not_lock_itself_out(bootstrapped):
    outcome = bootstrapped.module("admission_policies", platform_groups=["nobody"], check=False)
    assert "would lock out this play's own identity, 'cluster-admin'" in outcome.result["msg"]


def test_taking_the_guard_away(bootstrapped, enforced):
    assert len(bootstrapped.module("admission_policies", state="absent").result["changes"]) == 8
    assert not bootstrapped.module("admission_policies", state="absent").result["changed"]
    bootstrapped.eventually(lambda: attempt(enforced, *ATTACKS["labels its namespace"]) is None, what="freedom")
