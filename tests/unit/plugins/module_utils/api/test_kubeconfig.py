# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a connection comes from: the same place as for kubernetes.core, field by field, and one sentence when it can't
be used."""

from __future__ import annotations

import base64
import copy
import itertools
import json
import random
import ssl
import tempfile
from pathlib import Path

import kubernetes
import pytest
import yaml
from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client as core
from ansible_collections.platform.cluster_secrets.plugins.module_utils import errors
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api import client, kubeconfig


def b64(text):
    return base64.b64encode(text.encode()).decode()


PLUGIN = """#!/bin/sh
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":%s}'
"""
CREDENTIALS = {"token": {"token": "plugin"}, "certificate": {"clientCertificateData": "CERT", "clientKeyData": "KEY"}}


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that the corpus names."""
    for name in ("ca.crt", "client.crt", "client.key", "other.crt", "token"):
        (tmp_path / name).write_text(f"content of {name}\n")
    for name, status in CREDENTIALS.items():
        plugin = tmp_path / f"plugin-{name}"
        plugin.write_text(PLUGIN % json.dumps(status))
        plugin.chmod(0o755)
    return tmp_path


def plugin(name):
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "{folder}/plugin-" + name,
            "interactiveMode": "Never",
        }
    }


USERS = {
    "nobody": {},
    "token": {"token": "abc"},
    "token file": {"tokenFile": "token"},
    "absolute token file": {"tokenFile": "{folder}/token"},
    "token and its file": {"token": "abc", "tokenFile": "token"},
    "certificate data": {"client-certificate-data": b64("CERT"), "client-key-data": b64("KEY")},
    "certificate files": {"client-certificate": "client.crt", "client-key": "{folder}/client.key"},
    "data before files": {
        "client-certificate-data": b64("CERT"),
        "client-certificate": "other.crt",
        "client-key": "client.key",
    },
    "password": {"username": "me", "password": "secret: x"},
    "token before password": {"token": "abc", "username": "me", "password": "secret"},
    "certificate and token": {"token": "abc", "client-certificate-data": b64("CERT"), "client-key-data": b64("KEY")},
    "exec token": plugin("token"),
    "exec certificate": plugin("certificate"),
    "unknown key": {"token": "abc", "later-invention": {"a": 1}},
}
CLUSTERS = {
    "plain": {"server": "https://one:6443"},
    "authority data": {"server": "https://one:6443/", "certificate-authority-data": b64("CA")},
    "authority file": {"server": "https://one/prefix/", "certificate-authority": "ca.crt"},
    "unchecked": {"server": "https://one", "insecure-skip-tls-verify": True},
    "another name": {
        "server": "https://10.0.0.1",
        "tls-server-name": "one",
        "certificate-authority": "{folder}/ca.crt",
        "certificate-authority-data": b64("CA"),
    },
    "proxy": {
        "server": "https://one",
        "proxy-url": "http://proxy:3128",
        "disable-compression": True,
        "extensions": [{"name": "x"}],
    },
}
CORPUS = list(itertools.product(USERS, CLUSTERS))


def document(user, cluster, name="x"):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        "current-context": name,
    }


def written(folder, content, name="config"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content).replace("{folder}", str(folder)))))
    return str(path)


def content(data, path):
    return data.decode() if data else Path(path).read_text() if path else None


def ours(params, environ):
    found = kubeconfig.connection(params, environ)
    return {
        "server": found.server,
        "verify": found.verify,
        "server name": found.server_name,
        "authority": content(found.ca_data, found.ca_file),
        "certificate": content(found.cert_data, found.cert_file),
        "key": content(found.key_data, found.key_file),
        "authorization": found.authorization,
        "proxy": found.proxy,
        "no proxy": found.no_proxy,
    }


