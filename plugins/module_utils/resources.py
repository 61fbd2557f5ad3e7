# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where kinds live in the API, and how a live object is read. Pure.

A live object is the API server's JSON as a dict.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from typing import Any, Dict, Iterable, Mapping, Sequence

#: All that may be a control character; most texts have none.
_SUSPICIOUS = re.compile("[^\t\n -~\u00a1-\u00ac\u00ae-\u05ff]")

#: What stands for a control character.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def is_control(character: str) -> bool:
    """Whether a character is no text: control characters, and those that change the direction or separate lines."""
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")


def printable(text: str) -> str:
    """A text that came from a cluster as it may be shown: none may move the cursor, or rule a terminal."""
    if not _SUSPICIOUS.search(text):
        return text
    return "".join(REPLACEMENT if one not in "\t\n" and is_control(one) else one for one in text)


def printable_in(value: Any) -> Any:
    """A structure with each text in it as :func:`printable` has it."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {key: printable_in(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [printable_in(item) for item in value]
    return value


#: Characters that are shown of a text which somebody else wrote, and of a name, which in Kubernetes is no longer.
_SAID, _NAMED = 500, 253


def one_line(text: Any, most: int = _SAID) -> str:
    """What somebody wrote in a cluster, in one line that can be read: it begins no line that looks like the tool's own.

    Whoever may write a status may write any length.
    """
    line = " ".join(str(text or "").split())
    return line if len(line) <= most else line[:most] + " ..."


#: Shorter values are words of many messages, and what masks them would show where they are.
_SHORTEST = 8


def forms(value: bytes) -> set[str]:
    """How others may quote a value: whole, in one line, each of its lines, all these as in JSON, and as base64."""
    text = value.decode("utf-8", "ignore")
    plain = {text, " ".join(text.split()), *text.splitlines()}
    quoted = {*plain, *map(escaped, plain), base64.b64encode(value).decode("ascii")}
    return {form for form in quoted if len(form) >= _SHORTEST}


def escaped(text: str) -> str:
    """A text as it stands between the quotation marks of JSON, and of Go's messages."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def unquoted(text: str, data: Iterable[bytes], public: Sequence[str] = ()) -> str:
    """What somebody says without values of Secrets: some releases of ESO quote what they can't read as JSON, and a
    webhook may quote all that it refuses.

    :arg data: the values; :arg public: names, of which the message may speak though a value is the same.
    """
    if not text:
        return text
    names = "\0".join(public)
    # The longest first, of all: of a value that begins with another, nothing may be left.
    for form in sorted({form for value in data for form in forms(value)}, key=len, reverse=True):
        if form not in names:
            text = text.replace(form, "********")
    return text


#: An object of the API as JSON.
Object = Dict[str, Any]

#: The API group of the External Secrets Operator.
ESO_GROUP = "external-secrets.io"

#: API versions of ESO's objects that the collection can write, the preferred first.
ESO_VERSIONS = ("v1", "v1beta1")


#: What Kubernetes takes for the name of some object or other.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?\Z")


def is_name(text: Any) -> bool:
    """Whether an object can have this name, so that a path with it leads to that object and to nothing else."""
    return isinstance(text, str) and len(text) <= _NAMED and _NAME.match(text) is not None


class Resource:
    """Where a kind lives in the API: the group-version's path and the plural name."""

    __slots__ = ("group", "namespaced", "plural", "version")

    def __init__(self, api_version: str, plural: str, namespaced: bool = True) -> None:
        self.group, _slash, self.version = api_version.rpartition("/")
        self.plural = plural
        self.namespaced = namespaced

    @property
    def prefix(self) -> str:
        """The path of the group-version, without a slash at its end."""
        return "/apis/%s/%s" % (self.group, self.version) if self.group else "/api/%s" % self.version

    def path(self, name: str | None = None, namespace: str | None = None) -> str:
        """The path of one object, or (without ``name``) of all."""
        parts = [self.prefix]
        if self.namespaced and namespace:
            parts.append("namespaces/" + namespace)
        parts.append(self.plural)
        if name:
            parts.append(name)
        return "/".join(parts)


