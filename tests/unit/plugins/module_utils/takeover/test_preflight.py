# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bootstrap would change or break, and which answers accept that."""

from __future__ import annotations

import base64
import datetime
import json

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import consumers, stores
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import (
    MANAGER,
    OWNED,
    cluster_external_secret,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.snapshot import Users
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover import preflight
from samples import ONE, entries

LAYOUT = stores.Layout("shared", "store", "central", "https://kubernetes.default.svc")
STORE = {"kind": "ClusterSecretStore", "name": "store"}
VALUES = {"src": {"key": b"new"}}


def encoded(data):
    return {key: base64.b64encode(value).decode() for key, value in data.items()}


def secret(name="src", namespace="central", data=None, kind="Opaque", **meta):
    body = {"kind": "Secret", "type": kind, "data": encoded({"key": b"new"} if data is None else data)}
    return {**body, "metadata": {"name": name, "namespace": namespace, "uid": "u-" + name, **meta}}


def record(manager, *keys, operation="Update"):
    fields = {"f:data": {"f:" + key: {} for key in keys}}
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


def named(name, **labels):
    return {"metadata": {"name": name, "labels": labels}}


def distributed(name="one", **changes):
    """What the catalog's entry calls for, as somebody else made it."""
    (entry,) = entries({**ONE, "name": name})
    found = cluster_external_secret(entry, "store", "v1")
    found["metadata"] = {"name": name, **changes.pop("metadata", {})}
    found["spec"].update(changes)
    return found


def external(name="e", namespace="a", **meta):
    spec = {"secretStoreRef": STORE, "data": [{"remoteRef": {"key": "src"}}]}
    return {"metadata": {"name": name, "namespace": namespace, "uid": "u-" + name, **meta}, "spec": spec}


def shared(owned=True, annotations=None, **spec):
    """The shared store."""
    (found,) = [one for one in stores.desired(LAYOUT, entries(ONE)) if stores.is_store(one)]
    found["metadata"] = {"name": "store", "labels": OWNED if owned else {}, "annotations": annotations or {}}
    found["spec"] = {**found["spec"], **spec}
    return found


class Cluster:
    """What live.snapshot.Cluster reads, given."""

    def __init__(self, namespaces=(), secrets=(), there=(), central=(), users=None, limits=(None, None)):
        self.namespaces = {item["metadata"]["name"]: item for item in namespaces}
        self.secrets = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in secrets}
        self.whole = self.secrets
        self.central = {item["metadata"]["name"]: item for item in central}
        self.stores = {(item["kind"], item["metadata"]["name"]): item for item in there}
        self.users = users or Users([], [], [], [])
        self.names = {item["metadata"]["name"] for item in self.users.distributed}
        self.external_keys = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in self.users.externals}
        self.version = "v1"
        self.limits = limits


def find(cluster, catalog=(ONE,), values=None, **options):
    return preflight.find(entries(*catalog), LAYOUT, cluster, VALUES if values is None else values, **options)


def said(findings):
    return [(one.check, one.object, one.answers) for one in findings]


# -- answers -----------------------------------------------------------------------------------


def test_what_is_not_said_is_refused():
    found = preflight.checked_answers({"values": "overwrite"})
    assert found.pop("values") == "overwrite" and set(found.values()) == {"refuse"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "cluster_secrets_takeover must be a mapping of kinds, not a list"),
        ({"value": "overwrite"}, "unknown kind 'value'. Did you mean 'values'?"),
        ({"consumers": "overwrite"}, "'consumers' can't be 'overwrite'. Use one of: refuse, keep, drop"),
    ],
)
def test_answers_that_are_none(given, message):
    with pytest.raises(CatalogError, match="cluster_secrets_takeover") as error:
        preflight.checked_answers(given)
    assert message in str(error.value)


def test_the_findings_come_in_the_order_of_the_answers():
    assert find(Cluster()) == []
    mixed = [preflight.existing(kind, "x", "y", ()) for kind in ("losses", "access", "entries")]
    assert [one.check for one in preflight.in_order(mixed)] == ["access", "entries", "losses"]


