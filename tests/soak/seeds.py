# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the long runs share: what is killed and how, and the loop over the seeds."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

from support import Platform

VICTIMS = ("ansible", "eso", "control plane")


class SoakError(RuntimeError):
    """A seed did not converge, or lost something."""


@contextmanager
def begun(platform: Platform, play: str, arguments: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """A playbook that runs during the block, in a process group of its own; what it says goes nowhere."""
    environment = platform.environment
    argv = ["ansible-playbook", f"platform.cluster_secrets.{play}", "--vault-password-file", str(platform.password)]
    argv += ["-e", f"cluster_secrets_values_file={platform.vault}"]
    argv += ["-e", f"@{environment['CLUSTER_SECRETS_TEST_VARS']}", *arguments]
    process = subprocess.Popen(
        argv,
        cwd=platform.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def killed(platform: Platform, play: str, arguments: tuple[str, ...], victim: str, delay: float) -> None:
    """Begin a playbook, and kill one of :data:`VICTIMS` after so many seconds."""
    with begun(platform, play, arguments) as process:
        time.sleep(delay)
        if victim == "ansible":
            os.killpg(process.pid, signal.SIGKILL)
        elif victim == "eso":
            platform.plane.kill_eso()
        else:
            platform.plane.restart(signal.SIGKILL)
        process.wait(timeout=300)


def main(about: str, run: Callable[[int, Path], str]) -> int:
    """The command line of a long run.

    :arg run: makes a cluster, runs a seed on it, and says what was done; raises SoakError.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--seeds", type=int, default=30, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first one (default: %(default)s)")
    given = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.first, given.first + given.seeds):
            try:
                print(run(number, Path(folder) / str(number)), flush=True)
            except (SoakError, AssertionError) as error:
                failed += 1
                print(f"FAILED {error}", flush=True)
    print(f"{given.seeds - failed} of {given.seeds} seeds converged")
    return int(failed > 0)
