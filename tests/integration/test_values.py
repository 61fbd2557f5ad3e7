# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values belong to their environment, and are in nobody else's hands."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml
from support import CANARY, entry, leaked

from controlplane import values

SHOWN = {
    "hosts": "localhost",
    "gather_facts": False,
    "tasks": [
        {
            "ansible.builtin.debug": {
                "msg": "{{ lookup('platform.cluster_secrets.once', 'platform.cluster_secrets.values_file', 'v.yml',"
                " allow_plaintext=true).a.b }}"
            }
        }
    ],
}


def ansible(platform, folder, *arguments):
    done = subprocess.run(
        ["ansible-playbook", *arguments],
        capture_output=True,
        text=True,
        env=platform.environment,
        cwd=folder,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_playbook_of_a_run_has_its_own_values(platform, tmp_path):
    for name in ("staging", "production"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "site.yml").write_text(json.dumps([SHOWN]))
        (tmp_path / name / "v.yml").write_text(yaml.safe_dump({"a": {"b": f"of-{name}"}}))
    out = ansible(platform, tmp_path, "staging/site.yml", "production/site.yml")
    assert out.count('"of-staging"') == out.count('"of-production"') == 1


def test_a_values_file_may_use_what_yaml_merges(platform, tmp_path):
    (tmp_path / "v.yml").write_text("x: &x {b: base, c: base}\na: {<<: *x, c: own}\n")
    (tmp_path / "site.yml").write_text(json.dumps([SHOWN]))
    assert '"base"' in ansible(platform, tmp_path, "site.yml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x: &x {b: base, d: base}\ny: &y {<<: *x, d: own}\na: {<<: *y, c: own}\n", "base"),
        ("a: {b: !unsafe '{{ no template }}'}", "{{ no template }}"),
        ("a: {b: !!binary aGVs bG8=}", "aGVsbG8="),
        ("\ufeff\na: {b: behind-a-mark}", "behind-a-mark"),
    ],
)
def test_what_yaml_knows_is_read_as_it_stands(platform, tmp_path, text, value):
    (tmp_path / "v.yml").write_text(text, encoding="utf-8")
    (tmp_path / "site.yml").write_text(json.dumps([SHOWN]))
    assert value in ansible(platform, tmp_path, "site.yml")


def test_a_date_among_the_variables_is_refused(bootstrapped, slips, tmp_path):
    """As one in a file of values is."""
    (tmp_path / "given.yml").write_text(
        "cluster_secrets_values_from: variable\ncluster_secrets_catalog: []\n"
        "cluster_secrets_values: {slip-source: {a: 2026-11-28T10:00:00Z, b: x, c: x}}\n"
    )
    mark = bootstrapped.mark()
    outcome = bootstrapped.play("bootstrap", "-e", f"@{tmp_path / 'given.yml'}", variables=slips, check=False)
    assert outcome.rc == 2 and "slip-source: a must be a string, not a date" in outcome.output, outcome.output
    assert bootstrapped.writes(mark) == []


def test_a_file_that_a_keyword_names_is_read_again(platform, tmp_path):
    lookup = "{{ lookup('platform.cluster_secrets.once', 'ansible.builtin.ini', 'k', section='s', file='v.ini') }}"
    shown = {"ansible.builtin.debug": {"msg": lookup}}
    (tmp_path / "v.ini").write_text("[s]\nk = first\n")
    change = {"ansible.builtin.copy": {"content": "[s]\nk = second\n", "dest": str(tmp_path / "v.ini")}}
    play = {**SHOWN, "tasks": [shown, shown, change, shown]}
    (tmp_path / "site.yml").write_text(json.dumps([play]))
    out = ansible(platform, tmp_path, "site.yml")
    assert (out.count('"first"'), out.count('"second"')) == (2, 1)


