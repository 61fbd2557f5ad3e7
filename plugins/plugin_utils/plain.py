# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values without what Ansible adds to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class PlainDict(dict):
    """A mapping that is plain already and that nobody changes, so that it is its own copy."""

    def __deepcopy__(self, memo: Any) -> PlainDict:
        return self


class PlainList(list):
    """A list of the same kind."""

    def __deepcopy__(self, memo: Any) -> PlainList:
        return self


def plain(value: Any) -> Any:
    """The value as JSON has it: neither vaulted, nor lazy, nor with Ansible's marks."""
    if isinstance(value, (PlainDict, PlainList)):
        return value
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    # Of a text that ansible-core before 2.19 marks as unsafe, str() would keep the mark.
    return str.__str__(value) if isinstance(value, str) else str(value)
