# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection: whatever says which cluster, everything goes there, and nothing to the default kubeconfig's."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from support import COLLECTIONS, ROOT, Grants, another

from controlplane import cluster

#: Where a pod finds its ServiceAccount; the tests put one there, as root and for a moment.
IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")

#: What in the environment of the tests says which cluster.
SAYING = ("KUBECONFIG", "K8S_AUTH_KUBECONFIG")

#: Each playbook that asks a cluster, with what it needs; together they write and delete all that the collection can.
PLAYBOOKS = {
    "bootstrap": {},
    "status": {},
    "audit": {"cluster_secrets_audit_fail_on": "never"},
    "explain": {"cluster_secrets_namespace": "backstage", "cluster_secrets_secret": "gh-oauth"},
    "logs": {"cluster_secrets_logs_lines": 5},
    "onboard": {
        "cluster_secrets_namespace": "team",
        "cluster_secrets_namespaces_missing": "create",
        "cluster_secrets_secret": ["cloudflare-api-token"],
    },
    "offboard": {"cluster_secrets_namespace": "team", "cluster_secrets_secret": ["cloudflare-api-token"]},
    "rotate": {"cluster_secrets_rotate_restart": "restart"},
    "backup": {"cluster_secrets_backup_file": "{folder}/saved.vault.yml"},
    "restore": {"cluster_secrets_backup_file": "{folder}/saved.vault.yml"},
    "render": {"cluster_secrets_dest": "{folder}/rendered"},
    "adopt": {"cluster_secrets_dest": "{folder}/adopted"},
    "talos_upgrade_gate": {},
    "talos_upgrade_pre": {"cluster_secrets_upgrade_cronjobs": [{"namespace": "default", "name": "defrag"}]},
    "talos_upgrade_post": {"cluster_secrets_upgrade_cronjobs": [{"namespace": "default", "name": "defrag"}]},
    # Looks, and refuses the way back.
    "talos_upgrade_kubernetes": {"cluster_secrets_talos_nodes": [], "cluster_secrets_talos_kubernetes": "1.0.0"},
    "talos_upgrade": {"cluster_secrets_talos_nodes": [], "cluster_secrets_talos_image": "none:v1.0.0"},
    "validate": {},
    "eso_upgrade": {},
    "teardown": {"cluster_secrets_teardown_eso": True},
}


@pytest.fixture(scope="module")
def both(platform):
    """(the cluster that is meant, the one that the default kubeconfig names)."""
    with another(platform, "meant") as meant, another(platform, "default") as default:
        yield meant, default


@pytest.fixture
def ways(both, tmp_path):
    """For each way to connect: (environment, variables, what a module's options are)."""
    meant, _default = both
    config = yaml.safe_load(meant.kubeconfig.read_text())
    server = config["clusters"][0]["cluster"]["server"]
    user = config["users"][0]["user"]
    files = {}
    for name, text in (
        ("ca", config["clusters"][0]["cluster"]["certificate-authority-data"]),
        ("cert", user["client-certificate-data"]),
        ("key", user["client-key-data"]),
    ):
        files[name] = tmp_path / f"{name}.pem"
        files[name].write_bytes(base64.b64decode(text))
    certificate = {"client_cert": str(files["cert"]), "client_key": str(files["key"]), "ca_cert": str(files["ca"])}
    with Grants(meant) as grants:
        # Whoever asks for it may do everything; impersonated, it may do nothing by itself.
        grants("operator", role="cluster-admin", subject=grants.account("operator"))
        token = yaml.safe_load(grants.kubeconfig("operator").read_text())["users"][0]["user"]["token"]
        jane = {**user, "as": "jane", "as-groups": ["system:masters"]}
        again = {**config, "users": [{"name": config["users"][0]["name"], "user": jane}]}
        acting = tmp_path / "acting.kubeconfig"
        acting.write_text(yaml.safe_dump(again))
        yield {
            "kubeconfig": ({}, {"cluster_secrets_kubeconfig": str(meant.kubeconfig)}),
            "relative": ({}, {"cluster_secrets_kubeconfig": os.path.relpath(meant.kubeconfig, meant.folder)}),
            "certificate": (
                {},
                {f"cluster_secrets_{name}": value for name, value in {"host": server, **certificate}.items()},
            ),
            "impersonation": ({}, {"cluster_secrets_kubeconfig": str(acting)}),
            "environment": ({"K8S_AUTH_KUBECONFIG": str(meant.kubeconfig)}, {}),
            "awx": (
                {
                    "K8S_AUTH_HOST": server,
                    "K8S_AUTH_API_KEY": token,
                    "K8S_AUTH_SSL_CA_CERT": str(files["ca"]),
                    "K8S_AUTH_VERIFY_SSL": "True",
                },
                {},
            ),
            "pod": (
                {
                    "KUBERNETES_SERVICE_HOST": "127.0.0.1",
                    "KUBERNETES_SERVICE_PORT": server.rpartition(":")[2],
                    "KUBECONFIG": "",
                    "TOKEN": token,
                    "CA": str(files["ca"]),
                },
                {},
            ),
            "options": ({}, {"host": server, **certificate}),
        }


