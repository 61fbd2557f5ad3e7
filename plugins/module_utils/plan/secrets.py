# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets: what diff mode shows of them, and how they are brought back. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Collection

from ..desired.distribution import (
    CHANGED,
    OWNED,
    REGENERATED,
    RESTORER,
)
from ..resources import SECRETS, Object
from .actions import _ABSENT, CREATED, UPDATED, Action, Path, _bound, plan_delete


def redact_secret(live: Object | None, desired: Object, left_over: list[Path]) -> tuple[Object, Object]:
    """(before, after) of a Secret for the diff: its keys, each with whether it changes."""
    old = (live or {}).get("data") or {}
    going = {path[1] for path in left_over if path[0] == "data" and len(path) > 1}
    before: Object = {}
    after: Object = {}
    for key in sorted(set(old) | set(desired["data"])):
        if key in old:
            before[key] = "<value hidden>"
        if key in desired["data"]:
            after[key] = "<value hidden>" if old.get(key) == desired["data"][key] else "<new value hidden>"
        elif key not in going:
            after[key] = before[key]
    shown = {
        "metadata": {"name": desired["metadata"]["name"], "namespace": desired["metadata"]["namespace"]},
        "type": desired["type"],
    }
    before_object = {} if live is None else {**shown, "type": live.get("type"), "data": before}
    return before_object, {**shown, "data": after}


def content(secret: Object) -> tuple[Any, Any]:
    """The type and the data of a live Secret."""
    return secret.get("type"), secret.get("data")


def plan_restore(kept: Object, live: Object | None, ours: Collection[str] = ()) -> list[Action]:
    """The requests, one after the other, that make a live Secret (None: absent) what a backup kept.

    Keys that were applied are applied again, so that a later apply removes those that have left the values. The others
    are no applies: those would make our manager the owner of keys of others, which the next run would remove. What
    Kubernetes lets nobody change is deleted first.

    :arg ours: the keys that the collection had applied.
    """
    if live is not None and _same_secret(kept, live):
        return []
    meta = kept["metadata"]
    common: dict[str, Any] = {"kind": "Secret", "name": meta["name"], "namespace": meta["namespace"]}
    surplus = {key: None for key in (live or {}).get("data") or {} if key not in kept["data"]}
    common["before"], common["after"] = redact_secret(live, kept, [("data", key) for key in surplus])
    if live is not None and (live.get("type") != kept["type"] or live.get("immutable")):
        return [plan_delete({**live, "apiVersion": "v1", "kind": "Secret"}), *plan_restore(kept, None, ours)]
    applied = {key: value for key, value in kept["data"].items() if key in ours}
    others: Object = {key: value for key, value in kept["data"].items() if key not in applied}
    if live is None and not applied:
        return [Action("create", CREATED, SECRETS, body=kept, manager=RESTORER, **common)]
    actions = []
    version = _ABSENT if live is None else live["metadata"]["resourceVersion"]
    if applied:
        own, meta = _divided(meta)
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": own, "type": kept["type"], "data": applied}
        body = _bound(body, resourceVersion=version)
        actions.append(Action("apply", CREATED if live is None else UPDATED, SECRETS, body=body, **common))
    if others or surplus or kept.get("immutable") or (applied and len(meta) > 2):
        # Bound to what was read, of which there is a backup, unless the apply before it was.
        body = {"metadata": meta if applied else {**meta, "resourceVersion": version}, "data": {**others, **surplus}}
        if kept.get("immutable"):
            body["immutable"] = True
        actions.append(Action("merge", UPDATED, SECRETS, body=body, manager=RESTORER, **common))
    return [_kept(action, kept) for action in actions]


def _kept(action: Action, kept: Object) -> Action:
    """The action, which is tried once: what somebody wrote meanwhile, of which there is no backup, stays.

    A lost answer is no somebody.
    """
    once = replace(action, replan=lambda live: None if live and _same_secret(kept, live) else once)
    return once


def _divided(metadata: Object) -> tuple[Object, Object]:
    """A Secret's metadata: what the collection applies, and what is of others."""
    place = {key: value for key, value in metadata.items() if key not in ("annotations", "labels")}
    own, others = dict(place), dict(place)
    for field, keys in (("labels", tuple(OWNED)), ("annotations", (CHANGED, REGENERATED))):
        for key, value in (metadata.get(field) or {}).items():
            (own if key in keys else others).setdefault(field, {})[key] = value
    return own, others


def _same_secret(kept: Object, live: Object) -> bool:
    return (
        live.get("type") == kept["type"]
        and (live.get("data") or {}) == kept["data"]
        and bool(live.get("immutable")) == bool(kept.get("immutable"))
    )
