# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo``: bootstrap an empty cluster, bootstrap it again (nothing changes), show what is where."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from controlplane import build, node, values
from controlplane.cluster import ClusterError, ControlPlane

from . import kind


class DemoError(RuntimeError):
    """A step of the demo did not do what it should."""


def playbook(plane: ControlPlane | kind.Kind, name: str, vault: Path, password: Path) -> str:
    """Run one of the collection's playbooks and return its output; that of bootstrap is shown as well."""
    argv = ["ansible-playbook", f"platform.cluster_secrets.{name}", "--vault-password-file", str(password)]
    argv += ["-e", f"@{plane.variables_file}", "-e", f"cluster_secrets_values_file={vault}"]
    environment = {
        **os.environ,
        **plane.environment(),
        "ANSIBLE_STDOUT_CALLBACK": "platform.cluster_secrets.brief",
        "ANSIBLE_FORCE_COLOR": "false",
    }
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)
    lines = []
    assert process.stdout
    for line in process.stdout:
        lines.append(line)
        if name == "bootstrap":
            print(line, end="", flush=True)
    if process.wait():
        raise DemoError(f"the playbook {name} failed\n{'' if name == 'bootstrap' else ''.join(lines)}")
    return "".join(lines)


def changed(output: str) -> int:
    """The number of changed tasks in the recap."""
    found = re.search(r"changed=(\d+)", output)
    if not found:
        raise DemoError("the playbook printed no recap")
    return int(found.group(1))


def demo() -> None:
    """All steps; raises DemoError, ClusterError or BuildError."""
    whole = os.environ.get(kind.CHOICE) == "node"
    plane = node.Node("demo-node") if whole else kind.Kind() if kind.chosen() else ControlPlane("demo")
    fresh = not plane.ready()
    plane.start()
    if isinstance(plane, node.Node):
        plane.serve_chart()
    vault, password = plane.run / "values.vault.yml", plane.run / "vault-password"
    if not vault.exists():
        values.write_vault(values.generate(), vault, password)
    which = "an empty cluster" if fresh else "the cluster of the last demo"
    print(f"\n== Bootstrap {which} from an ansible-vault file of generated values\n")
    first = changed(playbook(plane, "bootstrap", vault, password))
    if not fresh and first:
        raise DemoError(f"the cluster was bootstrapped before, and this run changed {first} task(s)")
    print("\n== Bootstrap it again\n")
    again = changed(playbook(plane, "bootstrap", vault, password))
    if again:
        raise DemoError(f"the second run changed {again} task(s)")
    print("\n== What is where\n")
    output = playbook(plane, "status", vault, password)
    table = re.search(r"^NAMESPACE .*^\d+ targets are synced$", output, re.MULTILINE | re.DOTALL)
    if not table:
        raise DemoError(f"the playbook status showed no table\n{output}")
    print(table[0].rstrip())
    print(f"\nThe first run changed {first} task(s), the second changed=0.")
    print(f"\nThe cluster goes on running. Look at it with: export KUBECONFIG={plane.kubeconfig}")
    print("Stop it with: make demo-stop")


def stop() -> None:
    """Stop whatever cluster a demo has started."""
    ControlPlane("demo").stop()
    node.Node("demo-node").stop()
    kind.Kind().stop()


def main() -> int:
    """The demo, or with the argument ``stop`` its end; returns the exit status."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    wanted = stop if sys.argv[1:] == ["stop"] else demo
    try:
        wanted()
    except (KeyboardInterrupt, DemoError, ClusterError, build.BuildError) as error:
        # Nothing is left running by a demo that did not end well.
        if wanted is demo:
            stop()
        print(f"\ndemo: {'interrupted' if isinstance(error, KeyboardInterrupt) else error}", file=sys.stderr)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
