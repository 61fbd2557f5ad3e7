# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make soak-takeover SOAK_ARGS="--seeds 30"``: kill something at a random moment of a take-over; a rerun converges.

Each seed has a cluster made by hand. adopt or bootstrap is begun, and after a while Ansible, ESO, or the API server and
etcd are killed. Then both are run again, and every target has to be what it was all the time.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import handmade
from support import Platform, leaked

import conftest  # noqa: F401  # pylint: disable=unused-import  # loads Ansible's importer of collections
from controlplane import cluster

from .seeds import VICTIMS, SoakError, killed, main


def seed(number: int, platform: Platform) -> str:
    """Run one seed on a cluster that :func:`handmade.make` made; what was done, in one line. Raises SoakError."""
    choose = random.Random(number)
    play, victim = choose.choice(("adopt", "bootstrap", "bootstrap")), choose.choice(VICTIMS)
    delay = choose.uniform(0.4, 2.0 if play == "adopt" else 6.0)
    told = f"seed {number}: {victim} killed {delay:.1f} s into {play}"
    adopted = ("-e", f"@{platform.folder / 'adopted/cluster_secrets.yml'}")
    dest = {"cluster_secrets_dest": "adopted"}
    with handmade.Poller(platform) as poller:
        if play == "bootstrap":
            platform.play("adopt", variables=dest)
        killed(
            platform, play, adopted if play == "bootstrap" else ("-e", "cluster_secrets_dest=adopted"), victim, delay
        )
        if play == "adopt":
            # Whatever a killed one left is complete, and is left alone.
            platform.play("adopt", variables=dest)
        for _attempt in range(2):
            outcome = platform.play("bootstrap", *adopted, check=False)
            if outcome.rc == 0:
                break
        else:
            raise SoakError(f"{told}: did not converge by a rerun\n{outcome.output}")
        again = platform.play("bootstrap", *adopted)
    if again.recap["changed"]:
        raise SoakError(f"{told}: a second run changed something\n{again.output}")
    if poller.changes:
        raise SoakError(f"{told}: targets were not the same all the time: {sorted(set(poller.changes))}")
    found = [path for path in platform.folder.rglob("*") if path.is_file() and leaked(path.read_text(errors="replace"))]
    if found or leaked(outcome.output + again.output):
        raise SoakError(f"{told}: a value in clear: {found}")
    return f"{told}: converged, {poller.reads} reads without a change"


def run(number: int, folder: Path) -> str:
    """Make a cluster by hand and run one seed on it. Raises SoakError."""
    plane = cluster.ControlPlane("soak", bound=True)
    plane.start()
    try:
        folder.mkdir(parents=True)
        platform = Platform(plane, folder)
        handmade.make(platform, "v1")
        return seed(number, platform)
    finally:
        plane.stop()


if __name__ == "__main__":
    sys.exit(main(__doc__.splitlines()[0], run))
