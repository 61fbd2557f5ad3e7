#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module init: begin with a catalog of one's own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: init
short_description: Write an inventory, a catalog and encrypted values to begin with
version_added: 1.0.0
description:
  - Writes a folder in which the collection's playbooks find the inventory, the catalog and the values by themselves.
  - Its C(ansible.cfg) names the inventory, and is then the only one that Ansible reads in that folder. An existing one
    is left as it is; the playbooks then run with C(-i inventory.yml).
  - The catalog's first line names a JSON schema, C(catalog.schema.json) in the folder, by which editors complete and
    check it.
  - Values are generated for keys that have none, and are then kept only in the central store.
  - No cluster is contacted. The connection options are accepted, as by every module, but not used.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  dest:
    description: The folder, on the control node.
    type: path
    required: true
  secrets:
    description: The Secrets to distribute.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the Secret in the namespaces. The master Secret and the label are named after it.
        type: str
        required: true
      keys:
        description: Its keys.
        type: list
        elements: str
        required: true
      namespaces:
        description: The namespaces that get it.
        type: list
        elements: str
        default: []
  values:
    description: The known values, as a mapping of names, each of them a mapping of keys to strings.
    type: dict
    default: {}
  vault_password_again:
    description: The vault password, typed again. A mismatch is an error; without this option, nothing is compared.
    type: str
  cluster_variables:
    description: Variables of the inventory's host that define how its API is reached, such as
      C(cluster_secrets_context).
    type: dict
    default: {}
  collections_path:
    description: Where Ansible looks for collections, for C(ansible.cfg). By default, what another C(ansible.cfg) says.
    type: list
    elements: path
    default: []
  force:
    description: Whether to replace existing files that have other content.
    type: bool
    default: false
extends_documentation_fragment:
  - platform.cluster_secrets.connection
attributes:
  check_mode:
    description: Says what it would write.
    support: full
  diff_mode:
    description: The files are new, and one of them is encrypted.
    support: none
  platform:
    description: Always runs on the control node, whose vault password it needs.
    support: full
    platforms: posix
seealso:
  - module: platform.cluster_secrets.adopt
    description: For a cluster that distributes Secrets already.
"""

EXAMPLES = r"""
- name: Begin with one Secret
  platform.cluster_secrets.init:
    dest: platform
    secrets:
      - name: smtp
        keys: [user, password]
        namespaces: [shop]
    values:
      smtp: {user: mailer}
"""

RETURN = r"""
changed_files:
  description: The names of the files that were (in check mode, would be) written.
  returned: success
  type: list
  elements: str
dest:
  description: The folder's absolute path.
  returned: success
  type: str
generated:
  description: The keys of each Secret whose values are generated.
  returned: success
  type: dict
configured:
  description: Whether the folder's C(ansible.cfg) is the module's, so that the inventory need not be named.
  returned: success
  type: bool