def theirs(params, environ, monkeypatch):
    """The same of kubernetes.core and the kubernetes package."""
    for name in ("KUBECONFIG", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        kubernetes.config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", environ.get("KUBECONFIG", "~/.kube/config")
    )
    kubernetes.client.Configuration.set_default(None)
    try:
        found = core._create_configuration(core._create_auth_spec(**copy.deepcopy(params)))
    finally:
        kubernetes.client.Configuration.set_default(None)
    read = {
        "server": found.host,
        "verify": bool(found.verify_ssl),
        "server name": found.tls_server_name,
        "authority": content(None, found.ssl_ca_cert),
        "certificate": content(None, found.cert_file),
        "key": content(None, found.key_file),
        "proxy": found.proxy,
        "no proxy": found.no_proxy,
    }
    # Not by the package's own getter, which loads the kubeconfig again, over what options said.
    header = found.api_key.get("BearerToken") or found.api_key.get("authorization")
    # A scheme's case means nothing, and files end with a newline.
    return {**read, "authorization": header.strip().replace("bearer ", "Bearer ") if header else None}


@pytest.mark.parametrize(("user", "cluster"), CORPUS)
def test_a_kubeconfig_means_what_it_means_to_kubernetes_core(folder, monkeypatch, user, cluster):
    params = {"kubeconfig": written(folder, document(USERS[user], CLUSTERS[cluster]))}
    assert ours(params, {}) == theirs(params, {}, monkeypatch)


@pytest.mark.parametrize("user", ["exec certificate", "unknown key"])
def test_the_library_leaves_no_key_behind(folder, monkeypatch, tmp_path, user):
    """It removes its files when Python ends, which Ansible's workers do not live to see."""
    given = document(
        {**USERS[user], **(USERS["certificate data"] if user == "unknown key" else {})}, CLUSTERS["authority data"]
    )
    there = tmp_path / "temporary"
    there.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(there))
    for _time in range(2):
        found = kubeconfig.connection({"kubeconfig": written(folder, given)}, {})
        assert found.ca_data and found.cert_data and found.key_data and not found.key_file
        assert list(there.iterdir()) == []


def test_the_corpus_is_large_and_mostly_read_without_the_library(folder, monkeypatch):
    assert len(CORPUS) >= 60
    asked = []
    monkeypatch.setattr(kubeconfig, "_load_with_library", lambda *arguments: asked.append(arguments))
    for user, cluster in CORPUS:
        try:
            kubeconfig.connection({"kubeconfig": written(folder, document(USERS[user], CLUSTERS[cluster]))}, {})
        except errors.ConnectionOptionsError:
            pass  # the stand-in for the library loads nothing
    assert len(asked) == 3 * len(CLUSTERS)  # exec twice, and the unknown key


def several(folder):
    """KUBECONFIG of three files in folders of their own, which overlap."""
    parts = []
    for number, (user, cluster) in enumerate(
        (("token", "plain"), ("certificate files", "authority file"), ("password", "proxy"))
    ):
        part = folder / f"part{number}"
        part.mkdir()
        for name in ("ca.crt", "client.crt", "client.key", "token"):
            (part / name).write_text(f"{name} of {number}\n")
        whole = document(USERS[user], CLUSTERS[cluster], name="same" if number == 2 else f"x{number}")
        if number == 1:
            same = document(USERS["token file"], CLUSTERS["authority file"], name="same")
            for kind in ("clusters", "users", "contexts"):
                whole[kind] += same[kind]
        path = part / "config"
        path.write_text(yaml.safe_dump(json.loads(json.dumps(whole).replace("{folder}", str(part)))))
        parts.append(str(path))
    return ":".join([*parts, str(folder / "none")])


@pytest.mark.parametrize("context", [None, "x0", "x1", "same"])
@pytest.mark.parametrize("how", ["option", "environment", "KUBECONFIG"])
def test_several_files_are_merged_alike(folder, monkeypatch, context, how):
    paths = several(folder)
    params = {**({"kubeconfig": paths} if how == "option" else {}), **({"context": context} if context else {})}
    environ = {"environment": {"K8S_AUTH_KUBECONFIG": paths}, "KUBECONFIG": {"KUBECONFIG": paths}}.get(how, {})
    assert ours(params, environ) == theirs(params, environ, monkeypatch)


def test_a_mapping_is_a_kubeconfig_too(folder, monkeypatch):
    for user in ("token", "certificate data", "password"):
        params = {"kubeconfig": document(USERS[user], CLUSTERS["authority data"])}
        assert ours(params, {}) == theirs(params, {}, monkeypatch)


