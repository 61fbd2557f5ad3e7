# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change a catalog by the names of its entries, so that nobody has to copy one. Pure."""

from __future__ import annotations

from typing import Any

from ..errors import CatalogError
from .checker import close_to, kind_of


def adjusted(raw: Any, disabled: Any = (), added: Any = None, replaced: Any = None) -> Any:
    """A catalog as read from YAML, with entries disabled and their namespaces changed; the original is left unchanged.

    :arg disabled: names of entries; :arg added: ``{name: [namespaces]}`` besides the entry's own; :arg replaced: the
        same instead of them.
    :raises CatalogError: for a name that no entry has, or an argument of the wrong type.
    """
    for value, kind, what in (
        (disabled, (list, tuple), "cluster_secrets_disabled must be a list of names"),
        (added or {}, dict, "cluster_secrets_catalog_namespaces_add must be a mapping of names"),
        (replaced or {}, dict, "cluster_secrets_catalog_namespaces_replace must be a mapping of names"),
    ):
        if not isinstance(value, kind):
            raise CatalogError("%s, not %s." % (what, kind_of(value)))
    if not disabled and not added and not replaced:
        return raw
    names = [entry.get("name") for entry in raw if isinstance(entry, dict)] if isinstance(raw, list) else []
    for variable, said in (
        ("cluster_secrets_disabled", disabled),
        ("cluster_secrets_catalog_namespaces_add", added or {}),
        ("cluster_secrets_catalog_namespaces_replace", replaced or {}),
    ):
        for name in said:
            if name not in names:
                raise CatalogError(
                    "%s: no catalog entry is called '%s'. %sEntries are: %s."
                    % (variable, name, close_to(name, map(str, names)), ", ".join(map(str, names)))
                )
            if isinstance(said, dict) and not isinstance(said[name], list):
                raise CatalogError(
                    "%s: the namespaces of catalog entry '%s' must be a list, not %s."
                    % (variable, name, kind_of(said[name]))
                )
    return [_adjusted(entry, disabled, added or {}, replaced or {}) for entry in raw]


def _adjusted(entry: Any, disabled: Any, added: dict[str, Any], replaced: dict[str, Any]) -> Any:
    if not isinstance(entry, dict):
        return entry
    name = entry.get("name")
    changed = dict(entry)
    if name in disabled:
        changed["enabled"] = False
    if name in replaced:
        changed["namespaces"] = list(replaced[name])
    if name in added:
        own = changed.get("namespaces") or []
        if not isinstance(own, list):
            return entry  # the catalog's own check says what it must be
        changed["namespaces"] = [*own, *(namespace for namespace in added[name] if namespace not in own)]
    return changed
