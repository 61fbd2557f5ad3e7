#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module explain: where the chain to one Secret breaks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: explain
short_description: Explain why a namespace does not have a Secret, and how to fix it
version_added: 1.0.0
description:
  - Looks at every link between a master Secret and the workloads of one namespace, and reports which one is broken.
  - Links that are broken because of another one are distinguished from the cause.
  - What the play may not read is reported as unknown, and the rest is judged without it.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  namespace:
    description: The namespace.
    type: str
    required: true
  secret:
    description: The name of the target Secret, or of the catalog's entry.
    type: str
    required: true
  consumers:
    description: Whether to also check what workloads use from the Secret.
    type: bool
    default: true
  fail:
    description: Whether the module fails when a link is broken.
    type: bool
    default: false
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
seealso:
  - module: platform.cluster_secrets.audit
  - module: platform.cluster_secrets.sync_info
"""

EXAMPLES = r"""
- name: Why is gh-oauth not in the namespace backstage?
  platform.cluster_secrets.explain:
    catalog: "{{ cluster_secrets_catalog }}"
    namespace: backstage
    secret: gh-oauth
  register: chain

- name: Show it
  ansible.builtin.debug:
    var: chain.table
"""

RETURN = r"""
links:
  description: The links of the chain in their order.
  returned: success, or failure because one is broken
  type: list
  elements: dict
  contains:
    step:
      description: Which link it is, such as V(label) or V(store).
      type: str
    state:
      description: V(ok), V(broken), V(follows) (broken, perhaps only because another one is), or V(unknown).
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
broken:
  description: The first link that is broken for a reason of its own. V(null) if the chain is intact.
  returned: success, or failure because one is broken
  type: dict
intact:
  description: Whether no link is known to be broken. A link that is unknown may still be.
  returned: success, or failure because one is broken
  type: bool
table:
  description: The links, and what to do, as lines of text.
  returned: success, or failure because one is broken
  type: list
  elements: str
api_requests:
  description: How many requests were sent to the API server.
  returned: success, or failure because one is broken
  type: int
"""

from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit import chain
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import consumers
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import Denied
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import chain as live_chain
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso, snapshot, state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    CHAIN_OPTIONS,
    CONSUMER_OPTIONS,
    Context,
    customs,
    layout_of,
    reads_once,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import text
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import (
    NAMESPACES,
    Object,
    external_secrets,
)

OPTIONS: dict[str, dict[str, Any]] = {
    "namespace": {"type": "str", "required": True},
    # A name.
    "secret": {"type": "str", "required": True, "no_log": False},
    "fail": {"type": "bool", "default": False},
    **CATALOG_OPTION,
    **CHAIN_OPTIONS,
    **CONSUMER_OPTIONS,
}


@reads_once
def run(context: Context) -> dict[str, Any]:
    """Read one chain and judge it."""
    params = context.params
    links = _links(context)
    shown = [link.as_dict() for link in links]
    broken = chain.broken(links)
    result: dict[str, Any] = {
        "changed": False,
        "links": shown,
        "broken": broken.as_dict() if broken else None,
        "intact": broken is None,
        "table": text.chain_table(shown),
        "api_requests": context.client.requests,
    }
    if broken and params["fail"]:
        message = "Secret %s/%s: the chain breaks at: %s. %s. To fix it: %s"
        shown_in = (params["namespace"], params["secret"], broken.step, broken.message, broken.fix.text())
        result.update(failed=True, msg=message % shown_in)
    return result


def _links(context: Context) -> list[chain.Link]:
    params, client = context.params, context.client
    entries = context.catalog
    entry = chain.choose(entries, params["namespace"], _labels(context), params["secret"])
    missing = chain.without_entry(entries, entry, params["secret"])
    made = _made_beside(context) if entry is None else None
    if made:
        return chain.beside(made, snapshot.said_of(client, params["store_namespace"], made))
    if entry is None or missing:
        return [missing] if missing else []
    layout = layout_of(params)
    paths = customs(params["consumer_paths"]) if params["consumers"] else None
    live = live_chain.read(client, entry, params["namespace"], layout, eso.served(client), paths)
    return chain.judge(entry, params["namespace"], layout, live, state.utcnow(), params["owner"] == "gitops")


def _made_beside(context: Context) -> Object | None:
    """The live ExternalSecret that makes the Secret, as far as they may be read; none of them is the catalog's."""
    version = eso.served(context.client)[0]
    if version is None:
        return None
    try:
        listed = context.client.list(external_secrets(version), namespace=context.params["namespace"])[0]
    except Denied:
        return None
    return next((item for item in listed if consumers.external_target(item) == context.params["secret"]), None)


def _labels(context: Context) -> dict[str, str]:
    """The namespace's labels, as far as they may be read."""
    try:
        live = context.client.get(NAMESPACES.path(context.params["namespace"]))
    except Denied:
        live = None
    return ((live or {}).get("metadata") or {}).get("labels") or {}


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
