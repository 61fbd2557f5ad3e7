# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host is a cluster: three real ones, one that is down and one that refuses the credentials, from one inventory."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml
from fleets import LOCAL, Fleet, recaps
from support import CANARY, ROOT, Outcome, another, browse, leaked

from controlplane import values


@pytest.fixture(scope="module")
def clusters(platform, tmp_path_factory):
    """As they are before a bootstrap, or after the test of it."""
    with another(platform, "fleet-a") as a, another(platform, "fleet-b") as b, another(platform, "fleet-c") as c:
        yield Fleet(tmp_path_factory.mktemp("fleet"), {"a": a, "b": b, "c": c})


@pytest.fixture(scope="module")
def fleet(clusters):
    """Bootstrapped, so that each test runs by itself."""
    assert clusters.play("bootstrap", "--limit", "a,b,c").rc == 0
    return clusters


def test_the_living_are_bootstrapped_and_the_others_named(clusters):
    fleet = clusters
    outcome = fleet.play("bootstrap")
    assert outcome.rc == 2
    found = recaps(outcome)
    assert {name: one["failed"] for name, one in found.items()} == {"a": 0, "b": 0, "c": 0, "down": 1, "refused": 1}
    assert re.search(r"fatal: \[down\]: FAILED! .*cannot reach the Kubernetes API at", outcome.stdout)
    assert re.search(r"fatal: \[refused\]: FAILED! .*does not accept these credentials", outcome.stdout)
    marks = {name: one.mark() for name, one in fleet.platforms.items()}
    again = fleet.play("bootstrap", "--limit", "a,b,c")
    assert again.rc == 0 and {one["changed"] for one in recaps(again).values()} == {0}
    assert all(one.writes(marks[name]) == [] for name, one in fleet.platforms.items())
    status = fleet.play("status", "--limit", "a,b,c")
    assert len(re.findall(r"^[abc] +17 +17 +same", status.stdout, re.MULTILINE)) == 3, status.output


def test_a_rotation_goes_by_waves_and_stops_at_the_first_that_fails(fleet):
    rotated = {**fleet.values, "cloudflare-api-token": {"api-token": CANARY + "rotated"}}
    values.write_vault(rotated, fleet.vault, fleet.password)

    def token(name):
        return fleet.platforms[name].data("cert-manager", "cloudflare-api-token")

    inventory = yaml.safe_load(fleet.inventory.read_text())
    hosts = inventory["clusters"]["hosts"]
    ordered = {name: hosts[name] for name in ("a", "b", "down", "c")}
    fleet.inventory.write_text(yaml.safe_dump({"clusters": {"hosts": ordered}}, sort_keys=False))
    outcome = fleet.play("rotate", cluster_secrets_serial=[1, 2, 1])
    assert outcome.rc == 2
    assert "Hold the new values: a. Not begun: b, down, c." in outcome.stdout
    assert "Hold the new values: a, b. Failed: down. Not begun: c." in outcome.stdout
    assert "Stopped before this wave: down failed." in outcome.stdout
    new, old = rotated["cloudflare-api-token"], fleet.values["cloudflare-api-token"]
    assert token("a") == token("b") == new and token("c") == old
    # The canary alone fails: nothing else is begun.
    ordered = {name: hosts[name] for name in ("down", "c")}
    fleet.inventory.write_text(yaml.safe_dump({"clusters": {"hosts": ordered}}, sort_keys=False))
    outcome = fleet.play("rotate", cluster_secrets_serial=1)
    assert outcome.rc == 2 and token("c") == old
    assert "Hold the new values: none. Failed: down. Not begun: c." in outcome.stdout
    # Without what is down, a rerun goes on where it stopped.
    fleet.inventory.write_text(yaml.safe_dump(inventory))
    again = fleet.play("rotate", "--limit", "a,b,c", cluster_secrets_serial=1)
    assert again.rc == 0 and token("c") == new
    assert {name: one["changed"] for name, one in recaps(again).items()} == {"a": 0, "b": 0, "c": 2}


