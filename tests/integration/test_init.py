# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A beginning with an empty catalog: asked on a terminal or said by variables, then a bootstrap of what was written."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess

import jsonschema
import pytest
import yaml
from support import CANARY, ROOT, another, leaked, on_a_terminal, values

PLAYBOOK = "platform.cluster_secrets."


def bootstrapped_from(platform, folder, *arguments):
    done = subprocess.run(
        [
            *("ansible-playbook", f"{PLAYBOOK}bootstrap"),
            *("--vault-password-file", str(platform.password), *arguments),
            *(["-e", f"@{platform.plane.variables_file}"] if platform.plane else []),
        ],
        cwd=folder,
        env=platform.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def after(platform):
    """A cluster of its own: other catalogs than those of other tests are bootstrapped on it."""
    with another(platform, "init") as own:
        yield own


@pytest.fixture
def empty(after):
    """The cluster of somebody who begins: nothing of another catalog is on it."""
    after.play("teardown")
    return after


def test_by_variables_and_then_a_bootstrap(empty, tmp_path):
    platform, folder = empty, tmp_path / "one"
    given = tmp_path / "given.yml"
    secrets = [{"name": "smtp", "keys": ["user", "password"], "namespaces": ["shop"]}]
    given.write_text(
        yaml.safe_dump(
            {
                "cluster_secrets_init_secrets": secrets,
                "cluster_secrets_init_values": {"smtp": {"user": f"{CANARY}-mailer"}},
            }
        )
    )
    arguments = ("-vvv", "--diff", "-e", f"@{given}", "-e", f"cluster_secrets_dest={folder}")
    predicted = platform.play("init", "--check", *arguments)
    assert predicted.recap["changed"] == 2 and not folder.exists()
    done = platform.play("init", *arguments)
    assert done.recap["changed"] == 2 and leaked(predicted.output + done.output) == []
    assert platform.play("init", *arguments).recap["changed"] == 0
    vault = folder / "cluster_secrets.vault.yml"
    assert vault.read_text().startswith("$ANSIBLE_VAULT;") and vault.stat().st_mode & 0o077 == 0
    first = bootstrapped_from(platform, folder)
    assert "1 Secrets in 1 namespaces are current." in first
    data = platform.data("shop", "smtp")
    assert data["user"] == f"{CANARY}-mailer" and re.fullmatch("[A-Za-z0-9]{32}", data["password"])
    assert re.search(r"changed=0 ", bootstrapped_from(platform, folder))
    # Every command that the collection prints works in the folder as it is, and so do the short names.
    shown = subprocess.run(
        ["task", "platform:explain", "--", "-e", "cluster_secrets_namespace=shop", "-e", "cluster_secrets_secret=smtp"],
        cwd=folder,
        env=platform.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0 and "The chain is whole." in shown.stdout, shown.stdout + shown.stderr
    mine = (folder / "Taskfile.yml").read_text() + "# mine\n"
    (folder / "Taskfile.yml").write_text(mine)
    # An ansible.cfg of somebody's stays whatever is said, and then the inventory has to be named.
    assert "  ansible-playbook platform.cluster_secrets.bootstrap --ask-vault-pass\n" in done.stdout
    (folder / "ansible.cfg").write_text("[defaults]\nforks = 3\n")
    told = platform.play("init", *arguments, "-e", "cluster_secrets_force=true")
    assert "  ansible-playbook -i inventory.yml platform.cluster_secrets.bootstrap --ask-vault-pass\n" in told.stdout
    assert (folder / "ansible.cfg").read_text() == "[defaults]\nforks = 3\n"
    # What is there and was changed stays, unless it is said.
    (folder / "inventory.yml").write_text("all: {}\n")
    refused = platform.play("init", *arguments, check=False)
    assert refused.rc == 2 and "is there and holds something else. Nothing was written." in refused.output
    platform.play("init", *arguments, "-e", "cluster_secrets_force=true")
    assert (folder / "Taskfile.yml").read_text() == mine


def test_the_readme_from_a_git_url(empty, tmp_path):
    """Each command of the quickstart as it stands there, but for where the repository is and who types the password."""
    platform = empty
    readme = (ROOT / "README.md").read_text()
    commands = (
        readme.partition("On a cluster of your own")[2].partition("```shell\n")[2].partition("```")[0].splitlines()
    )
    repository = tmp_path / "repository"
    ignored = (".git", ".cache", "__pycache__", ".ansible", "*.tar.gz")
    shutil.copytree(ROOT, repository, ignore=shutil.ignore_patterns(*ignored))
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    environment = {**platform.environment, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections")}
    environment.pop("PYTHONPATH")
    folder, output = tmp_path, ""
    assert len(commands) == 7
    for command in commands:
        program, *words = shlex.split(command)
        if program == "cd":
            folder = folder / words[0]
            continue
        if program == "pip":
            continue  # the tests' own environment has it
        if program == "ansible-galaxy":
            words = [*words[:-1], f"git+file://{repository}", "--no-deps", "-p", str(tmp_path / "collections")]
        elif "--ask-vault-pass" in words:
            words.remove("--ask-vault-pass")
            words += ["--vault-password-file", str(platform.password)]
        if "bootstrap" in command:
            words += ["-e", f"@{platform.plane.variables_file}"] if platform.plane else []
        done = subprocess.run(
            [program, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        output += done.stdout
    assert "1 Secrets in 1 namespaces are current." in output and "1 targets are synced" in output
    assert set(platform.data("demo", "example")) == {"username", "password"}


def test_without_a_terminal_and_without_variables_there_is_an_example(empty, tmp_path):
    folder = tmp_path / "two"
    empty.play(
        "init",
        "-e",
        f"cluster_secrets_dest={tmp_path / 'lists'}",
        variables={"cluster_secrets_init_keys": ["a", "b"], "cluster_secrets_namespace": []},
    )
    content = yaml.safe_load((tmp_path / "lists/group_vars/all/cluster_secrets.yml").read_text())
    assert list(content["cluster_secrets_catalog"][0]["data"]) == ["a", "b"]
    empty.play("init", "-e", f"cluster_secrets_dest={folder}")
    # Where nobody was asked, it is whichever is the current one.
    (host,) = yaml.safe_load((folder / "inventory.yml").read_text())["all"]["hosts"].values()
    assert "cluster_secrets_context" not in host
    content = yaml.safe_load((folder / "group_vars/all/cluster_secrets.yml").read_text())
    (entry,) = content["cluster_secrets_catalog"]
    assert entry["name"] == "example" and set(entry["generate"]) == {"username", "password"}
    # An empty mapping would have to be taken away before anything can be added.
    vault = folder / "cluster_secrets.vault.yml"
    given = values.read_vault(vault, empty.password)
    assert given == {"example": {}}
    bootstrapped_from(empty, folder)
    assert set(empty.data("demo", "example")) == {"username", "password"}


def test_an_editor_finds_the_schema(empty, tmp_path):
    folder = tmp_path / "schema"
    empty.play("init", "-e", f"cluster_secrets_dest={folder}")
    path = folder / "group_vars/all/cluster_secrets.yml"
    named = re.match(r"---\n# yaml-language-server: \$schema=(\S+)\n", path.read_text())[1]
    schema = json.loads((path.parent / named).read_text())
    assert schema == json.loads((ROOT / "docs/catalog.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    checked = subprocess.run(
        ["ansible-playbook", f"{PLAYBOOK}validate", "--vault-password-file", str(empty.password)],
        cwd=folder,
        env=empty.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    # As the folder's own ansible.cfg has it, without the tasks around it.
    assert checked.returncode == 0 and checked.stdout.startswith("ENTRY    SOURCE   TARGET   TYPE    LABEL")
    assert checked.stdout.splitlines()[1:] == [
        "example  example  example  Opaque  secrets/example=true  demo",
        "localhost: ok=5 changed=0 unreachable=0 failed=0",
    ]


def test_asked_on_a_terminal(after, tmp_path):
    folder = tmp_path / "three"
    argv = ["ansible-playbook", f"{PLAYBOOK}init", "-e", f"cluster_secrets_dest={folder}"]
    argv += ["--vault-password-file", str(after.password)]
    contexts = tmp_path / "contexts.yml"
    known = yaml.safe_load(after.kubeconfig.read_text())
    known["contexts"].append({**known["contexts"][0], "name": "production"})
    contexts.write_text(yaml.safe_dump(known))
    status, seen = on_a_terminal(
        after,
        argv,
        [
            # What can't be a name is asked for again.
            ("[example]", "My API"),
            ("[example]", "api"),
            ("[username,password]", "token, secret"),
            ("[demo]", "shop"),
            ("embedded, production [whichever is the current one]", "production"),
            ("generated)", f"{CANARY}-typed"),
            ("generated)", ""),
        ],
        tmp_path,
        width=140,
        K8S_AUTH_KUBECONFIG=str(contexts),
    )
    assert status == 0, seen
    assert leaked(seen) == [] and "bootstrap --ask-vault-pass" in seen and seen.count("[example]") == 2
    (host,) = yaml.safe_load((folder / "inventory.yml").read_text())["all"]["hosts"].values()
    assert host["cluster_secrets_context"] == "production"
    content = yaml.safe_load((folder / "group_vars/all/cluster_secrets.yml").read_text())
    (entry,) = content["cluster_secrets_catalog"]
    assert entry["data"] == {"token": "token", "secret": "secret"} and list(entry["generate"]) == ["secret"]
    shown = subprocess.run(
        [
            "ansible-vault",
            "view",
            "--vault-password-file",
            str(after.password),
            str(folder / "cluster_secrets.vault.yml"),
        ],
        capture_output=True,
        text=True,
        check=True,
        env=after.environment,
    ).stdout
    assert yaml.safe_load(shown) == {"api": {"token": f"{CANARY}-typed"}}


def test_a_vault_password_that_is_typed_is_typed_twice(after, tmp_path):
    folder = tmp_path / "typed"
    argv = ["ansible-playbook", f"{PLAYBOOK}init", "-e", f"cluster_secrets_dest={folder}", "--ask-vault-pass"]
    given = tmp_path / "given.yml"
    given.write_text(
        yaml.safe_dump(
            {"cluster_secrets_init_secrets": [{"name": "smtp", "keys": ["user"]}], "cluster_secrets_init_values": {}}
        )
    )
    argv += ["-e", f"@{given}"]
    slip = [("Vault password: ", f"{CANARY}-one"), ("once more", f"{CANARY}-two")]
    status, seen = on_a_terminal(after, argv, slip, tmp_path)
    assert status == 2 and "passwords that were typed differ. Nothing was written" in seen and not folder.exists()
    right = [("Vault password: ", f"{CANARY}-one"), ("once more", f"{CANARY}-one")]
    status, more = on_a_terminal(after, argv, right, tmp_path)
    assert status == 0 and leaked(seen + more) == [] and (folder / "cluster_secrets.vault.yml").exists()
    status, nothing = on_a_terminal(
        after, [*argv, "-e", f"cluster_secrets_dest={tmp_path / 'enter'}"], [slip[0], ("once more", "")], tmp_path
    )
    assert status == 2 and "passwords that were typed differ" in nothing


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"secrets": [{"name": "Bad Name", "keys": ["a"]}]}, "'Bad Name' is not a valid name"),
        ({"secrets": [{"name": "a", "keys": ["b"]}], "values": {"c": {"d": CANARY}}}, "there is no Secret 'c'"),
        (
            {"secrets": [{"name": "a", "keys": ["b"]}], "cluster_variables": {"cluster_secrets_api_key": CANARY}},
            "would stand in clear in a file",
        ),
    ],
)
def test_bad_input_writes_nothing(after, tmp_path, options, said):
    playbook = tmp_path / "play.yml"
    task = {"platform.cluster_secrets.init": {"dest": str(tmp_path / "bad"), **options}}
    playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    done = after.play(str(playbook), check=False)
    assert done.rc == 2 and said in done.output and leaked(done.stdout) == []
    assert not (tmp_path / "bad").exists()


def test_only_ones_own_entries(after):
    """The catalog that comes with the collection is an example that one variable switches off."""
    done = after.play("status", variables={"cluster_secrets_catalog": []})
    assert "0 targets are synced" in done.stdout


def test_teardown_of_several_clusters_is_confirmed_for_each(after, tmp_path):
    inventory = tmp_path / "hosts.yml"
    hosts = {name: {"cluster_secrets_kubeconfig": str(after.kubeconfig)} for name in ("a", "b")}
    hosts["a"]["cluster_secrets_teardown_confirmed"] = True
    inventory.write_text(yaml.safe_dump({"clusters": {"hosts": hosts}}))
    argv = ["ansible-playbook", f"{PLAYBOOK}teardown", "-i", str(inventory), "-e", "cluster_secrets_hosts=clusters"]
    argv += ["--vault-password-file", str(after.password), "-e", f"@{after.plane.variables_file}"]
    predicted = subprocess.run([*argv, "--check"], env=after.environment, capture_output=True, text=True, check=False)
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    mark = after.mark()
    argv += ["--limit", "b"]
    for more in ({}, {"AWX_ISOLATED_DATA_DIR": "/runner/artifacts/1"}):
        status, seen = on_a_terminal(after, argv, [("to continue", "")], tmp_path, width=300, **more)
        assert status == 2 and "cluster_secrets_teardown_confirmed: true" in seen
        assert ("to continue" in seen) == (not more)
    assert after.writes(mark) == []
    # Of both, one is enough to be asked.
    status, seen = on_a_terminal(after, argv[:-2], [("to continue", "no")], tmp_path, width=300)
    assert status == 2 and seen.count("to continue") == 1
    assert re.search(r"b +: ok=\d+ +changed=0 .* failed=1", re.sub(r"\x1b\[[0-9;]*m", "", seen))


def test_teardown_asks_and_names_the_cluster(after, tmp_path):
    after.play("bootstrap")
    unsaid = {"cluster_secrets_teardown_confirmed": False}
    mark = after.mark()
    elsewhere = after.play("teardown", variables=unsaid, check=False)
    assert elsewhere.rc == 2 and "cluster_secrets_teardown_confirmed: true" in elsewhere.stdout
    server = yaml.safe_load(after.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    place = f"localhost ({server}, context embedded)"
    question = (
        f"will be removed from {place}, with the master Secrets and every Secret made from them. Type 'yes' to continue"
    )
    argv = after.argv("teardown", variables=unsaid)
    status, seen = on_a_terminal(after, argv, [("to continue", "no")], tmp_path, width=300)
    assert status == 2 and question in seen and "Nothing was changed." in seen
    assert after.requests(mark) == []
    predicted = after.play("teardown", "--check", variables=unsaid).stdout
    status, seen = on_a_terminal(after, argv, [("to continue", "yes")], tmp_path, width=300)
    assert status == 0 and after.secret("central-secret-store", "github-pat") is None
    removed = re.findall(r"^removed +[A-Za-z]+ +[0-9]+ .*$", predicted, re.MULTILINE)
    assert len(removed) > 5 and any(" ClusterExternalSecret " in line for line in removed), predicted
    seen = re.sub(r"\x1b\[[0-9;]*m", "", seen.replace("\r", ""))
    assert removed == re.findall(r"^removed +[A-Za-z]+ +[0-9]+ .*$", seen, re.MULTILINE)


def test_where_nothing_of_the_catalog_is_there_it_is_said(empty):
    said = "Nothing of the catalog's 7 entries is on this cluster."
    for playbook in ("status", "audit"):
        shown = empty.play(playbook, check=False).stdout
        assert said in shown and "platform.cluster_secrets.init -e cluster_secrets_dest=platform" in shown, shown
    missing = empty.play("rotate", "-e", "cluster_secrets_values_file=none.yml", check=False)
    assert (
        "the values file 'none.yml' does not exist." in missing.stdout
        and "init -e cluster_secrets_dest" in missing.stdout
    )
    empty.play("bootstrap")
    assert said not in empty.play("status").stdout + empty.play("audit", check=False).stdout
