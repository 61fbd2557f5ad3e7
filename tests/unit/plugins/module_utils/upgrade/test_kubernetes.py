# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What another version of Kubernetes would stop."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade import kubernetes


def counted(resource, group, version, removed, value):
    """A line of what an API server counts."""
    labels = f'group="{group}",removed_release="{removed}",resource="{resource}",subresource="",version="{version}"'
    return f"apiserver_requested_deprecated_apis{{{labels}}} {value}\n"


METRICS = (
    "# TYPE apiserver_requested_deprecated_apis gauge\n"
    + counted("componentstatuses", "", "v1", "", 1)
    + counted("flowschemas", "flowcontrol.apiserver.k8s.io", "v1beta3", "1.32", 1)
    + counted("podsecuritypolicies", "policy", "v1beta1", "1.25", 0)
    + counted("later", "x", "v1", "1.40", 1)
    + 'apiserver_request_total{code="200"} 7\n'
)


def node(kubelet):
    return {"metadata": {"name": "n"}, "status": {"nodeInfo": {"kubeletVersion": kubelet}}}


def test_what_is_in_use_and_gone_then():
    ((api, said),) = kubernetes.removed(METRICS, (1, 32, 0))
    assert api == "flowschemas of flowcontrol.apiserver.k8s.io/v1beta3" and said.startswith("is in use, and gone")
    assert kubernetes.removed(METRICS, (1, 31, 5)) == [] == kubernetes.removed("", (1, 32, 0))


@pytest.mark.parametrize(
    ("now", "wanted", "said"),
    [
        ((1, 35, 1), (1, 36, 0), None),
        ((1, 35, 1), (1, 35, 0), None),
        ((1, 35, 1), (1, 34, 9), "no way back"),
        ((1, 35, 1), (1, 37, 0), "upgrade to 1.36 first"),
        ((1, 35, 1), (2, 0, 0), "upgrade to 1.36 first"),
    ],
)
def test_the_way(now, wanted, said):
    if said is None:
        kubernetes.refuse_way(now, wanted)
    else:
        with pytest.raises(CatalogError, match=said):
            kubernetes.refuse_way(now, wanted)


def test_a_version():
    assert kubernetes.parse("v1.36.3+k3s1") == (1, 36, 3) == kubernetes.parse("1.36.3")
    assert kubernetes.wanted_version("v1.36.3") == (1, 36, 3)
    with pytest.raises(CatalogError, match="no release"):
        kubernetes.wanted_version("1.37.0-rc.1")
    for wrong in ("1.36", "newest", "", "1.36.3.4"):
        with pytest.raises(CatalogError, match="no version of Kubernetes"):
            kubernetes.parse(wrong)


def test_how_far_it_is():
    nodes = [node("v1.36.3"), node("v1.35.0")]
    assert not kubernetes.is_done((1, 36, 3), nodes, (1, 36, 3)) and kubernetes.is_done(
        (1, 36, 3), nodes[:1], (1, 36, 3)
    )
    assert kubernetes.waits_for((1, 36, 2), nodes, (1, 36, 3)) == [
        "the API server runs 1.36.2",
        "the kubelets of n do not run it",
    ]
    old = kubernetes.judge([node("v1.32.0"), node("v1.33.0"), node("?")], "", (1, 36, 3))
    assert [one.check for one in old] == ["kubelet"]


def test_what_upstream_tested():
    assert "up to 1.34 only" in kubernetes.untested((0, 20, 4), (1, 36, 0))
    assert kubernetes.untested((2, 9, 0), (1, 36, 3)) is None
    assert "up to 1.36 only" in kubernetes.untested((2, 8, 0), (1, 37, 0))
    # Of these, upstream has said nothing that is known here.
    assert kubernetes.untested((2, 14, 0), (1, 38, 0)) is None is kubernetes.untested(None, (1, 38, 0))
