# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live ClusterExternalSecrets as catalog entries."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.entries import parse_catalog
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import (
    cluster_external_secret,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover.express import expressed
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover.templates import Inexpressible
from samples import namespace

STORES = {"store"}


def test_every_entry_comes_back(catalog):
    more = [
        {"name": "whole", "source": "s", "label": "tier=app", "extract": True, "type": "example.com/own"},
        {
            "name": "odd",
            "source": "s",
            "target": "other",
            "external_secret": "third",
            "namespaces_by_name": ["b"],
            "refresh_interval": "5m0s",
            "labels": {"a": "b"},
            "annotations": {"c": "d"},
            "data": {"A": "a", "B": {"value": "{{ x }}"}, "C": {"text": r"\\{a} {a}{base64:a:b}{json:a}"}},
        },
    ]
    for raw in [*(one for one in catalog if one["name"] != "talos-config"), *more]:
        entry = parse_catalog([raw])[0]
        live = cluster_external_secret(entry, "store", "v1")
        labels = dict([entry.label]) if entry.label else {}
        namespaces = {name: namespace(name, labels) for name in entry.namespaces}
        again = parse_catalog([expressed(live, STORES, namespaces)])[0]
        for name in vars(entry):
            one, other = getattr(entry, name), getattr(again, name)
            if name == "data":
                one, other = entry.template(), again.template()
            assert (sorted(one) if name == "namespaces" else one) == (
                sorted(other) if name == "namespaces" else other
            ), (entry.name, name)


def by_hand(**changes):
    live = {
        "metadata": {"name": "x"},
        "spec": {
            "namespaceSelector": {"matchLabels": {"l": "true"}},
            "externalSecretSpec": {
                "secretStoreRef": {"kind": "ClusterSecretStore", "name": "store"},
                "target": {"name": "t"},
                "data": [{"secretKey": "k", "remoteRef": {"key": "s", "property": "p"}}],
            },
        },
    }
    for path, value in changes.items():
        at = live["spec"]
        *parents, last = path.split("__")
        for name in parents:
            at = at.setdefault(name, {})
        at[last] = copy.deepcopy(value)
    return live


def test_the_shortest_form():
    assert expressed(by_hand(), STORES, {}) == {
        "name": "x",
        "source": "s",
        "target": "t",
        "label": "l",
        "data": {"k": "p"},
    }
    named = by_hand(namespaceSelector=None, namespaces=["b", "a"], externalSecretSpec__refreshInterval="30m")
    assert expressed(named, STORES, {})["namespaces_by_name"] == ["a", "b"]
    expression = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a"]}]}
    assert expressed(by_hand(namespaceSelector=expression), STORES, {})["namespaces_by_name"] == ["a"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"namespaceSelector": None}, "it selects no namespace"),
        ({"externalSecretSpec__target__creationPolicy": "Merge"}, "creationPolicy 'Merge'"),
        ({"externalSecretSpec__target__immutable": True}, "target.immutable"),
        ({"externalSecretSpec__target__template": {"templateFrom": [{}]}}, "template.templateFrom"),
        ({"externalSecretSpec__target__template": {"engineVersion": "v1"}}, "engineVersion 'v1'"),
        ({"externalSecretSpec__target__template": {"data": {"a": "{{ .k | upper }}"}}}, "'.k | upper'"),
        ({"externalSecretSpec__refreshInterval": "0"}, "refreshInterval '0'"),
        ({"externalSecretSpec__refreshInterval": "0s"}, "refreshInterval 0"),
        ({"externalSecretSpec__refreshPolicy": "OnChange"}, "refreshPolicy 'OnChange'"),
        ({"externalSecretSpec__data": []}, "no sources"),
        ({"externalSecretSpec__data": [], "externalSecretSpec__dataFrom": [{"find": {"name": {}}}]}, "dataFrom.find"),
        (
            {
                "externalSecretSpec__data": [
                    {"secretKey": "k", "remoteRef": {"key": "s", "property": "p", "metadataPolicy": "Fetch"}}
                ]
            },
            "metadataPolicy 'Fetch'",
        ),
        (
            {"externalSecretSpec__target__template": {"type": "bootstrap.kubernetes.io/token"}},
            "not a known Secret type",
        ),
    ],
)
def test_what_no_entry_can_say(changes, reason):
    with pytest.raises(Inexpressible) as caught:
        expressed(by_hand(**changes), STORES, {})
    assert reason in str(caught.value)


