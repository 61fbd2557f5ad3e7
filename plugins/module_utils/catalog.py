# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog: what secrets exist, where they come from and which namespaces get them. Pure.

A catalog is a list of entries. One entry yields one ClusterExternalSecret, whose name is the
entry's; the README's catalog reference describes the keys. Everything else in the collection is
derived from the parsed form, :class:`Entry`.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Iterable, List, NoReturn, Pattern, Sequence, Tuple, Union

from .errors import CatalogError

#: The value every distribution label has.
LABEL_VALUE = "true"

#: What distribution labels start with; the guard reserves the prefix.
LABEL_PREFIX = "secrets/"

OPAQUE = "Opaque"
DOCKER_CONFIG = "kubernetes.io/dockerconfigjson"
DOCKER_CONFIG_KEY = ".dockerconfigjson"

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z")
_DURATION = re.compile(r"([0-9]+(h|m|s))+\Z")

_ENTRY_KEYS = (
    "name",
    "source",
    "target",
    "type",
    "label",
    "namespaces",
    "data",
    "registry",
    "git",
    "labels",
    "annotations",
    "refresh_interval",
    "enabled",
)
_SHAPES = ("data", "registry", "git")
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


class Entry:
    """One checked catalog entry.

    ``data`` maps each key of the target Secret to a :class:`Text`; all other attributes carry the
    catalog's own names, with their defaults filled in.
    """

    __slots__ = (
        "annotations",
        "data",
        "enabled",
        "label",
        "labels",
        "name",
        "namespaces",
        "refresh_interval",
        "source",
        "target",
        "type",
    )

    name: str
    source: str
    target: str
    type: str
    label: str
    namespaces: tuple[str, ...]
    data: dict[str, Text]
    labels: dict[str, str]
    annotations: dict[str, str]
    refresh_interval: str
    enabled: bool

    def __init__(self, **attributes: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, attributes[name])

    def source_keys(self) -> list[str]:
        """The keys of the source Secret that this entry reads, sorted."""
        return sorted({key for text in self.data.values() for key in text.keys()})

    def render(self, source: dict[str, bytes]) -> dict[str, bytes]:
        """The data of a target Secret, ``{key: bytes}``, for the source's data, ``{key: bytes}``.

        Raises KeyError, whose argument is the source key that is missing.
        """
        return {key: text.render(source) for key, text in self.data.items()}

    def template(self) -> dict[str, str]:
        """The same as :meth:`render`, as ESO's (Go) templates: ``{key: str}``."""
        return {key: text.template() for key, text in self.data.items()}


class Text:
    """A target key's value: literal pieces and references to source keys, joined.

    Both renderings come from the one list of pieces, so that what is expected of a target and what
    ESO is told to write can't drift apart.
    """

    __slots__ = ("_pieces",)

    def __init__(self, *pieces: Piece) -> None:
        self._pieces = pieces

    def keys(self) -> list[str]:
        """The source keys that are read, as often as they are."""
        return [key for piece in self._pieces for key in piece.keys()]

    def render(self, source: dict[str, bytes]) -> bytes:
        """The value for a source's data. Raises KeyError for a key that the source lacks."""
        return b"".join(piece.render(source) for piece in self._pieces)

    def template(self) -> str:
        """The value as ESO's (Go) template."""
        return "".join("{{ %s }}" % piece.expression() for piece in self._pieces)


class Literal:
    """Text that is the same for everyone, hence no secret."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def keys(self) -> list[str]:
        """None: no source key is read."""
        return []

    def render(self, source: dict[str, bytes]) -> bytes:
        """The text."""
        return self._text.encode("utf-8")

    def expression(self) -> str:
        """The text as an expression of a Go template."""
        # A JSON string is a Go string literal, and inside quotes no brace opens an action.
        return json.dumps(self._text)


class Ref:
    """The value of a source key; ``quoted`` makes a JSON string of it."""

    __slots__ = ("_key", "_quoted")

    def __init__(self, key: str, quoted: bool = False) -> None:
        self._key = key
        self._quoted = quoted

    def keys(self) -> list[str]:
        """The one source key."""
        return [self._key]

    def render(self, source: dict[str, bytes]) -> bytes:
        """The value, or the JSON string of it."""
        value = source[self._key]
        if not self._quoted:
            return value
        return go_json_string(value.decode("utf-8")).encode("utf-8")

    def expression(self) -> str:
        """The look-up as an expression of a Go template."""
        lookup = "index . %s" % json.dumps(self._key)
        return "%s | toJson" % lookup if self._quoted else lookup


class BasicAuth:
    """base64 of ``username:password``, as registries want it."""

    __slots__ = ("_password", "_username")

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password

    def keys(self) -> list[str]:
        """The two source keys."""
        return [self._username, self._password]

    def render(self, source: dict[str, bytes]) -> bytes:
        """The encoded pair."""
        return base64.b64encode(source[self._username] + b":" + source[self._password])

    def expression(self) -> str:
        """The encoded pair as an expression of a Go template."""
        return 'printf "%%s:%%s" (index . %s) (index . %s) | b64enc' % (
            json.dumps(self._username),
            json.dumps(self._password),
        )


#: What a :class:`Text` is made of.
Piece = Union[Literal, Ref, BasicAuth]


def go_json_string(text: str) -> str:
    """``text`` as the JSON string that Go's encoder writes (which also escapes ``<``, ``>``, ``&``)."""
    quoted = json.dumps(text, ensure_ascii=False)
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        quoted = quoted.replace(character, "\\u%04x" % ord(character))
    return quoted


