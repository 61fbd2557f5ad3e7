# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection shares: options, connection, results, failures."""

from __future__ import annotations

import time
from collections.abc import Mapping, Set
from typing import Any, Callable, Dict, Iterator, List, Protocol

from .api.client import CONCURRENCY, Client
from .api.kubeconfig import connection
from .catalog.entries import Entry, parse_catalog
from .desired.stores import ISOLATIONS, SHARED
from .errors import ApiError, ClusterSecretsError, EsoError, FileError, MissingNamespace
from .live import eso, usage
from .plan import Action, plan_namespace
from .resources import ESO_GROUP, ESO_VERSIONS, NAMESPACES

Options = Dict[str, Dict[str, Any]]
Result = Dict[str, Any]

#: kubernetes.core's options of the same names; their environment variables are read in kubeconfig.connection().
AUTH_OPTIONS: Options = {
    "kubeconfig": {"type": "raw", "no_log": True},
    "context": {"type": "str"},
    "host": {"type": "str"},
    "api_key": {"type": "str", "no_log": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "validate_certs": {"type": "bool", "aliases": ["verify_ssl"]},
    "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"]},
    "client_cert": {"type": "path", "aliases": ["cert_file"]},
    "client_key": {"type": "path", "aliases": ["key_file"]},
    "proxy": {"type": "str"},
    "no_proxy": {"type": "str"},
    "proxy_headers": {
        "type": "dict",
        "options": {
            "proxy_basic_auth": {"type": "str", "no_log": True},
            "basic_auth": {"type": "str", "no_log": True},
            "user_agent": {"type": "str"},
        },
    },
    "impersonate_user": {"type": "str"},
    "impersonate_groups": {"type": "list", "elements": "str"},
    "concurrency": {"type": "int", "default": CONCURRENCY},
}

CATALOG_OPTION: Options = {"catalog": {"type": "list", "elements": "dict", "required": True}}

ESO_OBJECT_OPTIONS: Options = {
    "force_conflicts": {"type": "bool", "default": True},
    "assume_installed": {"type": "bool", "default": False},
}

OWNER_OPTION: Options = {"owner": {"type": "str", "choices": ["collection", "gitops"], "default": "collection"}}

STORE_NAMESPACE_OPTION: Options = {"store_namespace": {"type": "str", "default": "central-secret-store"}}

ISOLATION_OPTION: Options = {"isolation": {"type": "str", "choices": list(ISOLATIONS), "default": SHARED}}

ESO_IDENTITY_OPTIONS: Options = {
    "eso_namespace": {"type": "str", "default": "external-secrets"},
    "eso_service_account": {"type": "str", "default": "external-secrets"},
}

PLATFORM_OPTIONS: Options = {
    "platform_users": {"type": "list", "elements": "str", "default": []},
    "platform_groups": {"type": "list", "elements": "str", "default": ["system:masters", "kubeadm:cluster-admins"]},
}

CONSUMER_OPTIONS: Options = {
    "consumers": {"type": "bool", "default": True},
    "consumer_paths": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "api_version": {"type": "str", "required": True},
            "kind": {"type": "str", "required": True},
            "path": {"type": "str", "required": True},
            "plural": {"type": "str"},
            "namespace": {"type": "str"},
        },
    },
}

STORE_OPTION: Options = {"store": {"type": "str", "default": "central-secret-store"}}


class Vault(Protocol):
    """ansible-vault, as plugin_utils.vault has it."""

    def encrypt(self, text: str, what: str) -> str:
        """The text, encrypted. Raises FileError naming ``what``."""

    def decrypt(self, content: bytes, what: str) -> str:
        """The text of an encrypted file's content. Raises FileError naming ``what``."""


class Progress(Protocol):
    """How far a wait is, as plugin_utils.screen shows it."""

    def __call__(self, done: int, total: int) -> None:
        """``done`` of ``total`` now."""

    def end(self) -> None:
        """The wait is over."""


class _Silent:
    """The progress of a module that has no screen."""

    def __init__(self, what: str) -> None:
        pass

    def __call__(self, done: int, total: int) -> None:
        pass

    def end(self) -> None:
        pass


