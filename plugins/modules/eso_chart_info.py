#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module eso_chart_info: the newest chart of ESO that a repository has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: eso_chart_info
short_description: Find the newest chart of ESO in a repository
version_added: 1.0.0
description:
  - Reads the index of a helm repository, and finds the newest release of ESO in it that has no known vulnerability.
  - No cluster is contacted. The connection options are accepted, as by every module, but not used.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: There is nothing to show.
    support: none
options:
  chart:
    description: The name of the chart in the repository.
    type: str
    default: external-secrets
  chart_repo:
    description: The repository's URL.
    type: str
    default: https://charts.external-secrets.io
extends_documentation_fragment:
  - platform.cluster_secrets.advisories
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.reads
"""

EXAMPLES = r"""
- name: Find the newest release
  platform.cluster_secrets.eso_chart_info:
  register: newest

- name: Install it
  ansible.builtin.include_role:
    name: platform.cluster_secrets.eso
  vars:
    cluster_secrets_eso_chart_version: "{{ newest.version }}"
"""

RETURN = r"""
version:
  description: The version of the chart.
  returned: success
  type: str
  sample: 2.14.0
release:
  description: The release of ESO that it installs.
  returned: success
  type: str
  sample: 2.14.0
"""

import re
from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import EsoError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    ADVISORIES_OPTION,
    Context,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade import steps

OPTIONS: dict[str, dict[str, Any]] = {
    "chart": {"type": "str", "default": "external-secrets"},
    "chart_repo": {"type": "str", "default": "https://charts.external-secrets.io"},
    **ADVISORIES_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Read the index and choose."""
    params = context.params
    if not re.match(r"[^/.:]+\Z", params["chart"]):
        raise EsoError(
            "the newest release can't be told of the chart '%s', which is not in a repository with an index. Set "
            "'cluster_secrets_eso_chart_version'." % params["chart"]
        )
    available = steps.of_index(eso.index(params["chart_repo"]), params["chart"])
    newest = steps.newest(available, eso.lists(params["advisories"]))
    return {"changed": False, "version": newest.version, "release": advisories.text(newest.release)}


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
