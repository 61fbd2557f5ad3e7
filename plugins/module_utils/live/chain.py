# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything between a source and the pods of one namespace that use it, read at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Sequence

from ..errors import Denied
from ..resources import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ESO_GROUP,
    NAMESPACES,
    RBAC,
    SECRETS,
    Object,
    cluster_external_secrets,
    external_secrets,
    holds_true,
    reading_account,
    resource_of,
)
from . import health, state, usage

if TYPE_CHECKING:
    from ..api.client import Client
    from ..catalog.entries import Entry
    from ..desired.stores import Layout


class Chain:
    """Live objects, each None where it is absent, or a list.

    ``refusal`` is what the events of an ExternalSecret that fails say of a quota, or None. ``denied`` has the names of
    those that the play may not read, each with what the API server said.
    """

    namespace: Object | None
    distributed: Object | None
    external: Object | None
    store: Object | None
    account: Object | None
    roles: list[Object]
    bindings: list[Object]
    cluster_roles: list[Object]
    cluster_bindings: list[Object]
    sources: dict[str, Object]
    target: Object | None
    deployments: list[Object]
    webhooks: list[Object]
    endpoints: list[Object]
    usage: usage.Usage | None
    refusal: str | None

    def __init__(self, version: str | None, served: Sequence[str]) -> None:
        self.version = version
        self.served = list(served)
        self.denied: dict[str, str] = {}


def read(
    client: Client,
    entry: Entry,
    namespace: str,
    layout: Layout,
    version: tuple[str | None, Sequence[str]],
    customs: Sequence[usage.Custom] | None,
) -> Chain:
    """Read what audit.chain.judge() needs; what the play may not read is left out.

    :arg version: as eso.served() returns it; :arg customs: as usage.read() takes them, None to leave the workloads out.
    """
    usable, served = version
    chain = Chain(usable, served)
    central, eso_namespace = layout.namespace, layout.eso[0]

    def one(path: str) -> Callable[[], Any]:
        return lambda: client.get(path)

    def listed(api: str, kind: str, where: str | None = None) -> Callable[[], Any]:
        return lambda: client.list(resource_of(api, kind), namespace=where)[0]

    calls: dict[str, Callable[[], Any]] = {
        "namespace": one(NAMESPACES.path(namespace)),
        "roles": listed(RBAC, "Role", central),
        "bindings": listed(RBAC, "RoleBinding", central),
        "cluster_roles": listed(RBAC, "ClusterRole"),
        "cluster_bindings": listed(RBAC, "ClusterRoleBinding"),
        "sources": lambda: {
            name: live
            for name, live in ((name, client.get(SECRETS.path(name, central))) for name in entry.sources)
            if live is not None
        },
        "target": one(SECRETS.path(entry.target, namespace)),
        "deployments": lambda: client.list(DEPLOYMENTS, namespace=eso_namespace)[0],
        "endpoints": lambda: client.list(ENDPOINT_SLICES, namespace=eso_namespace)[0],
        "webhooks": lambda: client.list(health.WEBHOOKS)[0],
        "usage": lambda: None if customs is None else usage.read(client, list(customs), namespace),
        "distributed": lambda: None,
        "external": lambda: None,
        "store": lambda: None,
    }
    if usable:
        stores = resource_of("%s/%s" % (ESO_GROUP, usable), "ClusterSecretStore")
        calls["distributed"] = one(cluster_external_secrets(usable).path(entry.name))
        # A list, since that is what every other part of the collection needs the permission for.
        calls["external"] = lambda: next(
            (
                item
                for item in client.list(external_secrets(usable), namespace=namespace)[0]
                if item["metadata"]["name"] == entry.external_secret
            ),
            None,
        )
        calls["store"] = one(stores.path(layout.store_of(entry.name)))

    def tried(name: str) -> Any:
        try:
            return calls[name]()
        except Denied as error:
            chain.denied[name] = str(error)
            return [] if name in _LISTS else {} if name == "sources" else None

    for name, value in zip(calls, client.each(tried, calls)):
        setattr(chain, name, value)
    failing = chain.external is not None and not holds_true(chain.external, "Ready")
    chain.refusal = state.refusal(client, namespace, entry.external_secret) if failing else None
    reader = reading_account(chain.store)
    chain.account = None
    if reader:
        account = resource_of("v1", "ServiceAccount").path(reader[1], reader[0])
        calls["account"] = one(account)
        chain.account = tried("account")
    return chain


_LISTS = ("roles", "bindings", "cluster_roles", "cluster_bindings", "deployments", "endpoints", "webhooks")
