#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module eso_release: refuse a release of ESO with a known vulnerability."""

from __future__ import annotations

DOCUMENTATION = r"""
module: eso_release
short_description: Check a release of ESO for known vulnerabilities before it is used
version_added: 1.0.0
description:
  - Fails when the release of the External Secrets Operator that a chart installs, or that runs, has a known
    vulnerability.
  - Also fails if the chart's hardening would break something that works in the cluster now, and names it.
  - With O(takeover), fails if ESO was installed by other means and the chart would upgrade it or drop its values, or if
    helm is needed but missing or not usable by the installed kubernetes.core.
  - Warns when the release can't be determined (an image named by its digest, or a tag that upstream doesn't publish).
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  chart:
    description: The chart to install, in any form that helm accepts. Without it, the running controller is checked.
    type: str
  chart_version:
    description: The version of a chart that is not a path.
    type: str
  chart_repo:
    description: The repository of a chart that is a name.
    type: str
  values:
    description: The chart's values.
    type: dict
    default: {}
  accept_vulnerable:
    description: Whether to go on with a vulnerable release, with a warning.
    type: bool
    default: false
  release:
    description: The name of helm's release, for RV(installed).
    type: str
  takeover:
    description:
      - What may happen to what existed before the collection, as in M(platform.cluster_secrets.central_secrets).
      - C(operator) is a release of ESO that was not installed by the role C(eso); C(overwrite) lets the chart and
        O(values) replace its own. O(release) must be given.
    type: dict
  force_conflicts:
    description: >-
      Whether helm should take over fields of its release that somebody else has changed. Otherwise the module refuses
      them in advance, where helm 4 would stop midway.
    type: bool
    default: false
  helm_binary:
    description: The path of the helm program. By default, the one on the PATH is used.
    type: path
extends_documentation_fragment:
  - platform.cluster_secrets.advisories
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.identities.namespace
  - platform.cluster_secrets.attributes.reads
"""

EXAMPLES = r"""
- name: Refuse a chart with a known vulnerability
  platform.cluster_secrets.eso_release:
    chart: external-secrets
    chart_version: 2.9.0

- name: Refuse to use a vulnerable ESO that is there already
  platform.cluster_secrets.eso_release:
"""

RETURN = r"""
version:
  description: The release, or nothing when it is unknown.
  returned: success, or failure because of what was found
  type: str
  sample: 2.9.0
installed:
  description: Whether helm's own record says that exactly this chart, with these values, is installed and the
    installation finished.
  returned: when O(chart) and O(release) are given, on success
  type: bool
force_conflicts:
  description: >-
    Whether to tell helm to take over the fields. helm refuses that for a release whose objects it merges itself.
  returned: success, or failure because of what was found
  type: bool
unsupported:
  description: Why upstream does not support the release any more, or nothing.
  returned: success
  type: str
advisories:
  description: The known vulnerabilities of the release.
  returned: success, or failure because of what was found
  type: list
  elements: dict
  contains:
    id:
      description: The number of the CVE, or of upstream's pull request when there is none.
      type: str
    what:
      description: What it allows.
      type: str
    since:
      description: The first release that has it.
      type: str
    fixed_in:
      description: The first release that does not.
      type: str
    source:
      description: Where it is described.
      type: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success, or failure because of what was found
  type: int
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import helm
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.kubeconfig import connection
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import ApiError, EsoError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import conflicts, eso, state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import release as records
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    ADVISORIES_OPTION,
    ESO_NAMESPACE_OPTION,
    Context,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report.text import takeover_refused
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import ESO_VERSIONS, shortened
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover import preflight

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.client import Client

OPTIONS: dict[str, dict[str, Any]] = {
    "chart": {"type": "str"},
    "chart_version": {"type": "str"},
    "chart_repo": {"type": "str"},
    "values": {"type": "dict", "default": {}},
    "accept_vulnerable": {"type": "bool", "default": False},
    **ESO_NAMESPACE_OPTION,
    "release": {"type": "str"},
    "takeover": {"type": "dict"},
    "helm_binary": {"type": "path"},
    "force_conflicts": {"type": "bool", "default": False},
    **ADVISORIES_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Judge the release, and what its values would stop."""
    params = context.params
    if params["chart"] and params["release"]:
        connection(params).kubeconfig()  # helm will be given it
    client = context.client
    chart, values = params["chart"], params["values"]
    known = eso.lists(params["advisories"])
    release = (
        eso.of_chart(chart, params["chart_version"], values, known)
        if chart
        else eso.running_as(client, params["eso_namespace"], known)[0]
    )
    unsupported = release.unsupported(state.utcnow().strftime("%Y-%m-%d"))
    if unsupported:
        context.warn("External Secrets %s is out of support: %s" % (release.text, unsupported))
    result: dict[str, Any] = {
        "changed": False,
        "version": release.text,
        "unsupported": unsupported,
        "advisories": [advisory.as_dict() for advisory in release.advisories],
        "force_conflicts": False,
    }
    problem = None
    others = eso.elsewhere(client, params["eso_namespace"]) if not chart and release.absent else []
    if others:
        problem = (
            "no External Secrets controller runs in namespace '%s', but one does in '%s'. Set "
            "'cluster_secrets_eso_namespace' to it. Nothing was changed."
            % (params["eso_namespace"], others[0]["metadata"]["namespace"])
        )
    elif release.number is None:
        context.warn(
            "the release of the External Secrets Operator is unknown (%s), so its vulnerabilities are too"
            % release.problem
        )
    elif release.advisories:
        problem = eso.vulnerable(release, "this chart installs" if chart else "the cluster runs")
        if params["accept_vulnerable"]:
            context.warn(problem)
            problem = None
    if chart and not problem:
        problem = _stopped(client, params["eso_namespace"], release, values)
    if chart and params["release"] and not problem:
        result["installed"] = eso.is_installed(
            client, params["eso_namespace"], params["release"], chart, params["chart_version"], values
        )
        if params["takeover"] is not None and not result["installed"]:
            answers = preflight.checked_answers(params["takeover"])
            problem = _of_others(client, params, answers, release) or helm.problem(params["helm_binary"])
            merged = not problem and _is_merged(client, params)
            result["force_conflicts"] = merged and params["force_conflicts"]
            if merged and not params["force_conflicts"]:
                problem = _conflicts(client, params)
    if problem:
        result.update(failed=True, msg=problem)
    return {**result, "api_requests": client.requests}


