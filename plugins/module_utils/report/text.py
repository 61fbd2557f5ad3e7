# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of aligned text, and what is said beside them. Pure."""

from __future__ import annotations

import datetime
import json
import re
from typing import TYPE_CHECKING, Any, Sequence

from ..errors import OWN_CATALOG
from ..findings import Fix

if TYPE_CHECKING:
    from ..findings import Finding
    from ..fleet import Fleet
    from ..takeover import preflight as takeover


def takeover_refused(findings: Sequence[takeover.Existing]) -> str:
    """Why a run stops that would change or break what was there before, and what to say to go on."""
    lines = ["%d thing(s) that were there before would change or stop working. Nothing was changed." % len(findings)]
    answers = {}
    for finding in findings:
        lines.append("- %s." % finding.text())
        if finding.answers:
            answers[finding.check] = " or ".join(finding.answers)
    lines.append("Correct them, run platform.cluster_secrets.adopt, or accept them in cluster_secrets_takeover")
    if answers:
        lines[-1] += ": " + ", ".join("%s: %s" % pair for pair in answers.items())
    return "\n".join(lines) + "."


def status_table(rows: list[dict[str, Any]], consumers: bool) -> list[str]:
    """The rows of sync_info as lines of aligned text, each with the age of the target and of the source's value.

    VALUE also says when it ends.

    :arg consumers: whether the rows have their consumers; without them, there is no such column.
    """
    lines = [("NAMESPACE", "SECRET", "STATUS", "TYPE", "AGE", "VALUE", *(["USED BY"] if consumers else []), "")]
    for row in rows:
        value = age_text(row["value_age"])
        if row["value_ends"]:
            value += ", ends %s" % row["value_ends"][:10]
        cells = (row["namespace"], row["secret"], row["status"], row["type"] or "-", age_text(row["age"]), value)
        lines.append((*cells, *([_users(row)] if consumers else []), row["message"]))
    return _aligned(lines)


#: What a table says of a change, by the result of its action.
_CHANGES = {"created": "created", "updated": "changed", "applied": "by helm", "deleted": "removed"}

#: A kind all of whose names are told, as they are of what is removed, and how many names there are of the others.
_ALL_NAMED, _SOME = "ClusterExternalSecret", 6


def changes_lines(results: Sequence[dict[str, Any]]) -> list[str]:
    """What modules changed, or would change: a table with a line for each kind of object, and one line of totals.

    :arg results: what they returned; those of skipped tasks, without ``changes``, are left out.
    """
    results_of: dict[tuple[str, str], str] = {}
    for one in [change for result in results for change in result.get("changes") or ()]:
        name = "/".join(filter(None, (one.get("namespace"), one["name"])))
        before = results_of.get((one["kind"], name))
        # What a run creates and changes later, it creates.
        results_of[one["kind"], name] = before if before == "created" and one["result"] == "updated" else one["result"]
    if not results_of:
        return ["Nothing to change."]
    rows: dict[tuple[str, str], list[str]] = {}
    for (kind, name), result in results_of.items():
        rows.setdefault((result, kind), []).append(name)
    order = list(_CHANGES)
    lines = [("CHANGE", "KIND", "NUMBER", "WHICH")]
    for (result, kind), names in sorted(rows.items(), key=lambda row: order.index(row[0][0])):
        most = 0 if kind == _ALL_NAMED or result == "deleted" else _SOME
        lines.append((_CHANGES[result], kind, str(len(names)), _listed(names, most)))
    counts = {text: sum(one == result for one in results_of.values()) for result, text in _CHANGES.items()}
    totals = ", ".join("%d %s" % (count, text) for text, count in counts.items() if count or text != "by helm")
    return [*_aligned(lines), "", "Objects: %s." % totals]


def _listed(names: list[str], most: int) -> str:
    """Names of objects, a namespace that all share said once, the first ones only if there are more than ``most``."""
    namespaces = {name.rpartition("/")[0] for name in names}
    head = ""
    if len(namespaces) == 1 and namespaces != {""}:
        head = "%s: " % namespaces.pop()
        names = [name.rpartition("/")[2] for name in names]
    shown = names[: most or None]
    more = " and %d more" % (len(names) - len(shown)) if len(names) > len(shown) else ""
    return head + ", ".join(shown) + more


def place_text(place: dict[str, Any]) -> str:
    """Which cluster it is, of its server and context, as Connection.place() has them."""
    return "%s%s" % (place["server"], " (context %s)" % place["context"] if place["context"] else "")


