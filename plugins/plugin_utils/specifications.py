# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection's variables may be: those of the roles' argument specifications, and the playbooks' own."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import boolean

from ..module_utils.catalog.checker import close_to
from ..module_utils.module import AUTH_OPTIONS
from .playbooks import variables

_ROOT = Path(__file__).resolve().parents[2]

#: What all variables begin with.
PREFIX = "cluster_secrets_"


@functools.lru_cache(maxsize=1)
def of_roles() -> dict[str, dict[str, dict[str, Any]]]:
    """The variables of each role with their specifications, as argument_specs.yml writes them."""
    by_role: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted(_ROOT.glob("roles/*/meta/argument_specs.yml")):
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        own = by_role.setdefault(path.parent.parent.name, {})
        for entry_point in document["argument_specs"].values():
            own.update(entry_point.get("options") or {})
    return by_role


@functools.lru_cache(maxsize=1)
def specifications() -> dict[str, dict[str, Any]]:
    """All variables with their specifications."""
    by_name = {PREFIX + name: {"type": spec.get("type", "str")} for name, spec in AUTH_OPTIONS.items()}
    for own in of_roles().values():
        by_name.update(own)
    return {**by_name, **variables()}


@functools.lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """All words of the playbooks and roles, and so the names of all their variables."""
    paths = [*_ROOT.glob("playbooks/**/*.yml"), *_ROOT.glob("roles/*/*/*.yml")]
    words: set[str] = set()
    for path in paths:
        words.update(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    return frozenset(words.union(specifications()))


def problem(name: str, value: Any) -> str | None:
    """What is wrong with the value of a variable, or None."""
    spec = specifications()[name]
    kind = spec.get("type", "str")
    if value is None:
        # What a playbook calls a variable's default is a text for people.
        needed = spec.get("required") if name in variables() else spec.get("default") is not None
        needed = needed or kind in ("bool", "int") or bool(spec.get("choices"))
        return "%s: it is empty. Give it a value, or leave it out" % name if needed else None
    if kind == "bool":
        try:
            boolean(value, strict=True)
        except TypeError:
            return "%s: %s is not a boolean. Write true or false" % (name, _shown(value))
    elif kind == "int":
        try:
            if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
                raise ValueError
            int(value)
        except (TypeError, ValueError, OverflowError):
            return "%s: %s is not a whole number. Write one like 60" % (name, _shown(value))
    elif kind == "dict" and not isinstance(value, (Mapping, str)):
        return "%s: %s is not a mapping. Write it as 'key: value' lines" % (name, _shown(value))
    elif kind == "list" and isinstance(value, str) and spec.get("elements") == "dict":
        return "%s: a text is not a list of mappings. Write it as JSON: -e '{\"%s\": [...]}'" % (name, name)
    elif kind == "list" and not isinstance(value, (list, tuple, str)):
        return "%s: %s is not a list. Write one item a line, each after '- '" % (name, _shown(value))
    elif kind == "dict" and isinstance(value, str):
        # A module would make a mapping of some texts, which the templates beside it don't see.
        return "%s: a text is not a mapping. Write it as JSON: -e '{\"%s\": {...}}'" % (name, name)
    elif kind in ("dict", "list"):
        # As a role checks it: what a text stands for, the elements and the keys.
        bare = {key: part for key, part in spec.items() if key not in ("default", "required")}
        checked = ArgumentSpecValidator({name: bare}).validate({name: value})
        for said in checked.error_messages:
            return "%s: %s" % (name, said)
        if name == PREFIX + "eso_upgrade_accept" and value:
            # Few playbooks have a use for this import.
            from ..module_utils.upgrade.checks import refused

            wrong = refused(checked.validated_parameters[name])
            return "%s: %s" % (name, wrong) if wrong else None
    elif kind == "str" and spec.get("choices"):
        # YAML reads a bare 'off' as false.
        said = "off" if value is False and "off" in spec["choices"] else str(value)
        if said not in map(str, spec["choices"]):
            return "%s: %s is not one of: %s" % (name, _shown(value), ", ".join(map(str, spec["choices"])))
    return None


def _shown(value: Any) -> str:
    return "'%s'" % value if isinstance(value, (str, int, float, bool)) else "a %s" % type(value).__name__


def unknown(given: Any) -> dict[str, str]:
    """The names among given that begin like the collection's and are none, each with what may have been meant."""
    own = sorted(name for name in names() if name.startswith(PREFIX))
    return {name: close_to(name, own) for name in sorted(given) if str(name).startswith(PREFIX) and name not in names()}
