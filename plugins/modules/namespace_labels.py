#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module namespace_labels: say by labels which namespaces get which Secrets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: namespace_labels
short_description: Label the namespaces that get the catalog's Secrets
version_added: 1.0.0
description:
  - Gives any number of namespaces the labels by which ESO distributes the catalog's Secrets, or removes them.
  - Reads all namespaces in a few pages and patches, concurrently, only those that differ; a run without differences
    writes nothing.
  - Removing a label also removes the finalizer that ESO leaves on the namespace, which would otherwise keep it from
    ever being deleted.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows which labels and finalizers change.
    support: full
options:
  state:
    description: Whether the namespaces should carry the labels.
    type: str
    choices: [present, absent]
    default: present
  assignments:
    description:
      - Which namespaces get which entries, as a mapping of namespaces to lists of entry names, instead of what the
        catalog lists.
      - O(state=absent) requires it. An entry that is no longer in the catalog may then be named as well; ESO's
        finalizer for it is removed. Nothing is removed if others would lose something, or if ESO would continue to
        distribute.
      - With O(state=present), nothing is labelled if ESO would overwrite a Secret that it did not create.
    type: dict
  missing:
    description: What to do about namespaces that do not exist. With V(fail), nothing at all is written.
    type: str
    choices: [create, fail, ignore]
    default: create
  exclusive:
    description:
      - Whether to remove labels that begin with C(secrets/) from namespaces to which neither the catalog nor
        O(assignments) gives them. This also removes the label of an entry that was removed from the catalog.
      - Labels that objects of others select by are kept, as are labels that belong to no entry and that somebody else
        set.
    type: bool
    default: false
  wait:
    description: With O(state=absent), whether to wait until ESO has removed the copies. If it has not, the module fails
      and names what holds each copy.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to wait.
    type: int
    default: 60
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.ownership
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.namespace
"""

EXAMPLES = r"""
- name: Label the namespaces that the catalog lists
  platform.cluster_secrets.namespace_labels:
    catalog: "{{ cluster_secrets_catalog }}"

- name: Take a Secret from a namespace
  platform.cluster_secrets.namespace_labels:
    catalog: "{{ cluster_secrets_catalog }}"
    state: absent
    assignments:
      team-a: [application-docker-registry]

- name: Let one more namespace pull images
  platform.cluster_secrets.namespace_labels:
    catalog: "{{ cluster_secrets_catalog }}"
    assignments:
      team-a: [application-docker-registry]
    missing: fail
"""

RETURN = r"""
left:
  description: What should have been removed but was left in place, each with the C(object), the C(reason) and the
    C(command) that would remove it.
  returned: success, when O(state=present)
  type: list
  elements: dict
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
missing:
  description: Namespaces that do not exist and were left out.
  returned: success
  type: list
  elements: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts.labels import OPTIONS, run


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
