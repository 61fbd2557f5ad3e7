# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The self-contained HTML page of an audit, of a status and of a fleet. Pure.

One design: what is wrong first, then who has what, how old the values are, and who uses them. The page holds its data
as JSON, and its script draws what the filters leave; it loads nothing.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any, Iterable, NamedTuple, Sequence

from ..resources import printable, printable_in
from .text import age_text, place_text

if TYPE_CHECKING:
    import datetime

    from ..audit.life import Life
    from ..findings import Finding
    from ..fleet import Fleet

_STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1a1c1e;--soft:#565c64;--line:#c9ced6;--off:#eef0f3;--ok:#1b6b2f;
--bad:#b3261e;--warn:#8a5000;--link:#0b57d0}
@media(prefers-color-scheme:dark){:root{--back:#15171a;--text:#e6e8eb;--soft:#a9b0ba;--line:#3c424b;--off:#22262b;
--ok:#7fd492;--bad:#ffb4ab;--warn:#ffc27a;--link:#a8c7fa}}
*{box-sizing:border-box}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:90rem;padding:1rem;background:var(--back);
color:var(--text)}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
.sum{display:flex;flex-wrap:wrap;gap:.5rem;margin:.5rem 0;padding:0;list-style:none}
.sum li{border:1px solid var(--line);border-radius:.5rem;padding:.4rem .8rem}
.sum .bad{border-color:var(--bad)}.sum .warn{border-color:var(--warn)}
.bad{color:var(--bad);font-weight:600}.warn{color:var(--warn);font-weight:600}.good{color:var(--ok)}
.when,.none{color:var(--soft)}
form{display:flex;flex-wrap:wrap;gap:.75rem;align-items:end;margin:1rem 0}
form label{display:grid;font-size:.85rem;gap:.2rem;min-width:0}form .box{display:flex;align-items:center;font-size:1rem}
input,select,button{font:inherit;color:inherit;background:var(--back);border:1px solid var(--line);border-radius:.3rem;
padding:.25rem .5rem}
button{cursor:pointer}:focus-visible{outline:3px solid var(--link);outline-offset:1px}
.wrap{overflow:auto;max-height:80vh;border:1px solid var(--line);border-radius:.3rem}
.flow{overflow:visible;max-height:none}
table{border-collapse:collapse;width:100%}
th,td{border-bottom:1px solid var(--line);padding:.3rem .6rem;text-align:left;vertical-align:top}
thead{position:sticky;top:0;z-index:2}thead th{background:var(--off)}
tbody th{font-weight:500;position:sticky;left:0;background:var(--back)}
code{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
a{color:var(--link)}.text{max-width:45rem;overflow-wrap:anywhere}.fix code{display:block}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;margin:.5rem 0;padding:0;list-style:none;font-size:.85rem}
.legend .blank{display:inline-block;width:1.2em;height:1em;vertical-align:text-bottom;background:var(--off);
border:1px solid var(--line)}
.matrix td{text-align:center}.matrix td.none{background:var(--off)}
.matrix td button{border-color:currentColor;font-size:.85rem;padding:0 .4rem}
.matrix thead th{text-align:center;vertical-align:bottom;font-weight:500}
.matrix.many thead span{writing-mode:vertical-rl;transform:rotate(180deg);white-space:nowrap}
.matrix thead th{overflow-wrap:anywhere}.matrix thead th:first-child{text-align:left}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
dialog{border:1px solid var(--line);border-radius:.5rem;background:var(--back);color:var(--text);max-width:50rem}
dt{font-weight:600}dd{margin:0 0 .5rem}
@media(max-width:48rem){body{padding:.75rem}form label,.box{flex:1 1 8rem}select,input{width:100%;min-width:0}
.box input{width:auto}.wrap{overflow:visible;max-height:none;border:0}table,tbody,tr,th,td{display:block}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
tr{border:1px solid var(--line);border-radius:.5rem;margin:.5rem 0;padding:.4rem .6rem}
th,td{border:0;padding:.1rem 0;overflow-wrap:anywhere}tbody th{position:static;font-weight:600}
td:empty,.matrix td.none{display:none}
td[data-title]::before{content:attr(data-title) ": ";color:var(--soft);font-weight:400}
.matrix td{display:inline-block;text-align:left;margin-right:1rem}}
@media print{form,dialog,button.copy{display:none}.wrap{overflow:visible;max-height:none;border:0}
body{max-width:none;font-size:11px}thead,tbody th{position:static}tr{break-inside:avoid}}
"""

_SCRIPT = """
const d = JSON.parse(document.getElementById('data').textContent);
const at = id => document.getElementById(id);
const value = id => at(id) ? at(id).value : '';
function make(tag, text, set) {
  const one = document.createElement(tag);
  if (text !== undefined) one.textContent = text;
  return Object.assign(one, set);
}
function kind(status) {
  return status === 'synced' ? 'good' : ['unlabelled', 'no namespace'].includes(status) ? 'warn' : 'bad';
}
function options(id, names) { if (at(id)) for (const name of names) at(id).append(make('option', name)); }
options('cluster', d.clusters); options('secret', d.secrets); options('status', d.statuses);
options('severity', [...new Set(d.findings.map(one => one[0]))]);

const all = d.rows.map(([c, n, s, t, message, more]) => ({cluster: d.clusters[c] || '', namespace: d.namespaces[n],
  secret: d.secrets[s], status: d.statuses[t], message, more: more || {}}));

function matching() {
  const words = value('search').toLowerCase().split(/\\s+/).filter(Boolean);
  return text => words.every(word => text.toLowerCase().includes(word));
}
function filled(row, title, cell, number) {
  const one = make(number ? 'td' : 'th');
  one.setAttribute('role', number ? 'cell' : 'rowheader');
  if (number) one.dataset.title = title;
  else one.scope = 'row';
  one.append(cell);
  row.append(one);
}
function table(id, titles, rows) {
  const place = at(id);
  if (!place) return;
  const body = make('tbody');
  for (const cells of rows) {
    const line = make('tr');
    line.setAttribute('role', 'row');
    cells.forEach((cell, number) => filled(line, titles[number], cell, number));
    body.append(line);
  }
  const head = make('thead'), line = make('tr');
  titles.forEach(title => line.append(make('th', title, {scope: 'col'})));
  head.append(line);
  place.replaceChildren(head, body);
}
function detail(rows) {
  const list = make('dl');
  for (const row of rows) {
    list.append(make('dt', [row.cluster, row.namespace, row.secret].filter(Boolean).join(' / ')));
    list.append(make('dd', row.status + (row.message ? ': ' + row.message : ''), {className: kind(row.status)}));
    if (!row.cluster) {
      const command = make('dd');
      command.append(told('ansible-playbook platform.cluster_secrets.explain' +
        ' -e cluster_secrets_namespace=' + row.namespace + ' -e cluster_secrets_secret=' + row.secret));
      list.append(command);
    }
  }
  at('details').replaceChildren(list);
  at('detail').showModal();
}
function cell(rows, title) {
  const one = make('td');
  one.dataset.title = title;
  const wrong = rows.filter(row => row.status !== 'synced');
  const count = d.grid === 'cluster' ? (rows.length - wrong.length) + (wrong.length ? '/' + rows.length : '') : '';
  if (!wrong.length) {
    one.className = 'good';
    if (count) one.append(count);
    else one.append(make('span', '\\u2714', {ariaHidden: 'true'}), make('span', 'synced', {className: 'hidden'}));
    return one;
  }
  const worst = wrong.find(row => kind(row.status) === 'bad') || wrong[0];
  one.className = kind(worst.status);
  const button = make('button', count || worst.status, {type: 'button'});
  button.setAttribute('aria-label', wrong.map(row => row.namespace + ' ' + row.secret + ' ' + row.status).join(', '));
  button.addEventListener('click', () => detail(wrong));
  one.append(button);
  return one;
}
function grid(rows) {
  // Of a cluster that was not reached, nobody knows what is there.
  const unknown = value('status') ? [] :
    d.unreachable.filter(name => !value('cluster') || name === value('cluster'));
  const columns = [...new Set(rows.map(row => row[d.grid]).concat(unknown))];
  const names = d.grid === 'cluster' ? d.clusters : d.secrets;
  columns.sort((a, b) => names.indexOf(a) - names.indexOf(b));
  const lines = new Map();
  for (const row of rows) {
    if (!lines.has(row.namespace)) lines.set(row.namespace, new Map());
    const line = lines.get(row.namespace);
    if (!line.has(row[d.grid])) line.set(row[d.grid], []);
    line.get(row[d.grid]).push(row);
  }
  const head = make('thead'), top = make('tr'), body = make('tbody');
  top.append(make('th', 'Namespace', {scope: 'col'}));
  for (const name of columns) {
    const one = make('th', undefined, {scope: 'col'});
    one.append(make('span', name));
    top.append(one);
  }
  head.append(top);
  for (const name of [...lines.keys()].sort()) {
    const line = make('tr');
    line.setAttribute('role', 'row');
    line.append(make('th', name, {scope: 'row'}));
    for (const column of columns) {
      const rows = lines.get(name).get(column);
      if (rows) line.append(cell(rows, column));
      else if (unknown.includes(column)) line.append(notReached(column));
      else line.append(make('td', undefined, {className: 'none'}));
    }
    body.append(line);
  }
  at('grid').className = 'matrix' + (columns.length > 8 ? ' many' : '');
  at('grid').replaceChildren(head, body);
}
function notReached(name) {
  const one = make('td', undefined, {className: 'bad'});
  one.dataset.title = name;
  one.append(make('span', '?', {ariaHidden: 'true'}), make('span', 'not reached', {className: 'hidden'}));
  return one;
}
function copy(text) {
  const button = make('button', 'Copy', {type: 'button', className: 'copy'});
  button.setAttribute('aria-label', 'Copy: ' + text);
  button.addEventListener('click', async () => {
    let done = true;
    try { await navigator.clipboard.writeText(text); }
    catch { done = selected(text); }
    button.textContent = done ? 'Copied' : 'Not allowed here';
    at('said').textContent = button.textContent;
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  });
  return button;
}
function selected(text) {
  const area = make('textarea', text);
  // Beside an open dialog, nothing can be selected.
  (document.querySelector('dialog[open]') || document.body).append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  return done;
}
function told(command) {
  const one = make('span');
  one.append(make('code', command), ' ', copy(command));
  return one;
}
const own = new RegExp('^ansible-playbook platform[.]cluster_secrets[.]' +
  '(bootstrap|eso_upgrade|explain|offboard|onboard|render|rotate|status)(?![-\\\\w])' +
  '( -e [a-z_]+=[-\\\\w.]*\\\\w(,[-\\\\w.]*\\\\w)*' +
  '| -e \\'{"cluster_secrets_regenerate": {"[-\\\\w.]+": "[-0-9]+"}}\\')*$');
function fix(hint, command) {
  const one = make('div', hint && command ? hint + ':' : hint, {className: 'text fix'});
  // Only what is the collection's own is offered to be copied: others wrote some of the names in other commands.
  if (command) one.append(own.test(command) ? told(command) : make('code', command));
  return one;
}
// Only what the collection itself says of ESO has addresses to follow; a tenant's text has none.
const linked = ['vulnerable-eso', 'unsupported-eso'];
function what(check, text) {
  const one = make('div', undefined, {className: 'text'});
  const found = linked.includes(check) ? text.match(/^(.*)\\((https:[^\\s()]+)\\)$/) : null;
  if (!found) one.append(text);
  else one.append(found[1], make('a', found[2].replace('https:' + '//', ''), {href: found[2], rel: 'noreferrer'}));
  return one;
}
const severities = {error: 'bad', warning: 'warn', info: 'none'};
function draw() {
  const fits = matching(), wrong = at('wrong').checked;
  const rows = all.filter(row =>
    (!value('cluster') || row.cluster === value('cluster')) && (!value('secret') || row.secret === value('secret')) &&
    (!value('status') || row.status === value('status')) && (!wrong || row.status !== 'synced' || row.more.old) &&
    fits([row.cluster, row.namespace, row.secret, row.status, row.message].join(' ')));
  grid(rows);
  at('shown').textContent = rows.length + ' of ' + all.length + ' shown';
  // A finding belongs to a Secret by its name, and to a state by the pair that is in it.
  const pairs = new Set(rows.flatMap(row => [row.namespace + '/' + row.secret]));
  const findings = d.findings.filter(one =>
    (!value('severity') || one[0] === value('severity')) && (!wrong || one[0] !== 'info') && fits(one.join(' ')) &&
    (!value('secret') || one[3] === value('secret') || one[4].includes(value('secret'))) &&
    (!value('status') || pairs.has(one[2] + '/' + one[3])));
  if (at('listed')) at('listed').textContent = findings.length + ' of ' + d.findings.length + ' shown';
  table('findings', ['Severity', 'Check', 'Namespace', 'Name', 'What', 'What to do'], findings.map(one =>
    [make('span', one[0], {className: severities[one[0]]}), ...one.slice(1, 4), what(one[1], one[4]),
     fix(one[5], one[6])]));
  table('values', ['Source', 'Age', 'Rotate after', 'Ends', 'Owner', 'What it is'],
    d.values.filter(one => fits(one.join(' '))).map(one => one.map((text, number) =>
      number === 3 && text.endsWith(' ended') ? make('span', text, {className: 'bad'}) : text)));
  table('consumers', ['Namespace', 'Secret', 'Value', 'Used by', 'With an older value'],
    rows.filter(row => row.more.users || row.more.old).map(row =>
      [row.namespace, row.secret, row.more.value || '', row.more.users || '',
       make('span', row.more.old || '', {className: 'warn'})]));
}
// The filters are in the address, so that what is seen can be sent to somebody.
const boxes = [...document.querySelectorAll('form input, form select')];
const asked = new URLSearchParams(location.hash.slice(1));
for (const one of boxes) {
  if (asked.has(one.id)) one.type === 'checkbox' ? one.checked = true : one.value = asked.get(one.id);
  one.addEventListener('input', () => {
    const set = boxes.filter(box => box.type === 'checkbox' ? box.checked : box.value);
    const found = new URLSearchParams(set.map(box => [box.id, box.type === 'checkbox' ? '1' : box.value]));
    history.replaceState(null, '', '#' + found);
    draw();
  });
}
at('filters').addEventListener('submit', event => event.preventDefault());
at('close').addEventListener('click', () => at('detail').close());
draw();
"""


class Pair(NamedTuple):
    """One namespace/secret pair as the page shows it; ``cluster`` is empty on the page of one cluster."""

    cluster: str
    namespace: str
    secret: str
    status: str
    message: str
    value: str = ""
    users: str = ""
    old: str = ""


class Tile(NamedTuple):
    """One figure at the top: the element's id, its text, and how it looks: 'good', 'warn', 'bad' or nothing."""

    id: str
    text: str
    look: str = ""


def _page(
    title: str,
    when: str,
    tiles: Sequence[Tile],
    pairs: Sequence[Pair],
    findings: Sequence[Finding] | None = None,
    values: Sequence[Sequence[str]] | None = None,
    consumers: bool = False,
    problems: Iterable[tuple[str, str]] = (),
    unreachable: Sequence[str] = (),
) -> str:
    """The page's text.

    :arg findings: None leaves the section out, as do ``values`` of None; :arg problems: (what, why) of what is wrong
        as a whole; :arg unreachable: the clusters of which nothing is known.
    """
    clusters = list(dict.fromkeys([*(pair.cluster for pair in pairs if pair.cluster), *unreachable]))
    names = [sorted({pair[column] for pair in pairs}) for column in (1, 2, 3)]
    places = [{name: number for number, name in enumerate(labels)} for labels in [clusters, *names]]
    data = {
        "grid": "cluster" if clusters else "secret",
        "clusters": clusters,
        "namespaces": names[0],
        "secrets": names[1],
        "statuses": names[2],
        "unreachable": list(unreachable),
        "rows": [
            [
                *(place.get(cell, -1) for place, cell in zip(places, pair)),
                pair.message,
                *([{"value": pair.value, "users": pair.users, "old": pair.old}] if pair.users or pair.old else []),
            ]
            for pair in pairs
        ],
        "findings": [
            [finding.severity, finding.check, finding.namespace or "", finding.name, finding.message, *finding.fix]
            for finding in findings or ()
        ],
        "values": [list(value) for value in values or ()],
    }
    # Nothing in the data may end the element that holds it.
    text = json.dumps(printable_in(data), separators=(",", ":")).replace("<", "\\u003c")
    boxes = [("Cluster", "cluster")] if clusters else []
    boxes += [("Secret", "secret"), ("Status", "status")] + ([("Severity", "severity")] if findings else [])
    filters = "".join(
        '<label>%s<select id="%s"><option value="">all</option></select></label>' % (label, name)
        for label, name in boxes
    )
    shown = "".join('<li id="%s" class="%s">%s</li>' % (tile.id, tile.look, escape(tile.text)) for tile in tiles)
    sections = []
    wrong = "".join(
        "<li><b>%s</b>: %s</li>" % (escape(printable(what)), escape(printable(why))) for what, why in problems
    )
    if wrong:
        sections.append('<ul id="problems">%s</ul>' % wrong)
    if findings is not None:
        clean = '<p id="clean">Nothing to report.</p>'
        listed = '<p id="listed" role="status"></p>'
        sections.append(_section("Findings", "findings", "", listed, True) if findings else "<h2>Findings</h2>" + clean)
    sections.append(_section("Who has what", "grid", "matrix", '<p id="shown" role="status"></p>' + _legend(clusters)))
    if values is not None:
        sections.append(_section("Values", "values"))
    if consumers:
        sections.append(_section("Who uses what", "consumers"))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width,initial-scale=1">',
            "<title>%s</title><style>%s</style></head><body>" % (escape(title), _STYLE),
            "<header><h1>%s</h1>" % escape(title),
            '<p class="when">%s</p><ul class="sum">%s</ul></header>' % (escape(when), shown),
            '<main><form id="filters" role="search" aria-label="Filters">'
            '<label>Search<input id="search" type="search"></label>%s'
            '<label class="box"><input id="wrong" type="checkbox"> Only what is wrong</label></form>' % filters,
            *sections,
            '<dialog id="detail" aria-label="Details"><div id="details"></div>'
            '<button type="button" id="close">Close</button></dialog>'
            '<p id="said" class="hidden" role="status"></p></main>',
            "<noscript><p>The tables are drawn by a script of this page.</p></noscript>",
            '<script type="application/json" id="data">%s</script>' % text,
            "<script>(() => {%s})();</script></body></html>" % _SCRIPT,
            "",
        ]
    )


