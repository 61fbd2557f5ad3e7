# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The master Secrets: what values they are given, what is there already, and which of them go."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from .. import backups, permissions
from ..catalog.entries import NAME_LABEL, Recipe, of_sources
from ..catalog.values import check_values, generated, remarks, required_sources, to_be_given, written_by_others
from ..desired import consumers, stores
from ..desired.distribution import CHANGED, REGENERATED, central_secret, metadata
from ..errors import CatalogError, FileError, NotReady
from ..live import eso, snapshot, state
from ..module import CATALOG_OPTION, CHAIN_OPTIONS, PLATFORM_OPTIONS, Context, layout_of
from ..plan.actions import Action, plan_apply, plan_delete
from ..plan.secrets import content, plan_restore, redact_secret
from ..report.text import takeover_refused
from ..resources import ADMISSION, ESO_GROUP, NAMESPACES, RBAC, SECRETS, Object, decode, key_of, label_of, resource_of
from ..takeover import access, backup, preflight, removal
from .steps import Plan, Result, Step, alone

if TYPE_CHECKING:
    from ..takeover.preflight import Existing

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "values": {"type": "dict", "no_log": True},
    "create_namespace": {"type": "bool", "default": True},
    "prune": {"type": "bool", "default": False},
    "prune_entries": {"type": "bool", "default": False},
    "sources": {"type": "list", "elements": "str"},
    "regenerate": {"type": "dict", "default": {}},
    "takeover": {"type": "dict"},
    "preflight": {"type": "str", "choices": ["all", "values"], "default": "all"},
    "backup": {"type": "bool", "default": True},
    "backup_dir": {"type": "path", "default": "cluster-secrets-backups"},
    "server_url": {"type": "str", "default": "https://kubernetes.default.svc"},
    **CATALOG_OPTION,
    **CHAIN_OPTIONS,
    **PLATFORM_OPTIONS,
}


def plan(context: Context) -> Plan:
    """What makes the live Secrets hold the values."""
    values, recipes = _given(context)
    with context.client.remembering():
        return _planned(context, values, recipes)


run = alone(plan)


def _given(context: Context) -> tuple[dict[str, dict[str, bytes]], dict[str, dict[str, Recipe]]]:
    """The values that were given, and what is generated of which source. Raises CatalogError."""
    params = context.params
    if params["state"] == "absent":
        return {}, {}
    only = params["sources"]
    entries = of_sources(context.entries, only)
    recipes = generated(entries, only)
    if params["values"] is None and to_be_given(entries, only):
        raise CatalogError("the option 'values' is missing. Give the values of the catalog's sources.")
    values, ignored = check_values(entries, params["values"] or {}, only)
    for remark in remarks(context.entries, values, ignored):
        context.warn(remark)
    known = generated(context.entries)
    for name, request in params["regenerate"].items():
        if request in (None, ""):
            raise CatalogError(
                "regenerate: the request for source '%s' is empty. Give it a text that no earlier one had, such as a "
                "date." % name
            )
        if name not in known:
            raise CatalogError(
                "regenerate: no enabled catalog entry generates a value of source '%s'. Those that do are of: %s."
                % (name, ", ".join(sorted(known)) or "none")
            )
    return values, recipes


