# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By which releases an upgrade goes."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import EsoError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade import steps

OLD = ["0.13.0", "0.14.3", "0.14.4", "0.15.0", "0.15.1", "0.16.0", "0.16.1", "0.16.2", "0.17.0", "0.18.2", "0.19.2"]
RELEASES = (*OLD, "0.20.3", "0.20.4", "1.0.0", "1.3.1", "1.3.2", "2.0.0", "2.9.0")


def number(text):
    return advisories.parse(text)


def way(running, to, names=RELEASES):
    available = [steps.Step(number(name), "external-secrets", name) for name in names]
    return [advisories.text(one.release) for one in steps.way(number(running), number(to), available)]


@pytest.mark.parametrize(
    ("running", "to", "expected"),
    [
        # 0.16.2 may not serve v1beta1.
        ("0.14.3", "0.20.4", "0.15.1 0.16.1 0.17.0 0.18.2 0.19.2 0.20.4"),
        ("0.16.0", "0.18.2", "0.17.0 0.18.2"),
        ("0.20.3", "0.20.4", "0.20.4"),
        ("0.20.4", "2.0.0", "1.0.0 1.3.2 2.0.0"),
        ("2.9.0", "2.9.0", ""),
    ],
)
def test_one_minor_after_the_other_by_its_newest_patch(running, to, expected):
    assert way(running, to) == expected.split()


def test_what_is_not_at_hand_is_left_out():
    assert way("0.14.4", "2.9.0", ["0.16.1", "2.9.0"]) == ["0.16.1", "2.9.0"]
    assert way("0.17.0", "2.9.0", ["2.9.0"]) == ["2.9.0"]
    assert way("0.14.4", "0.15.1", ["0.15.1"]) == ["0.15.1"]


def test_of_a_release_that_is_given_twice_the_last_counts():
    given = [steps.Step(number("0.20.3"), "/a"), steps.Step(number("0.20.3"), "/a", None, "/crds.yaml")]
    assert steps.way(number("0.19.2"), number("0.20.3"), given) == given[1:]


@pytest.mark.parametrize(
    ("running", "to", "names", "message"),
    [
        ("2.9.0", "2.0.0", RELEASES, "2.9.0 runs, and 2.0.0 is older"),
        ("0.13.0", "2.0.0", RELEASES, "begins with 0.14.0 or newer"),
        ("0.14.4", "2.5.0", RELEASES, "the chart of 2.5.0 is not at hand"),
        ("0.14.4", "0.20.4", ["0.16.2", "0.20.4"], "which serve both, is at hand (there are 0.16.2, 0.20.4)"),
        ("0.15.0", "0.17.0", ["0.17.0"], "which serve both, is at hand"),
    ],
)
def test_where_there_is_no_way(running, to, names, message):
    with pytest.raises(EsoError) as raised:
        way(running, to, names)
    assert message in str(raised.value)


def test_the_index_of_a_repository():
    index = {
        "entries": {
            "external-secrets": [
                {"version": "2.9.0", "appVersion": "v2.9.0"},
                {"version": "0.17.1-rc1", "appVersion": "v0.17.1-rc1"},
                "odd",
                {"appVersion": "v2.8.0"},
            ]
        }
    }
    assert [one.version for one in steps.of_index(index, "external-secrets")] == ["2.9.0"]
    for broken in (None, [], {"entries": []}, {"entries": {"external-secrets": {}}}, {"entries": {}}):
        with pytest.raises(EsoError, match="does not have the chart"):
            steps.of_index(broken, "external-secrets")


def test_the_newest_is_one_without_a_known_vulnerability():
    available = [steps.Step(number(name), "external-secrets", name) for name in ("2.13.1", "2.14.0", "2.12.0", "2.9.0")]
    given = {
        "id": "CVE-1",
        "what": "it leaks",
        "since": "2.14.0",
        "fixed_in": "2.15.0",
        "source": "https://example.org",
    }
    lists = advisories.lists_of({"advisories": [given]}, "'x'")
    assert steps.newest(available, advisories.OURS).version == "2.14.0"
    assert steps.newest(available, lists).version == "2.13.1"
    with pytest.raises(EsoError, match="without a known vulnerability is at hand"):
        steps.newest(available[1:2], lists)