def _section(title: str, name: str, look: str = "", before: str = "", flow: bool = False) -> str:
    """A heading and a table that the script fills; what scrolls can be reached by the keyboard.

    :arg flow: whether all of it stands in the page's own flow.
    """
    place = 'class="wrap flow"' if flow else 'class="wrap" tabindex="0" role="region" aria-labelledby="%s-title"' % name
    return (
        '<section><h2 id="%s-title">%s</h2>%s<div %s><table id="%s" class="%s" role="table" '
        'aria-labelledby="%s-title"></table></div></section>' % (name, escape(title), before, place, name, look, name)
    )


def _legend(clusters: Sequence[str]) -> str:
    """What the signs of the matrix mean."""
    signs = [('<b class="good">5/6</b>', "5 of 6 are synced")] if clusters else [('<b class="good">✔</b>', "synced")]
    signs += [
        ('<b class="bad">stale</b>', "not what it should be; press it to see why"),
        ('<b class="warn">unlabelled</b>', "the namespace lacks the label, or is not there"),
    ]
    if clusters:
        signs = [signs[0], ('<b class="bad">?</b>', "the cluster was not reached")]
    signs.append(('<span class="blank"></span>', "is not to have it"))
    return '<ul class="legend">%s</ul>' % "".join("<li>%s %s</li>" % pair for pair in signs)


