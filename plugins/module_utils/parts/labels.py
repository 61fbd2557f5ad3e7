# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels of namespaces: given, and taken away."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ..catalog.checker import close_to
from ..catalog.entries import LABEL_PREFIX
from ..desired import consumers, stores
from ..desired.distribution import ESO_MANAGED_LABEL, finalizer, is_owned, wanted_labels
from ..errors import CatalogError, Denied, NotReady
from ..live import eso
from ..module import CATALOG_OPTION, OWNER_OPTION, STORE_NAMESPACE_OPTION, STORE_OPTION, wait_while
from ..plan.namespaces import plan_label, plan_namespace, plan_unlabel
from ..resources import (
    ESO_GROUP,
    NAMESPACES,
    SECRETS,
    cluster_external_secrets,
    external_secrets,
    is_of_eso,
    resource_of,
)
from ..takeover import removal
from .steps import Plan, Result, Step, alone

if TYPE_CHECKING:
    from ..api.client import Client
    from ..catalog.entries import Entry
    from ..module import Context
    from ..plan.actions import Action
    from ..resources import Object

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "assignments": {"type": "dict"},
    "missing": {"type": "str", "choices": ["create", "fail", "ignore"], "default": "create"},
    "exclusive": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 60},
    **CATALOG_OPTION,
    **OWNER_OPTION,
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}


def plan(context: Context) -> Plan:
    """What gives the live namespaces their labels, or takes them away."""
    params, client, entries = context.params, context.client, context.entries
    removing = params["state"] == "absent"
    if removing and params["assignments"] is None:
        raise CatalogError(
            "with 'state: absent', 'assignments' must name the namespaces and what is taken from each. To remove "
            "everything everywhere, use platform.cluster_secrets.teardown."
        )
    assignments = _checked(params["assignments"], None if removing else entries, params["store_namespace"])
    with client.remembering():
        items, _version = client.list(NAMESPACES, partial=True)
    live = {item["metadata"]["name"]: item for item in items}
    if removing and assignments is not None:
        planned = _taken(context, assignments, live)
        absent = sorted(set(assignments) - set(live))
        copies = _copies(context, assignments, live)
        wait = functools.partial(_wait_for_the_end, context, copies) if copies and params["wait"] else None
        # Finalizers are ESO's, and in nobody's repository.
        by_gitops = params["owner"] == "gitops" and any(map(_takes_labels, planned))
        step = Step([[action for action in planned if action]], then=wait, read_only=by_gitops)
        return Plan([step], {"missing": absent})
    wanted = wanted_labels(entries, assignments)
    if assignments is not None:
        _refuse_losses(context, assignments, live)
    absent = sorted(set(wanted) - set(live))
    if absent and params["missing"] == "fail":
        correct = "correct the catalog entry that lists them" if assignments is None else "correct the name"
        near = "".join(close_to(name, live) for name in absent)
        raise CatalogError(
            "%d namespace(s) do not exist: %s. %sCreate them, %s, or set 'missing: create'%s."
            % (
                len(absent),
                ", ".join(absent),
                near,
                correct,
                "" if assignments is None else " (-e cluster_secrets_namespaces_missing=create)",
            )
        )
    planned = [plan_label(live[name], labels) for name, labels in wanted.items() if name in live]
    unlabels: list[Action | None] = []
    created = [plan_namespace(name, wanted[name]) for name in absent] if params["missing"] == "create" else []
    left: list[removal.Left] = []
    if params["exclusive"]:
        listed = wanted if assignments is None else wanted_labels(entries)
        given = {name: {*wanted.get(name, {}), *listed.get(name, {})} for name in live}
        # Who else selects by a label matters only where one would go.
        goes = any(removal.surplus_labels(item, entries, given[name], {})[0] for name, item in live.items())
        spared = _selected_by_others(context) if goes else {}
        for name, item in live.items():
            surplus, stays = removal.surplus_labels(item, entries, given[name], spared)
            left += stays
            unlabels.append(_unlabel(item, surplus, entries))
    # Unlabelling may meet a namespace that is labelled in the same run; one after the other is safe.
    batches = [[*created, *filter(None, planned)], [*filter(None, unlabels)]]
    step = Step(batches, read_only=params["owner"] == "gitops")
    missing = absent if params["missing"] == "ignore" else []
    result = {"missing": missing, "left": [left_item._asdict() for left_item in left]}
    return Plan([step], result, labelled=wanted)


