# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a request's body is written."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api import client


@pytest.mark.parametrize("text", ["\U0001f600", r"\ud83d\ude00", "\\\U0001f600", "é\x7f\x85\u2028\ufeff\x01", "plain"])
def test_a_body_is_json_and_yaml(text):
    encoded = client._encoded({"k": text})
    assert json.loads(encoded) == yaml.safe_load(encoded) == {"k": text}
