# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the nesting of what a tenant wrote, the rest is read, and what was left out is named."""

from __future__ import annotations

import json
import random

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import resources
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api import depth
from answers import Answers


def nested(levels, key="f:a"):
    return '{"%s":' % key * levels + "1" + "}" * levels


def test_what_everybody_has_is_left_as_it_is():
    value = {"items": [{"metadata": {"managedFields": [{"fieldsV1": json.loads(nested(20))}]}}, {"a": []}, "x"]}
    assert depth.loads(json.dumps(value).encode()) == value
    assert not depth.is_deep([value]) and depth.pruned(value) == value


@pytest.mark.parametrize("levels", [100, 600, 3000, 9000])
@pytest.mark.parametrize("form", ['{"before": "}]\\"{[", "deep": %s, "after": [1]}', '[{"after": [1]}, %s]'])
def test_what_is_too_deep_is_left_out(levels, form):
    found = depth.loads((form % nested(levels)).encode())
    assert depth.is_deep([found])
    short = depth.pruned(found)
    assert not depth.is_deep([short], depth.LIMIT + 1) and "after" in json.dumps(short)
    json.dumps(short)


def test_lists_count_as_levels_and_siblings_stay():
    text = '{"a": %s1%s, "b": {"c": [true, null, "]"]}}' % ("[" * 5000, "]" * 5000)
    assert depth.pruned(depth.loads(text.encode()))["b"] == {"c": [True, None, "]"]}


def test_any_text_is_read_or_a_value_error():
    """20,000 broken pieces of deep JSON: never anything else."""
    rng = random.Random(7)
    for _number in range(20_000):
        text = bytearray(
            nested(rng.choice((5, 300, 1200)), rng.choice(("a", '\\"', "é"))).encode()[: rng.randint(1, 4000)]
        )
        for _time in range(rng.randint(0, 3)):
            text[rng.randrange(len(text))] = rng.choice(b'{}[]"\\,:1a ')
        try:
            depth.is_deep([depth.loads(bytes(text))])
        except ValueError:
            pass


def test_a_list_goes_on_and_names_what_it_left_out():
    deep = '{"metadata": {"name": "evil", "namespace": "team", "managedFields": [{"fieldsV1": %s}]}}' % nested(3000)
    page = '{"kind": "SecretList", "items": [{"metadata": {"name": "good", "namespace": "a"}}, %s]}' % deep
    with Answers((200, {}, page)) as server:
        own = server.client()
        found, _version = own.list(resources.SECRETS)
        assert [item["metadata"]["name"] for item in found] == ["good", "evil"]
        assert own.unreadable == {"Secret team/evil"}
