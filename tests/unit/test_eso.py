# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of ESO: what an image or a chart tells, and which vulnerabilities go with it."""

from __future__ import annotations

import io
import tarfile

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories, errors
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso


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
        ((0, 20, 1), ["CVE-2026-26287", "#5884", "CVE-2026-34984", "CVE-2026-42875", "CVE-2026-42876"], "2.4.1"),
        (
            (0, 19, 1),
            ["CVE-2025-55196", "CVE-2026-26287", "#5884", "CVE-2026-34984", "CVE-2026-42875", "CVE-2026-42876"],
            "2.4.1",
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


def test_the_release_of_a_chart(tmp_path):
    folder = tmp_path / "chart"
    folder.mkdir()
    (folder / "Chart.yaml").write_text("name: external-secrets\nversion: 0.1.0\nappVersion: v1.1.0\n")
    assert eso.of_chart("external-secrets", "2.9.0", {}).text == "2.9.0"
    assert eso.of_chart("oci://host/charts/external-secrets", "1.0.0", {}).text == "1.0.0"
    assert eso.of_chart(str(folder), None, {}).text == "1.1.0"
    assert eso.of_chart(str(folder), None, {"image": {"tag": "v2.9.0"}}).text == "2.9.0"
    assert eso.of_chart("external-secrets", "2.9.0", {"image": {"tag": "private"}}).text is None
    assert "no version" in eso.of_chart("external-secrets", None, {}).problem
    archive = tmp_path / "external-secrets-1.1.0.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        text = (folder / "Chart.yaml").read_bytes()
        info = tarfile.TarInfo("external-secrets/Chart.yaml")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    assert eso.of_chart(str(archive), None, {}).text == "1.1.0"


@pytest.mark.parametrize("content", [b"", b"- a\n", b"{", b"not an archive"])
def test_a_chart_that_is_none(tmp_path, content):
    (tmp_path / "Chart.yaml").write_bytes(content)
    path = tmp_path if content != b"not an archive" else tmp_path / "Chart.yaml"
    with pytest.raises(errors.EsoError, match="is not a chart of the External Secrets Operator"):
        eso.of_chart(str(path), None, {})
    with pytest.raises(errors.FileError, match="cannot read the chart"):
        eso.of_chart(str(tmp_path / "none"), None, {})


def test_stores_that_need_a_token():
    assert eso._needs_token({"provider": {"vault": {"auth": {"kubernetes": {"serviceAccountRef": {"name": "x"}}}}}})
    assert eso._needs_token({"provider": {"kubernetes": {"auth": {"serviceAccount": {"name": "x"}}}}})
    assert not eso._needs_token({"provider": {"fake": {"data": [{"key": "serviceAccountRef"}]}}})
