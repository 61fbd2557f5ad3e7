# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module variables does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ..filter.listed import listed
from ..module_utils.api.kubeconfig import BY_FILE, CREDENTIALS, WAYS, by_kubeconfig, left_to_kubeconfig
from ..module_utils.module import AUTH_OPTIONS, STORE_NAMESPACE_OPTION
from ..module_utils.report.text import place_text
from ..plugin_utils import specifications
from ..plugin_utils.in_process import PREFIX, InProcessAction, Moved, connected, ways_said
from ..plugin_utils.plain import plain
from ..plugin_utils.playbooks import PLAYBOOKS, SERIAL
from ..plugin_utils.screen import show
from ..plugin_utils.vault import RunVault

# Before Ansible forks, so that the files are read once in a play and not once a host.
specifications.names()

#: Whether somebody types what Ansible asks for. Known only before Ansible forks, as are the specifications.
INTERACTIVE = os.isatty(0)

#: What may be long: where a template gives it, the task that takes it checks it, and only that task has it made.
_LONG = ("cluster_secrets_catalog", "cluster_secrets_catalog_extra")


_OPTIONS: dict[str, dict[str, Any]] = {
    "cluster": {"type": "bool", "default": True},
    "talos_nodes": {"type": "bool", "default": False},
    "roles": {"type": "list", "elements": "str", "default": []},
    "playbook": {"type": "str", "choices": list(PLAYBOOKS)},
    "own_paths": {"type": "list", "elements": "str", "default": []},
}


_CENTRAL = PREFIX + "store_namespace"

#: The variables that say where a host's connection leads, and to which nodes its talosctl goes.
_OF_CONNECTION = (*(PREFIX + option for option in (*BY_FILE, "host", *WAYS, *CREDENTIALS)), _CENTRAL)
_OF_TALOS = (PREFIX + "talos_command", PREFIX + "talos_nodes")


