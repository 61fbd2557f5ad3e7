#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module render: the catalog's objects as files for GitOps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: render
short_description: Write the catalog's objects as files for GitOps
version_added: 1.0.0
description:
  - Writes the stores with their permissions, the ClusterExternalSecrets and the namespaces with their labels as
    manifests, for Argo CD, Flux or kubectl to apply. They hold no value of a Secret.
  - They are the same objects that M(platform.cluster_secrets.cluster_secret_store),
    M(platform.cluster_secrets.cluster_external_secrets) and M(platform.cluster_secrets.namespace_labels) apply, so
    those modules change nothing on a cluster that has them.
  - Namespaces are marked so that neither Argo CD nor Flux ever deletes them.
  - The files are written where the module runs.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  check_mode:
    description: Says which files it would write.
    support: full
options:
  dest:
    description: The folder for the files.
    type: path
    required: true
  format:
    description: With V(kustomize), a C(kustomization.yaml) that names the other files is written too.
    type: str
    choices: [plain, kustomize]
    default: plain
  api_version:
    description: The API version of ESO's objects. If given, no cluster is contacted and no consumer is kept.
    type: str
    choices: [v1, v1beta1]
  server_url:
    description: The URL at which ESO reaches the Kubernetes API.
    type: str
    default: https://kubernetes.default.svc
  consumers:
    description: Like the option of the same name of M(platform.cluster_secrets.cluster_secret_store).
    type: str
    choices: [drop, keep]
    default: drop
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.identities.eso
  - platform.cluster_secrets.attributes.reads
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.isolation
"""

EXAMPLES = r"""
- name: Write the manifests for Argo CD
  platform.cluster_secrets.render:
    catalog: "{{ cluster_secrets_catalog }}"
    dest: gitops/cluster-secrets
    format: kustomize
"""

RETURN = r"""
changed_files:
  description: The files that were (in check mode, would be) written.
  returned: success
  type: list
  elements: str
objects:
  description: How many objects are in the files.
  returned: success
  type: int
"""

import os
from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import files
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import distribution, stores
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import Denied
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import snapshot
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    ESO_IDENTITY_OPTIONS,
    ISOLATION_OPTION,
    STORE_NAMESPACE_OPTION,
    STORE_OPTION,
    Context,
    layout_of,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import CRDS, ESO_GROUP, Object
from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade.schemas import schema_of, with_defaults

OPTIONS: dict[str, dict[str, Any]] = {
    "dest": {"type": "path", "required": True},
    "format": {"type": "str", "choices": ["plain", "kustomize"], "default": "plain"},
    "api_version": {"type": "str", "choices": ["v1", "v1beta1"]},
    "server_url": {"type": "str", "default": "https://kubernetes.default.svc"},
    "consumers": {"type": "str", "choices": ["drop", "keep"], "default": "drop"},
    **CATALOG_OPTION,
    **ESO_IDENTITY_OPTIONS,
    **ISOLATION_OPTION,
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}

_HEAD = "Written by platform.cluster_secrets.render from the catalog. Change that, not this."


def run(context: Context) -> dict[str, Any]:
    """Render the objects and write the files that differ."""
    # Only here, because it imports yaml, which other modules do without.
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import variables

    params, entries = context.params, context.entries
    version = params["api_version"] or context.eso_version()
    layout = layout_of(params, version)
    if params["consumers"] == "keep" and not params["api_version"]:
        live = snapshot.read_stores(context.client, layout, True)
        snapshot.keep_consumers(context.client, layout, entries, version, live)
    rendered = {
        "namespaces.yaml": distribution.namespaces(layout.namespace, distribution.wanted_labels(entries)),
        "central-secret-store.yaml": stores.desired(layout, entries),
        "cluster-external-secrets.yaml": [
            distribution.cluster_external_secret(entry, layout.store_of(entry.name), version) for entry in entries
        ],
    }
    if not params["api_version"]:
        rendered = _as_served(context, rendered, version)
    texts = {name: variables.dump_all(objects, _HEAD) for name, objects in rendered.items()}
    if params["format"] == "kustomize":
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": list(rendered),
        }
        texts["kustomization.yaml"] = variables.dump_all([kustomization], _HEAD)
    written = _write(params["dest"], texts, context.check_mode)
    return {
        "changed": bool(written),
        "changed_files": written,
        "objects": sum(len(objects) for objects in rendered.values()),
    }


def _as_served(context: Context, rendered: dict[str, list[Object]], version: str) -> dict[str, list[Object]]:
    """The objects with what the cluster's own definitions of ESO's kinds fill in, so that nothing differs for ever."""
    schemas: dict[str, Any] = {}
    plurals = (("ClusterExternalSecret", "clusterexternalsecrets"), ("ClusterSecretStore", "clustersecretstores"))
    for kind, plural in plurals:
        try:
            definition = context.client.get(CRDS.path("%s.%s" % (plural, ESO_GROUP)))
        except Denied as error:
            context.warn("what the cluster's definitions fill in is not written: %s" % error)
            continue
        schemas[kind] = schema_of(definition, version) if definition else None
    return {
        name: [with_defaults(one, schemas.get(one["kind"]) or {}) for one in objects]
        for name, objects in rendered.items()
    }


def _write(dest: str, texts: dict[str, str], dry: bool) -> list[str]:
    """Write the files that differ; their names."""
    changing = []
    for name, text in texts.items():
        path = os.path.join(dest, name)
        if not os.path.exists(path) or files.read(path, name) != text.encode("utf-8"):
            changing.append(name)
    if dry or not changing:
        return changing
    files.make_folder(dest)
    for name in changing:
        files.write(os.path.join(dest, name), texts[name], name)
    return changing


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
