# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages in a real Chromium: what axe-core finds, the filters, the keyboard, the sizes, the print."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import axe_core_python
import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.findings import Finding, Fix
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import page, text
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils import screen
from support import browse, browser

from docs import pages

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text().replace("</script>", "<\\/script>")
RUN = f"""{AXE};
  axe.run().then(found => report({{violations: found.violations.map(one => one.id), passes: found.passes.length}}));"""
MAKERS = {"audit": pages.audit, "status": pages.status, "fleet": pages.fleet}


@pytest.fixture(params=MAKERS)
def made(request, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(MAKERS[request.param]())
    return path


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing(made, tmp_path, scheme):
    seen = browse(made, RUN, tmp_path, scheme, 30)
    assert seen["violations"] == [] and seen["passes"] > 20


def test_axe_would_find_something(tmp_path):
    path = tmp_path / "page.html"
    text = pages.audit().replace('<html lang="en">', "<html>").replace("--soft:#565c64", "--soft:#dddddd")
    path.write_text(text)
    assert set(browse(path, RUN, tmp_path, "light", 30)["violations"]) == {"color-contrast", "html-has-lang"}


def test_it_loads_nothing(made):
    whole = made.read_text()
    assert not re.search(r"(src|href)=|@import|url\(", whole)
    # What the data name, nobody asks for until it is followed; the cluster's own address is only said.
    rest = re.sub(r'<script type="application/json".*?</script>|<p class="when">.*?</p>', "", whole)
    assert not re.search(r"https?://", rest)


#: How far each part of a page is wider than its place.
WIDER = """
  const over = [document.documentElement, ...document.querySelectorAll('.wrap, form, ul, dialog, .fix')];
  report({wider: over.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.id || one.className),
          width: innerWidth});"""


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_scrolls_sideways(made, tmp_path, width):
    seen = browse(made, WIDER, tmp_path, width=width)
    assert seen["width"] == width and seen["wider"] == []


def test_what_is_narrow_says_of_each_cell_what_it_is(made, tmp_path):
    script = """
      const cells = [...document.querySelectorAll('tbody td')].filter(one => one.offsetHeight && one.textContent);
      report({untitled: cells.filter(one => !getComputedStyle(one, '::before').content.includes(': ')).length,
              cells: cells.length, heads: [...document.querySelectorAll('thead')].map(one => one.offsetHeight)});"""
    seen = browse(made, script, tmp_path, width=390)
    assert seen["untitled"] == 0 and seen["cells"] > 20 and set(seen["heads"]) == {1}


SET = """
  const set = (id, value) => {
    const box = document.getElementById(id);
    if (box.type === 'checkbox') box.checked = value; else box.value = value;
    box.dispatchEvent(new Event('input'));
  };
  const lines = id => document.querySelectorAll('#' + id + ' tbody tr').length;
"""


def test_filters_and_search(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(pages.audit())
    script = (
        SET
        + """
      const all = [lines('findings'), lines('grid'), lines('values'), lines('consumers')];
      set('wrong', true); const wrong = [lines('findings'), lines('grid')];
      set('wrong', false); set('severity', 'warning'); const warnings = lines('findings');
      set('severity', ''); set('search', 'BACKSTAGE gh-oauth'); const found = [lines('findings'), lines('grid')];
      const shown = document.getElementById('shown').textContent;
      set('search', 'no such thing'); const none = [lines('findings'), lines('grid')];
      report({all, wrong, warnings, found, shown, none});"""
    )
    seen = browse(path, script, tmp_path)
    assert seen["all"] == [5, 13, 6, 17] and seen["wrong"] == [4, 3] and seen["warnings"] == 2
    assert seen["found"] == [1, 1] and seen["shown"] == "1 of 17 shown" and seen["none"] == [0, 0]


def test_what_is_wrong_is_reached_by_the_keyboard_and_says_what_to_do(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(pages.audit())
    script = """
      const button = [...document.querySelectorAll('#grid button')].find(one => one.textContent === 'stale');
      button.focus();
      const focused = document.activeElement === button, label = button.getAttribute('aria-label');
      button.click();
      const open = document.getElementById('detail').open, text = document.getElementById('details').innerText;
      document.getElementById('close').click();
      const copies = [...document.querySelectorAll('#findings button')].map(one => one.getAttribute('aria-label'));
      report({focused, label, open, text, closed: !document.getElementById('detail').open, copies});"""
    seen = browse(path, script, tmp_path)
    assert seen["focused"] and seen["open"] and seen["closed"] and seen["label"] == "backstage gh-oauth stale"
    assert (
        "platform.cluster_secrets.explain -e cluster_secrets_namespace=backstage -e cluster_secrets_secret=gh-oauth"
        in seen["text"]
    )
    assert (
        "Copy: ansible-playbook platform.cluster_secrets.rotate -e cluster_secrets_rotate_sources=github-pat"
        in seen["copies"]
    )


def test_the_filters_are_in_the_address(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(pages.audit())
    script = """
      const seen = () => [lines('findings'), lines('grid'), document.getElementById('listed').textContent];
      const first = seen(), box = document.getElementById('wrong').checked;
      set('secret', ''); set('status', 'stale'); const stale = seen(), address = location.hash;
      set('wrong', false); set('status', ''); report({first, box, stale, address, all: seen(), left: location.hash});"""
    seen = browse(path, SET + script, tmp_path, fragment="secret=gh-oauth&wrong=1")
    # That an older value runs is told with the Secret's name, and of a pair that is synced.
    assert seen["box"] and seen["first"] == [2, 2, "2 of 5 shown"]
    assert seen["stale"] == [1, 1, "1 of 5 shown"] and seen["address"] == "#status=stale&wrong=1"
    assert seen["all"] == [5, 13, "5 of 5 shown"] and seen["left"] in ("", "#")


def test_what_is_copied_is_said(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(pages.audit())
    script = """
      const given = [];
      Object.defineProperty(navigator, 'clipboard', {value: {writeText: async text => { given.push(text); }}});
      const button = document.querySelector('#findings button');
      const beside = [...document.querySelectorAll('#findings code')].every(one =>
        one.parentElement.querySelector('button.copy'));
      button.click();
      setTimeout(() => report({given, text: button.textContent, said: document.getElementById('said').textContent,
        beside, codes: document.querySelectorAll('#findings code').length}), 50);"""
    seen = browse(path, script, tmp_path, later=1)
    assert seen["given"] == ["ansible-playbook platform.cluster_secrets.rotate"]
    assert seen["text"] == seen["said"] == "Copied" and seen["beside"] and seen["codes"] == 4


def test_advisories_are_links_and_what_a_tenant_wrote_is_none(tmp_path):
    path = tmp_path / "page.html"
    run = "ansible-playbook platform.cluster_secrets."
    fixes = [
        # Somebody else's words are no command, and a command with what may be theirs is not offered.
        Fix(f"Delete X {run}rotate, which makes it"),
        Fix("Delete it", f"{run}rotate -e a=$(touch${{IFS}}/tmp/x)"),
        Fix("", f"{run}teardown -e cluster_secrets_teardown_confirmed=true"),
        Fix("Give them new values, then", f"{run}rotate -e cluster_secrets_rotate_sources=gh-app,gh.token"),
        Fix("For what is generated", f'{run}rotate -e \'{{"cluster_secrets_regenerate": {{"db": "2026-11-29"}}}}\''),
        Fix("Look at them", "kubectl --namespace a get pods"),
    ]
    found = [
        Finding("warning", "x", "shop", f"x{number}", "see (https://evil.example/x)", fix)
        for number, fix in enumerate(fixes)
    ]
    found.append(Finding("error", "vulnerable-eso", "eso", "CVE-1", "it leaks (https://example.org/advisory)"))
    path.write_text(page.audit_page(pages.rows(), found, pages.NOW, {}, False))
    script = """
      report({links: [...document.querySelectorAll('a')].map(one => [one.href, one.textContent]),
              codes: document.querySelectorAll('#findings code').length,
              copied: [...document.querySelectorAll('#findings code')].filter(one =>
                one.parentElement.querySelector('button.copy')).map(one => one.textContent)});"""
    seen = browse(path, script, tmp_path)
    assert seen["links"] == [["https://example.org/advisory", "example.org/advisory"]]
    assert seen["codes"] == 5 and seen["copied"] == [
        run + "rotate -e cluster_secrets_rotate_sources=gh-app,gh.token",
        run + """rotate -e '{"cluster_secrets_regenerate": {"db": "2026-11-29"}}'""",
    ]


def test_what_has_ended_is_red_and_numbers_agree(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(pages.audit())
    script = """
      const tile = id => document.getElementById(id).textContent;
      report({red: [...document.querySelectorAll('#values .bad')].map(one => one.textContent),
              tiles: [tile('errors'), tile('warnings')], when: document.querySelector('.when').textContent});"""
    seen = browse(path, script, tmp_path)
    assert seen["red"] == ["2026-11-23 ended"] and seen["tiles"] == ["2 errors", "2 warnings"]
    assert seen["when"] == "2026-11-26 03:12 UTC, https://10.0.0.2:6443 (context admin@production)"
    one = [Finding(severity, "stale", "a", "b", "c") for severity in ("error", "warning")]
    path.write_text(page.audit_page(pages.rows(), one, pages.NOW, {}, False))
    assert browse(path, script, tmp_path)["tiles"] == ["1 error", "1 warning"]


def test_clusters_that_were_not_reached_are_in_the_matrix_and_the_totals(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(pages.fleet())
    script = """
      const cells = [...document.querySelectorAll('#grid td')].filter(one => one.dataset.title === 'cluster-99');
      report({cells: cells.length, text: cells[0].textContent, total: document.getElementById('unsynced').textContent,
              legend: document.querySelector('.legend').innerText});"""
    seen = browse(path, script, tmp_path)
    assert seen["cells"] == 40 and seen["text"] == "?not reached"
    assert seen["total"].endswith(" of 960 not synced, and nothing known of 1 cluster")
    assert "the cluster was not reached" in seen["legend"]
    # The matrix uses the width that there is.
    path.write_text(pages.status())
    wide = "report({wide: document.getElementById('grid').offsetWidth});"
    assert browse(path, wide, tmp_path)["wide"] > 1100


@pytest.mark.parametrize("extra", [0, 500])
def test_small_and_large(tmp_path, extra):
    path = tmp_path / "page.html"
    path.write_text(pages.audit(extra))
    script = (
        SET
        + """
      const begun = performance.now();
      set('search', 'team-49'); const found = lines('grid'); set('search', '');
      report({found, rows: lines('grid'), ms: (performance.now() - begun) / 2,
              wide: document.body.scrollWidth <= innerWidth});"""
    )
    seen = browse(path, script, tmp_path)
    assert seen["rows"] == 13 + extra and seen["found"] == (10 if extra else 0) and seen["wide"]
    assert seen["ms"] < 2000


def test_it_prints_whole(tmp_path):
    path, paper = tmp_path / "page.html", tmp_path / "page.pdf"
    path.write_text(pages.audit(200))
    subprocess.run(
        [*browser(tmp_path), f"--print-to-pdf={paper}", "--no-pdf-header-footer", path.as_uri()],
        capture_output=True,
        timeout=60,
        check=True,
    )
    # What scrolls on the screen is cut off by one page of paper.
    assert len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) > 8


def test_the_pictures_are_there():
    names = {path.name for path in pages.IMAGES.glob("*.png")}
    assert names == {f"{one.name}.png" for one in pages.pictures()}
    shown = [pages.ROOT / "README.md", *pages.ROOT.glob("docs/*.md")]
    shown = "".join(path.read_text() for path in shown)
    assert {name for name in names if f"images/{name}" not in shown} == set()


@pytest.mark.parametrize("columns", [80, 140])
def test_a_terminal_shows_what_and_why(columns):
    lines = [line for line, _color in screen.painted(text.findings_table(pages.findings()), columns)]
    table = lines[: lines.index("")]
    assert max(map(len, table)) <= columns
    shown = " ".join(" ".join(table).split())
    for one in pages.findings():
        assert one.check in shown and (one.name or "") in shown
        assert one.message.partition(" (")[0] in shown, (one.message, shown)
