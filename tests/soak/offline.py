# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real cluster answered, once, and then answered again with other objects among them: no request is sent.

The real client reads, pages and looks for depth as ever; only what it would send goes nowhere.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any, Iterator

from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.client import Client

#: /api/v1/namespaces/NAMESPACE/PLURAL/NAME, each but the plural optional.
_PATH = re.compile(r"(/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/([^/]+))?/([a-z]+)(?:/([^/]+))?\Z")
_REVIEWS = {
    "selfsubjectaccessreviews": {"kind": "SelfSubjectAccessReview", "status": {"allowed": True}},
    "selfsubjectreviews": {
        "kind": "SelfSubjectReview",
        "status": {"userInfo": {"username": "cluster-admin", "groups": ["system:masters"]}},
    },
}


class _Answer:
    """What urllib3 would return."""

    def __init__(self, status: int, body: Any) -> None:
        self.status, self.data, self.headers = status, json.dumps(body).encode(), {}

    def release_conn(self) -> None:
        """Nothing is held."""


class Recording:
    """The collections of a cluster, read when they are first asked for."""

    def __init__(self, real: Client) -> None:
        self.real = real
        self._collections: dict[str, list[dict[str, Any]] | None] = {}
        self._others: dict[str, Any] = {}

    def collection(self, path: str) -> list[dict[str, Any]] | None:
        """All objects of a kind, whatever their namespace; None where the cluster has no such kind."""
        if path not in self._collections:
            found = self.real.get(path)
            self._collections[path] = None if found is None else found["items"]
        return self._collections[path]

    def other(self, path: str) -> Any:
        """What is no collection, such as the versions of a group."""
        if path not in self._others:
            self._others[path] = self.real.get(path)
        return self._others[path]


