# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module variables does."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ..module_utils.api.kubeconfig import connection
from ..module_utils.errors import ClusterSecretsError
from ..module_utils.module import AUTH_OPTIONS
from ..module_utils.report.text import place_text
from ..plugin_utils import specifications
from ..plugin_utils.in_process import InProcessAction
from ..plugin_utils.plain import plain
from ..plugin_utils.screen import show
from ..plugin_utils.vault import RunVault

# Before Ansible forks, so that the files are read once in a play and not once a host.
specifications.names()

#: Whether somebody types what Ansible asks for. Known only before Ansible forks, as are the specifications.
INTERACTIVE = os.isatty(0)

#: What may be long: where a template gives it, the task that takes it checks it, and only that task has it made.
_LONG = ("cluster_secrets_catalog", "cluster_secrets_catalog_extra")


_OPTIONS: dict[str, dict[str, Any]] = {
    "prefixes": {"type": "list", "elements": "str", "default": []},
    "cluster": {"type": "bool", "default": True},
}


class ActionModule(InProcessAction):
    """Checks variables."""

    _requires_connection = False
    _supports_check_mode = True

    def _options(self) -> dict[str, Any]:
        return {**AUTH_OPTIONS, **_OPTIONS}

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Name all that are wrong, and warn of those that are unknown."""
        with self._arguments():
            return self._checked(tmp, task_vars or {})

    def _checked(self, tmp: Any, given: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = ActionBase.run(self, tmp, given)
        _result, options = self.validate_argument_spec(self._options())
        problems = []
        for name, spec in specifications.specifications().items():
            if name not in given or not _is_checked(name, spec, given[name]):
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
        cluster = self._cluster(given) if options["cluster"] else None
        if cluster and not self._task.no_log:
            several = len(given.get("ansible_play_hosts_all") or ()) > 1
            prefix = "%s: " % given.get("inventory_hostname") if several else ""
            show(["%sCluster: %s" % (prefix, place_text(cluster))])
        typed = INTERACTIVE and RunVault(self._loader).is_typed()
        result.update(changed=False, unknown=list(unknown), cluster=cluster, vault_password_typed=typed)
        return result

    def _cluster(self, task_vars: dict[str, Any]) -> dict[str, Any] | None:
        """Where the host's connection leads; None where another machine makes it, or what uses it will say what is
        wrong with it."""
        if not self._same_place(task_vars):
            return None
        try:
            self._connect(task_vars)
            checked = ArgumentSpecValidator(self._options()).validate(plain(self._task.args))
            if checked.error_messages:
                return None
            return connection(checked.validated_parameters).place()
        except (AnsibleActionFail, ClusterSecretsError):
            return None


def _is_checked(name: str, spec: dict[str, Any], value: Any) -> bool:
    kind = spec.get("type", "str")
    if kind in ("dict", "list"):
        return not (name in _LONG and isinstance(value, str))
    return kind in ("bool", "int") or (kind == "str" and bool(spec.get("choices")))
