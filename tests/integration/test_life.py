# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a secret: when its value changed, when it is due, when it ends, and a rotation of some sources only."""

from __future__ import annotations

import base64
import datetime
import json

import bcrypt
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from support import CANARY, ROOT, entry, found, leaked, talosconfig

from controlplane import values

MASTER = "/api/v1/namespaces/central-secret-store/secrets/living-source"
CHANGED = "cluster-secrets/value-changed"
LIVING = entry(
    "living",
    ["living"],
    data={"TOKEN": "token", "CONFIG": "config"},
    rotate_after="90d",
    owner="team-life",
    description="Lives a while",
)


def changed(platform):
    return platform.get(MASTER)["metadata"]["annotations"][CHANGED]


@pytest.fixture(scope="module")
def living(bootstrapped):
    def give(token, **others):
        given = {"token": f"{CANARY}-{token}", "config": talosconfig(24 * 10)}
        values.write_vault({**others, "living-source": given}, bootstrapped.vault, bootstrapped.password)

    give("one", **bootstrapped.values)
    variables = {"cluster_secrets_catalog_extra": [LIVING]}
    bootstrapped.play("bootstrap", variables=variables)
    yield give, variables
    values.write_vault(bootstrapped.values, bootstrapped.vault, bootstrapped.password)
    bootstrapped.play("bootstrap", variables={"cluster_secrets_prune": ["entries", "masters"]})
    bootstrapped.delete("/api/v1/namespaces/living")


def test_the_time_is_that_of_the_value_and_not_of_the_object(bootstrapped, living):
    platform, (_give, variables) = bootstrapped, living
    # A value that nobody gave a new one keeps its time, whatever else is written to the Secret.
    platform.patch(MASTER, {"metadata": {"annotations": {CHANGED: "2026-01-01T00:00:00Z"}}})
    platform.patch(MASTER, {"metadata": {"labels": {"another": "label"}}})
    mark = platform.mark()
    assert platform.play("bootstrap", variables=variables).recap["changed"] == 0
    assert platform.writes(mark) == [] and changed(platform) == "2026-01-01T00:00:00Z"
    rows = platform.module("sync_info", catalog=[LIVING]).result["rows"]
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    (row,) = rows
    assert abs(row["value_age"] - age.total_seconds()) < 60 and row["owner"] == "team-life"
    assert row["value_ends"][:10] == (datetime.date.today() + datetime.timedelta(days=10)).isoformat()
    table = platform.play("status", variables=variables).stdout
    assert f"{age.days}d, ends {row['value_ends'][:10]}" in table


def test_findings_name_the_owner_and_no_value(bootstrapped, living, tmp_path):
    platform, (_give, variables) = bootstrapped, living
    platform.patch(MASTER, {"metadata": {"annotations": {CHANGED: "2026-01-01T00:00:00Z"}}})
    wanted = {
        ("rotation-due", "central-secret-store", "living-source"),
        ("value-ends", "central-secret-store", "living-source"),
    }
    assert wanted <= found(platform, [LIVING])
    assert found(platform, [LIVING], ends_within=9) & wanted == {min(wanted)}
    page = tmp_path / "audit.html"
    more = {**variables, "cluster_secrets_report": str(page), "cluster_secrets_audit_fail_on": "never"}
    output = platform.play("audit", "-vvv", variables={**more, "cluster_secrets_audit_ends_within": 11}).output
    assert "is to be rotated after 90 (Lives a while, owner: team-life)" in output
    assert "key 'config': certificate O=os:admin ends on " in output
    assert "value-ends" not in platform.play("audit", variables={**more, "cluster_secrets_audit_ends_within": 9}).output
    assert '"team-life","Lives a while"' in page.read_text()
    assert leaked(output + page.read_text()) == []
    live = platform.get("/apis/external-secrets.io/v1/clusterexternalsecrets/living")
    assert live["metadata"]["annotations"]["kubernetes.io/description"] == "Lives a while"


