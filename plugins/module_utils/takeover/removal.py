# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the live objects may go: what the collection made or took over, and nobody else uses. Pure.

Everything else of the same name, label or kind stays and is named, with the command for whoever wants it gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Collection, Iterable, Iterator, NamedTuple

from ..catalog.entries import LABEL_PREFIX, NAME_LABEL
from ..desired import consumers, stores
from ..desired.distribution import FINALIZER_PREFIX, MANAGER, fields_of, finalizer, held_for, is_owned, may_hold
from ..plan.actions import Action, plan_apply, plan_delete
from ..plan.namespaces import plan_unlabel
from ..resources import Object, key_of, kind_and_name, label_of
from .preflight import controllers, copiers, makers, tools, writers

if TYPE_CHECKING:
    from ..catalog.entries import Entry
    from ..live.snapshot import Users


class Left(NamedTuple):
    """Something that stays: the object, why, and the command that would remove it."""

    object: str
    reason: str
    command: str

    def text(self) -> str:
        """The same as a sentence."""
        return "%s stays: %s. To remove it: %s" % (self.object, self.reason, self.command)


class Going(NamedTuple):
    """The deletions, and what stays."""

    actions: list[Action]
    left: list[Left]


def in_turn(actions: list[Action], first: str) -> list[list[Action]]:
    """Two batches: those of the kinds that end in ``first``, and the rest, which they need."""
    before = [action for action in actions if action.kind.endswith(first)]
    return [before, [action for action in actions if action not in before]]


def still(actions: list[Action], later: Iterable[Action]) -> list[Action]:
    """Those of the actions that a later plan has, too, as the first one read them."""
    kept = {(action.kind, action.namespace, action.name) for action in later}
    return [action for action in actions if (action.kind, action.namespace, action.name) in kept]


def _deletion(kind: str, item: Object) -> str:
    meta = item["metadata"]
    place = " --namespace %s" % meta["namespace"] if meta.get("namespace") else ""
    return "kubectl delete %s %s%s" % (kind.lower(), meta["name"], place)


def ending(kind: str, item: Object) -> Left:
    """A live object that should be gone by itself, and is not."""
    held = ", ".join(item["metadata"].get("finalizers") or [])
    reason = "it has not been removed yet"
    if held:
        reason = "it is held by the finalizer %s" % held
    elif kind == "Secret" and not item["metadata"].get("ownerReferences"):
        reason = "nothing owns it any more, so nothing removes it"
    return Left(label_of(kind, item), reason, _deletion(kind, item))


def _kept_by(kind: str, item: Object) -> str | None:
    """Why a live object isn't the collection's to remove, or None."""
    if not is_owned(item):
        return "it was made by %s" % makers(item)
    copying = copiers(item) if kind == "Secret" else []
    if copying:
        return "%s copies it to other namespaces" % " and ".join(copying)
    keepers = writers(item) if kind == "Secret" else tools(item) + controllers(item)
    return "%s keeps it" % " and ".join(keepers) if keepers else None


def _sorted_out(kind: str, items: Iterable[Object], used: Collection[tuple[str, str]] = ()) -> Going:
    """The deletions of the live objects of a kind that are ours and not ``used`` (pairs of name and by whom)."""
    users: dict[str, list[str]] = {}
    for name, user in used:
        users.setdefault(name, []).append(user)
    going = Going([], [])
    for item in items:
        name = item["metadata"]["name"]
        reason = _kept_by(kind, item)
        if reason is None and name in users:
            reason = "%s need it" % ", ".join(sorted(set(users[name])))
        if reason is None:
            going.actions.append(plan_delete({**item, "kind": kind}))
        else:
            going.left.append(Left(label_of(kind, item), reason, _deletion(kind, item)))
    return going


# -- ClusterExternalSecrets -----------------------------------------------------------------------


def leaving(distributed: Iterable[Object], layout: stores.Layout, kept: Collection[str]) -> set[str]:
    """The names of the live ClusterExternalSecrets that :func:`entries_going` lets go."""
    return {
        item["metadata"]["name"]
        for item in distributed
        if item["metadata"]["name"] not in kept
        and stores.is_of_catalog(item, layout)
        and _kept_by("ClusterExternalSecret", item) is None
    }


