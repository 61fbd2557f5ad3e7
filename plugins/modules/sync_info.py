#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sync_info: the state of every namespace/secret pair."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sync_info
short_description: Show which namespace holds which Secret, and whether it is current
version_added: 1.0.0
description:
  - Returns one row for each pair of a namespace and a Secret that the catalog and the labels call for.
  - Values are compared, never returned.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  read_sources:
    description: Whether to read the master Secrets, to distinguish a stale target from a current one. It needs the
      permission to list them.
    type: bool
    default: true
  consumers:
    description: Whether to look at the workloads to report what uses which target.
    type: bool
    default: false
  read_values:
    description: Whether to read Secrets. If not, nothing is known about values, their age or hand-made Secrets, and the
      state of a pair is what ESO reports about its ExternalSecret. Permission to read Secrets is then not needed.
    type: bool
    default: true
  html:
    description: Where to write the pairs as one self-contained HTML page. Not with O(brief).
    type: path
  json:
    description: Where to write the pairs, and what is broken, as JSON. Not with O(brief).
    type: path
  namespaces:
    description: Only return the pairs of these namespaces. By default, all are returned.
    type: list
    elements: str
    default: []
  secrets:
    description: Only return the pairs with these targets, or of these entries. By default, all are returned.
    type: list
    elements: str
    default: []
  unsynced:
    description: Whether RV(table) has only the unsynced pairs, and a line with the number of the others.
    type: bool
    default: false
  brief:
    description: Whether RV(rows) have only the namespace, secret, status and message, and RV(table) is omitted.
    type: bool
    default: false
  digest_key:
    description:
      - A random text. If given, RV(digests) has a digest of each master Secret that reveals nothing to those who do not
        have the text. M(platform.cluster_secrets.fleet_report) compares clusters by these digests.
    type: str
extends_documentation_fragment:
  - platform.cluster_secrets.consumers
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.reads
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.ownership.advice
  - platform.cluster_secrets.identities.eso
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.isolation
"""

EXAMPLES = r"""
- name: Look at all pairs
  platform.cluster_secrets.sync_info:
    catalog: "{{ cluster_secrets_catalog }}"
  register: pairs

- name: Show them
  ansible.builtin.debug:
    var: pairs.table
"""

RETURN = r"""
rows:
  description: The pairs.
  returned: success
  type: list
  elements: dict
  contains:
    namespace:
      description: The namespace.
      type: str
    secret:
      description: The name of the target Secret.
      type: str
    entry:
      description: The catalog entry.
      type: str
    source:
      description: The master Secret.
      type: str
    status:
      description: One of V(synced), V(stale), V(missing), V(failing), V(unlabelled), V(no namespace).
      type: str
    synced:
      description: Whether the status is V(synced).
      type: bool
    type:
      description: The type of the Secret, if it is there.
      type: str
    created:
      description: When the Secret was created.
      type: str
    age:
      description: The age of the Secret in seconds.
      type: int
    message:
      description: What is wrong, if anything.
      type: str
    value_changed:
      description: When a value of the master Secret last changed. V(null) when the sources are not read.
      type: str
    value_age:
      description: The time since then in seconds.
      type: int
    value_ends:
      description: When the first certificate or token in the entry's sources expires, if any does.
      type: str
    owner:
      description: The owner of the secret, according to the catalog.
      type: str
    consumers:
      description: The objects that name the Secret. Only with O(consumers=true).
      type: list
      elements: str
      sample: [Deployment backstage/backstage]
    old_consumers:
      description: Those of them with pods that were started before the value last changed and still hold the older one.
        Only with O(consumers=true).
      type: list
      elements: str
digests:
  description: The entries' master Secrets, each with a digest of the keys that entries read.
  returned: when O(digest_key) is given and the sources may be read
  type: dict
