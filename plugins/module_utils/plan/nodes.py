# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The marks of nodes that are upgraded. Pure."""

from __future__ import annotations

import json
from typing import Any, Callable

from ..resources import NODES, Object
from .actions import Action, merge_of

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
        mark = json.loads(text)
    except ValueError:
        return {}
    return mark if isinstance(mark, dict) else {}


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


def plan_node_annotated(live: Object, changes: dict[str, str | None]) -> Action | None:
    """The patch that gives a live node annotations, or takes them away (None); None for one that is so."""
    annotations = live["metadata"].get("annotations") or {}
    if all(annotations.get(key) == value for key, value in changes.items()):
        return None
    return _patch_node(live, changes, None, lambda again: plan_node_annotated(again, changes))


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
    body = {
        "metadata": {"resourceVersion": meta["resourceVersion"], "annotations": changes},
        **({} if cordon is None else {"spec": {"unschedulable": cordon or None}}),
    }
    return merge_of(NODES, "Node", live, body, before, after, again)
