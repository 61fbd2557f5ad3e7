# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of the sources: what is refused in which words, and what is encoded."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.values import (
    check_values,
    generated,
    slips,
    unread,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError
from samples import ONE, entries


def test_values_are_checked_and_never_quoted():
    one = entries(ONE)
    canary = "CANARY"
    for values, message in (
        ({}, "source 'src' has no values"),
        ({"src": {"other": canary}}, "catalog entry 'one': source 'src' has no key 'key'"),
        ({"src": canary}, "must be a mapping of keys, not a string"),
        ({"src": {"key": 12345}}, "the value of 'key' must be a string, not a number"),
        ({"src": {"key": ""}}, "the value of 'key' is empty"),
        ({"src": {"key": {"base64": ""}}}, "the value of 'key' is empty"),
        ({"src": {"key": {"base64": canary + "!"}}}, "the value of 'key' is not base64"),
        ({"src": {"key": {"base64": 5}}}, "must be a string, not a mapping"),
        ({"src": {"key": {"base64": "AA==", "x": "y"}}}, "must be a string, not a mapping"),
        ({"src": {"key": [canary]}}, "must be a string, not a list"),
        (canary, "must be a mapping of sources, not a string"),
    ):
        with pytest.raises(CatalogError) as caught:
            check_values(one, values)
        assert message in str(caught.value)
        assert canary not in str(caught.value) and "12345" not in str(caught.value)
    assert check_values(one, {"src": {"key": "é"}, "unused": {}}) == ({"src": {"key": "é".encode()}}, ["unused"])


def test_binary_values_come_as_base64():
    values = {"src": {"key": {"base64": "/wA\n=\n"}}}
    assert check_values(entries(ONE), values)[0] == {"src": {"key": b"\xff\x00"}}


def test_a_source_that_is_copied_whole_needs_values_and_its_types_keys():
    whole = {key: value for key, value in ONE.items() if key != "data"}
    with pytest.raises(CatalogError, match=r"catalog entry 'one': source 'src' has no values. Add 'src' to the values"):
        check_values(entries({**whole, "extract": True}), {"src": {}})
    with pytest.raises(CatalogError, match=r"source 'src' has no key 'tls.key'"):
        check_values(entries({**whole, "extract": True, "type": "kubernetes.io/tls"}), {"src": {"tls.crt": "x"}})


GENERATED = {**ONE, "data": {"A": "a", "B": "b"}, "generate": {"a": {"length": 20, "alphabet": "0123456789abcdef"}}}


def test_what_is_generated_is_not_asked_for():
    both = entries(GENERATED)
    assert generated(both) == {"src": {"a": (20, "0123456789abcdef")}}
    assert check_values(both, {"src": {"b": "CANARY"}})[0] == {"src": {"b": b"CANARY"}}
    with pytest.raises(CatalogError, match="source 'src' has no key 'b'"):
        check_values(both, {"src": {"c": "CANARY"}})
    with pytest.raises(CatalogError, match="key 'a' is generated, and has a value too") as raised:
        check_values(both, {"src": {"a": "CANARY", "b": "CANARY"}})
    assert "CANARY" not in str(raised.value)
    alone = entries({**GENERATED, "data": {"A": "a"}})
    assert check_values(alone, {}) == ({"src": {}}, [])
    assert len(alone[0].generate["a"].alphabet) == 16


@pytest.mark.parametrize(
    ("generate", "message"),
    [
        ({"c": {}}, "'generate.c' is no key that the entry names. Use one of: key"),
        ({"key": 5}, "'generate.key' must be a mapping"),
        ({"key": {"size": 5}}, "size"),
        ({"key": {"length": 0}}, "'generate.key.length' must be a number from 1 to 4096"),
        ({"key": {"length": True}}, "'generate.key.length' must be a number"),
        ({"key": {"alphabet": "a"}}, "two or more different ASCII characters"),
        ({"key": {"alphabet": "aab"}}, "two or more different ASCII characters"),
        ({"key": {"alphabet": "a\n"}}, "two or more different ASCII characters"),
        ({"key": {"length": 10}}, "'generate.key' can be guessed: it has fewer than 64 bits"),
        (["key"], "generate"),
    ],
)
def test_what_can_be_wrong_with_generate(generate, message):
    with pytest.raises(CatalogError) as raised:
        entries({**ONE, "generate": generate})
    assert message in str(raised.value)


def test_two_entries_agree_on_how_a_value_is_generated():
    first = {**ONE, "generate": {"key": {"length": 40}}}
    second = {**ONE, "name": "two", "target": "two", "label": "secrets/two"}
    entries(first, second)
    with pytest.raises(CatalogError, match="generates key 'key' of source 'src' differently from entry 'one'"):
        entries(first, {**second, "generate": {"key": {}}})
    with pytest.raises(CatalogError, match="Write 'data' instead of 'extract'"):
        entries({key: value for key, value in {**first, "extract": True}.items() if key != "data"})


def test_keys_that_nobody_reads_are_named():
    given = {"src": {"key": b"v", "kye": b"v"}}
    assert unread(entries(ONE), given) == [
        "source 'src' has the key 'kye', which no enabled catalog entry reads; those that are read: key"
    ]
    assert unread(entries(ONE), {"src": {"key": b"v"}}) == []
    # A source that is copied whole has no such keys.
    whole = {"name": "two", "source": "src", "label": "secrets/two", "extract": True, "namespaces": ["b"]}
    assert unread(entries(ONE, whole), given) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"token", None),
        (b"a b", None),
        (b"token\n", "ends in a line break"),
        (b"token\r", "ends in a line break"),
        (b" token", "begins with a space"),
        (" token\n".encode(), "begins with a space and ends in a line break"),
        ("token\u00a0".encode(), "ends in a space"),
        ("token\u200b".encode(), "ends in an invisible character"),
        (b"token\0", "ends in an invisible character"),
        (b"\xef\xbb\xbftoken", "begins with an invisible character"),
        (b"\xef\xbb\xbf-----BEGIN X-----\nx\n", "begins with an invisible character"),
        (b"-----BEGIN X-----\nx\n", None),
        (b"\n", "is nothing but a line break"),
        (b"   ", "is nothing but a space"),
        (b"\x01\xff\x20", None),
    ],
)
def test_what_nobody_sees_around_a_value_is_named(value, said):
    assert slips({"key": value}).get("key") == said
