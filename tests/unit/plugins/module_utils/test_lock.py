# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One at a time holds a Lease, whoever is quicker; what the API server does is tested with a real one."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import lock
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import ApiError


class Server:
    """A Lease as an API server keeps it: a write is bound to the version that was read."""

    def __init__(self):
        self.live = None
        self.version = 0
        self.guard = threading.Lock()
        #: Called before the next write, as somebody who is quicker.
        self.first = None

    def apply(self, body):
        if self.first:
            first, self.first = self.first, None
            first()
        with self.guard:
            wanted = body["metadata"].get("resourceVersion")
            if wanted != (self.live["metadata"]["resourceVersion"] if self.live else "1"):
                raise ApiError(409, "Conflict", "the object has been modified", "apply")
            self.version += 1
            meta = {**body["metadata"], "resourceVersion": f"v{self.version}", "uid": "u"}
            self.live = {**body, "metadata": meta}

    def set(self, holder, time="t"):
        self.version += 1
        meta = {"name": "l", "namespace": "n", "resourceVersion": f"v{self.version}", "uid": "u"}
        self.live = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta}
        self.live["spec"] = {"holderIdentity": holder, "renewTime": time}


class Client:
    def __init__(self, server):
        self.server = server
        self.told = []
        self.tell = self.told.append

    def another(self, timeout):
        return Client(self.server)

    @contextmanager
    def until(self, deadline):
        yield

    def is_late(self):
        return False

    def get(self, path, what=None):
        return self.server.live

    def each(self, function, items):
        return [function(item) for item in items]

    def request(self, method, path, query=None, body=None, content_type=None, what=None):
        if method == "POST":
            return {"status": {"allowed": True}}
        if method == "DELETE":
            self.server.live = None
            return {}
        self.server.apply(body)
        return self.server.live


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lock, "DURATION", 0.1)
    monkeypatch.setattr(lock, "RENEWAL", 0.05)
    monkeypatch.setattr(lock.time, "sleep", lambda _seconds: None)


def made(server):
    return lock.Lock(Client(server), "l", "n")


def test_it_is_taken_renewed_and_given_back():
    server, woken = Server(), threading.Event()
    one = made(server)
    with one.held():
        first = server.live["spec"]["renewTime"]
        woken.wait(0.3)
        assert server.live["spec"]["renewTime"] != first
    assert server.live is None and one.lost is None


def test_of_two_who_find_none_one_gets_it():
    server = Server()
    server.first = lambda: server.set("quicker")
    with pytest.raises(lock.Held, match="quicker"), made(server).held():
        raise AssertionError("both have it")
    assert server.live["spec"]["holderIdentity"] == "quicker"


def test_of_two_who_waited_for_a_dead_one_one_gets_it():
    server = Server()
    server.set("dead")
    server.first = lambda: server.set("quicker")
    with pytest.raises(lock.Held, match="quicker"), made(server).held():
        raise AssertionError("both have it")
    server.set("dead")
    with made(server).held():
        assert server.live["spec"]["holderIdentity"] not in ("dead", "quicker")


def test_one_that_comes_to_life_again_keeps_it():
    server = Server()
    server.set("slow", "t1")
    server.first = lambda: server.set("slow", "t2")
    with pytest.raises(lock.Held, match="slow"), made(server).held():
        raise AssertionError("both have it")


def test_who_loses_it_learns_of_it_and_takes_it_from_nobody():
    server, woken = Server(), threading.Event()
    one = made(server)
    with one.held():
        server.set("another")
        woken.wait(0.3)
    assert "another" in str(one.lost) and server.live["spec"]["holderIdentity"] == "another"


def test_a_number_without_a_name(monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(lock.getpass, "getuser", unknown)
    with made(Server()).held():
        pass
