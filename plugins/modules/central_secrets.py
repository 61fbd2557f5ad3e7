#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module central_secrets: seed the central store."""

from __future__ import annotations

DOCUMENTATION = r"""
module: central_secrets
short_description: Seed the master Secrets of the central store
version_added: 1.0.0
description:
  - Creates and updates the master Secrets that the catalog's entries read, with values that can come from any lookup.
  - All values are checked against the catalog before anything is written.
  - Keys and Secrets of other owners are left alone.
  - When a value changes, the time is recorded in the master Secret's annotation C(cluster-secrets/value-changed).
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows which keys change, and never a value.
    support: full
options:
  state:
    description: With V(absent), the master Secrets that this module created or took over are deleted, except for those
      that others read. O(values) is then not needed.
    type: str
    choices: [present, absent]
    default: present
  values:
    description:
      - The values, a mapping of sources, each a mapping of keys to strings (binary data as a mapping of C(base64)).
      - Sources that no enabled entry of the catalog reads are left out, with a warning.
      - What the catalog generates is not given here.
    type: dict
  create_namespace:
    description: Whether to create the namespace of the central store when it is missing.
    type: bool
    default: true
  prune:
    description: Whether to delete master Secrets that this module created or took over and that no entry, nor anything
      else, reads any more.
    type: bool
    default: false
  prune_entries:
    description: Whether the same run removes what was created by entries that are no longer in the catalog, so that
      O(takeover) does not report it as lost.
    type: bool
    default: false
  sources:
    description: The master Secrets to write, by default all. Values of others are neither needed nor looked at.
    type: list
    elements: str
  regenerate:
    description:
      - The sources whose generated values are regenerated, each with a text that distinguishes one request from the
        next, such as the date. A completed request is recorded in an annotation and not repeated.
      - Other values are generated once, when the master Secret does not have them.
    type: dict
    default: {}
  takeover:
    description:
      - If given, the module first looks for everything that existed before and that a bootstrap with this catalog would
        change or break. Anything that is not accepted fails the module before anything is written.
      - A mapping of kinds to answers. The kinds are C(consumers) of the store that the catalog doesn't know (C(keep) or
        C(drop)), C(entries), which are ClusterExternalSecrets that others created (C(adopt) or C(overwrite)), C(stores)
        with their permissions (C(adopt) or C(overwrite)), C(values) of master Secrets (C(overwrite)), C(targets) that
        exist already (C(adopt) or C(overwrite)), field C(managers) such as Argo CD (C(overwrite)), C(losses), which is
        what this collection distributes now but no longer would (C(accept)), C(access) of others to a central namespace
        that existed before the collection (C(accept)), and C(ended), which are expired
        certificates and tokens that would be written (C(accept)). C(operator) is for
        M(platform.cluster_secrets.eso_release).
      - C(adopt) accepts changes that nobody notices, and C(overwrite) accepts all changes, after a backup of the
        Secrets that change. The default for each kind is C(refuse).
    type: dict
  preflight:
    description: Whether O(takeover) covers everything, or only the values of master Secrets, as for a rotation.
    type: str
    choices: [all, values]
    default: all
  backup:
    description: Whether Secrets are backed up before they are removed. If so, none is removed without the run's vault
      password.
    type: bool
    default: true
  backup_dir:
    description: The folder, on the control node, for the backup that is taken before Secrets are overwritten or
      removed.
    type: path
    default: cluster-secrets-backups
  server_url:
    description: The URL at which ESO is to reach the Kubernetes API, for the comparison that O(takeover) makes.
    type: str
    default: https://kubernetes.default.svc
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.isolation
  - platform.cluster_secrets.ownership
  - platform.cluster_secrets.identities.eso
  - platform.cluster_secrets.identities.platform
seealso:
  - module: platform.cluster_secrets.sync
"""

