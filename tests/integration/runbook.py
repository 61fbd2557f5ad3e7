# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook of a Talos upgrade with a stand-in for talosctl, and what is left when it is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from support import COLLECTIONS, ROOT, Outcome, Platform

from controlplane import sandbox

MARK = "cluster-secrets/node-upgrade"


def talosctl(platform: Platform, real: bool = False, afterwards: dict[str, Any] | None = None) -> list[str]:
    """The command of the stand-in for a platform, whose folder it works in.

    :arg real: whether the node is a real one; :arg afterwards: what it patches once a node is upgraded, by path.
    """
    facts = {"path": [str(ROOT / "tests"), COLLECTIONS], "plane": platform.plane.name, "real": real}
    (platform.folder / "talosctl.json").write_text(json.dumps({**facts, "afterwards": afterwards or {}}))
    return [sys.executable, str(Path(__file__).with_name("talosctl.py")), str(platform.folder)]


class Runbook:
    """Nodes, the stand-in, and what both have seen. Subclasses say the nodes' ``names``.

    ``variables`` are those of each run.
    """

    names: tuple[str, ...]

    def __init__(self, own: Platform, real: bool = False) -> None:
        self.own = own
        self.mode, self.log = own.folder / "mode", own.folder / "upgraded"
        self.program = talosctl(own, real)
        self.variables: dict[str, Any] = {
            "cluster_secrets_talos_nodes": [{"name": one, "address": one} for one in self.names],
            "cluster_secrets_talos_command": self.program,
            "cluster_secrets_talos_timeout": 5,
            "cluster_secrets_snapshot_dir": str(own.folder / "upgrade"),
            "cluster_secrets_gate_timeout": 30,
        }

    def _given(self, version: str, more: dict[str, Any]) -> dict[str, Any]:
        return {**self.variables, "cluster_secrets_talos_image": f"installer:{version}", **more}

    def play(self, version: str, *arguments: str, check: bool = True, **variables: Any) -> Outcome:
        """Run the playbook talos_upgrade towards a version of Talos."""
        return self.own.play("talos_upgrade", *arguments, variables=self._given(version, variables), check=check)

    @contextmanager
    def begun(self, version: str, mode: str, **variables: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A run that hangs in a step of a node's upgrade, and is killed with all that it began at the block's end."""
        hangs, said = self.own.folder / "hangs", self.own.folder / "begun.log"
        self.mode.write_text(mode)
        argv = self.own.argv("talos_upgrade", variables=self._given(version, variables))
        with (
            said.open("w") as log,
            subprocess.Popen(
                argv,
                start_new_session=True,
                env=self.own.environment,
                cwd=self.own.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            ) as run,
        ):
            try:
                self.own.eventually(lambda: hangs.exists() or run.poll() is not None, 300, "a node that is upgraded")
                assert hangs.exists(), said.read_text()
                self.mode.unlink()
                yield run
            finally:
                # Ansible's workers have sessions of their own.
                for one in sandbox.tree(run.pid) if run.poll() is None else ():
                    with suppress(ProcessLookupError):
                        os.kill(one, signal.SIGKILL)
                run.wait()
                hangs.unlink(missing_ok=True)

    def lose_talosctl(self) -> None:
        """End the stand-in alone."""
        subprocess.run(["pkill", "-KILL", "-f", " ".join(self.program[1:])], check=True)

    def lines(self, name: str) -> list[str]:
        """What the stand-in wrote: 'calls', 'begun' or 'upgraded'."""
        path = self.own.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def forget(self, *names: str) -> None:
        """Forget what the stand-in wrote."""
        for name in names:
            (self.own.folder / name).unlink(missing_ok=True)

    def left(self) -> tuple[list[str], tuple[str, ...]]:
        """(the nodes with a mark, the cordoned ones)."""
        found = self.own.request("GET", "/api/v1/nodes")["items"]
        marks = [one["metadata"]["name"] for one in found if MARK in (one["metadata"].get("annotations") or {})]
        return marks, tuple(sorted(one["metadata"]["name"] for one in found if one["spec"].get("unschedulable")))
