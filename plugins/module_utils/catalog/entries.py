# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog: what secrets exist, where they come from and which namespaces get them. Pure.

A catalog is a list of entries. One entry yields one ClusterExternalSecret, whose name is the
entry's; the README's catalog reference describes the keys. Everything else in the collection is
derived from the parsed form, :class:`Entry`.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple, Tuple

from ..errors import CatalogError
from .checker import DNS_LABEL, LABEL_VALUE, SECRET_TYPE, Checker, kind_of
from .pieces import Base64, Literal, Ref, Text

#: The value of a label for which the catalog gives none.
TRUE = "true"

#: The label by which every namespace can be chosen by its name; nobody can change it.
NAME_LABEL = "kubernetes.io/metadata.name"

#: What distribution labels should start with; the guard reserves the prefix.
LABEL_PREFIX = "secrets/"

OPAQUE = "Opaque"
DOCKER_CONFIG = "kubernetes.io/dockerconfigjson"
DOCKER_CONFIG_KEY = ".dockerconfigjson"

_DAYS = re.compile(r"[1-9][0-9]{0,4}d\Z")
_DURATION = re.compile(r"(?=[^1-9]*[1-9])([0-9]+(h|m|s))+\Z")

_ENTRY_KEYS = (
    "name",
    "source",
    "target",
    "type",
    "label",
    "namespaces",
    "namespaces_by_name",
    "generate",
    "rotate_after",
    "owner",
    "description",
    "written_by",
    "data",
    "extract",
    "registry",
    "git",
    "external_secret",
    "labels",
    "annotations",
    "refresh_interval",
    "enabled",
)
_SHAPES = ("data", "extract", "registry", "git")
_REGISTRY_KEYS = ("server", "username", "password")
_GIT_KEYS = ("repo_url", "repo_url_is_regex", "username", "password")

#: Labels of a target that the collection or ESO sets itself.
_RESERVED_LABELS = ("managed-by", "kargo.akuity.io/cred-type", "reconcile.external-secrets.io/managed")

