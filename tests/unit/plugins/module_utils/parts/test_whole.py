# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts run, in which order, with what of the others' results, and what is said when one fails."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import errors, module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts import whole
from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts.steps import Plan, Step
from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.namespaces import plan_namespace
from answers import Answers

PARAMS = {
    "catalog": [],
    "values": None,
    "assume_installed": False,
    "eso_namespace": "external-secrets",
    "eso_service_account": "external-secrets",
    "isolation": "shared",
    "owner": "collection",
    "platform_users": [],
    "platform_groups": [],
    "store": "central-secret-store",
    "store_namespace": "central-secret-store",
}
CANARY = "q7J-canary"
CHANGE = {"kind": "Namespace", "name": "central-secret-store", "result": "created"}
#: What writes it.
WRITES = Step([[plan_namespace("central-secret-store", {})]])
REFUSED = Plan(result={"failed": True, "msg": "no."})


class Parts:
    """Parts that note how they were planned, and whose plans are as they are told; of errors, that are raised."""

    def __init__(self, monkeypatch, **plans):
        self.calls = []
        self.warnings = []
        self.sent = []
        for name, part in whole.PARTS.items():
            monkeypatch.setitem(whole.PARTS, name, part._replace(plan=self._plan(name, plans.get(name, Plan()))))

    def _plan(self, name, planned):
        def plan(context):
            self.calls.append((name, context.foresees, context.params))
            context.warn("of %s" % name)
            if isinstance(planned, Exception):
                raise planned
            result = {"changed_sources": {}} if name == "secrets" else {}
            return Plan(planned.steps, {**result, **planned.result}, planned.saved)

        return plan

    def run(self, check_mode=False, **parts):
        self.calls, self.warnings = [], []
        with Answers((200, {}, {"kind": "Namespace", "status": {"allowed": True}})) as server:
            context = module.Context({**PARAMS, "parts": parts}, check_mode, False, self.warnings.append)
            context._client = server.client()
            result = whole.run(context)
            self.sent = [path for method, path, _headers in server.asked if "selfsubjectaccessreviews" not in path]
            return result


def names(calls, foresees=True):
    return [name for name, foreseen, _params in calls if foreseen is foresees]


def test_all_are_planned_in_their_order_and_nothing_is_done_twice(monkeypatch):
    parts = Parts(monkeypatch)
    result = parts.run(**{name: {} for name in reversed(list(whole.PARTS))})
    # There is nothing to write, nor to wait for.
    assert names(parts.calls, False) == list(whole.PARTS)
    assert result["changed"] is False and result["changes"] == []
    assert parts.warnings == ["of %s" % name for name in whole.PARTS]


def test_what_changes_is_written_after_all_is_planned(monkeypatch):
    parts = Parts(monkeypatch, secrets=Plan([WRITES]), permissions=Plan([WRITES]))
    given = {"permissions": {}, "secrets": {}, "guard": {}, "verify": {}}
    predicted = parts.run(check_mode=True, **given)
    # Both find the same missing, and say it once.
    assert predicted["changed"] and predicted["changes"] == [CHANGE] and parts.sent == []
    done = parts.run(**given)
    assert done["changes"] == predicted["changes"]
    assert parts.sent == ["/api/v1/namespaces?fieldManager=platform.cluster_secrets"] * 2
    # What depends on what others have done by then is planned once more. The first part foresees nothing, either.
    planned = [name for name, _foreseen, _params in parts.calls]
    assert planned == ["secrets", "permissions", "guard", "verify", "permissions", "guard", "verify"]
    assert names(parts.calls) == ["permissions", "guard", "verify"]
    # A warning stands once, though the part was planned twice.
    assert parts.warnings == ["of secrets", "of permissions", "of guard", "of verify"]


@pytest.mark.parametrize("part", ["secrets", "stores", "verify"])
def test_a_part_that_would_write_nothing_may_have_more_to_do(monkeypatch, part):
    """A backup of what ESO is to make anew later, say, or a wait."""
    waited = []
    parts = Parts(monkeypatch, **{part: Plan([Step(then=lambda result: waited.append(result) or [])])})
    parts.run(check_mode=True, **{part: {}})
    assert waited == []
    assert parts.run(**{part: {}})["changed"] is False and len(waited) == 1


