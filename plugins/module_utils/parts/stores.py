# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ClusterSecretStores and what each may read, in the stages that ESO and a change of isolation need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Collection

from ..apply import Executor
from ..desired import stores
from ..desired.distribution import is_owned
from ..errors import EsoError, NotReady
from ..live import eso, snapshot, state
from ..live.chain import reading_account
from ..module import (
    CATALOG_OPTION,
    ESO_IDENTITY_OPTIONS,
    ESO_OBJECT_OPTIONS,
    ISOLATION_OPTION,
    OWNER_OPTION,
    STORE_NAMESPACE_OPTION,
    STORE_OPTION,
    layout_of,
    wait_while,
)
from ..plan import assumed, plan_apply, plan_delete, plan_release, plan_takeover
from ..resources import ESO_GROUP, NAMESPACES, external_secrets, kind_and_name, resource_of
from ..takeover import removal

if TYPE_CHECKING:
    from ..api.client import Client
    from ..catalog.entries import Entry
    from ..module import Context
    from ..plan import Action
    from ..resources import Object

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "stage": {"type": "str", "choices": ["all", "permissions", "stores", "settle"], "default": "all"},
    "prune": {"type": "bool", "default": False},
    "consumers": {"type": "str", "choices": ["drop", "keep"], "default": "drop"},
    "server_url": {"type": "str", "default": "https://kubernetes.default.svc"},
    "create_namespace": {"type": "bool", "default": True},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 60},
    **CATALOG_OPTION,
    **ESO_IDENTITY_OPTIONS,
    **ESO_OBJECT_OPTIONS,
    **ISOLATION_OPTION,
    **OWNER_OPTION,
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Plan against the live objects and write the difference."""
    params, client = context.params, context.client
    absent, stage = params["state"] == "absent", params["stage"]
    try:
        version = context.eso_version(params["assume_installed"])
    except EsoError:
        if not absent and stage != "permissions":
            raise
        version = None
    layout = layout_of(params, version)
    with client.remembering():
        live = snapshot.read_stores(client, layout, installed=version is not None)
        if params["consumers"] == "keep" and version and not absent:
            snapshot.keep_consumers(client, layout, context.entries, version, live)
    by_gitops = params["owner"] == "gitops" and not absent
    # Files hold this catalog's only.
    layout.others = [] if by_gitops else stores.readers_of_others(live, layout)
    executor = Executor(client, context.check_mode, params["force_conflicts"], by_gitops)
    own = stores.own_entries(live.values(), layout)
    if absent:
        going = _going(client, layout, live, live)
        done = executor.run(going.actions)
        return context.result(done, api_version=version, left=[one._asdict() for one in going.left])
    shared_store = live.get(("ClusterSecretStore", layout.store))
    squatted = _squatted(live, layout) if stage != "stores" else []
    if squatted:
        live = {key: item for key, item in live.items() if item not in squatted}
    prepared = stores.prepared(layout, context.entries, own, shared_store)
    final = {kind_and_name(item): item for item in stores.final(layout, context.entries, own, params["prune"])}
    retired = stores.retired(layout, context.entries, own, params["prune"])
    if stage == "settle":
        return _settle(context, layout, executor, live, prepared, final, retired)
    changes = [item for item in prepared if stage == "all" or stores.is_store(item) == (stage == "stores")]
    pairs = []
    for item in changes:
        there = live.get(kind_and_name(item))
        pairs.append((item, *plan_takeover(item, there, there is not None and is_owned(there))))
    first: list[Action] = []
    # What is in the namespace shows that it is there: each has a ServiceAccount.
    if stage != "stores" and not any(item["metadata"].get("namespace") == layout.namespace for item in live.values()):
        first = context.missing_namespace(layout.namespace, params["create_namespace"])
    # Whoever is no cluster administrator may bind a role only when it is there, and ESO validates a store as soon as
    # it sees it.
    batches = [[applied for item, _a, applied in pairs if applied and stores.rank(item) == rank] for rank in range(3)]
    ended = [plan_delete(one) for one in squatted]
    actions = executor.run(first, ended, [adoption for _item, adoption, _applied in pairs if adoption], *batches)
    if executor.read_only:
        releases = [plan_release(live.get(kind_and_name(item))) for item in changes]
        actions += Executor(client, context.check_mode).run([action for action in releases if action])
    names = {item["metadata"]["name"] for item in changes if stores.is_store(item)}
    # What was read just now says it, unless something has been written since.
    ready = not actions and not state.not_ready([item for item in live.values() if stores.is_store(item)], names)
    if stage != "permissions" and params["wait"] and not ready:
        context.does_more = True
        if not context.check_mode:
            seconds = params["wait_timeout"]
            wait_while(client, lambda: _not_ready(client, layout, names, seconds), seconds)
    pending = bool(retired) or any(final[kind_and_name(item)] != item for item in prepared)
    return context.result(actions, api_version=version, pending=pending)


def _squatted(live: dict[tuple[str, str], Object], layout: stores.Layout) -> list[Object]:
    """ServiceAccounts of readers' names that were there before anything of the cluster's that only the platform
    writes. Whoever made one may hold a token of it; made anew, it has another uid, and such tokens end.

    One that a live store reads by stays.
    """
    if stores.is_established(live, layout):
        return []
    accounts = filter(None, (reading_account(item) for item in live.values() if stores.is_store(item)))
    in_use = {name for namespace, name in accounts if namespace in ("", layout.namespace)}
    return [
        item
        for (kind, name), item in live.items()
        if kind == "ServiceAccount"
        and (name == stores.READER or name.startswith(stores.READER + "-"))
        and name not in in_use
    ]


def _going(
    client: Client,
    layout: stores.Layout,
    live: dict[tuple[str, str], Object],
    chosen: dict[tuple[str, str], Object],
    kept: Collection[str] = (),
) -> removal.Going:
    """What of the ``chosen`` live objects is removed, and what others need.

    :arg kept: the entries that stay, whose ClusterExternalSecrets have moved to another store.
    """
    version = eso.served(client)[0]
    used = {}
    if version:
        users = snapshot.read_users(client, version)
        cluster_stores = [item for (kind, _name), item in live.items() if kind == "ClusterSecretStore"]
        names = removal.leaving(users.distributed, layout, kept) | set(kept)
        namespaces = client.list(NAMESPACES, partial=True)[0]
        used = removal.readers(layout.namespace, cluster_stores, users, names, namespaces)
    return removal.stores_going(chosen, layout, used)


def _settle(
    context: Context,
    layout: stores.Layout,
    executor: Executor,
    live: dict[tuple[str, str], Object],
    prepared: list[Object],
    final: dict[tuple[str, str], Object],
    retired: set[str],
) -> dict[str, Any]:
    """Remove what only those ExternalSecrets needed that have since moved to another store."""
    params, client = context.params, context.client
    chosen = {key: item for key, item in live.items() if stores.entry_of(item, layout) in retired}
    going = removal.Going([], [])
    if chosen:
        going = _going(client, layout, live, chosen, {entry.name for entry in context.entries})
    deletes = going.actions
    held = retired - {stores.entry_of(live[action.kind, action.name], layout) for action in deletes}
    if held:
        own = stores.own_entries(live.values(), layout)
        wanted = stores.final(layout, context.entries, own, params["prune"], held)
        final = {kind_and_name(item): item for item in wanted}
    shrinking = []
    for item in prepared:
        key = kind_and_name(item)
        if key in final and final[key] != item:
            # In check mode the earlier stages have written nothing, and this one must foresee what they would have.
            shrinking.append(plan_apply(final[key], assumed(live.get(key), item)))
    if (shrinking or deletes) and not context.check_mode:
        wait_while(
            client, lambda: _unmoved(client, layout, context.entries, params["wait_timeout"]), params["wait_timeout"]
        )
    shrinks = [action for action in shrinking if action]
    actions = executor.run(shrinks, *removal.in_turn(deletes, "ClusterSecretStore"))
    left = [one._asdict() for one in going.left]
    return context.result(actions, api_version=layout.api_version, pending=False, left=left)


def _unmoved(client: Client, layout: stores.Layout, entries: list[Entry], seconds: int) -> NotReady | None:
    externals, listed = client.each(
        lambda call: call(),
        (
            lambda: client.list(external_secrets(layout.api_version))[0],
            lambda: client.list(NAMESPACES, partial=True)[0],
        ),
    )
    found = stores.unmoved(layout, entries, externals, {item["metadata"]["name"]: item for item in listed})
    if not found:
        return None
    return NotReady(
        "after %d s, %d ExternalSecret(s) still read through another store than 'isolation: %s' gives them, such as "
        "%s. "
        "Apply the ClusterExternalSecrets first; ESO then moves them. Is its controller running? Nothing was removed."
        % (seconds, len(found), layout.isolation, "/".join(found[0]))
    )


def _not_ready(client: Client, layout: stores.Layout, names: set[str], seconds: int) -> NotReady | None:
    listed, _version = client.list(resource_of("%s/%s" % (ESO_GROUP, layout.api_version), "ClusterSecretStore"))
    problems = state.not_ready(listed, names)
    if not problems:
        return None
    name, said = problems[0]
    more = " %d more are not ready either." % (len(problems) - 1) if len(problems) > 1 else ""
    said = "ESO says: %s" % said if said else "ESO has said nothing about it; is its controller running?"
    return NotReady("the ClusterSecretStore '%s' was not ready after %d s. %s%s" % (name, seconds, said, more))
