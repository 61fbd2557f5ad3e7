# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the External Secrets controller for the pod that its chart created.

kwok only marks pods as running. This stand-in for a kubelet watches for the chart's controller pod,
runs the real controller as a host process with that pod's own arguments and ServiceAccount token,
starts it again when it dies, and ends it when the pod goes. It also answers for the pods' logs.
"""

from __future__ import annotations

import http.client
import http.server
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any

from .cluster import ClusterError, ControlPlane, die_with_parent, free_port

SELECTOR = "app.kubernetes.io%2Fname%3Dexternal-secrets"
INTERVAL = 0.5  # seconds between looks at the pods


class Kubelet:
    """Keeps one host process in step with the one pod that matters."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.pod: str | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def _program(self, pod: dict[str, Any]) -> str:
        """The controller of the release that the pod's image names, if the plane has several."""
        tag = pod["spec"]["containers"][0]["image"].rpartition(":")[2]
        return self.plane.program(f"external-secrets:{tag}", "external-secrets")

    def _pods(self) -> list[dict[str, Any]]:
        status, body = self.plane.api.request("GET", f"/api/v1/pods?labelSelector={SELECTOR}")
        if status != 200:
            raise ClusterError(f"cannot list pods: {status}")
        return [
            pod
            for pod in body["items"]
            if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]

    def _start(self, pod: dict[str, Any]) -> None:
        meta, spec = pod["metadata"], pod["spec"]
        kubeconfig = self.plane.run / "external-secrets.kubeconfig"
        self.plane.token_kubeconfig(meta["namespace"], spec["serviceAccountName"], kubeconfig)
        given = [
            a
            for a in spec["containers"][0].get("args", [])
            if not a.startswith(("--metrics-addr", "--live-addr", "--enable-leader-election"))
        ]
        program = self._program(pod)
        known = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
        # Releases before 0.20 have no --live-addr.
        listening = [flag for flag in ("--metrics-addr", "--live-addr") if flag in known.stdout + known.stderr]
        own = [f"{flag}=127.0.0.1:{free_port()}" for flag in listening]
        with self.plane.log("external-secrets").open("ab") as log:
            self.process = subprocess.Popen(
                [program, *given, *own],
                cwd=self.plane.run,
                env={**os.environ, "KUBECONFIG": str(kubeconfig)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        (self.plane.run / "external-secrets.pid").write_text(str(self.process.pid))
        self.pod = meta["uid"]

    def end(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = self.pod = None

    def step(self) -> None:
        pods = self._pods()
        if self.pod and self.pod not in [pod["metadata"]["uid"] for pod in pods]:
            self.end()
        if self.process and self.process.poll() is not None:
            self.end()
        if pods and not self.process:
            self._start(pods[0])


class Logs(http.server.BaseHTTPRequestHandler):
    """A kubelet's logs: whichever pod is asked for, those of the one program that runs here."""

    source: Path

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        last = int(urllib.parse.parse_qs(url.query).get("tailLines", ["0"])[0])
        lines = self.source.read_bytes().splitlines(keepends=True) if self.source.exists() else []
        known = url.path.startswith("/containerLogs/")
        self.send_response(200 if known else 404)
        self.end_headers()
        if known:
            self.wfile.write(b"".join(lines[-last:]))

    def log_message(self, *_arguments: object) -> None:
        pass


def serve_logs(plane: ControlPlane) -> None:
    """Answer the API server's requests for logs, in threads."""
    Logs.source = plane.log("external-secrets")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", plane.port_of("kubelet")), Logs)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(plane.pki / "kubelet.crt", plane.pki / "kubelet.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main() -> None:
    run = Path(sys.argv[1])
    plane = ControlPlane(run.name)
    kubelet = Kubelet(plane)
    serve_logs(plane)
    ending: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: ending.append(received))
    while not ending:
        try:
            kubelet.step()
        except (OSError, http.client.HTTPException, ClusterError, KeyError) as error:
            print(f"will try again: {error!r}", file=sys.stderr, flush=True)
        time.sleep(INTERVAL)
    kubelet.end()


if __name__ == "__main__":
    main()
