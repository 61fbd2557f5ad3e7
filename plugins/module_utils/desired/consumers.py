# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Consumers of the shared store that the catalog doesn't know, and what the store must give them. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Collection, Iterable, Iterator, Optional, Set, Tuple

from ..catalog.entries import Entry, selector_keys, selector_names
from ..resources import Object, is_of_kind, key_of, label_of, matches
from .distribution import is_owned

#: On the shared store: the consumers that were kept when the collection took it over, as a JSON list of texts.
KEPT_ANNOTATION = "cluster-secrets/kept"

#: On the shared store: those that the catalog served anyway then, likewise.
NOTED_ANNOTATION = "cluster-secrets/noted"

#: Stands for all Secrets, in place of a set of names.
EVERYTHING = None


@dataclass(frozen=True, eq=False)
class Consumer:
    """A live object that reads or writes the central namespace through the shared store.

    ``conditions`` are the store's conditions that admit it, ``reads`` the names of the master Secrets that it reads
    (None: it searches all), ``writes`` of those that it writes (None: any). Its status says nothing: whoever may write
    it may write that too.
    """

    kind: str
    item: Object
    conditions: list[Object]
    reads: set[str] | None
    writes: set[str] | None

    def label(self) -> str:
        """Kind and place, such as 'ExternalSecret team/token'."""
        return label_of(self.kind, self.item)

    def namespaces(self, live: dict[str, Object]) -> list[str]:
        """The names of the live namespaces (by name) that it reads from."""
        if not self.conditions:
            return []
        return sorted(name for name, item in live.items() if admits(self.conditions, name, _labels(item)))


def _labels(namespace: Object) -> dict[str, str]:
    return namespace["metadata"].get("labels") or {}


def admits(conditions: list[Object], namespace: str, labels: dict[str, str]) -> bool:
    """Whether a store's conditions admit a namespace for certain; ESO takes an empty list for 'any namespace'."""
    return _verdict(conditions, namespace, labels) is True


def is_refused(consumer: Consumer, conditions: list[Object], labels: dict[str, dict[str, str]]) -> bool:
    """Whether a store's conditions refuse a consumer for certain.

    :arg labels: those of the live namespaces, by name.
    """
    namespace = consumer.item["metadata"].get("namespace")
    # One of the whole cluster makes its objects in many namespaces.
    return bool(namespace) and _verdict(conditions, namespace, labels.get(namespace, {})) is False


def undecided(conditions: list[Object], namespace: str, labels: dict[str, str]) -> list[str]:
    """The patterns on which it depends whether conditions admit a namespace, and that only Go can read."""
    if _verdict(conditions, namespace, labels) is not None:
        return []
    patterns = [pattern for condition in conditions for pattern in condition.get("namespaceRegexes") or []]
    return [pattern for pattern in patterns if _found(pattern, namespace) is None]


def _verdict(conditions: list[Object], namespace: str, labels: dict[str, str]) -> bool | None:
    """Whether conditions admit a namespace; None where only Go can tell."""
    verdict: bool | None = not conditions
    for condition in conditions:
        selector = condition.get("namespaceSelector")
        if selector is not None and matches(selector, labels):
            return True
        if namespace in (condition.get("namespaces") or []):
            return True
        for pattern in condition.get("namespaceRegexes") or []:
            matches_name = _found(pattern, namespace)
            if matches_name:
                return True
            if matches_name is None:
                verdict = None
    return verdict


#: What Go and Python read alike: plain characters, the classes that both know, groups, and repetitions of one thing.
_ALIKE = re.compile(
    r"(?:[A-Za-z0-9_.^$|-]|\\[-.dDwWsS]|\((?:\?:)?(?!\?)|\)|\[\^?[A-Za-z0-9_.-]+\]"
    r"|(?:[*+?]|\{[0-9]{1,2}(?:,[0-9]{0,2})?\})\??(?![*+?{]))*\Z"
)


#: Python takes time without end for some patterns that Go reads in no time: those that repeat a group.
_REPEATED_GROUP = re.compile(r"\)[*+?{]")
_LONGEST = 200


def _found(pattern: str, text: str) -> bool | None:
    """Whether one of Go's patterns is found in a text; None where only Go can tell."""
    if len(pattern) > _LONGEST or pattern.count("{") > 1 or _REPEATED_GROUP.search(pattern):
        return None
    if not _ALIKE.match(pattern):
        return None
    try:
        return re.search(pattern, text) is not None
    except (re.error, RecursionError, OverflowError):
        return None


