#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sync_snapshot: save salted digests of the master and target Secrets, and compare later."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sync_snapshot
short_description: Take or compare a snapshot of salted digests of the master and target Secrets
version_added: 1.0.0
description:
  - Writes a file with a digest of each value, made with scrypt and a random salt, but with no values, and with the
    names of all stores, ExternalSecrets and ClusterExternalSecrets of the cluster that are ready. Or compares the
    cluster with such a file.
  - Intended for use before and after an upgrade of the nodes or of ESO.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  check_mode:
    description: Writes no file.
    support: full
options:
  path:
    description: The snapshot's file, on the host that the module runs on. It is written with mode 0600.
    type: path
    required: true
  state:
    description: V(taken) writes the file, V(compared) compares with it and fails on any difference.
    type: str
    choices: [taken, compared]
    required: true
  except_namespaces:
    description: Namespaces whose targets, and objects of ESO, are not compared.
    type: list
    elements: str
    default: []
  mark:
    description:
      - A text that names the upgrade. If given, V(taken) keeps the file of the same upgrade once it has made progress
        since, and V(compared) succeeds without a file of it, and removes the file if nothing differs.
    type: str
  progress:
    description: With O(mark), a text that says how far the upgrade has come, such as the revision of the helm release.
      As long as it is the same, an earlier run has changed nothing, and its file is replaced.
    type: str
    default: ""
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.reads
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store.namespace
"""

EXAMPLES = r"""
- name: Take a snapshot
  platform.cluster_secrets.sync_snapshot:
    catalog: "{{ cluster_secrets_catalog }}"
    path: /var/tmp/cluster-secrets.snapshot
    state: taken
"""

RETURN = r"""
secrets:
  description: How many Secrets the snapshot or the comparison covers.
  returned: success, or failure because of what was found
  type: int
rotated:
  description: The Secrets whose values the collection itself changed since the snapshot was taken, which does not count
    as a loss, each as C(namespace/name).
  returned: when O(state=compared)
  type: list
  elements: str
differences:
  description: Each Secret that differs, with the difference, and each object of the catalog, or of the whole cluster,
    that was ready and no longer is. A tenant's own, what is new, and what went with its namespace, unless the catalog
      lists that, are named in a warning.
  returned: when O(state=compared)
  type: list
  elements: str
  sample: ["backstage/gh-oauth: changed key GITHUB_TOKEN"]
