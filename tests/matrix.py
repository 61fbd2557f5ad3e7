# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the collection with each supported version of what it works with, one at a time: the matrix.

``make matrix`` runs all cells, ``make matrix MATRIX_ARGS="ansible-core-2.17 kubernetes-1.30"`` some. What came out is
written into docs/versions.json, of which ``make generate`` makes the table in the README. A cell that can't be run on
this machine says why.

* ansible-core: the unit tests, a bootstrap, a second one, status and teardown, with a Python that it supports;
* Kubernetes: bootstrap, the guard, isolation, the audit and the gate, on a control plane of that release;
* helm: a bootstrap, a second one, status and teardown;
* sops: values from a file that it encrypted.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, NamedTuple

from controlplane import build, values
from controlplane.cluster import ControlPlane
from interpreters import interpreter

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs/versions.json"

#: ansible-core -> (the package ansible that brings it and its collections, a Python that it supports).
ANSIBLE = {
    "2.17": ("ansible~=10.0", "3.10"),
    "2.18": ("ansible~=11.0", "3.11"),
    "2.19": ("ansible~=12.0", "3.11"),
    "2.20": ("ansible~=13.0", "3.12"),
    "2.21": ("ansible~=14.0", "3.13"),
    "2.22": ("ansible==15.0.0a3", "3.13"),
}
OTHERS = ("jsonschema", "kubernetes", "PyYAML", "pytest", "pytest-ansible", "cryptography", "ruamel.yaml", "hvac")

#: What is run on each release of Kubernetes.
ON_KUBERNETES = (
    "integration/test_bootstrap.py",
    "integration/test_guard.py",
    "integration/test_isolation.py",
    "integration/test_audit.py",
    "integration/test_upgrade_gate.py::test_the_gate_closes_with_the_cause",
    "integration/test_upgrade_gate.py::test_the_guides_health_checks_are_right_by_the_api_servers_own_cel",
)
#: As 'make test' runs them.
PARALLEL = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
_PLAYS = "bootstrap, again, status, teardown"


class Impossible(Exception):
    """A cell can't be run on this machine; the text says why."""


class Outcome(NamedTuple):
    """What came out of a cell: how many checks passed and failed, and the end of what a failed one said."""

    passed: int
    failed: int
    said: str = ""


class Cell(NamedTuple):
    """One version of one part. ``run`` raises Impossible."""

    part: str
    version: str
    beside: str
    ran: str
    run: Callable[[], Outcome]

    @property
    def name(self) -> str:
        minor = ".".join(self.version.lstrip("v").split(".")[:2])
        return f"{self.part.lower()}-{minor}"


def environment(core: str) -> Path:
    """The virtual environment for an ansible-core, made when it is missing."""
    package, version = ANSIBLE[core]
    python = interpreter(version)
    if python is None:
        raise Impossible(f"no Python {version} on this machine")
    folder = build.cache_root() / f"matrix-{core}"
    if not (folder / "done").exists():
        print(f"installing {package} for Python {version}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, package, *OTHERS], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Impossible(f"{package} can't be installed: {done.stderr.strip().splitlines()[-1]}")
        (folder / "done").touch()
    return folder


class Failed(Exception):
    """A play failed; the text is the end of its output."""


def _play(name: str, programs: Path, plane: ControlPlane) -> str:
    vault, password = plane.run / "matrix.vault.yml", plane.run / "matrix-password"
    if not vault.exists():
        values.write_vault(values.generate(), vault, password)
    argv = [str(programs / "ansible-playbook"), f"platform.cluster_secrets.{name}"]
    argv += ["--vault-password-file", str(password), "-e", f"cluster_secrets_values_file={vault}"]
    argv += ["-e", f"@{plane.variables_file}"]
    if name == "teardown":
        argv += ["-e", "cluster_secrets_teardown_eso=true", "-e", "cluster_secrets_teardown_confirmed=true"]
    own = {**os.environ, **plane.environment(), "ANSIBLE_PYTHON_INTERPRETER": str(programs / "python")}
    own["ANSIBLE_STDOUT_CALLBACK"] = "platform.cluster_secrets.brief"
    done = subprocess.run(argv, env=own, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"the playbook {name} failed\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return done.stdout


def plays(programs: Path, helm: str | None = None) -> Outcome:
    """A bootstrap of an empty cluster, a second one, status and the way back.

    :arg programs: the folder with ansible-playbook; :arg helm: one of build's.
    """
    plane = ControlPlane("matrix", bound=True, helm=helm)
    plane.start()
    passed = 0
    try:
        for name, wanted in (("bootstrap", ""), ("bootstrap", "changed=0"), ("status", "17 targets are synced")):
            if wanted not in _play(name, programs, plane):
                raise Failed(f"'{wanted}' is not in what {name} said")
            passed += 1
        _play("teardown", programs, plane)
        return Outcome(passed + 1, 0)
    except Failed as error:
        return Outcome(passed, 1, str(error))
    finally:
        plane.stop()


def _pytest(python: Path, arguments: tuple[str, ...], **more: str) -> Outcome:
    argv = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        argv, cwd=ROOT / "tests", env={**os.environ, **more}, capture_output=True, text=True, check=False
    )
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", done.stdout[-300:])}
    passed, failed = counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0)
    # Where all is skipped, nothing was shown.
    failed = failed or int(bool(done.returncode) or not passed)
    return Outcome(passed, failed, (done.stdout[-3000:] + done.stderr[-1000:]) if failed else "")