def selection(spec: Object) -> list[Object]:
    """Which namespaces a ClusterExternalSecret or ClusterPushSecret selects, as a store's conditions."""
    selectors = [spec.get("namespaceSelector"), *(spec.get("namespaceSelectors") or [])]
    conditions: list[Object] = [{"namespaceSelector": selector} for selector in selectors if selector is not None]
    return conditions + ([{"namespaces": sorted(spec["namespaces"])}] if spec.get("namespaces") else [])


def selects(distributed: Object, namespace: str, labels: dict[str, str]) -> bool:
    """Whether a live ClusterExternalSecret selects a namespace."""
    chosen = selection(distributed.get("spec") or {})
    return bool(chosen) and admits(chosen, namespace, labels)


def selecting(
    distributed: Iterable[Object], cluster_stores: Iterable[Object], pushes: Iterable[Object]
) -> dict[str, str]:
    """The keys of labels by which live objects select namespaces, each with one of the objects."""
    by_key: dict[str, str] = {}
    for kind, items in (
        ("ClusterExternalSecret", distributed),
        ("ClusterPushSecret", pushes),
        ("ClusterSecretStore", cluster_stores),
    ):
        for item in items:
            spec = item.get("spec") or {}
            chosen = (spec.get("conditions") or []) if kind == "ClusterSecretStore" else selection(spec)
            for key in label_keys(chosen):
                by_key.setdefault(key, label_of(kind, item))
    return by_key


def label_keys(conditions: Iterable[Object]) -> set[str]:
    """The keys of labels by which conditions select namespaces."""
    keys: set[str] = set()
    for condition in conditions:
        keys.update(selector_keys(condition.get("namespaceSelector") or {}))
    return keys


def named(conditions: Iterable[Object]) -> set[str]:
    """The names by which conditions select namespaces."""
    names: set[str] = set()
    for condition in conditions:
        names.update(condition.get("namespaces") or [])
        names.update(selector_names(condition.get("namespaceSelector") or {}))
    return names


def guarded(
    store: Object | None, name: str, entries: Iterable[Entry], distributed: list[Object], externals: Iterable[Object]
) -> list[Consumer]:
    """The consumers beside the catalog whose copies the guard protects.

    Those that the shared store says were kept. What is left over of the collection's own entries has labels of its own.

    :arg store: the live shared store, if it is the collection's; :arg name: its name.
    """
    known = known_names(store)
    names = {entry.name for entry in entries}
    return [consumer for consumer in find(name, names, distributed, externals, [], []) if consumer.label() in known]


def target_of(consumer: Consumer) -> str:
    """The name of the Secrets that an ExternalSecret or ClusterExternalSecret makes."""
    if consumer.kind == "ClusterExternalSecret":
        return distributed_target(consumer.item)
    return external_target(consumer.item)


def external_target(external: Object) -> str:
    """The name of the Secret that a live ExternalSecret makes."""
    return (_spec(external).get("target") or {}).get("name") or external["metadata"]["name"]


def store_of(distributed: Object) -> str | None:
    """The name of the ClusterSecretStore that a live ClusterExternalSecret reads through."""
    spec = (distributed.get("spec") or {}).get("externalSecretSpec") or {}
    reference = spec.get("secretStoreRef") or {}
    return reference.get("name") if reference.get("kind") == "ClusterSecretStore" else None


def distributed_target(distributed: Object) -> str:
    """The name of the Secrets that a live ClusterExternalSecret makes."""
    target = (_spec(distributed).get("externalSecretSpec") or {}).get("target") or {}
    return target.get("name") or external_name(distributed)


def find(
    store: str,
    names: Collection[str],
    distributed: list[Object],
    externals: Iterable[Object],
    pushes: list[Object],
    cluster_pushes: list[Object],
    ours_too: bool = False,
) -> list[Consumer]:
    """The consumers of the ClusterSecretStore ``store``, sorted by label.

    :arg names: the names of ClusterExternalSecrets that don't count; :arg ours_too: whether others that the collection
        made do.
    """
    users = [
        Consumer("ClusterExternalSecret", item, selection(_spec(item)), _reads(_spec(item), store), set())
        for item in distributed
        if item["metadata"]["name"] not in names and (ours_too or not is_owned(item)) and _uses(_spec(item), store)
    ]
    made: set[tuple[str | None, str]] = {(item["metadata"]["name"], external_name(item)) for item in distributed}
    names_live = {item["metadata"]["name"] for item in distributed}
    for item in externals:
        if not _uses({"externalSecretSpec": _spec(item)}, store) or _is_made(item, made) or ends(item, names_live):
            continue
        reads = _reads({"externalSecretSpec": _spec(item)}, store)
        users.append(Consumer("ExternalSecret", item, _within(item), reads, set()))
    for item in pushes:
        if _pushes(_spec(item), store) and not item["metadata"].get("ownerReferences"):
            users.append(Consumer("PushSecret", item, _within(item), set(), _writes(_spec(item))))
    for item in cluster_pushes:
        spec = _spec(item).get("pushSecretSpec") or {}
        if _pushes(spec, store):
            chosen = selection({**_spec(item), "namespaceSelector": None})
            users.append(Consumer("ClusterPushSecret", item, chosen, set(), _writes(spec)))
    return sorted(users, key=Consumer.label)


