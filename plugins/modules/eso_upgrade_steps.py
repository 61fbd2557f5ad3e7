#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module eso_upgrade_steps: by which releases an upgrade of ESO goes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: eso_upgrade_steps
short_description: Plan the releases that an upgrade of ESO goes through
version_added: 1.0.0
description:
  - Returns the charts with which helm takes the External Secrets Operator from the running release to another one.
    There is one for each minor release in between, in its newest patch release, as far as the charts are available.
  - Between a release before 0.16 and one after it, 0.16.0 or 0.16.1 must be available, since only these serve both
    C(v1beta1) and C(v1).
  - The running release is read from helm's record of its last finished operation, so that an interrupted operation is
    repeated.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  chart:
    description: The chart as helm takes it, a name in O(chart_repo), a URL or a path.
    type: str
    default: external-secrets
  chart_repo:
    description: The repository of a chart that is a name. Its index lists the available releases, unless O(charts)
      does.
    type: str
    default: https://charts.external-secrets.io
  chart_version:
    description: The version of O(chart), when that is not a path. It is the release to upgrade to.
    type: str
  charts:
    description: The available charts, if there is no repository.
    type: list
    elements: dict
    default: []
    suboptions:
      chart:
        description: The chart as helm takes it.
        type: str
        required: true
      version:
        description: The version of a chart that is not a path.
        type: str
      crds:
        description: The path or URL of a file with its CustomResourceDefinitions, if they don't come with the chart.
        type: str
  crds:
    description: The same for O(chart).
    type: str
  accept_vulnerable:
    description: Whether to upgrade to a release with known vulnerabilities, with a warning. Releases on the way run
      only for a short time.
    type: bool
    default: false
  release_name:
    description: The name of helm's release.
    type: str
    default: external-secrets
extends_documentation_fragment:
  - platform.cluster_secrets.advisories
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.identities.namespace
  - platform.cluster_secrets.attributes.reads
"""

EXAMPLES = r"""
- name: Find the way
  platform.cluster_secrets.eso_upgrade_steps:
    chart_version: 2.9.0
"""

RETURN = r"""
running:
  description: The release that runs.
  returned: success
  type: str
  sample: 0.14.4
to:
  description: The release to upgrade to.
  returned: success
  type: str
  sample: 2.9.0
revision:
  description: The revision of the helm release to which C(helm rollback) returns.
  returned: success
  type: int
rollback:
  description: The command that goes back to it.
  returned: success
  type: str
  sample: helm rollback external-secrets 3 --namespace external-secrets
progress:
  description: How far an upgrade has come, for O(platform.cluster_secrets.sync_snapshot#module:progress). The release
    that runs, and what helm began and did not finish.
  returned: success
  type: str
  sample: 0.14.4
crds_by_chart:
  description: Whether the CustomResourceDefinitions are part of helm's release.
  returned: success
  type: bool
steps:
  description: The releases on the way, in the order of installation. Empty if it already runs.
  returned: success
  type: list
  elements: dict
  contains:
    release:
      description: The release of ESO.
      type: str
    chart:
      description: The chart as helm takes it.
      type: str
    version:
      description: The version of a chart that is not a path.
      type: str
    crds:
      description: The path or URL of a file with its CustomResourceDefinitions.
      type: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

import os
from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.kubeconfig import connection
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import EsoError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso, release
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    ADVISORIES_OPTION,
    ESO_NAMESPACE_OPTION,
    Context,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade import steps

OPTIONS: dict[str, dict[str, Any]] = {
    **ADVISORIES_OPTION,
    "chart": {"type": "str", "default": "external-secrets"},
    "chart_repo": {"type": "str", "default": "https://charts.external-secrets.io"},
    "chart_version": {"type": "str"},
    "charts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "chart": {"type": "str", "required": True},
            "version": {"type": "str"},
            "crds": {"type": "str"},
        },
    },
    "crds": {"type": "str"},
    "accept_vulnerable": {"type": "bool", "default": False},
    "release_name": {"type": "str", "default": "external-secrets"},
    **ESO_NAMESPACE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Read what runs and what is at hand."""
    params = context.params
    connection(params).kubeconfig()  # helm will be given it
    namespace, name = params["eso_namespace"], params["release_name"]
    record = release.deployed(context.client, namespace, name)
    if record is None:
        raise EsoError(
            "helm has no finished release '%s' in namespace '%s'. Set 'cluster_secrets_eso_release' and "
            "'cluster_secrets_eso_namespace' to ESO's own; an ESO that helm did not install is upgraded the way it was "
            "installed." % (name, namespace)
        )
    if record.chart != "external-secrets":
        raise EsoError(
            "helm's release '%s' is of the chart '%s', which has ESO inside, and this would replace all of it. Upgrade "
            "ESO in that chart." % (name, record.chart)
        )
    if record.number is None:
        raise EsoError("helm's release '%s' is of '%s', no release of upstream." % (name, record.app_version))
    given = [_step(chart["chart"], chart["version"], chart["crds"]) for chart in params["charts"]]
    to = None
    if given or params["chart"].startswith((".", "/")) or "://" in params["chart"]:
        given.append(_step(params["chart"], params["chart_version"], params["crds"]))
    else:
        given = steps.of_index(eso.index(params["chart_repo"]), params["chart"])
        to = advisories.parse(params["chart_version"])
        if to is None:
            raise EsoError(
                "the release to go to is unknown, since '%s' is no version of a chart. Set "
                "'cluster_secrets_eso_chart_version'." % (params["chart_version"] or "")
            )
    to = to or given[-1].release
    way = steps.way(record.number, to, given)
    wanted = eso.Release(to, lists=eso.lists(params["advisories"]))
    if way and wanted.advisories:
        problem = eso.vulnerable(wanted, "the upgrade would go to")
        if not params["accept_vulnerable"]:
            raise EsoError(problem)
        context.warn(problem)
    running = advisories.text(record.number)
    newest = release.newest(context.client, namespace, name)
    # What was rolled back is finished, too, and then over.
    begun = newest is not None and newest.revision > record.revision
    return {
        "changed": False,
        "running": running,
        "progress": "%s, begun: revision %d" % (running, newest.revision) if newest and begun else running,
        "to": advisories.text(to),
        "revision": record.revision,
        "rollback": "helm rollback %s %d --namespace %s%s"
        # What others changed since would stop helm 4 on its way back, too.
        % (name, record.revision, namespace, " --force-conflicts" if record.server_side else ""),
        "crds_by_chart": record.installs_crds,
        "steps": [one.as_dict() for one in way],
        "api_requests": context.client.requests,
    }


def _step(chart: str, version: str | None, crds: str | None) -> steps.Step:
    is_path = chart.startswith((".", "/"))
    release = eso.of_chart(chart, version, {})
    if release.number is None:
        raise EsoError("the release of the chart '%s' is unknown: %s." % (chart, release.problem))
    # helm runs in another folder than this module may.
    place, number = (os.path.abspath(chart), None) if is_path else (chart, version)
    return steps.Step(release.number, place, number, _file(crds))


def _file(crds: str | None) -> str | None:
    return os.path.abspath(crds) if crds and "://" not in crds else crds or None


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
