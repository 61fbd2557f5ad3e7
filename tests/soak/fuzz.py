# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make soak-fuzz SOAK_ARGS="--objects 20000"``: nothing that a tenant writes ends a command, or costs anyone else.

A real cluster is bootstrapped, and a tenant's objects of each kind are made in it. What the cluster answers is
recorded; then the tenant's objects are changed at random places, a few at a time, and audit, status, rotate with
restart, explain, gate, adopt and more look at them in check mode. No command may end in anything but one of the
collection's errors, nor say less of other namespaces, nor plan to write what is not the catalog's, nor let a control
character through.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import conftest  # first, for Ansible's importer of collections

# isort: split
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import ClusterSecretsError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.module import Context, outcome
from support import Platform

from controlplane import cluster

from .offline import Offline, Recording, mutated

#: The tenant's namespace, and the entry and target that it has of the catalog.
EVIL, TARGET = "evil", "cloudflare-api-token"
MODULES = "ansible_collections.platform.cluster_secrets.plugins.modules."
#: Objects in one batch; a batch that fails is halved until one object is left.
BATCH = 8
ESO = "/apis/external-secrets.io"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def tenants_objects() -> dict[str, list[dict[str, Any]]]:
    """What a tenant may make in a namespace of his own, by the collection's path, with much that can be read in it."""
    meta = {"labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["example.com/x"]}
    store = {"name": "central-secret-store", "kind": "ClusterSecretStore"}
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": TARGET, "key": "api-token"}}}]
    pod = {
        "imagePullSecrets": [{"name": "gh-docker-registry-creds"}],
        "containers": [
            {
                "name": "a",
                "image": "a",
                "env": env,
                "envFrom": [{"secretRef": {"name": TARGET}}],
                "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "k"}],
            }
        ],
        "volumes": [{"name": "v", "secret": {"secretName": TARGET, "items": [{"key": "k", "path": "p"}]}}],
    }
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
    workload = {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
    data = [{"secretKey": "x", "remoteRef": {"key": "github-pat", "property": "token"}}]
    external = {"refreshInterval": "1h", "secretStoreRef": store, "target": {"name": "t"}, "data": data}
    external["dataFrom"] = [{"extract": {"key": "github-pat"}}, {"find": {"name": {"regexp": "x"}}}]
    push = {"secretStoreRefs": [store], "selector": {"secret": {"name": "s"}}}
    push["data"] = [{"match": {"remoteRef": {"remoteKey": "r"}}, "metadata": {"spec": {"remoteNamespace": "x"}}}]
    provider = {"kubernetes": {"remoteNamespace": "central-secret-store", "auth": {"serviceAccount": {"name": "x"}}}}
    both = {"managed-by": "external-secrets", "reconcile.external-secrets.io/managed": "true"}
    job = {**pod, "restartPolicy": "Never"}
    place = f"namespaces/{EVIL}"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["x"]}]
    found: dict[str, list[dict[str, Any]]] = {
        f"/api/v1/{place}/secrets": [
            {"metadata": {"name": "s"}, "data": {"a": "YQ=="}},
            {"metadata": {"name": "both", "labels": both}, "data": {"a": "YQ=="}},
        ],
        f"{ESO}/v1/{place}/externalsecrets": [{"metadata": {"name": "es"}, "spec": external}],
        f"{ESO}/v1/{place}/secretstores": [{"metadata": {"name": "st"}, "spec": {"provider": provider}}],
        f"{ESO}/v1alpha1/{place}/pushsecrets": [{"metadata": {"name": "p"}, "spec": push}],
        f"/api/v1/{place}/pods": [{"metadata": {"name": "pod"}, "spec": pod}],
        f"/api/v1/{place}/serviceaccounts": [
            {"metadata": {"name": "sa"}, "imagePullSecrets": [{"name": "gh-docker-registry-creds"}]}
        ],
        **{
            f"/apis/apps/v1/{place}/{kind}": [{"metadata": {"name": "wl"}, **workload}]
            for kind in ("deployments", "statefulsets", "daemonsets", "replicasets")
        },
        f"/apis/batch/v1/{place}/jobs": [{"metadata": {"name": "j"}, "spec": {"template": {"spec": job}}}],
        f"/apis/batch/v1/{place}/cronjobs": [
            {
                "metadata": {"name": "c"},
                "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": job}}}},
            }
        ],
        f"/apis/networking.k8s.io/v1/{place}/ingresses": [
            {
                "metadata": {"name": "i"},
                "spec": {
                    "defaultBackend": {"service": {"name": "x", "port": {"number": 1}}},
                    "tls": [{"secretName": "t"}],
                },
            }
        ],
        f"{RBAC}/{place}/roles": [{"metadata": {"name": "r"}, "rules": rules}],
        f"{RBAC}/{place}/rolebindings": [
            {"metadata": {"name": "rb"}, "roleRef": role, "subjects": [{"kind": "ServiceAccount", "name": "sa"}]}
        ],
    }
    kinds = {"externalsecrets": "ExternalSecret", "secretstores": "SecretStore", "pushsecrets": "PushSecret"}
    for path, items in found.items():
        plural = path.rpartition("/")[2]
        for item in items:
            if plural in kinds:
                # A custom resource says of what kind it is.
                item.update(apiVersion=path.removeprefix("/apis/").partition("/namespaces")[0], kind=kinds[plural])
            item["metadata"] = {**meta, **item["metadata"]}
    return found


