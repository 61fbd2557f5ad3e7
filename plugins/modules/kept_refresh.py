#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kept_refresh: bring changed values to what was kept beside the catalog."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kept_refresh
short_description: Refresh, or report, what reads a source outside the catalog
version_added: 1.0.0
description:
  - ClusterExternalSecrets and ExternalSecrets that were kept when a cluster was taken over read master Secrets outside
    the catalog. After a rotation, they would hold the old value until their own refresh interval has passed.
  - Those that were kept are refreshed with an annotation, and the module waits for them.
  - Others that read one of the sources are never written, but reported with the command that refreshes them.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows which are refreshed.
    support: full
options:
  sources:
    description:
      - The master Secrets that changed.
      - Those whose values were changed after what reads them was last refreshed are found without it, such as those of
        a run that was interrupted. In check mode, no value of this run is changed yet.
    type: list
    elements: str
    default: []
  keep:
    description: In check mode, whether what reads through a store that is not the collection's yet would be kept by the
      run that takes it over.
    type: bool
    default: false
  except_namespaces:
    description: Namespaces whose ExternalSecrets are refreshed and not waited for.
    type: list
    elements: str
    default: []
  wait_timeout:
    description: Seconds to wait until all are refreshed.
    type: int
    default: 60
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.namespace
seealso:
  - module: platform.cluster_secrets.sync
"""

EXAMPLES = r"""
- name: Bring a new token to everything that was kept
  platform.cluster_secrets.kept_refresh:
    catalog: "{{ cluster_secrets_catalog }}"
    sources: [github-pat]
"""

RETURN = r"""
refreshed:
  description: The ExternalSecrets that were (in check mode, would be) refreshed, each as C(namespace/name).
  returned: success, or when some were not refreshed in time
  type: list
  elements: str
left:
  description: Those that may still hold the old value, each with the C(object), the C(reason) and the C(command) that
    refreshes it.
  returned: success, or when some were not refreshed in time
  type: list
  elements: dict
table:
  description: The same as lines of text.
  returned: success, or when some were not refreshed in time
  type: list
  elements: str
changes:
  description: What was (in check mode, would be) written.
  returned: success, or when some were not refreshed in time
  type: list
  elements: dict
api_requests:
  description: How many requests were sent to the API server.
  returned: success, or when some were not refreshed in time
  type: int
"""

import time
from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import consumers
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import (
    CHANGED,
    copies_annotations,
    is_owned,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import NotReady
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso, snapshot
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    STORE_NAMESPACE_OPTION,
    STORE_OPTION,
    Context,
    run_module,
    wait_while,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.refresh import (
    plan_refresh,
    plan_refresh_one,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    ESO_GROUP,
    NAMESPACES,
    SECRETS,
    Object,
    Resource,
    cluster_external_secrets,
    external_secrets,
    holds_true,
    key_of,
    ready_condition,
    resource_of,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover import removal

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.actions import Action

OPTIONS: dict[str, dict[str, Any]] = {
    "sources": {"type": "list", "elements": "str", "default": []},
    "keep": {"type": "bool", "default": False},
    "except_namespaces": {"type": "list", "elements": "str", "default": []},
    "wait_timeout": {"type": "int", "default": 60},
    **CATALOG_OPTION,
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Find them, refresh those that were kept, and wait."""
    params, client = context.params, context.client
    version = eso.served(client)[0]
    if version is None:
        return {**context.result([]), "refreshed": [], "left": [], "table": []}
    users = snapshot.read_users(client, version)
    namespaces = client.list(NAMESPACES, partial=True)[0]
    changed = _Changed(context)
    every, kept = _beside(context, version, users, namespaces)
    readers = [use for use in every if changed.concerns(use.reads)]
    asked: list[Action] = []
    pending: dict[tuple[str, str], Object] = {}
    left: list[dict[str, str]] = []
    for one in readers:
        externals = [item for item in _externals(one, users.externals) if changed.since(item, one.reads)]
        name = _name(one.item)
        # What only its age tells of is not asked again and again where ESO can't, or nobody waits.
        stuck = {} if changed.is_said(one.reads) else {key_of(item): _stuck(context, item) for item in externals}
        left += [_left(one, item, said) for item in externals for said in [stuck.get(key_of(item))] if said]
        externals = [item for item in externals if not stuck.get(key_of(item))]
        mirrored = one.kind != "ClusterExternalSecret" or copies_annotations(name, _served(one.item, namespaces))
        if one.label() in kept and mirrored and externals:
            asked.append(_refresh(one, version))
            pending.update((key_of(item), item) for item in externals)
        elif one.label() in kept:
            left += [_left(one, item, "this release of ESO refreshes it only when it is changed") for item in externals]
        else:
            left += [_left(one, item, "it reads a changed source, and nobody kept it") for item in externals]
    left += [_push(item) for item in users.pushes if _pushes_changed(item, changed, params["store_namespace"])]
    refreshed = ["/".join(key) for key in sorted(pending)]
    failing = [item["object"] for item in left if "only when" in item["reason"]]
    for key in [key for key in pending if key[0] in params["except_namespaces"]]:
        del pending[key]
    if pending and not context.check_mode:
        time.sleep(1.1)  # ESO writes to the second when it refreshed
    actions = Executor(client, context.check_mode).run(asked)
    result = {**context.result(actions), "refreshed": refreshed}
    if not context.check_mode:
        for key, item, said in _unrefreshed(context, external_secrets(version), pending):
            owner = next(one for one in readers if item in _externals(one, users.externals))
            left.append(_left(owner, item, "ESO did not refresh it: %s" % said))
            failing.append("ExternalSecret %s/%s" % key)
    lines = ["%(object)s may hold the old value: %(reason)s. To refresh it: %(command)s" % one for one in left]
    result.update(left=left, table=lines)
    if failing:
        result.update(
            failed=True,
            msg="%d object(s) that were kept beside the catalog may hold the old value still: %s."
            % (len(failing), ", ".join(sorted(failing))),
        )
    return result


