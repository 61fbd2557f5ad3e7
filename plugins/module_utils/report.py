# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read: tables of aligned text, and the audit as one self-contained HTML page. Pure."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any, Sequence

if TYPE_CHECKING:
    import datetime

    from .audit.findings import Finding
    from .audit.life import Life
    from .fleet import Fleet
    from .live.state import Row
    from .takeover import preflight as takeover
    from .workloads import Owner

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


def _users(row: dict[str, Any]) -> str:
    """How many use it, and how many of these keep an older value."""
    older = len(row["old_consumers"])
    return "%d%s" % (len(row["consumers"]), " (%d old)" % older if older else "")


def findings_table(findings: list[Finding]) -> list[str]:
    """The findings as lines of aligned text: severity, check, namespace, name, what is wrong."""
    lines = [("SEVERITY", "CHECK", "NAMESPACE", "NAME", "WHAT")]
    lines += [(one.severity, one.check, one.namespace or "-", one.name or "-", one.message) for one in findings]
    return _aligned(lines)


def old_values_table(found: list[dict[str, Any]], restartable: bool) -> list[str]:
    """The workloads that run with an older value, as lines of aligned text; none without any.

    :arg found: as workload_restart returns them; :arg restartable: whether a restart was not tried yet.
    """
    if not found:
        return []
    lines = [("KIND", "NAMESPACE", "NAME", "OLD VALUES OF", "")]
    for one in found:
        lines.append((one["kind"], one["namespace"], one["name"], ", ".join(one["secrets"]), one.get("reason", "")))
    said = ["", "%d workload(s) run with an older value." % len(found)]
    if restartable:
        said[1] += " Restart them, or run this again with cluster_secrets_rotate_restart=restart."
    return [*_aligned(lines), *said]


def chain_table(links: list[dict[str, Any]]) -> list[str]:
    """The links of a chain as lines of aligned text: the state, which link it is, what is so, what mends it."""
    lines = [("", "LINK", "")]
    for link in links:
        lines.append((_LINKS[link["state"]], link["step"], link["message"]))
    table = _aligned(lines)
    broken = next((link for link in links if link["state"] == "broken"), None)
    if broken:
        return [
            *table,
            "",
            "It breaks at: %s. %s." % (broken["step"], broken["message"]),
            "To mend it: %s" % broken["fix"],
        ]
    return [*table, "", "The chain is whole."]


_LINKS = {"ok": "ok", "broken": "BROKEN", "follows": "follows", "unknown": "?"}


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


def fleet_table(fleet: Fleet) -> list[str]:
    """A line of aligned text for each cluster, then one for each pair that is not synced."""
    lines = [("CLUSTER", "SYNCED", "OF", "VALUES", "")]
    for name, counts in fleet.counts().items():
        drifted = [source for source, names in fleet.drifted.items() if name in names]
        shown = (str(counts.get("synced", 0)), str(sum(counts.values())))
        if name in fleet.unreachable:
            shown = ("-", "-")
        values = "-" if name in fleet.unreachable else "differ: %s" % ", ".join(drifted) if drifted else "same"
        lines.append((name, *shown, values, fleet.unreachable.get(name, "")))
    table = _aligned(lines)
    unsynced = fleet.unsynced()
    if unsynced:
        table += ["", *_aligned([("CLUSTER", "NAMESPACE", "SECRET", "STATUS", ""), *unsynced])]
    return table


def fleet_json(fleet: Fleet, when: str) -> str:
    """Everything that is known, as the text of a JSON file."""
    rows = [dict(zip(("cluster", "namespace", "secret", "status", "message"), row)) for row in fleet.rows]
    content = {"when": when, "unreachable": fleet.unreachable, "drifted": fleet.drifted, "rows": rows}
    return json.dumps(content, indent=1) + "\n"


_FLEET_SCRIPT = """
const d = JSON.parse(document.getElementById('data').textContent);
const esc = t => t.replace(/[&<>"]/g, c => ({'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;'}[c]));
const pick = id => document.getElementById(id).value;
function options(id, names) {
  document.getElementById(id).innerHTML += names.map(n => '<option>' + esc(n) + '</option>').join('');
}
options('cluster', d.clusters); options('secret', d.secrets); options('status', d.statuses);
function draw() {
  const search = pick('search').toLowerCase(), cluster = pick('cluster'), secret = pick('secret');
  const status = pick('status');
  const grid = new Map(), columns = new Set();
  let shown = 0;
  for (const [c, n, s, t, m] of d.rows) {
    const C = d.clusters[c], N = d.namespaces[n], S = d.secrets[s], T = d.statuses[t];
    if (cluster && C !== cluster || secret && S !== secret || status && T !== status) continue;
    if (search && !(C + ' ' + N + ' ' + S).toLowerCase().includes(search)) continue;
    shown++;
    columns.add(c);
    if (!grid.has(n)) grid.set(n, new Map());
    const line = grid.get(n);
    if (!line.has(c)) line.set(c, [0, 0, []]);
    const cell = line.get(c);
    cell[1]++;
    if (T === 'synced') cell[0]++;
    else cell[2].push(S + ': ' + T + (m ? '. ' + m : ''));
  }
  const order = [...columns].sort((a, b) => a - b);
  let html = '<thead><tr><th scope="col">Namespace</th>' +
    order.map(c => '<th class="col" scope="col">' + esc(d.clusters[c]) + '</th>').join('') + '</tr></thead><tbody>';
  for (const n of [...grid.keys()].sort((a, b) => a - b)) {
    html += '<tr><th scope="row">' + esc(d.namespaces[n]) + '</th>';
    for (const c of order) {
      const cell = grid.get(n).get(c);
      if (!cell) html += '<td class="none"></td>';
      else if (cell[0] === cell[1]) html += '<td class="synced">' + cell[0] + '</td>';
      else html += '<td class="error" title="' + esc(cell[2].join('\\n')) + '">' + cell[0] + '/' + cell[1] + '</td>';
    }
    html += '</tr>';
  }
  document.getElementById('grid').innerHTML = html + '</tbody>';
  document.getElementById('shown').textContent = shown + ' of ' + d.rows.length + ' shown';
}
for (const id of ['search', 'cluster', 'secret', 'status']) document.getElementById(id).addEventListener('input', draw);
draw();
"""


