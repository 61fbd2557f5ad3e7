# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory of several real clusters."""

from __future__ import annotations

import json
import os
import re
import subprocess

import yaml
from support import CANARY, COLLECTIONS, Outcome, leaked

from controlplane import values
from controlplane.cluster import free_port

#: What kubernetes.core's modules need is beside Ansible itself; the collection's own tasks don't care.
LOCAL = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}


class Fleet:
    """An inventory of clusters, and how to run a playbook over it."""

    def __init__(self, folder, platforms):
        self.folder, self.platforms = folder, platforms
        first = next(iter(platforms.values()))
        self.values = values.generate(CANARY)
        self.vault, self.password = folder / "fleet.vault.yml", folder / "password"
        values.write_vault(self.values, self.vault, self.password)
        hosts = {name: self.variables(one) for name, one in platforms.items()}
        server = yaml.safe_load(first.kubeconfig.read_text())
        server["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
        (folder / "down").write_text(yaml.safe_dump(server))
        refused = yaml.safe_load(first.kubeconfig.read_text())
        refused["users"][0]["user"] = {"token": CANARY}
        (folder / "refused").write_text(yaml.safe_dump(refused))
        for name in ("down", "refused"):
            hosts[name] = {**hosts["a"], "cluster_secrets_kubeconfig": str(folder / name)}
        self.inventory = folder / "inventory.yml"
        self.inventory.write_text(yaml.safe_dump({"clusters": {"hosts": hosts, "vars": LOCAL}}))
        path = first.environment["PATH"]
        self.environment = {**os.environ, "PATH": path, "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS, "ANSIBLE_NOCOLOR": "1"}
        for name in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG", "ANSIBLE_PYTHON_INTERPRETER"):
            self.environment.pop(name, None)

    @staticmethod
    def variables(platform):
        """A cluster's host variables."""
        return {"cluster_secrets_kubeconfig": str(platform.kubeconfig), **platform.plane.ansible_variables()}

    def play(self, playbook, *arguments, **variables):
        argv = ["ansible-playbook", f"platform.cluster_secrets.{playbook}", "-i", str(self.inventory)]
        argv += ["--vault-password-file", str(self.password), "-e", f"cluster_secrets_values_file={self.vault}"]
        argv += ["-e", json.dumps({"cluster_secrets_hosts": "clusters", **variables}), *arguments]
        done = subprocess.run(
            argv, capture_output=True, text=True, env=self.environment, cwd=self.folder, check=False, timeout=300
        )
        assert leaked(done.stdout + done.stderr) == []
        return Outcome(done.returncode, done.stdout, done.stderr)


def recaps(outcome):
    """{host: {what: count}} of a run."""
    return {
        host: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", counts)}
        for host, counts in re.findall(r"^(\S+)\s+: (ok=.*)$", outcome.stdout, re.MULTILINE)
    }