def entries_table(entries: list[dict[str, Any]]) -> list[str]:
    """The entries of a catalog, as the module validate returns them, as lines of aligned text."""
    lines = [("ENTRY", "SOURCE", "TARGET", "TYPE", "LABEL", "NAMESPACES")]
    for entry in entries:
        cells = (entry["name"], ", ".join(entry["sources"]), entry["target"], entry["type"], entry["label"] or "-")
        lines.append((*cells, ", ".join(entry["namespaces"]) or "-"))
    return _aligned(lines)


def kept_lines(kept: list[dict[str, Any]]) -> list[str]:
    """What is said of the Secrets that were kept beside the catalog; nothing without any.

    :arg kept: each with ``namespace``, ``secret``, ``ready`` and ``message``.
    """
    if not kept:
        return []
    failing = ["%(namespace)s/%(secret)s: %(message)s" % one for one in kept if not one["ready"]]
    said = "ESO is not ready with %d of them" % len(failing) if failing else "ESO is ready with all of them"
    return ["%d Secret(s) were kept beside the catalog. %s." % (len(kept), said), *failing[:5]]


def nothing_there(entries: int, sources: dict[str, dict[str, bytes]] | None, counts: dict[str, int]) -> list[str]:
    """One line where nothing of a catalog is on the cluster, neither a source nor a target; else none.

    :arg entries: how many it has; :arg sources: those in the central store, None where they were not read.
    :arg counts: the number of pairs by their state.
    """
    if not entries or sources is None or any(sources.values()) or "synced" in counts:
        return []
    return [
        "Nothing of the catalog's %d entries is on this cluster. A bootstrap puts it there. %s" % (entries, OWN_CATALOG)
    ]


def _users(row: dict[str, Any]) -> str:
    """How many use it, and how many of these keep an older value."""
    older = len(row["old_consumers"])
    return "%d%s" % (len(row["consumers"]), " (%d old)" % older if older else "")


def findings_table(findings: list[Finding]) -> list[str]:
    """The findings as lines of aligned text: severity, check, namespace, name, what is wrong.

    Of many that only inform and say the same, there is one line. After an empty line, what fixes the first finding of
    each check, and how many there are like it.
    """
    lines = [("SEVERITY", "CHECK", "NAMESPACE", "NAME", "WHAT"), *_finding_rows(findings)]
    alike: dict[str, list[Finding]] = {}
    for one in findings:
        alike.setdefault(one.check, []).append(one)
    fixes = []
    for check, group in alike.items():
        more = len({one.fix for one in group}) - 1
        fixes.append("%s: %s%s" % (check, group[0].fix.text(), " (and %d more such fixes)" % more if more else ""))
    return [*_aligned(lines), *(["", "What to do:", *fixes] if fixes else [])]


#: Findings that inform and say the same, from which number on they are one line, and how many that line names.
_MANY, _NAMED = 4, 3


def _finding_rows(findings: list[Finding]) -> list[tuple[str, ...]]:
    same: dict[tuple[str, str], list[str]] = {}
    for one in findings:
        if one.severity == "info":
            same.setdefault((one.check, one.message), []).append(one.object)
    many = {key: places for key, places in same.items() if len(places) >= _MANY}
    rows: list[tuple[str, ...]] = []
    for one in findings:
        key = (one.check, one.message)
        if one.severity != "info" or key not in many:
            rows.append((one.severity, one.check, one.namespace or "-", one.name, one.message))
        elif many[key]:
            named = "%s, and %d more" % (", ".join(many[key][:_NAMED]), len(many[key]) - _NAMED)
            rows.append((one.severity, one.check, "-", "%d such" % len(many[key]), "%s: %s" % (one.message, named)))
            many[key] = []
    return rows


def old_values_table(workloads: list[dict[str, Any]], restartable: bool) -> list[str]:
    """The workloads that run with an older value, as lines of aligned text; none without any.

    :arg workloads: as workload_restart returns them; :arg restartable: whether a restart was not tried yet.
    """
    if not workloads:
        return []
    lines = [("KIND", "NAMESPACE", "NAME", "OLD VALUES OF", "")]
    for one in workloads:
        lines.append((one["kind"], one["namespace"], one["name"], ", ".join(one["secrets"]), one.get("reason", "")))
    said = ["", "%d workload(s) run with an older value." % len(workloads)]
    if restartable:
        said[1] += " Restart them, or run this again with cluster_secrets_rotate_restart=restart."
    return [*_aligned(lines), *said]


