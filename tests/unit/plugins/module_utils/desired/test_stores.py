# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stores: what each may read and whom it serves, and the way from one isolation to the other."""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog import checker
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog import entries as catalog
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import stores
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.actions import assumed
from samples import CONTROLS

ONE = {"name": "one", "source": "src", "label": "secrets/one", "data": {"KEY": "key"}, "namespaces": ["a"]}
TWO = {**ONE, "name": "two", "label": "secrets/two", "source": "other"}
ENTRIES = catalog.parse_catalog([ONE, TWO])


def layout(isolation):
    return stores.Layout(isolation, "s", "ns", "https://x", ("eso", "eso"), "v1")


def named(objects):
    return {(item["kind"], item["metadata"]["name"]): item for item in objects}


def reads(objects, reader):
    return objects["Role", reader]["rules"][0]["resourceNames"]


def admits(label):
    return {"namespaceSelector": {"matchLabels": {label: "true"}}}


def test_the_shared_store_reads_only_the_catalogs_sources_and_serves_only_its_labels():
    found = named(stores.desired(layout("shared"), ENTRIES))
    assert reads(found, stores.READER) == ["other", "src"]
    assert found["ClusterSecretStore", "s"]["spec"]["conditions"] == [admits("secrets/one"), admits("secrets/two")]
    assert [name for kind, name in found if kind == "ClusterSecretStore"] == ["s"]
    assert found["Role", stores.TOKEN_ROLE]["rules"][0]["resourceNames"] == [stores.READER]


def test_an_entrys_own_store_reads_its_source_and_serves_its_label_and_the_shared_one_nobody():
    found = named(stores.desired(layout("entry"), ENTRIES))
    assert found["ClusterSecretStore", "s-one"]["spec"]["conditions"] == [admits("secrets/one")]
    assert reads(found, stores.reader_name("one")) == ["src"] and reads(found, stores.reader_name("two")) == ["other"]
    assert found["ClusterSecretStore", "s-one"]["spec"]["provider"]["kubernetes"]["auth"]["serviceAccount"][
        "name"
    ] == stores.reader_name("one")
    nobody = found["ClusterSecretStore", "s"]["spec"]["conditions"]
    assert nobody and "matchLabels" not in nobody[0]["namespaceSelector"]
    assert not checker.DNS_SUBDOMAIN.match(reads(found, stores.READER)[0])


def test_no_conditions_never_come_of_no_entries():
    assert stores.conditions([])
    assert stores.desired(layout("shared"), [])[-1]["spec"]["conditions"]


def test_going_to_entry_keeps_what_the_shared_store_serves_until_it_is_settled():
    before = named(stores.desired(layout("shared"), ENTRIES))
    live = before["ClusterSecretStore", "s"]
    prepared = named(stores.prepared(layout("entry"), ENTRIES, set(), live))
    assert (
        prepared["ClusterSecretStore", "s"] == live and prepared["Role", stores.READER] == before["Role", stores.READER]
    )
    final = stores.final(layout("entry"), ENTRIES, {"one", "two"}, prune=False)
    assert named(final)["ClusterSecretStore", "s"]["spec"]["conditions"] != live["spec"]["conditions"]
    settled = named(final)["ClusterSecretStore", "s"]
    assert stores.prepared(layout("entry"), ENTRIES, {"one", "two"}, settled) == final


def test_an_open_store_serves_everybody():
    assert stores.served({"metadata": {"name": "s"}, "spec": {}}, ENTRIES) == {"one", "two"}
    assert stores.served(None, ENTRIES) == set()


def test_going_back_retires_own_stores_and_keeps_their_permission_until_then():
    assert stores.retired(layout("shared"), ENTRIES, {"one", "two", "left"}, prune=False) == {"one", "two"}
    assert stores.retired(layout("shared"), ENTRIES, {"one", "left"}, prune=True) == {"one", "left"}
    assert stores.retired(layout("entry"), ENTRIES, {"one", "left"}, prune=True) == {"left"}
    prepared = named(stores.prepared(layout("shared"), ENTRIES, {"one"}, None))
    assert prepared["Role", stores.TOKEN_ROLE]["rules"][0]["resourceNames"] == [
        stores.READER,
        stores.reader_name("one"),
    ]


def test_only_objects_of_ours_belong_to_an_entry():
    own = next(item for item in stores.desired(layout("entry"), ENTRIES) if item["metadata"]["name"] == "s-one")
    assert stores.entry_of(own, layout("entry")) == "one"
    assert stores.entry_of({**own, "metadata": {**own["metadata"], "name": "s-other"}}, layout("entry")) is None
    assert stores.entry_of({**own, "metadata": {**own["metadata"], "labels": {}}}, layout("entry")) is None


def test_what_has_not_moved_yet():
    def external(name, store, namespace="a", owner=None, **meta):
        owners = [{**CONTROLS, "kind": "ClusterExternalSecret", "name": owner or name}]
        meta = {"namespace": namespace, "name": name, "ownerReferences": owners, **meta}
        return {"metadata": meta, "spec": {"secretStoreRef": {"name": store}}}

    labels = {"secrets/one": "true", "secrets/two": "true"}
    namespaces = {
        "a": {"metadata": {"name": "a", "labels": labels}},
        "b": {"metadata": {"name": "b", "labels": {}}},
        "ending": {"metadata": {"name": "ending", "labels": labels, "deletionTimestamp": "2026-01-01T00:00:00Z"}},
    }
    moved = [external("two", "s-two"), external("foreign", "s")]
    forged = [
        external("loot", "s", owner="one"),
        external("one", "s", namespace="b"),
        external("one", "s", namespace="ending"),
        external("one", "s", owner="two"),
        external("two", "s", deletionTimestamp="2026-01-01T00:00:00Z"),
    ]
    tenants = {"metadata": {"namespace": "a", "name": "x"}, "spec": {"secretStoreRef": {"name": "s"}}}
    live = [external("one", "s"), *moved, *forged, tenants]
    assert stores.unmoved(layout("entry"), ENTRIES, live, namespaces) == [("a", "one")]


def test_what_an_apply_will_have_made_can_be_assumed():
    live = {"metadata": {"name": "x", "uid": "1"}, "spec": {"a": [1], "b": 2}}
    assert assumed(live, {"spec": {"a": [3]}}) == {
        "metadata": {"name": "x", "uid": "1"},
        "spec": {"a": [3], "b": 2},
    }
    assert assumed(None, {"a": 1}) == {"a": 1}


def test_the_readers_of_another_catalog_stay_bound():
    def bound(namespace, live):
        of = stores.Layout("entry", "s", namespace)
        own = named(stores.desired(of, ENTRIES))["ClusterRoleBinding", stores.READER]
        return stores.joined(own, live.get(("ClusterRoleBinding", stores.READER)), of)

    def spaces(binding):
        return [one["namespace"] for one in binding["subjects"]]

    key = ("ClusterRoleBinding", stores.READER)
    first = bound("b", {})
    assert spaces(first) == ["b"] * 3
    both = bound("a", {key: first})
    assert spaces(both) == ["a"] * 3 + ["b"] * 3
    # Whoever comes next changes nothing.
    assert bound("b", {key: both}) == both == bound("a", {key: both})
    assert stores.is_established({key: both}, stores.Layout("entry", "s", "b"))
    assert not stores.is_established({key: first}, stores.Layout("entry", "s", "a"))
    # Somebody else's binding is no reason to bind anybody.
    assert stores.readers_of_others({**both, "metadata": {"name": "x"}}, stores.Layout("entry", "s", "a")) == []
