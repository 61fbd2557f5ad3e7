# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ClusterExternalSecrets, and targets that have to be made anew."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Iterator

from ..apply import Executor
from ..desired.distribution import cluster_external_secret, is_owned
from ..errors import EsoError, NotReady
from ..module import (
    CATALOG_OPTION,
    ESO_OBJECT_OPTIONS,
    ISOLATION_OPTION,
    OWNER_OPTION,
    STORE_NAMESPACE_OPTION,
    STORE_OPTION,
    layout_of,
    wait_until_gone,
    wait_while,
)
from ..plan.actions import plan_delete
from ..plan.ownership import plan_release, plan_takeover
from ..plan.refresh import plan_refresh_one
from ..plan.secrets import content
from ..resources import ESO_GROUP, SECRETS, cluster_external_secrets, external_secrets, is_of_eso
from ..takeover import removal
from .steps import Plan, Step, alone, waits

if TYPE_CHECKING:
    from ..api.client import Client
    from ..module import Context
    from ..plan.actions import Action
    from ..resources import Object

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "prune": {"type": "bool", "default": False},
    "replace": {"type": "dict", "default": {}},
    "wait_timeout": {"type": "int", "default": 60},
    **CATALOG_OPTION,
    **ESO_OBJECT_OPTIONS,
    **ISOLATION_OPTION,
    **OWNER_OPTION,
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}


def plan(context: Context) -> Plan:
    """What makes the live ClusterExternalSecrets those of the catalog."""
    params, client = context.params, context.client
    absent = params["state"] == "absent"
    entries = [] if absent else context.entries
    try:
        version = context.eso_version(params["assume_installed"])
    except EsoError:
        if absent:
            return Plan(result={"api_version": None, "left": []})
        raise
    resource = cluster_external_secrets(version)
    with client.remembering():
        live, _version = client.list(resource, missing_ok=True)
    layout = layout_of(params)
    kind = {"apiVersion": "%s/%s" % (ESO_GROUP, version), "kind": "ClusterExternalSecret"}
    by_name = {item["metadata"]["name"]: {**item, **kind} for item in live}
    theirs = {name for name, item in by_name.items() if not is_owned(item)}
    pairs = [
        plan_takeover(
            cluster_external_secret(entry, layout.store_of(entry.name), version),
            by_name.get(entry.name),
            entry.name not in theirs,
        )
        for entry in entries
    ]
    going = removal.Going([], [])
    if absent or params["prune"]:
        named = {entry.name for entry in context.entries} if absent else ()
        going = removal.entries_going(list(by_name.values()), layout, {entry.name for entry in entries}, named)
    by_gitops = params["owner"] == "gitops" and not absent
    applies = [applied for _adoption, applied in pairs if applied]
    adoptions = [adoption for adoption, _applied in pairs if adoption]
    steps = [Step([adoptions, applies, going.actions], params["force_conflicts"], by_gitops)]
    releases = [plan_release(by_name.get(entry.name)) for entry in entries] if by_gitops else []
    steps += [Step([[action for action in releases if action]]), *_replaced(context, version)]
    if going.actions:
        names, seconds = {action.name for action in going.actions}, params["wait_timeout"]
        steps.append(waits(lambda: wait_until_gone(client, resource, names, seconds)))
    return Plan(steps, {"api_version": version, "left": [left._asdict() for left in going.left]})


run = alone(plan)


def _replaced(context: Context, version: str) -> Iterator[Step]:
    """The steps that delete the Secrets to replace that are still the ones which were looked at.

    One after the other, each waited for until ESO has made it anew, so that a run which stops leaves one missing at
    most. In check mode, raises NotReady where something holds one.
    """
    client, seconds = context.client, context.params["wait_timeout"]
    saved = context.params.get("saved") or {}
    by_target = {entry.target: entry for entry in context.entries}
    held: list[str] = []
    for namespace, names in context.params["replace"].items():
        if namespace == context.params["store_namespace"]:
            continue  # what is there is no target
        for name, uids in names.items():
            item = client.get(SECRETS.path(name, namespace))
            if item is None or item["metadata"]["uid"] not in uids:
                continue
            if item["metadata"].get("finalizers"):
                # It would stay as it is for ever, and keep those after it from their turn.
                held.append("%s/%s (%s)" % (namespace, name, ", ".join(item["metadata"]["finalizers"])))
                continue
            meta, kept = item["metadata"], saved.get((namespace, name))
            same = uids[meta["uid"]] in (True, meta["resourceVersion"]) if kept is None else kept == content(item)
            # What ESO itself writes there, a new value say, is nobody's loss.
            if not same and not is_of_eso(item):
                raise NotReady(
                    "somebody changed Secret %s/%s after it was backed up, so it stays. Run this again."
                    % (namespace, name)
                )
            yield Step([[_deletion(item)]])
            entry = by_target.get(name)
            if entry is not None:
                # ESO may have given up for a while, or have yet to make its ExternalSecret.
                refresh = plan_refresh_one(external_secrets(version), entry.external_secret, namespace)
                yield waits(functools.partial(Executor(client).run, [refresh]))
                is_missing = functools.partial(_not_made, client, namespace, name, uids)
                yield waits(functools.partial(wait_while, client, is_missing, seconds))
    if held and context.check_mode:
        _refuse_held(held)
    if held:
        yield waits(functools.partial(_refuse_held, held))  # the others come first


def _refuse_held(held: list[str]) -> None:
    raise NotReady(
        "Secrets that have to be recreated are held by finalizers: %s. The others were done. Have the owners of their "
        "namespaces remove the finalizers, then run this again." % "; ".join(held)
    )


def _deletion(item: Object) -> Action:
    """The deletion of a Secret, also when ESO has just tried to make it its own, as long as it holds what it did."""

    def again(now: Object | None) -> Action | None:
        if now is None or now["metadata"]["uid"] != item["metadata"]["uid"]:
            return None  # somebody else was quicker
        same = content(now) == content(item) or (is_of_eso(now) and is_of_eso(item))
        return _deletion(now) if same else action

    action = replace(plan_delete({**item, "apiVersion": "v1", "kind": "Secret"}), replan=again)
    return action


def _not_made(client: Client, namespace: str, name: str, uids: dict[str, Any]) -> NotReady | None:
    item = client.get(SECRETS.path(name, namespace))
    if item is not None and item["metadata"]["uid"] not in uids:
        return None
    return NotReady(
        "the Secret %s/%s was deleted to be recreated, and ESO has not done so yet. Those after it were left as they "
        "are. Look at ESO's log, then run this again." % (namespace, name)
    )
