# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a live cluster to the variables that run it."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import stores
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import (
    cluster_external_secret,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import eso
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.snapshot import Users
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover import adoption, preflight
from samples import CONTROLS, ONE, entries

LAYOUT = stores.Layout("shared", "store", "central", "https://kubernetes.default.svc")
KUBERNETES = {"provider": {"kubernetes": {"remoteNamespace": "central"}}}


_OWNER = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "one", "uid": "es"}
FILLED = {"ownerReferences": [{**_OWNER, "controller": True}]}


def secret(name, namespace, kind="Opaque", meta=None, **data):
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {"type": kind, "data": encoded, "metadata": {"name": name, "namespace": namespace, **(meta or {})}}


def distributed(name="one", store="store"):
    (entry,) = entries({**ONE, "name": name})
    found = cluster_external_secret(entry, store, "v1")
    found["metadata"] = {"name": name}
    return found


def store(name="store", **spec):
    return {"kind": "ClusterSecretStore", "metadata": {"name": name}, "spec": {**KUBERNETES, **spec}}


class Cluster:
    """What live.snapshot.Cluster reads, given."""

    def __init__(self, items=(), central=(), there=(), label="secrets/one"):
        owner = {**CONTROLS, "kind": "ClusterExternalSecret", "name": "one"}
        made = {"metadata": {"name": "one", "namespace": "a", "uid": "es", "ownerReferences": [owner]}}
        self.users = Users(list(items), [made], [], [])
        self.central = {item["metadata"]["name"]: item for item in central}
        self.stores = {(item["kind"], item["metadata"]["name"]): item for item in there or [store()]}
        self.namespaces = {"a": {"metadata": {"name": "a", "labels": {label: "true"}}}}


def read(cluster, *targets):
    return adoption.read(
        LAYOUT, cluster, {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in targets}
    )


# -- the catalog and the values ------------------------------------------------------------------


def test_what_is_expressed_brings_its_values():
    found = read(
        Cluster([distributed()], [secret("src", "central", key=b"s3cret"), secret("unused", "central", x=b"y")])
    )
    assert [one.name for one in found.entries()] == ["one"] and found.foreign == {}
    assert found.values == {"src": {"key": "s3cret"}} and found.isolation == "shared"
    assert list(found.entries()[0].namespaces) == ["a"]


def test_what_reads_elsewhere_is_nothing_of_ours():
    assert read(Cluster([distributed(store="other")], [secret("src", "central", key=b"x")])).catalog == []


def test_a_value_that_is_no_text_is_kept_byte_for_byte():
    data = {"key": b"\x00\xff", "crlf": b"a\r\n", "text": "gr\u00fcn\n".encode(), "escape": b"\x1b[31m"}
    found = read(Cluster([distributed()], [secret("src", "central", **data)])).values["src"]
    assert found["text"] == "gr\u00fcn\n"
    for key in ("key", "crlf", "escape"):
        assert base64.b64decode(found[key]["base64"]) == data[key]


@pytest.mark.parametrize(
    ("central", "target", "reason"),
    [
        ([], None, "its source src is not in the central namespace"),
        ([secret("src", "central", key=b"")], None, "its source src has nothing in key"),
        ([secret("src", "central", other=b"x")], None, "key"),
        (
            [secret("src", "central", key=b"v")],
            secret("one", "a", meta=FILLED, KEY=b"w"),
            "holds something other than it says today",
        ),
        (
            [secret("src", "central", key=b"v")],
            secret("one", "a", kind="kubernetes.io/tls", meta=FILLED, KEY=b"v"),
            "in namespace a",
        ),
    ],
)
def test_what_would_not_give_the_same_targets_stays_foreign(central, target, reason):
    found = read(Cluster([distributed()], central), *([target] if target else []))
    assert found.catalog == [] and reason in found.foreign["one"] and found.values == {}


def test_what_a_tenant_took_from_eso_says_nothing_of_the_entry():
    taken = {"ownerReferences": [{**FILLED["ownerReferences"][0], "kind": "Certificate", "uid": "his"}]}
    for meta in (None, taken):
        found = read(
            Cluster([distributed()], [secret("src", "central", key=b"v")]), secret("one", "a", meta=meta, KEY=b"w")
        )
        assert [one.name for one in found.entries()] == ["one"]


def test_who_renews_a_source_is_said_and_its_value_not_taken():
    renewed = {"annotations": {"cert-manager.io/certificate-name": "x"}}
    found = read(Cluster([distributed()], [secret("src", "central", meta=renewed, key=b"s3cret")]))
    assert found.catalog[0]["written_by"] == "cert-manager" and found.values == {}


