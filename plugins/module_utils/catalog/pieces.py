# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a target key's value is made of: text and references to keys of the source. Pure."""

from __future__ import annotations

import base64
import json
import re
from typing import Union

#: A reference to a source key in a composed text, preceded by its encoding, or a brace that stands for itself.
_REFERENCE = re.compile(r"\\\{|\{(?:(?P<how>base64|json):)?(?P<keys>[-._a-zA-Z0-9]+(?::[-._a-zA-Z0-9]+)*)\}")

#: What looks like an attempt at one.
_ALMOST = re.compile(r"\{\{|\{\s*[-._a-zA-Z0-9]+(?:\s*[|:]\s*[-._a-zA-Z0-9]+)*\s*\}|\{[a-z0-9]+:")


class Text:
    """A target key's value: literal pieces and references to source keys, joined.

    Both renderings come from the one list of pieces, so that what is expected of a target and what
    ESO is told to write can't drift apart.
    """

    __slots__ = ("pieces",)

    def __init__(self, *pieces: Piece) -> None:
        self.pieces = pieces

    @classmethod
    def composed(cls, text: str) -> Text:
        """The value that ``postgres://{user}:{password}@host`` describes; ``\\{`` is a brace.

        :raises ValueError: with the piece that can't be understood, or nothing when no source key is referred to.
        """
        pieces: list[Piece] = []
        end = 0
        for found in _REFERENCE.finditer(text):
            _literal(pieces, text[end : found.start()])
            end = found.end()
            keys = (found["keys"] or "").split(":")
            if not found["keys"]:
                _literal(pieces, "{", check=False)
            elif found["how"] == "base64":
                pieces.append(Base64(*keys))
            elif len(keys) > 1:
                raise ValueError(found[0])
            else:
                pieces.append(Ref(keys[0], quoted=found["how"] == "json"))
        _literal(pieces, text[end:])
        if all(isinstance(piece, Literal) for piece in pieces):
            raise ValueError
        return cls(*pieces)

    def source_form(self) -> str | dict[str, str]:
        """The value as the catalog writes it: a source key, ``{"value": text}`` or ``{"text": composed}``."""
        pieces = self.pieces
        if all(isinstance(piece, Literal) for piece in pieces):
            return {"value": "".join(piece.source_form() for piece in pieces).replace("\\{", "{")}
        if len(pieces) == 1 and isinstance(pieces[0], Ref) and pieces[0].source_form() == "{%s}" % pieces[0].keys()[0]:
            return pieces[0].keys()[0]
        return {"text": "".join(piece.source_form() for piece in pieces)}

    def keys(self) -> list[str]:
        """The source keys that are read, each as often as it is read."""
        return [key for piece in self.pieces for key in piece.keys()]

    def render(self, source: dict[str, bytes]) -> bytes:
        """The value for a source's data. Raises KeyError for a missing key, UnicodeDecodeError for JSON of bytes."""
        return b"".join(piece.render(source) for piece in self.pieces)

    def template(self) -> str:
        """The value as ESO's (Go) template."""
        return "".join("{{ %s }}" % piece.expression() for piece in self.pieces)


class Literal:
    """Text that is the same for everyone, hence no secret."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def keys(self) -> list[str]:
        """An empty list: no source key is read."""
        return []

    def render(self, source: dict[str, bytes]) -> bytes:
        """The text."""
        return self.text.encode("utf-8")

    def source_form(self) -> str:
        """The text as the catalog writes it in a composed text."""
        return self.text.replace("{", "\\{")

    def expression(self) -> str:
        """The text as an expression of a Go template."""
        # A JSON string is a Go string literal (but for surrogates), and inside quotes no brace opens an action.
        return json.dumps(self.text, ensure_ascii=False)


class Ref:
    """The value of a source key; ``quoted`` makes a JSON string of it."""

    __slots__ = ("key", "quoted")

    def __init__(self, key: str, quoted: bool = False) -> None:
        self.key = key
        self.quoted = quoted

    def keys(self) -> list[str]:
        """The one source key."""
        return [self.key]

    def render(self, source: dict[str, bytes]) -> bytes:
        """The value, or the JSON string of it."""
        value = source[self.key]
        if not self.quoted:
            return value
        return go_json_string(value.decode("utf-8")).encode("utf-8")

    def source_form(self) -> str:
        """The reference as the catalog writes it in a composed text."""
        return ("{json:%s}" if self.quoted else "{%s}") % self.key

    def expression(self) -> str:
        """The look-up as an expression of a Go template."""
        lookup = "index . %s" % json.dumps(self.key)
        return "%s | toJson" % lookup if self.quoted else lookup


class Base64:
    """base64 of the values of source keys, joined by ``:``; of two it is what registries call ``auth``."""

    __slots__ = ("_keys",)

    def __init__(self, *keys: str) -> None:
        self._keys = keys

    def keys(self) -> list[str]:
        """The source keys."""
        return list(self._keys)

    def render(self, source: dict[str, bytes]) -> bytes:
        """The encoded values."""
        return base64.b64encode(b":".join(source[key] for key in self._keys))

    def source_form(self) -> str:
        """The reference as the catalog writes it in a composed text."""
        return "{base64:%s}" % ":".join(self._keys)

    def expression(self) -> str:
        """The encoded values as an expression of a Go template."""
        values = " ".join("(index . %s)" % json.dumps(key) for key in self._keys)
        return 'printf "%s" %s | b64enc' % (":".join("%s" for _key in self._keys), values)


#: What a :class:`Text` is made of.
Piece = Union[Literal, Ref, Base64]


def go_json_string(text: str) -> str:
    """``text`` as the JSON string that Go's encoder writes (which also escapes ``<``, ``>``, ``&``)."""
    quoted = json.dumps(text, ensure_ascii=False)
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        quoted = quoted.replace(character, "\\u%04x" % ord(character))
    return quoted


def _literal(pieces: list[Piece], text: str, check: bool = True) -> None:
    """Add literal text; text that looks like a reference gone wrong raises ValueError with it."""
    almost = _ALMOST.search(text) if check else None
    if almost:
        raise ValueError(almost[0])
    if text and pieces and isinstance(pieces[-1], Literal):
        pieces[-1] = Literal(pieces[-1].text + text)
    elif text:
        pieces.append(Literal(text))
