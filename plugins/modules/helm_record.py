#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module helm_record: what an interrupted operation of helm left in its record."""

from __future__ import annotations

DOCUMENTATION = r"""
module: helm_record
short_description: Remove what an interrupted or failed helm operation left in helm's records
version_added: 1.0.0
description:
  - helm refuses to continue after an interrupted operation, and C(kubernetes.core.helm) treats a failed one as done.
    Once its record is removed, helm adopts what the operation left behind, by its own annotations.
  - If an operation may still be running, the module waits until it ends or is older than O(timeout), after which helm
    would have given up.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: Shows which records are removed.
    support: full
options:
  release:
    description: The name of the release.
    type: str
    default: external-secrets
  eso_namespace:
    description: Its namespace.
    type: str
    default: external-secrets
  timeout:
    description: How long helm operations may take, in helm's format (V(5m)).
    type: str
    default: 5m
  not_beyond:
    description: Fail if helm's release has a newer ESO than this by then, such as V(1.2.0).
    type: str
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.writes
"""

EXAMPLES = r"""
- name: Let helm go on after an interruption
  platform.cluster_secrets.helm_record:
"""

RETURN = r"""
removed:
  description: What was (in check mode, would be) removed, as sentences.
  returned: success
  type: list
  elements: str
changes:
  description: What was (in check mode, would be) written.
  returned: success
  type: list
  elements: dict
api_requests:
  description: How many requests were sent to the API server.
  returned: success
  type: int
"""

import time
from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories
from ansible_collections.platform.cluster_secrets.plugins.module_utils.apply import Executor
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import (
    ApiError,
    CatalogError,
    EsoError,
    passes,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import release as helm
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context, run_module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.actions import plan_delete

OPTIONS: dict[str, dict[str, Any]] = {
    "release": {"type": "str", "default": "external-secrets"},
    "eso_namespace": {"type": "str", "default": "external-secrets"},
    "timeout": {"type": "str", "default": "5m"},
    "not_beyond": {"type": "str"},
}


def run(context: Context) -> dict[str, Any]:
    """Wait for what may still be running, then remove what is left."""
    params, client = context.params, context.client
    limit = helm.seconds_of(params["timeout"])
    if limit is None:
        raise CatalogError(
            "'timeout' (the variable cluster_secrets_eso_timeout) must be a duration such as '5m' or '90s'."
        )
    progress = context.progress("seconds are over that another helm may take")
    waited = 0.0
    while True:
        try:
            records = helm.unfinished(client, params["eso_namespace"], params["release"])
        except ApiError as error:
            # An answer that passes by itself ends no wait of minutes.
            if not waited or not passes(error) or time.monotonic() > waited + limit:
                raise
            time.sleep(1)
            continue
        running = [one for one in records if one.may_run(limit)]
        if not running or context.check_mode:
            break
        waited = waited or time.monotonic()
        progress(int(max(one.age for one in running)), int(limit))
        time.sleep(1)
    progress.end()
    _refuse_newer(context)
    said = [
        "helm's record of revision %d of '%s', which has been %s for %d s"
        % (one.revision, params["release"], one.status, one.age)
        for one in records
    ]
    actions = Executor(client, context.check_mode).run([plan_delete(one.item) for one in records])
    for one in said:
        context.warn("%s %s" % (one, "would be removed" if context.check_mode else "was removed"))
    return context.result(actions, removed=said)


def _refuse_newer(context: Context) -> None:
    """Raise EsoError where somebody else has upgraded the release beyond the step that is to come."""
    params = context.params
    limit = advisories.parse(params["not_beyond"])
    record = helm.deployed(context.client, params["eso_namespace"], params["release"]) if limit else None
    if limit and record and record.number and record.number > limit:
        raise EsoError(
            "helm's release '%s' has ESO %s by now, and this run would go back to %s: another run is at work. Run this "
            "again when it has ended. Nothing was changed."
            % (params["release"], record.app_version, advisories.text(limit))
        )


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
