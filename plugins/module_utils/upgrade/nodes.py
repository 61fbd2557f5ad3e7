# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes an upgrade of Talos has done, has begun and has to do, by what the Kubernetes API says. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, NamedTuple

from ..errors import CatalogError
from ..plan.nodes import is_cordoned, node_mark, staged_image
from ..resources import Object, holds_true, ready_condition

#: Talos writes the schematic of the image that runs, as it does each system extension.
SCHEMATIC = "extensions.talos.dev/schematic"

_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"

DONE, BACK, TO_DO = "done", "back", "to do"


class Wanted(NamedTuple):
    """What nodes are to run: a version such as 'v1.11.2', a schematic (empty: any will do), and the image with it."""

    version: str
    schematic: str = ""
    image: str = ""


def version_of(image: str) -> str:
    """The version that an installer's image has by its tag. Raises CatalogError for an image without one."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    if not re.match(r"v[0-9]+\.[0-9]+\.[0-9]+", tag):
        raise CatalogError(
            "the image '%s' has no tag that is a version of Talos. Name one such as '...:v1.11.2', or say the version "
            "in 'cluster_secrets_talos_version'." % image
        )
    return tag


def running(node: Object) -> str:
    """The version of Talos that a live node runs; the whole name of its system if that is another."""
    image = str((((node.get("status") or {}).get("nodeInfo")) or {}).get("osImage") or "")
    match = re.match(r"Talos \((.+)\)\Z", image)
    return match[1] if match else image


def is_control_plane(node: Object) -> bool:
    """Whether a live node belongs to the control plane."""
    return _CONTROL_PLANE in (node["metadata"].get("labels") or {})


def misplaced(node: Object, address: str) -> str:
    """Why a live node can't be meant by an IP address, or nothing; of a name, nobody here knows whose it is.

    Nodes of the same name are in every cluster.
    """
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return ""
    known = []
    for one in (node.get("status") or {}).get("addresses") or []:
        try:
            known.append(ipaddress.ip_address(str(one.get("address"))))
        except ValueError:
            continue
    if not known or wanted in known:
        return ""
    name = node["metadata"]["name"]
    return "Node %s of this cluster has the address %s, and not %s" % (name, ", ".join(map(str, known)), wanted)


def begun(node: Object) -> dict[str, Any] | None:
    """What the mark of an upgrade that was begun says of a live node, or None without one."""
    mark = node_mark(node)
    # Whoever spoilt it, the node was begun; a cordon is then left to people.
    return {"cordoned": True} if mark == {} else mark


def lacks(node: Object, wanted: Wanted) -> list[str]:
    """What keeps a live node from being upgraded, as texts; empty for one that is."""
    reasons = []
    if running(node) != wanted.version:
        reasons.append("it runs %s and not %s" % (running(node) or "an unknown system", wanted.version))
    schematic = (node["metadata"].get("annotations") or {}).get(SCHEMATIC, "none")
    if wanted.schematic and schematic != wanted.schematic:
        reasons.append("its schematic is %s and not %s" % (schematic, wanted.schematic))
    return reasons


def waits_for(node: Object | None, wanted: Wanted) -> list[str]:
    """What a node (None: absent) that was upgraded is still waited for, as texts."""
    if node is None:
        return ["it is not in the cluster"]
    reasons = lacks(node, wanted)
    if not holds_true(node, "Ready"):
        said = str((ready_condition(node) or {}).get("message") or "").rstrip(".")
        reasons.insert(0, "it is not ready%s" % (": " + said if said else ""))
    return reasons


def status(node: Object, wanted: Wanted) -> str:
    """:data:`DONE`, :data:`TO_DO`, or :data:`BACK` for a node that runs what is wanted and has yet to be finished."""
    if lacks(node, wanted):
        return TO_DO
    return DONE if begun(node) is None and not staged_image(node) else BACK


def is_staged(node: Object, wanted: Wanted) -> bool:
    """Whether a live node's next reboot begins what is wanted."""
    return bool(wanted.image) and staged_image(node) == wanted.image and begun(node) is None


def in_order(nodes: list[Object]) -> list[Object]:
    """Live nodes in the order of their upgrade: what was begun, the control plane, the workers, each as given."""
    return sorted(nodes, key=lambda one: (begun(one) is None, not is_control_plane(one)))


def batches(ordered: list[Object], workers: int) -> list[list[str]]:
    """The names of live nodes that are upgraded together: of the control plane one, of the workers so many."""
    result: list[list[str]] = []
    together = False
    for node in ordered:
        name, alone = node["metadata"]["name"], is_control_plane(node)
        if not alone and together and len(result[-1]) < workers:
            result[-1].append(name)
        else:
            result.append([name])
        together = not alone
    return result


def notes(node: Object, wanted: Wanted) -> list[str]:
    """What is worth knowing of a live node before its upgrade."""
    said = []
    if status(node, wanted) != DONE and begun(node) is not None:
        said.append("begun before")
    if is_staged(node, wanted) and status(node, wanted) == TO_DO:
        said.append("staged, to be rebooted")
    if is_cordoned(node) and begun(node) is None:
        said.append("cordoned, and stays so")
    return said


def held_by_nodes(volumes: list[Object], names: set[str]) -> list[str]:
    """Of live PersistentVolumes, those that only one of the named nodes has: '<claim> (on <node>)'."""
    claims = []
    for volume in volumes:
        spec = volume.get("spec") or {}
        places = _places((spec.get("nodeAffinity") or {}).get("required") or {})
        claim = spec.get("claimRef") or {}
        if len(places) == 1 and places <= names and claim:
            claims.append("%s/%s (on %s)" % (claim.get("namespace"), claim.get("name"), min(places)))
    return sorted(claims)


#: By which label a volume names the node that it is on.
_HOSTNAME = "kubernetes.io/hostname"


def _places(selector: dict[str, Any]) -> set[str]:
    """The nodes that a volume's selector names."""
    return {
        str(value)
        for term in selector.get("nodeSelectorTerms") or []
        for expression in term.get("matchExpressions") or []
        if expression.get("key") == _HOSTNAME and expression.get("operator") == "In"
        for value in expression.get("values") or []
    }
