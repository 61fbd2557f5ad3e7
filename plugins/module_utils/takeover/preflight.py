# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bootstrap would change or break that was there before it, and which answers accept that. Pure.

No message holds a value of a Secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Collection, Iterator, Sequence

from .. import advisories, lifetimes
from ..catalog.checker import close_to, kind_of
from ..catalog.entries import LABEL_PREFIX, Unreadable
from ..catalog.values import written_by_others
from ..desired import consumers, stores
from ..desired.distribution import (
    ESO_MANAGED_LABEL,
    MANAGER,
    RESTORER,
    applied_by_us,
    cluster_external_secret,
    failed_namespaces,
    fields_of,
    is_owned,
)
from ..errors import CatalogError
from ..findings import ERROR, NO_FIX, WARNING, Finding
from ..plan.actions import plan_apply
from ..resources import (
    ESO_GROUP,
    Object,
    decode,
    is_of_eso,
    is_of_kind,
    key_of,
    kind_and_name,
    label_of,
    owners_of,
    shortened,
)
from ..tools import TOOLS
from .express import target_metadata

if TYPE_CHECKING:
    import datetime

    from ..catalog.entries import Entry
    from ..live.release import Record
    from ..live.snapshot import Cluster

REFUSE, KEEP, DROP, ADOPT, OVERWRITE, ACCEPT = "refuse", "keep", "drop", "adopt", "overwrite", "accept"

#: What can be found, and the answers that accept it. adopt takes over what nobody notices; overwrite takes over all.
ANSWERS: dict[str, tuple[str, ...]] = {
    "access": (ACCEPT,),
    "values": (OVERWRITE,),
    "stores": (ADOPT, OVERWRITE),
    "consumers": (KEEP, DROP),
    "entries": (ADOPT, OVERWRITE),
    "targets": (ADOPT, OVERWRITE),
    "managers": (OVERWRITE,),
    "operator": (OVERWRITE,),
    "losses": (ACCEPT,),
    "ended": (ACCEPT,),
}

#: Values that the role eso always sets, and that nobody sets all of by hand.
_ROLE_SETS = (
    ("concurrent",),
    ("extraArgs", "client-burst"),
    ("processClusterPushSecret",),
    ("rbac", "aggregateToEdit"),
    ("rbac", "serviceAccountTokenCreate"),
)

#: The field manager of ESO's controller.
ESO_MANAGER = "external-secrets"


@dataclass(frozen=True)
class Existing(Finding):
    """Something that was there before; its check is the kind that an answer is given for.

    ``answers`` are the answers that accept it; none means that no run may go on. ``backup`` lists the (namespace, name)
    of Secrets that change, ``remove`` those of them that Kubernetes doesn't let change in place. ``warns`` is whether a
    run that goes on says it in a warning.
    """

    answers: tuple[str, ...] = ()
    backup: Sequence[tuple[str, str]] = ()
    remove: Sequence[tuple[str, str]] = ()
    warns: bool = False

    def accepted(self, answers: dict[str, str]) -> bool:
        """Whether the answers, ``{kind: answer}``, accept it."""
        return answers[self.check] in self.answers

    def answered(self, answers: dict[str, str]) -> dict[str, Any]:
        """The finding as a module returns it, with the answers that accept it and whether that was given."""
        return {**self.as_dict(), "answers": list(self.answers), "accepted": self.accepted(answers)}


def existing(
    kind: str,
    object_: str,
    message: str,
    answers: tuple[str, ...],
    backup: Sequence[tuple[str, str]] = (),
    remove: Sequence[tuple[str, str]] = (),
    warns: bool = False,
) -> Existing:
    """What is found of an object, which is named with its kind and place."""
    severity = WARNING if answers else ERROR
    return Existing(severity, kind, None, object_, message, NO_FIX, answers, backup, remove, warns)


def checked_answers(given: Any) -> dict[str, str]:
    """The answers for all kinds, ``{kind: answer}``; what is not said is refused. Raises CatalogError."""
    where = "cluster_secrets_takeover"
    if not isinstance(given, dict):
        raise CatalogError("%s must be a mapping of kinds, not %s." % (where, kind_of(given)))
    answers = dict.fromkeys(ANSWERS, REFUSE)
    for kind, answer in given.items():
        if kind not in ANSWERS:
            raise CatalogError(
                "%s: unknown kind '%s'. %sKinds are: %s." % (where, kind, close_to(kind, ANSWERS), ", ".join(ANSWERS))
            )
        allowed = (REFUSE, *ANSWERS[kind])
        if answer not in allowed:
            raise CatalogError("%s: '%s' can't be '%s'. Use one of: %s." % (where, kind, answer, ", ".join(allowed)))
        answers[kind] = answer
    return answers


