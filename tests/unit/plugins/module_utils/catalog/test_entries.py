# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog: what is accepted, what is refused and in which words."""

from __future__ import annotations

import base64
import copy
import json

import jsonschema
import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog import entries as c
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog import pieces
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.schema import schema


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
        (
            {"label": None},
            "catalog entry 'one': key 'label' is missing. Add 'label', 'namespaces_by_name' or 'namespace_selectors'.",
        ),
        ({"name": None}, "catalog entry number 1: key 'name' is missing"),
        ({"name": "Not_Valid"}, "catalog entry 'Not_Valid': 'Not_Valid' is not a valid name"),
        ({"name": "a" * 60}, "is not a valid name"),
        ({"label": "secrets/"}, "'secrets/' is not a valid label"),
        ({"label": "Secrets!/x"}, "'Secrets!/x' is not a valid label"),
        ({"label": "a/b/c"}, "'a/b/c' is not a valid label"),
        ({"namespaces": ["a", "b", "a"]}, "namespace 'a' is listed twice. Remove one of the two."),
        ({"namespaces": ["with.dot"]}, "'with.dot' is not a valid namespace"),
        ({"namespaces": "a"}, "'namespaces' must be a list, not a string"),
        ({"data": None}, "it has none of 'data', 'extract', 'registry', 'git', 'image', 'helm'. Give exactly one of"),
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
        ({"data": None, "git": {"repo_url": "https://github.com/mine/.+"}}, "looks like a pattern"),
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
        ({"git": {"repo_url": "u"}}, "'data' and 'git' can't be combined"),
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
        ({"data": {"K": {"text": "{{user}}"}}}, "'data.K.text' has '{{user}', which is not a reference"),
        ({"data": {"K": {"value": "\ud800"}}}, "has half of a character"),
        ({"refresh_interval": "0s"}, "'0s' is not a valid refresh_interval"),
        ({"refresh_interval": "9999999h"}, "it can't be zero, nor longer than ten years"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(c.CatalogError) as caught:
        c.parse_catalog([entry(**changes)])
    assert message in str(caught.value)
    # An editor says so, too, but of what only the reader of a text can see.
    assert bool(refused_by_schema(entry(**changes))) != any(one in message for one in UNSEEN), message


#: What the JSON schema doesn't say.
UNSEEN = (
    "looks like a pattern",
    "is not a regular expression",
    "refers to no key",
    "which is not a reference",
    "needs the key",
    "Remove 'type'",
    "half of a character",
)


def refused_by_schema(*entries):
    found = jsonschema.Draft7Validator(schema()).iter_errors({"cluster_secrets_catalog": list(entries)})
    return [error.message for error in found]


@pytest.mark.parametrize(
    "changes",
    [
        {"enabled": "Off"},
        {"enabled": "TRUE"},
        {"data": None, "extract": "Yes"},
        {"namespaces": [], "label": None, "namespaces_by_name": ["b"]},
        {"namespace_selectors": [{}]},
        {"namespace_selectors": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "b"]}]}] * 2},
        {"label": "a.b/c=d.e"},
        {"type": "example.org/x"},
    ],
)
def test_the_schema_takes_what_the_checker_takes(changes):
    c.parse_catalog([entry(**changes)])
    assert refused_by_schema(entry(**changes)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"namespace_selectors": [{"matchLabels": {}}], "label": None, "namespaces": []},
        {"namespace_selectors": [{"matchExpressions": []}]},
        {"namespaces": [], "label": None, "namespaces_by_name": []},
        {"namespace_selectors": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["x y"]}]}]},
        {"label": "a=-a"},
        {"label": "a..b/x"},
        {"label": "kubernetes.io/metadata.name"},
        {"written_by": " "},
        {"written_by": {"src": ""}},
        {"generate": {"b b": {}}},
        {"type": "xkubernetes.io/foo"},
    ],
)
def test_the_schema_refuses_what_the_checker_refuses(changes):
    with pytest.raises(c.CatalogError):
        c.parse_catalog([entry(**changes)])
    assert refused_by_schema(entry(**changes))


def test_what_ansible_templates_is_taken_as_it_is():
    templated = {"data": "{{ d }}", "labels": "{{ l }}", "deletion_policy": "{{ p }}", "namespaces": "{{ n }}"}
    assert refused_by_schema(entry(**templated), "{{ entry }}") == []
    assert not list(jsonschema.Draft7Validator(schema()).iter_errors({"cluster_secrets_catalog_extra": "{{ a + b }}"}))


def test_the_schema_is_one_and_takes_what_is_right(catalog):
    jsonschema.Draft7Validator.check_schema(schema())
    assert refused_by_schema(*catalog) == refused_by_schema(entry(), entry(enabled="{{ it }}", target="{{ it }}")) == []
    known = schema()["definitions"]["entry"]["properties"]
    assert list(known) == list(c.ENTRY_KEYS) and all(one["description"] for one in known.values())


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
    config = json.loads(item.render({"src": {"u": b"me", "p": secret.encode()}})[c.DOCKER_CONFIG_KEY])
    credentials = config["auths"]["ghcr.io"]
    assert credentials["username"] == "me" and credentials["password"] == secret
    assert base64.b64decode(credentials["auth"]).decode() == "me:" + secret


