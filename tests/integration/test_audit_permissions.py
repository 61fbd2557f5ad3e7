# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit of who could: permissions that lead to master Secrets, and stores and entries beside the collection's."""

from __future__ import annotations

import pytest
from support import RBAC, RBAC_GROUP, found

ESO = "/apis/external-secrets.io/v1"


@pytest.fixture(autouse=True)
def clean(bootstrapped):
    """Each test begins on a cluster as bootstrap leaves it."""
    bootstrapped.play("bootstrap")


def rule(group, *resources, verbs=("create",), names=()):
    return [
        {
            "apiGroups": [group],
            "resources": list(resources),
            "verbs": list(verbs),
            **({"resourceNames": list(names)} if names else {}),
        }
    ]


def named(platform, catalog, **options):
    """The findings about permissions, vulnerabilities left out."""
    return {
        one
        for one in found(platform, catalog, **options)
        if one[0] in ("reads-every-source", "may-label", "may-request-token", "wide-permission")
    }


EXTERNALS = rule("external-secrets.io", "externalsecrets")


def test_who_may_create_external_secrets_where_the_store_serves_is_named(bootstrapped, catalog, grant):
    p = bootstrapped
    assert named(p, catalog) == set()
    account = {"kind": "ServiceAccount", "name": "deployer", "namespace": "n8n"}
    grant("by-hand", rules=EXTERNALS, namespace="n8n", subject=account)
    grant("outside", role="by-hand", namespace="default")
    grant(
        "everywhere",
        rules=rule("*", "*", verbs=("*",)),
        subject={"kind": "Group", "name": "developers", "apiGroup": RBAC_GROUP},
    )
    grant("patcher", rules=rule("external-secrets.io", "externalsecrets", verbs=("patch",)), namespace="n8n")
    hand, patcher = (
        ("reads-every-source", "n8n", "ServiceAccount n8n/deployer"),
        ("reads-every-source", "n8n", "User patcher"),
    )
    group = {
        (check, None, "Group developers")
        for check in ("reads-every-source", "may-label", "wide-permission", "may-request-token")
    }
    assert named(p, catalog) == {hand, patcher, *group}
    # Who is the platform is not reported.
    assert (
        named(
            p, catalog, platform_groups=["developers"], platform_users=["system:serviceaccount:n8n:deployer", "patcher"]
        )
        == set()
    )


def test_roles_that_are_aggregated_count(bootstrapped, catalog, grant):
    p = bootstrapped
    grant("editor", role="edit", namespace="n8n")
    grant("administrator", role="admin", namespace="n8n")
    labels = p.get(f"{RBAC}/clusterroles/external-secrets-edit")["metadata"]["labels"]
    # Charts before 2.8 can't be told to leave 'admin' alone, and then it is named.
    chart = (
        {("reads-every-source", "n8n", "User administrator")}
        if "rbac.authorization.k8s.io/aggregate-to-admin" in labels
        else set()
    )
    assert "rbac.authorization.k8s.io/aggregate-to-edit" not in labels
    assert named(p, catalog) == chart
    grant("aggregated", rules=EXTERNALS, labels={"rbac.authorization.k8s.io/aggregate-to-edit": "true"})
    both = {("reads-every-source", "n8n", f"User {user}") for user in ("editor", "administrator")}
    p.eventually(
        lambda: named(p, catalog) == {*both, ("reads-every-source", None, "User aggregated")}, what="the aggregation"
    )


def test_isolation_and_the_enforced_guard_close_it(bootstrapped, catalog, grant):
    p = bootstrapped
    grant("tenant", rules=EXTERNALS, namespace="n8n")
    grant("owner", rules=rule("", "namespaces", verbs=("patch",), names=["n8n"]), namespace="n8n")
    reads, labels = ("reads-every-source", "n8n", "User tenant"), ("may-label", "n8n", "User owner")
    assert named(p, catalog) == {reads, labels}
    p.play("bootstrap", variables={"cluster_secrets_isolation": "entry"})
    assert named(p, catalog, isolation="entry") == {labels}
    p.play("bootstrap")
    p.play("bootstrap", variables={"cluster_secrets_guard_mode": "enforce"})
    assert named(p, catalog) == set()
    p.play("bootstrap")
    assert named(p, catalog) == {reads, labels}


