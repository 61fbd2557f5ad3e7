# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values from other lookups: a real Vault (kv v2, AppRole), and any lookup, each run once."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hvac
import pytest
import yaml
from support import CANARY, leaked

from controlplane import build

POLICY = (
    'path "secret/data/cluster-secrets/*" { capabilities = ["read"] }\n'
    'path "secret/data/cluster-secrets/denied" { capabilities = ["deny"] }\n'
)


@pytest.fixture(scope="module")
def vault(platform):
    """A Vault server with the values, and the variables by which the role reads them."""
    binary = build.ensure(("vault",))["vault"]
    token_file = platform.folder / "root-token"
    process = subprocess.Popen(
        [binary, "-listen", "127.0.0.1:0", "-token-file", str(token_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        address = None
        for line in process.stdout:
            found = re.match(r"listening on (\S+)", line)
            if found:
                address = "http://" + found.group(1)
                break
        assert address, "Vault ended at start"
        client = hvac.Client(url=address, token=token_file.read_text())
        for _attempt in range(50):
            if client.sys.is_initialized() and not client.sys.is_sealed():
                break
            time.sleep(0.1)
        client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
        client.sys.enable_auth_method("approle")
        client.sys.create_or_update_policy("seed", POLICY)
        client.auth.approle.create_or_update_approle("seed", token_policies=["seed"])
        for _attempt in range(50):  # a new kv v2 engine upgrades itself for a moment
            try:
                for source, keys in platform.values.items():
                    client.secrets.kv.v2.create_or_update_secret(
                        f"cluster-secrets/{source}", keys, mount_point="secret"
                    )
                break
            except hvac.exceptions.InvalidRequest:
                time.sleep(0.1)
        role = client.auth.approle.read_role_id("seed")["data"]["role_id"]
        secret = client.auth.approle.generate_secret_id("seed")["data"]["secret_id"]
        variables = {
            "cluster_secrets_values_from": "hashi_vault",
            "ansible_hashi_vault_url": address,
            "ansible_hashi_vault_auth_method": "approle",
            "ansible_hashi_vault_role_id": role,
        }
        # The secret id is a credential, so it goes by the environment and never by argv.
        yield client, variables, {"ANSIBLE_HASHI_VAULT_SECRET_ID": secret}, secret
    finally:
        process.kill()
        process.wait()


def test_bootstrap_from_vault(bootstrapped, vault):
    client, variables, environment, secret_id = vault
    bootstrapped.play("bootstrap")
    changed = {"api-token": CANARY + "from-vault"}
    client.secrets.kv.v2.create_or_update_secret("cluster-secrets/cloudflare-api-token", changed, mount_point="secret")
    done = bootstrapped.play("bootstrap", "-vvvv", "--diff", variables=variables, **environment)
    assert leaked(done.output) == [] and secret_id not in done.output
    assert bootstrapped.data("cert-manager", "cloudflare-api-token") == changed
    assert bootstrapped.play("bootstrap", variables=variables, **environment).recap["changed"] == 0
    client.secrets.kv.v2.create_or_update_secret(
        "cluster-secrets/cloudflare-api-token", bootstrapped.values["cloudflare-api-token"], mount_point="secret"
    )
    bootstrapped.play("rotate", variables=variables, **environment)


def test_ten_clusters_are_one_log_in(bootstrapped, vault, tmp_path):
    """Each log-in makes a token, which Vault lists."""
    client, variables, environment, _secret = vault
    hosts = {f"cluster-{number}": {"cluster_secrets_kubeconfig": str(bootstrapped.kubeconfig)} for number in range(10)}
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"clusters": {"hosts": hosts}}))

    def log_ins():
        return len(client.list("auth/token/accessors")["data"]["keys"])

    before = log_ins()
    given = {**variables, "cluster_secrets_hosts": "clusters"}
    done = bootstrapped.play("rotate", "-i", str(inventory), "--forks", "10", variables=given, **environment)
    assert log_ins() - before == 1
    assert done.stdout.count("changed=0") == 10 and leaked(done.output) == []
    own = {**hosts["cluster-3"], "ansible_hashi_vault_mount_point": "approle"}
    inventory.write_text(yaml.safe_dump({"clusters": {"hosts": {**hosts, "cluster-3": own}}}))
    before = log_ins()
    bootstrapped.play("rotate", "-i", str(inventory), "--forks", "10", variables=given, **environment)
    assert log_ins() - before == 2