def _stopped(client: Client, namespace: str, release: eso.Release, values: dict[str, Any]) -> str | None:
    """What works now and would not after the chart's installation with ``values``, or None."""
    deployment = eso.controller(client, namespace)
    version, _served = eso.served(client)
    if version is None:
        return None
    if deployment is None:
        others = eso.elsewhere(client, namespace)
        if not others:
            return None
        return (
            "External Secrets runs in namespace '%s' already, and this would be a second one beside it. Set "
            "'cluster_secrets_eso_namespace' and 'cluster_secrets_eso_release' to its own, or "
            "'cluster_secrets_eso_method: existing'. Nothing was changed." % others[0]["metadata"]["namespace"]
        )
    running = eso.running(deployment)
    if version != ESO_VERSIONS[0] and (release.number or eso.V1_ONLY_SINCE) >= eso.V1_ONLY_SINCE:
        return (
            "the cluster runs External Secrets %s, whose objects are %s, and this chart installs %s, which serves none "
            "of that: everything that reads through ESO would stop. Set 'cluster_secrets_eso_method: existing', or "
            "upgrade by way of 0.16 first. Nothing was changed."
            % (running.text or "of an unknown release", version, release.text or "a release that is unknown")
        )
    # What is switched off already can't stop, however many such objects tenants create.
    said = values.get("rbac")
    rbac: dict[str, Any] = said if isinstance(said, dict) else {}
    no_pushes = values.get("processPushSecret") is False and eso.pushes(deployment)
    known = release.number is None or release.number >= eso.LIMITED_TOKENS_SINCE
    no_tokens = (
        known and rbac.get("serviceAccountTokenCreate") is False and eso.may_create_any_token(client, deployment)
    )
    if not no_pushes and not no_tokens:
        return None
    pushing, stores = eso.dependents(client, version)
    if no_pushes and pushing:
        return _stop("PushSecrets would no longer be processed", pushing, "push_secrets")
    if no_tokens and stores:
        what = "ESO could no longer ask for the ServiceAccount tokens of these stores"
        return _stop(what, stores, "any_service_account")
    return None


def _of_others(client: Client, params: dict[str, Any], answers: dict[str, str], release: eso.Release) -> str | None:
    """What the chart would change that was not installed by the role, or is newer than the chart; or None."""
    namespace, name = params["eso_namespace"], params["release"]
    try:
        record = records.newest(client, namespace, name)
        if record:
            finding = preflight.operator(name, record, params["values"], release.number)
            if finding and not finding.accepted(answers):
                return "%s Or set 'cluster_secrets_eso_method: existing', which leaves ESO as it is." % (
                    takeover_refused([finding])
                )
            return None
        if eso.controller(client, namespace) is None:
            return None
    except (ApiError, EsoError):
        return None  # helm says what is wrong
    return (
        "External Secrets runs in namespace '%s', and helm has no release '%s' there, so helm can't upgrade it. Set "
        "'cluster_secrets_eso_method: existing', or 'cluster_secrets_eso_release' to the name of its release. Nothing "
        "was changed." % (namespace, name)
    )


def _is_merged(client: Client, params: dict[str, Any]) -> bool:
    """Whether helm has the API server merge the release's objects, as helm 4 does with those that it installed."""
    try:
        record = records.deployed(client, params["eso_namespace"], params["release"])
    except (ApiError, EsoError):
        return False  # helm says what is wrong
    return helm.merges(params["helm_binary"], record)


def _conflicts(client: Client, params: dict[str, Any]) -> str | None:
    """What somebody else changed in the release's objects, so that helm 4 would stop in the middle; or None."""
    chart = [params["chart"]]
    for option, value in (("--repo", params["chart_repo"]), ("--version", params["chart_version"])):
        chart += [option, value] if value else []
    namespace = params["eso_namespace"]
    binary, name, values = params["helm_binary"], params["release"], params["values"]
    done = helm.template(binary, name, namespace, chart, values, *conflicts.capabilities(client))
    # What helm can't render, it says itself.
    conflicting = [] if done.returncode else conflicts.of_objects(client, conflicts.objects_of(done.stdout), namespace)
    if not conflicting:
        return None
    return "helm could not apply the release's objects: %s Nothing was changed." % conflicts.advice(conflicting)


def _stop(what: str, objects: list[str], allowed: str) -> str:
    said = "%s: %s. Add '%s' to cluster_secrets_eso_allow, or delete what is not needed. Nothing was changed."
    return said % (what, shortened(objects), allowed)


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