class _Checker:
    """Checks one entry: the first problem is raised, with the entry's name in front."""

    def __init__(self, position: int, raw: Any) -> None:
        name = raw.get("name") if isinstance(raw, dict) else None
        self.where = (
            "catalog entry '%s'" % name if isinstance(name, str) and name else "catalog entry number %d" % position
        )

    def fail(self, problem: str, fix: str) -> NoReturn:
        """Raise the CatalogError."""
        raise CatalogError("%s: %s. %s." % (self.where, problem, fix))

    def keys(self, mapping: dict[str, Any], known: Sequence[str], what: str = "", required: Sequence[str] = ()) -> None:
        """Fail for an unknown key, and for a required one that is missing."""
        at = " of '%s'" % what if what else ""
        for key in mapping:
            if key not in known:
                import difflib  # only on the way to an error

                close = difflib.get_close_matches(str(key), known, n=1)
                hint = "Did you mean '%s'? " % close[0] if close else ""
                self.fail("unknown key '%s'%s" % (key, at), "%sKnown keys are: %s" % (hint, ", ".join(known)))
        for key in required:
            if key not in mapping:
                self.fail("key '%s'%s is missing" % (key, at), "Add '%s'" % key)

    def mapping(self, value: Any, what: str) -> dict[str, Any]:
        """Fail unless it is a mapping."""
        if not isinstance(value, dict):
            self.fail("'%s' must be a mapping, not %s" % (what, _kind(value)), "Write it as 'key: value' lines")
        return value

    def text(self, value: Any, what: str) -> str:
        """Fail unless it is a string."""
        if not isinstance(value, str):
            self.fail("'%s' must be a string, not %s" % (what, _kind(value)), "Put it in quotes")
        return value

    def matches(self, value: Any, pattern: Pattern[str], what: str, limit: int, rule: str) -> str:
        """Fail unless it is a string of at most ``limit`` characters that the pattern matches."""
        self.text(value, what)
        if len(value) > limit or not pattern.match(value):
            self.fail("'%s' is not a valid %s" % (value, what), rule)
        return value

    def boolean(self, value: Any, what: str) -> bool:
        """Fail unless it is true or false."""
        # A templated flag arrives as a string; Ansible's own words for yes and no are accepted.
        if isinstance(value, str) and value.lower() in ("true", "yes", "on", "false", "no", "off"):
            return value.lower() in ("true", "yes", "on")
        if not isinstance(value, bool):
            self.fail("'%s' must be true or false, not %s" % (what, _kind(value)), "Write true or false")
        return value

    def subdomain(self, value: Any, what: str, limit: int = 253) -> str:
        """Fail unless it is a DNS name, as most names of Kubernetes are."""
        rule = "Use at most %d lower case letters, digits, '-' and '.', with a letter or digit at both ends" % limit
        return self.matches(value, _DNS_SUBDOMAIN, what, limit, rule)

    def label_key(self, value: Any, what: str) -> str:
        """Fail unless it can be the key of a label."""
        self.text(value, what)
        prefix, slash, name = value.rpartition("/")
        good = _LABEL_NAME.match(name) and (not slash or (len(prefix) <= 253 and _DNS_SUBDOMAIN.match(prefix)))
        if not good:
            self.fail(
                "'%s' is not a valid %s" % (value, what),
                "A label key is an optional DNS prefix and '/', then at most 63 letters, digits, '-', '_' and '.', "
                "such as 'secrets/my-secret'",
            )
        return value

    def secret_key(self, value: Any, what: str) -> str:
        """Fail unless it can be a key of a Secret."""
        return self.matches(value, _SECRET_KEY, what, 253, "Use letters, digits, '-', '_' and '.' only")


