# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the Kubernetes API is and how to authenticate: options, environment, kubeconfig, the pod's own ServiceAccount.

Precedence is that of kubernetes.core (its module_utils/k8s/client.py). A kubeconfig is read here when
all of it is understood, because importing the ``kubernetes`` package takes longer than checking 200
labelled namespaces; any other kubeconfig is left to that package.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Mapping, NamedTuple
from urllib.parse import unquote, urlsplit

from .. import files
from ..errors import ConnectionOptionsError, DependencyError, FileError
from . import proxies

_IN_CLUSTER = "/var/run/secrets/kubernetes.io/serviceaccount"

_PROXY_HEADERS = ("proxy_basic_auth", "basic_auth", "user_agent")

#: What is understood of each part of a kubeconfig: the key and the type of its value.
_DOCUMENT = {
    "apiVersion": str,
    "kind": str,
    "preferences": dict,
    "clusters": list,
    "users": list,
    "contexts": list,
    "current-context": str,
}
_CLUSTER = {
    "server": str,
    "certificate-authority": str,
    "certificate-authority-data": str,
    "insecure-skip-tls-verify": bool,
    "tls-server-name": str,
    "proxy-url": str,
    "disable-compression": bool,
}
_USER = {
    "client-certificate": str,
    "client-certificate-data": str,
    "client-key": str,
    "client-key-data": str,
    "token": str,
    "tokenFile": str,
    "username": str,
    "password": str,
    "as": str,
    "as-groups": list,
    "as-user-extra": dict,
}
_CONTEXT = {"cluster": str, "user": str, "namespace": str}
_ANYWHERE = ("extensions",)


#: Options that say which cluster by a kubeconfig, and options that take precedence over what it says.
BY_FILE = ("kubeconfig", "context")
CREDENTIALS = ("api_key", "username", "password", "client_cert", "client_key")
_BY_ADDRESS = ("host", *CREDENTIALS)

#: Credentials that are one only together.
_HALVES = {"username": "password", "password": "username", "client_cert": "client_key", "client_key": "client_cert"}

#: Options that say how to get to a cluster, besides which one it is.
WAYS = ("ca_cert", "proxy", "no_proxy")

#: The environment's names of the options that kubernetes.core names otherwise there.
_ALIASES = {
    "client_cert": "cert_file",
    "client_key": "key_file",
    "ca_cert": "ssl_ca_cert",
    "validate_certs": "verify_ssl",
}


