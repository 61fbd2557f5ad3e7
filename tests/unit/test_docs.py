# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation takes from the code is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from docs import generate

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", generate.files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_files_are_current(path):
    assert path.read_text() == generate.files()[path], "run make generate"


@pytest.mark.parametrize("role", sorted(path.name for path in (ROOT / "roles").iterdir()))
def test_defaults_and_specifications_say_the_same(role):
    defaults = (
        yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text())
        if (ROOT / f"roles/{role}/defaults/main.yml").exists()
        else {}
    )
    specs = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]
    options = {name: option for spec in specs.values() for name, option in spec.get("options", {}).items()}
    given = {name: option["default"] for name, option in options.items() if "default" in option}
    assert {name: str(defaults[name]) for name in given} == {name: str(value) for name, value in given.items()}
    # What a user may set and no specification names: only the values, which must not be looked up twice.
    assert set(defaults) - set(options) <= {"cluster_secrets_values"}


def test_each_advisory_is_in_the_security_notes():
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories

    text = (ROOT / "docs/security.md").read_text()
    for one in advisories.ADVISORIES:
        assert f"| {one.id} | " in text and f"| {advisories.text(one.fixed)} |" in text, one.id


def test_each_check_of_the_audit_is_documented():
    source = (ROOT / "plugins/module_utils/audit/findings.py").read_text()
    checks = set(re.findall(r"""Finding\(\s*\w+,\s*"([a-z-]+)",""", source))
    assert len(checks) > 18
    text = (ROOT / "docs/audit.md").read_text()
    assert checks - set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == set()
