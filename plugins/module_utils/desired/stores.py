# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ClusterSecretStores over the central namespace, and who may read what through them. Pure.

With the isolation ``shared`` one store serves all entries: whoever may create an ExternalSecret in a
namespace that the store admits reads every source. With ``entry`` each entry has a store of its own,
whose ServiceAccount may get that entry's source only and which admits that entry's label only.

A running cluster goes from one isolation to the other in two steps: :func:`prepared` has what both
need, and once ESO has moved every ExternalSecret, :func:`final` has what is left.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Collection, Iterable, Mapping, Sequence

from ..catalog.entries import Entry
from ..resources import ESO_GROUP, RBAC, Object, key_of, reading_account
from . import consumers
from .consumers import Consumer
from .distribution import is_owned, metadata, selected

SHARED, ENTRY = "shared", "entry"
ISOLATIONS = (SHARED, ENTRY)

#: The ServiceAccount, Role and RoleBinding by which the shared store reads.
READER = "central-secret-store-reader"

#: The Role and RoleBinding by which ESO may ask for the readers' tokens.
TOKEN_ROLE = "central-secret-store-token-request"

#: On all objects of an entry's own store: the entry's name. A label's value would be too short for it.
ENTRY_ANNOTATION = "cluster-secrets/entry"

#: No Secret can have this name. ESO calls a store ready only when its reader may get some Secret.
NO_SECRET = "-"

#: No namespace matches: each carries this label.
_NOWHERE = {
    "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "DoesNotExist"}]}
}


@dataclass(eq=False)
class Layout:
    """Where the stores are and how they reach the API: what all functions here need.

    ``eso`` is (namespace, name) of ESO's ServiceAccount, ``kept`` are consumers that the shared store serves too, and
    ``noted`` the texts of those that the catalog serves anyway.
    """

    isolation: str
    store: str
    namespace: str
    server_url: str = ""
    eso: tuple[str, str] = ("", "")
    api_version: str = "v1"
    kept: list[Consumer] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)

    def store_of(self, entry_name: str) -> str:
        """The name of the store that an entry's ClusterExternalSecret reads through."""
        return self.store if self.isolation == SHARED else self.own_store(entry_name)

    def own_store(self, entry_name: str) -> str:
        """The name of an entry's own store."""
        return "%s-%s" % (self.store, entry_name)


def reader_name(entry_name: str | None = None) -> str:
    """The name of the ServiceAccount of the shared store, or of an entry's own."""
    return READER if entry_name is None else "%s-%s" % (READER, entry_name)


def is_reader_name(name: str) -> bool:
    """Whether :func:`reader_name` gives a ServiceAccount this name, for the shared store or any entry."""
    return name == READER or name.startswith(READER + "-")


def is_of_catalog(distributed: Object, layout: Layout) -> bool:
    """Whether a live ClusterExternalSecret of ours is of the catalog of this layout, and not of another's."""
    read = (layout.store, layout.own_store(distributed["metadata"]["name"]), None)
    return is_owned(distributed) and consumers.store_of(distributed) in read


def of_another_catalog(distributed: Object, layout: Layout, live: Iterable[Object]) -> str | None:
    """The store of ours, over another central namespace, that a live ClusterExternalSecret of ours reads through.

    None where it is this catalog's, also if the store had another name before.

    :arg live: the live ClusterSecretStores, or more.
    """
    if not is_owned(distributed) or is_of_catalog(distributed, layout):
        return None
    name = consumers.store_of(distributed)
    for item in live:
        if item["metadata"]["name"] == name and is_owned(item) and "provider" in (item.get("spec") or {}):
            provider = item["spec"]["provider"].get("kubernetes") or {}
            return name if provider.get("remoteNamespace") != layout.namespace else None
    return None


def is_established(live: dict[tuple[str, str], Object], layout: Layout) -> bool:
    """Whether a bootstrap has bound the readers of this central namespace before.

    The label of the collection, anyone may set; this, only who may bind cluster roles.

    :arg live: the live objects that are or may be the stores', by (kind, name).
    """
    subjects = live.get(("ClusterRoleBinding", READER), {}).get("subjects") or []
    return any(subject.get("namespace") == layout.namespace for subject in subjects)


