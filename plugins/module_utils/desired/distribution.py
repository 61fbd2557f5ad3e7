# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From checked catalog entries to the Kubernetes objects they call for. Pure.

Manifests are plain dicts, complete enough that what the API server stores differs from them only by
what it adds.
"""

from __future__ import annotations

import base64
import re
from typing import Any, Sequence

from ..catalog.entries import Entry
from ..catalog.pieces import WHOLE, Literal, Reference, Text
from ..resources import ESO_GROUP, Object, one_line

#: The field manager, and the value of the label that says what is ours.
MANAGER = "platform.cluster_secrets"

#: The field manager of keys that a restore brings back for others, so that no later apply of ours removes them.
RESTORER = MANAGER + ".restore"

OWNER_LABEL = "app.kubernetes.io/managed-by"
PART_OF_LABEL = "app.kubernetes.io/part-of"

#: On every object that the collection creates, except ESO's CRDs; what carries it may be pruned by the collection.
OWNED = {OWNER_LABEL: MANAGER, PART_OF_LABEL: "cluster-secrets"}

#: On every target Secret.
TARGET_LABEL = ("managed-by", "external-secrets")

#: ESO's own label on the Secrets it writes (upstream: LabelManaged).
ESO_MANAGED_LABEL = "reconcile.external-secrets.io/managed"

#: What selects all Secrets that ESO writes.
ESO_MANAGED = ESO_MANAGED_LABEL + "=true"

#: What selects the catalog's targets: ESO's label and that of every entry. Others may wear one of the two.
TARGETS = "%s,%s=%s" % (ESO_MANAGED, *TARGET_LABEL)

#: What ESO puts on a namespace for each ClusterExternalSecret, and leaves there.
FINALIZER_PREFIX = "externalsecrets.external-secrets.io/ces-"

#: The annotation whose change makes ESO refresh an ExternalSecret.
FORCE_SYNC = "force-sync"

#: The annotation of a ClusterExternalSecret that ESO, since 0.20, copies to its ExternalSecrets.
MIRRORED = "external-secrets.io/force-sync"


#: The annotation of a master Secret with the last request to make its generated values anew.
REGENERATED = "cluster-secrets/regenerated"

#: The annotation of a master Secret with the time at which one of its values was last changed by the collection.
CHANGED = "cluster-secrets/value-changed"


#: Kubernetes' own annotation for what people say of an object.
DESCRIPTION = "kubernetes.io/description"


def metadata(
    name: str,
    namespace: str | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> Object:
    """The metadata of an object of ours."""
    meta: dict[str, Any] = {"name": name, "labels": {**OWNED, **(labels or {})}}
    if namespace:
        meta["namespace"] = namespace
    if annotations:
        meta["annotations"] = dict(annotations)
    return meta


def is_owned(live: Object) -> bool:
    """Whether the collection created the object, so that it may prune it."""
    return (live["metadata"].get("labels") or {}).get(OWNER_LABEL) == OWNED[OWNER_LABEL]


def applied_by_us(record: Object) -> bool:
    """Whether a record of an object's managedFields is that of our applies."""
    return record.get("manager") == MANAGER and record.get("operation") == "Apply" and not record.get("subresource")


def fields_of(record: Object, *path: str) -> set[str]:
    """The names of the fields below ``path`` that a record of an object's managedFields has."""
    fields = record.get("fieldsV1") or {}
    for name in path:
        fields = fields.get("f:" + name) or {}
    return {key[2:] for key in fields if key.startswith("f:")}


def central_secret(
    name: str, namespace: str, data: dict[str, bytes], kind: str = "Opaque", annotations: dict[str, str] | None = None
) -> Object:
    """A master Secret of the central store, from ``{key: bytes}``.

    :arg kind: the Secret's type, which Kubernetes doesn't let change.
    """
    encoded = {key: base64.b64encode(value).decode("ascii") for key, value in sorted(data.items())}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": metadata(name, namespace, annotations=annotations),
        "data": encoded,
    }


def cluster_external_secret(entry: Entry, store: str, api_version: str) -> Object:
    """The ClusterExternalSecret of one entry."""
    # The defaults that older releases of ESO fill in.
    strategies = {"conversionStrategy": "Default", "decodingStrategy": "None", "metadataPolicy": "None"}
    reading: Object = {}
    if entry.extract:
        read = entry.direct()
        reading["dataFrom"] = [{"extract": {"key": source, **strategies}} for source in entry.extract]
    else:
        read = {name: one for one, name in entry.names().items()}
    if read:
        reading["data"] = [
            {"secretKey": name, "remoteRef": {"key": one.source or entry.source, **strategies, **_part_of(one)}}
            for name, one in sorted(read.items())
        ]
    template_metadata: dict[str, Any] = {"labels": {TARGET_LABEL[0]: TARGET_LABEL[1], **entry.labels}}
    if entry.annotations:
        template_metadata["annotations"] = {key: as_template(value) for key, value in entry.annotations.items()}
    templates = entry.template()
    template = {
        "engineVersion": "v2",
        "mergePolicy": "Merge" if entry.extract and templates else "Replace",
        "type": entry.type,
        "metadata": template_metadata,
    }
    if templates:
        # Without it, ESO takes what the source holds.
        template["data"] = templates
    target = {
        "name": entry.target,
        "creationPolicy": "Owner",
        "deletionPolicy": entry.deletion_policy,
        "template": template,
    }
    return {
        "apiVersion": "%s/%s" % (ESO_GROUP, api_version),
        "kind": "ClusterExternalSecret",
        "metadata": metadata(entry.name, annotations={DESCRIPTION: entry.description} if entry.description else None),
        "spec": {
            "externalSecretName": entry.external_secret,
            "refreshTime": entry.refresh_interval,
            "namespaceSelectors": entry.namespace_selectors_of_eso(),
            "externalSecretSpec": {
                "refreshInterval": entry.refresh_interval,
                "secretStoreRef": {"name": store, "kind": "ClusterSecretStore"},
                "target": target,
                **reading,
            },
        },
    }


