# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a definition fills in inside of lists, as the API server does it."""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade.schemas import with_defaults

REFERENCE = {
    "type": "object",
    "properties": {
        "key": {"type": "string"},
        "nullBytePolicy": {"type": "string", "default": "Ignore"},
        "within": {"type": "object", "default": {}, "properties": {"deep": {"type": "integer", "default": 1}}},
        "given": {"type": "string", "default": "theirs"},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "outside": {"type": "string", "default": "not compared"},
                "data": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"remoteRef": REFERENCE, "absent": REFERENCE}},
                },
                "named": {"type": "object", "additionalProperties": {"type": "array", "items": REFERENCE}},
            },
        }
    },
}


def test_lists_are_filled_in_and_nothing_else():
    item = {"remoteRef": {"key": "k", "given": "ours"}}
    filled = {"key": "k", "given": "ours", "nullBytePolicy": "Ignore", "within": {"deep": 1}}
    value = {"kind": "X", "spec": {"data": [item, {}], "named": {"n": [{"key": "k", "given": "ours"}]}}}
    found = with_defaults(value, SCHEMA)
    assert found == {"kind": "X", "spec": {"data": [{"remoteRef": filled}, {}], "named": {"n": [filled]}}}
    assert value["spec"]["data"][0] == item and "nullBytePolicy" not in item["remoteRef"]
    assert with_defaults(value, {}) == value
