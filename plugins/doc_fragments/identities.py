# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options that say who is who."""

from __future__ import annotations


class ModuleDocFragment:
    """ESO's ServiceAccount, and the platform's users and groups."""

    NAMESPACE = r"""
options:
  eso_namespace:
    description: The namespace of ESO.
    type: str
    default: external-secrets
"""

    ESO = r"""
options:
  eso_namespace:
    description: The namespace of ESO.
    type: str
    default: external-secrets
  eso_service_account:
    description: The ServiceAccount of ESO's controller.
    type: str
    default: external-secrets
"""

    PLATFORM = r"""
options:
  platform_users:
    description:
      - Users that count as the platform, such as C(system:serviceaccount:argocd:argocd-application-controller).
    type: list
    elements: str
    default: []
  platform_groups:
    description: Groups that count as the platform.
    type: list
    elements: str
    default: [system:masters, "kubeadm:cluster-admins"]
"""
