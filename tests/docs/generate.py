# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what the documentation takes from the code: ``make generate``.

A unit test fails when a file is not what this writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import ENTRY_KEYS
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.schema import schema

import matrix
from integration import attacks

#: Where the table of versions stands in the README.
VERSIONS = "<!-- begin of the table of versions -->\n", "<!-- end of the table of versions -->\n"

#: Where the table of the catalog's keys stands there.
KEYS = "<!-- begin of the table of keys -->\n", "<!-- end of the table of keys -->\n"

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
            default = "see `defaults/main.yml`" if "default" not in option else f"`{_shown(option['default'])}`"
            lines.append(f"| `{name}` | {default} | {option['description']} |")
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


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _shown(value: Any) -> str:
    return value or "''" if isinstance(value, str) else json.dumps(value)


def _between(text: str, marks: tuple[str, str], table: str) -> str:
    """A text with a table between two marks."""
    head, rest = text.split(marks[0])
    return f"{head}{marks[0]}\n{table}\n\n{marks[1]}{rest.split(marks[1])[1]}"


def security() -> str:
    """docs/security.md with the table of attacks as it is tested."""
    return _between((ROOT / "docs/security.md").read_text(), ATTACKS, attacks.table().rstrip("\n"))


def readme() -> str:
    """README.md with the catalog's keys as they are checked, and the table of versions as the matrix left it."""
    keys = "\n".join(f"| `{key}` | {text} |" for key, text in ENTRY_KEYS.items())
    text = _between((ROOT / "README.md").read_text(), KEYS, "| Key | Meaning |\n| --- | --- |\n" + keys)
    return _between(text, VERSIONS, matrix.table())


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
        ROOT / "docs/catalog.schema.json": json.dumps(schema(), indent=1) + "\n",
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
