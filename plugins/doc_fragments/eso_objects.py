# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options for objects of ESO."""

from __future__ import annotations


class ModuleDocFragment:
    """How objects of ESO are applied."""

    DOCUMENTATION = r"""
options:
  force_conflicts:
    description: Whether to take over fields that another field manager has set to something else.
    type: bool
    default: true
  assume_installed:
    description: In check mode, assume that the run installs the External Secrets Operator first.
    type: bool
    default: false
"""