class Fuzz:
    """A recorded cluster with a tenant's ``seeds``: (path of the collection, live object)."""

    def __init__(self, platform: Platform, catalog: list[dict[str, Any]], folder: Path) -> None:
        self.recording = Recording(platform.client)
        self.looked_at = 0
        self.seeds = [("/api/v1/namespaces", platform.request("GET", f"/api/v1/namespaces/{EVIL}"))]
        for path, items in tenants_objects().items():
            for item in items:
                live = platform.request("GET", f"{path}/{item['metadata']['name']}")
                self.seeds.append((path.replace(f"/namespaces/{EVIL}", ""), live))
        # What a tenant has of ours.
        for path in (
            f"{ESO}/v1/namespaces/{EVIL}/externalsecrets/{TARGET}",
            f"/api/v1/namespaces/{EVIL}/secrets/{TARGET}",
        ):
            self.seeds.append(
                (path.rpartition("/")[0].replace(f"/namespaces/{EVIL}", ""), platform.request("GET", path))
            )
        names = {"store": "central-secret-store", "store_namespace": "central-secret-store", "isolation": "shared"}
        eso = {"eso_namespace": "external-secrets", "eso_service_account": "external-secrets"}
        self._params = {**names, **eso, "catalog": catalog, "consumers": True, "platform_groups": ["system:masters"]}
        self._commands: dict[str, tuple[str, dict[str, Any]]] = {
            "audit": ("audit", {}),
            "status": ("sync_info", {}),
            "explain": ("explain", {"namespace": "backstage", "secret": "gh-oauth"}),
            "explain evil": ("explain", {"namespace": EVIL, "secret": TARGET}),
            "gate": ("upgrade_gate", {"drain": True, "except_namespaces": [EVIL]}),
            "adopt": ("adopt", {"dest": str(folder / "adopted")}),
            "restart": ("workload_restart", {"state": "restarted"}),
            "sync": ("sync", {"refresh": "always"}),
            "labels": ("namespace_labels", {"exclusive": True}),
            "guard": ("admission_policies", {"mode": "enforce"}),
            "kept": ("kept_refresh", {"sources": ["github-pat"]}),
            "teardown": ("teardown", {"backup": False}),
        }
        self.quiet = {name: self._others(self._run(name, {})) for name in self._commands}

    def _run(self, command: str, objects: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        module_name, own = self._commands[command]
        module = importlib.import_module(MODULES + module_name)
        params = {name: option.get("default") for name, option in module.OPTIONS.items()}
        params.update({name: value for name, value in {**self._params, **own}.items() if name in params})
        context = Context(params, True, False, lambda _text: None, _NoVault())
        context._client = Offline(self.recording, objects)
        return outcome(module.run, context)

    @staticmethod
    def _others(result: dict[str, Any]) -> str:
        """What a result says of other namespaces, as text."""
        rows = [
            [one.get(key) for key in ("namespace", "secret", "status", "message")]
            for one in result.get("rows") or []
            if one.get("namespace") != EVIL
        ]
        return json.dumps([rows, bool(result.get("failed")) and "adopt" not in result], default=str, sort_keys=True)

    def taken(self, path: str, item: dict[str, Any], number: int, status: Any) -> dict[str, Any] | None:
        """What the API server would make of an object if a tenant wrote it, or None where it refuses it.

        :arg status: what a kubelet says of it.
        """
        meta = item["metadata"]
        base, _slash, plural = path.rpartition("/")
        place = f"{base}/namespaces/{EVIL}/{plural}" if meta.get("namespace") else path
        known = meta["name"] in (EVIL, TARGET)
        if not known:
            meta["name"] = f"{meta['name']}-{number}"
            for key in ("uid", "resourceVersion", "creationTimestamp"):
                meta.pop(key, None)
        method, place = ("PUT", f"{place}/{meta['name']}") if known else ("POST", place)
        try:
            found = self.recording.real.request(method, place, {"dryRun": "All"}, item)
        except ClusterSecretsError:
            return None
        self.looked_at += 1
        # Who may write an ExternalSecret may write its status, by a request of its own.
        if "external-secrets.io" in path and isinstance(item.get("status"), dict):
            found["status"] = item["status"]
        elif plural == "pods":
            found["status"] = status
        return found

    def problem(self, command: str, objects: dict[str, list[dict[str, Any]]]) -> str | None:
        """What is wrong with a command's look at these objects, or None."""
        started = time.monotonic()
        try:
            result = self._run(command, objects)
        except Exception as error:  # anything that is not one of the collection's errors
            return f"{type(error).__name__}: {error}"[:300]
        took = time.monotonic() - started
        text = json.dumps(result, default=str, ensure_ascii=False)
        if took > 10:
            return f"it took {took:.0f} s"
        if any(one in text for one in ("\\u001b", "\x1b", "\u202e", "\u2028")):
            return "a control character gets through"
        if command in ("status", "audit") and self._others(result) != self.quiet[command]:
            return f"it says something else of others: {result.get('msg')}"[:300]
        for change in result.get("changes") or []:
            foreign = change.get("namespace") in ("kube-system", "external-secrets") and command == "restart"
            if foreign:
                return f"it would write {change}"[:300]
        return None

    def look(self, objects: list[tuple[str, dict[str, Any]]]) -> tuple[str, str, str, dict[str, Any]] | None:
        """The first thing wrong with some mutated objects, as (command, problem, path, object), or None."""
        for command in self._commands:
            said = self.problem(command, _by_path(objects))
            if said is None:
                continue
            for path, item in objects:
                alone = self.problem(command, {path: [item]})
                if alone is not None:
                    return command, alone, path, item
            return command, f"only together: {said}", *objects[0]
        return None


class _NoVault:
    """ansible-vault, of which a run in check mode needs only that it is there."""

    def encrypt(self, _text: str, _what: str) -> str:
        return "$ANSIBLE_VAULT;1.1;AES256\n"

    def decrypt(self, content: bytes, _what: str) -> str:
        return content.decode()


def _by_path(objects: list[tuple[str, dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for path, item in objects:
        found.setdefault(path, []).append(item)
    return found


def prepare(platform: Platform, catalog: list[dict[str, Any]], folder: Path) -> Fuzz:
    """Give a bootstrapped cluster a tenant, who has one of the catalog's Secrets, and record it."""
    platform.request("POST", "/api/v1/namespaces", {"metadata": {"name": EVIL}})
    platform.play("onboard", variables={"cluster_secrets_namespace": EVIL, "cluster_secrets_secret": TARGET})
    for path, items in tenants_objects().items():
        for item in items:
            platform.request("POST", path, item)
    pod = f"/api/v1/namespaces/{EVIL}/pods/pod"
    platform.eventually(lambda: platform.get(pod)["status"].get("phase") == "Running", what=pod)
    # The value is newer than what the pods have.
    time.sleep(2)
    changed = {"data": {"api-token": base64.b64encode(b"newer").decode()}}
    platform.patch(f"/api/v1/namespaces/central-secret-store/secrets/{TARGET}", changed)
    refresh = {"metadata": {"annotations": {"force-sync": "1"}}}
    platform.patch(f"{ESO}/v1/namespaces/{EVIL}/externalsecrets/{TARGET}", refresh)
    platform.eventually(lambda: platform.data(EVIL, TARGET)["api-token"] == "newer", what="the newer value")
    return Fuzz(platform, catalog, folder)


def run(fuzz: Fuzz, seed: int, objects: int) -> list[str]:
    """Look at so many mutated objects; what is wrong, each as text."""
    choose = random.Random(seed)
    found = []
    for start in range(0, objects, BATCH):
        batch = []
        for number in range(min(BATCH, objects - start)):
            path, item = choose.choice(fuzz.seeds)
            taken = fuzz.taken(path, mutated(item, choose, wild=False), number, item.get("status"))
            if taken is not None:
                batch.append((path, taken))
        wrong = fuzz.look(batch)
        if wrong:
            command, problem, path, item = wrong
            found.append(
                f"seed {seed}, batch {start // BATCH}: {command}: {problem}\n{path}: {json.dumps(item)[:2000]}"
            )
    return found


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=20_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random choice (default: %(default)s)")
    given = parser.parse_args()
    plane = cluster.ControlPlane("fuzz", bound=True)
    plane.start()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            platform = Platform(plane, folder)
            platform.play("bootstrap")
            fuzz = prepare(platform, conftest.default_catalog(), folder)
            found = run(fuzz, given.seed, given.objects)
    finally:
        plane.stop()
    for one in found:
        print(f"FAILED {one}", flush=True)
    print(f"{given.objects} objects, of which the API server takes {fuzz.looked_at}; {len(found)} problem(s)")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