# -- master Secrets ------------------------------------------------------------------------------


def masters(live, values=None):
    return list(preflight.values_found("central", {"src": live} if live else {}, values or VALUES))


def test_a_master_made_by_others():
    assert masters(None) == [] == masters(secret())
    (found,) = masters(secret(data={"key": b"s3cret"}, managedFields=[record("kubectl", "key")]))
    assert found.message == "made by kubectl; the value of key would change"
    assert found.answers == ("overwrite",) and (found.backup, found.remove) == ([("central", "src")], [])
    (found,) = masters({**secret(data={"other": b"s3cret"}), "immutable": True})
    assert "key would be added beside other, which nothing would rotate any more" in found.message
    assert found.remove == [("central", "src")]


def test_who_wrote_a_master_of_ours_since_is_named():
    ours, argo = record(MANAGER, "key", operation="Apply"), record("argocd-controller", "key")
    assert masters(secret(data={"key": b"s3cret"}, labels=OWNED, managedFields=[ours])) == []
    # Who wrote the same value renews nothing.
    assert masters(secret(labels=OWNED, managedFields=[argo])) == []
    (found,) = masters(secret(data={"key": b"s3cret"}, labels=OWNED, managedFields=[argo]))
    assert found.message.startswith("Argo CD and argocd-controller wrote key since") and "s3cret" not in found.message


def test_an_immutable_master_of_ours_is_told_only_if_it_changes():
    live = {**secret(labels=OWNED, managedFields=[record(MANAGER, "key", operation="Apply")]), "immutable": True}
    assert masters(live) == []
    (found,) = masters({**live, "data": encoded({"key": b"s3cret"})})
    assert found.remove == [("central", "src")] and "made anew" in found.message


def test_what_has_ended_is_told_only_if_it_would_be_written():
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    token = b".".join(
        base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in ({"alg": "x"}, {"exp": 1})
    )
    given, warned = {"src": {"key": token + b".x"}}, []
    (found,) = preflight.ended("central", {}, given, now, warned.append)
    assert (found.check, found.object, found.answers) == ("ended", "Secret central/src", ("accept",))
    assert preflight.ended("central", {"src": secret(data=given["src"])}, given, now, warned.append) == []


# -- consumers -----------------------------------------------------------------------------------


def with_consumer(item, store, **lists):
    users = Users(lists.get("distributed", []), [item] if item else [], [], [])
    places = [named("a"), named("tenant")]
    return Cluster(places, there=[store], central=[secret("src"), secret("lost")], users=users)


def reading(key, **changes):
    item = external(**changes)
    item["spec"]["data"] = [{"remoteRef": {"key": key}}]
    return item


def consumers_of(cluster):
    return [one for one in find(cluster) if one.check == "consumers"]


def test_who_reads_through_a_store_of_others_is_kept_or_let_go():
    (found,) = consumers_of(with_consumer(reading("lost"), shared(owned=False, conditions=[])))
    assert found.answers == ("keep", "drop") and found.object == "ExternalSecret a/e" and not found.warns


def test_a_tenant_that_reads_through_our_store_holds_up_nobody():
    """Whatever its status says: the tenant writes that, or has been served before it was told."""
    for status in ({}, {"refreshTime": "2026-01-01T00:00:00Z"}):
        found = consumers_of(with_consumer({**reading("lost"), "status": status}, shared(conditions=[])))
        assert said(found) == [("consumers", "ExternalSecret a/e", ("refuse", "keep", "drop"))] and found[0].warns
        for answer in preflight.ANSWERS["consumers"]:
            assert found[0].accepted(preflight.checked_answers({"consumers": answer}))
        assert found[0].accepted(preflight.checked_answers({}))
        assert "ExternalSecret a/e: it uses ClusterSecretStore store" in preflight.warning(found)


