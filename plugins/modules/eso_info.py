#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module eso_info: is ESO there and healthy?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: eso_info
short_description: Report whether ESO is healthy
version_added: 1.0.0
description:
  - Looks at ESO's controller, at the ClusterSecretStores and at the API versions that are served.
  - Can wait until the API server answers and ESO is healthy, as after an upgrade of the nodes.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  deployment:
    description: The name of the controller's Deployment. Without it, the one with the label of ESO's chart is used.
    type: str
  wait:
    description: Whether to wait until the API server answers and ESO is healthy, and to fail if that does not happen
      in time.
    type: bool
    default: false
  wait_timeout:
    description: How many seconds to wait.
    type: int
    default: 300
extends_documentation_fragment:
  - platform.cluster_secrets.advisories
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.identities.namespace
  - platform.cluster_secrets.attributes.reads
  - platform.cluster_secrets.store
"""

EXAMPLES = r"""
- name: Wait for ESO after the nodes were upgraded
  platform.cluster_secrets.eso_info:
    wait: true
"""

RETURN = r"""
healthy:
  description: Whether there is no problem.
  returned: success
  type: bool
problems:
  description: Why ESO is not healthy.
  returned: success
  type: list
  elements: str
image:
  description: The controller's image.
  returned: success
  type: str
version:
  description: The controller's release, or nothing when its image does not show it.
  returned: success
  type: str
  sample: 2.9.0
version_problem:
  description: Why the release is unknown.
  returned: success
  type: str
unsupported:
  description: Why upstream does not support the release any more, or nothing.
  returned: success
  type: str
advisories:
  description: The known vulnerabilities of the release, as the module M(platform.cluster_secrets.eso_release) returns
    them.
  returned: success
  type: list
  elements: dict
served_versions:
  description: The API versions of ESO's group that are served.
  returned: success
  type: list
  elements: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import is_owned
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import (
    ClusterSecretsError,
    NotReady,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso, state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.state import not_ready
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    ADVISORIES_OPTION,
    ESO_NAMESPACE_OPTION,
    STORE_OPTION,
    Context,
    run_module,
    wait_while,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    ESO_GROUP,
    resource_of,
)

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.advisories import Lists
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.client import Client

OPTIONS: dict[str, dict[str, Any]] = {
    **ESO_NAMESPACE_OPTION,
    "deployment": {"type": "str"},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 300},
    **ADVISORIES_OPTION,
    **STORE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Look, once or until all is well."""
    seconds = context.params["wait_timeout"]
    known = eso.lists(context.params["advisories"])
    looked: dict[str, Any] = {}

    def unhealthy() -> NotReady | None:
        try:
            looked.update(_look(context, known))
            problem = "; ".join(looked["problems"])
        except ClusterSecretsError as error:
            problem = str(error)
        return NotReady("ESO was not healthy after %d s: %s" % (seconds, problem)) if problem else None

    if context.params["wait"]:
        wait_while(context.client, unhealthy, seconds, interval=0.5)
    else:
        looked = _look(context, known)
    if looked["unsupported"]:
        context.warn("External Secrets %s is out of support: %s" % (looked["version"], looked["unsupported"]))
    return looked


def _look(context: Context, known: Lists) -> dict[str, Any]:
    params, client = context.params, context.client
    problems: list[str] = []
    deployment = eso.controller(client, params["eso_namespace"], params["deployment"])
    release = eso.running(deployment, known)
    if deployment is None:
        named = " '%s'" % params["deployment"] if params["deployment"] else " of ESO's controller"
        problems.append("there is no Deployment%s in namespace '%s'" % (named, params["eso_namespace"]))
    else:
        wanted, available = (
            deployment["spec"].get("replicas", 1),
            (deployment.get("status") or {}).get("availableReplicas", 0),
        )
        if not wanted or available < wanted:
            problems.append("%d of %d replicas of ESO's controller are available" % (available, wanted))
    version, served = eso.served(client)
    if version is None:
        problems.append("the API group %s is not served" % ESO_GROUP)
    else:
        problems.extend(_store_problems(client, version, params["store"]))
    unsupported = release.unsupported(state.utcnow().strftime("%Y-%m-%d"))
    return {
        "changed": False,
        "healthy": not problems,
        "problems": problems,
        "image": release.image,
        "version": release.text,
        "version_problem": release.problem,
        "unsupported": unsupported,
        "advisories": [advisory.as_dict() for advisory in release.advisories],
        "served_versions": served,
        "api_requests": client.requests,
    }


def _store_problems(client: Client, version: str, name: str) -> list[str]:
    live, _version = client.list(resource_of("%s/%s" % (ESO_GROUP, version), "ClusterSecretStore"), missing_ok=True)
    names = {item["metadata"]["name"] for item in live if is_owned(item)}
    if name not in {item["metadata"]["name"] for item in live}:
        return ["there is no ClusterSecretStore '%s'" % name]
    return [
        "the ClusterSecretStore '%s' is not ready: %s" % (one, said or "ESO has not looked at it")
        for one, said in not_ready(live, names | {name})
    ]


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
