# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the next node may be upgraded: what is not as it should be, each with its cause. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Collection, Iterator

from .. import workloads
from ..desired import consumers
from ..desired.distribution import failed_namespaces, is_owned
from ..findings import problem
from ..live import state
from ..live.eso import CONTROLLER, NAME_LABEL
from ..resources import Object, condition_of, holds_true, label_of, matches, ready_condition

if TYPE_CHECKING:
    from ..catalog.entries import Entry
    from ..findings import Finding
    from ..live.chain import Chain
    from ..live.health import Health

#: Reasons for which a container waits that a Secret can be the cause of.
_CONFIG, _PULL = ("CreateContainerConfigError",), ("ImagePullBackOff", "ErrImagePull")


def pods_that_count(health: Health, except_namespaces: Collection[str] = ()) -> list[Object]:
    """The live pods that have not ended, but for those of ``except_namespaces``."""
    return [
        pod
        for pod in health.pods
        if not workloads.finished(pod) and pod["metadata"]["namespace"] not in except_namespaces
    ]


def judge(
    entries: list[Entry],
    health: Health,
    store: str,
    pods: list[Object],
    secrets: Collection[tuple[str, str]],
    except_nodes: Collection[str] = (),
    except_namespaces: Collection[str] = (),
    drain: bool = False,
) -> list[Finding]:
    """What keeps the gate closed, the causes before what follows from them.

    :arg store: the shared ClusterSecretStore, which must exist.
    :arg pods: those of :func:`pods_that_count`.
    :arg secrets: (namespace, name) of the live Secrets of all namespaces that :func:`to_look_at` names.
    :arg except_nodes: nodes that may be not ready.
    :arg except_namespaces: namespaces whose targets don't count.
    :arg drain: whether nodes are about to be drained, which takes more.
    """
    problems = list(_nodes(health, except_nodes))
    problems += parts(health)
    problems += _not_ready("store", "ClusterSecretStore", health.stores, {store})
    excused = _excused(health.distributed, except_namespaces)
    distributed = [distributed for distributed in health.distributed if distributed["metadata"]["name"] not in excused]
    wanted = {entry.name for entry in entries} - excused
    problems += _not_ready("distribution", "ClusterExternalSecret", distributed, wanted)
    rows = state.judge(entries, health.targets)
    problems += [
        problem("target", "Secret %s/%s" % row.key, "%s%s" % (row.status, row.message and ": " + row.message))
        for row in rows
        if row.status != state.SYNCED and row.namespace not in except_namespaces
    ]
    problems += _pods(pods, secrets)
    problems += _unscheduled(pods, {row.key for row in rows}.union(_kept_targets(health)))
    if drain:
        problems += _drain(health)
        problems += _pull_secrets(pods, secrets)
    return problems


def _excused(distributed: list[Object], except_namespaces: Collection[str]) -> set[str]:
    """The ClusterExternalSecrets that are not ready only because of namespaces that don't count."""
    excused = set()
    for item in distributed:
        if "deletionTimestamp" in item["metadata"]:
            continue
        failed = set(failed_namespaces(item))
        if failed and failed <= set(except_namespaces):
            excused.add(item["metadata"]["name"])
    return excused


def to_look_at(pods: list[Object], drain: bool = False) -> set[str]:
    """The namespaces of ``pods`` of which it matters which Secrets they have."""
    return {
        pod["metadata"]["namespace"]
        for pod in pods
        if _waits(pod) or (drain and (pod.get("spec") or {}).get("imagePullSecrets"))
    }


def _nodes(health: Health, except_nodes: Collection[str]) -> Iterator[Finding]:
    names = {item["metadata"]["name"] for item in health.nodes}
    for name in sorted(set(except_nodes) - names):
        yield problem("node", "Node %s" % name, "there is no such node")
    for item in health.nodes:
        name = item["metadata"]["name"]
        if name in except_nodes:
            continue
        if _is_cordoned(item):
            since = _cordoned_since(item)
            yield problem(
                "node",
                "Node %s" % name,
                "it is cordoned%s, so nothing can move there. Uncordon it, or except it "
                "(cluster_secrets_gate_except_nodes)" % since,
            )
        if holds_true(item, "Ready"):
            continue
        said = (ready_condition(item) or {}).get("message")
        yield problem("node", "Node %s" % name, "it is not ready%s" % (": " + said if said else ""))


#: What Kubernetes puts on a cordoned node, and kubectl cordon into its spec.
_CORDONED = "node.kubernetes.io/unschedulable"