def test_what_was_kept_may_be_kept_on():
    noted = {consumers.KEPT_ANNOTATION: json.dumps(["ExternalSecret a/e"])}
    found = consumers_of(with_consumer(reading("lost"), shared(annotations=noted, conditions=[])))
    assert [one.answers for one in found] == [("keep", "drop")] and not found[0].warns


def test_one_of_the_whole_cluster_needs_an_answer():
    """No tenant makes it."""
    wide = distributed("theirs", namespaceSelectors=[{"matchLabels": {}}])
    wide["spec"]["externalSecretSpec"]["data"] = [{"remoteRef": {"key": "lost"}}]
    found = consumers_of(with_consumer(None, shared(conditions=[]), distributed=[wide]))
    assert said(found) == [("consumers", "ClusterExternalSecret theirs", ("drop",))]


def test_the_warning_is_short_however_many_there_are():
    many = [preflight.existing("consumers", f"E {n}", "m", ("refuse",), warns=True) for n in range(9)]
    assert preflight.warning(many).splitlines() == [*[f"E {n}: m" for n in range(5)], "and 4 more"]
    assert preflight.warning([preflight.existing("consumers", "E", "m", ("refuse",))]) == ""


# -- stores --------------------------------------------------------------------------------------


def store_found(**changes):
    store = shared(owned=False)
    kubernetes = {**store["spec"]["provider"]["kubernetes"], **changes}
    store["spec"]["provider"] = {"kubernetes": kubernetes}
    return [one for one in find(Cluster(there=[store])) if one.check == "stores"]


@pytest.mark.parametrize(
    ("changes", "text", "answers"),
    [
        ({}, "would serve what the catalog selects by ServiceAccount", ("adopt", "overwrite")),
        ({"remoteNamespace": "elsewhere"}, "it reads namespace 'elsewhere', and would read 'central'", ("overwrite",)),
        ({"server": {"url": "https://10.0.0.1"}}, "it reaches the API at https://10.0.0.1", ("overwrite",)),
        ({"server": {"caBundle": "x"}}, "it trusts a CA of its own", ("overwrite",)),
    ],
)
def test_a_store_of_others(changes, text, answers):
    (found,) = store_found(**changes)
    assert text in found.message and found.answers == answers


def test_our_own_store_that_reads_another_namespace():
    """Of a mistyped or forgotten variable, generated values would be made anew there, and distributed."""
    moved = shared()
    moved["spec"]["provider"] = {"kubernetes": {"remoteNamespace": "elsewhere"}}
    # Of somebody's edit, which is taken back.
    assert find(Cluster(there=[moved])) == []
    fields = {"f:spec": {"f:provider": {"f:kubernetes": {"f:remoteNamespace": {}}}}}
    moved["metadata"]["managedFields"] = [{"manager": MANAGER, "operation": "Apply", "fieldsV1": fields}]
    (found,) = [one for one in find(Cluster(there=[moved])) if one.check == "stores"]
    assert found.message == "it reads namespace 'elsewhere', and would read 'central'"
    assert found.answers == ("overwrite",)
    assert find(Cluster(there=[shared()])) == []


def test_a_store_with_another_provider():
    store = {**shared(owned=False), "spec": {"provider": {"vault": {}}}}
    (found,) = [one for one in find(Cluster(there=[store])) if one.check == "stores"]
    assert "its provider is vault, not kubernetes" in found.message and found.answers == ("overwrite",)


def test_a_binding_of_another_role_can_only_be_deleted():
    (binding,) = [
        one
        for one in stores.desired(LAYOUT, entries(ONE))
        if one["kind"] == "RoleBinding" and one["metadata"]["name"] == stores.READER
    ]
    binding["roleRef"] = {**binding["roleRef"], "name": "cluster-admin"}
    (found,) = [one for one in find(Cluster(there=[binding])) if one.check == "stores"]
    assert found.answers == () and "Delete it" in found.message


# -- entries and targets -------------------------------------------------------------------------


