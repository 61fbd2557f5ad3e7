# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small HTTP client for the Kubernetes API, made for few, concurrent requests and a quick start.

Connections, pooling, TLS, proxies and retries are urllib3's. Kubeconfigs with certificates, tokens
or passwords are read here, because importing the ``kubernetes`` package costs more than a whole
run over 200 namespaces; whatever needs more (exec plugins, auth providers) is left to that package.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import threading
import time
from urllib.parse import quote, urlencode

from .plan import resource_of

USER_AGENT = "platform.cluster_secrets"

#: Objects asked for in one page of a list, the value that kubectl uses too.
PAGE = 500

#: Requests under way at once, unless an option says otherwise.
CONCURRENCY = 16

#: Seconds to connect, and to wait for an answer.
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0

#: How often one write is tried again when the object changed in between.
CONFLICT_RETRIES = 8

#: Only what these modules send is asked for: no status, no spec.
PARTIAL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

_IN_CLUSTER = "/var/run/secrets/kubernetes.io/serviceaccount"


class KubeError(Exception):
    """Something about the connection or a request; the text is fit for a user."""


class Unreachable(KubeError):
    """The API server did not answer."""


class ApiError(KubeError):
    """The API server answered with an error status.

    ``status`` is the HTTP status, ``reason`` Kubernetes' own word for it, ``detail`` its message.
    """

    def __init__(self, status, reason, detail, what):
        self.status = status
        self.reason = reason
        self.detail = detail
        text = "%s: %s" % (what, detail)
        if status == 401:
            text = "%s: the API server does not accept these credentials (401 Unauthorized)" % what
        elif status == 403 and (" cannot " in detail or "not currently held" in detail):
            # RBAC's own words; other refusals (admission, a terminating namespace) say what they are.
            text = "%s: missing right: %s" % (what, detail)
        super().__init__(text)


class Connection:
    """Where the API is and how to authenticate; made by :func:`connection`."""

    def __init__(self):
        self.server = None
        self.ca_file = None
        self.ca_data = None
        self.verify = True
        self.server_name = None
        self.cert_file = None
        self.key_file = None
        self.cert_data = None
        self.key_data = None
        self.token = None
        self.username = None
        self.password = None
        self.proxy = None
        self.no_proxy = None
        self.proxy_headers = None
        self.impersonate_user = None
        self.impersonate_groups = None
        self.impersonate_extra = None


def connection(params, environ=None):
    """Build the :class:`Connection` from module options and the environment.

    Precedence is kubernetes.core's: options, then ``K8S_AUTH_*``, then the kubeconfig, then the
    pod's own ServiceAccount. Raises KubeError.
    """
    environ = os.environ if environ is None else environ

    def option(name, variable=None):
        value = params.get(name)
        if value is None:
            value = environ.get("K8S_AUTH_" + (variable or name).upper())
        return value

    target = Connection()
    kubeconfig = option("kubeconfig")
    context = option("context")
    host = option("host")
    if kubeconfig is not None or not host:
        _load_kubeconfig(target, kubeconfig, context, environ)
    target.server = host or target.server
    if not target.server:
        raise KubeError(
            "no Kubernetes API is configured. Set the module option 'kubeconfig' or 'host', or the environment variable K8S_AUTH_KUBECONFIG or KUBECONFIG."
        )
    target.token = option("api_key") or target.token
    target.username = option("username") or target.username
    target.password = option("password") or target.password
    if option("ca_cert", "ssl_ca_cert"):
        target.ca_file, target.ca_data = option("ca_cert", "ssl_ca_cert"), None
    if option("client_cert", "cert_file"):
        target.cert_file, target.cert_data = option("client_cert", "cert_file"), None
    if option("client_key", "key_file"):
        target.key_file, target.key_data = option("client_key", "key_file"), None
    verify = option("validate_certs", "verify_ssl")
    if verify is not None:
        target.verify = verify if isinstance(verify, bool) else str(verify).lower() in ("1", "true", "yes", "on", "y", "t")
    target.proxy = option("proxy") or target.proxy
    target.no_proxy = option("no_proxy") or target.no_proxy
    target.proxy_headers = params.get("proxy_headers") or target.proxy_headers
    target.impersonate_user = option("impersonate_user") or target.impersonate_user
    groups = option("impersonate_groups")
    if groups:
        target.impersonate_groups = groups.split(",") if isinstance(groups, str) else groups
    return target


