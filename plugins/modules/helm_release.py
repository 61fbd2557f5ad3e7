#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module helm_release: kubernetes.core.helm with the connection of the collection."""

from __future__ import annotations

DOCUMENTATION = r"""
module: helm_release
short_description: Run kubernetes.core.helm with the collection's connection
version_added: 1.0.0
description:
  - Resolves the connection as all modules of the collection do, so that helm uses the same cluster, and runs
    C(kubernetes.core.helm) with it.
  - helm gets the connection as an in-memory kubeconfig. Cluster settings in the environment (E(KUBECONFIG),
    E(K8S_AUTH_HOST), E(HELM_KUBECONTEXT) and so on) do not reach it.
  - Options that a kubeconfig cannot express (O(proxy_headers) other than C(proxy_basic_auth)) are refused.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows what kubernetes.core.helm shows.
    support: partial
options:
  options:
    description: The options of C(kubernetes.core.helm), except for those of the connection.
    type: dict
    required: true
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
"""

EXAMPLES = r"""
- name: Uninstall ESO
  platform.cluster_secrets.helm_release:
    options:
      name: external-secrets
      release_namespace: external-secrets
      state: absent
"""

RETURN = r"""
status:
  description: >-
    As returned by C(kubernetes.core.helm), like everything else, but without the values under their deprecated name.
  returned: success
  type: dict
changes:
  description: The release, if helm changed it or would.
  returned: success
  type: list
  elements: dict
  sample: [{kind: Helm release, namespace: external-secrets, name: external-secrets, result: applied}]
"""

from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import FileError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context, run_module

OPTIONS: dict[str, dict[str, Any]] = {"options": {"type": "dict", "required": True}}


def run(context: Context) -> dict[str, Any]:
    """Refuse: the action of this name does the work."""
    raise FileError("helm_release is run by Ansible's action of that name, and can't be run alone.")


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