class Context:
    """What a module's run function gets: its options, how it runs, and an API client.

    ``warn`` takes the text of a warning for the user, ``progress`` makes a :class:`Progress` from the text of what is
    done, such as 'targets are current'.
    """

    def __init__(
        self,
        params: dict[str, Any],
        check_mode: bool,
        diff_mode: bool,
        warn: Callable[[str], Any],
        vault: Vault | None = None,
        progress: Callable[[str], Progress] = _Silent,
    ) -> None:
        self._vault = vault
        self.progress = progress
        self.params = params
        self.check_mode = check_mode
        self.diff_mode = diff_mode
        self.warn = warn
        self._client: Client | None = None
        self._catalog: List[Entry] | None = None

    @property
    def vault(self) -> Vault:
        """ansible-vault with the run's passwords. Raises FileError where the module is not run by its action."""
        if self._vault is None:
            raise FileError(
                "this needs the run's vault password, which only tasks on the control node have: run it with "
                "'connection: local', as the user who runs Ansible."
            )
        return self._vault

    @property
    def client(self) -> Client:
        """The client, made at its first use."""
        if self._client is None:
            self._client = Client(connection(self.params), self.params["concurrency"])
        return self._client

    @property
    def catalog(self) -> list[Entry]:
        """The entries of the catalog option, those that are not enabled included."""
        if self._catalog is None:
            self._catalog = parse_catalog(self.params["catalog"])
        return self._catalog

    @property
    def entries(self) -> list[Entry]:
        """The enabled entries of the catalog option."""
        return [entry for entry in self.catalog if entry.enabled]

    def eso_version(self, assumed: bool = False) -> str:
        """The API version of ESO to use.

        :arg assumed: the run installs ESO first, so in check mode assume the newest version.
        :raises EsoError: when the cluster serves none.
        """
        version, served = eso.served(self.client)
        if version:
            return version
        if assumed and self.check_mode:
            return ESO_VERSIONS[0]
        if served:
            shown = (", ".join(served), ESO_GROUP, ", ".join(ESO_VERSIONS))
            raise EsoError(
                "the cluster serves %s of %s, and none of %s. Upgrade the External Secrets Operator." % shown
            )
        raise EsoError(
            "the External Secrets Operator is not installed: the API group %s is not served. Run the role "
            "platform.cluster_secrets.eso first." % ESO_GROUP
        )

    def missing_namespace(self, name: str, create: bool) -> list[Action]:
        """The creation of a namespace, if it is missing. Raises MissingNamespace unless ``create``."""
        if self.client.get(NAMESPACES.path(name)) is not None:
            return []
        if not create:
            raise MissingNamespace(
                "the namespace '%s' does not exist. Create it, or set 'create_namespace: true'." % name
            )
        return [plan_namespace(name, {})]

    def result(self, actions: list[Action], **more: Any) -> Result:
        """The result of a module that carried out (or, in check mode, would carry out) ``actions``."""
        result: Result = {"changed": bool(actions), "changes": [_summary(action) for action in actions]}
        if self.diff_mode:
            result["diff"] = [_diff(action) for action in actions]
        result["api_requests"] = self.client.requests
        result.update(more)
        return result


def _summary(action: Action) -> Result:
    summary = {"kind": action.kind, "name": action.name, "result": action.result}
    if action.namespace:
        summary["namespace"] = action.namespace
    return summary


def _diff(action: Action) -> Result:
    header = action.label()
    return {"before_header": header, "after_header": header, "before": action.before, "after": action.after}


def customs(paths: list[dict[str, Any]]) -> list[usage.Custom]:
    """The option ``consumer_paths`` as live.usage.read() takes it."""
    return [
        usage.Custom(
            one["api_version"],
            one["kind"],
            one["path"],
            one.get("plural") or one["kind"].lower() + "s",
            one.get("namespace"),
        )
        for one in paths
    ]


def read_usage(context: Context) -> usage.Usage | None:
    """Who uses what; None, with a warning, when a permission for it is missing, since a report does without it."""
    try:
        return usage.read(context.client, customs(context.params["consumer_paths"]))
    except ApiError as error:
        if error.status != 403:
            raise
        context.warn("consumers are not looked at: %s" % error)
        return None


def wait_while(problem: Callable[[], ClusterSecretsError | None], seconds: float, interval: float = 0.2) -> None:
    """Call ``problem()`` until it returns None.

    :arg problem: returns the error that is raised when it is still returned after ``seconds``.
    :arg interval: seconds between two calls.
    """
    deadline = time.monotonic() + seconds
    while True:
        error = problem()
        if error is None:
            return
        if time.monotonic() >= deadline:
            raise error
        time.sleep(interval)


def outcome(run: Callable[[Context], Result], context: Context) -> Result:
    """The result of ``run(context)``; an error of the collection becomes a failed result with its text."""
    try:
        return run(context)
    except ClusterSecretsError as error:
        return {"failed": True, "msg": str(error)}


def masked_values(found: Set[str], params: Mapping[str, Any], options: Options) -> set[str]:
    """What Ansible has to mask in a result: of a kubeconfig given as a mapping, what may be a credential.

    It would mask every text in there, such as ``v1`` and the names of contexts, wherever it stands.

    :arg found: the texts that Ansible would mask; :arg params: the options' values; :arg options: their specification.
    """
    given = params.get("kubeconfig")
    if not isinstance(given, Mapping):
        return set(found)
    public = set(texts([given.get(key) for key in ("apiVersion", "kind", "current-context", "contexts")]))
    named = [one for kind in ("clusters", "users") for one in given.get(kind) or [] if isinstance(one, Mapping)]
    public.update(texts([one.get("name") for one in named]))
    private = set(texts([one.get(kind) for one in named for kind in ("cluster", "user")]))
    for name, spec in options.items():
        if name != "kubeconfig" and (spec.get("no_log") or spec.get("options")):
            private.update(texts(params.get(name)))
    return set(found) - (public - private)


def texts(value: Any) -> Iterator[str]:
    """Every text in a structure, keys of mappings left out."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def run_module(run: Callable[[Context], Result], options: Options) -> None:
    """Create the AnsibleModule, call ``run(context)`` and exit with the result it returns."""
    # The action plugin has no use for this import.
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule(argument_spec={**AUTH_OPTIONS, **options}, supports_check_mode=True)
    module.no_log_values = masked_values(module.no_log_values, module.params, {**AUTH_OPTIONS, **options})
    result = outcome(run, Context(module.params, module.check_mode, module._diff, module.warn))
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)