def _ansible(core: str) -> Outcome:
    programs = environment(core) / "bin"
    unit = _pytest(programs / "python", ("unit",))
    played = plays(programs, build.HELM if core in ("2.21", "2.22") else build.HELM_3)
    return Outcome(unit.passed + played.passed, unit.failed + played.failed, unit.said + played.said)


def _kubernetes(release: str) -> Outcome:
    more = {} if release == build.KUBERNETES else {build.KUBERNETES_VARIABLE: release}
    try:
        os.environ.update(more)
        build.ensure()
    except build.BuildError as error:
        raise Impossible(str(error).splitlines()[0]) from None
    finally:
        os.environ.pop(build.KUBERNETES_VARIABLE, None)
    return _pytest(Path(sys.executable), (*PARALLEL, *ON_KUBERNETES), **more)


def _sops() -> Outcome:
    try:
        programs = build.ensure(("sops", "age"))
    except build.BuildError as error:
        raise Impossible(str(error).splitlines()[0]) from None
    path = ":".join(str(programs[name].parent) for name in ("sops", "age-keygen"))
    return _pytest(Path(sys.executable), ("integration/test_sops.py",), PATH=f"{path}:{os.environ['PATH']}")


def cells() -> list[Cell]:
    """All of them, in the order of the table."""
    found = [
        Cell(
            "ansible-core",
            core,
            f"Python {python}",
            f"unit tests, {_PLAYS}",
            lambda core=core: _ansible(core),  # type: ignore[misc]
        )
        for core, (_package, python) in ANSIBLE.items()
    ]
    found += [
        Cell(
            "Kubernetes",
            release,
            "",
            "bootstrap, guard, isolation, audit, gate",
            lambda release=release: _kubernetes(release),  # type: ignore[misc]
        )
        for release in (*build.OTHER_KUBERNETES, build.KUBERNETES)
    ]
    found += [
        Cell(
            "helm",
            build.version_of_helm(helm),
            "",
            _PLAYS,
            lambda helm=helm: plays(Path(sys.executable).parent, helm),  # type: ignore[misc]
        )
        for helm in (build.HELM_OLDEST, build.HELM_3, build.HELM)
    ]
    age = f"age {build.AGE.lstrip('v')}"
    return [*found, Cell("sops", build.SOPS, age, "validate, bootstrap, rotate, a key that is missing", _sops)]


def recorded() -> dict[str, dict[str, Any]]:
    """What came out of each cell when it was last run, by its name."""
    found: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return found


def record(cell: Cell, **result: Any) -> None:
    """Keep what came out of a cell."""
    beside = cell.beside or f"ansible-core {metadata.version('ansible-core')}"
    entry = {"part": cell.part, "version": cell.version, "beside": beside, "ran": cell.ran}
    entry |= {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"), **result}
    RESULTS.write_text(json.dumps({**recorded(), cell.name: entry}, indent=1) + "\n")
    # A unit test of the next cell looks at what is generated of it.
    subprocess.run([sys.executable, "-m", "docs.generate"], cwd=ROOT / "tests", check=True)


def table() -> str:
    """The results as a Markdown table, in the order of the cells."""
    rows = ["| | Version | With | Run on | What ran | Result |", "| --- | --- | --- | --- | --- | --- |"]
    results = recorded()
    for cell in cells():
        one = results.get(cell.name)
        if one is None:
            rows.append(f"| {cell.part} | {cell.version.lstrip('v')} | {cell.beside} | | {cell.ran} | not run yet |")
            continue
        if one.get("why"):
            said = f"not run: {one['why']}"
        else:
            said = f"{one['passed']} passed" + (f", {one['failed']} failed" if one["failed"] else "")
        shown = (one["part"], one["version"].lstrip("v"), one["beside"], one["date"], one["ran"], said)
        rows.append(f"| {' | '.join(shown)} |")
    return "\n".join(rows)


def main() -> int:
    """Run the cells that are asked for."""
    known = {cell.name: cell for cell in cells()}
    wanted = sys.argv[1:] or list(known)
    if set(wanted) - set(known):
        sys.exit(f"unknown: {', '.join(sorted(set(wanted) - set(known)))}; there are {', '.join(known)}")
    passed, failed, left_out = 0, 0, 0
    for cell in (known[name] for name in wanted):
        try:
            outcome = cell.run()
        except Impossible as error:
            left_out += 1
            record(cell, passed=0, failed=0, why=str(error))
            print(f"{cell.name}: left out, {error}", flush=True)
            continue
        record(cell, passed=outcome.passed, failed=outcome.failed)
        passed, failed = passed + (not outcome.failed), failed + bool(outcome.failed)
        print(f"{cell.name}: {outcome.passed} passed, {outcome.failed} failed", flush=True)
        if outcome.said:
            print(outcome.said, flush=True)
    print(f"{passed} passed, {failed} failed, {left_out} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
