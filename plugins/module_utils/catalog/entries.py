# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog: what secrets exist, where they come from and which namespaces get them. Pure.

A catalog is a list of entries. One entry yields one ClusterExternalSecret, whose name is the
entry's; docs/reference.md describes the keys. Everything else in the collection is
derived from the parsed form, :class:`Entry`.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Mapping, NamedTuple, Tuple

from ..errors import CatalogError
from ..resources import Object, matches
from .checker import DNS_LABEL, LABEL_VALUE, SECRET_TYPE, Checker, kind_of
from .pieces import WHOLE, Base64, Literal, Ref, Reference, Text, decoded, whole

#: The value of a label for which the catalog gives none.
TRUE = "true"

#: The label by which every namespace can be chosen by its name; nobody can change it.
NAME_LABEL = "kubernetes.io/metadata.name"

#: What distribution labels should start with; the guard reserves the prefix.
LABEL_PREFIX = "secrets/"

OPAQUE = "Opaque"
DOCKER_CONFIG = "kubernetes.io/dockerconfigjson"
DOCKER_CONFIG_KEY = ".dockerconfigjson"

DAYS = re.compile(r"[1-9][0-9]{0,4}d\Z")
DURATION = re.compile(r"(?=[^1-9]*[1-9])([0-9]+(h|m|s))+\Z")

#: The keys of an entry, each with what the reference and the schema say of it.
ENTRY_KEYS = {
    "name": "the entry and its ClusterExternalSecret; required",
    "source": "the master Secret; required, unless every key names its own",
    "label": "the label that gives a namespace the target: a key, whose value is then `true`, or `key=value`",
    "target": "the Secret in the namespaces; the entry's name, unless given",
    "namespaces": "the namespaces that are labelled",
    "namespaces_by_name": "namespaces that get the target without a label",
    "namespace_selectors": "label selectors as Kubernetes has them (`matchLabels`, `matchExpressions`), such as all "
    "namespaces but some; an entry needs these, `namespaces_by_name` or `label`",
    "data": "the target's keys: `TARGET_KEY: source-key`, or `TARGET_KEY: other-source/key` for a key of another "
    "master Secret; `TARGET_KEY: {value: text}` for text that is no secret; `TARGET_KEY: {text: "
    '"postgres://{user}:{password}@db"}` for text composed of source keys',
    "extract": "`true` copies the source whole, a list of sources all of these, the later ones' keys winning; `data` "
    "beside it adds keys",
    "registry": "instead of `data`: a docker config for `server`, from the source keys `username` (or `{value: NAME}`) "
    "and `password`",
    "git": "instead of `data`: Kargo's credentials of that type for `repo_url` (a pattern with `repo_url_is_regex: "
    "true`), from the source keys `username` (or `{value: NAME}`) and `password`",
    "image": "the same for images",
    "helm": "the same for charts",
    "type": "the target's type, `Opaque` unless given; a type of your own is `domain/name`",
    "external_secret": "the name of the ExternalSecrets, the entry's unless given",
    "labels": "more labels for the target",
    "annotations": "more annotations for the target",
    "generate": "source keys whose values nobody has to know: `KEY: {length: 40, alphabet: abcdef0123456789}`, 32 "
    "letters and digits unless given; made once, kept in the central store only, and made anew by `rotate -e "
    '\'{"cluster_secrets_regenerate": {SOURCE: "2026-11"}}\'`',
    "written_by": "who else writes the source, such as `cert-manager`: it is then distributed and never written, and "
    "needs no values; of several sources `{SOURCE: WHO}`",
    "rotate_after": "how old a value may get, in days (`90d`), before the audit reports it",
    "owner": "whose secret it is; the audit names them",
    "description": "what it is; the audit says it",
    "deletion_policy": "what becomes of the targets when the source is deleted: `Retain`, unless `Delete` is given",
    "refresh_interval": "how often ESO looks at the source by itself, `1h` unless given",
    "enabled": "false leaves the entry out",
}
#: The kinds of credentials that Kargo knows, each a shape of its name.
KARGO_KINDS = ("git", "image", "helm")
SHAPES = ("data", "extract", "registry", *KARGO_KINDS)
REGISTRY_KEYS = ("server", "username", "password")
KARGO_KEYS = ("repo_url", "repo_url_is_regex", "username", "password")

#: The label by which Kargo finds its credentials.
KARGO_LABEL = "kargo.akuity.io/cred-type"

#: Labels of a target that the collection or ESO sets itself.
RESERVED_LABELS = ("managed-by", "reconcile.external-secrets.io/managed")

#: What becomes of a target whose source is deleted.
DELETION_POLICIES = ("Retain", "Delete")

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")

