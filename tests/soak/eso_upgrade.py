# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make soak-eso-upgrade SOAK_ARGS="--seeds 30"``: kill something three times during an upgrade of ESO; it goes on.

Each seed has a cluster made by hand on the oldest release. eso_upgrade is begun, and after a while Ansible, ESO, or the
API server and etcd are killed, three times. Then it is run again, and every target has to be what it was all the time.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import handmade
from support import Platform, leaked, upgrade_variables

import conftest  # noqa: F401  # pylint: disable=unused-import  # loads Ansible's importer of collections
from controlplane import build, cluster

from .seeds import VICTIMS, SoakError, killed, main

OLDEST = build.OLDER_ESO[0]


def seed(number: int, platform: Platform) -> str:
    """Run one seed on an adopted cluster that :func:`handmade.make` made; what was done, in one line. Raises
    SoakError."""
    choose = random.Random(number)
    kills = [(choose.choice(VICTIMS), choose.uniform(2.0, 25.0)) for _kill in range(3)]
    told = f"seed {number}: " + ", ".join(f"{victim} killed after {delay:.1f} s" for victim, delay in kills)
    arguments = ("-e", f"@{platform.folder / 'adopted/cluster_secrets.yml'}", "-e", json.dumps(upgrade_variables()))
    with handmade.Poller(platform) as poller:
        for victim, delay in kills:
            killed(platform, "eso_upgrade", arguments, victim, delay)
        for _attempt in range(2):
            outcome = platform.play("eso_upgrade", *arguments, check=False)
            if outcome.rc == 0:
                break
        else:
            raise SoakError(f"{told}: did not converge by a rerun\n{outcome.output}")
        again = platform.play("eso_upgrade", *arguments)
    if again.recap["changed"]:
        raise SoakError(f"{told}: a second run changed something\n{again.output}")
    if poller.changes:
        raise SoakError(f"{told}: targets were not the same all the time: {sorted(set(poller.changes))}")
    if leaked(outcome.output + again.output):
        raise SoakError(f"{told}: a value in clear")
    stored = platform.plane.etcd_get("/registry/external-secrets.io/clusterexternalsecrets/database")["apiVersion"]
    if stored != "external-secrets.io/v1":
        raise SoakError(f"{told}: stored as {stored}")
    return f"{told}: converged, {poller.reads} reads without a change"


def run(number: int, folder: Path, helm: str | None = None) -> str:
    """Make and adopt a cluster, and run one seed on it, with one of build's helms. Raises SoakError."""
    plane = cluster.ControlPlane("soak", bound=True, eso=OLDEST, upgrades=(*build.OLDER_ESO[1:], None), helm=helm)
    plane.start()
    try:
        folder.mkdir(parents=True)
        platform = Platform(plane, folder)
        handmade.make(platform, "v1beta1")
        platform.play("adopt", variables={"cluster_secrets_dest": "adopted"})
        return seed(number, platform)
    finally:
        plane.stop()


if __name__ == "__main__":
    sys.exit(main(__doc__.splitlines()[0], run))
