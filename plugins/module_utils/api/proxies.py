# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers are reached without the proxy, and a proxy's credentials. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, urlsplit


def bypassed(server: str, no_proxy: str) -> bool:
    """Whether NO_PROXY, or the option of that name, says that a server is reached without the proxy.

    It lists, separated by commas, names (``example.com`` is for the domains below it too), addresses, networks
    (``10.0.0.0/8``), each with a port if only that is meant, or ``*`` for all.

    :arg server: a URL.
    """
    address = urlsplit(server)
    host = (address.hostname or "").lower().rstrip(".")
    try:
        port = address.port or {"https": 443, "http": 80}.get(address.scheme)
    except ValueError:
        port = None
    return any(_covers(pattern.strip().lower(), host, port) for pattern in no_proxy.split(",") if pattern.strip())


def _covers(pattern: str, host: str, port: int | None) -> bool:
    if pattern == "*":
        return True
    name, wanted = _split(pattern)
    if wanted is not None and wanted != port:
        return False
    try:
        own = ipaddress.ip_address(host)
    except ValueError:
        own = None
    try:
        network = ipaddress.ip_network(name, strict=False)
    except ValueError:
        network = None
    if network is not None:
        return own is not None and own in network
    name = name.lstrip("*").strip(".")
    return own is None and bool(name) and (host == name or host.endswith("." + name))


def _split(pattern: str) -> tuple[str, int | None]:
    """A host, address or network, and its port."""
    match = re.fullmatch(r"\[([^]]*)\](?::(\d+))?", pattern) or re.fullmatch(r"([^:]*)(?::(\d+))?", pattern)
    if not match:
        return pattern, None  # an IPv6 address without brackets
    return match[1], int(match[2]) if match[2] else None


def parts(proxy: str) -> tuple[str, str, str]:
    """The scheme with its slashes, the credentials and the rest of a proxy's URL, each empty where there is none.

    It takes everything up to the last ``@`` for credentials: what is written wrongly must not be shown.
    """
    scheme, slashes, rest = proxy.partition("://") if "://" in proxy else ("", "", proxy)
    credentials, _at, place = rest.rpartition("@")
    return scheme + slashes, credentials, place


def with_credentials(proxy: str, credentials: str) -> str:
    """The proxy's URL with ``user:password`` in it."""
    scheme, _before, place = parts(proxy)
    user, _colon, password = credentials.partition(":")
    return "%s%s:%s@%s" % (scheme, quote(user, ""), quote(password, ""), place)


def password_of(proxy: object) -> str | None:
    """The password in a proxy's URL, as it is written there, or None."""
    return parts(proxy)[1].partition(":")[2] or None if isinstance(proxy, str) else None


def shown(proxy: str) -> str:
    """The proxy's URL without credentials, for people."""
    scheme, _credentials, place = parts(proxy)
    return scheme + place
