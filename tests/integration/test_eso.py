# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ESO that is installed: refused when vulnerable, hardened by default, and never at the cost of what works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import ansible_collections.kubernetes.core as kubernetes_core
import pytest
from support import COLLECTIONS, another

from controlplane import build

ESO = "/apis/external-secrets.io/v1"
PUSH_SECRETS = "/apis/external-secrets.io/v1alpha1/namespaces/default/pushsecrets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/external-secrets/deployments"
DEPLOYMENT = f"{DEPLOYMENTS}/external-secrets"
CLUSTER_ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
BUDGETS = "/apis/policy/v1/namespaces/external-secrets/poddisruptionbudgets"
HARDENED = (
    "--enable-push-secret-reconciler=false",
    "--enable-cluster-push-secret-reconciler=false",
    "--concurrent=8",
    "--client-qps=1000",
    "--client-burst=2000",
)


@pytest.fixture(scope="module")
def own(platform):
    """A control plane of its own, empty at first."""
    with another(platform, "eso") as own:
        yield own


@pytest.fixture(scope="module")
def release(own):
    """The advisories of the release under test; tests of a refusal need one."""
    found = own.module(
        "eso_release", chart=own.plane.ansible_variables()["cluster_secrets_eso_chart"], accept_vulnerable=True
    ).result["advisories"]
    return [one["id"] for one in found]


def make_push_secret(own, name):
    """A PushSecret that pushes nothing anywhere."""
    spec = {
        "selector": {"secret": {"name": "none"}},
        "secretStoreRefs": [{"name": "any"}],
        "data": [{"match": {"remoteRef": {"remoteKey": "x"}}}],
    }
    api = "external-secrets.io/v1alpha1"
    body = {"apiVersion": api, "kind": "PushSecret", "metadata": {"name": name}, "spec": spec}
    own.request("POST", PUSH_SECRETS, body)


def arguments(own):
    return own.get(DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0]["args"]


def test_a_vulnerable_release_is_refused_before_anything_is_written(own, release):
    if not release:
        pytest.skip("the release under test has no known vulnerability")
    strict = {"cluster_secrets_eso_allow": []}
    for mode in ([], ["--check"]):
        mark = own.mark()
        outcome = own.play("bootstrap", *mode, variables=strict, check=False)
        assert outcome.rc == 2 and own.writes(mark) == []
        assert "this chart installs External Secrets 0.20.3, which has known vulnerabilities" in outcome.stdout
        assert (
            "CVE-2026-22822 (the template function getSecretKey reads any Secret of the cluster; fixed in 1.2.0)"
            in outcome.stdout
        )
        assert "Use 2.9.0 or newer" in outcome.stdout
        assert "add 'vulnerable' to cluster_secrets_eso_allow" in outcome.stdout
    accepted = own.play("bootstrap", "--check")
    assert "[WARNING]" in accepted.output and "CVE-2026-22822" in accepted.output


def test_the_default_chart_has_no_known_vulnerability(own):
    import yaml
    from support import ROOT

    defaults = yaml.safe_load((ROOT / "roles/eso/defaults/main.yml").read_text())
    chart, version = defaults["cluster_secrets_eso_chart"], str(defaults["cluster_secrets_eso_chart_version"])
    result = own.module("eso_release", chart=chart, chart_version=version).result
    assert result["version"] == version == "2.9.0" and result["advisories"] == []


