# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups: encrypted, checked against the digests beside them, and enough to come back from nothing."""

from __future__ import annotations

import base64
import json
import shutil
import signal

import pytest
import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils import resources
from support import CANARY, another, leaked

from controlplane import values

CENTRAL = "central-secret-store"
SECRETS = f"/api/v1/namespaces/{CENTRAL}/secrets"


def encoded(text):
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def backup(bootstrapped, tmp_path):
    """A backup of the bootstrapped cluster."""
    dest = tmp_path / "b.vault.yml"
    bootstrapped.play("backup", variables={"cluster_secrets_backup_file": str(dest)})
    return dest


def test_a_backup_is_encrypted_and_its_digests_tell_nothing(bootstrapped, tmp_path):
    dest = tmp_path / "folder/b.vault.yml"
    variables = {"cluster_secrets_backup_file": str(dest), "cluster_secrets_backup_targets": True}
    mark = bootstrapped.mark()
    assert bootstrapped.play("backup", "--check", variables=variables).recap["changed"] == 1 and not dest.exists()
    outcome = bootstrapped.play("backup", "-vvvv", "--diff", variables=variables)
    assert bootstrapped.writes(mark) == [] and leaked(outcome.output) == []
    assert dest.stat().st_mode & 0o077 == 0 and leaked(dest.read_text()) == []
    content = values.read_vault(dest, bootstrapped.password)
    assert len(content["secrets"]) == 6 + 17
    text = (tmp_path / "folder/b.vault.yml.digests.json").read_text()
    assert content["salt"] not in text and leaked(text) == []
    first = json.loads(text)["secrets"]["central-secret-store/cloudflare-api-token"]["api-token"]
    assert bootstrapped.play("backup", variables=variables).recap["changed"] == 0
    other = {**variables, "cluster_secrets_backup_file": str(tmp_path / "other.vault.yml")}
    bootstrapped.play("backup", variables=other)
    again = json.loads((tmp_path / "other.vault.yml.digests.json").read_text())["secrets"]
    assert again["central-secret-store/cloudflare-api-token"]["api-token"] != first
    refused = bootstrapped.play("backup", variables={"cluster_secrets_backup_file": str(dest)}, check=False)
    assert refused.rc == 2 and "is there and holds other Secrets" in refused.stdout


