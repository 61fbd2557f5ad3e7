# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog: what is accepted, what is refused and in which words."""

from __future__ import annotations

import base64
import copy
import json

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog import entries as c


def entry(**changes):
    base = {"name": "one", "source": "src", "label": "secrets/one", "data": {"KEY": "key"}, "namespaces": ["a"]}
    base.update(changes)
    return {key: value for key, value in base.items() if value is not None}


def test_default_catalog_is_the_documented_table(catalog):
    entries = {item.name: item for item in c.parse_catalog(catalog)}
    table = {
        "application-docker-registry": (
            "github-pat",
            "gh-docker-registry-creds",
            c.DOCKER_CONFIG,
            "secrets/gh-docker-registry",
            7,
        ),
        "github-oauth-credentials": ("github-oauth", "gh-oauth", "Opaque", "secrets/gh-oauth-credentials", 2),
        "kargo-git-credentials": ("github-pat", "git-credentials", "Opaque", "secrets/gh-git-credentials", 3),
        "kargo-admin-credentials": (
            "kargo-admin-credentials",
            "kargo-admin-credentials",
            "Opaque",
            "secrets/kargo-admin-credentials",
            2,
        ),
        "cloudflare-api-token": (
            "cloudflare-api-token",
            "cloudflare-api-token",
            "Opaque",
            "secrets/cloudflare-api-token",
            1,
        ),
        "code-server-ssh-key": (
            "code-server-ssh-key",
            "code-server-ssh-key",
            "Opaque",
            "secrets/code-server-ssh-key",
            1,
        ),
        "metrics-service-credentials": (
            "market-making-kucoin-credentials",
            "metrics-service-credentials",
            "Opaque",
            "secrets/metrics-service-credentials",
            1,
        ),
    }
    assert {item.name for item in entries.values() if item.enabled} == set(table)
    for name, (source, target, kind, label, namespaces) in table.items():
        item = entries[name]
        assert (item.source, item.target, item.type, item.label, len(item.namespaces)) == (
            source,
            target,
            kind,
            (label, "true"),
            namespaces,
        )
        assert item.refresh_interval == "1h0m0s"
    talos = entries["talos-config"]
    assert not talos.enabled and talos.label_text() == "secrets/talos-config=true" and talos.target == "talos-config"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labl": "x"}, "catalog entry 'one': unknown key 'labl'. Did you mean 'label'?"),
        ({"label": None}, "catalog entry 'one': key 'label' is missing. Add 'label', or 'namespaces_by_name'."),
        ({"name": None}, "catalog entry number 1: key 'name' is missing"),
        ({"name": "Not_Valid"}, "catalog entry 'Not_Valid': 'Not_Valid' is not a valid name"),
        ({"name": "a" * 60}, "is not a valid name"),
        ({"label": "secrets/"}, "'secrets/' is not a valid label"),
        ({"label": "Secrets!/x"}, "'Secrets!/x' is not a valid label"),
        ({"label": "a/b/c"}, "'a/b/c' is not a valid label"),
        ({"namespaces": ["a", "b", "a"]}, "namespace 'a' is listed twice. Remove one of the two."),
        ({"namespaces": ["with.dot"]}, "'with.dot' is not a valid namespace"),
        ({"namespaces": "a"}, "'namespaces' must be a list, not a string"),
        ({"data": None}, "it has none of 'data', 'extract', 'registry', 'git'. Give exactly one of"),
        ({"git": {"repo_url": "x"}}, "'data' and 'git' can't be combined"),
        ({"data": {}}, "'data' is empty"),
        ({"data": {"bad key": "x"}}, "'bad key' is not a valid key of 'data'"),
        ({"data": {"K": 1}}, "must be a string, not a number. Put it in quotes."),
        ({"data": {"K": {"valu": "x"}}}, "unknown key 'valu' of 'data.K'. Did you mean 'value'?"),
        ({"type": "opaque"}, "'opaque' is not a known Secret type"),
        ({"type": c.DOCKER_CONFIG}, "needs the key '.dockerconfigjson'"),
        ({"data": None, "registry": {"server": "ghcr.io"}, "type": "Opaque"}, "Remove 'type'"),
        ({"data": None, "registry": {}}, "key 'server' of 'registry' is missing"),
        ({"data": None, "registry": {"server": 'a"b'}}, "is not a registry server"),
        ({"data": None, "git": {"repo_url": "(", "repo_url_is_regex": True}}, "is not a regular expression"),
        ({"refresh_interval": "1 hour"}, "is not a valid refresh_interval"),
        ({"enabled": "maybe"}, "'enabled' must be true or false"),
        ({"labels": {"managed-by": "me"}}, "label 'managed-by' is set by the collection or ESO"),
        ({"target": "UPPER"}, "'UPPER' is not a valid target"),
        ({"external_secret": "UPPER"}, "'UPPER' is not a valid external_secret"),
        ({"label": "secrets/one=a b"}, "'a b' is not a valid label value"),
        ({"label": "kubernetes.io/metadata.name=a"}, "nobody can set the label 'kubernetes.io/metadata.name'"),
        (
            {"label": None, "namespaces_by_name": ["b"]},
            "'namespaces' lists the namespaces to label, and there is no 'label'",
        ),
        ({"namespaces_by_name": "a"}, "'namespaces_by_name' must be a list, not a string"),
        ({"extract": True}, "'data' and 'extract' can't be combined"),
        ({"data": None, "extract": False}, "'extract' is false, and nothing else says what the target holds"),
        ({"data": None, "extract": "all"}, "'extract' must be true or false, not a string"),
        ({"type": "kubernetes.io/service-account-token"}, "is not a known Secret type. Use one of Opaque"),
        ({"type": "bootstrap.kubernetes.io/token"}, "is not a known Secret type"),
        ({"type": "Helm"}, "'Helm' is not a known Secret type"),
        ({"data": {"K": {"text": "a", "value": "b"}}}, "'data.K' needs either 'value' or 'text'"),
        ({"data": {"K": {"text": 5}}}, "'data.K.text' must be a string, not a number"),
        ({"data": {"K": {"text": "plain"}}}, "'data.K.text' refers to no key of the source. Write keys in braces"),
        ({"data": {"K": {"text": "{{ user }}"}}}, "'data.K.text' has '{{', which is not a reference"),
        (
            {"data": {"K": {"text": "{user} { password }"}}},
            "'data.K.text' has '{ password }', which is not a reference",
        ),
        ({"data": {"K": {"text": "{user|b64enc}"}}}, "'data.K.text' has '{user|b64enc}', which is not a reference"),
        ({"data": {"K": {"text": "{b64:user}"}}}, "'data.K.text' has '{b64:user}', which is not a reference"),
        ({"data": {"K": {"text": "{json:a:b}"}}}, "'data.K.text' has '{json:a:b}', which is not a reference"),
        ({"refresh_interval": "0s"}, "'0s' is not a valid refresh_interval"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(c.CatalogError) as caught:
        c.parse_catalog([entry(**changes)])
    assert message in str(caught.value)


def test_two_entries_for_one_target_in_a_namespace():
    other = entry(name="two", label="secrets/two", target="one")
    with pytest.raises(
        c.CatalogError,
        match=r"catalog entry 'two': it gives the target 'one' in namespace 'a', and so does entry 'one'",
    ):
        c.parse_catalog([entry(), other])
    assert len(c.parse_catalog([entry(), {**other, "namespaces": ["b"]}])) == 2
    assert len(c.parse_catalog([entry(), {**other, "enabled": False}])) == 2


def test_one_label_for_one_target_twice():
    with pytest.raises(c.CatalogError, match="in label 'secrets/one=true'"):
        c.parse_catalog([entry(), entry(name="two", target="one", namespaces=["b"])])


def test_two_entries_of_one_name():
    with pytest.raises(c.CatalogError, match="there are two entries of this name"):
        c.parse_catalog([entry(), entry(target="x")])


@pytest.mark.parametrize("raw", [None, {}, "text", [None], ["x"]])
def test_not_a_catalog(raw):
    with pytest.raises(c.CatalogError):
        c.parse_catalog(raw)


def test_parsing_does_not_change_the_catalog(catalog):
    before = copy.deepcopy(catalog)
    c.parse_catalog(catalog)
    assert catalog == before


def test_docker_config_is_what_a_container_runtime_reads():
    item = c.parse_catalog([entry(data=None, registry={"server": "ghcr.io", "username": "u", "password": "p"})])[0]
    secret = 'p"\\<&>é'
    config = json.loads(item.render({"u": b"me", "p": secret.encode()})[c.DOCKER_CONFIG_KEY])
    credentials = config["auths"]["ghcr.io"]
    assert credentials["username"] == "me" and credentials["password"] == secret
    assert base64.b64decode(credentials["auth"]).decode() == "me:" + secret


def test_git_credentials_are_what_kargo_reads():
    git = {"repo_url": r"^https://github\.com/.+$", "repo_url_is_regex": True}
    item = c.parse_catalog([entry(data=None, git=git)])[0]
    assert item.labels == {"kargo.akuity.io/cred-type": "git"}
    rendered = item.render({"username": b"me", "password": b"pw"})
    assert rendered == {
        "repoURL": git["repo_url"].encode(),
        "username": b"me",
        "password": b"pw",
        "repoURLIsRegex": b"true",
    }


def test_templates_hold_no_brace_of_the_catalogs_author():
    item = c.parse_catalog([entry(data={"K": {"value": "{{ .evil }} {"}})])[0]
    assert item.template() == {"K": '{{ "{{ .evil }} {" }}'}
    assert item.source_keys() == []


@pytest.mark.parametrize(
    ("given", "printed"), [("1h", "1h0m0s"), ("90m", "1h30m0s"), ("30s", "30s"), ("5m", "5m0s"), ("3600s", "1h0m0s")]
)
def test_durations_are_written_as_eso_writes_them_back(given, printed):
    assert c.parse_catalog([entry(refresh_interval=given)])[0].refresh_interval == printed


def test_text_composed_of_several_keys():
    source = {"user": b"me", "pass.word": b"p{w}", "other": b"\xff"}
    for text, rendered in (
        ("postgres://{user}:{pass.word}@host", b"postgres://me:p{w}@host"),
        (r"\{user}={user}", b"{user}=me"),
        ('{"user":{json:user},"empty":{}}', b'{"user":"me","empty":{}}'),
        ("Basic {base64:user:pass.word}", b"Basic " + base64.b64encode(b"me:p{w}")),
        ("{base64:other}", b"/w=="),
        ("{other}", b"\xff"),
    ):
        one = c.parse_catalog([entry(data={"K": {"text": text}})])[0]
        assert one.render(source)["K"] == rendered
        again = c.parse_catalog([entry(data={"K": one.data["K"].source_form()})])[0]
        assert again.template() == one.template()


@pytest.mark.parametrize("form", ["key", {"value": "{a} \\{"}, {"text": r"\{a} {b}"}, {"text": "{json:a}{base64:a:b}"}])
def test_the_catalogs_own_form_comes_back(form):
    assert c.parse_catalog([entry(data={"K": form})])[0].data["K"].source_form() == form


def test_a_source_copied_whole():
    one = c.parse_catalog([entry(data=None, extract=True, type="kubernetes.io/tls")])[0]
    assert one.source_keys() == ["tls.crt", "tls.key"] and one.reads("anything") and one.template() == {}
    assert one.render({"a": b"1"}) == {"a": b"1"}


def test_labels_with_a_value_and_namespaces_by_name():
    one = c.parse_catalog([entry(label="tier=app", namespaces_by_name=["b"])])[0]
    assert one.selectors() == [{"tier": "app"}, {"kubernetes.io/metadata.name": "b"}]
    assert one.selects("a", {"tier": "app"}) and one.selects("b", {}) and not one.selects("c", {"tier": "db"})
    only = c.parse_catalog([entry(label=None, namespaces=None, namespaces_by_name=["b"])])[0]
    assert only.label is None and only.selects("b", {}) and not only.selects("a", {})
    with pytest.raises(c.CatalogError, match="it labels namespace 'a' with tier=db, and entry 'one' with tier=app"):
        c.parse_catalog([entry(label="tier=app"), entry(name="two", label="tier=db")])
    with pytest.raises(c.CatalogError, match="gives the target 'one' in namespace 'a'"):
        c.parse_catalog(
            [entry(), entry(name="two", target="one", label="secrets/two", namespaces=[], namespaces_by_name=["a"])]
        )


def test_a_type_of_ones_own():
    assert c.parse_catalog([entry(type="example.com/thing")])[0].type == "example.com/thing"