OPTIONS = [
    {"host": "https://two/", "api_key": "k"},
    {"host": "https://two", "username": "u", "password": "p", "validate_certs": False},
    {
        "host": "https://two",
        "client_cert": "{folder}/client.crt",
        "client_key": "{folder}/client.key",
        "ca_cert": "{folder}/ca.crt",
    },
    {"host": "https://two"},
    {"api_key": "k", "ca_cert": "{folder}/other.crt"},
    {"validate_certs": True, "proxy": "http://another:1", "no_proxy": "one,.local"},
    {"context": "x", "client_cert": "{folder}/other.crt"},
]
ENVIRONMENTS = [
    {},
    {"K8S_AUTH_API_KEY": "env", "K8S_AUTH_HOST": "https://three"},
    {"K8S_AUTH_VERIFY_SSL": "no", "K8S_AUTH_SSL_CA_CERT": "{folder}/other.crt"},
    {"K8S_AUTH_VALIDATE_CERTS": "True", "K8S_AUTH_CA_CERT": "{folder}/ca.crt", "K8S_AUTH_PROXY": "http://env:2"},
    {"HTTPS_PROXY": "http://system:3", "NO_PROXY": "localhost"},
]


@pytest.mark.parametrize(("options", "environ"), list(itertools.product(OPTIONS, ENVIRONMENTS)))
def test_precedence_is_that_of_kubernetes_core(folder, monkeypatch, options, environ):
    filled = json.loads(json.dumps([options, environ]).replace("{folder}", str(folder)))
    path = written(folder, document(USERS["token"], CLUSTERS["unchecked"]))
    environ = {**filled[1], "KUBECONFIG": path}
    # What is done otherwise: what says one cluster is not overruled by what says another for all, and the credentials
    # of one are not sent to another.
    own = "context" in options or ("host" in options and "api_key" not in options)
    refused = "K8S_AUTH_" if "K8S_AUTH_HOST" in environ and own else None
    if set(options) == {"host"} and not refused:
        refused = "those at hand are for another cluster, https://one"
    if refused:
        with pytest.raises(errors.ConnectionOptionsError, match=refused):
            ours(filled[0], environ)
        return
    found, expected = ours(filled[0], environ), theirs(filled[0], environ, monkeypatch)
    if {"username", "password"} <= set(filled[0]) and "K8S_AUTH_API_KEY" not in environ:
        assert expected.pop("authorization") is None  # the package ignores them; they are said, so they are used here
        assert found.pop("authorization") == "Basic " + b64("u:p")
    assert found == expected


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"kubeconfig": "{config}"},
        {"host": "https://two", "api_key": "k"},
        {"context": "x"},
    ],
)
def test_a_pods_own_account_comes_before_the_default_kubeconfig_alike(folder, monkeypatch, given):
    account = folder / "account"
    account.mkdir()
    (account / "token").write_text("pod\n")
    (account / "ca.crt").write_text("CA of the pod\n")
    monkeypatch.setattr(kubeconfig, "_IN_CLUSTER", str(account))
    monkeypatch.setattr(kubernetes.config.incluster_config, "SERVICE_TOKEN_FILENAME", str(account / "token"))
    monkeypatch.setattr(kubernetes.config.incluster_config, "SERVICE_CERT_FILENAME", str(account / "ca.crt"))
    path = written(folder, document(USERS["token"], CLUSTERS["plain"]))
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443", "KUBECONFIG": path}
    params = json.loads(json.dumps(given).replace("{config}", path))
    assert ours(params, environ) == theirs(params, environ, monkeypatch)


@pytest.mark.parametrize(
    ("given", "environ", "said"),
    [
        ({"kubeconfig": "{config}"}, {"K8S_AUTH_CONTEXT": "x"}, "K8S_AUTH_CONTEXT"),
        ({"kubeconfig": "{config}"}, {"K8S_AUTH_PROXY": "http://env:2"}, "K8S_AUTH_PROXY"),
        ({"kubeconfig": "apiVersion: v1\nusers: [{user: {token: abc}}]"}, {}, "from_yaml"),
        ({"host": "https://two", "username": "u", "password": "p"}, {"K8S_AUTH_API_KEY": "k"}, "K8S_AUTH_API_KEY"),
    ],
)
def test_what_is_meant_for_another_cluster_is_refused(folder, given, environ, said):
    path = written(folder, document(USERS["token"], CLUSTERS["proxy"]))
    filled = json.loads(json.dumps(given).replace("{config}", path))
    with pytest.raises(errors.ConnectionOptionsError, match=said) as raised:
        kubeconfig.connection(filled, environ)
    assert "abc" not in str(raised.value)


