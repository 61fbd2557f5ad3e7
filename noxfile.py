# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``nox``: the make targets as sessions, and antsibull-nox's own checks of a collection."""

from __future__ import annotations

import sys

import antsibull_nox
import nox

antsibull_nox.load_antsibull_nox_toml()

nox.options.sessions = ["lint", "sanity", "docs", "unit", "extra-checks"]
nox.options.default_venv_backend = "none"

TARGETS = ("lint", "sanity", "docs", "unit", "integration", "test", "matrix", "bench")


def _session(target: str) -> None:
    @nox.session(name=target)
    def run(session: nox.Session) -> None:
        session.run("make", target, f"PYTHON={sys.executable}", *session.posargs, external=True)

    run.__doc__ = f"make {target}"


for _target in TARGETS:
    _session(_target)
