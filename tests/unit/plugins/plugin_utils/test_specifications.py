# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each yes/no and each number of roles and playbooks means the same, given as a text on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils import playbooks, specifications

ROOT = Path(__file__).resolve().parents[4]
ALL = specifications.specifications()
BOOLEANS = sorted(name for name, spec in ALL.items() if spec.get("type") == "bool")
ROLES = set(ALL) - set(playbooks.variables())
NUMBERS = sorted(name for name, spec in ALL.items() if spec.get("type") == "int")


@pytest.mark.parametrize("name", BOOLEANS)
def test_a_boolean_may_be_a_text_and_nothing_else(name):
    for value in (True, False, "true", "false", "True", "yes", "no", "on", "off", "1", "0", 1, 0):
        assert specifications.problem(name, value) is None, value
    for value in ("perhaps", "", 7, [], {}):
        said = specifications.problem(name, value)
        assert said and said.startswith(name) and "Write true or false" in said


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_may_be_a_text(name):
    assert specifications.problem(name, "5") is specifications.problem(name, 5) is None
    for value in ("five", True, 1.5, float("inf"), float("nan"), "", []):
        assert specifications.problem(name, value), value


@pytest.mark.parametrize("name", sorted(name for name, spec in ALL.items() if spec.get("type") in ("list", "dict")))
def test_a_list_or_mapping_is_one(name):
    assert specifications.problem(name, [] if ALL[name]["type"] == "list" else {}) is None
    for value in ({1: 2}, 7) if ALL[name]["type"] == "list" else ([1], 7, "words"):
        said = specifications.problem(name, value)
        assert said and said.startswith(f"{name}: "), value


def test_elements_and_keys_are_checked_as_roles_check_them():
    said = specifications.problem("cluster_secrets_prune", ["entries", "nobody"])
    assert said and "nobody" in said and "entries" in said
    said = specifications.problem("cluster_secrets_eso_upgrade_accept", ["owner", "ExternalSecret a/b", "nobody"])
    assert said and "'nobody' is no kind of problem (owner, " in said
    assert specifications.problem("cluster_secrets_eso_upgrade_accept", "owner,ExternalSecret a/b") is None
    assert specifications.problem("cluster_secrets_talos_arguments", {"upgrade": ["--wait"]}) is None
    assert specifications.problem("cluster_secrets_talos_arguments", {"upgrades": ["--wait"]})
    said = specifications.problem("cluster_secrets_talos_arguments", '{"upgrade": ["--wait"]}')
    assert said and "a text is not a mapping" in said
    for name in ("cluster_secrets_gate_window", "cluster_secrets_namespaces_missing", "cluster_secrets_unsynced"):
        assert "it is empty" in str(specifications.problem(name, None))
    assert specifications.problem("cluster_secrets_eso_upgrade_charts", [{"chart": "a", "colour": "red"}])
    assert specifications.problem("cluster_secrets_disabled", "a,b") is None


def used():
    """Each place where a boolean or a number is used in an expression of a playbook or role, as (name, place, text)."""
    for path in [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/vars/*.yml")]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for name in re.findall(r"\w+", line.partition("#")[0]):
                if name in BOOLEANS or name in NUMBERS:
                    yield name, f"{path.relative_to(ROOT)}:{number}", line.strip()


def test_whatever_decides_by_a_text_makes_a_boolean_or_number_of_it():
    """A module's option is converted by the module; everything else, such as 'when', has to do it itself."""
    found = list(used())
    assert {name for name, _place, _line in found} == set(BOOLEANS + NUMBERS) - {
        specifications.PREFIX + name for name in ("validate_certs", "concurrency")
    } - {"cluster_secrets_talos_config"}
    for name, place, line in found:
        option = re.match(r"[a-z_]+: \"\{\{ %s( \| default\([^()]*\))? \}\}\"$" % name, line)
        converted = re.search(r"%s( \| default\(\w+\))? \| (bool|int)" % name, line)
        converted = converted or f"map(attribute='{name}', default=false) | map('bool')" in line
        assigned = line.startswith(f"{name}:")
        assert option or converted or assigned, (place, line)


def test_an_unknown_variable_is_named_with_the_closest():
    given = ["cluster_secrets_disbled", "cluster_secrets_store", "cluster_secrets_namspace", "other"]
    assert specifications.unknown(given) == {
        "cluster_secrets_disbled": "Did you mean 'cluster_secrets_disabled'? ",
        "cluster_secrets_namspace": "Did you mean 'cluster_secrets_namespace'? ",
    }
    registered = set()
    for path in [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/*/*.yml")]:
        registered.update(re.findall(r"register: (\w+)|^(cluster_secrets_\w+):", path.read_text(), re.MULTILINE))
    assert len(registered) > 100
    assert specifications.unknown([name for pair in registered for name in pair if name]) == {}


def own_variables(text):
    """The variables of a playbook's text that may be given: those with a default, and those that may not be defined."""
    words = re.findall(r"\b(\w+) \| default\(|\b(\w+) is (?:not )?defined", text)
    return {one for pair in words for one in pair if one.startswith(BEGIN)}


#: What the names of the playbooks' own variables begin with.
BEGIN = specifications.PREFIX


def with_what_it_includes(path):
    """The text of a playbook, and of the files of tasks that it includes."""
    text = path.read_text()
    for name in re.findall(r"_tasks: (?:tasks/)?(\w+\.yml)", text):
        text += with_what_it_includes(ROOT / "playbooks/tasks" / name)
    return text


def test_each_variable_of_a_playbook_is_data_and_each_that_is_data_is_used():
    assert {path.stem for path in ROOT.glob("playbooks/*.yml")} == set(playbooks.PLAYBOOKS)
    files = [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/tasks/*.yml")]
    whole = "\n".join(path.read_text() for path in files)
    # What tasks say to each other, and what a play says of its own.
    internal = set(re.findall(r"register: (\w+)", whole)) | set(re.findall(r"^    (\w+):", whole, re.MULTILINE))
    for name, (_text, own) in playbooks.PLAYBOOKS.items():
        text = with_what_it_includes(ROOT / f"playbooks/{name}.yml")
        given = own_variables(text) - internal
        assert given <= {*own, *playbooks.HOSTS, *ROLES}, name
        assert {one for one in own if not re.search(r"\b%s\b" % one, text)} == set(), name
