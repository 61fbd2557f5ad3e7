# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not ours stays: each playbook that deletes or overwrites, with foreign objects in the place of ours."""

from __future__ import annotations

import json
import time

import handmade
import pytest
from handmade import CENTRAL, RBAC
from support import another, entry, leaked

ESO = "/apis/external-secrets.io/v1"
POLICIES = "/apis/admissionregistration.k8s.io/v1"
HELD = "externalsecrets.external-secrets.io/ces-team-special"
READER = "central-secret-store-reader"
POLICY = "cluster-secrets-labels"
EXISTING = {"cluster_secrets_eso_method": "existing"}

#: Lists of all that there is of the kinds that the collection deletes or overwrites.
LISTS = (
    f"{ESO}/clustersecretstores",
    f"{ESO}/clusterexternalsecrets",
    f"{ESO}/externalsecrets",
    f"/api/v1/namespaces/{CENTRAL}/secrets",
    f"/api/v1/namespaces/{CENTRAL}/serviceaccounts",
    f"{RBAC}/roles",
    f"{RBAC}/rolebindings",
    f"{RBAC}/clusterroles",
    f"{RBAC}/clusterrolebindings",
    "/api/v1/secrets?labelSelector=reconcile.external-secrets.io%2Fmanaged%3Dtrue",
    "/api/v1/namespaces",
    f"{POLICIES}/validatingadmissionpolicies",
    f"{POLICIES}/validatingadmissionpolicybindings",
)


def everything(platform):
    """{path and name: (uid, resourceVersion)}; of what ESO writes all the time, its generation and metadata instead."""
    found = {}
    for path in LISTS:
        for item in platform.request("GET", path)["items"]:
            meta = item["metadata"]
            version = meta["resourceVersion"]
            if path.startswith(ESO):
                version = json.dumps([meta.get("generation"), meta.get("labels"), meta.get("annotations")])
            found[path, meta.get("namespace"), meta["name"]] = (meta["uid"], version)
    return found


@pytest.fixture(scope="module")
def foreign(platform):
    """A cluster made by hand, with a foreign object in every place that one of ours would have."""
    with another(platform, "foreign") as own:
        handmade.make(own, "v1")
        meta = {"name": READER}
        for place, kind, rule in (
            (f"/namespaces/{CENTRAL}", "role", {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}),
            ("", "clusterrole", {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}),
        ):
            own.request("POST", f"{RBAC}{place}/{kind}s", {"metadata": meta, "rules": [rule]})
        own.request("POST", f"/api/v1/namespaces/{CENTRAL}/serviceaccounts", {"metadata": meta})
        policy = {
            "metadata": {"name": POLICY},
            "spec": {
                "failurePolicy": "Ignore",
                "matchConstraints": {
                    "resourceRules": [
                        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["events"]}
                    ]
                },
                "validations": [{"expression": "true"}],
            },
        }
        own.request("POST", f"{POLICIES}/validatingadmissionpolicies", policy)
        own.patch("/api/v1/namespaces/special", {"metadata": {"finalizers": [HELD]}})
        # ESO has its finalizers on the namespaces that it serves.
        own.eventually(
            lambda: "ces-cloudflare-api-token" in str(own.get("/api/v1/namespaces/cert-manager")["metadata"]),
            what="ESO's finalizer",
        )
        yield own


@pytest.mark.parametrize("arguments", [("--check",), ()], ids=["check", "run"])
def test_teardown_of_what_somebody_else_made(foreign, arguments):
    before = everything(foreign)
    outcome = foreign.play("teardown", *arguments)
    assert outcome.recap["changed"] == 0, outcome.stdout
    assert everything(foreign) == before
    for text in (
        "ClusterExternalSecret application-docker-registry stays: it was made by kubectl-create",
        "ClusterSecretStore central-secret-store stays: it was made by kubectl-create",
        f"Role {CENTRAL}/{READER} stays",
        f"ClusterRole {READER} stays",
        f"ServiceAccount {CENTRAL}/{READER} stays",
        f"ValidatingAdmissionPolicy {POLICY} stays",
        f"Secret {CENTRAL}/github-pat stays: it was made by kubectl-create",
        "label secrets/cloudflare-api-token of Namespace cert-manager stays: ClusterExternalSecret",
        "kubectl delete clusterexternalsecret application-docker-registry",
        f"kubectl delete secret github-pat --namespace {CENTRAL}",
        "kubectl label namespace cert-manager secrets/cloudflare-api-token-",
    ):
        assert text in outcome.stdout, (text, outcome.stdout)


