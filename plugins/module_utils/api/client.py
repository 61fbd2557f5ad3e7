# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTP client for the Kubernetes API, made for few, concurrent requests and a quick start.

Connections, pooling, TLS, proxies and retries are urllib3's.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import ssl
import threading
import time
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Callable, Iterable, Iterator, List, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from ..errors import ApiError, ApiUnreachable, ConnectionOptionsError, Denied, DependencyError
from ..resources import Object, Resource
from . import depth, proxies
from .alike import Alike
from .kubeconfig import Connection

USER_AGENT = "platform.cluster_secrets"

#: Objects asked for in one page of a list, the value that kubectl uses too.
PAGE = 500

#: Requests under way at once, unless an option says otherwise.
CONCURRENCY = 16

#: Seconds to connect, and to wait for an answer.
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0

#: Seconds that a server which answered before may be out of reach, as while it restarts, before that is an error.
PATIENCE = 30.0

#: Seconds between two tries in that time.
PAUSE = 0.5

#: The longest wait, in seconds, that a server's Retry-After is heeded for.
RETRY_AFTER = 10.0

#: A list of metadata alone: no status, no spec.
PARTIAL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Client:
    """Requests to one API server, from as many threads as wanted.

    ``requests`` counts what was sent, retries left out. All requests raise ApiError and ApiUnreachable. A server that
    has answered is waited for when it is out of reach, :data:`PATIENCE` seconds at most and never beyond the time that
    :meth:`until` allows. Credentials that renew themselves are renewed when the server no longer takes them.
    """

    def __init__(self, target: Connection, concurrency: int = CONCURRENCY, timeout: float = READ_TIMEOUT) -> None:
        try:
            import urllib3
        except ImportError:
            raise DependencyError(
                "the Python package 'urllib3' is missing (it comes with 'kubernetes'). Install it."
            ) from None
        if not hasattr(urllib3.HTTPResponse, "read1"):
            raise DependencyError("the Python package 'urllib3' is too old. Install 2.2 or newer.")
        self._urllib3 = urllib3
        self.server = target.server or ""
        #: As Connection.place() has it.
        self.place = target.place()
        self.concurrency = max(1, concurrency)
        self._timeout = timeout
        self.requests = 0
        self._lock = threading.Lock()
        #: Is told, for the user, what was waited for.
        self.tell: Callable[[str], Any] = lambda _text: None
        #: Kind and place of what was nested too deeply to be read whole.
        self.unreadable: set[str] = set()
        self._deadline: float | None = None
        self._answered = False
        #: What was read within :meth:`remembering`, by what was asked for.
        self._read: dict[tuple[Any, ...], Any] = {}
        self._remembers = False
        #: When the server answered last, by its own clock, as HTTP has it.
        self.server_date: str | None = None
        self._open(target)

    def _open(self, target: Connection) -> None:
        """Make headers and connections for a connection; again, when its credentials were renewed."""
        urllib3 = self._urllib3
        self._target = target
        self._headers = self._authentication(target)
        # Every write of ours may be sent twice without harm, so a lost connection is tried again;
        # 429 and 503 come with Retry-After, which is heeded within bounds.
        retries = _retry_class(urllib3, self._left)(
            total=5,
            connect=2,
            read=2,
            status=5,
            redirect=0,
            backoff_factor=0.2,
            status_forcelist=(429, 503),
            allowed_methods=None,
            raise_on_status=False,
        )
        options: dict[str, Any] = {
            "num_pools": 2,
            "maxsize": self.concurrency,
            "retries": retries,
            "timeout": urllib3.Timeout(connect=min(CONNECT_TIMEOUT, self._timeout), read=self._timeout),
        }
        if self.server.startswith("https"):
            options["ssl_context"] = _ssl_context(target)
            if target.server_name:
                options["server_hostname"] = options["assert_hostname"] = target.server_name
            if not target.verify:
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._pool: Any
        proxy = target.proxy_to_use()
        if proxy:
            place = proxies.shown(proxy)
            try:
                headers = urllib3.make_headers(**target.headers_for_proxy())
                self._pool = urllib3.ProxyManager(place, proxy_headers=headers, **options)
            except (urllib3.exceptions.HTTPError, ValueError):
                raise ConnectionOptionsError(
                    "the proxy '%s' can't be used. Write it like 'http://proxy:3128'." % place
                ) from None
        else:
            self._pool = urllib3.PoolManager(**options)

    def another(self, timeout: float) -> Client:
        """A client to the same server with connections of its own, of which no answer may take longer, in seconds."""
        return Client(self._target, 1, timeout)

    def now(self) -> datetime.datetime:
        """The time by the server's clock, to the second, or by this machine's before the server has answered."""
        if self.server_date:
            return parsedate_to_datetime(self.server_date)
        return datetime.datetime.now(datetime.timezone.utc)

    def is_late(self) -> bool:
        """Whether the time that :meth:`until` allows is over."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """No retry within the block goes on after ``deadline``, as time.monotonic() has it."""
        before, self._deadline = self._deadline, deadline
        try:
            yield
        finally:
            self._deadline = before

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Ask for nothing twice: within such blocks, what was read in one before is what it was then.

        Until something is written: whatever it was, it may have made others write, too. What is read outside of these
        blocks, as to wait for something, always comes from the server.
        """
        before, self._remembers = self._remembers, True
        try:
            yield
        finally:
            self._remembers = before

    def forget(self) -> None:
        """Read anew what was read before: it has been some time, or something was written."""
        self._read = {}

    def _once(self, asked: tuple[Any, ...], read: Callable[[], _Out]) -> _Out:
        """What ``read()`` returns, or returned within a block of :meth:`remembering`."""
        if not self._remembers:
            return read()
        known = self._read
        if asked not in known:
            known[asked] = read()
        answer: _Out = known[asked]
        return answer

    def _left(self) -> float:
        """How many seconds a retry may take from now on."""
        return RETRY_AFTER if self._deadline is None else max(0.0, min(RETRY_AFTER, self._deadline - time.monotonic()))

    def _renew(self, used: Connection) -> bool:
        """Renew credentials that the server no longer takes; whether there are others now."""
        with self._lock:
            if self._target is used and used.again is not None:
                self._open(used.again())
            return self._target is not used

    @staticmethod
    def _authentication(target: Connection) -> Any:
        headers: dict[str, Any] = {"Accept": "application/json", "User-Agent": USER_AGENT}
        if target.authorization:
            headers["Authorization"] = target.authorization
        if target.impersonate_user:
            headers["Impersonate-User"] = target.impersonate_user
        if target.impersonate_groups:
            headers["Impersonate-Group"] = list(target.impersonate_groups)
        for key, values in target.impersonate_extra.items():
            headers["Impersonate-Extra-" + quote(key, safe="")] = list(values)
        for key, value in headers.items():
            # http.client quotes what it can't send, and that may be a token.
            if not all(_SENDABLE.fullmatch(item) for item in (value if isinstance(value, list) else [value])):
                raise ConnectionOptionsError(
                    "the header '%s' can't be sent: its value has a character that no header may have, such as a line "
                    "break. Correct the token, the password or the name to impersonate." % key
                )
        if any(isinstance(value, list) for value in headers.values()):
            from urllib3 import HTTPHeaderDict

            repeated = HTTPHeaderDict()
            for key, value in headers.items():
                for item in value if isinstance(value, list) else [value]:
                    repeated.add(key, item)
            return repeated
        return headers

    def _send(
        self,
        method: str,
        path: str,
        query: Any,
        body: Any,
        content_type: str | None,
        accept: str | None,
        **options: Any,
    ) -> Any:
        if {".", ".."}.intersection(path.split("/")):
            # A name that somebody else wrote must not lead to another object.
            raise ApiError(404, "NotFound", "no object has such a name", "%s %s" % (method, path))
        url = self.server + path + ("?" + urlencode(query) if query else "")
        data = None if body is None else _encoded(body)
        with self._lock:
            self.requests += 1
        patience = time.monotonic() + PATIENCE
        renewed = False
        while True:
            used = self._target
            headers = self._headers.copy()
            if content_type:
                headers["Content-Type"] = content_type
            if accept:
                headers["Accept"] = accept
            try:
                response = self._pool.request(method, url, body=data, headers=headers, redirect=False, **options)
            except self._urllib3.exceptions.HTTPError as error:
                if self._answered and _refused(error) and time.monotonic() < min(patience, self._deadline or patience):
                    time.sleep(PAUSE)
                    continue
                raise ApiUnreachable(
                    "cannot reach the Kubernetes API at %s: %s" % (self.server, _reason(error))
                ) from None
            if response.status == 401 and not renewed and self._renew(used):
                renewed = True
                response.release_conn()
                continue
            self._answered = True
            self.server_date = response.headers.get("Date") or self.server_date
            return response

    def request(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str | None = None,
        accept: str | None = None,
        what: str | None = None,
    ) -> Any:
        """Send one request and decode the JSON answer.

        :arg what: what the request is for, the start of an error's text.
        """
        # A review, which is posted, only asks, and a dry run writes nothing.
        asks = method == "GET" or (method == "POST" and path.endswith("reviews")) or "dryRun" in (query or ())
        if not asks:
            self.forget()
        response = self._send(
            method, path, query, body, content_type or ("application/json" if body is not None else None), accept
        )
        what = what or "%s %s" % (method, path)
        answer = self._decode(response, what)
        if method != "GET" and "kind" not in answer:
            raise _foreign(what)
        return answer

    def text(self, path: str, query: dict[str, str], what: str) -> str:
        """What is no object but text, such as a pod's log."""
        response = self._send("GET", path, query, None, None, "text/plain, */*")
        if response.status >= 300:
            self._decode(response, what)
        return str(response.data.decode("utf-8", "replace"))

    @staticmethod
    def _decode(response: Any, what: str) -> Any:
        try:
            answer = depth.loads(response.data) if response.data else {}
        except ValueError:
            answer = {"message": response.data[:200].decode("utf-8", "replace").strip()}
            if response.status < 300:
                raise ApiError(
                    0, "", "the answer is not JSON. Is 'host' or the kubeconfig's server a Kubernetes API?", what
                ) from None
        if 300 <= response.status < 400:
            raise ApiError(response.status, "", _redirected(response), what)
        if not isinstance(answer, dict):
            raise _foreign(what)
        if response.status >= 400:
            message = answer.get("message") or "HTTP status %d" % response.status
            kind = Denied if response.status == 403 else ApiError
            raise kind(response.status, str(answer.get("reason") or ""), str(message), what)
        return answer

    def get(self, path: str, what: str | None = None) -> Object | None:
        """One object, or None when there is none (404)."""
        return self._once(("get", path), lambda: self._get(path, what))

    def _get(self, path: str, what: str | None) -> Object | None:
        try:
            answer: Object = self.request("GET", path, what=what)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        if "kind" not in answer:
            raise _foreign(what or "GET %s" % path)
        return self._readable([answer], answer["kind"])[0]

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str | None = None,
        partial: bool = False,
        missing_ok: bool = False,
        what: str | None = None,
        keep: Callable[[Object], Object | None] | None = None,
    ) -> tuple[List[Object], str | None]:
        """All objects of a resource, page by page.

        :arg partial: only metadata is wanted.
        :arg missing_ok: an unknown resource (404) is an empty list.
        :arg keep: what of each object is wanted, None for nothing, where thousands would take memory for no use.
        :returns: the items and the list's resourceVersion.
        """
        path = resource.path(namespace=namespace)
        what = what or "cannot list %s" % resource.plural
        items, version = self._once(
            ("list", path, selector, partial, missing_ok, keep),
            lambda: self._list(path, resource.plural, selector, partial, missing_ok, what, keep),
        )
        return items[:], version

    def _list(
        self,
        path: str,
        plural: str,
        selector: str | None,
        partial: bool,
        missing_ok: bool,
        what: str,
        keep: Callable[[Object], Object | None] | None,
    ) -> tuple[List[Object], str | None]:
        items: List[Object] = []
        alike = Alike()
        query = {"limit": str(PAGE)}
        if selector:
            query["labelSelector"] = selector
        while True:
            try:
                page = self.request("GET", path, query, accept=PARTIAL if partial else None, what=what)
            except ApiError as error:
                if error.status == 404 and missing_ok:
                    return [], None
                if error.status == 410 and "continue" in query:
                    # The snapshot that the pages come from is gone; begin anew.
                    del query["continue"]
                    items = []
                    continue
                raise
            if "items" not in page:
                raise _foreign(what)
            listed = self._readable(page["items"] or [], str(page.get("kind") or plural))
            if keep:
                listed = [kept for item in listed if (kept := keep(item)) is not None]
            alike.share(listed)
            items.extend(listed)
            version = page.get("metadata", {}).get("resourceVersion")
            token = page.get("metadata", {}).get("continue")
            if not token:
                return items, version
            query["continue"] = token

    def _readable(self, items: List[Object], kind: str) -> List[Object]:
        """Live objects without what is nested too deeply, which is noted."""
        if not depth.is_deep(items):
            return items
        readable = []
        for item in items:
            if depth.is_deep([item]):
                meta = item.get("metadata") or {}
                place = "/".join(str(one) for one in (meta.get("namespace"), meta.get("name")) if one)
                self.unreadable.add("%s %s" % (kind.removesuffix("List"), place))
                item = depth.pruned(item)
            readable.append(item)
        return readable

    def watch(
        self,
        resource: Resource,
        version: str | None,
        selector: str | None = None,
        seconds: float = 30,
        idle: float = 2.0,
    ) -> Iterator[tuple[str, Object] | None]:
        """Changes after ``version``, as (type, object), for at most ``seconds``.

        Yields None and ends once nothing came for ``idle`` seconds. Ends early when the server ends it;
        an ERROR event (such as 410, too old) is passed on as it is.
        """
        query = {
            "watch": "1",
            "resourceVersion": version or "",
            "timeoutSeconds": str(max(1, int(seconds))),
            "allowWatchBookmarks": "true",
        }
        if selector:
            query["labelSelector"] = selector
        timeout = self._urllib3.Timeout(connect=CONNECT_TIMEOUT, read=idle)
        response = self._send(
            "GET",
            resource.path(),
            query,
            None,
            None,
            None,
            preload_content=False,
            timeout=timeout,
            retries=False,
        )
        try:
            if response.status >= 300:
                response.read(decode_content=True)
                self._decode(response, "cannot watch %s" % resource.plural)
            buffered = b""
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                try:
                    chunk = response.read1()
                except self._urllib3.exceptions.ReadTimeoutError:
                    # The stream can't be read on after a timeout; the caller opens it anew.
                    yield None
                    return
                except self._urllib3.exceptions.HTTPError:
                    return
                if not chunk:
                    return
                *lines, buffered = (buffered + chunk).split(b"\n")
                for line in lines:
                    try:
                        event = depth.loads(line)
                        kind, item = event["type"], event["object"]
                    except (ValueError, KeyError, TypeError):
                        raise _foreign("cannot watch %s" % resource.plural) from None
                    yield kind, self._readable([item], resource.plural)[0]
        finally:
            response.close()

    def served_versions(self, group: str) -> List[str]:
        """The versions of an API group that the server serves; none when the group is absent."""
        answer = self.get("/apis/" + group, what="cannot look up the API group %s" % group)
        return [version["version"] for version in (answer or {}).get("versions", [])]

    def each(self, function: Callable[[_In], _Out], items: Iterable[_In]) -> List[_Out]:
        """``[function(item) ...]``, concurrently; the first error is raised once those under way have ended.

        After an error, no other is begun.
        """
        items = list(items)
        if len(items) <= 1 or self.concurrency == 1:
            return [function(item) for item in items]
        from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait

        failed = threading.Event()

        def begun(item: _In) -> _Out:
            # Cancelling comes too late for what a busy pool takes meanwhile.
            if failed.is_set():
                raise CancelledError
            try:
                return function(item)
            except BaseException:
                failed.set()
                raise

        pool = ThreadPoolExecutor(min(self.concurrency, len(items)))
        try:
            futures = [pool.submit(begun, item) for item in items]
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            # Also for whatever ends the task from outside, such as Ansible's timeout.
            pool.shutdown(wait=True, cancel_futures=True)
        for future in futures:
            error = None if future.cancelled() else future.exception()
            if error is not None and not isinstance(error, CancelledError):
                raise error
        return [future.result() for future in futures]


