# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see: tables as tables, how far a wait is, what to do next, and what they type (Taskfile.yml)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
import yaml
from broken import namespace_unlabelled, source_changed
from support import COLLECTIONS, ROOT, leaked, on_a_terminal

from controlplane import sandbox

STATUS = re.compile(r"^NAMESPACE +SECRET +STATUS +TYPE +AGE +VALUE +USED BY$", re.MULTILINE)
ROW = re.compile(r"^backstage +gh-oauth +synced +Opaque ", re.MULTILINE)
COLORED = "\x1b["


@pytest.fixture(scope="module")
def cluster(bootstrapped):
    bootstrapped.play("bootstrap")
    return bootstrapped


@pytest.mark.parametrize("shape", ["json", "yaml"])
def test_a_table_is_lines_of_text(cluster, shape):
    done = cluster.play("status", ANSIBLE_CALLBACK_RESULT_FORMAT=shape)
    assert STATUS.search(done.stdout) and ROW.search(done.stdout) and COLORED not in done.stdout
    audit = cluster.play("audit", check=False, ANSIBLE_CALLBACK_RESULT_FORMAT=shape)
    assert re.search(r"^SEVERITY +CHECK +NAMESPACE +NAME +WHAT$", audit.stdout, re.MULTILINE)


def test_machines_get_json_and_nothing_else(cluster):
    done = cluster.play("status", ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    tasks = [task for play in json.loads(done.stdout)["plays"] for task in play["tasks"]]
    (shown,) = [task["hosts"]["localhost"] for task in tasks if task["task"]["name"] == "Show the table"]
    assert STATUS.match(shown["lines"][0]) and len(shown["lines"]) == 18


def test_the_status_of_what_one_asks_for(cluster):
    asked = cluster.play(
        "status", variables={"cluster_secrets_namespace": "backstage", "cluster_secrets_secret": ["gh-oauth"]}
    )
    rows = [line.split()[:3] for line in asked.stdout.splitlines() if line.startswith("backstage ")]
    assert rows == [["backstage", "gh-oauth", "synced"]] and "1 targets are synced" in asked.stdout
    mistyped = cluster.play("status", variables={"cluster_secrets_namespace": ["backstag"]}, check=False)
    assert mistyped.rc == 2 and "Did you mean 'backstage'?" in mistyped.stdout
    neither = {"cluster_secrets_namespace": "cert-manager", "cluster_secrets_secret": "gh-oauth"}
    assert cluster.play("status", variables=neither, check=False).rc == 2
    fine = cluster.play("status", variables={"cluster_secrets_unsynced": "true"}).stdout.splitlines()
    assert "17 more are synced." in fine and not any(STATUS.match(line) for line in fine)
    path = cluster.folder / "status.json"
    with namespace_unlabelled(cluster):
        wrong = cluster.play(
            "status",
            variables={"cluster_secrets_unsynced": True, "cluster_secrets_report": str(path)},
            check=False,
        )
    listed = [line for line in wrong.stdout.splitlines() if " unlabelled " in line]
    assert wrong.rc == 2 and len(listed) == 1 and "16 more are synced." in wrong.stdout
    written = json.loads(path.read_text())
    assert len(written["rows"]) == 17 and leaked(path.read_text()) == []
    assert [row["status"] for row in written["rows"] if row["secret"] == "cloudflare-api-token"] == ["unlabelled"]


def test_on_a_terminal_states_have_colours_and_lines_fit(cluster):
    argv = ["ansible-playbook", "platform.cluster_secrets.explain", "-e", "cluster_secrets_namespace=cert-manager"]
    argv += ["-e", "cluster_secrets_secret=cloudflare-api-token"]
    with namespace_unlabelled(cluster):
        status, seen = on_a_terminal(
            cluster,
            [*argv, "-e", "cluster_secrets_secret=cloudflare-api-token"],
            [],
            cluster.folder,
            width=90,
            ANSIBLE_NOCOLOR="",
        )
    assert status == 2
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in seen.replace("\r", "").splitlines()]
    (broken,) = [line for line in seen.splitlines() if "BROKEN" in line]
    assert COLORED in broken
    links = [line for line in lines if re.match(r"(ok|BROKEN|follows) +\S", line)]
    assert len(links) >= 10 and max(map(len, links)) <= 90
    # Nothing of a reason is cut off: it goes on below.
    table = lines[lines.index(links[0]) : next(number for number, line in enumerate(lines) if "It breaks at" in line)]
    assert max(map(len, table)) <= 90 and "\N{HORIZONTAL ELLIPSIS}" not in "".join(table)
    assert any(line.startswith("        ") for line in table)
    # What is to be done stays in one piece.
    assert any(
        line.startswith("To fix it: ") and line.endswith("-e cluster_secrets_secret=cloudflare-api-token")
        for line in lines
    )


