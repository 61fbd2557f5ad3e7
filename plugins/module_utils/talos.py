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
from .errors import ClusterSecretsError, Denied, MissingPermission, NotReady
from .lock import Lock
from .plan.actions import Action
from .plan.nodes import plan_node_begun, plan_node_finished, plan_node_staged
from .resources import LEASES, NODES, Object, holds_true
from .upgrade import nodes

#: The Lease that keeps two runs from one cluster.
UPGRADE = "cluster-secrets-upgrade"

#: Lines of what a program that failed said last.
_LINES = 15

#: Seconds between two looks at what is under way, and at a node.
_PAUSE, _LOOK = 0.5, 2.0

#: Seconds in which the API has to let a node be begun, after which a node that is back stays as it is, and in which
#: one that failed has to show that it lives.
_BEGIN, _SETTLED, _RELEASE = 60.0, 60.0, 30.0

#: The namespace of the Leases by which kubelets say that they live, and how many renewals of one show that its node's
#: status is of now: a kubelet that starts writes both, in either order.
_NODE_LEASES, _RENEWALS = "kube-node-lease", 2

#: What talosctl says of a node that is being upgraded already.
_LOCKED = "locked"


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
        return self._installing(address, image, self._upgrade)

    def stage(self, address: str, image: str) -> list[str]:
        """The command line after which a node's next reboot begins an image."""
        return self._installing(address, image, self._stage)

    def _installing(self, address: str, image: str, arguments: list[str]) -> list[str]:
        return [*self._program, "upgrade", "--nodes", address, "--image", image, *arguments]

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
        return "%s. %sRun this again when it is fixed." % (told, _hint(said))


