# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Ansible runs the module of the same name, which needs the run's vault password."""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.plugin_utils.in_process import ControlNodeAction


class ActionModule(ControlNodeAction):
    """The module, always in Ansible's own process."""
