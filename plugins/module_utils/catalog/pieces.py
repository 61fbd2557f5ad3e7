# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a target key's value is made of: text and references to keys of the sources. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Callable, Mapping, NamedTuple, Union
from urllib.parse import quote_plus

#: The key that stands for all of a source, as a JSON object of its keys and values.
WHOLE = "*"

#: ESO's names for how an encoded value of a source is read; nothing: as it is.
DECODINGS = ("", "Base64", "Base64URL", "Auto")

_DECODING_WORDS = {"base64decode": "Base64", "base64urldecode": "Base64URL", "autodecode": "Auto"}

_KEY = r"(?:[a-z0-9][-a-z0-9.]*/)?(?:\*|[-._a-zA-Z0-9]+)"
_PART = r"(?:%s|\"[^\"{}\\\n]*\")" % _KEY

#: A reference to a source key in a composed text, preceded by its encoding, or a brace that stands for itself.
_REFERENCE = re.compile(r"\\\{|\{(?:(?P<how>[a-z0-9]+):)?(?P<parts>%s(?::%s)*)\}" % (_PART, _PART))

#: What looks like an attempt at one.
_ALMOST = re.compile(r"\{\{|\{\s*[-._a-zA-Z0-9]+(?:\s*[|:]\s*[-._a-zA-Z0-9]+)*\s*\}|\{[a-z0-9]+:|\{[-.a-z0-9]+/")


class Reference(NamedTuple):
    """A key of a source: the source's name, empty for the entry's own, the key, and how it is decoded."""

    source: str
    key: str
    decoding: str = ""

    @property
    def text(self) -> str:
        """As the catalog writes it, ``key`` or ``source/key``."""
        return "%s/%s" % (self.source, self.key) if self.source else self.key

    def within(self, source: str) -> Reference:
        """The same in an entry whose own source this is, which is not named."""
        return self._replace(source="") if self.source == source else self


#: The value of a reference. Raises KeyError with the reference's text where there is none, ValueError where it can't
#: be decoded or shown as JSON.
Lookup = Callable[[Reference], bytes]

#: The name under which ESO's template finds a reference.
Naming = Mapping[Reference, str]


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
        for match in _REFERENCE.finditer(text):
            _literal(pieces, text[end : match.start()])
            end = match.end()
            if not match["parts"]:
                _literal(pieces, "{", check=False)
            else:
                if text[: match.start()].endswith("{") and not text[: match.start()].endswith("\\{"):
                    raise ValueError("{" + match[0])
                pieces.append(_referred(match["how"] or "", match["parts"], match[0]))
        _literal(pieces, text[end:])
        if all(isinstance(piece, Literal) for piece in pieces):
            raise ValueError
        return cls(*pieces)

    def source_form(self) -> str | dict[str, str]:
        """The value as the catalog writes it: a source key, ``{"value": text}`` or ``{"text": composed}``."""
        pieces = self.pieces
        if all(isinstance(piece, Literal) for piece in pieces):
            return {"value": "".join(piece.source_form() for piece in pieces).replace("\\{", "{")}
        if len(pieces) == 1 and isinstance(pieces[0], Ref) and pieces[0].is_plain():
            return pieces[0].reference.text
        return {"text": "".join(piece.source_form() for piece in pieces)}

    def references(self) -> list[Reference]:
        """The source keys that are read, each as often as it is read."""
        return [reference for piece in self.pieces for reference in piece.references()]

    def based_on(self, change: Callable[[Reference], Reference]) -> Text:
        """The same text with other references."""
        return Text(*(piece.based_on(change) for piece in self.pieces))

    def render(self, look_up: Lookup) -> bytes:
        """The value. Raises what the look-up raises, and ValueError (UnicodeDecodeError) for JSON of bytes."""
        return b"".join(piece.render(look_up) for piece in self.pieces)

    def template(self, names: Naming) -> str:
        """The value as ESO's (Go) template."""
        return "".join("{{ %s }}" % piece.expression(names) for piece in self.pieces)


