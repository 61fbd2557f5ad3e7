# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others changed in the objects of helm's release, which helm 4 can't apply for that reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ApiError
from ..resources import Object, Resource

if TYPE_CHECKING:
    from ..api.client import Client

#: How helm is named in managedFields.
_HELM = "helm"

_APPLY = "application/apply-patch+yaml"

#: How the API server begins to say that fields are somebody else's.
_REFUSED = "Apply failed with "


class Conflict(NamedTuple):
    """An object, and the API server's words for the fields that are somebody else's, and whose."""

    object: str
    message: str


def objects_of(manifest: str) -> list[Object]:
    """The objects of a rendered chart. What can't be read is left to helm."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """As Kubernetes reads it, to which a date is a text."""

    Loader.yaml_implicit_resolvers = {
        first: [resolver for resolver in resolvers if resolver[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in Loader.yaml_implicit_resolvers.items()
    }
    try:
        documents = list(yaml.load_all(manifest, Loader=Loader))
    except (yaml.YAMLError, ValueError):
        return []
    return [
        one for one in documents if isinstance(one, dict) and _name(one) and one.get("kind") and one.get("apiVersion")
    ]


def of_objects(client: Client, objects: list[Object], namespace: str, invalid: bool = False) -> list[Conflict]:
    """What helm would be refused, by asking the API server, which writes nothing (a dry run).

    :arg objects: as helm applies them; :arg namespace: that of the release, for those that name none; :arg invalid:
        also what the server would not have together with what others wrote, such as a conversion webhook that stays.
    :raises ApiError: when the API groups can't be looked up.
    """
    versions = sorted({str(item["apiVersion"]) for item in objects})
    kinds = dict(zip(versions, client.each(lambda version: _kinds(client, version), versions)))

    def ask(item: Object) -> Conflict | None:
        resource = kinds[item["apiVersion"]].get(item["kind"])
        if resource is None:
            return None
        place = str(item["metadata"].get("namespace") or namespace) if resource.namespaced else None
        label = "%s %s" % (item["kind"], _name(item))
        try:
            client.request(
                "PATCH",
                resource.path(_name(item), place),
                {"fieldManager": _HELM, "force": "false", "dryRun": "All"},
                item,
                _APPLY,
                what=label,
            )
        except ApiError as error:
            # Everything else is helm's to say.
            if error.status == 409 and error.detail.startswith(_REFUSED):
                return Conflict(label, " ".join(error.detail.split()))
            if error.status == 422 and invalid:
                return Conflict(label, "the API server would refuse it: %s" % " ".join(error.detail.split()))
        return None

    return [answer for answer in client.each(ask, objects) if answer]


def capabilities(client: Client) -> tuple[str, list[str]]:
    """What a chart may ask about a cluster: its Kubernetes' version, and all API versions that it serves."""
    served = client.get("/apis", what="cannot look up the API groups") or {}
    versions = [version["groupVersion"] for group in served.get("groups", []) for version in group["versions"]]
    return str(client.request("GET", "/version").get("gitVersion", "v1.30.0")), versions


def advice(conflicts: list[Conflict]) -> str:
    """What to do about conflicts, in one sentence each."""
    said = "; ".join("%s: %s" % one for one in conflicts)
    if any(one.message.startswith(_REFUSED) for one in conflicts):
        return "%s. Undo these changes, or take the fields with 'cluster_secrets_eso_force_conflicts: true'." % said
    return "%s. helm 3 ('cluster_secrets_eso_helm_binary') would not ask the API server to merge it." % said


def _name(item: Object) -> str:
    meta = item.get("metadata")
    return str(meta.get("name") or "") if isinstance(meta, dict) else ""


def _kinds(client: Client, version: str) -> dict[str, Resource]:
    try:
        answer: dict[str, Any] = client.request("GET", Resource(version, "").prefix)
    except ApiError as error:
        if error.status != 404:
            raise
        return {}
    return {
        resource["kind"]: Resource(version, resource["name"], resource["namespaced"])
        for resource in answer.get("resources") or []
        if "/" not in resource["name"]
    }
