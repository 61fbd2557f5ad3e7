# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ClusterSecretStores and what each may read, in the order that ESO and a change of isolation need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Collection, Iterator

from ..desired import consumers, stores
from ..desired.distribution import is_owned
from ..errors import EsoError, NotReady
from ..live import eso, snapshot, state
from ..module import (
    CATALOG_OPTION,
    CHAIN_OPTIONS,
    ESO_OBJECT_OPTIONS,
    layout_of,
    wait_while,
)
from ..plan.actions import assumed, plan_apply, plan_delete
from ..plan.ownership import plan_release, plan_takeover
from ..resources import ESO_GROUP, NAMESPACES, external_secrets, kind_and_name, reading_account, resource_of
from ..takeover import removal
from .steps import Plan, Result, Step, alone, waits

if TYPE_CHECKING:
    from ..api.client import Client
    from ..catalog.entries import Entry
    from ..module import Context
    from ..plan.actions import Action
    from ..resources import Object

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "consumers": {"type": "str", "choices": ["drop", "keep"], "default": "drop"},
    "server_url": {"type": "str", "default": "https://kubernetes.default.svc"},
    "create_namespace": {"type": "bool", "default": True},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 60},
    **CATALOG_OPTION,
    **CHAIN_OPTIONS,
    **ESO_OBJECT_OPTIONS,
}

#: Those of the part that removes what a change of isolation leaves over.
SETTLE_OPTIONS: dict[str, dict[str, Any]] = {**OPTIONS, "prune": {"type": "bool", "default": False}}


class _Setup:
    """The stores as they are and as they should be."""

    def __init__(self, context: Context, needs_eso: bool = True) -> None:
        params, client = context.params, context.client
        self.context = context
        try:
            self.version: str | None = context.eso_version(params["assume_installed"])
        except EsoError:
            if needs_eso:
                raise
            self.version = None
        self.layout = layout_of(params, self.version)
        absent = params["state"] == "absent"
        with client.remembering():
            self.live = snapshot.read_stores(client, self.layout, installed=self.version is not None)
            if params["consumers"] == "keep" and self.version and not absent:
                snapshot.keep_consumers(client, self.layout, context.entries, self.version, self.live)
        self.by_gitops = params["owner"] == "gitops" and not absent
        own = stores.own_entries(self.live.values(), self.layout)
        shared_store = self.live.get(("ClusterSecretStore", self.layout.store))
        self.squatted = [] if absent else _squatted(self.live, self.layout)
        prune = params.get("prune", False)
        #: What is there while ESO moves what reads through another store, and afterwards.
        self.prepared = stores.prepared(self.layout, context.entries, own, shared_store)
        self.final = {kind_and_name(item): item for item in stores.final(self.layout, context.entries, own, prune)}
        self.retired = stores.retired(self.layout, context.entries, own, prune)
        # As if it had ended.
        self.live = {key: item for key, item in self.live.items() if item not in self.squatted}

    def applied(self, chosen: Callable[[Object], bool], ends_squatters: bool) -> list[Step]:
        """The steps that apply those manifests that are chosen.

        :arg ends_squatters: whether what squats on readers' names is removed before, or was by an earlier part.
        """
        params, live = self.context.params, self.live
        changes = [item for item in self.prepared if chosen(item)]
        pairs = []
        for item in changes:
            there = live.get(kind_and_name(item))
            owned = there is not None and is_owned(there)
            pairs.append((item, *plan_takeover(self.joined(item, there), there, owned, self.again(item))))
        first: list[Action] = []
        # What is in the namespace shows that it is there: each has a ServiceAccount.
        of_namespace = any(item["metadata"].get("namespace") == self.layout.namespace for item in live.values())
        if ends_squatters and not of_namespace:
            first = self.context.missing_namespace(self.layout.namespace, params["create_namespace"])
        # Whoever is no cluster administrator may bind a role only when it is there, and ESO validates a store as soon
        # as it sees it.
        batches = [
            [applied for item, _a, applied in pairs if applied and stores.rank(item) == rank] for rank in range(3)
        ]
        ended = [plan_delete(item) for item in self.squatted] if ends_squatters else []
        adoptions = [adoption for _item, adoption, _applied in pairs if adoption]
        steps = [Step([first, ended, adoptions, *batches], params["force_conflicts"], self.by_gitops)]
        if self.by_gitops:
            releases = [plan_release(live.get(kind_and_name(item))) for item in changes]
            steps.append(Step([[action for action in releases if action]]))
        return steps

    def joined(self, item: Object, live: Object | None) -> Object:
        """A manifest as it is applied where ``live`` (None: absent) is: the binding of all readers has others' too."""
        # GitOps' files hold this catalog's only.
        if self.by_gitops or not stores.is_of_all_readers(item):
            return item
        return stores.joined(item, live, self.layout)

    def again(self, item: Object) -> Callable[[Object | None], Action | None] | None:
        """How a manifest is planned anew where another catalog may write at the same moment; None where none does."""
        if not stores.is_of_all_readers(item):
            return None
        return lambda live: plan_apply(self.joined(item, live), live, again=self.again(item))

    def ready(self, steps: list[Step]) -> Iterator[Step]:
        """The step that waits until ESO says that the stores are ready, if they have yet to be."""
        client, layout, seconds = self.context.client, self.layout, self.context.params["wait_timeout"]
        names = {item["metadata"]["name"] for item in self.prepared if stores.is_store(item)}
        live = [item for item in self.live.values() if stores.is_store(item)]
        # What was read just now says it, unless something is written.
        if self.context.params["wait"] and (Plan(steps).actions or state.not_ready(live, names)):
            yield waits(lambda: wait_while(client, lambda: _not_ready(client, layout, names, seconds), seconds))

    def result(self, steps: list[Step], **more: Any) -> Plan:
        """The plan of the steps, and what all parts of this say."""
        pending = bool(self.retired) or any(self.final[kind_and_name(item)] != item for item in self.prepared)
        kept = sorted(consumers.kept_beside(item for item in self.live.values() if stores.is_store(item)))
        return Plan(steps, {"api_version": self.version, "pending": pending, "kept": kept, **more})


