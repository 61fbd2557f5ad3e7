# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON that is nested more deeply than anything of use, which a tenant may write to end whoever reads it. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

#: Levels of what is read; Kubernetes' own objects, and ESO's, have less than thirty.
LIMIT = 64

#: Levels that Python's own parser always takes.
_PARSED = 256

#: A string, or a bracket.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]', re.S)


def loads(data: bytes) -> Any:
    """:func:`json.loads`, whatever the nesting; what is beyond 256 levels is left out. Raises ValueError."""
    try:
        return json.loads(data)
    except RecursionError:
        return json.loads(_shallow(data))


def _shallow(data: bytes) -> bytes:
    parts: list[bytes] = []
    depth, start = 0, 0
    for match in _TOKEN.finditer(data):
        token = match[0]
        if token in (b"{", b"["):
            depth += 1
            if depth == _PARSED:
                parts += [data[start : match.start()], b"{}"]
        elif token in (b"}", b"]"):
            if depth == _PARSED:
                start = match.end()
            depth -= 1
    return b"".join([*parts, data[start:]])


def is_deep(values: list[Any], limit: int = LIMIT) -> bool:
    """Whether one of some JSON values has more than ``limit`` levels. Goes through them level by level."""
    level = [value for value in values if value and isinstance(value, (dict, list))]
    for _step in range(limit):
        if not level:
            return False
        level = [
            one
            for part in level
            for one in (part.values() if isinstance(part, dict) else part)
            if one and isinstance(one, (dict, list))
        ]
    return bool(level)


def pruned(value: Any, limit: int = LIMIT) -> Any:
    """A JSON value without what is beyond ``limit`` levels."""
    if not isinstance(value, (dict, list)) or not value:
        return value
    if limit <= 0:
        return type(value)()
    if isinstance(value, dict):
        return {key: pruned(item, limit - 1) for key, item in value.items()}
    return [pruned(item, limit - 1) for item in value]
