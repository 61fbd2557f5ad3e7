# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The permissions of docs/permissions.yml are enough, and none of the narrower ones is missing."""

from __future__ import annotations

import pytest
import yaml
from support import CANARY, RBAC, ROOT, Grants, another, found, values

PLAYS = {
    "cluster_secrets_eso_method": "existing",
    "cluster_secrets_platform_users": ["system:serviceaccount:ci:deployer"],
    "cluster_secrets_guard_mode": "enforce",
    "cluster_secrets_audit_fail_on": "never",
}


@pytest.fixture(scope="module")
def deployer(platform):
    """A cluster with ESO that an administrator installed, and the kubeconfig of the play's own identity."""
    with another(platform, "deployer") as own:
        folder = own.folder
        playbook = folder / "eso.yml"
        role = {"hosts": "localhost", "gather_facts": False, "roles": ["platform.cluster_secrets.eso"]}
        playbook.write_text(yaml.safe_dump([role]))
        own.play(str(playbook))
        own.request("POST", "/api/v1/namespaces", {"metadata": {"name": "ci"}})
        grants = Grants(own)
        grants.account("deployer", "ci")
        for manifest in yaml.safe_load((ROOT / "docs/permissions.yml").read_text())["items"]:
            namespace = manifest["metadata"].get("namespace")
            place = f"/namespaces/{namespace}" if namespace else ""
            api = "/api/v1" if manifest["apiVersion"] == "v1" else RBAC
            own.request("POST", f"{api}{place}/{manifest['kind'].lower()}s", manifest)
        path = grants.kubeconfig("deployer", "ci")
        own.environment.update(KUBECONFIG=str(path), K8S_AUTH_KUBECONFIG=str(path))
        yield own


def test_a_play_with_these_permissions_does_all_its_work(deployer, catalog):
    deployer.play("bootstrap", "--check", variables=PLAYS)
    deployer.play("bootstrap", variables=PLAYS)
    assert deployer.play("bootstrap", variables=PLAYS).recap["changed"] == 0
    for isolation in ("entry", "shared"):
        deployer.play("bootstrap", variables={**PLAYS, "cluster_secrets_isolation": isolation})
    deployer.play("rotate", variables={**PLAYS, "cluster_secrets_verify_refresh": "always"})
    assert "17 targets are synced" in deployer.play("status", variables=PLAYS).stdout
    onboard = {
        **PLAYS,
        "cluster_secrets_namespace": "team",
        "cluster_secrets_namespaces_missing": "create",
        "cluster_secrets_secret": ["cloudflare-api-token"],
    }
    deployer.play("onboard", variables=onboard)
    assert CANARY in deployer.data("team", "cloudflare-api-token")["api-token"]
    deployer.play(
        "offboard", variables={"cluster_secrets_namespace": "team", "cluster_secrets_secret": ["cloudflare-api-token"]}
    )
    deployer.play("audit", variables=PLAYS)
    assert (
        "The chain is whole."
        in deployer.play(
            "explain", "-e", "cluster_secrets_namespace=backstage", "-e", "cluster_secrets_secret=gh-oauth"
        ).stdout
    )
    assert " info " in deployer.play("logs", "-e", "cluster_secrets_logs_lines=5").stdout
    deployer.play("adopt", variables={**PLAYS, "cluster_secrets_dest": str(deployer.folder / "adopted")})
    saved = str(deployer.folder / "saved.vault.yml")
    deployer.play("backup", variables={**PLAYS, "cluster_secrets_backup_file": saved})
    assert deployer.play("restore", variables={**PLAYS, "cluster_secrets_backup_file": saved}).recap["changed"] == 0
    deployer.play("render", variables={**PLAYS, "cluster_secrets_dest": str(deployer.folder / "rendered")})
    deployer.play("talos_upgrade_gate", variables=PLAYS)
    pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}
    job = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    deployer.request("POST", "/apis/batch/v1/namespaces/ci/cronjobs", {"metadata": {"name": "defrag"}, "spec": job})
    snapshot = {
        "cluster_secrets_snapshot_dir": str(deployer.folder),
        "cluster_secrets_gate_window": 1,
        "cluster_secrets_upgrade_cronjobs": [{"namespace": "ci", "name": "defrag"}],
    }
    for playbook in ("talos_upgrade_pre", "talos_upgrade_post"):
        deployer.play(playbook, variables={**PLAYS, **snapshot})
    nodes = {"cluster_secrets_talos_nodes": [{"name": "node-0"}], "cluster_secrets_talos_image": "installer:v1.11.2"}
    staged = {**nodes, "cluster_secrets_talos_command": ["true"], "cluster_secrets_talos_stage": True}
    assert "Staged." in deployer.play("talos_upgrade", variables={**PLAYS, **staged}).stdout
    assert "staged, to be rebooted" in deployer.play("talos_upgrade", "--check", variables={**PLAYS, **nodes}).stdout


def test_the_audit_does_not_report_the_platform_itself(deployer, catalog):
    users = PLAYS["cluster_secrets_platform_users"]
    checks = {check for check, _namespace, _name in found(deployer, catalog, platform_users=users)}
    assert checks <= {"vulnerable-eso", "unsupported-eso"}
    assert "wide-permission" in {check for check, _namespace, _name in found(deployer, catalog)}


def test_teardown_too(deployer):
    deployer.play("teardown", variables=PLAYS)
    assert deployer.request("GET", "/apis/external-secrets.io/v1/clustersecretstores")["items"] == []


def test_a_catalog_of_ones_own_is_all_there_is(deployer):
    """The entry of docs/docsite/rst/guide_own_catalog.rst, as it stands there."""
    guide = (ROOT / "docs/docsite/rst/guide_own_catalog.rst").read_text()
    block = guide.split(".. code-block:: yaml\n")[1].split(".. code-block::")[0]
    catalog = yaml.safe_load(block)["cluster_secrets_catalog"]
    values.write_vault({"smtp": {"user": "u", "password": CANARY}}, deployer.vault, deployer.password)
    deployer.play("bootstrap", variables={**PLAYS, "cluster_secrets_catalog": catalog})
    assert deployer.data("shop", "smtp") == {"SMTP_USER": "u", "SMTP_PASSWORD": CANARY}
    listed = deployer.request("GET", "/apis/external-secrets.io/v1/clusterexternalsecrets")["items"]
    assert [item["metadata"]["name"] for item in listed] == ["smtp"]
