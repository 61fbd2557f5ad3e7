# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup clusters: a pattern of hosts that matches some."""

from __future__ import annotations

DOCUMENTATION = r"""
name: clusters
short_description: A pattern of hosts, unless it matches none
version_added: 1.0.0
description:
  - Returns the pattern for a play's C(hosts). A play whose pattern matches no host does nothing, and Ansible calls that
    a success; this fails instead, so that a misspelled name of a cluster opens no gate.
  - What a limit leaves of the hosts does not matter.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  _terms:
    description: The patterns. Each part of them must match, also what is left out. C(localhost) always does.
    required: true
"""

EXAMPLES = r"""
- name: Show the pattern, if it matches a host
  ansible.builtin.debug:
    msg: "{{ lookup('platform.cluster_secrets.clusters', 'localhost') }}"
"""

RETURN = r"""
_raw:
  description: The patterns.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.inventory.manager import split_host_pattern
from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **_options: Any) -> list[str]:
        """The patterns."""
        hosts = lookup_loader.get("ansible.builtin.inventory_hostnames", loader=self._loader, templar=self._templar)
        patterns = [str(one) for term in terms for one in (term if isinstance(term, (list, tuple)) else [term])]
        known = variables or {}
        for part in split_host_pattern(patterns):
            name = part.lstrip("!&")
            # To leave out, or to choose among, a group that happens to be empty is no slip.
            empty = name != part and name in known.get("groups", {})
            if name != "localhost" and not empty and not hosts.run([name], variables=known):
                raise AnsibleLookupError("cluster_secrets_hosts: no host of the inventory matches '%s'." % name)
        return patterns