def _beside(
    context: Context, version: str, users: snapshot.Users, namespaces: list[Object]
) -> tuple[list[consumers.Consumer], set[str]]:
    """What reads the central namespace and is of no enabled entry, and the labels of what was kept of it."""
    params, client = context.params, context.client
    stores = client.list(resource_of("%s/%s" % (ESO_GROUP, version), "ClusterSecretStore"))[0]
    kept = consumers.kept_beside(stores)
    # An entry that left the catalog goes on distributing until it is pruned, and nothing else looks at it.
    names = {entry.name for entry in context.entries}
    using = removal.readers(params["store_namespace"], stores, users, names, namespaces)
    ours = any(is_owned(store) for store in stores if _name(store) == params["store"])
    if context.check_mode and params["keep"] and not ours:
        kept |= {use.label() for use in using.get(params["store"], ())}
    secret_stores = snapshot.read_secret_stores(client, version)
    using.update(consumers.through_own_stores(params["store_namespace"], secret_stores, users.externals))
    return [use for uses in using.values() for use in uses], kept


class _Changed:
    """Which master Secrets changed: those that are said, and others by when their values did."""

    def __init__(self, context: Context) -> None:
        self._said = set(context.params["sources"])
        self._times: dict[str, str] = {}
        for item in context.client.list(SECRETS, namespace=context.params["store_namespace"], partial=True)[0]:
            changed = (item["metadata"].get("annotations") or {}).get(CHANGED)
            if changed and is_owned(item):
                self._times[item["metadata"]["name"]] = changed

    def concerns(self, names: set[str] | None) -> bool:
        """Whether any of the sources (None: all) has changed, or ever did."""
        every = self._said.union(self._times)
        return bool(every if names is consumers.EVERYTHING else every & names)

    def is_said(self, names: set[str] | None) -> bool:
        """Whether the task says that one of the sources (None: all) changed."""
        return bool(self._said if names is consumers.EVERYTHING else self._said & names)

    def since(self, external: Object, names: set[str] | None) -> bool:
        """Whether any of the sources has changed since ESO refreshed a live object that reads them."""
        if names is consumers.EVERYTHING:
            names = self._said.union(self._times)
        refreshed = (external.get("status") or {}).get("refreshTime")
        # Both are to the second, in UTC.
        return bool(names & self._said) or any(
            refreshed and self._times[name] > refreshed for name in names if name in self._times
        )


