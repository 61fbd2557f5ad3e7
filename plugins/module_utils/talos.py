# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs talosctl for several nodes at a time, and sees each of them through."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Callable

from .api.client import Client
from .apply import Executor
from .errors import ClusterSecretsError, NotReady, passes
from .lock import Lock
from .plan import Action, plan_node_begun, plan_node_finished, plan_node_staged
from .resources import NODES, Object, holds_true
from .upgrade import nodes

#: The Lease that keeps two runs from one cluster.
UPGRADE = "cluster-secrets-upgrade"

#: Lines of what a program that failed said last.
_LINES = 15

#: Seconds between two looks at what is under way, and at a node.
_PAUSE, _LOOK = 0.5, 2.0


class Commands:
    """How talosctl is called.

    :arg program: the program, and the arguments that all calls share.
    :arg upgrade: more arguments of 'talosctl upgrade'; :arg stage: those with which it doesn't reboot.
    :arg reboot: those of 'talosctl reboot', after it was staged.
    """

    def __init__(self, program: list[str], upgrade: list[str], stage: list[str], reboot: list[str]) -> None:
        self._program, self._upgrade, self._stage, self._reboot = program, upgrade, stage, reboot

    def upgrade(self, address: str, image: str) -> list[str]:
        """The command line that upgrades a node."""
        return [*self._program, "upgrade", "--nodes", address, "--image", image, *self._upgrade]

    def stage(self, address: str, image: str) -> list[str]:
        """The command line after which a node's next reboot begins an image."""
        return [*self._program, "upgrade", "--nodes", address, "--image", image, *self._stage]

    def reboot(self, address: str) -> list[str]:
        """The command line that reboots a node."""
        return [*self._program, "reboot", "--nodes", address, *self._reboot]


class Program:
    """A program that runs beside us, and what it says; :func:`running` makes one."""

    def __init__(self, process: subprocess.Popen[bytes], command: list[str], output: IO[bytes]) -> None:
        self._process, self._command, self._output = process, command, output

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def failure(self) -> str:
        """What is said of one that has ended: nothing if it went well, else its last words and what to do."""
        status = self._process.returncode
        if not status:
            return ""
        self._output.seek(0)
        said = "\n".join(self._output.read().decode(errors="replace").strip().splitlines()[-_LINES:])
        told = "'%s' failed with exit status %d%s" % (" ".join(self._command), status, ": %s" % said if said else "")
        return "%s. %sRun this again when it is mended." % (told, _hint(said))


@contextmanager
def running(command: list[str]) -> Iterator[Program]:
    """A program that runs until the block's end at most. Raises NotReady for one that can't be run."""
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, shell=False
            )
        except OSError as error:
            raise NotReady(
                "'%s' can't be run: %s. Name the program in 'talos_upgrade_command'." % (command[0], error.strerror)
            ) from None
        try:
            yield Program(process, command, output)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Parent:
    """The process that runs us. A run that was killed leaves no program behind that goes on upgrading."""

    def __init__(self) -> None:
        self._pid = os.getppid()

    def check(self) -> None:
        """Raise NotReady if it has ended."""
        if os.getppid() != self._pid:
            raise NotReady("Ansible has ended, and so does the upgrade. Run it again: it goes on where this stopped.")


def run_locked(lock: Lock, command: list[str]) -> None:
    """Run a program while the lock is held. Raises NotReady with its last words if it fails."""
    parent = Parent()
    with lock.held(), running(command) as program:
        while program.runs():
            lock.renew()
            parent.check()
            time.sleep(_PAUSE)
        failure = program.failure()
    if failure:
        raise NotReady(failure)


