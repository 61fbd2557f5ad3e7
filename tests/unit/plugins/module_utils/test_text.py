# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of text."""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit.findings import Finding
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import text


def finding(severity, name, message="nothing names it"):
    return Finding(severity, "unused-target", "shop", name, message, "take it out")


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
