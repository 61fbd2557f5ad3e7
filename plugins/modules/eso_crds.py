#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module eso_crds: the External Secrets Operator's CustomResourceDefinitions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: eso_crds
short_description: Apply ESO's CustomResourceDefinitions and wait until they are established
version_added: 1.0.0
description:
  - Applies the CustomResourceDefinitions from a file or URL server-side, but only those that differ from the live ones.
  - Waits until the API server serves the kinds that the collection uses, and fails when they are not defined at all.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows which CustomResourceDefinitions change.
    support: full
options:
  src:
    description: The path or URL of a YAML file with the CustomResourceDefinitions, or the path of a folder with such
      files. Without it, nothing is applied.
    type: str
  assume_installed:
    description: In check mode, do not fail when the CustomResourceDefinitions are missing, because the run would
      install them.
    type: bool
    default: false
  wait_timeout:
    description: How many seconds to wait.
    type: int
    default: 60
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
"""

EXAMPLES = r"""
- name: Apply the CRDs of an ESO release
  platform.cluster_secrets.eso_crds:
    src: https://raw.githubusercontent.com/external-secrets/external-secrets/v0.20.4/deploy/crds/bundle.yaml

- name: Only check that ESO's API is there
  platform.cluster_secrets.eso_crds:
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
established:
  description: Whether the kinds that the collection uses are served. Only check mode returns V(false).
  returned: success
  type: bool
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import (
    ClusterSecretsError,
    EsoError,
    NotReady,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.definitions import read_files
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context, run_module, wait_while
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.actions import Action, plan_apply
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.definitions import (
    is_established,
    plan_touch,
    plan_without_conversion,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import CRDS, Object

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.client import Client

#: What the collection can't do without.
NEEDED = (
    "clustersecretstores.external-secrets.io",
    "clusterexternalsecrets.external-secrets.io",
    "externalsecrets.external-secrets.io",
)

OPTIONS: dict[str, dict[str, Any]] = {
    "src": {"type": "str"},
    "assume_installed": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 60},
}


def run(context: Context) -> dict[str, Any]:
    """Apply what differs, then wait."""
    params, client = context.params, context.client
    desired = [] if params["src"] is None else read_files(params["src"])
    names = [item["metadata"]["name"] for item in desired]
    live = _get(client, {*names, *NEEDED})
    executor = Executor(client, context.check_mode)

    def applied(item: Object) -> Action | None:
        there = live[item["metadata"]["name"]]
        action = plan_apply(item, there)
        return None if action and there and not executor.has_effect(action, there) else action

    applies = client.each(applied, desired)
    planned = [action or plan_touch(live[name]) for action, name in zip(applies, names)]
    planned += [plan_touch(live[name]) for name in NEEDED if name not in names]
    unhooked = [plan_without_conversion(item, live[name]) for item, name in zip(desired, names)]
    actions = executor.run([action for action in unhooked if action], [action for action in planned if action])
    # All are waited for, or a run right after this one could find some that need a touch.
    pending = {name for name, there in live.items() if not is_established(there)}
    established = not pending
    coming = context.check_mode and (
        params["assume_installed"] or pending.issubset([*names, *(action.name for action in actions)])
    )
    if not established and not coming:
        seconds = params["wait_timeout"] if actions or all(live[name] for name in NEEDED) else 0
        wait_while(client, lambda: _not_established(client, pending, seconds), seconds, interval=0.1)
        established = True
    return context.result(actions, established=established)


def _get(client: Client, wanted: set[str]) -> dict[str, Object | None]:
    names = sorted(wanted)
    return dict(zip(names, client.each(lambda name: client.get(CRDS.path(name)), names)))


def _not_established(client: Client, names: set[str], seconds: float) -> ClusterSecretsError | None:
    live = _get(client, names)
    if all(map(is_established, live.values())):
        return None
    if all(live.values()):
        return NotReady(
            "ESO's CustomResourceDefinitions were not established after %d s. If the API server was restarted "
            "meanwhile, run this again." % seconds
        )
    return EsoError(
        "the External Secrets Operator is not installed: its CustomResourceDefinitions (%s) do not exist. "
        "Install it, or set cluster_secrets_eso_method to 'helm'." % ", ".join(NEEDED)
    )


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
