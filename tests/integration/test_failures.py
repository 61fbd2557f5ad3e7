# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong: one clear message, nothing half-written, no value shown."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from broken import controller_scaled_down
from support import CANARY, another, entry, leaked, values

FAILED = "fatal: [localhost]: FAILED!"


@pytest.fixture
def wrote_nothing(bootstrapped):
    mark = bootstrapped.mark()
    yield
    assert bootstrapped.writes(mark) == []


def test_wrong_vault_password(bootstrapped, wrote_nothing, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("not it\n")
    outcome = bootstrapped.play("bootstrap", "-vvvv", "--vault-password-file", str(wrong), check=False)
    assert outcome.rc != 0 and outcome.stdout.count(FAILED) == 1
    assert "can't be decrypted: the vault password is wrong" in outcome.output
    assert leaked(outcome.output) == []


def test_values_file_missing_plain_or_broken(bootstrapped, wrote_nothing, tmp_path):
    plain = tmp_path / "plain.yml"
    plain.write_text(f"github-pat: {{token: {CANARY}}}\n")
    broken = tmp_path / "broken.yml"
    values.write_vault("x", broken, bootstrapped.password)
    for path, message in (
        (tmp_path / "none", "does not exist"),
        (plain, "is not encrypted"),
        (broken, "must hold a mapping"),
    ):
        outcome = bootstrapped.play(
            "rotate", "-vvvv", variables={"cluster_secrets_values_file": str(path)}, check=False
        )
        assert outcome.rc != 0 and message in outcome.output
        assert leaked(outcome.output) == []


def test_api_unreachable(bootstrapped):
    kubeconfig = json.loads(bootstrapped.kubeconfig.read_text())
    kubeconfig["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = bootstrapped.folder / "unreachable"
    path.write_text(json.dumps(kubeconfig))
    outcome = bootstrapped.play("bootstrap", "-vvvv", "--diff", check=False, K8S_AUTH_KUBECONFIG=str(path))
    assert outcome.rc != 0 and outcome.stdout.count(FAILED) == 1
    assert "cannot reach the Kubernetes API at https://127.0.0.1:1: " in outcome.output
    assert "Traceback" not in outcome.output
    assert leaked(outcome.output) == []


def test_credentials_refused(bootstrapped):
    server = json.loads(bootstrapped.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    outcome = bootstrapped.module(
        "sync_info", catalog=[], check=False, kubeconfig=write_token_config(bootstrapped, server, CANARY)
    )
    assert "does not accept these credentials (401 Unauthorized)" in outcome.result["msg"]
    assert leaked(outcome.output) == []


def write_token_config(platform, server, token):
    kubeconfig = json.loads(platform.kubeconfig.read_text())
    kubeconfig["clusters"][0]["cluster"]["server"] = server
    kubeconfig["users"][0]["user"] = {"token": token}
    path = platform.folder / "token-config"
    path.write_text(json.dumps(kubeconfig))
    return path


def test_a_missing_permission_is_named_before_anything_is_written(bootstrapped, catalog, grant):
    reader = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]}
    grant("reader", [reader], subject=grant.account("reader"))
    kubeconfig = grant.kubeconfig("reader")
    mark = bootstrapped.mark()
    for check_mode in (True, False):
        outcome = bootstrapped.module(
            "namespace_labels",
            catalog=catalog,
            assignments={"default": ["cloudflare-api-token"]},
            check=False,
            check_mode=check_mode,
            kubeconfig=kubeconfig,
        )
        assert outcome.result["msg"] == (
            "missing permission: 'patch' on namespaces at the cluster scope, needed for Namespace default. None of "
            "it was written. Grant it to the identity that this play uses."
        )
    events = bootstrapped.requests(mark, "system:serviceaccount:default:reader")
    assert events and not [event for event in events if event["verb"] == "patch"]
    outcome = bootstrapped.module(
        "central_secrets", catalog=catalog, values=bootstrapped.values, check=False, kubeconfig=kubeconfig
    )
    assert (
        "missing permission: secrets is forbidden: User" in outcome.result["msg"]
        and "cannot list resource" in outcome.result["msg"]
    )
    assert leaked(outcome.output) == []


def test_a_permission_on_the_named_objects_is_enough(bootstrapped, catalog, grant):
    rules = [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["default"], "verbs": ["patch"]},
    ]
    grant("named", rules, subject=grant.account("named"))
    kubeconfig = grant.kubeconfig("named")
    options = {"catalog": catalog, "assignments": {"default": ["cloudflare-api-token"]}, "kubeconfig": kubeconfig}
    assert bootstrapped.module("namespace_labels", **options).result["changed"]
    assert bootstrapped.module("namespace_labels", state="absent", **options).result["changed"]


