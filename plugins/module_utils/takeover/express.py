# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From live ClusterExternalSecrets to catalog entries that make the same targets. Pure."""

from __future__ import annotations

import re
from typing import Any

from ..catalog.entries import (
    DOCKER_CONFIG,
    DOCKER_CONFIG_KEY,
    KARGO_KINDS,
    KARGO_LABEL,
    LABEL_PREFIX,
    NAME_LABEL,
    OPAQUE,
    TRUE,
    Entry,
    duration,
    parse_catalog,
)
from ..catalog.pieces import DECODINGS, WHOLE, Base64, Literal, Ref, Reference, Text
from ..desired.distribution import ESO_MANAGED_LABEL, FORCE_SYNC, MIRRORED, TARGET_LABEL
from ..errors import CatalogError
from ..resources import Object
from .templates import Inexpressible, parse

#: What a spec may hold; the catalog can't express anything else.
_SPEC = (
    "externalSecretName",
    "externalSecretMetadata",
    "externalSecretSpec",
    "namespaceSelector",
    "namespaceSelectors",
    "namespaces",
    "refreshTime",
)
_INNER = ("data", "dataFrom", "refreshInterval", "refreshPolicy", "secretStoreRef", "target")
_TARGET = ("creationPolicy", "deletionPolicy", "name", "template")
_TEMPLATE = ("data", "engineVersion", "mergePolicy", "metadata", "type")
#: What a reference may say without any effect here: every key of a Secret is one, and a Secret has one version.
_REFERENCE = {
    "conversionStrategy": ("Default", "Unicode"),
    "metadataPolicy": ("None",),
    "nullBytePolicy": ("Ignore",),
}


def expressed(
    live: Object, central: set[str], namespaces: dict[str, Object], store_namespace: str = ""
) -> dict[str, Any]:
    """The catalog entry of a live ClusterExternalSecret, as YAML would hold it, defaults left out.

    :arg central: the names of the stores that count as the central one.
    :arg namespaces: the live namespaces by name; those that carry the label become the entry's.
    :arg store_namespace: that of the master Secrets, which no entry selects.
    :raises Inexpressible: with the reason, for what no entry can say.
    """
    spec = live.get("spec") or {}
    name = live["metadata"]["name"]
    inner = spec.get("externalSecretSpec") or {}
    target = inner.get("target") or {}
    template = target.get("template")
    _only(spec, _SPEC, "")
    _only(inner, _INNER, "externalSecretSpec.")
    _only(target, _TARGET, "target.")
    _only(template or {}, _TEMPLATE, "template.")
    for value, good, what in (
        (inner.get("refreshPolicy"), (None, "", "Periodic"), "refreshPolicy"),
        (target.get("creationPolicy"), (None, "", "Owner"), "creationPolicy"),
        (target.get("deletionPolicy"), (None, "", "Retain", "Delete"), "deletionPolicy"),
        ((template or {}).get("engineVersion"), (None, "", "v2"), "engineVersion"),
    ):
        if value not in good:
            raise Inexpressible("%s '%s'" % (what, value))
    reading = [*(inner.get("data") or []), *(inner.get("dataFrom") or [])]
    said = [(item.get("sourceRef") or {}).get("storeRef") for item in reading]
    for reference in [one or inner.get("secretStoreRef") or {} for one in said] or [inner.get("secretStoreRef") or {}]:
        if reference.get("kind") != "ClusterSecretStore" or reference.get("name") not in central:
            raise Inexpressible(
                "it reads through %s '%s'" % (reference.get("kind", "SecretStore"), reference.get("name"))
            )
    external = spec.get("externalSecretName") or name
    entry: dict[str, Any] = {"name": name}
    keys, copied = _reading(inner)
    if (target.get("name") or external) != name:
        entry["target"] = target.get("name") or external
    if external != name:
        entry["external_secret"] = external
    entry.update(_selection(spec, namespaces, store_namespace))
    labels, annotations = _metadata(live, template)
    kind = (template or {}).get("type") or OPAQUE
    data = _data(template or {}, keys, copied)
    read = [reference.source for text in data.values() for reference in text.references()]
    if not copied and not read:
        # Its texts are no secret; the source is only one that must be there.
        read = [key.source for key in keys.values()]
    source = copied[0] if copied else max(dict.fromkeys(read), key=read.count) if read else ""
    if not source:
        raise Inexpressible("no sources")
    entry["source"] = source
    data = {key: text.based_on(lambda one: one.within(source)) for key, text in data.items()}
    entry.update(_shape(data, copied, kind, labels))
    if labels:
        entry["labels"] = labels
    if annotations:
        entry["annotations"] = annotations
    if target.get("deletionPolicy") == "Delete":
        entry["deletion_policy"] = "Delete"
    # refreshTime only says how often ESO compares; what counts is how often it reads.
    given = str(inner.get("refreshInterval") or "1h0m0s")
    if len(given) > 40 or not re.fullmatch("([0-9]{1,9}(h|m|s))+", given):
        raise Inexpressible("refreshInterval '%s'" % given)
    interval = duration(given)
    if interval == "0s":
        raise Inexpressible("refreshInterval 0: it is read only once")
    if interval != "1h0m0s":
        entry["refresh_interval"] = interval
    try:
        parsed = parse_catalog([entry])[0]
    except CatalogError as error:
        raise Inexpressible(str(error)) from None
    if _said(parsed.data) != _said(data):
        raise Inexpressible("a template that the catalog would read differently")
    return entry


