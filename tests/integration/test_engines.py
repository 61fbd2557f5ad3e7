# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The execution environment, as far as it goes without containers, and what the guide for AWX says, by ansible-runner.

The environment is a virtual environment that holds what ansible-builder would install into the image, and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import ansible_collections.kubernetes.core as kubernetes_core
import pytest
import yaml
from fleets import recaps
from jinja2 import Template
from support import CANARY, COLLECTIONS, ROOT, Outcome, another, leaked

from controlplane import build, values

GUIDE = (ROOT / "docs/docsite/rst/guide_awx.rst").read_text()


def block(name):
    """The text of the guide's code block with this caption."""
    found = re.search(r":caption: %s\n\n((?:   .*\n|\n)+)" % re.escape(name), GUIDE)
    assert found, name
    return re.sub(r"^   ", "", found.group(1), flags=re.MULTILINE)


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """What ``ansible-builder build`` would hand to the container engine."""
    folder = tmp_path_factory.mktemp("ee")
    definition = yaml.safe_load((ROOT / "execution-environment.yml").read_text())
    shutil.copy(ROOT / "execution-environment.yml", folder)
    (tarball,) = Path(COLLECTIONS).glob("platform-cluster_secrets-*.tar.gz")
    assert definition["additional_build_files"][0]["src"] == tarball.name
    shutil.copy(tarball, folder)
    subprocess.run(
        [Path(sys.executable).parent / "ansible-builder", "create"], cwd=folder, check=True, capture_output=True
    )
    return folder / "context"


@pytest.fixture(scope="module")
def engine(context, tmp_path_factory):
    """The environment's programs and collections, installed from the context; ``.run()`` is one job."""
    folder = tmp_path_factory.mktemp("engine")
    wanted = yaml.safe_load((context / "_build/requirements.yml").read_text())["collections"]
    ours = [one for one in wanted if one.get("type") == "file"]
    (context / "_build/ours.yml").write_text(yaml.safe_dump({"collections": ours}))
    install = [
        "ansible-galaxy",
        "collection",
        "install",
        "-r",
        "ours.yml",
        "-p",
        str(folder),
        "--no-deps",
        "--offline",
        "--force",
    ]
    subprocess.run(install, cwd=context / "_build", check=True, capture_output=True)
    # Galaxy is out of reach of some of the machines that run this; these are what it would give.
    bundled = Path(kubernetes_core.__path__[0]).parents[1]
    for name in (one["name"] for one in wanted if one not in ours):
        namespace, collection = name.split(".")
        place = folder / "ansible_collections" / namespace / collection
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(bundled / namespace / collection)
    introspect = ["ansible-builder", "introspect", "--user-pip", str(context / "_build/requirements.txt")]
    introspect += ["--write-pip", str(folder / "pip.txt"), str(folder)]
    subprocess.run(introspect, check=True, capture_output=True)
    needed = yaml.safe_load((ROOT / "execution-environment.yml").read_text())["dependencies"]
    packages = [needed[one]["package_pip"] for one in ("ansible_core", "ansible_runner")]
    packages += [line.split("#")[0].strip() for line in (folder / "pip.txt").read_text().splitlines() if line.strip()]
    venv = build.cache_root() / f"ee-{zlib.crc32(json.dumps(packages).encode())}"
    if not (venv / "done").exists():
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        pip = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages], check=True)
        (venv / "done").touch()
    return SimpleNamespace(programs=venv / "bin", collections=folder)


