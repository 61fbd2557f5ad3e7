# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module variables does."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils import specifications
from ..plugin_utils.plain import plain

# Before Ansible forks, so that the files are read once in a play and not once a host.
specifications.names()

#: What is worth a look before it is used: not what may be long, or looked up somewhere.
_CHECKED = ("bool", "int", "str")


class ActionModule(ActionBase):
    """Checks variables."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Name all that are wrong, and warn of those that are unknown."""
        given = task_vars or {}
        result: dict[str, Any] = super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec({"prefixes": {"type": "list", "elements": "str", "default": []}})
        problems = []
        for name, spec in specifications.specifications().items():
            kind = spec.get("type", "str")
            if name not in given or kind not in _CHECKED or (kind == "str" and not spec.get("choices")):
                continue
            value = plain(self._templar.template(given[name]))
            said = None if value is None and not spec.get("required") else specifications.problem(name, value)
            if said:
                problems.append(said)
        if problems:
            raise AnsibleActionFail("%s. No request was sent." % "; ".join(problems))
        unknown = specifications.unknown(given, list(options["prefixes"]))
        if unknown:
            result["warnings"] = [
                "the variable '%s' is none of this collection's. %s" % (name, close or "Is it misspelled?")
                for name, close in unknown.items()
            ]
        result.update(changed=False, unknown=list(unknown))
        return result
