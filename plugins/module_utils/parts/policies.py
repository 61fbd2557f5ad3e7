# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard: admission policies, and whom they would lock out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..desired import consumers, guard
from ..desired.distribution import OWNED, OWNER_LABEL, is_owned
from ..errors import LockOut
from ..live import eso, snapshot
from ..module import (
    ADVISORIES_OPTION,
    CATALOG_OPTION,
    ESO_IDENTITY_OPTIONS,
    OWNER_OPTION,
    PLATFORM_OPTIONS,
    STORE_NAMESPACE_OPTION,
    STORE_OPTION,
)
from ..plan.actions import plan_apply
from ..resources import (
    ADMISSION,
    ESO_GROUP,
    ESO_VERSIONS,
    NAMESPACES,
    POLICIES,
    POLICY_BINDINGS,
    resource_of,
    shortened,
)
from ..takeover import removal
from .steps import Plan, Step, alone

if TYPE_CHECKING:
    from ..api.client import Client
    from ..catalog.entries import Entry
    from ..module import Context
    from ..plan.actions import Action
    from ..resources import Object

#: Writers that the summary names; one namespace can have hundreds.
_SHOWN = 5

_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "mode": {"type": "str", "choices": ["audit", "enforce"], "default": "audit"},
    "self_service_labels": {"type": "list", "elements": "str", "default": []},
    **ADVISORIES_OPTION,
    **CATALOG_OPTION,
    **ESO_IDENTITY_OPTIONS,
    **OWNER_OPTION,
    **PLATFORM_OPTIONS,
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}


def plan(context: Context) -> Plan:
    """What makes the live policies those that are wanted. Raises LockOut."""
    with context.client.remembering():
        batches, result = _planned(context)
    return Plan([Step(batches)], result)


run = alone(plan)


def _planned(context: Context) -> tuple[list[list[Action]], dict[str, Any]]:
    """The writes, one batch after the other, and what else belongs to the result. Raises LockOut."""
    params, client = context.params, context.client
    absent = params["state"] == "absent"
    if not _supported(client):
        if not absent:
            context.warn(
                "this cluster has no ValidatingAdmissionPolicies (they come with Kubernetes 1.30), so the guard is not "
                "applied; "
                "rely on 'isolation: entry' and tight permissions instead"
            )
        return [], {"supported": False, **({} if absent else {"writers": {}, "summary": []})}
    identities = guard.Identities(
        params["platform_users"],
        params["platform_groups"],
        guard.service_account_user(params["eso_namespace"], params["eso_service_account"]),
    )
    names = guard.Names(params["store"], params["store_namespace"], context.entries)
    release, seen = eso.Release(None), _Seen([], {})
    deployments: list[Object] = []
    if not absent:
        release, account = eso.running_as(client, params["eso_namespace"], eso.lists(params["advisories"]))
        _refuse_wrong_account(params, account)
        seen = _look(client)
        kept = _kept(client, params["store"], context.entries, seen)
        deployments, others = eso.neighbours(client, params["eso_namespace"]) if account is not None else ([], [])
        if others:
            context.warn(
                "ESO shares namespace '%s' with %s, so the guard leaves it open. Whoever controls "
                "the namespace controls ESO, which reads all Secrets; give ESO a namespace of its own"
                % (params["eso_namespace"], shortened(others, 3))
            )
        # Kubernetes' own namespace has many who write there.
        own = "" if others or params["eso_namespace"] == "kube-system" else params["eso_namespace"]
        names = guard.Names(params["store"], params["store_namespace"], context.entries, kept, own)
    desired = guard.policies(identities, names, params["self_service_labels"], params["mode"], release)
    listed = client.each(lambda resource: client.list(resource)[0], (POLICIES, POLICY_BINDINGS))
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    live = {
        (kind, item["metadata"]["name"]): {"apiVersion": ADMISSION, "kind": kind, **item}
        for kind, items in zip(kinds, listed)
        for item in items
    }
    pairs = [(item, live.get((item["kind"], item["metadata"]["name"]))) for item in desired]
    elsewhere = {guard.guarded_elsewhere(item, params["store_namespace"]) for _desired, item in pairs if item} - {None}
    if elsewhere:
        _tell_of(context, str(elsewhere.pop()))
        return [], {"supported": True, **({"left": []} if absent else {"writers": {}, "summary": []})}
    if absent:
        going = removal.policies_going((item["kind"], item) for _desired, item in pairs if item)
        # Bindings first: a binding without its policy is an error that the API server reports.
        batches = removal.in_turn(going.actions, "Binding")
        return list(batches), {"supported": True, "left": [left._asdict() for left in going.left]}
    beside = [{**item, "kind": "Deployment"} for item in deployments if names.eso_namespace]
    writers = guard.writers(seen.namespaces, seen.objects, names.labels)
    locked_out = _locked_out(client, identities, params["owner"])
    if locked_out and params["mode"] == "enforce":
        raise LockOut(locked_out)
    if locked_out:
        context.warn("enforced, " + locked_out)
    for manager, written in guard.writers(seen.namespaces, seen.objects + beside, names.labels).items():
        if not identities.covers_manager(manager):
            # Whoever may write one of these may call himself that, so it stops nothing and is no reason to trust.
            context.warn(
                "a writer that calls itself '%s', as a GitOps controller does and anyone can, last wrote %s. "
                "Unless it acts as the platform, the guard%s doesn't let it write that again"
                % (manager, shortened(written, 3), "" if params["mode"] == "enforce" else ", once enforced,")
            )
    planned = [action for action in (plan_apply(item, there) for item, there in pairs) if action]
    bindings = [action for action in planned if action.kind.endswith("Binding")]
    policies = [action for action in planned if action not in bindings]
    return [policies, bindings], {
        "supported": True,
        "writers": writers,
        "summary": _summary(params["mode"], writers),
    }


