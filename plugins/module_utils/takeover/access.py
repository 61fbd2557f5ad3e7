# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else has a foot in a namespace that master Secrets are about to be written to, or ESO installed in. Pure.

A tenant who may create namespaces may have made it, and then every object in it, with any label: only what has no
namespace is evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Collection, Iterator

from .. import permissions
from ..resources import Object, key_of, label_of
from .preflight import ACCEPT, Existing, existing

if TYPE_CHECKING:
    from ..live.snapshot import Cluster


@dataclass(frozen=True, eq=False)
class Place:
    """A namespace that was there before, with its live ``bindings`` and ``workloads``, each with its kind.

    ``accounts`` are the names of ServiceAccounts in it that will be used as they are.
    """

    name: str
    bindings: list[Object]
    workloads: list[Object]
    accounts: Collection[str] = ()


def readers(cluster: Cluster, store: str, namespace: str) -> set[str]:
    """The user names of the ServiceAccounts by which the live ClusterSecretStore of a name reads the namespace."""
    item = cluster.stores.get(("ClusterSecretStore", store)) or {}
    provider = ((item.get("spec") or {}).get("provider") or {}).get("kubernetes") or {}
    account = (provider.get("auth") or {}).get("serviceAccount") or {}
    if provider.get("remoteNamespace") != namespace or not account.get("name") or not account.get("namespace"):
        return set()
    return {"system:serviceaccount:%s:%s" % (account["namespace"], account["name"])}


def find(
    places: list[Place],
    trusted: permissions.Trusted,
    webhooks: list[Object],
    central: Object,
    ours: Collection[Object],
) -> Iterator[Existing]:
    """What others could do in the places, whatever its labels say.

    :arg trusted: the platform, and who reads by the live stores; :arg webhooks: the live
        MutatingWebhookConfigurations; :arg central: the central namespace, live or as it will be; :arg ours: the
        RoleBindings that the run writes.
    """
    for place in places:
        for binding in place.bindings:
            # One of the same name that says something else says it until the run writes it, and for ever if it binds
            # another role.
            if any(_same(binding, own) for own in ours):
                continue
            for subject in binding.get("subjects") or []:
                whole = {"namespace": place.name, **subject} if subject["kind"] == "ServiceAccount" else subject
                if not trusted.covers(whole):
                    message = "it gives %s '%s' permissions in namespace '%s', which was there before" % (
                        subject["kind"],
                        subject["name"],
                        place.name,
                    )
                    yield existing("access", label_of("RoleBinding", binding), message, (ACCEPT,))
                    break
        for name in sorted(place.accounts):
            message = "it was there before, and whoever made it may hold a token with which to act as it"
            yield existing("access", "ServiceAccount %s/%s" % (place.name, name), message, (ACCEPT,))
        for item in place.workloads:
            message = "it runs in namespace '%s', which was there before, and may mount the Secrets there" % place.name
            yield existing("access", label_of(item["kind"], item), message, (ACCEPT,))
    labels = central["metadata"].get("labels") or {}
    for item in webhooks:
        names = [
            webhook.get("name") for webhook in item.get("webhooks") or [] if permissions.sees_secrets(webhook, labels)
        ]
        if names:
            message = "the API server would send it each master Secret that is written (%s)" % ", ".join(
                map(str, names)
            )
            yield existing("access", label_of("MutatingWebhookConfiguration", item), message, (ACCEPT,))


def _same(live: Object, desired: Object) -> bool:
    """Whether a live RoleBinding gives what the desired one gives."""
    return key_of(live) == key_of(desired) and all(
        live.get(field) == desired.get(field) for field in ("roleRef", "subjects")
    )


def top_level(items: list[Object]) -> list[Object]:
    """Workloads without those that another of them makes."""
    kinds = {(item["kind"], item["metadata"]["name"]) for item in items}
    return [
        item
        for item in items
        if not any(
            (owner.get("kind"), owner.get("name")) in kinds for owner in item["metadata"].get("ownerReferences") or []
        )
    ]
