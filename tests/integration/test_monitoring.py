# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit for machines: OpenMetrics and JUnit, alerts and a dashboard, and the least that may run it."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from xml.etree import ElementTree

import pytest
import yaml
from broken import namespace_unlabelled
from prometheus_client.openmetrics.parser import text_string_to_metric_families as families_of
from support import RBAC, ROOT, leaked

from controlplane import build, cluster

MONITORING = ROOT / "extensions/monitoring"
ACCOUNT = "/api/v1/namespaces/external-secrets/serviceaccounts"


def rules():
    return yaml.safe_load((MONITORING / "prometheus-rules.yml").read_text())["spec"]


def expressions():
    """Those of the dashboard."""
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def checked(folder, spec, lines):
    path = folder / "rules.yml"
    path.write_text(yaml.safe_dump(spec))
    program = build.ensure(("promrules",))["promrules"]
    return subprocess.run([program, path], input="\n".join(lines), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def reports(bootstrapped):
    """An audit with a namespace that lost its label: its output, the metrics, the JUnit file."""
    metrics, junit = bootstrapped.folder / "audit.prom", bootstrapped.folder / "audit.xml"
    variables = {"cluster_secrets_report": [str(metrics), str(junit)]}
    with namespace_unlabelled(bootstrapped):
        done = bootstrapped.play("audit", variables=variables, check=False)
    return done.output, metrics.read_text(), junit.read_text()


def samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families_of(text)
        for sample in family.samples
    }


def test_open_metrics(reports, bootstrapped):
    output, text, _junit = reports
    found = samples(text)
    assert found["cluster_secrets_targets", (("status", "synced"),)] == 16
    assert found["cluster_secrets_targets", (("status", "unlabelled"),)] == 1
    assert found["cluster_secrets_targets", (("status", "stale"),)] == 0
    assert found["cluster_secrets_findings", (("check", "unlabelled"), ("severity", "warning"))] == 1
    sources = {dict(labels)["source"] for name, labels in found if name.startswith("cluster_secrets_value_changed")}
    assert sources == set(bootstrapped.values)
    assert leaked(output + text) == []


def test_junit(reports):
    _output, _text, junit = reports
    suites = {one.get("name"): one for one in ElementTree.fromstring(junit)}
    targets = suites["cluster-secrets.targets"]
    # A warning, which fails the run with fail_on: warning only.
    assert (targets.get("tests"), targets.get("failures")) == ("17", "0")
    (mild,) = [one for one in targets if one.find("system-out") is not None]
    assert mild.get("name") == "cert-manager/cloudflare-api-token"
    failed = [one.get("classname") for one in suites["cluster-secrets.findings"] if one.find("failure") is not None]
    assert set(failed) == {"findings.error"}
    names = [one.get("name") for one in suites["cluster-secrets.findings"]]
    assert "unlabelled cert-manager/cloudflare-api-token" in names
    assert leaked(junit) == []


def test_prometheus_reads_the_rules_and_the_dashboard(tmp_path):
    done = checked(tmp_path, rules(), expressions())
    assert done.returncode == 0 and "cluster-secrets: 5 rules" in done.stdout, done.stdout + done.stderr
    assert len(expressions()) == 13
    wrong = rules()
    wrong["groups"][0]["rules"][0]["expr"] = "sum("
    assert checked(tmp_path, wrong, []).returncode == 1
    assert checked(tmp_path, rules(), ["sum("]).returncode == 1


def test_every_metric_exists(reports, bootstrapped):
    """Those of the audit in its file, those of ESO at the real controller, with the labels that are asked for."""
    platform = bootstrapped
    if not platform.plane:
        pytest.skip("needs the embedded control plane's controller")
    path = "/apis/external-secrets.io/v1/namespaces/default/externalsecrets"
    store = {"kind": "ClusterSecretStore", "name": "central-secret-store"}
    spec = {"secretStoreRef": store, "data": [{"secretKey": "a", "remoteRef": {"key": "none"}}]}
    body = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "refused"}}
    platform.request("POST", path, {**body, "spec": spec})
    try:
        pid = int((platform.plane.run / "external-secrets.pid").read_text())
        address = re.search(r"--metrics-addr=(\S+)", cluster.command_line(pid))[1]

        def scraped():
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
                text = answer.read().decode()
            return text if 'externalsecret_sync_calls_error{name="refused"' in text else None

        eso = platform.eventually(scraped, what="ESO's metric of an error")
    finally:
        platform.delete(f"{path}/refused")
    there = eso + reports[1]
    used = [rule["expr"] for group in rules()["groups"] for rule in group["rules"]] + expressions()
    named = {name for one in used for name in re.findall(r"\b(?:[a-z]+_)+[a-z]+\b(?=[\[{)\s]|$)", one)}
    named = {name for name in named if "_" in name and name not in ("histogram_quantile",)}
    assert len(named) >= 10
    absent = {name for name in named if not re.search(rf"^{name}(\{{| )", there, re.MULTILINE)}
    # No certificate and no rotate_after is in the default catalog.
    due = {"cluster_secrets_value_ends_timestamp_seconds", "cluster_secrets_rotation_due_timestamp_seconds"}
    assert absent <= due and all(f"# TYPE {name} gauge" in there for name in due)
    for kind in ("externalsecret", "clusterexternalsecret", "clustersecretstore"):
        assert re.search(rf'^{kind}_status_condition\{{[^}}]*condition="Ready"[^}}]*status="', eso, re.MULTILINE), kind
    assert 'controller_runtime_active_workers{controller="externalsecret"}' in eso


