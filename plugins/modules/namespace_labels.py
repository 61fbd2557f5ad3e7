#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module namespace_labels: say by labels which namespaces get which Secrets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: namespace_labels
short_description: Label the namespaces that get the catalog's Secrets
version_added: 1.0.0
description:
  - Gives any number of namespaces the labels by which ESO distributes the catalog's Secrets, or removes them.
  - Reads all namespaces in a few pages and patches, concurrently, only those that differ; a run without differences
    writes nothing.
  - Removing a label also removes the finalizer that ESO leaves on the namespace, which would otherwise keep it from
    ever being deleted.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows which labels and finalizers change.
    support: full
options:
  state:
    description: Whether the namespaces should carry the labels.
    type: str
    choices: [present, absent]
    default: present
  assignments:
    description:
      - Which namespaces get which entries, a mapping of namespaces, each a list of entry names, instead of what the
        catalog lists.
      - With O(state=absent) and without this option, every namespace loses all labels that begin with C(secrets/), and
        all of ESO's finalizers.
      - With O(state=absent), an entry that the catalog does not have any more may be named as well; ESO's finalizer for
        it is removed.
    type: dict
  missing:
    description: What to do about namespaces that do not exist. With V(fail), nothing at all is written.
    type: str
    choices: [create, fail, ignore]
    default: create
  exclusive:
    description:
      - Whether to remove labels that begin with C(secrets/) from namespaces to which neither the catalog nor
        O(assignments) gives them. So the label of an entry that was removed from the catalog is removed, too.
    type: bool
    default: false
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.ownership
"""

EXAMPLES = r"""
- name: Label the namespaces that the catalog lists
  platform.cluster_secrets.namespace_labels:
    catalog: "{{ cluster_secrets_catalog }}"

- name: Take a Secret from a namespace
  platform.cluster_secrets.namespace_labels:
    catalog: "{{ cluster_secrets_catalog }}"
    state: absent
    assignments:
      team-a: [application-docker-registry]

- name: Let one more namespace pull images
  platform.cluster_secrets.namespace_labels:
    catalog: "{{ cluster_secrets_catalog }}"
    assignments:
      team-a: [application-docker-registry]
    missing: fail
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
missing:
  description: Namespaces that do not exist and were left out.
  returned: success
  type: list
  elements: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from typing import TYPE_CHECKING, Any, Iterable