def _planned(context: Context, values: dict[str, dict[str, bytes]], recipes: dict[str, dict[str, Recipe]]) -> Plan:
    params, client = context.params, context.client
    namespace = params["store_namespace"]
    live, _version = client.list(SECRETS, namespace=namespace)
    for item in live:
        if item["metadata"]["name"] in values and "deletionTimestamp" in item["metadata"]:
            held = ", ".join(item["metadata"].get("finalizers") or []) or "nothing"
            raise NotReady(
                "%s is being deleted, and held by %s: what was written now would go with it. See to it that it is "
                "gone, then run this again." % (label_of("Secret", item), held)
            )
    by_name = {item["metadata"]["name"]: item for item in live}
    masters = _Masters(context, values, recipes)
    values = {name: masters.data(name, by_name.get(name)) for name in values}
    more: Result = {}
    findings: list[Existing] = []
    changing: list[Object] = []
    saving: list[Step] = []
    if params["takeover"] is not None and params["state"] == "present":
        findings, more, changing = _preflight(context, by_name, values)
        if more.get("failed"):
            return Plan(result=more)
        saving += [_saving(context, changing)] if changing else []
    removed = {name for finding in findings if finding.check == "values" for _namespace, name in finding.remove}
    before = dict(by_name)
    going = _going(context, live)
    if going.actions and params["backup"]:
        going, step = _backed_up(context, live, going)
        more.setdefault("backup", None)
        saving += [step] if step else []
    # What others put into a Secret that nobody can change comes back before it is changed. One after the other, so that
    # a run which stops on the way leaves one missing at most.
    remade: list[list[Action]] = []
    for name in sorted(removed & set(by_name)):
        old = {**_KIND, **by_name[name]}
        by_name[name] = _mutable(old)
        ours = backup.keys_of_ours([old]).get("%s/%s" % (namespace, name), ())
        remade += [[plan_delete(old)], *[[action] for action in plan_restore(by_name[name], None, ours)]]
    first: list[Action] = []
    # A missing namespace lists as empty, so it is looked for only when nothing is there.
    if not live and values:
        first = context.missing_namespace(namespace, params["create_namespace"])
    planned = [masters.plan(name, by_name.get(name)) for name in values]
    writes = [action for action in planned if action]
    more["left"] = [left._asdict() for left in going.left]
    more["changed_sources"] = {action.name: _changed_keys(before.get(action.name), action.body) for action in writes}
    steps = [*saving, Step([first, *remade, writes, going.actions])]
    return Plan(steps, more, {key_of(item): content(item) for item in changing})


class _Masters:
    """The master Secrets as they should be, each made of the values given and of what is live."""

    def __init__(
        self, context: Context, given: dict[str, dict[str, bytes]], recipes: dict[str, dict[str, Recipe]]
    ) -> None:
        self._namespace = context.params["store_namespace"]
        self._regenerate = context.params["regenerate"]
        self._given = given
        self._recipes = recipes
        self._known = generated(context.catalog)
        self._made: dict[tuple[str, str], bytes] = {}
        # By the clock that ESO's own times are by.
        self._now = context.client.now().strftime(state.TIME)

    def _is_asked_anew(self, name: str, live: Object | None) -> bool:
        wanted = self._regenerate.get(name)
        return wanted is not None and str(wanted) != _annotation(live, REGENERATED)

    def data(self, name: str, live: Object | None) -> dict[str, bytes]:
        """What a master Secret should hold, given the live one (None: absent)."""
        data = dict(self._given[name])
        there = decode(live) if live else {}
        anew = self._is_asked_anew(name, live)
        for key, recipe in self._known.get(name, {}).items():
            if key in self._recipes.get(name, {}):
                if anew or key not in there:
                    there[key] = self._made.setdefault((name, key), _made(recipe))
                data[key] = there[key]
            elif key in there:
                # An entry that is switched off keeps what nobody could bring back.
                data.setdefault(key, there[key])
        return data

    def plan(self, name: str, live: Object | None) -> Action | None:
        """The write that makes the live Secret (None: absent) what it should be, or None.

        It is written only over what was read. Of two runs at a time, the second takes the generated values of the
        first; a value that somebody else gave meanwhile stays, since neither the preflight nor the backup saw it.
        """
        data = self.data(name, live)
        old = decode(live) if live else {}
        changed = any(old.get(key) != value for key, value in data.items())
        # What is known of the time before us is kept, since our own writing hides it.
        when = self._now if changed or live is None else _annotation(live, CHANGED) or _time_of(live)
        annotations = {CHANGED: when}
        if name in self._known:
            done = _annotation(live, REGENERATED)
            if self._is_asked_anew(name, live):
                done = str(self._regenerate[name])
            if done:
                annotations[REGENERATED] = done
        desired = central_secret(name, self._namespace, data, _type(live), annotations)

        def again(now: Object | None) -> Action | None:
            return self.plan(name, now) if self._is_as_seen(name, old, decode(now) if now else {}) else action

        # One that is to be made anew has no version yet.
        bound = live is None or "resourceVersion" in live["metadata"]
        action = plan_apply(desired, live, redact_secret, again if bound else None)
        return action

    def _is_as_seen(self, name: str, seen: dict[str, bytes], now: dict[str, bytes]) -> bool:
        """Whether each value that is given still is what was seen, or what is given."""
        return all(now.get(key) in (seen.get(key), value) for key, value in self._given[name].items())


