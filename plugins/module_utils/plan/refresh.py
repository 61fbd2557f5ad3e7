# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How ESO is made to look again. Pure, but for the time of a refresh."""

from __future__ import annotations

import time

from ..desired.distribution import (
    FORCE_SYNC,
    MIRRORED,
)
from ..resources import Object, Resource
from .actions import Action, merge_of


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
    live = {"metadata": {"name": name}}
    return merge_of(
        resource, "ClusterExternalSecret", live, body, {}, shown, lambda _live: plan_refresh(resource, name, mirrored)
    )


def plan_refresh_one(resource: Resource, name: str, namespace: str) -> Action:
    """The patch that makes ESO refresh one ExternalSecret."""
    body = {"metadata": {"annotations": {FORCE_SYNC: str(time.time_ns())}}}
    shown = {"metadata": {"annotations": {FORCE_SYNC: "<the time of the refresh>"}}}
    live = {"metadata": {"name": name, "namespace": namespace}}
    # ESO looks at one that it has yet to make when it makes it.
    return merge_of(
        resource, "ExternalSecret", live, body, {}, shown, lambda _live: plan_refresh_one(resource, name, namespace)
    )
