# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pythons of this machine. ``python3 tests/interpreters.py`` prints the one that the tests are run with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

#: The newest first; the packages of tests/requirements.txt were installed with each.
TESTED = ("3.13", "3.12", "3.11")


def interpreter(version: str) -> str | None:
    """The path of a Python of this version, on PATH or among pyenv's; None when there is none."""
    found = shutil.which(f"python{version}")
    if found and "shims" not in found:
        # Not that of a virtual environment, but the one it was made with.
        return str(Path(found).resolve())
    candidates = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python{version}"))
    return str(candidates[-1]) if candidates else None


def _makes_environments(path: str) -> bool:
    """Debian's Pythons come without what a virtual environment takes."""
    done = subprocess.run([path, "-c", "import ensurepip, venv"], capture_output=True, check=False)
    return done.returncode == 0


def newest() -> str | None:
    """The newest Python that the tests can be run with; None without any."""
    found = (interpreter(version) for version in TESTED)
    return next((path for path in found if path and _makes_environments(path)), None)


if __name__ == "__main__":
    print(newest() or sys.exit("Python 3.11, 3.12 or 3.13 is needed"))
