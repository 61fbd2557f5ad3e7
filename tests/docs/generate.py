# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what the documentation takes from the code: ``make generate``.

A unit test fails when a file is not what this writes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
from ansible_collections.platform.cluster_secrets.plugins.doc_fragments import connection
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import ENTRY_KEYS
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.schema import document
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import AUTH_OPTIONS
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils import playbooks

import matrix
from integration import attacks

#: Where the table of versions stands in the README.
VERSIONS = "<!-- begin of the table of versions -->\n", "<!-- end of the table of versions -->\n"

#: Where the table of attacks stands in docs/security.md.
ATTACKS = "<!-- begin of the table of attacks -->\n", "<!-- end of the table of attacks -->\n"


def role_readme(role: str) -> str:
    """A role's README, from its argument specification: all its entry points' variables, each once."""
    specs: dict[str, Any] = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())[
        "argument_specs"
    ]
    options = {name: option for spec in specs.values() for name, option in spec.get("options", {}).items()}
    lines = [
        f"# platform.cluster_secrets.{role}",
        "",
        specs["main"]["short_description"] + ".",
        "",
        *specs["main"]["description"],
        "",
    ]
    if options:
        lines += ["| Variable | Default | Meaning |", "| --- | --- | --- |"]
        for name, option in options.items():
            default = f"`{_shown(option['default'])}`" if "default" in option else _unsaid(role, name)
            text = option["description"]
            lines.append(f"| `{name}` | {default} | {' '.join(text) if isinstance(text, list) else text} |")
        lines.append("")
    others = [name for name in specs if name != "main"]
    if others:
        parts = ", ".join(f"`{name}` ({_lower(specs[name]['short_description'])})" for name in others)
        lines += [f"Entry points for `tasks_from`: {parts}.", ""]
    lines += ["```yaml", "- hosts: localhost", "  roles:", f"    - role: platform.cluster_secrets.{role}", "```", ""]
    lines.append(
        f"`ansible-doc -t role platform.cluster_secrets.{role}` says the same; "
        "the collection's README says how the roles work together."
    )
    return "\n".join(lines) + "\n"


def _unsaid(role: str, name: str) -> str:
    """What stands for a default that the specification doesn't say."""
    written = ROOT / f"roles/{role}/defaults/main.yml"
    has = written.exists() and f"\n{name}:" in written.read_text()
    return "see `defaults/main.yml`" if has else ""


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _shown(value: Any) -> str:
    return value or "''" if isinstance(value, str) else json.dumps(value)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _table(*titles: str) -> list[str]:
    return [_row(*titles), _row(*["---"] * len(titles))]


def _text(description: Any) -> str:
    """A description without Ansible's marks."""
    text = " ".join(description) if isinstance(description, list) else str(description)
    text = re.sub(r"\b[CVOEMP]\(([^()]*)\)", r"`\1`", text)
    return " ".join(text.split())


def _kind(spec: dict[str, Any]) -> str:
    choices = ", ".join(f"`{_shown(one)}`" for one in spec.get("choices") or [])
    return choices or spec.get("type", "str")


def reference() -> str:
    """docs/reference.md: playbooks, roles, modules, variables and keys of the catalog, from what checks them."""
    lines = ["# Reference", "", "Written by `make generate` from what each is checked by.", "", "## Playbooks", ""]
    lines += ["Each is run by `ansible-playbook`, with `platform.cluster_secrets.` before its name. All but init have"]
    lines += [
        "`cluster_secrets_hosts`, the hosts of the play, one for each cluster (`localhost`), and take the variables"
    ]
    lines += ["of the roles that they run.", ""]
    for name, (text, own) in playbooks.PLAYBOOKS.items():
        lines += [f"### {name}", "", text, ""]
        if own:
            lines += _table("Variable", "Type", "Default", "Meaning")
            for variable, spec in own.items():
                default = "required" if spec.get("required") else f"`{spec['default']}`" if spec["default"] else ""
                lines.append(_row(f"`{variable}`", _kind(spec), default, spec["description"]))
            lines.append("")
    lines += ["## Roles", "", *_table("Role", "What it does")]
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        role = path.parent.parent.name
        main = yaml.safe_load(path.read_text())["argument_specs"]["main"]
        lines.append(_row(f"[{role}](../roles/{role}/README.md)", main["short_description"]))
    lines += ["", "## Modules", "", "`ansible-doc` has their options, examples and results.", ""]
    lines += _table("Module", "What it does")
    for path in sorted(ROOT.glob("plugins/modules/*.py")):
        lines.append(_row(f"`{path.stem}`", _text(_documentation(path)["short_description"])))
    lines += ["", "## Variables of the roles", ""]
    found: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        for spec in yaml.safe_load(path.read_text())["argument_specs"].values():
            for name, option in spec.get("options", {}).items():
                roles = found.setdefault(name, (option, []))[1]
                if path.parent.parent.name not in roles:
                    roles.append(path.parent.parent.name)
    lines += _table("Variable", "Type", "Default", "Role", "Meaning")
    for name, (option, roles) in sorted(found.items()):
        default = f"`{_shown(option['default'])}`" if "default" in option else "see the role"
        lines.append(_row(f"`{name}`", _kind(option), default, ", ".join(roles), _text(option["description"])))
    lines += [
        "",
        "## The connection",
        "",
        "As variables, with the names of `kubernetes.core` behind `cluster_secrets_`.",
        "",
    ]
    lines += _table("Variable", "Type", "Meaning")
    options = yaml.safe_load(connection.ModuleDocFragment.DOCUMENTATION)["options"]
    for name, spec in AUTH_OPTIONS.items():
        lines.append(_row(f"`cluster_secrets_{name}`", _kind(spec), _text(options[name]["description"])))
    lines += ["", "## Keys of the catalog", "", _keys(), ""]
    return "\n".join(lines)


def _documentation(module: Path) -> dict[str, Any]:
    """A module's DOCUMENTATION."""
    text = re.search(r'^DOCUMENTATION = r?"""(.*?)"""', module.read_text(), re.MULTILINE | re.DOTALL)
    assert text, module
    found: dict[str, Any] = yaml.safe_load(text[1])
    return found


def _keys() -> str:
    return "\n".join([*_table("Key", "Meaning"), *(_row(f"`{key}`", text) for key, text in ENTRY_KEYS.items())])


def _between(text: str, marks: tuple[str, str], table: str) -> str:
    """A text with a table between two marks."""
    head, rest = text.split(marks[0])
    return f"{head}{marks[0]}\n{table}\n\n{marks[1]}{rest.split(marks[1])[1]}"


def security() -> str:
    """docs/security.md with the table of attacks as it is tested."""
    return _between((ROOT / "docs/security.md").read_text(), ATTACKS, attacks.table().rstrip("\n"))


def readme() -> str:
    """README.md with the table of versions as the matrix left it."""
    return _between((ROOT / "README.md").read_text(), VERSIONS, matrix.table())


def files() -> dict[Path, str]:
    """All files that are written, wholly or in part, with what they should hold."""
    found = {
        path.parent.parent / "README.md": role_readme(path.parent.parent.name)
        for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
    }
    return {
        **found,
        ROOT / "docs/security.md": security(),
        ROOT / "README.md": readme(),
        ROOT / "docs/reference.md": reference(),
        ROOT / "docs/catalog.schema.json": document(),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
