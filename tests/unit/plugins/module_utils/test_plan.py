# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: when an object differs, what is sent and what a diff shows."""

from __future__ import annotations

import copy
import json

from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import distribution as desired
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.actions import UPDATED, plan_apply
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.definitions import TOUCHED, plan_touch
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.namespaces import (
    orphaned_finalizers,
    plan_label,
    plan_unlabel,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.refresh import (
    plan_refresh,
    plan_refresh_one,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.secrets import plan_restore, redact_secret
from samples import ONE, entries, namespace


def stored(manifest, **fields):
    """A manifest as the API server would store it after our apply."""
    live = copy.deepcopy(manifest)

    def owned(value):
        return {"f:" + key: owned(item) for key, item in value.items()} if isinstance(value, dict) else {}

    body = {key: value for key, value in live.items() if key not in ("apiVersion", "kind")}
    body["metadata"] = {"labels": live["metadata"]["labels"]}
    live["metadata"].update(
        resourceVersion="7", managedFields=[{"manager": desired.MANAGER, "operation": "Apply", "fieldsV1": owned(body)}]
    )
    live.update(fields)
    return live


def test_unchanged_objects_need_nothing():
    want = desired.cluster_external_secret(entries(ONE)[0], "store", "v1")
    assert plan_apply(want, stored(want)) is None


def test_foreign_fields_are_not_a_difference():
    want = desired.cluster_external_secret(entries(ONE)[0], "store", "v1")
    live = stored(want)
    live["spec"]["externalSecretMetadata"] = {"annotations": {"force-sync": "1"}}
    live["metadata"]["labels"]["someone"] = "else"
    assert plan_apply(want, live) is None


def test_a_changed_and_a_dropped_field_are_differences():
    want = desired.cluster_external_secret(entries(ONE)[0], "store", "v1")
    live = stored(want)
    live["spec"]["refreshTime"] = "2h0m0s"
    assert plan_apply(want, live).result == UPDATED
    wider = desired.cluster_external_secret(entries({**ONE, "annotations": {"a": "b"}})[0], "store", "v1")
    assert plan_apply(want, stored(wider)).result == UPDATED


def test_list_items_without_kind_compare_equal():
    want = desired.central_secret("s", "ns", {"k": b"v"})
    live = stored(want)
    del live["kind"], live["apiVersion"]
    assert plan_apply(want, live, redact_secret) is None


def test_a_secrets_diff_shows_keys_and_no_values():
    want = desired.central_secret("s", "ns", {"same": b"CANARY1", "changed": b"CANARY2"})
    live = stored(desired.central_secret("s", "ns", {"same": b"CANARY1", "changed": b"CANARY3", "gone": b"CANARY4"}))
    live["data"]["foreign"] = "Q0FOQVJZ"
    action = plan_apply(want, live, redact_secret)
    assert action.before["data"] == dict.fromkeys(["changed", "foreign", "gone", "same"], "<value hidden>")
    assert action.after["data"] == {
        "same": "<value hidden>",
        "changed": "<new value hidden>",
        "foreign": "<value hidden>",
    }
    shown = json.dumps([action.before, action.after])
    assert "CANARY" not in shown and "Q0FO" not in shown


def test_labelling_patches_only_what_is_missing():
    assert plan_label(namespace("a", {"secrets/one": "true"}), {"secrets/one": "true"}) is None
    wanted = {"secrets/one": "true", "secrets/two": "true"}
    live = namespace("a", {"secrets/one": "false", "x": "y"})
    live["metadata"]["resourceVersion"] = "7"
    action = plan_label(live, wanted)
    assert action.body == {"metadata": {"labels": wanted, "resourceVersion": "7"}}
    assert action.before == {"metadata": {"labels": {"secrets/one": "false"}}}
    # What somebody wrote meanwhile is no reason, unless it is another value of the same label.
    assert action.replan(namespace("a", {"secrets/one": "false", "x": "z"})).after == action.after
    assert action.replan(namespace("a", wanted)) is None
    assert action.replan(namespace("a", {"secrets/one": "other"})) is action


def test_unlabelling_takes_the_finalizer_in_the_same_request_bound_to_the_list_it_read():
    live = namespace(
        "a", {"secrets/one": "true", "x": "y"}, ["kubernetes", desired.finalizer("one"), desired.finalizer("two")]
    )
    action = plan_unlabel(live, {"secrets/one"}, [desired.finalizer("one")])
    assert action.body == [
        {"op": "test", "path": "/metadata/labels/secrets~1one", "value": "true"},
        {"op": "remove", "path": "/metadata/labels/secrets~1one"},
        {"op": "test", "path": "/metadata/finalizers", "value": live["metadata"]["finalizers"]},
        {"op": "replace", "path": "/metadata/finalizers", "value": ["kubernetes", desired.finalizer("two")]},
    ]
    assert action.replan(namespace("a")) is None
    assert action.replan(namespace("a", {"secrets/one": "true"})).body == action.body[:2]
    assert action.replan(namespace("a", {"secrets/one": "other"})) is action
    assert plan_unlabel(namespace("a", {"x": "y"}, ["kubernetes"]), {"secrets/one"}, [desired.finalizer("one")]) is None


def test_orphaned_finalizers():
    live = namespace("a", {}, ["kubernetes", desired.finalizer("one"), desired.finalizer("two")])
    assert orphaned_finalizers(live, {"two"}) == [desired.finalizer("one")]
    # Since ESO 2.14, a name beyond 59 characters is cut at 50 and ends in what makes it unique.
    long = "n" * 45 + "-tail-" + "x" * 20
    cut = namespace("a", {}, [desired.finalizer(long[:50] + "-0a1b2c3d")])
    assert orphaned_finalizers(cut, {long}) == [] and orphaned_finalizers(cut, {long[:55]}) != []
    assert orphaned_finalizers(namespace("a", {}, [desired.finalizer(long[:50] + "-other")]), {long}) != []


def test_a_half_established_definition_is_touched_with_a_new_value():
    def definition(established, accepted="True"):
        conditions = [{"type": "NamesAccepted", "status": accepted}, {"type": "Established", "status": established}]
        return {"metadata": {"name": "x", "resourceVersion": "12"}, "status": {"conditions": conditions}}

    assert plan_touch(None) is None
    assert plan_touch({"metadata": {"name": "x"}}) is None
    assert plan_touch(definition("True")) is None
    assert plan_touch(definition("False", accepted="False")) is None
    action = plan_touch(definition("False"))
    assert (action.verb, action.name, action.body["metadata"]["annotations"]) == ("merge", "x", {TOUCHED: "12"})


def test_a_restored_secret_has_its_owners_again():
    mark = {"cluster-secrets/value-changed": "2026-01-01T00:00:00Z"}
    meta = {
        "name": "s",
        "namespace": "c",
        "labels": {**desired.OWNED, "team": "a"},
        "annotations": {**mark, "note": "b"},
    }
    kept = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta,
        "type": "Opaque",
        "data": {"a": "YQ==", "b": "Yg=="},
    }
    applied, merged = plan_restore(kept, None, ["a"])
    assert applied.verb == "apply" and applied.body["data"] == {"a": "YQ=="}
    assert applied.body["metadata"]["labels"] == desired.OWNED and applied.body["metadata"]["annotations"] == mark
    assert merged.verb == "merge" and merged.body["data"] == {"b": "Yg=="}
    assert merged.body["metadata"]["labels"] == {"team": "a"}
    assert merged.body["metadata"]["annotations"] == {"note": "b"}
    # An answer that was lost is no other writer.
    assert merged.replan(kept) is None and merged.replan({**kept, "data": {}}) is merged


def test_a_restore_shows_which_keys_go():
    meta = {"name": "s", "namespace": "c"}
    kept = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": {"a": "YQ=="}}
    live = {**kept, "metadata": {**meta, "resourceVersion": "1"}, "data": {"a": "YQ==", "z": "eg=="}}
    (action,) = plan_restore(kept, live)
    assert "z" in action.before["data"] and "z" not in action.after["data"]


def test_what_is_not_there_yet_needs_no_refresh():
    for action in (plan_refresh(None, "n", True), plan_refresh_one(None, "n", "ns")):
        assert action.replan({}).body.keys() == action.body.keys()