class Offline(Client):
    """A client of a :class:`Recording`, with objects put in: ``{path of the collection: [object]}``."""

    def __init__(self, recording: Recording, objects: dict[str, list[dict[str, Any]]]) -> None:
        super().__init__(recording.real._target, 1)
        self._recording, self._objects = recording, objects

    def _items(self, path: str) -> list[dict[str, Any]] | None:
        found = self._recording.collection(path)
        mine = self._objects.get(path)
        if found is None or not mine:
            return found
        taken = {_key(one) for one in mine}
        return [one for one in found if _key(one) not in taken] + mine

    def _send(self, method: str, path: str, query: Any, *_rest: Any, **_options: Any) -> Any:
        self.requests += 1
        parts = _PATH.match(path)
        if method == "POST" and path.rpartition("/")[2] in _REVIEWS:
            return _Answer(201, _REVIEWS[path.rpartition("/")[2]])
        if method != "GET":
            raise AssertionError(f"check mode sent {method} {path}")
        if path.startswith("/api/v1/namespaces") and path.count("/") < 5:
            base, namespace, plural, name = "/api/v1", None, "namespaces", path.removeprefix("/api/v1/namespaces")[1:]
        elif parts:
            base, namespace, plural, name = parts.groups()
        else:
            found = self._recording.other(path)
            return _Answer(404, {"kind": "Status"}) if found is None else _Answer(200, found)
        items = self._items(f"{base}/{plural}")
        if items is None:
            return _Answer(404, {"kind": "Status"})
        items = [one for one in items if namespace in (None, one["metadata"].get("namespace"))]
        if name:
            one = next((one for one in items if one["metadata"]["name"] == name), None)
            return _Answer(404, {"kind": "Status"}) if one is None else _Answer(200, {"kind": "Object", **one})
        wanted = dict(pair.split("=", 1) for pair in (query or {}).get("labelSelector", "").split(",") if "=" in pair)
        chosen = [one for one in items if wanted.items() <= _labels(one).items()]
        return _Answer(200, {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": chosen})


def _key(item: dict[str, Any]) -> tuple[str | None, str]:
    return item["metadata"].get("namespace"), item["metadata"]["name"]


def _labels(item: dict[str, Any]) -> dict[str, Any]:
    found = item["metadata"].get("labels")
    return found if isinstance(found, dict) else {}


# -- mutations ------------------------------------------------------------------------------------

#: What the API server keeps as it is, or never stores in another form.
_FIXED = {("metadata", name) for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
_FIXED |= {("apiVersion",), ("kind",), ("metadata",)}

TEXTS = (
    "",
    "x",
    "../../kube-system/deployments/coredns",
    "a/b?c=d#e%2f",
    "\u202e\x1b[2J\u2028",
    "\x00",
    "é" * 300,
    "x" * 70_000,
    "{{",
    '{{ "\ud800" }}'.encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    "#jinja2: variable_start_string:'[%'",
    "{{ lookup('pipe', 'id') }}",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "\N{FULLWIDTH DIGIT TWO}",
    "%s%(a)s{0}",
    "(a+)+$",
    "(" * 3000,
    "9" * 5000 + "h",
    "[" * 2000,
    "kubernetes.io/metadata.name",
    "central-secret-store",
    "platform.cluster_secrets",
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something could be changed: every key and index, but for what is fixed."""
    children: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if (*path, key)[:2] in _FIXED:
            continue
        if (*path, key) not in _FIXED:
            yield (*path, key)
        yield from paths(child, (*path, key))


def is_free(path: tuple[Any, ...]) -> bool:
    """Whether the API server takes any JSON there."""
    return "fieldsV1" in path or (path[-1] == "metadata" and len(path) > 1) or "syncedPushSecrets" in path


def _hostile(choose: Any) -> dict[str, Any]:
    """Metadata that means something to those who read it, as no chance would write it."""
    kinds = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Node", "ClusterExternalSecret")
    owner = {
        "apiVersion": choose.choice(("v1", "apps/v1", "batch/v1", "external-secrets.io/v1")),
        "kind": choose.choice(kinds),
        "name": choose.choice(TEXTS),
        "uid": "0",
        "controller": choose.random() < 0.9,
    }
    record = {
        "manager": choose.choice(("argocd-controller", "platform.cluster_secrets", "kubectl", "external-secrets")),
        "operation": choose.choice(("Apply", "Update")),
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "time": choose.choice([one for one in TEXTS if one.endswith(("00Z", "59Z"))]),
        "fieldsV1": {"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:secrets/x": {}}}, "f:spec": {"f:x": {}}},
    }
    labels = {"managed-by": "external-secrets", "reconcile.external-secrets.io/managed": "true"}
    return choose.choice(({"ownerReferences": [owner]}, {"managedFields": [record]}, {"labels": labels}))


def mutated(item: dict[str, Any], choose: Any, wild: bool) -> dict[str, Any]:
    """A copy with one to four changes.

    :arg choose: a random.Random; :arg wild: whether types may change too, as no schema would let them.
    """
    found = copy.deepcopy(item)
    if choose.random() < 0.3:
        found["metadata"].update(_hostile(choose))
        if choose.random() < 0.5:
            return found
    for _number in range(choose.randint(1, 4)):
        where = list(paths(found))
        if not where:
            break
        path = choose.choice(where)
        place = found
        for key in path[:-1]:
            place = place[key]
        if choose.random() < 0.15:
            del place[path[-1]]
        else:
            place[path[-1]] = _another(place[path[-1]], choose, wild or is_free(path))
    return found


def _another(value: Any, choose: Any, free: bool) -> Any:
    if free and choose.random() < 0.5:
        deep: Any = {}
        for _level in range(choose.choice((1, 70, 200))):
            deep = choose.choice(({"f:a": deep}, [deep]))
        return choose.choice((None, True, -1, 2**63, 1e308, choose.choice(TEXTS), [], {}, [[]], {"name": {}}, deep))
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return choose.choice(TEXTS)
    if isinstance(value, (int, float)):
        return choose.choice((0, -1, 2**31 - 1, 2**63 - 1))
    if isinstance(value, list):
        return choose.choice(([], value + value, value * 50))
    if isinstance(value, dict):
        return choose.choice(({}, {**value, choose.choice(TEXTS[:12]): choose.choice(TEXTS[:12])}))
    return value
