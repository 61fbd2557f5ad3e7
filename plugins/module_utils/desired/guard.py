# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The admission policies that keep tenants out of the central store. Pure.

Each is a ValidatingAdmissionPolicy with one binding. RBAC says what an identity may do at all; these
say what even a tenant with wide permissions in its own namespaces must not do. All rules cover
subresources and every version of ESO's API.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Collection, Iterable, Iterator, List, Sequence, Tuple

from ..advisories import OURS
from ..catalog.entries import LABEL_PREFIX, NAME_LABEL, Entry
from ..resources import ADMISSION, ESO_GROUP, Object, key_of
from ..tools import GITOPS_ACCOUNTS
from . import consumers
from .distribution import ESO_MANAGED_LABEL, MANAGER, TARGET_LABEL, is_owned, metadata

if TYPE_CHECKING:
    from ..live.eso import Release
    from .consumers import Consumer

#: (name, CEL) of a variable or match condition; (CEL, message) of a validation.
_Pairs = List[Tuple[str, str]]

_GENERATORS = "generators." + ESO_GROUP

PREFIX = "cluster-secrets-"

#: On every policy and binding: the central namespace that they guard. A cluster has one guard.
CENTRAL_ANNOTATION = "cluster-secrets/central-namespace"
CENTRAL_NAMESPACE, CENTRAL_STORE, LABELS, TARGETS, TARGET_NAMES, DISTRIBUTED, STORE_USE, CLUSTER_OBJECTS = (
    PREFIX + name
    for name in (
        "central-namespace",
        "central-store",
        "labels",
        "targets",
        "target-names",
        "distributed",
        "store-use",
        "cluster-objects",
    )
)

#: Controllers of Kubernetes that clean up, or fill, any namespace: as one user, or each by its own ServiceAccount.
_CONTROLLERS = ("system:kube-controller-manager",) + tuple(
    "system:serviceaccount:kube-system:" + name
    for name in ("namespace-controller", "generic-garbage-collector", "service-account-controller")
)

#: All of Kubernetes' own identities, for actions that no tenant may take and that many of these must.
_KUBERNETES_USERS = ("system:kube-controller-manager", "system:kube-scheduler", "system:apiserver")
_KUBERNETES_GROUPS = ("system:nodes", "system:serviceaccounts:kube-system")

#: Variables of the policy on labels: the keys and the names that it guards, as JSON lists. Of many names there are
#: several, numbered.
KEYS, NAMES = "keys", "names"

#: Characters of one such list; the API server takes no longer expression than 100,000.
_LIST = 50_000

ACTIONS = {"audit": ["Audit", "Warn"], "enforce": ["Deny"]}

#: Managers that are the collection's, ESO's and Kubernetes' own.
_KNOWN_MANAGERS = (MANAGER, "external-secrets", "kube-controller-manager", "kube-apiserver")


class Identities:
    """Who is who: the platform's users and groups, and ESO's ServiceAccount (a user name)."""

    def __init__(self, users: Iterable[str], groups: Iterable[str], eso: str) -> None:
        self.users = list(users)
        self.groups = list(groups)
        self.eso = eso

    def covers(self, username: str, groups: Iterable[str]) -> bool:
        """Whether an identity is the platform's."""
        return username in self.users or bool(set(groups).intersection(self.groups))

    @property
    def has_service_account(self) -> bool:
        """Whether a ServiceAccount is the platform's."""
        return any(user.startswith("system:serviceaccount:") for user in self.users) or any(
            group.startswith("system:serviceaccounts") for group in self.groups
        )

    def covers_manager(self, manager: str) -> bool:
        """Whether a GitOps controller's field manager is the platform's; others have no known identity and count as
        covered."""
        account = GITOPS_ACCOUNTS.get(manager)
        if account is None:
            return True
        return any(user.endswith(":" + account) for user in self.users) or any(
            group.startswith("system:serviceaccounts") for group in self.groups
        )


