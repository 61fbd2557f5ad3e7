# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API versions of ESO: the CRDs of five releases, each on a control plane of its own."""

from __future__ import annotations

import gzip
import signal
import time

import pytest
import yaml
from support import ROOT, another

from controlplane import build

#: ESO release -> what its CRDs serve, and what the collection must choose.
MATRIX = {
    "v0.14.4": ({"v1beta1"}, "v1beta1"),
    "v0.16.1": ({"v1beta1", "v1"}, "v1"),
    "v0.20.4": ({"v1"}, "v1"),
    "v1.3.2": ({"v1"}, "v1"),
}

#: A release that is not to be had as a Go module; its CRDs lie beside the checkout where somebody put them.
NEWEST = "v2.9.0"
NEWEST_CRDS = ROOT.parent / "shared/data/eso-v2.9.0-crds.yaml.gz"
MATRIX[NEWEST] = ({"v1"}, "v1")


def crds(name, folder):
    """The path of a release's CRDs."""
    if name != NEWEST:
        return str(build.eso_crds(name))
    if not NEWEST_CRDS.exists():
        pytest.skip(f"{NEWEST}'s CRDs are not at ../shared/data")
    path = folder / f"{name}.yaml"
    path.write_bytes(gzip.decompress(NEWEST_CRDS.read_bytes()))
    return str(path)


@pytest.fixture(scope="module", params=MATRIX)
def release(request, platform):
    """An empty control plane with the CRDs of one release, and no controller."""
    folder = platform.folder / f"crds-{request.param}"
    folder.mkdir()
    src = crds(request.param, folder)
    with another(platform, "crds") as bare:
        predicted = bare.module("eso_crds", src=src, check_mode=True).result
        done = bare.module("eso_crds", src=src).result
        assert done["established"] and done["changes"] == predicted["changes"]
        again = bare.module("eso_crds", src=src).result
        assert not again["changed"], [change["name"] for change in again["changes"]]
        yield request.param, bare


def test_the_matrix_is_what_the_harness_pins():
    assert tuple(name for name in MATRIX if name != NEWEST) == build.ESO_CRD_VERSIONS


def test_the_newest_served_version_is_used_and_nothing_changes_twice(release, catalog):
    name, bare = release
    served, chosen = MATRIX[name]
    live = bare.get(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/clusterexternalsecrets.external-secrets.io"
    )
    assert {version["name"] for version in live["spec"]["versions"] if version["served"]} == served
    bare.module("central_secrets", catalog=catalog, values=bare.values)
    for module, options, count in (
        ("cluster_secret_store", {"wait": False}, 8),
        ("cluster_secret_store", {"wait": False, "isolation": "entry"}, 30),
        ("cluster_external_secrets", {}, 7),
    ):
        predicted = bare.module(module, catalog=catalog, check_mode=True, **options).result
        done = bare.module(module, catalog=catalog, **options).result
        assert done["api_version"] == chosen
        assert len(done["changes"]) == count and done["changes"] == predicted["changes"]
        mark = bare.mark()
        assert not bare.module(module, catalog=catalog, **options).result["changed"]
        assert bare.writes(mark) == []
    rows = bare.module("sync_info", catalog=catalog).result["counts"]
    assert rows == {"no namespace": 17}


def test_what_stands_in_the_way_of_an_upgrade(release):
    name, bare = release

    def steps(*names):
        return [{"release": one, "crds": str(build.eso_crds(one))} for one in names]

    outcome = bare.module("eso_upgrade_check", steps=steps("v0.20.4"), check=False).result
    if name == "v0.14.4":
        assert {(one["check"], one["object"]) for one in outcome["problems"]} == {
            ("versions", f"{plural}.external-secrets.io")
            for plural in ("clusterexternalsecrets", "clustersecretstores")
        }
        assert "7 object(s) are v1beta1, and 0.20.4 serves v1 only" in outcome["msg"]
        accepted = bare.module("eso_upgrade_check", steps=steps("v0.20.4"), accept=["versions"]).result
        assert accepted["problems"] == outcome["problems"]
        assert bare.module("eso_upgrade_check", steps=steps("v0.16.1", "v0.20.4")).result["problems"] == []
    else:
        assert outcome["problems"] == []