def test_a_wait_says_how_far_it_is(cluster):
    if not cluster.plane:
        pytest.skip("needs the embedded control plane's controller")
    eso = int((cluster.plane.run / "external-secrets.pid").read_text())
    os.kill(eso, signal.SIGSTOP)
    try:
        with source_changed(cluster):
            wait = {"cluster_secrets_wait_timeout": 5}
            play = cluster.folder / "verify.yml"
            role = {"hosts": "localhost", "gather_facts": False, "roles": ["platform.cluster_secrets.verify"]}
            play.write_text(yaml.safe_dump([role]))
            done = cluster.play(str(play), variables=wait, check=False)
            machine = cluster.play(str(play), variables=wait, check=False, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    finally:
        os.kill(eso, signal.SIGCONT)
    assert done.rc == 2 and "\n16 of 17 targets are current\n" in done.stdout, done.stdout
    assert json.loads(machine.stdout)["stats"]["localhost"]["failures"] == 1
    cluster.play("rotate")


def test_the_end_of_bootstrap_says_what_there_is_and_what_to_do(cluster):
    done = cluster.play("bootstrap")
    assert "\n17 Secrets in 13 namespaces are current.\n" in done.stdout
    assert "\nWho has what:         ansible-playbook platform.cluster_secrets.status\n" in done.stdout
    checked = cluster.play("bootstrap", "--check")
    said = "Nothing was changed. The catalog's lists call for 17 Secrets in 13 namespaces; 17 are there."
    assert f"\n{said}\n" in checked.stdout


def tasks():
    return yaml.safe_load((ROOT / "Taskfile.yml").read_text())["tasks"]


#: What is typed after ``--``, and what must be seen.
TYPED = {
    "platform:bootstrap": ((), "17 Secrets in 13 namespaces are current."),
    "platform:status": ((), "17 targets are synced"),
    "platform:logs": (("-e", "cluster_secrets_logs_lines=5"), " info "),
    "platform:explain": (
        ("-e", "cluster_secrets_namespace=backstage", "-e", "cluster_secrets_secret=gh-oauth"),
        "The chain is whole.",
    ),
    "platform:onboard": (
        ("-e", "cluster_secrets_namespace=argocd", "-e", "cluster_secrets_secret=kargo-git-credentials"),
        "failed=0",
    ),
    "platform:offboard": (
        ("-e", "cluster_secrets_namespace=argocd", "-e", "cluster_secrets_secret=long-gone"),
        "failed=0",
    ),
    "platform:audit": (("-e", "cluster_secrets_audit_fail_on=never"), "SEVERITY"),
    "platform:rotate": ((), "failed=0"),
}


@pytest.mark.parametrize("name", TYPED)
def test_what_operators_type(cluster, name):
    arguments, seen = TYPED[name]
    own = ["-e", f"cluster_secrets_values_file={cluster.vault}", "--vault-password-file", str(cluster.password)]
    if cluster.environment.get("CLUSTER_SECRETS_TEST_VARS"):
        own += ["-e", f"@{cluster.environment['CLUSTER_SECRETS_TEST_VARS']}"]
    done = subprocess.run(
        ["task", "--taskfile", str(ROOT / "Taskfile.yml"), name, "--", *own, *arguments],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and seen in done.stdout, done.stdout + done.stderr
    assert leaked(done.stdout + done.stderr) == []


def test_the_status_is_followed(cluster):
    argv = ["task", "--taskfile", str(ROOT / "Taskfile.yml"), "platform:status:follow", "EVERY=1", "--"]
    argv += ["-e", f"cluster_secrets_values_file={cluster.vault}", "--vault-password-file", str(cluster.password)]
    if cluster.environment.get("CLUSTER_SECRETS_TEST_VARS"):
        argv += ["-e", f"@{cluster.environment['CLUSTER_SECRETS_TEST_VARS']}"]
    said = cluster.folder / "followed.log"
    with said.open("w") as log, subprocess.Popen(argv, env=cluster.environment, stdout=log, stderr=log) as run:
        try:
            cluster.eventually(lambda: said.read_text().count("17 targets are synced") == 2, 60, "two tables")
        finally:
            for one in sandbox.tree(run.pid):
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
    # Nothing stands around them.
    assert "TASK [" not in said.read_text()


BRIEF = {"ANSIBLE_STDOUT_CALLBACK": "platform.cluster_secrets.brief"}


def test_brief_shows_changes_and_tables_and_each_failure_once(cluster):
    assert "Nothing to change.\n17 Secrets in 13" in cluster.play("bootstrap", **BRIEF).stdout
    with namespace_unlabelled(cluster):
        predicted = cluster.play("bootstrap", "--check", **BRIEF).stdout
        done = cluster.play("bootstrap", **BRIEF).stdout
    for text, word in ((predicted, "would change"), (done, "changed")):
        lines = text.splitlines()
        assert f"{word}: Apply the catalog" in lines and "TASK [" not in text and "ok: [" not in text
        table = lines[lines.index("CHANGE   KIND       NUMBER  WHICH") :]
        assert table[1:4] == [
            "changed  Namespace  1       cert-manager",
            "",
            "Objects: 0 created, 1 changed, 0 removed.",
        ]
    assert re.search(r"^localhost: ok=\d+ changed=1 unreachable=0 failed=0$", done, re.MULTILINE)
    missing = {"cluster_secrets_values_file": "none.yml"}
    failed = cluster.play("bootstrap", "-e", json.dumps(missing), check=False, **BRIEF)
    said = "failed: Apply the catalog: the values file 'none.yml' does not exist."
    assert failed.rc == 2 and failed.output.count("none.yml' does not exist") == 1, failed.output
    assert said in failed.stdout and "init -e cluster_secrets_dest=" in failed.stdout
    # With -v there is all that Ansible says.
    assert "TASK [Show the table]" in cluster.play("status", "-v", **BRIEF).stdout


def test_brief_says_what_tasks_say_themselves(cluster, tmp_path):
    fails = {"ansible.builtin.fail": {"msg": "it is {{ item | default('broken') }}"}}
    fixed = [{"ansible.builtin.debug": {"msg": "it is fixed"}}]
    tasks_of = [
        {"name": "Say", "ansible.builtin.debug": {"msg": ["one", "two"]}},
        {"name": "Show a variable", "ansible.builtin.debug": {"var": "cluster_secrets_hosts"}},
        {
            "name": "Rescued",
            "block": [{"name": "Break", **fails}],
            "rescue": fixed,
        },
        {"name": "Ignored", **fails, "ignore_errors": True},
        {"name": "Hidden", "no_log": True, "ignore_errors": True, **fails},
        {"name": "Run", "ansible.builtin.command": {"argv": ["true"]}},
        {"name": "Left out", "ansible.builtin.command": {"argv": ["true"]}, "when": False},
        {"name": "Compare", "ansible.builtin.copy": {"content": "new\n", "dest": str(tmp_path / "file")}},
        {"name": "Each", **fails, "loop": ["worn", "torn"]},
    ]
    play = tmp_path / "play.yml"
    hosts = {"hosts": "localhost", "gather_facts": False, "tasks": tasks_of}
    play.write_text(yaml.safe_dump([hosts], sort_keys=False))
    done = cluster.play(str(play), "--diff", check=False, **BRIEF)
    lines = done.stdout.splitlines()
    assert done.rc == 2 and lines[:2] == ["one", "two"] and "it is fixed" in lines and "+new" in lines
    assert {"changed: Run", "changed: Compare", "failed: Each: it is worn", "failed: Each: it is torn"} <= set(lines)
    assert "broken" not in done.stdout and "Left out" not in done.stdout, done.stdout
    assert lines[-1].startswith("localhost: ok=") and lines[-1].endswith(" changed=2 unreachable=0 failed=1")


def test_brief_tells_what_a_rescue_only_points_at(cluster, tmp_path):
    said = "echo one; echo the disk is full >&2; exit 3"
    checks = {"ansible.builtin.command": {"argv": "{{ item }}"}, "loop": [["true"], ["sh", "-c", said]]}

    def fail(name, text):
        return {"name": name, "ansible.builtin.fail": {"msg": text}}

    fixed = [{"name": "Go on", "ansible.builtin.debug": {"msg": "went on"}}]
    quotes = fail("Say", "helm failed: {{ ansible_failed_result.msg }}. Undo it.")
    play = tmp_path / "play.yml"

    def run(*blocks):
        hosts = {"hosts": "localhost", "gather_facts": False, "tasks": list(blocks)}
        play.write_text(yaml.safe_dump([hosts], sort_keys=False))
        return cluster.play(str(play), check=False, **BRIEF)

    quoted = run({"block": [fail("Quoted", "no such chart\x1b[2J")], "rescue": [quotes]})
    assert quoted.output.count("no such chart") == 1 and "\x1b" not in quoted.output
    tried = {"block": [fail("Try", "it is gone")], "rescue": fixed}
    done = run(tried, {"block": [{"name": "Check", **checks}], "rescue": [fail("Stop", "see above")]})
    assert done.rc == 2 and "it is gone" not in done.stdout and "went on" in done.stdout
    failures = done.stdout[done.stdout.index("failed: Check") :]
    assert "the disk is full" in failures and "failed: Stop: see above" in failures
    assert failures.index("disk is full") < failures.index("failed: Stop")


def test_brief_hides_no_cause_that_nothing_else_tells(cluster, tmp_path):
    stop = {"name": "Stop", "ansible.builtin.fail": {"msg": "rollout stopped: no"}}
    lost = {
        "name": "Break",
        "ansible.builtin.fail": {"msg": "node worker-1 lost quorum: etcd no longer answers"},
    }
    far = {"name": "Look there", "ansible.builtin.ping": None, "vars": {"ansible_connection": "ssh"}}
    again = {"name": "Try", "ansible.builtin.command": {"argv": ["false"]}, "until": False, "retries": 2, "delay": 0}
    play = tmp_path / "play.yml"

    def run(*tasks):
        hosts = {"hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}
        play.write_text(yaml.safe_dump([hosts], sort_keys=False))
        nobody = ("-e", f"ansible_ssh_executable={tmp_path / 'ssh'}", "-e", "ansible_host=127.0.0.1")
        return cluster.play(str(play), *nobody, check=False, **BRIEF)

    (tmp_path / "ssh").write_text("#!/bin/sh\necho nobody is there >&2\nexit 255\n")
    (tmp_path / "ssh").chmod(0o700)
    assert "lost quorum" in run({"block": [lost], "rescue": [stop]}).stdout
    # No rescue is run for a host that is not reached.
    done = run({"block": [far], "rescue": [stop]})
    assert done.rc == 4 and "unreachable: Look there: " in done.stdout and "nobody is there" in done.stdout, done.output
    waited = run(again).stdout.splitlines()
    assert waited.count("waiting: Try") == 1 and waited.index("waiting: Try") < len(waited) - 1


def test_every_task_is_typed_here():
    assert set(tasks()) - {"platform:logs:follow", "platform:status:follow"} == set(TYPED)
    # Nobody has kubectl here; what it is told is what the logs are found by.
    assert "kubectl --namespace" in tasks()["platform:logs:follow"]["cmds"][0]


def same_each_time(text):
    """A demo's lines from where it begins to bootstrap, without what differs from one to the next."""
    lines = text[text.index("== Bootstrap an empty") :].splitlines()
    lines = [line for line in lines if not re.match(r"  \.\.\. |\d+ of \d+ ", line)]
    lines = [re.sub(r" +\d+[smh] +\d+[smh] ", " ", line) for line in lines]
    return [" ".join(re.sub(r"127\.0\.0\.1:\d+|KUBECONFIG=\S+", "", line).split()) for line in lines]


def test_the_demo_ends_with_what_is_where(cluster):
    """What ``make demo`` and ``make demo-stop`` run, as they run it."""
    if not cluster.plane:
        pytest.skip("builds a control plane of its own")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{COLLECTIONS}", "CLUSTER_SECRETS_DEMO": "embedded"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "demo.demo"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        shown = done.stdout.partition("== What is where")[2]
        assert STATUS.search(shown) and ROW.search(shown) and shown.count(" synced ") == 17
        recorded = (ROOT / "docs/demo.txt").read_text()
        assert same_each_time(done.stdout) == same_each_time(recorded)
        assert "The first run changed " in shown and "the second changed=0." in shown
    finally:
        subprocess.run([sys.executable, "-m", "demo.demo", "stop"], env=environment, check=True, timeout=60)
