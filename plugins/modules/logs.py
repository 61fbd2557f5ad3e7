#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module logs: the end of ESO's log."""

from __future__ import annotations

DOCUMENTATION = r"""
module: logs
short_description: Show the last lines of the External Secrets controller's log
version_added: 1.0.0
description:
  - Reads the logs of all controller pods, through the API alone.
  - Some releases of ESO quote values of Secrets there. Those of master Secrets are masked, where they may be read.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  diff_mode:
    description: It changes nothing.
    support: none
options:
  lines:
    description: How many lines to return for each pod.
    type: int
    default: 100
  read_values:
    description: Whether to read the master Secrets, to mask what the log quotes of them.
    type: bool
    default: true
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.identities.namespace
  - platform.cluster_secrets.store.namespace
  - platform.cluster_secrets.attributes.reads
"""

EXAMPLES = r"""
- name: Look at ESO's log
  platform.cluster_secrets.logs:
    lines: 20
"""

RETURN = r"""
pods:
  description: The pods, each with the C(lines) of its log, or with a C(problem) that says what is wrong.
  returned: success, or when no log could be read
  type: list
  elements: dict
table:
  description: The same as lines of text.
  returned: success, or when no log could be read
  type: list
  elements: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success, or when no log could be read
  type: int
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import ApiError, NotReady
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso, snapshot
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    ESO_NAMESPACE_OPTION,
    STORE_NAMESPACE_OPTION,
    Context,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report.text import log_line
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    PODS,
    Object,
    escaped,
    unquoted,
)

if TYPE_CHECKING:
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.client import Client

OPTIONS: dict[str, dict[str, Any]] = {
    **ESO_NAMESPACE_OPTION,
    **STORE_NAMESPACE_OPTION,
    "lines": {"type": "int", "default": 100},
    "read_values": {"type": "bool", "default": True},
}


def run(context: Context) -> dict[str, Any]:
    """Read the log of each pod; another replica's is read even if one can't be."""
    params, client = context.params, context.client
    pods, _version = client.list(PODS, namespace=params["eso_namespace"], selector=eso.CONTROLLER_SELECTOR)
    if not pods:
        raise NotReady("There is no pod of ESO's controller in the namespace %s." % params["eso_namespace"])
    # Who may not read them has the log as it is.
    masters = snapshot.master_values(client, params["store_namespace"]) if params["read_values"] else None
    values = _quoted(masters or [])
    read = [_masked(_read(client, pod, params["lines"]), values, params) for pod in pods]
    result: dict[str, Any] = {
        "changed": False,
        "pods": read,
        "table": [line for pod in read for line in ("", pod["name"] + ":", "", *_shown(pod))],
        "api_requests": client.requests,
    }
    if not any("lines" in pod for pod in read):
        result.update(failed=True, msg="No log could be read: %s" % read[0]["problem"])
    return result


def _quoted(masters: list[bytes]) -> set[bytes]:
    """The values, also as the log has them: it is JSON, whose messages may quote JSON that holds a value."""
    values = set(masters)
    for _level in range(2):
        values |= {escaped(value.decode("utf-8", "ignore")).encode() for value in values}
    return values


def _masked(pod: dict[str, Any], values: set[bytes], params: dict[str, Any]) -> dict[str, Any]:
    """The same without values of Secrets; names are shown, though a value may be the same."""
    if "lines" not in pod:
        return pod
    public = [pod["name"], params["eso_namespace"], params["store_namespace"]]
    return {**pod, "lines": unquoted("\n".join(pod["lines"]), values, public).split("\n")}


def _shown(pod: dict[str, Any]) -> list[str]:
    return [log_line(line) for line in pod["lines"]] if "lines" in pod else [pod["problem"]]


def _read(client: Client, pod: Object, lines: int) -> dict[str, Any]:
    meta = pod["metadata"]
    path = PODS.path(meta["name"], meta["namespace"]) + "/log"
    query = {"container": pod["spec"]["containers"][0]["name"], "tailLines": str(max(1, lines))}
    try:
        text = client.text(path, query, "cannot read the log of pod %s" % meta["name"])
    except ApiError as error:
        return {"name": meta["name"], "problem": str(error)}
    return {"name": meta["name"], "lines": text.splitlines() or ["(nothing was logged)"]}


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
