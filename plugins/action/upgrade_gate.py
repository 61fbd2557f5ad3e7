# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Ansible runs the module of the same name.

All files of this text are alike: a tarball has no links, and for a ``redirect`` ansible-lint advises the wrong module.
"""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    """The module, in Ansible's own process where that makes no difference but time."""