def readers_of_others(binding: Object | None, layout: Layout) -> list[Object]:
    """The subjects, of the one live binding of all readers that a cluster has, that are another catalog's readers."""
    if binding is None or not is_owned(binding):
        return []
    return [
        _service_account(subject["name"], subject["namespace"])
        for subject in binding.get("subjects") or []
        if subject.get("kind") == "ServiceAccount"
        and subject.get("namespace") != layout.namespace
        and is_reader_name(subject["name"])
    ]


def joined(manifest: Object, live: Object | None, layout: Layout) -> Object:
    """The manifest of the binding of all readers with another catalog's, which the ``live`` one (None: absent) has."""
    subjects = [*manifest["subjects"], *readers_of_others(live, layout)]
    return {**manifest, "subjects": sorted(subjects, key=lambda item: (item["namespace"], item["name"]))}


def is_of_all_readers(manifest: Object) -> bool:
    """Whether a manifest is that of the binding which all catalogs of a cluster share."""
    return (manifest["kind"], manifest["metadata"]["name"]) == ("ClusterRoleBinding", READER)


def conditions(entries: Iterable[Entry]) -> list[Object]:
    """A store's conditions that admit the namespaces which ``entries`` select; without any, none is admitted.

    ESO takes an empty list of conditions for 'any namespace'.
    """
    selectors = {json.dumps(one, sort_keys=True): one for entry in entries for one in entry.admitting()}
    # Those by one label first, which most are, so that a longer selector moves none of them.
    ordered = sorted(
        selectors.values(),
        key=lambda one: ("matchExpressions" in one, sorted((one.get("matchLabels") or {}).items()), json.dumps(one)),
    )
    return [{"namespaceSelector": one} for one in ordered] or [_NOWHERE]


def desired(
    layout: Layout, entries: list[Entry], kept: Collection[str] = (), also: Collection[str] = ()
) -> list[Object]:
    """The objects for ``entries``, as manifests: permissions first, then the stores.

    :arg kept: with isolation by entry, the names of the entries that the shared store still serves.
    :arg also: the names of more entries whose own stores are still there and need their permissions.
    """
    shared = entries if layout.isolation == SHARED else [entry for entry in entries if entry.name in kept]
    own = entries if layout.isolation == ENTRY else []
    readers = [reader_name()] + [reader_name(name) for name in sorted({entry.name for entry in own}.union(also))]
    permissions, stores = _reader(layout, None, shared), [_store(layout, None, shared)]
    for entry in own:
        permissions += _reader(layout, entry.name, [entry])
        stores.append(_store(layout, entry.name, [entry]))
    # With this review ESO asks, when it validates a store, whether it may read there.
    review = {"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectrulesreviews"], "verbs": ["create"]}
    token = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": readers, "verbs": ["create"]}
    subjects = [_service_account(name, layout.namespace) for name in readers]
    permissions += [
        {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": metadata(READER), "rules": [review]},
        _binding("ClusterRoleBinding", metadata(READER), "ClusterRole", subjects),
        {"apiVersion": RBAC, "kind": "Role", "metadata": metadata(TOKEN_ROLE, layout.namespace), "rules": [token]},
        _binding(
            "RoleBinding",
            metadata(TOKEN_ROLE, layout.namespace),
            "Role",
            [_service_account(layout.eso[1], layout.eso[0])],
        ),
    ]
    return permissions + stores


def _metadata(entry_name: str | None, name: str, namespace: str | None = None) -> Object:
    return metadata(name, namespace, annotations=None if entry_name is None else {ENTRY_ANNOTATION: entry_name})


def _service_account(name: str, namespace: str) -> Object:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def _binding(kind: str, meta: Object, role_kind: str, subjects: list[Object]) -> Object:
    ref = {"apiGroup": RBAC.partition("/")[0], "kind": role_kind, "name": meta["name"]}
    return {"apiVersion": RBAC, "kind": kind, "metadata": meta, "roleRef": ref, "subjects": subjects}


def _reader(layout: Layout, entry_name: str | None, entries: list[Entry]) -> list[Object]:
    name, namespace = reader_name(entry_name), layout.namespace
    kept = layout.kept if entry_name is None else []
    sources = {source for entry in entries for source in entry.sources}
    if not sources and not any(one.reads is consumers.EVERYTHING or one.reads for one in kept):
        sources = {NO_SECRET}
    rules = consumers.rules(kept, sources)
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(entry_name, name, namespace)},
        {"apiVersion": RBAC, "kind": "Role", "metadata": _metadata(entry_name, name, namespace), "rules": rules},
        _binding("RoleBinding", _metadata(entry_name, name, namespace), "Role", [_service_account(name, namespace)]),
    ]