run = alone(plan)


def _takes_labels(action: Action | None) -> bool:
    """Whether the plan for a namespace takes a label away, and not only finalizers."""
    return action is not None and "labels" in (action.before or {}).get("metadata", {})


def _wait_for_the_end(context: Context, copies: dict[str, dict[str, Entry]], _result: Result) -> list[Action]:
    client, seconds = context.client, context.params["wait_timeout"]
    try:
        wait_while(client, lambda: _there_still(client, copies, seconds), seconds)
    except Denied as error:
        # Whoever may only label namespaces can do that.
        context.warn("whether ESO has removed the copies is not looked at: %s" % error)
    return []


def _checked(
    assignments: dict[str, Any] | None, entries: list[Entry] | None, central: str
) -> dict[str, list[str]] | None:
    """The assignments; without ``entries``, they may name what the catalog doesn't have."""
    if assignments is None:
        return None
    for namespace, names in assignments.items():
        if namespace == central and entries is not None:
            raise CatalogError(
                "assignments: namespace '%s' holds the master Secrets, and a target there could take the place of one. "
                "Take it out." % namespace
            )
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


def _values_of(namespace: str, entries: list[Entry]) -> None:
    """Raise CatalogError for entries of one namespace whose label can't have both values."""
    values: dict[str, str] = {}
    for key, value in (entry.label for entry in entries if entry.label):
        if values.setdefault(key, value) != value:
            raise CatalogError(
                "assignments: namespace '%s' can't carry both %s=%s and %s=%s. Take one of the entries away."
                % (namespace, key, values[key], key, value)
            )


def _taken(context: Context, assignments: dict[str, list[str]], live: dict[str, Object]) -> list[Action | None]:
    """What takes entries from namespaces: their labels, and ESO's finalizers.

    Raises CatalogError where somebody else would lose something, or ESO would put its finalizer back.
    """
    entries = {entry.name: entry for entry in context.entries}
    distributed = {item["metadata"]["name"]: item for item in _distributed(context.client, True)}
    planned = []
    for namespace, names in assignments.items():
        item = live.get(namespace)
        if item is None:
            context.warn("namespace '%s' does not exist" % namespace)
            continue
        labels, held = dict(item["metadata"].get("labels") or {}), item["metadata"].get("finalizers") or []
        keys: set[str] = set()
        if "deletionTimestamp" in item["metadata"]:
            # Nobody loses anything any more, and nobody can put a finalizer back.
            planned.append(plan_unlabel(item, keys, [finalizer(name) for name in names]))
            continue
        for name in names:
            entry = entries.get(name)
            if entry is None and finalizer(name) not in held:
                context.warn(
                    "namespace '%s' has nothing of '%s', and there is no enabled catalog entry of that name"
                    % (namespace, name)
                )
            elif entry and namespace in entry.namespaces:
                context.warn(
                    "the catalog lists namespace '%s' in its entry '%s', so the next bootstrap will give it the label "
                    "again" % (namespace, name)
                )
            if entry and entry.label and labels.get(entry.label[0]) == entry.label[1]:
                _refuse_shared(namespace, entry, names, entries, distributed, labels)
                keys.add(entry.label[0])
        left = {key: value for key, value in labels.items() if key not in keys}
        for name in names:
            entry = entries.get(name)
            if entry and namespace in entry.namespaces_by_name:
                raise CatalogError(
                    "entry '%s' names namespace '%s' in its 'namespaces_by_name'. Take it out and run bootstrap, then "
                    "run this again." % (name, namespace)
                )
            # Neither by its name nor by the entry's label, which were looked at.
            if entry and entry.selects(namespace, left):
                raise CatalogError(
                    "entry '%s' selects namespace '%s' by its 'namespace_selectors'. Leave the namespace out there, or "
                    "take away the label by which it is selected, and run bootstrap; then run this again."
                    % (name, namespace)
                )
            # Of ours, the selection by a label is the one that was looked at above.
            if name in distributed and consumers.selects(distributed[name], namespace, left):
                fix = "Delete it, or change what it selects."
                if entry:
                    fix = "Run bootstrap first."
                elif is_owned(distributed[name]):
                    fix = "Its entry is gone: run bootstrap with 'cluster_secrets_prune: [entries]'."
                raise CatalogError(
                    "ClusterExternalSecret '%s' gives namespace '%s' its Secret, and not by a label of the catalog. %s"
                    % (name, namespace, fix)
                )
        planned.append(plan_unlabel(item, keys, [finalizer(name) for name in names]))
    return planned


