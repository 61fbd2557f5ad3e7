# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the links of a chain say of each other; the integration tests break real ones."""

from __future__ import annotations

import base64
import datetime

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit import chain
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired import distribution, stores
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import chain as live_chain
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import usage
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import text
from samples import CONTROLS, ONE, entries, namespace

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
LAYOUT = stores.Layout("shared", "central", "store", eso=("eso", "eso"))
VALUE = base64.b64encode(b"value").decode()
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
FAILED = {"status": {"conditions": [{"type": "Ready", "status": "False", "message": "refused"}]}}
MADE = "2029-01-01T00:00:00Z"
ESO_MADE = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret"}


#: The links in their order.
STEPS = ["entry", "namespace", "label", "operator", "ClusterExternalSecret", "ExternalSecret", "store", "permission"]
STEPS += ["source", "keys", "target", "consumers"]


def secret(name, where, owners=()):
    meta = {"name": name, "namespace": where, "creationTimestamp": MADE, "ownerReferences": list(owners)}
    return {"metadata": meta, "type": "Opaque", "data": {"KEY" if name == "one" else "key": VALUE}}


def pod(key):
    source = {"secretKeyRef": {"name": "one", "key": key}}
    spec = {"containers": [{"name": "main", "env": [{"name": "A", "valueFrom": source}]}]}
    return {"metadata": {"name": "web", "namespace": "a"}, "spec": spec, "status": {}}


def whole():
    (entry,) = entries(ONE)
    found = live_chain.Chain("v1", ["v1"])
    found.namespace = namespace("a", {"secrets/one": "true"})
    found.distributed = {**distribution.cluster_external_secret(entry, "central", "v1"), **READY}
    found.distributed["metadata"] = {**found.distributed["metadata"], "uid": "u"}
    owner = {**CONTROLS, "kind": "ClusterExternalSecret", "name": "one", "uid": "u"}
    found.external = {
        "metadata": {"name": "one", "namespace": "a", "ownerReferences": [owner]},
        "spec": found.distributed["spec"]["externalSecretSpec"],
        **READY,
    }
    manifests = stores.desired(LAYOUT, [entry])
    of_kind = {}
    for item in manifests:
        of_kind.setdefault(item["kind"], []).append(item)
    found.store = {**of_kind["ClusterSecretStore"][0], **READY}
    found.account = of_kind["ServiceAccount"][0]
    found.roles, found.bindings = of_kind["Role"], of_kind["RoleBinding"]
    found.cluster_roles, found.cluster_bindings = of_kind["ClusterRole"], of_kind["ClusterRoleBinding"]
    found.sources = {"src": secret("src", "store")}
    found.target = secret("one", "a", [{**ESO_MADE, "name": "one"}])
    labels = {"app.kubernetes.io/name": "external-secrets"}
    status = {"updatedReplicas": 1, "availableReplicas": 1}
    found.deployments = [
        {"metadata": {"name": "eso", "namespace": "eso", "labels": labels}, "spec": {}, "status": status}
    ]
    found.webhooks = found.endpoints = []
    found.refusal = None
    found.usage = usage.Usage({}, [pod("KEY")], [], [], [], [])
    return entry, found


def states(found, entry, **options):
    links = chain.judge(entry, "a", LAYOUT, found, NOW, **options)
    return {one.step: one.state for one in links}, chain.broken(links), links


def test_a_whole_chain():
    entry, found = whole()
    seen, broken, _links = states(found, entry)
    assert set(seen.values()) == {"ok"} and list(seen) == STEPS and broken is None


def test_whoever_uses_the_secret_breaks_nothing_before_it():
    entry, found = whole()
    found.external.update(FAILED)
    found.usage = usage.Usage({}, [pod("absent")], [], [], [], [])
    seen, broken, _links = states(found, entry)
    assert broken.step == "ExternalSecret" and "refused" in broken.message
    assert seen["consumers"] == "broken"


def test_a_target_that_may_not_be_read_says_nothing_of_its_keys():
    entry, found = whole()
    found.target, found.denied["target"] = None, "forbidden"
    seen, broken, links = states(found, entry)
    assert seen["target"] == seen["consumers"] == "unknown" and broken is None
    assert text.chain_table([one.as_dict() for one in links])[-1].startswith("No broken link was found; 2 could not")


def test_an_owner_of_another_name_and_a_user_that_is_an_account():
    entry, found = whole()
    found.target = secret("one", "a", [{**ESO_MADE, "name": "theirs"}])
    assert states(found, entry)[1].message.startswith("somebody who names ExternalSecret theirs as its owner made")
    entry, found = whole()
    (reader,) = [one for one in found.bindings if one["metadata"]["name"] == stores.READER]
    reader["subjects"] = [{"kind": "User", "name": "system:serviceaccount:store:" + stores.READER}]
    assert states(found, entry)[1] is None


