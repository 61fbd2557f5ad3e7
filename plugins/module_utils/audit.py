# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Find what the rule 'nobody creates a Secret by hand' is broken by. Pure.

:func:`find` judges what :class:`Inventory` holds; reading it is the module's work.
"""

from __future__ import annotations

from . import state
from .catalog import LABEL_PREFIX, LABEL_VALUE
from .desired import FINALIZER_PREFIX, READER
from .plan import is_owned, orphaned_finalizers

ERROR, WARNING = "error", "warning"

#: Subjects that may read any Secret without being reported: Kubernetes' own.
_SYSTEM_SUBJECTS = ("system:masters", "system:kube-controller-manager", "system:kube-scheduler", "system:apiserver", "system:nodes", "kubeadm:cluster-admins")

_READ = {"get", "list", "watch", "*"}


class Inventory:
    """All live objects that an audit looks at, each attribute a list, ``snapshot`` as in state.

    ``secrets`` are the metadata of all Secrets, ``names`` those of the catalog's targets among them.
    """

    __slots__ = (
        "bindings",
        "cluster_bindings",
        "cluster_roles",
        "crds",
        "distributed",
        "push_secrets",
        "roles",
        "secrets",
        "snapshot",
        "stores",
        "tenant_stores",
    )

    def __init__(self, **lists):
        for name in self.__slots__:
            setattr(self, name, lists[name])


class Finding:
    """One thing that is not as it should be, and what to do."""

    __slots__ = ("check", "fix", "message", "name", "namespace", "severity")

    def __init__(self, severity, check, namespace, name, message, fix):
        self.severity = severity
        self.check = check
        self.namespace = namespace
        self.name = name
        self.message = message
        self.fix = fix

    def as_dict(self):
        return {name: getattr(self, name) for name in sorted(self.__slots__)}


def find(entries, inventory, store, store_namespace, eso_namespace):
    """All findings, errors first, then by check, namespace and name."""
    rows = state.judge(entries, inventory.snapshot)
    found = []
    found.extend(_sources(entries, inventory.snapshot))
    found.extend(_rows(rows, inventory))
    found.extend(_hand_made(entries, inventory, store_namespace))
    found.extend(_labels(entries, inventory.snapshot.namespaces))
    found.extend(_finalizers(inventory))
    found.extend(_distributed(entries, inventory.distributed))
    found.extend(_tenants(inventory, store, store_namespace))
    found.extend(_store(inventory.stores, store))
    found.extend(_rights(entries, inventory, store_namespace, eso_namespace))
    found.extend(_versions(inventory.crds))
    return rows, sorted(found, key=lambda one: (one.severity != ERROR, one.check, one.namespace or "", one.name or ""))


def _sources(entries, snapshot):
    seen = set()
    for entry in entries:
        _data, problem = state.expected_data(entry, snapshot.sources)
        if problem and problem not in seen:
            seen.add(problem)
            yield Finding(ERROR, "missing-source", None, entry.name, problem, "Add it to the values and run platform.cluster_secrets.rotate")


def _rows(rows, inventory):
    unowned = {state.key_of(item) for item in inventory.secrets if not _of_eso(item)}
    fixes = {
        state.STALE: "Run platform.cluster_secrets.rotate",
        state.FAILING: "Read what ESO says, then run platform.cluster_secrets.rotate",
        state.MISSING: "Look at ESO's log",
        state.UNLABELLED: "Run platform.cluster_secrets.bootstrap, or take the namespace out of the catalog",
        state.ABSENT_NAMESPACE: "Create the namespace, or take it out of the catalog",
    }
    for row in rows:
        if row.status == state.SYNCED:
            continue
        if row.status in (state.MISSING, state.FAILING, state.STALE) and row.key in unowned:
            message = "a Secret made by hand has the name of a target, so ESO can't write it"
            yield Finding(ERROR, "shadowed-target", row.namespace, row.entry.target, message, "Delete the Secret; ESO then makes it")
            continue
        severity = WARNING if row.status in (state.UNLABELLED, state.ABSENT_NAMESPACE) else ERROR
        yield Finding(severity, row.status.replace(" ", "-"), row.namespace, row.entry.target, row.message, fixes[row.status])


def _of_eso(secret):
    return any(owner.get("kind") == "ExternalSecret" for owner in secret["metadata"].get("ownerReferences") or [])


def _hand_made(entries, inventory, store_namespace):
    called_for = {(namespace, entry.target) for entry in entries for namespace in state.labelled(inventory.snapshot.namespaces, entry)}
    names = {entry.target: entry for entry in entries}
    for item in inventory.secrets:
        namespace, name = state.key_of(item)
        if name not in names or namespace == store_namespace or (namespace, name) in called_for:
            continue
        if (namespace, name) in inventory.snapshot.secrets:
            continue
        message = "a Secret with the name of a target, in a namespace without the label %s" % names[name].label
        yield Finding(WARNING, "hand-made-copy", namespace, name, message, "Delete it, and onboard the namespace if it needs the Secret")


def _labels(entries, namespaces):
    known = {entry.label for entry in entries}
    for item in namespaces.values():
        for label, value in sorted((item["metadata"].get("labels") or {}).items()):
            if not label.startswith(LABEL_PREFIX):
                continue
            name = item["metadata"]["name"]
            if label not in known:
                yield Finding(WARNING, "label-without-entry", name, label, "no enabled catalog entry has this label", "Remove the label, or add the entry")
            elif value != LABEL_VALUE:
                message = "the label's value is '%s', so nothing is distributed" % value
                yield Finding(WARNING, "label-value", name, label, message, "Set it to '%s'" % LABEL_VALUE)


def _finalizers(inventory):
    for item in inventory.snapshot.namespaces.values():
        labels = item["metadata"].get("labels") or {}
        selecting = {one["metadata"]["name"] for one in inventory.distributed if _selects(one, item["metadata"]["name"], labels)}
        for name in orphaned_finalizers(item, selecting):
            message = "ESO left its finalizer for '%s'; the namespace can't be deleted" % name[len(FINALIZER_PREFIX):]
            fix = "Run platform.cluster_secrets.namespace_labels with state=absent for it"
            yield Finding(ERROR, "orphaned-finalizer", item["metadata"]["name"], name, message, fix)


def _selects(distributed, namespace, labels):
    spec = distributed.get("spec") or {}
    selectors = [one for one in [spec.get("namespaceSelector"), *(spec.get("namespaceSelectors") or [])] if one]
    return namespace in (spec.get("namespaces") or []) or any(_matches(selector, labels) for selector in selectors)


def _matches(selector, labels):
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for one in selector.get("matchExpressions") or []:
        key, values = one["key"], one.get("values") or []
        holds = {
            "In": key in labels and labels[key] in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds[one["operator"]]:
            return False
    return True


def _distributed(entries, distributed):
    known = {entry.name for entry in entries}
    live = {item["metadata"]["name"]: item for item in distributed}
    for entry in entries:
        if entry.name not in live:
            message = "there is no ClusterExternalSecret for the entry"
            yield Finding(ERROR, "not-distributed", None, entry.name, message, "Run platform.cluster_secrets.bootstrap")
    for name, item in live.items():
        if is_owned(item) and name not in known:
            fix = "Run bootstrap with cluster_secrets_distribution_prune"
            yield Finding(WARNING, "left-over-entry", None, name, "its entry is no longer in the catalog", fix)


def _store_refs(spec):
    direct = [spec["secretStoreRef"]] if spec.get("secretStoreRef") else []
    nested = [one.get("sourceRef", {}).get("storeRef") for one in (spec.get("data") or []) + (spec.get("dataFrom") or []) if one.get("sourceRef")]
    return direct + [one for one in nested if one]


def _tenants(inventory, store, store_namespace):
    fix = "Delete it, enforce the guard, and onboard the namespace if it needs the Secret"
    for item in inventory.snapshot.externals.values():
        owners = item["metadata"].get("ownerReferences") or []
        if any(owner.get("kind") == "ClusterExternalSecret" for owner in owners):
            continue
        if any(ref.get("name") == store and ref.get("kind") == "ClusterSecretStore" for ref in _store_refs(item.get("spec") or {})):
            namespace, name = state.key_of(item)
            yield Finding(ERROR, "tenant-reads-store", namespace, name, "an ExternalSecret of its own reads the central store", fix)
    for item in inventory.push_secrets:
        refs = (item.get("spec") or {}).get("secretStoreRefs") or []
        if any(ref.get("kind") == "ClusterSecretStore" and (ref.get("name") == store or ref.get("labelSelector")) for ref in refs):
            namespace, name = state.key_of(item)
            yield Finding(ERROR, "tenant-writes-store", namespace, name, "a PushSecret may write the central store", fix)
    for item in inventory.tenant_stores:
        kubernetes = ((item.get("spec") or {}).get("provider") or {}).get("kubernetes") or {}
        if kubernetes.get("remoteNamespace") == store_namespace:
            namespace, name = state.key_of(item)
            yield Finding(ERROR, "tenant-opens-store", namespace, name, "a SecretStore of its own opens the central namespace", fix)


def _store(stores, store):
    live = next((item for item in stores if item["metadata"]["name"] == store), None)
    if live is None:
        yield Finding(ERROR, "store-missing", None, store, "there is no ClusterSecretStore", "Run platform.cluster_secrets.bootstrap")
        return
    condition = state.ready_condition(live)
    if not condition or condition.get("status") != "True":
        yield Finding(ERROR, "store-not-ready", None, store, (condition or {}).get("message", "ESO has not looked at it"), "Look at ESO's log")
    if not live["spec"].get("conditions"):
        yield Finding(ERROR, "store-open", None, store, "every namespace may read it, labelled or not", "Run platform.cluster_secrets.bootstrap")


def _reads_secrets(rules):
    """(whether the rules read Secrets, and the names they are bound to; None for all)."""
    names = set()
    for rule in rules or []:
        groups, resources, verbs = rule.get("apiGroups") or [], rule.get("resources") or [], rule.get("verbs") or []
        if _READ.intersection(verbs) and {"", "*"}.intersection(groups) and {"secrets", "*"}.intersection(resources):
            if not rule.get("resourceNames"):
                return True, None
            names.update(rule["resourceNames"])
    return bool(names), names


def _subjects(binding):
    for subject in binding.get("subjects") or []:
        if subject["kind"] == "ServiceAccount":
            yield "ServiceAccount %s/%s" % (subject.get("namespace") or binding["metadata"].get("namespace"), subject["name"]), subject
        else:
            yield "%s %s" % (subject["kind"], subject["name"]), subject


def _rights(entries, inventory, store_namespace, eso_namespace):
    sources = {entry.source for entry in entries}
    cluster_roles = {item["metadata"]["name"]: item.get("rules") for item in inventory.cluster_roles}
    roles = {state.key_of(item): item.get("rules") for item in inventory.roles}
    fix = "Take the right away, or bind it to single Secrets"
    for binding in inventory.bindings:
        if binding["metadata"]["namespace"] != store_namespace:
            continue
        ref = binding["roleRef"]
        rules = roles.get((store_namespace, ref["name"])) if ref["kind"] == "Role" else cluster_roles.get(ref["name"])
        reads, names = _reads_secrets(rules)
        if not reads:
            continue
        for who, subject in _subjects(binding):
            own = subject["name"] == READER and subject.get("namespace") == store_namespace
            if own and (names is None or names - sources):
                message = "the store may read more than the catalog's sources"
                yield Finding(ERROR, "wide-rights", store_namespace, who, message, "Run platform.cluster_secrets.bootstrap")
            elif not own:
                yield Finding(ERROR, "wide-rights", store_namespace, who, "reads master Secrets by RoleBinding '%s'" % binding["metadata"]["name"], fix)
    for binding in inventory.cluster_bindings:
        reads, _names = _reads_secrets(cluster_roles.get(binding["roleRef"]["name"]))
        if not reads:
            continue
        for who, subject in _subjects(binding):
            kubernetes = subject["name"] in _SYSTEM_SUBJECTS or subject.get("namespace") in ("kube-system", eso_namespace)
            if not kubernetes:
                yield Finding(WARNING, "wide-rights", None, who, "reads all Secrets by ClusterRoleBinding '%s'" % binding["metadata"]["name"], fix)


def _versions(crds):
    for item in crds:
        served = {version["name"] for version in item["spec"]["versions"] if version["served"]}
        stored = set((item.get("status") or {}).get("storedVersions") or [])
        for version in sorted(stored - served):
            message = "objects may be stored as %s, which is no longer served" % version
            fix = "Rewrite the objects, then take the version out of status.storedVersions"
            yield Finding(ERROR, "unserved-version", None, item["metadata"]["name"], message, fix)


def table(findings):
    """The findings as lines of aligned text."""
    lines = [("SEVERITY", "CHECK", "NAMESPACE", "NAME", "WHAT")]
    lines += [(one.severity, one.check, one.namespace or "-", one.name or "-", one.message) for one in findings]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths + [0])).rstrip() for line in lines]