def test_an_entry_made_by_others_that_changes_nothing_is_adopted():
    cluster = Cluster([named("a", **{"secrets/one": "true"})], users=Users([distributed()], [], [], []))
    (found,) = [one for one in find(cluster) if one.check == "entries"]
    assert found.answers == ("adopt", "overwrite") and found.message.endswith("and the data of no target changes")


def test_a_namespace_that_would_lose_its_target_is_named():
    theirs = distributed(namespaceSelectors=[{"matchLabels": {"other": "true"}}])
    target = secret("one", "b")
    cluster = Cluster([named("a"), named("b", other="true")], [target], users=Users([theirs], [], [], []))
    (found,) = [one for one in find(cluster) if one.check == "entries"]
    assert "namespace b would lose the Secret one" in found.message
    assert (found.answers, found.backup, found.remove) == (("overwrite",), [("b", "one")], [])


def target_found(live, **lists):
    cluster = Cluster([named("a", **{"secrets/one": "true"})], [live], central=[secret()], **lists)
    return [one for one in find(cluster) if one.check == "targets"]


def test_a_secret_made_by_hand_where_a_target_belongs():
    (found,) = target_found(secret("one", "a", {"KEY": b"new"}))
    assert "with what ESO would write" in found.message and found.answers == ("adopt", "overwrite")
    (found,) = target_found(secret("one", "a", {"KEY": b"s3cret", "more": b"x"}))
    assert found.message == "made by hand; ESO would take it over, and it loses more, it changes KEY"
    assert (found.answers, found.backup, found.remove) == (("overwrite",), [("a", "one")], [])
    (found,) = target_found(secret("one", "a", {"KEY": b"new"}, kind="kubernetes.io/tls"))
    assert "its type becomes Opaque instead of kubernetes.io/tls" in found.message and found.remove == [("a", "one")]


def test_a_secret_that_belongs_to_something_else_stays():
    owner = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "name": "c", "uid": "x", "controller": True}
    (found,) = target_found(secret("one", "a", ownerReferences=[owner]))
    assert "it belongs to Certificate c, so ESO can't fill it, and it stays as it is" in found.message


@pytest.mark.parametrize(("uid", "count"), [("u-e", 1), ("of-one-before", 0)])
def test_what_an_external_secret_owns_goes_with_it(uid, count):
    owner = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "e", "uid": uid}
    live = secret("one", "a", ownerReferences=[{**owner, "controller": True}])
    assert len(target_found(live, users=Users([], [external()], [], []))) == count


def test_what_eso_fills_already_is_for_verifying():
    users = Users([distributed(metadata={"labels": OWNED})], [external("one")], [], [])
    by_eso = secret("one", "a", {"KEY": b"old"}, labels={"reconcile.external-secrets.io/managed": "true"})
    assert target_found(by_eso, users=users) == []
    # Made by hand, and of a type that nobody can change: a replacement that was interrupted is gone on with on request.
    (found,) = target_found(secret("one", "a", kind="kubernetes.io/tls"), users=users)
    assert found.answers == ("refuse", "adopt", "overwrite") and found.remove == [("a", "one")]


def test_the_suspects_are_what_is_read_whole():
    cluster = Cluster(
        [named("a", **{"secrets/one": "true"}), named("b")], [secret("one", "a"), secret("one", "b"), secret("x", "a")]
    )
    assert preflight.suspects(entries(ONE), cluster) == [("a", "one")]


# -- what would be lost ----------------------------------------------------------------------------