class Connection:
    """Where the API is and how to authenticate; made by :func:`connection`.

    ``server`` has no slash at its end; ``authorization`` is the whole header; ``*_data`` are PEM bytes
    that take precedence over the file of the same name. ``plugin`` is the exec plugin of the kubeconfig, if the
    credentials are its; ``again`` resolves the same connection anew, where credentials renew themselves.
    """

    def __init__(self) -> None:
        self.server: str | None = None
        #: The context of the kubeconfig that this is from, if it is.
        self.context: str | None = None
        #: How many contexts that has, 0 if that is not known.
        self.contexts = 0
        self.ca_file: str | None = None
        self.ca_data: bytes | None = None
        self.verify = True
        self.server_name: str | None = None
        self.cert_file: str | None = None
        self.key_file: str | None = None
        self.cert_data: bytes | None = None
        self.key_data: bytes | None = None
        self.authorization: str | None = None
        self.proxy: str | None = None
        self.no_proxy: str | None = None
        self.proxy_headers: dict[str, str] = {}
        self.impersonate_user: str | None = None
        self.impersonate_groups: list[str] = []
        self.impersonate_extra: dict[str, list[str]] = {}
        self.plugin: dict[str, Any] | None = None
        self.token_file: str | None = None
        self.again: Callable[[], Connection] | None = None

    def place(self) -> dict[str, str | None]:
        """Which cluster it is, as people know it: ``server``, without credentials, and ``context``."""
        parts = urlsplit(self.server or "")
        # Behind one address, the path may say which cluster it is.
        server = "%s://%s%s" % (parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"))
        return {"server": server, "context": self.context}

    def way(self) -> str:
        """The same text for all connections that reach the same API server the same way, and that trust the same.

        Behind two proxies, one address may be two servers.
        """
        _scheme, _credentials, proxy = proxies.parts(self.proxy_to_use() or "")
        trusted = self.ca_data or (files.read(self.ca_file, "certificate authority") if self.ca_file else b"")
        parts = [self.place()["server"], self.server_name, proxy, trusted.decode("ascii", "replace").strip()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def proxy_to_use(self) -> str | None:
        """The proxy's URL, or None where the server is reached without one."""
        if self.proxy and self.no_proxy and proxies.bypassed(self.server or "", self.no_proxy):
            return None
        return self.proxy

    def headers_for_proxy(self) -> dict[str, str]:
        """The headers for the proxy, as urllib3.make_headers() takes them; credentials of the proxy's URL are used."""
        _scheme, credentials, _place = proxies.parts(self.proxy or "")
        headers = dict(self.proxy_headers)
        if credentials and "proxy_basic_auth" not in headers:
            user, _colon, password = credentials.partition(":")
            headers["proxy_basic_auth"] = "%s:%s" % (unquote(user), unquote(password))
        return headers

    def kubeconfig(self) -> dict[str, Any]:
        """The connection as a kubeconfig, for other programs; it holds credentials, and refers to a file only for
        tokens that others renew there.

        :raises ConnectionOptionsError: for what no kubeconfig can say; :raises FileError: for a file that can't be
            read.
        """
        cluster: dict[str, Any] = {"server": self.server}
        user: dict[str, Any] = {}
        authority = self.ca_data or (files.read(self.ca_file, "CA certificate") if self.ca_file else None)
        if not self.verify:
            cluster["insecure-skip-tls-verify"] = True
        elif authority:
            cluster["certificate-authority-data"] = _encoded(authority)
        if self.server_name:
            cluster["tls-server-name"] = self.server_name
        proxy = self.proxy_to_use()
        if proxy:
            cluster["proxy-url"] = self._proxy_with_credentials(proxy)
        if self.plugin is not None:
            user["exec"] = self.plugin
        elif self.token_file:
            user["tokenFile"] = self.token_file
        elif (self.authorization or "").startswith("Bearer "):
            user["token"] = (self.authorization or "")[len("Bearer ") :]
        elif self.authorization:
            text = base64.b64decode(self.authorization[len("Basic ") :]).decode("utf-8")
            user["username"], _colon, user["password"] = text.partition(":")
        for name, data, path in (
            ("client-certificate-data", self.cert_data, self.cert_file),
            ("client-key-data", self.key_data, self.key_file),
        ):
            content = data or (files.read(path, "client certificate or key") if path else None)
            if content and self.plugin is None:
                user[name] = _encoded(content)
        if self.impersonate_user:
            user["as"] = self.impersonate_user
        if self.impersonate_groups:
            user["as-groups"] = list(self.impersonate_groups)
        if self.impersonate_extra:
            user["as-user-extra"] = {key: list(values) for key, values in self.impersonate_extra.items()}
        name = "cluster-secrets"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }

    def _proxy_with_credentials(self, proxy: str) -> str:
        given = dict(self.proxy_headers)
        credentials = given.pop("proxy_basic_auth", None)
        if given:
            raise ConnectionOptionsError(
                "'proxy_headers' has %s, which can't be handed to helm. Remove it, or set "
                "'cluster_secrets_eso_method: existing'." % " and ".join("'%s'" % name for name in sorted(given))
            )
        return proxies.with_credentials(proxy, credentials) if credentials else proxy


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


class _NotUnderstood(Exception):
    """The kubeconfig has something that this reader leaves to the kubernetes package; ``key`` names it."""

    def __init__(self, key: str = "") -> None:
        super().__init__(key)
        self.key = key


def connection(
    params: Mapping[str, Any], environ: Mapping[str, str] | None = None, credentials: bool = True
) -> Connection:
    """Build the :class:`Connection` from module options and the environment.

    :arg credentials: without, no plugin is run for them: for who only asks where the connection leads.
    :raises ConnectionOptionsError: when they are not usable; :raises FileError: for a file that can't be read.
    """
    environ = os.environ if environ is None else environ

    def option(name: str) -> Any:
        value = params.get(name)
        return from_environment(name, environ)[1] if value is None else value

    _refuse_mixture(params, environ)
    target = Connection()
    host, api_key, username, password = option("host"), option("api_key"), option("username"), option("password")
    certificate, key = option("client_cert"), option("client_key")
    kubeconfig, context = option("kubeconfig"), option("context")
    enough = host and (api_key or (username and password) or (certificate and key) or _split(host)[1])
    in_cluster = not enough and not kubeconfig and not context and _load_in_cluster(target, environ)
    if not enough and not in_cluster:
        _load_kubeconfig(target, kubeconfig, context, environ, bool(host), credentials)
    if api_key or (username and password) or certificate:
        # Said credentials don't renew themselves.
        target.plugin = target.token_file = None
    elif target.plugin is not None or target.token_file:
        target.again = lambda: connection(params, environ)
    named = enough or in_cluster or kubeconfig or context
    if host and not named and target.server not in (None, host.rstrip("/")):
        raise ConnectionOptionsError(
            "'host' is set without credentials, and those at hand are for another cluster, %s. Set 'api_key' or other "
            "credentials too, or use a 'kubeconfig' in its place." % target.place()["server"]
        )
    target.server = (host or target.server or "").rstrip("/") or None
    if not target.server:
        raise ConnectionOptionsError(
            "no Kubernetes API is configured. Set the module option 'kubeconfig' or 'host', or the environment "
            "variable K8S_AUTH_KUBECONFIG or KUBECONFIG."
        )
    if api_key:
        # As kubectl takes it from a file: without the line's end.
        target.authorization = "Bearer %s" % str(api_key).strip()
    elif username and password:
        target.authorization = _basic(username, password)
    target.server, within = _split(target.server)
    if within and not target.authorization:
        user, _colon, secret = within.partition(":")
        target.authorization = _basic(unquote(user), unquote(secret))
    if option("ca_cert"):
        target.ca_file, target.ca_data = option("ca_cert"), None
    if certificate:
        target.cert_file, target.cert_data = certificate, None
    if key:
        target.key_file, target.key_data = key, None
    verify = option("validate_certs")
    if verify is not None:
        target.verify = verify if isinstance(verify, bool) else str(verify).lower() not in ("0", "false", "no")
    _set_proxy(target, option, params, environ)
    target.impersonate_user = option("impersonate_user") or target.impersonate_user
    groups = option("impersonate_groups")
    if groups:
        target.impersonate_groups = (
            [group for group in groups.split(",") if group] if isinstance(groups, str) else list(groups)
        )
    return target


def _split(server: str) -> tuple[str, str]:
    """A server's address without the user and password in it, since it is shown in many places, and these."""
    scheme, separator, rest = server.partition("://")
    authority, slash, path = rest.partition("/")
    credentials, _at, place = authority.rpartition("@")
    return scheme + separator + place + slash + path, credentials


def left_to_kubeconfig(params: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> bool:
    """Whether nothing but a kubeconfig's own current context says which cluster it is."""
    environ = os.environ if environ is None else environ
    context = params.get("context") or from_environment("context", environ)[1]
    return not context and by_kubeconfig(params, environ)


def by_kubeconfig(params: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> bool:
    """Whether all is left to a kubeconfig but, perhaps, the context."""
    environ = os.environ if environ is None else environ
    return not any(params.get(name) or from_environment(name, environ)[1] for name in _BY_ADDRESS)


def from_environment(name: str, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """(the environment variable that sets a connection option, its value or None); its first name without a value."""
    names = ["K8S_AUTH_" + one.upper() for one in (name, _ALIASES.get(name)) if one]
    given = next((one for one in names if environ.get(one)), names[-1])
    return given, environ.get(given) or None


def mixture(
    nearer: Mapping[str, Any], farther: Mapping[str, Any], name_nearer: str, name_farther: Callable[[str], str]
) -> str | None:
    """What is wrong when a kubeconfig that was said for one cluster would be overruled from farther away, or None.

    An address or a token takes precedence over a kubeconfig. Said for everybody, in the environment or for a whole
    play, it would send every cluster's requests to one.

    :arg nearer: options with more precedence, such as a host's own; :arg farther: those with less.
    :arg name_nearer: how one of the first is called, with ``%s`` for the option; :arg name_farther: makes the second's
        name of an option's.
    """
    chosen = next((name for name in BY_FILE if nearer.get(name)), None)
    overruling = [name for name in _BY_ADDRESS if farther.get(name) and not nearer.get(name)]
    if chosen is None and nearer.get("host"):
        # The token of one cluster would be sent to another, or beside the credentials that were meant.
        elsewhere = farther.get("host") not in (None, nearer["host"])
        said = any(nearer.get(name) for name in CREDENTIALS)
        moved = [name for name in CREDENTIALS if farther.get(name) and not nearer.get(name)]
        if not elsewhere:
            # The other half of what was said.
            moved = [name for name in moved if not nearer.get(_HALVES.get(name, ""))]
        chosen, overruling = ("host", moved) if elsewhere or said else (None, [])
    if chosen is None or not overruling:
        return None
    return (
        "both '%s' and '%s' are set: the second would take precedence over what was set for this cluster. Unset one of "
        "the two. No request was sent." % (name_nearer % chosen, "', '".join(map(name_farther, overruling)))
    )


def _refuse_mixture(params: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Raise ConnectionOptionsError for options that the environment would overrule."""
    farther = {name: from_environment(name, environ)[1] for name in _BY_ADDRESS}
    variable, context = from_environment("context", environ)
    if params.get("kubeconfig") and not params.get("context") and context:
        # Whatever it calls its cluster, the other kubeconfig's name for one may be there, too.
        raise ConnectionOptionsError(
            "both 'kubeconfig' and '%s' are set, and the second is a name in another kubeconfig. Set 'context', too, "
            "or unset the second. No request was sent." % variable
        )
    problem = mixture(params, farther, "%s", lambda name: from_environment(name, environ)[0])
    if problem:
        raise ConnectionOptionsError(problem)


def _set_proxy(
    target: Connection, option: Callable[..., Any], params: Mapping[str, Any], environ: Mapping[str, str]
) -> None:
    # As urllib reads them: a name in lower case goes before one in upper case.
    names = sorted((name for name in environ if name.lower().endswith("_proxy") and environ[name]), key=str.islower)
    proxy_variables = {name.lower()[: -len("_proxy")]: environ[name] for name in names}
    try:
        scheme = urlsplit(target.server or "").scheme
    except ValueError:
        raise ConnectionOptionsError(
            "the API server's address '%s' can't be read. Write it like 'https://192.0.2.1:6443'." % target.server
        ) from None
    said, farther = params.get("proxy"), from_environment("proxy", environ)
    if not said and farther[1] and target.proxy not in (None, farther[1]) and params.get("kubeconfig"):
        raise ConnectionOptionsError(
            "both 'kubeconfig', which has a proxy for its cluster, and '%s' are set, and another server may have the "
            "same address behind another proxy. Unset the second. No request was sent." % farther[0]
        )
    target.proxy = option("proxy") or target.proxy or proxy_variables.get(scheme) or None
    target.no_proxy = option("no_proxy") or proxy_variables.get("no") or None
    headers = params.get("proxy_headers")
    if headers is None:
        headers = {name: environ.get("K8S_AUTH_PROXY_HEADERS_" + name.upper()) for name in _PROXY_HEADERS}
    target.proxy_headers = {name: value for name, value in headers.items() if value}


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(("%s:%s" % (username, password)).encode("utf-8")).decode("ascii")


def _load_in_cluster(target: Connection, environ: Mapping[str, str]) -> bool:
    """Use the pod's own ServiceAccount; False outside a pod."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    token, authority = os.path.join(_IN_CLUSTER, "token"), os.path.join(_IN_CLUSTER, "ca.crt")
    if not host or not port or not os.path.isfile(token) or not os.path.isfile(authority):
        return False
    target.server = "https://%s:%s" % ("[%s]" % host if ":" in host else host, port)
    target.ca_file = authority
    target.authorization, target.token_file = "Bearer " + _text(token), token
    return True


def _load_kubeconfig(
    target: Connection, given: Any, context: Any, environ: Mapping[str, str], optional: bool, credentials: bool
) -> None:
    if isinstance(given, Mapping):
        paths, documents = [], [(given, os.getcwd())]
    else:
        text = given or environ.get("KUBECONFIG") or "~/.kube/config"
        if not isinstance(text, str) or {"\n", "{"} & {*text}:
            # A text would be shown as the path that does not exist.
            raise ConnectionOptionsError(
                "'kubeconfig' must be a path, or a kubeconfig as a mapping: of a text, 'from_yaml' makes one."
            )
        paths = [os.path.expanduser(path) for path in text.split(";" if os.name == "nt" else ":") if path]
        paths = [path for path in paths if os.path.exists(path)]
        if given and not paths:
            raise ConnectionOptionsError("kubeconfig '%s' does not exist. Correct the path in 'kubeconfig'." % text)
        documents = [(_yaml(path), os.path.dirname(os.path.abspath(path))) for path in paths]
    if not documents:
        if context and not optional:
            raise ConnectionOptionsError("'context' is set, and there is no kubeconfig. Set 'kubeconfig'.")
        return
    try:
        _read(target, documents, context)
    except _NotUnderstood as error:
        if not credentials:
            if target.server:
                return  # the cluster was understood, and only the user was not
            if {"exec", "auth-provider"} & {*_chosen(documents, context).user}:
                raise ConnectionOptionsError("where the kubeconfig leads can't be told without its plugin.") from None
        _load_with_library(target, given if isinstance(given, Mapping) else ":".join(paths), context)
        user, folder, target.context, target.contexts = _chosen(documents, context)
        _read_impersonation(target, user)
        plugin = user.get("exec") if isinstance(user.get("exec"), Mapping) else None
        if error.key == "exec" and not target.authorization and not target.cert_data:
            raise ConnectionOptionsError(
                "the exec plugin%s of the kubeconfig gave no credentials. Is it installed? Run its command by hand to "
                "see why." % (" '%s'" % plugin.get("command") if plugin else "")
            ) from None
        if plugin:
            command = str(plugin.get("command") or "")
            target.plugin = {**plugin, "command": os.path.join(folder, command) if "/" in command else command}


class _Chosen(NamedTuple):
    """What kubeconfigs say of their current context: its user, the user's folder, its name, and how many there are."""

    user: Mapping[str, Any]
    folder: str
    context: str | None
    contexts: int


def _chosen(documents: list[tuple[Any, str]], context: Any) -> _Chosen:
    """What kubeconfigs say of a context, or the current one, which the kubernetes package has read, or is to read."""
    named: dict[str, dict[str, tuple[Any, str]]] = {"users": {}, "contexts": {}}
    current = None
    for document, folder in documents:
        current = document.get("current-context", current)
        for kind, by_name in named.items():
            listed = document.get(kind)
            for item in listed if isinstance(listed, list) else []:
                if isinstance(item, Mapping):
                    by_name.setdefault(str(item.get("name")), (item.get(kind[:-1]), folder))
    current = context or current
    chosen = named["contexts"].get(str(current), (None, ""))[0]
    name = chosen.get("user") if isinstance(chosen, Mapping) else None
    user, folder = named["users"].get(str(name), (None, ""))
    return _Chosen(user if isinstance(user, Mapping) else {}, folder, current, len(named["contexts"]))


def _read(target: Connection, documents: list[tuple[Any, str]], context: Any) -> None:
    """Read kubeconfigs, each with its folder, as the kubernetes package would.

    The first of two things with one name counts, and the last current-context.
    """
    named: dict[str, dict[str, tuple[Any, str]]] = {"clusters": {}, "users": {}, "contexts": {}}
    current = None
    for document, folder in documents:
        document = _mapping(document, "the kubeconfig")
        _understood(document, _DOCUMENT)
        current = document.get("current-context", current)
        for kind, by_name in named.items():
            own: set[str] = set()
            for item in document.get(kind) or []:
                item = _mapping(item, "an item of '%s'" % kind)
                name = item.get("name")
                if not isinstance(name, str) or name in own:
                    raise _NotUnderstood
                own.add(name)
                by_name.setdefault(name, (item.get(kind[:-1]), folder))
    target.contexts = len(named["contexts"])
    current = context or current
    if not isinstance(current, str):
        raise ConnectionOptionsError("the kubeconfig names no current context. Set 'context'.")
    if current not in named["contexts"]:
        known = ", ".join(sorted(named["contexts"])) or "(none)"
        raise ConnectionOptionsError(
            "the kubeconfig has no context '%s'. Set 'context' to one of: %s." % (current, known)
        )
    chosen = _mapping(named["contexts"][current][0], "context '%s'" % current)
    _understood(chosen, _CONTEXT)
    name = chosen.get("cluster")
    if name not in named["clusters"]:
        raise ConnectionOptionsError(
            "context '%s' of the kubeconfig names the cluster '%s', which it does not have." % (current, name)
        )
    target.context = current
    cluster, folder = named["clusters"][name]
    _read_cluster(target, _mapping(cluster, "cluster '%s'" % name), folder)
    name = chosen.get("user")
    if name and name not in named["users"]:
        raise ConnectionOptionsError(
            "context '%s' of the kubeconfig names the user '%s', which it does not have." % (current, name)
        )
    user, folder = named["users"].get(name or "", (None, ""))
    if user is not None:
        _read_user(target, _mapping(user, "user '%s'" % name), folder)


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConnectionOptionsError("%s is not a mapping. Check that 'kubeconfig' names a kubeconfig." % what)
    return value


def _understood(mapping: Mapping[str, Any], known: Mapping[str, type]) -> None:
    for key, value in mapping.items():
        if key in _ANYWHERE:
            continue
        if key not in known or not (value is None or isinstance(value, known[key])):
            raise _NotUnderstood(str(key))


def _read_cluster(target: Connection, cluster: Mapping[str, Any], folder: str) -> None:
    _understood(cluster, _CLUSTER)
    if not cluster.get("server"):
        raise ConnectionOptionsError("a cluster of the kubeconfig has no 'server'. Add the URL of its API.")
    target.server = cluster["server"].rstrip("/")
    target.ca_data = _decoded(cluster, "certificate-authority-data")
    target.ca_file = None if target.ca_data else _relative(cluster.get("certificate-authority"), folder)
    target.verify = not cluster.get("insecure-skip-tls-verify")
    target.server_name = cluster.get("tls-server-name")
    target.proxy = cluster.get("proxy-url")


def _read_user(target: Connection, user: Mapping[str, Any], folder: str) -> None:
    _understood(user, _USER)
    target.cert_data = _decoded(user, "client-certificate-data")
    target.cert_file = None if target.cert_data else _relative(user.get("client-certificate"), folder)
    target.key_data = _decoded(user, "client-key-data")
    target.key_file = None if target.key_data else _relative(user.get("client-key"), folder)
    token = user.get("token")
    if token is None and user.get("tokenFile"):
        target.token_file = os.path.abspath(_relative(user["tokenFile"], folder) or "")
        token = _text(target.token_file)
    if token and token.strip():
        target.authorization = "Bearer " + token.strip()
    elif user.get("username") is not None and user.get("password") is not None:
        target.authorization = _basic(user["username"], user["password"])
    _read_impersonation(target, user)


def _read_impersonation(target: Connection, user: Mapping[str, Any]) -> None:
    # The kubernetes package leaves these out; kubectl acts on them, and so does this.
    target.impersonate_user = user.get("as")
    if not isinstance(target.impersonate_user, (str, type(None))):
        raise ConnectionOptionsError("'as' of the kubeconfig must be a name.")
    groups, extra = user.get("as-groups") or [], user.get("as-user-extra") or {}
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise ConnectionOptionsError("'as-groups' of the kubeconfig must be a list of names.")
    if not isinstance(extra, Mapping) or not all(
        isinstance(key, str) and isinstance(values, list) and all(isinstance(value, str) for value in values)
        for key, values in extra.items()
    ):
        raise ConnectionOptionsError("'as-user-extra' of the kubeconfig must map names to lists of values.")
    target.impersonate_groups, target.impersonate_extra = list(groups), dict(extra)


@contextmanager
def _forgotten(package: Any, folder: str) -> Iterator[None]:
    """Make the package forget its files in a folder, which it would take for those of the next kubeconfig."""
    try:
        yield
    finally:
        remembered = getattr(package, "_temp_files", {})
        for content in [one for one, path in remembered.items() if path.startswith(folder)]:
            del remembered[content]


def _load_with_library(target: Connection, given: Any, context: Any) -> None:
    """Let the kubernetes package read the kubeconfig, run its exec plugin or use its auth provider."""
    import tempfile

    try:
        from kubernetes import client, config
    except ImportError:
        raise DependencyError(
            "this kubeconfig uses more than certificates, tokens and passwords, which needs the Python package "
            "'kubernetes'. Install it."
        ) from None
    loaded = client.Configuration()
    options: dict[str, Any] = {"context": context, "client_configuration": loaded, "persist_config": False}
    try:
        # The package writes keys and certificates into files and removes them when Python ends, which no worker of
        # Ansible's lives to see.
        with tempfile.TemporaryDirectory() as folder, _forgotten(config.kube_config, folder):
            if isinstance(given, Mapping):
                config.load_kube_config_from_dict(dict(given), temp_file_path=folder, **options)
            else:
                config.load_kube_config(given, temp_file_path=folder, **options)
            header = loaded.get_api_key_with_prefix("BearerToken", alias="authorization")
            host, verify = str(loaded.host), bool(loaded.verify_ssl)
            target.ca_data, target.cert_data, target.key_data = (
                files.read(path, "file of the kubeconfig") if path else None
                for path in (loaded.ssl_ca_cert, loaded.cert_file, loaded.key_file)
            )
    except Exception as error:  # a config.ConfigException, or whatever a malformed file or a plugin runs into
        # The package quotes what it stumbles over, and that may be a credential.
        said = str(error) if str(error).startswith("exec: ") and "{" not in str(error) else type(error).__name__
        raise ConnectionOptionsError(
            "the kubeconfig can't be used (%s). Check its clusters, users and contexts." % said
        ) from None
    target.server, target.verify = host, verify
    target.server_name = getattr(loaded, "tls_server_name", None)
    target.proxy = loaded.proxy
    target.authorization = (header or "").strip() or None


def _yaml(path: str) -> Any:
    text = files.read(path, "kubeconfig")
    try:
        import yaml
    except ImportError:
        raise DependencyError("reading a kubeconfig needs the Python package 'PyYAML'. Install it.") from None
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        # The text around the mistake may be a credential, so only its place is named.
        raise ConnectionOptionsError(
            "kubeconfig '%s' is not valid YAML%s." % (path, " (line %d)" % (mark.line + 1) if mark else "")
        ) from None


def _text(path: str) -> str:
    try:
        return files.read(path, "token").decode("utf-8").strip()
    except UnicodeDecodeError:
        raise FileError("the token '%s' is not text." % path) from None


def _relative(path: str | None, folder: str) -> str | None:
    return os.path.join(folder, path) if path else None


def _decoded(mapping: Mapping[str, Any], key: str) -> bytes | None:
    text = mapping.get(key)
    if not text:
        return None
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise ConnectionOptionsError("'%s' of the kubeconfig is not base64." % key) from None
