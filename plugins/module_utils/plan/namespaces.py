# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels of namespaces, and the finalizers that ESO leaves there. Pure."""

from __future__ import annotations

from ..desired.distribution import (
    OWNED,
    finalizer,
    held_for,
    may_hold,
)
from ..resources import NAMESPACES, Object
from .actions import CREATED, UPDATED, Action, merge_of


def plan_label(live: Object, labels: dict[str, str]) -> Action | None:
    """The patch that gives a live namespace ``labels`` ({key: value}); None if it has them.

    It replaces only the values that were read; another one that somebody gave a label meanwhile stays, and is reported.
    """
    current = live["metadata"].get("labels") or {}
    missing = {key: value for key, value in labels.items() if current.get(key) != value}
    if not missing:
        return None
    before = {"metadata": {"labels": {key: current[key] for key in missing if key in current}}}
    after = {"metadata": {"labels": missing}}

    def replan(now: Object) -> Action | None:
        carried = now["metadata"].get("labels") or {}
        same = all(carried.get(key) in (current.get(key), value) for key, value in missing.items())
        return plan_label(now, labels) if same else action

    bound = {"metadata": {**after["metadata"], "resourceVersion": live["metadata"].get("resourceVersion")}}
    action = merge_of(NAMESPACES, "Namespace", live, bound, before, after, replan)
    return action


def plan_namespace(name: str, labels: dict[str, str]) -> Action:
    """The creation of a namespace that carries ``labels``."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**OWNED, **labels}}}
    return Action("create", CREATED, NAMESPACES, "Namespace", name, body=body, before={}, after=body)


def plan_unlabel(live: Object, labels: set[str], finalizers: list[str]) -> Action | None:
    """The patch that removes ``labels`` (keys) and ESO's ``finalizers`` from a live namespace.

    Both go in one JSON patch, which tests that each of the labels, and the list of finalizers as a whole, is what was
    read; whatever else is written to the namespace doesn't disturb it. What else somebody gave
    one of the labels meanwhile stays, and is reported.
    """
    meta = live["metadata"]
    current = meta.get("labels") or {}
    present = sorted(key for key in labels if key in current)
    held = meta.get("finalizers") or []
    kept = [name for name in held if name not in finalizers]
    if not present and kept == held:
        return None
    operations: list[Object] = []
    before: Object = {}
    after: Object = {}
    if present:
        for key in present:
            path = "/metadata/labels/" + key.replace("~", "~0").replace("/", "~1")
            operations += [{"op": "test", "path": path, "value": current[key]}, {"op": "remove", "path": path}]
        before["labels"], after["labels"] = {key: current[key] for key in present}, {}
    if kept != held:
        path = "/metadata/finalizers"
        operations += [{"op": "test", "path": path, "value": held}, {"op": "replace", "path": path, "value": kept}]
        before["finalizers"], after["finalizers"] = held, kept

    def replan(now: Object) -> Action | None:
        carried = now["metadata"].get("labels") or {}
        same = all(carried.get(key) in (current[key], None) for key in present)
        return plan_unlabel(now, set(present), finalizers) if same else action

    action = Action(
        "json",
        UPDATED,
        NAMESPACES,
        "Namespace",
        meta["name"],
        body=operations,
        before={"metadata": before},
        after={"metadata": after},
        replan=replan,
    )
    return action


def orphaned_finalizers(live: Object, selecting: set[str]) -> list[str]:
    """ESO's finalizers on a namespace that no ClusterExternalSecret accounts for any more.

    :arg selecting: the names of the ClusterExternalSecrets that select the namespace.
    """
    return [finalizer(one) for one in held_for(live) if not any(may_hold(one, name) for name in selecting)]