"""

import hashlib
import hmac
import json
import os
from typing import Any, Iterator

from ansible_collections.platform.cluster_secrets.plugins.module_utils import backups, files
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.consumers import maker
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import FileError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import snapshot, state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    STORE_NAMESPACE_OPTION,
    Context,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    ESO_GROUP,
    decode,
    holds_true,
    label_of,
    resource_of,
    shortened,
)

_FORMAT = 3

#: What one guess of a value costs who has the file: 32 MiB and about a tenth of a second.
_COST = {"n": 2**15, "r": 8, "p": 1, "maxmem": 2**26}

OPTIONS: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["taken", "compared"], "required": True},
    "mark": {"type": "str"},
    "progress": {"type": "str", "default": ""},
    "except_namespaces": {"type": "list", "elements": "str", "default": []},
    **CATALOG_OPTION,
    **STORE_NAMESPACE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Take or compare."""
    path = context.params["path"]
    version = context.eso_version()
    taking = context.params["state"] == "taken"
    mark, progress = context.params["mark"], context.params["progress"]
    cluster, _server = snapshot.identity(context.client)
    if mark is None and taking and _before(path, "taken").get("mark") is not None:
        raise FileError(
            "the snapshot '%s' is of an upgrade that was interrupted and is to be compared with its beginning. Run "
            "that again, or remove the file if it is of no use." % path
        )
    if mark is not None and taking and backups.is_passing(os.path.dirname(path) or "."):
        context.warn(
            "AWX removes the folder of the snapshot '%s' when this job ends, so that a rerun can't compare with the "
            "beginning. Set 'cluster_secrets_snapshot_dir' to a folder that is mounted into the execution environment."
            % path
        )
    if mark is not None:
        saved = _before(path, context.params["state"])
        same = saved.get("mark") == mark
        if saved.get("mark") is not None:
            _refuse_anothers(saved, cluster, path)
        if taking and same and saved["progress"] != progress:
            return {"changed": False, "secrets": len(saved["secrets"])}
        if not taking and not same:
            return {"changed": False, "secrets": 0, "differences": [], "rotated": []}
    taken = snapshot.read(context.client, context.entries, version, context.params["store_namespace"])
    if taking:
        salt = os.urandom(32)
        digests = _digests(context, taken, salt)
        if not context.check_mode:
            ready = sorted(label for label, said in _conditions(context, taken, version).items() if said is None)
            document = {
                "format": _FORMAT,
                "taken": state.utcnow().strftime(state.TIME),
                "salt": salt.hex(),
                "secrets": digests,
                "ready": ready,
                "mark": mark,
                "progress": progress,
                "cluster": cluster,
            }
            files.make_folder(os.path.dirname(path))
            files.write(path, json.dumps(document, indent=1), "snapshot", private=True)
        return {"changed": True, "secrets": len(digests)}
    saved = _load(path)
    _refuse_anothers(saved, cluster, path)
    now = _digests(context, taken, bytes.fromhex(saved["salt"]))
    rotated = _rotated(context, taken, saved)
    left_out = tuple("%s/" % name for name in context.params["except_namespaces"])
    of_tenants: list[str] = []
    differences: list[str] = []
    # Any tenant can have a namespace made, or take it away, while this lasts.
    listed = {name for entry in context.entries for name in (*entry.namespaces, *entry.namespaces_by_name)}
    listed.add(context.params["store_namespace"])
    lasting = listed.union(
        name for name, item in taken.namespaces.items() if "deletionTimestamp" not in item["metadata"]
    )
    for place, what in _compare(saved["secrets"], now, rotated):
        no_loss = what == _NEW or (what == _GONE and place.partition("/")[0] not in lasting)
        if not place.startswith(left_out):
            (of_tenants if no_loss else differences).append("%s: %s" % (place, what))
    said = _conditions(context, taken, version)
    ours = _of_catalog(context, taken)
    for label in saved["ready"]:
        _kind, _space, place = label.partition(" ")
        if not said.get(label) or place.startswith(left_out):
            continue
        text = "%s: was ready, and is not: %s" % (label, said[label])
        # Any tenant can make one, and break it.
        (of_tenants if "/" in place and label not in ours else differences).append(text)
    if of_tenants:
        context.warn("no loss: %s" % shortened(of_tenants, separator="; "))
    result = {"changed": False, "secrets": len(now), "differences": differences, "rotated": sorted(rotated)}
    if differences:
        result.update(
            failed=True,
            msg="%d thing(s) differ from the snapshot '%s': %s. Remove the file once you know why."
            % (len(differences), path, "; ".join(differences)),
        )
    elif mark is not None and not context.check_mode:
        os.remove(path)
    return result


def _before(path: str, wanted: str) -> dict[str, Any]:
    """The snapshot that is there, or an empty mapping. What is none makes way for one that is ``taken``."""
    try:
        return _load(path) if os.path.exists(path) else {}
    except FileError:
        if wanted == "compared":
            raise
        return {}


def _refuse_anothers(saved: dict[str, Any], cluster: str, path: str) -> None:
    """Raise FileError for the snapshot of another cluster: hosts of several inventories may have one name."""
    if saved["cluster"] != cluster:
        raise FileError(
            "the snapshot '%s' is of another cluster (uid %s; this one is %s). Give each a folder of its own "
            "(cluster_secrets_snapshot_dir), or remove the file if it is of no use." % (path, saved["cluster"], cluster)
        )


def _conditions(context: Context, taken: snapshot.Snapshot, version: str) -> dict[str, str | None]:
    """What ESO says of each of its objects that is not ready, None for those that are, by kind and place."""
    api = "%s/%s" % (ESO_GROUP, version)
    kinds = ("ClusterSecretStore", "SecretStore", "ClusterExternalSecret")
    lists = context.client.each(lambda kind: context.client.list(resource_of(api, kind), missing_ok=True)[0], kinds)
    by_label = {label_of(kind, item): item for kind, items in zip(kinds, lists) for item in items}
    by_label.update((label_of("ExternalSecret", item), item) for item in taken.externals.values())
    return {
        label: None if holds_true(item, "Ready") else state.said_by(item) or "ESO has not looked at it"
        for label, item in by_label.items()
    }


