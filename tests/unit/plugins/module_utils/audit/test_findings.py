# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit makes of many findings, and of entries by themselves."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import permissions
from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit import findings
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import stores
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import (
    FINALIZER_PREFIX,
    OWNED,
    cluster_external_secret,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso, snapshot, state
from samples import CONTROLS, ONE, entries

LAYOUT = stores.Layout("shared", "store", "central", "https://kubernetes.default.svc")
BY_ESO = {"reconcile.external-secrets.io/managed": "true"}
READY = {"conditions": [{"type": "Ready", "status": "True"}]}
USER = {"kind": "User", "name": "dev"}
LABELLED = {"metadata": {"name": "a", "labels": {"secrets/one": "true"}}}


def of_catalog():
    """What a bootstrap of the entry makes that an audit looks at: its store and its ClusterExternalSecret, ready."""
    (entry,) = entries(ONE)
    (store,) = [one for one in stores.desired(LAYOUT, [entry]) if stores.is_store(one)]
    made = cluster_external_secret(entry, "store", "v1")
    made["metadata"] = {"name": "one", "uid": "ces", "labels": OWNED}
    return {**store, "status": READY}, {**made, "status": READY}


def inventory(namespaces=(LABELLED,), externals=(), masters=None, **lists):
    store, made = of_catalog()
    well = {name: [] for name in snapshot.Inventory.__dataclass_fields__}
    well.update(stores=[store], distributed=[made], release=eso.Release((99, 0, 0)))
    held = {"src": {"key": b"v"}} if masters is None else masters
    well["snapshot"] = snapshot.Snapshot(list(namespaces), [], "1", list(externals), held)
    return snapshot.Inventory(**{**well, **lists})


def audited(found, rows=(), **scope):
    trusted = permissions.Trusted([], [], ["external-secrets"])
    given = findings.Scope(entries(ONE), scope.get("layout", LAYOUT), "external-secrets", trusted)
    return [(one.severity, one.check, one.namespace, one.name) for one in findings.find(given, found, list(rows))]


def secret(name, namespace="a", manager=None, **meta):
    by = [{"manager": manager, "operation": "Update"}] if manager else []
    return {"metadata": {"name": name, "namespace": namespace, "managedFields": by, **meta}}


def external(name, namespace="a", store="store", **meta):
    spec = {"secretStoreRef": {"kind": "ClusterSecretStore", "name": store}, "data": [{"remoteRef": {"key": "src"}}]}
    return {"metadata": {"name": name, "namespace": namespace, "uid": "u-" + name, **meta}, "spec": spec}


def binding(namespace, *rules, subject=None):
    """A RoleBinding and its Role, or a ClusterRoleBinding (of no namespace) and its ClusterRole."""
    kind = "Role" if namespace else "ClusterRole"
    meta = {"name": "given", **({"namespace": namespace} if namespace else {})}
    bound = {"metadata": meta, "roleRef": {"kind": kind, "name": "given"}, "subjects": [subject or USER]}
    role = {"metadata": meta, "rules": list(rules)}
    return (
        {"bindings": [bound], "roles": [role]} if namespace else {"cluster_bindings": [bound], "cluster_roles": [role]}
    )


def rule(resource, *verbs, group="", names=None):
    found = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return {**found, "resourceNames": names} if names else found


def test_nothing_is_found_where_all_is_well():
    assert audited(inventory()) == []


# -- Secrets ---------------------------------------------------------------------------------------


def test_sources_that_are_missing_or_left_over():
    assert audited(inventory(masters={})) == [("error", "missing-source", None, "one")]
    live = [
        secret("src", "central"),
        secret("left", "central", labels=OWNED),
        secret("typed", "central"),
        secret("tls", "central", ownerReferences=[{"kind": "Certificate"}]),
    ]
    assert audited(inventory(secrets=live)) == [
        ("warning", "left-over-source", "central", "left"),
        ("warning", "hand-made-source", "central", "typed"),
    ]


def test_secrets_that_somebody_made_by_hand():
    live = [secret("one", "elsewhere"), secret("db", manager="kubectl-create"), secret("chart", manager="helm")]
    assert audited(inventory(secrets=live)) == [
        ("warning", "hand-made-copy", "elsewhere", "one"),
        ("info", "hand-made-secret", "a", "db"),
    ]


def test_a_secret_that_only_wears_esos_label():
    owner = {"kind": "ExternalSecret", "name": "mine", "uid": "u-mine"}
    worn, made = secret("worn", labels=BY_ESO), secret("mine", labels=BY_ESO, ownerReferences=[owner])
    forged = secret("forged", labels=BY_ESO, ownerReferences=[{**owner, "uid": "of nobody"}])
    found = audited(inventory(secrets=[worn, made, forged], externals=[external("mine", store="elsewhere")]))
    assert found == [("warning", "look-alike", "a", "worn"), ("warning", "look-alike", "a", "forged")]


@pytest.mark.parametrize(
    ("status", "severity"), [(state.FAILING, "error"), (state.MISSING, "error"), (state.UNLABELLED, "warning")]
)
def test_a_target_that_is_not_as_it_should_be(status, severity):
    rows = [state.Row(entries(ONE)[0], "a", status, "said")]
    assert audited(inventory(), rows) == [(severity, status, "a", "one")]


def test_a_target_whose_name_somebody_took():
    rows = [state.Row(entries(ONE)[0], "a", state.FAILING, "said")]
    found = audited(inventory(secrets=[secret("one")]), rows)
    assert found == [("error", "shadowed-target", "a", "one")]
    # Whoever writes the Secret says who owns it: nobody is told to delete that.
    owners = [{"apiVersion": "nope/v9", "kind": "Namespace", "name": "central"}]
    scope = findings.Scope(entries(ONE), LAYOUT, "external-secrets", permissions.Trusted([], [], []))
    (said,) = findings.find(scope, inventory(secrets=[secret("one", ownerReferences=owners)]), rows)
    assert "that names Namespace central as its owner" in said.message and "elete" not in said.fix.text()
    assert "Look in namespace a who writes it" in said.fix.hint


# -- namespaces --------------------------------------------------------------------------------------


def test_labels_and_finalizers_that_do_nothing():
    spaces = [
        {"metadata": {"name": "b", "labels": {"secrets/gone": "true", "secrets/one": "yes"}}},
        {"metadata": {"name": "c", "finalizers": [FINALIZER_PREFIX + "one"]}},
        {"metadata": {**LABELLED["metadata"], "finalizers": [FINALIZER_PREFIX + "one"]}},
    ]
    assert audited(inventory(spaces)) == [
        ("warning", "label-without-entry", "b", "secrets/gone"),
        ("warning", "label-value", "b", "secrets/one"),
        ("error", "orphaned-finalizer", "c", FINALIZER_PREFIX + "one"),
    ]


# -- what reads the store ------------------------------------------------------------------------------


def test_entries_that_are_missing_left_over_or_foreign():
    _store, made = of_catalog()
    left = {**made, "metadata": {"name": "left", "labels": OWNED}}
    foreign = {**made, "metadata": {"name": "foreign"}}
    elsewhere = {
        **foreign,
        "metadata": {"name": "else"},
        "spec": {"externalSecretSpec": external("x", store="y")["spec"]},
    }
    assert audited(inventory(distributed=[left, foreign, elsewhere])) == [
        ("error", "not-distributed", None, "one"),
        ("warning", "left-over-entry", None, "left"),
        ("error", "foreign-entry", None, "foreign"),
    ]


def test_what_tenants_make_of_the_store():
    owner = {**CONTROLS, "kind": "ClusterExternalSecret", "name": "one", "uid": "ces"}
    made = external("one", ownerReferences=[owner])
    forged = external("loot", ownerReferences=[owner])
    in_place = external("one", "unlabelled", ownerReferences=[owner])
    push = {
        "metadata": {"name": "p", "namespace": "a"},
        "spec": {"secretStoreRefs": [{"kind": "ClusterSecretStore", "name": "store"}]},
    }
    own = {
        "metadata": {"name": "own", "namespace": "a"},
        "spec": {"provider": {"kubernetes": {"remoteNamespace": "central"}}},
    }
    found = audited(
        inventory(
            externals=[made, forged, in_place, external("other", store="y")], push_secrets=[push], tenant_stores=[own]
        )
    )
    assert found == [
        ("error", "tenant-reads-store", "a", "loot"),
        ("error", "tenant-reads-store", "unlabelled", "one"),
        ("error", "tenant-writes-store", "a", "p"),
        ("error", "tenant-opens-store", "a", "own"),
    ]


def test_the_stores():
    store, _made = of_catalog()
    assert audited(inventory(stores=[])) == [("error", "store-missing", None, "store")]
    open_one = {**store, "spec": {**store["spec"], "conditions": []}}
    second = {**store, "metadata": {"name": "second"}}
    silent = {**store, "status": {}}
    assert audited(inventory(stores=[open_one, second])) == [
        ("error", "store-open", None, "store"),
        ("error", "second-store", None, "second"),
    ]
    assert audited(inventory(stores=[silent])) == [("error", "store-not-ready", None, "store")]
    by_entry = stores.Layout("entry", "store", "central")
    assert ("error", "isolation-unfinished", None, "store") in audited(inventory(), layout=by_entry)


# -- permissions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("namespace", "given", "severity", "check"),
    [
        ("central", rule("secrets", "get"), "error", "wide-permission"),
        ("central", rule("pods/exec", "get"), "error", "wide-permission"),
        ("central", rule("deployments", "create", group="apps"), "error", "wide-permission"),
        ("external-secrets", rule("secrets", "list"), "error", "wide-permission"),
        ("central", rule("serviceaccounts/token", "create"), "error", "may-request-token"),
        (None, rule("secrets", "list"), "warning", "wide-permission"),
        ("central", rule("secrets", "create"), "error", "wide-permission"),
        (None, rule("users", "impersonate"), "warning", "wide-permission"),
        (
            None,
            rule("serviceaccounts", "impersonate:serviceaccount", group="authentication.k8s.io"),
            "warning",
            "wide-permission",
        ),
        (
            None,
            rule("validatingwebhookconfigurations", "create", group="admissionregistration.k8s.io"),
            "warning",
            "may-lift-guard",
        ),
        (None, rule("nodes/proxy", "get"), "warning", "wide-permission"),
        (
            None,
            rule("mutatingwebhookconfigurations", "create", group="admissionregistration.k8s.io"),
            "warning",
            "may-lift-guard",
        ),
        (None, rule("clusterexternalsecrets", "create", group="external-secrets.io"), "error", "reads-every-source"),
        ("a", rule("externalsecrets", "create", group="external-secrets.io"), "error", "reads-every-source"),
        (None, rule("namespaces", "patch"), "error", "may-label"),
        (None, rule("namespaces", "create"), "error", "may-label"),
    ],
)
def test_a_permission_that_leads_to_master_secrets(namespace, given, severity, check):
    found = audited(inventory(**binding(namespace, given)))
    assert [one[:2] for one in found] == [(severity, check)] and found[0][3] == "User dev"