def operator(name: str, record: Record, wanted: Object, number: advisories.Number | None) -> Existing | None:
    """helm's release of ESO that was not made by the role ``eso`` and would change, or that would go back.

    :arg name: its name; :arg record: what helm says of it; :arg wanted: the values that it would be given. Of values,
        keys are named. :arg number: the release of ESO that the chart installs, if it is known.
    """
    what = "helm's release %s" % name
    ours = all(_has(record.values, path) for path in _ROLE_SETS)
    if not ours and record.chart != "external-secrets":
        message = "it is of the chart '%s', which has ESO inside, and this would replace all of it" % record.chart
        return existing("operator", what, message, ())
    older = bool(number and record.number and number < record.number)
    lost = [] if ours else sorted(".".join(path) for path in _leaves(record.values) if not _has(wanted, path))
    # What the role's own values would stop is looked for elsewhere.
    same = ours or (not lost and number is not None and number == record.number)
    if same and not older:
        return None
    message = "it has the chart %s and was not made by this collection, which would upgrade it" % record.chart_version
    if older and number:
        message = "it has ESO %s, and this would go back to %s" % (record.app_version, advisories.text(number))
        message += ", unless cluster_secrets_eso_chart_version says another"
    if lost:
        message += " and drop its values %s" % ", ".join(lost)
    return existing("operator", what, message, ANSWERS["operator"])


def _has(values: Any, path: tuple[str, ...]) -> bool:
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


def _leaves(values: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key)


def suspects(entries: list[Entry], cluster: Cluster) -> list[tuple[str, str]]:
    """(namespace, name) of the Secrets whose data has to be looked at before :func:`find`."""
    theirs = {
        (namespace, consumers.distributed_target(live))
        for _entry, live in _theirs(entries, cluster)
        for namespace in _selected(live, cluster)
    }
    tried = _tried(entries, cluster)
    places = {
        key
        for key, entry in _places(entries, cluster).items()
        if key in cluster.secrets and not (_is_served(key, entry, cluster, tried) and is_of_eso(cluster.secrets[key]))
    }
    return sorted(places.union(key for key in theirs if key in cluster.secrets))


def find(
    entries: list[Entry],
    layout: stores.Layout,
    cluster: Cluster,
    values: dict[str, dict[str, bytes]],
    by_gitops: bool = False,
    prune: bool = False,
) -> list[Existing]:
    """All that a bootstrap would change or break.

    :arg values: the values of the sources as they will be, ``{source: {key: bytes}}``; :arg by_gitops: whether the
        stores and ClusterExternalSecrets are written by someone else, so that a bootstrap leaves them alone.
    :arg prune: whether it is told to remove what entries made that left the catalog.
    """
    findings = [
        *values_found(layout.namespace, cluster.central, values),
        *_targets(entries, cluster, values),
        *_externals(entries, cluster),
        *_sources(entries, cluster),
        *_relabelled(entries, cluster),
    ]
    if not by_gitops:
        findings += [
            *_stores(entries, layout, cluster),
            *_beside(entries, layout, cluster),
            *_consumers(entries, layout, cluster),
            *_entries(entries, cluster, values),
            *_managers(entries, layout, cluster),
            *_losses(entries, layout, cluster, prune),
        ]
    return in_order(findings)


def warning(findings: list[Existing]) -> str:
    """What a run that goes on says in a warning, or an empty text."""
    said = ["%s: %s" % (one.object, one.message) for one in findings if one.warns]
    return "\n".join([*said[:5], "and %d more" % (len(said) - 5)] if len(said) > 5 else said)


def in_order(findings: list[Existing]) -> list[Existing]:
    """The findings in the order of their kinds."""
    order = list(ANSWERS)
    return sorted(findings, key=lambda one: order.index(one.check))


# -- master Secrets ------------------------------------------------------------------------------


def values_found(namespace: str, central: dict[str, Object], values: dict[str, dict[str, bytes]]) -> Iterator[Existing]:
    """What :func:`find` finds of master Secrets.

    :arg central: the live Secrets of the central ``namespace`` by name.
    """
    for source, new in values.items():
        live = central.get(source)
        if live is None:
            continue
        old = decode(live)
        if is_owned(live):
            findings = list(_written_since(namespace, live, old, new))
            if not findings and live.get("immutable") and any(old.get(key) != value for key, value in new.items()):
                message = "somebody made it immutable; it would be deleted and made anew with the new values"
                key = (namespace, source)
                findings = [existing("values", label_of("Secret", live), message, (OVERWRITE,), [key], [key])]
            yield from findings
            continue
        changed = sorted(key for key, value in new.items() if key in old and old[key] != value)
        added = sorted(set(new) - set(old))
        if not changed and not added:
            continue
        key = (namespace, source)
        parts = ["the value of %s would change" % ", ".join(changed)] if changed else []
        if added:
            beside = sorted(set(old) - set(new))
            text = "%s would be added" % ", ".join(added)
            if beside:
                text += " beside %s, which nothing would rotate any more" % ", ".join(beside)
            parts.append(text)
        yield existing(
            "values",
            label_of("Secret", live),
            "made by %s; %s" % (makers(live), "; ".join(parts)),
            (OVERWRITE,),
            [key],
            [key] if live.get("immutable") else [],
        )


