# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a backup may lie that is the only copy of a value."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import backups
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import FileError


def test_no_backup_lies_where_awx_removes_it(tmp_path, monkeypatch):
    job, mounted = tmp_path / "job", tmp_path / "mounted"
    project = job / "project"
    project.mkdir(parents=True)
    monkeypatch.chdir(project)
    monkeypatch.delenv("AWX_HOST", raising=False)
    monkeypatch.setenv("AWX_ISOLATED_DATA_DIR", str(job))
    # ansible-runner's own folder is its user's to keep.
    backups.refuse_passing("cluster-secrets-backups")
    monkeypatch.setenv("AWX_HOST", "https://awx.example.com")
    backups.refuse_passing(str(mounted))
    backups.refuse_passing(str(tmp_path / "job-2"))
    (project / "link").symlink_to(mounted)
    backups.refuse_passing("link/backups")
    for folder in ("cluster-secrets-backups", str(job), "../../job/artifacts"):
        with pytest.raises(FileError, match="cluster_secrets_backup_dir"):
            backups.refuse_passing(folder)