class Names:
    """What the policies are about.

    :arg store: the shared store, :arg store_namespace: the central namespace, :arg eso_namespace: that of ESO.
    :arg kept: the consumers that :func:`consumers.guarded` gives.
    """

    def __init__(
        self,
        store: str,
        store_namespace: str,
        entries: list[Entry],
        kept: Sequence[Consumer] = (),
        eso_namespace: str = "",
    ) -> None:
        self.store = store
        self.store_namespace = store_namespace
        self.eso_namespace = eso_namespace
        #: The namespaces in which only the platform writes.
        self.closed = sorted({store_namespace, eso_namespace} - {""})
        self.externals = sorted(entry.external_secret for entry in entries)
        self.targets = sorted({entry.target for entry in entries})
        chosen = [condition for consumer in kept for condition in consumer.conditions]
        keys = {key for entry in entries for key in entry.label_keys()} | consumers.label_keys(chosen)
        #: The keys of labels by which a namespace gets a Secret. Each namespace has the label of its own name, which
        #: the API server sets.
        self.labels = sorted(keys - {NAME_LABEL})
        listed = {name for entry in entries for name in entry.named()}
        #: The names of namespaces that get a Secret as soon as they exist, and those of the system.
        self.namespaces = sorted((listed | consumers.named(chosen) | {store_namespace, eso_namespace}) - {""})
        #: Targets of kept ClusterExternalSecrets, by name; and of kept ExternalSecrets, as namespace/name.
        self.kept_targets = sorted(
            {consumers.target_of(consumer) for consumer in kept if consumer.kind == "ClusterExternalSecret"}
        )
        self.kept_places = sorted(
            "%s/%s" % (key_of(consumer.item)[0], consumers.target_of(consumer))
            for consumer in kept
            if consumer.kind == "ExternalSecret"
        )


def service_account_user(namespace: str, name: str) -> str:
    """The user name of a ServiceAccount."""
    return "system:serviceaccount:%s:%s" % (namespace, name)


def policies(
    identities: Identities, names: Names, self_service_labels: Collection[str], mode: str, release: Release
) -> list[Object]:
    """The policies and their bindings, as manifests.

    :arg self_service_labels: label keys that anyone who may change a namespace may set.
    :arg mode: ``audit`` (report, refuse nothing) or ``enforce``.
    :arg release: the running eso.Release; what exploits its vulnerabilities is refused.
    """
    manifests = [
        _central_namespace(identities, names),
        _central_store(identities, names),
        _labels(identities, names, self_service_labels),
        _targets(identities, names),
        _target_names(identities, names),
        _distributed(identities),
        _store_use(identities, names, release),
        _cluster_objects(identities),
    ]
    manifests += [_binding(item["metadata"]["name"], mode) for item in manifests]
    for item in manifests:
        item["metadata"]["annotations"] = {CENTRAL_ANNOTATION: names.store_namespace}
    return manifests


def guarded_elsewhere(live: Object, namespace: str) -> str | None:
    """The central namespace that a live policy or binding of ours guards, if that is not ``namespace`` but another
    catalog's on the same cluster."""
    guarded = (live["metadata"].get("annotations") or {}).get(CENTRAL_ANNOTATION)
    return guarded if is_owned(live) and guarded not in (None, namespace) else None


def enforced(live_policies: list[Object], bindings: list[Object]) -> set[str]:
    """The names of the live policies that live bindings enforce; a binding of an absent policy enforces nothing."""
    # One that is bound to some namespaces only, or to a parameter, enforces nothing elsewhere.
    bound = {
        item["spec"]["policyName"]
        for item in bindings
        if "Deny" in (item["spec"].get("validationActions") or [])
        and not item["spec"].get("matchResources")
        and not item["spec"].get("paramRef")
    }
    return bound.intersection(item["metadata"]["name"] for item in live_policies)


def unguarded(
    live_policies: list[Object], names_enforced: set[str], keys: set[str], names: set[str]
) -> tuple[set[str], set[str]]:
    """Which of the label keys and namespaces' names the live policy on labels, if it is enforced, does not guard."""
    policy = next((policy for policy in live_policies if policy["metadata"]["name"] == LABELS), None)
    if policy is None or LABELS not in names_enforced:
        return keys, names
    said = {variable["name"]: variable["expression"] for variable in (policy.get("spec") or {}).get("variables") or []}
    open_keys = {key for key in keys if not key.startswith(LABEL_PREFIX)} - _json_list(said.get(KEYS))
    lists = [text for name, text in said.items() if name == NAMES or name.startswith(NAMES + "_")]
    return open_keys, names.difference(*map(_json_list, lists))