def _load_kubeconfig(target, given, context, environ):
    documents = []
    if isinstance(given, dict):
        documents = [(given, os.getcwd())]
    else:
        text = given or environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")
        paths = [os.path.expanduser(path) for path in text.split(";" if os.name == "nt" else ":") if path]
        existing = [path for path in paths if os.path.exists(path)]
        if given and not existing:
            raise KubeError("kubeconfig '%s' does not exist. Correct the path in 'kubeconfig'." % text)
        documents = [(_read_yaml(path), os.path.dirname(os.path.abspath(path))) for path in existing]
    if not documents:
        _load_in_cluster(target, environ)
        return
    named = {"clusters": {}, "users": {}, "contexts": {}}
    current = context
    for document, folder in documents:
        if not isinstance(document, dict):
            raise KubeError("the kubeconfig is not a mapping. Check that 'kubeconfig' names a kubeconfig file.")
        current = current or document.get("current-context")
        for kind, found in named.items():
            for item in document.get(kind) or []:
                found.setdefault(item.get("name"), (item.get(kind[:-1]) or {}, folder))
    if current not in named["contexts"]:
        raise KubeError(
            "the kubeconfig has no context '%s'. Set 'context' to one of: %s." % (current, ", ".join(sorted(map(str, named["contexts"]))) or "(none)")
        )
    chosen = named["contexts"][current][0]
    cluster, cluster_folder = named["clusters"].get(chosen.get("cluster"), (None, None))
    if cluster is None:
        raise KubeError("context '%s' of the kubeconfig names the cluster '%s', which it does not have." % (current, chosen.get("cluster")))
    user, user_folder = named["users"].get(chosen.get("user"), ({}, ""))
    if "exec" in user or "auth-provider" in user:
        _load_with_library(target, given if isinstance(given, dict) else ":".join(existing), current)
        return
    target.server = cluster.get("server")
    target.ca_file = _relative(cluster.get("certificate-authority"), cluster_folder)
    target.ca_data = _decoded(cluster.get("certificate-authority-data"))
    target.verify = not cluster.get("insecure-skip-tls-verify", False)
    target.server_name = cluster.get("tls-server-name")
    target.proxy = cluster.get("proxy-url")
    target.cert_file = _relative(user.get("client-certificate"), user_folder)
    target.key_file = _relative(user.get("client-key"), user_folder)
    target.cert_data = _decoded(user.get("client-certificate-data"))
    target.key_data = _decoded(user.get("client-key-data"))
    target.token = user.get("token")
    if user.get("tokenFile"):
        target.token = _read_text(_relative(user["tokenFile"], user_folder)).strip()
    target.username = user.get("username")
    target.password = user.get("password")
    target.impersonate_user = user.get("as")
    target.impersonate_groups = user.get("as-groups")
    target.impersonate_extra = user.get("as-user-extra")


def _load_in_cluster(target, environ):
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not os.path.exists(_IN_CLUSTER + "/token"):
        return
    target.server = "https://%s:%s" % ("[%s]" % host if ":" in host else host, port)
    target.ca_file = _IN_CLUSTER + "/ca.crt"
    target.token = _read_text(_IN_CLUSTER + "/token").strip()


def _load_with_library(target, given, context):
    """Let the kubernetes package run exec plugins and auth providers."""
    try:
        from kubernetes import client, config
    except ImportError:
        raise KubeError("this kubeconfig uses an exec plugin or auth provider, which needs the Python package 'kubernetes'. Install it.") from None
    loaded = client.Configuration()
    try:
        if isinstance(given, dict):
            config.load_kube_config_from_dict(given, context=context, client_configuration=loaded)
        else:
            config.load_kube_config(given, context=context, client_configuration=loaded)
    except Exception as error:  # config.ConfigException, and whatever a plugin runs into
        raise KubeError("the kubeconfig's credentials can't be used: %s" % error) from None
    target.server = loaded.host
    target.ca_file = loaded.ssl_ca_cert
    target.verify = loaded.verify_ssl
    target.server_name = getattr(loaded, "tls_server_name", None)
    target.cert_file, target.key_file = loaded.cert_file, loaded.key_file
    target.proxy = loaded.proxy
    header = loaded.get_api_key_with_prefix("authorization") or loaded.get_api_key_with_prefix("BearerToken")
    if header and header.lower().startswith("bearer "):
        target.token = header[len("bearer "):]
    target.username, target.password = loaded.username or None, loaded.password or None


