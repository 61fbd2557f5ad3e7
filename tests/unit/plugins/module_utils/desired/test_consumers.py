# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Consumers of the store: what they need, who works, and what is kept."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import consumers, stores
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import OWNED
from samples import CONTROLS, ONE, entries

STORE = {"kind": "ClusterSecretStore", "name": "store"}


def external(name="e", namespace="a", **spec):
    data = {"data": [{"remoteRef": {"key": "s"}}], "secretStoreRef": STORE, **spec}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": data}


def push(**spec):
    return {
        "metadata": {"name": "p", "namespace": "a"},
        "spec": {"secretStoreRefs": [STORE], **spec},
        "status": {"syncedPushSecrets": {"ClusterSecretStore/store": {"x": {}}}},
    }


def find(distributed=(), externals=(), pushes=(), cluster_pushes=()):
    return consumers.find("store", {"known"}, list(distributed), list(externals), list(pushes), list(cluster_pushes))


def test_what_an_external_secret_reads():
    (one,) = find(externals=[external()])
    assert (one.label(), one.reads, one.writes) == ("ExternalSecret a/e", {"s"}, set())
    assert one.conditions == [{"namespaces": ["a"]}]
    assert find(externals=[external(secretStoreRef={**STORE, "name": "other"})]) == []
    (searching,) = find(externals=[external(data=[], dataFrom=[{"find": {}}])])
    assert searching.reads is consumers.EVERYTHING
    (nested,) = find(
        externals=[
            external(
                secretStoreRef={"name": "x", "kind": "SecretStore"},
                data=[{"remoteRef": {"key": "s"}}, {"remoteRef": {"key": "t"}, "sourceRef": {"storeRef": STORE}}],
            )
        ]
    )
    assert nested.reads == {"t"}


def test_what_a_cluster_external_secret_makes_is_no_consumer_of_its_own():
    made = {"metadata": {"name": "c"}, "spec": {"externalSecretSpec": external()["spec"], "namespaces": ["b", "a"]}}
    child = external("c")
    child["metadata"]["ownerReferences"] = [{**CONTROLS, "kind": "ClusterExternalSecret", "name": "c"}]
    forged = external("f")
    forged["metadata"]["ownerReferences"] = [{**CONTROLS, "kind": "ClusterExternalSecret", "name": "c"}]
    labels = [one.label() for one in find([made], [child, forged])]
    assert labels == ["ClusterExternalSecret c", "ExternalSecret a/f"]
    # Taken from its controller, or given to another one, ESO leaves it to whoever did that.
    others = ("example.com/v1", "external-secrets.io", "external-secrets.io/", "external-secrets.io/v1/x")
    for changes in ({"controller": False}, *({"apiVersion": version} for version in others)):
        taken = external("c")
        taken["metadata"]["ownerReferences"] = [{**CONTROLS, "kind": "ClusterExternalSecret", "name": "c", **changes}]
        assert [one.label() for one in find([made], [taken])] == ["ClusterExternalSecret c", "ExternalSecret a/c"]
    known = {**made, "metadata": {"name": "known"}}
    ours = {**made, "metadata": {"name": "ours", "labels": OWNED}}
    assert find([known, ours]) == []


def test_what_a_push_writes():
    named = [{"match": {"remoteRef": {"remoteKey": "r"}}}]
    assert find(pushes=[push(data=named)])[0].writes == {"r"}
    assert find(pushes=[push(dataTo=[{}])])[0].writes is consumers.EVERYTHING
    assert find(pushes=[push(secretStoreRefs=[{**STORE, "kind": "SecretStore"}])]) == []
    everywhere = {"metadata": {"name": "cp"}, "spec": {"pushSecretSpec": push(data=named)["spec"]}}
    assert find(cluster_pushes=[everywhere])[0].label() == "ClusterPushSecret cp"


@pytest.mark.parametrize(
    ("conditions", "admitted"),
    [
        ([], True),
        ([{"namespaces": ["a"]}], True),
        ([{"namespaces": ["b"]}], False),
        ([{"namespaceRegexes": ["^x"]}, {"namespaceSelector": {"matchLabels": {"l": "1"}}}], True),
        ([{"namespaceSelector": {"matchExpressions": [{"key": "l", "operator": "NotIn", "values": ["1"]}]}}], False),
        ([{"namespaceSelector": {}}], True),
        ([{"namespaceRegexes": ["a"]}], True),
        ([{"namespaceRegexes": ["^b"]}], False),
        # What only Go can read admits nobody for certain.
        ([{"namespaceRegexes": ["("]}], False),
        ([{"namespaceRegexes": ["^[[:digit:]]"]}], False),
        ([{"namespaceRegexes": ["a++"]}], False),
        ([{"namespaceRegexes": ["^b\\\\z|^a"]}], False),
        ([{"namespaceRegexes": ["^a{,3}$", "^a$"]}], True),
    ],
)
def test_whom_a_store_admits(conditions, admitted):
    assert consumers.admits(conditions, "a", {"l": "1"}) is admitted


