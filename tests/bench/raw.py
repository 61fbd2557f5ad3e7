# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The floor of the benchmark: the same work by plain concurrent HTTP, with no checks at all.

``python raw.py WORK JOB.json``: WORK is label, seed, apply or rotate; the job says against what.
"""

import base64
import json
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import urllib3

PAGE = 500
WORKERS = 16


class Raw:
    """One connection pool and what to do with it."""

    def __init__(self, job):
        self.job = job
        context = ssl.create_default_context(cafile=job["ca"])
        context.load_cert_chain(job["cert"], job["key"])
        self.pool = urllib3.PoolManager(maxsize=WORKERS, ssl_context=context, headers={"User-Agent": "raw"})

    def send(self, method, path, body=None, kind="application/json", accept="application/json"):
        data = None if body is None else json.dumps(body).encode()
        response = self.pool.request(
            method, self.job["server"] + path, body=data, headers={"Content-Type": kind, "Accept": accept}
        )
        if response.status >= 400:
            sys.exit(response.data.decode())
        return json.loads(response.data)

    def list(self, path, accept="application/json"):
        items, token = [], ""
        while True:
            joint = "&" if "?" in path else "?"
            page = self.send("GET", f"{path}{joint}limit={PAGE}{'&continue=' + token if token else ''}", accept=accept)
            items += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return items, page["metadata"]["resourceVersion"]

    def each(self, function, items):
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(function, items))

    def label(self):
        items, _version = self.list(
            "/api/v1/namespaces", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        )
        wanted, label = set(self.job["namespaces"]), self.job["label"]
        todo = [
            item["metadata"]["name"]
            for item in items
            if item["metadata"]["name"] in wanted and item["metadata"].get("labels", {}).get(label) != "true"
        ]
        body = {"metadata": {"labels": {label: "true"}}}
        self.each(
            lambda name: self.send("PATCH", "/api/v1/namespaces/" + name, body, "application/merge-patch+json"), todo
        )

    def seed(self, apply=False):
        base = f"/api/v1/namespaces/{self.job['store_namespace']}/secrets"
        live = {item["metadata"]["name"]: item for item in self.list(base)[0]}

        def write(pair):
            name, keys = pair
            data = {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}
            if apply and (name not in live or live[name]["data"] != data):
                metadata = {
                    "name": name,
                    "labels": {"app.kubernetes.io/managed-by": "raw", "app.kubernetes.io/part-of": "cluster-secrets"},
                    "annotations": {"cluster-secrets/value-changed": "2026-01-01T00:00:00Z"},
                }
                body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
                path = f"{base}/{name}?fieldManager=raw&force=true"
                self.send("PATCH", path, body, "application/apply-patch+yaml")
            elif name not in live:
                self.send("POST", base, {"metadata": {"name": name}, "data": data})
            elif live[name]["data"] != data:
                self.send("PATCH", f"{base}/{name}", {"data": data}, "application/merge-patch+json")

        self.each(write, self.job["values"].items())

    def apply(self):
        """Seed by server-side apply with labels and an annotation, as the collection does."""
        self.seed(apply=True)

    def rotate(self):
        self.seed()
        path = "/apis/external-secrets.io/v1/clusterexternalsecrets/" + self.job["entry"]
        stamp = str(time.time_ns())
        _items, version = self.list("/api/v1/secrets?labelSelector=reconcile.external-secrets.io/managed=true")
        self.send(
            "PATCH",
            path,
            {"spec": {"externalSecretMetadata": {"annotations": {"force-sync": stamp}}}},
            "application/merge-patch+json",
        )
        pending, expected = set(self.job["namespaces"]), base64.b64encode(self.job["value"].encode()).decode()
        watch = f"{self.job['server']}/api/v1/secrets?watch=1&resourceVersion={version}"
        watch += "&labelSelector=reconcile.external-secrets.io/managed=true"
        response = self.pool.request("GET", watch, preload_content=False, timeout=600)
        buffered = b""
        while pending:
            *lines, buffered = (buffered + response.read1()).split(b"\n")
            for line in lines:
                item = json.loads(line)["object"]
                if item.get("data", {}).get("KEY") == expected:
                    pending.discard(item["metadata"]["namespace"])


def main():
    with open(sys.argv[2], encoding="utf-8") as handle:
        getattr(Raw(json.load(handle)), sys.argv[1])()


if __name__ == "__main__":
    main()