@pytest.mark.parametrize("release", ["v0.20.4"], indirect=True)
def test_a_definition_that_a_crash_left_half_established(release):
    """What a killed API server was seen to leave; it does not get over it alone."""
    name, bare = release
    needed = "clustersecretstores.external-secrets.io"
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{needed}"
    bare.plane.stop_component("kube-apiserver", signal.SIGKILL)
    # The state is set in etcd itself, since a running server would fix it at once.
    stored = bare.plane.etcd_get(f"/registry/apiextensions.k8s.io/customresourcedefinitions/{needed}")
    for condition in stored["status"]["conditions"]:
        if condition["type"] == "Established":
            condition.update(status="False", reason="Installing")
    bare.plane.etcd_put(f"/registry/apiextensions.k8s.io/customresourcedefinitions/{needed}", stored)
    bare.plane.start_component("kube-apiserver")

    def established():
        return [one["status"] for one in bare.get(path)["status"]["conditions"] if one["type"] == "Established"] == [
            "True"
        ]

    time.sleep(2)
    assert not established()
    src = str(build.eso_crds(name))
    predicted = bare.module("eso_crds", src=src, check_mode=True, diff=True).result
    done = bare.module("eso_crds", src=src, diff=True).result
    assert (
        done["changes"]
        == predicted["changes"]
        == [{"kind": "CustomResourceDefinition", "name": needed, "result": "updated"}]
    )
    assert done["diff"] == predicted["diff"] and done["established"] and established()
    assert not bare.module("eso_crds", src=src).result["changed"]


DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CLUSTER_ENTRIES = "/apis/external-secrets.io/v1/clusterexternalsecrets"


def test_objects_of_an_old_release_are_stored_anew_after_its_upgrade(platform, catalog):
    """0.14 writes v1beta1; with 0.16's CRDs both are served, and one module rewrites them."""
    with another(platform, "crds-upgrade") as bare:
        # As kubectl makes them, with a webhook for conversions that the next release does not have.
        for item in yaml.safe_load_all(build.eso_crds("v0.14.4").read_text()):
            bare.client.request("POST", DEFINITIONS, {"fieldManager": "kubectl-create"}, item)
        bare.module("eso_crds")
        bare.module("cluster_external_secrets", catalog=catalog)
        predicted = bare.module("eso_crds", src=str(build.eso_crds("v0.16.1")), check_mode=True, diff=True).result
        done = bare.module("eso_crds", src=str(build.eso_crds("v0.16.1")), diff=True).result
        assert done["changes"] == predicted["changes"] and done["diff"] == predicted["diff"]
        for item in bare.get(DEFINITIONS)["items"]:
            assert item["spec"]["conversion"] == {"strategy": "None"}, item["metadata"]["name"]
        assert not bare.module("eso_crds", src=str(build.eso_crds("v0.16.1"))).result["changed"]

        # The API server takes a moment to serve what it has accepted.
        definition = f"{DEFINITIONS}/clusterexternalsecrets.external-secrets.io"
        bare.eventually(
            lambda: bare.get(definition)["status"]["storedVersions"] == ["v1beta1", "v1"], what="the new version"
        )
        stored = "/registry/external-secrets.io/clusterexternalsecrets/github-oauth-credentials"
        assert bare.plane.etcd_get(stored)["apiVersion"] == "external-secrets.io/v1beta1"
        before = bare.get(f"{CLUSTER_ENTRIES}/github-oauth-credentials")
        predicted = bare.module("eso_stored_versions", check_mode=True, diff=True).result
        done = bare.module("eso_stored_versions", diff=True).result
        assert done["changes"] == predicted["changes"] and done["diff"] == predicted["diff"]
        assert "clusterexternalsecrets.external-secrets.io" in done["definitions"]
        assert bare.plane.etcd_get(stored)["apiVersion"] == "external-secrets.io/v1"
        assert bare.get(f"{CLUSTER_ENTRIES}/github-oauth-credentials")["spec"] == before["spec"]
        mark = bare.mark()
        bare.play("eso_upgrade", variables={"cluster_secrets_eso_store_only": True})
        assert bare.writes(mark) == [] and bare.get(definition)["status"]["storedVersions"] == ["v1"]
        # Now the definitions that have no v1beta1 any more are accepted, and the objects are there.
        bare.module("eso_crds", src=str(build.eso_crds("v0.20.4")))
        bare.eventually(lambda: len(bare.get(CLUSTER_ENTRIES)["items"]) == 7, what="the objects as v1")
        assert not bare.module("cluster_external_secrets", catalog=catalog).result["changed"]
