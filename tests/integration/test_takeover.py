# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster that was set up by hand: refused, written down, taken over, and nothing that worked stops."""

from __future__ import annotations

import base64
import json
import stat

import handmade
import pytest
import yaml
from handmade import CENTRAL, FOREIGN, MASTERS
from support import CANARY, another, entry, found, leaked

from controlplane import build, cluster, values
from soak import takeover

OPERATOR = cluster.ADMIN_USER


def adopted(platform, name="adopted"):
    """The arguments that make a play use what adopt wrote, or writes now."""
    path = platform.folder / name / "cluster_secrets.yml"
    if not path.exists():
        platform.play("adopt", variables={"cluster_secrets_dest": name})
    return ("-e", f"@{path}")


@pytest.fixture(scope="module", params=["v0.14.4", None], ids=["v1beta1", "v1"])
def byhand(request, platform):
    """(a cluster made by hand, its API version of ESO): on the oldest supported release, and on the one under test."""
    version = "v1beta1" if request.param else "v1"
    with another(platform, f"byhand-{version}", eso=request.param) as own:
        handmade.make(own, version)
        yield own, version


@pytest.fixture(scope="module")
def taken(byhand):
    """The same, once the catalog that adopt writes was bootstrapped."""
    byhand[0].play("bootstrap", *adopted(byhand[0]))
    return byhand


@pytest.fixture(scope="module")
def eso(byhand):
    return f"/apis/external-secrets.io/{byhand[1]}"


def test_a_bootstrap_that_would_break_something_is_refused_with_everything_named(byhand):
    own, _version = byhand
    for arguments in (("--check",), (), ("-vvvv", "--diff")):
        mark = own.mark()
        outcome = own.play("bootstrap", *arguments, variables={"cluster_secrets_eso_method": "existing"}, check=False)
        assert outcome.rc == 2 and own.writes(mark) == []
        for text in (
            f"{16 + len(handmade.forms())} thing(s) that were there before would change or stop working. Nothing was",
            "- values: Secret central-secret-store/github-pat: made by kubectl-create; the value of token,",
            "client-id, client-secret, token would be added beside GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET, GITHUB",
            "- stores: ClusterSecretStore central-secret-store: made by kubectl-create; it serves any namespace",
            "- consumers: ClusterExternalSecret team-special: ",
            "- consumers: ExternalSecret lone/lone: ",
            "the store would no longer admit namespace lone; the store could no longer read legacy",
            "- entries: ClusterExternalSecret kargo-admin-credentials: ",
            "it gains ADMIN_ACCOUNT_PASSWORD_HASH, ADMIN_ACCOUNT_TOKEN_SIGNING_KEY, it loses hash, key",
            "- targets: Secret code-server/gh-docker-registry-creds: made by hand; ",
            "run platform.cluster_secrets.adopt",
        ):
            assert text in outcome.stdout, text
        assert leaked(outcome.output) == []


@pytest.mark.parametrize("byhand", ["v0.14.4"], indirect=True, ids=["v1beta1"])
def test_eso_is_not_replaced_by_one_that_serves_none_of_its_objects(byhand):
    own, _version = byhand
    mark = own.mark()
    variables = {"cluster_secrets_eso_chart": str(build.eso_chart()), "cluster_secrets_eso_allow": ["vulnerable"]}
    outcome = own.play("bootstrap", variables=variables, check=False)
    assert outcome.rc == 2 and own.writes(mark) == []
    assert "runs External Secrets 0.14.3, whose objects are v1beta1, and this chart installs 0.20.3" in outcome.stdout


