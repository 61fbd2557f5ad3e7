# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that a tenant writes ends a command: it is named, and everything else goes on."""

from __future__ import annotations

import base64
import json

import pytest
from support import ApiError, another, leaked

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
    ("explain", {"namespace": "backstage", "secret": "gh-oauth"}, 0),
    ("talos_upgrade_gate", {}, 0),
    ("adopt", {"adopt_dest": "adopted"}, 0),
    ("onboard", {"onboard_namespace": "other", "onboard_secrets": "cloudflare-api-token"}, 0),
    ("offboard", {"offboard_namespace": "other", "offboard_secrets": "cloudflare-api-token"}, 0),
    ("backup", {"backup_targets": True}, 0),
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


def test_teardown_too(hostile):
    hostile.play("teardown")
    with pytest.raises(ApiError):
        hostile.request("GET", f"/api/v1/namespaces/{CENTRAL}/secrets/github-pat")
