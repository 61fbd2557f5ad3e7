# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a catalog by the names of its entries."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.adjust import adjusted
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError

CATALOG = [{"name": "one", "namespaces": ["a"]}, {"name": "two"}]


def test_changes():
    before = copy.deepcopy(CATALOG)
    assert adjusted(CATALOG) is CATALOG
    assert adjusted(CATALOG, ["two"]) == [CATALOG[0], {"name": "two", "enabled": False}]
    assert adjusted(CATALOG, added={"one": ["b", "a"], "two": ["c"]}) == [
        {"name": "one", "namespaces": ["a", "b"]},
        {"name": "two", "namespaces": ["c"]},
    ]
    assert adjusted(CATALOG, added={"one": ["c"]}, replaced={"one": ["b"]})[0]["namespaces"] == ["b", "c"]
    # What is no list is the catalog's own check to refuse, and no list of letters.
    assert adjusted([{"name": "one", "namespaces": "ab"}], added={"one": ["c"]}) == [
        {"name": "one", "namespaces": "ab"}
    ]
    assert before == CATALOG


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["on"],), "no catalog entry is called 'on'. Did you mean 'one'?"),
        (([], {"three": []}), "no catalog entry is called 'three'. .*Entries are: one, two"),
        (("one",), "cluster_secrets_disabled must be a list of names, not a string"),
        (([], [{"one": ["a"]}]), "cluster_secrets_catalog_namespaces_add must be a mapping of names, not a list"),
        (([], {"one": "a"}), "cluster_secrets_catalog_namespaces_add: the namespaces of catalog entry 'one' must be"),
        (([], None, {"one": "a"}), "the namespaces of catalog entry 'one' must be a list, not a string"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(CatalogError, match=message):
        adjusted(CATALOG, *arguments)
