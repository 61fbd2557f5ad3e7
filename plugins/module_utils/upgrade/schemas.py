# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a stored object another version of its definition would lose or refuse. Pure."""

from __future__ import annotations

import copy
import operator
from typing import Any, Callable, Dict, Iterator, Tuple

from ..resources import Object

#: (path of the field, what is wrong with it).
Violation = Tuple[str, str]

_Schema = Dict[str, Any]

#: What JSON Schema calls a type -> how its values are read. A bool is an int for Python only.
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}

#: A limit of a schema, the values that it counts for, and how their length is compared with it.
_LIMITS: tuple[tuple[str, tuple[type, ...], Callable[[int, int], bool]], ...] = (
    ("minProperties", (dict,), operator.ge),
    ("maxProperties", (dict,), operator.le),
    ("minLength", (str,), operator.ge),
    ("maxLength", (str,), operator.le),
    ("minItems", (list,), operator.ge),
    ("maxItems", (list,), operator.le),
)

#: What every object has, whatever its definition says, and what only the controller writes.
_NOT_OURS = ("apiVersion", "kind", "metadata", "status")


def schema_of(definition: Object, version: str) -> _Schema | None:
    """The schema of one version of a CustomResourceDefinition, or None when it doesn't have that version."""
    for one in definition["spec"]["versions"]:
        if one["name"] == version:
            return (one.get("schema") or {}).get("openAPIV3Schema") or {}
    return None


def with_defaults(value: Any, schema: _Schema, in_list: bool = False) -> Any:
    """A manifest with what a schema fills in inside of lists, which tools such as Argo CD compare as a whole.

    :arg in_list: whether the value is, or is within, an item of a list.
    """
    if isinstance(value, list):
        return [with_defaults(item, schema.get("items") or {}, True) for item in value]
    if not isinstance(value, dict):
        return value
    known: _Schema = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    beside = others if isinstance(others, dict) else {}
    filled = {name: with_defaults(item, known.get(name, beside), in_list) for name, item in value.items()}
    if in_list:
        for name, below in known.items():
            if "default" in below and name not in filled:
                filled[name] = with_defaults(copy.deepcopy(below["default"]), below, True)
    return filled


def violations(item: Object, schema: _Schema) -> set[Violation]:
    """Fields of a live object that a schema does not know (the API server drops them), or whose value it refuses.

    The texts never quote a value, since that of a fake provider may be a secret.
    """
    return set(_look({key: value for key, value in item.items() if key not in _NOT_OURS}, schema, ""))


def _look(value: Any, schema: _Schema, path: str) -> Iterator[Violation]:
    kind = schema.get("type")
    if kind in _TYPES and not _is(value, kind):
        # A null is dropped, or replaced by the default.
        if value is not None:
            yield path, "must be of type %s" % kind
        return
    allowed = schema.get("enum")
    if allowed and value not in allowed:
        yield path, "must be %s" % " or ".join(map(str, allowed))
    size = len(value) if isinstance(value, (dict, list, str)) else 0
    for limit, kinds, wanted in _LIMITS:
        if limit in schema and isinstance(value, kinds) and not wanted(size, schema[limit]):
            yield path, "does not keep to %s of %s" % (limit, schema[limit])
    if isinstance(value, dict):
        yield from _fields(value, schema, path)
    elif isinstance(value, list):
        for item in value:
            # Without positions, so that ten entries of a list are named once.
            yield from _look(item, schema.get("items") or {}, path + "[]")


def _fields(value: dict[str, Any], schema: _Schema, path: str) -> Iterator[Violation]:
    known: _Schema = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    keeps = bool(schema.get("x-kubernetes-preserve-unknown-fields")) or "type" not in schema or bool(others)
    for name, item in value.items():
        below = "%s.%s" % (path, name) if path else name
        if name in known:
            yield from _look(item, known[name], below)
        elif isinstance(others, dict):
            yield from _look(item, others, below)
        elif not keeps and name not in _NOT_OURS:
            yield below, "is not known any more, it would be lost"
    for name in schema.get("required") or []:
        if name not in value and name not in _NOT_OURS and "default" not in known.get(name, {}):
            yield "%s.%s" % (path, name) if path else name, "is required"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])
