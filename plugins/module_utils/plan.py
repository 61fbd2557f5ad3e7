# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compare desired objects with live ones and say which requests make them agree. Pure.

Check mode and a real run use the very same plan: check mode just doesn't send it.
"""

from __future__ import annotations

from .desired import FINALIZER_PREFIX, MANAGER, OWNED, OWNER_LABEL

#: An annotation of definitions, see :func:`plan_touch`.
TOUCHED = "cluster-secrets/touched"

CREATED, UPDATED, DELETED = "created", "updated", "deleted"


class Action:
    """One write request to come.

    ``verb`` is ``apply`` (server-side apply of ``body``), ``create``, ``merge`` (JSON merge patch),
    ``json`` (JSON patch) or ``delete``. ``before`` and ``after`` are what diff mode shows.
    ``replan`` makes the action anew from the live object, for when that changed in between; None
    of it means that there is nothing left to do.
    """

    __slots__ = ("after", "before", "body", "kind", "name", "namespace", "replan", "resource", "result", "verb")

    def __init__(self, verb, result, resource, kind, name, namespace=None, body=None, before=None, after=None, replan=None):
        self.verb = verb
        self.result = result
        self.resource = resource
        self.kind = kind
        self.name = name
        self.namespace = namespace
        self.body = body
        self.before = before
        self.after = after
        self.replan = replan

    def label(self):
        place = "%s/%s" % (self.namespace, self.name) if self.namespace else self.name
        return "%s %s" % (self.kind, place)


class Resource:
    """Where a kind lives in the API: the group-version's path and the plural name."""

    __slots__ = ("group", "namespaced", "plural", "version")

    def __init__(self, api_version, plural, namespaced=True):
        self.group, _slash, self.version = api_version.rpartition("/")
        self.plural = plural
        self.namespaced = namespaced

    @property
    def prefix(self):
        return "/apis/%s/%s" % (self.group, self.version) if self.group else "/api/%s" % self.version

    def path(self, name=None, namespace=None):
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
CRDS = Resource("apiextensions.k8s.io/v1", "customresourcedefinitions", namespaced=False)

_PLURALS = {
    ("v1", "Namespace"): NAMESPACES,
    ("v1", "Secret"): SECRETS,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): CRDS,
    ("v1", "ServiceAccount"): Resource("v1", "serviceaccounts"),
    (RBAC, "Role"): Resource(RBAC, "roles"),
    (RBAC, "RoleBinding"): Resource(RBAC, "rolebindings"),
    (RBAC, "ClusterRole"): Resource(RBAC, "clusterroles", namespaced=False),
    (RBAC, "ClusterRoleBinding"): Resource(RBAC, "clusterrolebindings", namespaced=False),
    (ADMISSION, "ValidatingAdmissionPolicy"): POLICIES,
    (ADMISSION, "ValidatingAdmissionPolicyBinding"): POLICY_BINDINGS,
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


def resource_of(api_version, kind):
    """The :class:`Resource` of a kind the collection knows."""
    known = _PLURALS.get((api_version, kind))
    if known:
        return known
    plural, namespaced = _ESO_PLURALS[kind]
    return Resource(api_version, plural, namespaced)


def plan_apply(desired, live, redact=None):
    """The server-side apply that makes ``live`` (None: absent) hold ``desired``; None if it does.

    Fields of other managers are not looked at. A field that our manager owns and that is no longer
    desired is a difference too: applying takes it away.

    :arg redact: makes the diff's (before, after) from (live, desired, the paths that will go), for
        objects with secrets.
    """
    meta = desired["metadata"]
    resource = resource_of(desired["apiVersion"], desired["kind"])
    common = dict(resource=resource, kind=desired["kind"], name=meta["name"], namespace=meta.get("namespace"), body=desired)
    if live is None:
        before, after = redact(None, desired, []) if redact else ({}, desired)
        return Action("apply", CREATED, before=before, after=after, **common)
    # Items of a built-in kind's list carry neither of the two; they are the same by the request's path.
    live = {**live, "apiVersion": desired["apiVersion"], "kind": desired["kind"]}
    left_over = _left_over(live, desired)
    if _holds(live, desired) and not left_over:
        return None
    before, after = redact(live, desired, left_over) if redact else (_project(live, desired), desired)
    return Action("apply", UPDATED, before=before, after=after, **common)


def assumed(live, applied):
    """What ``live`` (None: absent) looks like once the manifest ``applied`` was applied to it."""
    if not isinstance(live, dict) or not isinstance(applied, dict):
        return applied
    return {**live, **{key: assumed(live.get(key), value) for key, value in applied.items()}}


def is_established(definition):
    """Whether the API serves a live CustomResourceDefinition (None: absent)."""
    return _holds_true(definition, "Established")


def plan_touch(definition):
    """The patch that makes the API server look at a CustomResourceDefinition again; None when it needn't.

    A server that ends between accepting a definition's names and establishing it never comes back
    to it by itself (kube-apiserver 1.36; its informers' resync is minutes away).
    """
    if is_established(definition) or not _holds_true(definition, "NamesAccepted"):
        return None
    meta = definition["metadata"]
    # Any new value does, and this one was never there before.
    body = {"metadata": {"annotations": {TOUCHED: meta["resourceVersion"]}}}
    return Action("merge", UPDATED, CRDS, "CustomResourceDefinition", meta["name"], body=body, before={}, after=body)


def condition_of(live, kind):
    """The condition of type ``kind`` of a live object (None: absent), or None."""
    conditions = ((live or {}).get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one.get("type") == kind), None)


def _holds_true(live, kind):
    return (condition_of(live, kind) or {}).get("status") == "True"


