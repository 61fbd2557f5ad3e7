# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that answers what no API server would, for the client."""

from __future__ import annotations

import http.server
import json
import threading

from ansible_collections.platform.cluster_secrets.plugins.module_utils.api import client, kubeconfig


class Answers:
    """A server that answers as it is told: (status, headers, body) for each request, the last for all others."""

    def __init__(self, *answers):
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                outer.asked.append((self.command, self.path, dict(self.headers)))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, body = answers[min(len(outer.asked), len(answers)) - 1]
                content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                for key, value in {**headers, "Content-Length": str(len(content)), "Connection": "close"}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *_arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def client(self, **options):
        host = "http://127.0.0.1:%d" % self.server.server_address[1]
        return client.Client(kubeconfig.connection({"host": host, "api_key": "k", **options}, {}))

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.server.shutdown()
        self.server.server_close()