def _of_catalog(context: Context, taken: snapshot.Snapshot) -> set[str]:
    """The ExternalSecrets, by kind and place, that the catalog's ClusterExternalSecrets make."""
    names = {entry.name: entry.external_secret for entry in context.entries}
    return {
        label_of("ExternalSecret", item)
        for (_namespace, name), item in taken.externals.items()
        if names.get(maker(item) or "") == name
    }


def _digests(context: Context, taken: snapshot.Snapshot, salt: bytes) -> dict[str, Any]:
    """{namespace/name: {"type": ..., "keys": {key: digest}}} of all masters and targets."""
    digests: dict[str, Any] = {}
    digest = _Digest(salt)
    targets = {(row.namespace, row.entry.target) for row in state.judge(context.entries, taken)}
    for namespace, name in sorted(targets):
        secret = taken.secrets.get((namespace, name))
        if secret is not None:
            digests["%s/%s" % (namespace, name)] = {
                "type": secret.get("type"),
                "keys": digest.of(namespace, name, decode(secret)),
            }
    for name, data in sorted((taken.sources or {}).items()):
        namespace = context.params["store_namespace"]
        digests["%s/%s" % (namespace, name)] = {"type": None, "keys": digest.of(namespace, name, data)}
    return digests


class _Digest:
    """Digests that are slow to guess back, made once for each value and not for each of its copies."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._slow: dict[bytes, bytes] = {}

    def of(self, namespace: str, name: str, data: dict[str, bytes]) -> dict[str, str]:
        """{key: digest} of a Secret's values."""
        return {key: self._one((namespace, name, key), value) for key, value in sorted(data.items())}

    def _one(self, place: tuple[str, ...], value: bytes) -> str:
        if value not in self._slow:
            self._slow[value] = hashlib.scrypt(value, salt=self._salt, **_COST)
        # The place is part of what is digested, so that equal values in two places don't show as equal.
        return hmac.new(self._slow[value], b"\0".join(part.encode() for part in place), hashlib.sha256).hexdigest()


def _rotated(context: Context, now: snapshot.Snapshot, saved: dict[str, Any]) -> set[str]:
    """The places whose values the collection itself changed since the snapshot, and that hold the new ones."""
    try:
        taken = state.parse_time(saved.get("taken") or "")
    except ValueError:
        return set()
    sources = {name for name, when in now.rotated.items() if when >= taken}
    rows = state.judge(context.entries, now)
    held = [row for row in rows if not sources.isdisjoint(row.entry.sources) and row.status == state.SYNCED]
    places = {"%s/%s" % row.key for row in held}
    return places | {"%s/%s" % (context.params["store_namespace"], name) for name in sources}


_GONE = "is gone"
_NEW = "is new"


def _compare(old: dict[str, Any], new: dict[str, Any], rotated: set[str]) -> Iterator[tuple[str, str]]:
    """Each difference, as (namespace/name, what it is)."""
    for place in sorted(set(old) | set(new)):
        if place not in new:
            yield place, _GONE
        elif place in rotated:
            continue
        elif place not in old:
            yield place, _NEW
        else:
            yield from ((place, text) for text in _changes(old[place], new[place]))


def _changes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    if old["type"] != new["type"]:
        yield "type is %s, was %s" % (new["type"], old["type"])
    for key in sorted(set(old["keys"]) | set(new["keys"])):
        if key not in new["keys"]:
            yield "lost key %s" % key
        elif key not in old["keys"]:
            yield "new key %s" % key
        elif old["keys"][key] != new["keys"][key]:
            yield "changed key %s" % key


def _load(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as handle:
            saved = json.load(handle)
        is_mine = isinstance(saved["secrets"], dict) and isinstance(saved["ready"], list)
        if saved["format"] != _FORMAT or not is_mine or not bytes.fromhex(saved["salt"]):
            raise ValueError
    except OSError as error:
        raise FileError(
            "cannot read the snapshot '%s': %s. Take one first, with state=taken." % (path, error.strerror)
        ) from None
    except (ValueError, KeyError, TypeError):
        raise FileError("'%s' is not a snapshot. Take one with state=taken." % path) from None
    return saved


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
