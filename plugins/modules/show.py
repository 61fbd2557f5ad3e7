#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module show: its documentation. The action plugin of this name is what runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: show
short_description: Write lines of text to the screen as they are
version_added: 1.0.0
description:
  - Writes a table, such as RV(platform.cluster_secrets.sync_info#module:table), without the quotes and brackets of
    the action C(debug).
  - On a terminal, the table is coloured by the states in it, and its last column is wrapped to the terminal's width,
    below the others if they leave no room. Lines after an empty line are left as they are.
  - With a callback whose output is for programs, such as C(json), nothing is written. The lines are in the result.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  lines:
    description: The lines.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Writes the same.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: N/A
  platform:
    description: Runs in Ansible itself, on the control node.
    support: full
    platforms: all
"""

EXAMPLES = r"""
- name: Show who has what
  platform.cluster_secrets.show:
    lines: "{{ pairs.table }}"
"""

RETURN = r"""
lines:
  description: The lines.
  returned: success
  type: list
  elements: str
"""
