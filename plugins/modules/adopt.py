#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module adopt: what the collection needs to run a cluster that was set up without it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: adopt
short_description: Generate variables and values from a cluster that was set up without the collection
version_added: 1.0.0
description:
  - Reads the ClusterExternalSecrets, the store and the master Secrets of a cluster, and writes the variables and values
    with which M(platform.cluster_secrets.central_secrets) and the roles take it over. It writes nothing to the cluster.
  - Fails if nothing reads through the store, and names the ClusterSecretStores that look like such a store.
  - A ClusterExternalSecret becomes an entry if the entry reproduces every target byte for byte. Any other is listed
    with the reason and left as it is.
  - The values are encrypted with the run's vault password before they touch the disk.
  - Runs on the control node, whatever the connection.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  check_mode:
    description: Says which files it would write.
    support: full
options:
  dest:
    description:
      - The folder for C(cluster_secrets.yml) (variables), C(cluster_secrets.vault.yml) (values) and
        C(cluster_secrets_report.md).
    type: path
    required: true
  force:
    description: Whether to replace existing files of these names that have other content.
    type: bool
    default: false
  eso_namespace:
    description: The namespace of ESO. Without it, all namespaces are searched for the controller.
    type: str
extends_documentation_fragment:
  - platform.cluster_secrets.advisories
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.reads
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store
seealso:
  - module: platform.cluster_secrets.backup
"""

EXAMPLES = r"""
- name: Describe what is there
  platform.cluster_secrets.adopt:
    dest: adopted
"""

RETURN = r"""
changed_files:
  description: The files that were (in check mode, would be) written.
  returned: success
  type: list
  elements: str
entries:
  description: The names of the entries.
  returned: success
  type: list
  elements: str
foreign:
  description: The ClusterExternalSecrets that no entry can express, each with the reason.
  returned: success
  type: dict
takeover:
  description: What a bootstrap would find, as M(platform.cluster_secrets.central_secrets) returns it.
  returned: success
  type: list
  elements: dict
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

import os
from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import files
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.values import check_values
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import stores
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import ESO_MANAGED
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError, Denied, EsoError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso, snapshot
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    ADVISORIES_OPTION,
    STORE_NAMESPACE_OPTION,
    STORE_OPTION,
    Context,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import SECRETS, Object, key_of
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover import adoption, preflight

OPTIONS: dict[str, dict[str, Any]] = {
    **ADVISORIES_OPTION,
    "dest": {"type": "path", "required": True},
    "force": {"type": "bool", "default": False},
    "eso_namespace": {"type": "str"},
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}

VARIABLES = "cluster_secrets.yml"
VALUES = "cluster_secrets.vault.yml"
REPORT = "cluster_secrets_report.md"

_HEAD = """Written by platform.cluster_secrets.adopt. Take the cluster over with
ansible-playbook platform.cluster_secrets.bootstrap -e @%s --vault-password-file FILE"""


def run(context: Context) -> dict[str, Any]:
    """Read the cluster and write the files."""
    params, client = context.params, context.client
    # Only here, because it imports yaml, which other modules do without.
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import variables

    version = context.eso_version()
    layout = stores.Layout(stores.SHARED, params["store"], params["store_namespace"], api_version=version)
    central = client.list(SECRETS, namespace=layout.namespace)[0]
    cluster = snapshot.Cluster(client, layout, version, {item["metadata"]["name"]: item for item in central})
    managed = client.list(SECRETS, selector=ESO_MANAGED)[0]
    adopted = adoption.read(layout, cluster, {key_of(item): item for item in managed})
    entries = adopted.entries()
    if not entries and not adopted.foreign:
        raise CatalogError(adoption.nothing_found(layout, cluster))
    layout.isolation, layout.server_url = adopted.isolation, adoption.server_url(layout, cluster)
    deployment = _controller(context)
    release = eso.running(deployment, eso.lists(params["advisories"]))
    place = (params["eso_namespace"] or "external-secrets", "external-secrets")
    if deployment:
        account = deployment["spec"]["template"]["spec"].get("serviceAccountName")
        place = (deployment["metadata"]["namespace"], account or "default")
    layout.eso = place
    cluster.look(client, preflight.suspects(entries, cluster))
    values, _ignored = check_values(entries, adopted.values)
    findings = preflight.find(entries, layout, cluster, values)
    answers = adoption.answers(findings)
    dest = os.path.normpath(params["dest"])
    values_file = os.path.normpath(os.path.join(dest, VALUES))
    settings = adoption.variables(adopted, layout, release, place, answers, layout.server_url, values_file)
    texts = {
        VARIABLES: variables.dump(settings, _HEAD % os.path.normpath(os.path.join(dest, VARIABLES))),
        REPORT: adoption.report(adopted, findings, answers, release),
    }
    secret = {VALUES: variables.dump_plain(adopted.values, "The values of the master Secrets.")}
    written = files.write_set(context.vault, dest, texts, secret, params["force"], context.check_mode)
    return {
        "changed": bool(written),
        "changed_files": written,
        "entries": [entry.name for entry in entries],
        "foreign": adopted.foreign,
        "takeover": [finding.answered(answers) for finding in findings],
        "api_requests": client.requests,
    }


_NAMED = "in 'eso_namespace' (the variable cluster_secrets_eso_namespace)"


def _controller(context: Context) -> Object | None:
    """The controller of ESO: that of the namespace that is said, or where there is none, that of any."""
    namespace = context.params["eso_namespace"]
    there = eso.controller(context.client, namespace) if namespace else None
    if there is not None:
        return there
    try:
        deployments = eso.controllers(context.client)
    except Denied:
        context.warn("ESO may not be looked for in all namespaces; name its own %s" % _NAMED)
        return None
    if len(deployments) > 1:
        places = ", ".join("/".join(key_of(item)) for item in deployments)
        raise EsoError("there are several controllers of ESO: %s. Name one's namespace %s." % (places, _NAMED))
    return deployments[0] if deployments else None


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
