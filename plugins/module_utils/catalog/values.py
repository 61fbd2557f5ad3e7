# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of the sources, checked against the catalog. Pure."""

from __future__ import annotations

import base64
from typing import Any, Collection, Iterable, List

from ..errors import CatalogError
from .checker import SECRET_KEY, kind_of
from .entries import Entry, Recipe, Unreadable


def required_sources(entries: Iterable[Entry], only: Collection[str] | None = None) -> dict[str, dict[str, list[str]]]:
    """What the central store must hold for ``entries``: ``{source: {key: [entry names]}}``.

    :arg only: the sources to speak of, or None for all.
    """
    sources: dict[str, dict[str, List[str]]] = {}
    for entry in entries:
        for source, needed in entry.source_keys().items():
            if only is not None and source not in only:
                continue
            keys = sources.setdefault(source, {})
            for key in needed:
                keys.setdefault(key, []).append(entry.name)
    return sources


def generated(entries: Iterable[Entry], only: Collection[str] | None = None) -> dict[str, dict[str, Recipe]]:
    """The values that nobody has to know, ``{source: {key: how they are made}}``, of all sources or ``only`` some."""
    recipes: dict[str, dict[str, Recipe]] = {}
    for entry in entries:
        if entry.generate and (only is None or entry.source in only):
            recipes.setdefault(entry.source, {}).update(entry.generate)
    return recipes


def written_by_others(entries: Iterable[Entry]) -> dict[str, str]:
    """The sources that somebody else writes, each with who does."""
    return {source: who for entry in entries for source, who in entry.written_by.items()}


def to_be_given(entries: list[Entry], only: Collection[str] | None = None) -> dict[str, dict[str, list[str]]]:
    """:func:`required_sources` without what is generated, without sources of which nothing else is asked, and without
    those that somebody else writes."""
    made, others = generated(entries), written_by_others(entries)
    whole = {source for entry in entries for source in entry.reads_whole()}
    asked = {
        source: {key: names for key, names in keys.items() if key not in made.get(source, {})}
        for source, keys in required_sources(entries, only).items()
        if source not in others
    }
    return {source: keys for source, keys in asked.items() if keys or source in whole}


def check_values(
    entries: list[Entry], values: Any, only: Collection[str] | None = None
) -> tuple[dict[str, dict[str, bytes]], list[str]]:
    """Check the values for the central store against the catalog, and encode them.

    :arg values: ``{source: {key: str or {"base64": str}}}``; sources the catalog doesn't name are left out.
    :arg only: the sources to look at, or None for all.
    :returns: ``{source: {key: bytes}}`` without what is generated, and the sorted names of what was left out.
    :raises CatalogError: names the source and the key, never a value.
    """
    if not isinstance(values, dict):
        raise CatalogError(
            "the values must be a mapping of sources, not %s. Write 'source:' and below it 'key: value' lines."
            % kind_of(values)
        )
    needed, asked = required_sources(entries, only), to_be_given(entries, only)
    readers: dict[str, str] = {}
    for entry in entries:
        for source in entry.sources:
            readers.setdefault(source, entry.name)
    checked: dict[str, dict[str, bytes]] = {}
    made, others = generated(entries), written_by_others(entries)
    for source in needed:
        if source in others:
            if values.get(source):
                raise CatalogError(
                    "catalog entry '%s': source '%s' is written by %s, and has values too. Take it out of the values, "
                    "or remove 'written_by'." % (readers[source], source, others[source])
                )
            continue
        where = "catalog entry '%s': source '%s'" % (readers[source], source)
        given = values.get(source)
        keys = asked.get(source, {})
        if source in made and not keys and given in (None, {}):
            checked[source] = {}
            continue
        if not given and given in (None, {}):
            shown = " with the keys %s" % ", ".join(sorted(keys)) if keys else ""
            raise CatalogError("%s has no values. Add '%s'%s to the values." % (where, source, shown))
        if not isinstance(given, dict):
            raise CatalogError(
                "%s must be a mapping of keys, not %s. Write 'key: value' lines below it." % (where, kind_of(given))
            )
        for key in sorted(keys):
            if key not in given:
                raise CatalogError(
                    "catalog entry '%s': source '%s' has no key '%s'. Add it to the values."
                    % (keys[key][0], source, key)
                )
        checked[source] = {}
        for key, value in given.items():
            if not isinstance(key, str) or not SECRET_KEY.match(key):
                raise CatalogError(
                    "%s has a key that can't be a Secret's key. Use letters, digits, '-', '_' and '.' only." % where
                )
            if key in made.get(source, {}):
                raise CatalogError(
                    "%s: key '%s' is generated, and has a value too. Take it out of the values, or out of the entry's "
                    "'generate'." % (where, key)
                )
            checked[source][key] = _encoded(value, where, key)
        _refuse_large(checked[source], where, "it holds")
    for entry in entries:
        if checked.keys() >= set(entry.sources):
            try:
                target = entry.render(checked)
            except Unreadable:
                continue  # what is generated is not there yet
            _refuse_large(target, "catalog entry '%s'" % entry.name, "its target would hold")
    return checked, sorted(str(name) for name in values if name not in needed)