def _lists(values: list[str]) -> Iterator[list[str]]:
    """The values in their order, in lists that are short enough for an expression each; one at least."""
    part: list[str] = []
    size = 0
    for value in values:
        size += len(value) + 4  # quotes, comma and space
        if size > _LIST:
            yield part
            part, size = [], len(value) + 4
        part.append(value)
    yield part


def _json_list(text: str | None) -> set[str]:
    try:
        listed = json.loads(text or "[]")
    except ValueError:
        return set()
    return {one for one in listed if isinstance(one, str)} if isinstance(listed, list) else set()


def writers(namespaces: list[Object], objects: list[Object], keys: Collection[str] = ()) -> dict[str, list[str]]:
    """Who else writes what the policies guard: ``{field manager: [what it writes]}``.

    A field manager is a name that a writer gives himself, no identity.

    :arg namespaces: live namespaces; :arg objects: live cluster-wide objects of ESO, each with its kind; :arg keys:
        :attr:`Names.labels`.
    """
    guarded = {"f:" + key for key in keys}
    by_manager: dict[str, list[str]] = {}

    def add(manager: str, what: str) -> None:
        if manager not in _KNOWN_MANAGERS and what not in by_manager.setdefault(manager, []):
            by_manager[manager].append(what)

    for item in namespaces:
        for record in item["metadata"].get("managedFields") or []:
            labels = ((record.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:labels") or {}
            if not record.get("subresource") and any(
                key.startswith("f:" + LABEL_PREFIX) or key in guarded for key in labels
            ):
                add(record.get("manager", ""), "labels of Namespace %s" % item["metadata"]["name"])
    for item in objects:
        for record in item["metadata"].get("managedFields") or []:
            if not record.get("subresource"):
                add(record.get("manager", ""), "%s %s" % (item["kind"], item["metadata"]["name"]))
    return {manager: by_manager[manager] for manager in sorted(by_manager) if by_manager[manager]}


def _policy(
    name: str,
    rules: list[Object],
    conditions: _Pairs,
    variables: _Pairs,
    validations: _Pairs,
    namespaces: Sequence[str] = (),
) -> Object:
    constraints: dict[str, Any] = {"matchPolicy": "Equivalent", "resourceRules": rules}
    if namespaces:
        inside = {"key": NAME_LABEL, "operator": "In", "values": list(namespaces)}
        constraints["namespaceSelector"] = {"matchExpressions": [inside]}
    return {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": metadata(name),
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": constraints,
            "matchConditions": [{"name": key, "expression": text} for key, text in conditions],
            "variables": [{"name": key, "expression": text} for key, text in variables],
            "validations": [
                {"expression": text, "message": message, "reason": "Forbidden"} for text, message in validations
            ],
        },
    }


def _binding(policy: str, mode: str) -> Object:
    return {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": metadata(policy),
        "spec": {"policyName": policy, "validationActions": ACTIONS[mode]},
    }


def _rule(group: str, resources: list[str], operations: list[str], scope: str = "*") -> Object:
    resources = [each for resource in resources for each in (resource, resource + "/*")]
    return {
        "apiGroups": [group],
        "apiVersions": ["*"],
        "resources": resources,
        "operations": operations,
        "scope": scope,
    }


def _is(users: Collection[str], groups: Collection[str] = ()) -> str:
    """CEL: whether the request comes from one of these."""
    text = "request.userInfo.username in %s" % json.dumps(list(users))
    if groups:
        text += " || (has(request.userInfo.groups) && request.userInfo.groups.exists(g, g in %s))" % json.dumps(
            list(groups)
        )
    return "(%s)" % text


def _platform(identities: Identities) -> str:
    return _is(identities.users, identities.groups)


def _platform_or(identities: Identities, *users: str) -> str:
    return "(%s || %s)" % (_platform(identities), _is(users))


def _same(*path: str) -> str:
    """CEL: whether an update leaves a field as it was."""
    now, was = (".".join((name, *path)) for name in ("object", "oldObject"))
    return f"(has({now}) == has({was}) && (!has({now}) || {now} == {was}))"


def _central_namespace(identities: Identities, names: Names) -> Object:
    """Only the platform and Kubernetes itself change or delete the namespaces of the master Secrets and of ESO."""
    return _policy(
        CENTRAL_NAMESPACE,
        [_rule("", ["namespaces"], ["UPDATE", "DELETE"])],
        [("central-namespace", "request.name in %s" % json.dumps(names.closed))],
        [],
        [
            (
                "%s || %s" % (_platform_or(identities, identities.eso), _is(_KUBERNETES_USERS, _KUBERNETES_GROUPS)),
                "only the platform changes or deletes the namespaces of the central store and of ESO",
            )
        ],
    )


def _central_store(identities: Identities, names: Names) -> Object:
    """Only the platform and Kubernetes itself write where the master Secrets are, and where ESO runs, which reads
    them all."""
    operations = ["CREATE", "UPDATE", "DELETE", "CONNECT"]
    everything = {
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "resources": ["*/*"],
        "operations": operations,
        "scope": "Namespaced",
    }
    token = "(request.resource.resource == 'serviceaccounts' && request.subResource == 'token' && %s)" % _is(
        [identities.eso]
    )
    allowed = "%s || %s || %s" % (_platform(identities), _is(_KUBERNETES_USERS, _KUBERNETES_GROUPS), token)
    if names.eso_namespace in names.closed:
        # What ESO, its webhook and its cert-controller write there themselves; and drains go on.
        own = "request.userInfo.username.startsWith(%s)" % json.dumps(service_account_user(names.eso_namespace, ""))
        kinds = json.dumps(["leases", "events", "configmaps", "secrets"])
        # An entry's target may be wanted there, too, as a pull Secret of ESO's own.
        distributing = "(%s && request.resource.group == %s)" % (_is([identities.eso]), json.dumps(ESO_GROUP))
        allowed += " || (request.namespace == %s && %s)" % (json.dumps(names.eso_namespace), distributing)
        allowed += (
            " || (request.namespace == %s && ((%s && (!has(request.subResource) || request.subResource == '') && "
            "request.resource.resource in %s) || (request.resource.resource == 'pods' && has(request.subResource) && "
            "request.subResource == 'eviction')))" % (json.dumps(names.eso_namespace), own, kinds)
        )
    message = (
        "only the platform writes in the namespaces of the central store and of ESO; "
        "change the values and run platform.cluster_secrets.rotate"
    )
    return _policy(CENTRAL_STORE, [everything], [], [], [(allowed, message)], namespaces=names.closed)


def _labels(identities: Identities, names: Names, self_service_labels: Collection[str]) -> Object:
    def guarded(labels: str) -> str:
        return "%s.filter(k, (k.startsWith(%s) || k in variables.keys) && !(k in %s))" % (
            labels,
            json.dumps(LABEL_PREFIX),
            json.dumps(list(self_service_labels)),
        )

    lists = {
        NAMES if not number else "%s_%d" % (NAMES, number): json.dumps(values)
        for number, values in enumerate(_lists(names.namespaces))
    }
    kept_for_us = " || ".join("object.metadata.name in variables.%s" % name for name in lists)
    variables = [
        # As JSON, in which the audit reads them.
        (KEYS, json.dumps(names.labels)),
        *lists.items(),
        ("now", "has(object.metadata.labels) ? object.metadata.labels : {}"),
        ("was", "oldObject != null && has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}"),
        ("kept", "%s.all(k, k in variables.was && variables.was[k] == variables.now[k])" % guarded("variables.now")),
        ("whole", "%s.all(k, k in variables.now)" % guarded("variables.was")),
    ]
    message = (
        "only the platform sets labels by which namespaces get Secrets, and those that begin with '%s'; ask for "
        "platform.cluster_secrets.onboard" % LABEL_PREFIX
    )
    return _policy(
        LABELS,
        [_rule("", ["namespaces"], ["CREATE", "UPDATE"])],
        [("not-platform", "!%s" % _platform(identities))],
        variables,
        [
            ("variables.kept && variables.whole", message),
            (
                "request.operation != 'CREATE' || !(%s)" % kept_for_us,
                "this name is kept for a namespace of the platform's, which gets Secrets as soon as it exists; ask "
                "the platform to create it",
            ),
        ],
    )


def _marked(name: str, labels: dict[str, str]) -> str:
    """CEL: whether an object is there and has all these labels."""
    each = [
        "{1} in {0}.metadata.labels && {0}.metadata.labels[{1}] == {2}".format(name, json.dumps(k), json.dumps(v))
        for k, v in labels.items()
    ]
    return "(%s != null && has(%s.metadata.labels) && %s)" % (name, name, " && ".join(each))


def _is_target(name: str, names: Names) -> str:
    """CEL: whether a Secret is marked as a target, or is the target of something that was kept."""
    expression = _marked(name, {TARGET_LABEL[0]: TARGET_LABEL[1], ESO_MANAGED_LABEL: "true"})
    if names.kept_targets or names.kept_places:
        # These have ESO's label only, as somebody else's copies may, so the name counts too.
        expression += " || (%s && (%s.metadata.name in %s || (request.namespace + '/' + %s.metadata.name) in %s))" % (
            _marked(name, {ESO_MANAGED_LABEL: "true"}),
            name,
            json.dumps(names.kept_targets),
            name,
            json.dumps(names.kept_places),
        )
    return expression


#: CEL: whether an update leaves no finalizer that was not there before.
_NO_MORE_FINALIZERS = (
    "(!has(object.metadata.finalizers) || (has(oldObject.metadata.finalizers) && "
    "object.metadata.finalizers.all(f, f in oldObject.metadata.finalizers)))"
)


def _targets(identities: Identities, names: Names) -> Object:
    content: list[tuple[str, ...]] = [("data",), ("type",), ("immutable",)]
    content += [("metadata", name) for name in ("labels", "annotations", "ownerReferences")]
    same = " && ".join(_same(*path) for path in content)
    finalizers = _same("metadata", "finalizers")
    # A write that changes nothing, as of a migration of stored objects, harms nobody; but its answer has the data,
    # which whoever may write and not read would see.
    movers = "%s || %s" % (_platform(identities), _is(_KUBERNETES_USERS, ("system:serviceaccounts:kube-system",)))
    allowed = [
        _is([identities.eso, *_CONTROLLERS]),
        "(request.operation == 'UPDATE' && (%s) && %s && %s)" % (movers, same, finalizers),
        # A namespace with a target that somebody gave a finalizer could not be deleted by anyone.
        "(%s && (request.operation == 'DELETE' || (request.operation == 'UPDATE' && %s && %s)))"
        % (_platform(identities), same, _NO_MORE_FINALIZERS),
    ]
    held = (
        "request.operation == 'DELETE' || !%s || !%s || !has(object.metadata.finalizers) || (%s && "
        "has(oldObject.metadata.finalizers) && %s)"
        % (
            _is([identities.eso]),
            "(%s)" % _is_target("object", names),
            "(%s)" % _is_target("oldObject", names),
            _NO_MORE_FINALIZERS,
        )
    )
    return _policy(
        TARGETS,
        [_rule("", ["secrets"], ["CREATE", "UPDATE", "DELETE"])],
        [("managed-target", "%s || %s" % (_is_target("object", names), _is_target("oldObject", names)))],
        [],
        [
            (
                " || ".join(allowed),
                "this Secret is a copy that ESO writes; change the master Secret with platform.cluster_secrets.rotate",
            ),
            (
                held,
                "ESO makes no Secret with a finalizer a target, since that would hold the whole namespace; remove it",
            ),
        ],
    )


def _target_names(identities: Identities, names: Names) -> Object:
    """Nobody takes the name of a target: ESO could not fill it."""
    immutable = "(has({0}.immutable) && {0}.immutable)"
    return _policy(
        TARGET_NAMES,
        [_rule("", ["secrets"], ["CREATE", "UPDATE"])],
        [
            # A created object's name may be generated, and then the request doesn't say it.
            (
                "name-of-a-target",
                "object.metadata.name in %s && request.namespace != %s"
                % (json.dumps(names.targets), json.dumps(names.store_namespace)),
            ),
            ("not-platform-nor-eso", "!%s" % _platform_or(identities, identities.eso, *_CONTROLLERS)),
        ],
        [],
        [
            (
                "request.operation != 'CREATE'",
                "this is the name of a Secret that ESO distributes; ask for platform.cluster_secrets.onboard",
            ),
            (
                "request.operation == 'CREATE' || !%s || %s"
                % (immutable.format("object"), immutable.format("oldObject")),
                "this is the name of a Secret that ESO distributes, and ESO can't write an immutable one",
            ),
        ],
    )


def _distributed(identities: Identities) -> Object:
    """The ExternalSecrets that ESO makes of ClusterExternalSecrets are ESO's; their annotations are anyone's, to ask
    for a refresh."""

    def owned(name: str) -> str:
        owners = "%s.metadata.ownerReferences" % name
        return "(%s != null && has(%s) && %s.exists(o, o.kind == 'ClusterExternalSecret'))" % (name, owners, owners)

    kept = [("spec",), ("status",), ("metadata", "labels"), ("metadata", "ownerReferences"), ("metadata", "finalizers")]
    return _policy(
        DISTRIBUTED,
        [_rule(ESO_GROUP, ["externalsecrets"], ["CREATE", "UPDATE", "DELETE"])],
        [
            ("owned", "%s || %s" % (owned("object"), owned("oldObject"))),
            ("not-platform-nor-eso", "!%s" % _platform_or(identities, identities.eso, *_CONTROLLERS)),
        ],
        [],
        [
            (
                "request.operation == 'UPDATE' && %s" % " && ".join(_same(*path) for path in kept),
                "ESO made this ExternalSecret from a ClusterExternalSecret; ask for platform.cluster_secrets.onboard",
            )
        ],
    )


def _cluster_objects(identities: Identities) -> Object:
    """ESO's cluster-wide objects act in every namespace, and their credentials may come from any, so only the platform
    writes them."""
    resources = ["clusterexternalsecrets", "clustersecretstores", "clusterpushsecrets"]
    return _policy(
        CLUSTER_OBJECTS,
        [
            _rule(ESO_GROUP, resources, ["CREATE", "UPDATE", "DELETE"]),
            _rule(_GENERATORS, ["clustergenerators"], ["CREATE", "UPDATE", "DELETE"]),
        ],
        [],
        [],
        [
            (
                _platform_or(identities, identities.eso, *_CONTROLLERS),
                "only the platform writes ESO's cluster-wide objects",
            )
        ],
    )


_HAS_LABELS = "has(variables.template.metadata) && has(variables.template.metadata.labels)"


def _marks(labels: str, froms: str) -> str:
    """CEL: whether a template gives a Secret the labels of a target, or labels that only ESO can read."""
    written = "has(f.target) && f.target.lowerAscii() == 'labels'"
    return "%s || %s.exists(f, %s)" % (_wears(labels), froms, written)


def _wears(labels: str) -> str:
    """CEL: whether labels are those of a target, or of ESO."""
    key, value = (json.dumps(part) for part in TARGET_LABEL)
    said = "(%s in %s && (%s[%s] == %s || %s[%s].contains('{{')))" % (key, labels, labels, key, value, labels, key)
    return "%s || %s in %s" % (said, json.dumps(ESO_MANAGED_LABEL), labels)


def _store_use(identities: Identities, names: Names, release: Release) -> Object:
    store, central = json.dumps(names.store), json.dumps(names.store_namespace)
    # An entry's own store is named after the shared one.
    of_ours = "(r.name == %s || r.name.startsWith(%s))" % (store, json.dumps(names.store + "-"))
    reads = "(has(r.name) && %s && has(r.kind) && r.kind == 'ClusterSecretStore')" % of_ours

    def refs(path: str) -> str:
        expression = (
            "variables.spec.%s.filter(d, has(d.sourceRef) && has(d.sourceRef.storeRef)).map(d, d.sourceRef.storeRef)"
            % path
        )
        return "(has(variables.spec.%s) ? %s : [])" % (path, expression)

    def aimed(path: str) -> str:
        # The metadata of a push is free JSON, whose keys ESO reads in any case, as Unicode folds it: it has more than
        # one letter for s, of which lowerAscii() knows one.
        named = "matches('(?i)^remotenamespace$') && d.metadata[s][k] == %s" % central
        inner = "s.matches('(?i)^spec$') && type(d.metadata[s]) == map && d.metadata[s].exists(k, k.%s)" % named
        said = "type(d.metadata) == map && d.metadata.exists(s, %s)" % inner
        return "(has(variables.spec.%s) && variables.spec.%s.exists(d, has(d.metadata) && %s))" % (path, path, said)

    def names_central(path: str) -> str:
        parts = path.split(".")
        has = " && ".join("has(p.%s)" % ".".join(parts[: length + 1]) for length in range(len(parts)))
        return "(%s && p.%s == %s)" % (has, path, central)

    external, push = "request.resource.resource == 'externalsecrets'", "request.resource.resource == 'pushsecrets'"
    provider = "has(variables.spec.provider) ? variables.spec.provider : {}"
    variables: _Pairs = [
        ("spec", "has(object.spec) ? object.spec : {}"),
        ("unchanged", "oldObject != null && has(oldObject.spec) && oldObject.spec == variables.spec"),
        ("direct", "has(variables.spec.secretStoreRef) ? [variables.spec.secretStoreRef] : []"),
        (
            "reads",
            "%s && (variables.direct + %s + %s).exists(r, %s)" % (external, refs("data"), refs("dataFrom"), reads),
        ),
        (
            "pushes",
            "%s && ((has(variables.spec.secretStoreRefs) && variables.spec.secretStoreRefs.exists(r, "
            "has(r.kind) && r.kind == 'ClusterSecretStore' && (has(r.labelSelector) || (has(r.name) && %s)))) || %s || "
            "%s)" % (push, of_ours, aimed("data"), aimed("dataTo")),
        ),
        ("provider", provider),
        (
            "opens",
            "request.resource.resource == 'secretstores' && has(variables.provider.kubernetes) && "
            "[variables.provider.kubernetes].exists(p, %s)"
            % " || ".join(
                names_central(path)
                for path in ("remoteNamespace", "server.caProvider.namespace", "auth.serviceAccount.namespace")
            ),
        ),
        (
            "target",
            "has(variables.spec.target) && has(variables.spec.target.name) ? variables.spec.target.name : "
            "object.metadata.name",
        ),
        (
            "template",
            "has(variables.spec.target) && has(variables.spec.target.template) ? variables.spec.target.template : "
            "(has(variables.spec.template) ? variables.spec.template : {})",
        ),
        ("froms", "has(variables.template.templateFrom) ? variables.template.templateFrom : []"),
        ("labels", _HAS_LABELS + " ? variables.template.metadata.labels : {}"),
        # Without a template, a Secret gets the labels of its ExternalSecret.
        ("worn", "has(object.metadata.labels) ? object.metadata.labels : {}"),
        (
            "reworn",
            "oldObject == null || !has(oldObject.metadata.labels) || oldObject.metadata.labels != variables.worn",
        ),
        ("marks", "%s && (%s)" % (external, _marks("variables.labels", "variables.froms"))),
        ("wears", "%s && variables.reworn && (%s)" % (external, _wears("variables.worn"))),
        (
            "takes",
            "%s && (variables.target in %s || object.metadata.name in %s)"
            % (external, json.dumps(names.targets), json.dumps(names.externals)),
        ),
    ]
    hint = (
        "the central store is read by the platform's ClusterExternalSecrets only; "
        "ask for platform.cluster_secrets.onboard"
    )
    validations: _Pairs = [
        ("variables.unchanged || !variables.reads", hint),
        ("variables.unchanged || !variables.pushes", "no PushSecret may write the central store"),
        ("variables.unchanged || !variables.opens", "no SecretStore may open the central store's namespace"),
        (
            "variables.unchanged || !variables.takes",
            "this is the name of an ExternalSecret or Secret that ESO distributes",
        ),
    ]
    validations.append(
        (
            "(variables.unchanged || !variables.marks) && !variables.wears",
            "the label %s=%s marks the copies that the platform distributes, which nobody else may change"
            % TARGET_LABEL,
        )
    )
    more_variables, more_validations = _stopgap(release)
    allowed = _platform_or(identities, identities.eso)
    rules = [
        _rule(ESO_GROUP, ["externalsecrets", "secretstores", "pushsecrets"], ["CREATE", "UPDATE"]),
        _rule(_GENERATORS, ["webhooks"], ["CREATE", "UPDATE"]),
    ]
    return _policy(
        STORE_USE,
        rules,
        [("not-platform-nor-eso", "!%s" % allowed)],
        variables + more_variables,
        validations + more_validations,
    )


def _stopgap(release: Release) -> tuple[_Pairs, _Pairs]:
    """What a vulnerable ESO must not be given: (variables, validations).

    Only a stopgap: an object that is there already stays, and so do the ConfigMaps and Secrets that it takes templates
    from.
    """
    # What the collection knows is refused whatever list is given: one of somebody's own may have other numbers.
    open_advisories = [one for one in (*OURS.advisories, *release.lists.advisories) if release.may_be_open_to(one)]
    functions = sorted({name for advisory in open_advisories for name in advisory.functions})
    open_to = {advisory.id for advisory in open_advisories}
    variables: _Pairs = []
    validations: _Pairs = []

    def bad(text: str) -> str:
        return "(%s)" % " || ".join("%s.contains(%s)" % (text, json.dumps(name)) for name in functions)

    def values(path: str) -> str:
        parts = path.split(".")
        has = " && ".join("has(%s)" % ".".join(parts[: length + 1]) for length in range(2, len(parts)))
        return "(%s && %s.exists(k, %s))" % (has, path, bad("%s[k]" % path))

    def rewrites(path: str) -> str:
        inner = "has(w.transform) && has(w.transform.template) && %s" % bad("w.transform.template")
        return "(has({0}) && {0}.exists(d, has(d.rewrite) && d.rewrite.exists(w, {1})))".format(
            "variables.spec." + path, inner
        )

    def whole(path: str) -> str:
        return f"(has({path}) && {bad(path)})"

    if functions:
        web = (
            "has(variables.provider.webhook) ? variables.provider.webhook : "
            "(request.resource.resource == 'webhooks' ? variables.spec : {})"
        )
        texts = [values("variables.template." + part) for part in ("data", "metadata.labels", "metadata.annotations")]
        texts.append("variables.froms.exists(f, has(f.literal) && %s)" % bad("f.literal"))
        texts += [rewrites("dataFrom"), rewrites("dataTo")]
        texts += [whole("variables.web.url"), whole("variables.web.body"), values("variables.web.headers")]
        # Elsewhere than in other texts, it is run for each answer.
        texts.append("(has(variables.web.result) && %s)" % whole("variables.web.result.jsonPath"))
        variables += [
            ("web", web),
            ("calls", " || ".join(texts)),
            ("borrows", "variables.froms.exists(f, has(f.configMap) || has(f.secret))"),
        ]
        validations += [
            (
                "variables.unchanged || !variables.calls",
                "the running ESO is or may be vulnerable, so templates may not call %s" % " or ".join(functions),
            ),
            (
                "variables.unchanged || !variables.borrows",
                "the running ESO is or may be vulnerable, so templates may not come from a ConfigMap or Secret",
            ),
        ]
    if "CVE-2026-42876" in open_to:
        token = "has(variables.template.type) && variables.template.type == 'kubernetes.io/service-account-token'"
        validations.append(
            (
                "variables.unchanged || !(%s)" % token,
                "the running ESO is or may be vulnerable, so no template may make a ServiceAccount token",
            )
        )
    if "#6735" in open_to:
        target = "variables.froms.exists(f, has(f.target) && !(f.target in ['Data', 'Annotations', 'Labels']))"
        validations.append(
            (
                "variables.unchanged || !%s" % target,
                "the running ESO is or may be vulnerable, so templateFrom may only fill data, labels and annotations",
            )
        )
    return variables, validations
