# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Ansible runs the module init."""

from __future__ import annotations

import os
from typing import Any

from ansible import constants as C
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils.in_process import ControlNodeAction


class ActionModule(ControlNodeAction):
    """The module init, always in Ansible's own process: it needs the run's vault password."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module; what an ansible.cfg says of collections is said in the folder, too, whose own one counts."""
        value, origin = C.config.get_config_value_and_origin("COLLECTIONS_PATHS")
        if os.path.isabs(str(origin)) and "collections_path" not in self._task.args:
            self._task.args = {**self._task.args, "collections_path": list(value)}
        return super().run(tmp, task_vars)
