# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster as its platform team made it by hand, from the documentation and with kubectl."""

from __future__ import annotations

import base64
import threading
import time

import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import SECRETS
from support import CANARY, ApiError, Client, Platform, connection

from controlplane import build

GROUP = "external-secrets.io"
CENTRAL = "central-secret-store"
RBAC = "/apis/rbac.authorization.k8s.io/v1"

#: A Secret of bytes that are no text.
BINARY = bytes(range(256))

MASTERS = {
    "github-pat": {"username": b"robot-of-the-team", "token": CANARY.encode() + b"-pat<&>"},
    "github-oauth": {
        "GITHUB_CLIENT_ID": b"Iv1.client-of-the-team",
        "GITHUB_CLIENT_SECRET": CANARY.encode() + b"-oauth",
        "GITHUB_TOKEN": CANARY.encode() + b"-token",
    },
    "cloudflare-api-token": {"api-token": CANARY.encode() + b"-cloudflare"},
    "kargo-admin-credentials": {"hash": CANARY.encode() + b"{{ .x }}$2y$10", "key": b"two\nlines\n"},
    "market-making-kucoin-credentials": {"api-key": CANARY.encode(), "keystore": BINARY},
    "database": {"user": b"user-of-the-app", "password": CANARY.encode() + b"-db"},
    "legacy": {"a": CANARY.encode() + b"-a", "b": b"value-of-b"},
    "encoded": {"b64": base64.b64encode(CANARY.encode() + b"-encoded"), "spaced": b" of the team "},
}

#: What a person writes into a registry's template.
REGISTRY = (
    '{"auths":{"ghcr.io":{"username":"{{ .username }}","password":"{{ .password }}",'
    '"auth":"{{ printf "%s:%s" .username .password | b64enc }}"}}}'
)


def ref(secret_key: str, source: str, key: str) -> dict:
    return {"secretKey": secret_key, "remoteRef": {"key": source, "property": key}}


def distributed(name: str, label: str, target: dict, **spec) -> dict:
    return {
        "metadata": {"name": name},
        "spec": {
            "namespaceSelector": {"matchLabels": {label: "true"}},
            "externalSecretSpec": {
                "refreshInterval": "1h",
                "secretStoreRef": {"kind": "ClusterSecretStore", "name": CENTRAL},
                "target": target,
                **spec,
            },
        },
    }


