# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of check and diff mode."""

from __future__ import annotations


class ModuleDocFragment:
    """What a module that writes, or only reads, does in check and diff mode."""

    WRITES = r"""
attributes:
  check_mode:
    description: Predicts what a run does and changes nothing.
    support: full
  diff_mode:
    description: Shows what changes.
    support: full
"""

    READS = r"""
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
"""