#: The bytes that Kubernetes takes in all values of a Secret together.
_MOST = 1024 * 1024


def _refuse_large(data: dict[str, bytes], where: str, holds: str) -> None:
    size = sum(map(len, data.values()))
    if size > _MOST:
        raise CatalogError(
            "%s: %s %d bytes, and no Secret holds more than %d. Split it into several sources."
            % (where, holds, size, _MOST)
        )


def unread(entries: list[Entry], values: dict[str, dict[str, bytes]]) -> list[str]:
    """What is said of each key that no enabled entry reads: it may be misspelled.

    :arg values: as :func:`check_values` returns them.
    """
    known = required_sources(entries)
    whole = {source for entry in entries for source in entry.reads_whole()}
    return [
        "source '%s' has the key '%s', which no enabled catalog entry reads; those that are read: %s"
        % (source, key, ", ".join(sorted(known[source])) or "none")
        for source, keys in sorted(values.items())
        if source in known and source not in whole
        for key in sorted(set(keys) - set(known[source]))
    ]


def remarks(entries: list[Entry], values: dict[str, dict[str, bytes]], ignored: Iterable[str]) -> list[str]:
    """What is worth a look of values that were checked, as sentences.

    :arg entries: all enabled ones; :arg values: and :arg ignored: as :func:`check_values` returns them.
    """
    known = required_sources(entries)
    return [
        *suspicious(values),
        *unread(entries, values),
        *(
            "values are given for '%s', which no enabled catalog entry reads; they are not used" % name
            for name in ignored
            if name not in known
        ),
    ]


def suspicious(values: dict[str, dict[str, bytes]]) -> list[str]:
    """What looks like a slip in checked values, as sentences: what nobody sees around a single line.

    A header or a password with a space or line break is refused by whatever it is for. Texts of several lines, such as
    keys and certificates, end in a line break as they should, and begin with nothing else.
    """
    return [
        "source '%s': the value of '%s' %s, which whatever uses it may refuse. Remove it, unless it belongs there."
        % (source, key, slip)
        for source, keys in values.items()
        for key, slip in slips(keys).items()
    ]


def slips(data: dict[str, bytes]) -> dict[str, str]:
    """What looks like a slip in the values of one source, ``{key: what it is}``; binary data has none."""
    said = {}
    for key, value in data.items():
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            continue
        bare = _bare(text)
        if not bare and text:
            said[key] = "is nothing but %s" % _unseen(text)
            continue
        head, tail = text[: text.index(bare)], text[text.index(bare) + len(bare) :]
        if len(bare.splitlines()) > 1:
            # What several lines begin with is in the way of whoever reads the first.
            head, tail = head if "\ufeff" in head else "", ""
        parts = ["begins with %s" % _unseen(head)] if head else []
        if tail:
            parts.append("ends in %s" % _unseen(tail))
        if parts:
            said[key] = " and ".join(parts)
    return said


#: Characters that nobody sees and that Unicode does not count as space: a mark at the beginning of a file, the space of
#: no width, and none at all.
_INVISIBLE = "\ufeff\u200b\0"


def _bare(text: str) -> str:
    """A text without what nobody sees around it."""
    while True:
        shorter = text.strip().strip(_INVISIBLE)
        if shorter == text:
            return text
        text = shorter


def _unseen(text: str) -> str:
    """What a text of characters that nobody sees is, in words."""
    if any(character in _INVISIBLE for character in text):
        return "an invisible character"
    return "a line break" if text.splitlines() != [text] else "a space"


def _encoded(value: Any, where: str, key: str) -> bytes:
    """The value of a key as bytes, from text or from ``{"base64": text}``."""
    if isinstance(value, dict) and list(value) == ["base64"] and isinstance(value["base64"], str):
        try:
            # Line breaks are what base64 tools print.
            encoded = base64.b64decode("".join(value["base64"].split()), validate=True)
        except ValueError:
            raise CatalogError(
                "%s: the value of '%s' is not base64. Encode it with: base64 FILE" % (where, key)
            ) from None
    elif isinstance(value, str):
        try:
            encoded = value.encode("utf-8")
        except UnicodeEncodeError:
            raise CatalogError(
                "%s: the value of '%s' has half of a character (a lone surrogate). Write the whole one, or binary data "
                "as 'base64: ...' below the key." % (where, key)
            ) from None
    else:
        raise CatalogError(
            "%s: the value of '%s' must be a string, not %s. Put it in quotes, or write binary data as 'base64: ...' "
            "below the key." % (where, key, kind_of(value))
        )
    if not encoded:
        raise CatalogError("%s: the value of '%s' is empty. Give it a value." % (where, key))
    return encoded
