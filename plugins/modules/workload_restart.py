#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module workload_restart: a rotation ends at the workload."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_restart
short_description: Restart the workloads that run with an older value of a target
version_added: 1.0.0
description:
  - Finds the pods that were started before the value of a target was last written and that still hold the older one, in
    an environment variable or a C(subPath) mount, and restarts what they belong to, as C(kubectl rollout restart) does.
  - Deployments, StatefulSets and DaemonSets are restarted. Jobs, pods that nothing controls and pods of other kinds are
    named in RV(left).
  - It works in waves of O(limit) workloads and waits until each wave is rolled out. If a workload is not, the others of
    its namespace are left alone; if that happens in at least three namespaces, and in more than succeed, nothing more
    is restarted.
  - If interrupted or stopped, it can be run again and continues; nothing is restarted twice.
  - A workload with the annotation C(cluster-secrets/restart) of V(false) is left alone.
  - The targets must be current, as after M(platform.cluster_secrets.sync).
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  state:
    description: V(restarted) restarts the workloads; V(reported) only returns them.
    type: str
    choices: [reported, restarted]
    default: restarted
  names:
    description: The catalog entries whose targets are considered. By default, all.
    type: list
    elements: str
  changed_sources:
    description: In check mode, which keys of which sources the run would have changed before this task, as
      M(platform.cluster_secrets.central_secrets) returns them.
    type: dict
    default: {}
  limit:
    description: How many workloads are restarted at a time.
    type: int
    default: 5
  wait_timeout:
    description: How many seconds a wave may take to roll out.
    type: int
    default: 600
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store.namespace
"""

EXAMPLES = r"""
- name: Restart what still runs with the old values
  platform.cluster_secrets.workload_restart:
    catalog: "{{ cluster_secrets_catalog }}"
    limit: 2
"""

RETURN = r"""
old:
  description: The workloads that ran with an older value when the task began.
  returned: success, or failure because of a rollout
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of the workload.
      type: str
    namespace:
      description: Its namespace.
      type: str
    name:
      description: Its name.
      type: str
    secrets:
      description: The targets.
      type: list
      elements: str
left:
  description: Workloads that are not restarted, or that still hold an older value, in the format of RV(old), each with
    the C(reason). Empty with O(state=reported).
  returned: success, or failure because of a rollout
  type: list
  elements: dict
table:
  description: The workloads that run with an older value, as lines of text. Empty if there are none.
  returned: success, or failure because of a rollout
  type: list
  elements: str
changes:
  description: What was (in check mode, would be) restarted.
  returned: success, or failure because of a rollout
  type: list
  elements: dict
api_requests:
  description: How many requests were sent to the API server.
  returned: success, or failure because of a rollout
  type: int
"""

import datetime
import itertools
import time
from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import workloads
from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit import usage
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import select
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import (
    ApiError,
    ClusterSecretsError,
    Denied,
    NotReady,
    WriteError,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import snapshot, state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import usage as live_usage
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    STORE_NAMESPACE_OPTION,
    Context,
    run_module,
    wait_while,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.actions import Action
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.workloads import plan_restart
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import text
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import PODS, Object, key_of

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.workloads import Owner

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["reported", "restarted"], "default": "restarted"},
    "names": {"type": "list", "elements": "str"},
    "changed_sources": {"type": "dict", "default": {}},
    "limit": {"type": "int", "default": 5},
    "wait_timeout": {"type": "int", "default": 600},
    **CATALOG_OPTION,
    **STORE_NAMESPACE_OPTION,
}


class _Stuck(NotReady):
    """A rollout that doesn't end."""

    def __init__(self, owner: Owner, item: Object, said: str) -> None:
        super().__init__("%s is not rolled out: %s" % (owner.label(), said))
        self.owner = owner
        self.item = item
        self.said = said


def run(context: Context) -> dict[str, Any]:
    """Find them, and restart one wave after the other."""
    params, client = context.params, context.client
    reported = params["state"] == "reported"
    try:
        changed = _changes(context)
        old = usage.old(live_usage.read_pods(client), changed)
    except Denied as error:
        if not reported:
            raise
        # A report does without it; nobody needs more permissions than before for a rotation.
        context.warn("workloads with older values are not looked for: %s" % error)
        return {"changed": False, "changes": [], "old": [], "left": [], "table": [], "api_requests": client.requests}
    wanted = usage.workloads_with_old_values(old)
    result: dict[str, Any] = {"old": [{**owner._asdict(), "secrets": names} for owner, names in wanted], "left": []}
    if reported:
        table = text.old_values_table(result["old"], True)
        return {"changed": False, "changes": [], "table": table, "api_requests": client.requests, **result}
    restart = _Restart(context, old)
    problem = restart.run([owner for owner, _names in wanted])
    secrets = dict(wanted)
    if restart.actions and not context.check_mode:
        for one in usage.old(live_usage.read_pods(client), changed):
            restart.left.setdefault(one.owner, "its pods still keep it")
            secrets.setdefault(one.owner, [one.secret])
    result["left"] = [
        {**owner._asdict(), "secrets": secrets[owner], "reason": reason}
        for owner, reason in sorted(restart.left.items())
    ]
    result["table"] = text.old_values_table(result["left"], False)
    result = {**context.result(restart.actions), **result}
    if problem:
        result.update(failed=True, msg=problem)
    return result