#: What http.client sends as a header's value.
_SENDABLE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

#: An escaped backslash, or a character beyond U+FFFF as JSON escapes it.
_PAIR = re.compile(r"\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}")


def _encoded(body: Any) -> bytes:
    """JSON that is YAML too, which is what the API server takes an apply for: YAML has no surrogate pairs."""

    def plain(match: re.Match[str]) -> str:
        return match[0] if match[0] == r"\\" else str(json.loads('"%s"' % match[0]))

    return _PAIR.sub(plain, json.dumps(body, separators=(",", ":"))).encode("utf-8")


def _foreign(what: str) -> ApiError:
    return ApiError(0, "", "the answer is no object of Kubernetes. Is 'host' a Kubernetes API?", what)


def _redirected(response: Any) -> str:
    """What an answer 3xx means. Its Location can hold a token, so that only the host is named."""
    place = urlsplit(response.headers.get("Location") or "").hostname
    return (
        "HTTP status %d, a redirection%s, which no Kubernetes API sends. Is there a proxy or a login page in between? "
        "Check 'host', the kubeconfig's server and the proxy." % (response.status, " to %s" % place if place else "")
    )


def _refused(error: Exception) -> bool:
    """Whether nothing was sent, because the server was out of reach."""
    import urllib3

    reason = getattr(error, "reason", None) or error
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _retry_class(urllib3: Any, left: Callable[[], float]) -> Any:
    """urllib3's Retry, whose waits end after ``left()`` seconds, whatever the server asks for."""

    class Retry(urllib3.Retry):  # type: ignore[misc, name-defined]
        """See urllib3.Retry."""

        def get_retry_after(self, response: Any) -> Any:
            """The seconds that the server asks for, within bounds."""
            asked = super().get_retry_after(response)
            return None if asked is None else min(asked, left())

        def get_backoff_time(self) -> float:
            """The seconds of a wait that nobody asked for, within bounds."""
            return float(min(super().get_backoff_time(), left()))

    return Retry