def test_values_are_looked_up_once_unless_a_host_has_its_own(fleet):
    counted = fleet.folder / "count"
    source = fleet.folder / "values.json"
    rotated = {**fleet.values, "cloudflare-api-token": {"api-token": CANARY + "rotated"}}
    source.write_text(json.dumps(rotated))
    values.write_vault(rotated, fleet.vault, fleet.password)
    assert fleet.play("rotate", "--limit", "a,b,c").rc == 0
    command = f"echo once >> {counted}; cat {source}"
    lookup = "{{ lookup('platform.cluster_secrets.once', 'ansible.builtin.pipe', '%s') | from_json }}" % command
    variables = {"cluster_secrets_values_from": "variable", "cluster_secrets_values": lookup}
    outcome = fleet.play("rotate", "--limit", "a,b,c", "-vvvv", **variables)
    assert outcome.rc == 0 and counted.read_text() == "once\n"
    assert {one["changed"] for one in recaps(outcome).values()} == {0}


def test_groups_and_hosts_change_the_catalog(fleet):
    inventory = yaml.safe_load(fleet.inventory.read_text())
    group = {"cluster_secrets_disabled": ["code-server-ssh-key"]}
    fleet.inventory.write_text(yaml.safe_dump({**inventory, "small": {"hosts": {"b": {}}, "vars": group}}))
    try:
        outcome = fleet.play("status", "--limit", "a,b")
        counts = re.findall(r"^([ab]) +(\d+) +(\d+) +same", outcome.stdout, re.MULTILINE)
        assert counts == [("a", "17", "17"), ("b", "16", "16")], outcome.output
    finally:
        fleet.inventory.write_text(yaml.safe_dump(inventory))


def test_the_audit_looks_at_each_cluster_and_names_those_it_can_not_reach(fleet):
    report = str(fleet.folder / "audit-{{ inventory_hostname }}.json")
    outcome = fleet.play("audit", cluster_secrets_report=report, cluster_secrets_audit_fail_on="never")
    assert outcome.rc == 2
    found = recaps(outcome)
    assert {name: one["failed"] for name, one in found.items()} == {"a": 0, "b": 0, "c": 0, "down": 1, "refused": 1}
    for name in ("a", "b", "c"):
        content = json.loads((fleet.folder / f"audit-{name}.json").read_text())
        assert content["findings"], content
    refused = fleet.play("audit", "--limit", "a,b", cluster_secrets_report=str(fleet.folder / "audit.json"))
    assert refused.rc == 2 and "cluster_secrets_report names one path for several clusters" in refused.stdout
    own_and_one = ["audit-{{ inventory_hostname }}.html", str(fleet.folder / "audit.json")]
    refused = fleet.play("audit", "--limit", "a,b", cluster_secrets_report=own_and_one)
    assert refused.rc == 2 and "cluster_secrets_report names one path for several clusters" in refused.stdout
    assert not (fleet.folder / "audit.json").exists()
    refused = fleet.play("status", "--limit", "a,b", cluster_secrets_report="status.xml")
    assert refused.rc == 2 and "must end in one of .html, .json" in refused.stdout


