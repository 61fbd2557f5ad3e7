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

#: Examples that end in an error here, rightly, and what it says. Nothing of the Internet can be reached.
REFUSED = {
    "audit": "error(s) and",
    "eso_chart_info": "https://charts.external-secrets.io",
    "eso_crds": "https://raw.githubusercontent.com/external-secrets",
    "eso_release": "https://charts.external-secrets.io",
    "eso_upgrade_check": "https://raw.githubusercontent.com/external-secrets",
    "eso_upgrade_steps": "https://charts.external-secrets.io",
    "once": "vault_kv2_get",
    "talos_kubernetes": "there is no way back",
    "talos_nodes": "there is no Node control-1",
}

#: What changes or removes what others need.
LAST = ("cluster_secret_store", "teardown", "helm_release")


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
            # Of what can't be reached, the next task has nothing to go on with.
            for task in given[: 1 if name in REFUSED else None]:
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
    for one in results[name]:
        if name in REFUSED:
            assert one.get("failed") and REFUSED[name] in str(one["msg"]), one
        else:
            assert not one.get("failed"), one
