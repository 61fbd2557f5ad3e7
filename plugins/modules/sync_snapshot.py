#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module sync_snapshot: remember all Secrets by salted digests, and compare later."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sync_snapshot
short_description: Take or compare a snapshot of salted digests of the master and target Secrets
version_added: 1.0.0
description:
  - Writes a file with one keyed digest for each Secret, under a random salt, and no value; or compares the cluster with such a file.
  - Meant for before and after an upgrade of the nodes or of ESO.
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
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.connection.reads
  - platform.cluster_secrets.connection.catalog
  - platform.cluster_secrets.connection.store_namespace
"""

EXAMPLES = r"""
- name: Remember what is there
  platform.cluster_secrets.sync_snapshot:
    catalog: "{{ cluster_secrets_catalog }}"
    path: /var/tmp/cluster-secrets.snapshot
    state: taken
"""

RETURN = r"""
secrets:
  description: How many Secrets the snapshot or the comparison covers.
  returned: always
  type: int
differences:
  description: Each Secret that differs, with how.
  returned: when O(state=compared)
  type: list
  elements: str
  sample: ["backstage/gh-oauth: changed key GITHUB_TOKEN"]
"""

import hashlib
import hmac
import json
import os

from ansible_collections.platform.cluster_secrets.plugins.module_utils import state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.common import CATALOG_OPTION, STORE_NAMESPACE_OPTION, run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.kube import KubeError

_FORMAT = 1

OPTIONS = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["taken", "compared"], "required": True},
    **CATALOG_OPTION,
    **STORE_NAMESPACE_OPTION,
}


def work(context):
    """Take or compare."""
    path = context.params["path"]
    version = context.eso_version()
    snapshot = state.read(context.client, context.entries, version, context.params["store_namespace"])
    if context.params["state"] == "taken":
        salt = os.urandom(32)
        digests = _digests(context, snapshot, salt)
        if not context.check_mode:
            _write(path, {"format": _FORMAT, "salt": salt.hex(), "secrets": digests})
        return {"changed": True, "secrets": len(digests)}
    saved = _load(path)
    now = _digests(context, snapshot, bytes.fromhex(saved["salt"]))
    differences = _compare(saved["secrets"], now)
    result = {"changed": False, "secrets": len(now), "differences": differences}
    if differences:
        result.update(failed=True, msg="%d Secret(s) differ from the snapshot: %s" % (len(differences), "; ".join(differences)))
    return result


def _digests(context, snapshot, salt):
    """{namespace/name: {"type": ..., "keys": {key: digest}}} of all masters and targets."""
    found = {}
    targets = {(row.namespace, row.entry.target) for row in state.judge(context.entries, snapshot)}
    for namespace, name in sorted(targets):
        secret = snapshot.secrets.get((namespace, name))
        if secret is not None:
            found["%s/%s" % (namespace, name)] = {"type": secret.get("type"), "keys": _digest(salt, namespace, name, state.decode(secret))}
    for name, data in sorted(snapshot.sources.items()):
        namespace = context.params["store_namespace"]
        found["%s/%s" % (namespace, name)] = {"type": None, "keys": _digest(salt, namespace, name, data)}
    return found


def _digest(salt, namespace, name, data):
    # The place is part of what is digested, so that equal values in two places don't show as equal.
    return {
        key: hmac.new(salt, b"\0".join([namespace.encode(), name.encode(), key.encode(), value]), hashlib.sha256).hexdigest()
        for key, value in sorted(data.items())
    }


def _compare(old, new):
    differences = []
    for place in sorted(set(old) | set(new)):
        if place not in new:
            differences.append("%s: is gone" % place)
        elif place not in old:
            differences.append("%s: is new" % place)
        else:
            differences.extend("%s: %s" % (place, text) for text in _changes(old[place], new[place]))
    return differences


def _changes(old, new):
    if old["type"] != new["type"]:
        yield "type is %s, was %s" % (new["type"], old["type"])
    for key in sorted(set(old["keys"]) | set(new["keys"])):
        if key not in new["keys"]:
            yield "lost key %s" % key
        elif key not in old["keys"]:
            yield "got key %s" % key
        elif old["keys"][key] != new["keys"][key]:
            yield "changed key %s" % key


def _write(path, document):
    staged = "%s.%d.tmp" % (path, os.getpid())
    try:
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            json.dump(document, handle, indent=1)
        os.replace(staged, path)
    except OSError as error:
        raise KubeError("cannot write the snapshot '%s': %s." % (path, error.strerror)) from None


def _load(path):
    try:
        with open(path, encoding="utf-8") as handle:
            saved = json.load(handle)
        if saved["format"] != _FORMAT or not isinstance(saved["secrets"], dict) or not bytes.fromhex(saved["salt"]):
            raise ValueError
    except OSError as error:
        raise KubeError("cannot read the snapshot '%s': %s. Take one first, with state=taken." % (path, error.strerror)) from None
    except (ValueError, KeyError, TypeError):
        raise KubeError("'%s' is not a snapshot. Take one with state=taken." % path) from None
    return saved


def main():
    """Run the module."""
    run_module(work, OPTIONS)


if __name__ == "__main__":
    main()