def through_own_stores(
    namespace: str, secret_stores: Iterable[Object], externals: Iterable[Object]
) -> dict[str, list[Consumer]]:
    """The ExternalSecrets that have read the central ``namespace`` through a SecretStore beside them, by store."""
    by_store: dict[str, list[Consumer]] = {}
    names = {
        key_of(item)
        for item in secret_stores
        if (((_spec(item).get("provider") or {}).get("kubernetes") or {}).get("remoteNamespace")) == namespace
    }
    for item in externals:
        place = key_of(item)[0]
        # Whoever has credentials of the central namespace was given them; the others have read nothing.
        if not (item.get("status") or {}).get("refreshTime"):
            continue
        for store in sorted(name for beside, name in names if beside == place):
            reads = _reads({"externalSecretSpec": _spec(item)}, store, "SecretStore")
            if reads is EVERYTHING or reads:
                one = Consumer("ExternalSecret", item, _within(item), reads, set())
                by_store.setdefault("%s/%s" % (place, store), []).append(one)
    return by_store


def external_name(distributed: Object) -> str:
    """The name of the ExternalSecrets that a live ClusterExternalSecret makes."""
    return _spec(distributed).get("externalSecretName") or distributed["metadata"]["name"]


def maker(external: Object) -> str | None:
    """The name of the ClusterExternalSecret that keeps a live ExternalSecret as it is, or None.

    ESO asks who controls it: one that a tenant took from its controller is the tenant's.
    """
    for owner in external["metadata"].get("ownerReferences") or []:
        if owner.get("controller") and owner.get("kind") == "ClusterExternalSecret":
            return owner.get("name") if is_of_kind(owner, "ClusterExternalSecret") else None
    return None


def _spec(item: Object) -> Object:
    """A live object's spec; ESO's definitions let it be missing."""
    return item.get("spec") or {}


def _within(item: Object) -> list[Object]:
    return [{"namespaces": [key_of(item)[0]]}]


def ends(external: Object, distributed: set[str]) -> bool:
    """Whether a live ExternalSecret is going: its ClusterExternalSecret, which owned it, is not there any more.

    :arg distributed: the names of the live ClusterExternalSecrets.
    """
    owner = maker(external)
    return "deletionTimestamp" in external["metadata"] or (owner is not None and owner not in distributed)


def pushes_to(consumer: Consumer, store: str) -> bool:
    """Whether a consumer writes through a store that it names, or has written; a selector of stores may mean others."""
    spec = _spec(consumer.item)
    references = (spec.get("pushSecretSpec") or spec).get("secretStoreRefs") or []
    return any(_is(reference, store) for reference in references) or has_pushed(consumer.item, store)


def has_pushed(push: Object, store: str) -> bool:
    """Whether a live PushSecret has written through a ClusterSecretStore, by ESO's word."""
    synced = (push.get("status") or {}).get("syncedPushSecrets") or {}
    return bool(synced.get("ClusterSecretStore/" + store))


def _is_made(external: Object, made: set[tuple[str | None, str]]) -> bool:
    """Whether a ClusterExternalSecret keeps the ExternalSecret as it is."""
    return (maker(external), external["metadata"]["name"]) in made


def _references(spec: Object) -> Iterator[tuple[Any, Object]]:
    """(the store's reference, what is read through it) of each piece of data of an ExternalSecret's spec."""
    default = spec.get("secretStoreRef")
    for one in (spec.get("data") or []) + (spec.get("dataFrom") or []):
        if (one.get("sourceRef") or {}).get("generatorRef"):
            continue  # it reads no store
        yield (one.get("sourceRef") or {}).get("storeRef") or default, one


def _is(reference: Any, store: str, kind: str = "ClusterSecretStore") -> bool:
    return (
        isinstance(reference, dict)
        and (reference.get("kind") or "SecretStore") == kind
        and reference.get("name") == store
    )


def _uses(spec: Object, store: str) -> bool:
    inner = spec.get("externalSecretSpec") or {}
    return any(_is(reference, store) for reference, _one in _references(inner))


def _reads(spec: Object, store: str, kind: str = "ClusterSecretStore") -> set[str] | None:
    sources: set[str] = set()
    for reference, one in _references(spec.get("externalSecretSpec") or {}):
        if not _is(reference, store, kind):
            continue
        if one.get("find") is not None:
            return EVERYTHING
        key = (one.get("remoteRef") or one.get("extract") or {}).get("key")
        if key is not None:
            sources.add(key)
    return sources


