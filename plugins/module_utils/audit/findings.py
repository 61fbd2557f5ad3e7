# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what breaks the rule 'nobody creates a Secret by hand'. Pure.

:func:`find` judges what :class:`Inventory` holds; reading it is the module's work.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Iterator, Mapping

from .. import advisories, lifetimes, permissions
from ..catalog.entries import LABEL_PREFIX, Entry
from ..catalog.values import required_sources, slips
from ..desired import consumers, guard, stores
from ..desired.distribution import ESO_MANAGED_LABEL, FINALIZER_PREFIX, is_owned
from ..findings import BOOTSTRAP, ERROR, INFO, LOGS, ROTATE, WARNING, Finding, Fix, offboarding, playbook, rotation
from ..live import state
from ..plan.namespaces import orphaned_finalizers
from ..resources import ESO_GROUP, RBAC, WORKLOADS, Object, holds_true, is_of_eso, key_of, owners_of, shortened

if TYPE_CHECKING:
    from ..live.eso import Release
    from ..live.snapshot import Inventory, Snapshot

#: Writes answer with the object, its data included, and so does a deletion of several.
_READ = ("get", "list", "watch", "update", "patch", "delete", "deletecollection")
_WRITE = ("create", "update", "patch")

#: What runs commands in a pod that is there, and how it is asked for.
_COMMANDS = ("pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "pods/ephemeralcontainers")
_COMMAND = ("get", "create", "update", "patch")

#: Impersonation that is constrained to some requests, which Kubernetes has since 1.36.
_CONSTRAINED = tuple(
    "impersonate:" + mode for mode in ("user-info", "serviceaccount", "arbitrary-node", "associated-node")
)

_PLATFORM = ", or name the subject in cluster_secrets_platform_users (or _groups), if it is the platform's"

#: kubectl, as the API server records it.
_BY_HAND = {"kubectl", "kubectl-create", "kubectl-edit", "kubectl-patch", "kubectl-client-side-apply"}

#: How namespaces are written, each by a permission of its own.
_NAMESPACES = ("namespaces", "namespaces/status", "namespaces/finalize")


class Scope:
    """What the audit is about.

    :arg catalog: all entries, those that are not enabled too, whose sources may stay; :arg layout: the stores.Layout of
        the central store; :arg trusted: the permissions.Trusted.
    """

    def __init__(
        self, catalog: list[Entry], layout: stores.Layout, eso_namespace: str, trusted: permissions.Trusted
    ) -> None:
        self.catalog = catalog
        self.entries = [entry for entry in catalog if entry.enabled]
        self.layout = layout
        self.eso_namespace = eso_namespace
        self.trusted = trusted


def find(scope: Scope, inventory: Inventory, rows: list[state.Row]) -> list[Finding]:
    """All findings. :arg rows: of the same snapshot, as state.judge() returns them."""
    entries, namespace = scope.entries, scope.layout.namespace
    # The guard of another catalog protects that.
    policies, bindings = (
        [item for item in items if guard.guarded_elsewhere(item, namespace) is None]
        for items in (inventory.policies, inventory.policy_bindings)
    )
    enforced = guard.enforced(policies, bindings)
    findings: list[Finding] = []
    findings.extend(_sources(entries, inventory.snapshot))
    findings.extend(_slips(entries, inventory.snapshot, namespace))
    findings.extend(_open(entries))
    findings.extend(_rows(rows, inventory))
    findings.extend(_hand_made(entries, inventory, namespace))
    findings.extend(_look_alikes(inventory, namespace))
    findings.extend(_central(scope, inventory))
    findings.extend(_typed(entries, inventory, namespace))
    others = [item for item in inventory.distributed if not stores.is_of_catalog(item, scope.layout)]
    foreign = [item for item in inventory.stores if not is_owned(item)]
    used = consumers.selecting(others, foreign, inventory.cluster_push_secrets)
    findings.extend(_labels(entries, inventory.snapshot.namespaces, used))
    findings.extend(_finalizers(inventory))
    findings.extend(_distributed(scope, inventory))
    findings.extend(_tenants(inventory, scope.layout))
    findings.extend(_stores(scope, inventory.stores))
    everything = permissions.grants(
        inventory.bindings, inventory.cluster_bindings, inventory.roles, inventory.cluster_roles
    )
    findings.extend(_permissions(scope, inventory, everything, enforced))
    findings.extend(_webhooks(scope, inventory))
    findings.extend(_talosconfigs(scope, inventory, everything))
    findings.extend(_versions(inventory.crds))
    findings.extend(_vulnerabilities(scope, inventory.release))
    kept = {consumer.label() for consumer in _kept(scope, inventory)}
    findings = [_softened(one) if one.check in _OF_CONSUMERS and _label(one) in kept else one for one in findings]
    return _collapsed(findings)


#: What is found of each subject of a binding. So many may differ in their names only; beyond, one says how many.
_OF_SUBJECTS = ("wide-permission", "reads-every-source", "may-label")
_ALIKE = 20


#: What the owner of a namespace can have found there as often as he likes.
_OF_CONTENT = (
    *("label-value", "label-without-entry", "look-alike", "orphaned-finalizer"),
    *("tenant-opens-store", "tenant-reads-store", "tenant-writes-store"),
    *("missing-label", "missing-key", "old-value"),
    *_OF_SUBJECTS,
)


def _collapsed(findings: list[Finding]) -> list[Finding]:
    """Those that differ in their names only as one: a binding that a tenant fills with subjects hides nothing else.

    Nor does a namespace that he fills with what is found there: the first of each check are shown.
    """
    alike: dict[Finding, list[Finding]] = {}
    for one in findings:
        alike.setdefault(replace(one, name=""), []).append(one)
    kept = []
    for group in alike.values():
        if len(group) > _ALIKE and group[0].check in _OF_SUBJECTS:
            group = [replace(group[0], name="%s and %d more" % (group[0].name, len(group) - 1))]
        kept += group
    return first_of_each(kept)


def first_of_each(findings: list[Finding]) -> list[Finding]:
    """Of what the owner of a namespace can have found there at will, the first of each check, and how many more."""
    counts: dict[tuple[str, str], int] = {}
    kept = []
    for one in findings:
        if one.check in _OF_CONTENT and one.namespace:
            key = (one.check, one.namespace)
            counts[key] = counts.get(key, 0) + 1
            if counts[key] > _ALIKE:
                continue
        kept.append(one)
    for (check, namespace), count in counts.items():
        if count > _ALIKE:
            first = next(one for one in kept if (one.check, one.namespace) == (check, namespace))
            kept.append(replace(first, name="%d more" % (count - _ALIKE), message="the same is found of these"))
    return kept


#: Stands for a namespace that somebody makes.
_ANY_NAME = "a-namespace-of-no-name-that-anybody-excludes"


def _open(entries: list[Entry]) -> Iterator[Finding]:
    """Entries that a namespace gets without a label, and so whoever may make one."""
    for entry in entries:
        if entry.selects(_ANY_NAME, {}):
            message = "every namespace that somebody makes gets its target, unless a label or its name excludes it"
            fix = Fix("Select by a label, which only the platform may give")
            yield Finding(WARNING, "open-entry", None, entry.name, message, fix)


def in_order(findings: list[Finding]) -> list[Finding]:
    """Errors first, then warnings, then the rest, each by check, namespace and name."""
    ranks = (ERROR, WARNING, INFO)
    return sorted(findings, key=lambda one: (ranks.index(one.severity), one.check, one.namespace or "", one.name))


#: What is found of a consumer of the central store that the catalog doesn't know, and the kinds that it may be.
_OF_CONSUMERS = {
    "foreign-entry": "ClusterExternalSecret",
    "tenant-reads-store": "ExternalSecret",
    "tenant-writes-store": "PushSecret",
}


def _own_store(scope: Scope, inventory: Inventory) -> Object | None:
    """The live shared store, if it is the collection's."""
    name = scope.layout.store
    return next((store for store in inventory.stores if store["metadata"]["name"] == name and is_owned(store)), None)


def _kept(scope: Scope, inventory: Inventory) -> list[consumers.Consumer]:
    """The consumers that the shared store serves because they were there before the collection."""
    layout = scope.layout
    names = consumers.known_names(_own_store(scope, inventory))
    if not names:
        return []
    users = consumers.find(
        layout.store,
        {entry.name for entry in scope.entries},
        inventory.distributed,
        inventory.snapshot.externals.values(),
        inventory.push_secrets,
        inventory.cluster_push_secrets,
    )
    return [one for one in users if one.label() in names]


def _guarded(scope: Scope, inventory: Inventory) -> list[consumers.Consumer]:
    store, externals = _own_store(scope, inventory), inventory.snapshot.externals.values()
    return consumers.guarded(store, scope.layout.store, scope.entries, inventory.distributed, externals)


def _label(finding: Finding) -> str:
    kind = _OF_CONSUMERS[finding.check]
    if kind == "PushSecret" and finding.namespace is None:
        kind = "ClusterPushSecret"
    return "%s %s" % (kind, finding.object)


def _softened(finding: Finding) -> Finding:
    message = "it was there before the collection and was kept; nothing rotates or verifies it"
    fix = Fix("Add it to the catalog, or delete it")
    return Finding(WARNING, "kept-consumer", finding.namespace, finding.name, message, fix)


def _sources(entries: list[Entry], snapshot: Snapshot) -> Iterator[Finding]:
    seen: set[str] = set()
    for entry in entries if snapshot.values_read else ():
        _data, problem = state.expected_data(entry, snapshot.sources or {})
        if problem and problem not in seen:
            seen.add(problem)
            yield Finding(ERROR, "missing-source", None, entry.name, problem, value_fix(entry))


def _slips(entries: list[Entry], snapshot: Snapshot, namespace: str) -> Iterator[Finding]:
    """Values that whatever uses them may refuse, whoever wrote them."""
    needed = required_sources(entries)
    for source, data in sorted((snapshot.sources or {}).items()) if snapshot.values_read else ():
        for key, slip in slips(data).items():
            if key in needed.get(source, {}):
                message = "the value of '%s' %s, which whatever uses it may refuse" % (key, slip)
                fix = rotation("Remove that, unless it belongs there, then", source)
                yield Finding(WARNING, "suspicious-value", namespace, source, message, fix)


def value_fix(entry: Entry, missing: Mapping[str, set[str] | None] | None = None) -> Fix:
    """What gives an entry's sources the values that they lack: ``{source: keys, or None for all}``, or all (None)."""
    lacking = dict.fromkeys(entry.sources) if missing is None else dict(missing)
    sources = ",".join(lacking)
    others = [entry.written_by[source] for source in lacking if source in entry.written_by]
    if others:
        hint = "%s writes the source: look there, then bring it to the targets" % " and ".join(others)
        return rotation(hint, sources)
    keys = entry.source_keys()
    wanted = {(source, key) for source, some in lacking.items() for key in (keys[source] if some is None else some)}
    if wanted and wanted <= {(entry.source, key) for key in entry.generate}:
        return rotation("", sources)
    return rotation("Add it to the values, then", sources)


def _rows(rows: list[state.Row], inventory: Inventory) -> Iterator[Finding]:
    unowned = {key_of(item): item for item in inventory.secrets if not is_of_eso(item)}
    fixes = {
        state.STALE: ROTATE,
        state.FAILING: playbook("rotate", "Find out why (kubectl describe externalsecret), fix that, then"),
        state.MISSING: LOGS,
        state.UNLABELLED: playbook("bootstrap", "Remove the namespace from the catalog, or give it the label"),
        state.ABSENT_NAMESPACE: Fix("Create the namespace, or remove it from the catalog"),
    }
    for row in rows:
        if row.status == state.SYNCED:
            continue
        if row.status in (state.MISSING, state.FAILING, state.STALE) and row.key in unowned:
            owners = owners_of(unowned[row.key])
            message = "a Secret %s has the name of a target, so ESO can't write it" % (
                "that names %s as its owner" % shortened(owners, 3) if owners else "made by hand"
            )
            fix = shadow_fix(row.namespace, owners, Fix("Delete the Secret; ESO then makes it"))
            yield Finding(ERROR, "shadowed-target", row.namespace, row.entry.target, message, fix)
            continue
        severity = WARNING if row.status in (state.UNLABELLED, state.ABSENT_NAMESPACE) else ERROR
        yield Finding(
            severity, row.status.replace(" ", "-"), row.namespace, row.entry.target, row.message, fixes[row.status]
        )


def shadow_fix(namespace: str, owners: list[str], delete: Fix) -> Fix:
    """What ends it that a Secret of others has the name of a target in a namespace.

    :arg owners: those whom it names as its owners, who may make it anew, and whom its writer may have made up; :arg
        delete: how it is deleted.
    """
    if owners:
        hint = "Look in namespace %s who writes it, since the owners that it names may be made up; end that there, or "
        return Fix(hint % namespace + "give the entry another target")
    return delete._replace(hint="Keep its value, if it is the only copy. " + delete.hint)


def _hand_made(entries: list[Entry], inventory: Inventory, store_namespace: str) -> Iterator[Finding]:
    called_for = {
        (namespace, entry.target)
        for entry in entries
        for namespace in state.labelled(inventory.snapshot.namespaces, entry)
    }
    names, made = {entry.target: entry for entry in entries}, _made(inventory)
    for item in inventory.secrets:
        namespace, name = key_of(item)
        if name not in names or namespace == store_namespace or (namespace, name) in called_for:
            continue
        # Labels and owners can be forged; what makes Secrets is there to be seen.
        if (namespace, name) in made:
            continue
        message = "a Secret with the name of a target, in a namespace that gets no such target"
        fix = Fix("If it is a copy, delete it, and onboard the namespace if it needs the Secret")
        yield Finding(WARNING, "hand-made-copy", namespace, name, message, fix)


def _made(inventory: Inventory) -> set[tuple[str, str]]:
    """(namespace, name) of the Secrets that ExternalSecrets make.

    One that only names a Secret makes nothing: the Secret says who made it, unless it is to have no owner.
    """
    secrets = {key_of(item): item for item in inventory.secrets}
    made = set()
    for (namespace, name), item in inventory.snapshot.externals.items():
        target = (item.get("spec") or {}).get("target") or {}
        key = (namespace, target.get("name") or name)
        owners = (secrets.get(key) or {"metadata": {}})["metadata"].get("ownerReferences") or []
        owned = any(owner.get("uid") == item["metadata"].get("uid") for owner in owners)
        unowned = target.get("creationPolicy") in ("Orphan", "Merge") and holds_true(item, "Ready")
        if owned or unowned:
            made.add(key)
    return made


def _look_alikes(inventory: Inventory, store_namespace: str) -> Iterator[Finding]:
    """Secrets that only wear ESO's label."""
    made = _made(inventory)
    for item in inventory.secrets:
        namespace, name = key_of(item)
        labels = item["metadata"].get("labels") or {}
        if labels.get(ESO_MANAGED_LABEL) != "true" or (namespace, name) in made or namespace == store_namespace:
            continue
        if "deletionTimestamp" in item["metadata"]:
            continue
        message = "it has ESO's label, but no ExternalSecret makes it, so nothing updates or removes it"
        yield Finding(WARNING, "look-alike", namespace, name, message, Fix("Delete it, or remove the label"))


def _central(scope: Scope, inventory: Inventory) -> Iterator[Finding]:
    """What is in the central namespace and no entry's source."""
    known = {source for entry in scope.catalog for source in entry.sources}
    for consumer in _kept(scope, inventory):
        if consumer.reads is consumers.EVERYTHING or consumer.writes is consumers.EVERYTHING:
            return  # nobody can say what it does without
        known |= consumer.reads | consumer.writes
    for item in inventory.secrets:
        namespace, name = key_of(item)
        if namespace != scope.layout.namespace or name in known or _of_a_tool(item):
            continue
        if is_owned(item):
            fix = playbook("bootstrap", prune="masters")
            yield Finding(
                WARNING, "left-over-source", namespace, name, "no entry of the catalog reads it any more", fix
            )
        else:
            message = "a Secret in the central namespace that no entry of the catalog reads"
            fix = Fix("Add an entry for it (adopt writes one down), or delete it")
            yield Finding(WARNING, "hand-made-source", namespace, name, message, fix)


def _typed(entries: list[Entry], inventory: Inventory, store_namespace: str) -> Iterator[Finding]:
    """Secrets that somebody typed, by the API server's record of who wrote them."""
    targets = {entry.target for entry in entries}
    for item in inventory.secrets:
        namespace, name = key_of(item)
        if namespace == store_namespace or name in targets or _of_a_tool(item):
            continue
        managers = {record.get("manager", "") for record in item["metadata"].get("managedFields") or []}
        if managers & _BY_HAND:
            message = "a Secret that was written by %s" % " and ".join(sorted(managers & _BY_HAND))
            fix = Fix("Add an entry to the catalog, so that it is made from a master Secret, or delete it")
            yield Finding(INFO, "hand-made-secret", namespace, name, message, fix)


def _of_a_tool(secret: Object) -> bool:
    """Whether it is no person's: something owns it, or it is helm's record, or a ServiceAccount's token."""
    meta = secret["metadata"]
    account = "kubernetes.io/service-account.name" in (meta.get("annotations") or {})
    labels = meta.get("labels") or {}
    helm = labels.get("owner") == "helm" or labels.get("app.kubernetes.io/managed-by") == "Helm"
    return bool(meta.get("ownerReferences")) or account or helm


def _labels(entries: list[Entry], namespaces: dict[str, Object], used: dict[str, str]) -> Iterator[Finding]:
    """Labels that distribute nothing; by one that is ``used``, an object of others selects."""
    known: dict[str, set[str]] = {}
    for entry in entries:
        if entry.label:
            known.setdefault(entry.label[0], set()).add(entry.label[1])
    # Of a selector, any value may count.
    used = {**used, **{key: entry.name for entry in entries for key in entry.label_keys() if key not in known}}
    for item in namespaces.values():
        for label, value in sorted((item["metadata"].get("labels") or {}).items()):
            if not label.startswith(LABEL_PREFIX) or label in used:
                continue
            name = item["metadata"]["name"]
            if label not in known:
                message = "no enabled catalog entry has this label"
                fix = Fix("Remove the label, or add the entry")
                yield Finding(WARNING, "label-without-entry", name, label, message, fix)
            elif value not in known[label]:
                message = "the label's value is '%s', so nothing is distributed" % value
                fix = Fix("Set it to '%s'" % "' or '".join(sorted(known[label])))
                yield Finding(WARNING, "label-value", name, label, message, fix)


def _finalizers(inventory: Inventory) -> Iterator[Finding]:
    for item in inventory.snapshot.namespaces.values():
        labels = item["metadata"].get("labels") or {}
        selecting = {
            distributed["metadata"]["name"]
            for distributed in inventory.distributed
            if consumers.selects(distributed, item["metadata"]["name"], labels)
        }
        for name in orphaned_finalizers(item, selecting):
            entry, namespace = name[len(FINALIZER_PREFIX) :], item["metadata"]["name"]
            message = "ESO left its finalizer for '%s'; the namespace can't be deleted" % entry
            yield Finding(ERROR, "orphaned-finalizer", namespace, name, message, offboarding(namespace, entry))


def _distributed(scope: Scope, inventory: Inventory) -> Iterator[Finding]:
    known = {entry.name for entry in scope.entries}
    live = {item["metadata"]["name"]: item for item in inventory.distributed}
    central = _central_stores(inventory.stores, scope.layout)
    for entry in scope.entries:
        if entry.name not in live:
            message = "there is no ClusterExternalSecret for the entry"
            yield Finding(ERROR, "not-distributed", None, entry.name, message, BOOTSTRAP)
            continue
        store = stores.of_another_catalog(live[entry.name], scope.layout, inventory.stores)
        if store:
            message = (
                "its ClusterExternalSecret is of another catalog, which reads through ClusterSecretStore %s" % store
            )
            fix = Fix("Give the entry another name, label and target in one of the two")
            yield Finding(ERROR, "not-distributed", None, entry.name, message, fix)
    for name, item in live.items():
        if name not in known and stores.is_of_catalog(item, scope.layout):
            fix = playbook("bootstrap", prune="entries")
            yield Finding(WARNING, "left-over-entry", None, name, "its entry is no longer in the catalog", fix)
        elif name not in known and _reads((item.get("spec") or {}).get("externalSecretSpec") or {}, central):
            fix = Fix("Add it to the catalog, or delete it")
            message = "a ClusterExternalSecret that is not the catalog's reads the central store"
            yield Finding(ERROR, "foreign-entry", None, name, message, fix)


def _store_refs(spec: Object) -> list[Object]:
    direct = [spec["secretStoreRef"]] if spec.get("secretStoreRef") else []
    nested = [
        asked.get("sourceRef", {}).get("storeRef")
        for asked in (spec.get("data") or []) + (spec.get("dataFrom") or [])
        if asked.get("sourceRef")
    ]
    return direct + [reference for reference in nested if reference]


def _mentions(value: Any, name: str) -> bool:
    """Whether a live object's field, however deep, holds ``name``."""
    if isinstance(value, dict):
        return any(_mentions(item, name) for item in value.values())
    if isinstance(value, list):
        return any(_mentions(item, name) for item in value)
    return value == name


def _central_stores(live: list[Object], layout: stores.Layout) -> set[str]:
    """The names of all ClusterSecretStores that may open the central namespace."""
    return {layout.store} | {item["metadata"]["name"] for item in live if _mentions(item.get("spec"), layout.namespace)}


def _reads(spec: Object, central: set[str]) -> bool:
    return any(ref.get("name") in central and ref.get("kind") == "ClusterSecretStore" for ref in _store_refs(spec))


def _is_distributed(external: Object, inventory: Inventory) -> bool:
    """Whether ESO made, and keeps, an ExternalSecret; what its owner references say alone is no proof."""
    namespace, name = key_of(external)
    maker = consumers.maker(external)
    labels = ((inventory.snapshot.namespaces.get(namespace) or {}).get("metadata") or {}).get("labels") or {}
    return any(
        distributed["metadata"]["name"] == maker
        and consumers.external_name(distributed) == name
        and consumers.selects(distributed, namespace, labels)
        for distributed in inventory.distributed
    )


def _tenants(inventory: Inventory, layout: stores.Layout) -> Iterator[Finding]:
    fix = Fix("Delete it, enforce the guard, and onboard the namespace if it needs the Secret")
    central = _central_stores(inventory.stores, layout)

    def writes(spec: Object) -> bool:
        refs = spec.get("secretStoreRefs") or []
        aimed = any(
            ref.get("kind") == "ClusterSecretStore" and (ref.get("name") in central or ref.get("labelSelector"))
            for ref in refs
        )
        # A push may name the namespace itself, whatever the store's own is.
        return aimed or any(
            _mentions(pushed.get("metadata"), layout.namespace)
            for pushed in (spec.get("data") or []) + (spec.get("dataTo") or [])
        )

    for item in inventory.snapshot.externals.values():
        if not _is_distributed(item, inventory) and _reads(item.get("spec") or {}, central):
            namespace, name = key_of(item)
            message = "an ExternalSecret of its own reads the central store"
            yield Finding(ERROR, "tenant-reads-store", namespace, name, message, fix)
    for item in inventory.push_secrets:
        if writes(item.get("spec") or {}):
            namespace, name = key_of(item)
            yield Finding(
                ERROR, "tenant-writes-store", namespace, name, "a PushSecret may write the central store", fix
            )
    for item in inventory.cluster_push_secrets:
        if writes((item.get("spec") or {}).get("pushSecretSpec") or {}):
            message = "a ClusterPushSecret may write the central store"
            yield Finding(ERROR, "tenant-writes-store", None, item["metadata"]["name"], message, fix)
    for item in inventory.tenant_stores:
        if _mentions(item.get("spec"), layout.namespace):
            namespace, name = key_of(item)
            message = "a SecretStore of its own opens the central namespace"
            yield Finding(ERROR, "tenant-opens-store", namespace, name, message, fix)


def _stores(scope: Scope, live: list[Object]) -> Iterator[Finding]:
    layout = scope.layout
    by_name = {item["metadata"]["name"]: item for item in live}
    wanted = {layout.store} | {layout.store_of(entry.name) for entry in scope.entries}
    for name in sorted(wanted):
        if name not in by_name:
            yield Finding(ERROR, "store-missing", None, name, "there is no ClusterSecretStore", BOOTSTRAP)
        elif not (by_name[name].get("spec") or {}).get("conditions"):
            yield Finding(ERROR, "store-open", None, name, "every namespace may read it, labelled or not", BOOTSTRAP)
    if layout.isolation == stores.ENTRY:
        served = sorted(stores.served(by_name.get(layout.store), scope.entries))
        if served:
            message = "it still serves %d entries, such as '%s', besides their own stores" % (len(served), served[0])
            yield Finding(ERROR, "isolation-unfinished", None, layout.store, message, BOOTSTRAP)
    for name, said in state.not_ready(live, wanted.intersection(by_name)):
        yield Finding(ERROR, "store-not-ready", None, name, said or "ESO has not looked at it", LOGS)
    for name, item in sorted(by_name.items()):
        if name in wanted or not _mentions(item.get("spec"), layout.namespace):
            continue
        if stores.entry_of(item, layout):
            fix = playbook("bootstrap", prune="entries")
            yield Finding(WARNING, "left-over-store", None, name, "no entry reads through this store any more", fix)
        else:
            message = "a ClusterSecretStore that is not the collection's opens the central namespace"
            fix = Fix("Delete it")
            yield Finding(ERROR, "second-store", None, name, message, fix)


def _permissions(
    scope: Scope, inventory: Inventory, everything: list[permissions.Grant], enforced: set[str]
) -> Iterator[Finding]:
    layout = scope.layout
    yield from _readers(scope, everything, _kept(scope, inventory))
    fix = Fix("Remove the permission, or limit it to what the subject needs" + _PLATFORM)
    untrusted = [
        grant for grant in everything if not scope.trusted.covers(grant.subject) and not _is_reader(grant, layout)
    ]
    # ESO reads all Secrets: whoever controls its namespace does.
    reach = {
        layout.namespace: "reaches master Secrets",
        scope.eso_namespace: "controls ESO, which reads all Secrets",
        None: "may reach all Secrets",
    }
    for one in untrusted:
        if one.namespace not in reach:
            continue
        severity = WARNING if one.namespace is None else ERROR
        reasons = _reasons(one)
        if reasons:
            message = "%s: it may %s, by %s" % (reach[one.namespace], " and ".join(reasons), one.binding)
            yield Finding(severity, "wide-permission", one.namespace, one.who, message, fix)
        if one.allows("", "serviceaccounts/token", ("create",))[0]:
            whom = "ESO" if one.namespace == scope.eso_namespace else "the ServiceAccounts that read the central store"
            message = "may act as %s, by %s" % (whom, one.binding)
            yield Finding(severity, "may-request-token", one.namespace, one.who, message, fix)
        if one.namespace is None and _lifts_guard(one):
            message = "may switch off the guard, or see or change objects while they are written, by %s" % one.binding
            yield Finding(WARNING, "may-lift-guard", None, one.who, message, fix)
    yield from _ways_around(scope, inventory, untrusted, enforced)


def _reasons(grant: permissions.Grant) -> list[str]:
    """The ways in which a grant leads to the Secrets of its namespace, or of all namespaces."""
    rbac = RBAC.partition("/")[0]
    granting = any(grant.allows(rbac, kind, ("bind", "escalate"))[0] for kind in ("roles", "clusterroles"))
    ways = {
        "read Secrets": grant.allows("", "secrets", _READ)[0],
        "run pods that mount them": any(
            grant.allows(api.rpartition("/")[0], kind.lower() + "s", _WRITE)[0] for api, kind in WORKLOADS
        ),
        "run commands in its pods": any(grant.allows("", kind, _COMMAND)[0] for kind in _COMMANDS),
        "grant itself more": granting,
    }
    people = ("users", "groups", "serviceaccounts") if grant.namespace is None else ("serviceaccounts",)
    ways["act as others"] = any(
        grant.allows("", kind, ("impersonate",))[0] or grant.allows("authentication.k8s.io", kind, _CONSTRAINED)[0]
        for kind in (*people, *(("nodes",) if grant.namespace is None else ()))
    )
    if grant.namespace is not None:
        # One that is not there yet would be distributed as the platform's; everywhere, any deployment tool may.
        ways["make Secrets"] = not ways["read Secrets"] and grant.allows("", "secrets", ("create",))[0]
    else:
        ways["run commands in pods"] = ways.pop("run commands in its pods")
        ways["run commands on nodes"] = grant.allows("", "nodes/proxy", ("get", "create"))[0]
        ways["approve certificates of others"] = _approves(grant)
        # Any deployment tool may run pods everywhere; only a binding in the central namespace is reported for it.
        del ways["run pods that mount them"]
    return [way for way, open_ in ways.items() if open_]


def _approves(grant: permissions.Grant) -> bool:
    """Whether it may approve certificates that the API server takes for somebody else's."""
    allowed, signers = grant.allows("certificates.k8s.io", "signers", ("approve",))
    of_people = {"kubernetes.io/" + name for name in ("*", "kube-apiserver-client", "kube-apiserver-client-kubelet")}
    return allowed and (signers is None or bool(signers & of_people))


def _lifts_guard(grant: permissions.Grant) -> bool:
    group = "admissionregistration.k8s.io"
    off = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    change = ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings")
    hooks = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
    taken_away = ("update", "patch", "delete", "deletecollection")
    return any(grant.allows(group, kind, taken_away)[0] for kind in off) or any(
        grant.allows(group, kind, _WRITE)[0] for kind in (*change, *hooks)
    )


def _webhooks(scope: Scope, inventory: Inventory) -> Iterator[Finding]:
    """Webhooks that the API server sends master Secrets to."""
    live = inventory.snapshot.namespaces.get(scope.layout.namespace)
    labels = (live or {"metadata": {}})["metadata"].get("labels") or {}
    for kind, items in (
        ("MutatingWebhookConfiguration", inventory.mutating_webhooks),
        ("ValidatingWebhookConfiguration", inventory.validating_webhooks),
    ):
        for item in items:
            for hook in item.get("webhooks") or []:
                if not permissions.sees_secrets(hook, labels):
                    continue
                message = "%s sends each Secret of the central namespace that is written to its webhook '%s'" % (
                    kind,
                    hook.get("name"),
                )
                fix = Fix("Exclude the namespace in the webhook's namespaceSelector, unless it must see them")
                name = item["metadata"]["name"]
                yield Finding(
                    WARNING if kind == "MutatingWebhookConfiguration" else INFO,
                    "webhook-sees-secrets",
                    None,
                    name,
                    message,
                    fix,
                )


def _is_reader(grant: permissions.Grant, layout: stores.Layout) -> bool:
    subject = grant.subject
    own = stores.is_reader_name(subject["name"])
    return subject["kind"] == "ServiceAccount" and subject.get("namespace") == layout.namespace and own


def _readers(scope: Scope, everything: list[permissions.Grant], kept: list[consumers.Consumer]) -> Iterator[Finding]:
    """The stores' own ServiceAccounts, each of which may read its entries' sources only."""
    layout = scope.layout
    shared = scope.entries if layout.isolation == stores.SHARED else []
    sources: dict[str, set[str] | None] = {
        stores.reader_name(): {source for entry in shared for source in entry.sources}
    }
    for consumer in kept:
        # Searching reads everything.
        named = (sources[stores.reader_name()], consumer.reads, consumer.writes)
        sources[stores.reader_name()] = None if None in named else set().union(*(one or () for one in named))
    sources.update({stores.reader_name(entry.name): set(entry.sources) for entry in scope.entries})
    for one in everything:
        if not _is_reader(one, layout):
            continue
        reads, names = one.allows("", "secrets", _READ)
        expected = sources.get(one.subject["name"], set())
        wide = expected is not None and (names is None or names - expected - {stores.NO_SECRET})
        if reads and (one.namespace != layout.namespace or wide):
            message = "the store may read more than its entries' sources, by %s" % one.binding
            yield Finding(ERROR, "wide-permission", one.namespace, one.who, message, BOOTSTRAP)


def _ways_around(
    scope: Scope, inventory: Inventory, untrusted: list[permissions.Grant], enforced: set[str]
) -> Iterator[Finding]:
    """What permissions allow and only the guard would stop."""
    carrying = {name for entry in scope.entries for name in state.labelled(inventory.snapshot.namespaces, entry)}
    about = guard.Names(scope.layout.store, scope.layout.namespace, scope.entries, _guarded(scope, inventory))
    keys, names = guard.unguarded(
        inventory.policies, enforced, set(about.labels), set(about.namespaces) - set(inventory.snapshot.namespaces)
    )
    enforce = Fix("Remove the permission, or set cluster_secrets_guard_mode to 'enforce'" + _PLATFORM)
    isolate = Fix(enforce.hint + ", or set cluster_secrets_isolation to 'entry'")
    for grant in untrusted:
        everywhere = grant.namespace is None
        kinds = [
            kind
            for kind in ("clusterexternalsecrets", "clustersecretstores")
            if grant.allows(ESO_GROUP, kind, _WRITE)[0]
        ]
        shared = scope.layout.isolation == stores.SHARED and guard.STORE_USE not in enforced
        if kinds and everywhere and guard.CLUSTER_OBJECTS not in enforced:
            message = "may read every source, because it may write %s by %s" % (" and ".join(kinds), grant.binding)
            yield Finding(ERROR, "reads-every-source", None, grant.who, message, enforce)
        elif (
            shared
            and carrying
            and (everywhere or grant.namespace in carrying)
            and grant.allows(ESO_GROUP, "externalsecrets", _WRITE)[0]
        ):
            place = "in labelled namespaces" if everywhere else "in this labelled namespace"
            message = "may read every source, because it may write ExternalSecrets %s by %s" % (place, grant.binding)
            yield Finding(ERROR, "reads-every-source", grant.namespace, grant.who, message, isolate)
        if keys:
            yield from _may_label(grant, keys, enforce)
        if everywhere and (keys or names) and grant.allows("", "namespaces", ("create",)) == (True, None):
            what = ["with the label %s" % _listed(keys)] if keys else []
            what += ["of the name %s" % _listed(names)] if names else []
            message = "may create a namespace %s, and so get any target, by %s" % (" or ".join(what), grant.binding)
            yield Finding(ERROR, "may-label", None, grant.who, message, enforce)


def _listed(words: set[str]) -> str:
    names = sorted(words)
    return ", ".join(names[:3]) + (" or one of %d more" % (len(names) - 3) if len(names) > 3 else "")


def _may_label(grant: permissions.Grant, keys: set[str], fix: Fix) -> Iterator[Finding]:
    """Who may give a namespace that is there one of these labels."""
    named = [
        names for allowed, names in (grant.allows("", kind, ("update", "patch")) for kind in _NAMESPACES) if allowed
    ]
    if named:
        which = "every namespace" if grant.namespace is None else "the namespace"
        if all(names is not None for names in named):
            which = "namespace " + ", ".join(sorted(name for names in named for name in names or ()))
        message = "may give %s the label %s, and so its target, by %s" % (which, _listed(keys), grant.binding)
        yield Finding(ERROR, "may-label", grant.namespace, grant.who, message, fix)


def _talosconfigs(scope: Scope, inventory: Inventory, everything: list[permissions.Grant]) -> Iterator[Finding]:
    """A talosconfig is a key to the nodes themselves, for whoever may read its target."""
    sources = inventory.snapshot.sources or {}
    admins = [
        (entry, source, key, roles, end)
        for entry in scope.entries
        for source in entry.sources
        for key, value in sorted(sources.get(source, {}).items())
        for roles, end in lifetimes.talos_roles(value)
    ]
    fix = Fix("Make one with the smallest role, such as os:etcd:backup, or use Talos' own ServiceAccounts")
    for entry, source, key, roles, end in admins:
        places = state.labelled(inventory.snapshot.namespaces, entry)
        readers = {
            grant.who
            for grant in everything
            if (grant.namespace is None or grant.namespace in places)
            and not scope.trusted.covers(grant.subject)
            and _may_read(grant, entry.target)
        }
        message = "its key '%s' is a talosconfig with the role %s until %s; it is in %s, where %s may read it" % (
            key,
            ", ".join(roles) or "none",
            end.strftime("%Y-%m-%d"),
            ", ".join(places) or "no namespace",
            ", ".join(sorted(readers)) or "nobody but the platform",
        )
        severity = ERROR if lifetimes.TALOS_ADMIN in roles else WARNING
        yield Finding(severity, "talosconfig", scope.layout.namespace, source, message, fix)


def _may_read(grant: permissions.Grant, name: str) -> bool:
    allowed, names = grant.allows("", "secrets", _READ)
    return allowed and (names is None or name in names)


def _vulnerabilities(scope: Scope, release: Release) -> Iterator[Finding]:
    if release.number is None:
        message = "the release of ESO is unknown (%s), so its vulnerabilities are too" % release.problem
        fix = Fix("Use an image whose tag is an upstream release")
        yield Finding(WARNING, "eso-release-unknown", scope.eso_namespace, "external-secrets", message, fix)
    for advisory in release.advisories:
        message = "ESO %s: %s (%s)" % (release.text, advisory.what, advisory.source)
        fix = Fix("Upgrade to %s or newer" % advisories.text(advisory.fixed))
        yield Finding(ERROR, "vulnerable-eso", scope.eso_namespace, advisory.id, message, fix)


def unsupported(scope: Scope, release: Release, today: str) -> Iterator[Finding]:
    """That upstream doesn't support the running release of ESO any more.

    :arg today: the day, such as 2026-11-29.
    """
    why = release.unsupported(today)
    if why:
        message = "ESO %s is out of support: %s" % (release.text, why)
        fix = playbook("eso_upgrade", "Upgrade one minor release after the other")
        yield Finding(WARNING, "unsupported-eso", scope.eso_namespace, "external-secrets", message, fix)


def _versions(crds: list[Object]) -> Iterator[Finding]:
    for item in crds:
        served = {version["name"] for version in item["spec"]["versions"] if version["served"]}
        stored = set((item.get("status") or {}).get("storedVersions") or [])
        for version in sorted(stored - served):
            message = "objects may be stored as %s, which is no longer served" % version
            fix = playbook("eso_upgrade", eso_store_only="true")
            yield Finding(ERROR, "unserved-version", None, item["metadata"]["name"], message, fix)