def test_what_a_hand_made_eso_serves_is_not_stopped(own):
    """An ESO as upstream's chart makes it, with PushSecrets and a store that needs a ServiceAccount's token."""
    soft = {
        "cluster_secrets_eso_allow": ["vulnerable", "push_secrets", "any_service_account", "aggregate_to_edit"]
        + ["aggregate_to_admin"],
        "cluster_secrets_eso_values": {**own.plane.ansible_variables()["cluster_secrets_eso_values"], "concurrent": 1},
    }
    own.play("bootstrap", variables=soft)
    assert not [flag for flag in HARDENED if flag in arguments(own) and "client" not in flag]
    labels = own.get(f"{CLUSTER_ROLES}/external-secrets-edit")["metadata"]["labels"]
    assert (
        labels["rbac.authorization.k8s.io/aggregate-to-edit"]
        == labels["rbac.authorization.k8s.io/aggregate-to-admin"]
        == "true"
    )
    make_push_secret(own, "mine")
    auth = {"kubernetes": {"mountPath": "k", "role": "r", "serviceAccountRef": {"name": "default"}}}
    vault = {"server": "http://127.0.0.1:1", "path": "x", "auth": auth}
    store = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore",
        "metadata": {"name": "theirs"},
        "spec": {"provider": {"vault": vault}},
    }
    own.request("POST", f"{ESO}/namespaces/default/secretstores", store)
    mark = own.mark()
    outcome = own.play("bootstrap", check=False)
    assert outcome.rc == 2 and own.writes(mark) == []
    assert (
        "PushSecrets would no longer be processed: PushSecret default/mine. Add "
        "'push_secrets' to cluster_secrets_eso_allow" in outcome.stdout
    )
    # A chart that knows the switch would take the token away as well.
    values = {"rbac": {"serviceAccountTokenCreate": False}}
    refused = own.module(
        "eso_release", chart="external-secrets", chart_version="2.9.0", values=values, check=False
    ).result
    assert "the ServiceAccount tokens of these stores: SecretStore default/theirs" in refused["msg"]
    assert (
        own.module("eso_release", chart="external-secrets", chart_version="2.9.0", values={}).result["advisories"] == []
    )
    own.delete(f"{PUSH_SECRETS}/mine")
    own.delete(f"{ESO}/namespaces/default/secretstores/theirs")


def test_it_is_hardened_by_default_and_tenants_cant_block_a_bootstrap(own):
    own.play("bootstrap")
    for flag in HARDENED:
        assert flag in arguments(own), flag
    labels = own.get(f"{CLUSTER_ROLES}/external-secrets-edit")["metadata"]["labels"]
    assert "rbac.authorization.k8s.io/aggregate-to-edit" not in labels
    assert own.get(DEPLOYMENT)["spec"]["replicas"] == 1
    # What is switched off stays off, whatever objects a tenant makes.
    make_push_secret(own, "late")
    assert own.play("bootstrap").recap["changed"] == 0
    own.delete(f"{PUSH_SECRETS}/late")


def test_a_helm_that_kubernetes_core_can_not_drive_is_refused_before_anything_is_changed(own, tmp_path):
    """As kubernetes.core 6.2 can't drive helm 4."""
    core = tmp_path / "ansible_collections/kubernetes/core"
    core.mkdir(parents=True)
    for one in ("meta", "plugins"):
        (core / one).symlink_to(Path(kubernetes_core.__path__[0]) / one)
    (core / "MANIFEST.json").write_text(json.dumps({"collection_info": {"version": "6.2.0"}}))
    found = {"ANSIBLE_COLLECTIONS_PATH": f"{tmp_path}:{COLLECTIONS}"}
    shim = tmp_path / "helm"
    shim.write_text("#!/bin/sh\necho v4.3.2\n")
    shim.chmod(0o755)
    variables = {"cluster_secrets_eso_helm_binary": str(shim)}
    mark = own.mark()
    for playbook, more in (
        ("bootstrap", {"cluster_secrets_eso_values": {"revisionHistoryLimit": 3}}),
        ("teardown", {"cluster_secrets_teardown_eso": True}),
    ):
        for arguments in (("--check",), ()):
            refused = own.play(playbook, *arguments, variables={**variables, **more}, check=False, **found)
            assert refused.rc == 2 and own.writes(mark) == []
            assert "helm 4.3.2" in refused.output and "needs kubernetes.core 6.5 or newer, and" in refused.output


def test_helm_is_asked_only_when_its_record_differs(own):
    """What is no program would fail, if it were started."""
    none = {"cluster_secrets_eso_helm_binary": "/none/helm"}
    mark = own.mark()
    assert own.play("bootstrap", variables=none).recap["changed"] == 0 and own.writes(mark) == []
    assert own.play("bootstrap", "--check", variables=none).recap["changed"] == 0
    other = own.play(
        "bootstrap", variables={**none, "cluster_secrets_eso_values": {"revisionHistoryLimit": 3}}, check=False
    )
    assert other.rc == 2 and "/none/helm was not found, and it is needed to install External Secrets" in other.stdout
    assert own.writes(mark) == []
    secrets = "/api/v1/namespaces/external-secrets/secrets"
    (record,) = [
        item["metadata"] for item in own.get(f"{secrets}?labelSelector=owner%3Dhelm%2Cstatus%3Ddeployed")["items"]
    ]
    path = f"{secrets}/{record['name']}"
    # As an interruption leaves it; then somebody's own upgrade to other values.
    own.patch(path, {"metadata": {"labels": {"status": "pending-upgrade"}}})
    assert own.play("bootstrap", variables=none, check=False).rc == 2
    own.play("bootstrap")
    assert own.play("bootstrap", variables=none).recap["changed"] == 0
    # A vendored chart whose ESO is another one, under the same version.
    chart = own.folder / "chart"
    shutil.copytree(own.plane.ansible_variables()["cluster_secrets_eso_chart"], chart)
    text = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(re.sub(r"(?m)^appVersion:.*$", "appVersion: v0.20.99", text))
    asked = own.play("bootstrap", variables={**none, "cluster_secrets_eso_chart": str(chart)}, check=False)
    assert asked.rc == 2 and "/none/helm was not found" in asked.stdout


