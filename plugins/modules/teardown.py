#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module teardown: remove what the collection set up."""

from __future__ import annotations

DOCUMENTATION = r"""
module: teardown
short_description: Remove what the collection set up, and nothing else
version_added: 1.0.0
description:
  - Removes the catalog's ClusterExternalSecrets, the labels of the namespaces and ESO's finalizers, the admission
    policies, the stores with their permissions and, after a backup, the master Secrets, in an order that leaves no
    finalizers or orphans behind. Namespaces and ESO stay.
  - Only what the collection created or took over is removed, and only if nobody else uses it. What merely has the same
    name, or is selected by others, stays and is reported with the command that would remove it.
  - Everything is read and planned, and all permissions are checked, before the first deletion.
  - Runs on the control node, whatever the connection.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows what is removed, but never a value.
    support: full
options:
  backup:
    description: Whether the master Secrets are backed up before they are removed, which needs the run's vault password.
    type: bool
    default: true
  backup_dir:
    description: The folder, on the control node, for the backup.
    type: path
    default: cluster-secrets-backups
  wait_timeout:
    description: How many seconds without progress to wait for ESO's own removals.
    type: int
    default: 60
  uninstall:
    description: Whether ESO will be uninstalled next. If so, a connection that cannot be passed to helm, or a helm that
      the installed kubernetes.core cannot use, is refused now, and so is a cluster with objects of ESO that the module
      does not remove.
    type: bool
    default: false
  helm_binary:
    description: The path of the helm program, for O(uninstall). By default, the one on the PATH is used.
    type: path
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store
"""

EXAMPLES = r"""
- name: Remove the catalog's objects
  platform.cluster_secrets.teardown:
    catalog: "{{ cluster_secrets_catalog }}"
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) removed.
  returned: success
  type: list
  elements: dict
left:
  description: What stays, each with the C(object), the C(reason) and the C(command) that would remove it.
  returned: success
  type: list
  elements: dict
table:
  description: The same as lines of text.
  returned: success
  type: list
  elements: str
held:
  description: What should have been removed with its ClusterExternalSecret but is still there, each as a sentence with
    the command.
  returned: success
  type: list
  elements: str
backup:
  description: The path of the backup of the master Secrets, if any.
  returned: success
  type: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from ansible_collections.platform.cluster_secrets.plugins.module_utils import backups, helm
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.kubeconfig import connection
from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.values import (
    required_sources,
    written_by_others,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import consumers, guard, stores
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import ESO_MANAGED
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import EsoError, NotReady
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso, snapshot
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    STORE_NAMESPACE_OPTION,
    STORE_OPTION,
    Context,
    run_module,
    wait_until_gone,
    wait_while,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.definitions import resource_of_definition
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    ADMISSION,
    ESO_GROUP,
    ESO_VERSIONS,
    NAMESPACES,
    POLICIES,
    POLICY_BINDINGS,
    SECRETS,
    Object,
    cluster_external_secrets,
    external_secrets,
    is_of_kind,
    key_of,
    label_of,
    shortened,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover import removal

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.client import Client
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import Entry
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.actions import Action

OPTIONS: dict[str, dict[str, Any]] = {
    "backup": {"type": "bool", "default": True},
    "backup_dir": {"type": "path", "default": "cluster-secrets-backups"},
    "wait_timeout": {"type": "int", "default": 60},
    "uninstall": {"type": "bool", "default": False},
    "helm_binary": {"type": "path"},
    **CATALOG_OPTION,
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Read everything, plan everything, then remove in order."""
    params, client, entries = context.params, context.client, context.catalog
    if params["uninstall"]:
        connection(params).kubeconfig()
        problem = helm.problem(params["helm_binary"])
        if problem:
            raise EsoError(problem)
    version = eso.served(client)[0]
    layout = stores.Layout("shared", params["store"], params["store_namespace"], api_version=version or ESO_VERSIONS[0])
    cluster = _read(client, layout, version, entries)
    parts = _plan(cluster, layout, entries)
    removed = {action.name for action in parts.going.actions}
    externals = cluster.users.externals
    made = {key_of(item) for item in externals if consumers.maker(item) in removed}
    leftover: list[removal.Left] = []
    path = None
    if params["uninstall"]:
        others = _others(client, parts, made)
        if others:
            raise EsoError("%s Nothing was changed." % _without(others))
    if params["backup"] and parts.masters.actions:
        names = {action.name for action in parts.masters.actions}
        secrets = [item for item in cluster.central if item["metadata"]["name"] in names]
        path = backups.save(context, secrets, snapshot.identity(client))
    Executor(client, check_mode=True).run(parts.going.actions, *parts.batches())
    executor = Executor(client, context.check_mode)
    actions = executor.run(parts.going.actions)
    if removed and not context.check_mode:
        wait_until_gone(client, cluster_external_secrets(layout.api_version), removed, params["wait_timeout"])
        leftover = _still_there(context, layout.api_version, removed, made)
        # That may have taken minutes, in which somebody may have begun to use what was to go.
        gone = [item for item in cluster.users.distributed if item["metadata"]["name"] in removed]
        parts = parts.confirmed(_plan(_read(client, layout, version, entries), layout, entries, gone))
    actions += executor.run(*parts.batches())
    # Nor is ESO uninstalled when somebody has begun to use it since.
    others = _others(client, parts, made) if params["uninstall"] and not context.check_mode else []
    left = [left for part in parts for left in part.left] + leftover
    return context.result(
        actions,
        left=[item_left._asdict() for item_left in left],
        held=[*(left_item.text() for left_item in leftover), *([_without(others)] if others else [])],
        table=[item_left.text() for item_left in left],
        backup=path,
    )