#: A certificate in a bundle, which may have comments around it.
_CERTIFICATE = re.compile(
    rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----.*?-----END [A-Z0-9 ]*CERTIFICATE-----", re.S
)


def _authorities(data: bytes | None) -> str | None:
    if data is None:
        return None
    return "\n".join(block.decode("ascii", "replace") for block in _CERTIFICATE.findall(data)) or data.decode(
        "ascii", "replace"
    )


def _ssl_context(target: Connection) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=target.ca_file, cadata=_authorities(target.ca_data))
    except (OSError, ValueError) as error:
        raise ConnectionOptionsError(
            "the CA certificate%s can't be used: %s" % (" '%s'" % target.ca_file if target.ca_file else "", error)
        ) from None
    # Since Python 3.13 this refuses the authorities of many clusters, which kubectl and older Pythons accept, for their
    # form alone.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if target.cert_data or target.cert_file:
        try:
            with _AsFile(target.cert_data, target.cert_file) as cert, _AsFile(target.key_data, target.key_file) as key:
                context.load_cert_chain(cert or "", key)
        except (OSError, ValueError) as error:
            raise ConnectionOptionsError("the client certificate or its key can't be used: %s" % error) from None
    return context


class _AsFile:
    """A path for PEM data: ssl loads from files only. It is in memory where the system supports that."""

    def __init__(self, data: bytes | None, path: str | None) -> None:
        self._data, self._path = data, path
        self._descriptor: int | None = None
        self._remove: str | None = None

    def __enter__(self) -> str | None:
        if self._data is None:
            return self._path
        if hasattr(os, "memfd_create") and os.path.exists("/proc/self/fd"):
            self._descriptor = os.memfd_create("pem")
            os.write(self._descriptor, self._data)
            return "/proc/self/fd/%d" % self._descriptor
        import tempfile

        self._descriptor, self._remove = tempfile.mkstemp()
        os.write(self._descriptor, self._data)
        return self._remove

    def __exit__(self, *_details: Any) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        if self._remove:
            os.unlink(self._remove)


def _reason(error: Any) -> str:
    """The innermost cause of a urllib3 error, without the pool's own words around it."""
    while getattr(error, "reason", None) is not None and isinstance(error.reason, Exception):
        error = error.reason
    text = str(error)
    return (
        text.split(": ", 1)[1] if text.startswith(("<", "HTTPSConnection", "HTTPConnection")) and ": " in text else text
    )