def test_a_file_that_was_rewritten_within_a_run_is_read_again(platform, tmp_path):
    change = {"ansible.builtin.copy": {"content": "a: {b: second}", "dest": str(tmp_path / "v.yml")}}
    (tmp_path / "v.yml").write_text("a: {b: first}")
    play = {**SHOWN, "tasks": [*SHOWN["tasks"], change, *SHOWN["tasks"]]}
    (tmp_path / "site.yml").write_text(json.dumps([play]))
    out = ansible(platform, tmp_path, "site.yml")
    assert out.count('"first"') == out.count('"second"') == 1


def test_what_depends_on_a_hosts_variables_is_not_shared(platform, tmp_path):
    task = {
        "ansible.builtin.debug": {"msg": "{{ lookup('platform.cluster_secrets.once', 'ansible.builtin.vars', 'x') }}"}
    }
    (tmp_path / "site.yml").write_text(json.dumps([{**SHOWN, "vars": {"x": "mine"}, "tasks": [task]}]))
    outcome = platform.play(str(tmp_path / "site.yml"), check=False)
    assert outcome.rc == 2 and "depends on a host's variables" in outcome.output


#: A callback of somebody's, who keeps all that Ansible tells it of a task.
CALLBACK = """
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_NAME = "keeper"

    def _keep(self, result, **options):
        fields = getattr(result, "_task_fields", None) or getattr(result, "task_fields", {})
        with open(%r, "a") as kept:
            kept.write(repr(fields) + repr(getattr(result, "_result", None)) + chr(10))

    v2_runner_on_ok = v2_runner_on_failed = v2_runner_retry = v2_runner_item_on_ok = _keep
"""


@pytest.mark.parametrize("interpreter", ["own", "another"])
def test_no_value_is_left_in_a_tasks_arguments(bootstrapped, catalog, tmp_path, interpreter):
    kept = tmp_path / "kept"
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/keeper.py").write_text(CALLBACK % str(kept))
    given = tmp_path / "given.json"
    given.write_text(json.dumps(bootstrapped.values))
    looked_up = "{{ lookup('ansible.builtin.file', '%s') | from_json }}" % given
    options = {"catalog": catalog, "values": looked_up, "api_key": ""}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "environment": {"REASON": "to run as a module"} if interpreter == "another" else {},
        "ignore_errors": True,
        "tasks": [
            {"platform.cluster_secrets.central_secrets": options},
            {
                "platform.cluster_secrets.central_secrets": {**options, "sources": ["none"]},
                "retries": 2,
                "delay": 0,
                "until": "tried is succeeded",
                "register": "tried",
            },
            {
                "platform.cluster_secrets.central_secrets": options,
                "retries": 2,
                "delay": 0,
                "until": "twice.attempts > 1",
                "register": "twice",
            },
            {"ansible.builtin.assert": {"that": "twice is succeeded and twice is not changed"}, "ignore_errors": False},
            {"platform.cluster_secrets.central_secrets": options, "loop": [1, 2]},
        ],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    outcome = bootstrapped.play(
        str(tmp_path / "play.yml"),
        ANSIBLE_CALLBACK_PLUGINS=str(tmp_path / "plugins"),
        ANSIBLE_CALLBACKS_ENABLED="keeper",
    )
    text = kept.read_text()
    assert text.count("VALUE_SPECIFIED_IN_NO_LOG_PARAMETER") >= 4 and leaked(text + outcome.output) == []
    # What is tried again has its arguments again.
    assert "no enabled catalog entry reads 'none'" in text


@pytest.fixture
def slips(bootstrapped):
    yield {"cluster_secrets_catalog_extra": [entry("slip", ["slips"], data={"A": "a", "B": "b", "C": "c"})]}
    values.write_vault(bootstrapped.values, bootstrapped.vault, bootstrapped.password)
    more = {"cluster_secrets_prune": ["entries", "masters"]}
    bootstrapped.play("bootstrap", variables=more)
    bootstrapped.delete("/api/v1/namespaces/slips")