def test_adopt_writes_down_what_is_there_and_nothing_to_the_cluster(byhand):
    own, _version = byhand
    mark = own.mark()
    predicted = own.play("adopt", "--check", variables={"cluster_secrets_dest": "adopted"})
    assert predicted.recap["changed"] == 1 and not (own.folder / "adopted").exists()
    outcome = own.play("adopt", "-vvvv", "--diff", variables={"cluster_secrets_dest": "adopted"})
    assert own.writes(mark) == [] and leaked(predicted.output + outcome.output) == []
    folder = own.folder / "adopted"
    variables = yaml.safe_load((folder / "cluster_secrets.yml").read_text())
    catalog = {one["name"]: one for one in variables["cluster_secrets_catalog"]}
    assert set(catalog) == {one["metadata"]["name"] for one in handmade.objects()} - set(FOREIGN)
    assert catalog["database"]["data"] == {"URL": {"text": "postgres://{user}:{password}@db/app"}}
    assert catalog["metrics-service-credentials"]["extract"] is True
    assert catalog["application-docker-registry"]["namespaces"] == ["backstage", "n8n"]
    assert variables["cluster_secrets_takeover"] == {"consumers": "keep", "entries": "adopt", "stores": "adopt"}
    assert variables["cluster_secrets_eso_method"] == "existing"
    vault = folder / "cluster_secrets.vault.yml"
    assert stat.S_IMODE(vault.stat().st_mode) == 0o600
    given = values.read_vault(vault, own.password)
    assert given["database"] == {
        "password": MASTERS["database"]["password"].decode(),
        "user": "user-of-the-app",
    }
    assert base64.b64decode(given["market-making-kucoin-credentials"]["keystore"]["base64"]) == handmade.BINARY
    report = (folder / "cluster_secrets_report.md").read_text()
    assert "`team-special`: no entry can express it: the template" in report and "two-sources" in report
    for path in own.folder.rglob("*"):
        assert not path.is_file() or leaked(path.read_text(errors="replace")) == [], path
    assert own.play("adopt", variables={"cluster_secrets_dest": "adopted"}).recap["changed"] == 0


def test_adopt_that_finds_nothing_names_the_store_that_looks_like_one(byhand):
    own, _version = byhand
    given = {
        "cluster_secrets_dest": "nothing",
        "cluster_secrets_store": "masters",
        "cluster_secrets_store_namespace": "masters",
    }
    for mode in (["--check"], []):
        outcome = own.play("adopt", *mode, variables=given, check=False)
        assert outcome.rc == 2 and not (own.folder / "nothing").exists()
        assert "nothing reads through a ClusterSecretStore 'masters' of the namespace 'masters'" in outcome.stdout
        found = f"-e cluster_secrets_store={CENTRAL} -e cluster_secrets_store_namespace={CENTRAL} ("
        assert found in outcome.stdout, outcome.stdout


def test_adopt_never_replaces_what_holds_something_else(byhand, tmp_path):
    own, _version = byhand
    (tmp_path / "cluster_secrets.yml").write_text("mine: true\n")
    for variables, ok in (({"cluster_secrets_force": False}, False), ({"cluster_secrets_force": True}, True)):
        outcome = own.play("adopt", variables={"cluster_secrets_dest": str(tmp_path), **variables}, check=False)
        assert (outcome.rc == 0) is ok
        assert ok or "is there and holds something else. Nothing was written" in outcome.stdout
        assert ok or sorted(path.name for path in tmp_path.iterdir()) == ["cluster_secrets.yml"]


def test_a_takeover_changes_no_target(byhand, eso):
    own, _version = byhand
    arguments = adopted(own)
    predicted = own.play("bootstrap", "--check", *arguments)
    with handmade.Poller(own) as poller:
        outcome = own.play("bootstrap", *arguments, "-vvvv", "--diff")
        mark = own.mark()
        again = own.play("bootstrap", *arguments)
    assert poller.changes == [] and poller.reads > 50
    assert predicted.table == outcome.table != []
    assert again.recap["changed"] == 0 and own.writes(mark) == []
    assert leaked(predicted.output + outcome.output + again.output) == []
    live = own.get(f"{eso}/clusterexternalsecrets/database")
    assert "namespaceSelector" not in live["spec"] and len(live["spec"]["namespaceSelectors"]) == 1
    assert own.play("status", *arguments).rc == 0


