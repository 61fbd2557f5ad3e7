# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules as Ansible runs them: module_defaults, pytest-ansible, races."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import threading

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.platform.cluster_secrets.plugins.module_utils.desired.distribution import OWNED
from support import CANARY, RBAC, ApiError, entry, leaked


def test_pytest_ansible_runs_a_module(bootstrapped, catalog, ansible_adhoc, monkeypatch):
    monkeypatch.setitem(os.environ, "K8S_AUTH_KUBECONFIG", str(bootstrapped.kubeconfig))
    run = getattr(ansible_adhoc().localhost, "platform.cluster_secrets.sync_info")
    result = run(catalog=catalog)["localhost"]
    assert result["counts"] == {"synced": 17}


def test_module_defaults_set_the_connection_once(bootstrapped, catalog, tmp_path):
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {
            "group/platform.cluster_secrets.cluster_secrets": {
                "kubeconfig": str(bootstrapped.kubeconfig),
                "catalog": catalog,
            }
        },
        "tasks": [
            {f"platform.cluster_secrets.{name}": {}}
            for name in ("sync_info", "namespace_labels", "cluster_external_secrets", "audit")
        ],
    }
    path = tmp_path / "play.yml"
    path.write_text(json.dumps([play]))
    outcome = bootstrapped.play(str(path), KUBECONFIG="/none", K8S_AUTH_KUBECONFIG="")
    assert outcome.recap["ok"] == 4 and outcome.recap["changed"] == 0


@pytest.fixture
def both_ways(bootstrapped, tmp_path):
    """Run tasks twice: in Ansible's own process, and as modules; returns both lists of results, and the outputs."""

    def run(tasks, variables, *arguments):
        # Values stand apart from the tasks, whose text Ansible quotes when one fails, and must not be taken for
        # templates.
        values = tmp_path / "values.json"
        values.write_text(json.dumps(variables))
        looked_up = "{{ lookup('ansible.builtin.file', '%s') | from_json }}" % values
        lists, outputs = [], []
        # An environment of a task's own is one of the reasons to run it as a module.
        for environment in ({}, {"REASON": "to run as a module"}):
            play = {
                "hosts": "localhost",
                "gather_facts": False,
                "environment": environment,
                "vars": {"given": looked_up},
                "ignore_errors": True,
            }
            path = tmp_path / "play.yml"
            path.write_text(json.dumps([{**play, "tasks": tasks}]))
            outcome = bootstrapped.play(
                str(path), "-vvvv", *arguments, ANSIBLE_STDOUT_CALLBACK="json", ANSIBLE_LOAD_CALLBACK_PLUGINS="1"
            )
            outputs.append(outcome.output)
            results = json.loads(outcome.stdout[outcome.stdout.index("\n{") :])["plays"][0]["tasks"]
            lists.append([task["hosts"]["localhost"] for task in results])
        return lists, outputs

    return run


def test_a_task_runs_the_same_in_process_and_as_a_module(bootstrapped, catalog, both_ways):
    other = {
        source: {key: value + "-other" for key, value in keys.items()} for source, keys in bootstrapped.values.items()
    }
    one_more = [*catalog, entry("more", ["more"])]
    variables = {"other": other, "surplus": {**other, "unread": {"key": CANARY}}, "wrong": {"github-pat": CANARY}}
    tasks = [
        {"platform.cluster_secrets.sync_info": {"catalog": catalog}},
        {"platform.cluster_secrets.central_secrets": {"catalog": catalog, "values": "{{ given.other }}"}},
        {
            "platform.cluster_secrets.central_secrets": {
                "catalog": catalog,
                "values": "{{ given.surplus }}",
                "prune": True,
            }
        },
        {"platform.cluster_secrets.central_secrets": {"catalog": catalog, "values": "{{ given.wrong }}"}},
        {"platform.cluster_secrets.cluster_external_secrets": {"catalog": one_more}},
        {"platform.cluster_secrets.namespace_labels": {"catalog": one_more}},
        {"platform.cluster_secrets.namespace_labels": {"catalog": one_more, "missing": "perhaps"}},
        {"platform.cluster_secrets.namespace_labels": {"catalogue": one_more}},
        {"platform.cluster_secrets.namespace_labels": {"catalog": [{**catalog[0], "surplus": 1}]}},
        {"platform.cluster_secrets.audit": {"catalog": catalog, "verify_ssl": "yes", "kubeconfig": "/none"}},
    ]
    (here, modules), outputs = both_ways(tasks, variables, "--check", "--diff")
    assert ["in Ansible's own process" in output for output in outputs] == [True, False]
    assert [leaked(output) for output in outputs] == [[], []]
    told = (
        "changed",
        "failed",
        "msg",
        "changes",
        "diff",
        "missing",
        "changed_sources",
        "api_requests",
        "warnings",
        "counts",
        "api_version",
        "rows",
    )
    for index, pair in enumerate(zip(here, modules)):
        first, second = ({key: result[key] for key in told if key in result} for result in pair)
        for row in (*first.get("rows", []), *second.get("rows", [])):
            del row["age"], row["value_age"]
        assert first == second, tasks[index]
    assert [result.get("failed", False) for result in here] == [False] * 3 + [True] + [False] * 2 + [True] * 4
    assert [bool(result.get("changed")) for result in here] == [False, True, True, False, True, True] + [False] * 4


