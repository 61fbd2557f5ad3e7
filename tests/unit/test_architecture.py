# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers of docs/architecture.md: who may import whom, and that what is pure is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
UTILS = ROOT / "plugins/module_utils"

#: Layer -> the layers that it may import, besides itself.
ALLOWED = {
    "errors": set(),
    "resources": set(),
    "advisories": {"errors"},
    "files": {"errors"},
    "findings": set(),
    "helm": set(),
    "catalog": {"errors", "resources"},
    "desired": {"catalog", "resources", "advisories", "tools"},
    "tools": set(),
    "plan": {"desired", "resources", "workloads"},
    "api": {"errors", "resources", "files"},
    "live": {"workloads", "permissions", "api", "catalog", "desired", "resources", "advisories", "errors", "files"},
    "apply": {"desired", "errors", "plan", "resources"},
    "causes": {"audit", "findings", "live"},
    "lock": {"api", "apply", "errors", "plan", "resources"},
    "talos": {"api", "apply", "errors", "lock", "plan", "resources", "upgrade"},
    "audit": {
        "permissions",
        "advisories",
        "catalog",
        "desired",
        "errors",
        "findings",
        "live",
        "plan",
        "resources",
        "workloads",
        "lifetimes",
    },
    "workloads": {"resources"},
    "lifetimes": {"errors"},
    "report": {"errors", "findings", "resources"},
    "takeover": {
        "advisories",
        "catalog",
        "desired",
        "errors",
        "findings",
        "lifetimes",
        "permissions",
        "plan",
        "resources",
        "tools",
        "variables",
    },
    "upgrade": {"advisories", "audit", "desired", "errors", "findings", "live", "plan", "resources", "tools"},
    "variables": set(),
    "permissions": {"resources"},
    "fleet": {"errors"},
    "backups": {"errors", "files", "resources", "takeover"},
    "parts": {
        "apply",
        "backups",
        "catalog",
        "causes",
        "desired",
        "errors",
        "live",
        "module",
        "permissions",
        "plan",
        "report",
        "resources",
        "takeover",
    },
    "module": {"api", "catalog", "desired", "errors", "live", "plan", "resources"},
}
PURE = (
    "catalog",
    "desired",
    "advisories",
    "resources",
    "audit",
    "report",
    "takeover",
    "upgrade",
    "fleet",
    "permissions",
    "workloads",
    "lifetimes",
    "tools",
)
FILES = sorted(path for path in UTILS.rglob("*.py") if path.name != "__init__.py")


def layer(path):
    return path.relative_to(UTILS).parts[0].removesuffix(".py")


def imports(path):
    """(what is imported, as a layer or a module of the standard library) outside of TYPE_CHECKING."""
    tree = ast.parse(path.read_text())
    depth = len(path.relative_to(UTILS).parts)
    checked = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    skipped = {child for node in checked for child in ast.walk(node)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            yield from [node.module.split(".")[0]] if node.module else [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield layer(path)
        elif isinstance(node, ast.ImportFrom):
            # Quoting is no network.
            yield node.module if node.module == "urllib.parse" else node.module.split(".")[0]
        elif isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(UTILS)))
def test_a_layer_imports_only_what_lies_below(path):
    own = layer(path)
    assert {one for one in imports(path) if one in ALLOWED} - {own} <= ALLOWED[own]


@pytest.mark.parametrize("path", [path for path in FILES if layer(path) in PURE], ids=lambda path: path.name)
def test_what_is_pure_has_no_clock_no_file_and_no_network(path):
    assert not {"os", "time", "socket", "urllib", "urllib3", "subprocess", "random", "pathlib"} & set(imports(path))


def test_every_file_belongs_to_a_layer():
    assert {layer(path) for path in FILES} == set(ALLOWED)


