# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What workloads take from Secrets. Pure."""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple, Optional

from .resources import Object, is_name, one_line

ENV, ENV_FROM, VOLUME, SUB_PATH, PULL = "env", "envFrom", "volume", "subPath", "imagePullSecrets"


#: No name of a Secret, or of a key, is longer.
_NAMED = 253


class Reference(NamedTuple):
    """One place of a pod that names a Secret; ``key`` is None where the whole Secret is taken."""

    secret: str
    way: str
    key: Optional[str] = None
    optional: bool = False


def references(spec: Object) -> list[Reference]:
    """All places of a pod's ``spec`` that name a Secret, each once, in the order of the spec."""
    return list(dict.fromkeys(map(readable, _references(spec))))


def readable(reference: Reference) -> Reference:
    """The same as it may be shown: Kubernetes takes any text for most names of Secrets and of their keys."""
    key = None if reference.key is None else one_line(reference.key, _NAMED)
    return reference._replace(secret=one_line(reference.secret, _NAMED), key=key)


def _references(spec: Object) -> Iterator[Reference]:
    containers = _items(spec, "initContainers") + _items(spec, "containers") + _items(spec, "ephemeralContainers")
    mounts = [mount for container in containers for mount in _items(container, "volumeMounts")]
    sub_paths = {mount.get("name") for mount in mounts if mount.get("subPath") or mount.get("subPathExpr")}
    for one in containers:
        for variable in _items(one, "env"):
            reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
            if reference:
                yield Reference(reference.get("name", ""), ENV, reference.get("key"), bool(reference.get("optional")))
        for source in _items(one, "envFrom"):
            reference = source.get("secretRef")
            if reference:
                yield Reference(reference.get("name", ""), ENV_FROM, None, bool(reference.get("optional")))
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
    return [(state.get("reason") or "", one_line(state.get("message"))) for state in states if state]


def finished(pod: Object) -> bool:
    """Whether a live pod has ended, or is being deleted."""
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return ended or "deletionTimestamp" in pod["metadata"]


#: The kinds that make pods, each with the way to its pods' spec.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template", "spec"),
    "StatefulSet": ("spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}


class Owner(NamedTuple):
    """What a reference or a pod belongs to, the object that people write: a Deployment and not its ReplicaSet."""

    kind: str
    namespace: str
    name: str

    def label(self) -> str:
        """Such as 'Deployment shop/web'."""
        return "%s %s/%s" % self


def controller(item: Object) -> tuple[str, str] | None:
    """(kind, name) of what controls a live object, or None. A kind that is not Kubernetes' own comes with its group.

    Whoever makes a pod writes who owns it, and Kubernetes takes any text: what can't be a name is no owner.
    """
    for owner in item["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            if not is_name(owner.get("name")):
                return None
            group, kind = owner.get("apiVersion", "").rpartition("/")[0], owner.get("kind", "")
            return kind if group in ("", "apps", "batch") else "%s.%s" % (kind, group), owner["name"]
    return None


def template_spec(kind: str, item: Object) -> Object:
    """The spec of the pods that a live object of one of :data:`TEMPLATES` makes."""
    part: Any = item
    for step in TEMPLATES[kind]:
        part = part.get(step) or {}
    return part


def frozen(spec: Object) -> dict[str, set[str]]:
    """Container -> the Secrets whose values it keeps as they were at its start: variables, and mounts by subPath."""
    volumes = {
        volume.get("name"): [name for name, _key, _optional in _mounted(volume)] for volume in _items(spec, "volumes")
    }
    by_container: dict[str, set[str]] = {}
    # Other init containers have ended when the pod runs.
    sidecars = [container for container in _items(spec, "initContainers") if container.get("restartPolicy") == "Always"]
    for one in _items(spec, "containers") + sidecars:
        names = {place.secret for place in _references({"containers": [one]})}
        for mount in _items(one, "volumeMounts"):
            if mount.get("subPath") or mount.get("subPathExpr"):
                names.update(volumes.get(mount.get("name"), []))
        if names:
            by_container[one.get("name", "")] = names
    return by_container


def started(pod: Object) -> dict[str, str]:
    """Container -> when it was started, of those of a live pod that run."""
    status = pod.get("status") or {}
    running = {
        status_of.get("name", ""): ((status_of.get("state") or {}).get("running") or {}).get("startedAt")
        for status_of in _items(status, "containerStatuses") + _items(status, "initContainerStatuses")
    }
    return {name: when for name, when in running.items() if when}


def at_path(value: Any, path: str) -> Iterator[Any]:
    """What stands at a path of field names with dots, where [] goes through a list, such as spec.tls[].secretName."""
    head, _dot, rest = path.partition(".")
    name = head[:-2] if head.endswith("[]") else head
    held = value.get(name) if isinstance(value, dict) else None
    items = held if head.endswith("[]") and isinstance(held, list) else [held]
    for item in items:
        if item is None:
            continue
        if rest:
            yield from at_path(item, rest)
        else:
            yield item


#: The annotation that keeps a rotation from restarting a workload, when it is 'false'.
RESTART = "cluster-secrets/restart"

#: The annotation by which kubectl restarts a workload.
RESTARTED = "kubectl.kubernetes.io/restartedAt"

#: The kinds that can be restarted.
RESTARTABLE = ("Deployment", "StatefulSet", "DaemonSet")


def not_restartable(kind: str, item: Object) -> str | None:
    """Why a live workload is left alone, or None."""
    spec, annotations = item.get("spec") or {}, item["metadata"].get("annotations") or {}
    strategy = spec.get("updateStrategy") or {}
    if "deletionTimestamp" in item["metadata"]:
        return "it is being deleted"
    if annotations.get(RESTART) == "false":
        return "%s is false" % RESTART
    if spec.get("paused"):
        return "its rollouts are paused"
    if kind == "StatefulSet" and (strategy.get("rollingUpdate") or {}).get("partition"):
        return "its partition keeps some of its pods as they are"
    if strategy.get("type") == "OnDelete":
        return "it makes its pods anew only when they are deleted"
    if kind == "Deployment" and spec.get("replicas") == 0:
        return "it has no pods"
    return None


def restarted_at(item: Object) -> str | None:
    """When a live workload was last restarted, as kubectl writes it down."""
    template = (item.get("spec") or {}).get("template") or {}
    return ((template.get("metadata") or {}).get("annotations") or {}).get(RESTARTED)


def rolled_out(kind: str, item: Object) -> str | None:
    """None once all pods of a live workload are of its latest template and available, else how far it is."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    if status.get("observedGeneration", 0) < item["metadata"].get("generation", 0):
        return "its controller has not looked at it"
    if kind == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
        total = wanted
    else:
        wanted = spec.get("replicas", 1)
        updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
        total = status.get("replicas", 0)
    if updated >= wanted and available >= wanted and total <= wanted:
        return None
    return "%d of %d pods are new, %d are available" % (updated, wanted, available)


def gave_up(item: Object) -> str | None:
    """What a live Deployment says when its rollout has not progressed in time, or None."""
    if (item.get("status") or {}).get("observedGeneration", 0) < item["metadata"].get("generation", 0):
        return None  # that was the rollout before
    for condition in (item.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return one_line(condition.get("message")) or "its rollout has not progressed in time"
    return None