@pytest.fixture
def at(both, ways, tmp_path):
    """Run a playbook, or a file, by one way of connecting; the other cluster is the default."""
    meant, default = both

    def run(way, playbook, variables=None, check=True, arguments=()):
        said, own = ways[way]
        environment = {"HOME": str(tmp_path), "KUBECONFIG": str(default.kubeconfig), **said}
        (tmp_path / ".kube").mkdir(exist_ok=True)
        shutil.copy(default.kubeconfig, tmp_path / ".kube/config")
        before = {name: meant.environment.pop(name, None) for name in SAYING}
        try:
            if way == "pod":
                with in_cluster(environment.pop("TOKEN"), environment.pop("CA")):
                    return meant.play(playbook, *arguments, variables=variables, check=check, **environment)
            own = own if way != "options" else {}
            return meant.play(playbook, *arguments, variables={**own, **(variables or {})}, check=check, **environment)
        finally:
            meant.environment.update({name: value for name, value in before.items() if value is not None})

    return run


class in_cluster:
    """The files of a pod's ServiceAccount, for the block."""

    def __init__(self, token, authority):
        self.token, self.authority = token, authority

    def __enter__(self):
        IN_CLUSTER.mkdir(parents=True)
        (IN_CLUSTER / "token").write_text(self.token)
        (IN_CLUSTER / "ca.crt").write_text(Path(self.authority).read_text())

    def __exit__(self, *_error):
        shutil.rmtree(IN_CLUSTER.parents[1])


def requests_of_others(platform, mark):
    """What anybody but the cluster's own parts, which the harness started, asked since."""
    return [
        (event["user"]["username"], event["verb"], event["requestURI"], event.get("userAgent"))
        for event in platform.plane.audit_events(mark)
        if event["user"]["username"] in (cluster.ADMIN_USER, "system:anonymous")
        and not str(event.get("userAgent")).startswith((cluster.HARNESS, "kwok"))
    ]


ROLES = ("eso", "central_store", "namespaces", "distribution", "guard", "verify")


@pytest.mark.parametrize(
    "way", ["kubeconfig", "relative", "certificate", "impersonation", "environment", "awx", "pod", "options"]
)
def test_a_bootstrap_goes_to_the_cluster_that_is_meant(both, ways, at, way, tmp_path):
    if way == "pod" and (os.geteuid() != 0 or IN_CLUSTER.parents[1].exists()):
        pytest.skip("needs root, and no pod around it")
    meant, default = both
    mark, own = default.mark(), meant.mark()
    playbook = "bootstrap"
    if way == "options":
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": {"group/platform.cluster_secrets.cluster_secrets": ways[way][1]},
            "roles": [f"platform.cluster_secrets.{name}" for name in ROLES],
        }
        playbook = str(tmp_path / "play.yml")
        Path(playbook).write_text(json.dumps([play]))
    at(way, playbook)
    assert meant.data("backstage", "gh-oauth")
    assert any(event["userAgent"].startswith("Helm") for event in meant.plane.audit_events(own)) or way != "kubeconfig"
    if way == "impersonation":
        writers = {
            event["impersonatedUser"]["username"]
            for event in meant.plane.audit_events(own)
            if event.get("impersonatedUser")
        }
        assert "jane" in writers
    # Everything anew for the next one, helm's own work too.
    removed = at("kubeconfig" if way == "options" else way, "teardown", {"cluster_secrets_teardown_eso": True})
    assert removed.recap["changed"] == 2
    assert requests_of_others(default, mark) == []


