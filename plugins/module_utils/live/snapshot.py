# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there, read in a few lists: enough to judge the targets, or for a whole audit."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Collection

from .. import permissions
from ..advisories import OURS, Lists
from ..desired import consumers, stores
from ..desired.distribution import ESO_MANAGED, ESO_MANAGED_LABEL, TARGETS, is_owned
from ..errors import Denied, NotReady
from ..resources import (
    ADMISSION,
    CRDS,
    ESO_GROUP,
    NAMESPACES,
    POLICIES,
    POLICY_BINDINGS,
    RBAC,
    SECRETS,
    WORKLOADS,
    Object,
    Resource,
    cluster_external_secrets,
    decode,
    external_secrets,
    key_of,
    kind_and_name,
    ready_condition,
    resource_of,
    unattributed,
    unquoted,
    writers,
)
from . import eso, state

if TYPE_CHECKING:
    import datetime

    from ..api.client import Client
    from ..catalog.entries import Entry


def identity(client: Client) -> tuple[str, str]:
    """What names a cluster: the uid of its namespace kube-system, which no proxy changes, and the URL of its API.

    :raises NotReady: when there is no such namespace.
    """
    live = client.get(NAMESPACES.path("kube-system"), "cannot look up which cluster this is (namespace kube-system)")
    if live is None:
        raise NotReady("there is no namespace kube-system, by whose uid a backup names its cluster.")
    return live["metadata"]["uid"], client.server


def definitions(client: Client) -> list[Object]:
    """ESO's live CustomResourceDefinitions."""
    # Schemas are large and other groups' are many, so the metadata says which to get.
    metadata, _version = client.list(CRDS, partial=True)
    names = [item["metadata"]["name"] for item in metadata if item["metadata"]["name"].endswith("." + ESO_GROUP)]
    return [item for item in client.each(lambda name: client.get(CRDS.path(name)), names) if item]


class Snapshot:
    """What was read: live ``namespaces`` by name, ``secrets`` and ``externals`` by (namespace, name).

    ``secrets`` holds the Secrets that ESO manages (``values_read`` says whether they were read), ``sources`` the
    catalog's sources, ``{name: {key: bytes}}`` (None: not read), ``changed`` when a value of each last changed,
    ``rotated`` when it was the collection that changed it last, ``version`` is the resourceVersion of the list of
    ``secrets`` and ``selector`` the labels by which those are followed.
    """

    def __init__(
        self,
        namespaces: list[Object],
        secrets: list[Object] | None,
        version: str | None,
        externals: list[Object],
        sources: dict[str, dict[str, bytes]] | None,
        changed: dict[str, datetime.datetime] | None = None,
        rotated: dict[str, datetime.datetime] | None = None,
    ) -> None:
        self.namespaces = {item["metadata"]["name"]: item for item in namespaces}
        self.values_read = secrets is not None
        self.secrets = {key_of(item): item for item in secrets or ()}
        self.version = version
        self.externals = {key_of(item): item for item in externals}
        self.sources = sources
        self.changed = changed or {}
        self.rotated = rotated or {}
        self.selector = TARGETS


def read(
    client: Client,
    entries: list[Entry],
    eso_version: str,
    store_namespace: str,
    read_sources: bool = True,
    read_externals: bool = True,
    read_values: bool = True,
) -> Snapshot:
    """Read all that state.judge() needs, each list concurrently with the others; ExternalSecrets only add what ESO
    says.

    :arg read_values: without, no Secret is asked for, and what ESO says is all there is.
    """
    nothing = (None, None)
    calls: list[Callable[[], Any]] = [
        lambda: client.list(NAMESPACES, partial=True),
        lambda: client.list(SECRETS, selector=TARGETS) if read_values else nothing,
        lambda: read_all_externals(client, eso_version) if read_externals or not read_values else [],
        lambda: client.list(SECRETS, namespace=store_namespace) if read_sources and read_values else nothing,
    ]
    (namespaces, _v), (secrets, version), externals, (central, _v) = client.each(lambda call: call(), calls)
    if central is None:
        taken = Snapshot(namespaces, secrets, version, externals, None)
        return taken if secrets is None else _with_unlabelled(client, entries, taken)
    wanted = {source for entry in entries for source in entry.sources}
    masters = {item["metadata"]["name"]: item for item in central if item["metadata"]["name"] in wanted}
    sources = {name: decode(item) for name, item in masters.items()}
    changed = {name: state.value_changed(item) for name, item in masters.items()}
    by_us = {name: state.rotated_at(item) for name, item in masters.items()}
    rotated = {name: when for name, when in by_us.items() if when is not None}
    taken = Snapshot(namespaces, secrets, version, externals, sources, changed, rotated)
    return _with_unlabelled(client, entries, taken)


