# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How ``status`` grows with the number of clusters: hosts of one inventory, spread over three control planes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from controlplane import build, cluster, sandbox, values

SIZES = (2, 10, 50)
FORKS = 25
#: Memory is measured with so few forks that all of them are busy from 10 clusters on; more forks take more, of course.
FEW_FORKS = 5


def memory(pid: int) -> float:
    """MiB that a process and all that descend from it hold now, shared pages counted once."""
    total = 0
    for one in sandbox.tree(pid):
        try:
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            pass  # it has ended
    return total / 1024


def play(
    folder: Path, planes: list[cluster.ControlPlane], name: str, hosts: int, *arguments: str, sampled: bool = False
) -> dict[str, float]:
    """Run a playbook over so many hosts: seconds, and with ``sampled`` the peak memory in MiB, with few forks."""
    inventory = folder / f"inventory-{hosts}.json"
    places = [planes[number % len(planes)] for number in range(hosts)]
    own = [{**one.ansible_variables(), "cluster_secrets_kubeconfig": str(one.kubeconfig)} for one in places]
    variables = {"ansible_python_interpreter": sys.executable}
    content = {"all": {"vars": variables, "hosts": {f"c{number:02}": one for number, one in enumerate(own)}}}
    inventory.write_text(json.dumps(content))
    argv = ["ansible-playbook", f"platform.cluster_secrets.{name}", "-i", str(inventory), "--forks"]
    argv += [str(FEW_FORKS if sampled else FORKS)]
    environment = {**os.environ, **planes[0].environment(), "ANSIBLE_NOCOLOR": "1"}
    for one in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG", "ANSIBLE_PYTHON_INTERPRETER"):
        environment.pop(one, None)
    log = folder / "fleet.log"
    started, peak = time.monotonic(), 0.0
    with log.open("wb") as out:
        done = subprocess.Popen(
            [*argv, "-e", "cluster_secrets_hosts=all", *arguments], env=environment, stdout=out, stderr=out, cwd=folder
        )
        while sampled and done.poll() is None:
            peak = max(peak, memory(done.pid))
            time.sleep(0.05)
        done.wait()
    seconds = time.monotonic() - started
    if done.returncode:
        raise SystemExit(f"bench: {name} over {hosts} hosts failed\n{log.read_text()[-3000:]}")
    return {"seconds": seconds, "memory": peak}


def measure(folder: Path, runs: int) -> list[dict[str, Any]]:
    """Three bootstrapped control planes, then ``status`` at each of :data:`SIZES`; the medians."""
    rows = []
    with ExitStack() as stack:
        planes = [cluster.ControlPlane(f"bench-{letter}", bound=True) for letter in "abc"]
        for plane in planes:
            stack.callback(plane.stop)
            plane.start()
        vault, password = folder / "fleet.vault.yml", folder / "password"
        values.write_vault(values.generate(), vault, password)
        secret = ["--vault-password-file", str(password), "-e", f"cluster_secrets_values_file={vault}"]
        play(folder, planes, "bootstrap", len(planes), *secret)
        for size in SIZES:
            seconds = statistics.median(play(folder, planes, "status", size)["seconds"] for _run in range(runs))
            peak = play(folder, planes, "status", size, sampled=True)["memory"]
            rows.append({"clusters": size, "seconds": seconds, "memory": peak})
            build.say(f"  status of {size:>2} clusters: {seconds:5.2f} s, {peak:5.0f} MiB")
    return rows


def goals(rows: list[dict[str, Any]]) -> list[tuple[str, float, str, float]]:
    """What the project promises: (text, measured, sign, bound)."""
    cells = {row["clusters"]: row for row in rows}
    return [
        ("status, 50 clusters to 2", cells[50]["seconds"] / cells[2]["seconds"], "<=", 4),
        ("status, memory of 50 clusters to 10, 5 forks", cells[50]["memory"] / cells[10]["memory"], "<=", 1.15),
    ]