def _tell_of(context: Context, guarded: str) -> None:
    """Say, or raise LockOut where this catalog is to be protected, that the guard is another catalog's."""
    params = context.params
    message = (
        "the guard on this cluster protects the central namespace '%s' of another catalog, and there can be only one; "
        "it is left as it is" % guarded
    )
    if params["state"] == "present" and params["mode"] == "enforce":
        raise LockOut(
            "%s, and '%s' is not protected. If that catalog is gone, delete what is left of it (kubectl delete "
            "validatingadmissionpolicies,validatingadmissionpolicybindings --selector %s=%s); otherwise set 'mode' to "
            "'audit' (the variable cluster_secrets_guard_mode)."
            % (message, params["store_namespace"], OWNER_LABEL, OWNED[OWNER_LABEL])
        )
    context.warn(message)


def _supported(client: Client) -> bool:
    served = client.get("/apis/" + ADMISSION, "cannot look up the API group of admission policies") or {}
    return POLICIES.plural in {item["name"] for item in served.get("resources") or []}


class _Seen(NamedTuple):
    """What there is: namespaces (metadata), and ESO's cluster-wide objects by kind (of generators, metadata)."""

    namespaces: list[Object]
    by_kind: dict[str, list[Object]]
    version: str = ESO_VERSIONS[0]

    @property
    def objects(self) -> list[Object]:
        """ESO's cluster-wide objects, each with its kind."""
        return [{**item, "kind": kind} for kind, items in self.by_kind.items() for item in items]


