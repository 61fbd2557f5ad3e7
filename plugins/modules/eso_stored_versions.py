#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module eso_stored_versions: store all of ESO's objects in the version that stays."""

from __future__ import annotations

DOCUMENTATION = r"""
module: eso_stored_versions
short_description: Rewrite ESO's objects in the current storage version
version_added: 1.0.0
description:
  - Objects remain stored in the version in which they were last written. A CustomResourceDefinition records each such
    version in C(status.storedVersions), and must not drop a version listed there, as that of a newer ESO does with
    C(v1beta1).
  - For each of ESO's definitions that records a version other than its storage version, the module rewrites every
    object in all namespaces unchanged, and then removes the other versions from C(status.storedVersions).
  - ExternalSecrets that refer to their ClusterExternalSecret in an older version are updated to the new one. Otherwise,
    the controller of 0.16 does not recognise them as its own and no longer applies changes of the
    ClusterExternalSecret.
  - The same applies to targets and generator states that refer to their ExternalSecret in an older version. Kubernetes'
    garbage collector would remove them once that version is no longer served.
  - If interrupted, it can be run again.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  assume_crds:
    description:
      - In check mode, the CustomResourceDefinitions that the run would have applied before this task, as one file, URL
        or folder per step, with this module run after each step.
    type: list
    elements: str
    default: []
  rename_owners:
    description: Whether to update the owner references of ExternalSecrets and targets. Do not do so while a controller
      before 0.16 runs, which recognises them by C(v1beta1).
    type: bool
    default: true
  assume_renamed:
    description: In check mode, whether the run would already have updated them before this task.
    type: bool
    default: false
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
  description: The definitions whose C(status.storedVersions) was cleaned up.
  returned: success
  type: list
  elements: str
  sample: [externalsecrets.external-secrets.io]
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.definitions import read_files
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.snapshot import definitions
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context, run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.actions import Action
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.definitions import (
    plan_owners,
    plan_rewrite,
    plan_stored_versions,
    resource_of_definition,
    storage_version,
    with_owners_in,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import SECRETS, Object

OPTIONS: dict[str, dict[str, Any]] = {
    "assume_crds": {"type": "list", "elements": "str", "default": []},
    "rename_owners": {"type": "bool", "default": True},
    "assume_renamed": {"type": "bool", "default": False},
}


#: The kinds whose objects may be owned by others of ESO.
OWNED = ("ExternalSecret", "GeneratorState")


def run(context: Context) -> dict[str, Any]:
    """Write the objects, then what the definitions remember."""
    client = context.client
    live = definitions(client)
    sources = context.params["assume_crds"] if context.check_mode else []
    expected = assumed(live, sources)
    planned = [(item, after, plan_stored_versions(after)) for item, after in zip(live, expected)]
    stale = [item["metadata"]["name"] for item, _after, action in planned if action]
    versions = _versions(expected) if context.params["rename_owners"] else {}
    earlier = _versions(assumed(live, sources[:-1])) if context.check_mode and context.params["assume_renamed"] else {}

    def rewrites(one: tuple[Object, Object, Action | None]) -> list[Action]:
        item, after, action = one
        if action is None and item["spec"]["names"]["kind"] not in OWNED:
            return []
        rewritable = [
            with_owners_in(item_of, earlier) for item_of in client.list(resource_of_definition(item), partial=True)[0]
        ]
        actions = [plan_rewrite(after, one, versions, action is not None) for one in rewritable]
        return [action for action in actions if action]

    objects = [action for rewritable in client.each(rewrites, planned) for action in rewritable]
    if versions:
        targets = client.list(SECRETS, partial=True)[0]
        objects += [action for target in targets if (action := plan_owners(with_owners_in(target, earlier), versions))]
    actions = Executor(client, context.check_mode).run(objects, [action for _item, _after, action in planned if action])
    return context.result(actions, definitions=stale)


def assumed(live: list[Object], sources: list[str]) -> list[Object]:
    """The live definitions as they will be once those of each source were applied and, but for the last, cleaned."""
    items = live
    for source in sources:
        given = {item["metadata"]["name"]: item for item in read_files(source)}
        items = [_applied(item, given.get(item["metadata"]["name"], item)) for item in items]
    return items


def _versions(items: list[Object]) -> dict[str, str]:
    """The version in which each kind is stored."""
    return {item["spec"]["names"]["kind"]: storage_version(item) for item in items}


def _applied(before: Object, given: Object) -> Object:
    stored = list(dict.fromkeys([storage_version(before), storage_version(given)]))
    return {**before, "spec": given["spec"], "status": {**(before.get("status") or {}), "storedVersions": stored}}


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