def test_no_playbook_asks_the_default_cluster(both, at, tmp_path):
    meant, default = both
    mark = default.mark()
    job = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}}}
    defrag = {"metadata": {"name": "defrag"}, "spec": {"schedule": "0 0 1 1 *", "jobTemplate": job}}
    meant.request("POST", "/apis/batch/v1/namespaces/default/cronjobs", defrag)
    there = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert there - {"init"} == set(PLAYBOOKS)
    for playbook, variables in PLAYBOOKS.items():
        filled = json.loads(json.dumps(variables).replace("{folder}", str(tmp_path)))
        filled["cluster_secrets_snapshot_dir"] = str(tmp_path / "snapshots")
        done = at("certificate", playbook, filled, check=playbook != "talos_upgrade_kubernetes")
        assert done.rc == 0 or "there is no way back" in done.stdout
        if playbook == "talos_upgrade_pre":
            assert meant.get("/apis/batch/v1/namespaces/default/cronjobs/defrag")["spec"]["suspend"] is True
    resumed = meant.get("/apis/batch/v1/namespaces/default/cronjobs/defrag")
    assert resumed["spec"]["suspend"] is False and not resumed["metadata"].get("annotations")
    assert requests_of_others(default, mark) == []


@pytest.mark.parametrize("way", ["kubeconfig", "environment", "awx"])
def test_each_command_says_first_which_cluster_it_is_at(both, at, way):
    """By the server, and the context of the kubeconfig where there is one; with no word of credentials."""
    meant, default = both
    config = yaml.safe_load(meant.kubeconfig.read_text())
    said = at(way, "talos_upgrade_gate", check=False).stdout
    server = config["clusters"][0]["cluster"]["server"]
    context = "" if way == "awx" else f" (context {config['current-context']})"
    first = said.index("TASK [Check the variables]")
    assert first < said.index(f"\nCluster: {server}{context}\n") < said.index("TASK [", first + 1)
    assert yaml.safe_load(default.kubeconfig.read_text())["clusters"][0]["cluster"]["server"] not in said


def test_a_play_stays_on_the_cluster_that_it_began_on(both, tmp_path):
    """Somebody changes the current context, or the address of the one that is said, while it runs."""
    meant, _default = both
    first, second = (yaml.safe_load(one.kubeconfig.read_text()) for one in both)
    together = {"apiVersion": "v1", "kind": "Config", "current-context": "meant"}
    for part, name in (("clusters", "cluster"), ("users", "user")):
        together[part] = [
            {"name": said, name: one[part][0][name]} for said, one in (("meant", first), ("default", second))
        ]
    contexts = [{"name": said, "context": {"cluster": said, "user": said}} for said in ("meant", "default")]
    config = tmp_path / "config"
    config.write_text(yaml.safe_dump({**together, "contexts": contexts}))
    checks = {"platform.cluster_secrets.variables": None, "register": "cluster_secrets_at"}
    asks = {"platform.cluster_secrets.eso_info": None, "ignore_errors": True}
    changes = {
        "name": "Change it",
        "ansible.builtin.replace": {"path": str(config), "regexp": "current-context: meant"},
    }
    changes["ansible.builtin.replace"]["replace"] = "current-context: default"
    play = tmp_path / "play.yml"
    outcomes = []

    def asked(*plays):
        """How many requests each cluster was sent."""
        play.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": one} for one in plays]))
        marks = [one.mark() for one in both]
        outcomes.append(meant.play(str(play), KUBECONFIG=str(config), K8S_AUTH_KUBECONFIG=""))
        return [len(requests_of_others(one, mark)) for one, mark in zip(both, marks)]

    counts = asked([checks, changes, asks], [checks, asks])
    assert counts[0] > 0 == counts[1]
    # The next run takes what is the current one then, and so does a task that names a context itself.
    config.write_text(config.read_text().replace("current-context: default", "current-context: meant"))
    own = {**asks, "platform.cluster_secrets.eso_info": {"context": "default"}}
    counts = asked([checks, changes, own])
    assert counts[0] == 0 < counts[1]
    assert asked([checks, asks])[0] == 0
    servers = [one["clusters"][0]["cluster"]["server"] for one in (first, second)]
    moves = {"name": "Move it", "ansible.builtin.replace": {"path": str(config), "regexp": servers[1]}}
    moves["ansible.builtin.replace"]["replace"] = servers[0]
    counts = asked([checks, asks, moves, asks])
    assert counts[0] == 0 < counts[1]
    assert f"'default' leads elsewhere than when this play began: to {servers[0]}. Nothing" in outcomes[-1].output


