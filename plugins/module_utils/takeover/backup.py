# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of Secrets: what is in the encrypted file and in the digests beside it. Pure.

The digests are keyed by a salt that only the encrypted file holds: they show whether two files, or a file and a
cluster, are the same, and nobody without the vault password can try values against them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from ..desired.distribution import applied_by_us, fields_of
from ..errors import FileError
from ..resources import Object, key_of
from ..variables import dump_plain

VERSION = 2

#: Kubernetes makes these anew by itself, and they are worth nothing elsewhere.
_TOKEN = "kubernetes.io/service-account-token"

#: What tools write about their own last run.
_NOISE = ("kubectl.kubernetes.io/last-applied-configuration",)


def kept(secrets: list[Object]) -> list[Object]:
    """The live Secrets as a backup keeps them: manifests without what a cluster fills in, sorted by place."""
    manifests = []
    for item in secrets:
        if item.get("type") == _TOKEN:
            continue
        namespace, name = key_of(item)
        manifest: Object = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "type": item.get("type") or "Opaque",
            "data": dict(sorted((item.get("data") or {}).items())),
        }
        for part in ("labels", "annotations"):
            values = {key: value for key, value in (item["metadata"].get(part) or {}).items() if key not in _NOISE}
            if values:
                manifest["metadata"][part] = dict(sorted(values.items()))
        if item.get("immutable"):
            manifest["immutable"] = True
        manifests.append(manifest)
    return sorted(manifests, key=key_of)


def keys_of_ours(secrets: list[Object]) -> dict[str, list[str]]:
    """The keys of live Secrets that the collection applied, ``{"namespace/name": [key]}``: what leaves the values is to
    leave the Secret too, also after a restore."""
    by_place: dict[str, list[str]] = {}
    for item in secrets:
        records = item["metadata"].get("managedFields") or []
        keys = {key for record in records if applied_by_us(record) for key in fields_of(record, "data")}
        if keys:
            by_place["/".join(key_of(item))] = sorted(keys)
    return by_place


def document(secrets: list[Object], ours: dict[str, list[str]], taken: str, cluster: tuple[str, str], salt: str) -> str:
    """The text to encrypt.

    :arg secrets: as :func:`kept` returns them; :arg ours: as :func:`keys_of_ours` does; :arg taken: when;
        :arg cluster: (uid, URL) of the cluster; :arg salt: random text of at least 32 characters.
    """
    content = {
        "version": VERSION,
        "taken": taken,
        "cluster": cluster[0],
        "server": cluster[1],
        "salt": salt,
        "secrets": secrets,
        "ours": ours,
    }
    return dump_plain(content, "A backup of platform.cluster_secrets.")


def digests(secrets: list[Object], taken: str, server: str, salt: str) -> str:
    """The text of the file beside it: ``{"namespace/name": {key: keyed digest}}``."""
    by_place = {
        "/".join(key_of(item)): {key: _digest(value, salt) for key, value in item["data"].items()} for item in secrets
    }
    return json.dumps({"version": VERSION, "taken": taken, "server": server, "secrets": by_place}, indent=2) + "\n"


def _digest(encoded: str, salt: str) -> str:
    return hmac.new(salt.encode("ascii"), base64.b64decode(encoded), hashlib.sha256).hexdigest()


def parse(text: str, where: str) -> dict[str, Any]:
    """A backup's content from its decrypted text: ``taken``, ``cluster``, ``server``, ``salt``, ``secrets``, ``ours``.

    :arg where: the file, for errors.
    :raises FileError: when it is no backup; never quotes it.
    """
    import yaml

    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        content = None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise FileError("'%s' is not a backup that this version can read." % where)
    secrets = content.get("secrets")
    good = (
        isinstance(secrets, list)
        and all(isinstance(content.get(key), str) for key in ("taken", "cluster", "server", "salt"))
        and isinstance(content.get("ours"), dict)
        and all(_is_secret(item) for item in secrets)
    )
    if not good:
        raise FileError("the backup '%s' is damaged: not every Secret in it is whole." % where)
    return content


def _is_secret(item: Any) -> bool:
    try:
        texts = [item["metadata"]["name"], item["metadata"]["namespace"], item["type"], *item["data"].values()]
        for value in item["data"].values():
            base64.b64decode(value, validate=True)
    except (TypeError, KeyError, AttributeError, ValueError, binascii.Error):
        return False
    return item.get("kind") == "Secret" and all(isinstance(text, str) for text in texts)


def unlike(content: dict[str, Any], beside: Any) -> list[str]:
    """The 'namespace/name' of the Secrets in a backup that the digests beside it don't fit, sorted."""
    listed = beside.get("secrets") if isinstance(beside, dict) else None
    listed = listed if isinstance(listed, dict) else {}
    now = {
        "/".join(key_of(item)): {key: _digest(value, content["salt"]) for key, value in item["data"].items()}
        for item in content["secrets"]
    }
    return sorted(name for name in {*now, *listed} if now.get(name) != listed.get(name))
