# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ESO's log as people read it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report.text import log_line


def test_a_line_says_when_how_bad_of_what_and_what():
    line = {
        "level": "error",
        "ts": 1795949546.18,
        "logger": "controllers.ExternalSecret",
        "msg": "Reconciler error",
        "controller": "externalsecret",
        "ExternalSecret": {"name": "token", "namespace": "team"},
        "namespace": "team",
        "name": "token",
        "reconcileID": "x",
        "error": "no such key",
        "attempt": 3,
    }
    assert log_line(json.dumps(line)) == (
        "2026-11-29 10:52:26  error  ExternalSecret team/token: Reconciler error: no such key (attempt=3)"
    )
    cluster = {"level": "info", "ts": "2026-11-29T10:52:26Z", "msg": "ok", "ClusterSecretStore": {"name": "central"}}
    assert log_line(json.dumps(cluster)) == "2026-11-29T10:52:26Z  info   ClusterSecretStore central: ok"


@pytest.mark.parametrize(
    "line",
    [
        "panic: runtime error",
        "",
        "{",
        "[1]",
        "7",
        '{"level": "info"}',
        '{"level": "info", "msg": "x", "ts": 1e300}',
        '{"level": "info", "msg": "x", "ts": 1760000000000000000}',
        "[" * 100000,
    ],
)
def test_any_other_line_stays(line):
    assert log_line(line) == line