EXAMPLES = r"""
- name: Seed the central store from an ansible-vault file
  platform.cluster_secrets.central_secrets:
    catalog: "{{ cluster_secrets_catalog }}"
    values: "{{ lookup('platform.cluster_secrets.values_file', 'secrets.vault.yml') }}"
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
  sample: [{"kind": "Secret", "namespace": "central-secret-store", "name": "github-pat", "result": "updated"}]
changed_sources:
  description:
    - The master Secrets that change, each a mapping whose keys are the changed keys, for the option of the same name of
      M(platform.cluster_secrets.sync).
    - Names are mapping keys here because everywhere else Ansible masks names that contain a value.
  returned: success
  type: dict
  sample: {"github-pat": {"token": true}}
takeover:
  description: What existed before, each with its kind, object, message, the answers that accept it, and whether it is
    accepted.
  returned: when O(takeover) is given
  type: list
  elements: dict
replace:
  description: The targets that Kubernetes does not allow to be changed in place, as a mapping of namespaces, each a
    mapping of names, each a mapping whose key is the uid, for the option of the same name of
    M(platform.cluster_secrets.cluster_external_secrets). Ansible does not mask keys.
  returned: when O(takeover) is given
  type: dict
backup:
  description: The path of the backup that was taken, if any.
  returned: when O(takeover) is given, or Secrets are removed
  type: str
left:
  description: The Secrets that should have been removed but were left in place, each with the C(object), the C(reason)
    and the C(command) that would remove it.
  returned: success
  type: list
  elements: dict
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

import secrets
from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import backups, permissions
from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import NAME_LABEL, of_sources
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.values import (
    check_values,
    generated,
    remarks,
    required_sources,
    to_be_given,
    written_by_others,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import consumers, stores
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import (
    CHANGED,
    REGENERATED,
    central_secret,
    metadata,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError, FileError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso, snapshot, state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    ESO_IDENTITY_OPTIONS,
    ISOLATION_OPTION,
    OWNER_OPTION,
    PLATFORM_OPTIONS,
    STORE_NAMESPACE_OPTION,
    STORE_OPTION,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan import (
    plan_apply,
    plan_delete,
    plan_restore,
    redact_secret,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report.text import takeover_refused
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    ADMISSION,
    ESO_GROUP,
    ESO_VERSIONS,
    NAMESPACES,
    SECRETS,
    decode,
    key_of,
    resource_of,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover import (
    access,
    backup,
    preflight,
    removal,
)

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import Recipe
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan import Action
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import Object
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover.preflight import Finding

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
    **ESO_IDENTITY_OPTIONS,
    **ISOLATION_OPTION,
    **OWNER_OPTION,
    **PLATFORM_OPTIONS,
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Plan against the live Secrets and write the difference."""
    params, client = context.params, context.client
    namespace = params["store_namespace"]
    values: dict[str, dict[str, bytes]] = {}
    recipes: dict[str, dict[str, Recipe]] = {}
    if params["state"] == "present":
        entries = of_sources(context.entries, params["sources"])
        only = params["sources"]
        recipes = generated(entries, only)
        if params["values"] is None and to_be_given(entries, only):
            raise CatalogError("the option 'values' is missing. Give the values of the catalog's sources.")
        values, ignored = check_values(entries, params["values"] or {}, only)
        for one in remarks(context.entries, values, ignored):
            context.warn(one)
        known = generated(context.entries)
        for name in params["regenerate"]:
            if name not in known:
                raise CatalogError(
                    "regenerate: no enabled catalog entry generates a value of source '%s'. Those that do are of: %s."
                    % (name, ", ".join(sorted(known)) or "none")
                )
    live, _version = client.list(SECRETS, namespace=namespace)
    by_name = {item["metadata"]["name"]: item for item in live}
    masters = _Masters(context, values, recipes)
    values = {name: masters.data(name, by_name.get(name)) for name in values}
    more: dict[str, Any] = {}
    findings: list[Finding] = []
    if params["takeover"] is not None and params["state"] == "present":
        findings, more = _preflight(context, by_name, values)
        if more.get("failed"):
            return more
    removed = {name for one in findings if one.kind == "values" for _namespace, name in one.remove}
    before = dict(by_name)
    going = _going(context, live)
    if going.actions and params["backup"]:
        going, path = _backed_up(context, live, going)
        more["backup"] = more.get("backup") or path
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
    actions = Executor(client, context.check_mode).run(first, *remade, writes, going.actions)
    return context.result(
        actions,
        **more,
        left=[one._asdict() for one in going.left],
        changed_sources={action.name: _changed_keys(before.get(action.name), action.body) for action in writes},
    )


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
        self._now = state.utcnow().strftime(state.TIME)

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

        Generated values are written only over what was read: of two runs at a time, the second takes those of the
        first.
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
        bound = live is None or (name in self._known and "resourceVersion" in live["metadata"])
        again = (lambda found: self.plan(name, found)) if bound else None
        return plan_apply(desired, live, redact_secret, again)


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
    if version:
        users = snapshot.read_users(client, version)
        cluster_stores = client.list(resource_of("%s/%s" % (ESO_GROUP, version), "ClusterSecretStore"))[0]
        layout = stores.Layout(params["isolation"], params["store"], namespace)
        named = set() if absent else {entry.name for entry in context.catalog}
        names = set(named)
        # Those of entries that left the catalog go on distributing until they are pruned.
        if absent or params["prune_entries"]:
            names |= removal.leaving(users.distributed, layout, named)
        used = removal.readers(namespace, cluster_stores, users, names, client.list(NAMESPACES, partial=True)[0])
        secret_stores = snapshot.read_secret_stores(client, version)
        used.update(consumers.through_own_stores(namespace, secret_stores, users.externals))
    return removal.masters_going(central, kept, named_sources, used, written)


