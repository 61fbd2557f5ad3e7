# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules: who owns the objects."""

from __future__ import annotations


class ModuleDocFragment:
    """Who owns the objects."""

    DOCUMENTATION = r"""
options:
  owner:
    description:
      - With V(gitops), the objects come from files that M(platform.cluster_secrets.render) wrote. This module then
        writes none of them, but fails and names those that differ from the catalog. It only gives up the fields that it
        applied itself before, so that the new owner can remove them.
    type: str
    choices: [collection, gitops]
    default: collection
"""

    ADVICE = r"""
options:
  owner:
    description:
      - Who writes the stores, ClusterExternalSecrets and labels. With V(gitops), what is to be done about them is to be
        committed, and the module says so. What it writes itself does not depend on this.
    type: str
    choices: [collection, gitops]
    default: collection
"""
