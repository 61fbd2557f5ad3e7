# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see of a run besides Ansible's own lines: tables, and how far a wait is.

With a callback that writes for programs, such as json, there is nothing of it.
"""

from __future__ import annotations

import os
import re
import textwrap
import time
from typing import Sequence

from ansible import constants as C
from ansible.utils.display import Display

from ..module_utils.resources import REPLACEMENT, printable

display = Display()

#: Whether the run writes to a terminal. Known only before Ansible forks, since its workers have none.
TERMINAL = os.isatty(1)

#: Seconds before a wait says anything, and between its lines with and without a terminal.
_QUIET, _OFTEN, _SELDOM = 2.0, 0.5, 15.0

_COLORS = {
    "red": re.compile(r"\b(error|stale|missing|failing|BROKEN|unreachable)\b"),
    "yellow": re.compile(r"\b(warning|unlabelled|no namespace|follows)\b|\([0-9]+ old\)"),
}


def for_people() -> bool:
    """Whether the run's output is read by people."""
    return not str(C.config.get_config_value("DEFAULT_STDOUT_CALLBACK")).endswith(("json", "jsonl", "junit"))


def show(lines: Sequence[str]) -> None:
    """Write a table, and text after an empty line.

    On a terminal, the table's lines are broken to its width and coloured by the states in them.
    """
    if not for_people():
        return
    for line, color in painted(lines, display.columns if TERMINAL else None):
        display.display(line, color=color)


def painted(lines: Sequence[str], width: int | None) -> list[tuple[str, str | None]]:
    """The lines as :func:`show` writes them, each with its colour. ``width`` is the terminal's, None without one."""
    parts: list[tuple[str, str | None]] = []
    table = True
    for text in lines:
        # Names and messages of tenants are among them: none may move the cursor, or begin a line of its own.
        line = printable(text).replace("\n", REPLACEMENT)
        table = table and (bool(line) or not parts)
        color = next((name for name, states in _COLORS.items() if states.search(line)), None) if table else None
        parts += [(part, color) for part in (broken(line, width) if table and width else [line])]
    return parts


#: How wide the last column must be to be broken within itself, and how far it is indented below the others otherwise.
_ROOM, _INDENT = 32, 4

_GAP = re.compile(r" {2,}")


def broken(line: str, width: int) -> list[str]:
    """A table's line for a terminal of so many columns. What the last column says is broken, and never cut off."""
    if len(line) <= width:
        return [line]
    gaps = list(_GAP.finditer(line.rstrip()))
    at = gaps[-1].end() if gaps else 0
    if width - at >= _ROOM or not at:
        parts = textwrap.wrap(line[at:], max(width - at, 1), break_on_hyphens=False)
        return [line[:at] + parts[0], *(" " * at + part for part in parts[1:])]
    # The other columns move together, and what doesn't fit of them is what is cut.
    head = _GAP.sub("  ", line[:at].strip())
    parts = textwrap.wrap(line[at:], max(width - _INDENT, 1), break_on_hyphens=False)
    cut = head[: width - 1] + "\N{HORIZONTAL ELLIPSIS}" if len(head) > width else head
    return [cut, *(" " * _INDENT + part for part in parts)]


class Progress:
    """Says how far a wait is, once it has lasted two seconds; call it whenever something was done."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = self._last = time.monotonic()
        self._first: int | None = None
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """``done`` of ``total`` now."""
        now = time.monotonic()
        if self._first is None:
            self._first = done
        pause = _OFTEN if TERMINAL else _SELDOM
        if now - self._begun < _QUIET or (self._shown and now - self._last < pause) or not for_people():
            return
        self._last, self._shown = now, True
        text = progress_text(self._what, self._first, done, total, now - self._begun)
        if TERMINAL:
            display.display("\r\033[K" + text, newline=False)
        else:
            display.display(text)

    def end(self) -> None:
        """Clear the line on a terminal."""
        if self._shown and TERMINAL:
            display.display("\r\033[K", newline=False)


def progress_text(what: str, first: int, done: int, total: int, seconds: float) -> str:
    """Such as '120 of 2000 targets are current, 30 a second, about 63 s left'.

    :arg first: how many were done when the wait began, ``seconds`` ago.
    """
    rate = (done - first) / seconds if seconds else 0.0
    text = "%d of %d %s" % (done, total, what)
    if rate <= 0:
        return text
    shown = "%d" % rate if rate >= 2 else "%.1f" % rate
    return "%s, %s a second, about %d s left" % (text, shown, (total - done) / rate)
