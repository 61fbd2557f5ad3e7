#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kubeconfig: the connection as a file, for other programs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig
short_description: Write the connection as a kubeconfig, for kubectl or helm
version_added: 1.0.0
description:
  - Resolves the connection options as all modules of the collection do, and writes the result as a kubeconfig that
    needs no other file, except for one with a token that others renew.
  - The file holds credentials, so only its owner may read it. Remove it when it is no longer needed.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: It shows nothing, since the file holds credentials.
    support: none
options:
  dest:
    description: The path of the file. Without it, a new one is made in the folder for temporary files.
    type: path
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
"""

EXAMPLES = r"""
- name: Write the connection of this host for kubectl
  platform.cluster_secrets.kubeconfig:
    dest: "/tmp/{{ inventory_hostname }}.kubeconfig"
"""

RETURN = r"""
dest:
  description: The path of the file.
  returned: when there is one
  type: str
server:
  description: The URL of the API.
  returned: success
  type: str
"""

import json
import os
import tempfile
from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import files
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.kubeconfig import connection
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context, run_module

OPTIONS: dict[str, dict[str, Any]] = {"dest": {"type": "path"}}


def run(context: Context) -> dict[str, Any]:
    """Resolve the connection and write the file."""
    dest, target = context.params["dest"], connection(context.params)
    text = json.dumps(target.kubeconfig(), indent=2) + "\n"
    if not dest and not context.check_mode:
        descriptor, dest = tempfile.mkstemp(prefix="kubeconfig")
        os.close(descriptor)
    if not dest:
        return {"changed": True, "server": target.server}
    # One that others can read is written anew.
    private = os.path.exists(dest) and not os.stat(dest).st_mode & 0o077
    changed = not private or files.read(dest, "kubeconfig") != text.encode("utf-8")
    if changed and not context.check_mode:
        files.write(dest, text, "kubeconfig", private=True)
    return {"changed": changed, "server": target.server, "dest": dest}


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