def reference(name, key, prop=None, **more):
    return {"secretKey": name, "remoteRef": {"key": key, **({"property": prop} if prop else {}), **more}}


NAME = "kubernetes.io/metadata.name"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        # All namespaces, in each of the ways in which it is written.
        ({"namespaceSelector": {}}, {"namespace_selectors": [{}]}),
        ({"namespaceSelector": None, "namespaceSelectors": [{"matchLabels": {}}]}, {"namespace_selectors": [{}]}),
        (
            {"namespaceSelector": None, "namespaceSelectors": [{"matchLabels": {NAME: one}} for one in ("b", "a")]},
            {"namespaces_by_name": ["a", "b"]},
        ),
        (
            {"namespaceSelectors": [{"matchLabels": {"other": "x"}}]},
            {"namespace_selectors": [{"matchLabels": {"l": "true"}}, {"matchLabels": {"other": "x"}}]},
        ),
        (
            {"namespaceSelector": {"matchLabels": {"a": "1", "b": "2"}}},
            {"namespace_selectors": [{"matchLabels": {"a": "1", "b": "2"}}]},
        ),
        # A whole source, renamed by a template.
        (
            {
                "externalSecretSpec__data": [reference("caCert", "s")],
                "externalSecretSpec__target__template": {"data": {"ca.crt": "{{ .caCert }}"}},
            },
            {"data": {"ca.crt": {"text": "{json:*}"}}},
        ),
        (
            {
                "externalSecretSpec__data": [reference("all", "s"), reference("k", "s", "p", version="3")],
                "externalSecretSpec__target__template": {"data": {"A": "{{ .all | b64enc }}", "B": "{{ .k }}"}},
            },
            {"data": {"A": {"text": "{base64:*}"}, "B": "p"}},
        ),
        (
            {"externalSecretSpec__data": [reference("k", "s", "p", decodingStrategy="Auto")]},
            {"data": {"k": {"text": "{autodecode:p}"}}},
        ),
        (
            {"externalSecretSpec__data": [reference("a", "s", "p"), reference("b", "o", "q")]},
            {"source": "s", "data": {"a": "p", "b": "o/q"}},
        ),
        (
            {
                "externalSecretSpec__data": [],
                "externalSecretSpec__dataFrom": [{"extract": {"key": one}} for one in "sr"],
            },
            {"source": "s", "extract": ["s", "r"]},
        ),
        (
            {"externalSecretSpec__dataFrom": [{"extract": {"key": "r"}}]},
            {"source": "r", "extract": True, "data": {"k": "s/p"}},
        ),
        ({"externalSecretSpec__target__deletionPolicy": "Delete"}, {"deletion_policy": "Delete"}),
        (
            {
                "externalSecretSpec__secretStoreRef": None,
                "externalSecretSpec__data": [
                    {
                        **reference("k", "s", "p"),
                        "sourceRef": {"storeRef": {"kind": "ClusterSecretStore", "name": "store"}},
                    }
                ],
            },
            {"data": {"k": "p"}},
        ),
    ],
)
def test_what_public_objects_say(changes, said):
    entry = expressed(by_hand(**changes), STORES, {}, "central")
    assert {key: entry.get(key) for key in said} == said
    again = parse_catalog([entry], "central")[0]
    assert expressed(cluster_external_secret(again, "store", "v1"), STORES, {}, "central") == entry


def test_a_decoded_value_that_is_encoded_again_is_not_taken_for_the_plain_one():
    changes = {
        "externalSecretSpec__data": [reference("k", "s", "p", decodingStrategy="Base64")],
        "externalSecretSpec__target__template": {"data": {"A": "{{ .k | b64enc }}"}},
    }
    with pytest.raises(Inexpressible):
        expressed(by_hand(**changes), STORES, {})