def test_foreign_consumers_go_on_refreshing(taken, eso):
    own, _version = taken
    changed = {"a": base64.b64encode(f"{CANARY}-new".encode()).decode(), "b": base64.b64encode(b"new").decode()}
    own.patch(f"/api/v1/namespaces/{CENTRAL}/secrets/legacy", {"data": changed})
    for name in FOREIGN:
        refresh = {"spec": {"externalSecretMetadata": {"annotations": {"refresh": "now"}}}}
        own.patch(f"{eso}/clusterexternalsecrets/{name}", refresh)
    own.patch(f"{eso}/namespaces/lone/externalsecrets/lone", {"metadata": {"annotations": {"refresh": "now"}}})
    for namespace, name, key in (("special", "special", "a"), ("two", "two", "a"), ("lone", "lone", "b")):
        own.eventually(
            lambda place=(namespace, name), key=key: own.secret(*place)["data"][key] == changed[key],
            what=f"the new value in {namespace}",
        )
    assert {one for one in found(own, catalog_of(own), isolation="shared") if one[0] == "kept-consumer"} == {
        ("kept-consumer", None, "team-special"),
        ("kept-consumer", None, "two-sources"),
        ("kept-consumer", "lone", "lone"),
    }


def catalog_of(platform, name="adopted"):
    return yaml.safe_load((platform.folder / name / "cluster_secrets.yml").read_text())["cluster_secrets_catalog"]


def test_what_was_kept_is_not_dropped_by_accident(taken):
    own, _version = taken
    mark = own.mark()
    outcome = own.play("bootstrap", *adopted(own), "-e", json.dumps({"cluster_secrets_takeover": {}}), check=False)
    assert outcome.rc == 2 and own.writes(mark) == []
    assert "- consumers: ClusterExternalSecret team-special: " in outcome.stdout, outcome.stdout


def test_a_tenant_can_not_join_what_was_kept(taken, eso):
    """Neither a new ExternalSecret, nor a kept one that now asks for more."""
    own, version = taken
    role = f"{handmade.RBAC}/namespaces/{CENTRAL}/roles/central-secret-store-reader"
    before = own.get(role)["rules"], own.get(f"{eso}/clustersecretstores/{CENTRAL}")["spec"]["conditions"]
    spec = {
        "refreshInterval": "1h",
        "secretStoreRef": {"kind": "ClusterSecretStore", "name": CENTRAL},
        "data": [handmade.ref("t", "unheard-of", "t")],
    }
    body = {"apiVersion": f"external-secrets.io/{version}", "kind": "ExternalSecret", "metadata": {"name": "joiner"}}
    own.request("POST", f"{eso}/namespaces/code-server/externalsecrets", {**body, "spec": spec})
    data = [handmade.ref("b", "legacy", "b"), handmade.ref("t", "unheard-of", "t")]
    own.patch(f"{eso}/namespaces/lone/externalsecrets/lone", {"spec": {"data": data}})
    try:
        assert own.play("bootstrap", *adopted(own)).recap["changed"] == 0
        assert (own.get(role)["rules"], own.get(f"{eso}/clustersecretstores/{CENTRAL}")["spec"]["conditions"]) == before
    finally:
        own.delete(f"{eso}/namespaces/code-server/externalsecrets/joiner")
        own.patch(f"{eso}/namespaces/lone/externalsecrets/lone", {"spec": {"data": data[:1]}})


def test_adopting_again_gives_the_same_catalog(taken):
    own, _version = taken
    own.play("adopt", variables={"cluster_secrets_dest": "again"})
    assert catalog_of(own, "again") == catalog_of(own)


