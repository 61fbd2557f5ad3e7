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
    NAME_LABEL,
    OPAQUE,
    TRUE,
    Entry,
    duration,
    parse_catalog,
)
from ..catalog.pieces import Literal, Ref, Text
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
_REFERENCE = {"conversionStrategy": "Default", "decodingStrategy": "None", "metadataPolicy": "None"}

#: What Kargo's shape sets by itself.
_KARGO = "kargo.akuity.io/cred-type"


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
        (target.get("deletionPolicy"), (None, "", "Retain"), "deletionPolicy"),
        ((template or {}).get("engineVersion"), (None, "", "v2"), "engineVersion"),
    ):
        if value not in good:
            raise Inexpressible("%s '%s'" % (what, value))
    reference = inner.get("secretStoreRef") or {}
    if reference.get("kind") != "ClusterSecretStore" or reference.get("name") not in central:
        raise Inexpressible("it reads through %s '%s'" % (reference.get("kind", "SecretStore"), reference.get("name")))
    external = spec.get("externalSecretName") or name
    entry: dict[str, Any] = {"name": name}
    source, keys, whole = _reading(inner)
    entry["source"] = source
    if (target.get("name") or external) != name:
        entry["target"] = target.get("name") or external
    if external != name:
        entry["external_secret"] = external
    entry.update(_selection(spec, namespaces, store_namespace))
    labels, annotations = _metadata(live, template)
    kind = (template or {}).get("type") or OPAQUE
    data = _data(template or {}, keys, whole)
    entry.update(_shape(data, kind, labels))
    if labels:
        entry["labels"] = labels
    if annotations:
        entry["annotations"] = annotations
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
        parse_catalog([entry])
    except CatalogError as error:
        raise Inexpressible(str(error)) from None
    return entry


def _only(mapping: Object, known: tuple[str, ...], where: str) -> None:
    said = {key for key, value in mapping.items() if value not in (None, False, {}, [], "")}
    unknown = sorted(said.difference(known))
    if unknown:
        raise Inexpressible("%s%s" % (where, unknown[0]))


def _reading(inner: Object) -> tuple[str, dict[str, str], bool]:
    """(source, which source key each name stands for, whether the source is copied whole)."""
    data, whole = inner.get("data") or [], inner.get("dataFrom") or []
    if (data and whole) or len(whole) > 1:
        raise Inexpressible("several ways of reading together")
    if whole:
        _only(whole[0], ("extract",), "dataFrom.")
        extract = whole[0].get("extract") or {}
        _strategies(extract, ("key",))
        return str(extract.get("key")), {}, True
    keys: dict[str, str] = {}
    sources = set()
    for one in data:
        _only(one, ("secretKey", "remoteRef"), "data.")
        remote = one.get("remoteRef") or {}
        _strategies(remote, ("key", "property"))
        if not remote.get("property"):
            raise Inexpressible("data without a property, which is the whole Secret as JSON")
        sources.add(str(remote.get("key")))
        keys[str(one.get("secretKey"))] = remote["property"]
    if len(sources) != 1:
        raise Inexpressible("%s sources" % (", ".join(sorted(sources)) or "no"))
    return sources.pop(), keys, False


def _strategies(reference: Object, known: tuple[str, ...]) -> None:
    for key, value in reference.items():
        if key not in known and value not in (None, "", _REFERENCE.get(key)):
            raise Inexpressible("%s '%s'" % (key, value))


