# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that are made, not typed: once, kept in the central store only, and anew on request."""

from __future__ import annotations

import re

import pytest
from support import entry

from controlplane import values

GENERATED = entry(
    "made",
    ["made"],
    data={"PASSWORD": "password", "TOKEN": "token", "USER": "user"},
    generate={"password": {}, "token": {"length": 64, "alphabet": "0123456789abcdef"}},
)


READER = entry("reader", ["made"], source="made-source", data={"USER": "user"})


@pytest.fixture(scope="module")
def given(bootstrapped):
    values.write_vault(
        {**bootstrapped.values, "made-source": {"user": "app"}}, bootstrapped.vault, bootstrapped.password
    )
    yield {"cluster_secrets_catalog_extra": [GENERATED]}
    values.write_vault(bootstrapped.values, bootstrapped.vault, bootstrapped.password)
    bootstrapped.play("bootstrap", variables={"cluster_secrets_prune": ["entries", "masters"]})
    bootstrapped.delete("/api/v1/namespaces/made")


def test_made_once_and_anew_on_request(bootstrapped, given):
    platform = bootstrapped
    predicted = platform.play("bootstrap", "--check", variables=given)
    done = platform.play("bootstrap", "-vvvv", "--diff", variables=given)
    assert done.table == predicted.table != []
    first = platform.data("made", "made")
    assert re.fullmatch("[A-Za-z0-9]{32}", first["PASSWORD"]) and re.fullmatch("[0-9a-f]{64}", first["TOKEN"])
    assert platform.data("central-secret-store", "made-source") == {
        "password": first["PASSWORD"],
        "token": first["TOKEN"],
        "user": "app",
    }
    for value in first.values():
        assert value == "app" or value not in predicted.output + done.output
    mark = platform.mark()
    assert platform.play("bootstrap", variables=given).recap["changed"] == 0 and platform.writes(mark) == []
    # A value of its source that is rotated leaves the others.
    values.write_vault({**platform.values, "made-source": {"user": "next"}}, platform.vault, platform.password)
    platform.play("rotate", variables=given)
    assert platform.data("made", "made") == {**first, "USER": "next"}
    asked = {**given, "cluster_secrets_regenerate": {"made-source": "first"}}
    again = platform.play("rotate", "-vvvv", variables=asked)
    second = platform.data("made", "made")
    assert second["USER"] == "next" and not {first["PASSWORD"], first["TOKEN"]} & set(second.values())
    assert second["PASSWORD"] not in again.output and second["TOKEN"] not in again.output
    # The same request again changes nothing, and neither does a run without one.
    for variables in (asked, given):
        assert platform.play("bootstrap", variables=variables).recap["changed"] == 0
    off = {
        "cluster_secrets_catalog_extra": [{**GENERATED, "enabled": False}, READER],
        "cluster_secrets_takeover": {"losses": "accept"},
    }
    platform.play("bootstrap", variables=off)
    assert platform.data("central-secret-store", "made-source")["password"] == second["PASSWORD"]
    platform.play("bootstrap", variables=given)
    assert platform.data("made", "made") == second
    wrong = platform.play("rotate", variables={**given, "cluster_secrets_regenerate": {"github-pat": "x"}}, check=False)
    assert wrong.rc == 2 and "no enabled catalog entry generates a value of source 'github-pat'" in wrong.stdout
