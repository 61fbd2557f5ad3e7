# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rules allow, and whose permissions are expected."""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.module_utils import permissions


def grant(*rules):
    return permissions.Grant({"kind": "User", "name": "u"}, None, "RoleBinding 'x'", list(rules))


def rule(resources, verbs=("create",), groups=("",), names=None):
    return {
        "apiGroups": list(groups),
        "resources": list(resources),
        "verbs": list(verbs),
        **({"resourceNames": names} if names else {}),
    }


def test_wildcards_count():
    assert grant(rule(["*"], ["*"], ["*"])).allows("x", "things", ("get",)) == (True, None)
    assert grant(rule(["*"], ["*"], ["*"])).allows("", "serviceaccounts/token", ("create",)) == (True, None)
    assert grant(rule(["*/token"])).allows("", "serviceaccounts/token", ("create",)) == (True, None)


def test_names_bind_only_where_no_rule_is_wider():
    assert grant(rule(["secrets"], ["get"], names=["a"]), rule(["secrets"], ["get"], names=["b"])).allows(
        "", "secrets", ("get",)
    ) == (True, {"a", "b"})
    assert grant(rule(["secrets"], ["get"], names=["a"]), rule(["secrets"], ["get"])).allows(
        "", "secrets", ("get",)
    ) == (True, None)


def test_what_is_not_allowed():
    assert grant(rule(["secrets"], ["create"])).allows("", "secrets", ("get",)) == (False, set())
    assert grant(rule(["serviceaccounts"])).allows("", "serviceaccounts/token", ("create",)) == (False, set())
    assert grant(rule(["externalsecrets"])).allows("external-secrets.io", "externalsecrets", ("create",)) == (
        False,
        set(),
    )


def test_bindings_of_missing_roles_and_without_subjects_give_nothing():
    meta = {"metadata": {"name": "x", "namespace": "ns"}}
    ref = {"roleRef": {"kind": "Role", "name": "gone"}}
    account = {"kind": "ServiceAccount", "name": "a"}
    found = permissions.grants([{**meta, **ref, "subjects": [account]}, {**meta, **ref}], [], [], [])
    assert [(one.who, one.rules) for one in found] == [("ServiceAccount ns/a", [])]


def test_a_group_of_service_accounts_covers_them():
    trusted = permissions.Trusted([], ["system:serviceaccounts:argocd"], [])
    of_argo = {"kind": "ServiceAccount", "name": "any", "namespace": "argocd"}
    assert trusted.covers(of_argo) and not trusted.covers({**of_argo, "namespace": "argo"})
    assert trusted.covers({"kind": "User", "name": "system:serviceaccount:argocd:any"})
    assert not trusted.covers({"kind": "Group", "name": "system:serviceaccounts"})


def test_who_is_trusted():
    trusted = permissions.Trusted(["alice", "system:serviceaccount:ci:deployer"], ["admins"], ["kube-system"])
    for subject in (
        {"kind": "User", "name": "alice"},
        {"kind": "Group", "name": "admins"},
        {"kind": "Group", "name": "system:masters"},
        {"kind": "ServiceAccount", "name": "deployer", "namespace": "ci"},
        {"kind": "ServiceAccount", "name": "any", "namespace": "kube-system"},
        {"kind": "User", "name": "system:serviceaccount:kube-system:any"},
        {"kind": "Group", "name": "system:serviceaccounts:kube-system"},
    ):
        assert trusted.covers(subject), subject
    for subject in (
        {"kind": "User", "name": "admins"},
        {"kind": "Group", "name": "alice"},
        {"kind": "ServiceAccount", "name": "deployer", "namespace": "x"},
    ):
        assert not trusted.covers(subject), subject