def test_requests_do_not_grow_with_the_namespaces(bootstrapped):
    names = [f"many-{number:03d}" for number in range(60)]
    catalog = [entry("many", names)]
    created = bootstrapped.module("namespace_labels", catalog=catalog).result
    assert len(created["changes"]) == 60
    mark = bootstrapped.mark()
    assert not bootstrapped.module("namespace_labels", catalog=catalog).result["changed"]
    assert len(bootstrapped.requests(mark)) == 1
    mark = bootstrapped.mark()
    bootstrapped.module("sync_info", catalog=catalog, brief=True)
    # Five for all pairs, and the links of one of them.
    assert len(bootstrapped.requests(mark)) == 19
    # The chain to one of them is looked at besides.
    mark = bootstrapped.mark()
    bootstrapped.module("sync_info", catalog=catalog)
    assert len(bootstrapped.requests(mark)) <= 5 + 15
    for name in names:
        bootstrapped.delete(f"/api/v1/namespaces/{name}")
    bootstrapped.eventually(
        lambda: not any(bootstrapped.get(f"/api/v1/namespaces/{name}") for name in names), 60, "their deletion"
    )


@pytest.mark.parametrize("check_mode", [True, False])
def test_check_mode_and_a_run_report_the_same_changes(bootstrapped, check_mode):
    catalog = [entry("same", ["same-a", "default"])]
    if not check_mode:
        predicted = bootstrapped.module("namespace_labels", catalog=catalog, check_mode=True, diff=True).result
        done = bootstrapped.module("namespace_labels", catalog=catalog, diff=True).result
        assert predicted["changes"] == done["changes"] and predicted["diff"] == done["diff"]
        bootstrapped.module(
            "namespace_labels", catalog=catalog, state="absent", assignments={"same-a": ["same"], "default": ["same"]}
        )
    else:
        assert bootstrapped.module("namespace_labels", catalog=catalog, check_mode=True).result["changed"]
        assert bootstrapped.get("/api/v1/namespaces/same-a") is None