class Awx:
    """What AWX makes of the guide: a project, an inventory and credentials, for jobs by ansible-runner."""

    def __init__(self, engine, platforms, folder):
        self.engine, self.folder = engine, folder
        self.values, self.secret = values.generate(CANARY), folder / "password"
        project = folder / "project"
        project.mkdir()
        values.write_vault(self.values, project / "cluster_secrets.vault.yml", self.secret)
        for name in ("bootstrap", "rotate", "onboard", "audit", "status"):
            (project / f"{name}.yml").write_text(block("bootstrap.yml").replace(".bootstrap", f".{name}"))
        whole = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
        hosts = {}
        for name, one in platforms.items():
            config = yaml.safe_load(one.kubeconfig.read_text())
            whole["clusters"].append({**config["clusters"][0], "name": name})
            whole["users"].append({**config["users"][0], "name": name})
            whole["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
            hosts[name] = one.plane.ansible_variables()
        self.kubeconfig = yaml.safe_dump(whole)
        self.inventory = yaml.safe_load(block("inventory.yml"))
        for name, variables in hosts.items():
            self.inventory["all"]["hosts"][name].update(variables)
        self.helm = Path(next(iter(platforms.values())).environment["PATH"].split(os.pathsep)[0])
        self.jobs = 0

    def start(self, playbook, *, number=1, of=1, check=False, **variables):
        """Begin a job: one of AWX's slices of the inventory, with the credentials as files and variables."""
        self.jobs += 1
        job = self.folder / f"job-{self.jobs}"
        (job / "env").mkdir(parents=True)
        (job / "inventory").mkdir()
        # AWX deals out the hosts in the order of their names.
        hosts = {
            name: self.inventory["all"]["hosts"][name]
            for name in sorted(self.inventory["all"]["hosts"])[number - 1 :: of]
        }
        inventory = {"all": {**self.inventory["all"], "hosts": hosts}}
        (job / "inventory/hosts.yml").write_text(yaml.safe_dump(inventory))
        assert [one["id"] for one in yaml.safe_load(block("inputs.yml"))["fields"]] == ["kubeconfig"]
        injectors = yaml.safe_load(block("injectors.yml"))
        credential = self.folder / f"credential-{self.jobs}"
        credential.touch(mode=0o600)
        credential.write_text(Template(injectors["file"]["template"]).render(kubeconfig=self.kubeconfig))
        tower = SimpleNamespace(filename=str(credential))
        environment = {key: Template(text).render(tower=tower) for key, text in injectors["env"].items()}
        (job / "env/envvars").write_text(
            json.dumps({**environment, "ANSIBLE_COLLECTIONS_PATH": str(self.engine.collections)})
        )
        (job / "env/extravars").write_text(json.dumps(variables))
        (job / "env/passwords").write_text(json.dumps({"^Vault password:\\s*?$": self.secret.read_text().strip()}))
        (job / "env/cmdline").write_text("--ask-vault-pass --forks 5" + (" --check" if check else ""))
        (job / "project").symlink_to(self.folder / "project")
        argv = [self.engine.programs / "ansible-runner", "run", str(job), "-p", f"{playbook}.yml", "--ident", "1"]
        path = os.pathsep.join([str(self.engine.programs), str(self.helm), "/usr/bin", "/bin"])
        environment = {"PATH": path, "HOME": str(self.folder), "LANG": "C.UTF-8"}
        return subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), job

    def end(self, started):
        process, job = started
        output = process.communicate(timeout=300)[0]
        kept = b"".join(path.read_bytes() for path in (job / "artifacts").rglob("*") if path.is_file())
        assert leaked(output) == [] and leaked(kept.decode(errors="replace")) == []
        return Outcome(process.returncode, re.sub(r"\x1b\[[0-9;]*m", "", output).replace("\r", ""), "")

    def run(self, playbook, **how):
        return self.end(self.start(playbook, **how))


@pytest.fixture(scope="module")
def awx(platform, engine, tmp_path_factory):
    with another(platform, "awx-staging") as one, another(platform, "awx-production") as two:
        yield Awx(engine, {"staging": one, "production": two}, tmp_path_factory.mktemp("awx"))


def answers(survey, **given):
    """A survey's answers, as AWX makes extra variables of them: each question has one, and each is a choice."""
    questions = {one["variable"]: one for one in json.loads(block(survey))["spec"]}
    assert sorted(given) == sorted(questions)
    for name, answer in given.items():
        if "choices" in questions[name]:
            assert set(answer if questions[name]["type"] == "multiselect" else [answer]) <= set(
                questions[name]["choices"]
            )
    return given


def test_slices_are_bootstrapped_side_by_side(awx):
    for wanted in (None, 0):
        slices = [awx.start("bootstrap", number=number, of=2) for number in (1, 2)]
        outcomes = [awx.end(one) for one in slices]
        assert [one.rc for one in outcomes] == [0, 0], outcomes[0].output + outcomes[1].output
        found = [recaps(one) for one in outcomes]
        assert [list(one) for one in found] == [["production"], ["staging"]]
        if wanted is not None:
            assert [one["changed"] for each in found for one in each.values()] == [wanted] * 2
    check = awx.run("bootstrap", check=True)
    assert check.rc == 0 and {one["changed"] for one in recaps(check).values()} == {0}, check.output


def test_surveys_onboard_and_rotate(awx):
    awx.run("bootstrap")
    chosen = answers(
        "onboard.json", cluster_secrets_namespace="team-a", cluster_secrets_secret=["github-oauth-credentials"]
    )
    outcome = awx.run("onboard", **chosen, cluster_secrets_namespaces_missing="create")
    assert outcome.rc == 0 and len(recaps(outcome)) == 2, outcome.output
    rotated = {**awx.values, "cloudflare-api-token": {"api-token": CANARY + "new"}}
    values.write_vault(rotated, awx.folder / "project/cluster_secrets.vault.yml", awx.secret)
    outcome = awx.run("rotate", **answers("rotate.json", cluster_secrets_serial="1"))
    assert outcome.rc == 0, outcome.output
    assert re.search(r"Hold the new values: (staging|production)\. Not begun: (staging|production)\.", outcome.stdout)
    assert "Hold the new values: production, staging." in outcome.stdout
    outcome = awx.run("status")
    assert outcome.rc == 0 and outcome.stdout.count(" same") == 2, outcome.output


def test_a_scheduled_audit_fails_when_there_is_something_to_see(awx):
    outcome = awx.run("audit", cluster_secrets_audit_fail_on="never")
    assert outcome.rc == 0 and len(recaps(outcome)) == 2
    # A table is a table there, too, one for each cluster.
    assert len(re.findall(r"^SEVERITY +CHECK +NAMESPACE", outcome.stdout, re.MULTILINE)) == 2, outcome.output
    outcome = awx.run("audit")
    assert outcome.rc == 2 and "vulnerable" in outcome.stdout, outcome.output