def _store(layout: Layout, entry_name: str | None, entries: list[Entry]) -> Object:
    namespace = layout.namespace
    provider: dict[str, Any] = {
        "remoteNamespace": namespace,
        "server": {
            "url": layout.server_url,
            "caProvider": {"type": "ConfigMap", "name": "kube-root-ca.crt", "key": "ca.crt", "namespace": namespace},
        },
        "auth": {"serviceAccount": {"name": reader_name(entry_name), "namespace": namespace}},
    }
    meta = _metadata(entry_name, layout.store if entry_name is None else layout.own_store(entry_name))
    admitted = conditions(entries)
    if entry_name is None and layout.kept:
        own = admitted if entries else []
        admitted = own + [one for one in consumers.conditions(layout.kept) if one not in own] or conditions([])
        meta["annotations"] = {consumers.KEPT_ANNOTATION: json.dumps([consumer.label() for consumer in layout.kept])}
    if entry_name is None and layout.noted:
        meta["annotations"] = {
            **meta.get("annotations", {}),
            consumers.NOTED_ANNOTATION: json.dumps(sorted(layout.noted)),
        }
    return {
        "apiVersion": "%s/%s" % (ESO_GROUP, layout.api_version),
        "kind": "ClusterSecretStore",
        "metadata": meta,
        "spec": {"provider": {"kubernetes": provider}, "conditions": admitted},
    }


def is_store(manifest: Object) -> bool:
    """Whether a manifest is a store, not a permission."""
    return manifest["kind"] == "ClusterSecretStore"


def rank(manifest: Object) -> int:
    """Which comes first: 0 for accounts and roles, 1 for their bindings, 2 for stores."""
    return 2 if is_store(manifest) else int(manifest["kind"].endswith("Binding"))


def entry_of(live: Object, layout: Layout) -> str | None:
    """The name of the entry whose own store a live object of ours belongs to, or None."""
    meta = live["metadata"]
    name = (meta.get("annotations") or {}).get(ENTRY_ANNOTATION)
    if name is None or not is_owned(live) or meta["name"] not in (reader_name(name), layout.own_store(name)):
        return None
    return name


def own_entries(live: Iterable[Object], layout: Layout) -> set[str]:
    """The names of the entries that have stores of their own, of live objects."""
    return {name for name in (entry_of(item, layout) for item in live) if name is not None}


def others_over(layout: Layout, live: Mapping[tuple[str, str], Object]) -> dict[str, str]:
    """The live ClusterSecretStores of ours by other names over the central namespace, each with the reader it reads by.

    :arg live: as live.snapshot.read_stores() returns it.
    """
    others = {}
    for (kind, name), item in live.items():
        account = reading_account(item) if kind == "ClusterSecretStore" and is_owned(item) else None
        own = name == layout.store or entry_of(item, layout) is not None
        if account and not own and is_reader_name(account[1]) and account[0] in ("", layout.namespace):
            provider = item["spec"]["provider"]["kubernetes"]
            if provider.get("remoteNamespace") == layout.namespace:
                others[name] = account[1]
    return others


