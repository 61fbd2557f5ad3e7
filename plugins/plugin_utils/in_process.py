# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the collection's modules in Ansible's own process where that makes no difference but time.

Packing a module and starting a Python for it takes Ansible about as long as the collection needs
for thousands of namespaces. A task that would run on this machine, as this user, by this Python
and in this environment is therefore run where it is. Every other task is run as any module is.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Callable, Dict, Iterator, NamedTuple

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display

from ..module_utils.api.kubeconfig import BY_FILE, CREDENTIALS, WAYS, by_kubeconfig, connection, mixture
from ..module_utils.errors import ClusterSecretsError
from ..module_utils.module import AUTH_OPTIONS, Context, hidden, masked_values, outcome, said_in, spellings, spoken
from .arguments import resolved
from .plain import plain
from .screen import Progress
from .shared import RUN  # noqa: F401  # pylint: disable=unused-import  # before Ansible forks
from .vault import RunVault

try:
    # Imported before Ansible forks, so that it is paid for once in a play; the client says what is wrong when it is
    # missing.
    import urllib3  # noqa: F401  # pylint: disable=unused-import
except ImportError:
    pass

_MODULES = "ansible_collections.platform.cluster_secrets.plugins.modules."

#: What variables that say how to reach a host's cluster begin with.
PREFIX = "cluster_secrets_"

#: What the playbooks register their first task as, the module variables.
AT = PREFIX + "at"

#: Settings of the interpreter that name none.
_DISCOVERED = ("auto", "auto_silent", "auto_legacy", "auto_legacy_silent")

display = Display()


