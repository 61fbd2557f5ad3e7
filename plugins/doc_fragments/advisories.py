# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option with the lists that ESO is judged by."""

from __future__ import annotations


class ModuleDocFragment:
    """What is known of ESO's releases."""

    DOCUMENTATION = r"""
options:
  advisories:
    description:
      - A YAML or JSON file or URL with lists of ESO's known vulnerabilities and of its minor releases' dates, each used
        instead of the collection's own. The operations guide describes its contents.
    type: str
"""
