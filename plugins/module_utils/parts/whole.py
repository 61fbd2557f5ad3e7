# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several parts at once, in the order that they need: planned whole on one reading of the cluster, then written."""

from __future__ import annotations

import json
from typing import Any, Callable, Iterable, NamedTuple

from ..errors import CatalogError, ClusterSecretsError
from ..module import (
    CATALOG_OPTION,
    CHAIN_OPTIONS,
    PLATFORM_OPTIONS,
    Context,
)
from . import entries, labels, masters, policies, stores, targets
from .steps import Plan, Result, carried_out, check, foreseen


class _Part(NamedTuple):
    """What one of the option ``parts`` does: its plan, its options, and those of them that are not its user's."""

    plan: Callable[[Context], Plan]
    options: dict[str, dict[str, Any]]
    fixed: Result = {}


_PRESENT: Result = {"state": "present"}

#: By name, in the order in which they are written. What the stores read comes before ESO is installed, since an upgrade
#: of it may remove its own wider permission. Labels come before what selects by them, since entries may take over what
#: selected by other labels, and go after entries were deleted, or ESO leaves its finalizer on the namespaces. What a
#: change of isolation leaves over goes before targets are waited for, which a tenant may block; so does the guard.
PARTS = {
    "secrets": _Part(masters.plan, masters.OPTIONS, _PRESENT),
    "permissions": _Part(stores.permissions, stores.OPTIONS, _PRESENT),
    "labels": _Part(labels.plan, labels.OPTIONS, {"exclusive": False}),
    "stores": _Part(stores.applied, stores.SETTLE_OPTIONS, _PRESENT),
    "entries": _Part(entries.plan, entries.OPTIONS),
    "unlabel": _Part(labels.plan, labels.OPTIONS, {**_PRESENT, "exclusive": True}),
    "settle": _Part(stores.settled, stores.SETTLE_OPTIONS, _PRESENT),
    "guard": _Part(policies.plan, policies.OPTIONS),
    "verify": _Part(targets.plan, targets.OPTIONS),
}

#: What all parts share is said once.
SHARED: dict[str, dict[str, Any]] = {
    "assume_installed": {"type": "bool", "default": False},
    "values": {"type": "dict", "no_log": True},
    **CATALOG_OPTION,
    **CHAIN_OPTIONS,
    **PLATFORM_OPTIONS,
}

OPTIONS: dict[str, dict[str, Any]] = {"parts": {"type": "dict", "required": True}, **SHARED}

#: What every result has, and the whole result once.
_COMMON = ("changed", "changes", "diff", "api_requests", "failed", "msg")


def run(context: Context) -> Result:
    """Plan all parts on one reading of the cluster, so that whatever one of them refuses is refused before the first
    write; then write them."""
    parts = {name: _checked(context, name, context.params["parts"][name] or {}) for name in _named(context)}
    told: set[str] = set()
    warn = context.warn

    def once(text: str) -> None:
        if text not in told:
            told.add(text)
            warn(text)

    context.warn = once
    plans: dict[str, Plan] = {}
    predicted: dict[str, Result] = {}
    failed: Result = {}
    for name, params in parts.items():
        # What was not planned here was written by others, if it was.
        foresees = context.check_mode or not all(plan.does_nothing for plan in plans.values())
        part = context.part(_informed(name, params, plans), foresees)
        try:
            plans[name] = PARTS[name].plan(part)
            check(part, plans[name])
            predicted[name] = foreseen(part, plans[name])
        except ClusterSecretsError as error:
            failed = {"failed": True, "msg": str(error)}
        if not failed and predicted[name].get("failed"):
            failed = {"failed": True, "msg": predicted[name]["msg"]}
        if failed:
            break
    result = _merged(context, predicted, failed)
    if context.check_mode or (all(plan.does_nothing for plan in plans.values()) and not failed):
        return result
    if failed:
        # What was planned was not written.
        return {**result, "changed": False, "changes": [], **({"diff": []} if context.diff_mode else {})}
    return _written(context, parts, plans)


def _written(context: Context, parts: dict[str, Result], plans: dict[str, Plan]) -> Result:
    """The result of all parts, or of those up to the one that failed.

    A plan holds until something is written or waited for: from then on, each part is planned once more when it is its
    turn. What it writes, removes or waits for depends on what ESO has done by then, and on who else has written, or has
    begun to use what goes.
    """
    written: dict[str, Result] = {}
    acted = False
    for name, params in parts.items():
        part = context.part(_informed(name, params, plans), foresees=False)
        try:
            plan = plans[name]
            if acted:
                plan = PARTS[name].plan(part)
                check(part, plan)
            acted = acted or not plan.does_nothing
            written[name] = carried_out(part, plan)
        except ClusterSecretsError as error:
            written[name] = {"failed": True, "msg": str(error)}
        if written[name].get("failed"):
            count = sum(len(result.get("changes", ())) for result in written.values())
            said = "\n%d object(s) were written before that; a rerun goes on from there." % count if count else ""
            return _merged(context, written, {"failed": True, "msg": written[name]["msg"] + said})
    return _merged(context, written, {})


def _informed(name: str, params: Result, plans: dict[str, Plan]) -> Result:
    """The options of a part, with what the master Secrets' plan says about it."""
    before = plans["secrets"].result if "secrets" in plans and name != "secrets" else {}
    if name == "entries" and before:
        return {**params, "replace": before.get("replace") or {}, "saved": plans["secrets"].saved}
    if name == "verify":
        labelled = plans["labels"].labelled if "labels" in plans else {}
        changed = {"changed_sources": before["changed_sources"]} if before else {}
        return {**params, "labelled": labelled, **changed}
    return params


def _merged(context: Context, results: dict[str, Result], failed: Result) -> Result:
    """The results of the parts as one."""
    every = list(results.values())
    result: Result = {
        "changed": any(result.get("changed") for result in every),
        "changes": _distinct(change for result in every for change in result.get("changes", ())),
    }
    if context.diff_mode:
        result["diff"] = _distinct(diff for result in every for diff in result.get("diff", ()))
    for name, own in results.items():
        result[name] = {key: value for key, value in own.items() if key not in _COMMON}
    return {**result, "api_requests": context.client.requests, **failed}


def _distinct(changes: Iterable[Result]) -> list[Result]:
    """Each once. In check mode, several parts find the same missing: the central namespace, say."""
    return list({json.dumps(change, sort_keys=True): change for change in changes}.values())


def _named(context: Context) -> list[str]:
    unknown = sorted(set(context.params["parts"]) - set(PARTS))
    if unknown:
        raise CatalogError("parts: there is no part '%s'. Those that there are: %s." % (unknown[0], ", ".join(PARTS)))
    return [name for name in PARTS if name in context.params["parts"]]


def _checked(context: Context, name: str, given: Any) -> Result:
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
