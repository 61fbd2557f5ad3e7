# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m controlplane.registry ADDRESS PORT PROGRAM FOLDER``: a private registry and a helm repository.

The registry serves one image, made from PROGRAM, under any name and tag, to whoever has what FOLDER/login
says (``user:password``, read at each request, so that it can be rotated). FOLDER/charts is served to all.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import sys
from pathlib import Path
from typing import Any

from .images import Image


class Registry(http.server.SimpleHTTPRequestHandler):
    """GET and HEAD of a registry's manifests and blobs; everything else is a file."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, image: Image, folder: Path) -> None:
        self.manifest, self.blobs = image.served()
        self.folder = folder
        super().__init__(*arguments, directory=str(folder / "charts"))

    def _answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _registry(self) -> None:
        login = base64.b64encode((self.folder / "login").read_bytes().strip()).decode()
        if self.headers.get("Authorization") != f"Basic {login}":
            return self._answer(401, WWW_Authenticate='Basic realm="private"')
        kind, _slash, reference = self.path.partition("?")[0].rpartition("/")
        if kind.endswith("/manifests"):
            digest = f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"
            media = "application/vnd.docker.distribution.manifest.v2+json"
            return self._answer(200, self.manifest, Content_Type=media, Docker_Content_Digest=digest)
        if kind.endswith("/blobs") and reference in self.blobs:
            return self._answer(200, self.blobs[reference], Content_Type="application/octet-stream")
        return self._answer(200 if self.path == "/v2/" else 404)

    def do_GET(self) -> None:
        if self.path.startswith("/v2/"):
            self._registry()
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        self.do_GET() if self.path.startswith("/v2/") else super().do_HEAD()


def main() -> None:
    address, port, program, folder = sys.argv[1:5]
    # Another image than the same program's that everybody may use: a kubelet remembers by content which took a login.
    image = Image.of(Path(program), user="65533")
    serve = functools.partial(Registry, image=image, folder=Path(folder))
    http.server.ThreadingHTTPServer((address, int(port)), serve).serve_forever()


if __name__ == "__main__":
    main()