def _part_of(reference: Reference) -> dict[str, str]:
    """Which part of a source ESO is to read, and how."""
    part = {} if reference.key == WHOLE else {"property": reference.key}
    return {**part, "decodingStrategy": reference.decoding} if reference.decoding else part


def as_template(text: str) -> str:
    """A text as ESO is to write it, which takes it for a template."""
    return Text(Literal(text)).template({}) if "{{" in text else text


def wanted_labels(entries: list[Entry], assignments: dict[str, list[str]] | None = None) -> dict[str, dict[str, str]]:
    """Which labels which namespaces should carry: ``{namespace: {key: value}}``.

    :arg assignments: ``{namespace: [entry names]}`` instead of the catalog's own namespaces.
    """
    wanted: dict[str, dict[str, str]] = {}
    if assignments is None:
        pairs = [(namespace, entry) for entry in entries for namespace in entry.namespaces]
    else:
        by_name = {entry.name: entry for entry in entries}
        pairs = [(namespace, by_name[name]) for namespace, names in assignments.items() for name in names]
    for namespace, entry in pairs:
        if entry.label:
            wanted.setdefault(namespace, {})[entry.label[0]] = entry.label[1]
    return wanted


#: Neither Argo CD nor Flux may delete a namespace, whatever leaves the files.
_KEPT = {
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
}


def namespaces(central: str, wanted: dict[str, dict[str, str]]) -> list[Object]:
    """The central namespace, and those that carry labels (``{namespace: {key: value}}``), as files hold them."""
    manifests: list[Object] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata(central, None, None, _KEPT)}
    ]
    for name, labels in sorted(wanted.items()):
        meta = {"name": name, "labels": dict(labels), "annotations": dict(_KEPT)}
        manifests.append({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    return manifests


def selected(namespace: Object | None, entry: Entry) -> bool:
    """Whether a live namespace (None: absent) is to get an entry's target: it is selected and not being deleted."""
    meta = (namespace or {}).get("metadata") or {}
    return "name" in meta and "deletionTimestamp" not in meta and entry.selects(meta["name"], meta.get("labels") or {})


def finalizer(entry_name: str) -> str:
    """The finalizer that ESO puts on the namespaces of a ClusterExternalSecret."""
    return FINALIZER_PREFIX + entry_name


#: Names beyond this, ESO cuts since 2.14: it keeps as many characters, and ends in what makes the finalizer unique.
WHOLE_NAME, _CUT_NAME = 59, 50
_UNIQUE = re.compile(r"[-.]?[0-9a-f]{8}\Z")


def may_hold(held: str, name: str) -> bool:
    """Whether one of ESO's finalizers, as :func:`held_for` returns it, may be that of a ClusterExternalSecret."""
    if held == name:
        return True
    start = name[:_CUT_NAME].rstrip("-.")
    rest = held[len(start) :]
    return len(name) > WHOLE_NAME and held.startswith(start) and bool(_UNIQUE.match(rest.lstrip("-.")))


def copies_annotations(name: str, namespaces: Sequence[Object]) -> bool:
    """Whether the running ESO copies the annotations of a ClusterExternalSecret to its ExternalSecrets.

    The releases that do put a finalizer on the namespaces they serve. Whoever owns one of them may forge it there; the
    other way of asking for a refresh works with every release.

    :arg namespaces: the live namespaces that it serves.
    """
    held = [item for item in namespaces if any(may_hold(one, name) for one in held_for(item))]
    return len(held) * 2 > len(namespaces)


def failed_namespaces(distributed: Object) -> dict[str, str]:
    """Where ESO could not make or change what a live ClusterExternalSecret asks for, and why: ``{namespace: reason}``.

    Its record of a failure stays until its next look.
    """
    failures = (distributed.get("status") or {}).get("failedNamespaces") or []
    return {failure.get("namespace", ""): one_line(failure.get("reason", "it gives no reason")) for failure in failures}


def held_for(namespace: Object) -> list[str]:
    """The entries, or ClusterExternalSecrets, for which ESO's finalizers hold a live namespace."""
    held = namespace["metadata"].get("finalizers") or []
    return [name[len(FINALIZER_PREFIX) :] for name in held if name.startswith(FINALIZER_PREFIX)]