def test_a_release_that_others_made_is_not_replaced_unasked(own):
    """Somebody's own helm upgrade, with values that ESO needs on his nodes."""
    path = own.folder / "theirs.json"
    ours = own.plane.ansible_variables()["cluster_secrets_eso_values"]
    path.write_text(json.dumps({**ours, "podAnnotations": {"team": "platform"}, "revisionHistoryLimit": 4}))
    chart = own.plane.ansible_variables()["cluster_secrets_eso_chart"]
    command = ["helm", "upgrade", "external-secrets", chart]
    command += ["--namespace", "external-secrets", "--reset-values", "--values", str(path), "--wait"]
    environment = {**os.environ, **own.environment}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    for mode in ([], ["--check"]):
        mark = own.mark()
        refused = own.play("bootstrap", *mode, check=False)
        assert refused.rc == 2 and own.writes(mark) == []
        said = " ".join(refused.stdout.replace("\\n", " ").split())
        assert "helm's release external-secrets: it has the chart " in said
        assert "drop its values podAnnotations.team, revisionHistoryLimit" in said
        assert "cluster_secrets_eso_method: existing" in said and "operator: overwrite" in said
    existing = own.play("bootstrap", variables={"cluster_secrets_eso_method": "existing"})
    assert existing.recap["failed"] == 0 and own.get(DEPLOYMENT)["spec"]["revisionHistoryLimit"] == 4
    own.play("bootstrap", variables={"cluster_secrets_takeover": {"operator": "overwrite"}})
    assert own.get(DEPLOYMENT)["spec"]["revisionHistoryLimit"] != 4
    assert own.play("bootstrap").recap["changed"] == 0
    # By kubectl there is no release at all.
    secrets = "/api/v1/namespaces/external-secrets/secrets"
    records = own.get(f"{secrets}?labelSelector=owner%3Dhelm")["items"]
    for one in records:
        own.delete(f"{secrets}/{one['metadata']['name']}")
    mark = own.mark()
    refused = own.play("bootstrap", check=False)
    assert refused.rc == 2 and own.writes(mark) == []
    assert "helm has no release 'external-secrets' there" in refused.stdout
    for one in records:
        meta = {key: one["metadata"][key] for key in ("name", "labels")}
        own.request("POST", secrets, {"metadata": meta, "type": one["type"], "data": one["data"]})
    assert own.play("bootstrap").recap["changed"] == 0


