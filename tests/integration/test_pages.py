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
    assert not re.search(r"(src|href)=|@import|url\(|https?://", made.read_text())


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
    assert seen["all"] == [4, 13, 6, 17] and seen["wrong"] == [3, 3] and seen["warnings"] == 2
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
    assert "platform.cluster_secrets.explain -e namespace=backstage -e secret=gh-oauth" in seen["text"]
    assert "Copy: ansible-playbook platform.cluster_secrets.rotate -e rotate_sources=github-pat" in seen["copies"]


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
    assert names == {"audit.png", "fleet.png", "status-dark.png"}
    readme = (pages.ROOT / "README.md").read_text()
    assert "docs/images/audit.png" in readme
