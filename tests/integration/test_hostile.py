# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that a tenant writes ends a command: it is named, and everything else goes on."""

from __future__ import annotations

import base64
import json

import pytest
from support import ApiError, another, leaked

from controlplane import values
from soak import fuzz

ESO = "/apis/external-secrets.io"
CENTRAL = "central-secret-store"


def raw(platform, method, path, text, content_type="application/json"):
    """A request whose body is too deep for Python's own encoder."""
    pool, headers = platform.client._pool, platform.client._headers.copy()
    headers["Content-Type"] = content_type
    answer = pool.request(method, platform.client.server + path, body=text, headers=headers)
    assert answer.status < 300, answer.data[:500]


def deep_text(levels, key="f:a"):
    return '{"%s":' % key * levels + "{}" + "}" * levels


MANAGED = (
    '{"manager":"m","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","time":"%s",'
    '"fieldsV1":{"f:data":%s}}'
)


def secret(name, labels, time, levels):
    record = MANAGED % (time, deep_text(levels))
    meta = '{"name":"%s","labels":%s,"managedFields":[%s]}' % (name, json.dumps(labels), record)
    return '{"apiVersion":"v1","kind":"Secret","metadata":%s,"data":{"k":"%s"}}' % (
        meta,
        base64.b64encode(b"tenant").decode(),
    )


@pytest.fixture(scope="module")
def hostile(platform):
    """A bootstrapped cluster with one tenant who has tried everything."""
    with another(platform, "hostile") as own:
        own.play("bootstrap")
        own.request("POST", "/api/v1/namespaces", {"metadata": {"name": "evil"}})
        secrets = "/api/v1/namespaces/evil/secrets"
        both = {"reconcile.external-secrets.io/managed": "true", "managed-by": "external-secrets"}
        raw(own, "POST", secrets, secret("deep", {}, "2026-01-01T00:00:00Z", 3000))
        raw(own, "POST", secrets, secret("deep-and-labelled", both, "2026-01-01T00:00:00Z", 3000))
        raw(own, "POST", secrets, secret("not-so-deep", both, "2026-01-01T00:00:00Z", 200))
        raw(own, "POST", secrets, secret("ancient", both, "0000-01-01T00:00:00Z", 1))
        owner = {"apiVersion": "v1", "kind": "\u001b[2J\u001b]0;owned\u0007", "name": "\u202eevil", "uid": "1"}
        config = own.request("POST", "/api/v1/namespaces/evil/configmaps", {"metadata": {"name": "c"}})
        owner["uid"] = config["metadata"]["uid"]
        own.request("POST", secrets, {"metadata": {"name": "owned", "labels": both, "ownerReferences": [owner]}})
        one = '{"match":{"remoteRef":{"remoteKey":"x"}},"metadata":%s}' % deep_text(600, "a")
        stores = '[{"name":"%s","kind":"ClusterSecretStore"}]' % CENTRAL
        selector = '{"secret":{"name":"deep"}}'
        spec = '{"secretStoreRefs":%s,"selector":%s,"data":[%s]}' % (stores, selector, one)
        typed = '"apiVersion":"external-secrets.io/v1alpha1","kind":"PushSecret","metadata":{"name":"deep"}'
        raw(own, "POST", f"{ESO}/v1alpha1/namespaces/evil/pushsecrets", '{%s,"spec":%s}' % (typed, spec))
        yield own


COMMANDS = [
    ("bootstrap", {}, 0),
    ("status", {}, 0),
    ("audit", {"cluster_secrets_audit_fail_on": "never"}, 0),
    ("rotate", {"cluster_secrets_rotate_restart": "restart"}, 0),
    ("explain", {"cluster_secrets_namespace": "backstage", "cluster_secrets_secret": "gh-oauth"}, 0),
    ("talos_upgrade_gate", {}, 0),
    ("adopt", {"cluster_secrets_dest": "adopted"}, 0),
    (
        "onboard",
        {
            "cluster_secrets_namespace": "other",
            "cluster_secrets_namespaces_missing": "create",
            "cluster_secrets_secret": "cloudflare-api-token",
        },
        0,
    ),
    ("offboard", {"cluster_secrets_namespace": "other", "cluster_secrets_secret": "cloudflare-api-token"}, 0),
    ("backup", {"cluster_secrets_backup_targets": True}, 0),
]


