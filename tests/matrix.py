# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the unit tests and a bootstrap on each supported ansible-core with a Python that it supports.

``make matrix MATRIX_ARGS="2.17 ..."``; a Python that is not on this machine is left out, and named.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
from controlplane import build, values
from controlplane.cluster import ControlPlane
from interpreters import interpreter

#: ansible-core -> (the package ansible that brings it and its collections, a Python that it supports).
MATRIX = {
    "2.17": ("ansible~=10.0", "3.10"),
    "2.18": ("ansible~=11.0", "3.11"),
    "2.19": ("ansible~=12.0", "3.11"),
    "2.20": ("ansible~=13.0", "3.12"),
    "2.21": ("ansible~=14.0", "3.13"),
}
OTHERS = ("kubernetes", "PyYAML", "pytest", "pytest-ansible", "cryptography")


def environment(core: str) -> Path | None:
    """The virtual environment for an ansible-core, made when it is missing; None without its Python."""
    package, version = MATRIX[core]
    python = interpreter(version)
    if python is None:
        return None
    folder = build.cache_root() / f"matrix-{core}"
    if not (folder / "done").exists():
        print(f"installing {package} for Python {version}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, package, *OTHERS], check=True)
        (folder / "done").touch()
    return folder


def play(name: str, folder: Path, plane: ControlPlane, vault: Path, password: Path) -> str:
    """Run a playbook of the collection; its output, or an error with it."""
    argv = [str(folder / "bin/ansible-playbook"), f"platform.cluster_secrets.{name}"]
    argv += ["--vault-password-file", str(password), "-e", f"cluster_secrets_values_file={vault}"]
    argv += ["-e", f"@{plane.variables_file}"]
    own = {**os.environ, **plane.environment(), "ANSIBLE_PYTHON_INTERPRETER": str(folder / "bin/python")}
    done = subprocess.run(argv, env=own, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the playbook {name} failed\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return done.stdout


def run(core: str, folder: Path, plane: ControlPlane) -> None:
    """The unit tests, then a bootstrap of an empty cluster, a second one and the way back."""
    unit = [str(folder / "bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "unit"]
    done = subprocess.run(unit, cwd=ROOT / "tests", env=os.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the unit tests failed\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    vault, password = plane.run / "matrix.vault.yml", plane.run / "matrix-password"
    values.write_vault(values.generate(), vault, password)
    play("bootstrap", folder, plane, vault, password)
    if "changed=0" not in play("bootstrap", folder, plane, vault, password):
        raise RuntimeError("the second bootstrap changed something")
    if "17 targets are synced" not in play("status", folder, plane, vault, password):
        raise RuntimeError("not all targets are synced")
    play("teardown", folder, plane, vault, password)


def main() -> int:
    wanted = sys.argv[1:] or list(MATRIX)
    plane = ControlPlane("matrix", bound=True)
    passed, failed, skipped = 0, 0, 0
    plane.start()
    try:
        for core in wanted:
            version = MATRIX[core][1]
            folder = environment(core)
            if folder is None:
                skipped += 1
                print(f"ansible-core {core}: left out, no Python {version} on this machine", flush=True)
                continue
            try:
                run(core, folder, plane)
                passed += 1
                print(f"ansible-core {core} with Python {version}: passed", flush=True)
            except RuntimeError as error:
                failed += 1
                print(f"ansible-core {core} with Python {version}: {error}", flush=True)
    finally:
        plane.stop()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