def ended(
    namespace: str,
    central: dict[str, Object],
    values: dict[str, dict[str, bytes]],
    now: datetime.datetime,
    warn: Callable[[str], Any],
) -> list[Existing]:
    """Certificates and tokens among the values that are no longer good, and would be written.

    What the live Secrets hold already is a matter for the audit.

    :arg warn: told once, when certificates can't be read.
    """
    written: dict[str, dict[str, bytes]] = {}
    for source, data in values.items():
        live = central.get(source)
        old = decode(live) if live else {}
        written[source] = {key: value for key, value in data.items() if old.get(key) != value}
    return [
        existing("ended", "Secret %s/%s" % (namespace, source), "key '%s': %s" % (key, over), (ACCEPT,))
        for source, key, over in lifetimes.all_ended(written, now, warn)
    ]


def _written_since(namespace: str, live: Object, old: dict[str, bytes], new: dict[str, bytes]) -> Iterator[Existing]:
    """What somebody wrote into a live master Secret of ours since our own last write, and would be written back."""
    ours: set[str] = set()
    others: dict[str, str] = {}
    for record in live["metadata"].get("managedFields") or []:
        keys = fields_of(record, "data")
        if applied_by_us(record) or record.get("manager") in (MANAGER, RESTORER):
            ours |= keys
        else:
            others.update(dict.fromkeys(keys, str(record.get("manager"))))
    changed = sorted(
        key for key, value in new.items() if key in others and key not in ours and old.get(key, value) != value
    )
    if changed:
        writers = [*tools(live), *_tools_by_marks(live), *(others[key] for key in changed)]
        message = (
            "%s wrote %s since this collection did, and the old value would be written back. If that is who renews it, "
            "say 'written_by: ...' in its entries" % (" and ".join(dict.fromkeys(writers)), ", ".join(changed))
        )
        key = (namespace, live["metadata"]["name"])
        yield existing(
            "values", label_of("Secret", live), message, (OVERWRITE,), [key], [key] if live.get("immutable") else []
        )


# -- the store -----------------------------------------------------------------------------------


def _stores(entries: list[Entry], layout: stores.Layout, cluster: Cluster) -> Iterator[Existing]:
    for want in stores.desired(layout, entries):
        live = cluster.stores.get(kind_and_name(want))
        if live is None:
            continue
        what = label_of(want["kind"], live)
        if stores.is_store(want):
            if not is_owned(live):
                yield _store(layout, live, what)
            elif _central_of(live) != layout.namespace and _is_as_applied(live):
                yield _moved(layout, live, what)
            continue
        # Anyone may have given it our label.
        if live.get("roleRef", want.get("roleRef")) != want.get("roleRef"):
            message = "made by %s; it binds another role, and Kubernetes lets nobody change that. Delete it" % makers(
                live
            )
            yield existing("stores", what, message, ())
            continue
        if is_owned(live):
            continue
        if want.get("rules", live.get("rules")) == live.get("rules") and want.get("subjects") == live.get("subjects"):
            continue
        yield existing(
            "stores", what, "made by %s; its rules or subjects would be replaced" % makers(live), (OVERWRITE,)
        )


def _beside(entries: list[Entry], layout: stores.Layout, cluster: Cluster) -> Iterator[Existing]:
    """Stores of ours by another name over the same namespace, through which others than these entries read.

    Readers are named by the namespace: what one catalog gives them, the other takes away.
    """
    names = {entry.name for entry in entries}
    for name in stores.others_over(layout, cluster.stores):
        users = cluster.users.consumers(name, names, ours_too=True)
        if users:
            message = (
                "it reads namespace '%s', too, for %s, which would lose what only that catalog's entries read. Give "
                "one of the two catalogs a central namespace of its own: cluster_secrets_store_namespace"
                % (layout.namespace, shortened([one.label() for one in users]))
            )
            yield existing("stores", "ClusterSecretStore %s" % name, message, (OVERWRITE,))


def _central_of(store: Object) -> str:
    """The namespace that a live store of the Kubernetes provider reads."""
    provider = ((store.get("spec") or {}).get("provider") or {}).get("kubernetes") or {}
    return str(provider.get("remoteNamespace") or "default")


def _is_as_applied(store: Object) -> bool:
    """Whether it was the collection that wrote which namespace a live store of ours reads; an edit is taken back."""
    return any(
        "remoteNamespace" in fields_of(record, "spec", "provider", "kubernetes")
        for record in store["metadata"].get("managedFields") or []
        if applied_by_us(record)
    )