#: Kinds whose objects ESO makes for itself.
_OF_ESO_ITSELF = ("GeneratorState",)


def _without(others: list[str]) -> str:
    return (
        "Without ESO these would stop, or go with the definitions of their kinds: %s. Remove them, or leave ESO "
        "('uninstall: false', the variable cluster_secrets_teardown_eso)." % shortened(others)
    )


def _others(client: Client, parts: _Parts, made: set[tuple[str, str]]) -> list[str]:
    """What ESO, and with it the definitions of its kinds, would take and the run does not remove.

    :arg made: (namespace, name) of the ExternalSecrets that go with their ClusterExternalSecrets.
    """
    going = {(action.kind, action.namespace, action.name) for action in [*parts.going.actions, *parts.stores.actions]}
    going |= {("ExternalSecret", namespace, name) for namespace, name in made}
    live = [
        definition
        for definition in snapshot.definitions(client)
        if definition["spec"]["names"]["kind"] not in _OF_ESO_ITSELF
    ]
    lists = client.each(
        lambda one: client.list(resource_of_definition(one), partial=True, missing_ok=True)[0],
        live,
    )
    return [
        label_of(kind, item)
        for kind, items in zip([definition["spec"]["names"]["kind"] for definition in live], lists)
        for item in items
        if (kind, item["metadata"].get("namespace"), item["metadata"]["name"]) not in going
        # What only ESO can end would never end.
        and ("deletionTimestamp" not in item["metadata"] or item["metadata"].get("finalizers"))
    ]


class _Found(NamedTuple):
    """What a cluster has, as it was read."""

    stores: dict[tuple[str, str], Object]
    users: snapshot.Users
    namespaces: list[Object]
    central: list[Object]
    policies: list[tuple[str, Object]]
    secret_stores: list[Object]


class _Parts(NamedTuple):
    """What goes and what stays: ClusterExternalSecrets first, the rest in the order of batches()."""

    going: removal.Going
    namespaces: removal.Going
    policies: removal.Going
    stores: removal.Going
    masters: removal.Going

    def batches(self) -> list[list[Action]]:
        """What is removed once the ClusterExternalSecrets are gone."""
        return [
            self.namespaces.actions,
            # A binding without its policy is an error that the API server reports.
            *removal.in_turn(self.policies.actions, "Binding"),
            *removal.in_turn(self.stores.actions, "ClusterSecretStore"),
            self.masters.actions,
        ]

    def confirmed(self, later: _Parts) -> _Parts:
        """What still goes by a later plan, as it was read and backed up for this one."""
        pairs = zip(self[1:], later[1:])
        kept = [after._replace(actions=removal.still(before.actions, after.actions)) for before, after in pairs]
        return _Parts(self.going, *kept)


def _read(client: Client, layout: stores.Layout, version: str | None, entries: list[Entry]) -> _Found:
    namespace = layout.namespace
    calls: tuple[Callable[[], Any], ...] = (
        lambda: snapshot.read_stores(client, layout, version is not None),
        lambda: snapshot.read_users(client, version) if version else snapshot.Users([], [], [], []),
        lambda: client.list(NAMESPACES, partial=True)[0],
        lambda: client.list(SECRETS, namespace=namespace)[0],
        lambda: _policies(client, guard.Names(layout.store, namespace, entries)),
        lambda: snapshot.read_secret_stores(client, version) if version else [],
    )
    return _Found(*client.each(lambda call: call(), calls))


