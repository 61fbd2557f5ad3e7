# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tenants try, and which wall stops each of them. The table of docs/security.md is made of this.

An outcome is what happens with no guard; ``audit`` adds a report, and ``enforce`` turns every outcome
but RBAC into the guard.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: The walls, in the order in which a request meets them: the tenant has no such permission; an admission policy
#: refuses the request; the store's conditions don't admit the namespace; the identity that would read has no
#: permission to; ESO doesn't do it (PushSecrets are not processed, or the release is not vulnerable); nothing: the
#: attack succeeds; there is nothing to attack, because the namespace gets no target.
RBAC, GUARD, STORE, READER, ESO, OPEN, NONE = "RBAC", "guard", "store", "reader", "ESO", "open", "-"

RBAC_API = "/apis/rbac.authorization.k8s.io/v1"
ESO_API = "/apis/external-secrets.io/v1"
ALPHA = "/apis/external-secrets.io/v1alpha1"
GENERATORS = "/apis/generators.external-secrets.io/v1alpha1"
CENTRAL, ESO_NAMESPACE = "central-secret-store", "external-secrets"
STORE_REF = {"name": CENTRAL, "kind": "ClusterSecretStore"}

#: The label that the tenants' labelled namespaces carry, its entry and its target.
LABEL, ENTRY, TARGET = "secrets/cloudflare-api-token", "cloudflare-api-token", "cloudflare-api-token"
LOOT = "loot"

ALL = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]


@dataclass(frozen=True)
class Tenant:
    """A ServiceAccount in a namespace of its own."""

    name: str
    title: str
    labelled: bool
    #: A ClusterRole bound in its namespace, or rules of a Role there.
    role: str | None = None
    rules: list[dict[str, Any]] = field(default_factory=list)
    #: Rules of a ClusterRole that is bound everywhere.
    wide: list[dict[str, Any]] = field(default_factory=list)

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.name}:{self.name}"


CLUSTER_KINDS = ["clusterexternalsecrets", "clustersecretstores", "clusterpushsecrets"]
TENANTS = {
    tenant.name: tenant
    for tenant in (
        Tenant("t-outside", "`edit`, unlabelled namespace", False, "edit"),
        Tenant("t-inside", "`edit`, labelled namespace", True, "edit"),
        Tenant("t-owner", "owner (`*` on `*`), labelled namespace", True, rules=ALL),
        Tenant(
            "t-cluster",
            "owner who writes ESO's cluster-wide objects",
            True,
            rules=ALL,
            wide=[
                {"apiGroups": ["external-secrets.io"], "resources": CLUSTER_KINDS, "verbs": ["*"]},
                {"apiGroups": ["generators.external-secrets.io"], "resources": ["clustergenerators"], "verbs": ["*"]},
            ],
        ),
        Tenant(
            "t-wide",
            "careless ClusterRole (Secrets, tokens, pods, namespaces, roles everywhere)",
            False,
            wide=[
                {
                    "apiGroups": [""],
                    "resources": ["secrets", "configmaps", "pods", "serviceaccounts", "serviceaccounts/token"],
                    "verbs": ["*"],
                },
                {
                    "apiGroups": [""],
                    "resources": ["namespaces", "namespaces/status", "namespaces/finalize"],
                    "verbs": ["*"],
                },
                {
                    "apiGroups": ["external-secrets.io"],
                    "resources": ["externalsecrets", "secretstores", "pushsecrets"],
                    "verbs": ["*"],
                },
                {"apiGroups": ["generators.external-secrets.io"], "resources": ["fakes", "webhooks"], "verbs": ["*"]},
                {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["*"]},
            ],
        ),
    )
}
OUTSIDE, INSIDE, OWNER, CLUSTER, WIDE = TENANTS


@dataclass(frozen=True)
class Attack:
    """Requests (method, path, body, content type), with ``{ns}`` for the tenant's namespace.

    With ``loot`` it has succeeded only when a Secret of that name in the tenant's namespace holds a
    value of a source; else when the API server takes the requests. ``outcome`` maps a tenant's name
    to what happens with no guard; RBAC, unless given. ``advisory`` names the vulnerability that makes
    the outcome open: on a release without it, it is ESO.
    """

    requests: list[tuple[str, str, Any, str]]
    outcome: dict[str, str]
    loot: bool = False
    advisory: str | None = None

    def expected(self, tenant: str, vulnerable: Any = lambda advisory: True) -> str:
        """The outcome for a tenant with no guard."""
        outcome = self.outcome.get(tenant, RBAC)
        return ESO if outcome == OPEN and self.advisory and not vulnerable(self.advisory) else outcome


