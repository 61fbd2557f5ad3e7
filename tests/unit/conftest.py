# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit tests import the collection as it was built and installed (make sets the path)."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml


@pytest.fixture
def default_catalog():
    """The catalog that the role ships, with its few templated values filled in."""
    defaults = yaml.safe_load((Path(__file__).resolve().parents[2] / "roles/catalog/defaults/main.yml").read_text())

    def fill(value):
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        if isinstance(value, str) and value.startswith("{{"):
            return defaults[value.strip("{ }")]
        return value

    return fill(defaults["cluster_secrets_catalog"])
