# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster as an upgrade of its nodes needs it: what is there, read in a few lists at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Collection

from ..resources import (
    ADMISSION,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ESO_GROUP,
    NODES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    SECRETS,
    Object,
    Resource,
    cluster_external_secrets,
    key_of,
    resource_of,
    unattributed,
)
from . import snapshot

if TYPE_CHECKING:
    from ..api.client import Client
    from ..catalog.entries import Entry

WEBHOOKS = Resource(ADMISSION, "validatingwebhookconfigurations", namespaced=False)


@dataclass(frozen=True, eq=False)
class Health:
    """Live objects: of the cluster, of ESO's namespace, of ESO's API, and ``targets``, a snapshot for state.judge()."""

    nodes: list[Object]
    pods: list[Object]
    deployments: list[Object]
    webhooks: list[Object]
    endpoints: list[Object]
    budgets: list[Object]
    stores: list[Object]
    distributed: list[Object]
    targets: snapshot.Snapshot


def read(client: Client, entries: list[Entry], eso_version: str, store_namespace: str, eso_namespace: str) -> Health:
    """Read all that audit.gate.judge() needs, except which Secrets there are; see :func:`names_of_secrets`."""

    def of_eso(resource: Resource) -> list[Object]:
        return client.list(resource, namespace=eso_namespace)[0]

    stores = resource_of("%s/%s" % (ESO_GROUP, eso_version), "ClusterSecretStore")
    calls: dict[str, Callable[[], Any]] = {
        "nodes": lambda: client.list(NODES)[0],
        "pods": lambda: client.list(PODS, keep=unattributed)[0],
        "deployments": lambda: of_eso(DEPLOYMENTS),
        "endpoints": lambda: of_eso(ENDPOINT_SLICES),
        "budgets": lambda: of_eso(POD_DISRUPTION_BUDGETS),
        "webhooks": lambda: client.list(WEBHOOKS)[0],
        "stores": lambda: client.list(stores, missing_ok=True)[0],
        "distributed": lambda: client.list(cluster_external_secrets(eso_version), missing_ok=True)[0],
        "targets": lambda: snapshot.read(client, entries, eso_version, store_namespace),
    }
    return Health(**dict(zip(calls, client.each(lambda name: calls[name](), calls))))


def names_of_secrets(client: Client, namespaces: Collection[str]) -> set[tuple[str, str]]:
    """(namespace, name) of each live Secret that may matter, of metadata only; no request without ``namespaces``.

    A few namespaces are listed one by one, many by one list of all.
    """
    if len(namespaces) > 10:
        return {key_of(item) for item in client.list(SECRETS, partial=True)[0]}
    lists = client.each(lambda name: client.list(SECRETS, namespace=name, partial=True)[0], sorted(namespaces))
    return {key_of(item) for items in lists for item in items}