def _moved(layout: stores.Layout, live: Object, what: str) -> Existing:
    message = "it reads namespace '%s', and would read '%s'" % (_central_of(live), layout.namespace)
    return existing("stores", what, message, (OVERWRITE,))


def _store(layout: stores.Layout, live: Object, what: str) -> Existing:
    spec = live.get("spec") or {}
    provider = (spec.get("provider") or {}).get("kubernetes")
    if provider is None:
        others = ", ".join(spec.get("provider") or {}) or "none"
        message = "its provider is %s, not kubernetes: whoever reads through it would read elsewhere" % others
        return existing("stores", what, message, (OVERWRITE,))
    if _central_of(live) != layout.namespace:
        return _moved(layout, live, what)
    account = ((provider.get("auth") or {}).get("serviceAccount") or {}).get("name")
    reader = "ServiceAccount %s" % account if account else "credentials of its own"
    open_to = "the namespaces of its conditions" if spec.get("conditions") else "any namespace"
    message = "made by %s; it serves %s by %s, and would serve what the catalog selects by ServiceAccount %s" % (
        makers(live),
        open_to,
        reader,
        stores.READER,
    )
    url = (provider.get("server") or {}).get("url") or "kubernetes.default"
    if url.rpartition("//")[2] != layout.server_url.rpartition("//")[2] and "kubernetes.default" not in url:
        message += "; it reaches the API at %s, and would at %s" % (url, layout.server_url)
        return existing("stores", what, message, (OVERWRITE,))
    server = provider.get("server") or {}
    ca = server.get("caProvider") or {}
    if server.get("caBundle") or (ca and (ca.get("type"), ca.get("name")) != ("ConfigMap", "kube-root-ca.crt")):
        message += "; it trusts a CA of its own, and would trust that of ConfigMap kube-root-ca.crt"
        return existing("stores", what, message, (OVERWRITE,))
    return existing("stores", what, message, (ADOPT, OVERWRITE))


def _consumers(entries: list[Entry], layout: stores.Layout, cluster: Cluster) -> Iterator[Existing]:
    store = cluster.stores.get(("ClusterSecretStore", layout.store))
    if store is None:
        return
    users = cluster.users.consumers(layout.store, {entry.name for entry in entries})
    names = consumers.known_names(store)
    state = (cluster.stores, cluster.limits, cluster.namespaces, cluster.central)
    losing = stores.concerned(layout, entries, users, *state)
    labels = {one.label() for one, _lost in losing}
    for one in users if not is_owned(store) else ():
        for namespace, pattern in stores.undecided(one, store, cluster.namespaces):
            message = (
                "only Go can read the pattern '%s' in the conditions of ClusterSecretStore %s, so it is "
                "unknown whether it admits namespace %s; list namespaces in the store instead"
                % (pattern, layout.store, namespace)
            )
            labels.add(one.label())
            yield existing("consumers", one.label(), message, (DROP,))
    for label in stores.noted(layout, users, *state) if not is_owned(store) else ():
        if label not in labels:
            message = "it uses ClusterSecretStore %s and is not in the catalog; it goes on as it is" % layout.store
            yield existing("consumers", label, message, (REFUSE, KEEP, DROP))
    for one, lost in losing:
        # Nothing joins what was kept, so that only those can be kept on.
        late = is_owned(store) and one.label() not in names
        # A tenant makes one whenever he likes, and its status proves nothing: he would hold up every bootstrap.
        of_tenant = late and bool(one.item["metadata"].get("namespace"))
        answers = (REFUSE, KEEP, DROP) if of_tenant else (DROP,) if late else (KEEP, DROP)
        message = "it uses ClusterSecretStore %s and is not in the catalog: %s" % (layout.store, "; ".join(lost))
        yield existing("consumers", one.label(), message, answers, warns=of_tenant)


def _losses(entries: list[Entry], layout: stores.Layout, cluster: Cluster, prune: bool) -> Iterator[Existing]:
    """What this collection distributes now and would no longer: by entries that left, or that select or name otherwise.

    Another catalog on the same cluster looks like this, too.
    """
    by_name = {entry.name: entry for entry in entries}
    owned = [item for item in cluster.users.distributed if is_owned(item)]
    live = {item["metadata"]["name"]: item for item in owned}
    if not prune:
        after = stores.final(layout, entries, stores.own_entries(cluster.stores.values(), layout), False)
        for consumer in consumers.find(layout.store, by_name, owned, [], [], [], ours_too=True):
            lost = stores.losses(consumer, cluster.stores, after, layout.store, cluster.namespaces)
            if lost:
                message = "%s would no longer be refreshed, since no enabled entry has this name: %s" % (
                    _made_in(consumer.item, _selected(consumer.item, cluster)),
                    "; ".join(lost),
                )
                yield existing("losses", consumer.label(), message + _way_on(by_name, live), (ACCEPT,))
    for name in sorted(set(by_name) & set(live)):
        entry, item = by_name[name], live[name]
        store = stores.of_another_catalog(item, layout, cluster.stores.values())
        if store:
            message = (
                "it is of another catalog, which reads through ClusterSecretStore %s, and %s would get this one's "
                "value. Give the entry another name, label and target in one of the two"
                % (store, _made_in(item, _selected(item, cluster)))
            )
            yield existing("entries", label_of("ClusterExternalSecret", item), message, (OVERWRITE,))
            continue
        if _rewritten(item):
            continue  # somebody made it what it is, and a bootstrap fixes that
        selected = _selected(item, cluster)
        going = _going(entry, selected, cluster)
        target = consumers.distributed_target(item)
        gone = selected if target != entry.target else going
        if gone:
            why = "the entry selects differently" if target == entry.target else "the target is now %s" % entry.target
            what = label_of("ClusterExternalSecret", item)
            yield existing("losses", what, "%s would go: %s" % (_made_in(item, gone), why), (ACCEPT,))