def audit_page(
    rows: list[dict[str, Any]],
    findings: list[Finding],
    now: datetime.datetime,
    lives: dict[str, Life],
    consumers: bool,
    place: dict[str, Any] | None = None,
) -> str:
    """The page of an audit.

    :arg rows: the pairs as sync_info returns them; :arg now: in UTC; :arg lives: the life of each source by its name;
        :arg consumers: whether the rows have their consumers; :arg place: which cluster it is, of Connection.place().
    """
    errors, warnings = (sum(1 for finding in findings if finding.severity == name) for name in ("error", "warning"))
    tiles = [
        _synced(rows),
        Tile("errors", _counted(errors, "error"), "bad" if errors else ""),
        Tile("warnings", _counted(warnings, "warning"), "warn" if warnings else ""),
    ]
    values = []
    for name, life in sorted(lives.items()):
        ends = _end(life.ends[0].when.strftime("%Y-%m-%dT%H:%M:%SZ"), now) if life.ends else ""
        after = "%dd" % life.rotate_after if life.rotate_after else ""
        values.append((name, age_text(life.age(now)), after, ends, life.owner, life.description))
    return _page("Cluster secrets: audit", _time(now, place), tiles, _pairs(rows), findings, values, consumers)


def status_page(
    rows: list[dict[str, Any]], now: datetime.datetime, consumers: bool, place: dict[str, Any] | None = None
) -> str:
    """The page of a status, of the same rows."""
    older = sum(1 for row in rows if row.get("old_consumers"))
    tiles = [_synced(rows)]
    if consumers:
        tiles.append(Tile("older", "%d used with an older value" % older, "warn" if older else ""))
    by_source: dict[str, tuple[str, ...]] = {}
    for row in rows:
        ends = _end(row["value_ends"] or "", now)
        by_source[row["source"]] = (row["source"], age_text(row["value_age"]), "", ends, row["owner"], "")
    values = [by_source[name] for name in sorted(by_source)]
    return _page("Cluster secrets: status", _time(now, place), tiles, _pairs(rows), None, values, consumers)


