# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the admission policies are about, and who else writes it."""

from __future__ import annotations

import json

from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import consumers, guard
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import OWNED
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso
from samples import ONE, entries

IDENTITIES = guard.Identities(["admin"], ["platform"], "system:serviceaccount:eso:eso")
STORE = {"kind": "ClusterSecretStore", "name": "store"}


def distributed(name, owned=False, **selection):
    spec = {"externalSecretSpec": {"secretStoreRef": STORE, "data": [{"remoteRef": {"key": "s"}}]}, **selection}
    return {"metadata": {"name": name, "labels": OWNED if owned else {}}, "spec": spec}


def shared(*kept):
    annotations = {consumers.KEPT_ANNOTATION: json.dumps(kept)}
    return {"metadata": {"name": "store", "labels": OWNED, "annotations": annotations}}


def names(store, items, externals=(), **entry):
    found = entries({**ONE, **entry})
    kept = consumers.guarded(store, "store", found, list(items), list(externals))
    return guard.Names("store", "central", found, kept, "eso")


def test_every_key_and_name_that_selects_is_guarded():
    theirs = distributed("theirs", namespaceSelectors=[{"matchLabels": {"tier": "app"}}], namespaces=["fixed"])
    left = distributed(
        "left", owned=True, namespaceSelectors=[{"matchExpressions": [{"key": "left", "operator": "In"}]}]
    )
    stranger = distributed("stranger", namespaceSelectors=[{"matchLabels": {"strange": "1"}}])
    found = names(
        shared("ClusterExternalSecret theirs"), [theirs, left, stranger], label="mesh=on", namespaces=["listed"]
    )
    assert found.labels == ["mesh", "tier"]
    assert found.namespaces == ["central", "eso", "fixed", "listed"]
    assert found.kept_targets == ["theirs"]


def test_the_label_of_the_name_is_on_every_namespace_and_is_never_guarded():
    by_name = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["one"]}]}
    found = names(shared("ClusterExternalSecret theirs"), [distributed("theirs", namespaceSelector=by_name)])
    assert "kubernetes.io/metadata.name" not in found.labels and "one" in found.namespaces


def test_a_kept_external_secret_is_guarded_in_its_place_only():
    item = {
        "metadata": {"name": "e", "namespace": "a"},
        "spec": {"secretStoreRef": STORE, "target": {"name": "t"}, "data": [{"remoteRef": {"key": "s"}}]},
    }
    found = names(shared("ExternalSecret a/e"), [], [item, {**item, "metadata": {"name": "e", "namespace": "b"}}])
    assert (found.kept_places, found.kept_targets) == (["a/t"], [])
    # A store that is not the collection's says nothing of what was kept.
    assert names(None, [], [item]).kept_places == []


def test_the_policy_on_labels_says_what_it_guards():
    found = guard.policies(IDENTITIES, names(None, [], label="mesh=on"), ["secrets/free"], "enforce", eso.Release(None))
    policy = next(one for one in found if one["metadata"]["name"] == guard.LABELS)
    said = {one["name"]: one["expression"] for one in policy["spec"]["variables"]}
    assert json.loads(said[guard.KEYS]) == ["mesh"]
    assert {"central", "eso"} <= set(json.loads(said[guard.NAMES]))


def test_no_expression_is_longer_than_the_api_server_takes():
    """A list of 10,000 names is cut into several, of which the audit reads every one."""
    (entry,) = entries({**ONE, "namespaces": [f"{number:05d}-{'n' * 57}" for number in range(10_000)]})
    found = guard.policies(IDENTITIES, guard.Names("s", "central", [entry]), [], "enforce", eso.Release(None))
    policy = next(one for one in found if one["metadata"]["name"] == guard.LABELS)
    said = [one["expression"] for one in (*policy["spec"]["variables"], *policy["spec"]["validations"])]
    assert max(map(len, said)) < 60_000
    names = {*entry.namespaces, "central"}
    assert guard.unguarded([policy], {guard.LABELS}, set(), {*names, "another"}) == (set(), {"another"})
    numbered = [one["name"] for one in policy["spec"]["variables"] if one["name"].startswith(guard.NAMES)]
    assert len(numbered) > 10 and all(f"variables.{one}" in "".join(said) for one in numbered)


def test_a_field_manager_is_no_identity():
    labels = {"f:metadata": {"f:labels": {"f:mesh": {}}}}
    namespace = {"metadata": {"name": "a", "managedFields": [{"manager": "argocd-controller", "fieldsV1": labels}]}}
    assert guard.writers([namespace], []) == {}
    assert guard.writers([namespace], [], ["mesh"]) == {"argocd-controller": ["labels of Namespace a"]}