MERGE, APPLY, JSON = "application/merge-patch+json", "application/apply-patch+yaml", "application/json"


def post(path: str, body: Any) -> tuple[str, str, Any, str]:
    return "POST", path, body, JSON


def patch(path: str, body: Any, kind: str = MERGE) -> tuple[str, str, Any, str]:
    return "PATCH", path, body, kind


def external(name: str = LOOT, **spec: Any) -> tuple[str, str, Any, str]:
    body = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name},
        "spec": {"refreshInterval": "1h", "target": {"name": LOOT}, **spec},
    }
    return post(ESO_API + "/namespaces/{ns}/externalsecrets", body)


def steal(ref: Any = None, source: str = "github-pat") -> dict[str, Any]:
    """The part of an ExternalSecret's spec that copies a source."""
    return {
        "secretStoreRef": ref or STORE_REF,
        "data": [{"secretKey": "x", "remoteRef": {"key": source, "property": "token"}}],
    }


FAKE = post(
    GENERATORS + "/namespaces/{ns}/fakes",
    {
        "apiVersion": "generators.external-secrets.io/v1alpha1",
        "kind": "Fake",
        "metadata": {"name": "fake"},
        "spec": {"data": {"k": "v"}},
    },
)
FROM_FAKE = [
    {
        "sourceRef": {
            "generatorRef": {"apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "Fake", "name": "fake"}
        }
    }
]
CALL = '{{ getSecretKey "github-pat" "central-secret-store" "token" }}'


def store(kind: str, name: str, auth: dict[str, Any]) -> dict[str, Any]:
    ca = {"type": "ConfigMap", "name": "kube-root-ca.crt", "key": "ca.crt"}
    if kind == "ClusterSecretStore":
        ca["namespace"] = CENTRAL
    provider = {
        "remoteNamespace": CENTRAL,
        "server": {"url": "{server}", "caProvider": ca},
        "auth": {"serviceAccount": auth},
    }
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"provider": {"kubernetes": provider}},
    }


def push(name: str, refs: list[Any], **data: Any) -> tuple[str, str, Any, str]:
    spec = {
        "secretStoreRefs": refs,
        "selector": {"secret": {"name": "mine"}},
        "data": [{"match": {"remoteRef": {"remoteKey": "github-pat"}}, **data}],
    }
    body = {
        "apiVersion": "external-secrets.io/v1alpha1",
        "kind": "PushSecret",
        "metadata": {"name": name},
        "spec": spec,
    }
    return post(ALPHA + "/namespaces/{ns}/pushsecrets", body)


def cluster_external(name: str) -> dict[str, Any]:
    spec = {
        "externalSecretName": name,
        "namespaceSelectors": [{"matchLabels": {"kubernetes.io/metadata.name": "{ns}"}}],
        "externalSecretSpec": {"refreshInterval": "1h", "target": {"name": LOOT}, **steal()},
    }
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterExternalSecret",
        "metadata": {"name": name},
        "spec": spec,
    }


MARK = {"managed-by": "external-secrets"}
NAMESPACE = "/api/v1/namespaces/{ns}"
LABELS = {"metadata": {"labels": {"secrets/gh-oauth-credentials": "true"}}}
WHOLE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "{ns}", **LABELS["metadata"]}}
OWNERS = {OWNER: OPEN, CLUSTER: OPEN, WIDE: OPEN}
#: The careless ClusterRole's namespace carries no label, so the store's conditions hold.
READERS = {OWNER: OPEN, CLUSTER: OPEN, WIDE: STORE}
LABELLED = {OWNER: OPEN, CLUSTER: OPEN, WIDE: NONE}
DISTRIBUTED = ESO_API + "/namespaces/{ns}/externalsecrets/" + ENTRY
COPY = "/api/v1/namespaces/{ns}/secrets/" + TARGET
PUSHED = dict.fromkeys(OWNERS, ESO)
PUSH_METADATA = {
    "apiVersion": "kubernetes.external-secrets.io/v1alpha1",
    "kind": "PushSecretMetadata",
    "spec": {"remoteNamespace": CENTRAL},
}

PUSH_METADATA_IN_ANOTHER_CASE = {
    "apiVersion": "kubernetes.external-secrets.io/v1alpha1",
    "kind": "PushSecretMetadata",
    "Spec": {"RemoteNamespace": CENTRAL},
}

