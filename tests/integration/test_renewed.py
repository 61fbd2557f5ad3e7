# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Master Secrets that somebody else renews: distributed, never written back, and named."""

from __future__ import annotations

import base64
import json

import pytest
import yaml
from handmade import CENTRAL, distributed, ref
from support import another, leaked

from controlplane import values

ESO = "/apis/external-secrets.io/v1"
MASTER = f"/api/v1/namespaces/{CENTRAL}/secrets/site-tls"


def pair(number):
    return {
        key: base64.b64encode(f"{what} {number}".encode()).decode()
        for key, what in (("tls.crt", "CERT"), ("tls.key", "KEY"))
    }


def renew(platform, number):
    """What cert-manager does when it issues a certificate, and when it renews it: an apply, and no owner reference."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": "site-tls",
            "namespace": CENTRAL,
            "annotations": {"cert-manager.io/certificate-name": "site"},
        },
        "data": pair(number),
    }
    query = {"fieldManager": "cert-manager-certificates-issuing", "force": "true"}
    platform.client.request("PATCH", MASTER, query, body, "application/apply-patch+yaml")


@pytest.fixture(scope="module")
def site(platform):
    """A cluster by hand, whose one master Secret cert-manager made, and what adopt says of it."""
    with another(platform, "renewed") as own:
        playbook = own.folder / "eso.yml"
        role = {"hosts": "localhost", "gather_facts": False, "roles": ["platform.cluster_secrets.eso"]}
        playbook.write_text(yaml.safe_dump([role]))
        own.play(str(playbook))
        own.request("POST", "/api/v1/namespaces", {"metadata": {"name": CENTRAL}})
        own.request("POST", "/api/v1/namespaces", {"metadata": {"name": "web", "labels": {"secrets/site-tls": "true"}}})
        renew(own, 1)
        account = {"name": "external-secrets", "namespace": "external-secrets"}
        server = {
            "url": f"https://127.0.0.1:{own.plane.port}",
            "caProvider": {"type": "ConfigMap", "name": "kube-root-ca.crt", "key": "ca.crt", "namespace": "default"},
        }
        provider = {"remoteNamespace": CENTRAL, "server": server, "auth": {"serviceAccount": account}}
        rules = [
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectrulesreviews"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
        ]
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        own.request("POST", f"{rbac}/clusterroles", {"metadata": {"name": "by-hand"}, "rules": rules})
        bound = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "by-hand"}
        subjects = [{"kind": "ServiceAccount", **account}]
        body = {"metadata": {"name": "by-hand"}, "roleRef": bound, "subjects": subjects}
        own.request("POST", f"{rbac}/clusterrolebindings", body)
        typed = {"apiVersion": "external-secrets.io/v1"}
        store = {**typed, "kind": "ClusterSecretStore", "metadata": {"name": CENTRAL}}
        own.request("POST", f"{ESO}/clustersecretstores", {**store, "spec": {"provider": {"kubernetes": provider}}})
        target = {"name": "site-tls", "template": {"type": "kubernetes.io/tls"}}
        data = [ref(key, "site-tls", key) for key in ("tls.crt", "tls.key")]
        one = distributed("site-tls", "secrets/site-tls", target, data=data)
        own.request("POST", f"{ESO}/clusterexternalsecrets", {**typed, "kind": "ClusterExternalSecret", **one})
        own.eventually(lambda: own.secret("web", "site-tls"), what="the target")
        adopted = own.play("adopt", variables={"cluster_secrets_dest": "adopted"})
        yield own, ("-e", f"@{own.folder / 'adopted/cluster_secrets.yml'}"), adopted


def test_adopt_names_the_writer(site):
    own, _arguments, adopted = site
    assert "0 to be decided" in adopted.stdout and leaked(adopted.output) == []
    variables = yaml.safe_load((own.folder / "adopted/cluster_secrets.yml").read_text())
    assert variables["cluster_secrets_catalog"][0]["written_by"] == "cert-manager"
    report = (own.folder / "adopted/cluster_secrets_report.md").read_text()
    assert f"Secret {CENTRAL}/site-tls: cert-manager writes it, as its entry says; it is distributed" in report
    assert values.read_vault(own.folder / "adopted/cluster_secrets.vault.yml", own.password) == {}


def test_a_renewed_certificate_is_distributed_and_not_written_back(site):
    own, arguments, _adopted = site
    before = own.get(MASTER)["metadata"]["managedFields"]
    own.play("bootstrap", *arguments)
    assert own.get(MASTER)["metadata"]["managedFields"] == before
    for number, playbook, more in (
        (2, "bootstrap", {}),
        (3, "rotate", {"cluster_secrets_rotate_sources": "site-tls"}),
        (4, "rotate", {}),
    ):
        renew(own, number)
        audit = own.play("audit", *arguments, variables={"cluster_secrets_audit_fail_on": "never"}).stdout
        assert "stale" in audit and "look there" not in audit
        own.play(playbook, *arguments, variables=more)
        assert own.get(MASTER)["data"] == own.secret("web", "site-tls")["data"] == pair(number)
        assert own.play("bootstrap", *arguments).recap["changed"] == 0


def test_what_others_wrote_since_is_not_overwritten_unless_told(site):
    """Without the catalog's word for it, as for a Secret that somebody began to renew later."""
    own, arguments, _adopted = site
    catalog = yaml.safe_load((own.folder / "adopted/cluster_secrets.yml").read_text())["cluster_secrets_catalog"]
    del catalog[0]["written_by"]
    given = {"site-tls": {"tls.crt": "CERT 4", "tls.key": "KEY 4"}}
    said = {
        "cluster_secrets_catalog": catalog,
        "cluster_secrets_values_from": "variable",
        "cluster_secrets_values": given,
        "cluster_secrets_takeover": {},
    }

    def play(playbook, *mode, check=True, **answers):
        # What is said last counts.
        more = {**said, "cluster_secrets_takeover": answers}
        return own.play(playbook, *mode, *arguments, "-e", json.dumps(more), check=check)

    refused = play("bootstrap", check=False)
    assert refused.rc == 2 and "cert-manager owns it too and would undo a rotation" in refused.stdout, refused.stdout
    play("bootstrap", managers="overwrite")
    renew(own, 5)
    for playbook in ("bootstrap", "rotate"):
        for mode in (("--check",), ()):
            mark = own.mark()
            refused = play(playbook, *mode, check=False, managers="overwrite")
            assert refused.rc == 2 and own.writes(mark) == []
            assert "wrote tls.crt, tls.key since this collection did" in " ".join(refused.stdout.split())
    assert own.get(MASTER)["data"] == pair(5)
    play("rotate", managers="overwrite", values="overwrite")
    assert own.get(MASTER)["data"] == pair(4)