def plan_delete(live):
    """The deletion of a live object."""
    meta = live["metadata"]
    resource = resource_of(live["apiVersion"], live["kind"])
    return Action("delete", DELETED, resource, live["kind"], meta["name"], meta.get("namespace"), before={"metadata": {"name": meta["name"]}}, after={})


def is_owned(live):
    """Whether the collection created the object, so that it may prune it."""
    return (live["metadata"].get("labels") or {}).get(OWNER_LABEL) == OWNED[OWNER_LABEL]


def _holds(live, desired):
    """Whether ``live`` has all that ``desired`` says; more is fine in mappings, not in lists."""
    if live is None and desired in ({}, []):
        return True  # the API server stores neither
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(_holds(live.get(key), value) for key, value in desired.items())
    if isinstance(desired, list):
        return isinstance(live, list) and len(live) == len(desired) and all(_holds(a, b) for a, b in zip(live, desired))
    return live == desired


def _project(live, desired):
    """The part of ``live`` that ``desired`` speaks about, for the diff."""
    if isinstance(desired, dict) and isinstance(live, dict):
        return {key: _project(live[key], value) for key, value in desired.items() if key in live}
    return live


def _left_over(live, desired):
    """The paths that our manager owns in ``live`` and ``desired`` doesn't have any more."""
    wanted = set(_leaves(desired))
    owned = set()
    for record in live["metadata"].get("managedFields") or []:
        if record.get("manager") == MANAGER and record.get("operation") == "Apply" and not record.get("subresource"):
            owned.update(_owned_leaves(record.get("fieldsV1") or {}))
    return [path for path in owned if not any(_related(path, other) for other in wanted)]


def _related(one, other):
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _leaves(value, path=()):
    if isinstance(value, dict) and value:
        for key, item in value.items():
            for leaf in _leaves(item, path + (key,)):
                yield leaf
    else:
        yield path


def _owned_leaves(fields, path=()):
    # 'f:name' is a field; 'k:' and 'v:' are list items, where the list itself is the leaf here.
    children = [(key[2:], value) for key, value in fields.items() if key.startswith("f:")]
    if not children:
        yield path
    for key, value in children:
        for leaf in _owned_leaves(value, path + (key,)):
            yield leaf


def redact_secret(live, desired, left_over):
    """(before, after) of a Secret for the diff: its keys, each with whether it changes."""
    old = (live or {}).get("data") or {}
    going = {path[1] for path in left_over if path[0] == "data" and len(path) > 1}
    before, after = {}, {}
    for key in sorted(set(old) | set(desired["data"])):
        if key in old:
            before[key] = "<value hidden>"
        if key in desired["data"]:
            after[key] = "<value hidden>" if old.get(key) == desired["data"][key] else "<new value hidden>"
        elif key not in going:
            after[key] = before[key]
    shown = {"metadata": {"name": desired["metadata"]["name"], "namespace": desired["metadata"]["namespace"]}, "type": desired["type"]}
    before_object = {} if live is None else {**shown, "type": live.get("type"), "data": before}
    return before_object, {**shown, "data": after}


# -- namespace labels ------------------------------------------------------------------------------


def plan_label(live, labels):
    """The patch that gives a live namespace ``labels`` ({key: value}); None if it has them."""
    current = live["metadata"].get("labels") or {}
    missing = {key: value for key, value in labels.items() if current.get(key) != value}
    if not missing:
        return None
    name = live["metadata"]["name"]
    before = {"metadata": {"labels": {key: current[key] for key in missing if key in current}}}
    return Action(
        "merge", UPDATED, NAMESPACES, "Namespace", name, body={"metadata": {"labels": missing}}, before=before, after={"metadata": {"labels": missing}}
    )


def plan_namespace(name, labels):
    """The creation of a namespace that carries ``labels``."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**OWNED, **labels}}}
    return Action("create", CREATED, NAMESPACES, "Namespace", name, body=body, before={}, after=body)


def plan_unlabel(live, labels, finalizers):
    """The patch that takes ``labels`` (keys) and ESO's ``finalizers`` off a live namespace.

    Both go in one JSON patch. A patch of the finalizers replaces the whole list, so it is bound to
    the list that was read; other writers of the namespace don't disturb it.
    """
    meta = live["metadata"]
    current = meta.get("labels") or {}
    present = sorted(key for key in labels if key in current)
    held = meta.get("finalizers") or []
    kept = [name for name in held if name not in finalizers]
    if not present and kept == held:
        return None
    operations, before, after = [], {}, {}
    if present:
        operations += [{"op": "remove", "path": "/metadata/labels/" + key.replace("~", "~0").replace("/", "~1")} for key in present]
        before["labels"], after["labels"] = {key: current[key] for key in present}, {}
    if kept != held:
        path = "/metadata/finalizers"
        operations += [{"op": "test", "path": path, "value": held}, {"op": "replace", "path": path, "value": kept}]
        before["finalizers"], after["finalizers"] = held, kept
    return Action(
        "json",
        UPDATED,
        NAMESPACES,
        "Namespace",
        meta["name"],
        body=operations,
        before={"metadata": before},
        after={"metadata": after},
        replan=lambda again: plan_unlabel(again, labels, finalizers),
    )


def orphaned_finalizers(live, selecting):
    """ESO's finalizers on a namespace that no ClusterExternalSecret accounts for any more.

    :arg selecting: the names of the ClusterExternalSecrets that select the namespace.
    """
    held = live["metadata"].get("finalizers") or []
    return [name for name in held if name.startswith(FINALIZER_PREFIX) and name[len(FINALIZER_PREFIX):] not in selecting]
