# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the integration tests: the order of the files, the cluster, empty and bootstrapped."""

from __future__ import annotations

import os

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories
from support import Grants, Platform

from controlplane import cluster

#: The files of one worker share a control plane. The first file finds it empty: the first two runs of bootstrap exist
#: only once. The last removes what the others share. Between them long files come before short ones, so that workers
#: end at about the same time.
ORDER = (
    "test_bootstrap",
    "test_failures",
    "test_modules",
    "test_examples",
    "test_eso",
    "test_isolation",
    "test_takeover",
    "test_whole_cluster",
    "test_whole_upgrade",
    "test_upgrade_gate",
    "test_backup",
    "test_gitops",
    "test_fleet",
    "test_connections",
    "test_foreign",
    "test_rotation",
    "test_values",
    "test_renewed",
    "test_hostile",
    "test_squatted",
    "test_engines",
    "test_play_permissions",
    "test_guard",
    "test_audit",
    "test_consumers",
    "test_generated",
    "test_life",
    "test_audit_permissions",
    "test_explain",
    "test_eso_upgrade",
    "test_upgrade",
    "test_bench",
    "test_api_versions",
    "test_vault",
    "test_sops",
    "test_screen",
    "test_init",
    "test_pages",
    "test_monitoring",
    "test_molecule",
)


def pytest_collection_modifyitems(items):
    """Unit tests first, then the integration tests in :data:`ORDER`; a file that it doesn't name is an error."""

    def place(item):
        return ORDER.index(item.path.stem) if item.path.parent.name == "integration" else -1

    items.sort(key=place)


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


@pytest.fixture
def grant(bootstrapped):
    """Makes ServiceAccounts, roles and bindings for one test; see :class:`support.Grants`."""
    with Grants(bootstrapped) as grants:
        yield grants


#: What is wrong with 0.20.3, the image of the chart in the module v0.20.4.
VULNERABLE = ("CVE-2026-22822", "CVE-2026-26287", "#5884", "CVE-2026-34984", "CVE-2026-42875", "CVE-2026-42876")

#: What can be tested here is older than what upstream supports.
UNSUPPORTED = {("unsupported-eso", "external-secrets", "external-secrets")}


@pytest.fixture(scope="module")
def vulnerable(bootstrapped):
    """The findings that the release under test brings with it."""
    image = bootstrapped.module("eso_info").result["image"]
    if "CLUSTER_SECRETS_ESO_CHART" not in os.environ:
        assert image.endswith(":v0.20.3")
        return {("vulnerable-eso", "external-secrets", name) for name in VULNERABLE} | UNSUPPORTED
    release, _problem = advisories.release_of_image(image)
    return {("vulnerable-eso", "external-secrets", one.id) for one in advisories.known(release)} | UNSUPPORTED
