# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host is a cluster: three real ones, one that is down and one that refuses the credentials, from one inventory."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
import yaml
from support import CANARY, COLLECTIONS, Outcome, another, leaked

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


@pytest.fixture(scope="module")
def fleet(platform, tmp_path_factory):
    with another(platform, "fleet-a") as a, another(platform, "fleet-b") as b, another(platform, "fleet-c") as c:
        yield Fleet(tmp_path_factory.mktemp("fleet"), {"a": a, "b": b, "c": c})


def test_the_living_are_bootstrapped_and_the_others_named(fleet):
    outcome = fleet.play("bootstrap")
    assert outcome.rc == 2
    found = recaps(outcome)
    assert {name: one["failed"] for name, one in found.items()} == {"a": 0, "b": 0, "c": 0, "down": 1, "refused": 1}
    assert re.search(r"fatal: \[down\]: FAILED! .*cannot reach the Kubernetes API at", outcome.stdout)
    assert re.search(r"fatal: \[refused\]: FAILED! .*does not accept these credentials", outcome.stdout)
    marks = {name: one.mark() for name, one in fleet.platforms.items()}
    again = fleet.play("bootstrap", "--limit", "a,b,c")
    assert again.rc == 0 and {one["changed"] for one in recaps(again).values()} == {0}
    assert all(one.writes(marks[name]) == [] for name, one in fleet.platforms.items())
    status = fleet.play("status", "--limit", "a,b,c")
    assert status.stdout.count("17 targets are synced") == 3


def test_a_rotation_goes_by_waves_and_stops_at_the_first_that_fails(fleet):
    rotated = {**fleet.values, "cloudflare-api-token": {"api-token": CANARY + "rotated"}}
    values.write_vault(rotated, fleet.vault, fleet.password)

    def token(name):
        return fleet.platforms[name].data("cert-manager", "cloudflare-api-token")

    inventory = yaml.safe_load(fleet.inventory.read_text())
    hosts = inventory["clusters"]["hosts"]
    ordered = {name: hosts[name] for name in ("a", "b", "down", "c")}
    fleet.inventory.write_text(yaml.safe_dump({"clusters": {"hosts": ordered}}, sort_keys=False))
    outcome = fleet.play("rotate", cluster_secrets_serial=[1, 2, 1])
    assert outcome.rc == 2
    assert "Stopped before this wave: down failed. Not begun: c and all later waves." in outcome.stdout
    new, old = rotated["cloudflare-api-token"], fleet.values["cloudflare-api-token"]
    assert token("a") == token("b") == new and token("c") == old
    # The canary alone fails: nothing else is begun.
    ordered = {name: hosts[name] for name in ("down", "c")}
    fleet.inventory.write_text(yaml.safe_dump({"clusters": {"hosts": ordered}}, sort_keys=False))
    assert fleet.play("rotate", cluster_secrets_serial=1).rc == 2 and token("c") == old
    # Without what is down, a rerun goes on where it stopped.
    fleet.inventory.write_text(yaml.safe_dump(inventory))
    again = fleet.play("rotate", "--limit", "a,b,c", cluster_secrets_serial=1)
    assert again.rc == 0 and token("c") == new
    assert {name: one["changed"] for name, one in recaps(again).items()} == {"a": 0, "b": 0, "c": 2}


def test_values_are_looked_up_once_unless_a_host_has_its_own(fleet):
    counted = fleet.folder / "count"
    source = fleet.folder / "values.json"
    rotated = {**fleet.values, "cloudflare-api-token": {"api-token": CANARY + "rotated"}}
    source.write_text(json.dumps(rotated))
    command = f"echo once >> {counted}; cat {source}"
    lookup = "{{ lookup('platform.cluster_secrets.once', 'ansible.builtin.pipe', '%s') | from_json }}" % command
    variables = {"cluster_secrets_values_from": "variable", "cluster_secrets_values": lookup}
    outcome = fleet.play("rotate", "--limit", "a,b,c", "-vvvv", **variables)
    assert outcome.rc == 0 and counted.read_text() == "once\n"
    assert {one["changed"] for one in recaps(outcome).values()} == {0}


def test_groups_and_hosts_change_the_catalog(fleet):
    inventory = yaml.safe_load(fleet.inventory.read_text())
    group = {"cluster_secrets_disabled": ["code-server-ssh-key"]}
    fleet.inventory.write_text(yaml.safe_dump({**inventory, "small": {"hosts": {"b": {}}, "vars": group}}))
    try:
        outcome = fleet.play("status", "--limit", "a,b")
        counts = re.findall(r"(\d+) targets are synced", outcome.stdout)
        assert sorted(counts) == ["16", "17"]
    finally:
        fleet.inventory.write_text(yaml.safe_dump(inventory))


def test_a_cluster_that_is_killed_in_the_middle_is_named_and_a_rerun_converges(fleet):
    """The others are done."""
    dying = fleet.platforms["c"].plane
    process = subprocess.Popen(
        [
            "ansible-playbook",
            "platform.cluster_secrets.bootstrap",
            *("-i", str(fleet.inventory), "--limit", "a,b,c", "--vault-password-file", str(fleet.password)),
            *("-e", f"cluster_secrets_values_file={fleet.vault}", "-e", "cluster_secrets_hosts=clusters"),
            *("-e", '{"cluster_secrets_isolation": "entry"}'),
        ],
        env=fleet.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=fleet.folder,
    )
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Set up what the stores may read] *" in line:
            dying.stop_component("kube-apiserver", 9)
    process.wait(timeout=300)
    found = recaps(Outcome(process.returncode, "".join(lines), ""))
    assert process.returncode == 2
    assert {name: one["failed"] for name, one in found.items()} == {"a": 0, "b": 0, "c": 1}, "".join(lines)
    dying.start_component("kube-apiserver")
    dying.restart(15)
    again = fleet.play("bootstrap", "--limit", "a,b,c", cluster_secrets_isolation="entry")
    assert again.rc == 0, again.output
    assert {recaps(again)[name]["changed"] for name in ("a", "b")} == {0}
