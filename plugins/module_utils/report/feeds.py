# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other programs read: the audit as OpenMetrics text and as JUnit, a fleet as JSON. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from ..resources import printable

if TYPE_CHECKING:
    import datetime

    from ..audit.life import Life
    from ..findings import Finding
    from ..fleet import Fleet

#: All states of a pair, so that a series goes to 0 and does not end.
_STATES = ("synced", "stale", "missing", "failing", "unlabelled", "no namespace")
_SEVERITIES = ("error", "warning", "info")

#: What XML can't hold.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class _Family:
    """One metric: its name, what it means, and its samples."""

    def __init__(self, name: str, text: str, unit: str = "") -> None:
        self.name = "cluster_secrets_" + name
        self._lines = ["# HELP %s %s" % (self.name, text), "# TYPE %s gauge" % self.name]
        if unit:
            self._lines.insert(1, "# UNIT %s %s" % (self.name, unit))

    def add(self, value: float, **labels: str) -> None:
        """One sample."""
        shown = ",".join('%s="%s"' % (name, _quoted(text)) for name, text in labels.items())
        self._lines.append("%s%s %s" % (self.name, "{%s}" % shown if shown else "", _number(value)))

    def lines(self) -> list[str]:
        """The metric as text."""
        return self._lines


def _quoted(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


#: How the files say when they were made.
_WHEN = "%Y-%m-%d %H:%M UTC"


def _json(when: str, **parts: Any) -> str:
    return json.dumps({"when": when, **parts}, indent=1) + "\n"


def audit_json(
    rows: list[dict[str, Any]], findings: list[Finding], now: datetime.datetime, place: dict[str, Any] | None = None
) -> str:
    """An audit as the text of a JSON file.

    :arg place: which cluster it is, as Connection.place() has it.
    """
    return _json(now.strftime(_WHEN), cluster=place, rows=rows, findings=[finding.as_dict() for finding in findings])


def status_json(
    rows: list[dict[str, Any]],
    causes: list[dict[str, Any]],
    ended: list[str],
    now: datetime.datetime,
    place: dict[str, Any] | None = None,
) -> str:
    """A status as the text of a JSON file.

    :arg rows: the pairs as sync_info returns them, and so are ``causes`` and ``ended``; :arg place: as for an audit.
    """
    return _json(now.strftime(_WHEN), cluster=place, rows=rows, causes=causes, ended=ended)


def open_metrics(
    rows: list[dict[str, Any]], findings: list[Finding], lives: dict[str, Life], now: datetime.datetime
) -> str:
    """An audit as OpenMetrics text, which Prometheus and the node exporter's textfile collector read.

    :arg rows: the pairs as sync_info returns them; :arg lives: the life of each source by its name.
    """
    when = _Family("audit_timestamp_seconds", "When the audit was made.", "seconds")
    when.add(int(now.timestamp()))
    targets = _Family("targets", "Namespace/secret pairs by their state.")
    for state in _STATES:
        targets.add(sum(1 for row in rows if row["status"] == state), status=state)
    totals = _Family("findings_by_severity", "All findings, by severity.")
    for severity in _SEVERITIES:
        totals.add(sum(1 for finding in findings if finding.severity == severity), severity=severity)
    reported = _Family("findings", "Findings by severity and check.")
    for severity, check in sorted({(finding.severity, finding.check) for finding in findings}):
        number = sum(1 for finding in findings if (finding.severity, finding.check) == (severity, check))
        reported.add(number, severity=severity, check=check)
    changed = _Family("value_changed_timestamp_seconds", "When a value of a source last changed.", "seconds")
    ends = _Family("value_ends_timestamp_seconds", "When a certificate or token in a source ends.", "seconds")
    due = _Family("rotation_due_timestamp_seconds", "When a source is due by its rotate_after.", "seconds")
    for name, life in sorted(lives.items()):
        if life.changed:
            changed.add(int(life.changed.timestamp()), source=name, owner=life.owner)
            if life.rotate_after:
                due.add(int(life.changed.timestamp()) + life.rotate_after * 86400, source=name, owner=life.owner)
        for end in life.ends:
            ends.add(int(end.when.timestamp()), source=name, key=end.key, owner=life.owner)
    lines = [line for family in (when, targets, totals, reported, changed, ends, due) for line in family.lines()]
    return "\n".join([*lines, "# EOF", ""])


#: The states of a pair that are warnings.
_MILD = ("unlabelled", "no namespace")


def junit(rows: list[dict[str, Any]], findings: list[Finding], strict: bool = False) -> str:
    """An audit as JUnit's XML: a test case for each pair, and one for each error and warning.

    :arg strict: whether warnings fail as well; else they are in the test case's output.
    """
    root = ElementTree.Element("testsuites")
    targets = ElementTree.SubElement(root, "testsuite", name="cluster-secrets.targets")
    for row in rows:
        name = "%s/%s" % (row["namespace"], row["secret"])
        case = ElementTree.SubElement(targets, "testcase", classname="targets", name=_fit(name))
        if not row["synced"]:
            _fail(case, row["status"], row["message"], "", strict or row["status"] not in _MILD)
    _counted(targets)
    others = ElementTree.SubElement(root, "testsuite", name="cluster-secrets.findings")
    for finding in findings:
        if finding.severity == "info":
            continue
        name = "%s %s" % (finding.check, finding.object)
        case = ElementTree.SubElement(others, "testcase", classname="findings." + finding.severity, name=_fit(name))
        _fail(case, finding.severity, finding.message, finding.fix.text(), strict or finding.severity == "error")
    _counted(others)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _fail(case: ElementTree.Element, kind: str, message: str, fix: str, fails: bool) -> None:
    if not fails:
        ElementTree.SubElement(case, "system-out").text = _fit("\n".join(filter(None, (message, fix))))
        return
    failure = ElementTree.SubElement(case, "failure", type=kind, message=_fit(message))
    failure.text = _fit(fix) or None


def _counted(suite: ElementTree.Element) -> None:
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))


def _fit(text: str) -> str:
    return _UNFIT.sub("\ufffd", printable(text))


def fleet_json(fleet: Fleet, when: str) -> str:
    """Everything that is known of a fleet, as the text of a JSON file."""
    rows = [dict(zip(("cluster", "namespace", "secret", "status", "message"), row)) for row in fleet.rows]
    broken = [{"cluster": name, "message": said} for name, said in fleet.broken]
    return _json(when, unreachable=fleet.unreachable, broken=broken, drifted=fleet.drifted, rows=rows)