def test_an_entry_that_left_the_catalog_is_a_loss_unless_pruned():
    ours = distributed("gone", metadata={"labels": OWNED}, namespaceSelectors=[{"matchLabels": {"g": "true"}}])
    ours["spec"]["externalSecretSpec"]["data"] = [{"remoteRef": {"key": "lost"}}]
    admitting = shared(conditions=[{"namespaceSelector": {"matchLabels": {"g": "true"}}}])
    cluster = Cluster([named("a", g="true")], there=[admitting], users=Users([ours], [], [], []))
    (found,) = [one for one in find(cluster) if one.check == "losses"]
    assert found.object == "ClusterExternalSecret gone" and found.answers == ("accept",)
    assert "Secret gone in namespace a would no longer be refreshed" in found.message
    assert "is it the right one, with the right catalog?" in found.message
    assert [one for one in find(cluster, prune=True) if one.check == "losses"] == []


def test_another_catalogs_entry_of_the_same_name_is_not_taken_over_in_silence():
    theirs = distributed(metadata={"labels": OWNED})
    theirs["spec"]["externalSecretSpec"]["secretStoreRef"] = {"kind": "ClusterSecretStore", "name": "theirs"}

    def found(store):
        there = [shared()] if store is None else [shared(), store]
        cluster = Cluster([named("b", **{"secrets/one": "true"})], there=there, users=Users([theirs], [], [], []))
        return [one for one in find(cluster) if one.check == "entries"]

    store = shared()
    store["metadata"] = {**store["metadata"], "name": "theirs"}
    elsewhere = {"provider": {"kubernetes": {"remoteNamespace": "their-central"}}}
    (existing,) = found({**store, "spec": elsewhere})
    assert existing.answers == ("overwrite",) and existing.object == "ClusterExternalSecret one"
    assert "it is of another catalog, which reads through ClusterSecretStore theirs" in existing.message
    # Its own store may have had another name, or be gone.
    assert found(store) == found(None) == []


def test_what_eso_tried_to_serve_is_no_tenants_to_hold_up():
    """A quota keeps the ExternalSecret from being made anew, and the tenant made a Secret of the target's name."""
    for status, checks in (
        ({}, ["targets"]),
        ({"failedNamespaces": [{"namespace": "a", "reason": "exceeded quota"}]}, []),
        ({"provisionedNamespaces": ["a"]}, []),
    ):
        ours = {**distributed(metadata={"labels": OWNED}), "status": status}
        hand_made = secret("one", "a", {"other": b"x"})
        cluster = Cluster([named("a", **{"secrets/one": "true"})], [hand_made], users=Users([ours], [], [], []))
        cluster.names = {"one"}
        assert [one.check for one in find(cluster) if one.check == "targets"] == checks, status
    # What made another Secret, or is somebody else's, has not tried this one.
    for changes in ({"metadata": {}}, {"externalSecretName": "other"}):
        theirs = {
            **distributed(**{"metadata": {"labels": OWNED}, **changes}),
            "status": {"provisionedNamespaces": ["a"]},
        }
        cluster = Cluster([named("a", **{"secrets/one": "true"})], [hand_made], users=Users([theirs], [], [], []))
        cluster.names = {"one"}
        assert [one.check for one in find(cluster) if one.check == "targets"] == ["targets"], changes


def test_an_entry_that_selects_otherwise_is_a_loss_unless_somebody_rewrote_it():
    ours = distributed(metadata={"labels": OWNED}, namespaceSelectors=[{"matchLabels": {"old": "true"}}])
    cluster = Cluster([named("b", old="true")], there=[shared()], users=Users([ours], [], [], []))
    (found,) = [one for one in find(cluster) if one.check == "losses"]
    assert found.message == "Secret one in namespace b would go: the entry selects differently"
    ours["metadata"]["managedFields"] = [{"manager": "k", "fieldsV1": {"f:spec": {"f:namespaceSelectors": {}}}}]
    assert [one for one in find(cluster) if one.check == "losses"] == []