def _look(client: Client) -> _Seen:
    served, _all = eso.served(client)
    version = served or ESO_VERSIONS[0]
    api, alpha = "%s/%s" % (ESO_GROUP, version), ESO_GROUP + "/v1alpha1"
    kinds = [
        (api, "ClusterExternalSecret"),
        (api, "ClusterSecretStore"),
        (alpha, "ClusterPushSecret"),
        ("generators." + alpha, "ClusterGenerator"),
    ]
    # Whole, as other parts read them, too.
    resources = [(NAMESPACES, True), *((resource_of(*kind), kind[1] == "ClusterGenerator") for kind in kinds)]
    namespaces, *lists = client.each(
        lambda one: client.list(one[0], partial=one[1], missing_ok=one[0] != NAMESPACES)[0], resources
    )
    return _Seen(namespaces, {kind: items for (_api, kind), items in zip(kinds, lists)}, version)


def _kept(client: Client, store: str, entries: list[Entry], seen: _Seen) -> list[consumers.Consumer]:
    """See :func:`consumers.guarded`."""
    live = next((one for one in seen.by_kind["ClusterSecretStore"] if one["metadata"]["name"] == store), None)
    ours = live if live is not None and is_owned(live) else None
    known = consumers.known_names(ours)
    externals: list[Object] = []
    if any(label.startswith("ExternalSecret ") for label in known):
        externals = snapshot.read_all_externals(client, str(seen.version))
    return consumers.guarded(ours, store, entries, seen.by_kind["ClusterExternalSecret"], externals)


def _refuse_wrong_account(params: dict[str, Any], account: str | None) -> None:
    """Refuse policies that would lock out ESO itself."""
    if account is not None and account != params["eso_service_account"]:
        raise LockOut(
            "these policies would lock out the External Secrets controller, which runs as the ServiceAccount '%s' of "
            "namespace '%s', not '%s'. Set 'eso_service_account' to it (the variable "
            "cluster_secrets_eso_service_account)."
            % (account or "default", params["eso_namespace"], params["eso_service_account"])
        )
    if account is None and params["mode"] == "enforce":
        raise LockOut(
            "no External Secrets controller is seen in namespace '%s', so these policies might lock it out. Set "
            "'eso_namespace' to where it runs (the variable cluster_secrets_eso_namespace), and let this play list "
            "deployments there." % params["eso_namespace"]
        )


def _locked_out(client: Client, identities: guard.Identities, owner: str) -> str | None:
    """Whom enforced policies would lock out, the play or GitOps, or None."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    user = client.request("POST", _REVIEW, body=body, what="cannot look up the play's user")["status"]["userInfo"]
    if not identities.covers(user["username"], user.get("groups") or []):
        return (
            "these policies would lock out this play's own identity, '%s'. Add it to 'platform_users' (the variable "
            "cluster_secrets_platform_users), or one of its groups (%s) to 'platform_groups' "
            "(cluster_secrets_platform_groups)." % (user["username"], ", ".join(user.get("groups") or []))
        )
    if owner == "gitops" and not identities.has_service_account:
        return (
            "these policies would lock out whoever applies the distribution from git ('owner' is gitops), since "
            "'platform_users' names no ServiceAccount. Add that of the GitOps controller, such as "
            "system:serviceaccount:argocd:argocd-application-controller (the variable cluster_secrets_platform_users)."
        )
    return None


def _summary(mode: str, writers: dict[str, list[str]]) -> list[str]:
    if mode == "enforce":
        return ["The guard is enforced."]
    lines = ["The guard only audits: it refuses nothing, and warns of what it would refuse."]
    lines += [
        "Enforced, it would no longer let '%s' write these, unless it acts as the platform: %s."
        % (name, shortened(what, 3))
        for name, what in sorted(writers.items())[:_SHOWN]
    ]
    lines += ["... and %d more." % (len(writers) - _SHOWN)] if len(writers) > _SHOWN else []
    hint = (
        "These names are what writers call themselves. Put the users behind those that may go on writing into "
        "cluster_secrets_platform_users, then set"
        if writers
        else "Nothing that was looked at would be refused; in case of doubt, read the API server's audit log. Then set"
    )
    return lines + ["%s cluster_secrets_guard_mode to 'enforce'." % hint]