class Literal:
    """Text that is the same for everyone, hence no secret."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def references(self) -> list[Reference]:
        """An empty list: no source key is read."""
        return []

    def based_on(self, _change: Callable[[Reference], Reference]) -> Piece:
        """The same text."""
        return self

    def render(self, _look_up: Lookup) -> bytes:
        """The text."""
        return self.text.encode("utf-8")

    def source_form(self) -> str:
        """The text as the catalog writes it in a composed text."""
        return self.text.replace("{", "\\{")

    def expression(self, _names: Naming) -> str:
        """The text as an expression of a Go template."""
        return go_text(self.text)


#: What Go calls a space, which is less than what Python does.
_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def _trimmed(value: bytes) -> bytes:
    return value.decode("utf-8").strip(_SPACES).encode("utf-8")


def _quoted(value: bytes) -> bytes:
    return go_quoted(value.decode("utf-8")).encode("utf-8")


def _json(value: bytes) -> bytes:
    return go_json_string(value.decode("utf-8")).encode("utf-8")


#: What a composed text may do with a source key: the word before it, the function of Go's templates, the same here.
_FUNCTIONS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "json": ("toJson", _json),
    "quote": ("quote", _quoted),
    "urlquery": ("urlquery", lambda value: quote_plus(value, safe="").encode("ascii")),
    "trim": ("trim", _trimmed),
}

#: The same by the function's name.
WORDS = {function: word for word, (function, _render) in _FUNCTIONS.items()}


class Ref:
    """The value of a source key; ``how`` is what is done with it, such as ``json``, or nothing."""

    __slots__ = ("how", "reference")

    def __init__(self, reference: Reference | str, how: str = "") -> None:
        self.reference = Reference("", reference) if isinstance(reference, str) else reference
        self.how = how

    def is_plain(self) -> bool:
        """Whether it is the value as it is in the source."""
        return not self.how and not self.reference.decoding and self.reference.key != WHOLE

    def references(self) -> list[Reference]:
        """The one source key."""
        return [self.reference]

    def based_on(self, change: Callable[[Reference], Reference]) -> Piece:
        """The same with another reference."""
        return Ref(change(self.reference), self.how)

    def render(self, look_up: Lookup) -> bytes:
        """The value, or what is made of it."""
        value = look_up(self.reference)
        return _FUNCTIONS[self.how][1](value) if self.how else value

    def source_form(self) -> str:
        """The reference as the catalog writes it in a composed text."""
        words = {decoding: word for word, decoding in _DECODING_WORDS.items()}
        how = self.how or words.get(self.reference.decoding, "") or ("json" if self.reference.key == WHOLE else "")
        return "{%s%s}" % (how + ":" if how else "", self.reference.text)

    def expression(self, names: Naming) -> str:
        """The look-up as an expression of a Go template."""
        lookup = "index . %s" % json.dumps(names[self.reference])
        return "%s | %s" % (lookup, _FUNCTIONS[self.how][0]) if self.how else lookup


class Base64:
    """base64 of texts and values of source keys, joined by ``:``; of two it is what registries call ``auth``."""

    __slots__ = ("parts",)

    def __init__(self, *parts: Reference | Literal) -> None:
        self.parts = parts

    def references(self) -> list[Reference]:
        """The source keys."""
        return [part for part in self.parts if isinstance(part, Reference)]

    def based_on(self, change: Callable[[Reference], Reference]) -> Piece:
        """The same with other references."""
        return Base64(*(change(part) if isinstance(part, Reference) else part for part in self.parts))

    def render(self, look_up: Lookup) -> bytes:
        """The encoded values."""
        values = [look_up(part) if isinstance(part, Reference) else part.text.encode("utf-8") for part in self.parts]
        return base64.b64encode(b":".join(values))

    def source_form(self) -> str:
        """The reference as the catalog writes it in a composed text."""
        parts = [part.text if isinstance(part, Reference) else '"%s"' % part.text for part in self.parts]
        return "{base64:%s}" % ":".join(parts)

    def expression(self, names: Naming) -> str:
        """The encoded values as an expression of a Go template."""
        values = " ".join(
            "(index . %s)" % json.dumps(names[part]) if isinstance(part, Reference) else go_text(part.text)
            for part in self.parts
        )
        return 'printf "%s" %s | b64enc' % (":".join("%s" for _part in self.parts), values)


#: What a :class:`Text` is made of.
Piece = Union[Literal, Ref, Base64]


def _referred(how: str, parts: str, shown: str) -> Piece:
    """The piece that a reference in a composed text stands for; raises ValueError with its text."""
    pieces: list[Reference | Literal] = []
    for part in re.findall(_PART, parts):
        if part.startswith('"'):
            pieces.append(Literal(part[1:-1]))
        else:
            source, _slash, key = part.rpartition("/")
            pieces.append(Reference(source, key))
    if how == "base64":
        if all(isinstance(part, Literal) for part in pieces):
            raise ValueError(shown)
        return Base64(*pieces)
    (first, *more) = pieces
    if more or isinstance(first, Literal):
        raise ValueError(shown)
    if first.key == WHOLE:
        if how != "json":
            raise ValueError(shown)
        return Ref(first)
    if how in _DECODING_WORDS:
        return Ref(first._replace(decoding=_DECODING_WORDS[how]))
    if how and how not in _FUNCTIONS:
        raise ValueError(shown)
    return Ref(first, how)


def decoded(value: bytes, decoding: str) -> bytes:
    """A value as ESO's decodingStrategy reads it. Raises ValueError where it can't be read so."""
    if decoding == "Auto":
        for one in ("Base64", "Base64URL"):
            try:
                return decoded(value, one)
            except ValueError:
                pass
        return value
    if not decoding:
        return value
    # Go skips line breaks, and refuses what Python skips or forgives.
    plain = value.replace(b"\n", b"").replace(b"\r", b"")
    alphabet = rb"[A-Za-z0-9+/]" if decoding == "Base64" else rb"[A-Za-z0-9_-]"
    if len(plain) % 4 or not re.match(alphabet + rb"*={0,2}\Z", plain):
        raise binascii.Error("not %s" % decoding)
    return base64.b64decode(plain) if decoding == "Base64" else base64.urlsafe_b64decode(plain)


def whole(data: Mapping[str, bytes]) -> bytes:
    """A source as the JSON object that ESO makes of it. Raises UnicodeDecodeError for bytes, which JSON would lose."""
    texts = {key: value.decode("utf-8") for key, value in data.items()}
    pairs = ",".join("%s:%s" % (_go_json(key), _go_json(text)) for key, text in sorted(texts.items()))
    return ("{%s}" % pairs).encode("utf-8")


def _go_json(text: str) -> str:
    """``text`` as the JSON string that Go's encoder writes when it isn't to escape HTML."""
    quoted = json.dumps(text, ensure_ascii=False)
    for character in ("\u2028", "\u2029"):
        quoted = quoted.replace(character, "\\u%04x" % ord(character))
    return quoted


def go_json_string(text: str) -> str:
    """``text`` as the JSON string that Go's encoder writes (which also escapes ``<``, ``>``, ``&``)."""
    quoted = _go_json(text)
    for character in ("<", ">", "&"):
        quoted = quoted.replace(character, "\\u%04x" % ord(character))
    return quoted


def go_text(text: str) -> str:
    """``text`` as a string literal of Go."""
    # A JSON string is a Go string literal (but for surrogates), and inside quotes no brace opens an action.
    return json.dumps(text, ensure_ascii=False)


_GO_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_GO_ESCAPES.update({'"': '\\"', "\\": "\\\\"})


def go_quoted(text: str) -> str:
    """``text`` as Go's ``%q`` prints it, which is what the template function ``quote`` does."""

    def one(character: str) -> str:
        if character in _GO_ESCAPES:
            return _GO_ESCAPES[character]
        if character.isprintable():
            return character
        number = ord(character)
        if number < 0x80:
            return "\\x%02x" % number
        return ("\\u%04x" if number < 0x10000 else "\\U%08x") % number

    return '"%s"' % "".join(map(one, text))


def _literal(pieces: list[Piece], text: str, check: bool = True) -> None:
    """Add literal text; text that looks like a reference gone wrong raises ValueError with it."""
    almost = _ALMOST.search(text) if check else None
    if almost:
        raise ValueError(almost[0])
    if text and pieces and isinstance(pieces[-1], Literal):
        pieces[-1] = Literal(pieces[-1].text + text)
    elif text:
        pieces.append(Literal(text))