#: The API version of Roles and their bindings.
RBAC = "rbac.authorization.k8s.io/v1"
ADMISSION = "admissionregistration.k8s.io/v1"
POLICIES = Resource(ADMISSION, "validatingadmissionpolicies", namespaced=False)
POLICY_BINDINGS = Resource(ADMISSION, "validatingadmissionpolicybindings", namespaced=False)
NAMESPACES = Resource("v1", "namespaces", namespaced=False)
SECRETS = Resource("v1", "secrets")
DEPLOYMENTS = Resource("apps/v1", "deployments")
CRONJOBS = Resource("batch/v1", "cronjobs")
NODES = Resource("v1", "nodes", namespaced=False)
PODS = Resource("v1", "pods")
ENDPOINT_SLICES = Resource("discovery.k8s.io/v1", "endpointslices")
POD_DISRUPTION_BUDGETS = Resource("policy/v1", "poddisruptionbudgets")
PERSISTENT_VOLUMES = Resource("v1", "persistentvolumes", namespaced=False)
COORDINATION = "coordination.k8s.io/v1"
LEASES = Resource(COORDINATION, "leases")
CRDS = Resource("apiextensions.k8s.io/v1", "customresourcedefinitions", namespaced=False)

#: What runs pods, as (API version, kind).
WORKLOADS = (
    ("v1", "Pod"),
    ("v1", "ReplicationController"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
)

_PLURALS = {
    ("v1", "Namespace"): NAMESPACES,
    ("v1", "Secret"): SECRETS,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): CRDS,
    ("v1", "ServiceAccount"): Resource("v1", "serviceaccounts"),
    (COORDINATION, "Lease"): LEASES,
    (RBAC, "Role"): Resource(RBAC, "roles"),
    (RBAC, "RoleBinding"): Resource(RBAC, "rolebindings"),
    (RBAC, "ClusterRole"): Resource(RBAC, "clusterroles", namespaced=False),
    (RBAC, "ClusterRoleBinding"): Resource(RBAC, "clusterrolebindings", namespaced=False),
    (ADMISSION, "ValidatingAdmissionPolicy"): POLICIES,
    (ADMISSION, "ValidatingAdmissionPolicyBinding"): POLICY_BINDINGS,
    **{
        (ADMISSION, kind): Resource(ADMISSION, kind.lower() + "s", namespaced=False)
        for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
    },
    **{(api, kind): Resource(api, kind.lower() + "s") for api, kind in WORKLOADS},
}

_ESO_PLURALS = {
    "ClusterSecretStore": ("clustersecretstores", False),
    "ClusterExternalSecret": ("clusterexternalsecrets", False),
    "ClusterPushSecret": ("clusterpushsecrets", False),
    "SecretStore": ("secretstores", True),
    "ExternalSecret": ("externalsecrets", True),
    "PushSecret": ("pushsecrets", True),
    "ClusterGenerator": ("clustergenerators", False),
}


def resource_of(api_version: str, kind: str) -> Resource:
    """The :class:`Resource` of a kind the collection knows."""
    known = _PLURALS.get((api_version, kind))
    if known:
        return known
    plural, namespaced = _ESO_PLURALS[kind]
    return Resource(api_version, plural, namespaced)


def external_secrets(version: str) -> Resource:
    """The resource of ExternalSecrets in an API version of ESO."""
    return Resource("%s/%s" % (ESO_GROUP, version), "externalsecrets")


def cluster_external_secrets(version: str) -> Resource:
    """The resource of ClusterExternalSecrets in an API version of ESO."""
    return Resource("%s/%s" % (ESO_GROUP, version), "clusterexternalsecrets", namespaced=False)


def key_of(item: Object) -> tuple[str, str]:
    """(namespace, name) of a live object."""
    meta = item["metadata"]
    return meta["namespace"], meta["name"]