causes:
  description: Where the chains to targets break, for up to eight targets, with each cause listed once. If all targets
    are current, what is broken here will make them stale.
  returned: success
  type: list
  elements: dict
  contains:
    severity:
      description: Always V(error).
      type: str
    check:
      description: Always V(broken-chain).
      type: str
    namespace:
      description: The namespace of the target that was looked at.
      type: str
    object:
      description: The target, as namespace/name.
      type: str
    step:
      description: The link that is broken, as M(platform.cluster_secrets.explain) names it.
      type: str
    message:
      description: What was found.
      type: str
    hint:
      description: What fixes it, in words. May be empty.
      type: str
    command:
      description: What to run, once what the hint says was done. May be empty.
      type: str
    explain:
      description: The command that shows the whole chain.
      type: str
ended:
  description: A message about each expired certificate or token in a source.
  returned: success
  type: list
  elements: str
kept:
  description: The ExternalSecrets that were kept beside the catalog, each with the C(namespace), the C(secret) that it
    makes, whether ESO calls it C(ready), and what ESO says (C(message)). Whether they hold the current value is not
    looked at. Of the whole cluster.
  returned: when O(brief=false)
  type: list
  elements: dict
counts:
  description: How many pairs are in each status.
  returned: success
  type: dict
  sample: {"synced": 17}
table:
  description: The rows as lines of aligned text.
  returned: when O(brief=false)
  type: list
  elements: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

import os
from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import causes, files, fleet
from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit import life, usage
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.checker import close_to
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.values import (
    generated,
    to_be_given,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import consumers
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError, Denied
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import snapshot, state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    CHAIN_OPTIONS,
    CONSUMER_OPTIONS,
    Context,
    layout_of,
    read_usage,
    reads_once,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import feeds, page, text
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    ESO_GROUP,
    holds_true,
    label_of,
    resource_of,
)

OPTIONS: dict[str, dict[str, Any]] = {
    "read_sources": {"type": "bool", "default": True},
    "read_values": {"type": "bool", "default": True},
    "html": {"type": "path"},
    "json": {"type": "path"},
    "namespaces": {"type": "list", "elements": "str", "default": []},
    # Names, no values.
    "secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "unsynced": {"type": "bool", "default": False},
    "brief": {"type": "bool", "default": False},
    **CONSUMER_OPTIONS,
    "consumers": {"type": "bool", "default": False},
    "digest_key": {"type": "str", "no_log": True},
    **CATALOG_OPTION,
    **CHAIN_OPTIONS,
}


def _kept(context: Context, version: str, taken: snapshot.Snapshot) -> list[dict[str, Any]]:
    """What the shared store serves because it was there before the collection."""
    params = context.params
    path = resource_of("%s/%s" % (ESO_GROUP, version), "ClusterSecretStore").path(params["store"])
    try:
        store = context.client.get(path)
    except Denied:
        store = None  # whoever may not look at stores is told of the catalog's targets
    names = consumers.kept_beside([store] if store else [])
    made = [
        item
        for _key, item in sorted(taken.externals.items())
        if names
        and names.intersection(
            (label_of("ExternalSecret", item), "ClusterExternalSecret %s" % (consumers.maker(item) or ""))
        )
    ]
    return [
        {
            "namespace": item["metadata"]["namespace"],
            "secret": consumers.external_target(item),
            "ready": holds_true(item, "Ready"),
            "message": snapshot.said_of(context.client, params["store_namespace"], item, params["read_values"]),
        }
        for item in made
    ]


