# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m controlplane build|start|stop|status|env|run``: the control plane by hand."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys

from . import build
from .cluster import ClusterError, ControlPlane
from .node import Node, lacking


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="controlplane", description=__doc__)
    parser.add_argument("--name", default="default", help="which control plane (default: %(default)s)")
    parser.add_argument("--node", action="store_true", help="a whole cluster: a real node instead of simulated ones")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build what is missing of its programs, and of Vault for the tests")
    commands.add_parser("start", help="start it, unless it runs")
    commands.add_parser("stop", help="stop it")
    commands.add_parser("status", help="report which parts run; exit status 1 unless all do and the API is ready")
    commands.add_parser("env", help="print the variables that point clients at it, for eval")
    run = commands.add_parser("run", help="start it, run a command with its variables, stop it")
    run.add_argument("argv", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    # SIGTERM takes the same way out as Ctrl-C, so that nothing is left running. A shell has what it starts in the
    # background ignore Ctrl-C, and what that starts, too.
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    plane = (Node if options.node else ControlPlane)(options.name, bound=options.command == "run")
    try:
        if options.command == "build":
            problem = lacking()
            if problem:
                build.say(f"no node: {problem}")
            build.ensure(tuple(name for name in build.PROGRAMS if not problem or name not in build.NODE))
        elif options.command == "start":
            plane.start()
            print(f"KUBECONFIG={plane.kubeconfig}")
        elif options.command == "stop":
            plane.stop()
        elif options.command == "status":
            status = plane.status()
            for component, alive in status.items():
                print(f"{component:<26}{'running' if alive else 'stopped'}")
            return 0 if all(status.values()) and plane.ready() else 1
        elif options.command == "env":
            if not plane.ready():
                raise ClusterError(f"control plane '{options.name}' is not running; start it first")
            for key, value in plane.environment().items():
                print(f"export {key}={shlex.quote(value)}")
        else:
            try:
                plane.start()
                return subprocess.run(options.argv, env={**os.environ, **plane.environment()}, check=False).returncode
            finally:
                plane.stop()
    except KeyboardInterrupt:
        print("interrupted; nothing was left running", file=sys.stderr)
        return 130
    except (build.BuildError, ClusterError) as error:
        print(f"controlplane: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
