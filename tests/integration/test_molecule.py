# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule: one scenario for each role, each with the idempotence step.

They come last, because each of them takes back at its end what the other tests share.
"""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path

import pytest
from support import COLLECTIONS, ROOT, leaked

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "meta").is_dir())


def test_every_role_has_a_scenario():
    scenarios = {path.parent.name for path in (ROOT / "extensions/molecule").glob("*/molecule.yml")}
    assert scenarios == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_scenario(platform, role, tmp_path):
    folder = Path(COLLECTIONS) / "ansible_collections/platform/cluster_secrets/extensions"
    environment = {
        **platform.environment,
        "MOLECULE_VALUES": str(platform.vault),
        "MOLECULE_PASSWORD": str(platform.password),
    }
    # A folder of its own, or Molecule would take an earlier run's word for it that all is prepared.
    environment["MOLECULE_EPHEMERAL_DIRECTORY"] = str(tmp_path)
    done = subprocess.run(
        ["molecule", "--base-config", str(folder / "molecule/config.yml"), "test", "-s", role],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-6000:]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    assert "idempotence: Executed: Successful" in plain, plain[-3000:]
    assert re.search(r"missing=0\s+failed=0", plain), plain[-3000:]
    assert leaked(output) == []


def blocks():
    """The code blocks of the guide for integrators, without their indent."""
    text = (ROOT / "docs/docsite/rst/guide_integration.rst").read_text()
    found = re.findall(r"^\.\. code-block:: yaml\n\n((?:   .*\n|\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


@pytest.mark.parametrize("name", ["Distribute the Secrets of a team", "Go on only with Secrets that are current"])
def test_the_guides_plays_run_as_they_stand(platform, tmp_path, name):
    (text,) = [text for text in blocks() if f"name: {name}\n" in text]
    path = tmp_path / "play.yml"
    path.write_text(text.replace("context: staging", "context: embedded") if platform.plane else text)
    assert platform.play(str(path)).recap["failed"] == 0


def test_the_guides_scenario_runs_as_it_stands(platform, tmp_path):
    for text in blocks():
        name = re.match(r"# (molecule/default/\w+\.yml)\n", text)
        if name:
            path = tmp_path / name[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    environment = {**platform.environment, "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "ephemeral")}
    argv = ["molecule", "test"]
    given = environment.get("CLUSTER_SECRETS_TEST_VARS")
    if given:
        (tmp_path / "base.yml").write_text(f"provisioner:\n  options:\n    extra-vars: '@{given}'\n")
        argv[1:1] = ["--base-config", str(tmp_path / "base.yml")]
    platform.play("teardown", variables={"cluster_secrets_teardown_eso": True})
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=400)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert done.returncode == 0 and "idempotence: Executed: Successful" in plain, plain[-6000:]
    assert "verify: Executed: Successful" in plain and platform.secret("central-secret-store", "smtp") is None
