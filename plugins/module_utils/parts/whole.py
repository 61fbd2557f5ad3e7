# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several parts at once, in the order that they need: planned whole on one reading of the cluster, then written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, NamedTuple

from ..errors import CatalogError, ClusterSecretsError
from ..module import (
    CATALOG_OPTION,
    ESO_IDENTITY_OPTIONS,
    ISOLATION_OPTION,
    OWNER_OPTION,
    PLATFORM_OPTIONS,
    STORE_NAMESPACE_OPTION,
    STORE_OPTION,
)
from . import entries, labels, masters, policies, stores, targets

if TYPE_CHECKING:
    from ..module import Context

_ParamsT = Dict[str, Any]


class _Part(NamedTuple):
    """What one of the option ``parts`` does: its run function, options, and those of them that are not its user's."""

    run: Callable[[Context], _ParamsT]
    options: dict[str, dict[str, Any]]
    fixed: _ParamsT = {}


#: By name, in the order in which they are written. What the stores read comes before ESO is installed, since an upgrade
#: of it may remove its own wider permission. Labels come before what selects by them, since entries may take over what
#: selected by other labels, and go after entries were deleted, or ESO leaves its finalizer on the namespaces. What a
#: change of isolation leaves over goes before targets are waited for, which a tenant may block; so does the guard.
PARTS = {
    "secrets": _Part(masters.run, masters.OPTIONS, {"state": "present"}),
    "permissions": _Part(stores.run, stores.OPTIONS, {"state": "present", "stage": "permissions"}),
    "labels": _Part(labels.run, labels.OPTIONS, {"exclusive": False}),
    "stores": _Part(stores.run, stores.OPTIONS, {"state": "present", "stage": "stores"}),
    "entries": _Part(entries.run, entries.OPTIONS),
    "unlabel": _Part(labels.run, labels.OPTIONS, {"state": "present", "exclusive": True}),
    "settle": _Part(stores.run, stores.OPTIONS, {"state": "present", "stage": "settle"}),
    "guard": _Part(policies.run, policies.OPTIONS),
    "verify": _Part(targets.run, targets.OPTIONS),
}

#: What all parts share is said once.
SHARED: dict[str, dict[str, Any]] = {
    "assume_installed": {"type": "bool", "default": False},
    "values": {"type": "dict", "no_log": True},
    **CATALOG_OPTION,
    **ESO_IDENTITY_OPTIONS,
    **ISOLATION_OPTION,
    **OWNER_OPTION,
    **PLATFORM_OPTIONS,
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}

OPTIONS: dict[str, dict[str, Any]] = {"parts": {"type": "dict", "required": True}, **SHARED}

#: What every result has, and the whole result once.
_COMMON = ("changed", "changes", "diff", "api_requests", "failed", "msg")


def run(context: Context) -> dict[str, Any]:
    """Plan all parts, so that whatever one of them refuses is refused before the first write; then write them."""
    parts = {name: _checked(context, name, context.params["parts"][name] or {}) for name in _named(context)}
    told: set[str] = set()
    warn = context.warn

    def once(text: str) -> None:
        if text not in told:
            told.add(text)
            warn(text)

    context.warn = once
    planned = _Pass(context, parts, check_mode=True)
    result = planned.run()
    if result.get("failed") and not context.check_mode:
        # What was planned was not written.
        return {**result, "changed": False, "changes": [], **({"diff": []} if context.diff_mode else {})}
    if context.check_mode or planned.is_done():
        return result
    return _Pass(context, parts, check_mode=False).run()


class _Pass:
    """One way through the parts, in check mode or not."""

    def __init__(self, context: Context, parts: dict[str, _ParamsT], check_mode: bool) -> None:
        self._context = context
        self._parts = parts
        self._check_mode = check_mode
        self._found: dict[str, _ParamsT] = {}
        self._does_more = False

    def run(self) -> dict[str, Any]:
        """The result of all parts, or of those up to the one that failed."""
        failed: _ParamsT = {}
        for name, function, params in self._steps():
            part = self._context.part(params, self._check_mode)
            try:
                found = function(part)
            except ClusterSecretsError as error:
                found = {"failed": True, "msg": str(error)}
            self._found[name] = found
            self._does_more = self._does_more or part.does_more
            if found.get("failed"):
                failed = {"failed": True, "msg": found["msg"] + self._done()}
                break
        every = list(self._found.values())
        result: dict[str, Any] = {
            "changed": any(result.get("changed") for result in every),
            "changes": _distinct(change for result in every for change in result.get("changes", ())),
        }
        if self._context.diff_mode:
            result["diff"] = _distinct(one for found in every for one in found.get("diff", ()))
        for name, found in self._found.items():
            result[name] = {key: value for key, value in found.items() if key not in _COMMON}
        return {**result, "api_requests": self._context.client.requests, **failed}

    def _steps(self) -> Iterator[tuple[str, Callable[[Context], _ParamsT], _ParamsT]]:
        """(name, run function, options) of each part, made when those before it have their results."""
        for name, options in self._parts.items():
            params = dict(options)
            before = self._found.get("secrets")
            if before is not None and name == "entries":
                params["replace"] = before.get("replace") or {}
            if before is not None and name == "verify":
                params["changed_sources"] = before["changed_sources"]
            yield name, PARTS[name].run, params

    def is_done(self) -> bool:
        """Whether nothing is to be written, nor anything else to be done."""
        return not self._does_more and not any(found.get("changed") for found in self._found.values())

    def _done(self) -> str:
        """What to add to a failure: what was written before it."""
        count = sum(len(found.get("changes", ())) for found in self._found.values())
        if self._check_mode or not count:
            return ""
        return "\n%d object(s) were written before that; a rerun goes on from there." % count


def _distinct(found: Iterable[_ParamsT]) -> list[_ParamsT]:
    """Each once. In check mode, several parts find the same missing: the central namespace, say."""
    return list({json.dumps(one, sort_keys=True): one for one in found}.values())


def _named(context: Context) -> list[str]:
    unknown = sorted(set(context.params["parts"]) - set(PARTS))
    if unknown:
        raise CatalogError("parts: there is no part '%s'. Those that there are: %s." % (unknown[0], ", ".join(PARTS)))
    return [name for name in PARTS if name in context.params["parts"]]


def _checked(context: Context, name: str, given: Any) -> _ParamsT:
    """The options of a part, its own and those that it shares with others. Raises CatalogError."""
    # The documentation build, and what only reads OPTIONS, has no use for this import.
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    part = PARTS[name]
    own = {key: spec for key, spec in part.options.items() if key not in SHARED and key not in part.fixed}
    if not isinstance(given, dict):
        raise CatalogError("parts: '%s' must be a mapping of options." % name)
    # ansible-core before 2.19 makes an empty text of the none of a template.
    said = {key: value for key, value in given.items() if value not in (None, "")}
    checked = ArgumentSpecValidator(own).validate(said)
    if checked.error_messages:
        raise CatalogError("parts: %s: %s." % (name, "; ".join(checked.error_messages).rstrip(".")))
    shared = {key: context.params[key] for key in SHARED if key in part.options}
    return {**checked.validated_parameters, **part.fixed, **shared}