def _going(context: Context, central: list[Object]) -> removal.Going:
    """The master Secrets that the module removes."""
    params, client = context.params, context.client
    absent = params["state"] == "absent"
    if params["sources"] is not None or not (params["prune"] or absent):
        return removal.Going([], [])
    # Those of entries that are switched off stay: nothing else brings generated values back.
    kept = {} if absent else required_sources(context.catalog)
    named_sources = required_sources(context.catalog) if absent else ()
    written = written_by_others(context.catalog)
    going = removal.masters_going(central, kept, named_sources, {}, written)
    if not going.actions:
        return going  # who reads them matters only where some would go
    namespace = params["store_namespace"]
    version = eso.served(client)[0]
    used = {}
    taken: list[tuple[str | None, str]] = []
    if version:
        users = snapshot.read_users(client, version)
        cluster_stores = client.list(resource_of("%s/%s" % (ESO_GROUP, version), "ClusterSecretStore"))[0]
        layout = layout_of(params)
        named = set() if absent else {entry.name for entry in context.catalog}
        names = set(named)
        # Those of entries that left the catalog go on distributing until they are pruned.
        if absent or params["prune_entries"]:
            names |= removal.leaving(users.distributed, layout, named)
        used = removal.readers(namespace, cluster_stores, users, names, client.list(NAMESPACES, partial=True)[0])
        secret_stores = snapshot.read_secret_stores(client, version)
        used.update(consumers.through_own_stores(namespace, secret_stores, users.externals))
        taken = removal.taking(namespace, users.pushes, cluster_stores, secret_stores)
    return removal.masters_going(central, kept, named_sources, used, written, taken)


def _backed_up(context: Context, live: list[Object], going: removal.Going) -> tuple[removal.Going, Step | None]:
    """The step that backs up the Secrets that go. Those of which no backup can be taken don't go."""
    try:
        context.vault.encrypt("", "backup")
    except FileError as error:
        reason = "it can't be backed up before (%s)" % str(error).rstrip(".")
        stay = removal.unbacked(going, reason)
        context.warn(
            "%d master Secret(s) that nothing reads any more stay, since they can't be backed up before they go. Give "
            "the run a vault password, or set 'backup: false' (the variable cluster_secrets_backup)."
            % len(going.actions)
        )
        return stay, None
    names = {action.name for action in going.actions}
    secrets = [item for item in live if item["metadata"]["name"] in names]
    return going, _saving(context, secrets)


def _saving(context: Context, live: list[Object]) -> Step:
    """The step that backs up live Secrets. Raises FileError where that could not be done."""
    cluster = snapshot.identity(context.client)
    backups.save(context, live, cluster, dry=True)

    def save(result: Result) -> list[Action]:
        path = backups.save(context, live, cluster)
        result["backup"] = result.get("backup") or path
        return []

    return Step(then=save)


def _made(recipe: Recipe) -> bytes:
    return "".join(secrets.choice(recipe.alphabet) for _character in range(recipe.length)).encode()


def _preflight(
    context: Context, central: dict[str, Object], values: dict[str, dict[str, bytes]]
) -> tuple[list[Existing], Result, list[Object]]:
    """What was there before, what of it belongs to the module's result, and the Secrets that will change."""
    params, client = context.params, context.client
    answers = preflight.checked_answers(params["takeover"])
    namespace = params["store_namespace"]
    whole = {(namespace, name): item for name, item in central.items()}
    seen: dict[tuple[str, str], Object] = {}
    if params["preflight"] == "values":
        _refuse_without_stores(context)
        findings = list(preflight.values_found(namespace, central, values))
        findings += preflight.ended(namespace, central, values, state.utcnow(), context.warn)
    else:
        version = eso.served(client)[0]
        layout = layout_of(params, version)
        cluster = snapshot.Cluster(client, layout, version, central)
        cluster.look(client, preflight.suspects(context.entries, cluster))
        findings = preflight.find(
            context.entries, layout, cluster, values, params["owner"] == "gitops", params["prune_entries"]
        )
        findings += preflight.ended(namespace, central, values, state.utcnow(), context.warn)
        findings = preflight.in_order([*access_found(context, layout, cluster), *findings])
        whole.update(cluster.whole)
        seen = {**cluster.secrets, **cluster.whole}
    shown = [finding.answered(answers) for finding in findings]
    refused = [finding for finding in findings if not finding.accepted(answers)]
    if refused:
        return findings, {"failed": True, "msg": takeover_refused(refused)}, []
    warning = preflight.warning(findings)
    if warning:
        context.warn(warning)
    findings = [finding for finding in findings if answers[finding.check] == preflight.OVERWRITE]
    removals = {key for finding in findings if finding.check != "values" for key in finding.remove}
    result: Result = {"takeover": shown, "replace": {}, "backup": None}
    for key in sorted(removals):
        meta = seen[key]["metadata"]
        result["replace"].setdefault(key[0], {})[key[1]] = {meta["uid"]: meta["resourceVersion"]}
    changing = sorted({key for finding in findings for key in finding.backup})
    return findings, result, [whole[key] for key in changing if key in whole]


