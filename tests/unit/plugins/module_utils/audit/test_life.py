# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a source's values: their age, when they are due, and their end."""

from __future__ import annotations

import base64
import datetime
import json

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import lifetimes
from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit import life
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import CatalogError, DependencyError
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import snapshot, state
from samples import ONE, entries

NOW = datetime.datetime(2030, 6, 1, tzinfo=datetime.timezone.utc)
TWO = {**ONE, "name": "two", "label": "secrets/two", "namespaces": []}


def days(number):
    return NOW + datetime.timedelta(days=number)


def token(end):
    claims = base64.urlsafe_b64encode(json.dumps({"exp": end.timestamp()}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{claims}.c2ln".encode()


def look(*raw, changed=days(-40), **data):
    found = snapshot.Snapshot([], [], None, [], {"src": data or {"key": b"value"}}, {"src": changed})
    return life.look(entries(*raw), found, pytest.fail)


def found(lives, within=30):
    return [(one.severity, one.check, one.name) for one in life.findings(lives, "store", NOW, within)]


def test_the_shortest_time_of_a_source_counts_and_every_owner_is_named():
    lives = look(
        {**ONE, "rotate_after": "90d", "owner": "a"},
        {**TWO, "rotate_after": "30d", "owner": "b"},
        TWO | {"name": "x", "label": "secrets/x"},
    )
    assert lives["src"].rotate_after == 30 and lives["src"].owner == "a; b"
    (finding,) = life.findings(lives, "store", NOW, 30)
    assert finding.message == "its value is 40 days old, and is to be rotated after 30 (owner: a; b)"
    assert finding.fix.command.endswith("rotate -e cluster_secrets_rotate_sources=src")


def test_due_to_the_second():
    due = {**ONE, "rotate_after": "40d"}
    assert found(look(due)) == [("warning", "rotation-due", "src")]
    assert found(look(due, changed=days(-40) + datetime.timedelta(seconds=1))) == []
    assert found(look(ONE)) == found(look(due, changed=None)) == []


def test_ends_of_what_entries_read():
    assert found(look(ONE, key=token(days(30)))) == [("warning", "value-ends", "src")]
    assert found(look(ONE, key=token(days(31)))) == []
    assert found(look(ONE, key=token(days(-1)))) == [("error", "value-ended", "src")]
    assert found(look(ONE, key=b"value", other=token(days(-1)))) == []
    whole = {key: value for key, value in ONE.items() if key != "data"} | {"extract": True}
    assert found(look(whole, key=b"value", other=token(days(-1)))) == [("error", "value-ended", "src")]


def test_without_the_library_the_ends_are_left_out(monkeypatch):
    def missing(_value):
        raise DependencyError("no cryptography")

    monkeypatch.setattr(lifetimes, "ends", missing)
    said = []
    taken = snapshot.Snapshot([], [], None, [], {"src": {"key": b"x"}}, {"src": days(-1)})
    assert life.look(entries(ONE), taken, said.append)["src"].ends == ()
    assert said == ["the expiry of certificates is not checked: no cryptography"]


def test_of_sources_that_were_not_read_the_catalog_says_what_it_can():
    lives = life.look(entries({**ONE, "owner": "a"}), snapshot.Snapshot([], [], None, [], None), pytest.fail)
    assert lives["src"].owner == "a" and lives["src"].changed is None and found(lives) == []


def test_what_is_generated_is_made_anew_on_request():
    (finding,) = life.findings(look({**ONE, "rotate_after": "40d", "generate": {"key": {}}}), "store", NOW, 30)
    assert finding.fix.command.endswith("""rotate -e '{"cluster_secrets_regenerate": {"src": "2030-06-01"}}'""")


def test_when_a_value_changed():
    meta = {"creationTimestamp": "2020-01-01T00:00:00Z"}
    record = {"time": "2020-02-01T00:00:00Z", "fieldsV1": {"f:data": {}}}
    assert state.value_changed({"metadata": meta}).month == 1
    assert state.value_changed({"metadata": {**meta, "managedFields": [record]}}).month == 2
    written = {
        **meta,
        "managedFields": [record],
        "annotations": {"cluster-secrets/value-changed": "2020-03-01T00:00:00Z"},
    }
    assert state.value_changed({"metadata": written}).month == 3
    ours = {**record, "manager": "platform.cluster_secrets", "operation": "Apply", "time": "2020-04-01T00:00:00Z"}
    written["managedFields"].append(ours)
    assert state.value_changed({"metadata": written}).month == 3
    restored = {**ours, "operation": "Update", "time": "2020-06-01T00:00:00Z"}
    assert state.value_changed({"metadata": {**written, "managedFields": [record, restored]}}).month == 3
    by_hand = {**record, "manager": "kubectl-edit", "operation": "Update", "time": "2020-05-01T00:00:00Z"}
    assert state.value_changed({"metadata": {**written, "managedFields": [record, ours, by_hand]}}).month == 5
    written["managedFields"].remove(ours)
    written["annotations"] = {"cluster-secrets/value-changed": "soon"}
    assert state.value_changed({"metadata": written}).month == 2


@pytest.mark.parametrize("wrong", ["90", "0d", "3m", 90, "1h"])
def test_days_are_written_as_days(wrong):
    with pytest.raises(CatalogError, match=r"rotate_after.*'90d'|rotate_after.*quotes"):
        entries({**ONE, "rotate_after": wrong})