def _kind(value: Any) -> str:
    names = {
        dict: "a mapping",
        list: "a list",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "empty",
    }
    for kind in (bool, dict, list, str, int, float, type(None)):
        if isinstance(value, kind):
            return names[kind]
    return type(value).__name__


def parse_catalog(raw: Any) -> list[Entry]:
    """Check a catalog and fill in its defaults.

    :arg raw: the list of entries as read from YAML.
    :returns: the list of all :class:`Entry`, the disabled ones included, in the catalog's order.
    :raises CatalogError: for the first problem found.
    """
    if not isinstance(raw, list):
        raise CatalogError(
            "the catalog must be a list of entries, not %s. Start each entry with '- name:'." % _kind(raw)
        )
    entries = [_parse_entry(position, item) for position, item in enumerate(raw, 1)]
    _check_together(entries)
    return entries


def enabled_entries(raw: Any) -> list[Entry]:
    """:func:`parse_catalog`, without the entries that are not enabled."""
    return [entry for entry in parse_catalog(raw) if entry.enabled]


#: What a shape gives: the target's data, its type and its labels.
_Shape = Tuple[dict, str, dict]


def _parse_entry(position: int, raw: Any) -> Entry:
    check = _Checker(position, raw)
    check.mapping(raw, "entry")
    check.keys(raw, _ENTRY_KEYS, required=("name", "source", "label"))
    name = check.subdomain(raw["name"], "name", 205)  # ESO makes the finalizer 'ces-<name>' of it
    shapes = [shape for shape in _SHAPES if shape in raw]
    if len(shapes) != 1:
        problem = (
            "it has no '%s'" % "', '".join(_SHAPES) if not shapes else "'%s' can't be combined" % "' and '".join(shapes)
        )
        check.fail(problem, "Give exactly one of: %s" % ", ".join(_SHAPES))
    shape = shapes[0]
    data, kind, labels = {"data": _data, "registry": _registry, "git": _git}[shape](
        check, check.mapping(raw[shape], shape)
    )
    given = raw.get("type", kind)
    if given not in _TYPES:
        check.fail("'%s' is not a known Secret type" % (given,), "Use one of: %s" % ", ".join(_TYPES))
    if shape != "data" and given != kind:
        check.fail("'%s' makes a Secret of type %s, not %s" % (shape, kind, given), "Remove 'type'")
    for key in _TYPE_KEYS.get(given, ()):
        if key not in data:
            check.fail("a Secret of type %s needs the key '%s'" % (given, key), "Add '%s' to 'data'" % key)
    namespaces = raw.get("namespaces", [])
    if not isinstance(namespaces, list):
        check.fail(
            "'namespaces' must be a list, not %s" % _kind(namespaces), "Write one namespace a line, each after '- '"
        )
    for namespace in namespaces:
        check.matches(
            namespace,
            _DNS_LABEL,
            "namespace",
            63,
            "Use at most 63 lower case letters, digits and '-', with a letter or digit at both ends",
        )
    seen: set[str] = set()
    for namespace in namespaces:
        if namespace in seen:
            check.fail("namespace '%s' is listed twice" % namespace, "Remove one of the two")
        seen.add(namespace)
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
        label=check.label_key(raw["label"], "label"),
        namespaces=tuple(namespaces),
        data=data,
        labels={**extra, **labels},
        annotations=dict(annotations),
        refresh_interval=_duration(
            check.matches(
                raw.get("refresh_interval", "1h"), _DURATION, "refresh_interval", 20, "Write it like '1h' or '30m'"
            )
        ),
        enabled=check.boolean(raw.get("enabled", True), "enabled"),
    )


def _duration(text: str) -> str:
    """A duration as Go prints it ('1h0m0s'), which is how ESO writes it back."""
    seconds = sum(
        int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in re.findall(r"([0-9]+)(h|m|s)", text)
    )
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    if hours:
        return "%dh%dm%ds" % (hours, minutes, seconds)
    return "%dm%ds" % (minutes, seconds) if minutes else "%ds" % seconds


def _labels(check: _Checker, labels: Any) -> dict[str, str]:
    check.mapping(labels, "labels")
    for key, value in labels.items():
        check.label_key(key, "label key")
        check.matches(value, _LABEL_VALUE, "label value", 63, "Use at most 63 letters, digits, '-', '_' and '.'")
        if key in _RESERVED_LABELS:
            check.fail("label '%s' is set by the collection itself" % key, "Remove it from 'labels'")
    return labels


