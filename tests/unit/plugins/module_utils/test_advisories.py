# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release of an image, and the vulnerabilities of a release."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories, errors


@pytest.mark.parametrize(
    ("image", "release"),
    [
        ("oci.external-secrets.io/external-secrets/external-secrets:v0.20.3", (0, 20, 3)),
        ("ghcr.io/external-secrets/external-secrets:v2.9.0-ubi-boringssl", (2, 9, 0)),
        ("localhost:5000/eso:2.9.0", (2, 9, 0)),
        ("eso:v2.9.0@sha256:" + "0" * 64, (2, 9, 0)),
        ("ghcr.io/external-secrets/external-secrets@sha256:" + "0" * 64, None),
        ("localhost:5000/eso", None),
        ("eso:latest", None),
        ("eso:v2.9.0-acme.4", None),
        ("eso:v2.9", None),
        ("", None),
        (None, None),
    ],
)
def test_the_release_of_an_image(image, release):
    found, problem = advisories.release_of_image(image)
    assert found == release and (problem is None) == (release is not None)


@pytest.mark.parametrize(
    ("release", "ids", "safe"),
    [
        ((2, 9, 0), [], None),
        ((2, 8, 0), ["#6735"], "2.9.0"),
        ((0, 20, 1), ["CVE-2026-26287", "#5884", "CVE-2026-34984", "CVE-2026-42875", "CVE-2026-42876"], "2.9.0"),
        (
            (0, 19, 1),
            ["CVE-2025-55196", "CVE-2026-26287", "#5884", "CVE-2026-34984", "CVE-2026-42875", "CVE-2026-42876"],
            "2.9.0",
        ),
        (
            (1, 1, 1),
            [
                "CVE-2026-22822",
                "CVE-2026-26287",
                "#5884",
                "CVE-2026-34984",
                "CVE-2026-42875",
                "CVE-2026-42876",
                "#6735",
            ],
            "2.9.0",
        ),
    ],
)
def test_what_a_release_is_open_to(release, ids, safe):
    assert [one.id for one in advisories.known(release)] == ids
    assert not ids or advisories.safe(release) == safe


def test_every_advisory_says_what_where_and_until_when():
    for one in advisories.ADVISORIES:
        assert one.since < one.fixed and one.what and one.source.startswith("https://github.com/external-secrets/")
    assert len({one.id for one in advisories.ADVISORIES}) == len(advisories.ADVISORIES)


@pytest.mark.parametrize(
    ("release", "today", "said"),
    [
        ((0, 20, 4), "2025-11-06", None),
        ((0, 20, 4), "2025-11-07", "1.0 came out on 2025-11-07"),
        ((2, 9, 0), "2026-11-29", "2.10 came out on 2026-08-28"),
        ((2, 13, 1), "2026-11-29", None),
        ((3, 0, 0), "2030-01-01", None),
    ],
)
def test_what_upstream_supports_no_more(release, today, said):
    found = advisories.unsupported(release, today)
    assert found is None if said is None else said in found


def test_the_releases_came_out_one_after_the_other():
    assert list(advisories.RELEASED) == sorted(advisories.RELEASED)
    assert list(advisories.RELEASED.values()) == sorted(advisories.RELEASED.values())


GIVEN = {"id": "CVE-1", "what": "it leaks", "since": "2.13.0", "fixed_in": "2.14.2", "source": "https://example.org/1"}


def test_lists_of_ones_own_take_the_place_of_ours():
    lists = advisories.lists_of({"advisories": [{**GIVEN, "functions": ["b64dec"]}]}, "'x'")
    assert [one.id for one in advisories.known((2, 14, 0), lists)] == ["CVE-1"]
    assert advisories.known((0, 20, 4), lists) == [] and advisories.safe((2, 13, 0), lists) == "2.14.2"
    assert lists.advisories[0].functions == ("b64dec",) and lists.released == advisories.RELEASED
    dates = advisories.lists_of({"released": {"2.15": "2026-12-20", "2.14": "2026-11-30"}}, "'x'")
    assert "2.15 came out on 2026-12-20" in advisories.unsupported((2, 14, 3), "2026-12-21", dates)
    assert dates.advisories == advisories.ADVISORIES


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "must hold 'advisories', 'released', or both"),
        ({"advisories": [], "more": 1}, "must hold 'advisories', 'released', or both"),
        ({"advisories": {}}, "'advisories' in 'x' must be a list"),
        ({"advisories": [{**GIVEN, "id": ""}]}, "each advisory in 'x' must have the texts id, what, "),
        ({"advisories": [{**GIVEN, "fixed": "2.15.0"}]}, "each advisory in 'x' must have the texts id, what, "),
        ({"advisories": [{**GIVEN, "since": "2.13"}]}, "'since' and 'fixed_in' of CVE-1 in 'x' must be releases"),
        ({"advisories": [{**GIVEN, "since": "2.15.0"}]}, "'since' and 'fixed_in' of CVE-1 in 'x' must be releases"),
        ({"advisories": [{**GIVEN, "functions": ["a b"]}]}, "'functions' of CVE-1 in 'x' must be a list"),
        ({"released": []}, "'released' in 'x' must be a dict"),
        ({"released": {"2.14": "soon"}}, "and one is '2.14': soon"),
        ({"released": {"two": "2026-11-30"}}, "and one is 'two': 2026-11-30"),
    ],
)
def test_lists_that_are_wrong_are_named(document, said):
    with pytest.raises(errors.CatalogError) as caught:
        advisories.lists_of(document, "'x'")
    assert said in str(caught.value)
