# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What another version of Kubernetes would stop, and how far a cluster is with it. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..advisories import Number, tested_until, text
from ..errors import CatalogError
from ..findings import problem

if TYPE_CHECKING:
    from ..findings import Finding
    from ..resources import Object

#: What may be accepted, each with what it is about.
CHECKS = {
    "removed": "an API that is in use is no longer served",
    "kubelet": "a node's kubelet is too old for the version",
}

#: How many minor releases a kubelet may be behind its API server.
_SKEW = 3

#: The API server's own count of who asked for what will be removed.
_DEPRECATED = re.compile(r"^apiserver_requested_deprecated_apis\{(.*)\} +(?!0(?:\.0)?$)[0-9.e+]+$", re.M)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def wanted_version(version: str) -> Number:
    """A version that is asked for, as numbers. Raises CatalogError; also for what comes before a release."""
    if re.search(r"[-+]", str(version)):
        raise CatalogError("'%s' is no release of Kubernetes. Write one such as 1.37.2. Nothing was changed." % version)
    return parse(version)


def parse(version: str) -> Number:
    """A version such as 'v1.37.2', or 'v1.37.2+k3s1', as numbers. Raises CatalogError."""
    match = re.match(r"v?([0-9]+)\.([0-9]+)\.([0-9]+)(?:[-+].*)?\Z", str(version))
    if not match:
        raise CatalogError("'%s' is no version of Kubernetes. Write one such as 1.37.2. Nothing was changed." % version)
    return int(match[1]), int(match[2]), int(match[3])


def refuse_way(now: Number, wanted: Number) -> None:
    """Raise CatalogError for a way that no cluster can go: back to an earlier minor release, or beyond the next."""
    if wanted[:2] < now[:2]:
        raise CatalogError(
            "the cluster runs Kubernetes %s, and %s is older: there is no way back. Nothing was changed."
            % (text(now), text(wanted))
        )
    if wanted[:2] > (now[0], now[1] + 1):
        raise CatalogError(
            "the cluster runs Kubernetes %s and can't go straight to %s: upgrade to %d.%d first. Nothing was changed."
            % (text(now), text(wanted), now[0], now[1] + 1)
        )


def kubelet(node: Object) -> str:
    """The version of a live node's kubelet."""
    return str(((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion") or "")


def running(nodes: list[Object], wanted: Number) -> list[str]:
    """The names of the live nodes whose kubelet runs what is wanted, sorted."""
    return sorted(node["metadata"]["name"] for node in nodes if _number(kubelet(node)) == wanted)


#: On a live node: the version to which talosctl was begun. It writes kube-proxy and the manifests last, when the API
#: server and all nodes run it.
MARK = "cluster-secrets/kubernetes-upgrade"


def begun(nodes: list[Object]) -> list[Object]:
    """The live nodes that are marked, since talosctl has not ended well yet."""
    return [node for node in nodes if MARK in (node["metadata"].get("annotations") or {})]


def is_done(server: Number, nodes: list[Object], wanted: Number) -> bool:
    """Whether the API server and every live node run what is wanted, and no talosctl was interrupted."""
    return server == wanted and len(running(nodes, wanted)) == len(nodes) and not begun(nodes)


def waits_for(server: Number, nodes: list[Object], wanted: Number) -> list[str]:
    """What a cluster that was upgraded is still waited for, as texts."""
    reasons = [] if server == wanted else ["the API server runs %s" % text(server)]
    behind = [node["metadata"]["name"] for node in nodes if _number(kubelet(node)) != wanted]
    if behind:
        reasons.append("the kubelets of %s do not run it" % ", ".join(behind[:5]))
    return reasons


def judge(nodes: list[Object], metrics: str, wanted: Number) -> list[Finding]:
    """What the wanted version would stop, by the live nodes and what the API server counts (empty: not known)."""
    problems = []
    for node in nodes:
        number = _number(kubelet(node))
        if number and number[1] < wanted[1] - _SKEW:
            message = "its kubelet runs %s, too old for an API server of %d.%d. Upgrade it first"
            said = message % (kubelet(node), wanted[0], wanted[1])
            problems.append(problem("kubelet", "Node %s" % node["metadata"]["name"], said))
    problems += [problem("removed", api, said) for api, said in removed(metrics, wanted)]
    return problems


def removed(metrics: str, wanted: Number) -> list[tuple[str, str]]:
    """Of what was asked for since the API server's start, what the wanted version no longer serves: (what, why)."""
    gone = set()
    for line in _DEPRECATED.findall(metrics):
        labels = dict(_LABEL.findall(line))
        release = re.match(r"([0-9]+)\.([0-9]+)\Z", labels.get("removed_release", ""))
        if release and (int(release[1]), int(release[2])) <= wanted[:2]:
            api = "/".join(filter(None, (labels.get("group"), labels.get("version"))))
            said = (
                "is in use, and gone since %s. Find who asks for it in the audit log, where such requests have the "
                "annotation k8s.io/deprecated" % labels["removed_release"]
            )
            gone.add(("%s of %s" % (labels.get("resource"), api), said))
    return sorted(gone)


def untested(release: Number | None, wanted: Number) -> str | None:
    """What is said of a release of ESO that upstream tested with older versions only; None if it tested this one."""
    until = tested_until(release) if release else None
    if release is None or until is None or wanted[:2] <= until:
        return None
    return (
        "upstream tested External Secrets %s with Kubernetes up to %d.%d only. Upgrade it first (eso_upgrade), or "
        "try it on a cluster that may fail." % (text(release), *until)
    )


def _number(version: str) -> Number | None:
    try:
        return parse(version)
    except CatalogError:
        return None