def _relabelled(entries: list[Entry], cluster: Cluster) -> Iterator[Existing]:
    """Labels of no prefix of ours that have another value, which somebody may select by, before an entry's first time.

    Later, whoever may label a namespace could hold up everybody's bootstrap by this.
    """
    for entry in entries:
        key, value = entry.label or ("", "")
        if not key or key.startswith(LABEL_PREFIX) or entry.name in cluster.names:
            continue
        for name in entry.namespaces:
            there = ((cluster.namespaces.get(name) or {"metadata": {}})["metadata"].get("labels") or {}).get(key)
            if there not in (None, value):
                message = "it carries %s=%s, by which others may select it, and entry '%s' would make it %s=%s" % (
                    *(key, there, entry.name, key, value),
                )
                yield existing("losses", "Namespace %s" % name, message, (ACCEPT,))


def _rewritten(live: Object) -> bool:
    """Whether somebody else wrote what a live ClusterExternalSecret of ours selects, or the name of its target."""
    selecting = {"namespaceSelector", "namespaceSelectors", "namespaces"}
    return any(
        fields_of(record, "spec") & selecting or "name" in fields_of(record, "spec", "externalSecretSpec", "target")
        for record in live["metadata"].get("managedFields") or []
        if not applied_by_us(record)
    )


def _made_in(distributed: Object, namespaces: list[str]) -> str:
    shown = shortened(namespaces) or "none"
    return "Secret %s in namespace %s" % (consumers.distributed_target(distributed), shown)


def _way_on(by_name: dict[str, Entry], live: dict[str, Object]) -> str:
    if not set(by_name) & set(live):
        return ". None of this catalog's entries is on this cluster: is it the right one, with the right catalog?"
    return ". Put the entry back, or remove it with its targets: cluster_secrets_prune=entries"


# -- ClusterExternalSecrets and targets -----------------------------------------------------------


def _theirs(entries: list[Entry], cluster: Cluster) -> list[tuple[Entry, Object]]:
    """The entries whose ClusterExternalSecret someone else made, each with that."""
    by_name = {item["metadata"]["name"]: item for item in cluster.users.distributed if not is_owned(item)}
    return [(entry, by_name[entry.name]) for entry in entries if entry.name in by_name]


def _selected(distributed: Object, cluster: Cluster) -> list[str]:
    return sorted(
        name
        for name, item in cluster.namespaces.items()
        if consumers.selects(distributed, name, item["metadata"].get("labels") or {})
        and "deletionTimestamp" not in item["metadata"]
    )


def _going(entry: Entry, selected: list[str], cluster: Cluster) -> list[str]:
    """Those of the namespaces that are selected now which the entry neither lists nor selects."""
    return [
        name
        for name in selected
        if name not in entry.namespaces
        and not entry.selects(name, cluster.namespaces[name]["metadata"].get("labels") or {})
    ]


def _places(entries: list[Entry], cluster: Cluster) -> dict[tuple[str, str], Entry]:
    """(namespace, target) of all the targets that there will be, each with its entry."""
    carrying: dict[tuple[str, str], list[str]] = {}
    for name, item in cluster.namespaces.items():
        for label in (item["metadata"].get("labels") or {}).items():
            carrying.setdefault(label, []).append(name)
    places = {}
    for entry in entries:
        chosen = {*entry.namespaces, *entry.namespaces_by_name}
        if entry.label:
            chosen.update(carrying.get(entry.label, ()))
        if entry.namespace_selectors:
            chosen.update(
                name
                for name, item in cluster.namespaces.items()
                if entry.selects(name, item["metadata"].get("labels") or {})
            )
        for name in chosen:
            live = cluster.namespaces.get(name)
            # Whoever labels the central namespace gets nothing there.
            if live is not None and "deletionTimestamp" not in live["metadata"] and name != entry.central:
                places[name, entry.target] = entry
    return places