def _stuck(context: Context, external: Object) -> str | None:
    """Why a live ExternalSecret is not asked to refresh when only its age tells that it should; None where it is."""
    params = context.params
    if key_of(external)[0] in params["except_namespaces"]:
        return "its namespace is left out"
    if (external.get("spec") or {}).get("refreshPolicy") == "CreatedOnce":
        return "its refreshPolicy is CreatedOnce"
    if holds_true(external, "Ready"):
        return None
    with context.client.remembering():
        said = snapshot.said_of(context.client, params["store_namespace"], external)
    return said or "ESO has not looked at it"


def _served(distributed: Object, namespaces: list[Object]) -> list[Object]:
    """The live namespaces that a live ClusterExternalSecret selects."""
    return [
        item for item in namespaces if consumers.selects(distributed, _name(item), item["metadata"].get("labels") or {})
    ]


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def _pushes_changed(push: Object, changed: _Changed, namespace: str) -> bool:
    """Whether a live PushSecret takes a master Secret that changed elsewhere."""
    selected = (((push.get("spec") or {}).get("selector") or {}).get("secret") or {}).get("name")
    return key_of(push)[0] == namespace and bool(selected) and changed.since(push, {str(selected)})


def _push(push: Object) -> dict[str, str]:
    namespace, name = key_of(push)
    return {
        "object": "PushSecret %s/%s" % (namespace, name),
        "reason": "it takes a changed source elsewhere when its refreshInterval is over",
        "command": "kubectl annotate pushsecret %s --namespace %s force-sync=now --overwrite" % (name, namespace),
    }


def _refresh(consumer: consumers.Consumer, version: str) -> Action:
    name = consumer.item["metadata"]["name"]
    if consumer.kind == "ClusterExternalSecret":
        # It takes away what is written on the ExternalSecrets themselves.
        return plan_refresh(cluster_external_secrets(version), name, True)
    return plan_refresh_one(external_secrets(version), name, consumer.item["metadata"]["namespace"])


def _unrefreshed(
    context: Context, resource: Resource, pending: dict[tuple[str, str], Object]
) -> list[tuple[tuple[str, str], Object, str]]:
    """Wait for the refresh of live ExternalSecrets; those without one, each with what ESO says of it."""
    client = context.client

    def unfinished() -> NotReady | None:
        live = {key_of(item): item for item in client.list(resource)[0]} if pending else {}
        for key in list(pending):
            if key in live:
                latest[key] = live[key]
            if key not in live or _is_refreshed(pending[key], live[key]):
                del pending[key]
        return NotReady("") if pending else None

    latest: dict[tuple[str, str], Object] = {}
    try:
        wait_while(client, unfinished, context.params["wait_timeout"], interval=0.5)
    except NotReady:
        pass  # they are named
    namespace = context.params["store_namespace"]
    with client.remembering():
        said = {key: snapshot.said_of(client, namespace, item) for key, item in latest.items() if key in pending}
    return [(key, pending[key], said.get(key) or "it says nothing") for key in sorted(pending)]


def _externals(consumer: consumers.Consumer, externals: list[Object]) -> list[Object]:
    """The live ExternalSecrets by which a consumer reads."""
    if consumer.kind == "ExternalSecret":
        return [consumer.item]
    name = consumer.item["metadata"]["name"]
    return [item for item in externals if consumer.kind == "ClusterExternalSecret" and consumers.maker(item) == name]


def _is_refreshed(before: Object, live: Object) -> bool:
    condition = ready_condition(live)
    times = [(item.get("status") or {}).get("refreshTime") for item in (before, live)]
    return condition is not None and condition.get("status") == "True" and times[0] != times[1]


def _left(consumer: consumers.Consumer, item: Object, why: str) -> dict[str, str]:
    namespace, name = key_of(item)
    command = "kubectl annotate externalsecret %s --namespace %s force-sync=now --overwrite" % (name, namespace)
    if consumer.kind == "ClusterExternalSecret":
        command = (
            """kubectl patch clusterexternalsecret %s --type merge --patch """
            """'{"spec":{"externalSecretMetadata":{"annotations":{"force-sync":"now"}}}}'"""
            % consumer.item["metadata"]["name"]
        )
    return {"object": "ExternalSecret %s/%s" % (namespace, name), "reason": why, "command": command}


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
