# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make bench-quick``: what the benchmark measures, small, for CI.

Requests are counted, which no busy machine changes except where they wait. Times count only by their ratio to another
way's in the same run.
"""

from __future__ import annotations

import argparse
import sys
import time

from bench import scale
from bench.bench import Bench, install_eso, started
from bench.ways import OURS, RAW_PLAY
from controlplane import build

#: Namespaces, and Secrets: two pages.
SIZE = 600
PAGES = -(-SIZE // 500)
#: Of which the fastest counts.
RUNS = 2
#: Targets of the rotation.
ROTATED = 20
#: Requests of what people run, with two pages of namespaces, however many entries there are; one more is a regression.
#: Status and audit look at the chain to one target of each store, which takes 15, as explain does.
REQUESTS = {"bootstrap": 31, "status": 32, "audit": 68, "verify": 6}


def measure(bench: Bench) -> None:
    """Fill ``bench.results`` and ``bench.grown``."""
    bench.labels(SIZE, RUNS, (OURS, RAW_PLAY))
    bench.seeds(SIZE, RUNS, (OURS, RAW_PLAY))
    install_eso(bench)
    bench.rotations(ROTATED, 1, (OURS,))
    scale.measure(bench, ROTATED, 1, 2)
    scale.measure(bench, 5, 40, 1)


def goals(bench: Bench) -> list[tuple[str, float, float]]:
    """(text, measured, bound): no more than the bound is wanted."""
    cells = {(row["workload"], row["way"]): row for row in bench.results}
    found: list[tuple[str, float, float]] = []
    for verb in ("label", "seed"):
        changed, unchanged = f"{verb}, changed", f"{verb}, unchanged"
        found.append((f"{unchanged}, requests", cells[unchanged, OURS]["requests"], PAGES))
        found.append((f"{changed}, requests", cells[changed, OURS]["requests"], SIZE + PAGES + 4))
        for workload in (changed, unchanged):
            ratio = cells[workload, OURS]["spread"][0] / cells[workload, RAW_PLAY]["spread"][0]
            found.append((f"{workload}, time over {RAW_PLAY}", ratio, 2.5))
    found.append(("rotate, writes", cells["rotate", OURS]["writes"], 2))
    # It looks how far ESO is, less and less often; on a busy machine that takes longer.
    rotated = cells["rotate", OURS]
    found.append(("rotate, requests beside one a second", rotated["requests"] - rotated["seconds"], 24))
    for row in bench.grown:
        where = f"{row['work']}, {row['namespaces']} namespaces, {row['entries']} entries"
        found.append((f"{where}, writes", row["writes"], 0))
        found.append((f"{where}, requests", row["requests"], REQUESTS[row["work"]]))
    row = bench.grown[0]
    found.append((f"{row['work']} that changes nothing, over an empty play", row["seconds"] / row["empty"], 8))
    return found


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    begun = time.monotonic()
    with started("bench-quick") as bench:
        bench.namespaces(bench.job(SIZE)["namespaces"])
        measure(bench)
    missed = 0
    for text, measured, bound in goals(bench):
        missed += measured > bound
        build.say(f"{'MISSED ' if measured > bound else 'reached'}  {text}: {measured:.4g} (at most {bound})")
    build.say(f"{missed} goals missed, in {time.monotonic() - begun:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
