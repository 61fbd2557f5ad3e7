# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module show does."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.plain import plain
from ..plugin_utils.screen import show


class ActionModule(ActionBase):
    """Writes lines to the screen."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write them, and return them."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec({"lines": {"type": "list", "elements": "str", "required": True}})
        lines = [str(line) for line in plain(options["lines"])]
        several = len((task_vars or {}).get("ansible_play_hosts_all") or ()) > 1 and not self._task.run_once
        if not self._task.no_log:
            show(["", "%s:" % (task_vars or {}).get("inventory_hostname"), *lines] if several else lines)
        result.update(changed=False, lines=lines)
        return result
