# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation takes from the code is what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils.playbooks import PLAYBOOKS

from docs import generate

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", generate.files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_files_are_current(path):
    assert path.read_text() == generate.files()[path], "run make generate"


@pytest.mark.parametrize("role", sorted(path.name for path in (ROOT / "roles").iterdir()))
def test_defaults_and_specifications_say_the_same(role):
    defaults = (
        yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text())
        if (ROOT / f"roles/{role}/defaults/main.yml").exists()
        else {}
    )
    specs = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]
    options = {name: option for spec in specs.values() for name, option in spec.get("options", {}).items()}
    given = {name: option["default"] for name, option in options.items() if "default" in option}
    assert {name: str(defaults[name]) for name in given} == {name: str(value) for name, value in given.items()}
    # What a user may set and no specification names: only the values, which must not be looked up twice.
    assert set(defaults) - set(options) <= {"cluster_secrets_values"}


def test_each_advisory_is_in_the_security_notes():
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories

    text = (ROOT / "docs/security.md").read_text()
    for one in advisories.ADVISORIES:
        assert f"| {one.id} | " in text and f"| {advisories.text(one.fixed)} |" in text, one.id


def test_each_check_of_the_audit_is_documented():
    paths = [*(ROOT / "plugins/module_utils/audit").glob("*.py"), ROOT / "plugins/module_utils/causes.py"]
    source = "".join(path.read_text() for path in paths)
    checks = set(re.findall(r"""Finding\(\s*\w+,\s*"([a-z-]+)",""", source))
    assert len(checks) > 22 and {"suspicious-value", "talosconfig", "missing-key", "old-value"} <= checks
    text = (ROOT / "docs/audit.md").read_text()
    assert checks - set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == set()


def test_a_playbook_of_which_variables_are_required_is_known():
    text = (ROOT / "plugins/modules/variables.py").read_text()
    options = yaml.safe_load(text.split('DOCUMENTATION = r"""')[1].split('"""')[0])["options"]
    assert options["playbook"]["choices"] == list(PLAYBOOKS)


def test_the_execution_environment_takes_this_versions_tarball():
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    named = re.findall(r"platform-cluster_secrets-(\S+)\.tar\.gz", (ROOT / "execution-environment.yml").read_text())
    assert len(named) == 2 and set(named) == {version}


def documents():
    """README and guides, and what runs their commands by short names."""
    found = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CI.md", "Taskfile.yml")]
    found += sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "docs/docsite/rst").glob("*.rst"))
    return found + sorted((ROOT / "roles").glob("*/README.md"))


def documented_playbooks():
    """Each ``ansible-playbook`` command of the documents, in a block or in a line, as (file, words)."""
    for path in documents():
        text = path.read_text().replace("\\\n", " ")
        for found in re.findall(r"(?:^|[`$ ])(ansible-playbook [^`\n#]+)", text, re.MULTILINE):
            yield path.name, found.split()


def test_each_documented_playbook_and_variable_is_there():
    """A command that names what was renamed or never was is found here; the integration tests run the playbooks."""
    specs = [yaml.safe_load(path.read_text()) for path in (ROOT / "roles").glob("*/meta/argument_specs.yml")]
    options = {name for one in specs for spec in one["argument_specs"].values() for name in spec.get("options", {})}
    ran = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    seen = set()
    for where, words in documented_playbooks():
        playbooks = [word.rpartition(".")[2] for word in words if word.startswith("platform.cluster_secrets.")]
        for name in playbooks:
            playbook = ROOT / f"playbooks/{name}.yml"
            assert playbook.exists(), (where, words)
            spellings = ('"%s"', "cluster_secrets.%s", "platform:%s")
            assert any(one % name in ran for one in spellings), f"no test runs {name}"
            known = options | set(re.findall(r"\w+", playbook.read_text()))
            variables = set(re.findall(r"""-e ['{"]*([a-z_]+)(?==|": )""", " ".join(words)))
            assert variables <= known, (where, variables - known)
            seen.add(name)
    assert len(seen) > 12


def test_each_message_of_the_troubleshooting_is_the_code_s():
    """What a user searches for is what he reads, but for names and numbers."""
    rows = re.findall(r"^\| (.*) \| .* \|$", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE)[2:]
    files = [path for top in ("plugins", "roles", "playbooks") for path in (ROOT / top).rglob("*")]
    code = "".join(path.read_text() for path in files if path.suffix in (".py", ".yml"))
    # Texts are broken over lines and filled in; what is left are their words.
    code = " ".join(re.sub(r"""["\\]\s*\n\s*f?["']|\{\{.*?\}\}|\{[^{}]*\}|\\""", "", code).split())
    messages = [message for row in rows for message in re.findall(r"`([^`]+)`", row)]
    assert len(messages) > 18
    for message in messages:
        for words in re.split(r"\.\.\.|\bN\b|\bM\b|thing\(s\)|'[^']*'|object\(s\)", message):
            assert words.strip(" ,:") in code, message


def test_each_link_leads_somewhere():
    """Files, and headings of Markdown, of README and guides."""
    seen = 0
    for path in (path for path in documents() if path.suffix == ".md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
            if target.startswith("http"):
                continue
            name, _mark, heading = target.partition("#")
            there = path.parent / name if name else path
            assert there.exists(), (path.name, target)
            if heading and there.suffix == ".md":
                titles = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
                assert heading in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in titles}, target
            seen += 1
    assert seen > 40


def test_each_documented_make_target_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = r"(?:`|^)make ([a-z-]+)(?:`| [A-Z_]+=| +#|$)"
    said = {target for path in documents() for target in re.findall(code, path.read_text(), re.MULTILINE)}
    assert said <= targets and len(said) > 8


def test_each_pin_that_is_no_package_managers_is_found_by_renovate():
    """A pattern that finds nothing would leave its version as it is for ever."""
    managers = json.loads((ROOT / "renovate.json").read_text())["customManagers"]
    assert len(managers) == 5
    for one in managers:
        (pattern,) = one["managerFilePatterns"]
        path = pattern.strip("/").removeprefix("^").removesuffix("$").replace("\\", "")
        (wanted,) = one["matchStrings"]
        found = re.findall(wanted.replace("(?<", "(?P<"), (ROOT / path).read_text())
        assert len(found) == (2 if path == "execution-environment.yml" else 1), (path, found)