def served(live: Object | None, entries: list[Entry], kept_for: Sequence[Consumer] = ()) -> set[str]:
    """The names of the entries that the live shared store (None: absent) admits now.

    :arg kept_for: consumers whose conditions are theirs, and no entry's.
    """
    if live is None:
        return set()
    theirs = consumers.conditions(list(kept_for))
    admitted = list((live.get("spec") or {}).get("conditions") or [])
    if admitted and all(one in theirs for one in admitted):
        return set()
    selectors = [one.get("namespaceSelector") or {} for one in admitted if one not in theirs]
    return {entry.name for entry in entries if not selectors or any(one in selectors for one in entry.admitting())}


def retired(layout: Layout, entries: list[Entry], own: Collection[str], prune: bool) -> set[str]:
    """The names of the entries whose own stores are no longer needed.

    :arg own: the names of the entries that have one.
    :arg prune: whether those of entries that left the catalog count too.
    """
    enabled = {entry.name for entry in entries}
    return {name for name in own if (layout.isolation == SHARED if name in enabled else prune)}


def prepared(layout: Layout, entries: list[Entry], own: Collection[str], shared_store: Object | None) -> list[Object]:
    """:func:`desired`, and all that serves the ExternalSecrets which ESO has yet to move.

    :arg own: the names of the entries that have a store of their own; :arg shared_store: live, or None.
    """
    return desired(layout, entries, served(shared_store, entries, layout.kept), own)


def final(
    layout: Layout, entries: list[Entry], own: Collection[str], prune: bool, held: Collection[str] = ()
) -> list[Object]:
    """:func:`desired`, and what entries need that left the catalog and are not pruned.

    :arg held: entries whose own store stays for others, and works on.
    """
    return desired(layout, entries, (), (set(own) - retired(layout, entries, own, prune)) | set(held))


def losses(
    consumer: Consumer,
    live: dict[tuple[str, str], Object],
    after: list[Object],
    name: str,
    namespaces: dict[str, Object],
) -> list[str]:
    """What a consumer of the shared store ``name`` can do now and could not once ``after`` is applied, as texts.

    :arg live: the live objects of the stores by (kind, name); :arg namespaces: the live namespaces by name.
    """
    store = live.get(("ClusterSecretStore", name))
    admitted = _admitted(consumer, store, namespaces)
    if store is None or not admitted:
        return []
    wanted = {(item["kind"], item["metadata"]["name"]): item for item in after}
    new_role = wanted["Role", READER]
    still = set(_admitted(consumer, wanted["ClusterSecretStore", name], namespaces))
    shut = [one for one in admitted if one not in still]
    lost = ["the store would no longer admit namespace %s" % ", ".join(shut)] if shut else []
    allowed = consumers.allowed(new_role, ("get",)) or set()
    if consumer.reads is consumers.EVERYTHING:
        lost.append("the store could no longer search the master Secrets")
    elif consumer.reads and consumer.reads - allowed:
        lost.append("the store could no longer read %s" % ", ".join(sorted(consumer.reads - allowed)))
    if consumer.writes is consumers.EVERYTHING or consumer.writes:
        lost.append("the store could no longer write")
    return lost


def _admitted(consumer: Consumer, store: Object | None, namespaces: dict[str, Object]) -> list[str]:
    conditions_now = ((store or {}).get("spec") or {}).get("conditions") or []
    admitted = []
    for name in consumer.namespaces(namespaces):
        meta = namespaces[name]["metadata"]
        if "deletionTimestamp" not in meta and consumers.admits(conditions_now, name, meta.get("labels") or {}):
            admitted.append(name)
    return admitted


def concerned(
    layout: Layout,
    entries: list[Entry],
    users: list[Consumer],
    live: dict[tuple[str, str], Object],
    limits: consumers.Limits,
    namespaces: dict[str, Object],
    existing: Collection[str] = (),
) -> list[tuple[Consumer, list[str]]]:
    """The consumers that are served now and would lose something by what the catalog alone calls for, each with what.

    :arg layout: one that keeps nobody yet; :arg users: all consumers; :arg limits: what the live store's identity may
        do; each consumer is bounded by it, so that none is given more than it has.
    :arg existing: the names of the live master Secrets, which count for a store that the collection did not make.
    """
    after = final(layout, entries, own_entries(live.values(), layout), False)
    result = []
    for one in users:
        now = _served(one, live.get(("ClusterSecretStore", layout.store)), limits, existing)
        if consumers.does_something(now):
            lost = losses(now, live, after, layout.store, namespaces)
            if lost:
                result.append((now, lost))
    return result


