#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module fleet_report: many clusters in one table."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_report
short_description: Show the state of many clusters in one table, one JSON file and one page
version_added: 1.0.0
description:
  - Puts together what M(platform.cluster_secrets.sync_info) returned for each cluster.
  - Names the clusters about which nothing is known, the unsynced pairs, what is broken or has expired, and the clusters
    whose values differ from those of most clusters.
  - No cluster is contacted. The connection options are accepted, as by every module, but not used.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  check_mode:
    description: Writes no file.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
options:
  clusters:
    description: Names of clusters, each with the registered result of M(platform.cluster_secrets.sync_info).
    type: dict
    required: true
  may_differ:
    description: Sources whose values may differ between clusters.
    type: list
    elements: str
    default: []
  html:
    description: Where to write the page. It needs no network.
    type: path
  json:
    description: Where to write everything as JSON.
    type: path
  fail:
    description: Whether to fail unless every cluster is well.
    type: bool
    default: true
extends_documentation_fragment:
  - platform.cluster_secrets.connection
"""

EXAMPLES = r"""
- name: Look at each cluster
  platform.cluster_secrets.sync_info:
    catalog: "{{ cluster_secrets_catalog }}"
    brief: true
  register: looked

- name: Show all of them
  platform.cluster_secrets.fleet_report:
    clusters: "{{ dict(ansible_play_hosts_all | zip(ansible_play_hosts_all | map('extract', hostvars, 'looked'))) }}"
    html: fleet.html
  run_once: true
"""

RETURN = r"""
counts:
  description: How many pairs of each cluster are in each status.
  returned: success, or failure because of what was found
  type: dict
unknown:
  description: The clusters about which nothing is known, each with the reason.
  returned: success, or failure because of what was found
  type: dict
drifted:
  description: Sources, each with the clusters whose values differ from those of most clusters.
  returned: success, or failure because of what was found
  type: dict
table:
  description: A line for each cluster, and one for each pair that is not synced.
  returned: success, or failure because of what was found
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import files
from ansible_collections.platform.cluster_secrets.plugins.module_utils.fleet import Fleet
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.state import utcnow
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context, run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import feeds, page, text

OPTIONS: dict[str, dict[str, Any]] = {
    "clusters": {"type": "dict", "required": True},
    "may_differ": {"type": "list", "elements": "str", "default": []},
    "html": {"type": "path"},
    "json": {"type": "path"},
    "fail": {"type": "bool", "default": True},
}


def run(context: Context) -> dict[str, Any]:
    """Judge and write."""
    params = context.params
    fleet = Fleet(params["clusters"], params["may_differ"])
    when = utcnow().strftime("%Y-%m-%d %H:%M UTC")
    if not context.check_mode:
        if params["html"]:
            files.write(params["html"], page.fleet_page(fleet, when), "page")
        if params["json"]:
            files.write(params["json"], feeds.fleet_json(fleet, when), "report")
    result: dict[str, Any] = {
        "changed": False,
        "counts": fleet.counts(),
        # Not 'unreachable', which Ansible takes for the task's own host.
        "unknown": fleet.unreachable,
        "drifted": fleet.drifted,
        "table": text.fleet_table(fleet),
    }
    problem = fleet.problem()
    if problem and params["fail"]:
        result.update(failed=True, msg=problem[0].upper() + problem[1:])
    return result


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
