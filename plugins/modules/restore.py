#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module restore: Secrets from a backup."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Restore Secrets from a backup
version_added: 1.0.0
description:
  - Restores the Secrets of a backup's central namespace, and the targets in it on request. Other Secrets are left
    alone.
  - Secrets with other content are backed up first, to O(backup_dir).
  - If the collection was never set up on the cluster, the module refuses to write master Secrets where somebody else
    already has access to the central namespace, unless O(takeover) accepts it.
  - A backup that does not match the digests next to it is refused, and so is one from another cluster, unless O(into)
    allows it.
  - Runs on the control node, whatever the connection.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows which keys change, and never a value.
    support: full
options:
  src:
    description: The path of the backup.
    type: path
    required: true
  catalog:
    description: The catalog, to say whose targets then have to be refreshed.
    type: list
    elements: dict
    default: []
  targets:
    description:
      - Whether to restore the Secrets of other namespaces too, where the namespace exists and ESO doesn't manage the
        Secret.
    type: bool
    default: false
  into:
    description:
      - The cluster to restore into when the backup is of another one, named by the uid of its namespace C(kube-system)
        or by the URL of its API. Without it, such a backup is refused.
    type: str
  backup_dir:
    description: The folder for the backup of what is overwritten.
    type: path
    default: cluster-secrets-backups
  takeover:
    description: As for M(platform.cluster_secrets.central_secrets); only C(access) counts here.
    type: dict
    default: {}
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.store
  - platform.cluster_secrets.store.isolation
  - platform.cluster_secrets.identities.eso
  - platform.cluster_secrets.identities.platform
seealso:
  - module: platform.cluster_secrets.backup
"""

EXAMPLES = r"""
- name: Restore the master Secrets
  platform.cluster_secrets.restore:
    src: backups/today.vault.yml
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
taken:
  description: When the backup was taken.
  returned: success
  type: str
backup:
  description: The path of the backup of what was overwritten, if any.
  returned: success
  type: str
refresh:
  description: The entries of O(catalog) whose targets do not match the restored sources, as the keys of a mapping, for
    the option C(names) of M(platform.cluster_secrets.sync).
  returned: success
  type: dict
sources:
  description: The master Secrets that were (in check mode, would be) written.
  returned: success
  type: list
  elements: str
written_by_others:
  description: The Secrets in the backup that were left alone because somebody else keeps writing them, each as
    C(namespace/name) with its writer.
  returned: success
  type: dict
skipped_targets:
  description: The targets in the backup that were left alone, each as C(namespace/name).
  returned: success
  type: list
  elements: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import backups
