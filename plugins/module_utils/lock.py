# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Lease of the cluster that one run at a time holds."""

from __future__ import annotations

import datetime
import getpass
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .api.client import Client
from .apply import Executor
from .errors import ClusterSecretsError, NotReady, passes
from .plan import Action, plan_apply, plan_delete
from .resources import COORDINATION, LEASES, Object

#: Seconds after which a Lease that nobody renewed is over, and between two renewals of it.
DURATION, RENEWAL = 20, 5


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
        self._me = "%s@%s/%s" % (getpass.getuser(), socket.gethostname(), os.urandom(4).hex())
        self._due = 0.0
        self._lost: Held | None = None

    def wait(self) -> None:
        """Return once nobody else has it. Raises Held as soon as its holder is seen to be alive."""
        first = self._read()
        if first is None or _holder(first) in ("", self._me):
            return
        end = time.monotonic() + DURATION
        while time.monotonic() < end:
            time.sleep(1)
            live = self._read()
            if live is None or not _holder(live):
                return
            if live["spec"] != first["spec"]:
                raise self._taken(live)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for the block, which calls :meth:`renew` all the time. Raises Held when somebody else has it."""
        self.wait()
        live = self._read()
        self._write(live, _holder(live) if live else None)
        try:
            yield
        finally:
            self._give_back()
        if self._lost:
            raise self._lost

    def renew(self) -> None:
        """Renew it if that is due. An API server that is away is no reason to stop what was begun."""
        if self._lost or time.monotonic() < self._due:
            return
        try:
            with self._client.until(time.monotonic() + 2):
                self._write(self._read(), self._me)
        except Held as error:
            self._lost = error
        except ClusterSecretsError as error:
            if not passes(error):
                raise
            self._due = time.monotonic() + 1

    def _read(self) -> Object | None:
        return self._client.get(LEASES.path(self._name, self._namespace))

    def _write(self, live: Object | None, before: str | None) -> None:
        """Make it ours, if the live one (None: absent) is held by ``before`` still, or by nobody."""

        def planned(now: Object | None) -> Action | None:
            if now is not None and _holder(now) not in ("", self._me, before):
                raise self._taken(now)
            at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
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

        action = planned(live)
        if action:
            Executor(self._client).run([action])
        self._due = time.monotonic() + RENEWAL

    def _give_back(self) -> None:
        """Delete it if it is ours; one that stays ends by itself."""
        try:
            live = self._read()
            if live is None or _holder(live) != self._me:
                return
            Executor(self._client).run([plan_delete(live)])
        except ClusterSecretsError as error:
            self._client.tell("the Lease %s/%s stays for %d s: %s" % (self._namespace, self._name, DURATION, error))

    def _taken(self, live: Object) -> Held:
        spec = live["spec"]
        return Held(
            "another run is at work on this cluster: %s, since %s (Lease %s/%s). Wait for its end. If that machine no "
            "longer exists, run this again %d s later."
            % (_holder(live), spec.get("acquireTime"), self._namespace, self._name, DURATION)
        )


def _holder(live: Object) -> str:
    return str((live.get("spec") or {}).get("holderIdentity") or "")
