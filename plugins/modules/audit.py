#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module audit: find what breaks the rule, and who could."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit
short_description: Find hand-made Secrets, drift, leftovers, wide permissions and a vulnerable ESO
version_added: 1.0.0
description:
  - Looks for hand-made Secrets that shadow a target, stale or failing targets, missing sources, labels without a
    catalog entry, finalizers that ESO left behind, objects other than the collection's that reach the central store,
    API versions that are no longer served, and known vulnerabilities of the running ESO.
  - Names every subject, other than ESO, Kubernetes and the platform, whose permissions give access to master Secrets
    that its labels do not provide. Access that needs only ESO's objects or labels is not reported while the guard is
    enforced.
  - Changes nothing in the cluster. Of Secrets that are neither masters nor targets, only the metadata is read.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  check_mode:
    description: Runs the same checks, but writes no report file.
    support: full
options:
  read_values:
    description: Whether to read Secrets. If not, nothing is known about values, their age or hand-made Secrets, and the
      state of a pair is what ESO reports about its ExternalSecret. Permission to read Secrets is then not needed.
    type: bool
    default: true
  html:
    description: Where to write the report as one self-contained HTML page, on the host that the module runs on.
    type: path
  json:
    description: Where to write the report as JSON.
    type: path
  metrics:
    description: Where to write the report as OpenMetrics text, for Prometheus. For the node exporter's textfile
      collector, the name must end in C(.prom).
    type: path
  junit:
    description: Where to write the report as JUnit XML, with a test case for each pair and for each error and warning.
      Warnings fail their test case only with O(fail_on=warning).
    type: path
  consumers:
    description: Whether to also check what workloads use from the targets.
    type: bool
    default: true
  ends_within:
    description: How many days before expiry a certificate or token is reported.
    type: int
    default: 30
  fail_on:
    description: Fail when there are findings of this severity or above.
    type: str
    choices: [error, warning, never]
    default: never
extends_documentation_fragment:
  - platform.cluster_secrets.advisories
  - platform.cluster_secrets.consumers
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.identities.platform
  - platform.cluster_secrets.identities.eso
  - platform.cluster_secrets.ownership.advice
  - platform.cluster_secrets.attributes.reads
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.isolation
"""

EXAMPLES = r"""
- name: Audit, and fail the pipeline on errors
  platform.cluster_secrets.audit:
    catalog: "{{ cluster_secrets_catalog }}"
    html: /tmp/audit.html
    fail_on: error
"""

RETURN = r"""
findings:
  description: What was found, errors first.
  returned: success, or failure because of what was found
  type: list
  elements: dict
  contains:
    severity:
      description: V(error), V(warning) or V(info).
      type: str
    check:
      description: Which check found it.
      type: str
    namespace:
      description: The namespace, if there is one.
      type: str
    object:
      description: The object, label or identity, after its namespace if there is one.
      type: str
    message:
      description: What is wrong.
      type: str
    hint:
      description: What to do, in words. May be empty.
      type: str
    command:
      description: What to run, once what the hint says was done. May be empty.
      type: str
errors:
  description: The number of errors.
  returned: success, or failure because of what was found
  type: int
warnings_found:
  description: The number of warnings.
  returned: success, or failure because of what was found
  type: int
table:
  description: The findings as lines of aligned text.
  returned: success, or failure because of what was found
  type: list
  elements: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success, or failure because of what was found
  type: int