@pytest.mark.parametrize(
    ("namespace", "given"),
    [
        ("a", rule("secrets", "*")),
        ("elsewhere", rule("externalsecrets", "create", group="external-secrets.io")),
        ("a", rule("externalsecrets", "get", group="external-secrets.io")),
        (None, rule("pods", "create")),
        (None, rule("secrets", "create")),
        (None, rule("namespaces", "get")),
    ],
)
def test_a_permission_that_leads_nowhere(namespace, given):
    assert audited(inventory(**binding(namespace, given))) == []


def test_kubernetes_own_and_esos_subjects_are_trusted():
    controller = {"kind": "ServiceAccount", "name": "external-secrets", "namespace": "external-secrets"}
    for subject in ({"kind": "Group", "name": "system:masters"}, controller):
        assert audited(inventory(**binding(None, rule("*", "*", group="*"), subject=subject))) == []


def test_the_stores_reader_may_read_its_sources_only():
    reader = {"kind": "ServiceAccount", "name": stores.READER, "namespace": "central"}
    own = rule("secrets", "get", names=["src", stores.NO_SECRET])
    assert audited(inventory(**binding("central", own, subject=reader))) == []
    for namespace, given in (("central", rule("secrets", "get", names=["src", "more"])), (None, own)):
        found = audited(inventory(**binding(namespace, given, subject=reader)))
        assert found == [("error", "wide-permission", namespace, "ServiceAccount central/" + stores.READER)]


