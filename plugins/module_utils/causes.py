# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why targets are not current, or soon won't be: the chains of a few of them, as explain judges them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .audit import chain
from .findings import ERROR, Finding, playbook
from .live import chain as live_chain
from .live import eso, state

if TYPE_CHECKING:
    from .api.client import Client
    from .desired.stores import Layout

#: So many chains are looked at: each costs requests.
_CHAINS = 8


@dataclass(frozen=True)
class Cause(Finding):
    """Where the chain to a target breaks: ``step`` is the link's name."""

    step: str = ""

    def command(self) -> str:
        """What shows the whole chain."""
        return playbook("explain", namespace=str(self.namespace), secret=self.name).command

    def text(self) -> str:
        """It as a sentence, with what fixes it."""
        return "The chain to %s breaks at: %s. %s. To fix it: %s. All of it: %s" % (
            self.object,
            self.step,
            self.message.rstrip("."),
            self.fix.text().rstrip("."),
            self.command(),
        )

    def as_dict(self) -> dict[str, Any]:
        """It as a module returns it."""
        return {**super().as_dict(), "step": self.step, "explain": self.command()}


def look(client: Client, rows: Iterable[state.Row], layout: Layout, gitops: bool = False) -> list[Cause]:
    """The causes, each once: of the first target of each entry that is not current, and what will stop those that are.

    What ESO needs may be broken though all targets are current until its next refresh. Of those, one target's chain is
    looked at for each store, and the permission for each other entry that reads through it.

    :arg gitops: whether GitOps writes the distribution, so that its commands are others.
    """
    chosen: dict[str, state.Row] = {}
    for row in sorted(rows, key=lambda one: (one.status == state.SYNCED, one.key)):
        chosen.setdefault(row.entry.name, row)
    now = state.utcnow()
    causes: dict[tuple[str, str], Cause] = {}
    read: dict[str, live_chain.Chain] = {}
    asked = 0
    # Chains share most of what they are read from.
    with client.remembering():
        served = eso.served(client)
        for row in chosen.values():
            store = layout.store_of(row.entry.name)
            if row.status == state.SYNCED and store in read:
                broken = chain.permission(row.entry, row.namespace, layout, read[store], now, gitops)
            elif asked < _CHAINS:
                asked += 1
                live = live_chain.read(client, row.entry, row.namespace, layout, served, None)
                read.setdefault(store, live)
                broken = chain.broken(chain.judge(row.entry, row.namespace, layout, live, now, gitops))
            else:
                continue
            if broken:
                place = (row.namespace, row.entry.target)
                cause = Cause(ERROR, "broken-chain", *place, broken.message, broken.fix, broken.step)
                causes.setdefault((broken.step, broken.message), cause)
    return list(causes.values())