def test_conflicting_writers_both_succeed(bootstrapped):
    """Others write the namespace all the time, its finalizers too; unlabelling gets through and loses nothing of
    theirs."""
    catalog = [entry("race", ["race"])]
    bootstrapped.module("namespace_labels", catalog=catalog)
    finalizer = "externalsecrets.external-secrets.io/ces-race"
    bootstrapped.patch("/api/v1/namespaces/race", {"metadata": {"finalizers": [finalizer]}})
    stop = threading.Event()

    def meddle():
        number = 0
        while not stop.is_set():
            number += 1
            bootstrapped.patch("/api/v1/namespaces/race", {"metadata": {"annotations": {"number": str(number)}}})
            if number == 20:
                add = [{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/theirs"}]
                bootstrapped.request("PATCH", "/api/v1/namespaces/race", add, "application/json-patch+json")

    thread = threading.Thread(target=meddle)
    thread.start()
    try:
        done = bootstrapped.module(
            "namespace_labels", catalog=catalog, state="absent", assignments={"race": ["race"]}, check=False
        )
    finally:
        stop.set()
        thread.join()
    assert done.result["changed"], done.result
    live = bootstrapped.get("/api/v1/namespaces/race")["metadata"]
    assert "secrets/race" not in live["labels"] and finalizer not in live.get("finalizers", [])
    bootstrapped.patch("/api/v1/namespaces/race", {"metadata": {"finalizers": None}})
    bootstrapped.delete("/api/v1/namespaces/race")


def test_a_namespace_that_comes_into_being_meanwhile(bootstrapped):
    """Planned as a creation, found existing: only our labels are added."""
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import apply
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.namespaces import plan_namespace

    bootstrapped.request("POST", "/api/v1/namespaces", {"metadata": {"name": "quick", "labels": {"theirs": "yes"}}})
    apply.Executor(bootstrapped.client).run([plan_namespace("quick", {"secrets/x": "true"})])
    labels = bootstrapped.get("/api/v1/namespaces/quick")["metadata"]["labels"]
    assert labels["theirs"] == "yes" and labels["secrets/x"] == "true"
    bootstrapped.delete("/api/v1/namespaces/quick")
    bootstrapped.eventually(lambda: bootstrapped.get("/api/v1/namespaces/quick") is None, 30, "the namespace's end")


def test_what_took_an_objects_place_is_not_written_over(bootstrapped):
    """Removed, or made anew by others, between the look and the write."""
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import apply, errors
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.actions import plan_apply

    api, collection = "rbac.authorization.k8s.io/v1", "/namespaces/central-secret-store/roles"
    collection = f"/apis/{api}{collection}"

    def may(verb):
        return [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]

    wanted = {"apiVersion": api, "kind": "Role", "rules": may("get")}
    wanted["metadata"] = {"name": "place", "namespace": "central-secret-store"}
    executor = apply.Executor(bootstrapped.client)
    executor.run([plan_apply(wanted, None)])
    changed = plan_apply({**wanted, "rules": may("list")}, bootstrapped.get(f"{collection}/place"))
    bootstrapped.delete(f"{collection}/place")
    for theirs in (None, {"metadata": {"name": "place"}, "rules": may("watch")}):
        if theirs:
            bootstrapped.request("POST", collection, theirs)
        with pytest.raises(errors.WriteError, match=r"place: somebody removed or replaced it meanwhile"):
            executor.run([changed])
        live = bootstrapped.get(f"{collection}/place")
        assert live["rules"] == may("watch") if theirs else live is None
    bootstrapped.delete(f"{collection}/place")


def test_what_another_catalog_made_meanwhile_is_not_written_over(bootstrapped):
    """It wears our label; nobody looked at it."""
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import apply, errors
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.plan.actions import plan_apply

    api = "rbac.authorization.k8s.io/v1"
    path = f"/apis/{api}/clusterroles/meanwhile"

    def role(verb):
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]
        return {
            "apiVersion": api,
            "kind": "ClusterRole",
            "metadata": {"name": "meanwhile", "labels": OWNED},
            "rules": rules,
        }

    executor = apply.Executor(bootstrapped.client)
    try:
        planned = [plan_apply(role(verb), None) for verb in ("get", "get", "list")]
        executor.run([planned[0]])
        executor.run([planned[1]])  # the same is no conflict
        with pytest.raises(errors.WriteError, match="somebody changed it meanwhile, so it stays"):
            executor.run([planned[2]])
        assert bootstrapped.get(path)["rules"] == role("get")["rules"]
    finally:
        bootstrapped.delete(path)


def test_a_central_namespace_that_somebody_makes_meanwhile_is_looked_at_first(bootstrapped):
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import apply, errors, module

    context = module.Context({}, False, False, lambda _text: None)
    context._client = bootstrapped.client
    batch = context.missing_namespace("central-meanwhile", True)
    bootstrapped.request("POST", "/api/v1/namespaces", {"metadata": {"name": "central-meanwhile"}})
    try:
        with pytest.raises(errors.WriteError, match="somebody made it meanwhile"):
            apply.Executor(bootstrapped.client).run(batch)
        assert not bootstrapped.get("/api/v1/namespaces/central-meanwhile")["metadata"].get("annotations")
    finally:
        bootstrapped.delete("/api/v1/namespaces/central-meanwhile")


def ended(platform, namespace):
    """Whether the namespace is gone, after a try to remove it. ESO forgets its finalizer on a namespace that loses its
    label while it looks."""
    path = f"/api/v1/namespaces/{namespace}"
    platform.delete(path)
    with contextlib.suppress(ApiError):
        platform.patch(path, {"metadata": {"finalizers": None}})
    return not platform.get(path)


def test_a_label_that_somebody_takes_away_is_no_success(bootstrapped, catalog):
    """GitOps, say, that owns the namespaces' labels."""
    with_it = [*catalog, {**entry("fleeting", ["fleeting"]), "source": "github-pat", "data": {"KEY": "token"}}]
    bootstrapped.module("apply", catalog=with_it, parts={"permissions": {}, "labels": {}, "stores": {}, "entries": {}})
    gone = threading.Event()

    def takes_it_away():
        path = "/api/v1/namespaces/fleeting"
        while not gone.wait(0.05):
            labels = bootstrapped.get(path)["metadata"].get("labels") or {}
            given = {label: None for label in labels if label.startswith("secrets/")}
            if given:
                bootstrapped.patch(path, {"metadata": {"labels": given}})

    thread = threading.Thread(target=takes_it_away)
    thread.start()
    try:
        bootstrapped.eventually(lambda: bootstrapped.secret("fleeting", "fleeting") is None, 30, "the copy's end")
        parts = {"labels": {}, "verify": {"wait_timeout": 12}}
        done = bootstrapped.module("apply", catalog=with_it, parts=parts, check=False)
        asked = {"cluster_secrets_namespace": "fleeting", "cluster_secrets_secret": "cloudflare-api-token"}
        onboarded = bootstrapped.play("onboard", variables={**asked, "cluster_secrets_wait_timeout": 12}, check=False)
    finally:
        gone.set()
        thread.join()
        # As the next test expects it.
        bootstrapped.play("bootstrap", variables={"cluster_secrets_prune": ["entries", "labels"]})
        bootstrapped.eventually(lambda: ended(bootstrapped, "fleeting"), 30, "the namespace's end")
    assert done.result.get("failed"), done.result
    assert onboarded.rc == 2, onboarded.output
    assert "fleeting/cloudflare-api-token is unlabelled" in onboarded.stdout, onboarded.stdout
    assert "fleeting is unlabelled" in done.result["msg"] and "secrets/fleeting" in done.result["msg"]


def test_two_catalogs_that_are_bootstrapped_at_the_same_moment_both_stay_bound(bootstrapped, catalog):
    """Each planned on what was there before the other's write of the one binding of all readers."""
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import apply, module
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts import stores

    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/central-secret-store-reader"
    before = bootstrapped.get(path)["subjects"]

    def planned(namespace):
        given = {"catalog": catalog, "store": namespace, "store_namespace": namespace}
        params = ArgumentSpecValidator(stores.OPTIONS).validate(given).validated_parameters
        context = module.Context(params, False, False, lambda _text: None)
        context._client = bootstrapped.client
        return [batch for step in stores.permissions(context).steps for batch in step.batches]

    try:
        plans = [planned(namespace) for namespace in ("first-central", "second-central")]
        for batches in plans:
            apply.Executor(bootstrapped.client).run(*batches)
        subjects = bootstrapped.get(path)["subjects"]
        assert {one["namespace"] for one in subjects} == {"central-secret-store", "first-central", "second-central"}
        assert all(one in subjects for one in before)
        assert [planned(namespace) for namespace in ("first-central", "second-central")] == [[[]] * 6] * 2
    finally:
        bootstrapped.patch(path, {"subjects": before})
        for namespace in ("first-central", "second-central"):
            bootstrapped.delete(f"/api/v1/namespaces/{namespace}")


def test_a_second_catalog_over_the_same_namespace_is_refused(bootstrapped):
    """Its store would have other permissions, by the names of the first one's."""
    theirs = {
        "cluster_secrets_store": "another-store",
        "cluster_secrets_catalog": [
            {**entry("theirs-one", ["theirs"]), "source": "github-pat", "data": {"K": "token"}}
        ],
    }
    role = f"{RBAC}/namespaces/central-secret-store/roles/central-secret-store-reader"
    before = bootstrapped.get(role)["rules"]
    for more in (["--check"], []):
        done = bootstrapped.play("bootstrap", *more, variables=theirs, check=False)
        assert done.rc == 2, done.output
        assert "it reads namespace 'central-secret-store', too, for ClusterExternalSecret" in done.stdout, done.stdout
    assert bootstrapped.get(role)["rules"] == before and not bootstrapped.get("/api/v1/namespaces/theirs")


def test_a_label_that_others_select_by_is_not_changed_by_an_entrys_first_bootstrap(bootstrapped, catalog):
    path = "/api/v1/namespaces/tiered"
    bootstrapped.request("POST", "/api/v1/namespaces", {"metadata": {"name": "tiered", "labels": {"tier": "silver"}}})
    gold = {**entry("gold", ["tiered"]), "label": "tier=gold", "source": "github-pat", "data": {"K": "token"}}
    try:
        done = bootstrapped.play("bootstrap", variables={"cluster_secrets_catalog_extra": [gold]}, check=False)
        assert done.rc == 2 and "it carries tier=silver, by which others may select it" in done.stdout, done.output
        given = {"tiered": ["gold"]}
        refused = bootstrapped.module("namespace_labels", catalog=[*catalog, gold], assignments=given, check=False)
        assert "carries tier=silver" in refused.result["msg"], refused.result
        assert bootstrapped.get(path)["metadata"]["labels"]["tier"] == "silver"
    finally:
        bootstrapped.delete(path)


def test_a_master_that_is_being_deleted_is_named(bootstrapped):
    path = "/api/v1/namespaces/central-secret-store/secrets/cloudflare-api-token"
    bootstrapped.patch(path, {"metadata": {"finalizers": ["example.com/held"]}})
    bootstrapped.delete(path)
    try:
        done = bootstrapped.play("bootstrap", check=False)
    finally:
        bootstrapped.patch(path, {"metadata": {"finalizers": None}})
    assert done.rc == 2, done.output
    assert "cloudflare-api-token is being deleted, and held by example.com/held" in done.stdout, done.stdout
    bootstrapped.play("bootstrap")


def test_what_was_written_before_a_failure_is_in_the_result(bootstrapped, catalog):
    """One of two writes is refused: what the other did is said."""
    refused = [entry("refused", []), entry("taken", [])]
    given = {"refused-source": {"key": CANARY}, "taken-source": {"key": CANARY}}
    secrets = "/api/v1/namespaces/central-secret-store/secrets"
    one_more = str(len(bootstrapped.get(secrets)["items"]) + 1)
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"count/secrets": one_more}}}
    quotas = "/api/v1/namespaces/central-secret-store/resourcequotas"
    bootstrapped.request("POST", quotas, quota)
    try:
        bootstrapped.eventually(
            lambda: (bootstrapped.get(f"{quotas}/few").get("status") or {}).get("used"), 30, "its use"
        )
        done = bootstrapped.module("central_secrets", catalog=refused, values=given, check=False)
    finally:
        bootstrapped.delete(f"{quotas}/few")
        for name in given:
            bootstrapped.delete(f"{secrets}/{name}")
    assert (
        "exceeded quota" in done.result["msg"]
        and "1 of 2 writes were done, a rerun does the rest" in done.result["msg"]
    )
    assert done.result["changed"] is True and len(done.result["changes"]) == 1 and not leaked(done.output)