def test_a_kubeconfig_of_a_hosts_own_is_not_overruled_by_the_environment(both, at):
    """AWX's credential beside it would make every cluster of a fleet the same one."""
    meant, default = both
    marks = default.mark(), meant.mark()
    variables = {"cluster_secrets_kubeconfig": str(meant.kubeconfig)}
    outcome = at("awx", "status", variables, check=False)
    assert outcome.rc == 2
    assert "both 'kubeconfig' and 'K8S_AUTH_HOST', 'K8S_AUTH_API_KEY' are set" in outcome.stdout
    assert requests_of_others(default, marks[0]) == requests_of_others(meant, marks[1]) == []


def test_a_tasks_own_kubeconfig_is_not_mixed_with_a_hosts_address(both, at, tmp_path):
    meant, default = both
    marks = default.mark(), meant.mark()
    task = {"platform.cluster_secrets.eso_info": {"kubeconfig": str(default.kubeconfig)}}
    (tmp_path / "own.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    outcome = at("certificate", str(tmp_path / "own.yml"), check=False)
    assert outcome.rc == 2 and "both 'kubeconfig (of the task)' and 'cluster_secrets_host'" in outcome.stdout
    assert requests_of_others(default, marks[0]) == requests_of_others(meant, marks[1]) == []


def test_a_tasks_environment_does_not_take_helm_elsewhere(both, at, tmp_path):
    meant, default = both
    mark, own = default.mark(), meant.mark()
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "environment": {"K8S_AUTH_KUBECONFIG": str(default.kubeconfig), "K8S_AUTH_CONTEXT": "none"},
        "roles": ["platform.cluster_secrets.eso"],
    }
    (tmp_path / "own.yml").write_text(json.dumps([play]))
    variables = {"cluster_secrets_context": yaml.safe_load(meant.kubeconfig.read_text())["current-context"]}
    at("kubeconfig", str(tmp_path / "own.yml"), variables)
    assert any(event["userAgent"].startswith("Helm") for event in meant.plane.audit_events(own))
    at("kubeconfig", "teardown", {"cluster_secrets_teardown_eso": True})
    assert requests_of_others(default, mark) == []


def test_what_helm_can_not_be_given_is_refused_first(both, at):
    meant, default = both
    marks = default.mark(), meant.mark()
    variables = {
        "cluster_secrets_proxy": "http://127.0.0.1:9",
        "cluster_secrets_proxy_headers": {"user_agent": "me"},
    }
    for playbook, more in (("bootstrap", {}), ("teardown", {"cluster_secrets_teardown_eso": True})):
        outcome = at("kubeconfig", playbook, {**variables, **more}, check=False)
        assert outcome.rc == 2 and "'user_agent', which can't be handed to helm" in outcome.stdout, outcome.stdout
    assert requests_of_others(default, marks[0]) == requests_of_others(meant, marks[1]) == []


def test_relative_paths_mean_the_same_wherever_a_module_runs(both, at, tmp_path):
    meant, _default = both
    for reason in ({}, {"ansible_python_interpreter": shutil.which("python3")}):
        name = "reports-%d.json" % len(reason)
        at("relative", "status", {"cluster_secrets_report": name, **reason}, check=False)
        assert (meant.folder / name).exists()
    installed = Path(COLLECTIONS) / "ansible_collections/platform/cluster_secrets"
    assert list(installed.rglob("reports-*.json")) == []


