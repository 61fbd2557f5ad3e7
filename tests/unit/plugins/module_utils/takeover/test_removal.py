# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may go: what is ours, of this catalog, and of no use to anybody else."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import consumers, stores
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import OWNED
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.snapshot import Users
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover import preflight, removal
from samples import CONTROLS, ONE, entries

LAYOUT = stores.Layout("shared", "store", "central")
STORE = {"metadata": {"name": "store"}, "spec": {"provider": {"kubernetes": {"remoteNamespace": "central"}}}}


def distributed(name, store="store", key="s", **meta):
    inner = {
        "secretStoreRef": {"kind": "ClusterSecretStore", "name": store},
        "data": [{"remoteRef": {"key": key}}],
    }
    spec = {"namespaceSelector": {"matchLabels": {"secrets/" + name: "true"}}, "externalSecretSpec": inner}
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterExternalSecret",
        "metadata": {"name": name, "labels": dict(OWNED), **meta},
        "spec": spec,
    }


def master(name="s", labels=None, **meta):
    return {
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "central", "uid": "u", "labels": {**OWNED, **(labels or {})}, **meta},
    }


def test_only_those_of_this_catalog_leave():
    argo = {"argocd.argoproj.io/tracking-id": "x"}
    live = [
        distributed("gone"),
        distributed("kept"),
        distributed("alone", store="store-alone"),
        distributed("another", store="elsewhere"),
        distributed("argo", annotations=argo),
        distributed("foreign", labels={}),
    ]
    assert removal.leaving(live, LAYOUT, {"kept"}) == {"gone", "alone"}


def test_what_stays_needs_its_master_whoever_made_it():
    live = [distributed("argo", annotations={"argocd.argoproj.io/tracking-id": "x"})]
    users = Users(live, [], [], [])
    used = removal.readers("central", [STORE], users, removal.leaving(live, LAYOUT, ()), [])
    going = removal.masters_going([master(), master("other")], (), (), used, {})
    assert [action.name for action in going.actions] == ["other"]
    assert going.left[0].reason == "ClusterExternalSecret argo need it"
    of_store = {**STORE, "kind": "ClusterSecretStore", "apiVersion": "external-secrets.io/v1"}
    of_store["metadata"] = {"name": "store", "labels": dict(OWNED)}
    assert removal.stores_going({("ClusterSecretStore", "store"): of_store}, LAYOUT, used).actions == []


@pytest.mark.parametrize(
    ("live", "said"),
    [
        (master(annotations={"cert-manager.io/certificate-name": "x"}), "cert-manager keeps it"),
        (
            master(annotations={"reflector.v1.k8s.emberstack.com/reflection-auto-enabled": "true"}),
            "reflector copies it to other namespaces",
        ),
        (master(labels={"reconcile.external-secrets.io/managed": "true"}), "ESO keeps it"),
        (master(ownerReferences=[{"kind": "Certificate", "name": "x", "controller": True}]), "Certificate x keeps it"),
        (master(), "those for whom somebody writes it need it"),
    ],
)
def test_a_master_that_others_write_stays(live, said):
    going = removal.masters_going([live], (), (), {}, {"s": "somebody"} if "need" in said else {})
    assert going.actions == [] and going.left[0].reason == said


