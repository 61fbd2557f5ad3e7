# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are read and written whole."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from .errors import FileError

if TYPE_CHECKING:
    from .module import Vault


def write(path: str, text: str, what: str, private: bool = False) -> None:
    """Put ``text`` at ``path``, complete or not at all.

    A link stays, and what it points to is written; so does what is no file, such as /dev/stdout.

    :arg what: what the file is, for an error; :arg private: only the owner may read it.
    :raises FileError: when it can't be written.
    """
    path = os.path.realpath(path)
    staged = "%s.%d.tmp" % (path, os.getpid())
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "w", encoding="utf-8") as handle:
                handle.write(text)
            return
        # Another's file of this name, or a link of his, is not written into.
        if os.path.lexists(staged):
            os.unlink(staged)
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
        os.replace(staged, path)
    except OSError as error:
        raise FileError("cannot write the %s '%s': %s." % (what, path, error.strerror)) from None


def make_folder(path: str, mode: int = 0o777) -> None:
    """Make a folder and those above it, unless they are there. Raises FileError."""
    try:
        os.makedirs(path or ".", mode=mode, exist_ok=True)
    except OSError as error:
        raise FileError("cannot make the folder '%s': %s." % (path, error.strerror)) from None


def read(path: str, what: str) -> bytes:
    """The content of a file. Raises FileError."""
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except OSError as error:
        raise FileError("cannot read the %s '%s': %s." % (what, path, error.strerror)) from None


def download(url: str) -> bytes:
    """What a URL answers. Raises FileError."""
    from ansible.module_utils.urls import open_url

    try:
        content: bytes = open_url(url, timeout=30).read()
    except Exception as error:  # HTTPError, URLError, ssl and socket errors alike
        shown = re.sub(r"://[^/]*@", "://", url)
        raise FileError("cannot download '%s': %s." % (shown, str(error).replace(url, shown))) from None
    return content


def fetch(src: str, what: str) -> bytes:
    """The content of a file, or of what a URL answers. Raises FileError."""
    return download(src) if "://" in src else read(src, what)


def write_set(
    vault: Vault, dest: str, texts: dict[str, str], secret: dict[str, str], force: bool = False, dry: bool = False
) -> list[str]:
    """Write what differs of several files; none, when one is there and holds something else.

    :arg texts: the files' texts by their names below the folder ``dest``; :arg secret: those that are encrypted.
    :arg force: replace what is there; :arg dry: only say which.
    :returns: the names of the files that were (would be) written.
    :raises FileError: when a file is there and holds something else, or can't be written.
    """
    changing = []
    for name, text in {**texts, **secret}.items():
        path = os.path.join(dest, name)
        if not os.path.exists(path):
            changing.append(name)
            continue
        content = read(path, name)
        there = vault.decrypt(content, name) if name in secret else content.decode("utf-8", "replace")
        if there == text:
            continue
        if not force:
            raise FileError(
                "the file '%s' is there and holds something else. Nothing was written. Name another folder, or set "
                "'force: true' (in the playbooks, cluster_secrets_force)." % path
            )
        changing.append(name)
    encrypted = {name: vault.encrypt(text, "values") for name, text in secret.items() if name in changing}
    if not dry:
        for name in changing:
            path = os.path.join(dest, name)
            make_folder(os.path.dirname(path))
            write(path, {**texts, **encrypted}[name], name, private=name in secret)
    return changing