def _said(data: dict[str, Text]) -> dict[str, Any]:
    """What a target's data are made of, to be compared."""
    return {key: [(piece.source_form(), piece.references()) for piece in text.pieces] for key, text in data.items()}


def _only(mapping: Object, known: tuple[str, ...], where: str) -> None:
    said = {key for key, value in mapping.items() if value not in (None, False, {}, [], "")}
    unknown = sorted(said.difference(known))
    if unknown:
        raise Inexpressible("%s%s" % (where, unknown[0]))


def _reading(inner: Object) -> tuple[dict[str, Reference], list[str]]:
    """(which source key each name stands for, the sources that are copied whole)."""
    data, whole = inner.get("data") or [], inner.get("dataFrom") or []
    copied = []
    for one in whole:
        _only(one, ("extract", "sourceRef"), "dataFrom.")
        _only(one.get("sourceRef") or {}, ("storeRef",), "sourceRef.")
        extract = one.get("extract") or {}
        if _decoding(extract, ("key", "version")):
            raise Inexpressible("decodingStrategy '%s' of a whole source" % extract["decodingStrategy"])
        copied.append(str(extract.get("key")))
    if len(set(copied)) < len(copied):
        raise Inexpressible("a source that is read twice")
    keys: dict[str, Reference] = {}
    for one in data:
        _only(one, ("secretKey", "remoteRef", "sourceRef"), "data.")
        _only(one.get("sourceRef") or {}, ("storeRef",), "sourceRef.")
        remote = one.get("remoteRef") or {}
        decoding = _decoding(remote, ("key", "property", "version"))
        if decoding and not remote.get("property"):
            raise Inexpressible("a whole source that is decoded")
        keys[str(one.get("secretKey"))] = Reference(
            str(remote.get("key")), str(remote.get("property") or WHOLE), decoding
        )
    return keys, copied


def _decoding(reference: Object, known: tuple[str, ...]) -> str:
    """How a reference is decoded. Raises Inexpressible for anything else that it says and no entry can."""
    for key, value in reference.items():
        if key not in (*known, "decodingStrategy") and value not in (None, "", *_REFERENCE.get(key, ())):
            raise Inexpressible("%s '%s'" % (key, value))
    given = str(reference.get("decodingStrategy") or "None")
    if given != "None" and given not in DECODINGS:
        raise Inexpressible("decodingStrategy '%s'" % given)
    return "" if given == "None" else given


