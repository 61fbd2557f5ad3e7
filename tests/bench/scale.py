# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How what people run grows, by namespaces and by entries: a bootstrap that changes nothing, status, audit, verify."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

from controlplane import build

if TYPE_CHECKING:
    from bench.bench import Bench

WORKS = ("bootstrap", "status", "audit", "verify")
#: The namespaces of each entry where entries are what grows.
FEW = 5
#: Seconds after which a measurement isn't repeated.
ENOUGH = 30


def catalog(namespaces: int, entries: int) -> list[dict[str, Any]]:
    """Either one entry with so many namespaces, or so many entries with few namespaces each."""
    names = [f"grow-{number:05d}" for number in range(namespaces)]
    return [
        {
            "name": f"grow-{number}",
            "source": f"grow-{number}",
            "label": f"secrets/grow-{number}",
            "data": {"KEY": "key"},
            "namespaces": names,
        }
        for number in range(entries)
    ]


def measure(bench: Bench, namespaces: int, entries: int, runs: int) -> None:
    """Bootstrap one size of cluster, then measure each of :data:`WORKS` on it and take it away again."""
    entry = catalog(namespaces, entries)
    variables = {
        **bench.variables,
        "cluster_secrets_catalog": [],
        "cluster_secrets_catalog_extra": entry,
        "cluster_secrets_values_from": "variable",
        "cluster_secrets_values": {one["source"]: {"key": "of " + one["source"]} for one in entry},
        # What the measurements before left would stay without a backup, and be looked at each time.
        "cluster_secrets_backup": False,
        "cluster_secrets_prune": ["entries", "masters"],
        "cluster_secrets_wait_timeout": 1200,
        # The release that is built here has known vulnerabilities, which is not what is measured.
        "cluster_secrets_audit_fail_on": "never",
    }
    path = bench.folder / "scale.json"
    path.write_text(json.dumps(variables))
    verify = [{"hosts": "localhost", "gather_facts": False, "roles": ["platform.cluster_secrets.verify"]}]
    (bench.folder / "verify.yml").write_text(json.dumps(verify))
    bench.namespaces(entry[0]["namespaces"])
    first = bench.run(["ansible-playbook", "platform.cluster_secrets.bootstrap", "-e", f"@{path}"])
    build.say(f"  {namespaces:>5} namespaces, {entries:>3} entries: bootstrapped in {first['seconds']:.1f} s")
    for work in WORKS:
        playbook = str(bench.folder / "verify.yml") if work == "verify" else f"platform.cluster_secrets.{work}"
        samples, empties = [], []
        for _number in range(runs):
            # Beside it, because a machine is not as fast at all times.
            empties.append(bench.empty_play())
            samples.append(bench.run(["ansible-playbook", playbook, "-e", f"@{path}"]))
            if sum(one["seconds"] for one in samples) > ENOUGH:
                break
        row: dict[str, Any] = {"namespaces": namespaces, "entries": entries, "work": work}
        row.update({key: statistics.median(one[key] for one in samples) for key in samples[0] if key != "failed"})
        row["empty"] = statistics.median(empties)
        bench.grown.append(row)
        build.say(
            f"  {namespaces:>5} namespaces, {entries:>3} entries  {work:<9} {row['seconds']:8.2f} s  "
            f"{row['requests']:>5.0f} requests  {row['memory']:>5.0f} MiB"
        )


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The measurements as lines."""
    head = (
        f"{'namespaces':>10} {'entries':>8}  {'work':<10} {'seconds':>8} {'requests':>9} {'MiB':>5} {'empty plays':>12}"
    )
    lines = ["", head] if rows else []
    for row in rows:
        lines.append(
            f"{row['namespaces']:>10} {row['entries']:>8}  {row['work']:<10} {row['seconds']:>8.2f} "
            f"{row['requests']:>9.0f} {row['memory']:>5.0f} {row['seconds'] / row['empty']:>11.1f}x"
        )
    return lines


def goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Nothing is written, a bootstrap is near an empty play, and time grows no faster than what is listed.

    The last is judged from the second largest size to the largest, the seconds of an empty play taken from both.
    """
    found = [
        _goal(f"{row['work']} of {row['namespaces']} namespaces, {row['entries']} entries, writes", row["writes"], 0)
        for row in rows
    ]
    for row in rows[:1]:
        text = f"bootstrap of {row['namespaces']} namespaces that changes nothing, over an empty play"
        found.append(_goal(text, row["seconds"] / row["empty"], 2.5))
    for axis in ("namespaces", "entries"):
        other = "entries" if axis == "namespaces" else "namespaces"
        fixed = 1 if axis == "namespaces" else FEW
        for work in WORKS:
            line = sorted(
                (row for row in rows if row["work"] == work and row[other] == fixed), key=lambda row: row[axis]
            )
            if len(line) < 2:
                continue
            small, large = line[-2:]
            net = [row["seconds"] - row["empty"] for row in (large, small)]
            ratio = net[0] / net[1] / (large[axis] / small[axis])
            found.append(_goal(f"{work}, {small[axis]} to {large[axis]} {axis}, time over what linear is", ratio, 1.2))
    return found


def _goal(text: str, measured: float, bound: float) -> dict[str, Any]:
    return {"goal": text, "measured": measured, "wanted": f"<= {bound}", "reached": measured <= bound}
