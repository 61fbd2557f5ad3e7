# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for people read back the same by parsers of YAML 1.1 and of YAML 1.2."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils import variables
from ruamel.yaml import YAML

TEXTS = [
    "1e3",
    "012",
    "0o12",
    "0x1f",
    "1_000",
    "1:20",
    "190:20:30",
    "+1",
    "-1",
    ".5",
    "-.5",
    ".inf",
    "-.INF",
    ".nan",
    "1.",
    "yes",
    "Yes",
    "no",
    "NO",
    "on",
    "off",
    "y",
    "n",
    "Y",
    "N",
    "true",
    "FALSE",
    "null",
    "Null",
    "~",
    "=",
    "<<",
    "2026-11-28",
    "2026-11-28T10:00:00Z",
    "0b101",
    "+.5",
    "1e+3",
    "1E3",
    "12e03",
    "685.230_15e+03",
    "-0",
    "007",
    "v1",
    "1.2.3",
    "e3",
    "plain",
    "text-1",
    "#x",
    "@x",
    "!x",
    "&x",
    "*x",
    "?",
    "-",
    ":",
    "{}",
    "[]",
    "|",
    ">",
    "%",
    "'",
    '"',
    "a:b",
    "a#b",
    "ghp_0123456789",
]


@pytest.mark.parametrize("text", [*TEXTS, "", " ", " x", "x ", "two\nlines\n", "a: b", "a #b", "é", "1 000"])
@pytest.mark.parametrize("dump", [variables.dump, variables.dump_plain])
def test_a_text_stays_a_text(text, dump):
    content = {"value": text, text: "key", "list": [text, {"in": text}]}
    written = dump(content, "A head.")
    newer = YAML(typ="safe", pure=True)
    newer.version = "1.2"
    older = YAML(typ="safe", pure=True)
    older.version = "1.1"
    assert yaml.safe_load(written) == content
    for parser in (newer, older):
        assert dict(parser.load(written)) == content, written


TEMPLATES = (
    "{{ lookup('pipe', 'id') }}",
    "{% set x = 1 %}",
    "{# a comment #}",
    "#jinja2: variable_start_string:'[%', variable_end_string:'%]'\n[% lookup('pipe', 'id') %]",
    "#jinja2:variable_start_string:'((',variable_end_string:'))'\n((lookup('pipe','id')))",
)


@pytest.mark.parametrize("text", TEMPLATES)
def test_no_release_of_ansible_templates_what_came_from_a_cluster(text):
    """It is marked, wherever it stands."""
    written = variables.dump({"a": text, "b": [{"c": text}], text: "key"}, "A head.")
    assert written.count("!unsafe") == 3

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))
    assert yaml.load(written, Loader) == {"a": text, "b": [{"c": text}], text: "key"}