def test_a_rotation_of_one_source_needs_its_values_only(bootstrapped, living):
    platform, (give, variables) = bootstrapped, living
    platform.patch(MASTER, {"metadata": {"annotations": {CHANGED: "2026-01-01T00:00:00Z"}}})
    give("two")  # and no others
    refused = platform.play("rotate", variables=variables, check=False)
    assert refused.rc == 2 and "has no values" in refused.stdout
    one = {**variables, "cluster_secrets_rotate_sources": "living-source"}
    predicted = platform.play("rotate", "--check", "--diff", variables=one)
    assert changed(platform) == "2026-01-01T00:00:00Z"
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    done = platform.play("rotate", "-vvv", "--diff", variables=one)
    assert (done.recap["changed"], predicted.recap["changed"]) == (2, 2)
    assert platform.data("living", "living")["TOKEN"] == f"{CANARY}-two"
    when = datetime.datetime.strptime(changed(platform), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    assert before <= when <= datetime.datetime.now(datetime.timezone.utc)
    assert leaked(predicted.output + done.output) == []
    mark = platform.mark()
    again = platform.play("rotate", variables={**variables, "cluster_secrets_rotate_sources": ["living-source"]})
    assert again.recap["changed"] == 0 and platform.writes(mark) == []
    # Pruning with some sources leaves the others.
    result = platform.module(
        "central_secrets", catalog=[LIVING], values={}, sources=[], prune=True, check_mode=True
    ).result
    assert json.dumps(result["changes"]).count("living-source") == 0
    wrong = platform.play("rotate", variables={**variables, "cluster_secrets_rotate_sources": "github"}, check=False)
    assert wrong.rc == 2 and "no enabled catalog entry reads 'github'. The sources are: " in wrong.stdout


def test_hashes_and_keys_by_the_guide(bootstrapped, catalog, tmp_path):
    platform = bootstrapped
    guide = (ROOT / "docs/docsite/rst/guide_own_catalog.rst").read_text()
    block = next(one for one in guide.split(".. code-block:: yaml\n") if "# make-values.yml" in one)
    (tmp_path / "make-values.yml").write_text(block.split(".. code-block::")[0])
    entries = next(one for one in guide.split(".. code-block:: yaml\n") if "ADMIN_ACCOUNT_PASSWORD_HASH" in one)
    shown = yaml.safe_load(entries.split(".. code-block::")[0].partition("\n   # make-values.yml")[0])
    (kargo, ssh) = shown["cluster_secrets_catalog_extra"]
    ours = {one["name"]: one for one in catalog}
    assert {**kargo, "namespaces": 0} == {**ours[kargo["name"]], "namespaces": 0}
    assert {key: ssh[key] for key in ("name", "source", "label")} == {
        key: ours[ssh["name"]][key] for key in ("name", "source", "label")
    }
    (tmp_path / "given.yml").write_text(yaml.safe_dump({"kargo_admin_password": f"{CANARY}-admin"}))
    files = {"values_file": str(platform.vault), "password_file": str(platform.password)}
    try:
        given = f"@{tmp_path / 'given.yml'}"
        made = platform.play(str(tmp_path / "make-values.yml"), "-vvv", "--diff", "-e", given, variables=files)
        assert platform.vault.read_text().startswith("$ANSIBLE_VAULT;")
        done = platform.play(
            "rotate",
            "-vvv",
            variables={"cluster_secrets_rotate_sources": "kargo-admin-credentials, code-server-ssh-key"},
        )
        kargo = platform.data("kargo", "kargo-admin-credentials")
        assert bcrypt.checkpw(f"{CANARY}-admin".encode(), kargo["ADMIN_ACCOUNT_PASSWORD_HASH"].encode())
        assert len(kargo["ADMIN_ACCOUNT_TOKEN_SIGNING_KEY"]) == 64
        key = platform.data("code-server", "code-server-ssh-key")["ssh-privatekey"]
        assert serialization.load_pem_private_key(key.encode(), None).key_size == 4096
        for value in (*kargo.values(), key.splitlines()[1]):
            assert value not in made.output + done.output
        assert leaked(made.output + done.output) == []
        # The others are as they were.
        assert platform.data("cert-manager", "cloudflare-api-token") == platform.values["cloudflare-api-token"]
    finally:
        values.write_vault(platform.values, platform.vault, platform.password)
        platform.play("rotate")


def test_what_has_ended_is_written_by_nobody_unless_told_and_no_green_tick(bootstrapped, living):
    platform, (_give, variables) = bootstrapped, living
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1}).encode()).rstrip(b"=").decode()
    given = {"token": f"eyJhbGciOiJub25lIn0.{claims}.{CANARY}", "config": talosconfig(24 * 10)}
    values.write_vault({**platform.values, "living-source": given}, platform.vault, platform.password)
    before = platform.get(MASTER)["data"]
    for playbook in ("bootstrap", "rotate"):
        refused = platform.play(playbook, variables=variables, check=False)
        assert refused.rc == 2 and "key 'token': token ended at 1970-01-01 00:00 UTC" in refused.stdout, refused.stdout
        assert "ended: accept" in refused.stdout and leaked(refused.output) == []
    assert platform.get(MASTER)["data"] == before
    accepted = {**variables, "cluster_secrets_takeover": {"ended": "accept"}}
    platform.play("bootstrap", variables=accepted)
    # What is there already stops no run, and is told of by all who look.
    assert platform.play("bootstrap", variables=variables).recap["changed"] == 0
    said = "source 'living-source', key 'token': token ended at 1970-01-01 00:00 UTC"
    status = platform.play("status", variables=variables, check=False)
    assert status.rc == 2 and "key 'token': token ended on 1970-01-01" in status.stdout, status.stdout
    assert "something that they need is broken or has expired" in status.stdout
    told = platform.play(
        "explain",
        variables={**variables, "cluster_secrets_namespace": "living", "cluster_secrets_secret": "living"},
        check=False,
    )
    assert told.rc == 2 and said in told.stdout
    checks = {check for check, _place, name in found(platform, [LIVING]) if name in ("living", "living-source")}
    assert "value-ended" in checks
