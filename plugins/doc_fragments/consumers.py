# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option consumer_paths."""

from __future__ import annotations


class ModuleDocFragment:
    """Where else targets are named."""

    DOCUMENTATION = r"""
options:
  consumer_paths:
    description: Fields of custom resources that name a Secret, in addition to those of workloads, ServiceAccounts and
      Ingresses. A kind that the cluster does not serve is skipped.
    type: list
    elements: dict
    default: []
    suboptions:
      api_version:
        description: The API version, such as V(cert-manager.io/v1).
        type: str
        required: true
      kind:
        description: The kind.
        type: str
        required: true
      path:
        description: The path to the field, with V([]) after the name of a list, such as V(spec.tls[].secretName). The
          field holds a name, or an object with a C(name) and optionally a C(key).
        type: str
        required: true
      plural:
        description: The kind's plural name in the API. By default, the kind in lower case with an C(s) appended.
        type: str
      namespace:
        description: The namespace of the Secrets, for a cluster-scoped kind.
        type: str
"""
