# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fixtures of the integration tests: the cluster, empty and bootstrapped, and the catalog."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import ROOT, Platform, cluster  # noqa: E402


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
