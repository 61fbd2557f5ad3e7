# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells that something newer is out, with answers as osv.dev and GitHub give them."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

from ansible_collections.platform.cluster_secrets.plugins.module_utils.advisories import ADVISORIES

import advisories as script

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).with_name("data")


def recorded(name):
    return json.loads((DATA / name).read_text())


def test_what_the_databases_know_and_the_collection_does_not_is_named(monkeypatch):
    records = script.of_osv(recorded("osv.json")) + script.of_github(recorded("github.json"))
    assert len(records) == 4
    assert script.differences(records) == [
        "CVE-2026-34984, GHSA-r2pg-r6h7-crf3: fixed in 2.3.1, and not in 2.3.0",
        "CVE-2026-99999, GO-2026-9999: not known: A fault that came out later (fixed in 2.14.1)",
    ]
    monkeypatch.setitem(script.IGNORED, "GO-2026-9999", "of another provider")
    assert len(script.differences(records)) == 1
    # One that is gone from our list is missed.
    fewer = tuple(one for one in ADVISORIES if one.id != "CVE-2025-55196")
    assert any(line.startswith("CVE-2025-55196, ") for line in script.differences(records, fewer))


def test_answers_without_records():
    assert script.of_osv({}) == script.of_github([]) == [] == script.differences([])


def test_the_script_ends_with_what_it_found(monkeypatch, capsys):
    answers = {script.OSV: recorded("osv.json"), script.GITHUB: recorded("github.json")}
    monkeypatch.setattr(script, "_asked", lambda url, _body=None: answers[url])
    assert script.main() == 1 and "CVE-2026-99999" in capsys.readouterr().out
    answers[script.OSV], answers[script.GITHUB] = {}, answers[script.GITHUB][:1]
    assert script.main() == 0 and capsys.readouterr().out == "1 records, all known\n"


def test_out_of_reach_is_no_all_clear(monkeypatch, capsys):
    def refused(_url, _body=None):
        raise OSError("Name or service not known")

    monkeypatch.setattr(script, "_asked", refused)
    assert script.main() == 2 and "is out of reach" in capsys.readouterr().err


def test_the_newest_packages_are_the_same_without_their_versions():
    """As the scheduled workflow installs them."""
    command = subprocess.run(
        ["make", "-n", "-B", "venv", "UNPINNED=1"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    (line,) = [line for line in command.splitlines() if line.startswith("sed ")]
    argv = shlex.split(line.partition(" > ")[0])
    shown = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pinned = (ROOT / "tests/requirements.txt").read_text()
    assert "==" not in shown and shown.count("\n") == pinned.count("\n") and "ansible; python_version" in shown
    assert "UNPINNED=1" in (ROOT / ".github/workflows/freshness.yml").read_text()
