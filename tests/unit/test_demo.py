# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cluster the demo takes, and what it asks kind for; only a machine with kind shows whether that makes one."""

from __future__ import annotations

import pytest

from controlplane.cluster import ClusterError
from demo import kind

DOCKER = "#!/bin/sh\nexit %d\n"
HELM = "#!/bin/sh\n"
KIND = """#!/bin/sh
echo "$@" >>"$KIND_STATE.asked"
case "$1" in
  get) cat "$KIND_STATE" 2>/dev/null || true ;;
  create) [ -z "$KIND_FAILS" ] || { echo no space left >&2; exit 1; }; echo "$4" >"$KIND_STATE" ;;
  delete) rm "$KIND_STATE" ;;
esac
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    def install(**texts):
        for name, text in texts.items():
            path = tmp_path / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("KIND_STATE", str(tmp_path / "clusters"))
    monkeypatch.setenv("CLUSTER_SECRETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(kind.CHOICE, raising=False)
    return install


def test_kind_is_taken_only_where_all_it_needs_answers(programs, monkeypatch):
    assert not kind.chosen()
    programs(docker=DOCKER % 1, kind=KIND, helm=HELM)
    assert not kind.chosen()
    programs(docker=DOCKER % 0)
    assert kind.chosen()
    monkeypatch.setenv(kind.CHOICE, "embedded")
    assert not kind.chosen()


def test_a_cluster_of_kind_is_made_once_and_removed(programs, tmp_path, monkeypatch):
    cluster = kind.Kind()
    cluster.stop()
    with pytest.raises(ClusterError, match="kind was not found"):
        cluster.start()
    programs(kind=KIND)
    monkeypatch.setenv("KIND_FAILS", "1")
    with pytest.raises(ClusterError, match="kind create cluster: no space left"):
        cluster.start()
    monkeypatch.delenv("KIND_FAILS")
    cluster.start()
    assert cluster.ready() and cluster.variables_file.read_text() == "{}\n"
    cluster.start()
    cluster.stop()
    assert not cluster.ready()
    asked = (tmp_path / "clusters.asked").read_text().splitlines()
    assert sum(line.startswith("create cluster") for line in asked) == 2
    assert any(line.startswith("export kubeconfig --name cluster-secrets-demo --kubeconfig ") for line in asked)
