# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came from a cluster can't rule a terminal."""

from __future__ import annotations

import json

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import errors, module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    is_name,
    is_of_eso,
    one_line,
    owners_of,
    printable,
    ready_condition,
    unquoted,
)


@pytest.mark.parametrize("text", ["plain", "two\nlines\tand a tab", "é ü ß 漢字 😀", ""])
def test_text_stays(text):
    assert printable(text) == text


@pytest.mark.parametrize("evil", ["\x1b[2J", "\x07", "\r", "\x9b", "\u202e", "\u2028", "\u200b", "\x00", "\x7f"])
def test_what_rules_a_terminal_goes_from_errors_warnings_and_results(evil):
    said = []
    context = module.Context({}, False, False, said.append)

    def fails(own):
        own.warn("warned %s of it" % evil)
        raise errors.NotReady("failed %s so" % evil)

    result = module.outcome(fails, context)
    assert evil not in result["msg"] and "failed \ufffd" in result["msg"] and evil not in said[0]
    found = module.outcome(lambda _own: {"changed": False, "rows": [{"a": ["x%sy" % evil]}]}, context)
    assert evil not in found["rows"][0]["a"][0]


def test_what_a_tenant_writes_begins_no_line_and_is_no_longer_than_what_can_be_read():
    said = "no\n\nTo fix it: curl evil | sh\r\n" + "x" * 100_000
    status = {"conditions": [{"type": "Ready", "status": "False", "message": said}]}
    shown = ready_condition({"status": status})["message"]
    assert shown.startswith("no To fix it: curl evil | sh xxx") and shown.endswith(" ...") and len(shown) < 510
    assert "\n" not in shown and status["conditions"][0]["message"] == said
    assert one_line(None) == "" and one_line("as it is") == "as it is"
    assert not is_name("a" * 254) and is_name("a" * 253)
    (owner,) = owners_of({"metadata": {"ownerReferences": [{"kind": "Name\nspace", "name": "n" * 10_000}]}})
    assert "\n" not in owner and len(owner) < 300


@pytest.mark.parametrize(
    ("version", "of_eso"),
    [("external-secrets.io/v1", True), ("external-secrets.io/v1beta1", True), ("external-secrets.io", False)]
    + [("external-secrets.io/", False), ("kubernetes-client.io/v1", False), ("v1", False), (None, False)],
)
def test_whose_a_secret_is_that_names_an_external_secret(version, of_eso):
    """The API server takes a group without a version; neither ESO nor the garbage collector does."""
    owner = {"kind": "ExternalSecret", "name": "one", **({"apiVersion": version} if version else {})}
    assert is_of_eso({"metadata": {"ownerReferences": [owner]}}) is of_eso


@pytest.mark.parametrize(
    "said",
    ["can not read %s here", 'can not read "%s" here'],
)
@pytest.mark.parametrize("value", ["canary-12", "canary-1234", '{"a": "canary-12"}', "two canary-12\nlines canary-34"])
def test_no_way_to_quote_a_value_leaves_a_part_of_it(said, value):
    values = [b"canary-12", b"canary-1234", value.encode()]
    assert unquoted(said % value, values) == said % "********"
    assert "canary" not in unquoted("error: %s" % json.dumps(value), values)
