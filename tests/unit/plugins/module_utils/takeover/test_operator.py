# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release of ESO is somebody else's, by helm's record."""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.module_utils.live.release import Record
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover import preflight

OURS = {
    "concurrent": 8,
    "extraArgs": {"client-burst": 1, "client-qps": 1},
    "processClusterPushSecret": False,
    "rbac": {"aggregateToEdit": False, "serviceAccountTokenCreate": False},
}


def record(values, chart="external-secrets"):
    meta = {"name": chart, "version": "0.20.4", "appVersion": "v0.20.4"}
    return Record(1, {"chart": {"metadata": meta, "values": {}}, "config": values})


def test_ours_is_changed_unasked_but_not_taken_back():
    assert preflight.operator("eso", record({**OURS, "nodeSelector": {"a": "b"}}), OURS, None) is None
    back = preflight.operator("eso", record(OURS), OURS, (0, 19, 0))
    assert back and "it has ESO v0.20.4, and this would go back to 0.19.0" in back.message
    theirs = preflight.operator("eso", record({"nodeSelector": {"a": "b"}}), OURS, (0, 19, 0))
    assert theirs and theirs.message.endswith(" and drop its values nodeSelector.a")
    assert back.accepted({"operator": "overwrite"}) and not back.accepted({"operator": "refuse"})


def test_what_theirs_would_lose_is_named_without_its_values():
    found = preflight.operator("eso", record({"nodeSelector": {"pool": "s3cret"}, "concurrent": 2}), OURS, None)
    assert found and found.message.endswith("would upgrade it and drop its values nodeSelector.pool")
    for number in (None, (2, 9, 0)):
        plain = preflight.operator("eso", record({}), OURS, number)
        assert plain and plain.message.endswith("which would upgrade it")
    # Of the same release, and with nothing to lose.
    assert preflight.operator("eso", record({"concurrent": 2}), OURS, (0, 20, 4)) is None


def test_no_answer_lets_a_chart_be_replaced_that_has_more_inside():
    found = preflight.operator("platform", record({"eso": {}}, "umbrella"), OURS, (2, 9, 0))
    assert found and found.answers == () and not found.accepted({"operator": "overwrite"})
