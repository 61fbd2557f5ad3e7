# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share: Ansible's importer of collections, before anything of one is imported, and the catalog."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from ansible.plugins.loader import init_plugin_loader
from jinja2.nativetypes import NativeEnvironment

init_plugin_loader([os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").split(":")[0]])

DEFAULTS = Path(__file__).resolve().parents[1] / "roles/catalog/defaults/main.yml"


def default_catalog():
    """The default catalog, with its few templated values filled in."""
    defaults = yaml.safe_load(DEFAULTS.read_text())

    def fill(value):
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        if isinstance(value, str) and value.startswith("{{"):
            return NativeEnvironment().from_string(value).render(defaults)
        return value

    return fill(defaults["cluster_secrets_catalog"])


@pytest.fixture(scope="session")
def catalog():
    """The default catalog; see :func:`default_catalog`."""
    return default_catalog()


def pytest_runtest_setup():
    """ansible-core 2.21, which pytest-ansible runs in this process, keeps stdio from all programs that are started
    later, and ends by itself where there is none."""
    for descriptor in (0, 1, 2):
        os.set_inheritable(descriptor, True)
