# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CustomResourceDefinitions, and the version that their objects are stored in. Pure."""

from __future__ import annotations

from ..resources import CRDS, ESO_GROUP, SECRETS, Object, Resource, holds_true
from .actions import UPDATED, Action, merge_of

#: An annotation of definitions, see :func:`plan_touch`.
TOUCHED = "cluster-secrets/touched"


def is_established(definition: Object | None) -> bool:
    """Whether the API serves a live CustomResourceDefinition (None: absent)."""
    return holds_true(definition, "Established")


def plan_touch(definition: Object | None) -> Action | None:
    """The patch that makes the API server look at a CustomResourceDefinition again; None when it needn't.

    A server that stops between accepting a definition's names and establishing it never comes back
    to it by itself (kube-apiserver 1.36; its informers' resync is minutes away).
    """
    if definition is None or is_established(definition) or not holds_true(definition, "NamesAccepted"):
        return None
    meta = definition["metadata"]
    # Any new value does, and this one was never there before.
    body = {"metadata": {"annotations": {TOUCHED: meta["resourceVersion"]}}}
    return merge_of(CRDS, "CustomResourceDefinition", definition, body, {}, body)


def storage_version(definition: Object) -> str:
    """The version in which a live CustomResourceDefinition's objects are stored from now on."""
    return next(version["name"] for version in definition["spec"]["versions"] if version["storage"])


def resource_of_definition(definition: Object) -> Resource:
    """Where a live definition's objects are: in the version that they are stored in, if that is served."""
    spec, stored = definition["spec"], storage_version(definition)
    served = [version["name"] for version in spec["versions"] if version["served"]]
    version = stored if stored in served or not served else served[0]
    return Resource("%s/%s" % (spec["group"], version), spec["names"]["plural"], spec["scope"] == "Namespaced")


def plan_rewrite(definition: Object, item: Object, versions: dict[str, str], anyway: bool) -> Action | None:
    """What makes the API server store one of a definition's live objects (metadata is enough) anew, or None.

    Owners of ESO's own kinds are then named in the version that stays, too: 0.16 does not know an ExternalSecret as
    its ClusterExternalSecret's own that names it as v1beta1, and no longer changes it.

    :arg versions: the version in which each of ESO's kinds is stored.
    :arg anyway: also one whose owners need no change.
    """
    return _plan_rewrite(
        resource_of_definition(definition), definition["spec"]["names"]["kind"], item, versions, anyway
    )


def plan_owners(secret: Object, versions: dict[str, str]) -> Action | None:
    """What names the ExternalSecret of a live target (metadata is enough) in the version that stays, or None.

    Kubernetes' garbage collector looks for an owner in the version that is named. Once that is no longer served, the
    owner counts as gone, and the collector removes the target.

    :arg versions: the version in which each of ESO's kinds is stored.
    """
    return _plan_rewrite(SECRETS, "Secret", secret, versions, False)


def _plan_rewrite(resource: Resource, kind: str, item: Object, versions: dict[str, str], anyway: bool) -> Action | None:
    meta = item["metadata"]
    owners = meta.get("ownerReferences") or []
    named = with_owners_in(item, versions)["metadata"].get("ownerReferences") or []
    if named == owners and not anyway:
        return None
    body: Object = {}
    if named != owners:
        body = {"metadata": {"resourceVersion": meta["resourceVersion"], "ownerReferences": named}}
    before, after = ({"metadata": {"ownerReferences": shown}} if body else None for shown in (owners, named))
    return merge_of(
        resource,
        kind,
        item,
        body,
        before,
        after,
        lambda again: _plan_rewrite(resource, kind, again, versions, anyway),
    )


def with_owners_in(item: Object, versions: dict[str, str]) -> Object:
    """A live object with its owners of ESO's kinds named in these versions, by kind."""
    meta = item["metadata"]
    if not meta.get("ownerReferences"):
        return item
    owners = [_owner_in(owner, versions) for owner in meta["ownerReferences"]]
    return {**item, "metadata": {**meta, "ownerReferences": owners}}


def _owner_in(owner: Object, versions: dict[str, str]) -> Object:
    group, _slash, _version = owner.get("apiVersion", "").rpartition("/")
    if group != ESO_GROUP or owner.get("kind") not in versions:
        return owner
    return {**owner, "apiVersion": "%s/%s" % (group, versions[owner["kind"]])}


def plan_without_conversion(desired: Object, live: Object | None) -> Action | None:
    """What takes the conversion webhook out of a live definition whose new one has none.

    An apply would leave it, where others own its fields, and the webhook of that release converts nothing.
    """
    before = ((live or {}).get("spec") or {}).get("conversion") or {}
    if before.get("strategy") != "Webhook" or (desired["spec"].get("conversion") or {}).get("strategy") == "Webhook":
        return None
    after = {"strategy": "None", "webhook": None}
    shown = [{"spec": {"conversion": {"strategy": one["strategy"]}}} for one in (before, after)]
    name = desired["metadata"]["name"]
    body = {"spec": {"conversion": after}}
    return Action("merge", UPDATED, CRDS, "CustomResourceDefinition", name, body=body, before=shown[0], after=shown[1])


def plan_stored_versions(definition: Object) -> Action | None:
    """What writes down that all objects of a live definition are stored in its storage version; None if it is.

    It fails when the definition changes after it was read, since objects may then be stored in another version.
    """
    before = (definition.get("status") or {}).get("storedVersions") or []
    after = [storage_version(definition)]
    if before == after:
        return None
    meta = definition["metadata"]
    body = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "status": {"storedVersions": after}}
    shown = [{"status": {"storedVersions": one}} for one in (before, after)]
    return Action(
        "merge",
        UPDATED,
        CRDS,
        "CustomResourceDefinition",
        meta["name"],
        body=body,
        before=shown[0],
        after=shown[1],
        subresource="status",
    )