def test_git_credentials_are_what_kargo_reads():
    git = {"repo_url": r"^https://github\.com/.+$", "repo_url_is_regex": True}
    item = c.parse_catalog([entry(data=None, git=git)])[0]
    assert item.labels == {"kargo.akuity.io/cred-type": "git"}
    rendered = item.render({"src": {"username": b"me", "password": b"pw"}})
    assert rendered == {
        "repoURL": git["repo_url"].encode(),
        "username": b"me",
        "password": b"pw",
        "repoURLIsRegex": b"true",
    }


def test_templates_hold_no_brace_of_the_catalogs_author():
    item = c.parse_catalog([entry(data={"K": {"value": "{{ .evil }} {"}})])[0]
    assert item.template() == {"K": '{{ "{{ .evil }} {" }}'}
    assert item.source_keys() == {"src": []}


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
        assert one.render({"src": source})["K"] == rendered
        again = c.parse_catalog([entry(data={"K": one.data["K"].source_form()})])[0]
        assert again.template() == one.template()


@pytest.mark.parametrize("form", ["key", {"value": "{a} \\{"}, {"text": r"\{a} {b}"}, {"text": "{json:a}{base64:a:b}"}])
def test_the_catalogs_own_form_comes_back(form):
    assert c.parse_catalog([entry(data={"K": form})])[0].data["K"].source_form() == form


def test_a_source_copied_whole():
    one = c.parse_catalog([entry(data=None, extract=True, type="kubernetes.io/tls")])[0]
    assert one.source_keys() == {"src": ["tls.crt", "tls.key"]}
    assert one.reads("src", "anything") and not one.reads("other", "anything") and one.template() == {}
    assert one.render({"src": {"a": b"1"}}) == {"a": b"1"}


def test_labels_with_a_value_and_namespaces_by_name():
    one = c.parse_catalog([entry(label="tier=app", namespaces_by_name=["b"])])[0]
    chosen = [{"matchLabels": {"tier": "app"}}, {"matchLabels": {"kubernetes.io/metadata.name": "b"}}]
    assert one.namespace_selectors_of_eso() == one.admitting() == chosen
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


SOURCES = {
    "src": {"token": b"t<&>", "user": b"me", "config": b"Y29uZmln", "n": b" x \n"},
    "other": {"id": b"17", "user": b"them"},
}


def one_of(**changes):
    (found,) = c.parse_catalog([entry(**changes)])
    assert refused_by_schema(entry(**changes)) == []
    return found


def test_several_sources_in_one_entry():
    one = one_of(data={"ID": "other/id", "TOKEN": "token", "BOTH": {"text": "{user}:{other/user}"}})
    assert one.sources == ("src", "other")
    assert one.source_keys() == {"src": ["token", "user"], "other": ["id", "user"]}
    assert one.render(SOURCES) == {"ID": b"17", "TOKEN": b"t<&>", "BOTH": b"me:them"}
    assert one.template()["BOTH"] == '{{ index . "user" }}{{ ":" }}{{ index . "other_user" }}'
    assert one.reads("other", "id") and not one.reads("other", "token") and not one.reads("src", "id")
    # The entry's own source may be named, or be left out where every key names its source.
    assert one_of(data={"A": "src/token"}).data["A"].source_form() == "token"
    assert one_of(source=None, data={"A": "b/key", "C": "a/key"}).sources == ("b", "a")


def test_names_that_eso_reads_by_are_told_apart():
    keys = {"A": "b_k", "B": "b/k", "C": {"text": "{base64decode:b_k}"}, "D": {"text": "{json:*}"}, "E": "whole"}
    one = one_of(data=keys)
    names = one.names()
    assert len(set(names.values())) == len(names) == 5 and names[pieces.Reference("", "whole")] == "whole"
    assert names[pieces.Reference("", "b_k")] == "b_k" and names[pieces.Reference("b", "k")] == "b_k_"


def test_what_a_text_may_do_with_a_key():
    for text, rendered in (
        ("{json:*}", b'{"config":"Y29uZmln","n":" x \\n","token":"t<&>","user":"me"}'),
        ("{json:other/*}", b'{"id":"17","user":"them"}'),
        ("{base64:other/*}", base64.b64encode(b'{"id":"17","user":"them"}')),
        ("{json:token}", b'"t\\u003c\\u0026\\u003e"'),
        ("{quote:n}", b'" x \\n"'),
        ("{urlquery:token}", b"t%3C%26%3E"),
        ("{trim:n}", b"x"),
        ("{base64decode:config}", b"config"),
        ("{autodecode:config}{autodecode:token}", b"configt<&>"),
        ('{base64:"robot":token}', base64.b64encode(b"robot:t<&>")),
    ):
        one = one_of(data={"K": {"text": text}, "USER": "user"})
        assert one.render(SOURCES)["K"] == rendered, text
        assert one.data["K"].source_form() == {"text": text}


