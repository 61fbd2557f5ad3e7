# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule: one scenario for each role, each with the idempotence step.

They come last, because each of them takes back at its end what the other tests share.
"""

from __future__ import annotations

import re
import subprocess
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