#: Each playbook or module that overwrites or deletes, and what it says of what is in the way.
ROWS = [
    ("bootstrap", {}, "would change or stop working"),
    (
        "bootstrap",
        {
            "cluster_secrets_prune": ["entries", "masters", "labels"],
        },
        "would change or stop working",
    ),
    ("rotate", {}, "would change or stop working"),
    (
        "rotate",
        {"cluster_secrets_rotate_sources": "github-pat"},
        "Secret central-secret-store/github-pat: made by kubectl-create",
    ),
    (
        "offboard",
        {"cluster_secrets_namespace": "cert-manager", "cluster_secrets_secret": "cloudflare-api-token"},
        "which no enabled entry of the catalog makes",
    ),
    (
        "onboard",
        {"cluster_secrets_namespace": "code-server", "cluster_secrets_secret": "application-docker-registry"},
        "was not made by ESO, and would be written over",
    ),
    (
        "onboard",
        {"cluster_secrets_namespace": CENTRAL, "cluster_secrets_secret": "cloudflare-api-token"},
        "holds the master Secrets",
    ),
]


@pytest.mark.parametrize(("playbook", "variables", "said"), ROWS)
def test_nothing_foreign_is_written(foreign, playbook, variables, said):
    before = everything(foreign)
    for arguments in (("--check",), ()):
        outcome = foreign.play(playbook, *arguments, variables={**EXISTING, **variables}, check=False)
        assert outcome.rc == 2 and said in outcome.stdout, outcome.stdout
        assert everything(foreign) == before and leaked(outcome.output) == []


def test_prune_and_exclusive_by_the_modules_alone(foreign, catalog):
    before = everything(foreign)
    own = {"catalog": []}
    assert not foreign.module("cluster_external_secrets", prune=True, **own).result["changed"]
    assert not foreign.module("cluster_external_secrets", state="absent", catalog=catalog).result["changed"]
    assert not foreign.module("cluster_secret_store", state="absent", catalog=catalog).result["changed"]
    assert not foreign.module("admission_policies", state="absent", catalog=catalog).result["changed"]
    assert not foreign.module("central_secrets", state="absent", catalog=catalog).result["changed"]
    assert not foreign.module("central_secrets", prune=True, values={}, **own).result["changed"]
    exclusive = foreign.module("namespace_labels", exclusive=True, **own).result
    assert not exclusive["changed"]
    left = {one["object"] for one in exclusive["left"]}
    assert "label secrets/gh-docker-registry of Namespace n8n" in left
    refused = foreign.module("namespace_labels", state="absent", catalog=catalog, check=False).result
    assert "must name the namespaces" in refused["msg"]
    assert everything(foreign) == before


def test_a_store_of_another_provider_stays(foreign):
    """The one thing of the cluster that every ExternalSecret needs, with nothing of ours about it but its name."""
    path = f"{ESO}/clustersecretstores/{CENTRAL}"
    old = foreign.get(path)
    foreign.delete(path)
    auth = {"tokenSecretRef": {"name": "t", "key": "k", "namespace": "default"}}
    provider = {"vault": {"server": "https://127.0.0.1:1", "path": "secret", "auth": auth}}
    typed = {"apiVersion": "external-secrets.io/v1", "kind": "ClusterSecretStore", "metadata": {"name": CENTRAL}}
    foreign.request("POST", f"{ESO}/clustersecretstores", {**typed, "spec": {"provider": provider}})
    uid = foreign.get(path)["metadata"]["uid"]
    try:
        assert f"ClusterSecretStore {CENTRAL} stays" in foreign.play("teardown").stdout
        assert foreign.get(path)["metadata"]["uid"] == uid
    finally:
        foreign.delete(path)
        foreign.request("POST", f"{ESO}/clustersecretstores", {**typed, "spec": old["spec"]})