class _Node:
    """A node on its way."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.program: Program | None = None
        #: Until when it is waited for, as time.monotonic() has it, and when it is looked at next.
        self.deadline, self.look = 0.0, 0.0
        #: An earlier run began it, and it is away: it may come back by itself.
        self.returning = False
        self.over = False
        self.error = ""

    def fail(self, text: str) -> None:
        """It is over, and was not upgraded."""
        self.over, self.error = True, text

    def still_runs(self) -> bool:
        """Whether its program runs, or has just failed, which ends it; a program that went well is forgotten."""
        if self.program is None:
            return False
        if self.program.runs():
            return True
        failure = self.program.failure()
        if failure:
            self.fail("Node %s: %s" % (self.name, failure))
        self.program = None
        return bool(failure)


class Upgrade:
    """What is done to a batch of nodes at the same time.

    :arg addresses: where talosctl reaches each, by the name of the Node.
    :arg seconds: how long a node may take to come back after talosctl has ended.
    """

    def __init__(
        self,
        client: Client,
        lock: Lock,
        wanted: nodes.Wanted,
        addresses: dict[str, str],
        commands: Commands,
        seconds: int,
        progress: Callable[[int, int], None],
    ) -> None:
        self._client, self._lock, self._wanted, self._commands = client, lock, wanted, commands
        self._addresses = addresses
        self._seconds = seconds
        self._progress = progress
        self._parent = Parent()
        self._stack = ExitStack()
        self.actions: list[Action] = []

    def stage(self) -> None:
        """Have each node's next reboot begin what is wanted. Raises NotReady naming what failed."""
        self._drive(self._stage_begin, self._staged)

    def upgrade(self) -> None:
        """Upgrade each node, and wait for it. Raises NotReady naming what failed, after the others have ended."""
        self._drive(self._begin, self._step)

    def _drive(self, begin: Callable[[_Node], None], step: Callable[[_Node], None]) -> None:
        under_way = [_Node(name, address) for name, address in self._addresses.items()]
        with self._lock.held(), self._stack:
            for node in under_way:
                begin(node)
            while not all(node.over for node in under_way):
                self._lock.renew()
                self._parent.check()
                for node in under_way:
                    if not node.over:
                        step(node)
                self._progress(sum(node.over for node in under_way), len(under_way))
                time.sleep(_PAUSE)
            failed = {node.name: node.error for node in under_way if node.error}
            if failed:
                self._release(list(failed))
        if failed:
            done = [node.name for node in under_way if node.name not in failed]
            raise NotReady(" ".join([*failed.values(), *(["Done: %s." % ", ".join(done)] if done else [])]))

    # -- each of the steps ----------------------------------------------------------------------------

    def _begin(self, node: _Node) -> None:
        live = self._get(node.name)
        if live is None:
            node.fail("There is no Node %s." % node.name)
            return
        if nodes.status(live, self._wanted) != nodes.TO_DO:
            self._arriving(node)  # since the plan, another run has been here
        elif nodes.begun(live) is not None and not holds_true(live, "Ready"):
            node.returning = True
            self._arriving(node)
        else:
            self._call(node, live)

    def _call(self, node: _Node, live: Object) -> None:
        node.returning = False
        if nodes.is_staged(live, self._wanted):
            command = self._commands.reboot(node.address)
        else:
            command = self._commands.upgrade(node.address, self._wanted.image)
        # Before anything happens to it, so that whoever comes next knows.
        self._write([plan_node_begun(live, self._wanted.version)])
        self._start(node, command)

    def _start(self, node: _Node, command: list[str]) -> None:
        try:
            node.program = self._stack.enter_context(running(command))
        except NotReady as error:
            node.fail(str(error))

    def _step(self, node: _Node) -> None:
        had = node.program is not None
        if node.still_runs():
            return
        if had:
            self._arriving(node)
        if time.monotonic() < node.look:
            return
        node.look = time.monotonic() + _LOOK
        try:
            with self._client.until(time.monotonic() + 5):
                live = self._get(node.name)
                missing = nodes.waits_for(live, self._wanted)
                if live is not None and not missing:
                    self._write([plan_node_finished(live)])
                    node.over = True
                    return
        except ClusterSecretsError as error:
            if not passes(error):
                raise
            live, missing = None, [str(error)]
        if time.monotonic() >= node.deadline:
            if node.returning and live is not None:
                self._call(node, live)
                return
            node.fail(not_back(node.name, self._seconds, missing))

    def _stage_begin(self, node: _Node) -> None:
        self._start(node, self._commands.stage(node.address, self._wanted.image))

    def _staged(self, node: _Node) -> None:
        if node.still_runs():
            return
        live = self._get(node.name)
        self._write([plan_node_staged(live, self._wanted.image)] if live else [])
        node.over = True

    # -- what they share ------------------------------------------------------------------------------

    def _arriving(self, node: _Node) -> None:
        node.deadline, node.look = time.monotonic() + self._seconds, 0.0

    def _get(self, name: str) -> Object | None:
        return self._client.get(NODES.path(name))

    def _write(self, planned: list[Action | None]) -> None:
        self.actions += Executor(self._client).run([action for action in planned if action])

    def _release(self, names: list[str]) -> None:
        """Leave no cordon of the upgrade's own on a node that failed and takes pods; the next run begins it anew."""
        try:
            found = [self._get(name) for name in names]
            ready = [plan_node_finished(item) for item in found if item and holds_true(item, "Ready")]
            self._write(ready)
        except ClusterSecretsError as error:
            self._client.tell("cordons that the upgrade left stay until the next run: %s" % error)


def not_back(name: str, seconds: int, missing: list[str]) -> str:
    """What is said of a node that is waited for in vain."""
    return (
        "Node %s is not upgraded %d s later: %s. Look at it with 'talosctl dmesg' and 'talosctl logs machined', then "
        "run this again: it goes on with this node." % (name, seconds, "; ".join(missing))
    )


#: Parts of what talosctl says, and what to do.
_HINTS = (
    (
        "drain",
        "Look for the PodDisruptionBudget that allows no eviction, or give the drain more time with --drain-timeout in "
        "'talos_upgrade_arguments'; a single node can't be drained (--drain=false). ",
    ),
    ("unknown flag", "This talosctl is older or newer: correct 'talos_upgrade_arguments'. "),
    ("locked", "The node is being upgraded already; wait for it. "),
    ("etcd", "Look at etcd with 'talosctl etcd status' before anything else. "),
)


def _hint(said: str) -> str:
    return next((hint for part, hint in _HINTS if part in said), "")
