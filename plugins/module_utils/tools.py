# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools that keep writing objects, and by what one knows them."""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple


class Tool(NamedTuple):
    """How one tool is known: by the beginnings of its field managers, and the labels or annotations that it sets.

    ``accounts`` are, of a GitOps tool, the ServiceAccounts that its controllers run as by default, by field manager.
    """

    managers: Tuple[str, ...]
    marks: Tuple[str, ...] = ()
    accounts: Dict[str, str] = {}


TOOLS = {
    "Argo CD": Tool(
        ("argocd",),
        ("argocd.argoproj.io/instance", "argocd.argoproj.io/tracking-id"),
        dict.fromkeys(("argocd-controller", "argocd-application-controller"), "argocd-application-controller"),
    ),
    "Flux": Tool(
        ("kustomize-controller", "helm-controller"),
        ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"),
        {name: name for name in ("kustomize-controller", "helm-controller")},
    ),
    "helm": Tool(("helm",), ("meta.helm.sh/release-name",)),
    "Terraform": Tool(("terraform", "hashicorp")),
    "kapp": Tool(("kapp",), ("kapp.k14s.io/app",)),
}

#: Those that bring to the cluster what git has.
GITOPS = {name: tool for name, tool in TOOLS.items() if tool.accounts}

#: The ServiceAccount of a GitOps controller, by its field manager.
GITOPS_ACCOUNTS = {manager: account for tool in GITOPS.values() for manager, account in tool.accounts.items()}