def test_credentials_in_an_address_are_used_and_not_shown():
    found = kubeconfig.connection({"host": "https://user:p%40ss@two:6443/path", "api_key": None, "proxy": None}, {})
    assert found.server == "https://two:6443/path" and found.authorization == "Basic " + b64("user:p@ss")


def test_a_kubeconfig_that_the_library_reads_has_its_context(folder):
    path = written(folder, {**document(USERS["token"], CLUSTERS["plain"]), "x-owner": "team"})
    found = kubeconfig.connection({"kubeconfig": path}, {})
    assert (found.context, found.contexts) == ("x", 1)


def test_impersonation_is_kubectls():
    user = {"token": "abc", "as": "jane", "as-groups": ["dev", "ops"], "as-user-extra": {"scopes": ["a", "b"]}}
    found = kubeconfig.connection({"kubeconfig": document(user, CLUSTERS["plain"])}, {})
    assert (found.impersonate_user, found.impersonate_groups, found.impersonate_extra) == (
        "jane",
        ["dev", "ops"],
        {"scopes": ["a", "b"]},
    )
    headers = client.Client._authentication(found)
    assert headers["Impersonate-User"] == "jane" and headers.getlist("Impersonate-Group") == ["dev", "ops"]
    environ = {"K8S_AUTH_IMPERSONATE_USER": "joe", "K8S_AUTH_IMPERSONATE_GROUPS": "one,two,"}
    found = kubeconfig.connection({"kubeconfig": document(user, CLUSTERS["plain"])}, environ)
    assert (found.impersonate_user, found.impersonate_groups) == ("joe", ["one", "two"])


def test_headers_for_the_proxy_come_from_the_environment_too():
    environ = {"K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH": "u:p", "K8S_AUTH_PROXY_HEADERS_USER_AGENT": "agent"}
    params = {"host": "https://one", "api_key": "k", "proxy": "http://proxy:1"}
    assert kubeconfig.connection(params, environ).proxy_headers == {"proxy_basic_auth": "u:p", "user_agent": "agent"}
    given = {**params, "proxy_headers": {"basic_auth": "a:b", "user_agent": None}}
    assert kubeconfig.connection(given, environ).proxy_headers == {"basic_auth": "a:b"}


@pytest.mark.parametrize(
    ("server", "used"), [("https://one", None), ("https://two", "http://p:1"), ("https://x.local:6443", None)]
)
def test_hosts_that_are_reached_without_the_proxy(server, used):
    found = kubeconfig.connection({"host": server, "api_key": "k", "proxy": "http://p:1", "no_proxy": "one,.local"}, {})
    assert found.proxy_to_use() == used


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kubeconfig": "/does/not/exist"}, "does not exist"),
        (
            {"kubeconfig": document({}, CLUSTERS["plain"]), "context": "other"},
            "no context 'other'. Set 'context' to one of: x.",
        ),
        (
            {"kubeconfig": {**document({}, CLUSTERS["plain"]), "clusters": []}},
            "names the cluster 'x', which it does not have",
        ),
        ({"kubeconfig": document({"client-certificate-data": "%%%"}, CLUSTERS["plain"])}, "is not base64"),
        ({"kubeconfig": document({}, {})}, "has no 'server'"),
        (
            {"kubeconfig": {**document({}, CLUSTERS["plain"]), "contexts": [{"name": "x", "context": "text"}]}},
            "context 'x' is not a mapping",
        ),
        ({"kubeconfig": {**document({}, CLUSTERS["plain"]), "users": ["text"]}}, "an item of 'users' is not a mapping"),
        (
            {
                "kubeconfig": document(
                    {"exec": {"command": "/none", "apiVersion": "client.authentication.k8s.io/v1"}}, CLUSTERS["plain"]
                )
            },
            "gave no credentials",
        ),
        ({"kubeconfig": 7}, "must be a path"),
        ({"kubeconfig": document({"tokenFile": "/does/not/exist"}, CLUSTERS["plain"])}, "cannot read the token"),
    ],
)
def test_what_is_refused(params, message):
    with pytest.raises(errors.ClusterSecretsError) as caught:
        kubeconfig.connection(params, {})
    assert message in str(caught.value)


