# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the catalog option."""

from __future__ import annotations


class ModuleDocFragment:
    """The catalog."""

    DOCUMENTATION = r"""
options:
  catalog:
    description:
      - The catalog, a list of entries. C(docs/reference.md) of the collection describes their keys.
      - Entries with C(enabled=false) are left out.
    type: list
    elements: dict
    required: true
"""
