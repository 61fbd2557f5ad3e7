# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small objects that several unit tests share."""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog import entries as catalog

ONE = {"name": "one", "source": "src", "label": "secrets/one", "data": {"KEY": "key"}, "namespaces": ["a"]}

#: What ESO writes of the ClusterExternalSecret that made an ExternalSecret, without its name.
CONTROLS = {"apiVersion": "external-secrets.io/v1", "controller": True}


def entries(*raw):
    return catalog.parse_catalog(list(raw))


def namespace(name, labels=None, finalizers=None):
    return {"metadata": {"name": name, "labels": labels or {}, "finalizers": finalizers or [], "resourceVersion": "5"}}