def test_broken_yaml_is_not_quoted(tmp_path):
    path = tmp_path / "config"
    path.write_text("users:\n  - token: CANARY: [\n")
    with pytest.raises(errors.ConnectionOptionsError) as caught:
        kubeconfig.connection({"kubeconfig": str(path)}, {})
    assert "not valid YAML (line" in str(caught.value) and "CANARY" not in str(caught.value)


def test_nothing_configured(tmp_path):
    with pytest.raises(errors.ConnectionOptionsError, match="no Kubernetes API is configured"):
        kubeconfig.connection({}, {"KUBECONFIG": str(tmp_path / "none")})


JUNK = [
    None,
    0,
    -1,
    1.5,
    True,
    "",
    "x",
    "https://",
    [],
    ["x"],
    [{}],
    {},
    {"name": "x"},
    {"x": {"y": []}},
    "\u0000",
    b64("x"),
]


def nodes(value):
    """All (container, key) pairs of a document."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        yield value, key
        yield from nodes(value[key])


def mutated(rng):
    user = rng.choice([user for user in USERS.values() if "exec" not in user])
    whole = document(
        {**copy.deepcopy(user), "as-groups": ["g"], "token": "CANARY"},
        copy.deepcopy(rng.choice(list(CLUSTERS.values()))),
    )
    for _time in range(rng.randint(1, 3)):
        container, key = rng.choice(list(nodes(whole)))
        what = rng.random()
        if what < 0.7:
            container[key] = copy.deepcopy(rng.choice(JUNK))
        elif what < 0.85:
            del container[key]
        elif isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
        else:
            container[rng.choice(["later", "exec-x", "token", "server", 7])] = container[key]
    return whole


def test_malformed_kubeconfigs_get_one_sentence():
    """40,000 of them, each broken in up to three places: no traceback, and no credential in what is said."""
    rng = random.Random(20261124)
    refused = 0
    for _number in range(40_000):
        whole = mutated(rng)
        try:
            kubeconfig.connection({"kubeconfig": whole}, {})
        except errors.ClusterSecretsError as error:
            refused += 1
            text = str(error)
            assert "CANARY" not in text and "\n" not in text and text.endswith("."), text
    assert 10_000 < refused < 39_000


def test_files_of_any_bytes_get_one_sentence(tmp_path):
    rng = random.Random(7)
    text = yaml.safe_dump(document(USERS["token"], CLUSTERS["plain"])).encode()
    path = tmp_path / "config"
    for _number in range(2_000):
        broken = bytearray(text)
        for _time in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        path.write_bytes(broken)
        try:
            kubeconfig.connection({"kubeconfig": str(path)}, {})
        except errors.ClusterSecretsError as error:
            assert "abc" not in str(error) and str(error).endswith("."), str(error)


def test_an_authority_is_not_refused_for_its_form(monkeypatch):
    default = ssl.create_default_context

    def as_in_python_3_13(**options):
        context = default(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(client.ssl, "create_default_context", as_in_python_3_13)
    context = client._ssl_context(kubeconfig.Connection())
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname


@pytest.mark.parametrize(
    ("params", "environ", "named"),
    [
        ({"kubeconfig": "{path}"}, {"K8S_AUTH_HOST": "https://two"}, "'kubeconfig' and 'K8S_AUTH_HOST'"),
        ({"kubeconfig": "{path}"}, {"K8S_AUTH_API_KEY": "k"}, "'kubeconfig' and 'K8S_AUTH_API_KEY'"),
        ({"context": "x"}, {"K8S_AUTH_API_KEY": "k"}, "'context' and 'K8S_AUTH_API_KEY'"),
        ({"kubeconfig": "{path}"}, {"K8S_AUTH_CERT_FILE": "c"}, "'kubeconfig' and 'K8S_AUTH_CERT_FILE'"),
        ({"host": "https://one"}, {"K8S_AUTH_HOST": "https://two", "K8S_AUTH_API_KEY": "k"}, "'host' and"),
        ({"host": "https://two"}, {"K8S_AUTH_HOST": "https://two", "K8S_AUTH_API_KEY": "k"}, None),
        ({"host": "https://one", "api_key": "own"}, {"K8S_AUTH_HOST": "https://two", "K8S_AUTH_API_KEY": "k"}, None),
        ({"context": "x"}, {"K8S_AUTH_KUBECONFIG": "{path}"}, None),
        ({"kubeconfig": "{path}", "api_key": "own"}, {"K8S_AUTH_API_KEY": "k"}, None),
        ({"kubeconfig": "{path}"}, {"K8S_AUTH_SSL_CA_CERT": "{path}", "K8S_AUTH_VERIFY_SSL": "no"}, None),
    ],
)
def test_what_is_said_for_one_cluster_is_not_overruled_for_all(folder, params, environ, named):
    path = written(folder, document(USERS["token"], CLUSTERS["unchecked"]))
    params, environ = json.loads(json.dumps([params, environ]).replace("{path}", path))
    if named is None:
        kubeconfig.connection(params, environ)
        return
    with pytest.raises(errors.ConnectionOptionsError) as caught:
        kubeconfig.connection(params, environ)
    assert named in str(caught.value) and "No request was sent." in str(caught.value)


@pytest.mark.parametrize(("user", "cluster"), CORPUS)
def test_a_connection_comes_back_from_its_own_kubeconfig(folder, user, cluster):
    """What helm is given says what the modules do."""
    for name in ("ca.crt", "client.crt", "client.key", "other.crt"):
        (folder / name).write_text(f"content of {name}\n")
    one = {**USERS[user], "as": "jane", "as-groups": ["dev"], "as-user-extra": {"a": ["b"]}}
    first = kubeconfig.connection({"kubeconfig": written(folder, document(one, CLUSTERS[cluster]))}, {})
    again = kubeconfig.connection({"kubeconfig": first.kubeconfig()}, {})
    assert (again.impersonate_user, again.impersonate_groups, again.impersonate_extra) == (
        "jane",
        ["dev"],
        {"a": ["b"]},
    )
    for name in ("server", "verify", "server_name", "authorization", "proxy"):
        assert getattr(again, name) == getattr(first, name), name
    for kind in ("ca", "cert", "key"):
        if first.verify or kind != "ca":
            data = [content(getattr(one, f"{kind}_data"), getattr(one, f"{kind}_file")) for one in (first, again)]
            assert data[0] == data[1], kind


def test_credentials_that_renew_themselves_are_resolved_again(folder):
    for user in ("exec token", "token file"):
        path = written(folder, document({**USERS[user], "as": "jane"}, CLUSTERS["plain"]))
        found = kubeconfig.connection({"kubeconfig": path}, {})
        assert found.impersonate_user == "jane" and found.again is not None
        (folder / "token").write_text("renewed")
        (folder / "plugin-token").write_text(PLUGIN % json.dumps({"token": "renewed"}))
        assert found.again().authorization == "Bearer renewed"
        said = kubeconfig.connection({"kubeconfig": path, "api_key": "said"}, {})
        assert said.again is None and "exec" not in said.kubeconfig()["users"][0]["user"]


def test_a_user_that_is_not_there_is_not_anonymous():
    whole = {**document({"token": "abc"}, CLUSTERS["plain"]), "users": []}
    with pytest.raises(errors.ConnectionOptionsError, match="names the user 'x', which it does not have"):
        kubeconfig.connection({"kubeconfig": whole}, {})


def test_a_bundle_of_authorities_may_have_comments():
    pem = ssl.DER_cert_to_PEM_cert(b"not a certificate, but of its form")
    bundle = f"# Zertifizierungsstelle für alle\n{pem}\n--- a line ---\nsubject=/CN=ü\n{pem}\n# the end\n".encode()
    text = client._authorities(bundle)
    assert text.count("BEGIN CERTIFICATE") == 2 and "#" not in text and text.isascii()