def _pushes(spec: Object, store: str) -> bool:
    return any(
        _is({"kind": "SecretStore", **reference}, store)
        or (reference.get("kind") == "ClusterSecretStore" and reference.get("labelSelector"))
        for reference in spec.get("secretStoreRefs") or []
    )


def _writes(spec: Object) -> set[str] | None:
    names: list[Any] = [
        ((pushed.get("match") or {}).get("remoteRef") or {}).get("remoteKey") for pushed in spec.get("data") or []
    ]
    if spec.get("dataTo") or not names or None in names:
        return EVERYTHING
    return set(names)


def kept_names(store: Object) -> list[str]:
    """The texts of the consumers that a live store of ours says were kept."""
    return _listed(store, KEPT_ANNOTATION)


def noted_names(store: Object) -> list[str]:
    """The texts of the consumers that a live store of ours says the catalog served anyway."""
    return _listed(store, NOTED_ANNOTATION)


def kept_beside(stores: Iterable[Object]) -> set[str]:
    """The labels of the consumers that any of the live stores that are ours serves since it was taken over."""
    return {label for store in stores if is_owned(store) for label in known_names(store)}


def known_names(store: Object | None) -> list[str]:
    """Both, of a live store of ours (None: absent)."""
    return kept_names(store) + noted_names(store) if store else []


def _listed(store: Object, annotation: str) -> list[str]:
    try:
        names = json.loads((store["metadata"].get("annotations") or {}).get(annotation) or "[]")
    except (ValueError, RecursionError):
        names = []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


#: The names of the Secrets that a store's identity may read, and may write; None: any.
Limits = Tuple[Optional[Set[str]], Optional[Set[str]]]


def bounded(consumer: Consumer, limits: Limits) -> Consumer:
    """The consumer with no more than the limits allow."""
    reads, writes = _within_of(consumer.reads, limits[0]), _within_of(consumer.writes, limits[1])
    return replace(consumer, reads=reads, writes=writes)


def of_existing(consumer: Consumer, existing: Collection[str]) -> Consumer:
    """The consumer with what it reads of the master Secrets that there are: it can't lose one that is yet to come."""
    reads = consumer.reads if consumer.reads is EVERYTHING else consumer.reads.intersection(existing)
    return replace(consumer, reads=reads)


def does_something(consumer: Consumer) -> bool:
    """Whether it reads or writes anything."""
    return consumer.reads is EVERYTHING or consumer.writes is EVERYTHING or bool(consumer.reads or consumer.writes)


def _within_of(wanted: set[str] | None, limit: set[str] | None) -> set[str] | None:
    if limit is None:
        return wanted
    return set(limit) if wanted is None else wanted & limit


def allowed(role: Object | None, verbs: Collection[str]) -> set[str] | None:
    """The names of the Secrets that a live Role (None: absent) allows all ``verbs`` on; None: any."""
    names: set[str] = set()
    for rule in (role or {}).get("rules") or []:
        if not {"secrets", "*"}.intersection(rule.get("resources") or []):
            continue
        if "*" in (rule.get("verbs") or []) or set(verbs) <= set(rule.get("verbs") or []):
            if not rule.get("resourceNames"):
                return None
            names.update(rule["resourceNames"])
    return names


def conditions(consumers: list[Consumer]) -> list[Object]:
    """What the shared store's conditions have for its consumers, each once and in a fixed order."""
    texts = {json.dumps(condition, sort_keys=True) for consumer in consumers for condition in consumer.conditions}
    return [json.loads(text) for text in sorted(texts)]


def rules(consumers: list[Consumer], sources: Collection[str]) -> list[Object]:
    """The rules of the shared reader's Role, for the catalog's ``sources`` and for the consumers."""
    reads = set(sources)
    everything = any(consumer.reads is EVERYTHING for consumer in consumers)
    for one in consumers:
        reads |= one.reads or set()
    granted: list[Object] = [_rule(["get"], sorted(reads))]
    if everything:
        # Searching by name or tag lists all master Secrets.
        granted = [_rule(["get", "list"], None)]
    writing = [consumer for consumer in consumers if consumer.writes is EVERYTHING or consumer.writes]
    if writing:
        named: set[str] | None = set()
        for one in writing:
            named = None if named is None or one.writes is EVERYTHING else named | (one.writes or set())
        # No creation, which has no name yet: it could make a Secret that holds a token of the reader.
        granted.append(_rule(["get", "update", "patch", "delete"], None if named is None else sorted(named)))
    return granted


def _rule(verbs: list[str], names: list[str] | None) -> Object:
    rule: Object = {"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}
    return rule if names is None else {**rule, "resourceNames": names}
