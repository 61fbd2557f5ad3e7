# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a request is written, and what becomes of the others when one fails."""

from __future__ import annotations

import json
import threading
import time

import pytest
import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils import errors, resources
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api import client, kubeconfig
from answers import Answers


@pytest.mark.parametrize("text", ["\U0001f600", r"\ud83d\ude00", "\\\U0001f600", "é\x7f\x85\u2028\ufeff\x01", "plain"])
def test_a_body_is_json_and_yaml(text):
    encoded = client._encoded({"k": text})
    assert json.loads(encoded) == yaml.safe_load(encoded) == {"k": text}


@pytest.mark.parametrize(
    "options", [{"api_key": "s3cret\ntoken"}, {"api_key": "x", "impersonate_user": "s3cret\u2028"}]
)
def test_what_no_header_can_hold_is_not_quoted(options):
    target = kubeconfig.connection({"host": "https://127.0.0.1:1", **options}, {})
    with pytest.raises(errors.ConnectionOptionsError, match="can't be sent") as refused:
        client.Client(target)
    assert "s3cret" not in str(refused.value)


def test_a_token_may_end_with_its_line():
    target = kubeconfig.connection({"host": "https://127.0.0.1:1", "api_key": "token\n"}, {})
    assert target.authorization == "Bearer token"


def test_after_an_error_no_other_is_begun():
    several = client.Client(kubeconfig.connection({"host": "https://127.0.0.1:1", "api_key": "x"}, {}), concurrency=2)
    begun, failed = [], threading.Event()

    def call(number):
        begun.append(number)
        if number == 0:
            failed.set()
            raise errors.ApiUnreachable("gone")
        failed.wait(5)

    with pytest.raises(errors.ApiUnreachable, match="gone"):
        several.each(call, range(1000))
    assert len(begun) < 1000
    assert several.each(lambda number: number + 1, range(100)) == list(range(1, 101))


LOGIN = (302, {"Location": "https://login.example.com/?token=s3cret"}, "")


@pytest.mark.parametrize(
    "call",
    [
        lambda own: own.get("/api/v1/namespaces/a"),
        lambda own: own.list(resources.SECRETS),
        lambda own: own.served_versions("external-secrets.io"),
        lambda own: own.request("PATCH", "/api/v1/namespaces/a", body={}),
        lambda own: list(own.watch(resources.SECRETS, "1", seconds=1)),
        lambda own: own.text("/log", {}, "cannot read"),
    ],
)
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (LOGIN, "a redirection to login.example.com, which no Kubernetes API sends"),
        ((301, {}, "<html>"), "HTTP status 301"),
        ((200, {}, "<html>log in</html>"), "is not JSON|no object"),
        ((200, {}, [1]), "no object of Kubernetes"),
        ((200, {}, {"welcome": True}), "no object of Kubernetes"),
        ((200, {}, ""), "no object of Kubernetes"),
    ],
)
def test_an_answer_that_is_none_is_an_error(call, answer, said):
    """A login page must not read as 'there is no Secret', or as a write that succeeded."""
    with Answers(answer) as server:
        if answer[0] == 200 and {"text", "watch"}.intersection(call.__code__.co_names):
            return  # text is what it is, and a watch that says nothing is asked again
        with pytest.raises(errors.ApiError, match=said) as caught:
            call(server.client())
        assert "s3cret" not in str(caught.value)


def test_a_servers_wish_to_wait_is_heeded_within_bounds(monkeypatch):
    monkeypatch.setattr(client, "RETRY_AFTER", 0.3)
    busy = (429, {"Retry-After": "3600"}, {"kind": "Status", "message": "busy"})
    with Answers(busy, (200, {}, {"kind": "Namespace"})) as server:
        began = time.monotonic()
        assert server.client().get("/api/v1/namespaces/a")["kind"] == "Namespace"
        assert time.monotonic() - began < 2
    with Answers(busy) as server:
        own, began = server.client(), time.monotonic()
        with pytest.raises(errors.ApiError), own.until(time.monotonic() + 0.2):
            own.get("/api/v1/namespaces/a")
        assert time.monotonic() - began < 1