def _tried(entries: list[Entry], cluster: Cluster) -> set[tuple[str, str]]:
    """(entry, namespace) of what ESO serves, or could not serve when it last tried, by its own word.

    A quota of a tenant's keeps the ExternalSecret from being made, and its status is the tenant's to write.
    """
    names = {entry.name: (entry.external_secret, entry.target) for entry in entries}
    return {
        (item["metadata"]["name"], namespace)
        for item in cluster.users.distributed
        if is_owned(item)
        and names.get(item["metadata"]["name"]) == (consumers.external_name(item), consumers.distributed_target(item))
        for namespace in (*((item.get("status") or {}).get("provisionedNamespaces") or ()), *failed_namespaces(item))
    }


def _is_served(key: tuple[str, str], entry: Entry, cluster: Cluster, tried: set[tuple[str, str]]) -> bool:
    """Whether a ClusterExternalSecret of the entry's name made its ExternalSecret in a target's namespace, or tried to.

    A Secret that ESO can't fill is then for verifying to report: a tenant who makes one must not hold up everybody's
    bootstrap.
    """
    made = (key[0], entry.external_secret) in cluster.external_keys
    return entry.name in cluster.names and (made or (entry.name, key[0]) in tried)


def _goes(owner: Object, namespace: str, cluster: Cluster) -> bool:
    """Whether the ExternalSecret that owns a Secret is gone, or goes with its ClusterExternalSecret."""
    live = [
        item
        for item in cluster.users.externals
        if key_of(item) == (namespace, owner.get("name")) and item["metadata"].get("uid") == owner.get("uid")
    ]
    return not any(not consumers.ends(item, cluster.names) for item in live)


def _expected(entry: Entry, cluster: Cluster, values: dict[str, dict[str, bytes]]) -> dict[str, bytes] | None:
    """What the entry's targets will hold, or None when that can't be known."""
    sources = {}
    for name in entry.sources:
        live = cluster.central.get(name)
        if live is not None or name in values:
            sources[name] = {**(decode(live) if live else {}), **values.get(name, {})}
    try:
        return entry.render(sources)
    except Unreadable:
        return None


def _difference(entry: Entry, live: Object, expected: dict[str, bytes] | None) -> list[str]:
    """How a live target differs from what it will be."""
    differences = []
    if live.get("type") != entry.type:
        differences.append("its type becomes %s instead of %s" % (entry.type, live.get("type")))
    if expected is None:
        return differences
    old = decode(live)
    for keys, text in (
        (set(expected) - set(old), "gains"),
        (set(old) - set(expected), "loses"),
        ({key for key in expected if key in old and old[key] != expected[key]}, "changes"),
    ):
        if keys:
            differences.append("it %s %s" % (text, ", ".join(sorted(keys))))
    return differences


def _stuck(entry: Entry, live: Object, differs: bool) -> bool:
    """Whether Kubernetes lets nobody make the live Secret what the entry says."""
    return live.get("type") != entry.type or bool(differs and live.get("immutable"))


def _entries(entries: list[Entry], cluster: Cluster, values: dict[str, dict[str, bytes]]) -> Iterator[Existing]:
    for entry, live in _theirs(entries, cluster):
        selected = _selected(live, cluster)
        target = consumers.distributed_target(live)
        parts, backup, remove = [], [], []
        going = _going(entry, selected, cluster)
        if going:
            parts.append("namespace %s would lose the Secret %s" % (", ".join(going), target))
        renamed = consumers.external_name(live) != entry.external_secret or target != entry.target
        if renamed:
            parts.append(
                "Secret %s, by ExternalSecret %s, would go and Secret %s, by %s, be made anew"
                % (target, consumers.external_name(live), entry.target, entry.external_secret)
            )
        lost = _lost_metadata(entry, live)
        if lost:
            parts.append("its targets would lose %s" % ", ".join(lost))
        expected = _expected(entry, cluster, values)
        for name in selected:
            secret = cluster.whole.get((name, target))
            if secret is None:
                continue
            differs = _difference(entry, secret, expected)
            if differs:
                parts.append("in namespace %s: %s" % (name, ", ".join(differs)))
            if differs or renamed or name in going:
                backup.append((name, target))
            # What goes by itself, or stays under its old name, need not be made anew.
            if _stuck(entry, secret, bool(differs)) and name not in going and target == entry.target:
                remove.append((name, target))
        message = "made by %s; it would be taken over" % makers(live)
        yield existing(
            "entries",
            label_of("ClusterExternalSecret", live),
            "; ".join([message, *parts]) if parts else message + ", and the data of no target changes",
            (OVERWRITE,) if parts else (ADOPT, OVERWRITE),
            backup,
            remove,
        )