# -- who writes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marks", "who"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, ["Argo CD"]),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "x"}}, ["Flux"]),
        ({"managedFields": [record("Terraform", "key")]}, ["Terraform"]),
        ({"annotations": {"cert-manager.io/certificate-name": "x"}}, ["cert-manager"]),
        ({"ownerReferences": [{"kind": "Certificate", "name": "c", "controller": True}]}, ["Certificate c"]),
        ({"ownerReferences": [{"kind": "KafkaUser", "name": "k"}]}, ["KafkaUser k"]),
        ({"labels": {"secrets-store.csi.k8s.io/managed": "true"}}, ["the Secrets Store CSI driver"]),
        ({"labels": {"reconcile.external-secrets.io/managed": "true"}}, ["ESO"]),
        ({"managedFields": [record("kubectl-edit", "key")]}, []),
    ],
)
def test_who_keeps_writing_a_master(marks, who):
    live = secret(**marks)
    assert preflight.writers(live) == who
    found = [one for one in find(Cluster(central=[live])) if one.check == "managers"]
    assert [one.answers for one in found] == ([("overwrite",)] if who else [])


def test_a_master_that_the_catalog_says_others_write_is_accepted():
    entry = {**ONE, "written_by": "cert-manager"}
    live = secret(annotations={"cert-manager.io/certificate-name": "x"})
    (found,) = [one for one in find(Cluster(central=[live]), [entry], {}) if one.check == "managers"]
    assert found.accepted(preflight.checked_answers({})) and "never written" in found.message


def test_what_gitops_writes_is_left_to_it():
    cluster = Cluster(there=[shared(owned=False)], users=Users([distributed()], [], [], []))
    assert {one.check for one in find(cluster)} == {"stores", "entries"}
    assert find(cluster, by_gitops=True) == []


# -- others over the same namespace, labels and names of others -------------------------------------


def test_another_catalog_over_the_same_namespace_is_refused():
    theirs = shared()
    theirs["metadata"] = {"name": "their-store", "labels": OWNED}
    used = distributed("their-entry", metadata={"labels": OWNED})
    used["spec"]["externalSecretSpec"]["secretStoreRef"]["name"] = "their-store"
    cluster = Cluster([named("a")], there=[shared(), theirs], users=Users([used], [], [], []))
    (found,) = [one for one in find(cluster) if one.check == "stores"]
    assert found.object == "ClusterSecretStore their-store" and found.answers == ("overwrite",)
    assert "it reads namespace 'central', too, for ClusterExternalSecret their-entry" in found.message
    # The store of an earlier name, through which nobody else reads, is no other catalog.
    mine = distributed("one", metadata={"labels": OWNED})
    mine["spec"]["externalSecretSpec"]["secretStoreRef"]["name"] = "their-store"
    cluster = Cluster([named("a")], there=[shared(), theirs], users=Users([mine], [], [], []))
    assert [one for one in find(cluster) if one.check == "stores"] == []


def test_a_label_of_others_with_another_value_is_a_loss_the_first_time():
    gold = {**ONE, "label": "tier=gold", "namespaces": ["a", "b", "c"]}
    live = [named("a", tier="silver"), named("b", tier="gold"), named("c")]
    (found,) = [one for one in find(Cluster(live), [gold]) if one.check == "losses"]
    assert found.object == "Namespace a" and "carries tier=silver" in found.message and found.answers == ("accept",)
    # Later, whoever may label a namespace would hold up everybody's bootstrap.
    (entry,) = entries(gold)
    ours = cluster_external_secret(entry, "store", "v1")
    ours["metadata"]["labels"] = OWNED
    assert find(Cluster(live, there=[shared()], users=Users([ours], [], [], [])), [gold]) == []


def test_an_external_secret_of_an_entrys_name_is_found_the_first_time():
    (entry,) = entries(ONE)
    there = external(entry.external_secret, "a")
    cluster = Cluster([named("a", **{entry.label[0]: "true"})], users=Users([], [there], [], []))
    assert "targets" in {one.check for one in find(cluster) if one.object.startswith("ExternalSecret a/")}
    there["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "external-secrets.io/v1",
            "kind": "ClusterExternalSecret",
            "name": entry.name,
            "controller": True,
        }
    ]
    assert [one for one in find(cluster) if one.object.startswith("ExternalSecret a/")] == []