def test_a_value_that_ends_in_a_line_break_is_a_warning(bootstrapped, slips):
    given = {"a": f"{CANARY}token\n", "b": f" {CANARY}token", "c": f"-----BEGIN X-----\n{CANARY}\n-----END X-----\n"}
    values.write_vault({**bootstrapped.values, "slip-source": given}, bootstrapped.vault, bootstrapped.password)
    for playbook, arguments in (("bootstrap", ("--check",)), ("bootstrap", ()), ("rotate", ())):
        outcome = bootstrapped.play(playbook, *arguments, variables=slips)
        said = " ".join(outcome.output.split())
        assert "source 'slip-source': the value of 'a' ends in a line break" in said
        assert "source 'slip-source': the value of 'b' begins with a space" in said
        assert "the value of 'c'" not in said and leaked(outcome.output) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "slip-source: {a: 2026-11-28 10:00:00, b: x, c: x}",
            "source 'slip-source': the value of 'a' must be a string, not a",
        ),
        ("slip-source: {a: 2026-11-28, b: x, c: x}", "must be a string, not a date. Put it in quotes"),
        ("slip-source: {a: one, a: two, b: x, c: x}", "has the key 'a' twice"),
        ("slip-source: {'1': one, 1: two, a: x, b: x, c: x}", "has the key '1' twice"),
        ("slip-source: {a: !!set {one}, b: x, c: x}", "must be a string, not a set"),
        ('{"slip-source": {"a": "one", "a": "two"}}', "has the key 'a' twice"),
        ("slip-source: {a: 2026-99-99, b: x, c: x}", "is not valid YAML"),
        (f"slip-source: {{a: !!int '{CANARY}', b: x, c: x}}", "is not valid YAML"),
        ("[" * 5000, "is not valid YAML"),
    ],
)
def test_what_yaml_would_change_silently_is_refused(bootstrapped, tmp_path, slips, text, said):
    plain = tmp_path / "plain.yml"
    plain.write_text(text)
    subprocess.run(
        ["ansible-vault", "encrypt", "--vault-password-file", str(bootstrapped.password), str(plain)],
        check=True,
        env=bootstrapped.environment,
        capture_output=True,
    )
    mark = bootstrapped.mark()
    variables = {**slips, "cluster_secrets_catalog": [], "cluster_secrets_values_file": str(plain)}
    outcome = bootstrapped.play("bootstrap", variables=variables, check=False)
    assert outcome.rc == 2 and said in " ".join(outcome.output.split()), outcome.output
    assert bootstrapped.writes(mark) == [] and leaked(outcome.output) == []


def test_the_central_namespace_is_never_a_target(bootstrapped, catalog):
    """Whoever labels it; a source would become its own target, and lose its keys."""
    path = "/api/v1/namespaces/central-secret-store"
    before = bootstrapped.data("central-secret-store", "cloudflare-api-token")
    bootstrapped.patch(path, {"metadata": {"labels": {"secrets/cloudflare-api-token": "true"}}})
    try:
        bootstrapped.play("rotate", variables={"cluster_secrets_verify_refresh": "always"})
        externals = bootstrapped.request(
            "GET", "/apis/external-secrets.io/v1/namespaces/central-secret-store/externalsecrets"
        )
        assert externals["items"] == []
        assert bootstrapped.data("central-secret-store", "cloudflare-api-token") == before
        assert "17 targets are synced" in bootstrapped.play("status").stdout
    finally:
        bootstrapped.patch(path, {"metadata": {"labels": {"secrets/cloudflare-api-token": None}}})
    for changes in ({"namespaces": ["central-secret-store"]}, {"namespaces_by_name": ["central-secret-store"]}):
        mark = bootstrapped.mark()
        one = {**entry("slip", []), **changes}
        refused = bootstrapped.module("cluster_external_secrets", catalog=[one], check=False).result
        assert "catalog entry 'slip': namespace 'central-secret-store' holds the master Secrets" in refused["msg"]
        assert bootstrapped.requests(mark) == []