class InProcessAction(NormalAction):
    """The action of all modules of the collection."""

    def __init_subclass__(cls) -> None:
        """Import the module before Ansible forks, so that it is paid for once in a play and not once a host."""
        super().__init_subclass__()
        name = cls.__module__.rpartition(".")[2]
        if ".plugins.action." in cls.__module__:
            import_module(_MODULES + name)

    @classmethod
    def finalize_task_arg(cls, name: str, value: Any, templar: Any, context: Any) -> Any:
        """Template one argument; ansible-core calls this since 2.19, and an older one templates all itself."""
        return resolved(value, templar, name)

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module here, or as any module when it would see another machine, user, Python or environment."""
        with self._arguments():
            return self._run(tmp, task_vars or {})

    def _run(self, tmp: Any, task_vars: dict[str, Any]) -> dict[str, Any]:
        self._connect(task_vars)
        if not self._same_place(task_vars):
            self._refuse_to_leave_values()
            self._place_paths()
            there: dict[str, Any] = super().run(tmp, task_vars)
            return there
        display.vvv("running %s in Ansible's own process" % self._task.action)
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        result.update(self._outcome(self._module().run, self._options()))
        return result

    def _module(self) -> Any:
        return import_module(_MODULES + self._task.action.rpartition(".")[2])

    def _options(self) -> dict[str, Any]:
        return {**AUTH_OPTIONS, **self._module().OPTIONS}

    @contextmanager
    def _arguments(self) -> Iterator[None]:
        """Have the task's arguments for the block only: what is left in the task, Ansible shows to its callbacks.

        A task that is tried again finds them where the first try left them.
        """
        kept = InProcessAction._kept
        given = self._task.args = dict(kept[1] if kept is not None and kept[0] is self._task else self._task.args)
        InProcessAction._kept = (self._task, given)
        try:
            yield
        finally:
            self._task.args = hidden(given, self._options())

    #: The task that was run last, and its arguments; each try of a task may have an action of its own.
    _kept: tuple[Any, dict[str, Any]] | None = None

    def _place_paths(self) -> None:
        """Make relative paths mean on this machine what they mean to Ansible, wherever the module is started."""
        if self._connection.transport != "local":
            return
        for name, spec in self._options().items():
            for key in spellings(name, spec):
                value = self._task.args.get(key)
                if isinstance(value, str) and value and (spec.get("type") == "path" or name == "kubeconfig"):
                    parts = value.split(os.pathsep) if name == "kubeconfig" else [value]
                    places = [os.path.abspath(os.path.expanduser(part)) for part in parts if part]
                    self._task.args[key] = os.pathsep.join(places)

    def _low_level_execute_command(self, cmd: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        """See ActionBase; on this machine, in the folder that Ansible was started in and not the playbook's."""
        if self._connection.transport == "local" and not self._connection.become and not options.get("chdir"):
            options["chdir"] = shlex.quote(os.getcwd())
        result: dict[str, Any] = super()._low_level_execute_command(cmd, *arguments, **options)
        return result

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        """See ActionBase; wherever it can be for what is not to be in a file, which a task that is killed leaves."""
        enabled: bool = super()._is_pipelining_enabled(module_style, wrap_async)
        become = self._connection.become
        # ansible-core before 2.21 knows of su only that it can't be.
        possible = self._connection.has_pipelining and (
            become is None or getattr(become, "pipelining", become.name != "su")
        )
        secret = hidden(self._task.args, self._options()) != self._task.args
        return enabled or bool(secret and possible and module_style == "new" and not wrap_async)

    def _refuse_to_leave_values(self) -> None:
        """Raise AnsibleActionFail for values that Ansible would keep in the files of the module that it starts."""
        shown = hidden(self._task.args, self._options())
        kept = sorted(name for name, value in self._task.args.items() if shown[name] != value)
        if C.DEFAULT_KEEP_REMOTE_FILES and kept:
            raise AnsibleActionFail(
                "ANSIBLE_KEEP_REMOTE_FILES is set, which makes Ansible keep '%s' of this task in a file, with the "
                "values of all master Secrets or with credentials. Unset it for this play." % "', '".join(kept)
            )

    def _connect(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fill in connection options that the task lacks from the host's variables ``cluster_secrets_<option>``.

        :returns: what the task and the host say, by the options' own names.
        """
        given = dict(self._task.args)
        said = self._said()
        own = self._own(task_vars)
        by_file = [name for name in BY_FILE if own.get(name) and said[name] is None]
        if own.get("host") and by_file:
            raise AnsibleActionFail(
                "both '%shost' and '%s%s' are set for this host, by itself, a group or the command line: the first "
                "would take precedence over what was set for this cluster. Unset one of the two. No request was sent."
                % (PREFIX, PREFIX, by_file[0])
            )
        given.update({option: value for option, value in own.items() if said[option] is None})
        # A host's own variables are nearer than module_defaults, which are the same for all hosts.
        problem = mixture(
            {name: value for name, value in own.items() if said[name] is None},
            said,
            PREFIX + "%s",
            lambda name: "%s (of the task, or of module_defaults)" % name,
        )
        if not problem:
            # And a task's own are not mixed with those of the host.
            problem = mixture(said, own, "%s (of the task)", lambda name: PREFIX + name)
        if problem:
            raise AnsibleActionFail(problem)
        named = {**own, **{name: value for name, value in said.items() if value is not None}}
        self._stay(given, said, named, task_vars)
        self._task.args = given
        return named

    def _said(self) -> dict[str, Any]:
        """The connection options that the task itself says, None for the others."""
        given = self._task.args
        return {
            option: next((given[name] for name in spellings(option, spec) if name in given), None)
            for option, spec in AUTH_OPTIONS.items()
        }

    def _own(self, host_vars: Mapping[str, Any]) -> dict[str, Any]:
        """The connection options that a host's variables say."""
        own: dict[str, Any] = {}
        for option in AUTH_OPTIONS:
            value = host_vars.get(PREFIX + option)
            if value is not None:
                value = self._templar.template(value)
            if value not in (None, "", host_vars.get("omit")):
                own[option] = value
        return own

    def _stay(
        self, given: dict[str, Any], said: dict[str, Any], named: dict[str, Any], task_vars: dict[str, Any]
    ) -> None:
        """Fill in the kubeconfig's context that the play began with, and make sure that it still leads there.

        Whoever works in another terminal may change the current context or a cluster's address at any time, and a play
        must not end on another cluster than it began on.
        """
        registered = task_vars.get(AT)
        began = registered.get("connection") if isinstance(registered, Mapping) else None
        same = began and all(named.get(name) == began["asked"][name] for name in began["asked"])
        if not began or not same or not by_kubeconfig(named):
            return
        given["context"] = began["context"]
        # A task that says itself how to get there may take another way.
        if not self._same_machine() or ways_said(said) != began["said"]:
            return
        with self._task_environment():
            now = connected({**named, "context": began["context"]})
        if now and now.way != began["way"]:
            server = now.place["server"]
            raise Moved(
                "the kubeconfig's context '%s' leads elsewhere than when this play began: %s. Nothing was sent there. "
                "Run the playbook again, if that is the cluster that is meant."
                % (
                    began["context"],
                    "to %s" % server
                    if server != began["server"]
                    else "to the same address by another CA, TLS name or proxy",
                )
            )

    def _same_machine(self) -> bool:
        """Whether the task runs on this machine, as this user, by whatever Python."""
        return self._connection.transport == "local" and not self._connection.become

    @contextmanager
    def _task_environment(self) -> Iterator[None]:
        """Have the environment that the task has, where it runs on this machine."""
        with environment(self._templar.template(self._task.environment or [])):
            yield

    def _same_place(self, task_vars: dict[str, Any]) -> bool:
        task = self._task
        if not self._same_machine() or task.async_val or any(task.environment or []):
            return False
        if task.delegate_to:
            task_vars = task_vars.get("ansible_delegated_vars", {}).get(task.delegate_to, {})
        configured = C.config.get_config_value("INTERPRETER_PYTHON", variables=task_vars)
        # A Python that is only discovered is nobody's choice.
        return configured in _DISCOVERED or self._templar.template(configured) == sys.executable

    def _outcome(self, run: Callable[[Context], dict[str, Any]], options: dict[str, Any]) -> dict[str, Any]:
        checked = ArgumentSpecValidator(options).validate(plain(self._task.args))
        warnings: list[str] = []
        if checked.error_messages:
            unsupported = isinstance(checked.errors[0], UnsupportedError)
            result = {
                "failed": True,
                "msg": ("Unsupported parameters for (%s) module: " % self._task.action if unsupported else "")
                + checked.errors.msg,
            }
        else:
            context = Context(
                checked.validated_parameters,
                self._task.check_mode,
                self._task.diff,
                warnings.append,
                RunVault(self._loader),
                Progress,
            )
            with _garbage_left():
                result = outcome(run, context)
        if warnings:
            result["warnings"] = warnings
        secrets = masked_values(checked._no_log_values, checked.validated_parameters, options)
        leaking = spoken(secrets, said_in(result), checked.validated_parameters, options)
        return _masked(result, leaking) if leaking else result


class Moved(AnsibleActionFail):
    """A kubeconfig leads elsewhere than when the play began."""


class Place(NamedTuple):
    """Where a connection leads: :meth:`Connection.place` and ``way``, and how many contexts its kubeconfig has."""

    place: Dict[str, Any]
    way: str
    contexts: int


def connected(options: Mapping[str, Any]) -> Place | None:
    """Where connection options lead, or None: what uses them will say what is wrong with them. Runs no plugin."""
    given = {name: value for name, value in options.items() if value is not None and name in AUTH_OPTIONS}
    checked = ArgumentSpecValidator(AUTH_OPTIONS).validate(plain(given))
    if checked.error_messages:
        return None
    try:
        target = connection(checked.validated_parameters, credentials=False)
        return Place(target.place(), target.way(), target.contexts)
    except ClusterSecretsError:
        return None


def ways_said(said: Mapping[str, Any]) -> list[str]:
    """The names of the options that a task says of how to get to a cluster."""
    return [name for name in WAYS if said.get(name) is not None]


@contextmanager
def _garbage_left() -> Iterator[None]:
    """Look for garbage seldom: thousands of entries stay, and going through them again takes a quarter of the time."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class ControlNodeAction(InProcessAction):
    """The action of modules that use the run's vault password, which only Ansible's own process has."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module here, with the task's environment; refuse what only another process could have."""
        with self._arguments():
            return self._run_here(tmp, task_vars or {})

    def _run_here(self, tmp: Any, task_vars: dict[str, Any]) -> dict[str, Any]:
        if self._connection.transport != "local":
            self._refuse_to_go_elsewhere(task_vars)
        if self._task.async_val or self._connection.become:
            raise AnsibleActionFail(
                "%s runs in Ansible's own process, as the user who runs Ansible: 'become' and 'async' can't be used. "
                "Set 'become: false' (or the variable 'ansible_become: false'), or take 'async' away."
                % self._task.action
            )
        with self._task_environment():
            return self._run(tmp, task_vars)

    def _refuse_to_go_elsewhere(self, task_vars: dict[str, Any]) -> None:
        """Raise AnsibleActionFail unless the connection means the same here as where the host's other tasks run."""
        own = {**self._own(task_vars), **{name: value for name, value in self._said().items() if value is not None}}
        if isinstance(own.get("kubeconfig"), Mapping) or (own.get("host") and any(map(own.get, CREDENTIALS))):
            return
        raise AnsibleActionFail(
            "%s runs on this machine, and the other tasks of %s where its connection leads, whose kubeconfig may be of "
            "another cluster. Set ansible_connection: local for it. No request was sent."
            % (self._task.action, task_vars.get("inventory_hostname"))
        )

    def _same_place(self, task_vars: dict[str, Any]) -> bool:
        return True


@contextmanager
def environment(given: Any) -> Iterator[None]:
    """Set the variables of a task's ``environment``, a mapping or a list of them, of which the last counts."""
    before = dict(os.environ)
    try:
        for path in given if isinstance(given, list) else [given]:
            if path and not isinstance(path, Mapping):
                raise AnsibleActionFail("'environment' must be a mapping, or a list of mappings.")
            os.environ.update({str(name): str(value) for name, value in (path or {}).items()})
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _masked(value: Any, secrets: list[str]) -> Any:
    """``value`` with each of ``secrets``, longest first, masked in all texts but the keys of mappings."""
    if isinstance(value, Mapping):
        return {key: _masked(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(item, secrets) for item in value]
    if not isinstance(value, str):
        return value
    for secret in secrets:
        value = value.replace(secret, "********")
    return value
