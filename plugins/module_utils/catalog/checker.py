# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that name the entry, the problem and the fix. Pure."""

from __future__ import annotations

import re
from typing import Any, Iterable, NoReturn, Pattern, Sequence

from ..errors import CatalogError

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")
#: A Secret type of one's own: a domain and a name.
SECRET_TYPE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[-._A-Za-z0-9]{1,100}\Z")
SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z")


class Checker:
    """Checks one entry: the first problem is raised, with the entry's name in front."""

    def __init__(self, position: int, raw: Any) -> None:
        name = raw.get("name") if isinstance(raw, dict) else None
        self.where = (
            "catalog entry '%s'" % name if isinstance(name, str) and name else "catalog entry number %d" % position
        )

    def fail(self, problem: str, fix: str) -> NoReturn:
        """Raise the CatalogError."""
        raise CatalogError("%s: %s. %s." % (self.where, problem, fix))

    def keys(self, mapping: dict[str, Any], known: Sequence[str], what: str = "", required: Sequence[str] = ()) -> None:
        """Fail for an unknown key, and for a required one that is missing."""
        at = " of '%s'" % what if what else ""
        for key in mapping:
            if key not in known:
                self.fail(
                    "unknown key '%s'%s" % (key, at), "%sKnown keys are: %s" % (close_to(key, known), ", ".join(known))
                )
        for key in required:
            if key not in mapping:
                self.fail("key '%s'%s is missing" % (key, at), "Add '%s'" % key)

    def mapping(self, value: Any, what: str) -> dict[str, Any]:
        """Fail unless it is a mapping."""
        if not isinstance(value, dict):
            self.fail("'%s' must be a mapping, not %s" % (what, kind_of(value)), "Write it as 'key: value' lines")
        return value

    def text(self, value: Any, what: str) -> str:
        """Fail unless it is a string."""
        if not isinstance(value, str):
            self.fail("'%s' must be a string, not %s" % (what, kind_of(value)), "Put it in quotes")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            self.fail("'%s' has half of a character (a lone surrogate)" % what, "Write the whole one")
        return value

    def matches(self, value: Any, pattern: Pattern[str], what: str, limit: int, rule: str) -> str:
        """Fail unless it is a string of at most ``limit`` characters that the pattern matches."""
        self.text(value, what)
        if len(value) > limit or not pattern.match(value):
            self.fail("'%s' is not a valid %s" % (value, what), rule)
        return value

    def boolean(self, value: Any, what: str) -> bool:
        """Fail unless it is true or false."""
        # A templated flag arrives as a string; Ansible's own words for yes and no are accepted.
        if isinstance(value, str) and value.lower() in ("true", "yes", "on", "false", "no", "off"):
            return value.lower() in ("true", "yes", "on")
        if not isinstance(value, bool):
            self.fail("'%s' must be true or false, not %s" % (what, kind_of(value)), "Write true or false")
        return value

    def subdomain(self, value: Any, what: str, limit: int = 253) -> str:
        """Fail unless it is a DNS name, as most names of Kubernetes are."""
        rule = "Use at most %d lower case letters, digits, '-' and '.', with a letter or digit at both ends" % limit
        return self.matches(value, DNS_SUBDOMAIN, what, limit, rule)

    def label_key(self, value: Any, what: str) -> str:
        """Fail unless it can be the key of a label."""
        self.text(value, what)
        prefix, slash, name = value.rpartition("/")
        good = LABEL_NAME.match(name) and (not slash or (len(prefix) <= 253 and DNS_SUBDOMAIN.match(prefix)))
        if not good:
            self.fail(
                "'%s' is not a valid %s" % (value, what),
                "A label key is an optional DNS prefix and '/', then at most 63 letters, digits, '-', '_' and '.', "
                "such as 'secrets/my-secret'",
            )
        return value

    def secret_key(self, value: Any, what: str) -> str:
        """Fail unless it can be a key of a Secret."""
        return self.matches(value, SECRET_KEY, what, 253, "Use letters, digits, '-', '_' and '.' only")


def close_to(name: Any, known: Iterable[str]) -> str:
    """'Did you mean ...? ' for a name that is close to a known one, else nothing."""
    import difflib  # only on the way to an error

    close = difflib.get_close_matches(str(name), list(known), n=1)
    return "Did you mean '%s'? " % close[0] if close else ""


def kind_of(value: Any) -> str:
    names = {
        dict: "a mapping",
        list: "a list",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "empty",
    }
    for kind in (bool, dict, list, str, int, float, type(None)):
        if isinstance(value, kind):
            return names[kind]
    return type(value).__name__