@pytest.mark.parametrize(("said", "entries"), [("false", 8), ("true", 9), ("False", 8), ("no", 8)])
def test_a_boolean_of_the_command_line_does_what_it_says(platform, tmp_path, said, entries):
    variables = tmp_path / "vars.yml"
    variables.write_text(yaml.safe_dump({"cluster_secrets_catalog_extra": [entry("own", ["own"])]}))
    dest = tmp_path / said
    platform.play(
        "render",
        "-e",
        f"@{variables}",
        "-e",
        f"cluster_secrets_talos_config={said}",
        "-e",
        f"cluster_secrets_dest={dest}",
    )
    rendered = [one for path in dest.rglob("*.yaml") for one in yaml.safe_load_all(path.read_text()) if one]
    rendered += [one for path in dest.rglob("*.yml") for one in yaml.safe_load_all(path.read_text()) if one]
    kinds = [one["kind"] for one in rendered if isinstance(one, dict)]
    assert kinds.count("ClusterExternalSecret") == entries


@pytest.mark.parametrize(
    ("playbook", "given", "said"),
    [
        ("bootstrap", "cluster_secrets_backup=perhaps", "cluster_secrets_backup: 'perhaps' is not a boolean"),
        (
            "bootstrap",
            "cluster_secrets_eso_force_conflicts=7",
            "cluster_secrets_eso_force_conflicts: '7' is not a boolean",
        ),
        (
            "bootstrap",
            "cluster_secrets_prune=everything",
            "cluster_secrets_prune: value of cluster_secrets_prune must be",
        ),
        (
            "audit",
            "cluster_secrets_report=audit.pdf",
            "the report 'audit.pdf' must end in one of .html, .json, .xml, .prom",
        ),
        ("status", "cluster_secrets_report=a.prom", "the report 'a.prom' must end in one of .html, .json"),
        ("status", "cluster_secrets_report=a.html,b.html", "the reports 'a.html' and 'b.html' have the same format"),
        (
            "restore",
            "cluster_secrets_restore_verify=maybe",
            "cluster_secrets_restore_verify: 'maybe' is not a boolean. Write true or false",
        ),
        ("teardown", "cluster_secrets_teardown_eso=2", "cluster_secrets_teardown_eso: '2' is not a boolean"),
        ("talos_upgrade_gate", "cluster_secrets_gate_timeout=soon", "'soon' is not a whole number. Write one like 60"),
        (
            "bootstrap",
            "cluster_secrets_isolation=none",
            "cluster_secrets_isolation: 'none' is not one of: shared, entry",
        ),
        (
            "bootstrap",
            '{"cluster_secrets_guard_mode": null}',
            "cluster_secrets_guard_mode: it is empty. Give it a value",
        ),
        (
            "bootstrap",
            '{"cluster_secrets_eso_values": {"image": {"tag": "{{ none_such.tag }}"}}}',
            "cluster_secrets_eso_values: 'none_such' is undefined",
        ),
        (
            "bootstrap",
            "cluster_secrets_takeover=consumers=keep",
            "cluster_secrets_takeover: a text is not a mapping. Write it as JSON",
        ),
        (
            "bootstrap",
            "cluster_secrets_catalog=[]",
            "cluster_secrets_catalog: a text is not a list of mappings. Write it as JSON",
        ),
        ("rotate", '{"cluster_secrets_rotate_sources": []}', "cluster_secrets_rotate_sources names no source"),
        ("rotate", "cluster_secrets_rotate_sources=", "cluster_secrets_rotate_sources names no source"),
        # Of the last role of the play, which would find it when everything else is written.
        (
            "bootstrap",
            '{"cluster_secrets_guard_self_service_labels": {"a": "b"}}',
            "cluster_secrets_guard_self_service_labels: a dict is not a list. Write one item a line, each after '- '",
        ),
        (
            "bootstrap",
            '{"cluster_secrets_catalog_namespaces_add": ["ci"]}',
            "cluster_secrets_catalog_namespaces_add: a list is not a mapping. Write it as 'key: value' lines",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_before_the_first_request(bootstrapped, playbook, given, said):
    mark = bootstrapped.mark()
    outcome = bootstrapped.play(playbook, "-e", given, "-e", "cluster_secrets_backup_file=none", check=False)
    assert outcome.rc == 2 and said in " ".join(outcome.stdout.split()), outcome.stdout
    assert bootstrapped.requests(mark) == []


def test_what_another_playbook_looks_up_is_not_looked_up(bootstrapped):
    bootstrapped.play(
        "status", "-e", json.dumps({"cluster_secrets_talos_nodes": "{{ lookup('ansible.builtin.pipe', 'false') }}"})
    )


def test_numbers_and_booleans_as_texts_work_where_they_are_used(bootstrapped):
    said = ("-e", "cluster_secrets_backup=false", "-e", "cluster_secrets_wait_timeout=60")
    assert bootstrapped.play("bootstrap", *said).recap["changed"] == 0
    bootstrapped.play("talos_upgrade_gate", "-e", "cluster_secrets_gate_timeout=5")


def test_a_misspelt_variable_is_a_warning_with_the_closest_name(bootstrapped):
    outcome = bootstrapped.play("status", "-e", "cluster_secrets_stroe=x", "-e", "cluster_secrets_reprot=x")
    said = " ".join(outcome.output.split())
    assert (
        "the variable 'cluster_secrets_stroe' is not one of this collection's. Did you mean 'cluster_secrets_store'?"
        in said
    )
    assert "Did you mean 'cluster_secrets_report'?" in said
    assert "is not one of this collection's" not in bootstrapped.play("bootstrap", "--check").output


def test_a_catalog_and_its_values_are_checked_without_a_cluster(bootstrapped, tmp_path):
    nowhere = {"K8S_AUTH_KUBECONFIG": str(tmp_path / "none"), "KUBECONFIG": str(tmp_path / "none")}
    mark = bootstrapped.mark()
    fine = bootstrapped.play("validate", "-vvv", **nowhere)
    (row,) = [line for line in fine.stdout.splitlines() if line.startswith("code-server-ssh-key ")]
    assert row.split() == [
        *["code-server-ssh-key"] * 3,
        "Opaque",
        "secrets/code-server-ssh-key=true",
        "code-server",
    ]
    assert leaked(fine.output) == []
    file = tmp_path / "given.vault.yml"
    own = {"cluster_secrets_catalog": [], "cluster_secrets_values_file": str(file)}
    own["cluster_secrets_catalog_extra"] = [entry("smtp", ["shop"], source="smtp", data={"USER": "user"})]

    def checked(given, **more):
        values.write_vault(given, file, bootstrapped.password)
        done = bootstrapped.play("validate", variables={**own, **more}, check=False, **nowhere)
        assert leaked(done.output) == []
        return done

    missing = checked({"smtp": {"password": f"{CANARY}-unread"}})
    assert missing.rc == 2 and "catalog entry 'smtp': source 'smtp' has no key 'user'" in missing.stdout
    odd = checked({"smtp": {"user": f"{CANARY}-odd\n", "extra": f"{CANARY}-extra"}, "other": {"a": CANARY}})
    assert odd.rc == 0, odd.output
    for said in ("ends in a line break", "has the key 'extra', which no enabled", "values are given for 'other'"):
        assert said in " ".join(odd.output.split()), odd.output
    wrong = checked({}, cluster_secrets_catalog_extra=[entry("smtp", ["shop"], labl="x")])
    assert wrong.rc == 2 and "unknown key 'labl'. Did you mean 'label'?" in wrong.stdout
    # Without the password for the values, the catalog alone.
    argv = ["ansible-playbook", "platform.cluster_secrets.validate", "-e", "cluster_secrets_validate_values=false"]
    alone = subprocess.run(argv, capture_output=True, text=True, env=bootstrapped.environment, check=False)
    assert alone.returncode == 0 and "github-oauth-credentials" in alone.stdout, alone.stdout + alone.stderr
    assert bootstrapped.requests(mark) == []