@pytest.mark.parametrize(
    ("playbook", "variables", "status"), COMMANDS, ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_command_does_its_work_for_everybody_else(hostile, playbook, variables, status):
    outcome = hostile.play(playbook, variables=variables, check=False)
    assert outcome.rc == status, outcome.output[-3000:]
    assert "Traceback" not in outcome.output and "RecursionError" not in outcome.output
    assert "\x1b" not in outcome.output and "\u202e" not in outcome.output and leaked(outcome.output) == []


def test_what_could_not_be_read_is_named(hostile):
    said = " ".join(hostile.play("audit", variables={"cluster_secrets_audit_fail_on": "never"}).output.split())
    assert "evil/deep is nested too deeply" in said and "evil/not-so-deep is nested too deeply" in said


@pytest.fixture(scope="module")
def fuzzed(platform, catalog, tmp_path_factory):
    with another(platform, "fuzz") as own:
        own.play("bootstrap")
        yield fuzz.prepare(own, catalog, tmp_path_factory.mktemp("fuzz"))


# -- all at once, with the guard enforced --------------------------------------------------------------

ENTRY, TARGET = "github-oauth-credentials", "gh-oauth"
LABEL = {"secrets/gh-oauth-credentials": "true"}
TROUBLED = ["starved", "held", "taken"]
ENFORCED = {"cluster_secrets_guard_mode": "enforce", "cluster_secrets_wait_timeout": 8}
APPS = "/apis/apps/v1/namespaces"


def workload(name, **spec):
    labels = {"app": name}
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": TARGET, "key": "GITHUB_TOKEN"}}}]
    pod = {"containers": [{"name": "main", "image": "app:1", "env": env}], **spec}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": template}}


@pytest.fixture(scope="module")
def besieged(hostile):
    """Tenants who keep ESO from their own namespaces in every way, and want others to pay for it."""
    own = hostile
    own.play("bootstrap", variables=ENFORCED)
    for name in TROUBLED:
        own.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/secrets": "0"}}}
    own.request("POST", "/api/v1/namespaces/starved/resourcequotas", quota)
    path = "/api/v1/namespaces/starved/resourcequotas/none"
    # Until then it keeps nobody from anything, and ESO may be quicker on a busy machine.
    own.eventually(lambda: (own.get(path).get("status") or {}).get("hard"), what="the quota")
    external = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": ENTRY},
        "spec": {"secretStoreRef": {"name": "none", "kind": "SecretStore"}, "data": []},
    }
    external["spec"]["data"] = [{"secretKey": "x", "remoteRef": {"key": "x"}}]
    own.request("POST", f"{ESO}/v1/namespaces/taken/externalsecrets", external)
    # Whoever may change a namespace may call himself anything.
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "held", "labels": LABEL}}
    path = "/api/v1/namespaces/held?fieldManager=argocd-controller&force=true"
    own.request("PATCH", path, body, "application/apply-patch+yaml")
    for name in TROUBLED:
        own.patch(f"/api/v1/namespaces/{name}", {"metadata": {"labels": LABEL}})
    own.eventually(lambda: own.secret("held", TARGET), what="the target in 'held'")
    for name in ("held", "backstage", "market-making"):
        own.request("POST", f"{APPS}/{name}/deployments", workload("web"))
        own.eventually(
            lambda name=name: own.get(f"{APPS}/{name}/deployments/web")["status"].get("availableReplicas"),
            what=f"{name}/web",
        )
    # A pod that names somebody else's workload as its own.
    pod = workload("evil")["spec"]["template"]
    owner = {"apiVersion": "v1", "kind": "Deployment", "controller": True, "uid": "1"}
    pod["metadata"].update(
        name="evil", ownerReferences=[{**owner, "name": "../../external-secrets/deployments/external-secrets"}]
    )
    own.request("POST", "/api/v1/namespaces/held/pods", pod)
    # From now on the tenant's own can't be rolled out.
    own.patch(f"{APPS}/held/deployments/web", {"spec": {"template": {"spec": {"nodeSelector": {"no": "node"}}}}})
    yield own


def generations(own):
    places = [(name, "web") for name in ("held", "backstage", "market-making")]
    places += [("external-secrets", "external-secrets")]
    return {place: own.get(f"{APPS}/{place[0]}/deployments/{place[1]}")["metadata"]["generation"] for place in places}


def test_an_enforcing_bootstrap_names_them_and_does_the_rest(besieged):
    outcome = besieged.play("bootstrap", variables=ENFORCED, check=False)
    said = " ".join(outcome.output.split())
    assert outcome.rc == 2 and "would lock out" not in said
    assert "starved/gh-oauth" in said and "exceeded quota" in said, said
    for playbook, given in (
        ("status", {}),
        ("audit", {}),
        ("explain", {"cluster_secrets_namespace": "starved", "cluster_secrets_secret": "gh-oauth"}),
    ):
        told = besieged.play(playbook, variables={**ENFORCED, **given}, check=False)
        assert "exceeded quota" in " ".join(told.output.split()), told.output
    assert "was not made by ClusterExternalSecret" in said
    assert "a writer that calls itself 'argocd-controller'" in said
    enforced = besieged.get("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings")["items"]
    assert all(one["spec"]["validationActions"] == ["Deny"] for one in enforced)