def read_all_externals(client: Client, eso_version: str) -> list[Object]:
    """The ExternalSecrets of all namespaces, without who wrote which field."""
    return client.list(external_secrets(eso_version), missing_ok=True, keep=unattributed)[0]


#: Up to how many targets are asked for one by one.
_SINGLE = 20


def _with_unlabelled(client: Client, entries: list[Entry], taken: Snapshot) -> Snapshot:
    """The same with the targets that lack the catalog's label: those of a ClusterExternalSecret that was made by hand.

    Others that lack it are of no interest, however many and large they are.
    """
    targets = {entry.external_secret: entry.target for entry in entries}
    places = {(place, targets[name]) for place, name in taken.externals if name in targets}
    lacking = sorted(places - set(taken.secrets))
    if len(lacking) > _SINGLE:
        listed: list[Object | None] = list(client.list(SECRETS, selector=ESO_MANAGED)[0])
    else:
        listed = client.each(lambda one: client.get(SECRETS.path(one[1], one[0])), lacking)
    for item in listed:
        if item is None or key_of(item) not in places or key_of(item) in taken.secrets:
            continue
        if (item["metadata"].get("labels") or {}).get(ESO_MANAGED_LABEL) == "true":
            taken.secrets[key_of(item)] = item
            taken.selector = ESO_MANAGED
    return taken


def master_values(client: Client, namespace: str) -> list[bytes] | None:
    """The values of all Secrets of the central namespace, to mask what quotes them; None where they may not be read."""
    try:
        masters, _version = client.list(SECRETS, namespace=namespace)
    except Denied:
        return None
    return [value for item in masters for value in decode(item).values()]


def said_of(client: Client, namespace: str, external: Object, read_values: bool = True) -> str:
    """What ESO says of a live ExternalSecret that is not ready, without values of the central namespace's Secrets.

    Where those may not be read, the reason alone, which is a word.
    """
    condition = ready_condition(external) or {}
    said = state.said_by(external)
    values = (master_values(client, namespace) if read_values else None) if said else []
    return str(condition.get("reason") or "") if values is None else unquoted(said, values, key_of(external))


def read_stores(client: Client, layout: stores.Layout, installed: bool) -> dict[tuple[str, str], Object]:
    """The live objects that are or may be the stores' of a layout, by (kind, name).

    How many there are doesn't make more requests.

    :arg installed: whether ESO's API is served.
    """
    namespace = layout.namespace
    lists: list[tuple[str, str, str | None]] = [
        ("v1", "ServiceAccount", namespace),
        (RBAC, "Role", namespace),
        (RBAC, "RoleBinding", namespace),
    ]
    if installed:
        lists.append(("%s/%s" % (ESO_GROUP, layout.api_version), "ClusterSecretStore", None))

    def listed(api: str, kind: str, namespace: str | None) -> list[Object]:
        # All that a plan of a ServiceAccount needs is its metadata.
        items, _version = client.list(
            resource_of(api, kind), namespace=namespace, partial=kind == "ServiceAccount", missing_ok=True
        )
        return [{**item, "apiVersion": api, "kind": kind} for item in items]

    def got(kind: str) -> list[Object]:
        live = client.get(resource_of(RBAC, kind).path(stores.READER))
        return [live] if live else []

    calls = [functools.partial(listed, *one) for one in lists] + [
        functools.partial(got, kind) for kind in ("ClusterRole", "ClusterRoleBinding")
    ]
    return {kind_and_name(item): item for items in client.each(lambda call: call(), calls) for item in items}


def read_place(client: Client, namespace: str) -> tuple[list[Object], list[Object]]:
    """The live RoleBindings of a namespace, and the metadata of all that runs pods there, each with its kind."""

    def listed(api: str, kind: str) -> list[Object]:
        partial = kind != "RoleBinding"
        items, _version = client.list(resource_of(api, kind), namespace=namespace, partial=partial, missing_ok=True)
        return [{**item, "kind": kind} for item in items]

    bindings, *others = client.each(lambda one: listed(*one), [(RBAC, "RoleBinding"), *WORKLOADS])
    return bindings, [item for items in others for item in items]


def secrets_of(client: Client, namespaces: list[str]) -> dict[tuple[str, str], Object]:
    """The live Secrets of some namespaces by (namespace, name), one list for each."""
    lists = client.each(lambda name: client.list(SECRETS, namespace=name)[0], namespaces)
    return {key_of(item): item for items in lists for item in items}


