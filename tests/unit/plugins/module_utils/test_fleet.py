# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many clusters together: what is unreachable, unsynced and different."""

from __future__ import annotations

import json

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.fleet import Fleet, digest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import feeds, page, text


def row(status="synced", message="", secret="s"):
    return {"namespace": "n", "secret": secret, "status": status, "message": message}


def result(*rows, **digests):
    return {"rows": list(rows), "digests": digests}


def test_all_is_well():
    fleet = Fleet({"a": result(row(), src="1"), "b": result(row(), src="1")})
    assert fleet.problem() is None and fleet.drifted == {}
    assert text.fleet_table(fleet) == [
        "CLUSTER  SYNCED  OF  VALUES",
        "a        1       1   same",
        "b        1       1   same",
    ]


def test_every_problem_is_named():
    fleet = Fleet(
        {
            "a": result(row(), src="1", two="x"),
            "b": result(row("stale", "old"), src="1", two="y"),
            "c": result(row(), src="2"),
            "d": {"msg": "cannot reach it", "changed": False},
        }
    )
    assert fleet.problem() == (
        "nothing is known of d; not all targets are synced in b; the values differ from those of most clusters: "
        "src in c; two in a, b."
    )
    assert Fleet({"a": result(row(), src="1"), "c": result(src="2")}, ["src"]).problem() is None
    assert Fleet({"a": result(src="1")}).problem() == "no cluster's catalog gives anything that was asked for."
    assert text.fleet_table(fleet)[-1] == "b        n          s       stale   old"
    assert "d        -       -   -            cannot reach it" in text.fleet_table(fleet)
    assert json.loads(feeds.fleet_json(fleet, "now"))["unreachable"] == {"d": "cannot reach it"}


def test_what_will_stop_targets_is_a_problem_while_all_are_synced():
    """A chain that is broken, and a value that has ended; and nothing is the same that was not compared."""
    cause = {"namespace": "n", "object": "n/s", "step": "store", "message": "it is gone"}
    well = {**result(row(), src="1"), "causes": [], "ended": []}
    broken = {"rows": [row()], "causes": [cause], "ended": ["Source src: its certificate has expired."]}
    fleet = Fleet({"a": well, "b": broken})
    assert fleet.problem() == "something that targets need is broken or has expired in b."
    assert text.fleet_table(fleet) == [
        "CLUSTER  SYNCED  OF  VALUES",
        "a        1       1   same",
        "b        1       1   -",
        "",
        "b: the chain to n/s breaks at: store. it is gone",
        "b: Source src: its certificate has expired.",
    ]
    assert [one["cluster"] for one in json.loads(feeds.fleet_json(fleet, "now"))["broken"]] == ["b", "b"]
    made = page.fleet_page(Fleet({"b": broken}), "now")
    assert "it is gone" in made and "0 sources differ" not in made


@pytest.mark.parametrize("wrong", ["text", None, {"rows": "x"}])
def test_what_is_no_result(wrong):
    with pytest.raises(CatalogError, match="'a' must be a result of sync_info"):
        Fleet({"a": wrong})


def test_a_digest_tells_nothing_without_the_key_and_each_piece_counts():
    whole = {"a": b"1", "b": b"2"}
    one = digest(whole, ["a", "b"], "key")
    assert one == digest({"b": b"2", "a": b"1", "c": b"3"}, ["b", "a"], "key")
    others = [
        digest(whole, ["a", "b"], "other"),
        digest(whole, ["a"], "key"),
        digest({"a": b"12", "b": b""}, ["a", "b"], "key"),
        digest({"a": b"1"}, ["a", "b"], "key"),
        digest({"a": b"1", "b": b"-"}, ["a", "b"], "key"),
    ]
    assert len({one, *others}) == 6


def test_nothing_in_the_data_gets_out_of_the_page():
    made = page.fleet_page(Fleet({"</script><b>": result(row("failing", "<img onerror=x>"))}), "now")
    assert made.count("</script>") == 2 and "<img" not in made and "<b>" not in made.partition("<body>")[2]
