# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the part of Go's templates that the catalog can express: text, look-ups, base64, JSON strings. Pure."""

from __future__ import annotations

import base64
import itertools
import json
import re
from typing import Iterator, List, Mapping, Union

from ..catalog.pieces import WORDS, Base64, Literal, Piece, Ref, Reference, Text

_STRING = r'"(?:[^"\\\n]|\\.)*"|`[^`]*`'
#: Braces within a string don't end an action.
_ACTION = re.compile(r"\{\{(-\s)?((?:%s|[^\"`}]|\}(?!\}))*?)(\s-)?\}\}" % _STRING, re.DOTALL)
_TOKEN = re.compile(r"\s*(%s|\||\(|\)|\$?\.[A-Za-z_][A-Za-z0-9_]*|[A-Za-z][A-Za-z0-9]*|\.|\$)" % _STRING)

#: How many tokens an expression may have. What the catalog can say needs a dozen; a tenant's may be of any length, and
#: is read by recursion.
_LONGEST = 100

#: Functions that don't change a string.
_SAME = ("toString",)

#: All functions of one string that are read.
_ONE = ("b64enc", "b64dec", "squote", *WORDS, *_SAME)

_COMMENT = re.compile(r"/\*.*?\*/\s*\Z", re.DOTALL)

#: What is left of a template while it is read: texts and references, joined.
_Value = List[Union[Literal, Ref, Base64]]


class Inexpressible(ValueError):
    """The template does something that the catalog can't express. The text says what."""


def parse(template: str, keys: Mapping[str, Reference]) -> Text:
    """The value that a template makes.

    :arg keys: which key of the source each name in the template stands for.
    :raises Inexpressible: for anything but text and the look-ups that the catalog knows.
    """
    pieces: list[Piece] = []
    end, trim = 0, False
    # Not by finditer(): it reads all the rest again for each "{{" that no "}}" ends.
    while (start := template.find("{{", end)) >= 0:
        action = _ACTION.match(template, start)
        if not action:
            raise Inexpressible("a template that can't be read")
        text = template[end:start].lstrip() if trim else template[end:start]
        _add(pieces, text.rstrip() if action[1] else text)
        for piece in [] if _COMMENT.match(action[2]) else _expression(action[2], keys):
            if isinstance(piece, Literal):
                _add(pieces, piece.text)
            else:
                pieces.append(piece)
        end, trim = action.end(), bool(action[3])
    _add(pieces, template[end:].lstrip() if trim else template[end:])
    return Text(*pieces)


def _add(pieces: list[Piece], text: str) -> None:
    if text and pieces and isinstance(pieces[-1], Literal):
        pieces[-1] = Literal(pieces[-1].text + text)
    elif text:
        pieces.append(Literal(text))


def _expression(text: str, keys: Mapping[str, Reference]) -> _Value:
    tokens = list(itertools.islice(_tokens(text), _LONGEST + 1))
    if len(tokens) > _LONGEST:
        raise Inexpressible("a template expression of more than %d words" % _LONGEST)
    value, rest = _pipeline(tokens, text, keys)
    if rest:
        raise _unknown(text)
    return value


def _pipeline(tokens: list[str], text: str, keys: Mapping[str, Reference]) -> tuple[_Value, list[str]]:
    """The value at the start of the tokens with all that it is piped through, and the tokens after it."""
    value, rest = _operand(tokens, text, keys)
    while len(rest) > 1 and rest[0] == "|":
        value, rest = _piped(value, rest[1], text), rest[2:]
    return value, rest


def _tokens(text: str) -> Iterator[str]:
    position = 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise _unknown(text)
        yield match[1]
        position = match.end()


def _operand(tokens: list[str], text: str, keys: Mapping[str, Reference]) -> tuple[_Value, list[str]]:
    """The value at the start of the tokens, and the tokens after it."""
    if not tokens:
        raise _unknown(text)
    first, rest = tokens[0], tokens[1:]
    if first.startswith(('"', "`")):
        return [Literal(_unquoted(first, text))], rest
    if first == "(":
        value, rest = _pipeline(rest, text, keys)
        if not rest or rest[0] != ")":
            raise _unknown(text)
        return value, rest[1:]
    if re.match(r"\$?\.[A-Za-z_]", first):
        return [Ref(_source(first.lstrip("$.").strip(), keys))], rest
    if first == "index" and len(rest) >= 2 and rest[0] in (".", "$") and rest[1].startswith(('"', "`")):
        return [Ref(_source(_unquoted(rest[1], text), keys))], rest[2:]
    if first == "printf" and rest and rest[0].startswith(('"', "`")):
        return _printf(rest, text, keys)
    if first in _ONE:
        value, rest = _operand(rest, text, keys)
        return _piped(value, first, text), rest
    raise _unknown(text)


def _printf(tokens: list[str], text: str, keys: Mapping[str, Reference]) -> tuple[_Value, list[str]]:
    form, rest = _unquoted(tokens[0], text), tokens[1:]
    pieces: _Value = []
    for part in re.split(r"(%.)", form, flags=re.DOTALL):
        if part == "%s" or part == "%v":
            value, rest = _operand(rest, text, keys)
            pieces += value
        elif part == "%%":
            pieces.append(Literal("%"))
        elif "%" in part:
            raise _unknown(text)
        elif part:
            pieces.append(Literal(part))
    return pieces, rest


def _piped(value: _Value, function: str, text: str) -> _Value:
    if function in _SAME:
        return value
    if function == "squote":
        return [Literal("'"), *value, Literal("'")]
    if function == "b64enc":
        return [_encoded(value, text)]
    # The catalog has one word for each reference.
    if len(value) == 1 and isinstance(value[0], Ref) and not value[0].how and not value[0].reference.decoding:
        reference = value[0].reference
        if function == "b64dec":
            return [Ref(reference._replace(decoding="Base64"))]
        if function in WORDS:
            return [Ref(reference, WORDS[function])]
    raise _unknown(text)


def _encoded(value: _Value, text: str) -> Piece:
    """base64 of texts and values with a colon between each two."""
    groups: list[list[Reference | Literal]] = [[]]
    for piece in value:
        if isinstance(piece, Ref) and not piece.how and not piece.reference.decoding:
            groups[-1].append(piece.reference)
        elif isinstance(piece, Literal):
            for number, part in enumerate(piece.text.split(":")):
                if number:
                    groups.append([])
                if part:
                    groups[-1].append(Literal(part))
        else:
            raise _unknown(text)
    parts = [group[0] if group else Literal("") for group in groups]
    if all(isinstance(part, Literal) for part in parts):
        return Literal(base64.b64encode(b"".join(piece.render(_nothing) for piece in value)).decode("ascii"))
    if any(len(group) > 1 for group in groups):
        raise _unknown(text)
    return Base64(*parts)


def _nothing(reference: Reference) -> bytes:
    raise KeyError(reference.text)


def _source(name: str, keys: Mapping[str, Reference]) -> Reference:
    if name not in keys:
        raise Inexpressible("a template that uses '%s', which nothing reads" % name)
    return keys[name]


def _unquoted(token: str, text: str) -> str:
    if token.startswith("`"):
        return token[1:-1]
    try:
        literal = str(json.loads(token))
        literal.encode("utf-8")  # half a character is no text
    except ValueError:
        raise _unknown(text) from None
    return literal


def _unknown(text: str) -> Inexpressible:
    return Inexpressible("the template expression '%s'" % " ".join(text.split()))
