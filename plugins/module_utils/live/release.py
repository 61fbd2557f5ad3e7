# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""helm's own record of a release, as helm 3 keeps it in Secrets."""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

from .. import advisories
from ..errors import EsoError
from ..resources import SECRETS
from .state import time_of

if TYPE_CHECKING:
    import datetime

    from ..api.client import Client
    from ..resources import Object


class Record:
    """One revision of a release.

    ``chart`` (a name), ``chart_version`` and ``app_version`` are texts, ``values`` what was set besides the chart's own
    values ``defaults``. Neither of the two may be shown: they can hold a password.
    ``server_side`` is whether the API server merged it, as helm 4 has it do.
    """

    __slots__ = ("app_version", "chart", "chart_version", "defaults", "revision", "server_side", "values")

    def __init__(self, revision: int, document: dict[str, Any]) -> None:
        chart = document.get("chart") or {}
        meta = chart.get("metadata") or {}
        self.revision = revision
        self.chart = str(meta.get("name") or "")
        self.chart_version = str(meta.get("version") or "")
        self.app_version = str(meta.get("appVersion") or "")
        self.server_side = document.get("apply_method") == "ssa"
        self.values: dict[str, Any] = document.get("config") or {}
        self.defaults: dict[str, Any] = chart.get("values") or {}

    @property
    def number(self) -> advisories.Number | None:
        """The release of ESO that the chart installs, as (major, minor, patch), or None."""
        return advisories.parse(self.app_version)

    @property
    def installs_crds(self) -> bool:
        """Whether the CRDs are the chart's."""
        return bool(self.values.get("installCRDs", self.defaults.get("installCRDs", False)))


def deployed(client: Client, namespace: str, name: str) -> Record | None:
    """The latest revision of a release that helm finished, or None; an operation that was interrupted isn't one.

    :raises EsoError: when helm's record can't be read.
    """
    records = _listed(client, namespace, name, ",status in (deployed,superseded)")
    # An interruption may come when the old revision is superseded already and the new one is not deployed yet.
    newest = max(records, key=lambda item: (_status(item) == "deployed", _revision(item)), default=None)
    return _read(client, newest) if newest else None


def settled(client: Client, namespace: str, name: str) -> Record | None:
    """The latest revision of a release, or None when there is none or helm left an operation unfinished or failed.

    :raises EsoError: when helm's record can't be read.
    """
    records = _listed(client, namespace, name)
    if not records or any(_status(item) not in ("deployed", "superseded") for item in _of_now(records)):
        return None
    newest = max(records, key=_revision)
    return _read(client, newest) if _status(newest) == "deployed" else None


def _of_now(records: list[Object]) -> list[Object]:
    """The records without those that a later revision has overtaken, which failed once and are history."""
    done = max((_revision(item) for item in records if _status(item) == "deployed"), default=0)
    return [item for item in records if _revision(item) >= done]


def newest(client: Client, namespace: str, name: str) -> Record | None:
    """The latest revision of a release, finished or not, or None without any.

    :raises EsoError: when helm's record can't be read.
    """
    records = _listed(client, namespace, name)
    return _read(client, max(records, key=_revision)) if records else None


def _listed(client: Client, namespace: str, name: str, more: str = "") -> list[Object]:
    """The metadata of a release's records; they are large, so it says which to get."""
    selector = "owner=helm,name=%s%s" % (name, more)
    what = "cannot read helm's record"
    return client.list(SECRETS, namespace=namespace, selector=selector, partial=True, what=what)[0]


def _read(client: Client, record: Object) -> Record | None:
    meta = record["metadata"]
    item = client.get(SECRETS.path(meta["name"], meta["namespace"]), "cannot read helm's record")
    return Record(_revision(item), _document(item)) if item else None


def _status(item: Object) -> str:
    return str((item["metadata"].get("labels") or {}).get("status", ""))


def _revision(item: Object) -> int:
    number = (item["metadata"].get("labels") or {}).get("version", "")
    return int(number) if number.isdigit() else 0


def _document(item: Object) -> dict[str, Any]:
    try:
        packed = base64.b64decode(base64.b64decode(item["data"]["release"]))
        # helm before 3.0's end wrote records that are not packed.
        document = json.loads(gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed)
        if not isinstance(document, dict):
            raise ValueError
    except (KeyError, ValueError, OSError, EOFError, zlib.error):
        raise EsoError(
            "the Secret '%s' in namespace '%s' is not a record of helm that can be read."
            % (item["metadata"]["name"], item["metadata"]["namespace"])
        ) from None
    return document


#: The states of an operation that has not ended, or that failed.
_PENDING = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")

#: Seconds that helm may take beyond its own timeout, as for hooks and its last write.
_MARGIN = 15

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|m|s)")


def seconds_of(duration: str) -> float | None:
    """A duration as helm takes it ('5m', '1m30s', or seconds), in seconds; None for what is none."""
    if duration.isascii() and duration.isdigit():
        return float(duration)
    parts = _PART.findall(duration)
    if not parts or "".join(map("".join, parts)) != duration:
        return None
    return sum(float(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)


class Unfinished:
    """The record of an operation of helm that was interrupted, or failed, or may still be running.

    ``item`` is its Secret's metadata, with its kind; ``age`` is in seconds since it was written last, by the API
    server's clock.
    """

    def __init__(self, item: Object, now: datetime.datetime) -> None:
        self.item = {**item, "apiVersion": "v1", "kind": "Secret"}
        self.status = _status(item)
        self.revision = _revision(item)
        meta = item["metadata"]
        written = [meta["creationTimestamp"]] + [record.get("time") for record in meta.get("managedFields") or []]
        times = [one for one in map(time_of, written) if one]
        self.age = max(0.0, (now - max(times, default=now)).total_seconds())

    def may_run(self, timeout: float) -> bool:
        """Whether helm, which gives up after ``timeout`` seconds, may still be at it."""
        return self.status in _PENDING and self.age < timeout + _MARGIN


def unfinished(client: Client, namespace: str, name: str) -> list[Unfinished]:
    """The records of a release that are neither deployed nor superseded, nor older than what is, oldest first."""
    records = [item for item in _of_now(_listed(client, namespace, name)) if _status(item) in (*_PENDING, "failed")]
    return sorted((Unfinished(item, client.now()) for item in records), key=lambda one: one.revision)