def test_a_part_has_its_options_and_what_others_found(monkeypatch):
    found = {"changed_sources": {"github-pat": {"token": True}}, "replace": {"a": {"b": {"uid": True}}}}
    saved = {("a", "b"): ("Opaque", {"key": CANARY})}
    parts = Parts(monkeypatch, secrets=Plan((), found, saved))
    result = parts.run(check_mode=True, secrets={"prune": "yes"}, labels={}, unlabel={}, entries={}, verify={})
    params = {name: options for name, _foreseen, options in parts.calls}
    assert params["secrets"]["prune"] is True and params["secrets"]["state"] == "present"
    assert params["labels"]["exclusive"] is False and params["unlabel"]["exclusive"] is True
    assert params["entries"]["replace"] == found["replace"] == result["secrets"]["replace"]
    assert params["verify"]["changed_sources"] == found["changed_sources"]
    assert params["entries"]["store_namespace"] == "central-secret-store"
    # What was backed up is no result.
    assert params["entries"]["saved"] == saved and "saved" not in str(result) and CANARY not in str(result)
    # What no part of this run found is what the options say; a run compares.
    parts.run(check_mode=True, verify={"changed_sources": {"kargo": {"password": True}}})
    assert parts.calls[0][1:] == (True, {**parts.calls[0][2], "changed_sources": {"kargo": {"password": True}}})
    parts.run(verify={"changed_sources": {"kargo": {"password": True}}})
    assert names(parts.calls, False) == ["verify"]


def test_a_failure_says_what_was_written_before(monkeypatch):
    def fails(_result):
        raise errors.NotReady("it is not ready.")

    other = {**CHANGE, "name": "team"}
    steps = [Step([[plan_namespace("team", {})]]), Step(then=fails)]
    parts = Parts(monkeypatch, secrets=Plan([WRITES]), stores=Plan(steps, {"backup": "path"}))
    result = parts.run(secrets={}, stores={}, verify={})
    # With what the part itself had done by then.
    assert result["failed"] and result["changes"] == [CHANGE, other] and "verify" not in result
    assert result["stores"] == {"backup": "path"}
    assert result["msg"] == "it is not ready.\n2 object(s) were written before that; a rerun goes on from there."


def test_a_wait_is_enough_to_plan_anew(monkeypatch):
    """While stores are waited for, somebody may begin to use what would go."""
    parts = Parts(monkeypatch, stores=Plan([Step(then=lambda _result: [])]), settle=Plan([WRITES]))
    parts.run(stores={}, settle={})
    assert [name for name, _foreseen, _params in parts.calls] == ["stores", "settle", "settle"]


@pytest.mark.parametrize("refused", [REFUSED, errors.CatalogError("no.")])
def test_what_is_refused_stops_all_before_the_first_write(monkeypatch, refused):
    parts = Parts(monkeypatch, secrets=Plan([WRITES]), guard=refused)
    predicted = parts.run(check_mode=True, secrets={}, guard={})
    assert predicted["failed"] and predicted["changes"] == [CHANGE]
    result = parts.run(secrets={}, guard={})
    assert result["msg"] == "no." and parts.sent == []
    assert result["changed"] is False and result["changes"] == []


def test_an_option_of_nothing_is_left_out(monkeypatch):
    """What a template makes of none; ansible-core before 2.19 makes an empty text of it."""
    parts = Parts(monkeypatch)
    parts.run(check_mode=True, labels={"assignments": ""}, verify={"names": "", "namespaces": None})
    params = {name: options for name, _foreseen, options in parts.calls}
    assert params["labels"]["assignments"] is None
    assert params["verify"]["names"] is None and params["verify"]["namespaces"] is None


def test_a_run_without_the_operator_fails_before_it_writes():
    """Its check mode does not fail."""
    versions = (404, {}, {"kind": "Status", "message": "none"})
    for check_mode in (True, False):
        with Answers(versions) as server:
            params = {**PARAMS, "concurrency": 1, "parts": {"verify": {}}}
            context = module.Context(params, check_mode, False, lambda _text: None)
            context._client = server.client()
            result = whole.run(context)
        assert result.get("failed", False) is not check_mode
        assert check_mode or ("is not installed" in result["msg"] and server.asked[-1][0] == "GET")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"secret": {}}, "parts: there is no part 'secret'. Those that there are: secrets, permissions,"),
        ({"labels": {"missing": "make"}}, "parts: labels: value of missing must be one of"),
        ({"labels": {"exclusive": True}}, "parts: labels: exclusive. Supported parameters include:"),
        ({"secrets": {"values": {}}}, "parts: secrets: values. Supported parameters include:"),
        ({"guard": "audit"}, "parts: 'guard' must be a mapping of options."),
    ],
)
def test_wrong_parts_are_named(monkeypatch, given, said):
    parts = Parts(monkeypatch)
    with pytest.raises(errors.CatalogError) as refused:
        parts.run(**given)
    assert said in str(refused.value) and parts.calls == []
