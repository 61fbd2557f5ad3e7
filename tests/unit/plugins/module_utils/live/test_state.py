# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging targets against what the catalog wants."""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import snapshot as live_snapshot
from ansible_collections.platform.cluster_secrets.plugins.module_utils.live import state
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import text
from samples import ONE, entries, namespace


def snapshot(**over):
    secret = {
        "metadata": {"name": "one", "namespace": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "type": "Opaque",
        "data": {"KEY": "dmFsdWU="},
    }
    given = {
        "namespaces": [namespace("a", {"secrets/one": "true"})],
        "secrets": [secret],
        "version": "1",
        "externals": [],
        "sources": {"src": {"key": b"value"}},
    }
    given.update(over)
    return live_snapshot.Snapshot(**given)


def test_judgements():
    def judged(**over):
        return [(row.namespace, row.status) for row in state.judge(entries(ONE), snapshot(**over))]

    failing = {
        "metadata": {"name": "one", "namespace": "a"},
        "status": {"conditions": [{"type": "Ready", "status": "False", "message": "no"}]},
    }
    assert judged() == [("a", state.SYNCED)]
    assert judged(sources={"src": {"key": b"new"}}) == [("a", state.STALE)]
    assert judged(sources=None) == [("a", state.SYNCED)]
    assert judged(sources={}) == [("a", state.FAILING)]
    assert judged(secrets=[]) == [("a", state.MISSING)]
    assert judged(secrets=[], externals=[failing]) == [("a", state.FAILING)]
    assert judged(namespaces=[namespace("a")]) == [("a", state.UNLABELLED)]
    assert judged(namespaces=[]) == [("a", state.ABSENT_NAMESPACE)]
    both = [namespace("a", {"secrets/one": "true"}), namespace("b", {"secrets/one": "true"})]
    assert judged(namespaces=both) == [("a", state.SYNCED), ("b", state.MISSING)]


def test_a_value_that_eso_quotes_is_told_to_nobody():
    """Some releases quote what they can't read as JSON, whole, as base64 or a line of it."""
    sources = {"src": {"key": b"first-line-1\nsecond-line-2", "short": b"abc"}}
    for quoted in ("first-line-1 second-line-2", "second-line-2", "Zmlyc3QtbGluZS0xCnNlY29uZC1saW5lLTI="):
        message = "invalid character in abc: %s" % quoted
        owner = {"apiVersion": "external-secrets.io/v1", "kind": "ClusterExternalSecret", "name": "one"}
        failing = {
            "metadata": {"name": "one", "namespace": "a", "ownerReferences": [{**owner, "controller": True}]},
            "status": {"conditions": [{"type": "Ready", "status": "False", "message": message}]},
        }
        (row,) = state.judge(entries(ONE), snapshot(secrets=[], externals=[failing], sources=sources))
        assert "-line-" not in row.message and "Zmly" not in row.message and "********" in row.message
        assert "abc" in row.message
    # A value that is the name of what is spoken of is no value there.
    said = state.without_values(entries(ONE)[0], "a-namespace", "no a-namespace", {"src": {"key": b"a-namespace"}})
    assert said == "no a-namespace"


def test_the_table_is_aligned():
    (row,) = state.judge(entries(ONE), snapshot())
    shown = row.as_dict(state.parse_time("2026-01-02T00:00:00Z"))
    lines = text.status_table([{**shown, "value_age": 86400 * 3, "value_ends": "2026-03-01T00:00:00Z"}], False)
    assert lines == [
        "NAMESPACE  SECRET  STATUS  TYPE    AGE  VALUE",
        "a          one     synced  Opaque  24h  3d, ends 2026-03-01",
    ]


class Events:
    """A client of which events are asked."""

    def __init__(self, *events):
        self.events = list(events)

    def request(self, *_asked):
        return {"items": self.events}


def test_what_a_tenant_says_in_an_event_is_short_and_comes_after_what_eso_says():
    forged = {"message": "exceeded quota: " + "A" * 100_000 + " limited: x", "lastTimestamp": "2099-01-01T00:00:00Z"}
    said = {
        "message": "could not: exceeded quota: q, requested: secrets=1, used: 1, limited: secrets=1",
        "source": {"component": "external-secrets"},
        "lastTimestamp": "2026-11-30T00:00:00Z",
    }
    found = state.refusal(Events(forged, said), "a", "one")
    assert found == "exceeded quota: q, requested: secrets=1, used: 1, limited: secrets=1"
    assert len(state.refusal(Events(forged), "a", "one")) < 500
