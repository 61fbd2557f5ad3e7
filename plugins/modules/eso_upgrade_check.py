#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module eso_upgrade_check: what an upgrade of ESO would stop."""

from __future__ import annotations

DOCUMENTATION = r"""
module: eso_upgrade_check
short_description: Find what an upgrade of ESO would break, before it begins
version_added: 1.0.0
description:
  - Checks all objects of all namespaces, and fails if something that works now would no longer work with one of the
    releases on the way, and names it.
  - It compares the objects with the CustomResourceDefinitions of each release to find removed fields and providers,
    compares the values of the helm release with those of each chart, and looks for removed template functions.
  - helm renders each chart with the release's values, which it gets through a pipe.
  - Templates in Secrets are not checked.
  - Warns about clients that apply objects in a version that will no longer be served.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  steps:
    description: The releases on the way, as M(platform.cluster_secrets.eso_upgrade_steps) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      release:
        description: The release of ESO.
        type: str
        required: true
      chart:
        description: The folder of its chart. Without it, values are not checked.
        type: path
      crds:
        description: Its CustomResourceDefinitions, a file or URL, or a folder with such files.
        type: str
        required: true
  accept:
    description: Which problems to accept, by their kind, named as in RV(problems[].check), or by their object, named as
      in RV(problems[].object). Naming a tenant's ExternalSecret accepts no other tenant's.
    type: list
    elements: str
    default: []
  force_conflicts:
    description: Whether helm should take over fields that somebody else has changed, so that they do not count as
      problems.
    type: bool
    default: false
  helm_binary:
    description: The path of helm. Without it, helm is looked for on PATH.
    type: path
  release_name:
    description: The name of helm's release.
    type: str
    default: external-secrets
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.identities.namespace
  - platform.cluster_secrets.attributes.reads
"""

EXAMPLES = r"""
- name: Check the whole way
  platform.cluster_secrets.eso_upgrade_check:
    steps:
      - release: 0.16.1
        crds: https://raw.githubusercontent.com/external-secrets/external-secrets/v0.16.1/deploy/crds/bundle.yaml
      - release: 0.20.4
        crds: https://raw.githubusercontent.com/external-secrets/external-secrets/v0.20.4/deploy/crds/bundle.yaml
"""

RETURN = r"""
problems:
  description: What would break, including what is accepted.
  returned: success, or failure because of what was found
  type: list
  elements: dict
  contains:
    check:
      description: >-
        What it is about: V(owner) a GitOps controller applies ESO; V(controllers) the cluster has another ESO;
        V(image) a value names the image; V(values) a value is gone; V(versions) two releases serve no version
        in common; V(fields) a field, one of its values or a provider is gone; V(functions) a template function
        was removed; V(names) the name of a ClusterExternalSecret is too long for the finalizer that a release
        on the way derives from it; V(ca-provider) a SecretStore's certificate comes from another namespace;
        V(token-secret) a template creates a ServiceAccount token; V(tokens) a store would no longer get the
        token of its ServiceAccount; V(conflicts) somebody else changed a field of the release's objects, which
        helm 4 does not take over.
      type: str
    severity:
      description: Always V(error).
      type: str
    object:
      description: The object, or the value.
      type: str
    message:
      description: What is wrong with it.
      type: str
force_conflicts:
  description: >-
    Whether to tell helm to take over the fields. helm refuses that for a release whose objects it merges itself.
  returned: success, or failure because of what was found
  type: bool
api_requests:
  description: How many requests were sent to the API server.
  returned: success, or failure because of what was found
  type: int
"""

import os
from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories, files, findings, helm
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import (
    CatalogError,
    DependencyError,
    EsoError,
    FileError,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import conflicts, eso, release
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.definitions import read_files
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.snapshot import definitions
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    ESO_NAMESPACE_OPTION,
    Context,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.definitions import resource_of_definition
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import Resource, key_of
from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade import checks

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.client import Client
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.findings import Finding

OPTIONS: dict[str, dict[str, Any]] = {
    "steps": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "release": {"type": "str", "required": True},
            "chart": {"type": "path"},
            "crds": {"type": "str", "required": True},
        },
    },
    "accept": {"type": "list", "elements": "str", "default": []},
    "force_conflicts": {"type": "bool", "default": False},
    "helm_binary": {"type": "path"},
    "release_name": {"type": "str", "default": "external-secrets"},
    **ESO_NAMESPACE_OPTION,
}

_CONFIG_MAPS = Resource("v1", "configmaps")

#: Problems that a failure's text names; the result has all.
_SHOWN = 20