def _served(consumer: Consumer, store: Object | None, limits: consumers.Limits, existing: Collection[str]) -> Consumer:
    """The consumer with no more than it has by a live store, whatever its own status says."""
    now = consumers.bounded(consumer, limits)
    # A source that is away for a moment is not lost to those that a store of ours serves.
    return now if store is None or is_owned(store) else consumers.of_existing(now, existing)


def undecided(consumer: Consumer, store: Object, namespaces: dict[str, Object]) -> list[tuple[str, str]]:
    """(namespace, pattern) where it depends on a pattern that only Go can read whether a live store admits a consumer's
    namespace."""
    conditions_now = (store.get("spec") or {}).get("conditions") or []
    return [
        (name, pattern)
        for name in consumer.namespaces(namespaces)
        for pattern in consumers.undecided(conditions_now, name, namespaces[name]["metadata"].get("labels") or {})
    ]


def kept(
    layout: Layout,
    entries: list[Entry],
    users: list[Consumer],
    live: dict[tuple[str, str], Object],
    limits: consumers.Limits,
    namespaces: dict[str, Object],
    existing: Collection[str] = (),
) -> list[Consumer]:
    """The consumers that the shared store goes on serving.

    Those that a store serves which the collection did not make. Later only those count, and with no more than they
    could do then, or a tenant could widen the store by what its namespace holds.
    """
    store = live.get(("ClusterSecretStore", layout.store))
    if store is None:
        return []
    losing = [one for one, _lost in concerned(layout, entries, users, live, limits, namespaces, existing)]
    if not is_owned(store):
        return losing
    names, noted_then = consumers.kept_names(store), consumers.noted_names(store)
    kept_on = [consumers.bounded(one, limits) for one in users if one.label() in names]
    # The catalog may have become narrower since.
    return kept_on + [
        consumer for consumer in losing if consumer.label() in noted_then and consumer.label() not in names
    ]


def noted(
    layout: Layout,
    users: list[Consumer],
    live: dict[tuple[str, str], Object],
    limits: consumers.Limits,
    namespaces: dict[str, Object],
    existing: Collection[str] = (),
) -> list[str]:
    """The texts of the consumers that were there before the collection and that the catalog serves anyway.

    They are nobody's to complain of, and are kept once the catalog no longer serves them.

    :arg layout: one whose ``kept`` is known.
    """
    store = live.get(("ClusterSecretStore", layout.store))
    if store is None:
        return []
    known = {consumer.label() for consumer in layout.kept}
    if is_owned(store):
        labels = {one.label() for one in users}
        return [one for one in consumers.noted_names(store) if one in labels and one not in known]
    return [
        one.label()
        for one in users
        if one.label() not in known
        and consumers.does_something(_served(one, store, limits, existing))
        and _admitted(one, store, namespaces)
    ]


def unmoved(
    layout: Layout, entries: list[Entry], externals: list[Object], namespaces: dict[str, Object]
) -> list[tuple[str, str]]:
    """(namespace, name) of the live ExternalSecrets of ``entries`` that read through another store than they should.

    Only those count that ESO maintains; otherwise a tenant's ExternalSecret could pass for one of them.

    :arg namespaces: the live namespaces by name.
    """
    by_name = {entry.external_secret: entry for entry in entries}
    left = []
    for item in externals:
        namespace, name = key_of(item)
        entry = by_name.get(name)
        if entry is None or "deletionTimestamp" in item["metadata"] or consumers.maker(item) != entry.name:
            continue
        if not selected(namespaces.get(namespace), entry):
            continue
        if ((item.get("spec") or {}).get("secretStoreRef") or {}).get("name") != layout.store_of(entry.name):
            left.append((namespace, name))
    return left