def test_webhooks_that_see_master_secrets():
    hook = {"name": "w", "rules": [{"apiGroups": [""], "resources": ["secrets"]}]}
    found = inventory(
        mutating_webhooks=[{"metadata": {"name": "m"}, "webhooks": [hook]}],
        validating_webhooks=[{"metadata": {"name": "v"}, "webhooks": [hook]}],
    )
    assert audited(found) == [
        ("warning", "webhook-sees-secrets", None, "m"),
        ("info", "webhook-sees-secrets", None, "v"),
    ]


# -- ESO -------------------------------------------------------------------------------------------------


def test_the_release_and_what_is_stored():
    crd = {
        "metadata": {"name": "externalsecrets"},
        "spec": {"versions": [{"name": "v1", "served": True}, {"name": "v1beta1", "served": False}]},
        "status": {"storedVersions": ["v1", "v1beta1"]},
    }
    found = inventory(crds=[crd], release=eso.Release(None, "no image"))
    assert audited(found) == [
        ("error", "unserved-version", None, "externalsecrets"),
        ("warning", "eso-release-unknown", "external-secrets", "external-secrets"),
    ]
    old = {one[1] for one in audited(inventory(release=eso.Release((0, 20, 4))))}
    assert old == {"vulnerable-eso"}


# -- many of them ------------------------------------------------------------------------------------------