from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import LABEL_PREFIX
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import consumers
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import (
    FINALIZER_PREFIX,
    finalizer,
    is_owned,
    wanted_labels,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    OWNER_OPTION,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan import (
    plan_label,
    plan_namespace,
    plan_unlabel,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    NAMESPACES,
    cluster_external_secrets,
)

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.client import Client
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import Entry
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan import Action
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import Object

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "assignments": {"type": "dict"},
    "missing": {"type": "str", "choices": ["create", "fail", "ignore"], "default": "create"},
    "exclusive": {"type": "bool", "default": False},
    **CATALOG_OPTION,
    **OWNER_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Plan against the live namespaces and write the difference."""
    params, client, entries = context.params, context.client, context.entries
    removing = params["state"] == "absent"
    assignments = _checked(params["assignments"], None if removing else entries)
    items, _version = client.list(NAMESPACES, partial=True)
    live = {item["metadata"]["name"]: item for item in items}
    if removing:
        if assignments is None:
            planned = [_unlabel(item, _distributing(item, entries), entries) for item in live.values()]
        else:
            planned = _taken(context, assignments, live)
        absent = sorted(set(assignments or ()) - set(live))
        return context.result(_apply(context, [action for action in planned if action]), missing=absent)
    wanted = wanted_labels(entries, assignments)
    absent = sorted(set(wanted) - set(live))
    if absent and params["missing"] == "fail":
        fix = "Create them, correct the catalog entry that lists them, or set 'missing: create'."
        raise CatalogError("%d namespace(s) do not exist: %s. %s" % (len(absent), ", ".join(absent), fix))
    planned = [plan_label(live[name], labels) for name, labels in wanted.items() if name in live]
    created = [plan_namespace(name, wanted[name]) for name in absent] if params["missing"] == "create" else []
    if params["exclusive"]:
        spared = _selected_by_others(client)
        for name, item in live.items():
            surplus = _distributing(item, entries) - set(wanted.get(name, {})) - spared
            planned.append(_unlabel(item, surplus, entries, ()))
    # Unlabelling may meet a namespace that is labelled in the same run; one after the other is safe.
    labels = [action for action in planned if action and action.replan is None]
    unlabels = [action for action in planned if action and action.replan is not None]
    return context.result(
        _apply(context, created + labels, unlabels), missing=absent if params["missing"] == "ignore" else []
    )


def _apply(context: Context, *batches: list[Action]) -> list[Action]:
    by_gitops = context.params["owner"] == "gitops" and context.params["state"] == "present"
    return Executor(context.client, context.check_mode, read_only=by_gitops).run(*batches)


def _checked(assignments: dict[str, Any] | None, entries: list[Entry] | None) -> dict[str, list[str]] | None:
    """The assignments; without ``entries``, they may name what the catalog doesn't have."""
    if assignments is None:
        return None
    for namespace, names in assignments.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise CatalogError(
                "assignments of namespace '%s' must be a list of entry names. Write them as [name, ...]." % namespace
            )
        known = names if entries is None else [entry.name for entry in entries]
        for name in names:
            if name not in known:
                problem = "assignments of namespace '%s': there is no enabled catalog entry '%s'" % (namespace, name)
                raise CatalogError("%s. Known entries are: %s." % (problem, ", ".join(known)))
    return assignments


def _taken(context: Context, assignments: dict[str, list[str]], live: dict[str, Object]) -> list[Action | None]:
    """What takes entries from namespaces: the labels of those that the catalog has, and ESO's finalizers of all."""
    entries = {entry.name: entry for entry in context.entries}
    planned = []
    # Their ClusterExternalSecrets may select the namespace still, with no label that could be removed.
    unlabelled: dict[str, list[str]] = {}
    for namespace, names in assignments.items():
        item = live.get(namespace)
        if item is None:
            continue
        labels, held = set(), item["metadata"].get("finalizers") or []
        for name in names:
            entry = entries.get(name)
            if entry and entry.label:
                labels.add(entry.label[0])
            elif finalizer(name) in held:
                unlabelled.setdefault(namespace, []).append(name)
            elif entry is None:
                context.warn(
                    "namespace '%s' has nothing of '%s', and there is no enabled catalog entry of that name"
                    % (namespace, name)
                )
            if entry and namespace in entry.namespaces:
                context.warn(
                    "the catalog lists namespace '%s' in its entry '%s', so that the next bootstrap gives it the label "
                    "again" % (namespace, name)
                )
        planned.append(_unlabel(item, labels, context.entries, [finalizer(name) for name in names]))
    if unlabelled:
        _refuse_selected(context.client, unlabelled, live, set(entries))
    return planned


def _refuse_selected(client: Client, names_of: dict[str, list[str]], live: dict[str, Object], known: set[str]) -> None:
    """Raise CatalogError where ESO would put its finalizer back, because it still has to."""
    version, _served = eso.served(client)
    if version is None:
        return
    distributed = {one["metadata"]["name"]: one for one in client.list(cluster_external_secrets(version))[0]}
    for namespace, names in names_of.items():
        labels = live[namespace]["metadata"].get("labels") or {}
        for name in names:
            if name in distributed and consumers.selects(distributed[name], namespace, labels):
                raise CatalogError(
                    "ClusterExternalSecret '%s' gives namespace '%s' its Secret, and not by a label of the catalog. %s"
                    % (
                        name,
                        namespace,
                        "Take the namespace out of the entry's 'namespaces_by_name' and run bootstrap."
                        if name in known
                        else "Delete it, or change what it selects.",
                    )
                )


def _selected_by_others(client: Client) -> set[str]:
    """The keys of labels by which ClusterExternalSecrets select that the collection did not make."""
    version, _served = eso.served(client)
    if version is None:
        return set()
    keys: set[str] = set()
    for one in client.list(cluster_external_secrets(version), missing_ok=True)[0]:
        if is_owned(one):
            continue
        for condition in consumers.selection(one.get("spec") or {}):
            selector = condition.get("namespaceSelector") or {}
            keys.update(selector.get("matchLabels") or {})
            keys.update(expression["key"] for expression in selector.get("matchExpressions") or [])
    return keys


def _distributing(item: Object, entries: list[Entry]) -> set[str]:
    """The keys of a namespace's labels that are there for distribution only: others may have been there before."""
    labels = item["metadata"].get("labels") or {}
    ours = {entry.label[0] for entry in entries if entry.label and entry.label[0].startswith(LABEL_PREFIX)}
    return ours.union(key for key in labels if key.startswith(LABEL_PREFIX))


def _unlabel(
    item: Object, labels: set[str], entries: list[Entry], finalizers: Iterable[str] | None = None
) -> Action | None:
    """Remove labels, and ESO's finalizers of the same entries with them.

    :arg finalizers: others that go; None (teardown) is all of ESO's, also those of entries long gone.
    """
    gone = [finalizer(entry.name) for entry in entries if entry.label and entry.label[0] in labels]
    if finalizers is None:
        finalizers = [name for name in item["metadata"].get("finalizers") or [] if name.startswith(FINALIZER_PREFIX)]
    return plan_unlabel(item, labels, [*gone, *finalizers])


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
