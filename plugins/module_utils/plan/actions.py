# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One planned write, and how desired objects are compared with live ones. Pure.

Check mode and a real run use the very same plan: check mode just doesn't send it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Iterator

from ..desired.distribution import (
    MANAGER,
    applied_by_us,
)
from ..resources import Object, Resource, resource_of

CREATED, UPDATED, DELETED = "created", "updated", "deleted"


@dataclass(frozen=True, eq=False)
class Action:
    """One planned write request.

    ``verb`` is ``apply`` (server-side apply of ``body``), ``create``, ``merge`` (JSON merge patch),
    ``json`` (JSON patch) or ``delete`` (``body`` has its preconditions); of ``subresource`` if given. ``before`` and
    ``after`` are what diff mode shows. ``replan`` makes the action anew from the live object, for when that changed in
    between; None of it means that there is nothing left to do. ``manager`` is the field manager.
    """

    verb: str
    result: str
    resource: Resource
    kind: str
    name: str
    namespace: str | None = None
    body: Any = None
    before: Object | None = None
    after: Object | None = None
    replan: Callable[[Any], Action | None] | None = None
    subresource: str | None = None
    manager: str = MANAGER

    @property
    def path(self) -> str:
        """Where the request goes, unless it creates."""
        return "/".join(filter(None, (self.resource.path(self.name, self.namespace), self.subresource)))

    def label(self) -> str:
        """Kind and place, such as 'Secret team/token'."""
        place = "%s/%s" % (self.namespace, self.name) if self.namespace else self.name
        return "%s %s" % (self.kind, place)


def merge_of(
    resource: Resource,
    kind: str,
    live: Object,
    body: Object,
    before: Object | None,
    after: Object | None,
    replan: Callable[[Any], Action | None] | None = None,
) -> Action:
    """The JSON merge patch of a live object, whose metadata is enough."""
    meta = live["metadata"]
    return Action("merge", UPDATED, resource, kind, meta["name"], meta.get("namespace"), body, before, after, replan)


#: Where a field is: the keys that lead to it.
Path = tuple

#: Makes the diff's (before, after) from (live or None, desired, the paths that will go).
Redact = Callable[[Any, Any, Any], Any]


#: The resourceVersion of an apply that may only create: no object has it, and what is absent is not asked for it.
_ABSENT = "1"


def plan_apply(
    desired: Object,
    live: Object | None,
    redact: Redact | None = None,
    again: Callable[[Object | None], Action | None] | None = None,
) -> Action | None:
    """The server-side apply that makes ``live`` (None: absent) hold ``desired``; None if it does.

    What is absent is created, and nothing that somebody else made meanwhile is written over. What is live is
    changed only as long as it is the same object, by its uid: one that took its place is nobody's to write over.

    Fields of others that are not desired are not looked at. A field that our manager owns and that is no
    longer desired is a difference too: applying removes it.

    :arg redact: makes the diff's (before, after) from (live, desired, the paths that will go), for
        objects with secrets.
    :arg again: makes the action anew from what is live then. With it, a live object is written only in the version that
        was read.
    """
    meta = desired["metadata"]
    resource = resource_of(desired["apiVersion"], desired["kind"])
    common: dict[str, Any] = {
        "resource": resource,
        "kind": desired["kind"],
        "name": meta["name"],
        "namespace": meta.get("namespace"),
        "body": desired,
    }
    if live is None:
        before, after = redact(None, desired, []) if redact else ({}, desired)
        common["body"] = _bound(desired, resourceVersion=_ABSENT)

        def replan(now: Object | None) -> Action | None:
            # Whoever made it meanwhile, another catalog of ours say, was not looked at.
            return plan_apply(desired, None, redact) if now is None else action

        action = Action("apply", CREATED, before=before, after=after, replan=again or replan, **common)
        return action
    # Items of a built-in kind's list carry neither of the two; they are the same by the request's path.
    live = {**live, "apiVersion": desired["apiVersion"], "kind": desired["kind"]}
    left_over = _left_over(live, desired)
    if holds(live, desired) and not left_over:
        return None
    before, after = redact(live, desired, left_over) if redact else (_project(live, desired), desired)
    known = {key: live["metadata"].get(key) for key in (("uid", "resourceVersion") if again else ("uid",))}
    common["body"] = _bound(desired, **{key: value for key, value in known.items() if value})
    return Action("apply", UPDATED, before=before, after=after, replan=again, **common)