def test_an_empty_request_regenerates_nothing(bootstrapped):
    made = [{**entry("made", []), "generate": {"key": {"length": 40}}}]
    for request in ("", None):
        done = bootstrapped.module("central_secrets", catalog=made, regenerate={"made-source": request}, check=False)
        assert "regenerate: the request for source 'made-source' is empty" in done.result["msg"], done.result


def test_what_was_changed_after_its_backup_is_not_replaced(bootstrapped, catalog):
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import errors, module
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts import entries

    secrets = "/api/v1/namespaces/default/secrets"
    made = bootstrapped.request("POST", secrets, {"metadata": {"name": "edited"}, "data": {"key": "bmV3"}})

    def deleted(saved, version=True):
        given = {"catalog": catalog, "replace": {"default": {"edited": {made["metadata"]["uid"]: version}}}}
        params = ArgumentSpecValidator(entries.OPTIONS).validate(given).validated_parameters
        context = module.Context({**params, "saved": saved}, False, False, lambda _text: None)
        context._client = bootstrapped.client
        return [action.name for action in entries.plan(context).actions if action.verb == "delete"]

    try:
        assert deleted({("default", "edited"): ("Opaque", {"key": "bmV3"})}) == deleted({}) == ["edited"]
        with pytest.raises(errors.NotReady, match="changed Secret default/edited after it was backed up"):
            deleted({("default", "edited"): ("Opaque", {"key": "b2xk"})})
        # Of an earlier task, the version is known.
        assert deleted({}, made["metadata"]["resourceVersion"]) == ["edited"]
        with pytest.raises(errors.NotReady, match="changed Secret default/edited after it was backed up"):
            deleted({}, "1")
    finally:
        bootstrapped.delete(f"{secrets}/edited")