@pytest.mark.parametrize("text", ["{*}", "{quote:*}", "{upper:key}", "{json:a:b}", '{json:"a"}', '{base64:"a"}'])
def test_what_a_text_may_not_do(text):
    with pytest.raises(c.CatalogError, match="which is not a reference"):
        one_of(data={"K": {"text": text}})


def test_what_can_not_be_rendered_is_said_without_a_value():
    for data, problem in (
        ({"U": "user", "K": "other/none"}, "source 'other' has no key 'none'"),
        ({"U": "user", "K": "third/key"}, "source 'third' is not in the central store"),
        ({"K": {"text": "{base64decode:token}"}}, "source 'src': its key 'token' is not Base64"),
    ):
        with pytest.raises(c.Unreadable) as caught:
            one_of(data=data).render(SOURCES)
        assert str(caught.value) == problem
    with pytest.raises(c.Unreadable, match="source 'src' holds text that is not UTF-8"):
        one_of(data={"K": {"text": "{json:*}"}}).render({"src": {"a": b"\xff"}})


def test_what_is_copied_whole_may_have_more_keys():
    one = one_of(
        extract=["src", "other"],
        data={"LINE": {"text": "{user}={token}"}, "RAW": {"text": "{base64decode:src/config}"}},
    )
    rendered = one.render(SOURCES)
    assert rendered["user"] == b"them" and rendered["LINE"] == b"them=t<&>" and rendered["RAW"] == b"config"
    assert list(one.template()) == ["LINE"] and one.direct() == {"RAW": pieces.Reference("", "config", "Base64")}
    assert one_of(data=None, source=None, extract=["b", "a"]).source == "b"
    with pytest.raises(c.CatalogError, match="can't be composed of anything but keys of what is copied"):
        one_of(extract=True, data={"K": {"text": "{user}{other/id}"}})


def test_credentials_of_each_kind_that_kargo_knows():
    for kind in ("git", "image", "helm"):
        one = one_of(
            data=None, **{kind: {"repo_url": "ghcr.io/org", "username": {"value": "robot"}, "password": "token"}}
        )
        assert one.labels == {"kargo.akuity.io/cred-type": kind}
        assert one.render(SOURCES) == {"repoURL": b"ghcr.io/org", "username": b"robot", "password": b"t<&>"}
    registry = {"server": "ghcr.io", "username": {"value": "robot"}, "password": "other/id"}
    config = json.loads(one_of(source=None, data=None, registry=registry).render(SOURCES)[".dockerconfigjson"])
    auth = base64.b64encode(b"robot:17").decode()
    assert config == {"auths": {"ghcr.io": {"username": "robot", "password": "17", "auth": auth}}}


def test_namespaces_by_selectors():
    name = "kubernetes.io/metadata.name"
    spared = {"key": name, "operator": "NotIn", "values": ["kube-system"]}
    tiers = {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}
    raw = entry(label=None, namespaces=None, namespace_selectors=[{"matchExpressions": [spared]}, tiers])
    one = c.parse_catalog([raw], "central")[0]
    assert one.selects("a", {}) and not one.selects("kube-system", {}) and not one.selects("central", {})
    assert one.label_keys() == {"a", "tier"}
    central = {"key": name, "operator": "NotIn", "values": ["central"]}
    assert one.namespace_selectors_of_eso()[0]["matchExpressions"] == [spared, central]
    assert one.admitting() == one.namespace_selectors_of_eso()
    everything = c.parse_catalog([entry(label=None, namespaces=None, namespace_selectors=[{}])], "central")[0]
    assert everything.namespace_selectors_of_eso() == [{"matchExpressions": [central]}]
    assert not one.namespace_selectors[0].get("values")


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        ("text", "'namespace_selectors' must be a mapping"),
        ({"labels": {}}, "unknown key 'labels'"),
        ({"matchExpressions": [{"key": "a", "operator": "Is", "values": ["b"]}]}, "'Is' is no operator"),
        ({"matchExpressions": [{"key": "a", "operator": "In"}]}, "'values' go with In and NotIn"),
        ({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}, "'values' go with In and NotIn"),
    ],
)
def test_wrong_selectors(selector, problem):
    with pytest.raises(c.CatalogError, match=problem):
        one_of(namespace_selectors=[selector])
    assert refused_by_schema(entry(namespace_selectors=[selector]))


def test_who_writes_one_of_several_sources():
    both = {"data": {"A": "token", "B": "other/id"}}
    assert one_of(written_by={"other": "reflector"}, **both).written_by == {"other": "reflector"}
    with pytest.raises(c.CatalogError, match="here too"):
        c.parse_catalog(
            [entry(**both), entry(name="two", source="other", namespaces=[], label="l", written_by="reflector")]
        )
    with pytest.raises(c.CatalogError, match="names 'third', which the entry doesn't read"):
        one_of(written_by={"third": "x"}, **both)