def test_a_rotation_restarts_everybody_elses(besieged):
    before = generations(besieged)
    besieged.values["github-oauth"]["token"] += "-rotated"
    values.write_vault(besieged.values, besieged.vault, besieged.password)
    outcome = besieged.play(
        "rotate",
        variables={
            **ENFORCED,
            "cluster_secrets_rotate_restart": "restart",
            "cluster_secrets_rotate_restart_timeout": 6,
            "cluster_secrets_rotate_restart_limit": 1,
        },
        check=False,
    )
    after = generations(besieged)
    assert outcome.rc == 2 and leaked(outcome.output) == []
    assert "Deployment held/web" in outcome.output and "exceeded quota" in outcome.output
    token = besieged.values["github-oauth"]["token"]
    for namespace in ("backstage", "market-making"):
        assert besieged.data(namespace, TARGET)["GITHUB_TOKEN"] == token
        assert after[namespace, "web"] == before[namespace, "web"] + 1
    # Nobody restarts the operator by a pod of his.
    eso = ("external-secrets", "external-secrets")
    assert after[eso] == before[eso]


def test_everybody_else_is_served(besieged):
    given = {
        **ENFORCED,
        "cluster_secrets_namespace": "other",
        "cluster_secrets_namespaces_missing": "create",
        "cluster_secrets_secret": ENTRY,
    }
    assert besieged.play("onboard", variables=given).recap["failed"] == 0
    besieged.delete(f"{APPS}/held/deployments/web")
    gate = {"cluster_secrets_except_namespaces": TROUBLED, **ENFORCED}
    besieged.play("talos_upgrade_gate", variables=gate)
    status = besieged.play("status", variables=ENFORCED, check=False)
    assert status.rc == 2 and "backstage" in status.output
    besieged.play("audit", variables={"cluster_secrets_audit_fail_on": "never", **ENFORCED})


def test_offboard_waits_and_names_what_holds_the_copy(besieged):
    external = f"{ESO}/v1/namespaces/other/externalsecrets/{ENTRY}"
    besieged.patch(external, {"metadata": {"finalizers": ["evil.example/held"]}})
    given = {**ENFORCED, "cluster_secrets_namespace": "other", "cluster_secrets_secret": ENTRY}
    given["cluster_secrets_wait_timeout"] = 4
    outcome = besieged.play("offboard", variables=given, check=False)
    assert outcome.rc == 2 and "it is held by the finalizer evil.example/held" in outcome.output
    besieged.patch(external, {"metadata": {"finalizers": None}})
    assert besieged.play("offboard", variables=given).recap["changed"] == 0
    assert besieged.secret("other", TARGET) is None


def test_the_platform_ends_a_namespace_whose_target_has_a_finalizer(besieged):
    """As it may be from before the guard."""
    target = "/api/v1/namespaces/held/secrets/gh-oauth"
    besieged.play("bootstrap", variables={**ENFORCED, "cluster_secrets_guard_mode": "off"}, check=False)
    besieged.patch(target, {"metadata": {"finalizers": ["evil.example/held"]}})
    besieged.play("bootstrap", variables=ENFORCED, check=False)
    with pytest.raises(ApiError, match="is a copy that ESO writes"):
        besieged.patch(target, {"metadata": {"finalizers": ["evil.example/held", "evil.example/more"]}})
    besieged.play(
        "offboard",
        variables={**ENFORCED, "cluster_secrets_namespace": "held", "cluster_secrets_secret": ENTRY},
        check=False,
    )
    besieged.patch(target, {"metadata": {"finalizers": None}})
    besieged.delete("/api/v1/namespaces/held")
    besieged.eventually(lambda: besieged.get("/api/v1/namespaces/held") is None, 40, what="the end of 'held'")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_a_tenant_changes_at_random_ends_no_command(fuzzed, seed):
    """``make soak-fuzz`` runs more of it."""
    assert fuzz.run(fuzzed, seed, 240) == []


def test_teardown_too(hostile, besieged):
    hostile.play("teardown")
    with pytest.raises(ApiError):
        hostile.request("GET", f"/api/v1/namespaces/{CENTRAL}/secrets/github-pat")