def _selection(spec: Object, namespaces: dict[str, Object], central: str) -> dict[str, Any]:
    by_name = list(spec.get("namespaces") or [])
    labels: list[tuple[str, str]] = []
    for selector in [spec.get("namespaceSelector"), *(spec.get("namespaceSelectors") or [])]:
        if selector is None:
            continue
        wanted = dict(selector.get("matchLabels") or {})
        expressions = selector.get("matchExpressions") or []
        if wanted and expressions == [{"key": NAME_LABEL, "operator": "NotIn", "values": [central]}]:
            expressions = []  # as every entry has it
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
        elif not wanted and not expressions:
            raise Inexpressible("a selector of all namespaces")
        else:
            raise Inexpressible("a selector of more than one label, or with expressions")
    if len(set(labels)) > 1:
        raise Inexpressible("selectors of several labels")
    found: dict[str, Any] = {}
    if labels:
        key, value = labels[0]
        found["label"] = key if value == TRUE else "%s=%s" % (key, value)
        carrying = sorted(
            name
            for name, item in namespaces.items()
            if (item["metadata"].get("labels") or {}).get(key) == value
            and "deletionTimestamp" not in item["metadata"]
            and name != central
        )
        if carrying:
            found["namespaces"] = carrying
    if by_name:
        found["namespaces_by_name"] = sorted(set(by_name))
    if not found:
        raise Inexpressible("it selects no namespace")
    return found


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


def _data(template: Object, keys: dict[str, str], whole: bool) -> dict[str, Text] | None:
    """The target's data, or None for a source that is copied whole."""
    templates = template.get("data") or {}
    merge = template.get("mergePolicy") == "Merge"
    if whole:
        if not templates:
            return None
        if merge:
            raise Inexpressible("dataFrom that a template adds to")
        return {key: parse(text, _AnyKey()) for key, text in templates.items()}
    data = {} if templates and not merge else {name: Text(Ref(key)) for name, key in keys.items()}
    data.update((key, parse(text, keys)) for key, text in templates.items())
    return data


class _AnyKey(dict):  # type: ignore[type-arg]
    """Each name stands for the source key of that name."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return key


def _shape(data: dict[str, Text] | None, kind: str, labels: dict[str, str]) -> dict[str, Any]:
    """What says what the target holds, in the catalog's shortest words; removes from ``labels`` what a shape sets."""
    if data is None:
        return {"extract": True, **({"type": kind} if kind != OPAQUE else {})}
    for shape in (_registry(data, kind), _git(data, kind, labels)):
        if shape is not None:
            labels.pop(_KARGO, None)
            return shape
    if _KARGO in labels:
        raise Inexpressible("Kargo's label on something that is no git credential")
    forms = {key: text.source_form() for key, text in data.items()}
    return {"data": forms, **({"type": kind} if kind != OPAQUE else {})}


def _same(shape: dict[str, Any], data: dict[str, Text]) -> bool:
    """Whether a shape gives exactly ``data``."""
    try:
        entry: Entry = parse_catalog([{"name": "x", "source": "x", "label": "x", **shape}])[0]
    except CatalogError:
        return False
    return entry.template() == {key: text.template() for key, text in data.items()}


def _registry(data: dict[str, Text], kind: str) -> dict[str, Any] | None:
    if kind != DOCKER_CONFIG or list(data) != [DOCKER_CONFIG_KEY]:
        return None
    pieces = data[DOCKER_CONFIG_KEY].pieces
    references = [piece.key for piece in pieces if isinstance(piece, Ref)]
    first = pieces[0].text if pieces and isinstance(pieces[0], Literal) else ""
    server = first.partition('{"auths":{"')[2].partition('"')[0]
    if not server or len(references) != 2:
        return None
    shape = {"registry": {"server": server, "username": references[0], "password": references[1]}}
    return shape if _same(shape, data) else None


def _git(data: dict[str, Text], kind: str, labels: dict[str, str]) -> dict[str, Any] | None:
    if kind != OPAQUE or labels.get(_KARGO) != "git" or not {"repoURL", "username", "password"} <= set(data):
        return None
    url = data["repoURL"].source_form()
    names = [data[key].source_form() for key in ("username", "password")]
    if not isinstance(url, dict) or "value" not in url or not all(isinstance(name, str) for name in names):
        return None
    git: dict[str, Any] = {"repo_url": url["value"]}
    if "repoURLIsRegex" in data:
        git["repo_url_is_regex"] = True
    git.update(username=names[0], password=names[1])
    return {"git": git} if _same({"git": git}, data) else None
