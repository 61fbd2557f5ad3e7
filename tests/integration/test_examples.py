# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of ``ansible-doc``, each run as it stands, on a cluster of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from support import ROOT, another, leaked

#: Examples that end in an error here, rightly: which of the tasks it is, and what it says. Nothing of the Internet can
#: be reached, and the release under test is an old one.
REFUSED = {
    "audit": (0, "error(s) and"),
    "cronjobs": (0, "CronJob kube-system/etcd-defrag"),
    "eso_chart_info": (0, "https://charts.external-secrets.io"),
    "eso_crds": (0, "https://raw.githubusercontent.com/external-secrets"),
    "eso_release": (1, "known vulnerabilities"),
    "eso_upgrade_check": (0, "https://raw.githubusercontent.com/external-secrets"),
    "eso_upgrade_steps": (0, "https://charts.external-secrets.io"),
    "once": (0, "Required option url was not set"),
    "talos_kubernetes": (0, "there is no way back"),
    "talos_nodes": (0, "there is no Node control-1"),
}

#: What changes or removes what others need.
LAST = ("apply", "cluster_secret_store", "teardown", "helm_release")


def examples():
    """The tasks of each module, lookup and filter, by its name."""
    paths = {path.stem: path for kind in ("modules", "lookup", "filter") for path in ROOT.glob(f"plugins/{kind}/*.py")}
    names = [*sorted(set(paths) - set(LAST)), *LAST]
    return {name: tasks(paths[name]) for name in names}


def tasks(path: Path):
    text = path.read_text()
    assert 'EXAMPLES = r"""' in text, path
    return yaml.safe_load(text.partition('EXAMPLES = r"""')[2].partition('"""')[0])


@pytest.fixture(scope="module")
def results(platform, tmp_path_factory):
    """What came of each, by the name of its plugin: a list of results."""
    folder = tmp_path_factory.mktemp("examples")
    with another(platform, "examples") as own:
        own.play("bootstrap")
        shutil.copy(own.vault, folder / "secrets.vault.yml")
        own.request("POST", "/api/v1/namespaces", {"metadata": {"name": "team-a"}})
        own.folder, before = folder, own.folder
        wanted, names = [], []
        for name, given in examples().items():
            # After what is refused, the next task has nothing to go on with.
            for task in given[: REFUSED[name][0] + 1 if name in REFUSED else None]:
                wanted.append({**task, "ignore_errors": True})
                names.append(name)
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "roles": ["platform.cluster_secrets.catalog"],
            "vars": {
                "cluster_secrets_values": "{{ lookup('platform.cluster_secrets.values_file', 'secrets.vault.yml') }}",
                # Of the example before.
                "pairs": {"table": ["NAMESPACE"]},
            },
            "tasks": wanted,
        }
        (folder / "play.yml").write_text(json.dumps([play]))
        try:
            done = own.play(str(folder / "play.yml"), check=False, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
        finally:
            own.folder = before
            for path in ("/tmp/audit.html", "/tmp/localhost.kubeconfig", "/var/tmp/cluster-secrets.snapshot"):
                Path(path).unlink(missing_ok=True)
    assert leaked(done.output) == []
    ran = json.loads(done.stdout)["plays"][0]["tasks"][-len(wanted) :]
    found: dict[str, list[dict]] = {}
    for name, task, one in zip(names, wanted, ran, strict=True):
        assert one["task"]["name"] == task["name"], (name, one["task"])
        found.setdefault(name, []).append(one["hosts"]["localhost"])
    return found


@pytest.mark.parametrize("name", examples())
def test_it_runs_as_it_stands(results, name):
    number, said = REFUSED.get(name, (None, ""))
    for position, one in enumerate(results[name]):
        assert bool(one.get("failed")) == (position == number) and said in str(one.get("msg", said)), one