def _read_text(path):
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read()
    except OSError as error:
        raise KubeError("cannot read '%s': %s." % (path, error.strerror)) from None


def _read_yaml(path):
    text = _read_text(path)
    try:
        import yaml
    except ImportError:
        raise KubeError("reading a kubeconfig needs the Python package 'PyYAML'. Install it.") from None
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # The text around the mistake may be a credential, so only its place is told.
        raise KubeError("kubeconfig '%s' is not valid YAML%s." % (path, " (line %d)" % (mark.line + 1) if mark else "")) from None


def _relative(path, folder):
    return os.path.join(folder, path) if path else None


def _decoded(text):
    if not text:
        return None
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise KubeError("the kubeconfig holds certificate data that is not base64.") from None


class Client:
    """Requests to one API server, from as many threads as wanted.

    ``requests`` counts what was sent. All methods raise :class:`KubeError`.
    """

    def __init__(self, target, concurrency=CONCURRENCY):
        try:
            import urllib3
        except ImportError:
            raise KubeError("the Python package 'urllib3' is missing (it comes with 'kubernetes'). Install it.") from None
        self._urllib3 = urllib3
        self.server = target.server.rstrip("/")
        self.concurrency = max(1, concurrency)
        self.requests = 0
        self._lock = threading.Lock()
        self._headers = self._authentication(target)
        # Every write of ours may be sent twice without harm, so a lost connection is tried again;
        # 429 and 503 come with Retry-After, which urllib3 heeds.
        retries = urllib3.Retry(
            total=5, connect=2, read=2, status=5, redirect=0, backoff_factor=0.2, status_forcelist=(429, 503), allowed_methods=None, raise_on_status=False
        )
        options = {
            "num_pools": 2,
            "maxsize": self.concurrency,
            "retries": retries,
            "timeout": urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
        }
        if self.server.startswith("https"):
            options["ssl_context"] = _ssl_context(target)
            if target.server_name:
                options["server_hostname"] = options["assert_hostname"] = target.server_name
            if not target.verify:
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        proxy = target.proxy
        if proxy and target.no_proxy:
            from urllib.parse import urlsplit
            from urllib.request import proxy_bypass_environment

            if proxy_bypass_environment(urlsplit(self.server).netloc, {"no": target.no_proxy}):
                proxy = None
        if proxy:
            headers = {key: value for key, value in (target.proxy_headers or {}).items() if value}
            self._pool = urllib3.ProxyManager(proxy, proxy_headers=urllib3.make_headers(**headers), **options)
        else:
            self._pool = urllib3.PoolManager(**options)

    @staticmethod
    def _authentication(target):
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        if target.token:
            headers["Authorization"] = "Bearer " + target.token
        elif target.username and target.password:
            pair = "%s:%s" % (target.username, target.password)
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")
        if target.impersonate_user:
            headers["Impersonate-User"] = target.impersonate_user
        if target.impersonate_groups:
            headers["Impersonate-Group"] = list(target.impersonate_groups)
        for key, values in (target.impersonate_extra or {}).items():
            headers["Impersonate-Extra-" + quote(key, safe="")] = list(values)
        if any(isinstance(value, list) for value in headers.values()):
            from urllib3 import HTTPHeaderDict

            repeated = HTTPHeaderDict()
            for key, value in headers.items():
                for item in value if isinstance(value, list) else [value]:
                    repeated.add(key, item)
            return repeated
        return headers

    def _send(self, method, path, query, body, content_type, accept, **options):
        headers = self._headers.copy()
        if content_type:
            headers["Content-Type"] = content_type
        if accept:
            headers["Accept"] = accept
        url = self.server + path + ("?" + urlencode(query) if query else "")
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode("utf-8")
        with self._lock:
            self.requests += 1
        try:
            return self._pool.request(method, url, body=data, headers=headers, redirect=False, **options)
        except self._urllib3.exceptions.HTTPError as error:
            raise Unreachable("cannot reach the Kubernetes API at %s: %s" % (self.server, _reason(error))) from None

    def request(self, method, path, query=None, body=None, content_type=None, accept=None, what=None):
        """Send one request and decode the JSON answer.

        :arg what: what the request is for, the start of an error's text.
        """
        response = self._send(method, path, query, body, content_type or ("application/json" if body is not None else None), accept)
        return self._decode(response, what or "%s %s" % (method, path))

    @staticmethod
    def _decode(response, what):
        try:
            answer = json.loads(response.data) if response.data else {}
        except ValueError:
            answer = {"message": "the answer is not JSON"} if response.status < 400 else {"message": response.data[:200].decode("utf-8", "replace").strip()}
            if response.status < 400:
                raise KubeError("%s: the answer is not JSON. Is 'host' or the kubeconfig's server a Kubernetes API?" % what) from None
        if response.status >= 400:
            message = answer.get("message") or "HTTP status %d" % response.status
            raise ApiError(response.status, answer.get("reason", ""), message, what)
        return answer

    def get(self, path, what=None):
        """One object, or None when there is none (404)."""
        try:
            return self.request("GET", path, what=what)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, resource, namespace=None, selector=None, partial=False, missing_ok=False, what=None):
        """All objects of a resource, page by page.

        :arg partial: only metadata is wanted.
        :arg missing_ok: an unknown resource (404) is an empty list.
        :returns: the items and the list's resourceVersion.
        """
        items = []
        query = {"limit": str(PAGE)}
        if selector:
            query["labelSelector"] = selector
        path = resource.path(namespace=namespace)
        what = what or "cannot list %s" % resource.plural
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
            items.extend(page.get("items") or [])
            version = page.get("metadata", {}).get("resourceVersion")
            token = page.get("metadata", {}).get("continue")
            if not token:
                return items, version
            query["continue"] = token

    def watch(self, resource, version, selector=None, seconds=30, idle=2.0, namespace=None):
        """Changes after ``version``, as (type, object), for at most ``seconds``.

        Yields None whenever nothing came for ``idle`` seconds. Ends early when the server ends it;
        an ERROR event (such as 410, too old) is passed on as it is.
        """
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(max(1, int(seconds))), "allowWatchBookmarks": "true"}
        if selector:
            query["labelSelector"] = selector
        timeout = self._urllib3.Timeout(connect=CONNECT_TIMEOUT, read=idle)
        response = self._send("GET", resource.path(namespace=namespace), query, None, None, None, preload_content=False, timeout=timeout, retries=False)
        try:
            if response.status >= 400:
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
                    event = json.loads(line)
                    yield event["type"], event["object"]
        finally:
            response.close()

    def served_versions(self, group):
        """The versions of an API group that the server serves; none when the group is absent."""
        answer = self.get("/apis/" + group, what="cannot look up the API group %s" % group)
        return [version["version"] for version in (answer or {}).get("versions", [])]

    def each(self, function, items):
        """``[function(item) ...]``, concurrently; the first error is raised once all have ended."""
        items = list(items)
        if len(items) <= 1 or self.concurrency == 1:
            return [function(item) for item in items]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(self.concurrency, len(items))) as pool:
            futures = [pool.submit(function, item) for item in items]
        return [future.result() for future in futures]

    def object_path(self, manifest):
        """The path of an object from its manifest."""
        meta = manifest["metadata"]
        return resource_of(manifest["apiVersion"], manifest["kind"]).path(meta["name"], meta.get("namespace"))


