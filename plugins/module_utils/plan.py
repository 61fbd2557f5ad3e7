# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare desired objects with live ones and say which requests make them agree. Pure, but for the time of a refresh.

Check mode and a real run use the very same plan: check mode just doesn't send it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Any, Callable, Collection, Iterator

from . import workloads
from .desired.distribution import (
    CHANGED,
    FORCE_SYNC,
    MANAGER,
    MIRRORED,
    OWNED,
    REGENERATED,
    RESTORER,
    applied_by_us,
    finalizer,
    held_for,
    may_hold,
)
from .resources import CRDS, CRONJOBS, ESO_GROUP, NAMESPACES, NODES, SECRETS, Object, Resource, holds_true, resource_of

#: An annotation of definitions, see :func:`plan_touch`.
TOUCHED = "cluster-secrets/touched"

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

    What is absent is created: when somebody else was quicker, it is planned anew. What is live is changed only as long
    as it is the same object, by its uid: one that took its place is nobody's to write over.

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
        replan = again or (lambda found: plan_apply(desired, found, redact))
        return Action("apply", CREATED, before=before, after=after, replan=replan, **common)
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


def plan_takeover(desired: Object, live: Object | None, owned: bool) -> tuple[Action | None, Action | None]:
    """:func:`plan_apply`, and before it the patch that makes our manager the owner of what someone else made.

    The apply then removes what is not desired, as it does with what we made ourselves. The patch changes nothing but
    the record of who owns which field, so that a run that ends after it leaves the object working as it did.

    :arg owned: whether the live object carries our label. One that GitOps applied does, and is taken over only when it
        differs.
    :returns: (the patch or None, the apply or None).
    """
    applied = plan_apply(desired, live)
    if live is None or (owned and (applied is None or _applied_by_us(live))):
        return None, applied
    live = {**live, "apiVersion": desired["apiVersion"], "kind": desired["kind"]}
    adoption = _plan_adoption(live)
    if adoption is None:
        return None, applied
    records = adoption.body[1]["value"]
    return adoption, plan_apply(desired, {**live, "metadata": {**live["metadata"], "managedFields": records}})


def _applied_by_us(live: Object) -> bool:
    return any(applied_by_us(record) for record in live["metadata"].get("managedFields") or [])