def test_a_hand_made_target_is_replaced_only_on_request_and_backed_up(taken, eso):
    """Its type stays what Kubernetes lets nobody change, so it has to be made anew."""
    own, _version = taken
    path = "/api/v1/namespaces/code-server/secrets/gh-docker-registry-creds"
    old = own.get(path)
    own.delete(path)
    body = {"metadata": {"name": "gh-docker-registry-creds"}, "data": old["data"], "immutable": True}
    own.request("POST", "/api/v1/namespaces/code-server/secrets", body)
    add = {"cluster_secrets_catalog_namespaces_add": {"application-docker-registry": ["code-server"]}}
    refused = own.play("bootstrap", *adopted(own), "-e", json.dumps(add), check=False)
    assert "its type becomes kubernetes.io/dockerconfigjson instead of Opaque" in refused.stdout
    add["cluster_secrets_takeover"] = {"consumers": "keep", "targets": "adopt"}
    assert own.play("bootstrap", *adopted(own), "-e", json.dumps(add), check=False).rc == 2
    add["cluster_secrets_takeover"]["targets"] = "overwrite"
    assert own.play("bootstrap", "--check", *adopted(own), "-e", json.dumps(add)).recap["changed"] > 0
    assert not (own.folder / "cluster-secrets-backups").exists()
    outcome = own.play("bootstrap", *adopted(own), "-e", json.dumps(add))
    assert leaked(outcome.output) == []
    assert own.get(path)["type"] == "kubernetes.io/dockerconfigjson"
    (backup,) = (own.folder / "cluster-secrets-backups").glob("*.vault.yml")
    kept = values.read_vault(backup, own.password)["secrets"]
    assert [one["data"] for one in kept] == [old["data"]]
    assert own.play("bootstrap", *adopted(own), "-e", json.dumps(add)).recap["changed"] == 0


def test_adopt_of_a_bootstrapped_cluster_returns_its_catalog(bootstrapped, catalog, tmp_path):
    for isolation in ("shared", "entry", "shared"):
        bootstrapped.play("bootstrap", variables={"cluster_secrets_isolation": isolation})
        dest = tmp_path / isolation
        bootstrapped.play("adopt", variables={"cluster_secrets_dest": str(dest), "cluster_secrets_force": True})
        variables = yaml.safe_load((dest / "cluster_secrets.yml").read_text())
        assert variables.get("cluster_secrets_isolation", "shared") == isolation
        assert "cluster_secrets_takeover" not in variables
        wanted = {one["name"]: parsed(one) for one in catalog if one["name"] != "talos-config"}
        assert {one["name"]: parsed(one) for one in variables["cluster_secrets_catalog"]} == wanted
        given = values.read_vault(dest / "cluster_secrets.vault.yml", bootstrapped.password)
        assert given == {name: data for name, data in bootstrapped.values.items() if name in given} and len(given) == 6


def parsed(raw):
    """An entry as people compare it: defaults left out, namespaces in any order."""
    one = {key: value for key, value in raw.items() if key != "target" or value != raw["name"]}
    return {**one, "namespaces": sorted(one["namespaces"])}


def test_objects_that_gitops_or_helm_own_are_named(bootstrapped, catalog):
    """Only where the collection would write to them."""
    p = bootstrapped
    path = f"/api/v1/namespaces/{CENTRAL}/secrets/github-pat"
    marks = {"argocd.argoproj.io/tracking-id": "apps:v1"}
    p.patch(path, {"metadata": {"annotations": marks}})
    ces = "/apis/external-secrets.io/v1/clusterexternalsecrets/cloudflare-api-token"
    p.client.request(
        "PATCH",
        ces,
        {"fieldManager": "kustomize-controller"},
        {"spec": {"refreshTime": "2h0m0s"}},
        "application/merge-patch+json",
    )
    mark = p.mark()
    outcome = p.play("bootstrap", check=False)
    assert outcome.rc == 2 and p.writes(mark) == []
    assert "- managers: ClusterExternalSecret cloudflare-api-token: Flux owns it too" in outcome.stdout
    assert "- managers: Secret central-secret-store/github-pat: Argo CD owns it too" in outcome.stdout
    accepted = {"cluster_secrets_takeover": {"managers": "overwrite"}}
    assert p.play("bootstrap", variables=accepted).recap["changed"] == 1
    p.patch(path, {"metadata": {"annotations": dict.fromkeys(marks)}})
    assert p.play("bootstrap").recap["changed"] == 0


@pytest.mark.parametrize("number", [4])
def test_a_crash_in_the_middle_of_a_takeover(platform, tmp_path, number):
    """``make soak-takeover`` runs more of these."""
    if not platform.plane:
        pytest.skip("needs a control plane of its own")
    assert "converged" in takeover.run(number, tmp_path / "soak")