def run(context: Context) -> dict[str, Any]:
    """Read the cluster and the releases, and compare them."""
    params, client = context.params, context.client
    stages = [_stage(step) for step in params["steps"]]
    said = checks.refused(params["accept"])
    if said:
        raise CatalogError("accept: %s." % said)
    result: dict[str, Any] = {"changed": False, "problems": [], "force_conflicts": False}
    if stages:
        problem = helm.problem(params["helm_binary"])
        if problem:
            raise DependencyError(problem)
        record = release.deployed(client, params["eso_namespace"], params["release_name"])
        live = _look(client, params["eso_namespace"], record)
        problems = checks.judge(live, stages)
        merged = helm.merges(params["helm_binary"], record)
        problems += _rendered(context, record.values if record else {}, merged)
        for sentence in checks.clients(live, stages) + checks.effective(live, stages):
            context.warn(sentence)
        result["problems"] = [problem.as_dict() for problem in problems]
        result["force_conflicts"] = params["force_conflicts"] and merged
        stopping = [
            problem
            for problem in problems
            if problem.check not in params["accept"] and problem.object not in params["accept"]
        ]
        if stopping:
            shown = [problem.text() for problem in stopping[:_SHOWN]]
            more = ["and %d more" % (len(stopping) - _SHOWN)] if len(stopping) > _SHOWN else []
            result.update(
                failed=True,
                msg="The upgrade would stop %d thing(s) that work now. Nothing was changed. Correct them, or accept "
                "kinds of them, or objects as they are named here, in 'cluster_secrets_eso_upgrade_accept'.\n- %s"
                % (len(stopping), "\n- ".join(shown + more)),
            )
    result["api_requests"] = client.requests
    return result


def _look(client: Client, namespace: str, record: release.Record | None) -> checks.Live:
    live = definitions(client)
    lists = client.each(lambda one: client.list(resource_of_definition(one), missing_ok=True)[0], live)
    objects = {item["metadata"]["name"]: items for item, items in zip(live, lists)}
    wanted: set[tuple[str, str]] = set()
    for item, items in zip(live, lists):
        kind = item["spec"]["names"]["kind"]
        for one in items:
            for template in checks.templates(kind, one):
                wanted |= {(one["metadata"].get("namespace", ""), text) for text in checks.config_maps(template)}
    places = sorted(place for place in wanted if place[0])
    maps = client.each(lambda place: client.get(_CONFIG_MAPS.path(place[1], place[0])), places)
    deployment = eso.controller(client, namespace)
    version = eso.served(client)[0]
    may_any = bool(deployment and version and eso.may_create_any_token(client, deployment))
    return checks.Live(
        deployment,
        {item["metadata"]["name"]: item for item in live},
        objects,
        {place: list((items.get("data") or {}).values()) for place, items in zip(places, maps) if items},
        record.values if record else {},
        record.defaults if record else {},
        eso.dependents(client, version)[1] if may_any and version else [],
        [key_of(item) for item in eso.elsewhere(client, namespace)],
    )


def _rendered(context: Context, values: dict[str, Any], merged: bool) -> list[Finding]:
    """What stands against each chart as it is rendered with the release's values: helm, or somebody's changes.

    :arg merged: whether helm has the API server merge what it applies.
    """
    params, client = context.params, context.client
    problems = []
    kubernetes, versions = conflicts.capabilities(client)
    for step in params["steps"]:
        if not step["chart"]:
            continue
        binary, name = params["helm_binary"], params["release_name"]
        try:
            done = helm.template(binary, name, params["eso_namespace"], [step["chart"]], values, kubernetes, versions)
        except OSError as error:
            raise DependencyError("cannot run '%s': %s." % (binary or "helm", error.strerror)) from None
        if done.returncode:
            message = "helm refuses the release's values: %s" % _without(done.stderr, values)
            problems.append(findings.problem("values", "chart of %s" % step["release"], message))
        elif merged and not params["force_conflicts"]:
            objects = conflicts.objects_of(done.stdout)
            problems += [
                findings.problem("conflicts", conflict.object, conflicts.advice([conflict]))
                for conflict in conflicts.of_objects(client, objects, params["eso_namespace"], invalid=True)
            ]
    return list(dict.fromkeys(problems))


def _without(text: str, values: Any) -> str:
    """helm's error in one line, without any of the values."""
    if isinstance(values, dict):
        for value in values.values():
            text = _without(text, value)
    elif isinstance(values, list):
        for value in values:
            text = _without(text, value)
    elif isinstance(values, str) and len(values) > 2:
        text = text.replace(values, "...")
    return " ".join(text.split())[:400]


def _stage(step: dict[str, Any]) -> checks.Stage:
    number = advisories.parse(step["release"])
    if number is None:
        raise EsoError("'%s' is no release of ESO; write it like 2.9.0." % step["release"])
    definitions = {item["metadata"]["name"]: item for item in read_files(step["crds"])}
    return checks.Stage(number, definitions, _defaults(step["chart"]) if step["chart"] else None)


def _defaults(chart: str) -> dict[str, Any]:
    import yaml

    path = os.path.join(chart, "values.yaml")
    try:
        values = yaml.load(files.read(path, "chart's values"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        values = None
    if not isinstance(values, dict):
        raise FileError("'%s' does not hold the values of a chart." % path)
    return values


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
