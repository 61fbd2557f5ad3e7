# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CronJobs and workloads: suspended, resumed, restarted. Pure."""

from __future__ import annotations

from .. import workloads
from ..resources import CRONJOBS, Object, Resource
from .actions import Action, merge_of

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
    before, after = ({"spec": {"suspend": shown}} for shown in (is_suspended, suspend))
    return merge_of(CRONJOBS, "CronJob", live, body, before, after, lambda again: plan_suspend(again, suspend))


def plan_restart(kind: str, resource: Resource, live: Object, when: str) -> Action:
    """What makes the pods of a live workload anew, as kubectl rollout restart does it.

    :arg when: the time, as RFC 3339.
    """
    body = {"spec": {"template": {"metadata": {"annotations": {workloads.RESTARTED: when}}}}}
    before = {"spec": {"template": {"metadata": {"annotations": {workloads.RESTARTED: workloads.restarted_at(live)}}}}}
    # One that is gone meanwhile needs no restart.
    return merge_of(resource, kind, live, body, before, body, lambda again: plan_restart(kind, resource, again, when))