def entries_going(
    distributed: list[Object], layout: stores.Layout, kept: Collection[str], names: Collection[str]
) -> Going:
    """The ClusterExternalSecrets of the layout's catalog that go, all but ``kept``.

    :arg distributed: all live ones, with their API version; :arg names: those of the catalog's entries, of which one
        that stays is named. Of others, those that are another catalog's are named.
    """
    ours, others = [], []
    for item in distributed:
        name = item["metadata"]["name"]
        if name in kept:
            continue
        if is_owned(item) and not stores.is_of_catalog(item, layout):
            reason = "it is of another catalog, which reads through ClusterSecretStore %s" % consumers.store_of(item)
            others.append(
                Left(label_of("ClusterExternalSecret", item), reason, _deletion("ClusterExternalSecret", item))
            )
        elif is_owned(item) or name in names:
            ours.append(item)
    going = _sorted_out("ClusterExternalSecret", ours)
    return Going(going.actions, going.left + others)


# -- labels and finalizers ------------------------------------------------------------------------


def labels_set_by_us(namespace: Object) -> set[str]:
    """The keys of the labels of a live namespace that the collection was the last to set."""
    return {
        key
        for record in namespace["metadata"].get("managedFields") or []
        if record.get("manager") == MANAGER
        for key in fields_of(record, "metadata", "labels")
    }


def _written_by_us(namespace: Object) -> bool:
    return is_owned(namespace) or any(
        record.get("manager") == MANAGER for record in namespace["metadata"].get("managedFields") or []
    )


def labels_of(distributed: Iterable[Object]) -> set[tuple[str, str]]:
    """The labels, as (key, value), by which live ClusterExternalSecrets select."""
    return {
        pair
        for item in distributed
        for condition in consumers.selection(item.get("spec") or {})
        for pair in ((condition.get("namespaceSelector") or {}).get("matchLabels") or {}).items()
        if pair[0] != NAME_LABEL  # the API server's own
    }


def surplus_labels(
    namespace: Object, entries: list[Entry], wanted: Collection[str], used: dict[str, str]
) -> tuple[set[str], list[Left]]:
    """The keys of labels that a live namespace carries and should not, with what stays.

    Those of the catalog's entries, and others under the prefix that the collection set.

    :arg wanted: the keys that it should carry; :arg used: as consumers.selecting() returns it, of
        objects that stay.
    """
    name = namespace["metadata"]["name"]
    labels = namespace["metadata"].get("labels") or {}
    own = labels_set_by_us(namespace)
    known = {entry.label[0] for entry in entries if entry.label}
    used = {
        **{key: "entry '%s'" % entry.name for entry in entries for key in entry.label_keys() if key not in known},
        **used,
    }
    gone, left = set(), []
    for key in sorted(labels):
        if key in wanted or not key.startswith(LABEL_PREFIX):
            continue
        # Not by the label that it gives, but by a selector.
        by_selector = [entry for entry in entries if entry.label is None or entry.label[0] != key]
        for entry in served_by(key, by_selector, name, labels):
            used.setdefault(key, "entry '%s'" % entry.name)
        if key in used:
            left.append(_label_left(name, key, "%s selects by it" % used[key]))
        elif key in known or key in own:
            gone.add(key)
        else:
            left.append(_label_left(name, key, "no entry has it, and it was set by somebody else"))
    return gone, left


def served_by(key: str, entries: Iterable[Entry], namespace: str, labels: dict[str, str]) -> list[Entry]:
    """The entries that select a namespace with these labels otherwise than without the one of this ``key``."""
    without = {name: value for name, value in labels.items() if name != key}
    return [entry for entry in entries if entry.selects(namespace, labels) and not entry.selects(namespace, without)]


def _label_left(namespace: str, key: str, reason: str) -> Left:
    return Left(
        "label %s of Namespace %s" % (key, namespace), reason, "kubectl label namespace %s %s-" % (namespace, key)
    )


