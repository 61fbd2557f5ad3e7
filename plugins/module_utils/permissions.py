# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what, from the live Roles and their bindings. Pure.

Aggregated ClusterRoles need no care of their own: Kubernetes writes what they add up to into their rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable

from .resources import Object, matches, one_line

#: Kubernetes' own users and groups, which are never reported.
_SYSTEM = (
    "system:masters",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:apiserver",
    "system:nodes",
    "system:serviceaccounts:kube-system",
    "kubeadm:cluster-admins",
)


@dataclass(frozen=True, eq=False)
class Grant:
    """The rules that a binding gives to one subject.

    ``namespace`` is where they hold, None for everywhere; ``binding`` is the binding's kind and name.
    """

    subject: Object
    namespace: str | None
    binding: str
    rules: list[Object]

    @property
    def who(self) -> str:
        """The subject as text, such as 'ServiceAccount team/deployer'."""
        if self.subject["kind"] == "ServiceAccount":
            return "ServiceAccount %s/%s" % (self.subject.get("namespace"), self.subject["name"])
        # Of users and groups, a binding may name what it likes.
        return "%s %s" % (self.subject["kind"], one_line(self.subject["name"], 253))

    def allows(self, group: str, resource: str, verbs: tuple[str, ...]) -> tuple[bool, set[str] | None]:
        """Whether the rules allow one of ``verbs``, and for which names (None: all)."""
        names: set[str] = set()
        for rule in self.rules:
            if not (_covers(rule.get("apiGroups"), (group,)) and _covers(rule.get("verbs"), verbs)):
                continue
            wanted = (resource, "*/" + resource.partition("/")[2]) if "/" in resource else (resource,)
            if not _covers(rule.get("resources"), wanted):
                continue
            if not rule.get("resourceNames"):
                return True, None
            names.update(rule["resourceNames"])
        return bool(names), names

    def allows_on(self, name: str, group: str, resource: str, verbs: tuple[str, ...]) -> bool:
        """Whether the rules allow one of ``verbs`` on the object of this name."""
        allowed, names = self.allows(group, resource, verbs)
        return allowed and (names is None or name in names)


def is_account(subject: Object, namespace: str, name: str) -> bool:
    """Whether a ServiceAccount is a binding's subject: itself, its user, or one of the groups that it is in."""
    if subject["kind"] == "ServiceAccount":
        return (subject.get("namespace"), subject["name"]) == (namespace, name)
    if subject["kind"] == "User":
        return bool(subject["name"] == "system:serviceaccount:%s:%s" % (namespace, name))
    groups = ("system:serviceaccounts", "system:serviceaccounts:%s" % namespace, "system:authenticated")
    return subject["kind"] == "Group" and subject["name"] in groups


#: How the user of a ServiceAccount begins, and the group of all of them; those of a namespace append its name to that.
_ACCOUNT, _ACCOUNTS = "system:serviceaccount:", "system:serviceaccounts"


class Trusted:
    """Whose permissions are expected: Kubernetes' own, ESO's and the platform's.

    :arg users: user names; a ServiceAccount's is 'system:serviceaccount:NAMESPACE:NAME'.
    :arg namespaces: those whose ServiceAccounts are all trusted.
    """

    def __init__(self, users: Iterable[str], groups: Iterable[str], namespaces: Iterable[str]) -> None:
        self._users = set(users)
        self._groups = set(groups)
        self._namespaces = set(namespaces)

    def covers(self, subject: Object) -> bool:
        """Whether a binding's subject is trusted."""
        kind, name = subject["kind"], subject["name"]
        namespace = subject.get("namespace") if kind == "ServiceAccount" else None
        if namespace is not None:
            name = "%s%s:%s" % (_ACCOUNT, namespace, name)
        elif kind == "User" and name.startswith(_ACCOUNT):
            namespace = name[len(_ACCOUNT) :].partition(":")[0]
        elif kind == "Group" and name.startswith(_ACCOUNTS + ":"):
            namespace = name[len(_ACCOUNTS) + 1 :]
        if namespace is not None and kind != "Group":
            groups = {_ACCOUNTS, "%s:%s" % (_ACCOUNTS, namespace)}
            return name in self._users or namespace in self._namespaces or bool(groups & self._groups)
        return (
            name in _SYSTEM
            or namespace in self._namespaces
            or name in (self._groups if kind == "Group" else self._users)
        )


def _covers(listed: Any, wanted: tuple[str, ...]) -> bool:
    return any(granted == "*" or granted in wanted for granted in listed or [])


def grants(
    bindings: list[Object], cluster_bindings: list[Object], roles: list[Object], cluster_roles: list[Object]
) -> list[Grant]:
    """All :class:`Grant` objects of live RoleBindings and ClusterRoleBindings; a binding of an absent role gives
    nothing."""
    wide = {item["metadata"]["name"]: item.get("rules") for item in cluster_roles}
    narrow = {(item["metadata"]["namespace"], item["metadata"]["name"]): item.get("rules") for item in roles}
    result = []
    for kind, listed in (("RoleBinding", bindings), ("ClusterRoleBinding", cluster_bindings)):
        for binding in listed:
            namespace = binding["metadata"].get("namespace")
            ref = binding["roleRef"]
            rules = narrow.get((namespace, ref["name"])) if ref["kind"] == "Role" else wide.get(ref["name"])
            for subject in binding.get("subjects") or []:
                whole = {"namespace": namespace, **subject} if subject["kind"] == "ServiceAccount" else subject
                result.append(Grant(whole, namespace, "%s '%s'" % (kind, binding["metadata"]["name"]), rules or []))
    return result


def sees_secrets(webhook: Object, labels: dict[str, str]) -> bool:
    """Whether an admission webhook is sent the Secrets of a namespace with these labels.

    What it leaves out by the object's own labels or by conditions counts as sent.
    """
    for rule in webhook.get("rules") or []:
        kinds = _covers(rule.get("resources"), ("secrets", "*/*")) and _covers(rule.get("apiGroups"), ("",))
        if kinds and rule.get("scope") != "Cluster":
            return matches(webhook.get("namespaceSelector") or {}, labels)
    return False