def _ssl_context(target):
    try:
        context = ssl.create_default_context(cafile=target.ca_file, cadata=target.ca_data.decode("ascii") if target.ca_data else None)
    except (OSError, ValueError) as error:
        raise KubeError("the CA certificate%s can't be used: %s" % (" '%s'" % target.ca_file if target.ca_file else "", error)) from None
    # Since Python 3.13 this refuses the authorities of many clusters, which kubectl and older Pythons accept, for their form alone.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if target.cert_data or target.cert_file:
        try:
            with _as_file(target.cert_data, target.cert_file) as cert, _as_file(target.key_data, target.key_file) as key:
                context.load_cert_chain(cert, key)
        except (OSError, ValueError) as error:
            raise KubeError("the client certificate or its key can't be used: %s" % error) from None
    return context


class _as_file:
    """A path for PEM data: ssl loads from files only. Memory is used, where the system has it."""

    def __init__(self, data, path):
        self._data, self._path = data, path
        self._descriptor = None
        self._remove = None

    def __enter__(self):
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

    def __exit__(self, *_details):
        if self._descriptor is not None:
            os.close(self._descriptor)
        if self._remove:
            os.unlink(self._remove)


def _reason(error):
    """The innermost cause of a urllib3 error, without the pool's own words around it."""
    while getattr(error, "reason", None) is not None and isinstance(error.reason, Exception):
        error = error.reason
    text = str(error)
    return text.split(": ", 1)[1] if text.startswith(("<", "HTTPSConnection", "HTTPConnection")) and ": " in text else text
