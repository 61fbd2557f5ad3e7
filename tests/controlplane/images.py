# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container images of one layer, made from a program: nothing is pulled."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass
from pathlib import Path


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


@dataclass(frozen=True)
class Image:
    """An image: its configuration and its one layer."""

    config: bytes
    layer: bytes

    @classmethod
    def of(cls, program: Path, user: str = "65534") -> Image:
        """An image that runs ``program``, which lies in /bin under its own name."""
        name = program.name
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as archive:
            for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, mode
                archive.addfile(entry)
            _add(archive, f"bin/{name}", program.read_bytes(), 0o755)
        config = {
            "architecture": _architecture(),
            "os": "linux",
            "config": {"Entrypoint": [f"/bin/{name}"], "User": user, "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer.getvalue())}"]},
        }
        return cls(json.dumps(config).encode(), layer.getvalue())

    def save(self, path: Path, names: list[str]) -> None:
        """Write an archive that ``ctr images import`` takes, under each of the names."""
        config = f"{_digest(self.config)}.json"
        manifest = [{"Config": config, "RepoTags": names, "Layers": ["layer.tar"]}]
        with tarfile.open(path, "w") as archive:
            _add(archive, config, self.config)
            _add(archive, "layer.tar", self.layer)
            _add(archive, "manifest.json", json.dumps(manifest).encode())

    def served(self) -> tuple[bytes, dict[str, bytes]]:
        """The manifest that a registry serves, and each blob by its digest."""
        kind = "application/vnd.docker."

        def part(of: str, content: bytes) -> dict[str, object]:
            return {"mediaType": kind + of, "size": len(content), "digest": f"sha256:{_digest(content)}"}

        manifest = {
            "schemaVersion": 2,
            "mediaType": kind + "distribution.manifest.v2+json",
            "config": part("container.image.v1+json", self.config),
            "layers": [part("image.rootfs.diff.tar", self.layer)],
        }
        return json.dumps(manifest).encode(), {f"sha256:{_digest(one)}": one for one in (self.config, self.layer)}


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