def test_what_was_taken_over_goes_after_a_backup_but_for_what_others_need(foreign):
    """Adopted, then torn down: two kept consumers read legacy and github-pat through the store."""
    foreign.delete(f"{RBAC}/clusterroles/{READER}")
    foreign.delete(f"{RBAC}/namespaces/{CENTRAL}/roles/{READER}")
    # Whoever made an account of this name might hold a token of it.
    foreign.delete(f"/api/v1/namespaces/{CENTRAL}/serviceaccounts/{READER}")
    foreign.play("adopt", variables={"cluster_secrets_dest": "adopted"})
    arguments = ("-e", f"@{foreign.folder / 'adopted' / 'cluster_secrets.yml'}")
    foreign.delete(f"{POLICIES}/validatingadmissionpolicies/{POLICY}")
    foreign.play("bootstrap", *arguments)
    before = everything(foreign)
    predicted = foreign.play("teardown", "--check", *arguments)
    assert everything(foreign) == before
    outcome = foreign.play("teardown", *arguments)
    assert outcome.recap["changed"] == predicted.recap["changed"] == 1
    assert f"ClusterSecretStore {CENTRAL} stays: ClusterExternalSecret" in outcome.stdout
    assert f"Secret {CENTRAL}/github-pat stays: ClusterExternalSecret two-sources need it" in outcome.stdout
    secrets = foreign.request("GET", f"/api/v1/namespaces/{CENTRAL}/secrets")["items"]
    assert {item["metadata"]["name"] for item in secrets} == {"github-pat", "legacy"}
    for namespace, external in (("special", "team-special"), ("two", "two-sources"), ("lone", "lone")):
        path = f"{ESO}/namespaces/{namespace}/externalsecrets/{external}"
        before = foreign.get(path)["status"]["refreshTime"]

        def refreshed(path=path, before=before, external=external):
            # A ClusterExternalSecret hands on its own annotation, and takes away those of others.
            mark = {"metadata": {"annotations": {"external-secrets.io/force-sync": str(time.time())}}}
            foreign.patch(path if external == "lone" else f"{ESO}/clusterexternalsecrets/{external}", mark)
            status = foreign.get(path)["status"]
            return status["refreshTime"] != before and status["conditions"][0]["status"] == "True"

        foreign.eventually(refreshed, what=f"a refresh of {external}")
    (backup,) = (foreign.folder / "cluster-secrets-backups").glob("*.vault.yml")
    foreign.play(
        "restore",
        *arguments,
        variables={"cluster_secrets_backup_file": str(backup), "cluster_secrets_restore_verify": False},
    )
    assert (
        foreign.data(CENTRAL, "cloudflare-api-token")["api-token"]
        == handmade.MASTERS["cloudflare-api-token"]["api-token"].decode()
    )


def test_another_catalog_of_ours_on_the_same_cluster_stays(platform, catalog):
    with another(platform, "shared") as own:
        own.play("bootstrap")
        other = {
            "cluster_secrets_store": "other-store",
            "cluster_secrets_store_namespace": "other-central",
            "cluster_secrets_catalog": [],
            "cluster_secrets_catalog_extra": [entry("theirs", ["theirs"])],
            "cluster_secrets_values_from": "variable",
            "cluster_secrets_values": {"theirs-source": {"key": "value-of-theirs"}},
        }
        own.play("bootstrap", variables={**other, "cluster_secrets_guard_mode": "off"})
        path = f"{ESO}/clusterexternalsecrets/theirs"
        uid = own.get(path)["metadata"]["uid"]
        own.play("bootstrap", variables={"cluster_secrets_prune": ["entries"]})
        # There is one guard, and it is the first one's.
        mark = own.mark()
        guarded = own.play("bootstrap", variables=other)
        assert "protects the central namespace 'central-secret-store' of another catalog" in guarded.output
        assert not [one for one in own.writes(mark) if "admissionpolic" in one]
        # Nor do they undo each other's changes, or advise to.
        said = own.module("audit", catalog=catalog).result["findings"]
        assert not [one for one in said if "theirs" in one["object"]], said
        both = {
            "cluster_secrets_catalog_extra": [
                {**entry("theirs", ["theirs"]), "source": "github-pat", "data": {"KEY": "token"}}
            ]
        }
        mark = own.mark()
        refused = own.play("bootstrap", variables=both, check=False)
        assert refused.rc == 2 and own.writes(mark) == []
        assert "it is of another catalog, which reads through ClusterSecretStore other-store" in refused.stdout
        assert own.play("bootstrap").recap["changed"] == 0
        assert own.play("bootstrap", variables=other).recap["changed"] == 0
        enforcing = own.play("bootstrap", variables={**other, "cluster_secrets_guard_mode": "enforce"}, check=False)
        assert enforcing.rc == 2 and "'other-central' is not protected" in enforcing.stdout
        mark = own.mark()
        refused = own.play("teardown", variables={"cluster_secrets_teardown_eso": True}, check=False)
        assert refused.rc == 2 and "Without ESO these would stop" in refused.stdout, refused.output
        assert "ClusterExternalSecret theirs" in refused.stdout and own.writes(mark) == []
        outcome = own.play("teardown")
        assert "ClusterExternalSecret theirs stays: it is of another catalog" in outcome.stdout
        assert own.get(path)["metadata"]["uid"] == uid
        assert own.get("/api/v1/namespaces/theirs")["metadata"]["labels"]["secrets/theirs"] == "true"
        assert own.get(f"{ESO}/clustersecretstores/other-store")
        assert own.data("other-central", "theirs-source") == {"key": "value-of-theirs"}
