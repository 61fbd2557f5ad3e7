# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release of a chart, and stores that need a token."""

from __future__ import annotations

import io
import tarfile

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import errors
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso


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