def fleet_page(fleet: Fleet, when: str) -> str:
    """One self-contained page with filters and a search: namespaces by clusters, how many Secrets are synced in each.

    :arg when: the time, as text.
    """
    names = [sorted({row[column] for row in fleet.rows}) for column in (1, 2, 3)]
    places = [{name: number for number, name in enumerate(found)} for found in [fleet.clusters, *names]]
    data = {
        "clusters": fleet.clusters,
        "namespaces": names[0],
        "secrets": names[1],
        "statuses": names[2],
        "rows": [[*(place[cell] for place, cell in zip(places, row)), row[4]] for row in fleet.rows],
    }
    # Nothing in the data may end the element that holds it.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    problems = ["<li><b>%s</b>: %s</li>" % (escape(name), escape(why)) for name, why in fleet.unreachable.items()]
    problems += [
        "<li><b>%s</b>: other values than most clusters: %s</li>" % (escape(", ".join(found)), escape(source))
        for source, found in fleet.drifted.items()
    ]
    unsynced = len(fleet.unsynced())
    boxes = "".join(
        '<label>%s <select id="%s"><option value="">all</option></select></label> ' % (name, name.lower())
        for name in ("Cluster", "Secret", "Status")
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width,initial-scale=1">',
            "<title>Cluster secrets: fleet</title><style>%s</style></head><body>" % _STYLE,
            "<h1>Cluster secrets: fleet</h1>",
            '<p class="sum"><span id="clusters">%d clusters</span><span id="unsynced">%d of %d not synced</span>'
            '<span id="drifted">%d sources differ</span><span>%s</span></p>'
            % (len(fleet.clusters), unsynced, len(fleet.rows), len(fleet.drifted), escape(when)),
            '<ul id="problems">%s</ul>' % "".join(problems) if problems else "",
            '<p><label>Search <input id="search" type="search"></label> %s<span id="shown"></span></p>' % boxes,
            '<div class="wrap"><table class="matrix" id="grid"></table></div>',
            '<script type="application/json" id="data">%s</script>' % text,
            "<script>%s</script></body></html>" % _FLEET_SCRIPT,
            "",
        ]
    )


def page(
    rows: list[Row],
    findings: list[Finding],
    now: datetime.datetime,
    lives: dict[str, Life],
    consumers: dict[tuple[str, str], list[Owner]] | None = None,
) -> str:
    """The page's text.

    :arg now: the time of the audit, in UTC; :arg lives: the life of each source by its name; :arg consumers: who uses
        each target, by (namespace, name).
    """
    when = now.strftime("%Y-%m-%d %H:%M UTC")
    errors, warnings = (sum(1 for one in findings if one.severity == name) for name in ("error", "warning"))
    synced = sum(1 for row in rows if row.status == "synced")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width,initial-scale=1">',
            "<title>Cluster secrets: audit</title><style>%s</style></head><body>" % _STYLE,
            "<h1>Cluster secrets: audit</h1>",
            '<p class="sum"><span id="synced">%d of %d synced</span><span id="errors">%d errors</span><span '
            'id="warnings">%d warnings</span><span>%s</span></p>' % (synced, len(rows), errors, warnings, escape(when)),
            "<h2>Who has what</h2>",
            _matrix(rows),
            "<h2>Findings</h2>",
            _findings(findings),
            "<h2>Values</h2>",
            _values(lives, now),
            *(["<h2>Who uses what</h2>", _consumers(consumers)] if consumers is not None else []),
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


def _values(lives: dict[str, Life], now: datetime.datetime) -> str:
    lines = []
    for name, life in sorted(lives.items()):
        ends = life.ends[0].when.strftime("%Y-%m-%d") if life.ends else ""
        after = "%dd" % life.rotate_after if life.rotate_after else ""
        cells = (name, age_text(life.age(now)), after, ends, life.owner, life.description)
        lines.append("<tr>%s</tr>" % "".join("<td>%s</td>" % escape(cell) for cell in cells))
    titles = ("Source", "Age", "Rotate after", "Ends", "Owner", "What it is")
    head = "".join('<th scope="col">%s</th>' % title for title in titles)
    return '<div class="wrap"><table id="values"><thead><tr>%s</tr></thead><tbody>%s</tbody></table></div>' % (
        head,
        "\n".join(lines),
    )


def _consumers(consumers: dict[tuple[str, str], list[Owner]]) -> str:
    lines = [
        "<tr><td>%s</td><td>%s</td><td>%s</td></tr>"
        % (escape(namespace), escape(name), escape(", ".join("%s %s" % (one.kind, one.name) for one in owners)))
        for (namespace, name), owners in sorted(consumers.items())
    ]
    head = "<thead><tr><th>Namespace</th><th>Secret</th><th>Consumers</th></tr></thead>"
    return '<div class="wrap"><table id="consumers">%s<tbody>%s</tbody></table></div>' % (head, "\n".join(lines))


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