def test_without_an_operator_the_rest_follows():
    entry, found = whole()
    found.version, found.served = None, ["v1alpha1"]
    found.distributed = found.external = found.store = None
    seen, broken, _links = states(found, entry)
    assert broken.step == "operator" and "serves v1alpha1 only" in broken.message
    assert seen["ClusterExternalSecret"] == seen["ExternalSecret"] == seen["store"] == "follows"


def test_gitops_and_names():
    entry, found = whole()
    found.namespace = namespace("a")
    commands = [states(found, entry, gitops=gitops)[1].fix.command for gitops in (False, True)]
    assert "onboard" in commands[0] and "render" in commands[1]
    others = entries(
        {**ONE, "name": "x", "target": "y"},
        {**ONE, "name": "z", "target": "x", "label": "secrets/z", "external_secret": "made"},
    )
    assert chain.choose(others, "a", {"secrets/one": "true"}, "x").name == "z"
    assert chain.choose(others, "a", {}, "made").name == "z" and chain.choose(others, "a", {}, "none") is None


@pytest.mark.parametrize("gone", ["namespace", "distributed", "external", "store", "account", "sources", "target"])
def test_whatever_is_absent_there_is_a_verdict(gone):
    entry, found = whole()
    setattr(found, gone, {} if gone == "sources" else None)
    assert states(found, entry)[1].fix.text()


def test_what_is_to_be_done_is_what_helps():
    """A generated value is not among the values; what somebody else distributes would be refused by a bootstrap."""
    entry, found = whole()
    found.sources = {}
    assert states(found, entry)[1].fix.hint == "Add it to the values, then"
    (made,) = entries({**ONE, "generate": {"key": {}}})
    assert states(found, made)[1].fix.command.endswith(".rotate -e cluster_secrets_rotate_sources=src")
    entry, found = whole()
    found.distributed["spec"] = {**found.distributed["spec"], "refreshTime": "5m"}
    assert states(found, entry)[1].fix == chain.BOOTSTRAP
    found.distributed["metadata"] = {"name": "one", "uid": "u"}
    assert ".adopt -e cluster_secrets_dest=adopted" in states(found, entry)[1].fix.command
    entry, found = whole()
    found.external = None
    links = states(found, entry)[2]
    assert text.chain_table([one.as_dict() for one in links])[-1].startswith("Look at ESO's log: ansible-playbook ")


def test_a_replica_that_is_not_back_breaks_nothing():
    entry, found = whole()
    (controller,) = found.deployments
    controller["spec"]["replicas"] = 2
    assert states(found, entry)[1] is None
    controller["status"]["availableReplicas"] = 0
    assert states(found, entry)[1].step == "operator"


def test_a_namespace_that_only_the_operator_holds():
    entry, found = whole()
    found.namespace["metadata"].update(
        deletionTimestamp=MADE, finalizers=["externalsecrets.external-secrets.io/ces-one", "kubernetes"]
    )
    assert states(found, entry)[1].fix == chain.offboarding("a", "one")


def test_a_target_of_another_type_and_one_that_something_makes_anew():
    entry, found = whole()
    found.external.update(FAILED)
    found.target["type"] = "kubernetes.io/tls"
    broken = states(found, entry)[1]
    assert broken.step == "target" and "delete secret one" in broken.fix.command
    entry, found = whole()
    found.target["metadata"]["ownerReferences"] = [{"kind": "SealedSecret", "name": "one"}]
    assert states(found, entry)[1].fix.hint.startswith("Look in namespace a who writes it")


def test_a_controller_that_leaves_the_cluster_wide_objects_alone():
    entry, found = whole()
    (controller,) = found.deployments
    flag = "--enable-cluster-store-reconciler=false"
    controller["spec"]["template"] = {"spec": {"containers": [{"args": ["--concurrent=8", flag]}]}}
    broken = states(found, entry)[1]
    assert broken.step == "operator" and flag in broken.message


def test_what_is_said_of_values_is_known():
    entry, found = whole()
    found.sources, found.denied["sources"] = {}, "forbidden"
    assert {one.step: one.message for one in states(found, entry)[2]}["target"] == "Secret a/one is there"
    (made,) = entries({**ONE, "generate": {"key": {}}})
    for one, fix in ((entry, "Add it to the values, then: "), (made, chain.ROTATE.command)):
        _entry, found = whole()
        found.sources["src"]["data"] = {}
        broken = states(found, one)[1]
        assert broken.step == "keys" and broken.fix.text().startswith(fix)


def test_a_quota_is_named_with_what_eso_says():
    entry, found = whole()
    found.external["status"] = {"conditions": [{"type": "Ready", "status": "False", "message": "could not update"}]}
    found.refusal = "exceeded quota: none"
    (link,) = [one for one in states(found, entry)[2] if one.step == "ExternalSecret"]
    assert link.message.endswith(": could not update; exceeded quota: none")