def test_adopt_is_not_deceived_by_a_deployment_that_looks_like_eso(bootstrapped, tmp_path):
    """A tenant may label one so; its ServiceAccount may not write all ExternalSecrets."""
    labels = {"app.kubernetes.io/name": "external-secrets"}
    pod = {"serviceAccountName": "owner", "containers": [{"name": "external-secrets", "image": "x:v9.9.9"}]}
    spec = {
        "replicas": 0,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    body = {"metadata": {"name": "aaa", "labels": labels}, "spec": spec}
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    bootstrapped.request("POST", deployments, body)
    try:
        bootstrapped.play("adopt", variables={"cluster_secrets_dest": str(tmp_path)})
    finally:
        bootstrapped.delete(f"{deployments}/aaa")
    variables = yaml.safe_load((tmp_path / "cluster_secrets.yml").read_text())
    assert not {"cluster_secrets_eso_namespace", "cluster_secrets_eso_service_account"} & set(variables)
    assert "9.9.9" not in (tmp_path / "cluster_secrets_report.md").read_text()


def test_a_tenant_who_detaches_his_external_secret_holds_up_nobody(bootstrapped):
    path = "/apis/external-secrets.io/v1/namespaces/n8n/externalsecrets/application-docker-registry"
    bootstrapped.patch(path, {"metadata": {"ownerReferences": None}})
    try:
        assert bootstrapped.play("bootstrap").recap["changed"] == 0
    finally:
        bootstrapped.delete(path)
    # ESO makes it anew, and with it the target.
    bootstrapped.patch(
        "/apis/external-secrets.io/v1/clusterexternalsecrets/application-docker-registry",
        {"metadata": {"annotations": {"external-secrets.io/force-sync": "again"}}},
    )
    bootstrapped.eventually(
        lambda: (bootstrapped.get(path) or {}).get("metadata", {}).get("ownerReferences"), what="ESO's own"
    )
    bootstrapped.play("rotate")


def test_an_interrupted_replacement_is_gone_on_with(bootstrapped):
    """The namespace is labelled and served already, and the Secret is still the one that somebody made."""
    p, path = bootstrapped, "/api/v1/namespaces/late/secrets/gh-docker-registry-creds"
    p.request("POST", "/api/v1/namespaces", {"metadata": {"name": "late"}})
    old = {"metadata": {"name": "gh-docker-registry-creds"}, "data": {"mine": "bWluZQ=="}}
    p.request("POST", "/api/v1/namespaces/late/secrets", old)
    p.patch("/api/v1/namespaces/late", {"metadata": {"labels": {"secrets/gh-docker-registry": "true"}}})
    external = "/apis/external-secrets.io/v1/namespaces/late/externalsecrets/application-docker-registry"
    p.eventually(lambda: p.get(external), what="its ExternalSecret")
    add = {"cluster_secrets_catalog_namespaces_add": {"application-docker-registry": ["late"]}}
    stuck = p.play("bootstrap", variables={**add, "cluster_secrets_wait_timeout": 3}, check=False)
    assert stuck.rc == 2 and "late/gh-docker-registry-creds" in stuck.stdout and p.get(path)["data"] == old["data"]
    answers = {"cluster_secrets_takeover": {"targets": "overwrite"}, "cluster_secrets_backup_dir": "late"}
    p.play("bootstrap", variables={**add, **answers})
    assert p.get(path)["type"] == "kubernetes.io/dockerconfigjson" and list((p.folder / "late").glob("*.vault.yml"))
    assert p.play("bootstrap", variables={**add, **answers}).recap["changed"] == 0
    given = {"cluster_secrets_namespace": "late", "cluster_secrets_secret": ["application-docker-registry"]}
    p.play("offboard", variables=given)
    p.delete("/api/v1/namespaces/late")


def test_labels_that_others_select_by_are_spared(bootstrapped):
    p, ces = bootstrapped, "/apis/external-secrets.io/v1/clusterexternalsecrets"
    theirs = handmade.distributed("foreign", "secrets/foreign", {"name": "foreign"}, data=[handmade.ref("a", "b", "c")])
    theirs["spec"]["externalSecretSpec"]["secretStoreRef"]["name"] = "elsewhere"
    body = {"apiVersion": "external-secrets.io/v1", "kind": "ClusterExternalSecret", **theirs}
    p.request("POST", ces, body)
    labels = {"secrets/foreign": "true", "secrets/nobody": "true"}
    p.patch("/api/v1/namespaces/default", {"metadata": {"labels": labels}})
    p.play("bootstrap", variables={"cluster_secrets_prune": ["labels"]})
    left = p.get("/api/v1/namespaces/default")["metadata"]["labels"]
    assert left.get("secrets/foreign") == "true" and "secrets/nobody" not in left
    p.delete(f"{ces}/foreign")
    p.eventually(lambda: not p.get(f"{ces}/foreign"), what="its end")
    p.play("bootstrap", variables={"cluster_secrets_prune": ["labels"]})
    assert "secrets/foreign" not in p.get("/api/v1/namespaces/default")["metadata"]["labels"]


def test_wrong_answers(bootstrapped):
    for given, text in (
        ({"consumer": "keep"}, "unknown kind 'consumer'. Did you mean 'consumers'?"),
        ({"values": "adopt"}, "'values' can't be 'adopt'. Use one of: refuse, overwrite."),
    ):
        outcome = bootstrapped.play("bootstrap", variables={"cluster_secrets_takeover": given}, check=False)
        assert outcome.rc == 2 and text in outcome.stdout


def test_a_rotation_does_not_overwrite_what_somebody_made(bootstrapped):
    p = bootstrapped
    path = f"/api/v1/namespaces/{CENTRAL}/secrets/cloudflare-api-token"
    labels = p.get(path)["metadata"]["labels"]
    p.patch(path, {"metadata": {"labels": dict.fromkeys(labels)}, "data": {"api-token": "aGFuZA=="}})
    mark = p.mark()
    outcome = p.play("rotate", check=False)
    assert outcome.rc == 2 and p.writes(mark) == []
    assert "- values: Secret central-secret-store/cloudflare-api-token: " in outcome.stdout
    accepted = {"cluster_secrets_takeover": {"values": "overwrite"}, "cluster_secrets_backup_dir": "rotated"}
    assert leaked(p.play("rotate", "--diff", variables=accepted).output) == []
    (backup,) = (p.folder / "rotated").glob("*.vault.yml")
    assert values.read_vault(backup, p.password)["secrets"][0]["data"] == {"api-token": "aGFuZA=="}
    assert p.data("cert-manager", "cloudflare-api-token") == p.values["cloudflare-api-token"]


def test_every_form_of_the_catalog_on_a_real_cluster(bootstrapped, tmp_path):
    """Binary data, composed text, a whole source, labels with a value, namespaces by name, a type of one's own."""
    source = {"user": "me", "pass.word": 'p{"w"}', "bin": {"base64": base64.b64encode(handmade.BINARY).decode()}}
    text = {"text": r"postgres://{user}:{pass.word}@db/\{x}?auth={base64:user:pass.word}&json={json:pass.word}"}
    catalog = [
        entry(
            "composed", ["forms"], label="tier=forms", data={"URL": text, "BIN": "bin", "E": {"value": "\U0001f600{"}}
        ),
        {
            "name": "whole",
            "source": "composed-source",
            "namespaces_by_name": ["default"],
            "extract": True,
            "type": "example.com/own",
            "external_secret": "other",
        },
    ]
    vault = tmp_path / "forms.vault.yml"
    values.write_vault({**bootstrapped.values, "composed-source": source}, vault, bootstrapped.password)
    variables = {"cluster_secrets_catalog_extra": catalog, "cluster_secrets_values_file": str(vault)}
    bootstrapped.play("bootstrap", variables=variables)
    assert bootstrapped.play("bootstrap", variables=variables).recap["changed"] == 0

    def data(namespace, name):
        return {key: base64.b64decode(value) for key, value in bootstrapped.secret(namespace, name)["data"].items()}

    pair = base64.b64encode(b'me:p{"w"}').decode()
    url = f'postgres://me:p{{"w"}}@db/{{x}}?auth={pair}&json="p{{\\"w\\"}}"'
    assert data("forms", "composed") == {"URL": url.encode(), "BIN": handmade.BINARY, "E": "\U0001f600{".encode()}
    assert data("default", "whole") == {"user": b"me", "pass.word": b'p{"w"}', "bin": handmade.BINARY}
    assert bootstrapped.secret("default", "whole")["type"] == "example.com/own"
    prune = {"cluster_secrets_prune": ["entries", "masters"]}
    bootstrapped.play("bootstrap", variables=prune)
    # A label that does not begin with secrets/ may be there for others.
    options = {"catalog": catalog[:1], "assignments": {"forms": ["composed"]}, "state": "absent"}
    refused = bootstrapped.module("namespace_labels", check=False, **options)
    assert "kubectl label namespace forms tier-" in refused.result["msg"]
    bootstrapped.patch("/api/v1/namespaces/forms", {"metadata": {"labels": {"tier": None}}})
    bootstrapped.module("namespace_labels", **options)
    bootstrapped.delete("/api/v1/namespaces/forms")


def test_entries_are_changed_by_name(bootstrapped):
    variables = {
        "cluster_secrets_disabled": ["code-server-ssh-key"],
        "cluster_secrets_catalog_namespaces_add": {"cloudflare-api-token": ["kargo"]},
    }
    outcome = bootstrapped.play("status", variables=variables, check=False)
    assert "'unlabelled': 1" in outcome.stdout and "code-server-ssh-key" not in outcome.stdout
    wrong = bootstrapped.play("status", variables={"cluster_secrets_disabled": ["code-server"]}, check=False)
    assert "no catalog entry is called 'code-server'. Did you mean 'code-server-ssh-key'?" in wrong.output


def test_the_values_file_is_found_in_the_current_folder(bootstrapped):
    """As the quickstart has it."""
    (bootstrapped.folder / "cluster_secrets.vault.yml").write_bytes(bootstrapped.vault.read_bytes())
    outcome = bootstrapped.play("bootstrap", "-e", "cluster_secrets_values_file=cluster_secrets.vault.yml")
    assert outcome.recap["changed"] == 0


def test_an_entry_may_have_the_longest_name_that_eso_takes(bootstrapped, tmp_path):
    one = entry("n" * 59, ["longest"])
    vault = tmp_path / "more.vault.yml"
    values.write_vault({**bootstrapped.values, one["source"]: {"key": "value"}}, vault, bootstrapped.password)
    variables = {"cluster_secrets_catalog_extra": [one], "cluster_secrets_values_file": str(vault)}
    bootstrapped.play("bootstrap", variables=variables)
    prune = {"cluster_secrets_prune": ["entries", "masters"]}
    bootstrapped.play("bootstrap", variables=prune)
    bootstrapped.module("namespace_labels", catalog=[one], assignments={"longest": [one["name"]]}, state="absent")
    bootstrapped.delete("/api/v1/namespaces/longest")
    bootstrapped.eventually(lambda: not bootstrapped.get("/api/v1/namespaces/longest"), what="the end of the namespace")


def test_a_master_that_nobody_can_change_keeps_its_type(bootstrapped):
    p, secrets = bootstrapped, "/api/v1/namespaces/central-secret-store/secrets"
    data = {"tls.crt": f"{CANARY}-crt", "tls.key": f"{CANARY}-key", "theirs": f"{CANARY}-theirs"}
    body = {"metadata": {"name": "edge-source"}, "type": "kubernetes.io/tls", "immutable": True, "stringData": data}
    p.request("POST", secrets, body)
    extra = {
        "cluster_secrets_catalog_extra": [entry("edge", ["kargo"], data={"KEY": "tls.key"})],
        "cluster_secrets_takeover": {"values": "overwrite"},
        "cluster_secrets_backup_dir": "edge",
    }
    values.write_vault({**p.values, "edge-source": {"tls.key": f"{CANARY}-new"}}, p.vault, p.password)
    try:
        predicted = p.play("bootstrap", "--check", variables=extra)
        done = p.play("bootstrap", variables=extra)
        assert predicted.recap["failed"] == 0 and leaked(done.output) == []
        assert p.get(f"{secrets}/edge-source")["type"] == "kubernetes.io/tls"
        assert p.data("central-secret-store", "edge-source") == {**data, "tls.key": f"{CANARY}-new"}
        assert p.data("kargo", "edge") == {"KEY": f"{CANARY}-new"}
        assert p.play("bootstrap", variables=extra).recap["changed"] == 0
    finally:
        values.write_vault(p.values, p.vault, p.password)
        p.play("bootstrap", variables={"cluster_secrets_prune": "entries,masters"})
        p.play("offboard", variables={"cluster_secrets_namespace": "kargo", "cluster_secrets_secret": "edge"})
        p.patch("/api/v1/namespaces/kargo", {"metadata": {"labels": {"secrets/edge": None}}})


def test_a_bootstrap_that_would_take_something_away_is_refused(bootstrapped, tmp_path):
    """By an entry that left, one that selects or names otherwise, or the catalog of another cluster."""
    p = bootstrapped
    one = entry("lossy", ["kargo"])
    vault = tmp_path / "lossy.vault.yml"
    values.write_vault({**p.values, one["source"]: {"key": "1"}}, vault, p.password)
    given = {"cluster_secrets_values_file": str(vault)}
    p.play("bootstrap", variables={**given, "cluster_secrets_catalog_extra": [one]})
    onboard = {"cluster_secrets_namespace": "n8n", "cluster_secrets_secret": "lossy"}
    p.play("onboard", variables={**given, "cluster_secrets_catalog_extra": [one], **onboard})
    prune = {"cluster_secrets_prune": ["entries", "masters"]}
    accept = {"cluster_secrets_takeover": {"losses": "accept"}}
    renamed = {**one, "label": "secrets/lossier"}
    other = entry("elsewhere", ["kargo"], source=one["source"])
    for variables, texts in (
        ({}, ["ClusterExternalSecret lossy: Secret lossy in namespace kargo, n8n would no longer be refreshed"]),
        (
            {"cluster_secrets_catalog": [], "cluster_secrets_catalog_extra": [other]},
            ["ClusterExternalSecret lossy: ", "None of this catalog's entries is on this cluster"],
        ),
        (
            {"cluster_secrets_catalog_extra": [renamed]},
            ["Secret lossy in namespace n8n would go: the entry selects differently"],
        ),
        (
            {"cluster_secrets_catalog_extra": [{**one, "target": "new"}]},
            ["Secret lossy in namespace kargo, n8n would go: the target is now new"],
        ),
    ):
        mark = p.mark()
        for arguments in (("--check",), ()):
            refused = p.play("bootstrap", *arguments, variables={**given, **variables}, check=False)
            assert refused.rc == 2 and p.writes(mark) == []
            for text in texts:
                assert text in refused.stdout, refused.stdout
    assert p.data("n8n", "lossy") == {"KEY": "1"}
    p.play("bootstrap", variables={**given, "cluster_secrets_catalog_extra": [renamed], **accept})
    p.eventually(lambda: p.secret("n8n", "lossy") is None and p.secret("kargo", "lossy"), what="the accepted loss")
    p.play("bootstrap", variables=prune)
    p.eventually(lambda: p.secret("kargo", "lossy") is None, what="the end of the target")
    for name in ("kargo", "n8n"):
        # ESO leaves its finalizers.
        p.play("offboard", variables={"cluster_secrets_namespace": name, "cluster_secrets_secret": "lossy"})
        labels = {"secrets/lossy": None, "secrets/lossier": None}
        p.patch(f"/api/v1/namespaces/{name}", {"metadata": {"labels": labels}})