def _selection(spec: Object, namespaces: dict[str, Object], central: str) -> dict[str, Any]:
    by_name = [str(namespace) for namespace in spec.get("namespaces") or []]
    labels: list[tuple[str, str]] = []
    others: list[Object] = []
    for selector in [spec.get("namespaceSelector"), *(spec.get("namespaceSelectors") or [])]:
        if selector is None:
            continue
        wanted = dict(selector.get("matchLabels") or {})
        expressions = [_plain(expression) for expression in selector.get("matchExpressions") or []]
        spared = {"key": NAME_LABEL, "operator": "NotIn", "values": [central]}
        if spared in expressions:
            expressions.remove(spared)  # as every entry has it
        if not expressions and len(wanted) == 1:
            ((key, value),) = wanted.items()
            if key == NAME_LABEL:
                by_name.append(value)
            else:
                labels.append((key, value))
        elif (
            not wanted
            and len(expressions) == 1
            and (expressions[0]["key"], expressions[0]["operator"]) == (NAME_LABEL, "In")
        ):
            by_name += expressions[0].get("values") or []
        else:
            parts = (("matchLabels", wanted), ("matchExpressions", expressions))
            others.append({name: part for name, part in parts if part})
    if len(set(labels)) > 1:
        # An entry has one label that it gives.
        others += [{"matchLabels": {key: value}} for key, value in dict.fromkeys(labels)]
        labels = []
    fields: dict[str, Any] = {}
    if labels:
        key, value = labels[0]
        fields["label"] = key if value == TRUE else "%s=%s" % (key, value)
        carrying = sorted(
            name
            for name, item in namespaces.items()
            if (item["metadata"].get("labels") or {}).get(key) == value
            and "deletionTimestamp" not in item["metadata"]
            and name != central
        )
        # Another label is there for others, too: whoever gives and takes it decides, and no bootstrap.
        if carrying and key.startswith(LABEL_PREFIX):
            fields["namespaces"] = carrying
    if by_name:
        fields["namespaces_by_name"] = sorted(set(by_name) - {central})
    if others:
        fields["namespace_selectors"] = others
    if not fields:
        raise Inexpressible("it selects no namespace")
    return fields


def _plain(expression: Object) -> Object:
    """An expression of a selector without what is empty."""
    return {key: value for key, value in expression.items() if value not in (None, [])}


def target_metadata(live: Object) -> tuple[dict[str, str], dict[str, str]]:
    """The labels and annotations that a live ClusterExternalSecret gives its targets, without those that ESO or every
    entry gives, and without what only triggers a refresh."""
    spec = live.get("spec") or {}
    template = ((spec.get("externalSecretSpec") or {}).get("target") or {}).get("template")
    # Without a template, ESO copies what the ExternalSecret itself carries.
    metadata = (spec.get("externalSecretMetadata") if template is None else template.get("metadata")) or {}
    labels = {
        key: value
        for key, value in (metadata.get("labels") or {}).items()
        if (key, value) != TARGET_LABEL and key != ESO_MANAGED_LABEL
    }
    annotations = {
        key: value if template is None else _as_text(value)
        for key, value in (metadata.get("annotations") or {}).items()
        if key not in (FORCE_SYNC, MIRRORED)
    }
    return labels, annotations


def _as_text(value: str) -> str:
    """What a template writes that only has text, such as an entry's annotation with braces; any other as it is."""
    if "{{" not in value:
        return value
    try:
        form = parse(value, {}).source_form()
    except Inexpressible:
        return value
    return form["value"] if isinstance(form, dict) and "value" in form else value


def _metadata(live: Object, template: Object | None) -> tuple[dict[str, str], dict[str, str]]:
    _only((template or {}).get("metadata") or {}, ("labels", "annotations"), "template.metadata.")
    labels, annotations = target_metadata(live)
    if TARGET_LABEL[0] in labels:
        raise Inexpressible("a label %s of its own" % TARGET_LABEL[0])
    said = ((template or {}).get("metadata") or {}).get("annotations") or {}
    for value in [*labels.values(), *said.values()]:
        if "{{" in value and _as_text(value) == value:
            raise Inexpressible("templates in labels or annotations")
    return labels, annotations