#: Go folds the long s, and CEL's lowerAscii() doesn't.
PUSH_METADATA_IN_OTHER_LETTERS = {
    "apiVersion": "kubernetes.external-secrets.io/v1alpha1",
    "kind": "PushSecretMetadata",
    "\u017fpec": {"remoteName\u017fpace": CENTRAL},
}

ATTACKS = {
    # -- the central namespace
    "writes a master Secret": Attack(
        [post(f"/api/v1/namespaces/{CENTRAL}/secrets", {"metadata": {"name": "evil"}, "stringData": {"a": "b"}})],
        {WIDE: OPEN},
    ),
    "changes a master Secret": Attack(
        [patch(f"/api/v1/namespaces/{CENTRAL}/secrets/github-pat", {"stringData": {"username": "evil"}})], {WIDE: OPEN}
    ),
    "deletes all master Secrets at once": Attack(
        [("DELETE", f"/api/v1/namespaces/{CENTRAL}/secrets", None, JSON)], {WIDE: OPEN}
    ),
    "asks for a token of the store's reader": Attack(
        [
            post(
                f"/api/v1/namespaces/{CENTRAL}/serviceaccounts/central-secret-store-reader/token",
                {"spec": {"expirationSeconds": 3600}},
            )
        ],
        {WIDE: OPEN},
    ),
    "grants itself the central namespace": Attack(
        [
            post(
                f"{RBAC_API}/namespaces/{CENTRAL}/rolebindings",
                {
                    "metadata": {"name": "evil"},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "{ns}"},
                    "subjects": [{"kind": "ServiceAccount", "name": "{ns}", "namespace": "{ns}"}],
                },
            )
        ],
        {WIDE: OPEN},
    ),
    "runs a pod in the central namespace": Attack(
        [
            post(
                f"/api/v1/namespaces/{CENTRAL}/pods",
                {"metadata": {"generateName": "evil-"}, "spec": {"containers": [{"name": "a", "image": "a"}]}},
            )
        ],
        {WIDE: OPEN},
    ),
    "deletes the central namespace": Attack([("DELETE", f"/api/v1/namespaces/{CENTRAL}", None, JSON)], {WIDE: OPEN}),
    "reads a master Secret by an empty patch": Attack(
        [patch(f"/api/v1/namespaces/{CENTRAL}/secrets/github-pat", {})], {WIDE: OPEN}
    ),
    # -- ESO's namespace, whose ServiceAccount reads all Secrets
    "writes a Secret in ESO's namespace": Attack(
        [post(f"/api/v1/namespaces/{ESO_NAMESPACE}/secrets", {"metadata": {"name": "evil"}, "stringData": {"a": "b"}})],
        {WIDE: OPEN},
    ),
    "asks for ESO's token": Attack(
        [
            post(
                f"/api/v1/namespaces/{ESO_NAMESPACE}/serviceaccounts/external-secrets/token",
                {"spec": {"expirationSeconds": 3600}},
            )
        ],
        {WIDE: OPEN},
    ),
    "grants itself ESO's namespace": Attack(
        [
            post(
                f"{RBAC_API}/namespaces/{ESO_NAMESPACE}/rolebindings",
                {
                    "metadata": {"name": "evil"},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "{ns}"},
                    "subjects": [{"kind": "ServiceAccount", "name": "{ns}", "namespace": "{ns}"}],
                },
            )
        ],
        {WIDE: OPEN},
    ),
    "runs a pod in ESO's namespace": Attack(
        [
            post(
                f"/api/v1/namespaces/{ESO_NAMESPACE}/pods",
                {"metadata": {"generateName": "evil-"}, "spec": {"containers": [{"name": "a", "image": "a"}]}},
            )
        ],
        {WIDE: OPEN},
    ),
    "labels ESO's namespace": Attack(
        [patch(f"/api/v1/namespaces/{ESO_NAMESPACE}", {"metadata": {"labels": {"a": "b"}}})], {WIDE: OPEN}
    ),
    # -- labels
    "labels its namespace": Attack([patch(NAMESPACE, LABELS)], OWNERS),
    "labels it by server-side apply": Attack([patch(NAMESPACE + "?fieldManager=evil", WHOLE, APPLY)], OWNERS),
    "labels it by the subresource finalize": Attack([("PUT", NAMESPACE + "/finalize", WHOLE, JSON)], OWNERS),
    "labels it by the subresource status": Attack([patch(NAMESPACE + "/status", LABELS)], OWNERS),
    "sets a label that no entry has yet": Attack(
        [patch(NAMESPACE, {"metadata": {"labels": {"secrets/not-yet": "true"}}})], OWNERS
    ),
    "creates a labelled namespace": Attack(
        [
            post(
                "/api/v1/namespaces",
                {"metadata": {"generateName": "evil-", "labels": {"secrets/gh-docker-registry": "true"}}},
            )
        ],
        {WIDE: OPEN},
    ),
    # -- targets
    "edits its target": Attack(
        [patch(COPY, {"stringData": {"api-token": "evil"}})], {OUTSIDE: NONE, INSIDE: OPEN, **LABELLED}
    ),
    "removes the labels from its target": Attack(
        [patch(COPY, {"metadata": {"labels": {"managed-by": None, "reconcile.external-secrets.io/managed": None}}})],
        {OUTSIDE: NONE, INSIDE: OPEN, **LABELLED},
    ),
    "deletes its target": Attack([("DELETE", COPY, None, JSON)], {OUTSIDE: NONE, INSIDE: OPEN, **LABELLED}),
    "deletes all its targets at once": Attack(
        [("DELETE", "/api/v1/namespaces/{ns}/secrets?labelSelector=managed-by%3Dexternal-secrets", None, JSON)],
        {OUTSIDE: NONE, INSIDE: OPEN, **LABELLED},
    ),
    "reads another namespace's copy by an empty patch": Attack(
        [patch("/api/v1/namespaces/n8n/secrets/gh-docker-registry-creds", {})], {WIDE: OPEN}
    ),
    "reads it by an empty server-side apply": Attack(
        [
            patch(
                "/api/v1/namespaces/n8n/secrets/gh-docker-registry-creds?fieldManager=evil",
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "gh-docker-registry-creds"}},
                APPLY,
            )
        ],
        {WIDE: OPEN},
    ),
    "takes the name of a future target": Attack(
        [post("/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "gh-oauth"}, "immutable": True})],
        {OUTSIDE: OPEN, INSIDE: OPEN, **OWNERS},
    ),
    "fakes a target": Attack(
        [
            post(
                "/api/v1/namespaces/{ns}/secrets",
                {
                    "metadata": {
                        "name": "fake",
                        "labels": {"managed-by": "external-secrets", "reconcile.external-secrets.io/managed": "true"},
                    }
                },
            )
        ],
        {OUTSIDE: OPEN, INSIDE: OPEN, **OWNERS},
    ),
    "lets ESO take the name of a target": Attack(
        [FAKE, external(target={"name": "gh-oauth"}, dataFrom=FROM_FAKE)], OWNERS
    ),
    "lets ESO mark a Secret as a target": Attack(
        [FAKE, external(target={"name": LOOT, "template": {"metadata": {"labels": MARK}}}, dataFrom=FROM_FAKE)], OWNERS
    ),
    "lets it do so by a template of labels": Attack(
        [
            FAKE,
            external(
                target={
                    "name": LOOT,
                    "template": {"templateFrom": [{"target": "Labels", "literal": "managed-by: external-secrets"}]},
                },
                dataFrom=FROM_FAKE,
            ),
        ],
        OWNERS,
    ),
    "takes the name of a future ExternalSecret": Attack(
        [FAKE, external("github-oauth-credentials", dataFrom=FROM_FAKE)], OWNERS
    ),
    # -- the ExternalSecrets that ESO makes
    "changes the ExternalSecret that ESO made": Attack(
        [
            patch(
                DISTRIBUTED,
                {"spec": {"data": [{"secretKey": "x", "remoteRef": {"key": "github-pat", "property": "token"}}]}},
            )
        ],
        LABELLED,
    ),
    "changes its status": Attack(
        [patch(DISTRIBUTED + "/status", {"status": {"refreshTime": "2020-01-01T00:00:00Z"}})], LABELLED
    ),
    "deletes it": Attack([("DELETE", DISTRIBUTED, None, JSON)], LABELLED),
    "deletes all ExternalSecrets at once": Attack(
        [("DELETE", ESO_API + "/namespaces/{ns}/externalsecrets", None, JSON)], LABELLED
    ),
    # -- reading through ESO
    "reads the store": Attack([external(**steal())], READERS, loot=True),
    "reads the store by server-side apply": Attack(
        [patch(ESO_API + "/namespaces/{ns}/externalsecrets/loot?fieldManager=evil", external(**steal())[2], APPLY)],
        READERS,
        loot=True,
    ),
    "reads the store by a source reference": Attack(
        [
            external(
                secretStoreRef={"name": "none", "kind": "SecretStore"},
                data=[
                    {
                        "secretKey": "x",
                        "remoteRef": {"key": "github-pat", "property": "token"},
                        "sourceRef": {"storeRef": STORE_REF},
                    }
                ],
            )
        ],
        READERS,
        loot=True,
    ),
    "reads the store by dataFrom": Attack(
        [external(dataFrom=[{"extract": {"key": "github-pat"}, "sourceRef": {"storeRef": STORE_REF}}])],
        READERS,
        loot=True,
    ),
    "reads by a SecretStore of its own": Attack(
        [
            post(ESO_API + "/namespaces/{ns}/secretstores", store("SecretStore", "own", {"name": "default"})),
            external(**steal({"name": "own", "kind": "SecretStore"})),
        ],
        dict.fromkeys(OWNERS, READER),
        loot=True,
    ),
    "calls getSecretKey in a template": Attack(
        [FAKE, external(target={"name": LOOT, "template": {"data": {"x": CALL}}}, dataFrom=FROM_FAKE)],
        OWNERS,
        loot=True,
        advisory="CVE-2026-22822",
    ),
    "calls it in a template from a ConfigMap": Attack(
        [
            FAKE,
            post("/api/v1/namespaces/{ns}/configmaps", {"metadata": {"name": "template"}, "data": {"x": CALL}}),
            external(
                target={
                    "name": LOOT,
                    "template": {"templateFrom": [{"configMap": {"name": "template", "items": [{"key": "x"}]}}]},
                },
                dataFrom=FROM_FAKE,
            ),
        ],
        OWNERS,
        loot=True,
        advisory="CVE-2026-22822",
    ),
    # -- writing through ESO
    "pushes into the store": Attack([push("evil", [STORE_REF])], PUSHED),
    "pushes into any store": Attack(
        [
            push(
                "evil",
                [
                    {
                        "kind": "ClusterSecretStore",
                        "labelSelector": {"matchLabels": {"app.kubernetes.io/part-of": "cluster-secrets"}},
                    }
                ],
            )
        ],
        PUSHED,
    ),
    "aims a push at the central namespace": Attack(
        [push("evil", [{"kind": "ClusterSecretStore", "name": "another"}], metadata=PUSH_METADATA)], PUSHED
    ),
    "aims a push by keys in another case": Attack(
        [push("evil", [{"kind": "ClusterSecretStore", "name": "another"}], metadata=PUSH_METADATA_IN_ANOTHER_CASE)],
        PUSHED,
    ),
    "aims a push by keys of letters that fold": Attack(
        [push("evil", [{"kind": "ClusterSecretStore", "name": "another"}], metadata=PUSH_METADATA_IN_OTHER_LETTERS)],
        PUSHED,
    ),
    # -- ESO's cluster-wide objects
    "distributes a source to itself": Attack(
        [post(ESO_API + "/clusterexternalsecrets", cluster_external("evil"))], {CLUSTER: OPEN}, loot=True
    ),
    "reads by a ClusterSecretStore of its own": Attack(
        [
            post(
                ESO_API + "/clustersecretstores",
                store("ClusterSecretStore", "evil", {"name": "central-secret-store-reader", "namespace": CENTRAL}),
            ),
            external(**steal({"name": "evil", "kind": "ClusterSecretStore"})),
        ],
        {CLUSTER: OPEN},
        loot=True,
    ),
    "opens the store for all namespaces": Attack(
        [patch(f"{ESO_API}/clustersecretstores/{CENTRAL}", {"spec": {"conditions": None}})], {CLUSTER: OPEN}
    ),
    "stops a distribution": Attack(
        [("DELETE", f"{ESO_API}/clusterexternalsecrets/{ENTRY}", None, JSON)], {CLUSTER: OPEN}
    ),
}


def table() -> str:
    """The attacks as a Markdown table; a cell says what stops the attack with no guard and, behind the arrow, with the
    guard enforced."""
    lines = [
        "| The tenant ... | " + " | ".join(tenant.title for tenant in TENANTS.values()) + " |",
        "| --- |" + " --- |" * len(TENANTS),
    ]
    for name, attack in ATTACKS.items():
        cells = []
        for tenant in TENANTS:
            outcome = attack.expected(tenant)
            shown = f"{outcome} ({attack.advisory})" if outcome == OPEN and attack.advisory else outcome
            cells.append(outcome if outcome in (RBAC, NONE) else f"{shown} → {GUARD}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
