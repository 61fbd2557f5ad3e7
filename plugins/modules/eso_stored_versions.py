#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module eso_stored_versions: store all of ESO's objects in the version that stays."""

from __future__ import annotations

DOCUMENTATION = r"""
module: eso_stored_versions
short_description: Store ESO's objects in the version that stays
version_added: 1.0.0
description:
  - Objects stay stored in the version in which they were last written. A CustomResourceDefinition remembers each such
    version in C(status.storedVersions), and must not drop a version named there, as that of a newer ESO does with
    C(v1beta1).
  - For each of ESO's definitions that remembers another version than the one it stores in, this writes every object
    again without a change, those of all namespaces, and then removes the other versions from C(status.storedVersions).
  - Interrupted, it can be run again.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
"""

EXAMPLES = r"""
- name: Prepare for a release of ESO without v1beta1
  platform.cluster_secrets.eso_stored_versions:
"""

RETURN = r"""
changes:
  description: What was written, or would be in check mode; each has C(kind), C(name), C(result) and, if namespaced,
    C(namespace).
  returned: success
  type: list
  elements: dict
definitions:
  description: The definitions whose C(status.storedVersions) were cleaned.
  returned: success
  type: list
  elements: str
  sample: [externalsecrets.external-secrets.io]
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.snapshot import definitions
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan import (
    Action,
    plan_rewrite,
    plan_stored_versions,
    resource_of_definition,
)

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context

OPTIONS: dict[str, dict[str, Any]] = {}


def run(context: Context) -> dict[str, Any]:
    """Write the objects, then what the definitions remember."""
    client = context.client
    planned = [(item, plan_stored_versions(item)) for item in definitions(client)]
    stale = [(item, action) for item, action in planned if action is not None]

    def rewrites(definition: dict[str, Any]) -> list[Action]:
        return plan_rewrite(definition, client.list(resource_of_definition(definition), partial=True)[0])

    objects = [action for found in client.each(rewrites, [item for item, _action in stale]) for action in found]
    actions = Executor(client, context.check_mode).run(objects, [action for _item, action in stale])
    return context.result(actions, definitions=[item["metadata"]["name"] for item, _action in stale])


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