def test_cluster_wide_objects_tokens_and_readers(bootstrapped, catalog, grant):
    p = bootstrapped
    grant("distributor", rules=rule("external-secrets.io", "clusterexternalsecrets"))
    grant("finalizer", rules=rule("", "namespaces/finalize", verbs=("update",)))
    grant("impostor", rules=rule("", "serviceaccounts/token"), namespace="central-secret-store")
    reader = {"kind": "ServiceAccount", "name": "central-secret-store-reader", "namespace": "central-secret-store"}
    grant(
        "more",
        rules=rule("", "secrets", verbs=("get",), names=["another"]),
        namespace="central-secret-store",
        subject=reader,
    )
    assert named(p, catalog) == {
        ("reads-every-source", None, "User distributor"),
        ("may-label", None, "User finalizer"),
        ("may-request-token", "central-secret-store", "User impostor"),
        ("wide-permission", "central-secret-store", "ServiceAccount central-secret-store/central-secret-store-reader"),
    }


def test_a_second_store_a_foreign_entry_and_an_aimed_push(bootstrapped, catalog, vulnerable):
    p = bootstrapped
    provider = {
        "kubernetes": {
            "remoteNamespace": "central-secret-store",
            "auth": {"serviceAccount": {"name": "x", "namespace": "x"}},
        }
    }
    store = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterSecretStore",
        "metadata": {"name": "second"},
        "spec": {"provider": provider},
    }
    spec = {
        "namespaceSelectors": [{"matchLabels": {"none": "such"}}],
        "externalSecretSpec": {
            "secretStoreRef": {"name": "second", "kind": "ClusterSecretStore"},
            "dataFrom": [{"extract": {"key": "github-pat"}}],
        },
    }
    foreign = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterExternalSecret",
        "metadata": {"name": "foreign"},
        "spec": spec,
    }
    aimed = {
        "apiVersion": "kubernetes.external-secrets.io/v1alpha1",
        "kind": "PushSecretMetadata",
        "spec": {"remoteNamespace": "central-secret-store"},
    }
    data = [{"match": {"remoteRef": {"remoteKey": "github-pat"}}, "metadata": aimed}]
    push = {
        "selector": {"secret": {"name": "none"}},
        "secretStoreRefs": [{"name": "any", "kind": "ClusterSecretStore"}],
        "data": data,
    }
    pushes = {
        "apiVersion": "external-secrets.io/v1alpha1",
        "kind": "PushSecret",
        "metadata": {"name": "aimed"},
        "spec": push,
    }
    wide = {"apiVersion": "external-secrets.io/v1alpha1", "kind": "ClusterPushSecret", "metadata": {"name": "aimed"}}
    wide["spec"] = {"pushSecretSpec": push, "namespaceSelectors": [{"matchLabels": {"none": "such"}}]}
    made = [
        (f"{ESO}/clustersecretstores", store),
        (f"{ESO}/clusterexternalsecrets", foreign),
        ("/apis/external-secrets.io/v1alpha1/namespaces/default/pushsecrets", pushes),
        ("/apis/external-secrets.io/v1alpha1/clusterpushsecrets", wide),
    ]
    try:
        for path, body in made:
            p.request("POST", path, body)
        assert found(p, catalog) == vulnerable | {
            ("second-store", None, "second"),
            ("foreign-entry", None, "foreign"),
            ("tenant-writes-store", "default", "aimed"),
            ("tenant-writes-store", None, "aimed"),
        }
    finally:
        for path, body in made:
            p.delete(f"{path}/{body['metadata']['name']}")


def test_ways_to_master_secrets_that_are_no_reading(bootstrapped, catalog, grant):
    p = bootstrapped
    central = {"namespace": "central-secret-store"}
    grant("by-patch", rules=rule("", "secrets", verbs=("patch",)), **central)
    grant("by-deletion", rules=rule("", "secrets", verbs=("deletecollection",)), **central)
    grant("by-pod", rules=rule("batch", "cronjobs"), **central)
    grant("by-binding", rules=rule(RBAC_GROUP, "clusterroles", verbs=("bind",)), **central)
    grant("impostor", rules=rule("", "serviceaccounts", verbs=("impersonate",)))
    grant("climber", rules=rule(RBAC_GROUP, "clusterroles", verbs=("escalate",)))
    names = ("by-patch", "by-deletion", "by-pod", "by-binding")
    assert named(p, catalog) == {
        *(("wide-permission", "central-secret-store", f"User {name}") for name in names),
        *(("wide-permission", None, f"User {name}") for name in ("impostor", "climber")),
    }


def test_a_binding_without_its_policy_guards_nothing(bootstrapped, catalog, grant):
    p = bootstrapped
    grant("owner", rules=rule("", "namespaces", verbs=("patch",)), namespace="n8n")
    p.play("bootstrap", variables={"cluster_secrets_guard_mode": "enforce"})
    assert named(p, catalog) == set()
    p.delete("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/cluster-secrets-labels")
    assert named(p, catalog) == {("may-label", "n8n", "User owner")}
    p.play("bootstrap")