def namespaces_going(
    namespaces: Iterable[Object],
    entries: list[Entry],
    removed: list[Object],
    staying: Collection[str],
    used: dict[str, str],
) -> Going:
    """The patches that take the catalog's labels from all live namespaces, and ESO's finalizers for its entries.

    :arg removed: the ClusterExternalSecrets that go; :arg staying: the names of those that don't; :arg used: as
        :func:`consumers.selecting` returns it, of objects that stay.
    """
    pairs = {entry.label for entry in entries if entry.label} | labels_of(removed)
    ours = {entry.name for entry in entries} | {item["metadata"]["name"] for item in removed}
    of_removed = labels_of(removed)
    going = Going([], [])
    for item in namespaces:
        name = item["metadata"]["name"]
        own = labels_set_by_us(item)
        keys = set()
        for key, value in sorted((item["metadata"].get("labels") or {}).items()):
            mine = (key, value) in pairs or (key in own and key.startswith(LABEL_PREFIX))
            if not mine and not key.startswith(LABEL_PREFIX):
                continue
            if key in used:
                going.left.append(_label_left(name, key, "%s selects by it" % used[key]))
            elif mine and (key in own or (key.startswith(LABEL_PREFIX) and (key, value) in of_removed)):
                keys.add(key)
            else:
                going.left.append(_label_left(name, key, "it was set by somebody else"))
        held = []
        for one in held_for(item):
            if any(may_hold(one, each) for each in staying):
                continue
            if one in ours or _written_by_us(item):
                held.append(finalizer(one))
            else:
                command = (
                    "ansible-playbook platform.cluster_secrets.offboard "
                    "-e cluster_secrets_namespace=%s -e cluster_secrets_secret=%s" % (name, one)
                )
                what = "finalizer %s%s of Namespace %s" % (FINALIZER_PREFIX, one, name)
                going.left.append(Left(what, "its ClusterExternalSecret was not this catalog's", command))
        action = plan_unlabel(item, keys, held)
        if action:
            going.actions.append(action)
    return going


# -- stores and master Secrets ---------------------------------------------------------------------


def readers(
    namespace: str,
    cluster_stores: Iterable[Object],
    users: Users,
    names: Collection[str],
    namespaces: Iterable[Object],
) -> dict[str, list[consumers.Consumer]]:
    """Who uses the live ClusterSecretStores over the central ``namespace``, by store.

    What only names a store that refuses its namespace is none: any tenant can write that.

    :arg names: the ClusterExternalSecrets that don't count; all others do, whoever made them.
    :arg namespaces: all live ones.
    """
    labels = {item["metadata"]["name"]: item["metadata"].get("labels") or {} for item in namespaces}
    by_store: dict[str, list[consumers.Consumer]] = {}
    for item in cluster_stores:
        provider = ((item.get("spec") or {}).get("provider") or {}).get("kubernetes") or {}
        if (provider.get("remoteNamespace") or "default") == namespace:
            name = item["metadata"]["name"]
            conditions = (item.get("spec") or {}).get("conditions") or []
            using = [
                consumer
                for consumer in users.consumers(name, names, ours_too=True)
                if not consumers.is_refused(consumer, conditions, labels)
            ]
            if using:
                by_store[name] = using
    return by_store


def stores_going(
    live: dict[tuple[str, str], Object], layout: stores.Layout, used: dict[str, list[consumers.Consumer]]
) -> Going:
    """The stores of a layout and their permissions that go.

    :arg live: as live.snapshot.read_stores() returns it; :arg used: as :func:`readers` returns it.
    """
    shared = {(one["kind"], one["metadata"]["name"]) for one in stores.desired(layout, [])}
    going = Going([], [])
    others = stores.readers_of_others(live.get(("ClusterRoleBinding", stores.READER)), layout)
    # Readers are named by the namespace, which stores of another catalog may read, too.
    reading = [(reader, "ClusterSecretStore %s" % name) for name, reader in stores.others_over(layout, live).items()]
    for key, item in live.items():
        if others and key[0].startswith("Cluster") and not stores.is_store(item):
            continue
        entry = stores.entry_of(item, layout)
        if key not in shared and entry is None:
            continue
        store = layout.store if key in shared else layout.own_store(entry or "")
        wide = key in shared and key[1] in (stores.READER, stores.TOKEN_ROLE)
        users = [item.label() for name, using in used.items() if name == store or wide for item in using]
        needed = [] if stores.is_store(item) else reading
        part = _sorted_out(key[0], [item], [*((key[1], user) for user in users), *needed])
        going.actions.extend(part.actions)
        going.left.extend(part.left)
    if others and not going.left:
        # Of the one binding that all catalogs have, this one's readers go: with them, it would seem to be set up.
        (binding,) = filter(stores.is_of_all_readers, stores.desired(layout, []))
        action = plan_apply({**binding, "subjects": others}, live[kind_and_name(binding)])
        going.actions.extend([action] if action else [])
    return going