def kubeconfig_of(path, user, **servers):
    """A kubeconfig of contexts that lead to servers which nobody asks; the first is the current one."""
    contexts = [{"name": name, "context": {"cluster": name, "user": "u"}} for name in servers]
    clusters = [{"name": name, "cluster": {"server": server}} for name, server in servers.items()]
    whole = {"clusters": clusters, "contexts": contexts, "users": [{"name": "u", "user": user}]}
    path.write_text(
        yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": next(iter(servers)), **whole})
    )
    return str(path)


A, B = "https://a.invalid:6443", "https://b.invalid:6443"


@pytest.fixture
def looked(tmp_path):
    """Runs plays that only ask where connections lead, which sends no request: the return code and the output."""

    def run(*plays, hosts=("n", "a", "b"), said=(), **variables):
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": {name: variables.get(name, {}) for name in hosts}}}))
        path = tmp_path / "plays.yml"
        common = {"hosts": "all", "connection": "local", "gather_facts": False}
        whole = [play if "import_playbook" in play else {**common, **play} for play in plays]
        path.write_text(yaml.safe_dump(whole, sort_keys=False))
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("K8S_", "KUBE"))}
        environment |= {"HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "config")}
        argv = ["ansible-playbook", "-i", str(inventory), str(path), *said]
        done = subprocess.run(
            argv, capture_output=True, text=True, env=environment, check=False, stdin=subprocess.DEVNULL
        )
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    return run


CHECKS = {"platform.cluster_secrets.variables": {}, "register": "cluster_secrets_at"}
CONTEXTS = {"a": {"cluster_secrets_context": "a"}, "b": {"cluster_secrets_context": "b"}}


def test_two_hosts_do_not_reach_the_same_talos_nodes(looked, tmp_path):
    """Given for all, as by -e @nodes.yml; which cluster talosctl goes to, no context of a kubeconfig says."""
    kubeconfig_of(tmp_path / "config", {"token": "t"}, a=A, b=B)
    tasks = [{**CHECKS, "platform.cluster_secrets.variables": {"talos_nodes": True}}]
    nodes = {"cluster_secrets_talos_nodes": [{"name": "control-1"}]}
    given = {name: {**CONTEXTS[name], **nodes} for name in ("a", "b")}
    code, said = looked({"tasks": tasks}, hosts=("a", "b"), **given)
    assert code == 2 and "a and b have the same cluster_secrets_talos_nodes" in said, said
    # Whoever upgrades no node has nothing to do with it.
    assert looked({"tasks": [CHECKS]}, hosts=("a", "b"), **given)[0] == 0
    own = {name: {**given[name], "cluster_secrets_talos_command": ["talosctl", "--context", name]} for name in given}
    assert looked({"tasks": tasks}, hosts=("a", "b"), **own)[0] == 0
    # What one host says counts for no other.
    assert looked({"tasks": tasks}, hosts=("a", "b"), **{**own, "b": given["b"]})[0] == 0
    of_play = {"cluster_secrets_talos_command": ["talosctl", "--context", "{{ inventory_hostname }}"]}
    assert looked({"tasks": tasks, "vars": of_play}, hosts=("a", "b"), **given)[0] == 0


def test_who_names_no_cluster_does_not_get_that_of_another_host(looked, tmp_path):
    path = kubeconfig_of(tmp_path / "config", {"token": "t"}, a=A, b=B)
    refused = f"n names no cluster of its own and got {A} (context a), which is that of a, too"
    code, said = looked({"tasks": [CHECKS]}, **CONTEXTS)
    assert code == 2 and refused in said, said
    # Also of one that a limit leaves out, if it names a cluster; other machines of the inventory name none.
    alone = {"hosts": "n", "tasks": [CHECKS]}
    code, said = looked(alone, **CONTEXTS)
    assert code == 2 and refused in said, said
    assert looked(alone, b=CONTEXTS["b"])[0] == 0
    # What the play says is no variable of the other hosts, and counts for them.
    of_play = {"vars": {"cluster_secrets_kubeconfig": path, "cluster_secrets_store_namespace": "vault"}}
    (tmp_path / "config").rename(tmp_path / "other")
    of_play["vars"]["cluster_secrets_kubeconfig"] = str(tmp_path / "other")
    code, said = looked({**of_play, "tasks": [CHECKS]}, **CONTEXTS)
    assert code == 2 and refused in said, said
    # One that is asked once for all, that a task names, or that has another central namespace, is nobody's mistake.
    (tmp_path / "other").rename(tmp_path / "config")
    once = {"tasks": [{**CHECKS, "run_once": True}]}
    default = {"module_defaults": {"group/platform.cluster_secrets.cluster_secrets": {"context": "{{ which }}"}}}
    named = {name: {"which": name} for name in ("a", "b")}
    for play, variables in (
        (once, {}),
        ({**default, "tasks": [CHECKS]}, {**named, "n": {"which": "a"}}),
        ({"tasks": [CHECKS]}, {**CONTEXTS, "n": {"cluster_secrets_store_namespace": "own"}}),
    ):
        code, said = looked(play, **variables)
        assert code == 0 and "Cluster: " in said, said


def test_what_is_said_once_for_all_makes_no_one_cluster_of_many(looked, tmp_path):
    """On the command line, or by a group's kubeconfig of several contexts; also where another Python runs modules."""
    config = kubeconfig_of(tmp_path / "config", {"token": "t"}, a=A, b=B)
    copy = kubeconfig_of(tmp_path / "copy", {"token": "u"}, a=A)
    play = {"tasks": [CHECKS]}
    same = "which is that of b, too. Give it its own cluster_secrets_context"
    for other in ({}, {"ansible_python_interpreter": "/usr/bin/another"}):
        for said_once in ("cluster_secrets_context=b", f"cluster_secrets_kubeconfig={copy}"):
            hosts = {name: {**CONTEXTS[name], **other} for name in ("a", "b")}
            if "kubeconfig" in said_once:
                hosts = dict.fromkeys(("a", "b"), other)
            code, said = looked(play, hosts=("a", "b"), said=["-e", said_once], **hosts)
            assert code == 2 and same in said, said
        group = {"cluster_secrets_kubeconfig": config, **other}
        code, said = looked(play, hosts=("a", "b"), a=group, b=group)
        assert code == 2 and same in said, said
    # Each by its own variables is meant, and so is another namespace.
    own = {"cluster_secrets_kubeconfig": copy}
    assert looked(play, hosts=("a", "b"), a=own, b=own)[0] == 0
    apart = {"a": {"cluster_secrets_store_namespace": "own"}, "said": ["-e", "cluster_secrets_context=b"]}
    assert looked(play, hosts=("a", "b"), **apart)[0] == 0
    # A limit hides no cluster that a kubeconfig alone names, and no environment hides that it is one.
    alone = {"hosts": "n", "tasks": [CHECKS], "environment": {"K8S_AUTH_KUBECONFIG": copy}}
    code, said = looked(alone, a=own)
    assert code == 2 and f"n names no cluster of its own and got {A} (context a), which is that of a, too" in said, said


def test_an_address_does_not_overrule_a_hosts_own_kubeconfig(looked, tmp_path):
    config = kubeconfig_of(tmp_path / "config", {"token": "t"}, a=A, b=B)
    asks = {"platform.cluster_secrets.eso_info": {}}
    both = {"cluster_secrets_kubeconfig": config, "cluster_secrets_host": B, "cluster_secrets_api_key": "t"}
    code, said = looked({"tasks": [asks]}, hosts=["n"], n=both)
    assert code == 2 and "both 'cluster_secrets_host' and 'cluster_secrets_kubeconfig' are set for this host" in said


def test_what_runs_here_goes_nowhere_else_than_the_other_tasks(looked, tmp_path):
    kubeconfig_of(tmp_path / "config", {"token": "t"}, a=A)
    tears = {"platform.cluster_secrets.teardown": {}}
    code, said = looked({"tasks": [tears]}, hosts=["n"], n={"ansible_connection": "ssh"})
    assert code == 2 and "platform.cluster_secrets.teardown runs on this machine, and the other tasks of n" in said, (
        said
    )


def test_a_later_play_is_held_to_the_server_and_runs_no_plugin(looked, tmp_path):
    """A plugin of the kubeconfig gives credentials; who only asks where it leads does not run it."""
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    plugin.chmod(0o700)
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    }
    path = kubeconfig_of(tmp_path / "config", user, a=A)
    moves = {"ansible.builtin.replace": {"path": path, "regexp": A, "replace": B}}
    code, said = looked({"tasks": [CHECKS]}, {"tasks": [moves]}, {"tasks": [CHECKS]}, hosts=["n"])
    assert code == 2 and f"'a' leads elsewhere than when this play began: to {B}. Nothing was sent there." in said, said
    kubeconfig_of(tmp_path / "config", user, a=A)
    # An alias of an option is the option, and a task may say another way itself.
    (tmp_path / "ca").write_text("ca")
    defaults = {"group/platform.cluster_secrets.cluster_secrets": {"ssl_ca_cert": str(tmp_path / "ca")}}
    asks = {"platform.cluster_secrets.kubeconfig": {"dest": str(tmp_path / "out")}, "failed_when": False}
    code, said = looked({"module_defaults": defaults, "tasks": [CHECKS, CHECKS]}, {"tasks": [CHECKS]}, hosts=["n"])
    assert code == 0 and said.count(f"Cluster: {A} (context a)") == 3, said
    assert not (tmp_path / "ran").exists()
    assert looked({"tasks": [asks]}, hosts=["n"])[0] == 0 and (tmp_path / "ran").exists()