def _plan(cluster: _Found, layout: stores.Layout, entries: list[Entry], gone: list[Object] | None = None) -> _Parts:
    """What goes.

    :arg gone: the ClusterExternalSecrets that went before, after which no others go.
    """
    users, namespaces, namespace = cluster.users, cluster.namespaces, layout.namespace
    kind = {"apiVersion": "%s/%s" % (ESO_GROUP, layout.api_version), "kind": "ClusterExternalSecret"}
    distributed = [{**item, **kind} for item in users.distributed]
    if gone is None:
        going = removal.entries_going(distributed, layout, (), {entry.name for entry in entries})
        removed = {action.name for action in going.actions}
        went = [item for item in distributed if item["metadata"]["name"] in removed]
    else:
        going = removal.Going([], [])
        back = {item["metadata"]["name"] for item in distributed}
        went = [item for item in gone if item["metadata"]["name"] not in back]
        removed = {item["metadata"]["name"] for item in went}
    cluster_stores = [item for (kind, _name), item in cluster.stores.items() if kind == "ClusterSecretStore"]
    used = removal.readers(namespace, cluster_stores, users, removed, namespaces)
    of_stores = removal.stores_going(cluster.stores, layout, used)
    staying = [item for item in distributed if item["metadata"]["name"] not in removed]
    without = {action.name for action in of_stores.actions if action.kind == "ClusterSecretStore"}
    # One that goes selects and takes nothing any more.
    staying_stores = [item for item in cluster_stores if item["metadata"]["name"] not in without]
    of_namespaces = removal.namespaces_going(
        namespaces,
        entries,
        went,
        {item["metadata"]["name"] for item in staying},
        consumers.selecting(
            staying,
            staying_stores,
            users.cluster_pushes,
        ),
    )
    of_policies = removal.policies_going(cluster.policies)
    reading = {**used, **consumers.through_own_stores(namespace, cluster.secret_stores, users.externals)}
    taken = removal.taking(namespace, users.pushes, staying_stores, cluster.secret_stores)
    masters = removal.masters_going(
        cluster.central, (), required_sources(entries), reading, written_by_others(entries), taken
    )
    return _Parts(going, of_namespaces, of_policies, of_stores, masters)


def _still_there(context: Context, version: str, removed: set[str], made: set[tuple[str, str]]) -> list[removal.Left]:
    """Wait until ESO has removed what the ClusterExternalSecrets made, which it can't once it is uninstalled.

    :arg made: (namespace, name) of the ExternalSecrets. :returns: what somebody keeps from going.
    """
    client = context.client
    left: list[removal.Left] = []

    def waiting() -> NotReady | None:
        left.clear()
        externals = client.list(external_secrets(version), missing_ok=True)[0]
        for item in externals:
            if key_of(item) in made and consumers.maker(item) in removed:
                left.append(removal.ending("ExternalSecret", item))
        for item in client.list(SECRETS, selector=ESO_MANAGED, partial=True)[0]:
            owners = item["metadata"].get("ownerReferences") or []
            namespace = item["metadata"]["namespace"]
            if any(is_of_kind(owner, "ExternalSecret") and (namespace, owner.get("name")) in made for owner in owners):
                left.append(removal.ending("Secret", item))
        return NotReady("%d objects are still there" % len(left)) if left else None

    if made:
        try:
            wait_while(client, waiting, context.params["wait_timeout"], interval=0.3)
        except NotReady:
            pass  # they are named
    return left


def _policies(client: Client, names: guard.Names) -> list[tuple[str, Object]]:
    nobody = guard.Identities([], [], "")
    wanted = {
        (item["kind"], item["metadata"]["name"])
        for item in guard.policies(nobody, names, [], "audit", eso.Release(None))
    }
    policies = []
    kinds = (("ValidatingAdmissionPolicy", POLICIES), ("ValidatingAdmissionPolicyBinding", POLICY_BINDINGS))
    for kind, resource in kinds:
        for item in client.list(resource, missing_ok=True)[0]:
            if (kind, item["metadata"]["name"]) in wanted and not guard.guarded_elsewhere(item, names.store_namespace):
                policies.append((kind, {**item, "apiVersion": ADMISSION}))
    return policies


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