def _changes(context: Context) -> dict[tuple[str, str], datetime.datetime]:
    """When the value of each target was last written; in check mode, that of those that the run would write is now."""
    params = context.params
    entries = select(context.entries, params["names"])
    version = context.eso_version(assumed=True)
    taken = snapshot.read(context.client, entries, version, params["store_namespace"], read_sources=False)
    rows = state.judge(entries, taken)
    keys = [key for key in usage.delivered_keys(rows) if key in taken.secrets]
    changed = usage.changes({key: taken.secrets[key] for key in keys})
    if context.check_mode:
        rewritten = {entry.target for entry in entries if state.reads_any(entry, params["changed_sources"])}
        changed.update((key, state.utcnow()) for key in keys if key[1] in rewritten)
    return changed


def _in_turns(owners: list[Owner]) -> list[Owner]:
    """One of each namespace after the other, so that none can stop the others by how much it has."""
    by_namespace: dict[str, list[Owner]] = {}
    for owner in owners:
        by_namespace.setdefault(owner.namespace, []).append(owner)
    turns = itertools.zip_longest(*by_namespace.values())
    return [owner for turn in turns for owner in turn if owner is not None]


class _Restart:
    """The restarts of one run: ``actions`` are those that were sent, ``left`` says why a workload was left alone."""

    def __init__(self, context: Context, old: list[usage.Old]) -> None:
        self.context = context
        self.client = context.client
        self.actions: list[Action] = []
        self.left: dict[Owner, str] = {}
        self._progress = context.progress("workloads are restarted")
        self._done, self._all, self._waves = 0, 0, 0
        #: The namespaces of workloads that stood still before they were restarted.
        self._stood: set[str] = set()
        self._last: dict[Owner, datetime.datetime] = {}
        for one in old:
            self._last[one.owner] = max(one.changed, self._last.get(one.owner, one.changed))

    def run(self, owners: list[Owner]) -> str | None:
        """Restart them, wave by wave; what went wrong, or None.

        Where one stands still, the others of its namespace are left alone, and those of other namespaces go on: only
        when more namespaces stand still than have gone on it is the value's fault, and nothing more is restarted.
        """
        limit = max(1, self.context.params["limit"])
        live = self._look(owners)
        waiting = _in_turns([owner for owner in owners if owner not in self.left])
        # All permissions before the first restart.
        Executor(self.client, check_mode=True).run([self._plan(owner, live[owner]) for owner in waiting])
        self._all = len(waiting)
        problems: list[str] = []
        standing: dict[str, str] = {}
        well: set[str] = set()
        while waiting:
            wave, waiting = waiting[:limit], waiting[limit:]
            try:
                failed = self._wave(wave)
            except ClusterSecretsError as error:
                problems.append(str(error).rstrip("."))
                self.left.update(dict.fromkeys(waiting, "not restarted"))
                break
            for owner, why in failed.items():
                self.left[owner] = why
                standing.setdefault(owner.namespace, owner.label())
                problems.append("%s: %s" % (owner.label(), why.rstrip(".")))
            self._waves += 1
            well |= {owner.namespace for owner in wave} - set(standing)
            self._done += len(wave)
            # What stood still before it was restarted says nothing of the value.
            everywhere = self._waves > 1 and len(set(standing) - self._stood) > max(2, len(well))
            for owner in waiting:
                if everywhere or owner.namespace in standing:
                    because = standing.get(owner.namespace) or next(iter(standing.values()))
                    self.left[owner] = "not restarted, since %s stands still" % because
            waiting = [owner for owner in waiting if owner not in self.left]
        if not problems:
            return None
        rest = sum(reason.startswith("not restarted") for reason in self.left.values())
        return "%s.%s Correct that and run this again; it goes on where it stopped." % (
            "; ".join(problems),
            " %d more workload(s) were not restarted." % rest if rest else "",
        )

    def _look(self, owners: list[Owner]) -> dict[Owner, Object]:
        """The live objects of those that may be restarted; the others are noted."""
        by_owner = {}
        for owner, item in zip(owners, self.client.each(self._get, owners)):
            if owner.kind not in workloads.RESTARTABLE:
                bare = owner.kind == "Pod"
                self.left[owner] = "nothing makes its pods anew" if bare else "a %s is not restarted" % owner.kind
                continue
            reason = workloads.not_restartable(owner.kind, item) if item else "it is gone"
            if reason:
                self.left[owner] = reason
            elif item:
                by_owner[owner] = item
        return by_owner

    def _get(self, owner: Owner) -> Object | None:
        if owner.kind not in workloads.RESTARTABLE:
            return None
        live = self.client.get(live_usage.WORKLOADS[owner.kind].path(owner.name, owner.namespace))
        # The name comes from a pod, and whoever made that wrote it: nothing else than what it names is restarted.
        return live if live and key_of(live) == (owner.namespace, owner.name) else None

    def _plan(self, owner: Owner, item: Object) -> Action:
        # The clock here may be behind that of the API server, which says when the value was written.
        when = max(state.utcnow(), self._last[owner] + datetime.timedelta(seconds=1))
        resource = live_usage.WORKLOADS[owner.kind]
        return plan_restart(owner.kind, resource, item, when.strftime(state.TIME))

    def _wave(self, wave: list[Owner]) -> dict[Owner, str]:
        """Restart some and wait for them; why those that are not rolled out stand still."""
        context = self.context
        # Somebody may have restarted, paused or removed one meanwhile.
        live = self._look(wave)
        begun = [owner for owner, item in live.items() if self._is_begun(owner, item)]
        self._stood |= {owner.namespace for owner, item in live.items() if workloads.rolled_out(owner.kind, item)}
        fresh = [owner for owner in live if owner not in begun]
        if not context.check_mode:
            # The pods have to start in a later second than that of the change, or nobody could tell what they read.
            deadline = time.monotonic() + 1.1
            while time.monotonic() < deadline and any(
                state.utcnow().replace(microsecond=0) <= self._last[pod] for pod in fresh
            ):
                time.sleep(0.1)
        failed: dict[Owner, str] = {}
        for owner in fresh:
            action = self._plan(owner, live[owner])
            try:
                # Each by itself, so that what one of them refuses is its own affair.
                Executor(self.client, context.check_mode).run([action])
            except (ApiError, WriteError) as error:
                failed[owner] = str(error)
                continue
            self.actions.append(action)
        if context.check_mode:
            return failed
        sent = [owner for owner in live if owner not in failed]
        stuck: dict[Owner, _Stuck] = {}
        try:
            wait_while(
                self.client,
                lambda: self._unfinished(sent, begun, stuck),
                context.params["wait_timeout"],
                interval=1,
            )
        except _Stuck:
            pass  # all of them are noted
        self._progress.end()
        for owner, problem in stuck.items():
            failed[owner] = "it is not rolled out: %s%s" % (problem.said.rstrip("."), self._cause(problem))
        return failed

    def _is_begun(self, owner: Owner, item: Object) -> bool:
        """Whether a workload was restarted after the change and is rolling out, by a run that was interrupted for
        example."""
        text = workloads.restarted_at(item)
        try:
            when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
        except ValueError:
            return False
        # Whoever may write it may write any time.
        soon = state.utcnow() + datetime.timedelta(minutes=5)
        later = bool(when and when.tzinfo and self._last[owner] < when < soon)
        return later and workloads.rolled_out(owner.kind, item) is not None

    def _unfinished(self, wave: list[Owner], begun: list[Owner], stuck: dict[Owner, _Stuck]) -> _Stuck | None:
        """One of those that are not rolled out and may be yet, or None. ``stuck`` has all that are not."""
        waiting, done = None, self._done
        for owner, item in zip(wave, self.client.each(self._get, wave)):
            said = workloads.rolled_out(owner.kind, item) if item else None
            if not said or not item:
                stuck.pop(owner, None)
                done += 1
                continue
            given_up = workloads.gave_up(item)
            stuck[owner] = _Stuck(owner, item, given_up or said)
            if not given_up or owner in begun:
                waiting = waiting or stuck[owner]
        self._progress(done, self._all)
        return waiting

    def _cause(self, error: _Stuck) -> str:
        """Why the pods of a workload wait, as their containers say."""
        owner = error.owner
        labels = ((error.item.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
        selector = ",".join("%s=%s" % pair for pair in sorted(labels.items()))
        pods, _version = self.client.list(PODS, namespace=owner.namespace, selector=selector)
        for pod in pods:
            name = pod["metadata"]["name"]
            for reason, message in workloads.waiting(pod):
                if reason not in ("ContainerCreating", "PodInitializing"):
                    return "; pod %s waits: %s." % (name, ": ".join(filter(None, (reason, message))))
            for condition in (pod.get("status") or {}).get("conditions") or []:
                if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                    return "; pod %s is not scheduled: %s." % (name, (condition.get("message") or "").rstrip("."))
        return "."


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