def test_namespace_that_does_not_exist(bootstrapped, wrote_nothing):
    catalog = [entry("one", ["nowhere", "default"])]
    outcome = bootstrapped.module("namespace_labels", catalog=catalog, missing="fail", check=False)
    assert outcome.result["msg"].startswith("1 namespace(s) do not exist: nowhere. Create them")
    ignored = bootstrapped.module("namespace_labels", catalog=[entry("one", ["nowhere"])], missing="ignore")
    assert ignored.result["missing"] == ["nowhere"] and not ignored.result["changed"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labl": "x"}, "catalog entry 'extra': unknown key 'labl'. Did you mean 'label'?"),
        (
            {"namespaces": ["backstage"], "target": "gh-oauth"},
            "catalog entry 'extra': it gives the target 'gh-oauth' in namespace 'backstage'",
        ),
    ],
)
def test_malformed_catalog(bootstrapped, wrote_nothing, change, message):
    extra = {**entry("extra", ["n8n"]), **change}
    outcome = bootstrapped.play(
        "bootstrap", "-vvvv", "--diff", variables={"cluster_secrets_catalog_extra": [extra]}, check=False
    )
    assert outcome.rc != 0 and outcome.stdout.count(FAILED) == 1 and message in outcome.output
    assert leaked(outcome.output) == []


def test_values_that_miss_a_key_or_are_no_text(bootstrapped, wrote_nothing, catalog):
    for value, message in (
        (
            {"username": CANARY},
            "catalog entry 'application-docker-registry': source 'github-pat' has no key 'token'. Add it to the "
            "values.",
        ),
        (
            {"username": CANARY, "token": 31337001},
            "the value of 'token' must be a string, not a number. Put it in quotes, or write binary data as "
            "'base64: ...' below the key.",
        ),
    ):
        outcome = bootstrapped.module(
            "central_secrets", catalog=catalog, values={**bootstrapped.values, "github-pat": value}, check=False
        )
        assert outcome.result["msg"].endswith(message)
        assert leaked(outcome.output) == [] and "31337001" not in outcome.output


def test_values_of_the_wrong_kind_are_not_echoed(bootstrapped, wrote_nothing, catalog):
    for given in (CANARY, [CANARY], {"github-pat": CANARY}):
        outcome = bootstrapped.module("central_secrets", catalog=catalog, values=given, check=False)
        assert outcome.result["failed"]
        assert leaked(outcome.output) == []


def test_what_no_secret_holds_is_refused_before_anything_is_written(bootstrapped, catalog):
    """A Secret may hold 1 MiB; the error names the source, or the entry whose target is larger, and no value."""
    given = {**bootstrapped.values, "cloudflare-api-token": {"api-token": CANARY * 200_000}, "github-pat": {}}
    given["github-pat"] = {"username": "another", "token": CANARY}
    outcome = bootstrapped.module("central_secrets", catalog=catalog, values=given, check=False, diff=True)
    assert "source 'cloudflare-api-token': it holds 1800000 bytes, and no Secret holds more" in outcome.result["msg"]
    assert leaked(outcome.output) == []
    twice = [{**entry("twice", []), "data": {"key": {"text": "{key}{base64:key}"}}}]
    outcome = bootstrapped.module(
        "central_secrets", catalog=twice, values={"twice-source": {"key": CANARY * 60_000}}, check=False
    )
    assert "catalog entry 'twice': its target would hold" in outcome.result["msg"] and not leaked(outcome.output)
    assert (
        bootstrapped.module("central_secrets", catalog=catalog, values=bootstrapped.values).result["changed"] is False
    )


def test_unsynced_targets_are_named_with_what_eso_says(bootstrapped):
    """A source key that goes missing: ESO fails, and so does the wait, naming the pair and why."""
    platform = bootstrapped
    catalog = [entry("lagging", ["lagging"])]
    seed = {"catalog": catalog, "values": {"lagging-source": {"key": CANARY}}}
    platform.module("central_secrets", **seed)
    platform.module("cluster_external_secrets", catalog=catalog)
    # The store must know the new source and label, too.
    values.write_vault({**platform.values, **seed["values"]}, platform.vault, platform.password)
    platform.play("bootstrap", variables={"cluster_secrets_catalog_extra": catalog})
    values.write_vault(platform.values, platform.vault, platform.password)
    platform.patch(
        "/api/v1/namespaces/central-secret-store/secrets/lagging-source", {"data": {"key": None, "other": "eA=="}}
    )
    outcome = platform.module("sync", catalog=catalog, refresh="always", wait_timeout=3, check=False)
    message = outcome.result["msg"]
    assert "1 of 1 targets were not synced after 3 s: lagging/lagging is" in message
    assert "source 'lagging-source' has no key 'key'" in message
    assert "ESO says: " in message
    assert outcome.result["unsynced"][0]["namespace"] == "lagging"
    assert leaked(outcome.output) == []
    platform.module("central_secrets", **seed)
    # ESO may have tried again by itself meanwhile, and then there is nothing to refresh.
    assert platform.module("sync", catalog=catalog).result["refreshed"] in (["lagging"], [])
    assert platform.data("lagging", "lagging") == {"KEY": CANARY}
    platform.module("namespace_labels", catalog=catalog, state="absent", assignments={"lagging": ["lagging"]})
    platform.play("bootstrap", variables={"cluster_secrets_prune": ["entries", "masters"]})


