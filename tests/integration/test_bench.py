# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``make bench-quick`` promises: no more requests than now, and no way that is far slower than another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def test_no_goal_of_the_quick_benchmark_is_missed():
    done = subprocess.run(
        [sys.executable, "-m", "bench.quick"], cwd=TESTS, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0 and "\n0 goals missed" in done.stderr, done.stdout + done.stderr
