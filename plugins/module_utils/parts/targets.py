# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The targets: refreshed where that is needed, and waited for."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, Callable, Container

from .. import causes
from ..apply import Executor
from ..catalog.entries import select
from ..desired.distribution import copies_annotations, failed_namespaces, selected
from ..errors import ApiError, ApiUnreachable, ClusterSecretsError, EsoError, passes
from ..live import snapshot, state
from ..module import CATALOG_OPTION, CHAIN_OPTIONS, layout_of
from ..plan.refresh import plan_refresh
from ..resources import cluster_external_secrets, external_secrets, key_of
from .steps import Plan, Result, Step, alone

if TYPE_CHECKING:
    from ..api.client import Client
    from ..catalog.entries import Entry
    from ..live.snapshot import Snapshot
    from ..module import Context
    from ..plan.actions import Action
    from ..resources import Object

OPTIONS: dict[str, dict[str, Any]] = {
    "refresh": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
    "changed_sources": {"type": "dict", "default": {}},
    "names": {"type": "list", "elements": "str"},
    "namespaces": {"type": "list", "elements": "str"},
    "except_namespaces": {"type": "list", "elements": "str", "default": []},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 120},
    **CATALOG_OPTION,
    **CHAIN_OPTIONS,
}


def plan(context: Context) -> Plan:
    """What refreshes the targets that need it, and then waits for all."""
    params, client = context.params, context.client
    entries = select(context.entries, params["names"])
    try:
        version = context.eso_version()
    except EsoError:
        if context.check_mode:
            # Nothing is there to refresh; a run that installs ESO first finds nothing stale either.
            return Plan(result={"refreshed": [], "targets": 0, "namespaces": 0, "unsynced": []})
        raise
    with client.remembering():
        before = snapshot.read(client, entries, version, params["store_namespace"])
    given = {} if context.foresees else params.get("labelled") or {}
    every = [
        row
        for row in [*state.judge(entries, before), *_gone(entries, before, given)]
        if row.status != state.ABSENT_NAMESPACE
        # Right after the labels were given, one that is missing is nobody's choice.
        and (row.status != state.UNLABELLED or _is_labelled(row, given))
        and row.namespace in (params["namespaces"] or [row.namespace])
    ]
    rows = [row for row in every if row.namespace not in params["except_namespaces"]]
    foreseen = params["changed_sources"] if context.foresees else {}
    of: dict[str, list[state.Row]] = {}
    for row in every:
        # A new value is brought to all; what fails where nobody waits for it would be refreshed by each run.
        if row.namespace not in params["except_namespaces"] or row.status != state.FAILING:
            of.setdefault(row.entry.name, []).append(row)
    refreshed = [entry for entry in entries if _needs_refresh(params["refresh"], foreseen, of.get(entry.name, []))]
    resource = cluster_external_secrets(version)
    actions = [plan_refresh(resource, entry.name, _is_mirrored(entry, before)) for entry in refreshed]
    unsynced = [row for row in rows if row.status != state.SYNCED]
    result = {
        "refreshed": [entry.name for entry in refreshed],
        "targets": len(rows),
        "namespaces": len({row.namespace for row in rows}),
        "unsynced": [row.as_dict() for row in unsynced],
    }
    follow = functools.partial(_follow, context, version, entries, before, rows)
    return Plan([Step([actions], then=follow if params["wait"] and (actions or unsynced) else None)], result)


run = alone(plan)


