# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a request is written, and what becomes of the others when one fails."""

from __future__ import annotations

import json
import threading

import pytest
import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils import errors
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api import client, kubeconfig


@pytest.mark.parametrize("text", ["\U0001f600", r"\ud83d\ude00", "\\\U0001f600", "é\x7f\x85\u2028\ufeff\x01", "plain"])
def test_a_body_is_json_and_yaml(text):
    encoded = client._encoded({"k": text})
    assert json.loads(encoded) == yaml.safe_load(encoded) == {"k": text}


@pytest.mark.parametrize(
    "options", [{"api_key": "s3cret\ntoken"}, {"api_key": "x", "impersonate_user": "s3cret\u2028"}]
)
def test_what_no_header_can_hold_is_not_quoted(options):
    target = kubeconfig.connection({"host": "https://127.0.0.1:1", **options}, {})
    with pytest.raises(errors.ConnectionOptionsError, match="can't be sent") as refused:
        client.Client(target)
    assert "s3cret" not in str(refused.value)


def test_a_token_may_end_with_its_line():
    target = kubeconfig.connection({"host": "https://127.0.0.1:1", "api_key": "token\n"}, {})
    assert target.authorization == "Bearer token"


def test_after_an_error_no_other_is_begun():
    several = client.Client(kubeconfig.connection({"host": "https://127.0.0.1:1", "api_key": "x"}, {}), concurrency=2)
    begun, failed = [], threading.Event()

    def call(number):
        begun.append(number)
        if number == 0:
            failed.set()
            raise errors.ApiUnreachable("gone")
        failed.wait(5)

    with pytest.raises(errors.ApiUnreachable, match="gone"):
        several.each(call, range(1000))
    assert len(begun) < 1000
    assert several.each(lambda number: number + 1, range(100)) == list(range(1, 101))
