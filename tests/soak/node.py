# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make soak-node SOAK_ARGS="--seeds 30"``: kill -9 part of a whole cluster at a random moment; a rerun converges.

Each seed has a real node. A bootstrap, a rotation, a take-over or an upgrade of ESO is begun, and after a while one of
kubelet, containerd, ESO's controller, webhook or cert-controller, CoreDNS, the API server or etcd is killed. What no
kubelet starts again, a supervisor would: it is started again after two seconds. One rerun at most has to converge.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import handmade
from support import Platform, leaked

import conftest  # noqa: F401  # pylint: disable=unused-import  # loads Ansible's importer of collections
from controlplane import build, node, values

from .seeds import SoakError, begun, main

OLDEST = build.OLDER_ESO[0]
PLAYS = ("bootstrap", "rotate", "takeover", "upgrade")
#: What a supervisor starts again, and what a kubelet does: by a part of its command line.
SUPERVISED = ("kubelet", "containerd", "kube-apiserver", "etcd")
IN_PODS = {"controller": "--concurrent=", "webhook": "webhook", "cert-controller": "certcontroller", "dns": "coredns"}


def _kill(plane: node.Node, victim: str) -> None:
    if victim in IN_PODS:
        plane.kill_in_pods(IN_PODS[victim])
        return
    plane.kill(victim)
    time.sleep(2)
    for component in SUPERVISED:
        # The API server ends by itself without etcd for long.
        if not plane.alive(component):
            plane.start_component(component)


def _prepare(play: str, platform: Platform) -> tuple[str, tuple[str, ...]]:
    """Bring the cluster to where the play begins; returns the playbook and its arguments."""
    plane = platform.plane
    for release in (*build.OLDER_ESO, None) if play == "upgrade" else (None,):
        plane.serve_chart(release)
    if play == "rotate":
        platform.play("bootstrap")
        platform.values = {
            source: {**keys, **({"token": keys["token"] + "-rotated"} if "token" in keys else {})}
            for source, keys in platform.values.items()
        }
        values.write_vault(platform.values, platform.vault, platform.password)
    if play in ("takeover", "upgrade"):
        handmade.make(platform, "v1beta1" if play == "upgrade" else "v1")
        platform.play("adopt", variables={"cluster_secrets_dest": "adopted"})
        adopted: tuple[str, ...] = ("-e", f"@{platform.folder / 'adopted/cluster_secrets.yml'}")
        if play == "takeover":
            return "bootstrap", adopted
        newest = {"cluster_secrets_eso_chart_version": build.eso_release().lstrip("v")}
        return "eso_upgrade", (*adopted, "-e", json.dumps(newest))
    return play, ()


def _current(platform: Platform) -> list[str]:
    """The documented targets that don't hold the documented values."""
    wanted: dict[tuple[str, str], dict[str, Any]] = {
        ("backstage", "gh-oauth"): {"GITHUB_TOKEN": platform.values["github-oauth"]["token"]},
        ("cert-manager", "cloudflare-api-token"): platform.values["cloudflare-api-token"],
        ("kargo", "kargo-admin-credentials"): {},
        ("n8n", "gh-docker-registry-creds"): {},
    }
    return [
        "/".join(key)
        for key, data in wanted.items()
        if platform.secret(*key) is None or data.items() - platform.data(*key).items()
    ]


def seed(number: int, play: str, victim: str, delay: float, platform: Platform) -> str:
    """Run one seed; what was done, in one line. Raises SoakError."""
    told = f"seed {number}: {victim} killed {delay:.1f} s into {play}"
    playbook, arguments = _prepare(play, platform)
    with begun(platform, playbook, arguments) as process:
        time.sleep(delay)
        _kill(platform.plane, victim)
        try:
            first = process.wait(timeout=600)
        except subprocess.TimeoutExpired:
            raise SoakError(f"{told}: it did not end") from None
    reruns = 0
    if first:
        reruns = 1
        outcome = platform.play(playbook, *arguments, check=False)
        if outcome.rc:
            raise SoakError(f"{told}: did not converge by a rerun\n{outcome.output}")
    again = platform.play(playbook, *arguments)
    if again.recap["changed"]:
        raise SoakError(f"{told}: a second run changed something\n{again.output}")
    wrong = _current(platform) if play in ("bootstrap", "rotate") else []
    if play in ("takeover", "upgrade"):
        wrong = ["/".join(key) for key in handmade.TARGETS if platform.secret(*key) is None]
    if wrong:
        raise SoakError(f"{told}: lost or stale: {', '.join(wrong)}")
    if leaked(again.output):
        raise SoakError(f"{told}: a value in clear")
    return f"{told}: converged, {reruns} rerun(s)"


def run(number: int, folder: Path) -> str:
    """Start a whole cluster and run one seed on it. Raises SoakError."""
    choose = random.Random(number)
    play, victim = choose.choice(PLAYS), choose.choice((*SUPERVISED, *IN_PODS))
    delay = choose.uniform(0.5, {"bootstrap": 30.0, "rotate": 5.0, "takeover": 8.0, "upgrade": 60.0}[play])
    upgrade = play == "upgrade"
    plane = node.Node(
        "soak", bound=True, eso=OLDEST if upgrade else None, upgrades=(*build.OLDER_ESO[1:], None) if upgrade else ()
    )
    plane.start()
    try:
        folder.mkdir(parents=True)
        return seed(number, play, victim, delay, Platform(plane, folder))
    finally:
        plane.stop()


if __name__ == "__main__":
    sys.exit(main(__doc__.splitlines()[0], run))
