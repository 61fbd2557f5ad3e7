# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What many clusters' states say together: which are well, and whether all hold the same values. Pure."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Collection

from .errors import CatalogError

SYNCED = "synced"


def digest(source: dict[str, bytes], keys: Collection[str], key: str) -> str:
    """A digest of some keys of a master Secret, ``{key: bytes}``, that tells nothing without the run's ``key``."""
    mac = hmac.new(key.encode("utf-8"), digestmod=hashlib.sha256)
    for name in sorted(keys):
        value = source.get(name)
        text = name.encode("utf-8")
        mac.update(b"%d:%s" % (len(text), text))
        mac.update(b"-" if value is None else b"%d:%s" % (len(value), value))
    return mac.hexdigest()


class Fleet:
    """The clusters of a run, judged.

    ``rows`` are (cluster, namespace, secret, status, message), ``unreachable`` maps clusters to why nothing is known of
    them, ``broken`` are (cluster, what its targets need and is broken or has ended), ``drifted`` maps sources to the
    clusters whose values differ from those of most, ``compared`` are the clusters whose values were.
    """

    __slots__ = ("broken", "clusters", "compared", "drifted", "rows", "unreachable")

    def __init__(self, results: dict[str, Any], may_differ: Collection[str] = ()) -> None:
        """:arg results: what sync_info returned for each cluster; :arg may_differ: sources that clusters have of their
        own. :raises CatalogError: for a result of something else."""
        self.clusters = list(results)
        self.rows: list[tuple[str, str, str, str, str]] = []
        self.unreachable: dict[str, str] = {}
        self.compared: set[str] = set()
        self.broken: list[tuple[str, str]] = []
        digests: dict[str, dict[str, str]] = {}
        for name, result in results.items():
            if not isinstance(result, dict) or not isinstance(result.get("rows", []), list):
                raise CatalogError("clusters: '%s' must be a result of sync_info." % name)
            if "rows" not in result:
                self.unreachable[name] = str(result.get("msg") or "nothing is known of it")
                continue
            self.rows += [
                (name, str(row["namespace"]), str(row["secret"]), str(row["status"]), str(row.get("message") or ""))
                for row in result["rows"]
            ]
            for cause in result.get("causes") or ():
                said = "the chain to %s breaks at: %s. %s" % (cause["object"], cause["step"], cause["message"])
                self.broken.append((name, said))
            self.broken += [(name, str(text)) for text in result.get("ended") or ()]
            if "digests" in result:
                self.compared.add(name)
            for source, value in (result.get("digests") or {}).items():
                digests.setdefault(source, {})[name] = value
        self.drifted = {
            source: odd for source, odd in ((name, _odd(values)) for name, values in sorted(digests.items())) if odd
        }
        for source in may_differ:
            self.drifted.pop(source, None)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many pairs of each cluster are in each status."""
        by_cluster: dict[str, dict[str, int]] = {name: {} for name in self.clusters}
        for name, _namespace, _secret, status, _message in self.rows:
            by_cluster[name][status] = by_cluster[name].get(status, 0) + 1
        return by_cluster

    def unsynced(self) -> list[tuple[str, str, str, str, str]]:
        """The rows that are not synced."""
        return [row for row in self.rows if row[3] != SYNCED]

    def problem(self) -> str | None:
        """What is not well, in one sentence, or None."""
        parts = []
        if self.unreachable:
            parts.append("nothing is known of %s" % ", ".join(sorted(self.unreachable)))
        if not self.rows and len(self.unreachable) < len(self.clusters):
            parts.append("no cluster's catalog gives anything that was asked for")
        unsynced = sorted({row[0] for row in self.unsynced()})
        if unsynced:
            parts.append("not all targets are synced in %s" % ", ".join(unsynced))
        broken = sorted({name for name, _said in self.broken} - set(unsynced))
        if broken:
            parts.append("something that targets need is broken or has expired in %s" % ", ".join(broken))
        if self.drifted:
            shown = ["%s in %s" % (source, ", ".join(names)) for source, names in self.drifted.items()]
            parts.append("the values differ from those of most clusters: %s" % "; ".join(shown))
        return "; ".join(parts) + "." if parts else None


def _odd(digests: dict[str, str]) -> list[str]:
    """The clusters that don't hold what most do; all of them when there is no most."""
    holders: dict[str, list[str]] = {}
    for name, value in digests.items():
        holders.setdefault(value, []).append(name)
    if len(holders) <= 1:
        return []
    ordered = sorted(holders.values(), key=len, reverse=True)
    usual = ordered[0] if len(ordered[0]) > len(ordered[1]) else []
    return sorted(name for name in digests if name not in usual)
