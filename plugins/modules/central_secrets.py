#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module central_secrets: seed the central store."""

from __future__ import annotations

DOCUMENTATION = r"""
module: central_secrets
short_description: Seed the master Secrets of the central store
version_added: 1.0.0
description:
  - Creates and updates the master Secrets that the catalog's entries read, with values that can come from any lookup.
  - All values are checked against the catalog before anything is written.
  - Keys and Secrets of other owners are left alone.
  - When a value changes, the time is recorded in the master Secret's annotation C(cluster-secrets/value-changed).
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows which keys change, and never a value.
    support: full
options:
  state:
    description: With V(absent), the master Secrets that this module created or took over are deleted, except for those
      that others read. O(values) is then not needed.
    type: str
    choices: [present, absent]
    default: present
  values:
    description:
      - The values, a mapping of sources, each a mapping of keys to strings (binary data as a mapping of C(base64)).
      - Sources that no enabled entry of the catalog reads are left out, with a warning.
      - What the catalog generates is not given here.
    type: dict
  create_namespace:
    description: Whether to create the namespace of the central store when it is missing.
    type: bool
    default: true
  prune:
    description: Whether to delete master Secrets that this module created or took over and that no entry, nor anything
      else, reads any more.
    type: bool
    default: false
  prune_entries:
    description: Whether the same run removes what was created by entries that are no longer in the catalog, so that
      O(takeover) does not report it as lost.
    type: bool
    default: false
  sources:
    description: The master Secrets to write, by default all. Values of others are neither needed nor looked at.
    type: list
    elements: str
  regenerate:
    description:
      - The sources whose generated values are regenerated, each with a text that distinguishes one request from the
        next, such as the date. A completed request is recorded in an annotation and not repeated.
      - Other values are generated once, when the master Secret does not have them.
    type: dict
    default: {}
  takeover:
    description:
      - If given, the module first looks for everything that existed before and that a bootstrap with this catalog would
        change or break. Anything that is not accepted fails the module before anything is written.
      - A mapping of kinds to answers. The kinds are C(consumers) of the store that the catalog doesn't know (C(keep) or
        C(drop)), C(entries), which are ClusterExternalSecrets that others created (C(adopt) or C(overwrite)), C(stores)
        with their permissions (C(adopt) or C(overwrite)), C(values) of master Secrets (C(overwrite)), C(targets) that
        exist already (C(adopt) or C(overwrite)), field C(managers) such as Argo CD (C(overwrite)), C(losses), which is
        what this collection distributes now but no longer would (C(accept)), C(access) of others to a central namespace
        that existed before the collection (C(accept)), and C(ended), which are expired
        certificates and tokens that would be written (C(accept)). C(operator) is for
        M(platform.cluster_secrets.eso_release).
      - C(adopt) accepts changes that nobody notices, and C(overwrite) accepts all changes, after a backup of the
        Secrets that change. The default for each kind is C(refuse).
    type: dict
  preflight:
    description: Whether O(takeover) covers everything, or only the values of master Secrets, as for a rotation.
    type: str
    choices: [all, values]
    default: all
  backup:
    description: Whether Secrets are backed up before they are removed. If so, none is removed without the run's vault
      password.
    type: bool
    default: true
  backup_dir:
    description: The folder, on the control node, for the backup that is taken before Secrets are overwritten or
      removed.
    type: path
    default: cluster-secrets-backups
  server_url:
    description: The URL at which ESO is to reach the Kubernetes API, for the comparison that O(takeover) makes.
    type: str
    default: https://kubernetes.default.svc
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.isolation
  - platform.cluster_secrets.ownership.advice
  - platform.cluster_secrets.identities.eso
  - platform.cluster_secrets.identities.platform
seealso:
  - module: platform.cluster_secrets.sync
"""

EXAMPLES = r"""
- name: Seed the central store from an ansible-vault file
  platform.cluster_secrets.central_secrets:
    catalog: "{{ cluster_secrets_catalog }}"
    values: "{{ lookup('platform.cluster_secrets.values_file', 'secrets.vault.yml') }}"
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
  sample: [{"kind": "Secret", "namespace": "central-secret-store", "name": "github-pat", "result": "updated"}]
changed_sources:
  description:
    - The master Secrets that change, each a mapping whose keys are the changed keys, for the option of the same name of
      M(platform.cluster_secrets.sync).
    - Names are mapping keys here because everywhere else Ansible masks names that contain a value.
  returned: success
  type: dict
  sample: {"github-pat": {"token": true}}
takeover:
  description: What existed before, each with its kind as C(check), its C(object), C(message) and C(severity), the
    C(answers) that accept it, and whether it is C(accepted).
  returned: when O(takeover) is given
  type: list
  elements: dict
replace:
  description: The targets that Kubernetes does not allow to be changed in place, as a mapping of namespaces, each a
    mapping of names, each a mapping whose key is the uid, for the option of the same name of
    M(platform.cluster_secrets.cluster_external_secrets). Ansible does not mask keys.
  returned: when O(takeover) is given
  type: dict
backup:
  description: The path of the backup that was taken, if any.
  returned: when O(takeover) is given, or Secrets are removed
  type: str
left:
  description: The Secrets that should have been removed but were left in place, each with the C(object), the C(reason)
    and the C(command) that would remove it.
  returned: success
  type: list
  elements: dict
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts.masters import OPTIONS, run


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