def _data(check: _Checker, raw: dict[str, Any]) -> _Shape:
    if not raw:
        check.fail("'data' is empty", "Give at least one 'TARGET_KEY: source-key'")
    data: dict[str, Text] = {}
    for key, value in raw.items():
        check.secret_key(key, "key of 'data'")
        if isinstance(value, dict):
            check.keys(value, ("value",), "data.%s" % key, required=("value",))
            data[key] = Text(Literal(check.text(value["value"], "data.%s.value" % key)))
        else:
            data[key] = Text(Ref(check.secret_key(value, "source key of 'data.%s'" % key)))
    return data, OPAQUE, {}


def _credentials(check: _Checker, raw: dict[str, Any], shape: str) -> list[str]:
    return [
        check.secret_key(raw.get(key, key), "source key of '%s.%s'" % (shape, key)) for key in ("username", "password")
    ]


def _registry(check: _Checker, raw: dict[str, Any]) -> _Shape:
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
        BasicAuth(username, password),
        Literal('"}}}'),
    )
    return {DOCKER_CONFIG_KEY: config}, DOCKER_CONFIG, {}


def _git(check: _Checker, raw: dict[str, Any]) -> _Shape:
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


def _check_together(entries: list[Entry]) -> None:
    names: set[str] = set()
    owners: dict[tuple[str, str], str] = {}
    for entry in entries:
        where = "catalog entry '%s'" % entry.name
        if entry.name in names:
            raise CatalogError("%s: there are two entries of this name. Rename one of them." % where)
        names.add(entry.name)
        if not entry.enabled:
            continue
        # Any namespace may carry any label, but only what the catalog itself says is certain to clash.
        for place in [(namespace, entry.target) for namespace in entry.namespaces] + [(entry.label, entry.target)]:
            other = owners.setdefault(place, entry.name)
            if other != entry.name:
                what = "label" if place[0] == entry.label else "namespace"
                raise CatalogError(
                    "%s: it gives the target '%s' in %s '%s', and so does entry '%s'. Rename one target, or take the "
                    "namespace out of one entry." % (where, entry.target, what, place[0], other)
                )


def required_sources(entries: Iterable[Entry]) -> dict[str, dict[str, list[str]]]:
    """What the central store must hold for ``entries``: ``{source: {key: [entry names]}}``."""
    sources: dict[str, dict[str, List[str]]] = {}
    for entry in entries:
        keys = sources.setdefault(entry.source, {})
        for key in entry.source_keys():
            keys.setdefault(key, []).append(entry.name)
    return sources


def check_values(entries: list[Entry], values: Any) -> tuple[dict[str, dict[str, bytes]], list[str]]:
    """Check the values for the central store against the catalog, and encode them.

    :arg values: ``{source: {key: str}}``; sources the catalog doesn't name are left out.
    :returns: ``{source: {key: bytes}}``, and the sorted names of what was left out.
    :raises CatalogError: names the source and the key, never a value.
    """
    if not isinstance(values, dict):
        raise CatalogError(
            "the values must be a mapping of sources, not %s. Write 'source:' and below it 'key: value' lines."
            % _kind(values)
        )
    needed = required_sources(entries)
    checked: dict[str, dict[str, bytes]] = {}
    for source, keys in needed.items():
        first = sorted(name for names in keys.values() for name in names)[0] if keys else "?"
        where = "catalog entry '%s': source '%s'" % (first, source)
        given = values.get(source)
        if given is None:
            raise CatalogError(
                "%s has no values. Add '%s' with the keys %s to the values." % (where, source, ", ".join(sorted(keys)))
            )
        if not isinstance(given, dict):
            raise CatalogError(
                "%s must be a mapping of keys, not %s. Write 'key: value' lines below it." % (where, _kind(given))
            )
        for key in sorted(keys):
            if key not in given:
                raise CatalogError(
                    "catalog entry '%s': source '%s' has no key '%s'. Add it to the values."
                    % (keys[key][0], source, key)
                )
        checked[source] = {}
        for key, value in given.items():
            if not isinstance(key, str) or not _SECRET_KEY.match(key):
                raise CatalogError(
                    "%s has a key that can't be a Secret's key. Use letters, digits, '-', '_' and '.' only." % where
                )
            if not isinstance(value, str):
                raise CatalogError(
                    "%s: the value of '%s' must be a string, not %s. Put it in quotes." % (where, key, _kind(value))
                )
            if not value:
                raise CatalogError("%s: the value of '%s' is empty. Give it a value." % (where, key))
            checked[source][key] = value.encode("utf-8")
    return checked, sorted(str(name) for name in values if name not in needed)
