# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of kind for the demo, where docker, kind and helm are there: nothing has to be built for it."""

from __future__ import annotations

import os
import shutil
import subprocess

from controlplane import build
from controlplane.cluster import ClusterError

#: The kind cluster's name.
NAME = "cluster-secrets-demo"

#: ``kind``, ``node`` (a whole cluster; see controlplane/node.py) or ``embedded`` says which cluster the demo takes.
CHOICE = "CLUSTER_SECRETS_DEMO"


def chosen() -> bool:
    """Whether the demo takes kind: if it is said, or if all that it needs is there and docker answers."""
    said = os.environ.get(CHOICE)
    if said:
        return said == "kind"
    if not all(shutil.which(program) for program in ("docker", "kind", "helm")):
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


class Kind:
    """The part of ControlPlane that the demo needs, by kind."""

    def __init__(self) -> None:
        self.run = build.run_root() / "demo-kind"
        self.kubeconfig = self.run / "kubeconfig"
        self.variables_file = self.run / "vars.json"

    def ready(self) -> bool:
        """Whether the cluster is there."""
        return NAME in _kind("get", "clusters").split()

    def start(self) -> None:
        """Make the cluster, unless it is there."""
        self.run.mkdir(parents=True, exist_ok=True)
        self.variables_file.write_text("{}\n")
        if self.ready():
            _kind("export", "kubeconfig", "--name", NAME, "--kubeconfig", str(self.kubeconfig))
            return
        print("making a cluster of kind (a minute or two, the first time)", flush=True)
        _kind("create", "cluster", "--name", NAME, "--kubeconfig", str(self.kubeconfig), "--wait", "180s")

    def stop(self) -> None:
        """Remove the cluster, if it is there."""
        if shutil.which("kind") and self.ready():
            _kind("delete", "cluster", "--name", NAME, "--kubeconfig", str(self.kubeconfig))

    def environment(self) -> dict[str, str]:
        """Variables that point clients and playbooks at the cluster."""
        return {"KUBECONFIG": str(self.kubeconfig), "K8S_AUTH_KUBECONFIG": str(self.kubeconfig)}


def _kind(*arguments: str) -> str:
    try:
        done = subprocess.run(["kind", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ClusterError("the program kind was not found") from None
    if done.returncode:
        raise ClusterError(f"kind {' '.join(arguments[:2])}: {done.stderr.strip()}")
    return done.stdout
