#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module backup: the master Secrets in an encrypted file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Write the master Secrets to an ansible-vault file
version_added: 1.0.0
description:
  - Writes all Secrets of the central store's namespace, and the targets on request, to a file that is encrypted with
    the run's vault password before it touches the disk. Tokens of ServiceAccounts are left out.
  - A file of the same name with the suffix C(.digests.json) holds a digest of each value, keyed with a salt that only
    the encrypted file contains.
  - Runs on the control node, whatever the connection.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  check_mode:
    description: Says which files it would write.
    support: full
options:
  dest:
    description:
      - The path of the file. An existing file that already holds the same Secrets is left alone.
      - Without it, a file is created in O(backup_dir), with the cluster's address and the time in its name.
    type: path
  backup_dir:
    description: The folder for the file when no name is given.
    type: path
    default: cluster-secrets-backups
  targets:
    description: Whether to include the Secrets that ESO manages.
    type: bool
    default: false
  force:
    description: Whether to replace a file that holds other Secrets.
    type: bool
    default: false
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.reads
  - platform.cluster_secrets.store.namespace
seealso:
  - module: platform.cluster_secrets.restore
"""

EXAMPLES = r"""
- name: Back up the master Secrets
  platform.cluster_secrets.backup:
    dest: backups/today.vault.yml
"""

RETURN = r"""
path:
  description: The path of the file.
  returned: success
  type: str
secrets:
  description: The Secrets in the file, each as C(namespace/name).
  returned: success
  type: list
  elements: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

import os
from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import backups
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import ESO_MANAGED
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import NotReady
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import snapshot
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    STORE_NAMESPACE_OPTION,
    Context,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import SECRETS, key_of
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover import backup

OPTIONS: dict[str, dict[str, Any]] = {
    "dest": {"type": "path"},
    "backup_dir": {"type": "path", "default": "cluster-secrets-backups"},
    "targets": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    **STORE_NAMESPACE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Read the Secrets and write the file."""
    params, client = context.params, context.client
    by_place = {key_of(item): item for item in client.list(SECRETS, namespace=params["store_namespace"])[0]}
    if params["targets"]:
        by_place.update((key_of(item), item) for item in client.list(SECRETS, selector=ESO_MANAGED)[0])
    kept = backup.kept(list(by_place.values()))
    if not kept:
        raise NotReady("there is nothing to back up: namespace '%s' holds no Secret." % params["store_namespace"])
    folder = os.path.dirname(params["dest"]) if params["dest"] else params["backup_dir"]
    backups.refuse_passing(folder or ".", "cluster_secrets_backup_dir or cluster_secrets_backup_file")
    cluster = snapshot.identity(client)
    path = params["dest"] or backups.automatic(params["backup_dir"], client.server)
    written = backups.write(context.vault, path, list(by_place.values()), cluster, params["force"], context.check_mode)
    return {
        "changed": written,
        "path": path,
        "secrets": ["/".join(key_of(item)) for item in kept],
        "api_requests": client.requests,
    }


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
