# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tenant who may create namespaces was there first: he made those of the central store and of ESO, and waits."""

from __future__ import annotations

import pytest
from support import RBAC, RBAC_GROUP, ApiError, Client, another, connection

CENTRAL, ESO = "central-secret-store", "external-secrets"
READER = "central-secret-store-reader"
#: What the collection puts on its own objects; anyone may.
OURS = {"app.kubernetes.io/managed-by": "platform.cluster_secrets"}


def binding(name, subject):
    role = {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": "view"}
    return {"metadata": {"name": name, "labels": OURS}, "roleRef": role, "subjects": [subject]}


def cron_job():
    container = {"name": "main", "image": "loot:1"}
    pod = {"restartPolicy": "Never", "containers": [container]}
    template = {"spec": {"template": {"spec": pod}}}
    return {"metadata": {"name": "nightly"}, "spec": {"schedule": "0 3 * * *", "jobTemplate": template}}


@pytest.fixture(scope="module")
def squatted(platform):
    with another(platform, "squatted") as own:
        mine = {"kind": "User", "apiGroup": RBAC_GROUP, "name": "tenant"}
        for name in (CENTRAL, ESO):
            own.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": OURS}})
            own.request("POST", f"{RBAC}/namespaces/{name}/rolebindings", binding("mine", mine))
            # By the name that the run will write itself, in one of the two.
            own.request("POST", f"{RBAC}/namespaces/{name}/rolebindings", binding(READER, mine))
        own.request("POST", f"/apis/batch/v1/namespaces/{CENTRAL}/cronjobs", cron_job())
        for namespace, name in ((CENTRAL, READER), (ESO, "external-secrets")):
            account = {"metadata": {"name": name, "labels": OURS}}
            own.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
        yield own


def test_a_bootstrap_stops_before_its_first_write_and_names_all_of_it(squatted):
    hook = {
        "name": "sees.everything.example",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["CREATE"]}],
    }
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    squatted.request("POST", path, {"metadata": {"name": "sees"}, "webhooks": [hook]})
    try:
        for arguments in (("--check",), ()):
            mark = squatted.mark()
            outcome = squatted.play("bootstrap", *arguments, check=False)
            said = " ".join(outcome.output.split())
            assert outcome.rc == 2 and squatted.writes(mark) == []
            for text in (
                f"access: RoleBinding {CENTRAL}/mine: it gives User 'tenant' permissions",
                f"access: RoleBinding {ESO}/mine: it gives User 'tenant' permissions",
                f"access: RoleBinding {CENTRAL}/{READER}: it gives User 'tenant' permissions",
                f"access: RoleBinding {ESO}/{READER}: it gives User 'tenant' permissions",
                f"access: ServiceAccount {ESO}/external-secrets: it was there before",
                f"access: ServiceAccount {CENTRAL}/{READER}: it was there before",
                f"access: CronJob {CENTRAL}/nightly: it runs in namespace",
                "access: MutatingWebhookConfiguration sees: the API server would send it",
                "access: accept",
            ):
                assert text in said, text
    finally:
        squatted.delete(f"{path}/sees")


def test_nothing_is_restored_where_somebody_else_can_read_it(squatted, bootstrapped):
    backup = squatted.folder / "before.vault.yml"
    bootstrapped.play("backup", "-e", f"cluster_secrets_backup_file={backup}")
    uid = squatted.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    variables = {"cluster_secrets_backup_file": str(backup), "cluster_secrets_restore_into": uid}
    mark = squatted.mark()
    password = ("--vault-password-file", str(bootstrapped.password))
    refused = squatted.play("restore", *password, variables=variables, check=False)
    assert refused.rc == 2 and squatted.writes(mark) == []
    said = " ".join(refused.output.split())
    assert f"access: RoleBinding {CENTRAL}/mine: it gives User 'tenant' permissions" in said, said


def test_nothing_is_rotated_where_nothing_would_read_it(squatted):
    for arguments in (("--check",), ()):
        mark = squatted.mark()
        refused = squatted.play("rotate", *arguments, check=False)
        assert refused.rc == 2 and squatted.writes(mark) == []
        assert "has no ClusterSecretStore central-secret-store, so nothing would read the values" in refused.stdout


def test_what_is_the_platforms_is_no_reason_to_stop(squatted):
    variables = {"cluster_secrets_platform_users": ["tenant"]}
    outcome = squatted.play("bootstrap", "--check", variables=variables, check=False)
    assert "access: RoleBinding" not in outcome.output and "CronJob" in outcome.output


def test_a_token_of_the_reader_from_before_ends(squatted):
    """Once accepted, a bootstrap goes on; whoever holds a token of the ServiceAccount that it reads by has nothing."""
    path = squatted.plane.token_kubeconfig(CENTRAL, READER, squatted.folder / "reader.kubeconfig")
    before = Client(connection({"kubeconfig": str(path)}))
    # A binding of the run's own that binds another role, nobody can change.
    variables = {"cluster_secrets_takeover": {"access": "accept"}}
    refused = squatted.play("bootstrap", variables=variables, check=False)
    assert refused.rc == 2 and f"stores: RoleBinding {CENTRAL}/{READER}" in refused.stdout
    squatted.delete(f"{RBAC}/namespaces/{CENTRAL}/rolebindings/{READER}")
    # helm takes over nothing that it has not made.
    squatted.delete(f"/api/v1/namespaces/{ESO}/serviceaccounts/external-secrets")
    predicted = squatted.play("bootstrap", "--check", variables=variables)
    done = squatted.play("bootstrap", variables=variables)
    assert predicted.table == done.table != []
    with pytest.raises(ApiError) as refused:
        before.get(f"/api/v1/namespaces/{CENTRAL}/secrets/github-pat")
    assert refused.value.status == 401
    mark = squatted.mark()
    # The store is there now, and the audit watches.
    assert squatted.play("bootstrap").recap["changed"] == 0 and squatted.writes(mark) == []
    found = squatted.module("audit", catalog=[], store_namespace=CENTRAL).result["findings"]
    assert found
