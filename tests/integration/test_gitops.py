# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same objects as files: to GitOps and back, and a refresh that GitOps doesn't see."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import resource_of
from support import CANARY, another, leaked

from controlplane import values

CES = "/apis/external-secrets.io/v1/clusterexternalsecrets"
GITOPS = {"cluster_secrets_distribution_owner": "gitops", "cluster_secrets_guard_mode": "off"}


def documents(folder):
    names = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return [one for name in names for one in yaml.safe_load_all((folder / name).read_text())]


def apply(platform, folder):
    """Apply the files as Argo CD does it, server-side."""
    for one in documents(folder):
        meta = one["metadata"]
        path = resource_of(one["apiVersion"], one["kind"]).path(meta["name"], meta.get("namespace"))
        query = {"fieldManager": "argocd-controller", "force": "true"}
        platform.client.request("PATCH", path, query, one, "application/apply-patch+yaml")


@pytest.fixture(scope="module")
def gitops(platform):
    """A cluster with ESO and master Secrets, whose distribution Argo CD applied from rendered files."""
    with another(platform, "gitops") as own:
        playbook = own.folder / "seed.yml"
        seed = {"ansible.builtin.import_role": {"name": "platform.cluster_secrets.central_store", "tasks_from": "seed"}}
        play = {"hosts": "localhost", "gather_facts": False, "roles": ["platform.cluster_secrets.eso"]}
        playbook.write_text(yaml.safe_dump([{**play, "tasks": [{"name": "Seed", **seed}]}]))
        own.play(str(playbook))
        own.play("render", variables={"cluster_secrets_dest": "files"})
        apply(own, own.folder / "files")
        # ESO writes its finalizer on each, and with it what its types fill in.
        own.eventually(lambda: all("finalizers" in one["metadata"] for one in own.get(CES)["items"]), 60, "ESO's work")
        yield own


def test_files_hold_no_value_and_change_only_with_the_catalog(gitops):
    folder = gitops.folder / "files"
    kinds = [one["kind"] for one in documents(folder)]
    assert kinds.count("ClusterExternalSecret") == 7 and "Secret" not in kinds
    assert all(leaked(path.read_text()) == [] for path in folder.iterdir())
    for one in documents(folder):
        if one["kind"] == "Namespace":
            assert one["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
    mark = gitops.mark()
    assert gitops.play("render", variables={"cluster_secrets_dest": "files"}).recap["changed"] == 0
    more = {"cluster_secrets_dest": "files", "cluster_secrets_disabled": ["code-server-ssh-key"]}
    assert gitops.play("render", "--check", variables=more).recap["changed"] == 1
    assert gitops.writes(mark) == [] and len(documents(folder)) == len(kinds)


def test_files_can_be_rendered_without_a_cluster(gitops, catalog, tmp_path):
    result = gitops.module(
        "render", catalog=catalog, dest=str(tmp_path), api_version="v1", kubeconfig=tmp_path / "none"
    ).result
    assert result["changed_files"] == ["namespaces.yaml", "central-secret-store.yaml", "cluster-external-secrets.yaml"]


@pytest.mark.parametrize("owner", ["collection", "gitops"])
def test_a_bootstrap_of_what_gitops_applied_changes_nothing(gitops, owner):
    variables = {**GITOPS, "cluster_secrets_distribution_owner": owner}
    mark = gitops.mark()
    assert gitops.play("bootstrap", variables=variables).recap["changed"] == 0
    assert gitops.writes(mark) == []
    assert "17 targets are synced" in gitops.play("status", variables=variables).stdout


def test_what_gitops_owns_is_never_written(gitops):
    mark = gitops.mark()
    variables = {**GITOPS, "cluster_secrets_disabled": ["cloudflare-api-token"], "cluster_secrets_isolation": "entry"}
    for arguments in (("--check",), ()):
        outcome = gitops.play("bootstrap", *arguments, variables=variables, check=False)
        assert outcome.rc == 2 and gitops.writes(mark) == []
        assert "GitOps owns the distribution, and" in outcome.stdout
        assert "Commit what platform.cluster_secrets.render writes. None of them was written." in outcome.stdout
    # Its labels, too: GitOps would give them again.
    given = {"cluster_secrets_namespace": "cert-manager", "cluster_secrets_secret": "cloudflare-api-token"}
    for arguments in (("--check",), ()):
        outcome = gitops.play("offboard", *arguments, variables={**GITOPS, **given}, check=False)
        assert outcome.rc == 2 and gitops.writes(mark) == [], outcome.output
        assert "GitOps owns the distribution, and" in outcome.stdout


def test_a_rotation_leaves_what_gitops_compares_as_it_is(gitops):
    before = {one["metadata"]["name"]: one["metadata"]["generation"] for one in gitops.get(CES)["items"]}
    changed = {**gitops.values, "cloudflare-api-token": {"api-token": CANARY + "rotated"}}
    values.write_vault(changed, gitops.vault, gitops.password)
    outcome = gitops.play("rotate", variables=GITOPS)
    assert outcome.recap["changed"] == 2
    assert gitops.data("cert-manager", "cloudflare-api-token") == changed["cloudflare-api-token"]
    live = gitops.get(CES)["items"]
    assert {one["metadata"]["name"]: one["metadata"]["generation"] for one in live} == before
    assert not any((one["spec"].get("externalSecretMetadata") or {}).get("annotations") for one in live)


def test_the_way_back_removes_what_the_catalog_no_longer_says(gitops, catalog):
    """A difference makes the collection the owner of all fields, so that a key can go that Argo CD applied."""
    (one,) = (entry for entry in catalog if entry["name"] == "github-oauth-credentials")
    fewer = [{**one, "data": {"GITHUB_TOKEN": "token"}}]
    predicted = gitops.module("cluster_external_secrets", catalog=fewer, check_mode=True).result["changes"]
    assert gitops.module("cluster_external_secrets", catalog=fewer).result["changes"] == predicted
    template = gitops.get(f"{CES}/{one['name']}")["spec"]["externalSecretSpec"]["target"]["template"]
    assert list(template["data"]) == ["GITHUB_TOKEN"]
    assert not gitops.module("cluster_external_secrets", catalog=fewer).result["changed"]


def test_the_way_to_gitops_leaves_it_the_only_owner(platform, catalog, tmp_path):
    """What two managers applied, neither could remove."""
    with another(platform, "togitops") as p:
        p.play("bootstrap", variables={"cluster_secrets_guard_mode": "off"})
        p.play("render", variables={"cluster_secrets_dest": str(tmp_path)})
        apply(p, tmp_path)
        predicted = p.play("bootstrap", "--check", variables=GITOPS)
        outcome = p.play("bootstrap", variables=GITOPS)
        assert predicted.table == outcome.table != []
        mark = p.mark()
        assert p.play("bootstrap", variables=GITOPS).recap["changed"] == 0 and p.writes(mark) == []
        smaller = [
            {**one, "data": {"GITHUB_TOKEN": "token"}} if one["name"] == "github-oauth-credentials" else one
            for one in catalog
        ]
        p.module(
            "render",
            catalog=smaller,
            dest=str(tmp_path),
            format="kustomize",
            server_url=f"https://127.0.0.1:{p.plane.port}",
        )
        apply(p, tmp_path)
        template = p.get(f"{CES}/github-oauth-credentials")["spec"]["externalSecretSpec"]["target"]["template"]
        assert list(template["data"]) == ["GITHUB_TOKEN"]
        accepted = {"cluster_secrets_takeover": {"managers": "overwrite"}}
        p.play("bootstrap", variables=accepted)
        assert p.play("bootstrap").recap["changed"] == 0