#: Secret types whose keys Kubernetes prescribes: type -> keys that must be there.
_TYPE_KEYS = {
    DOCKER_CONFIG: (DOCKER_CONFIG_KEY,),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
#: basic-auth needs at least one of its keys, so the type is only known here.
TYPES = (OPAQUE, "kubernetes.io/basic-auth", *_TYPE_KEYS)

#: The domains of Kubernetes' own types; no other type from them is allowed, above all no ServiceAccount token.
_KUBERNETES = ("kubernetes.io", ".kubernetes.io")


#: What a generated value is made of unless the catalog says so.
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"

#: The fewest bits of chance that a generated value may have.
_BITS = 64


class Recipe(NamedTuple):
    """How a value is generated: how many characters, and which ones it may have."""

    length: int
    alphabet: str


class Entry:
    """One checked catalog entry.

    ``source`` is the master Secret that keys without a source of their own are read from, ``sources`` are all, that one
    first. ``extract`` names the sources that are copied whole, in the order in which the later ones win; ``data`` maps
    each further key of the target Secret to a :class:`Text`, whose references name no source where it is ``source``.
    ``label`` is (key, value), or None for an entry that chooses its namespaces otherwise. ``written_by`` is who else
    writes sources, by their names. ``rotate_after`` is in days, or None. ``central`` is the namespace of the master
    Secrets, which is never a target, or None where that isn't known. All other attributes carry the catalog's own
    names, with their defaults filled in.
    """

    __slots__ = (
        "annotations",
        "central",
        "data",
        "deletion_policy",
        "description",
        "enabled",
        "external_secret",
        "extract",
        "generate",
        "label",
        "labels",
        "name",
        "namespace_selectors",
        "namespaces",
        "namespaces_by_name",
        "owner",
        "refresh_interval",
        "rotate_after",
        "source",
        "sources",
        "target",
        "type",
        "written_by",
    )

    name: str
    source: str
    sources: tuple[str, ...]
    target: str
    type: str
    label: tuple[str, str] | None
    namespaces: tuple[str, ...]
    namespaces_by_name: tuple[str, ...]
    namespace_selectors: tuple[Object, ...]
    data: dict[str, Text]
    extract: tuple[str, ...]
    generate: dict[str, Recipe]
    rotate_after: int | None
    owner: str
    description: str
    external_secret: str
    labels: dict[str, str]
    annotations: dict[str, str]
    deletion_policy: str
    refresh_interval: str
    enabled: bool
    written_by: dict[str, str]
    central: str | None

    def __init__(self, **attributes: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, attributes[name])

    def label_text(self) -> str:
        """The label as kubectl writes it, ``key=value``; empty without one."""
        return "=".join(self.label or ())

    def label_keys(self) -> set[str]:
        """The keys of the labels by which namespaces are chosen, that of a namespace's own name left out."""
        keys = {self.label[0]} if self.label else set()
        return keys.union(*map(selector_keys, self.namespace_selectors)) - {NAME_LABEL}

    def named(self) -> list[str]:
        """The names of all namespaces that the entry names, sorted."""
        return sorted(
            {*self.namespaces, *self.namespaces_by_name}.union(*map(selector_names, self.namespace_selectors))
        )

    def namespace_selectors_of_eso(self) -> list[Object]:
        """The label selectors of Kubernetes for the namespaces that get the target.

        The central namespace is left out, whoever labels it: a source could become its own target there.
        """
        chosen: list[Object] = [{"matchLabels": {self.label[0]: self.label[1]}}] if self.label else []
        chosen += [dict(one) for one in self.namespace_selectors]
        if self.central:
            for one in chosen:
                spared = {"key": NAME_LABEL, "operator": "NotIn", "values": [self.central]}
                one["matchExpressions"] = [*(one.get("matchExpressions") or []), spared]
        return chosen + [{"matchLabels": {NAME_LABEL: name}} for name in self.namespaces_by_name]

    def admitting(self) -> list[Object]:
        """The label selectors by which a store admits these namespaces: without exception for the central one where a
        label or a name chooses, so that one condition serves all entries with that label."""
        simple = [self.label] if self.label else []
        simple += [(NAME_LABEL, name) for name in self.namespaces_by_name]
        found: list[Object] = [{"matchLabels": {key: value}} for key, value in simple]
        start = 1 if self.label else 0
        return found + self.namespace_selectors_of_eso()[start : start + len(self.namespace_selectors)]

    def selects(self, name: str, labels: dict[str, str]) -> bool:
        """Whether a namespace of this name and these labels gets the target."""
        if name in self.namespaces_by_name:
            return True
        if name == self.central:
            return False
        if self.label is not None and labels.get(self.label[0]) == self.label[1]:
            return True
        # The API server gives every namespace the label of its name.
        return any(matches(one, {NAME_LABEL: name, **labels}) for one in self.namespace_selectors)

    def sources_text(self) -> str:
        """The sources, as people read them."""
        return ", ".join(self.sources)

    def references(self) -> list[Reference]:
        """What is read of the sources besides what is copied whole, sorted; the entry's own has no name there."""
        return sorted({one for text in self.data.values() for one in text.references()})

    def reads(self, source: str, key: str) -> bool:
        """Whether the target depends on a key of a source."""
        if source in self.extract:
            return True
        own = "" if source == self.source else source
        return any(one.source == own and one.key in (key, WHOLE) for one in self.references())

    def reads_whole(self) -> set[str]:
        """The sources of which the target has every key."""
        return {*self.extract, *(one.source or self.source for one in self.references() if one.key == WHOLE)}

    def source_keys(self) -> dict[str, list[str]]:
        """The keys that must be there by the source that has them, sorted; no keys for one of which any will do."""
        found: dict[str, set[str]] = {source: set() for source in self.sources}
        direct = self.direct()
        copied = self.extract[0] if len(self.extract) == 1 else None
        for target, text in self.data.items():
            for one in text.references():
                # Of several sources that are copied, any may have it.
                source = (one.source or self.source) if target in direct or not self.extract else copied
                if one.key != WHOLE and source is not None:
                    found[source].add(one.key)
        if copied is not None:
            found[copied].update(set(_TYPE_KEYS.get(self.type, ())) - set(self.data))
        return {source: sorted(keys) for source, keys in found.items()}

    def render(self, sources: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
        """The data of a target Secret, ``{key: bytes}``, for the data of the sources, ``{source: {key: bytes}}``.

        Raises Unreadable, which says what is missing or wrong.
        """

        for source in self.sources:
            if source not in sources:
                raise Unreadable("source '%s' is not in the central store" % source)
        copied = {key: value for source in self.extract for key, value in sources[source].items()}

        def look_up(one: Reference) -> bytes:
            source = one.source or self.source
            # What is copied whole is there by its keys' names.
            plain = not one.source and not one.decoding and one.key != WHOLE
            data = copied if self.extract and plain else sources[source]
            if one.key != WHOLE and one.key not in data:
                raise Unreadable("source '%s' has no key '%s'" % (source, one.key))
            value = whole(data) if one.key == WHOLE else data[one.key]
            try:
                return decoded(value, one.decoding)
            except ValueError:
                raise Unreadable("source '%s': its key '%s' is not %s" % (source, one.key, one.decoding)) from None

        found = dict(copied)
        for key, text in self.data.items():
            try:
                found[key] = text.render(look_up)
            except UnicodeDecodeError:
                named = dict.fromkeys(one.source or self.source for one in text.references())
                raise Unreadable("source '%s' holds text that is not UTF-8" % "', '".join(named)) from None
        return found

    def direct(self) -> dict[str, Reference]:
        """Beside what is copied whole: the target's keys that ESO reads by themselves, without a template."""
        found = {key: _alone(text) for key, text in self.data.items()} if self.extract else {}
        return {key: one for key, one in found.items() if one is not None}

    def names(self) -> dict[Reference, str]:
        """Under which name ESO's templates find each reference: the key, for the entry's own source as it is."""
        found: dict[Reference, str] = {}
        direct = self.direct()
        used = {one for key, text in self.data.items() if key not in direct for one in text.references()}
        for one in sorted(used, key=lambda each: (each != Reference("", each.key) or each.key == WHOLE, each)):
            name = one.text.replace("/", "_").replace(WHOLE, "whole")
            if one.decoding:
                name += "_" + one.decoding.lower()
            if one.source or one.decoding or one.key == WHOLE:
                while name in found.values():
                    name += "_"
            found[one] = name
        return found

    def template(self) -> dict[str, str]:
        """The same as :meth:`render`, as ESO's (Go) templates: ``{key: str}``; without what is copied as it is."""
        names, direct = self.names(), self.direct()
        return {key: text.template(names) for key, text in self.data.items() if key not in direct}


class Unreadable(ValueError):
    """A target can't be rendered from its sources. The text says what is missing, and names no value."""


def selector_keys(selector: Object) -> set[str]:
    """The keys of the labels by which a label selector selects."""
    return {*(selector.get("matchLabels") or {}), *(one["key"] for one in selector.get("matchExpressions") or [])}


def selector_names(selector: Object) -> set[str]:
    """The names of the namespaces that a label selector names."""
    names = {value for key, value in (selector.get("matchLabels") or {}).items() if key == NAME_LABEL}
    for one in selector.get("matchExpressions") or []:
        if one.get("key") == NAME_LABEL and one.get("operator") == "In":
            names.update(one.get("values") or [])
    return names


def parse_catalog(raw: Any, central: str | None = None) -> list[Entry]:
    """Check a catalog and fill in its defaults.

    :arg raw: the list of entries as read from YAML; :arg central: the namespace of the master Secrets.
    :returns: the list of all :class:`Entry`, the disabled ones included, in the catalog's order.
    :raises CatalogError: for the first problem found.
    """
    if not isinstance(raw, list):
        raise CatalogError(
            "the catalog must be a list of entries, not %s. Start each entry with '- name:'." % kind_of(raw)
        )
    entries = [_parse_entry(position, item, central) for position, item in enumerate(raw, 1)]
    _check_together(entries)
    return entries


def enabled_entries(raw: Any) -> list[Entry]:
    """:func:`parse_catalog`, without the entries that are not enabled."""
    return [entry for entry in parse_catalog(raw) if entry.enabled]


#: What a shape gives: the target's data, its type and its labels.
_Shape = Tuple[dict, str, dict]


def select(entries: list[Entry], names: list[str] | None) -> list[Entry]:
    """The entries of some names, or all (None). Raises CatalogError for a name that there is not."""
    if names is None:
        return entries
    known = {entry.name: entry for entry in entries}
    for name in names:
        if name not in known:
            raise CatalogError(
                "names: there is no enabled catalog entry '%s'. Known entries are: %s." % (name, ", ".join(known))
            )
    return [known[name] for name in names]


def of_sources(entries: list[Entry], sources: list[str] | None) -> list[Entry]:
    """The entries that read some sources, or all (None). Raises CatalogError for a source that no entry reads."""
    known = {source for entry in entries for source in entry.sources}
    for name in sources or ():
        if name not in known:
            raise CatalogError(
                "sources: no enabled catalog entry reads '%s'. The sources are: %s." % (name, ", ".join(sorted(known)))
            )
    return [entry for entry in entries if sources is None or not set(sources).isdisjoint(entry.sources)]


def _parse_entry(position: int, raw: Any, central: str | None) -> Entry:
    check = Checker(position, raw)
    check.mapping(raw, "entry")
    check.keys(raw, tuple(ENTRY_KEYS), required=("name",))
    name = check.subdomain(raw["name"], "name", 59)  # ESO makes the finalizer 'ces-<name>' of it, which may have 63
    shapes = [shape for shape in SHAPES if shape in raw]
    # What is copied whole may have more keys, or other values for some.
    if len(shapes) != 1 and shapes != ["data", "extract"]:
        problem = (
            "it has none of '%s'" % "', '".join(SHAPES)
            if not shapes
            else "'%s' can't be combined" % "' and '".join(shapes)
        )
        check.fail(problem, "Give exactly one of: %s" % ", ".join(SHAPES))
    data: dict[str, Text] = {}
    kind = OPAQUE
    labels: dict[str, str] = {}
    for shape in shapes:
        if shape != "extract":
            data, kind, labels = _read_shape(check, raw[shape], shape)
    copied = _extract(check, raw["extract"]) if "extract" in raw else ()
    source, sources, data = _sources(check, raw, data, copied)
    extract = tuple(one or source for one in copied)
    given = _type(check, raw.get("type", kind))
    if shapes[0] not in ("data", "extract") and given != kind:
        check.fail("'%s' makes a Secret of type %s, not %s" % (shapes[0], kind, given), "Remove 'type'")
    for key in _TYPE_KEYS.get(given, ()):
        if shapes == ["data"] and key not in data:
            check.fail("a Secret of type %s needs the key '%s'" % (given, key), "Add '%s' to 'data'" % key)
    namespaces = _namespaces(check, raw, "namespaces")
    by_name = _namespaces(check, raw, "namespaces_by_name")
    if central is not None and central in namespaces + by_name:
        check.fail(
            "namespace '%s' holds the master Secrets, and a target there could take the place of one" % central,
            "Take it out of the entry",
        )
    label = _label(check, raw["label"]) if "label" in raw else None
    selectors = _selectors(check, raw)
    if label is None and not by_name and not selectors:
        check.fail("key 'label' is missing", "Add 'label', 'namespaces_by_name' or 'namespace_selectors'")
    if label is None and namespaces:
        check.fail("'namespaces' lists the namespaces to label, and there is no 'label'", "Add 'label'")
    extra = _labels(check, raw.get("labels", {}))
    for key in labels:
        if key in extra:
            check.fail("label '%s' is set by the collection or ESO" % key, "Remove it from 'labels'")
    annotations = check.mapping(raw.get("annotations", {}), "annotations")
    for key, value in annotations.items():
        check.label_key(key, "annotation key")
        check.text(value, "annotations.%s" % key)
    return Entry(
        name=name,
        source=source,
        sources=sources,
        target=check.subdomain(raw.get("target", name), "target"),
        type=given,
        label=label,
        namespaces=namespaces,
        namespaces_by_name=by_name,
        namespace_selectors=selectors,
        data=data,
        extract=extract,
        generate=_generate(check, raw, data),
        rotate_after=_rotate_after(check, raw),
        owner=check.text(raw.get("owner", ""), "owner"),
        description=check.text(raw.get("description", ""), "description"),
        external_secret=check.subdomain(raw.get("external_secret", name), "external_secret"),
        labels={**extra, **labels},
        annotations=dict(annotations),
        deletion_policy=_deletion_policy(check, raw),
        refresh_interval=duration(
            check.matches(
                raw.get("refresh_interval", "1h"),
                DURATION,
                "refresh_interval",
                20,
                "Write it like '1h' or '30m'; it can't be zero",
            )
        ),
        enabled=check.boolean(raw.get("enabled", True), "enabled"),
        written_by=_written_by(check, raw, source, sources),
        central=central,
    )


def _read_shape(check: Checker, given: Any, shape: str) -> _Shape:
    raw = check.mapping(given, shape)
    if shape in KARGO_KINDS:
        return _kargo(check, raw, shape)
    return {"data": _data, "registry": _registry}[shape](check, raw)


def _extract(check: Checker, given: Any) -> tuple[str, ...]:
    """The sources that are copied whole; nothing stands for the entry's own."""
    if isinstance(given, list):
        for one in given:
            check.subdomain(one, "source of 'extract'")
        if not given or len(set(given)) < len(given):
            check.fail("'extract' lists no source, or one twice", "Name each source once")
        return tuple(given)
    if not check.boolean(given, "extract"):
        check.fail(
            "'extract' is false, and nothing else says what the target holds", "Write 'data', or 'extract: true'"
        )
    return ("",)


def _sources(
    check: Checker, raw: dict[str, Any], data: dict[str, Text], copied: tuple[str, ...]
) -> tuple[str, tuple[str, ...], dict[str, Text]]:
    """The entry's own source, all of them, and the data whose references name no source where it is the own one."""
    references = [one for text in data.values() for one in text.references()]
    named = [one for one in [*copied, *(one.source for one in references)] if one]
    if "source" in raw:
        source = check.subdomain(raw["source"], "source")
    elif named and all([*copied, *(one.source for one in references)]):
        source = named[0]
    else:
        check.fail("key 'source' is missing", "Add 'source'")
    for name in named:
        check.subdomain(name, "source")

    changed = {key: text.based_on(lambda one: one.within(source)) for key, text in data.items()}
    read = [one.source or source for one in references] + [one or source for one in copied]
    if source not in read:
        if references or copied:
            check.fail("nothing is read of its source '%s'" % source, "Remove 'source', or read a key of it")
        # Nothing but texts: the source says only what must be there.
        read.append(source)
    for key, text in changed.items() if copied else ():
        if _alone(text) is None and any(one.source or one.decoding or one.key == WHOLE for one in text.references()):
            check.fail(
                "beside 'extract', 'data.%s' can't be composed of anything but keys of what is copied" % key,
                "Name them without a source, or write all keys into 'data'",
            )
    return source, tuple(dict.fromkeys([source, *sorted(read)])), changed


def _alone(text: Text) -> Reference | None:
    """The reference to another source, or to what isn't there as it is, that is all of a text, or None."""
    if len(text.pieces) != 1 or not isinstance(text.pieces[0], Ref) or text.pieces[0].how:
        return None
    one = text.pieces[0].reference
    return one if one.source or one.decoding or one.key == WHOLE else None


def _selectors(check: Checker, raw: dict[str, Any]) -> tuple[Object, ...]:
    """Label selectors, as Kubernetes has them."""
    given = raw.get("namespace_selectors", [])
    where = "namespace_selectors"
    if not isinstance(given, list):
        check.fail("'%s' must be a list, not %s" % (where, kind_of(given)), "Start each selector with '- '")
    found = []
    for one in given:
        check.mapping(one, where)
        check.keys(one, ("matchLabels", "matchExpressions"), where)
        if one and not any(one.values()):
            check.fail("a selector of '%s' is empty, and would select every namespace" % where, "Write {} if it is to")
        labels = check.mapping(one.get("matchLabels", {}), where + ".matchLabels")
        for key, value in labels.items():
            check.label_key(key, "label")
            check.matches(value, LABEL_VALUE, "label value", 63, "Use at most 63 letters, digits, '-', '_' and '.'")
        expressions = one.get("matchExpressions", [])
        if not isinstance(expressions, list):
            check.fail("'matchExpressions' must be a list, not %s" % kind_of(expressions), "Start each with '- '")
        parsed = [_expression(check, each, where) for each in expressions]
        # In the order in which Kubernetes writes them, so that nothing differs.
        expected: Object = {"matchExpressions": parsed} if parsed else {}
        found.append({**expected, **({"matchLabels": dict(labels)} if labels else {})})
    return tuple(found)


def _expression(check: Checker, raw: Any, where: str) -> Object:
    check.mapping(raw, where + ".matchExpressions")
    check.keys(raw, ("key", "operator", "values"), where, required=("key", "operator"))
    operator, values = raw["operator"], raw.get("values", [])
    if operator not in OPERATORS:
        check.fail("'%s' is no operator of a selector" % operator, "Use one of: %s" % ", ".join(OPERATORS))
    if not isinstance(values, list):
        check.fail("'values' must be a list, not %s" % kind_of(values), "Write [value, ...]")
    if bool(values) != (operator in ("In", "NotIn")):
        check.fail("'values' go with In and NotIn, and with nothing else", "Correct the selector of '%s'" % raw["key"])
    for value in values:
        check.matches(value, LABEL_VALUE, "label value", 63, "Use at most 63 letters, digits, '-', '_' and '.'")
    found = {"key": check.label_key(raw["key"], "label"), "operator": operator}
    return {**found, "values": list(values)} if values else found


def _deletion_policy(check: Checker, raw: dict[str, Any]) -> str:
    given = check.text(raw.get("deletion_policy", DELETION_POLICIES[0]), "deletion_policy")
    if given not in DELETION_POLICIES:
        check.fail("'%s' is not a deletion policy" % given, "Use one of: %s" % ", ".join(DELETION_POLICIES))
    return given


def _type(check: Checker, given: Any) -> str:
    domain = check.text(given, "type").partition("/")[0]
    if given not in TYPES and (not SECRET_TYPE.match(given) or domain.endswith(_KUBERNETES)):
        known = "Use one of %s, or one of your own, 'domain/name'" % ", ".join(TYPES)
        check.fail("'%s' is not a known Secret type" % given, known)
    return given


def _label(check: Checker, given: Any) -> tuple[str, str]:
    key, equals, value = check.text(given, "label").partition("=")
    if key == NAME_LABEL:
        check.fail("nobody can set the label '%s'" % key, "Use 'namespaces_by_name'")
    if not equals:
        value = TRUE
    rule = "Write 'key=value'; the value has at most 63 letters, digits, '-', '_' and '.'"
    return check.label_key(key, "label"), check.matches(value, LABEL_VALUE, "label value", 63, rule)


def _namespaces(check: Checker, raw: dict[str, Any], key: str) -> tuple[str, ...]:
    given = raw.get(key, [])
    if not isinstance(given, list):
        check.fail("'%s' must be a list, not %s" % (key, kind_of(given)), "Write one namespace a line, each after '- '")
    seen: set[str] = set()
    for name in given:
        rule = "Use at most 63 lower case letters, digits and '-', with a letter or digit at both ends"
        check.matches(name, DNS_LABEL, "namespace", 63, rule)
        if name in seen:
            check.fail("namespace '%s' is listed twice" % name, "Remove one of the two")
        seen.add(name)
    return tuple(given)


def duration(text: str) -> str:
    """A duration as Go prints it ('1h0m0s'), which is how ESO writes it back."""
    seconds = sum(
        int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in re.findall(r"([0-9]+)(h|m|s)", text)
    )
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    if hours:
        return "%dh%dm%ds" % (hours, minutes, seconds)
    return "%dm%ds" % (minutes, seconds) if minutes else "%ds" % seconds


def _labels(check: Checker, labels: Any) -> dict[str, str]:
    check.mapping(labels, "labels")
    for key, value in labels.items():
        check.label_key(key, "label key")
        check.matches(value, LABEL_VALUE, "label value", 63, "Use at most 63 letters, digits, '-', '_' and '.'")
        if key in RESERVED_LABELS:
            check.fail("label '%s' is set by the collection or ESO" % key, "Remove it from 'labels'")
    return labels


def _data(check: Checker, raw: dict[str, Any]) -> _Shape:
    if not raw:
        check.fail("'data' is empty", "Give at least one 'TARGET_KEY: source-key'")
    data: dict[str, Text] = {}
    for key, value in raw.items():
        check.secret_key(key, "key of 'data'")
        if isinstance(value, dict):
            what = "data.%s" % key
            check.keys(value, ("value", "text"), what)
            if len(value) != 1:
                check.fail("'%s' needs either 'value' or 'text'" % what, "Give one of the two")
            data[key] = (
                Text(Literal(check.text(value["value"], what + ".value")))
                if "value" in value
                else _composed(check, value["text"], what + ".text")
            )
        else:
            data[key] = Text(Ref(_reference(check, value, "source key of 'data.%s'" % key)))
    return data, OPAQUE, {}


def _composed(check: Checker, given: Any, what: str) -> Text:
    try:
        return Text.composed(check.text(given, what))
    except ValueError as error:
        if not error.args:
            check.fail("'%s' refers to no key of the source" % what, "Write keys in braces, '{key}', or use 'value'")
        check.fail(
            "'%s' has '%s', which is not a reference" % (what, error.args[0]),
            "Write '{key}', '{source/key}', '{json:key}', '{base64:key}', '{base64:user:password}' or another of the "
            "words of docs/catalog.md, and '\\{' for a brace",
        )


def _reference(check: Checker, given: Any, what: str) -> Reference:
    """A source key, with its source before it or without one."""
    source, slash, key = check.text(given, what).rpartition("/")
    if slash:
        check.subdomain(source, "source")
    return Reference(source, check.secret_key(key, what))


def _credentials(check: Checker, raw: dict[str, Any], shape: str) -> list[Literal | Ref]:
    """The username and the password, each a source key, or a text that is no secret."""
    found: list[Literal | Ref] = []
    for key in ("username", "password"):
        given, what = raw.get(key, key), "%s.%s" % (shape, key)
        if isinstance(given, dict) and key == "username":
            check.keys(given, ("value",), what, required=("value",))
            text = check.text(given["value"], what + ".value")
            if not text or re.search(r"[:\"\\{}\s]", text):
                check.fail("'%s' is not a user's name" % text, "Write it without spaces, colons, quotes and braces")
            found.append(Literal(text))
        else:
            found.append(Ref(_reference(check, given, "source key of '%s'" % what)))
    return found


def _registry(check: Checker, raw: dict[str, Any]) -> _Shape:
    check.keys(raw, REGISTRY_KEYS, "registry", required=("server",))
    server = check.text(raw["server"], "registry.server")
    if not server or re.search(r"[\s\"\\{}]", server):
        check.fail("'%s' is not a registry server" % server, "Write a host such as 'ghcr.io'")
    username, password = _credentials(check, raw, "registry")
    parts = [one if isinstance(one, Literal) else one.reference for one in (username, password)]
    config = Text(
        Literal('{"auths":{%s:{"username":' % json.dumps(server)),
        Literal(json.dumps(username.text)) if isinstance(username, Literal) else Ref(username.reference, "json"),
        Literal(',"password":'),
        *([Ref(password.reference, "json")] if isinstance(password, Ref) else []),
        Literal(',"auth":"'),
        Base64(*parts),
        Literal('"}}}'),
    )
    return {DOCKER_CONFIG_KEY: config}, DOCKER_CONFIG, {}


def _kargo(check: Checker, raw: dict[str, Any], shape: str) -> _Shape:
    # Source of the shape: Kargo's documentation, "Managing Credentials" (label and keys).
    check.keys(raw, KARGO_KEYS, shape, required=("repo_url",))
    url = check.text(raw["repo_url"], "%s.repo_url" % shape)
    if not url:
        check.fail(
            "'%s.repo_url' is empty" % shape,
            "Write the repository's URL, or a pattern with 'repo_url_is_regex: true'",
        )
    is_regex = check.boolean(raw.get("repo_url_is_regex", False), "%s.repo_url_is_regex" % shape)
    if is_regex:
        try:
            re.compile(url)
        except re.error as error:
            check.fail(
                "'%s.repo_url' is not a regular expression: %s" % (shape, error),
                "Correct the pattern, or set 'repo_url_is_regex: false'",
            )
    username, password = _credentials(check, raw, shape)
    data = {"repoURL": Text(Literal(url)), "username": Text(username), "password": Text(password)}
    if is_regex:
        data["repoURLIsRegex"] = Text(Literal("true"))
    return data, OPAQUE, {KARGO_LABEL: shape}


def _rotate_after(check: Checker, raw: dict[str, Any]) -> int | None:
    if "rotate_after" not in raw:
        return None
    return int(check.matches(raw["rotate_after"], DAYS, "rotate_after", 6, "Write days, like '90d'")[:-1])


def _written_by(check: Checker, raw: dict[str, Any], source: str, sources: tuple[str, ...]) -> dict[str, str]:
    """Who else writes sources: of the entry's own a text, of several a mapping."""
    given = raw.get("written_by", {})
    found = {}
    for name, who in (given if isinstance(given, dict) else {source: given}).items():
        if name not in sources:
            check.fail("'written_by' names '%s', which the entry doesn't read" % name, "Name one of its sources")
        if not check.text(who, "written_by").strip():
            check.fail("'written_by' is empty", "Say who writes the source, such as 'cert-manager', or remove it")
        found[name] = who
    if source in found and raw.get("generate"):
        check.fail("'generate' and 'written_by' can't be combined", "Remove one of the two")
    return found


def _generate(check: Checker, raw: dict[str, Any], data: dict[str, Text]) -> dict[str, Recipe]:
    found = {}
    keys = {one.key for text in data.values() for one in text.references() if not one.source} - {WHOLE}
    for key, given in check.mapping(raw.get("generate", {}), "generate").items():
        where = "generate.%s" % check.secret_key(key, "source key")
        if key not in keys:
            fix = "Use one of: %s" % ", ".join(sorted(keys)) if keys else "Write 'data' instead of 'extract'"
            check.fail("'%s' is no key that the entry names" % where, fix)
        recipe = check.mapping(given, where)
        check.keys(recipe, ("length", "alphabet"), where)
        length, alphabet = recipe.get("length", 32), recipe.get("alphabet", _LETTERS + _DIGITS)
        if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= 4096:
            check.fail("'%s.length' must be a number from 1 to 4096" % where, "Write it like 32")
        printable = isinstance(alphabet, str) and re.match(r"[ -~]{2,}\Z", alphabet)
        if not printable or len(set(alphabet)) < len(alphabet):
            check.fail("'%s.alphabet' must be two or more different ASCII characters" % where, "Write it like 'abc123'")
        if length * math.log(len(alphabet), 2) < _BITS:
            check.fail("'%s' can be guessed: it has less than %d bits" % (where, _BITS), "Raise its length")
        found[key] = Recipe(length, alphabet)
    return found


def _check_together(entries: list[Entry]) -> None:
    names: set[str] = set()
    owners: dict[tuple[str, str], str] = {}
    values: dict[tuple[str, str], Entry] = {}
    recipes: dict[tuple[str, str], tuple[Recipe, str]] = {}
    writers: dict[str, Entry] = {}
    for entry in entries:
        where = "catalog entry '%s'" % entry.name
        if entry.name in names:
            raise CatalogError("%s: there are two entries of this name. Rename one of them." % where)
        names.add(entry.name)
        if not entry.enabled:
            continue
        for source in entry.sources:
            other_entry = writers.setdefault(source, entry)
            if other_entry.written_by.get(source) != entry.written_by.get(source):
                said, silent = (other_entry, entry) if source in other_entry.written_by else (entry, other_entry)
                who = said.written_by[source]
                how = who if silent.source == source else "{%s: %s}" % (source, who)
                raise CatalogError(
                    "catalog entry '%s': source '%s' is written by %s, as entry '%s' says. Say 'written_by: %s' here "
                    "too." % (silent.name, source, who, said.name, how)
                )
        for key, recipe in entry.generate.items():
            known, other = recipes.setdefault((entry.source, key), (recipe, entry.name))
            if known != recipe:
                raise CatalogError(
                    "%s: it generates key '%s' of source '%s' in another way than entry '%s'. Say it in one of them."
                    % (where, key, entry.source, other)
                )
        # Any namespace may carry any label; only clashes that the catalog itself makes certain are errors.
        places = [("namespace", name) for name in entry.named()]
        for what, place in places + ([("label", entry.label_text())] if entry.label else []):
            for kind, name in (("target", entry.target), ("ExternalSecret", entry.external_secret)):
                other = owners.setdefault((what + kind + place, name), entry.name)
                if other != entry.name:
                    raise CatalogError(
                        "%s: it gives the %s '%s' in %s '%s', and so does entry '%s'. Rename one %s, or remove the "
                        "namespace from one entry." % (where, kind, name, what, place, other, kind)
                    )
        for namespace in entry.namespaces if entry.label else ():
            first = values.setdefault((namespace, entry.label_text().partition("=")[0]), entry)
            if first.label != entry.label:
                raise CatalogError(
                    "%s: it labels namespace '%s' with %s, and entry '%s' with %s. Use another label."
                    % (where, namespace, entry.label_text(), first.name, first.label_text())
                )
