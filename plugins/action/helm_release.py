# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module helm_release does."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any, Iterator
from urllib.parse import urlsplit

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.kubeconfig import Connection, connection
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import ClusterSecretsError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import AUTH_OPTIONS, spellings
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils.in_process import InProcessAction
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils.plain import plain

#: What says which cluster, to kubernetes.core and to helm, in the environment.
_SAID = (
    *("K8S_AUTH_" + name for name in ("KUBECONFIG", "CONTEXT", "HOST", "API_KEY", "SSL_CA_CERT", "VERIFY_SSL")),
    *("HELM_KUBE" + name for name in ("APISERVER", "ASGROUPS", "ASUSER", "CAFILE", "CONTEXT", "TOKEN")),
    *("HELM_KUBE" + name for name in ("INSECURE_SKIP_TLS_VERIFY", "TLS_SERVER_NAME")),
    "HELM_NAMESPACE",
)

_HELM = "kubernetes.core.helm"


class ActionModule(InProcessAction):
    """Resolves the connection, and runs kubernetes.core.helm with it."""

    #: What the environment of helm has besides, while it runs.
    _added: Mapping[str, str] | None = None

    def _run(self, tmp: Any, task_vars: dict[str, Any]) -> dict[str, Any]:
        if self._task.async_val:
            raise AnsibleActionFail("helm_release can't be run with 'async'. Take it away.")
        self._connect(task_vars)
        self._place_paths()
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        checked = ArgumentSpecValidator(self._options()).validate(plain(self._task.args))
        if checked.error_messages:
            raise AnsibleActionFail(checked.errors.msg)
        options = checked.validated_parameters["options"]
        here = self._connection.transport == "local" and not self._connection.become
        try:
            with self._local(checked.validated_parameters) if here else self._remote(task_vars) as added:
                self._added = added
                try:
                    result.update(self._execute_module(module_name=_HELM, module_args=options, task_vars=task_vars))
                finally:
                    self._added = None
        except ClusterSecretsError as error:
            raise AnsibleActionFail(str(error)) from None
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        made = {"kind": "Helm release", "name": options.get("name"), "namespace": options.get("release_namespace")}
        result["changes"] = [{**made, "result": "applied"}] if result.get("changed") else []
        return result

    @contextmanager
    def _local(self, params: Mapping[str, Any]) -> Iterator[dict[str, str]]:
        """The environment for helm on this machine; the kubeconfig is gone once the block, or this process, ends."""
        with self._task_environment():
            target = connection(params)
            text = json.dumps(target.kubeconfig()).encode("utf-8")
            without_proxy = _without_proxy(target)
        memory = hasattr(os, "memfd_create") and os.path.exists("/proc/self/fd")
        descriptor, path = (os.memfd_create("kubeconfig"), "") if memory else tempfile.mkstemp()
        try:
            os.fchmod(descriptor, 0o600)
            os.write(descriptor, text)
            yield {**without_proxy, "KUBECONFIG": path or "/proc/%d/fd/%d" % (os.getpid(), descriptor)}
        finally:
            os.close(descriptor)
            if path:
                os.unlink(path)

    @contextmanager
    def _remote(self, task_vars: dict[str, Any]) -> Iterator[dict[str, str]]:
        """The environment for helm elsewhere, where the connection means something else, as the task's user."""
        self._refuse_to_leave_values()
        names = {name for option, spec in AUTH_OPTIONS.items() for name in spellings(option, spec)}
        arguments = {name: value for name, value in self._task.args.items() if name in names}
        self._task.check_mode, check_mode = False, self._task.check_mode
        try:
            written = self._execute_module(
                module_name="platform.cluster_secrets.kubeconfig",
                module_args=arguments,
                task_vars=task_vars,
            )
        finally:
            self._task.check_mode = check_mode
        if written.get("failed"):
            raise AnsibleActionFail(str(written.get("msg")))
        try:
            yield {"KUBECONFIG": written["dest"]}
        finally:
            self._low_level_execute_command("rm -f %s" % shlex.quote(written["dest"]), sudoable=True)

    def _parse_returned_data(self, res: Any, *more: Any) -> Any:
        """See ActionBase. Since ansible-core 2.21, a warning that is in what a module wrote is shown in any case."""
        return super()._parse_returned_data({**res, "stdout": _without_values(res["stdout"])}, *more)

    def _compute_environment_string(self, raw_environment_out: dict[str, Any] | None = None) -> str:
        """See ActionBase; for helm, without what says another cluster, and with what says ours."""
        assignments = str(super()._compute_environment_string(raw_environment_out))
        if self._added is None:
            return assignments
        unset = " ".join("-u " + name for name in _SAID)
        added = " ".join("%s=%s" % (name, shlex.quote(value)) for name, value in self._added.items())
        # What the task's own environment says of it is unset, too.
        return "env %s env %s %s" % (assignments, unset, added)


def _without_values(text: str) -> str:
    """What kubernetes.core.helm wrote, without the release's values, and the warning that they have another name.

    Those that others gave a release may hold a credential, and AWX keeps results whole.
    """
    try:
        result = json.loads(text)
    except ValueError:
        return text
    if not isinstance(result, dict):
        return text
    given = (result.get("invocation") or {}).get("module_args")
    for shown in (result.get("status"), given):
        if isinstance(shown, dict):
            for name in ("values", "release_values"):
                shown.pop(name, None)
    said = [one for one in result.pop("deprecations", None) or [] if "'status.values'" not in json.dumps(one)]
    return json.dumps({**result, "deprecations": said} if said else result)


def _without_proxy(target: Connection) -> dict[str, str]:
    """What keeps helm from a proxy of the environment that is not to be used for the API."""
    if target.proxy_to_use():
        return {}
    host = urlsplit(target.server or "").hostname
    before = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    both = ",".join(part for part in (before, host) if part)
    return {"NO_PROXY": both, "no_proxy": both}
