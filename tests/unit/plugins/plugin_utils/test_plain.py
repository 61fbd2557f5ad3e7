# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values without Ansible's marks."""

from __future__ import annotations

import datetime

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils.plain import plain

#: As ansible-core before 2.19 marks a text: str() keeps the mark.
Marked = type("Marked", (str,), {"__str__": lambda self: self})


def test_a_mark_goes():
    found = plain({Marked("key"): [Marked("text"), 1, None, True]})
    assert found == {"key": ["text", 1, None, True]} and isinstance(str(Marked("a")), Marked)
    assert not any(isinstance(text, Marked) for text in (*found, found["key"][0])) and yaml.safe_dump(found)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (datetime.date(2026, 11, 28), "values: b must be a string, not a date. Put it in quotes."),
        (datetime.datetime(2026, 11, 28, 10), "values: b must be a string, not a date"),
        (b"bytes", "values: b must be a string, not binary data"),
        ({"one"}, "values: b must be a string, not a set"),
    ],
)
def test_what_yaml_makes_of_a_text_is_no_text(value, said):
    with pytest.raises(AnsibleError, match=said):
        plain({"values": {"b": [value]}})
    # Elsewhere it is what it looks like: {database: 2026-11-28} is a text for one that is made anew.
    assert plain({"regenerate": {"b": value}}) == {"regenerate": {"b": str(value)}}


@pytest.mark.parametrize("key", [True, None, 420, 1.1], ids=repr)
@pytest.mark.parametrize("where", [("values",), ("catalog",)])
def test_a_key_that_yaml_reads_as_no_text_is_refused(key, where):
    with pytest.raises(AnsibleError, match="src: what is written there as a key is read by YAML as '%s'" % key):
        plain({"src": {key: "x"}}, where)
    assert plain({"src": {key: "x"}}) == {"src": {str(key): "x"}}
