# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release of an image, and the vulnerabilities of a release."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories


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