def fleet_page(fleet: Fleet, when: str) -> str:
    """The page of many clusters: namespaces by clusters, how many Secrets are synced in each.

    :arg when: the time, as text.
    """
    unsynced, drifted = len(fleet.unsynced()), len(fleet.drifted)
    unknown = ", and nothing known of %s" % _counted(len(fleet.unreachable), "cluster") if fleet.unreachable else ""
    tiles = [
        Tile("clusters", _counted(len(fleet.clusters), "cluster")),
        Tile("unreachable", "%d not reached" % len(fleet.unreachable), "bad" if fleet.unreachable else "good"),
        Tile("unsynced", "%d of %d not synced%s" % (unsynced, len(fleet.rows), unknown), "bad" if unsynced else "good"),
    ]
    if fleet.compared:
        said = _counted(drifted, "source differs", "sources differ")
        tiles.append(Tile("drifted", said, "warn" if drifted else "good"))
    problems = [*fleet.unreachable.items(), *fleet.broken]
    problems += [
        (", ".join(odd), "other values than most clusters: %s" % source) for source, odd in fleet.drifted.items()
    ]
    pairs = [Pair(*row) for row in fleet.rows]
    return _page("Cluster secrets: fleet", when, tiles, pairs, problems=problems, unreachable=list(fleet.unreachable))


def _counted(number: int, one: str, many: str = "") -> str:
    return "%d %s" % (number, one if number == 1 else many or one + "s")


def _end(when: str, now: datetime.datetime) -> str:
    """The day of an end such as '2026-12-01T00:00:00Z', and whether it has come."""
    return when[:10] + (" ended" if when and when <= now.strftime("%Y-%m-%dT%H:%M:%SZ") else "")


def _synced(rows: list[dict[str, Any]]) -> Tile:
    synced = sum(1 for row in rows if row["synced"])
    return Tile("synced", "%d of %d synced" % (synced, len(rows)), "good" if synced == len(rows) else "bad")


def _pairs(rows: list[dict[str, Any]]) -> list[Pair]:
    return [
        Pair(
            "",
            row["namespace"],
            row["secret"],
            row["status"],
            row["message"],
            age_text(row.get("value_age")),
            ", ".join(row.get("consumers") or ()),
            ", ".join(row.get("old_consumers") or ()),
        )
        for row in rows
    ]


def _time(now: datetime.datetime, place: dict[str, Any] | None) -> str:
    """When it was, and where."""
    return now.strftime("%Y-%m-%d %H:%M UTC") + (", %s" % place_text(place) if place else "")
