#!/usr/bin/python
# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module validate: a catalog and its values, checked without a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validate
short_description: Check a catalog and its values without a cluster
version_added: 1.0.0
description:
  - Checks the catalog, and the values against it, by the rules that M(platform.cluster_secrets.central_secrets) applies
    before it writes anything. The first mistake is an error that names the entry and the fix; anything that is only
    suspicious is a warning.
  - No cluster is contacted, so it can be run for each change to a repository. The connection options are accepted, as
    by every module, but not used.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
attributes:
  check_mode:
    description: Does the same.
    support: full
options:
  values:
    description:
      - The values of the sources, each a mapping of keys, as in M(platform.cluster_secrets.central_secrets).
      - Without them, the catalog alone is checked.
    type: dict
extends_documentation_fragment:
  - platform.cluster_secrets.connection
  - platform.cluster_secrets.attributes.reads
  - platform.cluster_secrets.catalog
  - platform.cluster_secrets.store.namespace
"""

EXAMPLES = r"""
- name: Check what was written down
  platform.cluster_secrets.validate:
    catalog: "{{ cluster_secrets_catalog }}"
    values: "{{ cluster_secrets_values }}"
"""

RETURN = r"""
entries:
  description: What each enabled entry creates, from which sources and for which namespaces.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: smtp, sources: [smtp], target: smtp, type: Opaque, label: secrets/smtp=true, namespaces: [shop]}
sources:
  description: The sources that need values, each with the keys that are read.
  returned: success
  type: dict
  sample: {smtp: [password, user]}
table:
  description: The entries as lines of aligned text.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.platform.cluster_secrets.plugins.module_utils import lifetimes
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.values import (
    check_values,
    remarks,
    to_be_given,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import (
    CATALOG_OPTION,
    STORE_NAMESPACE_OPTION,
    Context,
    run_module,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import text

OPTIONS: dict[str, dict[str, Any]] = {
    "values": {"type": "dict", "no_log": True},
    **CATALOG_OPTION,
    **STORE_NAMESPACE_OPTION,
}


def run(context: Context) -> dict[str, Any]:
    """Check, and say what there is."""
    entries, given = context.entries, context.params["values"]
    if given is not None:
        values, ignored = check_values(entries, given)
        for remark in remarks(entries, values, ignored):
            context.warn(remark)
        for ended in lifetimes.all_ended(values, state.utcnow(), context.warn):
            context.warn("source '%s', key '%s': %s; a bootstrap refuses it" % ended)
    shown = [
        {
            "name": entry.name,
            "sources": list(entry.sources),
            "target": entry.target,
            "type": entry.type,
            "label": entry.label_text(),
            "namespaces": entry.named(),
        }
        for entry in entries
    ]
    return {
        "changed": False,
        "entries": shown,
        "sources": {source: sorted(keys) for source, keys in sorted(to_be_given(entries).items())},
        "table": text.entries_table(shown),
    }


def main() -> None:
    """Run the module."""
    run_module(run, OPTIONS)


if __name__ == "__main__":
    main()