def _copies(
    context: Context, assignments: dict[str, list[str]], live: dict[str, Object]
) -> dict[str, dict[str, Entry]]:
    """What ESO is to remove: ``{namespace: {name of the ExternalSecret: its entry}}``."""
    entries = {entry.name: entry for entry in context.entries}
    copies: dict[str, dict[str, Entry]] = {}
    for namespace, names in assignments.items():
        if namespace not in live or "deletionTimestamp" in live[namespace]["metadata"]:
            continue  # everything there is going
        known = {entries[name].external_secret: entries[name] for name in names if name in entries}
        if known:
            copies[namespace] = known
    return copies


def _there_still(client: Client, copies: dict[str, dict[str, Entry]], seconds: int) -> NotReady | None:
    """What of the ``copies`` ESO has not removed, and what holds it."""
    version = eso.served(client)[0]
    held: list[removal.Left] = []
    for namespace, names in copies.items():
        externals = client.list(external_secrets(version), namespace=namespace)[0] if version else []
        made = {external["metadata"]["name"]: external for external in externals}
        targets = set(map(consumers.external_target, made.values()))
        for name, entry in names.items():
            target = entry.target
            if name in made and consumers.maker(made[name]) == entry.name:
                held.append(removal.ending("ExternalSecret", made[name]))
            secret = client.get(SECRETS.path(target, namespace))
            if secret is None or target in targets - {target if name in made else ""}:
                continue
            labels = secret["metadata"].get("labels") or {}
            if is_of_eso(secret) or labels.get(ESO_MANAGED_LABEL) == "true":
                held.append(removal.ending("Secret", secret))
    if not held:
        return None
    lines = ["the labels are gone, but %d s later ESO has not removed everything. Is its controller running?" % seconds]
    lines += ["- %s: %s. To remove it: %s" % left for left in held]
    return NotReady("\n".join(lines))


def _refuse_shared(
    namespace: str,
    entry: Entry,
    names: list[str],
    entries: dict[str, Entry],
    distributed: dict[str, Object],
    labels: dict[str, str],
) -> None:
    """Raise CatalogError for a label by which the namespace has more than what is taken from it."""
    key, value = entry.label or ("", "")
    if not key.startswith(LABEL_PREFIX):
        raise CatalogError(
            "the label '%s' of entry '%s' may be there for others than this collection. If it is not, remove it from "
            "namespace '%s' (kubectl label namespace %s %s-), then run this again."
            % (key, entry.name, *[namespace] * 2, key)
        )
    foreign = [
        name
        for name, one in distributed.items()
        # Ours may be of another catalog, or of an entry that has left this one.
        if (not is_owned(one) or name not in {*names, *entries})
        and key in consumers.label_keys(consumers.selection(one.get("spec") or {}))
    ]
    if foreign:
        raise CatalogError(
            "the label '%s=%s' gives namespace '%s' what ClusterExternalSecret '%s' distributes, which no enabled "
            "entry of the catalog makes. If the Secret is to go all the same: kubectl label namespace %s %s-"
            % (key, value, namespace, "' and '".join(foreign), namespace, key)
        )
    staying = [other for other in entries.values() if other.name not in names]
    others = [other.name for other in removal.served_by(key, staying, namespace, labels)]
    if others:
        raise CatalogError(
            "the label '%s=%s' gives namespace '%s' what '%s' distributes, too. Name it as well, or give one of them "
            "another label." % (key, value, namespace, "' and '".join(others))
        )


