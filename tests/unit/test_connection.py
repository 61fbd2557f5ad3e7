# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a connection comes from: options, environment, kubeconfig."""

from __future__ import annotations

import base64
import ssl

import pytest
import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils import kube


def kubeconfig(user, cluster=None):
    return {
        "clusters": [{"name": "c", "cluster": {"server": "https://one", **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def written(tmp_path, document, name="config"):
    path = tmp_path / name
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_file_with_relative_paths_and_token_file(tmp_path):
    (tmp_path / "token").write_text("abc\n")
    path = written(tmp_path, kubeconfig({"tokenFile": "token"}, {"certificate-authority": "ca.crt"}))
    found = kube.connection({"kubeconfig": path}, {})
    assert (found.server, found.token, found.ca_file) == ("https://one", "abc", str(tmp_path / "ca.crt"))


def test_mapping_with_inline_data():
    data = base64.b64encode(b"pem").decode()
    found = kube.connection({"kubeconfig": kubeconfig({"client-certificate-data": data, "client-key-data": data})}, {})
    assert found.cert_data == found.key_data == b"pem"


def test_options_win_over_environment_over_kubeconfig(tmp_path):
    path = written(tmp_path, kubeconfig({"token": "file"}))
    environ = {"K8S_AUTH_KUBECONFIG": path, "K8S_AUTH_API_KEY": "env", "K8S_AUTH_VERIFY_SSL": "no"}
    assert kube.connection({}, environ).token == "env"
    assert kube.connection({}, environ).verify is False
    assert kube.connection({"api_key": "option", "validate_certs": True}, environ).token == "option"
    assert kube.connection({"validate_certs": True}, environ).verify is True


def test_several_files_are_merged(tmp_path):
    whole = kubeconfig({"token": "t"})
    first = written(tmp_path, {"contexts": whole["contexts"], "current-context": "x"}, "a")
    second = written(tmp_path, {"clusters": whole["clusters"], "users": whole["users"]}, "b")
    assert kube.connection({}, {"KUBECONFIG": "%s:%s" % (first, second)}).token == "t"


def test_exec_plugins_are_run_by_the_kubernetes_package(tmp_path):
    plugin = tmp_path / "plugin.sh"
    plugin.write_text('#!/bin/sh\necho \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-plugin"}}\'\n')
    plugin.chmod(0o755)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}}
    found = kube.connection({"kubeconfig": written(tmp_path, kubeconfig(user))}, {})
    assert (found.server, found.token) == ("https://one", "from-plugin")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kubeconfig": "/does/not/exist"}, "does not exist"),
        ({"kubeconfig": kubeconfig({}), "context": "other"}, "no context 'other'. Set 'context' to one of: x."),
        ({"kubeconfig": {**kubeconfig({}), "clusters": []}}, "names the cluster 'c', which it does not have"),
        ({"kubeconfig": kubeconfig({"client-certificate-data": "%%%"})}, "not base64"),
    ],
)
def test_what_is_refused(params, message):
    with pytest.raises(kube.KubeError) as caught:
        kube.connection(params, {})
    assert message in str(caught.value)


def test_broken_yaml_is_not_quoted(tmp_path):
    path = tmp_path / "config"
    path.write_text("users:\n  - token: CANARY: [\n")
    with pytest.raises(kube.KubeError) as caught:
        kube.connection({"kubeconfig": str(path)}, {})
    assert "not valid YAML (line" in str(caught.value) and "CANARY" not in str(caught.value)


def test_nothing_configured(tmp_path):
    with pytest.raises(kube.KubeError, match="no Kubernetes API is configured"):
        kube.connection({}, {"KUBECONFIG": str(tmp_path / "none")})


def test_an_authority_is_not_refused_for_its_form(monkeypatch):
    default = ssl.create_default_context

    def as_in_python_3_13(**options):
        context = default(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(kube.ssl, "create_default_context", as_in_python_3_13)
    context = kube._ssl_context(kube.Connection())
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
