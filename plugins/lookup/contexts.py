# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup contexts: those of the kubeconfig."""

from __future__ import annotations

DOCUMENTATION = r"""
name: contexts
short_description: The contexts of the kubeconfig
version_added: 1.0.0
description:
  - Returns the names of the contexts in the file that E(K8S_AUTH_KUBECONFIG) or E(KUBECONFIG) names, or in
    C(~/.kube/config), with the current one first, or nothing if there is no such file.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
"""

EXAMPLES = r"""
- name: Show them
  ansible.builtin.debug:
    msg: "{{ query('platform.cluster_secrets.contexts') }}"
"""

RETURN = r"""
_raw:
  description: The names.
  type: list
  elements: str
"""

import os
from typing import Any

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """The contexts of the kubeconfig."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **_options: Any) -> list[str]:
        """Their names, the current one first."""
        try:
            from kubernetes import config

            path = os.environ.get("K8S_AUTH_KUBECONFIG") or os.environ.get("KUBECONFIG")
            contexts, current = config.list_kube_config_contexts(path)
        except Exception:
            # Without one, or with one that can't be read, there is nothing to choose from.
            return []
        names = [str(context["name"]) for context in contexts]
        first = str((current or {}).get("name", ""))
        return sorted(names, key=lambda name: (name != first, name))