def _follow(
    context: Context, version: str, entries: list[Entry], before: Snapshot, rows: list[state.Row], result: Result
) -> list[Action]:
    """Wait until all are current, and say in the result which are not and why; returns what was refreshed meanwhile."""
    params, client = context.params, context.client
    progress = context.progress("targets are current")
    nudge = _Nudge(context, version, lambda entry: _is_mirrored(entry, before))
    begun = time.monotonic()
    asked = _asked(context)
    unsynced = state.follow(client, entries, before, rows, params["wait_timeout"], progress, nudge, asked)
    if params["refresh"] == "always" and not unsynced:
        progress.end()
        progress = context.progress("targets are refreshed")
        deadline = begun + params["wait_timeout"]
        unsynced = _not_refreshed(client, version, before, rows, nudge, asked, deadline, progress)
    progress.end()
    if unsynced:
        state.explain(client, version, unsynced, before.sources)
        client.forget()
        broken = causes.look(client, unsynced, layout_of(params), params["owner"] == "gitops")
        said = [_message(unsynced, len(rows), params["wait_timeout"]), *(cause.text() for cause in broken)]
        result.update(failed=True, msg="\n".join(said))
    result["unsynced"] = [row.as_dict() for row in unsynced]
    return nudge.done


def _gone(entries: list[Entry], before: Snapshot, given: dict[str, dict[str, str]]) -> list[state.Row]:
    """Rows of the namespaces that an entry does not list, and that have lost the label which they were just given."""
    gone = []
    for entry in entries:
        key, value = entry.label or (None, None)
        lost = {
            name
            for name, labels in given.items()
            if key in labels
            and labels[key] == value
            and name in before.namespaces
            and not selected(before.namespaces[name], entry)
        }
        gone += [state.unlabelled(entry, name) for name in sorted(lost.difference(entry.named()))]
    return gone


def _is_labelled(row: state.Row, given: dict[str, dict[str, str]]) -> bool:
    """Whether a row's namespace is among those that were given its entry's label, ``{namespace: {key: value}}``."""
    label = row.entry.label
    return label is not None and given.get(row.namespace, {}).get(label[0]) == label[1]


def _asked(context: Context) -> Callable[[state.Row], bool]:
    """What says whether a row's namespace is to have its label: it was just given, or somebody named the namespace."""
    params = context.params
    return lambda row: bool(params["namespaces"]) or _is_labelled(row, params.get("labelled") or {})


#: What is said of a target that holds the current value, though ESO did not look again.
_NOT_REFRESHED = "ESO has not refreshed it since it was asked to"

#: After how many looks at which nothing was refreshed ESO is asked once more: its times are whole seconds, and a
#: refresh right after another one may show none.
_STALLED = 4


def _not_refreshed(
    client: Client,
    version: str,
    before: Snapshot,
    rows: list[state.Row],
    nudge: _Nudge,
    asked: Callable[[state.Row], bool],
    deadline: float,
    progress: Callable[[int, int], None],
) -> list[state.Row]:
    """Wait until ESO has refreshed each of the rows, and failed with none; returns those that it has not.

    A current value says nothing of that: ESO, or its webhook, may only be starting.
    """
    pause, stalled = 0.5, 0
    earlier = {key: _refresh_time(item) for key, item in before.externals.items()}

    def lacks(row: state.Row, live: dict[tuple[str, str], str | None], failed: set[tuple[str, str]]) -> bool:
        key = (row.namespace, row.entry.external_secret)
        return (row.entry.name, row.namespace) in failed or live.get(key) in (None, earlier.get(key))

    left = rows
    while left:
        try:
            live = {key_of(item): _refresh_time(item) for item in client.list(external_secrets(version))[0]}
            failed = _failed(client, version)
            lacking = [row for row in rows if lacks(row, live, failed)]
            stalled = stalled + 1 if len(lacking) == len(left) else 0
            left = lacking
            progress(len(rows) - len(left), len(rows))
            if left and pause >= state.LOOK:
                left = state.without_what_ends(client, left, asked)
                nudge.refresh(left, live, failed, always=stalled >= _STALLED)
        except (ApiUnreachable, ApiError) as error:
            # An API server that restarts, or is too busy, is what the wait is for.
            if not passes(error):
                raise
        if time.monotonic() >= deadline:
            break
        if left:
            time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
            pause = min(2 * pause, state.LOOK)
    for row in left:
        row.status, row.message = state.FAILING, _NOT_REFRESHED
    return left


