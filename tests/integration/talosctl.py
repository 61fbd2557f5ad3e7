# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python talosctl.py FOLDER upgrade --nodes ...``: a stand-in for talosctl 1.14, and for the Talos of the nodes.

It refuses flags that talosctl doesn't have, installs, cordons, drains by the eviction API, lets the node go away and
come back with what was installed, and ends its cordon. The node is one that kwok simulates, or the real one, of
which everything that runs is killed.

FOLDER/talosctl.json says which control plane it is for. What it did is written beside it: 'calls', 'begun',
'upgraded'. The file 'mode' makes it fail: 'NODE drain' leaves the node cordoned, 'NODE old' brings it back with what
it ran, 'NODE locked' finds that Talos is at work there, 'NODE manifests' ends upgrade-k8s after the kubelets, 'NODE
STEP' never ends in that step (install, drained, away, booted, back), and 'hangs' says that it is there.
With a file 'restart' the node takes etcd along: it waits until somebody has removed 'restarting'.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"


class Parser(argparse.ArgumentParser):
    """What it doesn't have, it refuses in the words of the original."""

    def error(self, message: str) -> NoReturn:
        sys.exit("Error: " + message.replace("unrecognized arguments", "unknown flag"))


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = Parser()
    command = parser.add_subparsers(required=True, dest="command")
    upgrade = command.add_parser("upgrade")
    upgrade.add_argument("--image", required=True)
    upgrade.add_argument("--no-reboot", action="store_true")
    reboot = command.add_parser("reboot")
    for one, drains in ((upgrade, "true"), (reboot, "false")):
        one.add_argument("--nodes", required=True)
        one.add_argument("--wait", action="store_true")
        one.add_argument("--drain", nargs="?", const="true", default=drains, choices=["true", "false"])
        one.add_argument("--drain-timeout", default="300s")
    command.add_parser("health").add_argument("--nodes")
    command.add_parser("etcd").add_argument("what", choices=["status"])
    kubernetes = command.add_parser("upgrade-k8s")
    kubernetes.add_argument("--nodes", required=True)
    kubernetes.add_argument("--to", required=True)
    return parser.parse_args(arguments)


class Machine:
    """A node, and what Talos does to it."""

    def __init__(self, plane: Any, name: str, folder: Path) -> None:
        self.plane, self.name, self.folder = plane, name, folder
        mode = (folder / "mode").read_text().split() if (folder / "mode").exists() else []
        self.mode = mode[1] if mode[:1] == [name] else ""
        self.installed = folder / f"installed-{name}"

    def send(self, method: str, path: str, body: Any = None, kind: str = MERGE) -> Any:
        status, answer = self.plane.api.request(method, path, body, kind)
        assert status < 400, (method, path, status, answer)
        return answer

    def status(self, status: dict[str, Any]) -> None:
        self.send("PATCH", f"/api/v1/nodes/{self.name}/status", {"status": status}, STRATEGIC)

    def cordon(self, value: bool | None) -> None:
        self.send("PATCH", f"/api/v1/nodes/{self.name}", {"spec": {"unschedulable": value}})

    def note(self, file: str, text: str) -> None:
        with (self.folder / file).open("a") as written:
            written.write(text + "\n")

    def step(self, what: str) -> None:
        while self.mode == what:
            (self.folder / "hangs").touch()
            time.sleep(0.2)

    def drain(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        listed = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self.name}"
        while pods := self.send("GET", listed)["items"]:
            for meta in [pod["metadata"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]:
                body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": meta["name"]}}
                path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction"
                status, answer = self.plane.api.request("POST", path, body, "application/json")
                assert status in (201, 404, 429), answer
            if time.monotonic() > deadline:
                sys.exit("error draining node: pods are not evicted: context deadline exceeded")
            time.sleep(0.2)

    def reboot(self, drain: bool, seconds: float) -> None:
        self.cordon(True)
        if self.mode == "drain":
            sys.exit("error draining node: pods are not evicted: context deadline exceeded")
        if drain:
            self.drain(seconds)
        self.step("drained")
        self.away()
        self.step("away")
        if (self.folder / "restart").exists() and (self.folder / "restart").read_text() == self.name:
            (self.folder / "restarting").touch()
            while (self.folder / "restarting").exists():
                time.sleep(0.2)
        self.boot(None if self.mode == "old" else self.installed.read_text())
        self.note("upgraded", self.name)
        self.step("booted")
        self.ready()
        self.step("back")
        self.cordon(None)

    # -- what is simulated ---------------------------------------------------------------------

    def _ready(self, value: str) -> None:
        self.status({"conditions": [{"type": "Ready", "status": value, "reason": "Test", "message": "rebooting"}]})

    def away(self) -> None:
        """It goes away."""
        self._ready("False")

    def boot(self, version: str | None) -> None:
        """It starts, with another version or what it had."""
        # What simulates the nodes writes all that it knows of one at times.
        for _again in range(8 if version else 0):
            self.status({"nodeInfo": {"osImage": f"Talos ({version})"}})
            time.sleep(0.3)

    def ready(self) -> None:
        """It is back."""
        self._ready("True")

    def kubelets(self, version: str) -> None:
        """Each kubelet is of another version."""
        names = [one["metadata"]["name"] for one in self.send("GET", "/api/v1/nodes")["items"]]
        for self.name in names * 8:
            self.status({"nodeInfo": {"kubeletVersion": version}})
            time.sleep(0.1)


class RealMachine(Machine):
    """The node of a whole cluster."""

    def away(self) -> None:
        self.plane.power_off()

    def boot(self, version: str | None) -> None:
        if version:
            self.plane.set_system(f"Talos ({version})")
        self.plane.power_on()

    def ready(self) -> None:
        """Its kubelet says so by itself."""


def main() -> None:
    folder = Path(sys.argv[1])
    given = parsed(sys.argv[2:])
    facts = json.loads((folder / "talosctl.json").read_text())
    sys.path[:0] = facts["path"]
    from controlplane.cluster import ControlPlane
    from controlplane.node import Node

    made, kind = (Node, RealMachine) if facts["real"] else (ControlPlane, Machine)
    machine = kind(made(facts["plane"]), getattr(given, "nodes", None) or "", folder)
    machine.note("calls", " ".join(sys.argv[2:]))
    if given.command in ("health", "etcd"):
        return
    if given.command == "upgrade-k8s":
        machine.kubelets("v" + given.to)
        if machine.mode == "manifests":
            sys.exit("error updating manifests: context deadline exceeded")
        return
    if machine.mode == "locked":
        sys.exit("error upgrading: rpc error: code = FailedPrecondition desc = locked")
    machine.step("install")
    if given.command == "upgrade":
        machine.installed.write_text(given.image.rpartition(":")[2])
        machine.note("begun", machine.name + " begun")
        if given.no_reboot:
            return
    machine.reboot(given.drain == "true", float(given.drain_timeout.removesuffix("s")))
    for path, body in facts.get("afterwards", {}).items():
        machine.send("PATCH", path, body)


if __name__ == "__main__":
    main()