"""

import os
from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import files
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import (
    LABEL_PREFIX,
    parse_catalog,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.schema import document
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.values import check_values
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import AUTH_OPTIONS, Context, run_module

OPTIONS: dict[str, dict[str, Any]] = {
    "dest": {"type": "path", "required": True},
    "secrets": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "no_log": False,
        "options": {
            "name": {"type": "str", "required": True},
            "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "namespaces": {"type": "list", "elements": "str", "default": []},
        },
    },
    "values": {"type": "dict", "default": {}, "no_log": True},
    "vault_password_again": {"type": "str", "no_log": True},
    "cluster_variables": {"type": "dict", "default": {}},
    "collections_path": {"type": "list", "elements": "path", "default": []},
    "force": {"type": "bool", "default": False},
}

INVENTORY = "inventory.yml"
CONFIGURATION = "ansible.cfg"
VARIABLES = os.path.join("group_vars", "all", "cluster_secrets.yml")
VALUES = "cluster_secrets.vault.yml"

IGNORED = ".gitignore"

#: What may come to lie in the folder and must not be in a commit. The values are encrypted, and may.
_IGNORED = """cluster-secrets-backups/
*.snapshot.json
*kubeconfig
*.kubeconfig
.vault-pass*
vault-password*
"""

#: By which editors complete and check the catalog.
SCHEMA = "catalog.schema.json"

_HEAD = """yaml-language-server: $schema=../../catalog.schema.json
What is distributed, and to which namespaces. The collection's docs/reference.md lists the catalog's keys; other
variables can go here, too.
The playbook platform.cluster_secrets.bootstrap brings it into the cluster."""


def run(context: Context) -> dict[str, Any]:
    """Check all that was said, then write the files."""
    # Only here, because it imports yaml, which other modules do without.
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import variables

    params = context.params
    if params["vault_password_again"] is not None:
        context.vault.confirm(params["vault_password_again"])
    catalog = []
    values: dict[str, dict[str, Any]] = {}
    generated: dict[str, list[str]] = {}
    for one in params["secrets"]:
        given = params["values"].get(one["name"]) or {}
        if not isinstance(given, dict):
            raise CatalogError("values: '%s' must be a mapping of keys." % one["name"])
        for key in given:
            if key not in one["keys"]:
                raise CatalogError("values: '%s' has no key '%s'. Name it in its 'keys'." % (one["name"], key))
        made = [key for key in one["keys"] if given.get(key) in (None, "")]
        entry: dict[str, Any] = {
            "name": one["name"],
            "source": one["name"],
            "label": LABEL_PREFIX + one["name"],
            "data": {key: key for key in one["keys"]},
            "namespaces": one["namespaces"],
        }
        if made:
            entry["generate"] = {key: {"length": 32} for key in made}
            generated[one["name"]] = made
        catalog.append(entry)
        # One without any is there as well: where the next one goes shall be seen.
        values[one["name"]] = {key: given[key] for key in one["keys"] if key not in made}
    unknown = sorted(set(params["values"]) - {secret["name"] for secret in params["secrets"]})
    if unknown:
        raise CatalogError("values: there is no Secret '%s'. Name it in 'secrets'." % unknown[0])
    check_values(parse_catalog(catalog), values)
    settings = {
        "cluster_secrets_catalog": catalog,
        "cluster_secrets_values_file": "{{ inventory_dir }}/" + VALUES,
    }
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        **_connection(params["cluster_variables"]),
    }
    # What is templated here is ours; names and keys can't hold a brace.
    texts = {
        INVENTORY: variables.dump_plain({"all": {"hosts": {"localhost": host}}}, "The cluster."),
        VARIABLES: variables.dump_plain(settings, _HEAD),
    }
    configuration = _configuration(params["collections_path"])
    configured = _says(os.path.join(params["dest"], CONFIGURATION), configuration)
    if configured is None:
        texts[CONFIGURATION] = configuration
    if not os.path.exists(os.path.join(params["dest"], IGNORED)):
        texts[IGNORED] = _IGNORED
    secret = {VALUES: variables.dump_plain(values, "The values of the master Secrets.")}
    written = files.write_set(context.vault, params["dest"], texts, secret, params["force"], context.check_mode)
    # Of the collection itself, and nobody else's.
    text, path = document(), os.path.join(params["dest"], SCHEMA)
    if not _says(path, text):
        written.append(SCHEMA)
        if not context.check_mode:
            files.write(path, text, "schema")
    return {
        "changed": bool(written),
        "dest": os.path.abspath(params["dest"]),
        "changed_files": written,
        "generated": generated,
        "configured": configured is not False,
    }


def _configuration(collections_path: list[str]) -> str:
    lines = ["[defaults]", "inventory = %s" % INVENTORY, "stdout_callback = platform.cluster_secrets.brief"]
    if collections_path:
        lines.append("collections_path = %s" % ":".join(collections_path))
    return "\n".join(lines) + "\n"


def _says(path: str, text: str) -> bool | None:
    """Whether a file is there and says ``text``; None when there is none."""
    if not os.path.exists(path):
        return None
    return files.read(path, os.path.basename(path)).decode("utf-8", "replace") == text


def _connection(given: dict[str, Any]) -> dict[str, Any]:
    """The variables of the inventory's host, checked."""
    options = {"cluster_secrets_" + name: spec for name, spec in AUTH_OPTIONS.items()}
    for name in given:
        if name not in options:
            raise CatalogError(
                "cluster_variables: '%s' says nothing of a connection; use 'cluster_secrets_context' or another." % name
            )
        # A kubeconfig may be a path.
        path = name == "cluster_secrets_kubeconfig" and isinstance(given[name], str)
        inner = options[name].get("options") or {}
        secret = isinstance(given[name], dict) and any(inner.get(key, {}).get("no_log") for key in given[name])
        if (options[name].get("no_log") and not path) or secret:
            raise CatalogError(
                "cluster_variables: '%s' would stand in clear in a file. Put it into an encrypted one." % name
            )
    return given


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