def test_credentials_are_renewed_once_the_server_refuses_them(tmp_path):
    token = tmp_path / "token"
    token.write_text("old")
    with Answers((401, {}, {"kind": "Status"}), (200, {}, {"kind": "Namespace"})) as server:
        whole = {
            "clusters": [{"name": "x", "cluster": {"server": server.client().server}}],
            "users": [{"name": "x", "user": {"tokenFile": str(token)}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "current-context": "x",
        }
        own = client.Client(kubeconfig.connection({"kubeconfig": whole}, {}))
        token.write_text("new")
        assert own.get("/api/v1/namespaces/a")
        assert [headers["Authorization"] for _m, _p, headers in server.asked] == ["Bearer old", "Bearer new"]
    with Answers((401, {}, {"kind": "Status"})) as server, pytest.raises(errors.ApiError, match="does not accept"):
        server.client().get("/")


def test_a_server_that_answered_is_waited_for(monkeypatch):
    """One that never did is an error at once."""
    monkeypatch.setattr(client, "PAUSE", 0.05)
    with Answers((200, {}, {"kind": "Namespace"})) as server:
        own = server.client()
        own.get("/")
    began = time.monotonic()
    with pytest.raises(errors.ApiUnreachable), own.until(time.monotonic() + 1):
        own.get("/")
    assert 0.9 < time.monotonic() - began < 4
    began = time.monotonic()
    with pytest.raises(errors.ApiUnreachable):
        server.client().get("/")
    assert time.monotonic() - began < 4


def test_a_proxys_password_is_in_no_error():
    own = client.Client(
        kubeconfig.connection({"host": "http://one", "api_key": "k", "proxy": "http://me:s3cret@127.0.0.1:1"}, {})
    )
    with pytest.raises(errors.ApiUnreachable) as caught:
        own.get("/")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(errors.ConnectionOptionsError) as caught:
        client.Client(kubeconfig.connection({"host": "http://one", "api_key": "k", "proxy": "ftp://me:s3cret@p"}, {}))
    assert "s3cret" not in str(caught.value)


def test_what_was_read_is_not_asked_for_again_until_something_is_written():
    page = {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "a"}}]}
    with Answers((200, {}, page)) as server:
        own = server.client()
        with own.remembering():
            found, _version = own.list(resources.NAMESPACES)
            found.clear()  # what one does with its list is its own matter
            assert own.list(resources.NAMESPACES)[0] == page["items"] and len(server.asked) == 1
            own.list(resources.NAMESPACES, partial=True)
            own.list(resources.NAMESPACES, selector="a=b")
            own.get("/apis/a")
            own.get("/apis/a")
            assert len(server.asked) == 4
        own.list(resources.NAMESPACES)
        assert len(server.asked) == 5  # outside, it is always read anew
        review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        own.request("POST", review, body={})
        own.request("PATCH", "/api/v1/namespaces/a", {"dryRun": "All"}, {})
        with own.remembering():
            own.get("/apis/a")
        assert len(server.asked) == 7
        own.request("PATCH", "/api/v1/namespaces/product-reviews", body={})
        with own.remembering():
            own.get("/apis/a")
        assert len(server.asked) == 9


def test_what_was_tried_to_write_is_read_anew():
    """A write whose answer was lost may have been done."""
    failing = (500, {}, {"kind": "Status", "message": "lost"})
    item = (200, {}, {"kind": "Namespace"})
    with Answers(item, failing, item) as server:
        own = server.client()
        with own.remembering():
            own.get("/api/v1/namespaces/a")
            with pytest.raises(errors.ApiError):
                own.request("DELETE", "/api/v1/namespaces/a")
            own.get("/api/v1/namespaces/a")
        assert [method for method, _path, _headers in server.asked] == ["GET", "DELETE", "GET"]