def reader_limits(client: Client, layout: stores.Layout, live: dict[tuple[str, str], Object]) -> consumers.Limits:
    """What the identity of the live shared store may read and write in the central namespace.

    :arg live: as :func:`read_stores` returns it.
    """
    store = live.get(("ClusterSecretStore", layout.store))
    if store is None:
        return set(), set()
    if is_owned(store):
        role = live.get(("Role", stores.READER))
        return consumers.allowed(role, ("get",)), consumers.allowed(role, ("update",))
    provider = ((store.get("spec") or {}).get("provider") or {}).get("kubernetes") or {}
    account = (provider.get("auth") or {}).get("serviceAccount") or {}
    if not account:
        return None, None  # credentials that nobody here can look into
    bindings, roles = ([item for item in live.values() if item["kind"] == kind] for kind in ("RoleBinding", "Role"))
    wide = ("ClusterRoleBinding", "ClusterRole")
    wide_bindings, wide_roles = client.each(lambda kind: client.list(resource_of(RBAC, kind))[0], wide)
    reads: set[str] | None = set()
    writes: set[str] | None = set()
    namespace = account.get("namespace") or layout.namespace
    for grant in permissions.grants(bindings, wide_bindings, roles, wide_roles):
        if permissions.is_account(grant.subject, namespace, account.get("name") or ""):
            reads = _joined(reads, grant.allows("", "secrets", ("get",)))
            writes = _joined(writes, grant.allows("", "secrets", ("update", "patch")))
    return reads, writes


def keep_consumers(
    client: Client,
    layout: stores.Layout,
    entries: list[Entry],
    eso_version: str,
    live: dict[tuple[str, str], Object],
) -> None:
    """Give a layout the consumers that the shared store goes on serving; see :func:`stores.kept`."""
    users = read_users(client, eso_version).consumers(layout.store, {entry.name for entry in entries})
    if not users:
        return
    namespaces = {item["metadata"]["name"]: item for item in client.list(NAMESPACES, partial=True)[0]}
    limits = reader_limits(client, layout, live)
    store = live.get(("ClusterSecretStore", layout.store))
    existing: list[str] = []
    if store is not None and not is_owned(store):
        masters, _version = client.list(SECRETS, namespace=layout.namespace, partial=True, missing_ok=True)
        existing = [item["metadata"]["name"] for item in masters]
    layout.kept = stores.kept(layout, entries, users, live, limits, namespaces, existing)
    layout.noted = stores.noted(layout, users, live, limits, namespaces, existing)


def _joined(names: set[str] | None, more: tuple[bool, set[str] | None]) -> set[str] | None:
    allowed, named = more
    if not allowed or names is None:
        return names
    return None if named is None else names | named


@dataclass(frozen=True, eq=False)
class Users:
    """The live objects that may use a store, each attribute a list."""

    distributed: list[Object]
    externals: list[Object]
    pushes: list[Object]
    cluster_pushes: list[Object]

    def consumers(self, store: str, names: Collection[str], ours_too: bool = False) -> list[consumers.Consumer]:
        """See :func:`consumers.find`."""
        lists = (self.distributed, self.externals, self.pushes, self.cluster_pushes)
        return consumers.find(store, names, *lists, ours_too=ours_too)


def read_users(client: Client, eso_version: str) -> Users:
    """Read all that may use a store, each list concurrently with the others."""
    api, alpha = "%s/%s" % (ESO_GROUP, eso_version), ESO_GROUP + "/v1alpha1"
    calls = (
        lambda: client.list(resource_of(api, "ClusterExternalSecret"), missing_ok=True)[0],
        lambda: read_all_externals(client, eso_version),
        lambda: client.list(resource_of(alpha, "PushSecret"), missing_ok=True)[0],
        lambda: client.list(resource_of(alpha, "ClusterPushSecret"), missing_ok=True)[0],
    )
    return Users(*client.each(lambda call: call(), calls))


def read_secret_stores(client: Client, eso_version: str) -> list[Object]:
    """Read the SecretStores of all namespaces."""
    return client.list(resource_of("%s/%s" % (ESO_GROUP, eso_version), "SecretStore"), missing_ok=True)[0]