#: Nobody listens there.
NOWHERE = {name: {"cluster_secrets_host": f"https://127.0.0.1:{port}"} for name, port in (("a", 1), ("b", 2))}


def imported(playbook, **variables):
    return {
        "import_playbook": f"platform.cluster_secrets.{playbook}",
        "vars": {"cluster_secrets_hosts": "all", **variables},
    }


@pytest.mark.parametrize("playbook", ["talos_upgrade_gate", "rotate", "status"])
def test_a_pattern_that_matches_no_cluster_is_no_success(looked, playbook):
    code, said = looked(imported(playbook, cluster_secrets_hosts="prodution"), hosts=["a"], **NOWHERE)
    assert code and "cluster_secrets_hosts: no host of the inventory matches 'prodution'." in said, said
    # Nor is a misspelled name among others, or of what is to be left out.
    for pattern in ("a,prodution", "all:!prodution"):
        code, said = looked(imported(playbook, cluster_secrets_hosts=pattern), hosts=["a"], **NOWHERE)
        assert code and "matches 'prodution'" in said, said


def test_how_many_clusters_go_at_a_time_is_heeded_or_refused(looked):
    late = {name: {**own, "cluster_secrets_serial": [1, "100%"]} for name, own in NOWHERE.items()}
    code, said = looked(imported("rotate"), hosts=["a", "b"], **late)
    assert code == 2 and "cluster_secrets_serial: the inventory says it, where Ansible does not see it in time" in said
    for given in ("[1, 1]", "1,100%"):
        code, said = looked(imported("rotate", cluster_secrets_serial=given), hosts=["a", "b"], **NOWHERE)
        assert code == 2 and "Failed: a. Not begun: b." in said, said
    code, said = looked(imported("rotate", cluster_secrets_serial="abc"), hosts=["a", "b"], **NOWHERE)
    assert code and "cluster_secrets_serial can't be 'abc'. Give a number of clusters" in said, said


@pytest.mark.parametrize(
    ("playbook", "variable"),
    [
        ("audit", "cluster_secrets_report"),
        ("backup", "cluster_secrets_backup_file"),
        ("adopt", "cluster_secrets_dest"),
        ("talos_upgrade_post", "cluster_secrets_gate_json"),
        ("eso_upgrade", "cluster_secrets_gate_json"),
    ],
)
def test_where_a_playbook_is_imported_one_path_is_not_for_several_clusters(looked, playbook, variable):
    code, said = looked(imported(playbook, **{variable: "one.json"}), hosts=["a", "b"], **NOWHERE)
    assert code == 2 and f"{variable} names one path for several clusters" in said, said
    own = imported(playbook, **{variable: "{{ inventory_hostname }}.json"}, cluster_secrets_gate_timeout=1)
    code, said = looked(own, hosts=["a", "b"], **NOWHERE)
    assert code == 2 and "names one path" not in said and "cannot reach" in said, said
