# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By which releases an upgrade of ESO goes: one minor at a time, as far as their charts are to be had. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..advisories import Lists, Number, known, parse, text
from ..errors import EsoError
from ..live.eso import V1_ONLY_SINCE

#: The oldest release from which an upgrade is supported.
OLDEST = (0, 14, 0)

#: Both v1beta1 and v1 are served from the first of these up to, and without, the second.
BOTH_SERVED = ((0, 16, 0), (0, 16, 2))


class Step(NamedTuple):
    """One release on the way: its number, its chart as helm takes it, the chart's version, and its CRDs.

    ``version`` is None for a chart that is a path. ``crds`` is None, or a file or URL.
    """

    release: Number
    chart: str
    version: str | None = None
    crds: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The step as a module returns it."""
        return {**self._asdict(), "release": text(self.release)}


def of_index(index: Any, chart: str) -> list[Step]:
    """The releases of a chart that a repository's index has, without release candidates.

    :arg index: what the repository's index.yaml holds.
    :raises EsoError: when it is no index, or does not have the chart.
    """
    entries = index.get("entries") if isinstance(index, dict) else None
    listed = entries.get(chart) if isinstance(entries, dict) else None
    if not isinstance(listed, list):
        raise EsoError("the repository's index does not have the chart '%s'." % chart)
    steps = []
    for one in listed:
        number = parse(str(one.get("appVersion") or one.get("version"))) if isinstance(one, dict) else None
        if number and one.get("version"):
            steps.append(Step(number, chart, str(one["version"])))
    return steps


def newest(available: list[Step], lists: Lists) -> Step:
    """The newest release at hand that has no known vulnerability. Raises EsoError without one."""
    sound = [step for step in available if not known(step.release, lists)]
    if not sound:
        raise EsoError("no release without a known vulnerability is at hand (%s)." % _listed(available))
    return max(sound, key=_release)


def way(running: Number, to: Number, available: list[Step]) -> list[Step]:
    """The steps from the running release to another one; none when it runs already.

    :raises EsoError: when there is no way: the release is older or too old to begin with, its chart is not at hand, or
        no release is at hand by which objects get from v1beta1 to v1.
    """
    if to == running:
        return []
    if to < running:
        raise EsoError(
            "%s runs, and %s is older. Going back is 'helm rollback', as long as the older release serves the "
            "version in which objects are stored." % (text(running), text(to))
        )
    if running < OLDEST:
        raise EsoError("%s runs; an upgrade begins with %s or newer." % (text(running), text(OLDEST)))
    last = [step for step in available if step.release == to]
    if not last:
        raise EsoError("the chart of %s is not at hand (%s)." % (text(to), _listed(available)))
    chosen: dict[tuple[int, int], Step] = {}
    for one in sorted(available, key=_release):
        if running[:2] < one.release[:2] < to[:2] and _usable(one, chosen.get(one.release[:2])):
            chosen[one.release[:2]] = one
    steps = [chosen[minor] for minor in sorted(chosen)] + last[-1:]
    if running < BOTH_SERVED[0] and to >= V1_ONLY_SINCE and not any(_serves_both(one) for one in steps):
        raise EsoError(
            "objects of %s are v1beta1, %s serves v1 only, and no chart of a release between %s and %s, which serve "
            "both, is at hand (%s). Name one in 'cluster_secrets_eso_upgrade_charts'."
            % (text(running), text(to), text(BOTH_SERVED[0]), text(BOTH_SERVED[1]), _listed(available))
        )
    return steps


def _release(one: Step) -> Number:
    return one.release


def _serves_both(one: Step) -> bool:
    return BOTH_SERVED[0] <= one.release < BOTH_SERVED[1]


def _usable(one: Step, before: Step | None) -> bool:
    """Whether a newer patch takes the place of the one before; not where it might no longer serve both versions."""
    return before is None or not _serves_both(before) or _serves_both(one)


def _listed(available: list[Step]) -> str:
    names = [text(step.release) for step in sorted(available, key=_release)]
    shown = names if len(names) <= 8 else [*names[:3], "...", *names[-4:]]
    return "there are %s" % ", ".join(shown) if shown else "there are none"