def _data(template: Object, keys: dict[str, Reference], copied: list[str]) -> dict[str, Text]:
    """The target's data besides what is copied whole; takes all from ``copied`` where nothing of it stays."""
    templates = template.get("data") or {}
    plain = {name: Text(Ref(reference)) for name, reference in keys.items()}
    if copied and templates and template.get("mergePolicy") != "Merge":
        if len(copied) > 1:
            raise Inexpressible("several whole sources that a template takes keys of")
        names = _AnyKey(copied.pop(), keys)
        return {key: parse(text, names) for key, text in templates.items()}
    data = plain if not templates or template.get("mergePolicy") == "Merge" else {}
    data.update((key, parse(text, _AnyKey("", keys) if copied else keys)) for key, text in templates.items())
    return data


class _AnyKey(dict):  # type: ignore[type-arg]
    """Each name stands for the key of that name of one source, unless something else was read under it."""

    def __init__(self, source: str, read: dict[str, Reference]) -> None:
        super().__init__(read)
        self._source = source

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> Reference:
        return Reference(self._source, key)


def _shape(data: dict[str, Text], copied: list[str], kind: str, labels: dict[str, str]) -> dict[str, Any]:
    """What says what the target holds, in the catalog's shortest words; removes from ``labels`` what a shape sets."""
    said = {"type": kind} if kind != OPAQUE else {}
    forms = {key: text.source_form() for key, text in data.items()}
    if copied:
        whole: dict[str, Any] = {"extract": True if len(copied) == 1 else copied}
        return {**whole, **({"data": forms} if forms else {}), **said}
    registry = _registry(data, kind)
    if registry is not None:
        return registry
    kargo = _kargo(data, kind, labels)
    if kargo is not None:
        del labels[KARGO_LABEL]
        return kargo
    return {"data": forms, **said}


def _same(shape: dict[str, Any], data: dict[str, Text]) -> bool:
    """Whether a shape gives exactly ``data``."""
    try:
        entry: Entry = parse_catalog([{"name": "x", "source": "x", "label": "x", **shape}])[0]
    except CatalogError:
        return False
    return _said(entry.data) == _said(data)


def _registry(data: dict[str, Text], kind: str) -> dict[str, Any] | None:
    if kind != DOCKER_CONFIG or list(data) != [DOCKER_CONFIG_KEY]:
        return None
    pieces = data[DOCKER_CONFIG_KEY].pieces
    first = pieces[0].text if pieces and isinstance(pieces[0], Literal) else ""
    server = first.partition('{"auths":{"')[2].partition('"')[0]
    encoded = next((piece.parts for piece in pieces if isinstance(piece, Base64)), ())
    if not server or len(encoded) != 2 or not isinstance(encoded[1], Reference):
        return None
    username = {"value": encoded[0].text} if isinstance(encoded[0], Literal) else encoded[0].text
    shape = {"registry": {"server": server, "username": username, "password": encoded[1].text}}
    return shape if _same(shape, data) else None


def _kargo(data: dict[str, Text], kind: str, labels: dict[str, str]) -> dict[str, Any] | None:
    shape = labels.get(KARGO_LABEL)
    if kind != OPAQUE or shape not in KARGO_KINDS or not {"repoURL", "username", "password"} <= set(data):
        return None
    url, username, password = (data[key].source_form() for key in ("repoURL", "username", "password"))
    if not isinstance(url, dict) or "value" not in url or not isinstance(password, str):
        return None
    said: dict[str, Any] = {"repo_url": url["value"]}
    if "repoURLIsRegex" in data:
        said["repo_url_is_regex"] = True
    said.update(username=username, password=password)
    return {shape: said} if _same({shape: said}, data) else None
