# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Lease of the cluster that one run at a time holds."""

from __future__ import annotations

import datetime
import getpass
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .api.client import Client
from .apply import Executor
from .errors import ClusterSecretsError, NotReady
from .plan.actions import Action, plan_apply, plan_delete
from .resources import COORDINATION, LEASES, Object

#: Seconds after which a Lease that nobody renewed is over, between two renewals of it, and that one request may take.
DURATION, RENEWAL, PATIENCE = 20, 4, 4


class Held(NotReady):
    """Somebody else has the Lease."""


class Lock:
    """The Lease ``name`` in ``namespace``, for as long as :meth:`held` lasts.

    A holder is alive if it renews it. How old it is by its own words is not looked at: clocks differ.
    """

    def __init__(self, client: Client, name: str, namespace: str) -> None:
        self._client = client
        self._name = name
        self._namespace = namespace
        self._me = "%s@%s/%s" % (_user(), socket.gethostname(), os.urandom(4).hex())
        #: Set once another has it, although it was ours.
        self.lost: Held | None = None

    def wait(self) -> Object | None:
        """The Lease that nobody holds any more, or None without one. Raises Held once a holder is seen to be alive."""
        first = self._read(self._client)
        if first is None or _holder(first) in ("", self._me):
            return first
        end = time.monotonic() + DURATION
        while time.monotonic() < end:
            time.sleep(1)
            live = self._read(self._client)
            if live is None or not _holder(live):
                return live
            if live["spec"] != first["spec"]:
                raise self._taken(live)
        return first

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for the block, renewed beside it. Raises Held when somebody else has it; see :attr:`lost`, too."""
        self._write(self._client, self.wait())
        if self.lost:
            raise self.lost
        over = threading.Event()
        # With connections of its own: whatever the block waits for doesn't keep it.
        renewals = threading.Thread(target=self._renew, args=(self._client.another(PATIENCE), over), daemon=True)
        renewals.start()
        try:
            yield
        finally:
            over.set()
            renewals.join(2 * PATIENCE)
            self._give_back()

    def _renew(self, client: Client, over: threading.Event) -> None:
        """Renew it until the block is over. An API server that is away is no reason to stop what was begun."""
        pause = float(RENEWAL)
        while not over.wait(pause) and not self.lost:
            try:
                with client.until(time.monotonic() + PATIENCE):
                    self._write(client, self._read(client), ours=True)
                pause = float(RENEWAL)
            except ClusterSecretsError:
                pause = 1.0

    def _read(self, client: Client) -> Object | None:
        return client.get(LEASES.path(self._name, self._namespace))

    def _write(self, client: Client, judged: Object | None, ours: bool = False) -> None:
        """Make it ours if it is as it was ``judged`` (None: absent), or nobody's; else it is lost.

        :arg ours: whether it was ours before, so that only our own word counts.
        """

        def planned(now: Object | None) -> Action | None:
            free = now is None or _holder(now) in ("", self._me) or (not ours and judged == now)
            if now is not None and not free:
                self.lost = self._taken(now)
                return None
            at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            # The time of the taking is kept while we have it.
            taken = now["spec"].get("acquireTime") if now is not None and _holder(now) == self._me else at
            desired = {
                "apiVersion": COORDINATION,
                "kind": "Lease",
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": {
                    "holderIdentity": self._me,
                    "leaseDurationSeconds": DURATION,
                    "acquireTime": taken,
                    "renewTime": at,
                },
            }
            return plan_apply(desired, now, again=planned)

        action = planned(judged)
        if action is None:
            return
        try:
            Executor(client).run([action])
        except ClusterSecretsError:
            # Somebody else may have made it first.
            live = self._read(client)
            if live is None or _holder(live) in ("", self._me):
                raise
            self.lost = self._taken(live)

    def _give_back(self) -> None:
        """Delete it if it is ours; one that stays ends by itself."""
        try:
            live = self._read(self._client)
            if live is not None and _holder(live) == self._me:
                Executor(self._client).run([plan_delete(live)])
        except ClusterSecretsError as error:
            self._client.tell("the Lease %s/%s stays for %d s: %s" % (self._namespace, self._name, DURATION, error))

    def _taken(self, live: Object) -> Held:
        return Held(
            "another run is at work on this cluster: %s, since %s (Lease %s/%s). Wait until it ends. If that machine "
            "no longer exists, run this again %d s later."
            % (_holder(live), (live.get("spec") or {}).get("acquireTime"), self._namespace, self._name, DURATION)
        )


def _holder(live: Object) -> str:
    return str((live.get("spec") or {}).get("holderIdentity") or "")


def _user() -> str:
    """Who runs this; in a container, nobody may know the number's name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid())
