# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the benchmark's commands, one for each line of JSON, and answers with seconds, status and peak memory in MiB.

A process of its own: what a program replaces counts as its memory, and the benchmark's own process grows.
"""

import json
import os
import sys
import time


def run(argv, environment, folder, log):
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        with open(log, "wb") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        os.chdir(folder)
        os.execvpe(argv[0], argv, environment)
    _pid, status, usage = os.wait4(pid, 0)
    return {"seconds": time.monotonic() - started, "status": status, "memory": usage.ru_maxrss / 1024}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)
