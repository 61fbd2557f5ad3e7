# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of text."""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.module_utils.findings import Finding, Fix
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import text


def finding(severity, name, message="nothing names it"):
    return Finding(severity, "unused-target", "shop", name, message, Fix("take it out"))


def test_many_that_only_inform_are_one_line():
    found = [finding("warning", "w", "it is old"), *(finding("info", f"s{number}") for number in range(5))]
    found.append(finding("info", "x", "something else"))
    table = text.findings_table(found)
    assert table[:4] == [
        "SEVERITY  CHECK          NAMESPACE  NAME    WHAT",
        "warning   unused-target  shop       w       it is old",
        "info      unused-target  -          5 such  nothing names it: shop/s0, shop/s1, shop/s2, and 2 more",
        "info      unused-target  shop       x       something else",
    ]


def test_a_few_and_those_that_count_stay_a_line_each():
    few = [finding("info", f"s{number}") for number in range(3)]
    assert len(text.findings_table(few)) == 1 + 3 + 3
    counted = [finding("warning", f"s{number}") for number in range(9)]
    assert len(text.findings_table(counted)) == 1 + 9 + 3


def change(result, kind, name, namespace=None):
    return {"kind": kind, "name": name, "result": result, **({"namespace": namespace} if namespace else {})}


def test_what_was_changed_is_a_line_for_each_kind_and_one_of_totals():
    seeded = [change("created", "Secret", f"s{number}", "central") for number in range(8)]
    labelled = [change("updated", "Namespace", "shop"), change("created", "Namespace", "new")]
    again = [change("updated", "Namespace", "new"), change("deleted", "ClusterExternalSecret", "old")]
    results = [{"changes": seeded}, {"skipped": True}, {"changes": labelled}, {"changes": again}, {}]
    results.append({"changes": [change("applied", "Helm release", "external-secrets", "eso")]})
    assert text.changes_lines(results) == [
        "CHANGE   KIND                   NUMBER  WHICH",
        "created  Secret                 8       central: s0, s1, s2, s3, s4, s5 and 2 more",
        "created  Namespace              1       new",
        "changed  Namespace              1       shop",
        "by helm  Helm release           1       eso: external-secrets",
        "removed  ClusterExternalSecret  1       old",
        "",
        "Objects: 9 created, 1 changed, 1 by helm, 1 removed.",
    ]


def test_definitions_are_all_named_and_namespaces_that_differ_are_told():
    many = [change("deleted", "ClusterExternalSecret", f"c{number}") for number in range(9)]
    mixed = [change("updated", "Secret", "a", "one"), change("updated", "Secret", "b", "two")]
    lines = text.changes_lines([{"changes": [*many, *mixed]}])
    assert lines[1].endswith("one/a, two/b") and lines[2].endswith("c0, c1, c2, c3, c4, c5, c6, c7, c8")
    assert text.changes_lines([]) == text.changes_lines([{"changes": []}]) == ["Nothing to change."]


def test_a_catalog_of_which_nothing_is_there():
    assert "the catalog's 7 entries" in text.nothing_there(7, {"a": {}}, {"missing": 3})[0]
    for sources, counts in ((None, {}), ({"a": {"b": b""}}, {}), ({}, {"synced": 1})):
        assert text.nothing_there(7, sources, counts) == []


def test_one_cell_makes_no_others_as_wide():
    rows = [
        {"name": name, "sources": ["s"], "target": "t", "type": "Opaque", "label": None, "namespaces": []}
        for name in "ab"
    ]
    rows[0]["type"] = "x" * 1_000_000
    table = text.entries_table(rows)
    assert max(map(len, table)) < 500 and "xxx ..." in table[1]