def given_central(templar: Any, task_vars: Mapping[str, Any]) -> str:
    """The central namespace of the host."""
    default = STORE_NAMESPACE_OPTION["store_namespace"]["default"]
    return str(templar.template(task_vars.get(_CENTRAL, default)))


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
        if options["talos_nodes"]:
            self._refuse_anothers_nodes(given)
        self._refuse_shared_paths(given, tuple(options["own_paths"]))
        self._refuse_late_waves(given, options["playbook"])
        problems = [
            "%s: it is required: %s" % (name, spec["description"])
            for name, spec in (PLAYBOOKS[options["playbook"]][1] if options["playbook"] else {}).items()
            if spec.get("required") and name not in given
        ]
        scope = {name for role in options["roles"] for name in specifications.of_roles().get(role, ())}
        for name, spec in specifications.specifications().items():
            if name not in given or not self._is_checked(name, spec, given[name], scope):
                continue
            try:
                wrong = specifications.problem(name, plain(self._templar.template(given[name])))
            except AnsibleError as error:
                wrong = "%s: %s" % (name, error)
            if wrong:
                problems.append(wrong)
        if problems:
            raise AnsibleActionFail("%s. No request was sent." % "; ".join(problems))
        unknown = specifications.unknown(given)
        if unknown:
            result["warnings"] = [
                "the variable '%s' is not one of this collection's. %s" % (name, close or "Is it misspelled?")
                for name, close in unknown.items()
            ]
        said = {name: value for name, value in self._said().items() if value is not None}
        cluster, kept = self._cluster(given, said) if options["cluster"] else (None, None)
        if cluster and not self._task.no_log:
            several = len(given.get("ansible_play_hosts_all") or ()) > 1
            prefix = "%s: " % given.get("inventory_hostname") if several else ""
            show(["%sCluster: %s" % (prefix, place_text(cluster))])
        typed = INTERACTIVE and RunVault(self._loader).is_typed()
        result.update(
            changed=False, unknown=list(unknown), cluster=cluster, connection=kept, vault_password_typed=typed
        )
        return result

    def _is_checked(self, name: str, spec: dict[str, Any], value: Any, scope: set[str]) -> bool:
        """Whether to look at a variable before it is used: not at what is long, or has to be looked up for others."""
        kind = spec.get("type", "str")
        if value is None or kind in ("bool", "int"):
            return True
        if kind in ("dict", "list"):
            return (name in scope and name not in _LONG) or not self._templar.is_template(value)
        return kind == "str" and bool(spec.get("choices"))

    def _cluster(
        self, task_vars: dict[str, Any], said: dict[str, Any]
    ) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Where the host's connection leads, and what later tasks are held to if a kubeconfig's file says so.

        None where another machine makes it, or what uses it will say what is wrong with it.
        """
        if not self._same_machine():
            return None, None
        with self._task_environment():
            return self._cluster_from_here(task_vars, said)

    def _cluster_from_here(
        self, task_vars: dict[str, Any], said: dict[str, Any]
    ) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        try:
            named = self._connect(task_vars)
        except Moved:
            raise
        except AnsibleActionFail:
            return None, None
        # The context, too, that an earlier play of this run began with.
        merged = {**named, "context": self._task.args.get("context")}
        reached = connected(merged)
        if reached is None:
            return None, None
        place = {**reached.place, "way": reached.way, "central": given_central(self._templar, task_vars)}
        # A kubeconfig of one context, which the host names, leaves nothing to choose.
        chosen = named.get("context") or named.get("host") or (named.get("kubeconfig") and reached.contexts == 1)
        if not self._task.run_once:
            self._refuse_anothers_cluster(task_vars, said, named, bool(chosen), place)
        kubeconfig = named.get("kubeconfig")
        # A path, and not what a kubeconfig holds: the result is shown.
        is_file = kubeconfig is None or isinstance(kubeconfig, str)
        if not reached.place["context"] or not is_file or not by_kubeconfig(merged):
            return place, None
        asked = {name: named.get(name) for name in BY_FILE}
        kept = {"context": reached.place["context"], "server": reached.place["server"], "way": reached.way}
        return place, {"asked": asked, "said": ways_said(said), **kept}

    def _refuse_anothers_cluster(
        self,
        task_vars: dict[str, Any],
        said: dict[str, Any],
        named: dict[str, Any],
        chosen: bool,
        cluster: dict[str, Any],
    ) -> None:
        """Raise AnsibleActionFail where this host got the cluster of another host.

        A host that names no context gets the kubeconfig's current one, or what the environment says, which may be what
        another host names: its values would go there. Hosts of later waves count, of which nothing is registered yet,
        and those that a limit leaves out, if they name a cluster: other machines of the inventory don't. What the
        command line says for all hosts makes one cluster of many, too.

        :arg named: the connection options; :arg chosen: whether they say which cluster it is.
        """
        name, same = task_vars.get("inventory_hostname"), []
        at_once = self._at_once()
        of_play = set(task_vars.get("ansible_play_hosts_all") or ())
        for other in sorted(of_play.union((task_vars.get("groups") or {}).get("all") or ())):
            if other == name:
                continue
            try:
                theirs = self._variables_of(other, task_vars, _OF_CONNECTION)
                merged = {**self._own(theirs), **said}
                if other not in of_play and (chosen or not any(map(merged.get, ("context", "host", "kubeconfig")))):
                    continue
                central = given_central(self._templar, theirs)
            except AnsibleError:
                continue  # it is said when it is that host's turn
            # What a group says of a kubeconfig, it says of other machines, too.
            alike = other not in of_play and named.get("kubeconfig") and left_to_kubeconfig(merged)
            # Two that name their clusters themselves mean it, unless the command line has overruled both.
            meant = chosen and not any(
                merged.get(option) == named.get(option) for option in at_once if not said.get(option)
            )
            if central != cluster["central"] or alike or meant:
                continue
            reached = connected(merged)
            if reached and reached.way == cluster["way"]:
                same.append(other)
        if same:
            got = "leads to" if chosen else "names no cluster of its own and got"
            raise AnsibleActionFail(
                "%s %s %s, which is that of %s, too. Give it its own cluster_secrets_context. Nothing was changed."
                % (name, got, place_text(cluster), " and ".join(same))
            )

    def _at_once(self) -> list[str]:
        """The options that the command line says for all hosts of which cluster it is."""
        given = getattr(self._task.get_variable_manager(), "extra_vars", None) or {}
        return [option for option in (*BY_FILE, "host") if given.get(PREFIX + option)]

    def _refuse_anothers_nodes(self, task_vars: dict[str, Any]) -> None:
        """Raise AnsibleActionFail where two hosts of the play reach the same nodes by the same talosctl.

        It goes where its talosconfig leads, whatever cluster the host's connection leads to.
        """
        hosts, name = task_vars.get("ansible_play_hosts_all") or (), task_vars.get("inventory_hostname")
        # Other machines have other talosconfigs. Nodes of the command line are those of hosts beyond a limit, too.
        if len(hosts) < 2 or not self._same_machine():
            return
        variables = {host: self._variables_of(host, task_vars, _OF_TALOS) for host in hosts}
        # What the play says by a template may be something else for each host.
        if any(one in task_vars and one not in variables[name] for one in _OF_TALOS):
            return
        ours = self._reached(variables[name])
        same = [other for other in variables if other != name and ours & self._reached(variables[other])]
        if same:
            raise AnsibleActionFail(
                "%s and %s have the same cluster_secrets_talos_nodes and the same cluster_secrets_talos_command, which "
                "reaches one cluster. Give each host its own, such as [talosctl, --context, NAME]. Nothing was changed."
                % (name, " and ".join(same))
            )

    def _refuse_shared_paths(self, task_vars: dict[str, Any], names: tuple[str, ...]) -> None:
        """Raise AnsibleActionFail where hosts of the play would write the same file or folder."""
        hosts = task_vars.get("ansible_play_hosts_all") or ()
        if not names or len(hosts) < 2:
            return
        variables = {host: self._variables_of(host, task_vars, names) for host in hosts}
        for name in names:
            given = [plain(variables[host].get(name)) for host in hosts]
            several = specifications.specifications()[name].get("type") == "raw"
            paths = [path for value in given for path in (listed(value) if several else [value]) if path]
            places = [os.path.abspath(os.path.expanduser(str(path))) for path in paths]
            if len(set(places)) < len(places):
                raise AnsibleActionFail(
                    "%s names one path for several clusters: put the variable inventory_hostname into it, so that each "
                    "has its own. Nothing was changed." % name
                )

    def _refuse_late_waves(self, task_vars: dict[str, Any], playbook: str | None) -> None:
        """Raise AnsibleActionFail where the hosts' own variables say how many of them go at a time.

        Ansible takes that before it knows any host's variables: all would go at once.
        """
        name, manager = next(iter(SERIAL)), self._task.get_variable_manager()
        if not playbook or name not in PLAYBOOKS[playbook][1] or len(task_vars.get("ansible_play_hosts_all") or ()) < 2:
            return
        of_play = getattr(getattr(getattr(self._task, "_parent", None), "_play", None), "vars", None) or {}
        said = {**of_play, **(getattr(manager, "extra_vars", None) or {})}
        if name in task_vars["hostvars"][task_vars["inventory_hostname"]] and name not in said:
            raise AnsibleActionFail(
                "%s: the inventory says it, where Ansible does not see it in time, so that all clusters would go at "
                "once. Give it with -e, or where the playbook is imported. Nothing was changed." % name
            )

    def _reached(self, variables: dict[str, Any]) -> set[tuple[str, ...]]:
        """The nodes of a host, each as the command and the node's address that it is given; none that can't be read."""
        try:
            command, nodes = (plain(self._templar.template(variables.get(name))) for name in _OF_TALOS)
        except AnsibleError:
            return set()  # it is said when it is that host's turn
        words = tuple(map(str, command if isinstance(command, list) else [command or "talosctl"]))
        listed = [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
        return {(*words, str(node.get("address") or node.get("name"))) for node in listed}

    def _variables_of(self, host: str, task_vars: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        """The variables of these names that a host has, perhaps another one.

        Those of the play are not among a host's; unless they are templates, they are the same for all.
        """
        theirs, ours = (task_vars["hostvars"][one] for one in (host, task_vars["inventory_hostname"]))
        variables = {"omit": task_vars.get("omit")}
        for name in names:
            of_play = name not in ours and name in task_vars and not self._templar.is_template(task_vars[name])
            if name in theirs or of_play:
                # That a credential is said counts, and not which one.
                secret = name[len(PREFIX) :] in CREDENTIALS
                variables[name] = "-" if secret else theirs[name] if name in theirs else task_vars[name]
        return variables