@contextmanager
def running(command: list[str]) -> Iterator[Program]:
    """A program that runs until the block's end at most. Raises NotReady for one that can't be run."""
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(  # pylint: disable=ansible-bad-function  # several run side by side
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, shell=False
            )
        except OSError as error:
            raise NotReady(
                "'%s' can't be run: %s. Name the program in 'cluster_secrets_talos_command'."
                % (command[0], error.strerror)
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
            raise NotReady("Ansible has ended, so the upgrade stops. Run it again: it goes on where this stopped.")


def run_locked(lock: Lock, command: list[str], before: Callable[[], None]) -> None:
    """Run a program while the lock is held, and ``before`` it. Raises NotReady with its last words if it fails."""
    parent = Parent()
    with lock.held():
        before()
        with running(command) as program:
            while program.runs():
                parent.check()
                time.sleep(_PAUSE)
            failure = program.failure()
    if failure or lock.lost:
        raise NotReady(" ".join(filter(None, (failure, str(lock.lost or "")))))


class _Node:
    """A node on its way."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.begun = False
        self.program: Program | None = None
        #: How often talosctl was called for it, and whether one of them ran.
        self.calls = 0
        self.ran = False
        #: Whether an earlier run has begun it.
        self.begun_before = False
        #: Until when it is waited for, as time.monotonic() has it, and when it is looked at next.
        self.begins = time.monotonic()
        self.deadline, self.look = self.begins + _BEGIN, 0.0
        #: Somebody else's upgrade may be under way: it may come back by itself. Since when it is ready, or None.
        self.returning = False
        self.ready: float | None = None
        #: Whether Talos said last that it is at work there, and until when that is waited for.
        self.busy, self.busy_until = False, 0.0
        #: When its kubelet said last that it lives, and how often it did since it was looked at first.
        self.alive_at = ""
        self.renewals = 0
        self.over = False
        self.error = ""

    def fail(self, text: str) -> None:
        """It is over, and was not upgraded."""
        self.over, self.error = True, text

    def wait(self, seconds: float, returning: bool = False) -> None:
        """Wait for it for so long from now on."""
        self.returning, self.ready = returning, None
        self.deadline, self.look = time.monotonic() + seconds, 0.0

    def ended(self) -> str | None:
        """What its program failed with, once it has ended: nothing if it went well. None while it runs."""
        if self.program is None or self.program.runs():
            return None
        failure = self.program.failure()
        self.program = None
        return failure


class Upgrade:
    """What is done to a batch of nodes at the same time.

    :arg addresses: where talosctl reaches each, by the name of the Node.
    :arg seconds: how long a node may take to come back after talosctl has ended.
    :arg progress: told how many nodes of how many are done.
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
        parent = Parent()
        with self._lock.held():
            try:
                with self._stack:
                    # Whoever has the Lease now goes on with what Talos has begun.
                    while not all(node.over for node in under_way) and not self._lock.lost:
                        parent.check()
                        for node in under_way:
                            if not node.over and time.monotonic() >= node.look:
                                self._try(step if node.begun else begin, node)
                        self._progress(sum(node.over for node in under_way), len(under_way))
                        time.sleep(_PAUSE)
            finally:
                # Those that were under way when this was stopped keep their marks: what Talos has begun goes on.
                if not self._lock.lost:
                    self._release([node for node in under_way if node.error and not node.busy])
        failed = [node.error for node in under_way if node.error] + ([str(self._lock.lost)] if self._lock.lost else [])
        if failed:
            done = [node.name for node in under_way if node.over and not node.error]
            raise NotReady(" ".join([*failed, *(["Done: %s." % ", ".join(done)] if done else [])]))

    def _try(self, what: Callable[[_Node], None], node: _Node) -> None:
        """Do the next thing to a node. What the API server refuses may pass, and is nothing to the other nodes."""
        try:
            with self._client.until(time.monotonic() + _LOOK):
                what(node)
        except MissingPermission as error:
            node.fail("Node %s: %s" % (node.name, error))
        except ClusterSecretsError as error:
            node.look = time.monotonic() + _LOOK
            if node.program is None and time.monotonic() >= node.deadline:
                node.fail("Node %s: %s" % (node.name, error))

    # -- each of the steps ----------------------------------------------------------------------------

    def _begin(self, node: _Node) -> None:
        live = self._get(node.name)
        if live is None:
            node.fail("There is no Node %s." % node.name)
            return
        begun = node.begun_before = nodes.begun(live) is not None
        if nodes.status(live, self._wanted) != nodes.TO_DO:
            node.wait(self._seconds)  # since the plan, another run has been here
        elif begun and not holds_true(live, "Ready"):
            node.wait(self._seconds, returning=True)
        elif begun and not self._lives(node):
            # For 40 s after a node went away, Kubernetes has of it what it was before.
            node.look = time.monotonic() + _LOOK
            if time.monotonic() >= node.begins + max(self._seconds, _BEGIN):
                node.fail(
                    "Node %s: its kubelet does not renew its Lease, and yet Kubernetes calls it ready. Look at "
                    "kube-controller-manager and at the node, then run this again." % node.name
                )
            return
        else:
            self._call(node, live)
        node.begun = True

    def _lives(self, node: _Node) -> bool:
        """Whether the node's kubelet has renewed its Lease since it was looked at first, and its status with that."""
        try:
            lease = self._client.get(LEASES.path(node.name, _NODE_LEASES))
        except Denied:
            lease = None
        if lease is None:
            return True  # what is not told can't be waited for
        renewed = str((lease.get("spec") or {}).get("renewTime") or "")
        node.renewals += bool(node.alive_at) and renewed != node.alive_at
        node.alive_at = renewed
        # What the API refuses after this has its own time.
        node.deadline = time.monotonic() + _BEGIN
        return node.renewals >= _RENEWALS

    def _call(self, node: _Node, live: Object) -> None:
        if nodes.is_staged(live, self._wanted):
            command = self._commands.reboot(node.address)
        else:
            command = self._commands.upgrade(node.address, self._wanted.image)
        # Before anything happens to it, so that whoever comes next knows.
        self._write([plan_node_begun(live, self._wanted.version)])
        node.returning = False
        node.calls += 1
        self._start(node, command)

    def _start(self, node: _Node, command: list[str]) -> None:
        try:
            node.program = self._stack.enter_context(running(command))
            node.ran = True
        except NotReady as error:
            node.fail(str(error))

    def _step(self, node: _Node) -> None:
        if node.program is not None:
            failure = node.ended()
            if failure is None:
                return
            node.busy = _LOCKED in failure
            node.busy_until = node.busy_until or time.monotonic() + self._seconds
            if failure and not (node.busy and time.monotonic() < node.busy_until):
                node.fail("Node %s: %s" % (node.name, failure))
                return
            # What Talos has begun by itself, it ends by itself.
            node.wait(self._seconds, returning=bool(failure))
            if failure:
                node.deadline = node.busy_until
        node.look = time.monotonic() + _LOOK
        live = self._get(node.name)
        missing = nodes.waits_for(live, self._wanted)
        if live is not None and not missing:
            self._write([plan_node_finished(live)])
            node.over = True
            return
        is_ready = live is not None and holds_true(live, "Ready")
        node.ready = (node.ready or time.monotonic()) if is_ready else None
        settled = node.ready is not None and time.monotonic() - node.ready >= _SETTLED
        if node.returning and live is not None and (settled or time.monotonic() >= node.deadline):
            self._call(node, live)
        elif time.monotonic() >= node.deadline:
            node.fail(not_back(node.name, self._seconds, missing))

    def _stage_begin(self, node: _Node) -> None:
        live = self._get(node.name)
        node.begun = True
        if live is None:
            node.fail("There is no Node %s." % node.name)
        elif nodes.is_staged(live, self._wanted) or nodes.status(live, self._wanted) != nodes.TO_DO:
            node.over = True
        else:
            self._start(node, self._commands.stage(node.address, self._wanted.image))

    def _staged(self, node: _Node) -> None:
        if node.program is not None:
            failure = node.ended()
            if failure:
                node.busy = _LOCKED in failure
                node.fail("Node %s: %s" % (node.name, failure))
            if failure != "":
                return
            node.wait(_BEGIN)
        live = self._get(node.name)
        self._write([plan_node_staged(live, self._wanted.image)] if live else [])
        node.over = True

    # -- what they share ------------------------------------------------------------------------------

    def _get(self, name: str) -> Object | None:
        return self._client.get(NODES.path(name))

    def _write(self, planned: list[Action | None]) -> None:
        self.actions += Executor(self._client).run([action for action in planned if action])

    def _release(self, failed: list[_Node]) -> None:
        """Leave no cordon of the upgrade's own on a node that failed and takes pods; the next run begins it anew.

        One that is away keeps its mark, so that the next run waits for it: talosctl may have failed because it went.
        """
        deadline = time.monotonic() + _RELEASE
        for node in failed:
            node.alive_at, node.renewals = "", 0
        try:
            while failed:
                failed = [node for node in failed if not self._released(node)]
                if not failed or time.monotonic() >= deadline:
                    break
                time.sleep(_LOOK)
        except ClusterSecretsError as error:
            self._client.tell("cordons that the upgrade left stay until the next run: %s" % error)

    def _released(self, node: _Node) -> bool:
        """Whether it is known of a node that failed what it is, and its cordon was ended if it lives."""
        live = self._get(node.name)
        if live is None or not holds_true(live, "Ready"):
            return True
        # Where no program ran, nothing took it away, unless it was away before.
        if (node.ran or node.begun_before) and not self._lives(node):
            return False
        self._write([plan_node_finished(live)])
        return True


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
        "'cluster_secrets_talos_arguments.upgrade'; a single node can't be drained (--drain=false). ",
    ),
    ("unknown flag", "This talosctl is older or newer: correct 'cluster_secrets_talos_arguments.upgrade'. "),
    (_LOCKED, "The node is being upgraded already; wait for it. "),
    ("etcd", "Look at etcd with 'talosctl etcd status' before anything else. "),
)


def _hint(said: str) -> str:
    return next((hint for part, hint in _HINTS if part in said), "")
