# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog's rules as a JSON schema, by which editors complete and check it. Pure.

It says what can be said of an entry by itself; :mod:`.entries` also checks entries together. A text that Ansible
templates (``{{``) is taken as it is.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Pattern, Sequence

from .checker import DNS_LABEL, DNS_SUBDOMAIN, LABEL_VALUE, SECRET_KEY, SECRET_TYPE
from .entries import (
    DAYS,
    DELETION_POLICIES,
    DURATION,
    ENTRY_KEYS,
    KARGO_KEYS,
    KARGO_KINDS,
    NAME_LABEL,
    OPERATORS,
    REGISTRY_KEYS,
    RESERVED_LABELS,
    SHAPES,
    TYPES,
)

_Schema = Dict[str, Any]

#: The variables that hold a catalog.
VARIABLES = ("cluster_secrets_catalog", "cluster_secrets_catalog_extra")

_TEMPLATED = {"type": "string", "pattern": r"\{\{"}
_TEXT: _Schema = {"type": "string"}
_YES, _NO = "[Tt][Rr][Uu][Ee]|[Yy][Ee][Ss]|[Oo][Nn]", "[Ff][Aa][Ll][Ss][Ee]|[Nn][Oo]|[Oo][Ff][Ff]"
_BOOLEAN: _Schema = {"anyOf": [{"type": "boolean"}, {"pattern": r"^(%s|%s)$|\{\{" % (_YES, _NO), "type": "string"}]}

#: A key of a label or an annotation: an optional DNS prefix, and a name.
_LABEL = r"(%s/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?" % DNS_SUBDOMAIN.pattern.replace(r"\Z", "")
_LABEL_KEY = "^%s$" % _LABEL


#: The types that only Kubernetes' own domain has.
_OF_KUBERNETES = r"^[^/]*kubernetes\.io/"


def schema() -> _Schema:
    """A JSON schema (draft 7) for a file of variables that holds a catalog."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Variables of platform.cluster_secrets",
        "type": "object",
        "properties": {
            name: _or_template({"type": "array", "items": _or_template({"$ref": "#/definitions/entry"})})
            for name in VARIABLES
        },
        "definitions": {"entry": _entry()},
    }


def document() -> str:
    """The schema as the text of a file."""
    return json.dumps(schema(), indent=1) + "\n"


def _entry() -> _Schema:
    kinds = _kinds()
    alone = [shape for shape in SHAPES if shape not in ("data", "extract")]
    pairs = [(one, other) for number, one in enumerate(alone) for other in alone[number + 1 :]]
    pairs += [(one, other) for one in alone for other in ("data", "extract")]
    return {
        "type": "object",
        "properties": {key: {"description": text, **kinds[key]} for key, text in ENTRY_KEYS.items()},
        "additionalProperties": False,
        "required": ["name"],
        "if": {"properties": {"namespaces": {"minItems": 1}}, "required": ["namespaces"]},
        "then": {"required": ["label"]},
        "allOf": [
            _one_of(SHAPES),
            {"anyOf": [{"required": ["label"]}, _some("namespaces_by_name"), _some("namespace_selectors")]},
            *({"not": {"required": list(pair)}} for pair in pairs),
        ],
    }


def _one_of(keys: Sequence[str]) -> _Schema:
    """At least one of some keys is there."""
    return {"anyOf": [{"required": [key]} for key in keys]}


def _some(key: str) -> _Schema:
    """A list is there, and not empty."""
    return {"required": [key], "properties": {key: {"minItems": 1}}}


def _or_template(one: _Schema) -> _Schema:
    return {"anyOf": [one, dict(_TEMPLATED)]}


def _kinds() -> dict[str, _Schema]:
    """What each key of an entry holds."""
    own_name, value = re.escape(NAME_LABEL), LABEL_VALUE.pattern.replace(r"\Z", "")
    names, said = _list(_matching(DNS_LABEL)), {"type": "string", "pattern": r"\S"}
    labels: _Schema = {
        "type": "object",
        "propertyNames": {"pattern": _LABEL_KEY},
        "additionalProperties": _matching(LABEL_VALUE),
    }
    own = _or_template({**labels, "not": {"anyOf": [{"required": [key]} for key in RESERVED_LABELS]}})
    place = _pattern(DNS_SUBDOMAIN).removeprefix("^").removesuffix("$")
    source_key = {"anyOf": [{"type": "string", "pattern": r"^((%s)/)?[-._a-zA-Z0-9]+$" % place}, _TEMPLATED]}
    user = {
        "anyOf": [source_key, _mapping({"value": {"type": "string", "pattern": r"^[^:\"\\{}\s]+$|\{\{"}}, ["value"])]
    }
    credentials = {"username": user, "password": source_key}
    kargo = _mapping(
        {**_keys(KARGO_KEYS), "repo_url": {**_TEXT, "minLength": 1}, "repo_url_is_regex": _BOOLEAN, **credentials},
        ["repo_url"],
    )
    registry = _mapping(
        {**_keys(REGISTRY_KEYS), "server": {"type": "string", "pattern": r"^[^\s\"\\{}]+$|\{\{"}, **credentials},
        ["server"],
    )
    of_values = {"properties": {"operator": {"enum": ["In", "NotIn"]}}}
    either = _mapping({"value": _TEXT, "text": _TEXT})
    either.update(minProperties=1, maxProperties=1)
    expression = _mapping(
        {
            "key": {"type": "string", "pattern": _LABEL_KEY},
            "operator": {"enum": list(OPERATORS)},
            "values": _list(_matching(LABEL_VALUE), unique=False),
        },
        ["key", "operator"],
    )
    valued = {"required": ["values"], "properties": {"values": {"minItems": 1}}}
    expression.update({"if": of_values, "then": valued, "else": {"not": valued}})
    selector = _mapping({"matchLabels": labels, "matchExpressions": _list(_or_template(expression), unique=False)})
    # One that says something, or nothing at all, which selects every namespace.
    selector["anyOf"] = [
        {"required": ["matchLabels"], "properties": {"matchLabels": {"minProperties": 1}}},
        {"required": ["matchExpressions"], "properties": {"matchExpressions": {"minItems": 1}}},
        {"maxProperties": 0},
    ]
    length = _or_template({"type": "integer", "minimum": 1, "maximum": 4096})
    return {
        "name": _matching(DNS_SUBDOMAIN, 59),
        "source": _matching(DNS_SUBDOMAIN),
        "label": _or_template({"type": "string", "pattern": "^(?!%s(=|$))%s(=%s)?$" % (own_name, _LABEL, value)}),
        "target": _matching(DNS_SUBDOMAIN),
        "namespaces": names,
        "namespaces_by_name": names,
        "namespace_selectors": _list(_or_template(selector), unique=False),
        "data": _or_template(
            {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": _pattern(SECRET_KEY)},
                "additionalProperties": {"anyOf": [source_key, either]},
            }
        ),
        "extract": {
            "anyOf": [
                {"const": True},
                {"type": "string", "pattern": r"^(%s)$" % _YES},
                _list(_matching(DNS_SUBDOMAIN), 1),
            ]
        },
        "registry": _or_template(registry),
        **dict.fromkeys(KARGO_KINDS, _or_template(kargo)),
        "type": {"anyOf": [{"enum": list(TYPES)}, {**_matching(SECRET_TYPE), "not": {"pattern": _OF_KUBERNETES}}]},
        "external_secret": _matching(DNS_SUBDOMAIN),
        "labels": own,
        "annotations": _or_template(
            {"type": "object", "propertyNames": {"pattern": _LABEL_KEY}, "additionalProperties": _TEXT}
        ),
        "generate": _or_template(
            {
                "type": "object",
                "propertyNames": {"pattern": _pattern(SECRET_KEY)},
                "additionalProperties": _mapping({"length": length, "alphabet": {**_TEXT, "minLength": 2}}),
            }
        ),
        "written_by": {"anyOf": [said, {"type": "object", "additionalProperties": said}]},
        "rotate_after": _matching(DAYS),
        "owner": _TEXT,
        "description": _TEXT,
        "deletion_policy": _or_template({"enum": list(DELETION_POLICIES)}),
        "refresh_interval": _matching(DURATION),
        "enabled": _BOOLEAN,
    }


def _keys(known: Sequence[str]) -> dict[str, _Schema]:
    return {key: {} for key in known}


def _mapping(properties: dict[str, _Schema], required: Sequence[str] = ()) -> _Schema:
    """A mapping with no other keys."""
    schema: _Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(required)} if required else schema


def _list(items: _Schema, least: int = 0, unique: bool = True) -> _Schema:
    return _or_template({"type": "array", "items": items, "uniqueItems": unique, "minItems": least})


def _pattern(rule: Pattern[str]) -> str:
    r"""A pattern as ECMAScript has it, where ``\Z`` is ``$``."""
    return "^(?:%s)$" % rule.pattern.replace(r"\Z", "")


def _matching(rule: Pattern[str], limit: int = 253) -> _Schema:
    """A text that a rule matches, or a template."""
    return {"anyOf": [{"type": "string", "maxLength": limit, "pattern": _pattern(rule)}, dict(_TEMPLATED)]}
