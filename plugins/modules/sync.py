#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module sync: refresh targets and wait until they hold the current values."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sync
short_description: Refresh the targets and wait until each holds its source's current value
version_added: 1.0.0
description:
  - ESO notices a changed master Secret only when its refresh interval is over. This module makes it look now, by one patch for each
    ClusterExternalSecret, whatever the number of namespaces.
  - Then it waits until every labelled namespace holds the value that the catalog and the central store call for, and fails naming those that don't.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  check_mode:
    description: Predicts what would be refreshed, changes nothing and does not wait.
    support: full
  diff_mode:
    description: Shows which ClusterExternalSecrets are refreshed.
    support: full
options:
  refresh:
    description:
      - V(auto) refreshes the entries of which a target is stale or failing.
      - V(always) refreshes all entries that have targets; V(never) only waits.
    type: str
    choices: [auto, always, never]
    default: auto
  changed_sources:
    description:
      - The keys of master Secrets that this play changes, as M(platform.cluster_secrets.central_secrets) returns them.
      - In check mode they tell which targets will become stale; a real run sees it by comparing.
    type: dict
    default: {}
  names:
    description: Only look at these entries of the catalog.
    type: list
    elements: str
  wait:
    description: Whether to wait.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to wait.
    type: int
    default: 120
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.connection.catalog
  - platform.cluster_secrets.connection.store_namespace
"""

EXAMPLES = r"""
- name: Rotate one secret everywhere
  platform.cluster_secrets.sync:
    catalog: "{{ cluster_secrets_catalog }}"
    names: [application-docker-registry]
    refresh: always
"""

RETURN = r"""
refreshed:
  description: The entries that were (in check mode, would be) refreshed.
  returned: success
  type: list
  elements: str
targets:
  description: How many namespace/secret pairs there are.
  returned: success
  type: int
laggards:
  description: The pairs that are not as they should be, each with its state and what ESO says of it.
  returned: failure, or when O(wait=false)
  type: list
  elements: dict
api_requests:
  description: How many requests were sent to the API server.
  returned: always
  type: int
