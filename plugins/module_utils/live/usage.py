# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything in the cluster that may name a Secret, each kind listed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from ..resources import DEPLOYMENTS, PODS, Object, Resource, key_of, unattributed
from ..workloads import controller

if TYPE_CHECKING:
    from ..api.client import Client

#: The kinds that make pods, and where they are.
WORKLOADS = {
    "Deployment": DEPLOYMENTS,
    "StatefulSet": Resource("apps/v1", "statefulsets"),
    "DaemonSet": Resource("apps/v1", "daemonsets"),
    "CronJob": Resource("batch/v1", "cronjobs"),
    "Job": Resource("batch/v1", "jobs"),
}
REPLICA_SETS = Resource("apps/v1", "replicasets")
SERVICE_ACCOUNTS = Resource("v1", "serviceaccounts")
INGRESSES = Resource("networking.k8s.io/v1", "ingresses")


class Custom(NamedTuple):
    """A field of a custom resource that names a Secret, or holds an object whose ``name`` does.

    ``path`` is as workloads.at_path() takes it. ``namespace`` is where the Secrets of a kind without namespaces are.
    """

    api_version: str
    kind: str
    path: str
    plural: str
    namespace: Optional[str] = None

    @property
    def resource(self) -> Resource:
        """Where its objects are."""
        return Resource(self.api_version, self.plural, namespaced=self.namespace is None)


class Usage:
    """Live objects: ``workloads`` by kind, ``pods``, ``ingresses``, and ``customs`` by their field.

    ``accounts`` are the ServiceAccounts that name Secrets. ``replica_sets`` says what controls each ReplicaSet, (kind,
    name) or None, by (namespace, name).
    """

    def __init__(
        self,
        workloads: dict[str, list[Object]],
        pods: list[Object],
        replica_sets: list[Object],
        accounts: list[Object],
        ingresses: list[Object],
        customs: list[tuple[Custom, list[Object]]],
    ) -> None:
        self.workloads = workloads
        self.pods = pods
        self.replica_sets = {key_of(item): controller(item) for item in replica_sets}
        self.accounts = accounts
        self.ingresses = ingresses
        self.customs = customs


def _pulling(account: Object) -> Object | None:
    """A ServiceAccount that names Secrets; each namespace has one that doesn't."""
    return unattributed(account) if account.get("imagePullSecrets") else None


def read(client: Client, customs: list[Custom], namespace: str | None = None) -> Usage:
    """Read all that may name a Secret, everywhere or in one namespace."""
    # Each kind once, however many of its fields count.
    kinds = {(custom.api_version, custom.plural): custom.resource for custom in customs}

    def listed(
        resource: Resource, keep: Callable[[Object], Object | None] = unattributed, **options: Any
    ) -> Callable[[], list[Object]]:
        where = namespace if resource.namespaced else None
        return lambda: client.list(resource, namespace=where, keep=keep, **options)[0]

    calls: dict[Any, Callable[[], list[Object]]] = {kind: listed(resource) for kind, resource in WORKLOADS.items()}
    calls["pods"] = listed(PODS)
    calls["replica_sets"] = listed(REPLICA_SETS, partial=True)
    calls["accounts"] = listed(SERVICE_ACCOUNTS, keep=_pulling)
    calls["ingresses"] = listed(INGRESSES, missing_ok=True)
    calls.update((kind, listed(resource, missing_ok=True)) for kind, resource in kinds.items())
    lists = dict(zip(calls, client.each(lambda call: call(), calls.values())))
    return Usage(
        {kind: lists[kind] for kind in WORKLOADS},
        lists["pods"],
        lists["replica_sets"],
        lists["accounts"],
        lists["ingresses"],
        [(custom, lists[(custom.api_version, custom.plural)]) for custom in customs],
    )


def read_pods(client: Client) -> Usage:
    """Read what says which pods run, and of which workload."""
    pods, replica_sets = client.each(
        lambda one: client.list(one[0], partial=one[1], keep=unattributed)[0], [(PODS, False), (REPLICA_SETS, True)]
    )
    return Usage({}, pods, replica_sets, [], [], [])
