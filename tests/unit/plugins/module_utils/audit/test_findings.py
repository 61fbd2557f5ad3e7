# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit makes of many findings, and of entries by themselves."""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit import findings
from samples import ONE, entries


def test_a_binding_of_many_subjects_hides_nothing_else():
    many = [findings.Finding("error", "may-label", None, f"User u{n}", "by RoleBinding x", "fix") for n in range(5000)]
    few = [findings.Finding("error", "may-label", None, f"User v{n}", "by RoleBinding y", "fix") for n in range(3)]
    secrets = [findings.Finding("info", "hand-made-secret", "a", f"s{n}", "made by kubectl", "fix") for n in range(50)]
    found = findings._collapsed([*many, *few, *secrets])
    assert len(found) == 54 and found[0].name == "User u0 and 4999 more"


def test_an_entry_that_any_new_namespace_gets():
    def chosen(**spec):
        return list(findings._open(entries({**ONE, "name": "x", **spec})))

    def by(*expressions):
        return {"namespace_selectors": [{"matchExpressions": list(expressions)}]}

    tier = {"key": "tier", "operator": "NotIn", "values": ["tenant"]}
    known = {"key": "platform", "operator": "Exists"}
    assert chosen() == [] == chosen(**by(known)) == chosen(**by(tier, known))
    assert [one.check for one in chosen(**by(tier))] == ["open-entry"]
    unnamed = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}
    assert [one.check for one in chosen(**by(unnamed))] == ["open-entry"]
