# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the workers of one run of Ansible share: each looked up by the first that needs it, and kept in memory only.

Ansible forks a worker for each task of each host. Memory that is mapped before, while Ansible loads the action of a
task, is the same in all of them. Nothing of it is written to a disk, is a fact, or outlives the run.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import mmap
import os
import struct
import tempfile
from typing import Any, Callable

#: Bytes; untouched pages take no memory.
SIZE = 64 * 1024 * 1024

_LENGTH = struct.Struct("<Q")


class Shared:
    """A mapping that processes share which are forked after its creation."""

    def __init__(self, size: int = SIZE) -> None:
        self._area = mmap.mmap(-1, size)
        # An empty file without a name. Its lock ends with the process that holds it, however that ends.
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("lock")
        else:
            self._file, path = tempfile.mkstemp()
            os.unlink(path)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """The value of ``key``: that of the first call of ``make()`` in any process, while others wait.

        :arg key: what JSON can write; :arg make: returns what JSON can write. What it raises is not kept.
        """
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode("utf-8")).hexdigest()
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            kept = self._load()
            if name not in kept:
                kept[name] = make()
                self._store(kept)
            return kept[name]
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _load(self) -> dict[str, Any]:
        (length,) = _LENGTH.unpack_from(self._area, 0)
        if not length:
            return {}
        kept: dict[str, Any] = json.loads(self._area[_LENGTH.size : _LENGTH.size + length])
        return kept

    def _store(self, kept: dict[str, Any]) -> None:
        text = json.dumps(kept).encode("utf-8")
        if len(text) + _LENGTH.size > len(self._area):
            return  # what doesn't fit is looked up again
        # The length last: a process that ends in between leaves nothing that counts.
        _LENGTH.pack_into(self._area, 0, 0)
        self._area[_LENGTH.size : _LENGTH.size + len(text)] = text
        _LENGTH.pack_into(self._area, 0, len(text))


#: Made when Ansible loads the first action of the collection, before it forks.
RUN = Shared()