def test_a_master_that_is_pushed_or_read_by_other_ways_stays():
    named = {"secretStoreRefs": [{"kind": "ClusterSecretStore", "name": "store"}]}
    item = {"metadata": {"name": "p", "namespace": "a"}, "spec": named}
    pushing = consumers.Consumer("PushSecret", item, [], set(), {"s"})
    assert removal.masters_going([master()], (), (), {"store": [pushing]}, {}).actions == []
    # A selector of stores may mean any.
    item["spec"] = {"secretStoreRefs": [{"kind": "ClusterSecretStore", "labelSelector": {}}]}
    assert removal.masters_going([master()], (), (), {"store": [pushing]}, {}).actions != []
    item["status"] = {"syncedPushSecrets": {"ClusterSecretStore/store": {"s": {}}}}
    assert removal.masters_going([master()], (), (), {"store": [pushing]}, {}).actions == []
    own = {"metadata": {"name": "own", "namespace": "a"}, "spec": STORE["spec"]}
    spec = {"secretStoreRef": {"name": "own"}, "data": [{"remoteRef": {"key": "s"}}]}
    reading = {
        "metadata": {"name": "e", "namespace": "a"},
        "spec": spec,
        "status": {"refreshTime": "2026-01-01T00:00:00Z"},
    }
    found = consumers.through_own_stores("central", [own], [reading, {**reading, "status": {}}])
    assert {store: [one.label() for one in using] for store, using in found.items()} == {
        "a/own": ["ExternalSecret a/e"]
    }
    assert removal.masters_going([master()], (), (), found, {}).actions == []
    elsewhere = {**reading, "metadata": {"name": "e", "namespace": "b"}}
    assert consumers.through_own_stores("central", [own], [elsewhere]) == {}


def test_the_api_servers_own_label_is_no_leftover():
    item = distributed("named")
    item["spec"]["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": "one"}}
    assert removal.labels_of([item]) == set()


def test_the_central_namespace_is_no_target():
    (entry,) = entries(ONE)
    key, value = entry.label
    entry = dataclasses.replace(entry, central="central")

    class Cluster:
        namespaces = {name: {"metadata": {"name": name, "labels": {key: value}}} for name in ("central", "elsewhere")}

    found = preflight._places([entry], Cluster())
    assert ("elsewhere", entry.target) in found and ("central", entry.target) not in found


