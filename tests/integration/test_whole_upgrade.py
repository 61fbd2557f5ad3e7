# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ESO upgraded in place on a real node, its webhook and cert-controller on: what people notice of it meanwhile."""

from __future__ import annotations

import os
import threading
import time

import handmade
import pytest
from support import ApiError, Client, Platform, connection, leaked

from controlplane import build, node
from soak import node as soak

pytestmark = pytest.mark.skipif(node.lacking() is not None, reason=str(node.lacking()))


class Writer:
    """Writes an ExternalSecret ten times a second, as a dry run, and notes for how long the API refuses it."""

    def __init__(self, platform: Platform) -> None:
        self.client = Client(connection({"kubeconfig": str(platform.kubeconfig)}))
        self.writes, self.longest, self.refused, self.said = 0, 0.0, 0.0, set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _write(self) -> bool:
        path = "/apis/external-secrets.io/%s/namespaces/lone/externalsecrets/lone"
        body = {"metadata": {"annotations": {"written": str(self.writes)}}}
        for version in ("v1", "v1beta1"):
            try:
                self.client.request("PATCH", path % version, {"dryRun": "All"}, body, "application/merge-patch+json")
                return True
            except ApiError as error:
                if error.status != 404:
                    self.said.add(str(error))
        return False

    def _run(self) -> None:
        since = None
        while not self._end.is_set():
            started = time.monotonic()
            self.writes += 1
            if self._write():
                since = None
            else:
                since = since or started
                self.longest = max(self.longest, time.monotonic() - since)
                self.refused += 0.1
            self._end.wait(max(0, 0.1 - (time.monotonic() - started)))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error) -> None:
        self._end.set()
        self._thread.join()


def test_no_target_changes_and_writes_are_refused_for_seconds_only(tmp_path):
    if os.environ.get("CLUSTER_SECRETS_TEST_KUBECONFIG"):
        pytest.skip("makes a cluster of its own")
    plane = node.Node("upgrade", bound=True, eso=build.OLDER_ESO[0], upgrades=(*build.OLDER_ESO[1:], None))
    plane.start()
    try:
        for release in (*build.OLDER_ESO, None):
            plane.serve_chart(release)
        own = Platform(plane, tmp_path)
        handmade.make(own, "v1beta1")
        own.play("adopt", variables={"cluster_secrets_dest": "adopted"})
        adopted = ("-e", f"@{own.folder / 'adopted/cluster_secrets.yml'}")
        newest = {"cluster_secrets_eso_chart_version": build.eso_release().lstrip("v")}
        with handmade.Poller(own) as poller, Writer(own) as writer:
            done = own.play("eso_upgrade", *adopted, variables=newest)
        assert poller.changes == [] and poller.reads > 100 and leaked(done.output) == []
        assert own.play("eso_upgrade", *adopted, variables=newest).recap["changed"] == 0
        print(f"{writer.writes} writes, refused for {writer.refused:.0f} s, {writer.longest:.0f} s at a time")
        # The guide says how long to try again, and why.
        assert writer.longest < 300, (writer.longest, writer.said)
        assert all("webhook" in one for one in writer.said), writer.said
    finally:
        plane.stop()


@pytest.mark.parametrize("number", [1, 5])
def test_killed_in_the_middle_it_converges(number, tmp_path):
    """``make soak-node`` runs more of these."""
    if os.environ.get("CLUSTER_SECRETS_TEST_KUBECONFIG"):
        pytest.skip("makes a cluster of its own")
    assert "converged" in soak.run(number, tmp_path / "soak")
