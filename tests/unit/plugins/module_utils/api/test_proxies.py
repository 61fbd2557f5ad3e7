# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers are reached without the proxy, and what becomes of a proxy's credentials."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api import kubeconfig, proxies
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import ConnectionOptionsError


@pytest.mark.parametrize(
    ("server", "no_proxy", "bypassed"),
    [
        ("https://10.1.2.3:6443", "10.0.0.0/8", True),
        ("https://11.1.2.3:6443", "10.0.0.0/8", False),
        ("https://10.1.2.3:6443", "10.1.2.3", True),
        ("https://10.1.2.3:6443", "10.1.2.3:6443", True),
        ("https://10.1.2.3:6443", "10.1.2.3:443", False),
        ("https://[fd00::1]:6443", "fd00::/8", True),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", True),
        ("https://[fd00::1]:6443", "fd00::1", True),
        ("https://api.example.com", "example.com", True),
        ("https://api.example.com", ".example.com", True),
        ("https://api.example.com", "*.example.com", True),
        ("https://api.example.com:6443", "api.example.com:6443", True),
        ("https://notexample.com", "example.com", False),
        ("https://API.example.com.", "api.EXAMPLE.com", True),
        ("https://one", "two, one", True),
        ("https://one", "*", True),
        ("https://one", ",, ,", False),
        ("https://10.1.2.3", "3", False),
        ("https://one:port", "one", True),
    ],
)
def test_bypassed(server, no_proxy, bypassed):
    assert proxies.bypassed(server, no_proxy) is bypassed


def test_a_proxys_credentials_are_used_and_not_shown():
    given = {"host": "https://one", "api_key": "k", "proxy": "http://me:s%40cret@proxy:3128"}
    target = kubeconfig.connection(given, {})
    assert target.headers_for_proxy() == {"proxy_basic_auth": "me:s@cret"}
    assert proxies.shown(target.proxy) == "http://proxy:3128" and proxies.password_of(target.proxy) == "s%40cret"
    assert target.kubeconfig()["clusters"][0]["cluster"]["proxy-url"] == given["proxy"]
    target = kubeconfig.connection({**given, "proxy_headers": {"proxy_basic_auth": "you:p@ss"}}, {})
    assert target.kubeconfig()["clusters"][0]["cluster"]["proxy-url"] == "http://you:p%40ss@proxy:3128"


@pytest.mark.parametrize(
    "proxy",
    ["me:s3cret@proxy:3128", "http://me:s3cret@proxy:3128", "http://me:s3/c#r?et@proxy", "http://me:s3cret@[bad"],
)
def test_nothing_of_a_proxy_that_is_written_wrongly_is_shown(proxy):
    assert "s3" not in proxies.shown(proxy) and (proxies.password_of(proxy) or "").startswith("s3")


def test_an_address_that_is_none_is_named():
    with pytest.raises(ConnectionOptionsError, match=r"address 'https://\[bad' can't be read"):
        kubeconfig.connection({"host": "https://[bad", "api_key": "k"}, {})