def test_each_cluster_writes_files_of_its_own(fleet):
    """At the same moment: nothing of one may end up in the place of another."""
    for playbook, variable in (
        ("backup", "cluster_secrets_backup_file"),
        ("adopt", "cluster_secrets_dest"),
        ("render", "cluster_secrets_dest"),
    ):
        same = fleet.play(playbook, "--limit", "a,b", **{variable: str(fleet.folder / "same")})
        assert same.rc == 2 and f"{variable} names one path for several clusters" in same.stdout
    same = fleet.play("talos_upgrade_pre", "--limit", "a,b", cluster_secrets_gate_json=str(fleet.folder / "same"))
    assert same.rc == 2 and "cluster_secrets_gate_json names one path" in same.stdout
    assert not (fleet.folder / "same").exists()
    kept = fleet.folder / "kept"
    for playbook in ("backup", "adopt", "render"):
        outcome = fleet.play(playbook, "--limit", "a,b", cluster_secrets_backup_dir=str(kept))
        assert outcome.rc == 0, outcome.output
    assert sorted(path.name.partition("-")[0] for path in kept.glob("*.vault.yml")) == ["a", "b"]
    for name in ("a", "b"):
        assert (fleet.folder / name / "cluster_secrets.yml").exists()
        assert list((fleet.folder / "cluster-secrets" / name).iterdir())
    # Backups that runs take by themselves, of values that both overwrite.
    values.write_vault(
        {**fleet.values, "github-oauth": {"client-id": CANARY, "client-secret": CANARY, "token": CANARY}},
        fleet.vault,
        fleet.password,
    )
    for name in ("a", "b"):
        path = "/api/v1/namespaces/central-secret-store/secrets/github-oauth"
        fleet.platforms[name].patch(path, {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
    taken = {
        "cluster_secrets_backup_dir": str(fleet.folder / "taken"),
        "cluster_secrets_takeover": {"values": "overwrite"},
    }
    outcome = fleet.play("rotate", "--limit", "a,b", **taken)
    assert outcome.rc == 0, outcome.output
    assert len(list((fleet.folder / "taken").glob("*.vault.yml"))) == 2
    values.write_vault(fleet.values, fleet.vault, fleet.password)
    assert fleet.play("rotate", "--limit", "a,b,c").rc == 0


def test_status_shows_what_is_wrong_where(fleet):
    page, report = fleet.folder / "fleet.html", fleet.folder / "fleet.json"
    wanted = {"cluster_secrets_report": f"{page}, {report}"}
    well = fleet.play("status", "--limit", "a,b,c", "-vvvv", **wanted)
    assert well.rc == 0 and re.search(r"a +17 +17 +same", well.stdout), well.output
    # One cluster has a value of its own, and ESO spread it.
    fleet.platforms["b"].patch(
        "/api/v1/namespaces/central-secret-store/secrets/github-oauth", {"data": {"token": "b3duLW9m"}}
    )
    refresh = {"metadata": {"annotations": {"external-secrets.io/force-sync": "now"}}}
    fleet.platforms["b"].patch("/apis/external-secrets.io/v1/clusterexternalsecrets/github-oauth-credentials", refresh)
    fleet.platforms["b"].eventually(
        lambda: fleet.platforms["b"].data("backstage", "gh-oauth")["GITHUB_TOKEN"] == "own-of", what="the own value"
    )
    outcome = fleet.play("status", **wanted)
    assert outcome.rc == 2
    assert (
        "Nothing is known of down, refused; the values differ from those of most clusters: github-oauth in b."
        in outcome.stdout
    )
    content = json.loads(report.read_text())
    assert sorted(content["unreachable"]) == ["down", "refused"] and len(content["rows"]) == 51
    assert leaked(page.read_text() + report.read_text()) == []
    assert fleet.play("status", "--limit", "a,b,c", cluster_secrets_may_differ=["github-oauth"]).rc == 0
    assert fleet.play("rotate", "--limit", "b").rc == 0
    assert fleet.play("status", "--limit", "a,b,c").rc == 0


def test_the_page_of_50_clusters_in_a_real_browser(fleet, tmp_path):
    """200 namespaces with seven Secrets in each."""
    rows = [
        {"namespace": f"ns-{number:03}", "secret": f"secret-{secret}", "status": "synced", "message": ""}
        for number in range(200)
        for secret in range(7)
    ]
    clusters = {f"cluster-{number:02}": {"rows": rows} for number in range(50)}
    stale = {**rows[0], "status": "stale", "message": '<old> & "odd"'}
    clusters["cluster-07"] = {"rows": [stale, *rows[1:]]}
    clusters["cluster-50"] = {"msg": "cannot reach it"}
    page = tmp_path / "fleet.html"
    result = fleet.platforms["a"].module("fleet_report", clusters=clusters, html=str(page), fail=False).result
    assert result["unknown"] == {"cluster-50": "cannot reach it"}
    assert not re.search(r"(src|href)=|@import|url\(", page.read_text()), "the page must not load anything"
    script = """
      const grid = () => [document.querySelectorAll('#grid tbody tr').length,
                          document.querySelectorAll('#grid thead th').length - 1];
      const set = (id, value) => {
        const box = document.getElementById(id); box.value = value; box.dispatchEvent(new Event('input'));
      };
      const all = grid(), bad = document.querySelector('#grid td.bad button');
      bad.click();
      const first = [bad.textContent, document.querySelector('#details dd').textContent];
      document.getElementById('close').click();
      const begun = performance.now();
      set('status', 'stale'); const odd = grid();
      set('status', ''); set('search', 'ns-19'); const found = grid();
      set('cluster', 'cluster-07'); const one = grid();
      report({all, first, odd, found, one, ms: (performance.now() - begun) / 4,
              shown: document.getElementById('shown').textContent,
              problems: document.getElementById('problems').innerText});"""
    seen = browse(page, script, tmp_path)
    # That of which nothing is known is a column, too.
    assert seen["all"] == [200, 51] and seen["odd"] == [1, 1] and seen["found"] == [10, 51] and seen["one"] == [10, 1]
    assert seen["first"] == ["6/7", 'stale: <old> & "odd"'] and seen["shown"] == "70 of 70000 shown"
    assert "cluster-50: cannot reach it" in seen["problems"] and seen["ms"] < 1000


def test_a_cluster_that_is_killed_in_the_middle_is_named_and_a_rerun_converges(fleet):
    """The others are done."""
    dying = fleet.platforms["c"].plane
    process = subprocess.Popen(
        [
            "ansible-playbook",
            "platform.cluster_secrets.bootstrap",
            *("-i", str(fleet.inventory), "--limit", "a,b,c", "--vault-password-file", str(fleet.password)),
            *("-e", f"cluster_secrets_values_file={fleet.vault}", "-e", "cluster_secrets_hosts=clusters"),
            *("-e", '{"cluster_secrets_isolation": "entry"}'),
        ],
        env=fleet.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=fleet.folder,
    )
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Apply the catalog] *" in line:
            # In the middle: the first that is written for this isolation is there.
            role = "/apis/rbac.authorization.k8s.io/v1/namespaces/central-secret-store/roles"
            own = f"{role}/central-secret-store-reader-cloudflare-api-token"
            fleet.platforms["c"].eventually(lambda: fleet.platforms["c"].get(own), what="the first write")
            dying.stop_component("kube-apiserver", 9)
    process.wait(timeout=300)
    found = recaps(Outcome(process.returncode, "".join(lines), ""))
    assert process.returncode == 2
    assert {name: one["failed"] for name, one in found.items()} == {"a": 0, "b": 0, "c": 1}, "".join(lines)
    assert "Done: a, b. Failed: c." in "".join(lines)
    dying.start_component("kube-apiserver")
    dying.restart(15)
    again = fleet.play("bootstrap", "--limit", "a,b,c", cluster_secrets_isolation="entry")
    assert again.rc == 0, again.output
    assert {recaps(again)[name]["changed"] for name in ("a", "b")} == {0} and "Done: a, b, c." in again.stdout


def test_nodes_are_upgraded_in_waves_and_no_cluster_waits_for_another_of_its_wave(fleet):
    """What is staged is enough to see it: a slow cluster, a dead one, and one of the next wave."""
    inventory = yaml.safe_load(fleet.inventory.read_text())
    hosts = inventory["clusters"]["hosts"]
    program = fleet.folder / "talosctl"
    program.write_text("#!/bin/sh\ntest $1 != slow || sleep 10\n")
    program.chmod(0o700)
    ordered = {name: dict(hosts[name]) for name in ("a", "b", "down", "c")}
    for name, one in ordered.items():
        # The same for two of them would reach one cluster.
        one["cluster_secrets_talos_command"] = [str(program), "slow" if name == "b" else "quick", name]
    fleet.inventory.write_text(yaml.safe_dump({"clusters": {"hosts": ordered, "vars": LOCAL}}, sort_keys=False))
    try:
        outcome = fleet.play(
            "talos_upgrade",
            cluster_secrets_serial=[3, 1],
            cluster_secrets_talos_nodes=[{"name": "node-0"}],
            cluster_secrets_talos_image="installer:v1.11.2",
            cluster_secrets_talos_stage=True,
        )
    finally:
        fleet.inventory.write_text(yaml.safe_dump(inventory))
    assert outcome.rc == 2, outcome.output
    staged = {name: "cluster-secrets/node-staged" in annotations(fleet.platforms[name]) for name in ("a", "b", "c")}
    assert staged == {"a": True, "b": True, "c": False}, outcome.output
    assert "Stopped before this wave: down failed." in outcome.stdout
    assert outcome.stdout.index("Staged.") < outcome.stdout.index("[b] => (item=node-0)"), outcome.stdout


def test_a_cluster_that_fails_early_ends_only_the_waves_after_its_own(tmp_path):
    """The tasks of the playbooks, under the strategy of the runbooks; no cluster is asked."""
    (runbook,) = yaml.safe_load((ROOT / "playbooks/talos_upgrade.yml").read_text())
    begin = {"ansible.builtin.include_tasks": str(ROOT / "playbooks/tasks/wave_begin.yml")}
    assert runbook["pre_tasks"][0]["ansible.builtin.include_tasks"] == "tasks/wave_begin.yml"
    slow = {"ansible.builtin.command": "sleep {{ {'b': 5, 'c': 2}[inventory_hostname] | default(0) }}"}
    play = {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "strategy": "free",
        "serial": [3, 2, 1],
        "vars": {"cluster_secrets_serial": [3, 2, 1]},
        "tasks": [
            begin,
            {"ansible.builtin.fail": {"msg": "broken"}, "when": "inventory_hostname == 'a'"},
            {**slow, "when": "inventory_hostname in 'bc'"},
            {"ansible.builtin.debug": {"msg": "through: {{ inventory_hostname }}"}},
        ],
    }
    path = tmp_path / "play.yml"
    path.write_text(yaml.safe_dump([play], sort_keys=False))
    done = subprocess.run(
        ["ansible-playbook", "-i", "a,b,c,d,e,f,", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.findall(r"through: (\w)", done.stdout) == ["c", "b"], done.stdout
    assert done.stdout.count("Stopped before this wave: a failed.") == 2, done.stdout


def annotations(platform):
    return platform.get("/api/v1/nodes/node-0")["metadata"].get("annotations") or {}


def test_a_host_without_a_context_does_not_get_another_ones_cluster(fleet):
    """One kubeconfig for all, as on AWX: whoever names no context gets the current one, which is another's."""
    whole = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": [], "current-context": "a"}
    for name in ("a", "b"):
        config = yaml.safe_load(fleet.platforms[name].kubeconfig.read_text())
        whole["clusters"].append({**config["clusters"][0], "name": name})
        whole["users"].append({**config["users"][0], "name": name})
        whole["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    shared = fleet.folder / "shared"
    shared.write_text(yaml.safe_dump(whole))
    inventory = fleet.inventory.read_text()

    def play(*hosts, **variables):
        of_a = {**yaml.safe_load(inventory)["clusters"]["hosts"]["a"], "cluster_secrets_kubeconfig": str(shared)}
        named = {f"host-{number}": {**of_a, **more} for number, more in enumerate(hosts)}
        fleet.inventory.write_text(yaml.safe_dump({"clusters": {"hosts": named, "vars": LOCAL}}))
        return fleet.play("rotate", **variables)

    def context(name):
        return {"cluster_secrets_context": name}

    try:
        refused = play(context("a"), {}, context("b"))
        said = "host-1 names no cluster of its own and got %s (context a), which is that of %s, too."
        server = whole["clusters"][0]["cluster"]["server"]
        assert refused.rc == 2 and said % (server, "host-0") in " ".join(refused.stdout.split()), refused.output
        assert {name: one["failed"] for name, one in recaps(refused).items()} == {"host-0": 0, "host-1": 1, "host-2": 0}
        # Whether the other one is of a later wave, or neither has anything but the environment's.
        fleet.environment["KUBECONFIG"] = str(shared)
        none = {"cluster_secrets_kubeconfig": None}
        for hosts, others, more in (
            (({}, context("b"), context("a")), "host-2", {"cluster_secrets_serial": 1}),
            ((none, none, context("b")), "host-1", {}),
        ):
            refused = play(*hosts, **more)
            assert refused.rc == 2 and said.replace("host-1", "host-0", 1) % (server, others) in " ".join(
                refused.stdout.split()
            ), refused.output
        for hosts in (
            ({}, context("b")),
            (context("a"), {"cluster_secrets_kubeconfig": str(fleet.platforms["b"].kubeconfig)}),
        ):
            assert play(*hosts).rc == 0
    finally:
        fleet.environment.pop("KUBECONFIG", None)
        fleet.inventory.write_text(inventory)
