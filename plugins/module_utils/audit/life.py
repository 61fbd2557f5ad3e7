# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How old the values of the sources are, when they are to be rotated, and when they end. Pure."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Callable, Iterator, NamedTuple

from .. import lifetimes
from ..catalog.values import generated, required_sources
from ..errors import DependencyError
from ..findings import ERROR, ROTATE, WARNING, Finding, Fix, rotation
from ..live import state

if TYPE_CHECKING:
    from ..catalog.entries import Entry
    from ..live.snapshot import Snapshot


class End(NamedTuple):
    """The first thing in a key's value that ends: when, which key, and what it is."""

    when: datetime.datetime
    key: str
    what: str


class Life(NamedTuple):
    """The life of a source's values.

    ``changed`` is when one of them was last changed (None: the source is not there, or nobody knows), ``ends`` what of
    them ends, the first first, ``rotate_after`` the days after which the catalog wants new values, or None.
    ``generated`` says whether the collection makes some of them.
    """

    source: str
    changed: datetime.datetime | None
    ends: tuple[End, ...]
    rotate_after: int | None
    owner: str
    description: str
    generated: bool = False
    written_by: str = ""

    def age(self, now: datetime.datetime) -> int | None:
        """The age of the values in seconds, if it is known."""
        return None if self.changed is None else max(0, int((now - self.changed).total_seconds()))


def look(entries: list[Entry], snapshot: Snapshot, warn: Callable[[str], object]) -> dict[str, Life]:
    """The life of each source that the entries read, by its name; of what was not read, only what the catalog says.

    Of several entries with a source, the shortest ``rotate_after`` counts, and every owner and description is named.

    :arg warn: is told, once, when there is a certificate to read and the package cryptography is missing.
    """
    lives = {}
    sources, made = snapshot.sources or {}, generated(entries)
    readers: dict[str, list[Entry]] = {}
    for entry in entries:
        for source in entry.sources:
            readers.setdefault(source, []).append(entry)
    unread: DependencyError | None = None
    for source, keys in required_sources(entries).items():
        reading = readers[source]
        whole = any(source in entry.reads_whole() for entry in reading)
        ends = []
        for key, value in (sources.get(source) or {}).items():
            if not whole and key not in keys:
                continue
            try:
                ends += [End(when, key, what) for what, when in lifetimes.ends(value)[:1]]
            except DependencyError as error:
                unread = error
        days = [entry.rotate_after for entry in reading if entry.rotate_after]
        lives[source] = Life(
            source,
            snapshot.changed.get(source),
            tuple(sorted(ends)),
            min(days) if days else None,
            _joined(entry.owner for entry in reading),
            _joined(entry.description for entry in reading),
            source in made,
            _joined(entry.written_by.get(source, "") for entry in reading),
        )
    if unread:
        warn("the expiry of certificates is not checked: %s" % unread)
    return lives


def describe(rows: list[dict[str, Any]], lives: dict[str, Life], now: datetime.datetime) -> None:
    """Add to each row of sync_info how old its value is, when it ends and whose it is."""
    for row in rows:
        its = [lives[source] for source in row["source"].split(", ") if source in lives]
        # Of several sources, the one whose value is the oldest, and the one that ends first.
        changed = min((life.changed for life in its if life.changed), default=None)
        ends = min((life.ends[0].when for life in its if life.ends), default=None)
        row["value_changed"] = changed.strftime(state.TIME) if changed else None
        row["value_age"] = max(0, int((now - changed).total_seconds())) if changed else None
        row["value_ends"] = ends.strftime(state.TIME) if ends else None
        row["owner"] = _joined(life.owner for life in its)


def _joined(texts: Iterator[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, texts)))


def findings(lives: dict[str, Life], namespace: str, now: datetime.datetime, days: int) -> list[Finding]:
    """What is due, ends within ``days``, or has ended.

    :arg namespace: that of the central store.
    """
    result = []
    for name, life in sorted(lives.items()):
        about = [life.description, "owner: %s" % life.owner if life.owner else ""]
        whose = " (%s)" % ", ".join(filter(None, about)) if any(about) else ""
        fix = rotation("Give it a new value, then", name)
        if life.written_by:
            # Nothing here gives it a new one.
            fix = Fix("%s renews it: look there why it has not" % life.written_by)
        anew = fix
        if life.generated:
            request = '{"cluster_secrets_regenerate": {"%s": "%s"}}' % (name, now.strftime("%Y-%m-%d"))
            anew = Fix("For what is generated", "%s -e '%s'" % (ROTATE.command, request))
        age = life.age(now)
        if life.rotate_after and age is not None and age >= life.rotate_after * 86400:
            message = "its value is %d days old, and is to be rotated after %d%s" % (
                age // 86400,
                life.rotate_after,
                whose,
            )
            result.append(Finding(WARNING, "rotation-due", namespace, name, message, anew))
        for end in life.ends:
            if (end.when - now).total_seconds() > days * 86400:
                continue
            over = end.when <= now
            message = "key '%s': %s %s %s%s" % (
                end.key,
                end.what,
                "ended on" if over else "ends on",
                end.when.strftime("%Y-%m-%d %H:%M UTC"),
                whose,
            )
            severity, check = (ERROR, "value-ended") if over else (WARNING, "value-ends")
            result.append(Finding(severity, check, namespace, name, message, fix))
    return result