def _lost_metadata(entry: Entry, live: Object) -> list[str]:
    """The labels and annotations that a live ClusterExternalSecret gives its targets and the entry does not."""
    lost = []
    labels, annotations = target_metadata(live)
    for what, theirs, ours in (("label", labels, entry.labels), ("annotation", annotations, entry.annotations)):
        lost += ["%s %s" % (what, key) for key, value in sorted(theirs.items()) if ours.get(key) != value]
    return lost


def _externals(entries: list[Entry], cluster: Cluster) -> Iterator[Existing]:
    """ExternalSecrets of an entry's name that others made, before the entry's first time: ESO makes none there."""
    live = {key_of(item): item for item in cluster.users.externals}
    for (namespace, _target), entry in sorted(_places(entries, cluster).items(), key=lambda pair: pair[0]):
        there = live.get((namespace, entry.external_secret))
        if entry.name not in cluster.names and there is not None and consumers.maker(there) != entry.name:
            message = "made by %s; entry '%s' makes one of that name, so the namespace would not get its target" % (
                makers(there),
                entry.name,
            )
            yield existing("targets", label_of("ExternalSecret", there), message, (ADOPT, OVERWRITE))


def _targets(entries: list[Entry], cluster: Cluster, values: dict[str, dict[str, bytes]]) -> Iterator[Existing]:
    expected = {entry.name: _expected(entry, cluster, values) for entry in entries}
    tried = _tried(entries, cluster)
    for key, entry in sorted(_places(entries, cluster).items(), key=lambda pair: pair[0]):
        live = cluster.whole.get(key)
        if live is None:
            continue
        what = label_of("Secret", live)
        if _is_served(key, entry, cluster, tried):
            # Only an interrupted replacement is gone on with, and only on request.
            differs = _difference(entry, live, expected[entry.name])
            if not is_of_eso(cluster.secrets[key]) and _stuck(entry, live, bool(differs)):
                message = "made by hand, and ESO can't make it what it should be"
                yield existing("targets", what, message, (REFUSE, ADOPT, OVERWRITE), [key], [key])
            continue
        owner = next(
            (owner for owner in live["metadata"].get("ownerReferences") or [] if owner.get("controller")), None
        )
        # A forerunner of ESO has the same kind in another group.
        if owner is not None and is_of_kind(owner, "ExternalSecret") and _goes(owner, key[0], cluster):
            continue  # Kubernetes is about to remove it
        if owner is not None:
            message = "it belongs to %s, so ESO can't fill it, and it stays as it is" % " and ".join(controllers(live))
            yield existing("targets", what, message, (ADOPT, OVERWRITE))
            continue
        differs = _difference(entry, live, expected[entry.name])
        made = "left behind by ESO" if ESO_MANAGED_LABEL in (live["metadata"].get("labels") or {}) else "made by hand"
        if not differs:
            yield existing(
                "targets", what, "%s, with what ESO would write; ESO would take it over" % made, (ADOPT, OVERWRITE)
            )
            continue
        yield existing(
            "targets",
            what,
            "%s; ESO would take it over, and %s" % (made, ", ".join(differs)),
            (OVERWRITE,),
            [key],
            [key] if _stuck(entry, live, True) else [],
        )


# -- field managers --------------------------------------------------------------------------------


def tools(live: Object) -> list[str]:
    """The tools that keep writing a live object, sorted."""
    meta = live["metadata"]
    managers = [str(record.get("manager", "")).lower() for record in meta.get("managedFields") or []]
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    return sorted(
        name
        for name, tool in TOOLS.items()
        if any(manager.startswith(tool.managers) for manager in managers) or any(mark in marks for mark in tool.marks)
    )


#: Controllers that write Secrets without owning them: the beginnings of the labels and annotations that they set.
_WRITERS = {
    "cert-manager": ("cert-manager.io/certificate-name",),
    "reflector": ("reflector.v1.k8s.emberstack.com/reflects", "reflector.v1.k8s.emberstack.com/auto-reflects"),
    "mittwald's replicator": ("replicator.v1.mittwald.de/replicated-", "replicator.v1.mittwald.de/replicate-from"),
    "Kyverno": ("generate.kyverno.io/", "kyverno.io/generated-by"),
    "Rancher Fleet": ("objectset.rio.cattle.io/", "fleet.cattle.io/"),
    "Pulumi": ("pulumi.com/",),
    "1Password": ("operator.1password.io/",),
    "Infisical": ("secrets.infisical.com/",),
    "Doppler": ("secrets.doppler.com/",),
    "Sealed Secrets": ("sealedsecrets.bitnami.com/managed",),
    "Vault Secrets Operator": ("secrets.hashicorp.com/",),
    "kubed": ("kubed.appscode.com/", "config-syncer.appscode.com/"),
    "the Secrets Store CSI driver": ("secrets-store.csi.k8s.io/",),
}