def _refuse_losses(context: Context, assignments: dict[str, list[str]], live: dict[str, Object]) -> None:
    """Raise CatalogError where a label would take a Secret away, or make ESO write over one that somebody made."""
    by_name = {entry.name: entry for entry in context.entries}
    places = []
    for namespace, names in assignments.items():
        chosen = [by_name[name] for name in names]
        _values_of(namespace, chosen)
        labels = (live.get(namespace) or {"metadata": {}})["metadata"].get("labels") or {}
        for entry in chosen:
            if namespace not in live or entry.selects(namespace, labels):
                continue
            places.append((namespace, entry))
            if entry.label is None:
                raise CatalogError(
                    "entry '%s' has no label that namespace '%s' could be given. Add the namespace to the entry's "
                    "'namespaces_by_name', or give it the labels by which the entry selects, and run bootstrap."
                    % (entry.name, namespace)
                )
            key = entry.label[0]
            losing = [entry.name for entry in context.entries if entry.label == (key, labels.get(key))]
            if losing:
                raise CatalogError(
                    "namespace '%s' carries %s=%s, by which it has what '%s' distributes, and '%s' would take that "
                    "away. Offboard it first." % (namespace, key, labels[key], losing[0], entry.name)
                )
            if not key.startswith(LABEL_PREFIX) and labels.get(key) not in (None, entry.label[1]):
                raise CatalogError(
                    "namespace '%s' carries %s=%s, by which others may select it, and '%s' would make it %s. Take the "
                    "label away first, if nobody needs it." % (namespace, key, labels[key], entry.name, entry.label[1])
                )
    secrets = context.client.each(lambda place: _seen(context.client, place[0], place[1].target), places)
    for (namespace, entry), secret in zip(places, secrets):
        if secret and not is_of_eso(secret):
            raise CatalogError(
                "Secret '%s' in namespace '%s' was not made by ESO, and would be written over. Nothing was changed. "
                "Move it away, or list the namespace in entry '%s' and run bootstrap with 'cluster_secrets_takeover', "
                "which backs it up." % (entry.target, namespace, entry.name)
            )


def _seen(client: Client, namespace: str, name: str) -> Object | None:
    """A Secret, or None where there is none that the play may read."""
    try:
        return client.get(SECRETS.path(name, namespace))
    except Denied:
        return None


def _selected_by_others(context: Context) -> dict[str, str]:
    """The keys of labels by which objects select that are not of this catalog, each with one of them."""
    params, client = context.params, context.client
    version, _served = eso.served(client)
    if version is None:
        return {}
    resources = [
        cluster_external_secrets(version),
        resource_of("%s/%s" % (ESO_GROUP, version), "ClusterSecretStore"),
        resource_of(ESO_GROUP + "/v1alpha1", "ClusterPushSecret"),
    ]
    distributed, *others = client.each(lambda resource: client.list(resource, missing_ok=True)[0], resources)
    kept = {entry.name for entry in context.entries}
    layout = stores.Layout("shared", params["store"], params["store_namespace"])
    own = kept | removal.leaving(distributed, layout, kept)
    staying = [one for one in distributed if not is_owned(one) or one["metadata"]["name"] not in own]
    return consumers.selecting(staying, *([item for item in items if not is_owned(item)] for items in others))


def _distributed(client: Client, may_be_denied: bool = False) -> list[Object]:
    """The live ClusterExternalSecrets; none where they can't be, or where the play may not look and that is allowed."""
    version, _served = eso.served(client)
    if version is None:
        return []
    try:
        return client.list(cluster_external_secrets(version), missing_ok=True)[0]
    except Denied:
        if may_be_denied:
            return []
        raise


def _unlabel(item: Object, labels: set[str], entries: list[Entry]) -> Action | None:
    """Remove labels, and ESO's finalizers of the same entries with them, unless an entry names the namespace."""
    name = item["metadata"]["name"]
    finalizers = [
        finalizer(entry.name)
        for entry in entries
        if entry.label and entry.label[0] in labels and name not in entry.namespaces_by_name
    ]
    return plan_unlabel(item, labels, finalizers)