def forms() -> list[dict]:
    """ClusterExternalSecrets of forms that public repositories have: several sources, selectors, encodings."""
    label = "team/forms"
    kargo = {"labels": {"kargo.akuity.io/cred-type": "image"}, "annotations": {"note": 'by {{ "hand" }}'}}
    login = '{"auths":{"registry.example":{"auth":"{{ printf "robot:%s" .token | b64enc }}"}}}'
    written = {"conversionStrategy": "Unicode", "decodingStrategy": "None", "metadataPolicy": "None", "version": "1"}
    encoded_ref = {
        "secretKey": "plain",
        "remoteRef": {"key": "encoded", "property": "b64", "decodingStrategy": "Base64"},
    }
    whole_ref = {"secretKey": "settings.json", "remoteRef": {"key": "github-oauth"}}
    named = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "forms-b"]}
    several = distributed(
        "form-sources",
        label,
        {"name": "form-sources"},
        data=[ref("id", "github-oauth", "GITHUB_CLIENT_ID"), ref("token", "github-pat", "token")],
    )
    for one in several["spec"]["externalSecretSpec"]["data"]:
        one["remoteRef"].update(written)
    tiers = distributed(
        "form-selectors",
        label,
        {"name": "form-selectors", "deletionPolicy": "Delete"},
        dataFrom=[{"extract": {"key": "github-pat"}}],
    )
    del tiers["spec"]["namespaceSelector"]
    tiers["spec"]["namespaceSelectors"] = [
        {"matchLabels": {label: "true"}, "matchExpressions": [named]},
        {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["job", "web"]}]},
    ]
    lines = {
        "URL": "https://{{ .user | urlquery }}:{{ .password | urlquery }}@db",
        "line": 'user={{ .user | quote }} {{ printf "password=%s" .password }}{{/* as the driver wants it */}}',
        "trimmed": "{{ trim .password }}",
    }
    return [
        several,
        tiers,
        distributed(
            "form-kargo",
            label,
            {
                "name": "form-kargo",
                "template": {
                    "metadata": kargo,
                    "data": {
                        "repoURL": "ghcr.io/org",
                        "username": "{{ .user }}",
                        "password": '{{ index . "token" | toString }}',
                    },
                },
            },
            data=[ref("user", "github-oauth", "GITHUB_CLIENT_ID"), ref("token", "github-pat", "token")],
        ),
        distributed(
            "form-login",
            label,
            {
                "name": "form-login",
                "template": {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": login}},
            },
            data=[ref("token", "github-pat", "token")],
        ),
        distributed("form-encodings", label, {"name": "form-encodings"}, data=[encoded_ref, whole_ref]),
        distributed(
            "form-lines",
            label,
            {"name": "form-lines", "template": {"engineVersion": "v2", "data": lines}},
            dataFrom=[{"extract": {"key": "database", "conversionStrategy": "Default"}}],
        ),
        distributed(
            "form-more",
            label,
            {
                "name": "form-more",
                "template": {"mergePolicy": "Merge", "data": {"pair": "{{ .user }}:{{ .password }}"}},
            },
            dataFrom=[{"extract": {"key": "database"}}, {"extract": {"key": "encoded"}}],
            data=[ref("token", "github-pat", "token")],
        ),
    ]


def objects() -> list[dict]:
    """The ClusterExternalSecrets; the last two are what no catalog entry can say."""
    oauth = ("GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET", "GITHUB_TOKEN")
    folded = {"name": "special", "template": {"data": {"a": '{{ .a | replace "~" "~" }}'}}}
    special = distributed("team-special", "team/special", folded, data=[ref("a", "legacy", "a")])
    special["spec"]["namespaceSelector"] = {"matchExpressions": [{"key": "team/special", "operator": "Exists"}]}
    return [
        distributed(
            "application-docker-registry",
            "secrets/gh-docker-registry",
            {
                "name": "gh-docker-registry-creds",
                "template": {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": REGISTRY}},
            },
            data=[ref("username", "github-pat", "username"), ref("password", "github-pat", "token")],
        ),
        distributed(
            "github-oauth-credentials",
            "secrets/gh-oauth-credentials",
            {"name": "gh-oauth"},
            data=[ref(key, "github-oauth", key) for key in oauth],
        ),
        distributed(
            "cloudflare-api-token",
            "secrets/cloudflare-api-token",
            {"name": "cloudflare-api-token", "template": {"metadata": {"labels": {"managed-by": "external-secrets"}}}},
            data=[ref("api-token", "cloudflare-api-token", "api-token")],
        ),
        distributed(
            "kargo-admin-credentials",
            "secrets/kargo-admin-credentials",
            {"name": "kargo-admin-credentials"},
            data=[ref(key, "kargo-admin-credentials", key) for key in ("hash", "key")],
        ),
        distributed(
            "metrics-service-credentials",
            "secrets/metrics-service-credentials",
            {"name": "metrics-service-credentials"},
            dataFrom=[{"extract": {"key": "market-making-kucoin-credentials"}}],
        ),
        distributed(
            "database",
            "app/tier",
            {"name": "database", "template": {"data": {"URL": "postgres://{{ .user }}:{{ .password }}@db/app"}}},
            data=[ref("user", "database", "user"), ref("password", "database", "password")],
        ),
        *forms(),
        special,
        distributed(
            "two-sources",
            "team/two",
            {"name": "two", "template": {"mergePolicy": "Merge", "data": {"a": '{{ .a | replace "~" "~" }}'}}},
            data=[ref("a", "legacy", "a"), ref("token", "github-pat", "token")],
        ),
    ]


#: Namespace -> its labels.
NAMESPACES = {
    "n8n": {"secrets/gh-docker-registry": "true"},
    "backstage": {"secrets/gh-docker-registry": "true", "secrets/gh-oauth-credentials": "true"},
    "market-making": {"secrets/gh-oauth-credentials": "true", "secrets/metrics-service-credentials": "true"},
    "cert-manager": {"secrets/cloudflare-api-token": "true"},
    "kargo": {"secrets/kargo-admin-credentials": "true"},
    "shop": {"app/tier": "true"},
    "forms-a": {"team/forms": "true"},
    "forms-b": {"tier": "job"},
    "special": {"team/special": "yes"},
    "two": {"team/two": "true"},
    "lone": {},
    "code-server": {},
}

#: (namespace, name) of every target, with what it is to hold.
TARGETS = {
    ("n8n", "gh-docker-registry-creds"): None,
    ("backstage", "gh-docker-registry-creds"): None,
    ("backstage", "gh-oauth"): MASTERS["github-oauth"],
    ("market-making", "gh-oauth"): MASTERS["github-oauth"],
    ("market-making", "metrics-service-credentials"): MASTERS["market-making-kucoin-credentials"],
    ("cert-manager", "cloudflare-api-token"): MASTERS["cloudflare-api-token"],
    ("kargo", "kargo-admin-credentials"): MASTERS["kargo-admin-credentials"],
    ("shop", "database"): None,
    ("forms-a", "form-sources"): {
        "id": MASTERS["github-oauth"]["GITHUB_CLIENT_ID"],
        "token": MASTERS["github-pat"]["token"],
    },
    ("forms-a", "form-selectors"): MASTERS["github-pat"],
    ("forms-b", "form-selectors"): MASTERS["github-pat"],
    ("forms-a", "form-kargo"): None,
    ("forms-a", "form-login"): None,
    ("forms-a", "form-encodings"): None,
    ("forms-a", "form-lines"): None,
    ("forms-a", "form-more"): None,
    ("special", "special"): {"a": MASTERS["legacy"]["a"]},
    ("two", "two"): None,
    ("lone", "lone"): {"b": b"value-of-b"},
    ("code-server", "gh-docker-registry-creds"): None,
}

#: What no catalog entry knows afterwards.
FOREIGN = ("team-special", "two-sources")


def encoded(data: dict[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in data.items()}


def make(platform: Platform, api_version: str, values: dict | None = None) -> None:
    """ESO, then all that people made with kubectl, as it stands when every target is there.

    :arg values: those of ESO's chart, instead of the harness's.
    """
    playbook = platform.folder / "eso.yml"
    # As it was at the time of the older releases.
    helm = {"cluster_secrets_eso_helm_binary": platform.plane.program(build.HELM_3)}
    role = {"hosts": "localhost", "gather_facts": False, "roles": ["platform.cluster_secrets.eso"]}
    playbook.write_text(yaml.safe_dump([role]))
    platform.play(str(playbook), variables={**helm, **({"cluster_secrets_eso_values": values} if values else {})})
    eso = f"/apis/{GROUP}/{api_version}"

    def create(path: str, body: dict) -> None:
        platform.eventually(lambda: created(path, body), 60, what=f"a webhook that serves {path}")

    def created(path: str, body: dict) -> bool:
        try:
            platform.client.request("POST", path, {"fieldManager": "kubectl-create"}, body)
        except ApiError as error:
            # People try again until the webhook is there.
            if "failed calling webhook" not in str(error):
                raise
            return False
        return True

    create("/api/v1/namespaces", {"metadata": {"name": CENTRAL}})
    for name, labels in NAMESPACES.items():
        create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    for name, data in MASTERS.items():
        create(f"/api/v1/namespaces/{CENTRAL}/secrets", {"metadata": {"name": name}, "data": encoded(data)})
    create(f"/api/v1/namespaces/{CENTRAL}/serviceaccounts", {"metadata": {"name": "eso-reader"}})
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]
    reviews = [{"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectrulesreviews"], "verbs": ["create"]}]
    subject = {"kind": "ServiceAccount", "name": "eso-reader", "namespace": CENTRAL}
    for place, kind, granted in ((f"/namespaces/{CENTRAL}", "role", rules), ("", "clusterrole", reviews)):
        create(f"{RBAC}{place}/{kind}s", {"metadata": {"name": "eso-reader"}, "rules": granted})
        title = "Role" if kind == "role" else "ClusterRole"
        binding = {
            "metadata": {"name": "eso-reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": title, "name": "eso-reader"},
            "subjects": [subject],
        }
        create(f"{RBAC}{place}/{kind}bindings", binding)
    provider = {
        "remoteNamespace": CENTRAL,
        "server": {
            "url": platform.plane.ansible_variables().get(
                "cluster_secrets_store_server_url", "https://kubernetes.default.svc"
            ),
            "caProvider": {"type": "ConfigMap", "name": "kube-root-ca.crt", "key": "ca.crt", "namespace": CENTRAL},
        },
        "auth": {"serviceAccount": {"name": "eso-reader", "namespace": CENTRAL}},
    }
    store = {"metadata": {"name": CENTRAL}, "spec": {"provider": {"kubernetes": provider}}}
    typed = {"apiVersion": f"{GROUP}/{api_version}"}
    create(f"{eso}/clustersecretstores", {**typed, "kind": "ClusterSecretStore", **store})
    for one in objects():
        create(f"{eso}/clusterexternalsecrets", {**typed, "kind": "ClusterExternalSecret", **one})
    lone = {
        "metadata": {"name": "lone"},
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": CENTRAL},
            "data": [ref("b", "legacy", "b")],
        },
    }
    create(f"{eso}/namespaces/lone/externalsecrets", {**typed, "kind": "ExternalSecret", **lone})
    config = '{"auths":{"ghcr.io":{"auth":"%s"}}}' % CANARY
    by_hand = {
        "metadata": {"name": "gh-docker-registry-creds"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": encoded({".dockerconfigjson": config.encode()}),
    }
    create("/api/v1/namespaces/code-server/secrets", by_hand)
    for key in TARGETS:
        platform.eventually(lambda key=key: platform.secret(*key), 30, f"the target {key}")


class Poller:
    """Reads all targets 20 times a second and notes each change and each absence."""

    def __init__(self, platform: Platform) -> None:
        self.client = Client(connection({"kubeconfig": str(platform.kubeconfig)}))
        self.first = self._read()
        self.reads, self.changes = 0, []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _read(self):
        found = {}
        items, _version = self.client.list(SECRETS)
        for item in items:
            key = (item["metadata"]["namespace"], item["metadata"]["name"])
            if key in TARGETS:
                found[key] = (item["metadata"]["uid"], item.get("type"), item.get("data"))
        return found

    def _difference(self, found, key) -> str:
        if key not in found or key not in self.first:
            return "absent" if key not in found else "new"
        names = ("uid", "type", "data")
        return " and ".join(one for one, new, old in zip(names, found[key], self.first[key]) if new != old) + " changed"

    def _run(self) -> None:
        while not self._end.is_set():
            started = time.monotonic()
            try:
                found = self._read()
            except Exception:  # the API server is down while a test kills it
                found = None
            if found is not None:
                self.reads += 1
                for key in TARGETS:
                    if found.get(key) != self.first.get(key):
                        self.changes.append((key, self._difference(found, key)))
            self._end.wait(max(0, 0.05 - (time.monotonic() - started)))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error) -> None:
        self._end.set()
        self._thread.join()