def plan(context: Context) -> Plan:
    """What sets up, or removes, the stores and what they read by."""
    absent = context.params["state"] == "absent"
    setup = _Setup(context, needs_eso=not absent)
    if absent:
        going = _going(context.client, setup.layout, setup.live, setup.live)
        left = [left._asdict() for left in going.left]
        steps = [Step([going.actions], context.params["force_conflicts"])]
        return Plan(steps, {"api_version": setup.version, "left": left})
    steps = setup.applied(lambda _item: True, ends_squatters=True)
    return setup.result([*steps, *setup.ready(steps)])


def permissions(context: Context) -> Plan:
    """What sets up what the stores read by. It needs no ESO, and comes before an upgrade of it."""
    setup = _Setup(context, needs_eso=False)
    return setup.result(setup.applied(lambda item: not stores.is_store(item), ends_squatters=True))


def applied(context: Context) -> Plan:
    """What sets up the stores, after the permissions."""
    setup = _Setup(context)
    steps = setup.applied(stores.is_store, ends_squatters=False)
    return setup.result([*steps, *setup.ready(steps)])


run = alone(plan)


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
        if kind == "ServiceAccount" and stores.is_reader_name(name) and name not in in_use
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


def settled(context: Context) -> Plan:
    """What removes what only those ExternalSecrets needed that have since moved to another store."""
    params, client = context.params, context.client
    setup = _Setup(context)
    layout, live, final = setup.layout, setup.live, setup.final
    chosen = {key: item for key, item in live.items() if stores.entry_of(item, layout) in setup.retired}
    going = removal.Going([], [])
    if chosen:
        going = _going(client, layout, live, chosen, {entry.name for entry in context.entries})
    deletes = going.actions
    held = setup.retired - {stores.entry_of(live[action.kind, action.name], layout) for action in deletes}
    if held:
        own = stores.own_entries(live.values(), layout)
        wanted = stores.final(layout, context.entries, own, params["prune"], held)
        final = {kind_and_name(item): item for item in wanted}
    shrinking = []
    for item in setup.prepared:
        key = kind_and_name(item)
        if key in final and final[key] != item:
            # The earlier parts may have written nothing yet, and this one must foresee what they will have.
            there = assumed(live.get(key), setup.joined(item, live.get(key)))
            shrinking.append(plan_apply(setup.joined(final[key], there), there, again=setup.again(final[key])))
    shrinks = [action for action in shrinking if action]
    seconds = params["wait_timeout"]
    batches = [shrinks, *removal.in_turn(deletes, "ClusterSecretStore")]

    def until_moved(result: Result) -> list[Action]:
        wait_while(client, lambda: _unmoved(client, layout, context.entries, seconds), seconds)
        # That may have taken minutes, in which somebody may have begun to use what was to go.
        client.forget()
        now = settled(context)
        for batch in batches:
            batch[:] = removal.still(batch, now.actions)
        result["left"] = now.result["left"]
        return []

    steps = [Step(then=until_moved)] if shrinks or deletes else []
    steps.append(Step(batches, params["force_conflicts"], setup.by_gitops))
    left = [left._asdict() for left in going.left]
    return Plan(steps, {"api_version": setup.version, "pending": False, "left": left})


def _unmoved(client: Client, layout: stores.Layout, entries: list[Entry], seconds: int) -> NotReady | None:
    externals, listed = client.each(
        lambda call: call(),
        (
            lambda: client.list(external_secrets(layout.api_version))[0],
            lambda: client.list(NAMESPACES, partial=True)[0],
        ),
    )
    left = stores.unmoved(layout, entries, externals, {item["metadata"]["name"]: item for item in listed})
    if not left:
        return None
    return NotReady(
        "after %d s, %d ExternalSecret(s) still read through another store than 'isolation: %s' gives them, such as "
        "%s. "
        "Apply the ClusterExternalSecrets first; ESO then moves them. Is its controller running? Nothing was removed."
        % (seconds, len(left), layout.isolation, "/".join(left[0]))
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
