# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read: tables of aligned text, and the audit as one self-contained HTML page. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    import datetime

    from .audit.findings import Finding
    from .live.state import Row
    from .takeover import preflight as takeover

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--ok:#2e7d32;--bad:#c62828;--warn:#b26a00;--off:#8882}
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}.sum span{margin-right:1.5rem}
.wrap{overflow-x:auto}table{border-collapse:collapse}
th,td{border:1px solid var(--line);padding:.3rem .6rem;text-align:left;vertical-align:top}
.matrix th.col{writing-mode:vertical-rl;transform:rotate(180deg);font-weight:500;white-space:nowrap}
.matrix td{text-align:center}td.none{background:var(--off)}
.synced{color:var(--ok)}
.error,.stale,.missing,.failing{color:var(--bad);font-weight:600}
.warning,.unlabelled,.no-namespace{color:var(--warn);font-weight:600}
"""

_SIGNS = {
    "synced": "\u2714",
    "stale": "stale",
    "missing": "missing",
    "failing": "failing",
    "unlabelled": "no label",
    "no namespace": "no ns",
}


def takeover_refused(findings: Sequence[takeover.Finding]) -> str:
    """Why a run stops that would change or break what was there before, and what to say to go on."""
    lines = ["%d thing(s) that were there before would change or stop working. Nothing was changed." % len(findings)]
    answers = {}
    for one in findings:
        lines.append("- %s: %s: %s." % (one.kind, one.object, one.message))
        if one.answers:
            answers[one.kind] = " or ".join(one.answers)
    lines.append("Correct them, run platform.cluster_secrets.adopt, or accept them in cluster_secrets_takeover")
    if answers:
        lines[-1] += ": " + ", ".join("%s: %s" % pair for pair in answers.items())
    return "\n".join(lines) + "."


def status_table(rows: list[Row], now: datetime.datetime | None = None) -> list[str]:
    """The rows as lines of aligned text: namespace, secret, status, type, age, message."""
    lines = [("NAMESPACE", "SECRET", "STATUS", "TYPE", "AGE", "")]
    for row in sorted(rows, key=lambda row: row.key):
        lines.append(
            (
                row.namespace,
                row.entry.target,
                row.status,
                row.type or "-",
                age_text(row.as_dict(now)["age"]),
                row.message,
            )
        )
    return _aligned(lines)


def findings_table(findings: list[Finding]) -> list[str]:
    """The findings as lines of aligned text: severity, check, namespace, name, what is wrong."""
    lines = [("SEVERITY", "CHECK", "NAMESPACE", "NAME", "WHAT")]
    lines += [(one.severity, one.check, one.namespace or "-", one.name or "-", one.message) for one in findings]
    return _aligned(lines)


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
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


def page(rows: list[Row], findings: list[Finding], when: str) -> str:
    """The page's text.

    :arg when: the time of the audit, as text.
    """
    errors = sum(1 for one in findings if one.severity == "error")
    synced = sum(1 for row in rows if row.status == "synced")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width,initial-scale=1">',
            "<title>Cluster secrets: audit</title><style>%s</style></head><body>" % _STYLE,
            "<h1>Cluster secrets: audit</h1>",
            '<p class="sum"><span id="synced">%d of %d synced</span><span id="errors">%d errors</span><span '
            'id="warnings">%d warnings</span><span>%s</span></p>'
            % (synced, len(rows), errors, len(findings) - errors, escape(when)),
            "<h2>Who has what</h2>",
            _matrix(rows),
            "<h2>Findings</h2>",
            _findings(findings),
            "</body></html>",
            "",
        ]
    )


def _matrix(rows: list[Row]) -> str:
    secrets = sorted({row.entry.target for row in rows})
    cells = {row.key: row for row in rows}
    namespaces = sorted({row.namespace for row in rows})
    head = "".join('<th class="col" scope="col">%s</th>' % escape(name) for name in secrets)
    body = []
    for namespace in namespaces:
        line = ['<tr><th scope="row">%s</th>' % escape(namespace)]
        for secret in secrets:
            row = cells.get((namespace, secret))
            if row is None:
                line.append('<td class="none"></td>')
            else:
                title = "%s/%s: %s%s" % (namespace, secret, row.status, ". " + row.message if row.message else "")
                line.append(
                    '<td class="%s" title="%s">%s</td>'
                    % (row.status.replace(" ", "-"), escape(title), _SIGNS[row.status])
                )
        body.append("".join(line) + "</tr>")
    top = '<thead><tr><th scope="col">Namespace</th>%s</tr></thead>' % head
    return '<div class="wrap"><table class="matrix">%s<tbody>%s</tbody></table></div>' % (top, "\n".join(body))


def _findings(findings: list[Finding]) -> str:
    if not findings:
        return '<p id="clean">Nothing to report.</p>'
    lines = [
        '<tr><td class="%s">%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>'
        % (
            one.severity,
            one.severity,
            escape(one.check),
            escape(one.namespace or ""),
            escape(one.name or ""),
            escape(one.message),
            escape(one.fix),
        )
        for one in findings
    ]
    head = "".join(
        '<th scope="col">%s</th>' % title for title in ("Severity", "Check", "Namespace", "Name", "What", "What to do")
    )
    return '<div class="wrap"><table class="findings"><thead><tr>%s</tr></thead><tbody>%s</tbody></table></div>' % (
        head,
        "\n".join(lines),
    )
