# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m controlplane.sandbox RUN``: network, mounts and processes of a node, which end with this process.

The kernel ends a PID namespace with its first process: whatever containerd has started, however this ends,
goes with it, and so do the mounts and, once its last connection has timed out, the network. Control groups are
directories that somebody has to remove: this process does when it is told to end or its parent dies, and the
next start does for one that was killed.

RUN/sandbox.json says where it is: the first process's pid, the node's address and the control group.
"""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
#: Where those of nodes begin; a number follows.
CGROUP = "cluster-secrets-node-"

#: What a kubelet sets for the whole machine. It finds these values here instead, and sets nothing.
_KERNEL = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

#: What the node's network has of its own. A connection whose other end went with its pod is tried for minutes
#: by default, and for so long the kernel keeps the network, and the interface on this machine with it.
_NETWORK = {"net/ipv4/ip_forward": "1", "net/ipv4/tcp_orphan_retries": "1", "net/ipv4/tcp_fin_timeout": "5"}

#: What a node writes outside its own folders: in memory, and seen by nobody else.
_OWN = ("/run", "/var/lib", "/var/log")


def _command(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True)


def hierarchies() -> list[Path]:
    """The roots of the control groups: one where they are of version 2, several of version 1."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(line[1]) for line in lines if line[2] in ("cgroup", "cgroup2") and line[1].startswith(str(CGROUPS))]


def remove_cgroups(name: str) -> None:
    """Remove a control group and all below it, once its processes are gone; raises OSError after ten seconds."""
    deadline = time.monotonic() + 10
    for root in hierarchies():
        while True:
            try:
                for folder, _names, _files in os.walk(root / name, topdown=False):
                    os.rmdir(folder)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def _in_use() -> list[ipaddress.IPv4Network]:
    done = subprocess.run(["ip", "-4", "-json", "route", "show"], capture_output=True, text=True, check=True)
    routes = [one["dst"] for one in json.loads(done.stdout or "[]")]
    return [ipaddress.ip_network(one, strict=False) for one in routes if one != "default"]


def _connect(pid: int) -> tuple[int, str]:
    """A pair of interfaces between this machine and the node; returns a free number and the node's address.

    Only this pair leads out of the node, and only to this machine. A Service's address is rewritten where a
    packet leaves: so there is a default route, which leads nowhere.
    """
    for number in range(200):
        network = ipaddress.ip_network(f"10.213.{number}.0/24")
        if any(network.overlaps(one) for one in _in_use()):
            continue
        host = f"csnode{number}"
        try:
            _command("ip", "link", "add", host, "type", "veth", "peer", "name", "node0", "netns", str(pid))
        except subprocess.CalledProcessError:
            continue  # taken in this moment
        _command("ip", "address", "add", f"{network[1]}/24", "dev", host)
        _command("ip", "link", "set", host, "up")
        inside = ("nsenter", f"--net=/proc/{pid}/ns/net", "ip")
        _command(*inside, "link", "set", "lo", "up")
        _command(*inside, "address", "add", f"{network[2]}/24", "dev", "node0")
        _command(*inside, "link", "set", "node0", "up")
        _command(*inside, "link", "add", "nowhere", "type", "bridge")
        _command(*inside, "address", "add", "10.212.0.1/24", "dev", "nowhere")
        _command(*inside, "link", "set", "nowhere", "up")
        _command(*inside, "route", "add", "default", "via", "10.212.0.2", "dev", "nowhere")
        return number, str(network[2])
    raise SystemExit("no free network was found between 10.213.0.0 and 10.213.199.0")


def first(run: Path) -> None:
    """The first process inside: sets up the mounts, then takes care of whatever loses its parent."""
    _command("mount", "--make-rshared", "/")
    for folder in _OWN:
        _command("mount", "-t", "tmpfs", "-o", "mode=755", "node", folder)
    for name, value in _KERNEL.items():
        path = Path("/proc/sys") / name
        if path.exists():
            stand_in = Path("/run/kernel") / name
            stand_in.parent.mkdir(parents=True, exist_ok=True)
            stand_in.write_text(value + "\n")
            _command("mount", "--bind", str(stand_in), str(path))
    for name, value in _NETWORK.items():
        (Path("/proc/sys") / name).write_text(value + "\n")
    (run / "sandbox.mounted").touch()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        signal.sigwait({signal.SIGCHLD})
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for one in found:
        try:
            for thread in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (thread / "children").read_text().split()]
        except OSError:
            pass  # it has ended
    return found


def child_of(pid: int) -> int:
    """The one child of a process. Raises TimeoutError if it has none within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            children = []
        if children:
            return int(children[0])
        time.sleep(0.01)
    raise TimeoutError(f"process {pid} has started nothing")


def keep(run: Path) -> int:
    """Make the sandbox and wait for its end; then remove what the kernel doesn't."""

    def end(_number: int, _frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    own = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    argv = ["unshare", *own, sys.executable, "-m", "controlplane.sandbox", str(run), "first"]
    outer = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    cgroup, interface = "", ""
    try:
        inner = child_of(outer.pid)
        while not (run / "sandbox.mounted").exists():
            if outer.poll() is not None:
                return 1
            time.sleep(0.02)
        number, address = _connect(inner)
        cgroup, interface = f"{CGROUP}{number}", f"csnode{number}"
        remove_cgroups(cgroup)
        for root in hierarchies():
            (root / cgroup).mkdir()
        staged = run / "sandbox.tmp"
        staged.write_text(json.dumps({"pid": inner, "address": address, "cgroup": cgroup}))
        staged.replace(run / "sandbox.json")
        return outer.wait()
    finally:
        # Only while the node lives is the name certain to be its own.
        if interface and outer.poll() is None:
            subprocess.run(["ip", "link", "delete", interface], check=False, capture_output=True)
        outer.kill()
        outer.wait()
        if cgroup:
            remove_cgroups(cgroup)


if __name__ == "__main__":
    if sys.argv[2:] == ["first"]:
        first(Path(sys.argv[1]))
    sys.exit(keep(Path(sys.argv[1])))
