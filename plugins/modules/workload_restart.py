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
  - Finds the pods that were started before the value of a target was last written and that keep the older one, in a
    variable or a mount by C(subPath), and restarts what they belong to, as C(kubectl rollout restart) does.
  - Deployments, StatefulSets and DaemonSets are restarted. Jobs, pods that nothing controls and pods of other kinds are
    named in RV(left).
  - It goes by waves of O(limit) workloads, waits until each wave is rolled out, and stops at the first that is not.
    Interrupted or stopped, it can be run again, and goes on; nothing is restarted twice.
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
    description: The catalog entries whose targets count. Without it, all.
    type: list
    elements: str
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
  description: Those of them that are not restarted, as RV(old), each with the C(reason).
  returned: success, or failure because of a rollout
  type: list
  elements: dict
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
import time
from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import workloads
from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit import usage
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import select
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import NotReady
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import snapshot, state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import usage as live_usage
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    STORE_NAMESPACE_OPTION,
    run_module,
    wait_while,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan import Action, plan_restart
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import PODS

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.client import Client
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import Object
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.workloads import Owner

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["reported", "restarted"], "default": "restarted"},
    "names": {"type": "list", "elements": "str"},
    "limit": {"type": "int", "default": 5},
    "wait_timeout": {"type": "int", "default": 600},
    **CATALOG_OPTION,
    **STORE_NAMESPACE_OPTION,
}


class _Stuck(NotReady):
    """A rollout that doesn't end; the text says which, and why."""


def run(context: Context) -> dict[str, Any]:
    """Find them, and restart one wave after the other."""
    params, client = context.params, context.client
    entries = select(context.entries, params["names"])
    found = snapshot.read(client, entries, context.eso_version(), params["store_namespace"], read_sources=False)
    rows = state.judge(entries, found)
    targets = {row.key: found.secrets[row.key] for row in rows if row.key in found.secrets}
    old = usage.old(live_usage.read_pods(client), targets)
    wanted = usage.workloads_with_old_values(old)
    live = dict(zip([owner for owner, _names in wanted], client.each(lambda one: _get(client, one[0]), wanted)))
    left, waves = [], []
    for owner, names in wanted:
        reason = _reason(owner, live[owner])
        if reason:
            left.append({**owner._asdict(), "secrets": names, "reason": reason})
        else:
            waves.append(owner)
    result: dict[str, Any] = {"old": [{**owner._asdict(), "secrets": names} for owner, names in wanted], "left": left}
    if params["state"] == "reported":
        return {"changed": False, "changes": [], "api_requests": client.requests, **result}
    last: dict[Owner, datetime.datetime] = {}
    for one in old:
        last[one.owner] = max(one.changed, last.get(one.owner, one.changed))
    # Those that were restarted since then are rolling out already, by a run that was interrupted for example.
    begun = {owner for owner in waves if _is_begun(live[owner], last[owner])}
    actions: list[Action] = []
    problem = None
    for start in range(0, len(waves), max(1, params["limit"])):
        wave = waves[start : start + max(1, params["limit"])]
        try:
            actions += _restart(context, live, wave, begun, last)
        except _Stuck as error:
            problem = str(error)
            left_over = len(waves) - start - len(wave)
            if left_over:
                problem += " %d more workload(s) were not restarted." % left_over
            break
    result = {**context.result(actions), **result}
    if problem:
        result.update(failed=True, msg=problem + " Correct that and run this again; it goes on where it stopped.")
    return result


def _get(client: Client, owner: Owner) -> Object | None:
    if owner.kind not in workloads.RESTARTABLE:
        return None
    return client.get(live_usage.WORKLOADS[owner.kind].path(owner.name, owner.namespace))


def _reason(owner: Owner, item: Object | None) -> str | None:
    if owner.kind not in workloads.RESTARTABLE:
        return "nothing makes its pods anew" if owner.kind == "Pod" else "a %s is not restarted" % owner.kind
    return workloads.not_restartable(owner.kind, item) if item else "it is gone"


def _is_begun(item: Object | None, last: datetime.datetime) -> bool:
    """Whether a workload was restarted after the last change of a value."""
    text = workloads.restarted_at(item) if item else None
    try:
        when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
    except ValueError:
        return False
    return bool(when and when.tzinfo and when > last)


def _restart(
    context: Context,
    live: dict[Owner, Object | None],
    wave: list[Owner],
    begun: set[Owner],
    last: dict[Owner, datetime.datetime],
) -> list[Action]:
    client, seconds = context.client, context.params["wait_timeout"]
    fresh = {owner: live[owner] for owner in wave if owner not in begun}
    # The pods have to be started in a later second than that of the change, or nobody could tell what they read.
    while not context.check_mode and any(state.utcnow().replace(microsecond=0) <= last[one] for one in fresh):
        time.sleep(0.1)
    when = state.utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")
    actions = [
        plan_restart(owner.kind, live_usage.WORKLOADS[owner.kind], item, when) for owner, item in fresh.items() if item
    ]
    done = Executor(client, context.check_mode).run(actions)
    if not context.check_mode:
        wait_while(lambda: _unfinished(client, wave, seconds), seconds, interval=1)
    return done


def _unfinished(client: Client, wave: list[Owner], seconds: int) -> _Stuck | None:
    """What is wrong with the first workload of a wave that is not rolled out. Raises _Stuck when it has given up."""
    waiting = None
    for owner, item in zip(wave, client.each(lambda one: _get(client, one), wave)):
        said = workloads.rolled_out(owner.kind, item) if item else None
        if not said or not item:
            continue
        given_up = workloads.gave_up(item)
        problem = "%s is not rolled out: %s" % (owner.label(), given_up or said)
        cause = _cause(client, owner, item)
        if given_up:
            raise _Stuck("%s%s." % (problem, cause))
        waiting = waiting or _Stuck("%s after %d s%s." % (problem, seconds, cause))
    return waiting


def _cause(client: Client, owner: Owner, item: Object) -> str:
    """Why the pods of a workload wait, as their containers say."""
    labels = ((item.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    selector = ",".join("%s=%s" % pair for pair in sorted(labels.items()))
    pods, _version = client.list(PODS, namespace=owner.namespace, selector=selector)
    for pod in pods:
        for reason, message in workloads.waiting(pod):
            if reason not in ("ContainerCreating", "PodInitializing"):
                return "; pod %s waits: %s" % (pod["metadata"]["name"], ": ".join(filter(None, (reason, message))))
        for one in (pod.get("status") or {}).get("conditions") or []:
            if one.get("type") == "PodScheduled" and one.get("status") == "False":
                return "; pod %s is not scheduled: %s" % (pod["metadata"]["name"], one.get("message") or "")
    return ""


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