@pytest.mark.parametrize(
    "pattern",
    ["a++", "(?>a)", "(?!x)", r"a\Z", r"a\z", "a(?i)b", "a{,3}", "[[:alpha:]]", "(", r"\pL", "(a+)+$", "(" * 9999],
)
def test_what_only_go_can_read_is_undecided(pattern):
    assert consumers.undecided([{"namespaceRegexes": [pattern]}], "a", {}) == [pattern]
    assert consumers.undecided([{"namespaceRegexes": [pattern, "^a"]}], "a", {}) == []


@pytest.mark.parametrize("pattern", ["^team-.*$", "a|b", "(?:a|b)", "[a-z0-9]+-x", "a{2,3}", r"^a\.b\d*?$", "^$"])
def test_what_both_read_alike_is_decided(pattern):
    assert consumers.undecided([{"namespaceRegexes": [pattern]}], "a", {}) == []


def store(owned, kept="[]"):
    labels = OWNED if owned else {}
    return {
        "metadata": {"name": "store", "labels": labels, "annotations": {consumers.KEPT_ANNOTATION: kept}},
        "spec": {},
    }


def namespaces(*names):
    return {name: {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}} for name in names}


def kept(found, live, limits, places=("a",), catalog=(), existing=("s", "t", "r")):
    layout = stores.Layout("shared", "store", "central")
    there = {("ClusterSecretStore", "store"): live} if live else {}
    return stores.kept(layout, list(catalog), found, there, limits, namespaces(*places), existing)


def labels(found):
    return [one.label() for one in found]


ANY = (None, None)


def test_only_what_is_served_is_kept_with_no_more_than_it_has():
    works, other = external("works"), external("other", data=[{"remoteRef": {"key": "t"}}])
    # Its status is its own, and no evidence.
    absent = {**external("absent", data=[{"remoteRef": {"key": "absent"}}]), "status": {"refreshTime": "2026-01-01"}}
    found = find(externals=[works, other, absent, external("gone", "nowhere")])
    theirs = store(False)
    assert labels(kept(found, theirs, ANY)) == ["ExternalSecret a/other", "ExternalSecret a/works"]
    # The store's own account reads only one of them; and it may admit another namespace only.
    assert labels(kept(found, theirs, ({"s"}, set()))) == ["ExternalSecret a/works"]
    theirs["spec"]["conditions"] = [{"namespaces": ["b"]}]
    assert kept(found, theirs, ANY) == []
    theirs["spec"]["conditions"] = [{"namespaceRegexes": ["^x\\z"]}]
    layout = stores.Layout("shared", "store", "central")
    there = {("ClusterSecretStore", "store"): theirs}
    assert kept(found, theirs, ANY) == [] == stores.noted(layout, found, there, ANY, namespaces("a"), ["s"])
    assert kept(found, None, ANY) == []


def test_a_push_is_kept_only_where_the_stores_account_may_write():
    named = find(pushes=[push(data=[{"match": {"remoteRef": {"remoteKey": "r"}}}])])
    assert kept(named, store(False), (None, set())) == []
    assert kept(named, store(False), (None, {"r"}))[0].writes == {"r"}


def test_what_the_catalog_serves_anyway_is_not_kept():
    entry = {**ONE, "source": "s", "namespaces_by_name": ["a"]}
    assert kept(find(externals=[external()]), store(False), ANY, catalog=entries(entry)) == []


def test_nothing_joins_later():
    limits = ({"s"}, set())
    listed = store(True, '["ExternalSecret a/works"]')
    found = find(externals=[external("works"), external("new")])
    assert labels(kept(found, listed, limits)) == ["ExternalSecret a/works"]
    more = find(externals=[external("works", data=[{"remoteRef": {"key": "s"}}, {"remoteRef": {"key": "other"}}])])
    assert kept(more, listed, limits)[0].reads == {"s"}
    searching = find(externals=[external("works", data=[], dataFrom=[{"find": {}}])])
    assert kept(searching, listed, limits)[0].reads == {"s"}
    assert kept(found, store(True, "{broken"), limits) == []


def test_the_rules_for_those_that_are_kept():
    assert consumers.rules([], {"s"}) == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["s"]}
    ]
    searching = find(externals=[external(data=[], dataFrom=[{"find": {}}])])
    assert consumers.rules(searching, {"s"}) == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}
    ]
    writing = consumers.rules(find(pushes=[push(data=[{"match": {"remoteRef": {"remoteKey": "r"}}}])]), {"s"})
    assert [(rule["verbs"], rule.get("resourceNames")) for rule in writing] == [
        (["get"], ["s"]),
        (["get", "update", "patch", "delete"], ["r"]),
    ]