#: The same by the names of their field managers.
_WRITING_MANAGERS = {
    "cert-manager": "cert-manager",
    "kyverno": "Kyverno",
    "fleet": "Rancher Fleet",
    "pulumi": "Pulumi",
    "onepassword": "1Password",
    "infisical": "Infisical",
    "replicator": "mittwald's replicator",
    "reflector": "reflector",
    "crossplane": "Crossplane",
    "postgres-operator": "postgres-operator",
    "strimzi": "Strimzi",
}


#: Controllers that copy a Secret to other namespaces, whose copies may go with it: the beginnings of the annotations by
#: which it is asked for.
_COPIERS = {
    "reflector": ("reflector.v1.k8s.emberstack.com/reflection-",),
    "mittwald's replicator": ("replicator.v1.mittwald.de/replicate-to", "replicator.v1.mittwald.de/replication-"),
    "kubed": ("kubed.appscode.com/sync",),
}


def _marked(begins: dict[str, tuple[str, ...]], marks: Collection[str]) -> list[str]:
    """The tools of which one of the marks is, by how those begin."""
    return [tool for tool, texts in begins.items() if any(mark.startswith(texts) for mark in marks)]


def copiers(secret: Object) -> list[str]:
    """The controllers that copy a live Secret to other namespaces."""
    return _marked(_COPIERS, secret["metadata"].get("annotations") or {})


def _tools_by_marks(secret: Object) -> list[str]:
    """The controllers that write a live Secret, by its marks and by who wrote its data, sorted."""
    meta = secret["metadata"]
    marks = [*(meta.get("labels") or {}), *(meta.get("annotations") or {})]
    names = set(_marked(_WRITERS, marks))
    for record in meta.get("managedFields") or []:
        if "f:data" in (record.get("fieldsV1") or {}):
            manager = str(record.get("manager", "")).lower()
            names.update(tool for part, tool in _WRITING_MANAGERS.items() if manager.startswith(part))
    return sorted(names)


def controllers(live: Object) -> list[str]:
    """The controllers that own a live object."""
    owners = live["metadata"].get("ownerReferences") or []
    return owners_of({"metadata": {"ownerReferences": [owner for owner in owners if owner.get("controller")]}})


def renewers(secret: Object) -> list[str]:
    """The controllers that write a live Secret again and again."""
    return list(dict.fromkeys([*_tools_by_marks(secret), *controllers(secret)]))


def writers(secret: Object) -> list[str]:
    """Who, besides people, keeps writing a live Secret: tools, what owns it, ESO."""
    # Some operators own what they write without controlling it.
    owners = owners_of(secret)
    if ESO_MANAGED_LABEL in (secret["metadata"].get("labels") or {}) and not owners:
        owners = ["ESO"]
    return list(dict.fromkeys([*tools(secret), *_tools_by_marks(secret), *owners]))


def makers(live: Object) -> str:
    """Who made a live object, for a message."""
    named = tools(live) or [
        str(record.get("manager"))
        for record in live["metadata"].get("managedFields") or []
        if not record.get("subresource")
    ]
    # ESO writes on what others made.
    others = [one for one in named if one != ESO_MANAGER]
    return ", ".join(dict.fromkeys(others or named)) or "someone else"


def _managers(entries: list[Entry], layout: stores.Layout, cluster: Cluster) -> Iterator[Existing]:
    version = cluster.version or ""
    kind = {"apiVersion": "%s/%s" % (ESO_GROUP, version), "kind": "ClusterExternalSecret"}
    live = dict(cluster.stores)
    live.update(
        {
            (kind["kind"], distributed["metadata"]["name"]): {**distributed, **kind}
            for distributed in cluster.users.distributed
        }
    )
    wanted = stores.desired(layout, entries)
    if cluster.version:
        wanted += [cluster_external_secret(entry, layout.store_of(entry.name), version) for entry in entries]
    for want in wanted:
        there = live.get(kind_and_name(want))
        if there is None:
            continue
        owners = tools(there)
        if owners and plan_apply(want, there) is not None:
            message = "%s owns it too; the two would undo each other's changes" % " and ".join(owners)
            yield existing("managers", label_of(want["kind"], there), message, (OVERWRITE,))


def _sources(entries: list[Entry], cluster: Cluster) -> Iterator[Existing]:
    said = written_by_others(entries)
    for source in sorted({source for entry in entries for source in entry.sources}):
        there = cluster.central.get(source)
        if there is None:
            continue
        who = writers(there)
        what = label_of("Secret", there)
        if source in said:
            message = "%s writes it, as its entry says; it is distributed and never written" % said[source]
            yield existing("managers", what, message, (REFUSE, OVERWRITE))
        elif who:
            message = (
                "%s owns it too and would undo a rotation. If that is who renews it, say 'written_by: %s' in its "
                "entries" % (" and ".join(who), who[0])
            )
            yield existing("managers", what, message, (OVERWRITE,))