def _refuse_without_stores(context: Context) -> None:
    """Raise NotReady where no store serves the central namespace yet: values that nothing reads must not be left there,
    nor where a bootstrap would have looked who else reads them."""
    params, client = context.params, context.client
    layout = layout_of(params)
    binding = client.get(resource_of(RBAC, "ClusterRoleBinding").path(stores.READER))
    if binding and stores.is_established({("ClusterRoleBinding", stores.READER): binding}, layout):
        return
    version = eso.served(client)[0]
    path = resource_of("%s/%s" % (ESO_GROUP, version), "ClusterSecretStore").path(layout.store) if version else None
    if path is None or client.get(path) is None:
        raise NotReady(
            "the cluster at %s has no ClusterSecretStore %s, so nothing would read the values. Is it the right "
            "cluster? If so, run platform.cluster_secrets.bootstrap first. Nothing was written."
            % (client.server, layout.store)
        )


def access_found(context: Context, layout: stores.Layout, cluster: snapshot.Cluster) -> list[Existing]:
    """Who else has a foot in the central namespace and in ESO's, before the first master Secret is written."""
    params, client = context.params, context.client
    if stores.is_established(cluster.stores, layout):
        return []  # the audit's to say from now on
    namespace, of_eso = params["store_namespace"], params["eso_namespace"]
    names = [namespace] if namespace in cluster.namespaces else []
    trusted_namespaces = ["kube-system"]
    if of_eso in cluster.namespaces and of_eso not in (namespace, "kube-system"):
        if any(item["metadata"]["namespace"] == of_eso for item in eso.controllers(client)):
            trusted_namespaces.append(of_eso)
        else:
            names.append(of_eso)
    places = []
    users = {*params["platform_users"], *access.readers(cluster, params["store"], namespace)}
    trusted = permissions.Trusted(users, params["platform_groups"], trusted_namespaces)
    desired = stores.desired(layout, context.entries)
    for name in names:
        bindings, workloads = snapshot.read_place(client, name)
        if name == namespace:
            accounts = _squatted(cluster, desired, trusted)
        else:
            listed, _version = client.list(resource_of("v1", "ServiceAccount"), namespace=name, partial=True)
            accounts = {item["metadata"]["name"] for item in listed} - {"default"}
        places.append(access.Place(name, bindings, access.top_level(workloads), accounts))
    webhooks, _version = client.list(resource_of(ADMISSION, "MutatingWebhookConfiguration"))
    ours = [item for item in desired if item["kind"] == "RoleBinding"]
    central = cluster.namespaces.get(namespace) or {"metadata": metadata(namespace)}
    named = {**(central["metadata"].get("labels") or {}), NAME_LABEL: namespace}
    return list(access.find(places, trusted, webhooks, {"metadata": {"name": namespace, "labels": named}}, ours))


def _squatted(cluster: snapshot.Cluster, desired: list[Object], trusted: permissions.Trusted) -> set[str]:
    """The names of the readers' ServiceAccounts that are there before anything that only the platform writes, but for
    the one that a store already reads by."""
    names = {item["metadata"]["name"] for item in desired if item["kind"] == "ServiceAccount"}
    return {
        name
        for (kind, name), item in cluster.stores.items()
        if kind == "ServiceAccount"
        and name in names
        and not trusted.covers({"kind": kind, "name": name, "namespace": key_of(item)[0]})
    }


def _mutable(live: Object) -> Object:
    (kept,) = backup.kept([live])
    return {key: value for key, value in kept.items() if key != "immutable"}


def _time_of(live: Object) -> str:
    return state.value_changed(live).strftime(state.TIME)


def _annotation(live: Object | None, name: str) -> str | None:
    return ((live or {}).get("metadata", {}).get("annotations") or {}).get(name)


def _type(live: Object | None) -> str:
    return (live or {}).get("type") or "Opaque"


_KIND = {"apiVersion": "v1", "kind": "Secret"}


def _changed_keys(live: Object | None, desired: Object) -> dict[str, bool]:
    old = (live or {}).get("data") or {}
    return {key: True for key, value in desired["data"].items() if old.get(key) != value}