def test_what_a_push_secret_writes_is_its_to_renew():
    spec = {
        "secretStoreRefs": [{"kind": "ClusterSecretStore", "name": "store"}],
        "data": [{"match": {"secretKey": "k", "remoteRef": {"remoteKey": "src", "property": "key"}}}],
    }
    push = {"metadata": {"name": "in", "namespace": "team"}, "spec": spec}
    cluster = Cluster([distributed()], [secret("src", "central", key=b"s3cret")])
    cluster.users.pushes.append(push)
    assert "src" in read(cluster).values
    push["status"] = {"syncedPushSecrets": {"ClusterSecretStore/store": {"src/key": {}}}}
    found = read(cluster)
    assert found.catalog[0]["written_by"] == "PushSecret team/in" and found.values == {}


def test_stores_of_their_own_are_the_isolation_by_entry():
    annotated = store("store-one")
    annotated["metadata"]["annotations"] = {stores.ENTRY_ANNOTATION: "one"}
    annotated["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "platform.cluster_secrets"}
    cluster = Cluster([distributed(store="store-one")], [secret("src", "central", key=b"v")], [store(), annotated])
    found = read(cluster)
    assert found.isolation == "entry" and [one.name for one in found.entries()] == ["one"]


def test_what_else_looks_like_a_central_store_is_named():
    other = store("vault-like")
    other["spec"]["provider"]["kubernetes"]["remoteNamespace"] = "masters"
    text = adoption.nothing_found(LAYOUT, Cluster([distributed(store="vault-like")], there=[other]))
    assert "-e cluster_secrets_store=vault-like -e cluster_secrets_store_namespace=masters (1 Cluster" in text
    assert "and no other one copies Secrets" in adoption.nothing_found(LAYOUT, Cluster())


# -- the variables and the answers ---------------------------------------------------------------


def test_defaults_are_left_out():
    found = read(Cluster([distributed()], [secret("src", "central", key=b"v")]))
    default = ("external-secrets", "external-secrets")
    usual = "https://kubernetes.default.svc"
    layout = stores.Layout("shared", "central-secret-store", "central-secret-store")
    said = adoption.variables(found, layout, eso.Release((2, 14, 0)), default, {}, usual, "v.yml")
    assert set(said) == {"cluster_secrets_catalog", "cluster_secrets_values_file", "cluster_secrets_eso_method"}
    other = adoption.variables(
        found, LAYOUT, eso.Release((2, 14, 0)), ("eso", "sa"), {"values": "refuse"}, "https://x", "v"
    )
    assert other["cluster_secrets_store"] == "store" and other["cluster_secrets_store_namespace"] == "central"
    assert other["cluster_secrets_eso_namespace"] == "eso" and other["cluster_secrets_eso_service_account"] == "sa"
    assert other["cluster_secrets_store_server_url"] == "https://x" and "cluster_secrets_takeover" not in other


def test_the_gentlest_answer_that_fits_all_of_a_kind():
    def finding(kind, *answers):
        return preflight.existing(kind, "x", "m", answers)

    chosen = adoption.answers(
        [
            finding("entries", "adopt", "overwrite"),
            finding("targets", "adopt", "overwrite"),
            finding("targets", "overwrite"),
            finding("consumers", "keep", "drop"),
            finding("losses", "accept"),
        ]
    )
    assert chosen["entries"] == "adopt" and chosen["consumers"] == "keep"
    # A person decides what somebody would notice.
    assert chosen["targets"] == chosen["losses"] == chosen["values"] == "refuse"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "https://kubernetes.default.svc"),
        ("kubernetes.default", "https://kubernetes.default"),
        ("https://10.0.0.1:6443", "https://10.0.0.1:6443"),
    ],
)
def test_how_the_live_store_reaches_the_api(url, said):
    live = store()
    live["spec"]["provider"]["kubernetes"]["server"] = {"url": url}
    assert adoption.server_url(LAYOUT, Cluster(there=[live])) == said


def test_the_report_names_what_is_to_be_decided():
    found = read(Cluster([distributed(), distributed("two")], [secret("src", "central", key=b"s3cret")]))
    found.foreign["odd"] = "its template is of its own"
    open_one = preflight.existing("targets", "Secret a/one", "made by hand", ("overwrite",))
    kept = preflight.existing("entries", "ClusterExternalSecret one", "no target changes", ("adopt",))
    chosen = preflight.checked_answers({"entries": "adopt"})
    text = adoption.report(found, [open_one, kept], chosen, eso.Release(None))
    assert "- Secret a/one: made by hand. **to be decided** (`targets`)" in text
    assert "- ClusterExternalSecret one: no target changes. `entries: adopt`" in text
    assert "- `odd`: no entry can express it: its template is of its own" in text and "s3cret" not in text
