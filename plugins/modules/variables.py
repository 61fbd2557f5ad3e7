#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action variables."""

from __future__ import annotations

DOCUMENTATION = r"""
module: variables
short_description: Check the variables of the roles and playbooks before anything is done
version_added: 1.0.0
description:
  - Checks each variable of the collection that the host has against the argument specifications of all roles and the
    playbooks' own variables. All wrong ones are named in one error.
  - Warns about variables that are named like the collection's but are unknown, and suggests the closest name.
  - Reports which cluster the host's connection leads to, by its server and the context of the kubeconfig. Refuses a
    host that names none of its own and got that of another host.
  - Sends no request. The playbooks of the collection begin with it.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  cluster:
    description: Whether to report which cluster it is.
    type: bool
    default: true
  talos_nodes:
    description: Whether to refuse hosts of the play that reach the same Talos nodes by the same C(talosctl), which goes
      where its talosconfig leads.
    type: bool
    default: false
  roles:
    description: The roles of which lists and mappings are checked even if they are templates. Those of other roles and
      playbooks are then not templated, because their lookups may not be meant for this play.
    type: list
    elements: str
    default: []
  own_paths:
    description: Variables that name files or folders of which each host of the play needs its own.
    type: list
    elements: str
    default: []
  playbook:
    description: The playbook of the collection that is run, of which the variables are checked that it requires. One
      that goes by waves refuses C(cluster_secrets_serial) in the inventory, where Ansible does not heed it.
    type: str
    choices:
      - init
      - validate
      - bootstrap
      - status
      - explain
      - audit
      - onboard
      - offboard
      - rotate
      - adopt
      - logs
      - backup
      - restore
      - render
      - eso_upgrade
      - talos_upgrade_pre
      - talos_upgrade_gate
      - talos_upgrade_post
      - talos_upgrade
      - talos_upgrade_kubernetes
      - teardown
extends_documentation_fragment:
  - platform.cluster_secrets.connection
attributes:
  check_mode:
    description: Does the same.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: N/A
  platform:
    description: Runs in Ansible itself, on the control node.
    support: full
    platforms: all
"""

EXAMPLES = r"""
- name: Check the variables
  platform.cluster_secrets.variables:
"""

RETURN = r"""
cluster:
  description: The server and the context of the host's connection, a digest that is the same for all connections that
    reach the same server the same way, and the central namespace; nothing if the connection is made on another machine,
    or cannot be made.
  returned: success
  type: dict
  sample: {server: "https://10.0.0.2:6443", context: admin@prod, way: 5d41402abc4b..., central: central-secret-store}
connection:
  description: The kubeconfig and the context that were asked for, the context that was found, and the digest; nothing
    if no kubeconfig's file says which cluster it is. If the result is registered as C(cluster_secrets_at), the later
    tasks of the play stay with that context, whatever becomes the current one meanwhile, and are refused if it leads to
    another server by then.
  returned: success
  type: dict
  sample: {asked: {kubeconfig: null, context: null}, context: admin@prod, way: 5d41402abc4b...}
vault_password_typed:
  description: Whether the vault password was typed for this run, on a terminal.
  returned: success
  type: bool
unknown:
  description: The names that the collection does not know.
  returned: success
  type: list
  elements: str
"""