@pytest.mark.parametrize(("playbook", "included"), [("bootstrap", "bootstrap_eso"), ("onboard", None)])
def test_a_play_that_does_not_check_its_roles_checks_all_variables_first(playbook, included):
    """Where ``rolespec_validate`` is false, the play's first task has checked whatever a role's specification asks."""
    (play,) = yaml.safe_load((ROOT / f"playbooks/{playbook}.yml").read_text())
    (checking,) = [task for task in play["pre_tasks"] if "platform.cluster_secrets.variables" in task]
    assert {key for task in play["pre_tasks"] for key in task if "." in key} <= {
        "ansible.builtin.assert",
        "ansible.builtin.include_tasks",
        "platform.cluster_secrets.variables",
    }
    more = yaml.safe_load((ROOT / f"playbooks/tasks/{included}.yml").read_text()) if included else []
    roles = [*_roles(play["tasks"]), *_roles(more)]
    assert {*checking["platform.cluster_secrets.variables"]["roles"]} == {"catalog", *(one[0] for one in roles)}
    assert [(role, entry) for role, entry, validated in roles if validated] == []
    for role, entry, _validated in roles:
        specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())
        # What only has the variables has those of all entry points.
        asked = specs["argument_specs"][entry if entry != "variables" else "main"]["options"]
        for name, spec in asked.items():
            # Any value is a text or a path.
            assert spec.get("type", "str") in ("bool", "int", "list", "dict", "str", "path"), (role, name)
            assert not spec.get("required"), (role, name)
    assert len(roles) == (7 if included else 2)


def test_what_all_parts_share_is_the_same_wherever_they_are_applied():
    """A variable of the role catalog is honoured by every role and by bootstrap."""
    paths = [*(ROOT / "roles").glob("*/tasks/*.yml"), *(ROOT / "playbooks").rglob("*.yml")]
    found = [options for path in paths for options in _applied(yaml.safe_load(path.read_text()))]
    shared = [{key: value for key, value in one.items() if key not in ("parts", "values")} for one in found]
    assert len(found) > 9 and all(one == shared[0] for one in shared) and len(shared[0]) == 10
    assert {one["values"] for one in found if "values" in one} == {"{{ cluster_secrets_values }}"}


def _applied(node: object) -> Iterator[dict[str, Any]]:
    """The options of all tasks of the module apply, wherever they stand."""
    if isinstance(node, list):
        for item in node:
            yield from _applied(item)
    elif isinstance(node, dict):
        if "platform.cluster_secrets.apply" in node:
            yield node["platform.cluster_secrets.apply"]
        for key in ("tasks", "pre_tasks", "block", "rescue", "always"):
            yield from _applied(node.get(key))


def test_each_playbook_stays_on_its_cluster_and_counts_all_hosts():
    """What registers the first task stays with its context; who has failed already has a path of his own, too."""
    paths = [*(ROOT / "playbooks").glob("*.yml"), *(ROOT / "playbooks/tasks").glob("*.yml")]
    assert [path.name for path in paths if "ansible_play_hosts | length" in path.read_text()] == []
    found = 0
    for path in (ROOT / "playbooks").glob("*.yml"):
        for play in yaml.safe_load(path.read_text()):
            for task in play.get("pre_tasks", []):
                options = task.get("platform.cluster_secrets.variables", {}) or {}
                if "platform.cluster_secrets.variables" in task and options.get("cluster", True):
                    assert task.get("register") == "cluster_secrets_at", path.name
                    found += 1
    assert found > 18


def _roles(node: object) -> Iterator[tuple[str, str, bool]]:
    """The roles that a play's tasks import, in order, with their entry points and whether Ansible checks them."""
    if isinstance(node, list):
        for item in node:
            yield from _roles(item)
    elif isinstance(node, dict):
        imported = node.get("ansible.builtin.import_role") or node.get("ansible.builtin.include_role")
        if imported:
            name = imported["name"].rpartition(".")[2]
            yield name, imported.get("tasks_from", "main"), imported.get("rolespec_validate", True)
        for key in ("tasks", "block", "rescue", "always"):
            yield from _roles(node.get(key))


def test_the_document_has_the_same_layers():
    rows = re.findall(r"^\| `(.+?)` \| .+ \| (.+) \|$", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)
    said = {where.rstrip("/").removesuffix(".py"): {*imported.split(", ")} - {"nothing"} for where, imported in rows}
    assert said.pop("plugins/modules") == {"all of the above"}
    assert said == ALLOWED
