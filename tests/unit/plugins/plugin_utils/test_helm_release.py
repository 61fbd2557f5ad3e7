# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left of kubernetes.core.helm's result: values, which others may have given a credential, are not."""

from __future__ import annotations

import json

import pytest
from ansible_collections.platform.cluster_secrets.plugins.action.helm_release import _without_values

CANARY = "canary-of-others"


def test_no_values_of_a_release_are_in_the_result():
    values = {"extraEnv": [{"name": "HTTPS_PROXY", "value": CANARY}]}
    deprecations = [{"msg": "The 'status.values' is deprecated"}, {"msg": "another"}]
    told = {
        "changed": True,
        "status": {
            "name": "eso",
            "revision": 2,
            "values": {"current": values, "declared": {}},
            "release_values": values,
        },
        "invocation": {"module_args": {"release_name": "eso", "release_values": values, "values": values}},
        "deprecations": deprecations,
    }
    text = _without_values(json.dumps(told))
    assert CANARY not in text
    assert json.loads(text) == {
        "changed": True,
        "status": {"name": "eso", "revision": 2},
        "invocation": {"module_args": {"release_name": "eso"}},
        "deprecations": deprecations[1:],
    }


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", '{"changed": false}', '{"status": null}'])
def test_what_is_no_result_of_helm_stays(text):
    assert _without_values(text) in (text, json.dumps(json.loads(text)) if text.startswith("{") else text)