def _wanted(rows: list[state.Row], namespaces: list[str], secrets: list[str], brief: bool) -> list[state.Row]:
    """The rows that are asked for, of Secrets by the name of the target or of the entry.

    Raises CatalogError for a name that none of them has: it may be mistyped. With ``brief``, another cluster may have
    it.
    """
    for asked, there, what in (
        (namespaces, {row.namespace for row in rows}, "namespace"),
        (secrets, {name for row in rows for name in (row.entry.target, row.entry.name)}, "Secret"),
    ):
        unknown = sorted(set(asked) - there)
        if unknown and not brief:
            hint = close_to(unknown[0], there) or "There are %s." % (", ".join(sorted(there)) or "none")
            raise CatalogError("the catalog gives nothing to the %s '%s'. %s" % (what, unknown[0], hint.strip()))
    wanted = [
        row
        for row in rows
        if row.namespace in (namespaces or [row.namespace])
        and (not secrets or {row.entry.target, row.entry.name} & {*secrets})
    ]
    if not wanted and not brief:
        raise CatalogError("the catalog gives none of these Secrets to any of these namespaces.")
    return wanted


@reads_once
def run(context: Context) -> dict[str, Any]:
    """Read and judge."""
    params = context.params
    version = context.eso_version()
    taken = snapshot.read(
        context.client,
        context.entries,
        version,
        params["store_namespace"],
        params["read_sources"],
        read_values=params["read_values"],
    )
    rows, entries = state.judge(context.entries, taken), context.entries
    if params["namespaces"] or params["secrets"]:
        rows = _wanted(rows, params["namespaces"], params["secrets"], params["brief"])
        entries = list({row.entry.name: row.entry for row in rows}.values())
    state.add_refusals(context.client, rows)
    now = state.utcnow()
    shown = sorted((row.as_dict(now) for row in rows), key=lambda row: (row["namespace"], row["secret"]))
    lives = life.look(entries, taken, context.warn)
    life.describe(shown, lives, now)
    over = life.findings(lives, params["store_namespace"], now, 0)
    ended = [
        "Source %s: %s. %s" % (finding.name, finding.message, finding.fix.text())
        for finding in over
        if finding.check == "value-ended"
    ]
    broken = causes.look(context.client, rows, layout_of(params), params["owner"] == "gitops")
    used = None
    live = read_usage(context) if params["consumers"] else None
    if live is not None:
        used = usage.judge(context.entries, rows, taken, set(taken.secrets), live)
        usage.describe(shown, used)
    result: dict[str, Any] = {
        "changed": False,
        "rows": shown,
        "counts": state.count(rows),
        "causes": [cause.as_dict() for cause in broken],
        "ended": ended,
    }
    if params["brief"]:
        kept = ("namespace", "secret", "status", "message")
        result["rows"] = [{key: row[key] for key in kept} for row in shown]
    else:
        listed = [row for row in shown if not params["unsynced"] or row["status"] != state.SYNCED]
        left_out = ["%d more are synced." % (len(shown) - len(listed))] if len(listed) < len(shown) else []
        result["table"] = [
            *(text.status_table(listed, used is not None) if listed or not left_out else []),
            *left_out,
            *(cause.text() for cause in broken),
            *ended,
            *text.nothing_there(len(context.entries), taken.sources, state.count(rows)),
        ]
        result["kept"] = _kept(context, version, taken)
        result["table"] += text.kept_lines(result["kept"])
        place = context.client.place
        if params["html"] and not context.check_mode:
            files.write(params["html"], page.status_page(shown, now, used is not None, place), "report")
            result["table"].append("Written: %s" % os.path.abspath(params["html"]))
        if params["json"] and not context.check_mode:
            files.write(params["json"], feeds.status_json(shown, result["causes"], ended, now, place), "report")
            result["table"].append("Written: %s" % os.path.abspath(params["json"]))
    if params["digest_key"] and taken.sources is not None:
        sources = taken.sources
        whole = {source for entry in entries for source in entry.reads_whole()}
        made = generated(entries)
        # Each cluster has generated values of its own.
        result["digests"] = {
            name: fleet.digest(
                sources.get(name, {}),
                {*keys, *(set(sources.get(name, {})) - set(made.get(name, {})) if name in whole else ())},
                params["digest_key"],
            )
            for name, keys in to_be_given(entries).items()
        }
    result["api_requests"] = context.client.requests
    return result


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
