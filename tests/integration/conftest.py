# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the integration tests: the cluster, empty and bootstrapped, and the catalog."""

from __future__ import annotations

import json
import os

import pytest
import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories
from support import ROOT, Platform

from controlplane import cluster


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    """The cluster under test, empty at first."""
    folder = tmp_path_factory.mktemp("platform")
    if os.environ.get("CLUSTER_SECRETS_TEST_KUBECONFIG"):
        yield Platform(None, folder)
        return
    plane = cluster.ControlPlane("test", bound=True)
    plane.start()
    try:
        yield Platform(plane, folder)
    finally:
        plane.stop()


@pytest.fixture(scope="session")
def bootstrapped(platform):
    """The same cluster after a first bootstrap."""
    platform.play("bootstrap")
    return platform


@pytest.fixture(scope="session")
def catalog():
    """The default catalog, as the roles template it."""
    defaults = yaml.safe_load((ROOT / "roles/catalog/defaults/main.yml").read_text())
    text = json.dumps(defaults["cluster_secrets_catalog"])
    for key, value in defaults.items():
        if not isinstance(value, list) or not value:
            text = text.replace(json.dumps("{{ %s }}" % key), json.dumps(value))
    return json.loads(text)


#: What is wrong with 0.20.3, the image of the chart in the module v0.20.4.
VULNERABLE = ("CVE-2026-22822", "CVE-2026-26287", "#5884", "CVE-2026-34984", "CVE-2026-42875", "CVE-2026-42876")


@pytest.fixture(scope="module")
def vulnerable(bootstrapped):
    """The findings that the release under test brings with it."""
    image = bootstrapped.module("eso_info").result["image"]
    if "CLUSTER_SECRETS_ESO_CHART" not in os.environ:
        assert image.endswith(":v0.20.3")
        return {("vulnerable-eso", "external-secrets", name) for name in VULNERABLE}
    release, _problem = advisories.release_of_image(image)
    return {("vulnerable-eso", "external-secrets", one.id) for one in advisories.known(release)}