def _is_cordoned(node: Object) -> bool:
    spec = node.get("spec") or {}
    return bool(spec.get("unschedulable")) or any(taint.get("key") == _CORDONED for taint in spec.get("taints") or [])


def _cordoned_since(node: Object) -> str:
    """' (since ...)', by the taint or by the record of who set it; nothing where neither says it."""
    taints = (node.get("spec") or {}).get("taints") or []
    times = [taint.get("timeAdded") for taint in taints if taint.get("key") == _CORDONED]
    times += [
        record.get("time")
        for record in node["metadata"].get("managedFields") or []
        if "f:unschedulable" in ((record.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    known = [time for time in times if time]
    return " (since %s)" % known[0] if known else ""


def _unscheduled(pods: list[Object], targets: Collection[tuple[str, str]]) -> Iterator[Finding]:
    """Pods that use a target and find no node."""
    for pod in pods:
        place = condition_of(pod, "PodScheduled")
        if (pod.get("status") or {}).get("phase") != "Pending" or (place or {}).get("status") != "False":
            continue
        if (place or {}).get("reason") == "SchedulingGated":
            continue  # somebody holds it back, as queues do
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        used = sorted(
            {
                reference.secret
                for reference in workloads.references(pod["spec"])
                if (namespace, reference.secret) in targets
            }
        )
        if used:
            said = ((place or {}).get("message") or "no node takes it").rstrip(".")
            text = "it uses the Secret %s and can't be scheduled: %s" % (", ".join(used), said)
            yield problem("pod", "Pod %s/%s" % (namespace, name), text)


def _kept_targets(health: Health) -> set[tuple[str, str]]:
    """(namespace, name) of what the consumers make that were kept beside the catalog."""
    names = consumers.kept_beside(health.stores)
    targets = {
        (namespace, consumers.distributed_target(item))
        for item in health.distributed
        if label_of("ClusterExternalSecret", item) in names
        for namespace, live in health.targets.namespaces.items()
        if consumers.selects(item, namespace, live["metadata"].get("labels") or {})
    }
    for (namespace, _name), item in health.targets.externals.items():
        if label_of("ExternalSecret", item) in names:
            targets.add((namespace, consumers.external_target(item)))
    return targets


def parts(health: Health | Chain) -> list[Finding]:
    """What is wrong with ESO's own Deployments and webhooks."""
    return [*_eso(health), *_webhooks(health)]


#: Arguments of ESO's controller for those who have ExternalSecrets and SecretStores only; and what Go takes for false.
_SWITCHES = ("enable-cluster-external-secret-reconciler", "enable-cluster-store-reconciler")
_FALSE = ("0", "f", "F", "false", "False", "FALSE")


def _is_switched_off(argument: str) -> bool:
    name, _equals, value = argument.lstrip("-").partition("=")
    return name in _SWITCHES and value in _FALSE and argument.startswith("-")


def stopped(health: Health | Chain) -> list[Finding]:
    """Those of :func:`parts` that keep ESO from working: no controller available, or a webhook that refuses."""
    working = {
        "Deployment %s" % item["metadata"]["name"]
        for item in health.deployments
        if _name_label(item) != CONTROLLER
        or (item["spec"].get("replicas", 1) and (item.get("status") or {}).get("availableReplicas", 0))
    }
    problems = [finding for finding in parts(health) if finding.object not in working]
    for item in health.deployments:
        containers = ((item["spec"].get("template") or {}).get("spec") or {}).get("containers") or []
        given = [
            argument
            for container in containers
            for argument in [*(container.get("command") or []), *(container.get("args") or [])]
        ]
        off = sorted(set(filter(_is_switched_off, given)))
        if off and _name_label(item) == CONTROLLER:
            message = "it runs with %s, which switches off what the collection needs" % " and ".join(off)
            problems.append(problem("eso", "Deployment %s" % item["metadata"]["name"], message))
    return problems


def _name_label(item: Object) -> str:
    return (item["metadata"].get("labels") or {}).get(NAME_LABEL, "")


def _eso(health: Health | Chain) -> Iterator[Finding]:
    parts = [item for item in health.deployments if _name_label(item).startswith(CONTROLLER)]
    if not any(_name_label(item) == CONTROLLER for item in parts):
        yield problem("eso", "Deployment", "ESO's controller is not there")
    for item in parts:
        status, wanted = item.get("status") or {}, item["spec"].get("replicas", 1)
        label = "Deployment %s" % item["metadata"]["name"]
        if status.get("observedGeneration", 0) < item["metadata"].get("generation", 0):
            yield problem("eso", label, "its latest change is not rolled out yet")
        elif not wanted:
            yield problem("eso", label, "it is scaled to 0")
        elif status.get("updatedReplicas", 0) < wanted or status.get("availableReplicas", 0) < wanted:
            available = min(status.get("updatedReplicas", 0), status.get("availableReplicas", 0))
            yield problem("eso", label, "%d of %d replicas are available" % (available, wanted))


def _webhooks(health: Health | Chain) -> Iterator[Finding]:
    """A webhook of ESO that nobody answers refuses every write of ESO's objects."""
    namespaces = {item["metadata"]["namespace"] for item in health.deployments}
    ready = {
        (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name")
        for item in health.endpoints
        for endpoint in item.get("endpoints") or []
        # Without the condition an endpoint counts as ready.
        if (endpoint.get("conditions") or {}).get("ready") is not False
    }
    services = {
        service["name"]
        for item in health.webhooks
        for webhook in item.get("webhooks") or []
        for service in [(webhook.get("clientConfig") or {}).get("service")]
        if service and service["namespace"] in namespaces
    }
    for name in sorted(services - ready):
        yield problem("webhook", "Service %s" % name, "no endpoint is ready; it would refuse ESO's objects")


def _not_ready(check: str, kind: str, live: list[Object], wanted: set[str]) -> Iterator[Finding]:
    """What is not ready of our live objects and those of the ``wanted`` names."""
    ours = {item["metadata"]["name"] for item in live if is_owned(item)}
    names = {item["metadata"]["name"] for item in live}
    for name, said in state.not_ready(live, ours | wanted):
        there = "it is not ready: %s" % (said or "ESO has not looked at it") if name in names else "it is not there"
        yield problem(check, "%s %s" % (kind, name), there)


def _waits(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") == "Pending" or bool(workloads.waiting(pod))


def _pods(pods: list[Object], secrets: Collection[tuple[str, str]]) -> Iterator[Finding]:
    for pod in filter(_waits, pods):
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        label, states = "Pod %s/%s" % (namespace, name), workloads.waiting(pod)
        pulling = any(reason in _PULL for reason, _message in states)
        missing = [
            reference
            for reference in workloads.references(pod["spec"])
            if not reference.optional and (namespace, reference.secret) not in secrets
        ]
        # A pull Secret may be missing where the image needs none.
        causes = [one for one in missing if one.way != workloads.PULL or pulling]
        for secret in dict.fromkeys(cause.secret for cause in causes):
            ways = ", ".join(dict.fromkeys(cause.way for cause in causes if cause.secret == secret))
            yield problem("pod", label, "it waits for the Secret %s (%s)" % (secret, ways))
        refused = [text for reason, text in states if reason in _CONFIG and "secret" in text.lower()]
        if refused and not causes:
            yield problem("pod", label, "it can't start: %s" % refused[0])


def _drain(health: Health) -> Iterator[Finding]:
    for item in health.deployments:
        if _name_label(item) != CONTROLLER:
            continue
        label, name = "Deployment %s" % item["metadata"]["name"], item["metadata"]["name"]
        arguments = [
            argument
            for container in item["spec"]["template"]["spec"]["containers"]
            for argument in container.get("args") or []
        ]
        elects = any(
            argument in ("--enable-leader-election", "--enable-leader-election=true") for argument in arguments
        )
        if item["spec"].get("replicas", 1) > 1 and not elects:
            yield problem("drain", label, "%s has several replicas and no leader election" % name)
    for item in health.deployments:
        labels = (item["spec"]["template"]["metadata"].get("labels")) or {}
        for budget in health.budgets:
            selector = budget["spec"].get("selector")
            allowed = (budget.get("status") or {}).get("disruptionsAllowed", 0)
            if selector is not None and matches(selector, labels) and allowed < 1:
                text = "it allows no eviction of %s now, so a drain would wait for ever" % item["metadata"]["name"]
                yield problem("drain", "PodDisruptionBudget %s" % budget["metadata"]["name"], text)


def _pull_secrets(pods: list[Object], secrets: Collection[tuple[str, str]]) -> Iterator[Finding]:
    absent: dict[tuple[str, str], int] = {}
    for pod in pods:
        for reference in workloads.references(pod["spec"]):
            key = (pod["metadata"]["namespace"], reference.secret)
            if reference.way == workloads.PULL and key not in secrets:
                absent[key] = absent.get(key, 0) + 1
    for key, count in sorted(absent.items()):
        yield problem(
            "pull-secret", "Secret %s/%s" % key, "%d pod(s) name it to pull images, and it is not there" % count
        )
