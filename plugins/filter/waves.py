# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter waves: how many hosts go at a time, however it was given."""

from __future__ import annotations

DOCUMENTATION = r"""
name: waves
short_description: The value of a play's serial that a variable stands for
version_added: 1.0.0
description:
  - For C(cluster_secrets_serial), which is a text where it is given with C(-e NAME=VALUE) or asked for by a survey.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  _input:
    description: A number, a percentage, or several of them as a list, as JSON or with commas.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Show the waves that a text stands for
  ansible.builtin.debug:
    msg: "{{ '1, 100%' | platform.cluster_secrets.waves }}"
"""

RETURN = r"""
_value:
  description: The numbers and percentages.
  type: list
  elements: raw
"""

import json
import re
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from .listed import listed

_WAVE = re.compile(r"[1-9][0-9]*%?\Z")


def waves(value: Any) -> list[str]:
    """The numbers and percentages, as texts."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            pass
    sizes = [str(size).strip() for size in (listed(value) if isinstance(value, (str, list, tuple)) else [value])]
    if not sizes or not all(map(_WAVE.match, sizes)):
        raise AnsibleFilterError(
            "cluster_secrets_serial can't be %r. Give a number of clusters, a percentage, or several with commas, such "
            "as '1,100%%'." % (str(value),)
        )
    return sizes


class FilterModule:
    """What ansible-core loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filter by its name."""
        return {"waves": waves}