"""

import time

from ansible_collections.platform.cluster_secrets.plugins.module_utils import state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog import CatalogError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.common import CATALOG_OPTION, STORE_NAMESPACE_OPTION, EsoAbsent, run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import ESO_MANAGED_LABEL, FORCE_SYNC
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan import SECRETS, UPDATED, Action

#: Seconds without an event after which a watch is opened anew.
IDLE = 2.0

OPTIONS = {
    "refresh": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
    "changed_sources": {"type": "dict", "default": {}},
    "names": {"type": "list", "elements": "str"},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 120},
    **CATALOG_OPTION,
    **STORE_NAMESPACE_OPTION,
}


def work(context):
    """Refresh what needs it, then wait."""
    params, client = context.params, context.client
    entries = _selected(context.entries, params["names"])
    try:
        version = context.eso_version()
    except EsoAbsent:
        if context.check_mode:
            # Nothing is there to refresh; a run that installs ESO first finds nothing stale either.
            return context.result([], refreshed=[], targets=0, laggards=[])
        raise
    snapshot = state.read(client, entries, version, params["store_namespace"])
    rows = [row for row in state.judge(entries, snapshot) if row.status not in (state.UNLABELLED, state.ABSENT_NAMESPACE)]
    foreseen = params["changed_sources"] if context.check_mode else {}
    refreshed = [entry for entry in entries if _needs_refresh(params["refresh"], foreseen, [row for row in rows if row.entry is entry])]
    resource = state.cluster_external_secrets(version)
    actions = Executor(client, context.check_mode).run([_refresh(resource, entry) for entry in refreshed])
    outcome = {"refreshed": [entry.name for entry in refreshed], "targets": len(rows)}
    waiting = [row for row in rows if row.status != state.SYNCED]
    if params["wait"] and not context.check_mode:
        waiting = _wait(client, entries, snapshot, rows, {entry.name for entry in refreshed}, params["wait_timeout"])
        if waiting:
            return _failure(context, actions, _explain(client, version, waiting), outcome, params["wait_timeout"])
    return context.result(actions, laggards=[row.as_dict() for row in waiting], **outcome)


def _selected(entries, names):
    if names is None:
        return entries
    known = {entry.name: entry for entry in entries}
    for name in names:
        if name not in known:
            raise CatalogError("names: there is no enabled catalog entry '%s'. Known entries are: %s." % (name, ", ".join(known)))
    return [known[name] for name in names]


def _needs_refresh(mode, changed_sources, rows):
    if mode == "never" or not rows:
        return False
    if mode == "always" or any(row.status in (state.STALE, state.FAILING) for row in rows):
        return True
    entry = rows[0].entry
    becomes_stale = set(entry.source_keys()).intersection(changed_sources.get(entry.source) or [])
    return bool(becomes_stale) and any(row.created is not None for row in rows)


def _refresh(resource, entry):
    # Any new value does; ESO copies the annotation to each ExternalSecret and so reconciles it.
    annotations = {FORCE_SYNC: str(time.time_ns())}
    body = {"spec": {"externalSecretMetadata": {"annotations": annotations}}}
    shown = {"spec": {"externalSecretMetadata": {"annotations": {FORCE_SYNC: "<the time of the refresh>"}}}}
    return Action("merge", UPDATED, resource, "ClusterExternalSecret", entry.name, body=body, before={}, after=shown)


def _wait(client, entries, snapshot, rows, refreshed, seconds):
    """Follow the managed Secrets until all rows are synced; returns the rows that are not.

    A list and one watch serve any number of namespaces.
    """
    deadline = time.monotonic() + seconds
    expected = {entry.name: state.expected_data(entry, snapshot.sources) for entry in entries}
    pending = {row.key: row for row in rows if row.status != state.SYNCED}
    # Only the Secret tells the truth while ESO is at work: its ExternalSecret's condition lags behind.
    for row in list(pending.values()):
        _judge(pending, row, snapshot.secrets.get(row.key), expected)
    version = snapshot.version
    while pending and time.monotonic() < deadline:
        left = deadline - time.monotonic()
        stream = client.watch(SECRETS, version, selector=ESO_MANAGED_LABEL + "=true", seconds=left, idle=min(IDLE, max(0.1, left)))
        for event in stream:
            if event is None:
                break
            kind, item = event
            if kind == "ERROR":
                # The version is too old to go on from: list once more.
                listed, version = client.list(SECRETS, selector=ESO_MANAGED_LABEL + "=true")
                found = {state.key_of(one): one for one in listed}
                for row in list(pending.values()):
                    _judge(pending, row, found.get(row.key), expected)
                break
            version = item["metadata"]["resourceVersion"]
            if kind == "BOOKMARK":
                continue
            row = pending.get(state.key_of(item))
            if row is not None:
                _judge(pending, row, None if kind == "DELETED" else item, expected)
            if not pending:
                break
    return list(pending.values())


def _judge(pending, row, secret, expected):
    data, problem = expected[row.entry.name]
    judged = state.judge_target(row.entry, row.namespace, secret, None, data, problem)
    if judged.status == state.SYNCED:
        del pending[row.key]
    else:
        pending[row.key] = judged


def _explain(client, version, rows):
    """The rows again, each with what its ExternalSecret says now."""
    listed, _version = client.list(state.external_secrets(version))
    externals = {state.key_of(item): item for item in listed}
    for row in rows:
        external = externals.get((row.namespace, row.entry.name))
        condition = state.ready_condition(external)
        if condition is None:
            row.message += "; there is no ExternalSecret yet" if external is None else "; its ExternalSecret has no condition yet"
        elif condition.get("status") != "True":
            row.message += "; ESO says: %s" % condition.get("message", "")
    return rows


def _failure(context, actions, laggards, outcome, seconds):
    shown = ["%s/%s is %s: %s" % (row.namespace, row.entry.target, row.status, row.message) for row in laggards[:5]]
    more = " ... and %d more" % (len(laggards) - 5) if len(laggards) > 5 else ""
    message = "%d of %d targets were not synced after %d s: %s%s" % (len(laggards), outcome["targets"], seconds, "; ".join(shown), more)
    return context.result(actions, failed=True, msg=message, laggards=[row.as_dict() for row in laggards], **outcome)


def main():
    """Run the module."""
    run_module(work, OPTIONS)


if __name__ == "__main__":
    main()