"""

import os
from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import causes, files, permissions
from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit import findings, life, usage
from ansible_collections.platform.cluster_secrets.plugins.module_utils.findings import ERROR, INFO, WARNING, Finding
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso, snapshot, state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    ADVISORIES_OPTION,
    CATALOG_OPTION,
    CHAIN_OPTIONS,
    CONSUMER_OPTIONS,
    PLATFORM_OPTIONS,
    Context,
    layout_of,
    read_usage,
    reads_once,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import feeds, page, text
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import key_of

OPTIONS: dict[str, dict[str, Any]] = {
    "read_values": {"type": "bool", "default": True},
    "html": {"type": "path"},
    "json": {"type": "path"},
    "metrics": {"type": "path"},
    "junit": {"type": "path"},
    **CONSUMER_OPTIONS,
    "ends_within": {"type": "int", "default": 30},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "never"},
    **ADVISORIES_OPTION,
    **CATALOG_OPTION,
    **CHAIN_OPTIONS,
    **PLATFORM_OPTIONS,
}


#: Links that the pairs' own findings tell of.
_OF_PAIRS = ("namespace", "label", "target", "consumers")
_OWN = "ExternalSecret"


def _broken_chain(cause: causes.Cause) -> Finding:
    message = "the chain to it breaks at: %s. %s" % (cause.step, cause.message)
    return Finding(cause.severity, cause.check, cause.namespace, cause.name, message, cause.fix)


@reads_once
def run(context: Context) -> dict[str, Any]:
    """Read, judge, report."""
    params = context.params
    inventory = snapshot.read_inventory(
        context.client,
        context.entries,
        context.eso_version(),
        params["store_namespace"],
        params["eso_namespace"],
        params["read_values"],
        eso.lists(params["advisories"]),
    )
    layout = layout_of(params)
    trusted = permissions.Trusted(
        params["platform_users"], params["platform_groups"], ("kube-system", params["eso_namespace"])
    )
    scope = findings.Scope(context.catalog, layout, params["eso_namespace"], trusted)
    pairs = state.judge(context.entries, inventory.snapshot)
    state.add_refusals(context.client, pairs)
    reported = findings.find(scope, inventory, pairs)
    broken = causes.look(context.client, pairs, layout, params["owner"] == "gitops")
    told = {(one.namespace, one.name) for one in reported if one.severity != INFO}
    reported += [
        _broken_chain(cause)
        for cause in broken
        # Of its own ExternalSecret, a pair's finding says as much.
        if cause.step not in _OF_PAIRS and not (cause.step == _OWN and (cause.namespace, cause.name) in told)
    ]
    now = state.utcnow()
    lives = life.look(context.entries, inventory.snapshot, context.warn)
    reported += life.findings(lives, params["store_namespace"], now, params["ends_within"])
    reported += findings.unsupported(scope, inventory.release, now.strftime("%Y-%m-%d"))
    used = None
    live = read_usage(context) if params["consumers"] else None
    if live is not None:
        others = {key_of(item) for item in inventory.secrets} if params["read_values"] else None
        used = usage.judge(context.entries, pairs, inventory.snapshot, others, live)
        reported += findings.first_of_each(usage.findings(used))
    rows = [row.as_dict(now) for row in sorted(pairs, key=lambda row: row.key)]
    life.describe(rows, lives, now)
    if used:
        usage.describe(rows, used)
    reported = findings.in_order(reported)
    errors, warnings = (sum(1 for one in reported if one.severity == severity) for severity in (ERROR, WARNING))
    result: dict[str, Any] = {
        "changed": False,
        "findings": [one.as_dict() for one in reported],
        "errors": errors,
        "warnings_found": warnings,
        "table": [
            *text.findings_table(reported),
            *text.nothing_there(len(context.entries), inventory.snapshot.sources, state.count(pairs)),
        ],
        "api_requests": context.client.requests,
    }
    if not context.check_mode:
        place = context.client.place
        made = {
            "html": lambda: page.audit_page(rows, reported, now, lives, used is not None, place),
            "json": lambda: feeds.audit_json(rows, reported, now, place),
            "metrics": lambda: feeds.open_metrics(rows, reported, lives, now),
            "junit": lambda: feeds.junit(rows, reported, params["fail_on"] == "warning"),
        }
        for option, text_of in made.items():
            if params[option]:
                files.write(params[option], text_of(), "report")
                result["table"].append("Written: %s" % os.path.abspath(params[option]))
    if (params["fail_on"] == "error" and errors) or (params["fail_on"] == "warning" and (errors or warnings)):
        result.update(failed=True, msg="%d error(s) and %d warning(s) were found" % (errors, warnings))
    return result


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