def test_what_is_going_already_needs_nothing():
    owner = {**CONTROLS, "kind": "ClusterExternalSecret", "name": "gone"}
    spec = {"secretStoreRef": {"kind": "ClusterSecretStore", "name": "store"}, "data": [{"remoteRef": {"key": "s"}}]}
    made = {"metadata": {"name": "gone", "namespace": "a", "ownerReferences": [owner]}, "spec": spec}
    ending = {"metadata": {"name": "e", "namespace": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec}
    assert removal.readers("central", [STORE], Users([], [made, ending], [], []), (), []) == {}
    assert removal.readers("central", [STORE], Users([distributed("gone")], [made], [], []), (), []) != {}


def test_who_is_refused_is_no_reader():
    """Any tenant can name a store."""
    spec = {"secretStoreRef": {"kind": "ClusterSecretStore", "name": "store"}, "data": [{"remoteRef": {"key": "s"}}]}
    users = Users([], [{"metadata": {"name": "mine", "namespace": "tenant"}, "spec": spec}], [], [])
    chosen = {"namespaceSelector": {"matchLabels": {"secrets/a": "true"}}}
    store = {**STORE, "spec": {**STORE["spec"], "conditions": [chosen]}}

    def found(labels, of_store):
        namespace = {"metadata": {"name": "tenant", "labels": labels}}
        return removal.readers("central", [of_store], users, (), [namespace])

    assert found({}, store) == {} and found({"secrets/a": "true"}, store) != {} and found({}, STORE) != {}
    # What only Go can read may admit it.
    unsure = {**store, "spec": {**store["spec"], "conditions": [chosen, {"namespaceRegexes": ["(?i)TEN.*"]}]}}
    assert found({}, unsure) != {}


def test_a_store_that_others_need_works_on():
    (entry,) = entries(ONE)
    wanted = {
        (item["kind"], item["metadata"]["name"]): item for item in stores.final(LAYOUT, [entry], {entry.name}, True)
    }
    held = {
        (item["kind"], item["metadata"]["name"]): item
        for item in stores.final(LAYOUT, [entry], {entry.name}, True, {entry.name})
    }
    # Its reader keeps the permissions by which ESO makes its token.
    assert held["ClusterRoleBinding", stores.READER] != wanted["ClusterRoleBinding", stores.READER]


def test_a_label_by_which_an_entrys_selector_selects_is_no_surplus():
    wanted = [
        ONE,
        {
            "name": "by-selector",
            "source": "s",
            "target": "t",
            "data": {"K": "k"},
            "namespace_selectors": [{"matchLabels": {ONE["label"]: "true", "web": "yes"}}],
        },
    ]
    live = {"metadata": {"name": "a", "labels": {ONE["label"]: "true", "web": "yes"}}}
    gone, left = removal.surplus_labels(live, entries(*wanted), (), {})
    assert gone == set() and "entry 'by-selector' selects by it" in left[0].reason
    gone, left = removal.surplus_labels(
        {"metadata": {"name": "a", "labels": {ONE["label"]: "true"}}}, entries(*wanted), (), {}
    )
    assert gone == {ONE["label"]} and left == []


def test_a_master_that_is_pushed_or_opens_a_store_stays():
    push = {"metadata": {"name": "out", "namespace": "central"}, "spec": {"selector": {"secret": {"name": "s"}}}}
    every = {**push, "spec": {"selector": {"secret": {"selector": {"matchLabels": {"a": "b"}}}}}}
    elsewhere = {**push, "metadata": {"name": "out", "namespace": "a"}}
    vault = {"metadata": {"name": "vault"}, "spec": {"provider": {"vault": {"auth": {"tokenSecretRef": {}}}}}}
    vault["spec"]["provider"]["vault"]["auth"]["tokenSecretRef"] = {"name": "s", "key": "t", "namespace": "central"}
    own = {
        "metadata": {"name": "own", "namespace": "central"},
        "spec": {"provider": {"fake": {"token": {"name": "s", "key": "t"}}}},
    }

    def stay(pushes, cluster_stores=(), secret_stores=()):
        taken = removal.taking("central", pushes, cluster_stores, secret_stores)
        going = removal.masters_going([master(), master("other")], (), (), {}, {}, taken)
        return {one.object for one in going.left}, [one.reason for one in going.left]

    assert stay([push]) == ({"Secret central/s"}, ["PushSecret central/out need it"])
    assert stay([every])[0] == {"Secret central/s", "Secret central/other"}
    assert stay([elsewhere])[0] == set()
    assert stay([], [vault]) == ({"Secret central/s"}, ["ClusterSecretStore vault need it"])
    assert stay([], (), [own])[0] == {"Secret central/s"}
    assert stay([], [STORE])[0] == set()


def test_the_reader_of_another_catalogs_store_stays():
    def of(kind, name, **more):
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": dict(OWNED)}, **more}

    reads = {"kubernetes": {"remoteNamespace": "central", "auth": {"serviceAccount": {"name": stores.READER}}}}
    store = of("ClusterSecretStore", "store", spec={"provider": reads})
    live = {
        ("ServiceAccount", stores.READER): of("ServiceAccount", stores.READER),
        ("ClusterSecretStore", "store"): store,
    }
    assert len(removal.stores_going(live, LAYOUT, {}).actions) == 2
    live[("ClusterSecretStore", "theirs")] = of("ClusterSecretStore", "theirs", spec={"provider": reads})
    going = removal.stores_going(live, LAYOUT, {})
    assert [action.name for action in going.actions] == ["store"]
    assert going.left[0].reason == "ClusterSecretStore theirs need it"


def test_of_the_binding_that_all_catalogs_have_only_this_ones_readers_go():
    (binding,) = filter(stores.is_of_all_readers, stores.desired(LAYOUT, []))
    theirs = {"kind": "ServiceAccount", "name": stores.READER, "namespace": "their-central"}
    binding = {**binding, "subjects": [*binding["subjects"], theirs]}
    (action,) = removal.stores_going({("ClusterRoleBinding", stores.READER): binding}, LAYOUT, {}).actions
    assert action.verb == "apply" and action.body["subjects"] == [theirs]
    binding["subjects"] = [theirs]
    assert removal.stores_going({("ClusterRoleBinding", stores.READER): binding}, LAYOUT, {}).actions == []
