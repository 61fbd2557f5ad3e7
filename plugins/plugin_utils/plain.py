# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values without what Ansible adds to them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError


class PlainDict(dict):
    """A mapping that is plain already and that nobody changes, so that it is its own copy."""

    def __deepcopy__(self, memo: Any) -> PlainDict:
        return self


class PlainList(list):
    """A list of the same kind."""

    def __deepcopy__(self, memo: Any) -> PlainList:
        return self


#: What leads to the values of master Secrets, in the arguments of a task.
VALUES = ("values",)


#: The arguments whose keys are names that somebody wrote.
_NAMED = (*VALUES, "catalog")


def key_of(key: Any, where: tuple[str, ...]) -> str:
    """A key as JSON has it.

    :raises AnsibleError: below :data:`VALUES` and in a catalog, for what YAML makes of a text that is no text to it,
        such as on, no or 0644: as a text, it would be another than what is written there.
    """
    if isinstance(key, str):
        return str.__str__(key)
    if where[:1] and where[0] in _NAMED:
        raise AnsibleError(
            "%s: what is written there as a key is read by YAML as '%s'. Put the key in quotes."
            % (": ".join(where), key)
        )
    return str(key)


def plain(value: Any, where: tuple[str, ...] = ()) -> Any:
    """The value as JSON has it: neither vaulted, nor lazy, nor with Ansible's marks.

    :arg where: the keys that lead to it. :raises AnsibleError: below :data:`VALUES`, for what YAML makes of a text that
        is a date to it, or of binary data: as a text, it would be another than what is written there.
    """
    if isinstance(value, (PlainDict, PlainList)):
        return value
    if isinstance(value, Mapping):
        return {key_of(key, where): plain(item, (*where, str(key))) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, where) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (datetime.date, bytes, set)) and where[:1] == VALUES:
        kind, fix = "a date", "Put it in quotes."
        if not isinstance(value, datetime.date):
            kind, fix = "binary data", "Write 'base64: ...' below the key, without a tag."
        if isinstance(value, set):
            kind, fix = "a set", "Write a mapping or a list."
        raise AnsibleError("%s must be a string, not %s. %s" % (": ".join(where), kind, fix))
    # Of a text that ansible-core before 2.19 marks as unsafe, str() would keep the mark.
    return str.__str__(value) if isinstance(value, str) else str(value)
