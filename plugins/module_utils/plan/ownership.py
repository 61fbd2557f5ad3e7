# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose fields a live object has: taking over what somebody else applied, and letting go of it. Pure."""

from __future__ import annotations

from typing import Any, Callable

from ..desired.distribution import (
    MANAGER,
    applied_by_us,
)
from ..resources import Object, resource_of
from .actions import UPDATED, Action, plan_apply


def plan_takeover(
    desired: Object,
    live: Object | None,
    owned: bool,
    again: Callable[[Object | None], Action | None] | None = None,
) -> tuple[Action | None, Action | None]:
    """:func:`plan_apply`, and before it the patch that makes our manager the owner of what someone else made.

    The apply then removes what is not desired, as it does with what we made ourselves. The patch changes nothing but
    the record of who owns which field, so that a run that ends after it leaves the object working as it did.

    :arg owned: whether the live object carries our label. One that GitOps applied does, and is taken over only when it
        differs. :arg again: see :func:`plan_apply`.
    :returns: (the patch or None, the apply or None).
    """
    applied = plan_apply(desired, live, again=again)
    if live is None or (owned and (applied is None or _applied_by_us(live))):
        return None, applied
    live = {**live, "apiVersion": desired["apiVersion"], "kind": desired["kind"]}
    adoption = _plan_adoption(live)
    if adoption is None:
        return None, applied
    records = adoption.body[1]["value"]
    live = {**live, "metadata": {**live["metadata"], "managedFields": records}}
    return adoption, plan_apply(desired, live, again=again)


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
    names = [[str(record.get("manager")) for record in listed] for listed in (meta.get("managedFields") or [], records)]
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
