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

#: Of an object's metadata, what many have alike; ``managedFields`` is looked at entry by entry.
_OF_METADATA = ("ownerReferences",)

#: Of a managedFields entry.
_OF_MANAGER = ("manager", "operation", "apiVersion", "fieldsType", "time", "subresource", "fieldsV1")


class Alike:
    """The parts of the objects of one list that were seen so far."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def _one(self, holder: dict[str, Any], key: str) -> None:
        """Replace a part by an equal one that was seen before, if there is one."""
        value = holder.get(key)
        if value:
            # Version 2 of the format depends on nothing but the value.
            holder[key] = self._known.setdefault(value if isinstance(value, str) else marshal.dumps(value, 2), value)

    def share(self, items: list[Object]) -> None:
        """Have the objects share what they have alike with those that were seen before."""
        for item in items:
            meta = item.get("metadata") or {}
            for key in _OF_METADATA:
                self._one(meta, key)
            for entry in meta.get("managedFields") or ():
                for key in _OF_MANAGER:
                    self._one(entry, key)
            self._one(item, "spec")
            if isinstance(item.get("status"), dict):
                self._one(item["status"], "conditions")
