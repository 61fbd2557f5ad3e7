# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callback brief: what a run says for itself."""

from __future__ import annotations

DOCUMENTATION = r"""
name: brief
type: stdout
short_description: Tables, changes and failures, without the tasks around them
version_added: 1.0.0
description:
  - Shows what a playbook of this collection has to say, one line for each task that changed something, and each failure
    once, by its cause.
  - With C(-v) and more it writes all that the callback P(ansible.builtin.default#callback) does.
  - The C(ansible.cfg) and the C(Taskfile.yml) that the playbook C(init) writes use it.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout in configuration
"""

EXAMPLES = r"""
# In ansible.cfg, or as the environment variable ANSIBLE_STDOUT_CALLBACK.
- stdout_callback: platform.cluster_secrets.brief
"""

import re
from typing import Any

from ansible import constants as C
from ansible.playbook.block import Block
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default

#: What Ansible puts before the error of a lookup in a task's arguments.
_AROUND = re.compile(
    r"^(Task failed: )?(.*Error while resolving value for '[^']*': )?(The lookup plugin '[^']+' failed: )?"
)

#: Lines of what a program that failed said last.
_LINES = 15

_SUCCESS = "All assertions passed"


class CallbackModule(Default):
    """What a run says for itself; at any verbosity, what the callback default says."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "platform.cluster_secrets.brief"

    @property
    def _brief(self) -> bool:
        return int(self._display.verbosity) == 0

    # Releases of ansible-core before 2.19 have a result's parts by other names.

    @staticmethod
    def _task_of(result: Any) -> Any:
        return result.task if hasattr(result, "task") else result._task

    @staticmethod
    def _values_of(result: Any) -> dict[str, Any]:
        found: dict[str, Any] = result.result if hasattr(result, "result") else result._result
        return found

    def _head(self, result: Any) -> str:
        """What says whose line it is, where it isn't clear."""
        host = str((result.host if hasattr(result, "host") else result._host).get_name())
        return "" if host == "localhost" else "%s: " % host

    def _line(self, result: Any, text: str, color: str | None = None, stderr: bool = False) -> None:
        self._display.display(self._head(result) + text, color=color, stderr=stderr)

    def _name(self, result: Any) -> str:
        return str(self._task_of(result).get_name()).rpartition(" : ")[2].strip()

    # -- results ------------------------------------------------------------------------------------

    def v2_runner_on_ok(self, result: Any) -> None:
        """What was changed, and what a task says to people."""
        if not self._brief:
            super().v2_runner_on_ok(result)
            return
        task, values = self._task_of(result), self._values_of(result)
        if isinstance(task, TaskInclude):
            return
        self._handle_warnings(values)
        if values.get("changed"):
            self._line(result, "%s: %s" % (_changed(task), self._name(result)), C.COLOR_CHANGED)
        elif values.get("_ansible_verbose_always") and "results" not in values:
            self._said(result, values)

    def _said(self, result: Any, values: dict[str, Any]) -> None:
        message = values.get("msg")
        if isinstance(message, list):
            message = "\n".join(str(line) for line in message)
        if not isinstance(message, str):
            self._clean_results(values, self._task_of(result).action)
            message = self._dump_results(values)
        if message != _SUCCESS:
            self._line(result, message)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """The cause, once: not where the play goes on and says itself what it is."""
        if not self._brief:
            super().v2_runner_on_failed(result, ignore_errors)
            return
        values = self._values_of(result)
        self._handle_warnings(values)
        of_items = self._task_of(result).loop and "results" in values
        if not of_items and not ignore_errors and not _is_rescued(self._task_of(result)):
            self._failed(result, values)

    def _failed(self, result: Any, values: dict[str, Any]) -> None:
        said = [_cause(result, values)]
        if "rc" in values:
            said += str(values.get("stderr") or values.get("stdout") or "").strip().splitlines()[-_LINES:]
        text = "failed: %s: %s" % (self._name(result), "\n".join(filter(None, said)))
        self._line(result, text, C.COLOR_ERROR, stderr=bool(self.get_option("display_failed_stderr")))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Likewise."""
        if not self._brief:
            super().v2_runner_on_unreachable(result)
            return
        self._failed(result, self._values_of(result))

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Nothing."""
        if not self._brief:
            super().v2_runner_on_skipped(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """What an item says to people; that it changed is told of the task."""
        if not self._brief:
            super().v2_runner_item_on_ok(result)
            return
        values = self._values_of(result)
        self._handle_warnings(values)
        if values.get("_ansible_verbose_always") and not values.get("changed"):
            self._said(result, values)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """Each item's cause."""
        if not self._brief:
            super().v2_runner_item_on_failed(result)
            return
        task, values = self._task_of(result), self._values_of(result)
        self._handle_warnings(values)
        if not task.ignore_errors and not _is_rescued(task):
            self._failed(result, values)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        """Nothing."""
        if not self._brief:
            super().v2_runner_item_on_skipped(result)

    def v2_runner_retry(self, result: Any) -> None:
        """Nothing: what is waited for says so itself."""
        if not self._brief:
            super().v2_runner_retry(result)

    # -- what is around them ------------------------------------------------------------------------

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Nothing."""
        if self._brief:
            self._play = play
        else:
            super().v2_playbook_on_play_start(play)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Nothing."""
        if not self._brief:
            super().v2_playbook_on_include(included_file)

    def _print_task_banner(self, task: Any) -> None:
        if not self._brief:
            super()._print_task_banner(task)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """One line for each host."""
        if not self._brief:
            super().v2_playbook_on_stats(stats)
            return
        for host in sorted(stats.processed):
            counts = stats.summarize(host)
            bad = counts["failures"] or counts["unreachable"]
            color = C.COLOR_ERROR if bad else C.COLOR_CHANGED if counts["changed"] else C.COLOR_OK
            shown = (host, counts["ok"], counts["changed"], counts["unreachable"], counts["failures"])
            self._display.display("%s: ok=%d changed=%d unreachable=%d failed=%d" % shown, color=color)


def _changed(task: Any) -> str:
    return "would change" if task.check_mode else "changed"


def _cause(result: Any, values: dict[str, Any]) -> str:
    """What went wrong, without what Ansible was about when it did."""
    event: Any = getattr(getattr(result, "exception", None), "event", None)
    while getattr(getattr(event, "chain", None), "event", None) is not None:
        event = event.chain.event
    # Of a 'failed_when' the summary says only that there is one.
    message = values.get("censored") or values.get("msg")
    if event is not None and str(event.msg) in str(message):
        message = event.msg
    return _AROUND.sub("", str(message or "no reason is given; -v shows the result"), count=1)


def _is_rescued(task: Any) -> bool:
    """Whether a failure of the task is taken over by the 'rescue' of a block around it."""
    child, parent = task, getattr(task, "_parent", None)
    while parent is not None:
        if isinstance(parent, Block) and parent.rescue:
            handled = {one._uuid for one in [*parent.rescue, *parent.always]}
            if child._uuid not in handled:
                return True
        child, parent = parent, getattr(parent, "_parent", None)
    return False