@pytest.mark.skipif(build.helm() != build.HELM, reason="helm 3 takes what others changed without asking")
def test_what_somebody_else_changed_is_named_before_helm_stops_at_it(own):
    """And both ways out that are named work."""
    own.play("bootstrap")
    values = own.plane.ansible_variables()["cluster_secrets_eso_values"]
    step = {"release": build.eso_release().lstrip("v"), "chart": str(build.eso_chart()), "crds": str(build.eso_crds())}
    changed = {"cluster_secrets_eso_values": {**values, "revisionHistoryLimit": 3}}

    def edit():
        query = {"fieldManager": "kubectl-scale"}
        kind = "application/merge-patch+json"
        own.client.request("PATCH", DEPLOYMENT, query, {"spec": {"replicas": 2}}, kind)

    edit()
    for mode in (["--check"], []):
        mark = own.mark()
        refused = own.play("bootstrap", *mode, variables=changed, check=False)
        assert refused.rc == 2 and own.writes(mark) == [], refused.output
        for text in ("Deployment external-secrets: ", 'conflict with \\"kubectl-scale\\"', ".spec.replicas"):
            assert text in refused.stdout, refused.stdout
        assert "cluster_secrets_eso_force_conflicts: true" in refused.stdout
    found = own.module("eso_upgrade_check", steps=[step], check=False).result
    assert [one["object"] for one in found["problems"] if one["check"] == "conflicts"] == [
        "Deployment external-secrets"
    ]
    assert own.module("eso_upgrade_check", steps=[step], force_conflicts=True).result["problems"] == []
    chart = own.folder / "invalid"
    shutil.copytree(step["chart"], chart)
    (chart / "templates/bad.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}\n")
    refused = own.module(
        "eso_upgrade_check", steps=[{**step, "chart": str(chart)}], force_conflicts=False, accept=[], check=False
    ).result["problems"]
    assert any(one["object"] == "ConfigMap Bad_Name" and "would refuse it" in one["message"] for one in refused)
    way = own.module("eso_upgrade_steps", chart=step["chart"], crds=step["crds"], accept_vulnerable=True).result
    own.play("bootstrap", variables={**changed, "cluster_secrets_eso_force_conflicts": True})
    spec = own.get(DEPLOYMENT)["spec"]
    assert spec["replicas"] == 1 and spec["revisionHistoryLimit"] == 3
    edit()
    back = subprocess.run(
        way["rollback"].split(), env=own.environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert back.returncode == 0, back.stderr
    assert own.get(DEPLOYMENT)["spec"]["revisionHistoryLimit"] != 3
    assert own.play("bootstrap").recap["changed"] == 0


def test_going_back_after_an_upgrade_that_failed(own):
    """helm's last good record is of just what is wanted then, and the Deployment is the failed one's."""
    values = own.plane.ansible_variables()["cluster_secrets_eso_values"]
    pod = {"restartPolicy": "Never", "containers": [{"name": "any", "image": "any"}]}
    # helm applies jobs after Deployments, and the API server refuses the name.
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "Bad_Name"},
        "spec": {"template": {"spec": pod}},
    }
    other = {**values, "revisionHistoryLimit": 3, "extraObjects": [job]}
    failed = own.play("bootstrap", variables={"cluster_secrets_eso_values": other}, check=False)
    assert failed.rc == 2 and "helm failed" in failed.stdout
    assert own.get(DEPLOYMENT)["spec"]["revisionHistoryLimit"] == 3
    predicted = own.play("bootstrap", "--check")
    outcome = own.play("bootstrap")
    assert own.get(DEPLOYMENT)["spec"]["revisionHistoryLimit"] != 3
    assert predicted.recap["changed"] == outcome.recap["changed"] == 2
    assert own.play("bootstrap").recap["changed"] == 0


def test_the_preset_for_high_availability(own):
    """Two replicas each, spread, and no drain that takes both."""
    preset = {"cluster_secrets_eso_high_availability": True}
    own.play("bootstrap", variables=preset)
    spec = own.get(DEPLOYMENT)["spec"]
    spread = spec["template"]["spec"]["topologySpreadConstraints"][0]
    assert spec["replicas"] == 2 and "--enable-leader-election=true" in arguments(own)
    assert spread["topologyKey"] == "kubernetes.io/hostname" and spread["labelSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": "external-secrets"
    }
    budgets = own.request("GET", BUDGETS)["items"]
    assert [item["spec"]["minAvailable"] for item in budgets] == [1]
    assert own.play("bootstrap", variables=preset).recap["changed"] == 0
    assert "17 targets are synced" in own.play("status").stdout
    own.play("bootstrap")
    assert own.get(DEPLOYMENT)["spec"]["replicas"] == 1 and own.request("GET", BUDGETS)["items"] == []


