# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts that thousands of objects of a list have alike, held in memory once: three quarters of most lists.

What a list returns must not be changed in place for that reason.
"""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..resources import Object

#: Of an object, and of its metadata, what each has of its own, or what is a value.
_OWN = ("data", "stringData", "metadata", "status", "resourceVersion", "managedFields", "ownerReferences")


class Alike:
    """The parts of the objects of one list that were seen so far."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def _same(self, value: Any) -> Any:
        """The equal value that was seen before, or this one."""
        # Version 2 of the format depends on nothing but the value.
        return self._known.setdefault(value if isinstance(value, str) else marshal.dumps(value, 2), value)

    def _share(self, holder: dict[str, Any]) -> None:
        """Replace what a mapping holds by equal values that were seen before."""
        for key, value in holder.items():
            if value and key not in _OWN and isinstance(value, (str, dict, list)):
                holder[key] = self._same(value)

    def share(self, items: list[Object]) -> None:
        """Have the objects share what they have alike with those that were seen before."""
        for item in items:
            meta = item.get("metadata") or {}
            # From the inside out: of owners, or of fields that were written at another time, most parts are alike.
            for key in ("ownerReferences", "managedFields"):
                for at, one in enumerate(meta.get(key) or ()):
                    self._share(one)
                    meta[key][at] = self._same(one)
            self._share(item)
            self._share(meta)
            if isinstance(item.get("status"), dict):
                self._share(item["status"])
