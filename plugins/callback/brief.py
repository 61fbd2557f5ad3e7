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
  - Shows what a playbook of this collection reports, one line for each task that changed something, and each failure
    once, by its cause.
  - With C(-v) or more, it writes everything that the callback P(ansible.builtin.default#callback) does.
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
from collections.abc import Iterator
from typing import Any

from ansible import constants as C
from ansible.playbook.block import Block
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import printable

#: What Ansible puts before the error of a lookup in a task's arguments.
_AROUND = re.compile(
    r"^(Task failed: )?(.*Error while resolving value for '[^']*': )?(The lookup plugin '[^']+' failed: )?"
)

#: Lines of what a program that failed said last.
_LINES = 15

#: How many characters of two texts must be the same for one to quote the other.
_ENOUGH = 60

#: So few that anything may hold them.
_WORD = 20

_SUCCESS = "All assertions passed"


class CallbackModule(Default):
    """What a run says for itself; at any verbosity, what the callback default says."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "platform.cluster_secrets.brief"

    def __init__(self) -> None:
        super().__init__()
        #: Failures of each host of which nobody knows yet whether their rescue fixes them: result, text, and the block
        #: that has the rescue.
        self._held: dict[str, list[tuple[Any, str, str]]] = {}
        #: (host, task) of those of whose items failures were told, and of those that were said to be tried again.
        self._told_of_items: set[tuple[str, str]] = set()
        self._waiting: set[tuple[str, str]] = set()

    @property
    def _brief(self) -> bool:
        return int(self._display.verbosity) == 0

    # Releases of ansible-core before 2.19 have a result's parts by other names.

    @staticmethod
    def _task_of(result: Any) -> Any:
        return result.task if hasattr(result, "task") else result._task

    @staticmethod
    def _values_of(result: Any) -> dict[str, Any]:
        values: dict[str, Any] = result.result if hasattr(result, "result") else result._result
        return values

    @staticmethod
    def _host(result: Any) -> str:
        return str((result.host if hasattr(result, "host") else result._host).get_name())

    def _line(self, result: Any, text: str, color: str | None = None, stderr: bool = False) -> None:
        """A line, or several, behind the host's name where there may be several."""
        head = "" if self._host(result) == "localhost" else "%s: " % self._host(result)
        # Programs wrote some of it, and whoever made the objects that they speak of.
        self._display.display(printable(head + text), color=color, stderr=stderr)

    def _name(self, result: Any) -> str:
        return str(self._task_of(result).get_name()).rpartition(" : ")[2].strip()

    # -- results ------------------------------------------------------------------------------------

    def v2_runner_on_ok(self, result: Any) -> None:
        """What was changed, and what a task says to people."""
        if not self._brief:
            super().v2_runner_on_ok(result)
            return
        task, values = self._task_of(result), self._values_of(result)
        self._forget_fixed(result)
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
        """The cause, once."""
        if not self._brief:
            super().v2_runner_on_failed(result, ignore_errors)
            return
        values = self._values_of(result)
        self._handle_warnings(values)
        # Of a loop, the items have said so.
        if not (ignore_errors or (self._host(result), self._task_of(result)._uuid) in self._told_of_items):
            self._failed(result, values)

    def _failed(self, result: Any, values: dict[str, Any]) -> None:
        """Show a failure; that of a task whose block has a rescue only when this ends in a failure of its own."""
        text = "failed: %s: %s" % (self._name(result), _cause(result, values))
        self._forget_fixed(result)
        rescuing = _rescuing(self._task_of(result))
        if rescuing is None:
            self._show_failure(result, text)
            return
        held = self._held.get(self._host(result), [])
        # What failed in an inner rescue is the outer one's now, with all that led to it.
        self._held[self._host(result)] = [(*one[:2], rescuing) for one in held] + [(result, text, rescuing)]

    def _forget_fixed(self, result: Any) -> None:
        """Forget what failed in blocks that are over: the host goes on, so their rescues have fixed it."""
        held = self._held.get(self._host(result))
        if held:
            around = {block._uuid for _child, block in _around(self._task_of(result))}
            self._held[self._host(result)] = [one for one in held if one[2] in around]

    def _show_failure(self, result: Any, text: str) -> None:
        for earlier, held, _block in self._held.pop(self._host(result), []):
            # What the rescue says again, it says better.
            if not _tells(text, held):
                self._line(earlier, held, C.COLOR_ERROR, stderr=bool(self.get_option("display_failed_stderr")))
        self._line(result, text, C.COLOR_ERROR, stderr=bool(self.get_option("display_failed_stderr")))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Likewise; no rescue takes that over."""
        if not self._brief:
            super().v2_runner_on_unreachable(result)
        elif not self._task_of(result).ignore_unreachable:
            cause = _cause(result, self._values_of(result))
            self._show_failure(result, "unreachable: %s: %s" % (self._name(result), cause))

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
        self._told_of_items.add((self._host(result), task._uuid))
        if not task.ignore_errors:
            self._failed(result, values)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        """Nothing."""
        if not self._brief:
            super().v2_runner_item_on_skipped(result)

    def v2_runner_retry(self, result: Any) -> None:
        """Once, that it is tried again."""
        if not self._brief:
            super().v2_runner_retry(result)
            return
        key = (self._host(result), self._task_of(result)._uuid)
        if key not in self._waiting:
            self._waiting.add(key)
            self._line(result, "waiting: %s" % self._name(result), C.COLOR_DEBUG)

    def v2_on_file_diff(self, result: Any) -> None:
        """The difference, below the name of what makes it."""
        values = self._values_of(result)
        differing = [one for one in values.get("results") or [values] if isinstance(one, dict) and one.get("diff")]
        if self._brief and any(one.get("changed") for one in differing):
            self._line(result, "%s:" % self._name(result))
        super().v2_on_file_diff(result)

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
    """What went wrong, without what Ansible was about when it did; of a program, also what it said last."""
    if values.get("censored"):
        return str(values["censored"])
    event: Any = getattr(getattr(result, "exception", None), "event", None)
    while getattr(getattr(event, "chain", None), "event", None) is not None:
        event = event.chain.event
    message = str(values.get("msg") or values.get("reason") or "")
    innermost = str(getattr(event, "msg", ""))
    if "lookup plugin" in innermost and innermost in message:
        message = innermost
    said = [_AROUND.sub("", message or "no reason is given; -v shows the result", count=1)]
    if "rc" in values or "module_stderr" in values:
        names = ("stderr", "stdout", "module_stderr", "module_stdout")
        written = next((str(values[name]) for name in names if str(values.get(name) or "").strip()), "")
        said += [line for line in written.strip().splitlines()[-_LINES:] if line not in message]
    return "\n".join(said)


def _tells(text: str, held: str) -> bool:
    """Whether a failure says what an earlier one said, whose own text it quotes."""
    cause, earlier = (one.split(": ", 2)[-1] for one in (text, held))
    quoted = cause.partition(": ")[2] or cause
    return earlier in text or (len(quoted) > _WORD and quoted[:_ENOUGH] in held)


def _rescuing(task: Any) -> str | None:
    """The innermost block around a task whose 'rescue' takes its failure over, by its uuid."""
    blocks = (
        block._uuid
        for child, block in _around(task)
        if block.rescue and not _is_in(child, [*block.rescue, *block.always])
    )
    return next(blocks, None)


def _around(task: Any) -> Iterator[tuple[Any, Block]]:
    """Each block around a task, with what it holds of the way to the task."""
    child, parent = task, getattr(task, "_parent", None)
    while parent is not None:
        if isinstance(parent, Block):
            yield child, parent
        child, parent = parent, getattr(parent, "_parent", None)


def _is_in(child: Any, tasks: list[Any]) -> bool:
    return child._uuid in {task._uuid for task in tasks}