def test_a_value_that_somebody_gives_meanwhile_stays(bootstrapped):
    """Neither the preflight nor the backup saw it; what says the same, or nothing about values, is no reason."""
    from ansible_collections.platform.cluster_secrets.plugins.module_utils import apply, errors, module
    from ansible_collections.platform.cluster_secrets.plugins.module_utils.parts import masters

    path = "/api/v1/namespaces/central-secret-store/secrets/meanwhile-source"
    options = {"catalog": [entry("meanwhile", [])], "store_namespace": "central-secret-store"}
    given = {**options, "values": {"meanwhile-source": {"key": "second-value"}}}

    def planned():
        params = ArgumentSpecValidator(masters.OPTIONS).validate(given).validated_parameters
        context = module.Context(params, False, False, lambda _text: None)
        context._client = bootstrapped.client
        plan = masters.plan(context)
        assert plan.result["changed_sources"] == {"meanwhile-source": {"key": True}}
        return plan.steps[-1].batches

    def data(value):
        return {"data": {"key": base64.b64encode(value.encode()).decode()}}

    executor = apply.Executor(bootstrapped.client)
    for before in (None, "first-value"):
        for meanwhile, after in (
            (data("their-value"), "their-value"),
            (data("second-value"), "second-value"),
            ({"metadata": {"annotations": {"note": "theirs"}}}, "second-value"),
        ):
            bootstrapped.delete(path)
            owned = {"metadata": {"name": "meanwhile-source", "labels": OWNED}}
            if before:
                bootstrapped.request("POST", path.rpartition("/")[0], {**owned, **data(before)})
            batches = planned()
            if not before:
                bootstrapped.request("POST", path.rpartition("/")[0], owned)
            bootstrapped.patch(path, meanwhile)
            if after == "their-value":
                with pytest.raises(errors.WriteError, match="somebody changed it meanwhile, so it stays"):
                    executor.run(*batches)
            else:
                executor.run(*batches)
            assert bootstrapped.data("central-secret-store", "meanwhile-source") == {"key": after}
    bootstrapped.delete(path)


def test_a_terminating_namespace_is_an_error_of_its_own(bootstrapped):
    bootstrapped.request(
        "POST", "/api/v1/namespaces", {"metadata": {"name": "ending", "finalizers": ["example.com/hold"]}}
    )
    bootstrapped.delete("/api/v1/namespaces/ending")
    catalog = [entry("ending", [])]
    with pytest.raises(ApiError) as caught:
        bootstrapped.request("POST", "/api/v1/namespaces/ending/secrets", {"metadata": {"name": "x"}})
    assert "missing permission" not in str(caught.value) and "being terminated" in str(caught.value)
    outcome = bootstrapped.module(
        "central_secrets",
        catalog=catalog,
        values={"ending-source": {"key": "v"}},
        store_namespace="ending",
        check=False,
    )
    assert "being terminated" in outcome.result["msg"] and "missing permission" not in outcome.result["msg"]
    bootstrapped.patch("/api/v1/namespaces/ending", {"metadata": {"finalizers": None}})
