# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup once: another lookup, run once for all hosts of a play."""

from __future__ import annotations

DOCUMENTATION = r"""
name: once
short_description: Run another lookup once for all hosts
version_added: 1.0.0
description:
  - Runs a lookup for the first host that needs it and gives the same result to all others, so that ten clusters need
    only one login to Vault.
  - A host for which the lookup has other terms, options or variables, such as another C(ansible_hashi_vault_url), gets
    its own result.
  - Where a term names a file, the result is that of this file as it is. A playbook in another folder, or a file that
    was written since, gets its own.
  - The result is kept only in the memory of the run. A lookup that fails is run again for the next host.
  - Lookups whose result depends on all of a host's variables (C(config), C(merge_variables), C(template), C(vars),
    C(varnames)) are refused.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  _terms:
    description: The name of the lookup, then its terms. All options are passed on to it.
    required: true
"""

EXAMPLES = r"""
- name: Seed all clusters from one read of Vault
  platform.cluster_secrets.central_secrets:
    catalog: "{{ cluster_secrets_catalog }}"
    values:
      smtp: "{{ lookup('platform.cluster_secrets.once', 'community.hashi_vault.vault_kv2_get', 'smtp').secret }}"
"""

RETURN = r"""
_raw:
  description: What the lookup returns.
  type: list
  elements: raw
"""

import os
import stat
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase

from ..module_utils.module import texts
from ..plugin_utils.plain import VALUES, plain
from ..plugin_utils.shared import RUN

#: Lookups whose result depends on what no key of theirs says.
_OF_A_HOST = ("config", "merge_variables", "template", "vars", "varnames")


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """The other lookup's result."""
        if not terms or not isinstance(terms[0], str):
            raise AnsibleLookupError("the lookup 'once' needs the name of the lookup to run as its first term.")
        name, rest = str(terms[0]), list(terms[1:])
        inner = lookup_loader.get(name, loader=self._loader, templar=self._templar)
        if inner is None:
            raise AnsibleLookupError("the lookup '%s' was not found." % name)
        if name.rpartition(".")[2] in _OF_A_HOST:
            raise AnsibleLookupError(
                "the lookup '%s' depends on a host's variables, and can't be run once for all hosts. Use it without "
                "'once'." % name
            )
        key = [
            name,
            plain(rest),
            plain(kwargs),
            self._read_by(inner, variables or {}),
            [self._found(variables or {}, text) for text in texts([rest, kwargs])],
            # What a lookup finds by itself it finds from here.
            [os.getcwd(), self._loader.get_basedir() if self._loader else ""],
        ]
        return RUN.once(key, lambda: plain(inner.run(rest, variables=variables, **kwargs), VALUES))

    def _found(self, variables: dict[str, Any], term: Any) -> list[Any]:
        """The file that a term names, and which content of it: nothing where it names none."""
        if not isinstance(term, str) or not term or "\n" in term:
            return []
        try:
            path = self.find_file_in_search_path(variables, "files", term, ignore_missing=True) or term
            status = os.stat(path)
        except (OSError, ValueError, AnsibleError):
            return []
        if not stat.S_ISREG(status.st_mode):
            return []
        return [os.path.realpath(path), status.st_ino, status.st_size, status.st_mtime_ns]

    def _read_by(self, inner: Any, variables: dict[str, Any]) -> dict[str, Any]:
        """The variables that the lookup takes options from, as this host has them."""
        options = C.config.get_configuration_definitions("lookup", getattr(inner, "_load_name", ""))
        names = {var["name"] for option in options.values() for var in option.get("vars") or []}
        return {name: plain(self._templar.template(variables[name])) for name in sorted(names & set(variables))}