@pytest.fixture
def auditor(bootstrapped):
    """docs/permissions-audit.yml, as it stands there; ``limit`` leaves some of its rules."""
    manifests = yaml.safe_load((ROOT / "docs/permissions-audit.yml").read_text())["items"]
    account, role, binding, local_role, local_binding = manifests
    local = f"{RBAC}/namespaces/external-secrets"
    paths = {ACCOUNT: account, f"{RBAC}/clusterroles": role, f"{RBAC}/clusterrolebindings": binding}
    paths |= {f"{local}/roles": local_role, f"{local}/rolebindings": local_binding}
    for path, manifest in paths.items():
        bootstrapped.request("POST", path, manifest)

    class Auditor:
        rules = role["rules"]
        kubeconfig = bootstrapped.plane.token_kubeconfig(
            "external-secrets", account["metadata"]["name"], bootstrapped.folder / "auditor.kubeconfig"
        )

        def limit(self, kept):
            bootstrapped.patch(f"{RBAC}/clusterroles/cluster-secrets-audit", {"rules": kept})

        def play(self, name, *arguments, **variables):
            environment = {"KUBECONFIG": str(self.kubeconfig), "K8S_AUTH_KUBECONFIG": str(self.kubeconfig)}
            return bootstrapped.play(name, *arguments, variables=variables, check=False, **environment)

    yield Auditor()
    for path, manifest in reversed(paths.items()):
        bootstrapped.delete(f"{path}/{manifest['metadata']['name']}")


def test_these_permissions_are_enough_to_watch_and_none_is_too_many(bootstrapped, auditor):
    pair = ("-e", "cluster_secrets_namespace=backstage", "-e", "cluster_secrets_secret=gh-oauth")
    never = {"cluster_secrets_audit_fail_on": "never"}
    bootstrapped.play("bootstrap")
    whole = auditor.play("audit", **never)
    assert whole.rc == 0 and "WARNING" not in whole.output, whole.output
    assert auditor.play("status").rc == 0
    assert " info " in auditor.play("logs", "-e", "cluster_secrets_logs_lines=5").stdout
    explained = auditor.play("explain", *pair)
    assert explained.rc == 0 and "\n?" not in explained.stdout, explained.stdout
    for position, rule in enumerate(auditor.rules):
        if rule["apiGroups"] == ["cert-manager.io"] or rule["resources"] == ["events"]:
            continue  # not installed here; asked for a target that fails
        auditor.limit(auditor.rules[:position] + auditor.rules[position + 1 :])
        if rule["verbs"] == ["get"] or {"endpointslices", "validatingwebhookconfigurations"} & set(rule["resources"]):
            done = auditor.play("explain", *pair)
            assert done.rc or "\n?" in done.stdout, rule
        else:
            done = auditor.play("audit", **never)
            assert done.rc or "consumers are not looked at" in done.output or "eso-release-unknown" in done.stdout, rule


def test_without_a_permission_for_values(bootstrapped, auditor):
    kept = [one for one in auditor.rules if "secrets" not in one["resources"]]
    auditor.limit(kept)
    unread = {"cluster_secrets_read_values": False}
    audit = auditor.play("audit", cluster_secrets_audit_fail_on="never", **unread)
    assert audit.rc == 0, audit.output
    assert not {"missing-source", "stale", "missing", "missing-label"} & set(
        re.findall(r"[a-z]+-?[a-z]+", audit.stdout)
    )
    assert "17 targets are synced" in auditor.play("status", **unread).stdout
    with namespace_unlabelled(bootstrapped):
        done = auditor.play("status", **unread)
        assert done.rc == 2 and "unlabelled" in done.stdout
    assert auditor.play("status").rc == 2


def test_the_log_shows_no_value_that_eso_quotes(bootstrapped, auditor):
    value = json.dumps({"token": bootstrapped.values["github-pat"]["token"]})
    message = {"level": "error", "ts": 1, "msg": "could not parse %s" % json.dumps(value), "error": "no: %s" % value}
    with bootstrapped.plane.log("external-secrets").open("a") as log:
        log.write(json.dumps(message) + "\n")
    few = ("-vvv", "-e", "cluster_secrets_logs_lines=5")
    masked = auditor.play("logs", *few)
    assert masked.rc == 0 and "could not parse" in masked.stdout and not leaked(masked.output), masked.output
    # Whoever may not read values sees the log as it is, as with kubectl.
    auditor.limit([one for one in auditor.rules if "secrets" not in one["resources"]])
    assert auditor.play("logs", *few).rc == 0