class Cluster:
    """What a take-over looks at: what is there already that the catalog is about.

    ``namespaces`` are live objects by name, ``secrets`` the metadata of all Secrets by (namespace, name), ``central``
    the Secrets of the central namespace by name, ``stores`` as :func:`read_stores` returns them, ``version`` the API
    version of ESO or None, ``names`` those of all ClusterExternalSecrets, ``external_keys`` the (namespace, name) of
    all ExternalSecrets, ``limits`` as :func:`reader_limits` returns them, and ``whole`` the Secrets by (namespace,
    name) that :meth:`look` has read.
    """

    def __init__(self, client: Client, layout: stores.Layout, version: str | None, central: dict[str, Object]) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: client.list(NAMESPACES, partial=True)[0],
            lambda: client.list(SECRETS, partial=True)[0],
            lambda: read_stores(client, layout, version is not None),
            lambda: read_users(client, version) if version else Users([], [], [], []),
        ]
        namespaces, secrets, self.stores, self.users = client.each(lambda call: call(), calls)
        self.version = version
        self.namespaces: dict[str, Object] = {item["metadata"]["name"]: item for item in namespaces}
        self.secrets: dict[tuple[str, str], Object] = {key_of(item): item for item in secrets}
        self.central = central
        self.whole: dict[tuple[str, str], Object] = {}
        self.names = {item["metadata"]["name"] for item in self.users.distributed}
        self.external_keys = {key_of(item) for item in self.users.externals}
        self.limits: consumers.Limits = (set(), set())
        if version and self.users.consumers(layout.store, ()):
            self.limits = reader_limits(client, layout, self.stores)

    def look(self, client: Client, keys: Collection[tuple[str, str]]) -> None:
        """Read these Secrets whole, those that are gone meanwhile left out."""
        secrets = client.each(lambda key: client.get(SECRETS.path(key[1], key[0])), sorted(keys))
        self.whole.update((key_of(item), item) for item in secrets if item)


@dataclass(frozen=True, eq=False)
class Inventory:
    """All live objects that an audit looks at, each attribute a list.

    ``snapshot`` is a :class:`Snapshot`, ``secrets`` are the metadata of all Secrets, with the names of their writers,
    and ``release`` is the running eso.Release.
    """

    bindings: list[Object]
    cluster_bindings: list[Object]
    cluster_push_secrets: list[Object]
    cluster_roles: list[Object]
    crds: list[Object]
    distributed: list[Object]
    mutating_webhooks: list[Object]
    policies: list[Object]
    policy_bindings: list[Object]
    push_secrets: list[Object]
    release: eso.Release
    roles: list[Object]
    secrets: list[Object]
    snapshot: Snapshot
    stores: list[Object]
    tenant_stores: list[Object]
    validating_webhooks: list[Object]


def read_inventory(
    client: Client,
    entries: list[Entry],
    eso_version: str,
    store_namespace: str,
    eso_namespace: str,
    read_values: bool = True,
    known: Lists = OURS,
) -> Inventory:
    """Read all that an audit needs, each list concurrently with the others.

    :arg read_values: without, no Secret is asked for; :arg known: what ESO's release is judged by.
    """
    api, alpha = "%s/%s" % (ESO_GROUP, eso_version), ESO_GROUP + "/v1alpha1"

    def listed(resource: Resource, **options: Any) -> Callable[[], Any]:
        return lambda: client.list(resource, **options)[0]

    calls: dict[str, Callable[[], Any]] = {
        "snapshot": lambda: read(client, entries, eso_version, store_namespace, read_values=read_values),
        "secrets": listed(SECRETS, partial=True, keep=writers) if read_values else list,
        "distributed": listed(cluster_external_secrets(eso_version)),
        "stores": listed(resource_of(api, "ClusterSecretStore")),
        "tenant_stores": listed(resource_of(api, "SecretStore"), missing_ok=True),
        # Push secrets never left their alpha version.
        "push_secrets": listed(resource_of(alpha, "PushSecret"), missing_ok=True),
        "cluster_push_secrets": listed(resource_of(alpha, "ClusterPushSecret"), missing_ok=True),
        "roles": listed(resource_of(RBAC, "Role")),
        "bindings": listed(resource_of(RBAC, "RoleBinding")),
        "cluster_roles": listed(resource_of(RBAC, "ClusterRole")),
        "cluster_bindings": listed(resource_of(RBAC, "ClusterRoleBinding")),
        "policies": listed(POLICIES, missing_ok=True),
        "policy_bindings": listed(POLICY_BINDINGS, missing_ok=True),
        "mutating_webhooks": listed(resource_of(ADMISSION, "MutatingWebhookConfiguration"), missing_ok=True),
        "validating_webhooks": listed(resource_of(ADMISSION, "ValidatingWebhookConfiguration"), missing_ok=True),
        "release": lambda: eso.running_as(client, eso_namespace, known)[0],
        "crds": lambda: definitions(client),
    }
    return Inventory(**dict(zip(calls, client.each(lambda call: call(), calls.values()))))