def _bound(desired: Object, **known: str) -> Object:
    return {**desired, "metadata": {**desired["metadata"], **known}}


def assumed(live: Any, applied: Any) -> Any:
    """What ``live`` (None: absent) looks like once the manifest ``applied`` was applied to it."""
    if not isinstance(live, dict) or not isinstance(applied, dict):
        return applied
    return {**live, **{key: assumed(live.get(key), value) for key, value in applied.items()}}


def plan_delete(live: Object) -> Action:
    """The deletion of a live object (its metadata is enough), in the version that was read.

    When it changed meanwhile, it is deleted only if it still is what was looked at: what ESO says of an object changes
    all the time. Otherwise the deletion comes to nothing and is reported by its ``replan``, which returns itself.
    """
    meta = live["metadata"]
    resource = resource_of(live["apiVersion"], live["kind"])
    preconditions = {key: meta[key] for key in ("uid", "resourceVersion") if meta.get(key)}

    def replan(now: Object | None) -> Action | None:
        if now is None:
            return None
        same = now["metadata"].get("uid") == meta.get("uid") and _looked_at(now, live) == _looked_at(live, live)
        return plan_delete({**live, **now, "apiVersion": live["apiVersion"], "kind": live["kind"]}) if same else action

    action = Action(
        "delete",
        DELETED,
        resource,
        live["kind"],
        meta["name"],
        meta.get("namespace"),
        body={"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions} if preconditions else None,
        before={"metadata": {"name": meta["name"]}},
        after={},
        replan=replan,
    )
    return action


def _looked_at(item: Object, known: Object) -> Object:
    """What of a live object says whose it is and what it does, as far as ``known`` has it."""
    seen: Object = {key: item.get(key) for key in known if key not in ("metadata", "status", "apiVersion", "kind")}
    for key in ("labels", "annotations", "ownerReferences"):
        seen["metadata." + key] = item["metadata"].get(key) or None
    return seen


def holds(live: Any, desired: Any) -> bool:
    """Whether ``live`` has all that ``desired`` says; more is fine in mappings, not in lists."""
    if live is None and desired in ({}, []):
        return True  # the API server stores neither
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            return False
        for key, value in desired.items():
            there = live.get(key)
            # Most are texts, and thousands of objects have many.
            if there != value and not holds(there, value):
                return False
        return True
    if isinstance(desired, list):
        return isinstance(live, list) and len(live) == len(desired) and all(holds(a, b) for a, b in zip(live, desired))
    return live == desired


def _project(live: Any, desired: Any) -> Any:
    """The part of ``live`` that ``desired`` speaks about, for the diff."""
    if isinstance(desired, dict) and isinstance(live, dict):
        return {key: _project(live[key], value) for key, value in desired.items() if key in live}
    return live


def differences(action: Action) -> list[str]:
    """The paths, such as ``spec.refreshTime``, at which what an action changes differs before and after, sorted."""
    return sorted(".".join(path) for path in _differing(action.before, action.after, ()))


def _differing(before: Any, after: Any, path: Path) -> Iterator[Path]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(set(before) | set(after)):
            yield from _differing(before.get(key), after.get(key), (*path, key))
    elif before != after and not (before is None and after in ({}, [])):
        yield path


def _left_over(live: Object, desired: Object) -> list[Path]:
    """The paths that our manager owns in ``live`` and ``desired`` doesn't have any more."""
    paths: dict[Path, None] = {}
    for record in live["metadata"].get("managedFields") or []:
        if applied_by_us(record):
            paths.update(dict.fromkeys(_unwanted(record.get("fieldsV1") or {}, desired, ())))
    return list(paths)


def _unwanted(fields: Object, wanted: Any, path: Path) -> Iterator[Path]:
    if not isinstance(wanted, dict) or not wanted:
        return  # what an apply sets as a whole
    for key, below in fields.items():
        if key.startswith("f:"):
            name = key[2:]
            if name in wanted:
                yield from _unwanted(below, wanted[name], (*path, name))
            else:
                yield from _owned_leaves(below, (*path, name))


def _owned_leaves(fields: Object, path: Path = ()) -> Iterator[Path]:
    # 'f:name' is a field; 'k:' and 'v:' are list items, where the list itself is the leaf here.
    children = [(key[2:], value) for key, value in fields.items() if key.startswith("f:")]
    if not children:
        yield path
    for key, value in children:
        yield from _owned_leaves(value, path + (key,))