#: Secret types whose keys Kubernetes prescribes: type -> keys that must be there.
_TYPE_KEYS = {
    DOCKER_CONFIG: (DOCKER_CONFIG_KEY,),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
#: basic-auth needs at least one of its keys, so the type is only known here.
_TYPES = (OPAQUE, "kubernetes.io/basic-auth", *_TYPE_KEYS)

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

    ``data`` maps each key of the target Secret to a :class:`Text`, and is empty with ``extract``, which copies the
    source whole. ``label`` is (key, value), or None for an entry that chooses namespaces by their names only.
    ``written_by`` is who else writes the source, or nothing. ``rotate_after`` is in days, or None. ``central`` is the
    namespace of the master Secrets, which is never a target, or None where that isn't known. All other attributes carry
    the catalog's own names, with their defaults filled in.
    """

    __slots__ = (
        "annotations",
        "central",
        "data",
        "description",
        "enabled",
        "external_secret",
        "extract",
        "generate",
        "label",
        "labels",
        "name",
        "namespaces",
        "namespaces_by_name",
        "owner",
        "refresh_interval",
        "rotate_after",
        "source",
        "target",
        "type",
        "written_by",
    )

    name: str
    source: str
    target: str
    type: str
    label: tuple[str, str] | None
    namespaces: tuple[str, ...]
    namespaces_by_name: tuple[str, ...]
    data: dict[str, Text]
    extract: bool
    generate: dict[str, Recipe]
    rotate_after: int | None
    owner: str
    description: str
    external_secret: str
    labels: dict[str, str]
    annotations: dict[str, str]
    refresh_interval: str
    enabled: bool
    written_by: str
    central: str | None

    def __init__(self, **attributes: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, attributes[name])

    def label_text(self) -> str:
        """The label as kubectl writes it, ``key=value``; empty without one."""
        return "=".join(self.label or ())

    def selectors(self) -> list[dict[str, str]]:
        """The labels that a namespace may carry to get the target, each a selector of its own."""
        chosen = [{self.label[0]: self.label[1]}] if self.label else []
        return chosen + [{NAME_LABEL: name} for name in self.namespaces_by_name]

    def namespace_selectors(self) -> list[dict[str, Any]]:
        """The same as label selectors of Kubernetes. The central namespace is left out, whoever labels it: a source
        could become its own target there."""
        found: list[dict[str, Any]] = [{"matchLabels": one} for one in self.selectors()]
        if self.label and self.central:
            found[0]["matchExpressions"] = [{"key": NAME_LABEL, "operator": "NotIn", "values": [self.central]}]
        return found

    def selects(self, name: str, labels: dict[str, str]) -> bool:
        """Whether a namespace of this name and these labels gets the target."""
        return name in self.namespaces_by_name or (
            self.label is not None and labels.get(self.label[0]) == self.label[1] and name != self.central
        )

    def reads(self, key: str) -> bool:
        """Whether the target depends on a key of the source."""
        return self.extract or key in self.source_keys()

    def source_keys(self) -> list[str]:
        """The keys of the source Secret that must be there, sorted."""
        if self.extract:
            return sorted(_TYPE_KEYS.get(self.type, ()))
        return sorted({key for text in self.data.values() for key in text.keys()})

    def render(self, source: dict[str, bytes]) -> dict[str, bytes]:
        """The data of a target Secret, ``{key: bytes}``, for the source's data, ``{key: bytes}``.

        Raises KeyError, whose argument is the missing source key, and UnicodeDecodeError for a value that goes into
        JSON and is not UTF-8.
        """
        return dict(source) if self.extract else {key: text.render(source) for key, text in self.data.items()}

    def template(self) -> dict[str, str]:
        """The same as :meth:`render`, as ESO's (Go) templates: ``{key: str}``; empty with ``extract``."""
        return {key: text.template() for key, text in self.data.items()}


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
    known = {entry.source for entry in entries}
    for name in sources or ():
        if name not in known:
            raise CatalogError(
                "sources: no enabled catalog entry reads '%s'. The sources are: %s." % (name, ", ".join(sorted(known)))
            )
    return [entry for entry in entries if sources is None or entry.source in sources]


def _parse_entry(position: int, raw: Any, central: str | None) -> Entry:
    check = Checker(position, raw)
    check.mapping(raw, "entry")
    check.keys(raw, _ENTRY_KEYS, required=("name", "source"))
    name = check.subdomain(raw["name"], "name", 59)  # ESO makes the finalizer 'ces-<name>' of it, which may have 63
    shapes = [shape for shape in _SHAPES if shape in raw]
    if len(shapes) != 1:
        problem = (
            "it has none of '%s'" % "', '".join(_SHAPES)
            if not shapes
            else "'%s' can't be combined" % "' and '".join(shapes)
        )
        check.fail(problem, "Give exactly one of: %s" % ", ".join(_SHAPES))
    shape = shapes[0]
    data: dict[str, Text] = {}
    kind = OPAQUE
    labels: dict[str, str] = {}
    if shape != "extract":
        data, kind, labels = {"data": _data, "registry": _registry, "git": _git}[shape](
            check, check.mapping(raw[shape], shape)
        )
    elif not check.boolean(raw[shape], "extract"):
        check.fail(
            "'extract' is false, and nothing else says what the target holds", "Write 'data', or 'extract: true'"
        )
    given = _type(check, raw.get("type", kind))
    if shape in ("registry", "git") and given != kind:
        check.fail("'%s' makes a Secret of type %s, not %s" % (shape, kind, given), "Remove 'type'")
    for key in _TYPE_KEYS.get(given, ()):
        if shape == "data" and key not in data:
            check.fail("a Secret of type %s needs the key '%s'" % (given, key), "Add '%s' to 'data'" % key)
    namespaces = _namespaces(check, raw, "namespaces")
    by_name = _namespaces(check, raw, "namespaces_by_name")
    if central is not None and central in namespaces + by_name:
        check.fail(
            "namespace '%s' holds the master Secrets, and a target there could take the place of one" % central,
            "Take it out of the entry",
        )
    label = _label(check, raw["label"]) if "label" in raw else None
    if label is None and not by_name:
        check.fail("key 'label' is missing", "Add 'label', or 'namespaces_by_name'")
    if label is None and namespaces:
        check.fail("'namespaces' lists the namespaces to label, and there is no 'label'", "Add 'label'")
    extra = _labels(check, raw.get("labels", {}))
    annotations = check.mapping(raw.get("annotations", {}), "annotations")
    for key, value in annotations.items():
        check.label_key(key, "annotation key")
        check.text(value, "annotations.%s" % key)
    return Entry(
        name=name,
        source=check.subdomain(raw["source"], "source"),
        target=check.subdomain(raw.get("target", name), "target"),
        type=given,
        label=label,
        namespaces=namespaces,
        namespaces_by_name=by_name,
        data=data,
        extract=shape == "extract",
        generate=_generate(check, raw, data),
        rotate_after=_rotate_after(check, raw),
        owner=check.text(raw.get("owner", ""), "owner"),
        description=check.text(raw.get("description", ""), "description"),
        external_secret=check.subdomain(raw.get("external_secret", name), "external_secret"),
        labels={**extra, **labels},
        annotations=dict(annotations),
        refresh_interval=duration(
            check.matches(
                raw.get("refresh_interval", "1h"),
                _DURATION,
                "refresh_interval",
                20,
                "Write it like '1h' or '30m'; it can't be zero",
            )
        ),
        enabled=check.boolean(raw.get("enabled", True), "enabled"),
        written_by=_written_by(check, raw),
        central=central,
    )


def _type(check: Checker, given: Any) -> str:
    domain = check.text(given, "type").partition("/")[0]
    if given not in _TYPES and (not SECRET_TYPE.match(given) or domain.endswith(_KUBERNETES)):
        known = "Use one of %s, or one of your own, 'domain/name'" % ", ".join(_TYPES)
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
        if key in _RESERVED_LABELS:
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
            data[key] = Text(Ref(check.secret_key(value, "source key of 'data.%s'" % key)))
    return data, OPAQUE, {}


def _composed(check: Checker, given: Any, what: str) -> Text:
    try:
        return Text.composed(check.text(given, what))
    except ValueError as error:
        if not error.args:
            check.fail("'%s' refers to no key of the source" % what, "Write keys in braces, '{key}', or use 'value'")
        check.fail(
            "'%s' has '%s', which is not a reference" % (what, error.args[0]),
            "Write '{key}', '{base64:key}', '{base64:user:password}' or '{json:key}', and '\\{' for a brace",
        )


def _credentials(check: Checker, raw: dict[str, Any], shape: str) -> list[str]:
    return [
        check.secret_key(raw.get(key, key), "source key of '%s.%s'" % (shape, key)) for key in ("username", "password")
    ]


def _registry(check: Checker, raw: dict[str, Any]) -> _Shape:
    check.keys(raw, _REGISTRY_KEYS, "registry", required=("server",))
    server = check.text(raw["server"], "registry.server")
    if not server or re.search(r"[\s\"\\{}]", server):
        check.fail("'%s' is not a registry server" % server, "Write a host such as 'ghcr.io'")
    username, password = _credentials(check, raw, "registry")
    config = Text(
        Literal('{"auths":{%s:{"username":' % json.dumps(server)),
        Ref(username, quoted=True),
        Literal(',"password":'),
        Ref(password, quoted=True),
        Literal(',"auth":"'),
        Base64(username, password),
        Literal('"}}}'),
    )
    return {DOCKER_CONFIG_KEY: config}, DOCKER_CONFIG, {}


def _git(check: Checker, raw: dict[str, Any]) -> _Shape:
    # Source of the shape: Kargo's documentation, "Managing Credentials" (label and keys).
    check.keys(raw, _GIT_KEYS, "git", required=("repo_url",))
    url = check.text(raw["repo_url"], "git.repo_url")
    if not url:
        check.fail("'git.repo_url' is empty", "Write the repository's URL, or a pattern with 'repo_url_is_regex: true'")
    is_regex = check.boolean(raw.get("repo_url_is_regex", False), "git.repo_url_is_regex")
    if is_regex:
        try:
            re.compile(url)
        except re.error as error:
            check.fail(
                "'git.repo_url' is not a regular expression: %s" % error,
                "Correct the pattern, or set 'repo_url_is_regex: false'",
            )
    username, password = _credentials(check, raw, "git")
    data = {"repoURL": Text(Literal(url)), "username": Text(Ref(username)), "password": Text(Ref(password))}
    if is_regex:
        data["repoURLIsRegex"] = Text(Literal("true"))
    return data, OPAQUE, {"kargo.akuity.io/cred-type": "git"}


def _rotate_after(check: Checker, raw: dict[str, Any]) -> int | None:
    if "rotate_after" not in raw:
        return None
    return int(check.matches(raw["rotate_after"], _DAYS, "rotate_after", 6, "Write days, like '90d'")[:-1])


def _written_by(check: Checker, raw: dict[str, Any]) -> str:
    if "written_by" not in raw:
        return ""
    text = check.text(raw["written_by"], "written_by")
    if not text.strip():
        check.fail("'written_by' is empty", "Say who writes the source, such as 'cert-manager', or remove it")
    if raw.get("generate"):
        check.fail("'generate' and 'written_by' can't be combined", "Remove one of the two")
    return text


def _generate(check: Checker, raw: dict[str, Any], data: dict[str, Text]) -> dict[str, Recipe]:
    found = {}
    keys = {key for text in data.values() for key in text.keys()}
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
        other_entry = writers.setdefault(entry.source, entry)
        if other_entry.written_by != entry.written_by:
            said, silent = (other_entry, entry) if other_entry.written_by else (entry, other_entry)
            raise CatalogError(
                "catalog entry '%s': source '%s' is written by %s, as entry '%s' says. Say 'written_by: %s' here too."
                % (silent.name, entry.source, said.written_by, said.name, said.written_by)
            )
        for key, recipe in entry.generate.items():
            known, other = recipes.setdefault((entry.source, key), (recipe, entry.name))
            if known != recipe:
                raise CatalogError(
                    "%s: it generates key '%s' of source '%s' in another way than entry '%s'. Say it in one of them."
                    % (where, key, entry.source, other)
                )
        # Any namespace may carry any label; only clashes that the catalog itself makes certain are errors.
        places = [("namespace", name) for name in entry.namespaces + entry.namespaces_by_name]
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
