#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cronjobs: suspend CronJobs for a while."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cronjobs
short_description: Suspend CronJobs during an upgrade, and resume them afterwards
version_added: 1.0.0
description:
  - Suspends CronJobs that are not yet suspended, and marks them with the annotation
    C(cluster-secrets.platform/suspended).
  - Resumes only those that carry the mark. CronJobs that somebody else suspended stay suspended.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows what changes.
    support: full
options:
  state:
    description: Whether to suspend or resume the CronJobs.
    type: str
    choices: [suspended, resumed]
    default: suspended
  cronjobs:
    description: The CronJobs. A missing one is an error before anything is suspended, and a warning on resume.
    type: list
    elements: dict
    required: true
    suboptions:
      namespace:
        description: Its namespace.
        type: str
        required: true
      name:
        description: Its name.
        type: str
        required: true
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
"""

EXAMPLES = r"""
- name: Keep the defragmentation of etcd from running during an upgrade
  platform.cluster_secrets.cronjobs:
    cronjobs:
      - {namespace: kube-system, name: etcd-defrag}
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import (
    ClusterSecretsError,
    MissingPermission,
    NotReady,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context, run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.workloads import plan_suspend
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import CRONJOBS, Object

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.actions import Action

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["suspended", "resumed"], "default": "suspended"},
    "cronjobs": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
        },
    },
}


def run(context: Context) -> dict[str, Any]:
    """Plan against the live CronJobs and write the difference."""
    client, suspend = context.client, context.params["state"] == "suspended"
    wanted = [(cronjob["namespace"], cronjob["name"]) for cronjob in context.params["cronjobs"]]
    failed: list[ClusterSecretsError] = []

    def read(key: tuple[str, str]) -> Object | None:
        try:
            return client.get(CRONJOBS.path(key[1], key[0]))
        except ClusterSecretsError as error:
            if suspend:
                raise
            # The others are resumed all the same.
            failed.append(error)
            return {}

    live = client.each(read, wanted)
    absent = ["/".join(key) for key, item in zip(wanted, live) if item is None]
    if absent:
        said = "there is no CronJob %s" % ", ".join(absent)
        if suspend:
            raise NotReady("%s. Correct the list (cluster_secrets_upgrade_cronjobs). Nothing was changed." % said)
        context.warn("%s any more, so it is not resumed" % said)
    planned = [plan_suspend(item, suspend) for item in live if item]
    actions = _write(context, [action for action in planned if action], suspend)
    if failed:
        raise failed[0]
    return context.result(actions)


def _write(context: Context, planned: list[Action], suspend: bool) -> list[Action]:
    """Write all; when one can't be suspended, those that were are resumed, since nothing is begun then."""
    client, executor = context.client, Executor(context.client, context.check_mode)
    try:
        return executor.run(planned)
    except ClusterSecretsError as error:
        if suspend and not isinstance(error, MissingPermission):
            live = [client.get(CRONJOBS.path(action.name, action.namespace)) for action in planned]
            again = [plan_suspend(item, False) for item in live if item]
            executor.run([action for action in again if action])
        raise


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