def test_a_backup_that_is_not_whole_is_refused(bootstrapped, backup, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("not it\n")
    beside = backup.with_name(backup.name + ".digests.json")
    mark = bootstrapped.mark()

    def refused(*arguments, src=backup):
        outcome = bootstrapped.play(
            "restore", *arguments, variables={"cluster_secrets_backup_file": str(src)}, check=False
        )
        assert outcome.rc == 2 and leaked(outcome.output) == []
        return outcome.stdout

    assert "can't be decrypted: the vault password is wrong" in refused("--vault-password-file", str(wrong))
    assert "cannot read the backup" in refused(src=tmp_path / "none")
    plain = tmp_path / "plain.yml"
    plain.write_text(f"token: {CANARY}\n")
    assert "is not encrypted with ansible-vault" in refused(src=plain)
    other = tmp_path / "values.vault.yml"
    values.write_vault({"token": CANARY}, other, bootstrapped.password)
    assert "is not a backup that this version can read" in refused(src=other)
    digests = json.loads(beside.read_text())
    digests["secrets"]["central-secret-store/github-pat"]["token"] = "0" * 64
    beside.write_text(json.dumps(digests))
    assert "don't fit the backup: central-secret-store/github-pat" in refused()
    beside.unlink()
    assert "cannot read the digests" in refused()
    assert bootstrapped.writes(mark) == []


def test_restore_makes_master_secrets_what_they_were(bootstrapped, backup):
    p = bootstrapped
    # What other tests removed was backed up, too.
    shutil.rmtree(p.folder / "cluster-secrets-backups", ignore_errors=True)
    theirs = {"metadata": {"name": "theirs"}, "type": "example.com/own", "data": {"k": encoded(CANARY + "k")}}
    p.request("POST", SECRETS, {**theirs, "immutable": True})
    p.play("backup", variables={"cluster_secrets_backup_file": str(backup.with_name("all.vault.yml"))})
    variables = {"cluster_secrets_backup_file": str(backup.with_name("all.vault.yml"))}
    assert p.play("restore", variables=variables).recap["changed"] == 0
    before = {name: p.secret(CENTRAL, name)["data"] for name in ("github-pat", "github-oauth", "theirs")}
    p.patch(f"{SECRETS}/github-pat", {"data": {"token": encoded("changed"), "more": encoded("x")}})
    p.delete(f"{SECRETS}/github-oauth")
    p.delete(f"{SECRETS}/theirs")
    p.request("POST", SECRETS, {**theirs, "data": {"k": encoded("other")}, "immutable": True})
    predicted = p.play("restore", "--check", "--diff", variables=variables)
    outcome = p.play("restore", "--diff", "-vvvv", variables=variables)
    assert predicted.recap["changed"] == outcome.recap["changed"] == 1
    assert leaked(predicted.output + outcome.output) == []
    mark = p.mark()
    assert p.play("restore", variables=variables).recap["changed"] == 0 and p.writes(mark) == []
    restored = {name: p.secret(CENTRAL, name)["data"] for name in before}
    assert restored["github-oauth"] == before["github-oauth"] and restored["theirs"] == before["theirs"]
    assert restored["github-pat"]["token"] == before["github-pat"]["token"]
    (saved,) = (p.folder / "cluster-secrets-backups").glob("*.vault.yml")
    kept = {one["metadata"]["name"]: one["data"] for one in values.read_vault(saved, p.password)["secrets"]}
    assert kept["theirs"] == {"k": encoded("other")} and kept["github-pat"]["token"] == encoded("changed")
    shutil.rmtree(saved.parent)
    p.delete(f"{SECRETS}/theirs")
    p.patch(f"{SECRETS}/github-pat", {"data": {"more": None}})
    assert p.play("bootstrap").recap["changed"] == 0


def test_restore_leaves_what_somebody_else_keeps_writing(bootstrapped, tmp_path):
    p = bootstrapped
    renewed = {"metadata": {"name": "renewed", "annotations": {"cert-manager.io/certificate-name": "renewed"}}}
    p.request("POST", SECRETS, {**renewed, "data": {"k": encoded(CANARY + "old")}})
    saved = tmp_path / "saved.vault.yml"
    p.play("backup", variables={"cluster_secrets_backup_file": str(saved)})
    p.patch(f"{SECRETS}/renewed", {"data": {"k": encoded(CANARY + "new")}})
    mark = p.mark()
    outcome = p.play("restore", variables={"cluster_secrets_backup_file": str(saved)})
    assert outcome.recap["changed"] == 0 and p.writes(mark) == [] and leaked(outcome.output) == []
    said = " ".join(outcome.output.split())
    assert "stay as they are, since somebody else keeps writing them" in said
    assert f"{CENTRAL}/renewed (cert-manager)" in said
    p.delete(f"{SECRETS}/renewed")


def test_everything_comes_back_after_etcds_data_is_lost(platform, tmp_path):
    with another(platform, "lost") as own:
        own.play("bootstrap")
        targets = managed(own)
        before = {key: own.secret(*key)["data"] for key in targets}
        backup = {"cluster_secrets_backup_file": str(tmp_path / "b.vault.yml")}
        own.play("backup", variables=backup)
        own.plane.restart(signal.SIGKILL, lose_data=True)
        assert own.get(f"/api/v1/namespaces/{CENTRAL}") is None
        # A cluster that was made anew is another one, which has to be said.
        restore = {
            "cluster_secrets_backup_file": backup["cluster_secrets_backup_file"],
            "cluster_secrets_restore_verify": False,
        }
        assert "is of another cluster" in own.play("restore", variables=restore, check=False).stdout
        uid = own.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
        own.play("restore", variables={**restore, "cluster_secrets_restore_into": uid})
        own.play("bootstrap")
        assert len(targets) == 17 and {key: own.secret(*key)["data"] for key in targets} == before


def managed(platform):
    """(namespace, name) of all targets."""
    found, _version = platform.client.list(resources.SECRETS, selector="managed-by=external-secrets")
    return {resources.key_of(one) for one in found}


@pytest.mark.parametrize(
    ("keyword", "said"),
    [
        ({"environment": {"K8S_AUTH_KUBECONFIG": "/none/of/it"}}, "kubeconfig '/none/of/it' does not exist"),
        ({"become": True}, "'become' and 'async' can't be used"),
        ({"async": 10}, "'become' and 'async' can't be used"),
    ],
)
def test_a_backup_is_of_the_cluster_that_the_task_names(bootstrapped, tmp_path, keyword, said):
    playbook = tmp_path / "play.yml"
    task = {"platform.cluster_secrets.backup": {"dest": str(tmp_path / "saved.vault.yml")}, **keyword}
    playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    done = bootstrapped.play(str(playbook), check=False)
    assert done.rc == 2 and said in done.output and not (tmp_path / "saved.vault.yml").exists()
