# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a part of the work, and the one way in which plans are sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Sequence

from ..apply import Executor
from ..errors import ClusterSecretsError, WriteError
from ..plan.actions import Action

if TYPE_CHECKING:
    from ..module import Context

Result = Dict[str, Any]


@dataclass(frozen=True)
class Step:
    """Writes that belong together.

    ``batches`` are lists of actions, written one list after the other. What they are written with, ``force_conflicts``
    and ``read_only``, is the Executor's. ``then`` comes after them, and not in check mode: it waits, puts what it finds
    into the part's result and returns what it has written itself.
    """

    batches: Sequence[list[Action]] = ()
    force_conflicts: bool = True
    read_only: bool = False
    then: Callable[[Result], Iterable[Action]] | None = None


@dataclass(frozen=True)
class Plan:
    """What a part would do, and what its result has besides; a result with ``failed`` is a refusal, without steps.

    ``saved`` are the (type, data) of Secrets by (namespace, name) as a backup will hold them, which no result shows.
    ``labelled`` are the labels that namespaces are given, ``{namespace: {key: value}}``.
    """

    steps: Sequence[Step] = ()
    result: Result = field(default_factory=dict)
    saved: dict[tuple[str, str], Any] = field(default_factory=dict)
    labelled: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def actions(self) -> list[Action]:
        """The writes of all steps, in their order."""
        return [action for step in self.steps for batch in step.batches for action in batch]

    @property
    def does_nothing(self) -> bool:
        """Whether there is nothing to write, nor anything else to be done."""
        return not self.actions and not any(step.then for step in self.steps)


def check(context: Context, plan: Plan) -> None:
    """Raise Drift or MissingPermission for what may not be written, before anything is."""
    for step in plan.steps:
        Executor(context.client, read_only=step.read_only).check(*step.batches)


def foreseen(context: Context, plan: Plan) -> Result:
    """The result of a plan that is not carried out, as check mode has it."""
    return context.result(plan.actions, **plan.result)


def carried_out(context: Context, plan: Plan) -> Result:
    """The result of a plan that was checked, once its steps have been written one after the other.

    What fails is told together with what was done before it.
    """
    result = dict(plan.result)
    done: list[Action] = []
    try:
        for step in plan.steps:
            executor = Executor(context.client, force_conflicts=step.force_conflicts)
            for batch in step.batches:
                done += executor.send(batch)
            if step.then:
                done += step.then(result)
    except ClusterSecretsError as error:
        if isinstance(error, WriteError):
            done += error.done
        result.update(failed=True, msg=str(error))
    return context.result(done, **result)


def waits(wait: Callable[[], Any]) -> Step:
    """The step that waits, for what raises an error when its time is over."""

    def then(_result: Result) -> list[Action]:
        wait()
        return []

    return Step(then=then)


def alone(plan_of: Callable[[Context], Plan]) -> Callable[[Context], Result]:
    """The run function of a module that does one part."""

    def run(context: Context) -> Result:
        plan = plan_of(context)
        check(context, plan)
        return foreseen(context, plan) if context.check_mode else carried_out(context, plan)

    return run
