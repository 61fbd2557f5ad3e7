# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists however they are given, and the files of reports."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.platform.cluster_secrets.plugins.filter.listed import listed
from ansible_collections.platform.cluster_secrets.plugins.filter.report_files import report_files


@pytest.mark.parametrize(
    ("given", "expected"),
    [("a, b,,c", ["a", "b", "c"]), ("", []), (None, []), (["a", ""], ["a"]), (("a",), ["a"]), ([{"a": 1}], [{"a": 1}])],
)
def test_a_text_and_a_list_are_a_list(given, expected):
    assert listed(given) == expected


def test_something_else_is_refused():
    with pytest.raises(AnsibleFilterError, match="takes a list, or a text with commas, and not a dict"):
        listed({"a": 1})


def test_the_end_of_a_name_says_the_format():
    every = ["html", "json", "junit", "metrics"]
    assert report_files("a.html,b/c.json", every) == {"html": "a.html", "json": "b/c.json"}
    assert report_files(["a.xml", "b.prom"], every) == {"junit": "a.xml", "metrics": "b.prom"}
    assert report_files([], every) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [("a.pdf", "'a.pdf' must end in one of .html, .json"), ("a.prom", "must end"), ("a.html,b.html", "same format")],
)
def test_what_can_not_be_written_is_refused(given, said):
    with pytest.raises(AnsibleFilterError, match=said):
        report_files(given, ["html", "json"])