from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.values import written_by_others
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import stores
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import (
    ESO_MANAGED_LABEL,
    is_owned,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import FileError, NotReady
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso, snapshot, state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    ESO_IDENTITY_OPTIONS,
    ISOLATION_OPTION,
    PLATFORM_OPTIONS,
    STORE_NAMESPACE_OPTION,
    STORE_OPTION,
    Context,
    layout_of,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts.masters import access_found
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.secrets import plan_restore
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report.text import takeover_refused
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    NAMESPACES,
    Object,
    decode,
    key_of,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover import preflight

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.actions import Action

OPTIONS: dict[str, dict[str, Any]] = {
    "src": {"type": "path", "required": True},
    "catalog": {"type": "list", "elements": "dict", "default": []},
    "targets": {"type": "bool", "default": False},
    "into": {"type": "str"},
    "backup_dir": {"type": "path", "default": "cluster-secrets-backups"},
    "takeover": {"type": "dict", "default": {}},
    **ESO_IDENTITY_OPTIONS,
    **ISOLATION_OPTION,
    **PLATFORM_OPTIONS,
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Compare the backup with what is there and write the difference."""
    params, client = context.params, context.client
    content = backups.read(context.vault, params["src"])
    cluster = snapshot.identity(client)
    if content["cluster"] != cluster[0] and params["into"] not in cluster:
        raise FileError(
            "the backup '%s' is of another cluster (uid %s, %s), and this one is uid %s, %s. To restore it here all "
            "the same, set 'into' (in the playbook, cluster_secrets_restore_into) to %s. Nothing was changed."
            % (params["src"], content["cluster"], content["server"], *cluster, cluster[0])
        )
    store_namespace = params["store_namespace"]
    wanted = [item for item in content["secrets"] if params["targets"] or key_of(item)[0] == store_namespace]
    if not any(key_of(item)[0] == store_namespace for item in wanted):
        raise FileError("the backup '%s' has no Secret of namespace '%s'." % (params["src"], store_namespace))
    places = {key_of(item)[0] for item in wanted}
    namespaces = {item["metadata"]["name"] for item in client.list(NAMESPACES, partial=True)[0]}
    live = snapshot.secrets_of(client, sorted(places & namespaces))
    skipped = []
    others: dict[str, str] = {}
    restored: list[Object] = []
    written = written_by_others(context.catalog)
    planned: list[list[Action]] = []
    overwritten = []
    for item in wanted:
        key = key_of(item)
        there = live.get(key)
        # What ESO manages now, or did then, is ESO's to bring back where a namespace still gets it.
        managed = any(
            ESO_MANAGED_LABEL in (one["metadata"].get("labels") or {}) for one in (item, there) if one is not None
        )
        if key[0] != store_namespace and (key[0] not in namespaces or managed):
            skipped.append("/".join(key))
            continue
        writer = _writer(item, there, written.get(key[1]) if key[0] == store_namespace else None)
        if writer:
            others["/".join(key)] = writer
            continue
        actions = plan_restore(item, there, content["ours"].get("/".join(key), ()))
        if actions and there is not None:
            overwritten.append(there)
        planned.append(actions)
        restored.append(item)
    if others:
        context.warn(
            "%d Secret(s) stay as they are, since somebody else keeps writing them: %s."
            % (len(others), ", ".join("%s (%s)" % pair for pair in sorted(others.items())))
        )
    if any(planned):
        _refuse_access(context)
    first = context.missing_namespace(store_namespace, True) if planned and store_namespace not in namespaces else []
    path = backups.save(context, overwritten, cluster) if overwritten else None
    # What has to be made anew goes one after the other: a run that stops on the way leaves one missing at most.
    anew = [[action] for actions in planned if actions and actions[0].verb == "delete" for action in actions]
    rest = [actions for actions in planned if actions and actions[0].verb != "delete"]
    rounds = [[actions[0] for actions in rest], [actions[1] for actions in rest if len(actions) > 1]]
    done = Executor(client, context.check_mode).run(first, *anew, *rounds)
    return context.result(
        done,
        taken=content["taken"],
        backup=path,
        refresh=dict.fromkeys(_stale(context, restored) if context.entries else (), True),
        sources=sorted(
            item["metadata"]["name"]
            for item, actions in zip(restored, planned)
            if actions and key_of(item)[0] == store_namespace
        ),
        skipped_targets=sorted(skipped),
        written_by_others=others,
    )


def _refuse_access(context: Context) -> None:
    """Raise NotReady where others can already read what would be written; see :func:`access_found`."""
    client, answers = context.client, preflight.checked_answers(context.params["takeover"])
    version = eso.served(client)[0]
    layout = layout_of(context.params, version)
    with client.remembering():
        if stores.is_established(snapshot.read_stores(client, layout, version is not None), layout):
            return
        findings = access_found(context, layout, snapshot.Cluster(client, layout, version, {}))
    refused = [finding for finding in findings if not finding.accepted(answers)]
    if refused:
        raise NotReady(takeover_refused(refused))


def _writer(kept: Object, there: Object | None, written_by: str | None) -> str | None:
    """Who keeps writing a live Secret, so that what was backed up is older than what they know."""
    if str(kept["type"]).startswith("helm.sh/"):
        return "helm"
    if there is None:
        return None
    # What made ours before it was taken over has left its marks.
    writers = preflight.renewers(there) if is_owned(there) else preflight.writers(there)
    return " and ".join(dict.fromkeys([*([written_by] if written_by else []), *writers])) or None


def _stale(context: Context, restored: list[Object]) -> list[str]:
    """The entries whose targets do not hold what the sources say once ``restored`` are there, in check mode too."""
    client, namespace = context.client, context.params["store_namespace"]
    live = snapshot.read(client, context.entries, "", namespace, read_externals=False)
    live.sources = {
        **(live.sources or {}),
        **{item["metadata"]["name"]: decode(item) for item in restored if item["metadata"]["namespace"] == namespace},
    }
    rows = state.judge(context.entries, live)
    stale = {row.entry.name for row in rows if row.status in (state.STALE, state.MISSING)}
    return [entry.name for entry in context.entries if entry.name in stale]


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
