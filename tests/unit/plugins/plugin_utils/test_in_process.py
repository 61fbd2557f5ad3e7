# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin: which tasks run where, what a module is given, what stays off the path."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.plugins.loader import action_loader
from ansible_collections.platform.cluster_secrets.plugins.module_utils import errors, module
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils import in_process, plain

PLUGINS = Path(in_process.__file__).parents[1]


def action(transport="local", become=None, delegate_to=None, **task):
    made = object.__new__(in_process.InProcessAction)
    made._task = SimpleNamespace(
        async_val=0, environment=[], delegate_to=delegate_to, action="a.b.c", check_mode=False, diff=False, args={}
    )
    vars(made._task).update(task)
    made._connection = SimpleNamespace(transport=transport, become=become)
    made._loader = None
    made._templar = SimpleNamespace(template=lambda text: text.replace("{{ ansible_playbook_python }}", sys.executable))
    return made


HERE = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}


@pytest.mark.parametrize(
    "changes,variables,expected",
    [
        ({}, HERE, True),
        ({}, {"ansible_python_interpreter": sys.executable}, True),
        ({}, {"ansible_python_interpreter": "/usr/bin/another"}, False),
        ({}, {"ansible_python_interpreter": "auto"}, True),
        ({"transport": "ssh"}, HERE, False),
        ({"become": "sudo"}, HERE, False),
        ({"async_val": 60}, HERE, False),
        ({"environment": [{"A": "b"}]}, HERE, False),
        ({"environment": [{}]}, HERE, True),
        ({"delegate_to": "localhost"}, {"ansible_delegated_vars": {"localhost": HERE}}, True),
        (
            {"delegate_to": "other"},
            {**HERE, "ansible_delegated_vars": {"other": {"ansible_python_interpreter": "/usr/bin/another"}}},
            False,
        ),
    ],
)
def test_only_a_task_that_sees_no_difference_runs_here(changes, variables, expected):
    assert action(**changes)._same_place(variables) is expected