def masters_going(
    central: Iterable[Object],
    kept: Collection[str],
    names: Collection[str],
    used: dict[str, list[consumers.Consumer]],
    written: dict[str, str],
    named: Iterable[tuple[str | None, str]] = (),
) -> Going:
    """The master Secrets that go, all of ours but ``kept``.

    :arg central: the live Secrets of the central namespace; :arg names: the catalog's sources, of which one that stays
        is named; :arg used: as :func:`readers` and consumers.through_own_stores() return it, merged; :arg written: as
        catalog.values.written_by_others() returns it; :arg named: as :func:`taking` returns it.
    """
    items = [item for item in central if item["metadata"]["name"] not in kept]
    every = {item["metadata"]["name"] for item in items}
    needed = [
        (name, item.label())
        for store, using in used.items()
        for item in using
        for part in (item.reads, item.writes if consumers.pushes_to(item, store) else ())
        for name in (every if part is consumers.EVERYTHING else part or ())
    ]
    needed += [(name, "those for whom %s writes it" % who) for name, who in written.items()]
    needed += [(each, label) for name, label in named for each in (every if name is None else (name,))]
    return _sorted_out(
        "Secret",
        [{**item, "apiVersion": "v1"} for item in items if is_owned(item) or item["metadata"]["name"] in names],
        needed,
    )


def taking(
    namespace: str, pushes: Iterable[Object], cluster_stores: Iterable[Object], secret_stores: Iterable[Object]
) -> list[tuple[str | None, str]]:
    """What takes Secrets of the central ``namespace`` otherwise than by reading through a store: pairs of the name of
    a Secret (None: any) and the label of the live PushSecret that pushes it, or of the store that authenticates by it.
    """
    taken: list[tuple[str | None, str]] = []
    for push in pushes:
        if key_of(push)[0] == namespace:
            secret = ((push.get("spec") or {}).get("selector") or {}).get("secret") or {}
            if secret:
                taken.append((secret.get("name"), label_of("PushSecret", push)))
    for kind, items in (("ClusterSecretStore", cluster_stores), ("SecretStore", secret_stores)):
        for store in items:
            place = store["metadata"].get("namespace")
            provider = (store.get("spec") or {}).get("provider") or {}
            taken += [(name, label_of(kind, store)) for name in _credentials(provider, place, namespace)]
    return taken


def _credentials(value: Any, place: str | None, namespace: str) -> Iterator[str]:
    """The names of the Secrets of a namespace that a provider's settings refer to.

    :arg place: the store's own namespace, which is meant where none is said.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            refers = isinstance(item, dict) and isinstance(item.get("name"), str)
            refers = refers and ("key" in item or key.endswith("ecretRef")) and item.get("type") != "ConfigMap"
            if refers and (item.get("namespace") or place) == namespace:
                yield item["name"]
            yield from _credentials(item, place, namespace)
    elif isinstance(value, list):
        for item in value:
            yield from _credentials(item, place, namespace)


def unbacked(going: Going, reason: str) -> Going:
    """The same with nothing that goes, for the ``reason``."""
    left = [
        Left(action.label(), reason, "kubectl delete secret %s --namespace %s" % (action.name, action.namespace))
        for action in going.actions
    ]
    return Going([], going.left + left)


def policies_going(live: Iterable[tuple[str, Object]]) -> Going:
    """The admission policies and bindings, as (kind, live object), that go."""
    going = Going([], [])
    for kind, item in live:
        part = _sorted_out(kind, [item])
        going.actions.extend(part.actions)
        going.left.extend(part.left)
    return going