def test_a_binding_of_many_subjects_hides_nothing_else():
    many = [findings.Finding("error", "may-label", None, f"User u{n}", "by RoleBinding x") for n in range(5000)]
    few = [findings.Finding("error", "may-label", None, f"User v{n}", "by RoleBinding y") for n in range(3)]
    secrets = [findings.Finding("info", "hand-made-secret", "a", f"s{n}", "made by kubectl") for n in range(50)]
    found = findings._collapsed([*many, *few, *secrets])
    assert len(found) == 54 and found[0].name == "User u0 and 4999 more"
    # Nor does a namespace whose owner has as many found there as he likes.
    flood = [findings.Finding("error", "orphaned-finalizer", "b", f"f{n}", f"left {n}") for n in range(5000)]
    other = findings.Finding("error", "orphaned-finalizer", "c", "f", "left")
    shown = findings._collapsed([*flood, other])
    assert len(shown) == 22 and other in shown and shown[-1].name == "4980 more"
    # Nor do many bindings of few subjects each.
    bound = [
        findings.Finding("error", "may-label", "b", f"User u{n}", f"by RoleBinding x{n // 20}") for n in range(600)
    ]
    assert len(findings._collapsed([*bound, other])) == 22


def test_an_entry_that_any_new_namespace_gets():
    def chosen(**spec):
        return list(findings._open(entries({**ONE, "name": "x", **spec})))

    def by(*expressions):
        return {"namespace_selectors": [{"matchExpressions": list(expressions)}]}

    tier = {"key": "tier", "operator": "NotIn", "values": ["tenant"]}
    known = {"key": "platform", "operator": "Exists"}
    assert chosen() == [] == chosen(**by(known)) == chosen(**by(tier, known))
    assert [one.check for one in chosen(**by(tier))] == ["open-entry"]
    unnamed = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}
    assert [one.check for one in chosen(**by(unnamed))] == ["open-entry"]
