# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not as it should be, and what to do about it: the one kind of finding that there is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

#: Information is worth a look, and nothing fails because of it.
ERROR, WARNING, INFO = "error", "warning", "info"

_PLAYBOOK = "ansible-playbook platform.cluster_secrets."


class Fix(NamedTuple):
    """What ends a finding: what to do in words, a command as it is typed, or both, of which the words come first."""

    hint: str = ""
    command: str = ""

    def text(self) -> str:
        """Both in one line."""
        return ": ".join(filter(None, self))


def playbook(name: str, hint: str = "", **variables: str) -> Fix:
    """The fix that is one of the collection's playbooks, with variables without their prefix."""
    said = "".join(" -e cluster_secrets_%s=%s" % pair for pair in variables.items())
    return Fix(hint, _PLAYBOOK + name + said)


#: What fixes most of it; LOGS is where to look.
BOOTSTRAP, ROTATE = playbook("bootstrap"), playbook("rotate")
LOGS = playbook("logs", "Look at ESO's log")


def rotation(hint: str, sources: str) -> Fix:
    """The rotation of sources, which are separated by commas."""
    return playbook("rotate", hint, rotate_sources=sources)


def onboarding(namespace: str, secret: str, hint: str = "") -> Fix:
    """What gives a namespace an entry's Secret."""
    return playbook("onboard", hint, namespace=namespace, secret=secret)


def offboarding(namespace: str, secret: str, hint: str = "") -> Fix:
    """What takes an entry's Secret from a namespace."""
    return playbook("offboard", hint, namespace=namespace, secret=secret)


#: Where a check's message says all.
NO_FIX = Fix()


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, and what to do.

    ``check`` names the rule. ``name`` is the object's, with its kind where the check doesn't say it; of what is no
    object, what people call it.
    """

    severity: str
    check: str
    namespace: str | None
    name: str
    message: str
    fix: Fix = NO_FIX

    @property
    def object(self) -> str:
        """Where it is: the namespace and the name."""
        return "%s/%s" % (self.namespace, self.name) if self.namespace else self.name

    def text(self) -> str:
        """The finding in one line, without its fix."""
        return "%s: %s: %s" % (self.check, self.object, self.message)

    def as_dict(self) -> dict[str, Any]:
        """The finding as a module returns it."""
        return {
            "severity": self.severity,
            "check": self.check,
            "namespace": self.namespace,
            "object": self.object,
            "message": self.message,
            "hint": self.fix.hint,
            "command": self.fix.command,
        }


def problem(check: str, object_: str, message: str) -> Finding:
    """An error about an object that is named with its kind and place."""
    return Finding(ERROR, check, None, object_, message)
