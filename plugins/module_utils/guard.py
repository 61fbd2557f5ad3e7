# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The admission policies that keep tenants out of the central store. Pure.

Four ValidatingAdmissionPolicies, each with one binding. RBAC says what an identity may do at all;
these say what even a tenant with wide rights in its own namespaces must not do.
"""

from __future__ import annotations

import json

from .catalog import LABEL_PREFIX
from .desired import ESO_GROUP, ESO_MANAGED_LABEL, TARGET_LABEL, metadata

_API = "admissionregistration.k8s.io/v1"
PREFIX = "cluster-secrets-"

#: Controllers of Kubernetes that clean up, or fill, any namespace.
_CONTROLLERS = tuple(
    "system:serviceaccount:kube-system:" + name for name in ("namespace-controller", "generic-garbage-collector", "service-account-controller")
)

ACTIONS = {"audit": ["Audit", "Warn"], "enforce": ["Deny"]}


class Identities:
    """Who is who: the platform's users and groups, and ESO's ServiceAccount (a user name)."""

    def __init__(self, users, groups, eso):
        self.users = list(users)
        self.groups = list(groups)
        self.eso = eso

    def covers(self, username, groups):
        """Whether an identity is the platform's."""
        return username in self.users or bool(set(groups).intersection(self.groups))


def service_account_user(namespace, name):
    """The user name of a ServiceAccount."""
    return "system:serviceaccount:%s:%s" % (namespace, name)


def policies(identities, store, store_namespace, self_service_labels, mode):
    """The policies and their bindings, as manifests.

    :arg self_service_labels: label keys that anyone who may change a namespace may set.
    :arg mode: ``audit`` (tell, refuse nothing) or ``enforce``.
    """
    found = [
        _central_store(identities, store_namespace),
        _labels(identities, self_service_labels),
        _targets(identities),
        _store_use(identities, store, store_namespace),
    ]
    return found + [_binding(item["metadata"]["name"], mode) for item in found]


def _policy(name, rules, conditions, variables, validations):
    return {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": metadata(PREFIX + name),
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": rules},
            "matchConditions": [{"name": key, "expression": text} for key, text in conditions],
            "variables": [{"name": key, "expression": text} for key, text in variables],
            "validations": [{"expression": text, "message": message, "reason": "Forbidden"} for text, message in validations],
        },
    }


def _binding(policy, mode):
    return {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": metadata(policy),
        "spec": {"policyName": policy, "validationActions": ACTIONS[mode]},
    }


def _rule(group, resources, operations):
    return {"apiGroups": [group], "apiVersions": ["*"], "resources": resources, "operations": operations, "scope": "*"}


def _is(users, groups=()):
    """CEL: whether the request comes from one of these."""
    text = "request.userInfo.username in %s" % json.dumps(list(users))
    if groups:
        text += " || (has(request.userInfo.groups) && request.userInfo.groups.exists(g, g in %s))" % json.dumps(list(groups))
    return "(%s)" % text


def _platform(identities):
    return _is(identities.users, identities.groups)


def _central_store(identities, store_namespace):
    allowed = "%s || %s" % (_platform(identities), _is(_CONTROLLERS))
    rules = [
        _rule("", ["secrets", "serviceaccounts"], ["CREATE", "UPDATE", "DELETE"]),
        _rule("rbac.authorization.k8s.io", ["roles", "rolebindings"], ["CREATE", "UPDATE", "DELETE"]),
    ]
    return _policy(
        "central-store",
        rules,
        [("central-namespace", "request.namespace == %s" % json.dumps(store_namespace))],
        [],
        [(allowed, "only the platform writes the central store; change the values and run platform.cluster_secrets.rotate")],
    )


def _labels(identities, self_service_labels):
    def guarded(labels):
        return "%s.filter(k, k.startsWith(%s) && !(k in %s))" % (labels, json.dumps(LABEL_PREFIX), json.dumps(list(self_service_labels)))

    variables = [
        ("now", "has(object.metadata.labels) ? object.metadata.labels : {}"),
        ("was", "oldObject != null && has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}"),
        ("kept", "%s.all(k, k in variables.was && variables.was[k] == variables.now[k])" % guarded("variables.now")),
        ("whole", "%s.all(k, k in variables.now)" % guarded("variables.was")),
    ]
    message = "only the platform sets labels that begin with '%s'; ask for platform.cluster_secrets.onboard" % LABEL_PREFIX
    return _policy(
        "labels",
        [_rule("", ["namespaces"], ["CREATE", "UPDATE"])],
        [("not-platform", "!%s" % _platform(identities))],
        variables,
        [("variables.kept && variables.whole", message)],
    )


def _targets(identities):
    def managed(name):
        labels = {TARGET_LABEL[0]: TARGET_LABEL[1], ESO_MANAGED_LABEL: "true"}
        each = ["{1} in {0}.metadata.labels && {0}.metadata.labels[{1}] == {2}".format(name, json.dumps(k), json.dumps(v)) for k, v in labels.items()]
        return "(%s != null && has(%s.metadata.labels) && %s)" % (name, name, " && ".join(each))

    allowed = _is([identities.eso, *_CONTROLLERS])
    return _policy(
        "targets",
        [_rule("", ["secrets"], ["CREATE", "UPDATE", "DELETE"])],
        [("managed-target", "%s || %s" % (managed("object"), managed("oldObject")))],
        [],
        [(allowed, "this Secret is a copy that ESO writes; change the master Secret with platform.cluster_secrets.rotate")],
    )


def _store_use(identities, store, store_namespace):
    name = json.dumps(store)
    central = "(r.name == %s && has(r.kind) && r.kind == 'ClusterSecretStore')" % name

    def refs(path):
        found = "variables.spec.%s.filter(d, has(d.sourceRef) && has(d.sourceRef.storeRef)).map(d, d.sourceRef.storeRef)" % path
        return "(has(variables.spec.%s) ? %s : [])" % (path, found)

    variables = [
        ("spec", "has(object.spec) ? object.spec : {}"),
        ("unchanged", "oldObject != null && has(oldObject.spec) && oldObject.spec == variables.spec"),
        ("direct", "has(variables.spec.secretStoreRef) ? [variables.spec.secretStoreRef] : []"),
        ("reads", "(variables.direct + %s + %s).exists(r, has(r.name) && %s)" % (refs("data"), refs("dataFrom"), central)),
        (
            "pushes",
            "has(variables.spec.secretStoreRefs) && variables.spec.secretStoreRefs.exists(r, "
            "has(r.kind) && r.kind == 'ClusterSecretStore' && (has(r.labelSelector) || (has(r.name) && r.name == %s)))" % name,
        ),
        (
            "opens",
            "has(variables.spec.provider) && has(variables.spec.provider.kubernetes) && has(variables.spec.provider.kubernetes.remoteNamespace)"
            " && variables.spec.provider.kubernetes.remoteNamespace == %s" % json.dumps(store_namespace),
        ),
    ]
    allowed = "%s || %s" % (_platform(identities), _is([identities.eso]))
    hint = "the central store is read by the platform's ClusterExternalSecrets only; ask for platform.cluster_secrets.onboard"
    return _policy(
        "store-use",
        [_rule(ESO_GROUP, ["externalsecrets", "secretstores", "pushsecrets"], ["CREATE", "UPDATE"])],
        [("not-platform-nor-eso", "!(%s)" % allowed)],
        variables,
        [
            ("variables.unchanged || !variables.reads", hint),
            ("variables.unchanged || !variables.pushes", "no PushSecret may write the central store"),
            ("variables.unchanged || !variables.opens", "no SecretStore may open the central store's namespace"),
        ],
    )