def test_the_webhook_of_the_preset(own):
    """The embedded control plane has no service network for the webhook; its objects are rendered by the API server all
    the same."""
    values = {**own.plane.ansible_variables()["cluster_secrets_eso_values"], "webhook": {"create": True}}
    preset = {"cluster_secrets_eso_high_availability": True, "cluster_secrets_eso_values": values}
    try:
        own.play("bootstrap", variables=preset, check=False)
        spec = own.get(f"{DEPLOYMENTS}/external-secrets-webhook")["spec"]
        assert spec["replicas"] == 2
        spread = spec["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]
        assert spread == {"app.kubernetes.io/name": "external-secrets-webhook"}
        assert sorted(item["spec"]["minAvailable"] for item in own.request("GET", BUDGETS)["items"]) == [1, 1]
    finally:
        for item in own.request("GET", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations")[
            "items"
        ]:
            own.delete(
                f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{item['metadata']['name']}"
            )
        own.play("bootstrap")


def test_an_eso_that_is_there_is_checked_too(own, release):
    existing = {"cluster_secrets_eso_method": "existing", "cluster_secrets_eso_allow": []}
    if release:
        outcome = own.play("bootstrap", variables=existing, check=False)
        assert (
            outcome.rc == 2
            and "the cluster runs External Secrets 0.20.3, which has known vulnerabilities" in outcome.stdout
        )
    assert own.play("bootstrap", variables={"cluster_secrets_eso_method": "existing"}).recap["changed"] == 0


def test_an_unknown_release_is_called_unknown(own, catalog):
    image = own.get(DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0]["image"]

    def use(name):
        container = {"name": "external-secrets", "image": name}
        own.request(
            "PATCH",
            DEPLOYMENT,
            {"spec": {"template": {"spec": {"containers": [container]}}}},
            "application/strategic-merge-patch+json",
        )

    digest = "example.org/eso@sha256:" + "0" * 64
    use(digest)
    try:
        info = own.module("eso_info").result
        assert (
            info["version"] is None
            and info["advisories"] == []
            and "named by a digest" in info["version_problem"]
            and info["image"] == digest
        )
        found = {(one["check"], one["severity"]) for one in own.module("audit", catalog=catalog).result["findings"]}
        assert ("eso-release-unknown", "warning") in found and "vulnerable-eso" not in {
            check for check, _severity in found
        }
        warned = own.play(
            "bootstrap",
            variables={"cluster_secrets_eso_method": "existing", "cluster_secrets_eso_allow": []},
        )
        assert "is unknown" in warned.output
    finally:
        use(image)
        own.play("bootstrap")


def test_another_namespace_and_release_name_are_honoured(platform):
    """Said once, as every other role and playbook reads it; with helm 3 from the first bootstrap to teardown."""
    with another(platform, "odd", helm=build.HELM_3) as odd:
        folder = odd.folder
        names = {
            "cluster_secrets_eso_namespace": "secrets-system",
            "cluster_secrets_eso_release": "eso",
            "cluster_secrets_guard_mode": "enforce",
        }
        names |= {
            "cluster_secrets_store": "vaultless",
            "cluster_secrets_store_namespace": "masters",
            "cluster_secrets_isolation": "entry",
        }
        names |= {"cluster_secrets_snapshot_dir": str(folder), "cluster_secrets_audit_fail_on": "never"}
        odd.play("bootstrap", variables=names)
        assert odd.play("bootstrap", variables=names).recap["changed"] == 0
        binding = odd.get(
            "/apis/rbac.authorization.k8s.io/v1/namespaces/masters/rolebindings/central-secret-store-token-request"
        )
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "eso-external-secrets", "namespace": "secrets-system"}
        ]
        upgrades = ("talos_upgrade_pre", "talos_upgrade_gate", "talos_upgrade_post", "eso_upgrade")
        for playbook in ("status", "rotate", "audit", *upgrades):
            odd.play(
                playbook,
                variables={**names, "cluster_secrets_verify_refresh": "always"} if playbook == "rotate" else names,
            )
        odd.play(
            "onboard",
            variables={
                **names,
                "cluster_secrets_namespace": "team",
                "cluster_secrets_namespaces_missing": "create",
                "cluster_secrets_secret": ["cloudflare-api-token"],
            },
        )
        odd.play("teardown", variables={**names, "cluster_secrets_teardown_eso": True})
        assert odd.get("/apis/apps/v1/namespaces/secrets-system/deployments/eso-external-secrets") is None
        assert odd.request("GET", f"{ESO}/clustersecretstores")["items"] == []
        assert odd.request("GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/masters/roles")["items"] == []


def test_a_cluster_without_admission_policies_gets_one_sentence(platform):
    """As before Kubernetes 1.30."""
    off = [
        f"admissionregistration.k8s.io/v1/{kind}=false"
        for kind in ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    ]
    flags = (f"--runtime-config={','.join(off)}", "--disable-admission-plugins=ValidatingAdmissionPolicy")
    with another(platform, "before-policies", flags) as bare:
        outcome = bare.play("bootstrap")
        assert "this cluster has no ValidatingAdmissionPolicies" in outcome.output
        assert bare.play("bootstrap").recap["changed"] == 0
        bare.play("audit", variables={"cluster_secrets_audit_fail_on": "never"})
        bare.play("teardown")