def _plan_adoption(live: Object) -> Action | None:
    """The patch that gives our manager the content of a live object, or None when nobody else has any of it."""
    records = live["metadata"].get("managedFields") or []
    ours: Object = {}
    others = []
    for record in records:
        fields = dict(record.get("fieldsV1") or {})
        if record.get("subresource"):
            others.append(record)
        elif applied_by_us(record):
            ours = _merged(ours, fields)
        else:
            ours = _merged(ours, {key: fields.pop(key) for key in _CONTENT if key in fields})
            if fields:
                others.append({**record, "fieldsV1": fields})
    if not ours or [record for record in records if not applied_by_us(record)] == others:
        return None
    adopted = {
        "manager": MANAGER,
        "operation": "Apply",
        "apiVersion": live["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": ours,
    }
    return _plan_records(live, [*others, adopted], _plan_adoption)


def plan_release(live: Object | None) -> Action | None:
    """The patch by which our manager lets go of a live object (None: absent) that someone else applies now.

    What two managers own stays until both let go of it, so that the other one could remove nothing.
    """
    records = ((live or {}).get("metadata") or {}).get("managedFields") or []
    others = [record for record in records if not applied_by_us(record)]
    content = [
        other for other in others if not other.get("subresource") and set(_CONTENT) & set(other.get("fieldsV1") or {})
    ]
    if live is None or len(others) == len(records) or not content:
        return None
    return _plan_records(live, others, plan_release)


def _plan_records(live: Object, records: list[Object], again: Callable[[Object], Action | None]) -> Action:
    """The patch that sets who owns which field of a live object, bound to the version that was read."""
    meta = live["metadata"]
    api, kind = live["apiVersion"], live["kind"]
    names = [[str(one.get("manager")) for one in found] for found in (meta.get("managedFields") or [], records)]
    return Action(
        "json",
        UPDATED,
        resource_of(api, kind),
        kind,
        meta["name"],
        meta.get("namespace"),
        body=[
            {"op": "test", "path": "/metadata/resourceVersion", "value": meta.get("resourceVersion")},
            {"op": "replace", "path": "/metadata/managedFields", "value": records},
        ],
        before={"metadata": {"managers": names[0]}},
        after={"metadata": {"managers": names[1]}},
        replan=lambda current: again({**current, "apiVersion": api, "kind": kind}),
    )


#: The parts of an object, besides its metadata, that an apply of ours is about.
_CONTENT = ("f:spec", "f:rules", "f:subjects", "f:roleRef")


def _merged(one: Any, other: Any) -> Any:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    return {key: _merged(one.get(key, {}), other.get(key, {})) for key in dict.fromkeys([*one, *other])}


def assumed(live: Any, applied: Any) -> Any:
    """What ``live`` (None: absent) looks like once the manifest ``applied`` was applied to it."""
    if not isinstance(live, dict) or not isinstance(applied, dict):
        return applied
    return {**live, **{key: assumed(live.get(key), value) for key, value in applied.items()}}


def is_established(definition: Object | None) -> bool:
    """Whether the API serves a live CustomResourceDefinition (None: absent)."""
    return holds_true(definition, "Established")


def plan_touch(definition: Object | None) -> Action | None:
    """The patch that makes the API server look at a CustomResourceDefinition again; None when it needn't.

    A server that stops between accepting a definition's names and establishing it never comes back
    to it by itself (kube-apiserver 1.36; its informers' resync is minutes away).
    """
    if definition is None or is_established(definition) or not holds_true(definition, "NamesAccepted"):
        return None
    meta = definition["metadata"]
    # Any new value does, and this one was never there before.
    body = {"metadata": {"annotations": {TOUCHED: meta["resourceVersion"]}}}
    return Action("merge", UPDATED, CRDS, "CustomResourceDefinition", meta["name"], body=body, before={}, after=body)


def plan_delete(live: Object) -> Action:
    """The deletion of a live object (its metadata is enough), in the version that was read.

    When it changed meanwhile, it is deleted only if it still is what was looked at: what ESO says of an object changes
    all the time. Otherwise the deletion comes to nothing and is reported by its ``replan``, which returns itself.
    """
    meta = live["metadata"]
    resource = resource_of(live["apiVersion"], live["kind"])
    preconditions = {key: meta[key] for key in ("uid", "resourceVersion") if meta.get(key)}

    def replan(found: Object | None) -> Action | None:
        if found is None:
            return None
        same = found["metadata"].get("uid") == meta.get("uid") and _looked_at(found, live) == _looked_at(live, live)
        return (
            plan_delete({**live, **found, "apiVersion": live["apiVersion"], "kind": live["kind"]}) if same else action
        )

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
    found: Object = {key: item.get(key) for key in known if key not in ("metadata", "status", "apiVersion", "kind")}
    for key in ("labels", "annotations", "ownerReferences"):
        found["metadata." + key] = item["metadata"].get(key) or None
    return found


def holds(live: Any, desired: Any) -> bool:
    """Whether ``live`` has all that ``desired`` says; more is fine in mappings, not in lists."""
    if live is None and desired in ({}, []):
        return True  # the API server stores neither
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            return False
        for key, value in desired.items():
            found = live.get(key)
            # Most are texts, and thousands of objects have many.
            if found != value and not holds(found, value):
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
    found: dict[Path, None] = {}
    for record in live["metadata"].get("managedFields") or []:
        if applied_by_us(record):
            found.update(dict.fromkeys(_unwanted(record.get("fieldsV1") or {}, desired, ())))
    return list(found)


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
    found = []
    version = _ABSENT if live is None else live["metadata"]["resourceVersion"]
    if applied:
        own, meta = _divided(meta)
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": own, "type": kept["type"], "data": applied}
        body = _bound(body, resourceVersion=version)
        found.append(Action("apply", CREATED if live is None else UPDATED, SECRETS, body=body, **common))
    if others or surplus or kept.get("immutable") or (applied and len(meta) > 2):
        # Bound to what was read, of which there is a backup, unless the apply before it was.
        body = {"metadata": meta if applied else {**meta, "resourceVersion": version}, "data": {**others, **surplus}}
        if kept.get("immutable"):
            body["immutable"] = True
        found.append(Action("merge", UPDATED, SECRETS, body=body, manager=RESTORER, **common))
    return [_kept(action, kept) for action in found]


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


def plan_refresh(resource: Resource, name: str, mirrored: bool) -> Action:
    """The patch that makes ESO refresh all ExternalSecrets of a ClusterExternalSecret.

    :arg mirrored: whether the running ESO copies the annotation :data:`MIRRORED` of the object itself, as releases
        since 0.20 do; older ones copy only those of a field of its spec, which GitOps would see as drift.
    """
    # Any new value does; ESO copies the annotation to each ExternalSecret and so reconciles it.
    key = MIRRORED if mirrored else FORCE_SYNC

    def wrapped(value: str) -> Object:
        metadata = {"annotations": {key: value}}
        return {"metadata": metadata} if mirrored else {"spec": {"externalSecretMetadata": metadata}}

    body, shown = wrapped(str(time.time_ns())), wrapped("<the time of the refresh>")
    return Action(
        "merge",
        UPDATED,
        resource,
        "ClusterExternalSecret",
        name,
        body=body,
        before={},
        after=shown,
        replan=lambda _live: plan_refresh(resource, name, mirrored),
    )


#: Marks a CronJob that the collection suspended.
SUSPENDED = "cluster-secrets.platform/suspended"


def plan_suspend(live: Object, suspend: bool) -> Action | None:
    """The patch that suspends a live CronJob, or resumes it if this suspended it; None when there is nothing to do."""
    meta = live["metadata"]
    marked = SUSPENDED in (meta.get("annotations") or {})
    is_suspended = bool((live.get("spec") or {}).get("suspend"))
    if (suspend and is_suspended) or (not suspend and not marked):
        return None
    body: Object = {
        "metadata": {
            # Somebody may suspend it for good meanwhile.
            "resourceVersion": meta["resourceVersion"],
            "annotations": {SUSPENDED: "for-upgrade" if suspend else None},
        },
        "spec": {"suspend": suspend},
    }
    return Action(
        "merge",
        UPDATED,
        CRONJOBS,
        "CronJob",
        meta["name"],
        meta["namespace"],
        body=body,
        before={"spec": {"suspend": is_suspended}},
        after={"spec": {"suspend": suspend}},
        replan=lambda again: plan_suspend(again, suspend),
    )


#: On a node whose upgrade was begun, as JSON: what it is upgraded to, and whether it was cordoned before.
NODE_UPGRADE = "cluster-secrets/node-upgrade"

#: On a node that has the image which its next reboot begins: the image.
NODE_STAGED = "cluster-secrets/node-staged"


def node_mark(live: Object) -> dict[str, Any] | None:
    """What the mark says of a live node: None without one, nothing for one that somebody spoilt."""
    text = (live["metadata"].get("annotations") or {}).get(NODE_UPGRADE)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def staged_image(live: Object) -> str:
    """The image that a live node's next reboot begins; empty for none."""
    return str((live["metadata"].get("annotations") or {}).get(NODE_STAGED) or "")


def is_cordoned(node: Object) -> bool:
    """Whether nothing may be scheduled on a live node."""
    return bool((node.get("spec") or {}).get("unschedulable"))


def plan_node_staged(live: Object, image: str) -> Action | None:
    """The patch that says which image a live node's next reboot begins; None for one that says so."""
    if staged_image(live) == image:
        return None
    return _patch_node(live, {NODE_STAGED: image}, None, lambda again: plan_node_staged(again, image))


def plan_node_begun(live: Object, version: str) -> Action | None:
    """The patch that marks a live node as begun; None for one that is marked, of whose cordon the mark knows better.

    What was staged is no longer: whatever comes of the reboot, it is not to be relied on again.
    """
    annotations = live["metadata"].get("annotations") or {}
    changes: dict[str, str | None] = {NODE_STAGED: None} if NODE_STAGED in annotations else {}
    if NODE_UPGRADE not in annotations:
        changes[NODE_UPGRADE] = json.dumps({"to": version, "cordoned": is_cordoned(live)}, sort_keys=True)
    return _patch_node(live, changes, None, lambda again: plan_node_begun(again, version)) if changes else None


def plan_node_finished(live: Object) -> Action | None:
    """The patch that takes our marks from a live node, and makes its cordon what it was; None for one without any."""
    annotations = live["metadata"].get("annotations") or {}
    changes: dict[str, str | None] = {key: None for key in (NODE_STAGED, NODE_UPGRADE) if key in annotations}
    if not changes:
        return None
    before, now = (node_mark(live) or {}).get("cordoned"), is_cordoned(live)
    # What can't be read says nothing of the cordon, which is then left to people.
    cordon = before if isinstance(before, bool) and before is not now else None
    return _patch_node(live, changes, cordon, plan_node_finished)


def _patch_node(
    live: Object, changes: dict[str, str | None], cordon: bool | None, again: Callable[[Object], Action | None]
) -> Action:
    """The patch of a node's annotations (None: goes), and of its cordon unless that is None."""
    meta = live["metadata"]
    was = {key: text for key, text in (meta.get("annotations") or {}).items() if key in changes}
    now = {key: text for key, text in changes.items() if text is not None}
    before: Object = {"metadata": {"annotations": was}} if was else {}
    after: Object = {"metadata": {"annotations": now}} if now else {}
    if cordon is not None:
        before["spec"], after["spec"] = {"unschedulable": not cordon}, {"unschedulable": cordon}
    return Action(
        "merge",
        UPDATED,
        NODES,
        "Node",
        meta["name"],
        body={
            "metadata": {"resourceVersion": meta["resourceVersion"], "annotations": changes},
            **({} if cordon is None else {"spec": {"unschedulable": cordon or None}}),
        },
        before=before,
        after=after,
        replan=again,
    )


def plan_refresh_one(resource: Resource, name: str, namespace: str) -> Action:
    """The patch that makes ESO refresh one ExternalSecret."""
    body = {"metadata": {"annotations": {FORCE_SYNC: str(time.time_ns())}}}
    shown = {"metadata": {"annotations": {FORCE_SYNC: "<the time of the refresh>"}}}
    return Action(
        "merge",
        UPDATED,
        resource,
        "ExternalSecret",
        name,
        namespace,
        body=body,
        before={},
        after=shown,
        # ESO looks at one that it has yet to make when it makes it.
        replan=lambda _live: plan_refresh_one(resource, name, namespace),
    )


# -- namespace labels ------------------------------------------------------------------------------


def plan_label(live: Object, labels: dict[str, str]) -> Action | None:
    """The patch that gives a live namespace ``labels`` ({key: value}); None if it has them."""
    current = live["metadata"].get("labels") or {}
    missing = {key: value for key, value in labels.items() if current.get(key) != value}
    if not missing:
        return None
    name = live["metadata"]["name"]
    before = {"metadata": {"labels": {key: current[key] for key in missing if key in current}}}
    return Action(
        "merge",
        UPDATED,
        NAMESPACES,
        "Namespace",
        name,
        body={"metadata": {"labels": missing}},
        before=before,
        after={"metadata": {"labels": missing}},
    )


def plan_namespace(name: str, labels: dict[str, str]) -> Action:
    """The creation of a namespace that carries ``labels``."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**OWNED, **labels}}}
    return Action("create", CREATED, NAMESPACES, "Namespace", name, body=body, before={}, after=body)


def plan_unlabel(live: Object, labels: set[str], finalizers: list[str]) -> Action | None:
    """The patch that removes ``labels`` (keys) and ESO's ``finalizers`` from a live namespace.

    Both go in one JSON patch, which tests that each of the labels, and the list of finalizers as a whole, is what was
    read; whatever else is written to the namespace doesn't disturb it.
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
    return Action(
        "json",
        UPDATED,
        NAMESPACES,
        "Namespace",
        meta["name"],
        body=operations,
        before={"metadata": before},
        after={"metadata": after},
        replan=lambda again: plan_unlabel(again, labels, finalizers),
    )


def orphaned_finalizers(live: Object, selecting: set[str]) -> list[str]:
    """ESO's finalizers on a namespace that no ClusterExternalSecret accounts for any more.

    :arg selecting: the names of the ClusterExternalSecrets that select the namespace.
    """
    return [finalizer(one) for one in held_for(live) if not any(may_hold(one, name) for name in selecting)]


def storage_version(definition: Object) -> str:
    """The version in which a live CustomResourceDefinition's objects are stored from now on."""
    return next(version["name"] for version in definition["spec"]["versions"] if version["storage"])


def resource_of_definition(definition: Object) -> Resource:
    """Where a live definition's objects are: in the version that they are stored in, if that is served."""
    spec, stored = definition["spec"], storage_version(definition)
    served = [version["name"] for version in spec["versions"] if version["served"]]
    version = stored if stored in served or not served else served[0]
    return Resource("%s/%s" % (spec["group"], version), spec["names"]["plural"], spec["scope"] == "Namespaced")


def plan_rewrite(definition: Object, item: Object, versions: dict[str, str], anyway: bool) -> Action | None:
    """What makes the API server store one of a definition's live objects (metadata is enough) anew, or None.

    Owners of ESO's own kinds are then named in the version that stays, too: 0.16 does not know an ExternalSecret as
    its ClusterExternalSecret's own that names it as v1beta1, and no longer changes it.

    :arg versions: the version in which each of ESO's kinds is stored.
    :arg anyway: also one whose owners need no change.
    """
    return _plan_rewrite(
        resource_of_definition(definition), definition["spec"]["names"]["kind"], item, versions, anyway
    )


def plan_owners(secret: Object, versions: dict[str, str]) -> Action | None:
    """What names the ExternalSecret of a live target (metadata is enough) in the version that stays, or None.

    Kubernetes' garbage collector looks for an owner in the version that is named. Once that is no longer served, the
    owner counts as gone, and the collector removes the target.

    :arg versions: the version in which each of ESO's kinds is stored.
    """
    return _plan_rewrite(SECRETS, "Secret", secret, versions, False)


def _plan_rewrite(resource: Resource, kind: str, item: Object, versions: dict[str, str], anyway: bool) -> Action | None:
    meta = item["metadata"]
    owners = meta.get("ownerReferences") or []
    named = with_owners_in(item, versions)["metadata"].get("ownerReferences") or []
    if named == owners and not anyway:
        return None
    body: Object = {}
    if named != owners:
        body = {"metadata": {"resourceVersion": meta["resourceVersion"], "ownerReferences": named}}
    return Action(
        "merge",
        UPDATED,
        resource,
        kind,
        meta["name"],
        meta.get("namespace"),
        body,
        before={"metadata": {"ownerReferences": owners}} if body else None,
        after={"metadata": {"ownerReferences": named}} if body else None,
        replan=lambda again: _plan_rewrite(resource, kind, again, versions, anyway),
    )


def with_owners_in(item: Object, versions: dict[str, str]) -> Object:
    """A live object with its owners of ESO's kinds named in these versions, by kind."""
    meta = item["metadata"]
    if not meta.get("ownerReferences"):
        return item
    owners = [_owner_in(owner, versions) for owner in meta["ownerReferences"]]
    return {**item, "metadata": {**meta, "ownerReferences": owners}}


def _owner_in(owner: Object, versions: dict[str, str]) -> Object:
    group, _slash, _version = owner.get("apiVersion", "").rpartition("/")
    if group != ESO_GROUP or owner.get("kind") not in versions:
        return owner
    return {**owner, "apiVersion": "%s/%s" % (group, versions[owner["kind"]])}


def plan_without_conversion(desired: Object, live: Object | None) -> Action | None:
    """What takes the conversion webhook out of a live definition whose new one has none.

    An apply would leave it, where others own its fields, and the webhook of that release converts nothing.
    """
    before = ((live or {}).get("spec") or {}).get("conversion") or {}
    if before.get("strategy") != "Webhook" or (desired["spec"].get("conversion") or {}).get("strategy") == "Webhook":
        return None
    after = {"strategy": "None", "webhook": None}
    shown = [{"spec": {"conversion": {"strategy": one["strategy"]}}} for one in (before, after)]
    name = desired["metadata"]["name"]
    body = {"spec": {"conversion": after}}
    return Action("merge", UPDATED, CRDS, "CustomResourceDefinition", name, body=body, before=shown[0], after=shown[1])


def plan_stored_versions(definition: Object) -> Action | None:
    """What writes down that all objects of a live definition are stored in its storage version; None if it is.

    It fails when the definition changes after it was read, since objects may then be stored in another version.
    """
    before = (definition.get("status") or {}).get("storedVersions") or []
    after = [storage_version(definition)]
    if before == after:
        return None
    meta = definition["metadata"]
    body = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "status": {"storedVersions": after}}
    shown = [{"status": {"storedVersions": one}} for one in (before, after)]
    return Action(
        "merge",
        UPDATED,
        CRDS,
        "CustomResourceDefinition",
        meta["name"],
        body=body,
        before=shown[0],
        after=shown[1],
        subresource="status",
    )


def plan_restart(kind: str, resource: Resource, live: Object, when: str) -> Action:
    """What makes the pods of a live workload anew, as kubectl rollout restart does it.

    :arg when: the time, as RFC 3339.
    """
    body = {"spec": {"template": {"metadata": {"annotations": {workloads.RESTARTED: when}}}}}
    before = {"spec": {"template": {"metadata": {"annotations": {workloads.RESTARTED: workloads.restarted_at(live)}}}}}
    meta = live["metadata"]
    return Action(
        "merge",
        UPDATED,
        resource,
        kind,
        meta["name"],
        meta["namespace"],
        body=body,
        before=before,
        after=body,
        # One that is gone meanwhile needs no restart.
        replan=lambda again: plan_restart(kind, resource, again, when),
    )