def _refresh_time(external: Object) -> str | None:
    time_said: str | None = (external.get("status") or {}).get("refreshTime")
    return time_said


def _failed(client: Client, version: str) -> set[tuple[str, str]]:
    """The entries and namespaces that ESO could not serve when it last tried."""
    return {
        (item["metadata"]["name"], namespace)
        for item in client.list(cluster_external_secrets(version))[0]
        for namespace in failed_namespaces(item)
    }


class _Nudge:
    """Makes ESO look again at ClusterExternalSecrets that failed in a namespace, whatever made them fail.

    By itself it would only try again when their refreshTime is over, an hour.
    """

    def __init__(self, context: Context, version: str, is_mirrored: Callable[[Entry], bool]) -> None:
        self._context = context
        self._version = version
        self._is_mirrored = is_mirrored
        #: When an entry that failed is refreshed next, as time.monotonic() has it, and after how many seconds again.
        self._due: dict[str, tuple[float, float]] = {}
        self.done: list[Action] = []

    def _is_due(self, name: str) -> bool:
        """Whether it is time again; ever more seldom, since each refresh is work for all targets of the entry."""
        now = time.monotonic()
        due, pause = self._due.get(name, (0.0, state.LOOK))
        if now < due:
            return False
        self._due[name] = (now + pause, 2 * pause)
        return True

    def __call__(self, rows: list[state.Row]) -> None:
        """Look, and refresh the entries of the rows that lack something."""
        if self._context.params["refresh"] == "never":
            return
        client = self._context.client
        there = {key_of(item) for item in client.list(external_secrets(self._version), partial=True)[0]}
        self.refresh(rows, there, _failed(client, self._version))

    def refresh(
        self,
        rows: list[state.Row],
        there: Container[tuple[str, str]],
        failed: set[tuple[str, str]],
        always: bool = False,
    ) -> None:
        """Refresh the entries of the rows that have no ExternalSecret, or one that ESO failed to bring up to date.

        :arg there: the live ExternalSecrets as (namespace, name); :arg failed: see :func:`_failed`; :arg always: also
            the entries of all other rows.
        """
        resource = cluster_external_secrets(self._version)
        lacking = {
            row.entry.name: row.entry
            for row in rows
            if row.status != state.UNLABELLED
            and (
                (row.namespace, row.entry.external_secret) not in there
                or ((always or (row.entry.name, row.namespace) in failed) and self._is_due(row.entry.name))
            )
        }
        refreshes = [plan_refresh(resource, name, self._is_mirrored(one)) for name, one in lacking.items()]
        try:
            self.done += Executor(self._context.client).run(refreshes)
        except ClusterSecretsError as error:
            # Waiting goes on, for ESO tries again by itself, too.
            self._context.warn("cannot make ESO look again at what it has not served: %s" % error)


def _is_mirrored(entry: Entry, snapshot: Snapshot) -> bool:
    """Whether the running ESO copies annotations of the entry's ClusterExternalSecret."""
    return copies_annotations(entry.name, [item for item in snapshot.namespaces.values() if selected(item, entry)])


def _needs_refresh(mode: str, changed_sources: dict[str, dict[str, bool]], rows: list[state.Row]) -> bool:
    if mode == "never" or not rows:
        return False
    if mode == "always" or any(row.status in (state.STALE, state.FAILING) for row in rows):
        return True
    entry = rows[0].entry
    return state.reads_any(entry, changed_sources) and any(row.created is not None for row in rows)


def _message(unsynced: list[state.Row], targets: int, seconds: int) -> str:
    shown = ["%s/%s is %s: %s" % (row.namespace, row.entry.target, row.status, row.message) for row in unsynced[:5]]
    more = " ... and %d more" % (len(unsynced) - 5) if len(unsynced) > 5 else ""
    return "%d of %d targets were not synced after %d s: %s%s" % (
        len(unsynced),
        targets,
        seconds,
        "; ".join(shown),
        more,
    )
