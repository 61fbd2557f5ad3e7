# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When what a Secret holds ends: certificates, kubeconfigs, talosconfigs and JSON Web Tokens."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
from typing import Any, Callable, Iterable, Iterator, Tuple

from .errors import DependencyError

#: Larger texts are not taken for a kubeconfig or talosconfig, in characters.
_LARGEST = 256 * 1024

#: Talos' role that may do everything.
TALOS_ADMIN = "os:admin"

Ends = Iterator[Tuple[str, datetime.datetime]]


def ends(value: bytes) -> list[tuple[str, datetime.datetime]]:
    """What in a value has an end, and when: ('certificate CN=...', time), ('token', time).

    What can't be read has no end.

    :raises DependencyError: when there is a certificate to read and the package cryptography is missing.
    """
    return sorted(set(_ends(value)), key=lambda one: (one[1], one[0]))


def ended(value: bytes, now: datetime.datetime) -> str | None:
    """What in a value is no longer good, as '<what> ended at <time>': the first that ended; None for nothing.

    :raises DependencyError: as :func:`ends`.
    """
    over = [end for end in ends(value) if end[1] <= now]
    return "%s ended at %s" % (over[0][0], over[0][1].strftime("%Y-%m-%d %H:%M UTC")) if over else None


def all_ended(
    values: dict[str, dict[str, bytes]], now: datetime.datetime, warn: Callable[[str], Any]
) -> list[tuple[str, str, str]]:
    """(source, key, what :func:`ended` says) of each value that is no longer good.

    :arg warn: told once, when certificates can't be read, and none is looked at from there on.
    """
    expired: list[tuple[str, str, str]] = []
    for source, data in values.items():
        for key, value in data.items():
            try:
                over = ended(value, now)
            except DependencyError as error:
                warn("whether certificates have expired is not checked: %s" % error)
                return expired
            if over:
                expired.append((source, key, over))
    return expired


def _ends(value: bytes) -> Ends:
    if b"-----BEGIN CERTIFICATE-----" in value:
        yield from _described(_loaded(value))
        return
    text = _text(value)
    end = token_end(text.strip())
    if end:
        yield "token", end
    else:
        yield from _configuration(text)


def token_end(token: str) -> datetime.datetime | None:
    """When a JSON Web Token ends; None for one without an end, and for anything else."""
    parts = token.split(".")
    if len(parts) != 3 or not token.startswith("eyJ"):
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.datetime.fromtimestamp(claims["exp"], datetime.timezone.utc)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return None


def talos_roles(value: bytes) -> list[tuple[list[str], datetime.datetime]]:
    """(roles, end) of each certificate in a talosconfig; nothing for any other value. Raises DependencyError."""
    return [(_organizations(one), _end(one)) for one in _talos_certificates(_mapping(_text(value)))]


def _organizations(certificate: Any) -> list[str]:
    """Talos writes the roles where a subject's organizations are."""
    from cryptography.x509.oid import NameOID

    return sorted(
        str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    )


def _loaded(pem: bytes) -> Iterator[Any]:
    """The certificates of a PEM text; what is none is left out."""
    try:
        from cryptography import x509
    except ImportError:
        raise DependencyError(
            "the Python package cryptography is needed to see when certificates expire: install it on the task's host."
        ) from None
    marker = b"-----END CERTIFICATE-----"
    for part in pem.split(marker)[:-1]:
        begin = part.rfind(b"-----BEGIN CERTIFICATE-----")
        try:
            certificate = x509.load_pem_x509_certificate(part[begin:] + marker + b"\n")
        except (ValueError, TypeError):
            continue
        yield certificate


def _end(certificate: Any) -> datetime.datetime:
    # not_valid_after_utc is of cryptography 42 and newer.
    end: datetime.datetime | None = getattr(certificate, "not_valid_after_utc", None)
    return end or certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc)


def _described(certificates: Iterable[Any]) -> Ends:
    for certificate in certificates:
        yield "certificate %s" % certificate.subject.rfc4514_string(), _end(certificate)


def _text(value: bytes) -> str:
    """The text that a value is; nothing for any other."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _mapping(text: str) -> dict[str, Any]:
    """A configuration's content; nothing for any other text."""
    if len(text) > _LARGEST or not ("contexts:" in text or '"contexts"' in text):
        return {}
    import yaml

    try:
        document = yaml.safe_load(text)
    except Exception:  # pylint: disable=broad-except
        # Its constructors raise whatever they meet in a wrong timestamp, number or boolean.
        return {}
    return document if isinstance(document, dict) else {}


def _talos_certificates(document: dict[str, Any]) -> Iterator[Any]:
    """The certificates of a talosconfig, whose contexts are a mapping; those of a kubeconfig are a list."""
    contexts = document.get("contexts")
    for context in contexts.values() if isinstance(contexts, dict) else []:
        yield from _loaded(_decoded(context, "crt"))


def _configuration(text: str) -> Ends:
    document = _mapping(text)
    yield from _described(_talos_certificates(document))
    users = document.get("users")
    for one in users if isinstance(users, list) else []:
        user = one.get("user") if isinstance(one, dict) else None
        yield from _described(_loaded(_decoded(user, "client-certificate-data")))
        token = user.get("token") if isinstance(user, dict) else None
        end = token_end(token) if isinstance(token, str) else None
        if end:
            yield "token", end


def _decoded(owner: Any, key: str) -> bytes:
    value = owner.get(key) if isinstance(owner, dict) else None
    try:
        return base64.b64decode(value) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        return b""