def test_a_foreign_manager_conflicts_only_on_request(bootstrapped, catalog):
    path = "/apis/external-secrets.io/v1/clusterexternalsecrets/cloudflare-api-token"
    bootstrapped.patch(path, {"spec": {"refreshTime": "2h0m0s"}})
    refused = bootstrapped.module("cluster_external_secrets", catalog=catalog, force_conflicts=False, check=False)
    assert "conflict" in refused.result["msg"] and ".spec.refreshTime" in refused.result["msg"]
    assert bootstrapped.module("cluster_external_secrets", catalog=catalog).result["changed"]


def test_eso_absent(platform, catalog):
    """On a second control plane without ESO."""
    with another(platform, "bare") as bare:
        outcome = bare.play(
            "bootstrap",
            "-vvvv",
            variables={"cluster_secrets_eso_method": "existing", "cluster_secrets_wait_timeout": 1},
            check=False,
        )
        assert outcome.rc != 0 and outcome.stdout.count(FAILED) == 1
        assert "the External Secrets Operator is not installed" in outcome.output
        assert leaked(outcome.output) == []
        assert bare.get("/api/v1/namespaces/central-secret-store") is None
        for name in ("cluster_external_secrets", "cluster_secret_store", "sync", "sync_info"):
            refused = bare.module(name, catalog=catalog, check=False)
            assert (
                "the External Secrets Operator is not installed: the API group external-secrets.io is not served"
                in refused.result["msg"]
            )


def test_a_wait_outlives_the_api_server(bootstrapped):
    """ESO writes nothing until the API server has been away and is back."""
    platform = bootstrapped
    given = {**platform.values, "cloudflare-api-token": {"api-token": f"{CANARY}-outlives"}}
    values.write_vault(given, platform.vault, platform.password)
    try:
        with ThreadPoolExecutor(1) as pool:
            with controller_scaled_down(platform):
                mark = platform.mark()
                running = pool.submit(platform.play, "rotate", variables={"cluster_secrets_wait_timeout": 90})
                platform.eventually(
                    lambda: any(one["verb"] == "watch" for one in platform.requests(mark)), 60, "the wait"
                )
                platform.plane.stop_component("kube-apiserver", signal.SIGKILL)
                time.sleep(3)
                platform.plane.start_component("kube-apiserver")
            assert running.result().recap["failed"] == 0
        assert platform.data("cert-manager", "cloudflare-api-token") == given["cloudflare-api-token"]
    finally:
        values.write_vault(platform.values, platform.vault, platform.password)
        platform.play("rotate")


def test_what_one_part_may_not_do_keeps_all_from_being_written(bootstrapped, catalog, grant):
    """Who may write the master Secrets and not the labels: neither is written, and it is said what is missing."""
    rules = [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "patch"]},
    ]
    grant("seeder", rules, subject=grant.account("seeder"))
    changed = {**bootstrapped.values, "github-pat": {**bootstrapped.values["github-pat"], "token": CANARY + "other"}}
    options = {"catalog": catalog, "values": changed, "kubeconfig": grant.kubeconfig("seeder")}
    labels = {"assignments": {"default": ["cloudflare-api-token"]}}
    mark = bootstrapped.mark()
    assert bootstrapped.module("apply", check_mode=True, parts={"secrets": {}}, **options).result["changed"]
    outcome = bootstrapped.module("apply", parts={"secrets": {}, "labels": labels}, check=False, **options)
    assert "missing permission: 'patch' on namespaces" in outcome.result["msg"] and leaked(outcome.output) == []
    events = bootstrapped.requests(mark, "system:serviceaccount:default:seeder")
    assert events and not [event for event in events if event["verb"] in ("patch", "delete")]


def test_a_part_that_fails_says_what_was_written_before(bootstrapped, catalog):
    labels = {"assignments": {"default": ["cloudflare-api-token"]}}
    verify = {"names": ["cloudflare-api-token"], "namespaces": ["default"], "wait_timeout": 1}
    try:
        with controller_scaled_down(bootstrapped):
            parts = {"labels": labels, "verify": verify}
            outcome = bootstrapped.module("apply", catalog=catalog, parts=parts, check=False)
        written = {"kind": "Namespace", "name": "default", "result": "updated"}
        assert outcome.result["changes"] == [written] and "not synced after 1 s" in outcome.result["msg"]
        assert outcome.result["msg"].endswith("\n1 object(s) were written before that; a rerun goes on from there.")
        again = bootstrapped.module("apply", catalog=catalog, parts={**parts, "verify": {**verify, "wait_timeout": 60}})
        assert again.result["changed"] is False and again.result["verify"]["unsynced"] == []
    finally:
        bootstrapped.module("namespace_labels", catalog=catalog, state="absent", **labels)