def label_of(kind: str, item: Object) -> str:
    """Kind and place of a live object, such as 'Secret team/token'."""
    meta = item["metadata"]
    return "%s %s" % (kind, "/".join(filter(None, (meta.get("namespace"), meta["name"]))))


#: What names of objects are made of. The API server takes anything for those of an owner that isn't there.
_ODD = re.compile(r"[^-._:a-zA-Z0-9]")


def owners_of(item: Object) -> list[str]:
    """Kind and name of each owner of a live object, such as 'ExternalSecret token', without what no name has.

    Whoever wrote the object may have made them up.
    """
    owners = item["metadata"].get("ownerReferences") or []
    pairs = [(one_line(owner.get("kind"), _NAMED), one_line(owner.get("name"), _NAMED)) for owner in owners]
    return [" ".join(_ODD.sub(REPLACEMENT, text) for text in pair) for pair in pairs]


def shortened(texts: Sequence[str], number: int = 5, separator: str = ", ") -> str:
    """The first of some texts, and how many more there are."""
    more = " and %d more" % (len(texts) - number) if len(texts) > number else ""
    return separator.join(texts[:number]) + more


def is_of_kind(owner: Object, kind: str) -> bool:
    """Whether an owner reference names an object of a kind of ESO's, as ESO and Kubernetes read it.

    The API server takes a group without a version, which is then an object of no group, and nobody's.
    """
    group, _slash, version = str(owner.get("apiVersion")).partition("/")
    return owner.get("kind") == kind and group == ESO_GROUP and version != "" and "/" not in version


def is_of_eso(secret: Object) -> bool:
    """Whether some ExternalSecret owns a live Secret (metadata is enough)."""
    return any(is_of_kind(owner, "ExternalSecret") for owner in secret["metadata"].get("ownerReferences") or [])


def matches(selector: Object, labels: Dict[str, str]) -> bool:
    """Whether a label selector of Kubernetes selects ``labels``; an empty one selects everything."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or []:
        key, values = expression["key"], expression.get("values") or []
        holds = {
            "In": key in labels and labels[key] in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds.get(expression["operator"]):
            return False
    return True


def kind_and_name(item: Object) -> tuple[str, str]:
    """(kind, name) of an object that carries its kind."""
    return item["kind"], item["metadata"]["name"]


def decode(secret: Object) -> dict[str, bytes]:
    """A Secret's data, ``{key: bytes}``."""
    return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}


def reading_account(store: Object | None) -> tuple[str, str] | None:
    """(namespace, name) of the ServiceAccount by which a live store reads; None without one."""
    provider = (((store or {}).get("spec") or {}).get("provider") or {}).get("kubernetes") or {}
    account = (provider.get("auth") or {}).get("serviceAccount") or {}
    return (account.get("namespace") or "", account["name"]) if account.get("name") else None


def condition_of(live: Object | None, kind: str) -> Object | None:
    """The condition of type ``kind`` of a live object (None: absent), its message in one line; or None."""
    conditions = ((live or {}).get("status") or {}).get("conditions") or []
    found = next((condition for condition in conditions if condition.get("type") == kind), None)
    return found and {**found, "message": one_line(found.get("message"))}


def holds_true(live: Object | None, kind: str) -> bool:
    """Whether a live object's (None: absent) condition of type ``kind`` is true."""
    return (condition_of(live, kind) or {}).get("status") == "True"


def ready_condition(item: Object | None) -> Object | None:
    """The Ready condition of a live object of ESO, or None."""
    return condition_of(item, "Ready")


def unattributed(item: Object) -> Object:
    """An object without who wrote which field, a third of most."""
    (item.get("metadata") or {}).pop("managedFields", None)
    return item


def writers(item: Object) -> Object:
    """An object with the names of those who wrote it, and not which field."""
    meta = item.get("metadata") or {}
    records = meta.pop("managedFields", None) or []
    meta["managedFields"] = [{"manager": name} for name in sorted({record.get("manager", "") for record in records})]
    return item