def chain_table(links: list[dict[str, Any]]) -> list[str]:
    """The links of a chain as lines of aligned text: the state, which link it is, what is so, what fixes it."""
    lines = [("", "LINK", "")]
    for link in links:
        lines.append((_LINKS[link["state"]], link["step"], link["message"]))
    table = _aligned(lines)
    broken = next((link for link in links if link["state"] == "broken"), None)
    if broken:
        fix = Fix(broken["hint"], broken["command"]).text()
        said = fix if fix.startswith("Look at ") else "To fix it: %s" % fix
        return [*table, "", "It breaks at: %s. %s." % (broken["step"], broken["message"]), said]
    unknown = sum(1 for link in links if link["state"] == "unknown")
    if unknown:
        return [*table, "", "No broken link was found; %d could not be looked at." % unknown]
    return [*table, "", "The chain is whole."]


_LINKS = {"ok": "ok", "broken": "BROKEN", "follows": "follows", "unknown": "?"}


def nodes_table(rows: Sequence[tuple[str, str, str, str, str]]) -> list[str]:
    """A line of aligned text for each node of an upgrade: (name, role, what it runs, state, notes)."""
    return _aligned([("NODE", "ROLE", "RUNS", "STATE", ""), *rows])


#: Characters of a cell, the last of a line left out; no name in Kubernetes, after its namespace, is longer.
_CELL = 320


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    # Two spaces are what stands between two columns.
    lines = [[re.sub(" {2,}", " ", cell) for cell in line] for line in lines]
    # One cell that somebody filled makes no others as wide.
    lines = [[*(cell if len(cell) <= _CELL else cell[:_CELL] + " ..." for cell in row[:-1]), row[-1]] for row in lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths + [0])).rstrip() for line in lines]


def age_text(seconds: int | None) -> str:
    """An age in one unit, roughly as kubectl writes it: the largest of which there are at least two."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return "%d%s" % (seconds // size, unit)
    return "%ds" % seconds


def fleet_table(fleet: Fleet) -> list[str]:
    """A line of aligned text for each cluster, then one for each pair that is not synced."""
    lines = [("CLUSTER", "SYNCED", "OF", "VALUES", "")]
    for name, counts in fleet.counts().items():
        drifted = [source for source, names in fleet.drifted.items() if name in names]
        shown = (str(counts.get("synced", 0)), str(sum(counts.values())))
        if name in fleet.unreachable:
            shown = ("-", "-")
        values = "differ: %s" % ", ".join(drifted) if drifted else "same" if name in fleet.compared else "-"
        lines.append((name, *shown, values, fleet.unreachable.get(name, "")))
    table = _aligned(lines)
    unsynced = fleet.unsynced()
    if unsynced:
        table += ["", *_aligned([("CLUSTER", "NAMESPACE", "SECRET", "STATUS", ""), *unsynced])]
    if fleet.broken:
        table += ["", *("%s: %s" % one for one in fleet.broken)]
    return table


#: What of a line of ESO's log is shown elsewhere, or is of no use to a reader.
_NOT_SHOWN = {
    *("ts", "level", "msg", "error", "logger", "namespace", "name", "reconcileID", "stacktrace", "caller"),
    *("controller", "controllerGroup", "controllerKind"),
}


def log_line(line: str) -> str:
    """A line of ESO's log, JSON, as 'time level object: message: error'; any other line as it is."""
    try:
        entry = json.loads(line)
        level, message = entry["level"], str(entry["msg"])
        time = _log_time(entry.get("ts"))
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return line
    # The object that it is about stands under its kind.
    kind = next((key for key, value in entry.items() if isinstance(value, dict) and "name" in value), None)
    about = str(entry.get("controllerKind") or "")
    if kind is not None:
        one = entry[kind]
        about = "%s %s" % (kind, "/".join(str(part) for part in (one.get("namespace"), one["name"]) if part))
    more = [
        "%s=%s" % (key, value)
        for key, value in entry.items()
        if key not in _NOT_SHOWN and key != kind and isinstance(value, (str, int, float))
    ]
    texts = [message, *([str(entry["error"])] if entry.get("error") else [])]
    head = "  ".join(filter(None, (time, str(level).ljust(5), about and about + ":")))
    return " ".join([head, ": ".join(texts), *(["(%s)" % ", ".join(more)] if more else [])])


def _log_time(given: Any) -> str:
    """Seconds since 1970, or a time as text, as 'day time' in UTC."""
    if isinstance(given, (int, float)):
        return datetime.datetime.fromtimestamp(given, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    return str(given or "")