@pytest.mark.parametrize("path", sorted((PLUGINS / "modules").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_a_module_has_the_action_of_its_kind(path):
    """Without it, it would run without the host's connection variables; no other process has the vault password."""
    found = action_loader.get(f"platform.cluster_secrets.{path.stem}", class_only=True)
    assert found.__module__.startswith("ansible_collections.platform.cluster_secrets.plugins.action."), path.stem
    if "context.vault" in path.read_text():
        assert issubclass(found, in_process.ControlNodeAction)


def test_options_come_without_ansibles_marks():
    # Marks came with ansible-core 2.19.
    template = pytest.importorskip("ansible.template")
    mark = getattr(template, "trust_as_template", None)
    if mark is None:
        pytest.skip("this ansible-core marks no templates")
    found = plain.plain({"list": (mark("{{ x }}"), 1, None, True)})
    assert found == {"list": ["{{ x }}", 1, None, True]} and found["list"][0].__class__ is str


def test_a_secret_value_is_taken_out_of_what_is_told():
    def work(context):
        context.warn("warned of hunter2")
        raise errors.NotReady("the server said hunter2")

    options = {"values": {"type": "dict", "no_log": True}, "name": {"type": "str"}}
    result = action(args={"values": {"a": {"b": "hunter2", "c": "unsaid"}}, "name": "n"})._outcome(work, options)
    assert result["failed"] and "hunter2" not in json.dumps(result) and result["msg"].startswith("the server said ")
    refused = action(args={"values": {"a": "hunter2"}, "name": {"is": "hunter2"}, "nam": 1})._outcome(work, options)
    assert refused["msg"].startswith("Unsupported parameters for (a.b.c) module: nam") and "hunter2" not in json.dumps(
        refused
    )


def test_heavy_imports_stay_off_the_path():
    """Each of these costs as much as a run over hundreds of namespaces, or is needed on some paths only."""
    names = [path.stem for path in (PLUGINS / "modules").glob("*.py")]
    heavy = [
        "kubernetes",
        "requests",
        "yaml",
        "asyncio",
        "concurrent.futures.thread",
        "difflib",
        "http.server",
        "ansible.module_utils.basic",
    ]
    code = (
        f"import importlib, sys\nsys.path[:0] = {[str(PLUGINS.parents[3])]!r}\n"
        f"package = 'ansible_collections.platform.cluster_secrets.plugins.modules.'\n"
        f"for name in {names!r}: importlib.import_module(package + name)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_told_is_searched_for_every_secret():
    """However many there are, and wherever in a text."""
    many = {f"unsaid-value-{number:04}" for number in range(50)}
    told = {"the shortest", "sixsix", "exactly8", "in the middle of it", "at the end"}
    texts = ["it is the shortest", "sixsix", "exactly8", "this is in the middle of it all", "this is at the end"]
    assert module.spoken(many | told, texts, {}, {}) == sorted(told, key=len, reverse=True)
    assert module.spoken({"sixone", "sixtwo"}, ["neither", "sixtw", "o"], {}, {}) == []
    assert module.spoken(set(), texts, {}, {}) == []


def test_what_is_no_secret_is_not_masked():
    """Masking '1', 'git', or a name of the catalog damages what is said, and shows the value by its absence."""
    options = {"values": {"no_log": True}, "catalog": {}}
    params = {
        "values": {"cloudflare": {"api-token": "a", "user": "git"}, "again": {"k": "cloudflare"}},
        "catalog": [{"name": "dns", "source": "cloudflare", "namespaces": ["cert-manager"]}],
    }
    said = ["catalog entry 'dns': source 'cloudflare': the value of 'api-token' must be a string; git, 1"]
    assert module.spoken({"a", "1", "git", "cloudflare", "api-token"}, said, params, options) == []
    assert module.spoken({"s3cret-value"}, ["it is s3cret-value"], params, options) == ["s3cret-value"]


def test_a_kubeconfig_as_a_mapping_masks_its_credentials_only():
    given = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "admin",
        "contexts": [{"name": "admin", "context": {"cluster": "one", "user": "me", "namespace": "shared"}}],
        "clusters": [{"name": "one", "cluster": {"server": "https://one", "proxy-url": "http://u:s3cret@proxy"}}],
        "users": [{"name": "me", "user": {"token": "s3cret", "exec": {"env": [{"name": "A", "value": "s3cret2"}]}}}],
    }
    options = {"kubeconfig": {"no_log": True}, "values": {"no_log": True}, "name": {}}
    found = set(module.texts(given)) | {"value"}
    params = {"kubeconfig": given, "values": {"a": {"b": "value", "c": "shared"}}, "name": "admin"}
    kept = module.masked_values(found, params, options)
    # A value that a context has for its name is a value.
    assert kept == {"https://one", "http://u:s3cret@proxy", "s3cret", "A", "s3cret2", "value", "shared"}
    assert module.masked_values({"/path"}, {"kubeconfig": "/path"}, options) == {"/path"}


@pytest.mark.parametrize(
    ("become", "piped"),
    [
        (None, True),
        # As ansible-core before 2.21 has them.
        (SimpleNamespace(name="sudo"), True),
        (SimpleNamespace(name="su"), False),
        (SimpleNamespace(name="sudo", pipelining=False), False),
    ],
)
def test_a_credential_goes_through_a_pipe_where_that_can_be(monkeypatch, become, piped):
    """In a file it would stay when the task is killed."""
    monkeypatch.setattr(in_process.NormalAction, "_is_pipelining_enabled", lambda *_arguments: False)
    made = action(become=become, args={"api_key": "hunter2"})
    made._connection.has_pipelining = True
    made._options = lambda: {"api_key": {"type": "str", "no_log": True}, "context": {"type": "str"}}
    assert made._is_pipelining_enabled("new") is piped
    assert made._is_pipelining_enabled("new", True) is made._is_pipelining_enabled("old") is False
    made._task.args = {"context": "open"}
    assert made._is_pipelining_enabled("new") is False
