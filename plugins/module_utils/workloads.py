# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What workloads take from Secrets. Pure."""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple, Optional

from .resources import Object

ENV, ENV_FROM, VOLUME, SUB_PATH, PULL = "env", "envFrom", "volume", "subPath", "imagePullSecrets"


class Reference(NamedTuple):
    """One place of a pod that names a Secret; ``key`` is None where the whole Secret is taken."""

    secret: str
    way: str
    key: Optional[str] = None
    optional: bool = False


def references(spec: Object) -> list[Reference]:
    """All places of a pod's ``spec`` that name a Secret, each once, in the order of the spec."""
    return list(dict.fromkeys(_references(spec)))


def _references(spec: Object) -> Iterator[Reference]:
    containers = _items(spec, "initContainers") + _items(spec, "containers") + _items(spec, "ephemeralContainers")
    mounts = [mount for one in containers for mount in _items(one, "volumeMounts")]
    sub_paths = {one.get("name") for one in mounts if one.get("subPath") or one.get("subPathExpr")}
    for one in containers:
        for variable in _items(one, "env"):
            found = (variable.get("valueFrom") or {}).get("secretKeyRef")
            if found:
                yield Reference(found.get("name", ""), ENV, found.get("key"), bool(found.get("optional")))
        for source in _items(one, "envFrom"):
            found = source.get("secretRef")
            if found:
                yield Reference(found.get("name", ""), ENV_FROM, None, bool(found.get("optional")))
    for volume in _items(spec, "volumes"):
        way = SUB_PATH if volume.get("name") in sub_paths else VOLUME
        for name, key, optional in _mounted(volume):
            yield Reference(name, way, key, optional)
    for one in _items(spec, "imagePullSecrets"):
        yield Reference(one.get("name", ""), PULL)


def _mounted(volume: Object) -> Iterator[tuple[str, str | None, bool]]:
    """(Secret, key or None, optional) of a volume."""
    projected = _items(volume.get("projected") or {}, "sources")
    whole = [volume.get("secret")] + [one.get("secret") for one in projected]
    for one in filter(None, whole):
        name, optional = one.get("secretName") or one.get("name", ""), bool(one.get("optional"))
        keys = [item.get("key") for item in _items(one, "items")]
        for key in keys or [None]:
            yield name, key, optional
    for kind, value in volume.items():
        if kind in ("name", "secret", "projected") or not isinstance(value, dict):
            continue
        # Drivers name theirs in one of these ways.
        for field in ("secretRef", "nodePublishSecretRef"):
            if value.get(field):
                yield value[field].get("name", ""), None, False
        if isinstance(value.get("secretName"), str):
            yield value["secretName"], None, False


def _items(owner: Object, key: str) -> list[Any]:
    return owner.get(key) or []


def waiting(pod: Object) -> list[tuple[str, str]]:
    """(reason, message) of each container of a live pod that waits to be started."""
    status = pod.get("status") or {}
    states = [
        (one.get("state") or {}).get("waiting")
        for key in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        for one in _items(status, key)
    ]
    return [(one.get("reason") or "", one.get("message") or "") for one in states if one]


def finished(pod: Object) -> bool:
    """Whether a live pod has ended, or is being deleted."""
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return ended or "deletionTimestamp" in pod["metadata"]
