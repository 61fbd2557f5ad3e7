# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses which target, and who still runs with an older value of it. Pure."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple

from .. import workloads
from ..findings import INFO, WARNING, Finding, Fix, offboarding, onboarding, playbook
from ..live import state
from ..resources import Object, key_of
from ..workloads import Owner, Reference

if TYPE_CHECKING:
    from ..catalog.entries import Entry
    from ..live.snapshot import Snapshot
    from ..live.usage import Usage

TLS, CUSTOM = "tls", "custom"


class Use(NamedTuple):
    """One reference of one consumer."""

    owner: Owner
    reference: Reference

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name) of the Secret."""
        return self.owner.namespace, self.reference.secret

    def as_dict(self) -> dict[str, Any]:
        """The reference as a module returns it."""
        return {**self.owner._asdict(), **self.reference._asdict()}


class Old(NamedTuple):
    """A pod that was started before the value of a Secret that it keeps was last changed."""

    owner: Owner
    pod: str
    secret: str
    started: datetime.datetime
    changed: datetime.datetime


def uses(usage: Usage) -> list[Use]:
    """Every reference of every consumer to a Secret, each once, sorted."""
    readable = {use._replace(reference=workloads.readable(use.reference)) for use in _uses(usage)}
    return sorted(readable, key=lambda one: (one.owner, one.reference.secret, one.reference.way, str(one)))


def _uses(usage: Usage) -> Iterator[Use]:
    for kind, items in usage.workloads.items():
        for item in items:
            maker = workloads.controller(item) if kind == "Job" else None
            # A Job that has ended takes nothing, and what a CronJob made is named by it.
            if kind == "Job" and (_ended(item) or (maker and maker[0] in workloads.TEMPLATES)):
                continue
            namespace, name = key_of(item)
            owner = Owner(maker[0], namespace, maker[1]) if maker else Owner(kind, namespace, name)
            for reference in workloads.references(workloads.template_spec(kind, item)):
                yield Use(owner, reference)
    for pod in usage.pods:
        owner_of_pod = owner_of(pod, usage)
        # What a workload's template says counts for all of its pods, also for those of its last rollout.
        if not workloads.finished(pod) and owner_of_pod.kind not in workloads.TEMPLATES:
            for reference in workloads.references(pod.get("spec") or {}):
                yield Use(owner_of_pod, reference)
    for item in usage.accounts:
        for one in item.get("imagePullSecrets") or []:
            yield Use(Owner("ServiceAccount", *key_of(item)), Reference(one.get("name", ""), workloads.PULL))
    for item in usage.ingresses:
        for secret in workloads.at_path(item, "spec.tls[].secretName"):
            yield Use(Owner("Ingress", *key_of(item)), Reference(secret, TLS))
    for custom, items in usage.customs:
        for item in items:
            meta = item["metadata"]
            user = Owner(custom.kind, custom.namespace or meta.get("namespace", ""), meta["name"])
            for value in workloads.at_path(item, custom.path):
                if isinstance(value, dict) and isinstance(value.get("name"), str):
                    key = value.get("key")
                    yield Use(user, Reference(value["name"], CUSTOM, key if isinstance(key, str) else None))
                elif isinstance(value, str):
                    yield Use(user, Reference(value, CUSTOM))


def _ended(job: Object) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(
        condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
        for condition in conditions
    )


def owner_of(pod: Object, usage: Usage) -> Owner:
    """What a pod belongs to; itself, when nothing controls it."""
    namespace, name = key_of(pod)
    owner = workloads.controller(pod)
    if owner is None:
        return Owner("Pod", namespace, name)
    if owner[0] == "ReplicaSet":
        owner = usage.replica_sets.get((namespace, owner[1])) or owner
    return Owner(owner[0], namespace, owner[1])


def changes(secrets: dict[tuple[str, str], Object]) -> dict[tuple[str, str], datetime.datetime]:
    """:func:`state.written_at` of live Secrets by (namespace, name), as far as it is known."""
    times = {key: state.written_at(item) for key, item in secrets.items()}
    return {key: when for key, when in times.items() if when}


def old(usage: Usage, changed: dict[tuple[str, str], datetime.datetime]) -> list[Old]:
    """The running pods that keep an older value of one of these Secrets, sorted.

    :arg changed: when each Secret's value was last written, by (namespace, name).

    A container that was started in the very second of the change counts: nobody can say what it read.
    """
    result: list[Old] = []
    for pod in usage.pods:
        if workloads.finished(pod):
            continue
        namespace, name = key_of(pod)
        times = workloads.started(pod)
        seen: dict[str, Old] = {}
        for container, names in workloads.frozen(pod.get("spec") or {}).items():
            for secret in names:
                when = changed.get((namespace, secret))
                started = state.time_of(times.get(container))
                if when and started and started <= when:
                    owner = owner_of(pod, usage)
                    seen[secret] = Old(owner, name, secret, started, when)
        result += seen.values()
    return sorted(result)


class Report(NamedTuple):
    """What is known about the use of the catalog's targets.

    ``used`` are the references to targets that are delivered, ``unlabelled`` those to the name of a target, where it is
    not delivered and no other Secret of that name is, ``keys`` those to a key that the target doesn't have, ``unused``
    the delivered targets that nobody names, as (namespace, name, entry), and ``old`` the pods that keep an older value.
    """

    used: list[Use]
    unlabelled: list[tuple[Use, Entry]]
    keys: list[Use]
    unused: list[tuple[str, str, str]]
    old: list[Old]

    def consumers(self) -> dict[tuple[str, str], list[Owner]]:
        """The consumers of each target that has some, by (namespace, name)."""
        by_target: dict[tuple[str, str], list[Owner]] = {}
        for use in self.used:
            owners = by_target.setdefault(use.key, [])
            if use.owner not in owners:
                owners.append(use.owner)
        return by_target


def judge(
    entries: list[Entry], rows: list[state.Row], snapshot: Snapshot, others: set[tuple[str, str]] | None, usage: Usage
) -> Report:
    """Compare the references with the targets.

    :arg rows: the targets that the labels ask for; :arg others: (namespace, name) of Secrets that are there otherwise,
        None where they were not read, so that nobody can say which references lead nowhere.
    """
    entry_of = {row.key: row.entry.name for row in rows}
    delivered = set(delivered_keys(rows))
    by_target = {entry.target: entry for entry in entries}
    used, unlabelled, keys = [], [], []
    for use in uses(usage):
        if use.key in delivered:
            used.append(use)
            secret = snapshot.secrets.get(use.key)
            key = use.reference.key
            if key is not None and secret is not None and key not in (secret.get("data") or {}):
                keys.append(use)
        elif others is not None and use.reference.secret in by_target and use.key not in others:
            unlabelled.append((use, by_target[use.reference.secret]))
    named = {use.key for use in used}
    targets = {key: item for key, item in snapshot.secrets.items() if key in delivered}
    unused = [(*key, entry_of[key]) for key in sorted(delivered - named)]
    return Report(used, unlabelled, keys, unused, old(usage, changes(targets)))


def describe(rows: list[dict[str, Any]], report: Report) -> None:
    """Add to each row of sync_info who uses its target, and who of them keeps an older value."""
    consumers = report.consumers()
    older: dict[tuple[str, str], set[str]] = {}
    for one in report.old:
        older.setdefault((one.owner.namespace, one.secret), set()).add(one.owner.label())
    for row in rows:
        key = (row["namespace"], row["secret"])
        row["consumers"] = [one.label() for one in consumers.get(key, [])]
        row["old_consumers"] = sorted(older.get(key, ()))


def delivered_keys(rows: list[state.Row]) -> list[tuple[str, str]]:
    """(namespace, name) of the targets that the labels ask for."""
    return [row.key for row in rows if row.status not in (state.UNLABELLED, state.ABSENT_NAMESPACE)]


def findings(report: Report) -> list[Finding]:
    """What of a report is not as it should be."""
    result = []
    for use, entry in report.unlabelled:
        severity = INFO if use.reference.optional else WARNING
        message = "names Secret %s, which this namespace does not get" % use.reference.secret
        # Whoever runs a workload asks for it by this.
        fix = onboarding(use.owner.namespace, entry.name, "Only if the namespace is to have it")
        result.append(Finding(severity, "missing-label", use.owner.namespace, _name(use.owner), message, fix))
    for use in report.keys:
        severity = INFO if use.reference.optional else WARNING
        message = "names key %s of Secret %s, which does not have it" % (use.reference.key, use.reference.secret)
        fix = Fix("Correct the workload, or add the key to the catalog's entry")
        result.append(Finding(severity, "missing-key", use.owner.namespace, _name(use.owner), message, fix))
    for owner, secrets in workloads_with_old_values(report.old):
        message = "runs with an older value of %s" % ", ".join(secrets)
        fix = playbook("rotate", "Restart it, or let rotate do so", rotate_restart="restart")
        result.append(Finding(WARNING, "old-value", owner.namespace, _name(owner), message, fix))
    for namespace, name, made_by in report.unused:
        message = "no object that the audit looks at references this Secret"
        fix = offboarding(namespace, made_by, "If nothing else reads it, take the namespace out of the entry, then")
        result.append(Finding(INFO, "unused-target", namespace, name, message, fix))
    # A workload names a Secret in any number of places.
    return list(dict.fromkeys(result))


def _name(owner: Owner) -> str:
    return "%s %s" % (owner.kind, owner.name)


def workloads_with_old_values(kept: list[Old]) -> list[tuple[Owner, list[str]]]:
    """Each workload whose pods keep older values, with the Secrets, sorted."""
    secrets: dict[Owner, set[str]] = {}
    for one in kept:
        secrets.setdefault(one.owner, set()).add(one.secret)
    return [(owner, sorted(names)) for owner, names in sorted(secrets.items())]