def failure(bootstrapped, variables, environment, message):
    mark = bootstrapped.mark()
    outcome = bootstrapped.play("bootstrap", "-vvvv", "--diff", variables=variables, check=False, **environment)
    assert outcome.rc == 2 and outcome.stdout.count("FAILED!") == 1
    assert re.search(message, outcome.output), outcome.output[-3000:]
    assert leaked(outcome.output) == []
    assert bootstrapped.writes(mark) == []


def entry_for(source):
    extra = {"name": source, "source": source, "label": f"secrets/{source}", "data": {"K": "key"}}
    return {"cluster_secrets_catalog_extra": [extra]}


def test_denied_path(bootstrapped, vault):
    _client, variables, environment, _secret = vault
    failure(
        bootstrapped,
        {**variables, **entry_for("denied")},
        environment,
        r"Forbidden: Permission Denied to path \['?.*cluster-secrets/denied",
    )


def test_missing_path(bootstrapped, vault):
    _client, variables, environment, _secret = vault
    failure(
        bootstrapped,
        {**variables, **entry_for("nowhere")},
        environment,
        r"Invalid or missing path.*cluster-secrets/nowhere",
    )


def test_missing_key(bootstrapped, vault):
    client, variables, environment, _secret = vault
    client.secrets.kv.v2.create_or_update_secret("cluster-secrets/half", {"other": CANARY}, mount_point="secret")
    failure(
        bootstrapped,
        {**variables, **entry_for("half")},
        environment,
        r"catalog entry 'half': source 'half' has no key 'key'. Add it to the values.",
    )


def test_wrong_secret_id(bootstrapped, vault):
    _client, variables, _environment, _secret = vault
    failure(bootstrapped, variables, {"ANSIBLE_HASHI_VAULT_SECRET_ID": "wrong"}, r"invalid (role or )?secret")


def test_any_lookup_is_run_once(bootstrapped, tmp_path):
    """A lookup that leaves a mark each time it runs."""
    source = tmp_path / "values.json"
    source.write_text(json.dumps(bootstrapped.values))
    count = tmp_path / "count"
    lookup = f"{{{{ lookup('ansible.builtin.pipe', 'echo once >> {count}; cat {source}') | from_json }}}}"
    variables = {"cluster_secrets_values_from": "variable", "cluster_secrets_values": lookup}
    done = bootstrapped.play("bootstrap", "-vvvv", "--diff", variables=variables)
    assert done.recap["changed"] == 0
    assert count.read_text() == "once\n"
    assert leaked(done.output) == []


def test_no_file_with_a_value_is_left_behind(bootstrapped, tmp_path):
    """Ansible's option to keep its files would keep the values, where a module is started; the task refuses to."""
    environment = {"ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"), "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote")}
    bootstrapped.play("rotate", **environment)
    bootstrapped.play("rotate", ANSIBLE_KEEP_REMOTE_FILES="1", **environment)
    task = {
        "platform.cluster_secrets.central_secrets": {"catalog": [], "values": {"any": {"key": CANARY}}},
        "environment": {"REASON": "to run as a module"},
    }
    play = tmp_path / "play.json"
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    outcome = bootstrapped.play(str(play), check=False, ANSIBLE_KEEP_REMOTE_FILES="1", **environment)
    assert outcome.rc == 2 and "ANSIBLE_KEEP_REMOTE_FILES is set" in outcome.stdout
    play.unlink()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or leaked(path.read_text(errors="replace")) == [], path


def test_no_value_is_in_any_command_line(bootstrapped):
    """All processes' arguments are looked at, over and over, while a rotation runs."""
    seen, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    text = path.read_bytes().decode(errors="replace")
                except OSError:
                    continue
                if "ansible" in text:
                    seen.append(1)
                assert leaked(text) == [], text[:80]

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(look)
        try:
            bootstrapped.play("rotate")
        finally:
            stop.set()
        future.result()
    assert seen
