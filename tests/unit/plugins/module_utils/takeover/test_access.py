# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has a foot in a namespace that was there before."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import permissions
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover import access

TRUSTED = permissions.Trusted(["admin", "system:serviceaccount:ci:deployer"], ["platform"], ["kube-system"])


def binding(name, *subjects):
    return {"kind": "RoleBinding", "metadata": {"name": name, "namespace": "central"}, "subjects": list(subjects)}


def found(bindings=(), workloads=(), webhooks=(), labels=None, ours=(), accounts=()):
    place = access.Place("central", list(bindings), list(workloads), accounts)
    central = {"metadata": {"name": "central", "labels": labels or {}}}
    return [one.object for one in access.find([place], TRUSTED, list(webhooks), central, ours)]


@pytest.mark.parametrize(
    ("subject", "foreign"),
    [
        ({"kind": "User", "name": "tenant"}, True),
        ({"kind": "User", "name": "admin"}, False),
        ({"kind": "Group", "name": "platform"}, False),
        # A group that is called as a trusted user is.
        ({"kind": "Group", "name": "admin"}, True),
        ({"kind": "ServiceAccount", "name": "deployer", "namespace": "ci"}, False),
        ({"kind": "ServiceAccount", "name": "deployer", "namespace": "evil"}, True),
        ({"kind": "ServiceAccount", "name": "any", "namespace": "kube-system"}, False),
    ],
)
def test_whose_permissions_are_foreign(subject, foreign):
    assert found([binding("b", subject)]) == (["RoleBinding central/b"] if foreign else [])


def test_what_the_run_writes_itself_is_not():
    """But what only has its name is, for it says something else until the run writes it."""
    reader = {"kind": "ServiceAccount", "name": "reader", "namespace": "central"}
    own = {**binding("reader", reader), "roleRef": {"name": "r"}}
    assert found([own], ours=[own]) == []
    for other in (
        binding("reader", {"kind": "User", "name": "tenant"}),
        {**own, "roleRef": {"name": "edit"}},
        {**own, "metadata": {"name": "reader", "namespace": "elsewhere"}},
    ):
        assert len(found([other], ours=[own])) == 1


def test_whatever_runs_there_is_named_once():
    job = {"kind": "Job", "metadata": {"name": "j", "namespace": "central"}}
    owner = {"kind": "Job", "name": "j"}
    pod = {"kind": "Pod", "metadata": {"name": "j-1", "namespace": "central", "ownerReferences": [owner]}}
    assert found(workloads=access.top_level([job, pod])) == ["Job central/j"]
    assert found(accounts={"eso"}) == ["ServiceAccount central/eso"]


@pytest.mark.parametrize(
    ("rule", "selector", "named"),
    [
        ({"apiGroups": [""], "resources": ["secrets"]}, {}, True),
        ({"apiGroups": ["*"], "resources": ["*/*"]}, {}, True),
        ({"apiGroups": [""], "resources": ["pods"]}, {}, False),
        ({"apiGroups": ["cert-manager.io"], "resources": ["*/*"]}, {}, False),
        ({"apiGroups": [""], "resources": ["secrets"], "scope": "Cluster"}, {}, False),
        ({"apiGroups": [""], "resources": ["secrets"]}, {"matchLabels": {"hooks": "on"}}, False),
    ],
)
def test_webhooks_that_would_be_sent_master_secrets(rule, selector, named):
    hook = {"metadata": {"name": "m"}, "webhooks": [{"name": "w", "rules": [rule], "namespaceSelector": selector}]}
    assert found(webhooks=[hook]) == (["MutatingWebhookConfiguration m"] if named else [])
