# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ESO goes from the oldest release to the one under test with its real controllers, and no target notices."""

from __future__ import annotations

import handmade
import pytest
from handmade import CENTRAL
from support import CANARY, another, leaked, upgrade_variables

from controlplane import build
from soak import eso_upgrade

GROUP = "/apis/external-secrets.io"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

#: What an old release takes and a newer one doesn't, by namespace 'odd'.
TENANT = {
    "secretstores": (
        "SecretStore",
        "old-fields",
        {"provider": {"fake": {"data": [{"key": "k", "valueMap": {"a": "b"}}]}}},
    ),
    "externalsecrets": (
        "ExternalSecret",
        "old-engine",
        {
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "SecretStore", "name": "old-fields"},
            "target": {"template": {"engineVersion": "v1", "data": {"x": "{{ .a | toString }}"}}},
            "dataFrom": [{"extract": {"key": "k"}}],
        },
    ),
}


def adopted(own):
    return ("-e", f"@{own.folder / 'adopted/cluster_secrets.yml'}")


@pytest.fixture(scope="module")
def own(platform):
    """A cluster made by hand on the oldest release, adopted."""
    with another(platform, "eso-upgrade", eso=build.OLDER_ESO[0], upgrades=(*build.OLDER_ESO[1:], None)) as own:
        # What others gave the release is theirs, and may be a password.
        given = own.plane.ansible_variables()["cluster_secrets_eso_values"]
        handmade.make(own, "v1beta1", {**given, "podAnnotations": {"note": CANARY + "value"}})
        own.play("adopt", variables={"cluster_secrets_dest": "adopted"})
        yield own


def controller(own):
    containers = own.get("/apis/apps/v1/namespaces/external-secrets/deployments/external-secrets")["spec"]["template"][
        "spec"
    ]["containers"]
    return containers[0]["image"].rpartition(":")[2]


def test_what_would_stop_is_named_before_anything_changes(own):
    own.request("POST", "/api/v1/namespaces", {"metadata": {"name": "odd"}})
    api = f"{GROUP}/v1beta1/namespaces/odd"
    for plural, (kind, name, spec) in TENANT.items():
        body = {"apiVersion": "external-secrets.io/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        own.request("POST", f"{api}/{plural}", body)
    try:
        for arguments in (("--check",), ("-vvvv", "--diff")):
            mark = own.mark()
            outcome = own.play("eso_upgrade", *adopted(own), *arguments, variables=upgrade_variables(), check=False)
            assert outcome.rc == 2 and own.writes(mark) == [] and leaked(outcome.output) == []
            for text in (
                "The upgrade would stop 3 thing(s) that work now. Nothing was changed.",
                "fields: ExternalSecret odd/old-engine: spec.target.template.engineVersion must be v2 with 0.16.0",
                "fields: SecretStore odd/old-fields: spec.provider.fake.data[].valueMap is not known any more",
                "kubectl-create last wrote ",
            ):
                assert text in outcome.output, text
    finally:
        own.delete("/api/v1/namespaces/odd")
        own.eventually(lambda: own.get("/api/v1/namespaces/odd") is None, 30, "the end of the namespace")


def test_there_is_no_way_past_the_release_that_serves_both_versions(own):
    mark = own.mark()
    given = {**upgrade_variables(), "cluster_secrets_eso_upgrade_charts": []}
    outcome = own.play("eso_upgrade", *adopted(own), variables=given, check=False)
    assert outcome.rc == 2 and own.writes(mark) == []
    assert "no chart of a release between 0.16.0 and 0.16.2, which serve both, is at hand" in outcome.stdout


def test_no_target_changes_while_eso_is_upgraded(own):
    with handmade.Poller(own) as poller:
        predicted = own.play("eso_upgrade", *adopted(own), "--check", variables=upgrade_variables())
        assert not (own.folder / "cluster_secrets.localhost.eso_upgrade.json").exists()
        done = own.play("eso_upgrade", *adopted(own), "-vvvv", "--diff", variables=upgrade_variables())
    assert poller.changes == [] and poller.reads > 100
    # It was compared with the beginning, which is forgotten.
    assert '"differences": []' in done.stdout
    assert not (own.folder / "cluster_secrets.localhost.eso_upgrade.json").exists()
    assert leaked(predicted.output + done.output) == []
    assert done.recap["changed"] == predicted.recap["changed"] > 0
    assert "Once 0.16 has run, there is no way back to 0.14.3" in done.stdout
    assert controller(own) == build.eso_release()
    for item in own.get(CRDS)["items"]:
        if item["spec"]["group"] == "external-secrets.io":
            newest = next(one["name"] for one in item["spec"]["versions"] if one["storage"])
            assert item["status"]["storedVersions"] == [newest], item["metadata"]["name"]
    for plural, names in (
        ("clusterexternalsecrets", [one["metadata"]["name"] for one in handmade.objects()]),
        ("clustersecretstores", [CENTRAL]),
        ("externalsecrets", ["lone/lone"]),
    ):
        for name in names:
            stored = own.plane.etcd_get(f"/registry/external-secrets.io/{plural}/{name}")
            assert stored["apiVersion"] == "external-secrets.io/v1", name
    deployment = own.get("/apis/apps/v1/namespaces/external-secrets/deployments/external-secrets")
    assert deployment["spec"]["template"]["metadata"]["annotations"]["note"] == CANARY + "value"
    mark = own.mark()
    again = own.play("eso_upgrade", *adopted(own), variables=upgrade_variables())
    assert again.recap["changed"] == 0 and own.writes(mark) == []
    assert f"{build.eso_release().lstrip('v')} runs already" in again.stdout


def test_killed_in_the_middle_it_goes_on(platform, tmp_path):
    """With helm 3; the others here take the newest. ``make soak-eso-upgrade`` runs more of these."""
    if not platform.plane:
        pytest.skip("needs a control plane of its own")
    assert "converged" in eso_upgrade.run(2, tmp_path / "soak", build.HELM_3)