def _backed_up(context: Context, live: list[Object], going: removal.Going) -> tuple[removal.Going, str | None]:
    """Back up the Secrets that go: the path of the backup. Those of which none can be taken don't go."""
    try:
        context.vault.encrypt("", "backup")
    except FileError as error:
        reason = "it can't be backed up before (%s)" % str(error).rstrip(".")
        stay = removal.unbacked(going, reason)
        context.warn(
            "%d master Secret(s) that nothing reads any more stay, since they can't be backed up before they go. Give "
            "the run a vault password, or set 'backup: false' (the variable cluster_secrets_central_backup)."
            % len(going.actions)
        )
        return stay, None
    names = {action.name for action in going.actions}
    secrets = [item for item in live if item["metadata"]["name"] in names]
    return going, backups.save(context, secrets, snapshot.identity(context.client))


def _made(recipe: Recipe) -> bytes:
    return "".join(secrets.choice(recipe.alphabet) for _character in range(recipe.length)).encode()


def _preflight(
    context: Context, central: dict[str, Object], values: dict[str, dict[str, bytes]]
) -> tuple[list[Finding], dict[str, Any]]:
    """What was there before, and what of it belongs to the module's result; a backup is taken of what will change."""
    params, client = context.params, context.client
    answers = preflight.checked_answers(params["takeover"])
    namespace = params["store_namespace"]
    whole = {(namespace, name): item for name, item in central.items()}
    uids: dict[tuple[str, str], str] = {}
    if params["preflight"] == "values":
        findings = list(preflight.values_found(namespace, central, values))
        findings += preflight.ended(namespace, central, values, state.utcnow(), context.warn)
    else:
        version = eso.served(client)[0]
        layout = stores.Layout(
            params["isolation"],
            params["store"],
            namespace,
            params["server_url"],
            (params["eso_namespace"], params["eso_service_account"]),
            api_version=version or ESO_VERSIONS[0],
        )
        cluster = snapshot.Cluster(client, layout, version, central)
        cluster.look(client, preflight.suspects(context.entries, cluster))
        findings = preflight.find(
            context.entries, layout, cluster, values, params["owner"] == "gitops", params["prune_entries"]
        )
        findings += preflight.ended(namespace, central, values, state.utcnow(), context.warn)
        findings = preflight.in_order([*_access(context, layout, cluster), *findings])
        whole.update(cluster.whole)
        uids = {key: item["metadata"]["uid"] for key, item in cluster.secrets.items()}
    shown = [one.as_dict(answers) for one in findings]
    refused = [one for one in findings if not one.accepted(answers)]
    if refused:
        return findings, {"failed": True, "msg": takeover_refused(refused)}
    warning = preflight.warning(findings)
    if warning:
        context.warn(warning)
    findings = [one for one in findings if answers[one.kind] == preflight.OVERWRITE]
    removals = {key for one in findings if one.kind != "values" for key in one.remove}
    result: dict[str, Any] = {
        "takeover": shown,
        "replace": {},
        "backup": None,
    }
    for key in sorted(removals):
        result["replace"].setdefault(key[0], {})[key[1]] = {uids[key]: True}
    changing = sorted({key for one in findings for key in one.backup})
    if changing:
        secrets = [whole[key] for key in changing if key in whole]
        result["backup"] = backups.save(context, secrets, snapshot.identity(client))
    return findings, result


def _access(context: Context, layout: stores.Layout, cluster: snapshot.Cluster) -> list[Finding]:
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


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
