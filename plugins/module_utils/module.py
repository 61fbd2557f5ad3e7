# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection shares: options, connection, results, failures."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from typing import Any, Callable, Dict, Iterator, List, Protocol

from .api.client import CONCURRENCY, Client
from .api.kubeconfig import connection
from .api.proxies import password_of
from .api.proxies import shown as shown_proxy
from .catalog.entries import Entry, parse_catalog
from .desired.stores import ISOLATIONS, SHARED, Layout
from .errors import OWN_CATALOG, ClusterSecretsError, Denied, EsoError, FileError, MissingNamespace, NotReady, passes
from .live import eso, usage
from .plan.actions import Action
from .plan.namespaces import plan_namespace
from .resources import ESO_GROUP, ESO_VERSIONS, NAMESPACES, Resource, forms, printable, printable_in, shortened

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

ESO_NAMESPACE_OPTION: Options = {"eso_namespace": {"type": "str", "default": "external-secrets"}}

ESO_IDENTITY_OPTIONS: Options = {
    **ESO_NAMESPACE_OPTION,
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

ADVISORIES_OPTION: Options = {"advisories": {"type": "str"}}

STORE_OPTION: Options = {"store": {"type": "str", "default": "central-secret-store"}}


#: What the chain to a target is judged by, besides the catalog.
CHAIN_OPTIONS: Options = {
    **ESO_IDENTITY_OPTIONS,
    **ISOLATION_OPTION,
    **OWNER_OPTION,
    **STORE_NAMESPACE_OPTION,
    **STORE_OPTION,
}


def layout_of(params: Mapping[str, Any], version: str | None = None) -> Layout:
    """The layout of the stores that a module's options are about.

    :arg version: the API version of ESO that manifests are made for; without one, the newest.
    """
    return Layout(
        params["isolation"],
        params["store"],
        params["store_namespace"],
        params.get("server_url") or "",
        (params.get("eso_namespace") or "", params.get("eso_service_account") or ""),
        version or ESO_VERSIONS[0],
    )


class Vault(Protocol):
    """ansible-vault, as plugin_utils.vault has it."""

    def encrypt(self, text: str, what: str) -> str:
        """The text, encrypted. Raises FileError naming ``what``."""

    def decrypt(self, content: bytes, what: str) -> str:
        """The text of an encrypted file's content. Raises FileError naming ``what``."""

    def confirm(self, again: str) -> None:
        """Raise FileError unless the password that encrypts is what was typed again."""


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
        self.warn: Callable[[str], Any] = lambda text: warn(printable(text))
        self._client: Client | None = None
        self._catalog: List[Entry] | None = None
        #: Whether what other tasks or parts will have written before is to be counted as written.
        self.foresees = check_mode

    def part(self, params: dict[str, Any], foresees: bool) -> Context:
        """The context of a part of the work, with options of its own: the same client and catalog."""
        part = Context(params, self.check_mode, self.diff_mode, self.warn, self._vault, self.progress)
        part._client, part._catalog = self.client, self.catalog
        part.foresees = foresees
        return part

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
            self._client.tell = self.warn
        return self._client

    def name_unreadable(self) -> None:
        """Warn of live objects of which a part was left out, since nobody can read it; see Client."""
        for label in sorted(self._client.unreadable if self._client else ()):
            self.warn("%s is nested too deeply; what is beyond was not read" % label)

    @property
    def catalog(self) -> list[Entry]:
        """The entries of the catalog option, those that are not enabled included."""
        if self._catalog is None:
            self._catalog = parse_catalog(self.params["catalog"], self.params.get("store_namespace"))
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
        with self.client.remembering():
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
            "the External Secrets Operator is not installed: the API group %s is not served. Run the playbook "
            "platform.cluster_secrets.bootstrap, or the role eso, first. %s" % (ESO_GROUP, OWN_CATALOG)
        )

    def missing_namespace(self, name: str, create: bool) -> list[Action]:
        """The creation of a namespace, if it is missing. Raises MissingNamespace unless ``create``."""
        if self.client.get(NAMESPACES.path(name)) is not None:
            return []
        if not create:
            raise MissingNamespace(
                "the namespace '%s' does not exist. Create it, or set 'create_namespace: true'." % name
            )

        def replan(_live: Any) -> Action | None:
            return action  # what is in a namespace that somebody else made meanwhile was not looked at

        action = replace(plan_namespace(name, {}), replan=replan)
        return [action]

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
            path["api_version"],
            path["kind"],
            path["path"],
            path.get("plural") or path["kind"].lower() + "s",
            path.get("namespace"),
        )
        for path in paths
    ]


def read_usage(context: Context) -> usage.Usage | None:
    """Who uses what; None, with a warning, when a permission for it is missing, since a report does without it."""
    try:
        return usage.read(context.client, customs(context.params["consumer_paths"]))
    except Denied as error:
        context.warn("consumers are not looked at: %s" % error)
        return None


def wait_while(
    client: Client, problem: Callable[[], ClusterSecretsError | None], seconds: float, interval: float = 0.2
) -> None:
    """Call ``problem()`` until it returns None. What passes by itself, such as a server's restart, is waited for too.

    :arg client: the one that ``problem`` uses; its retries stay within the time.
    :arg problem: returns the error that is raised when it is still returned after ``seconds``.
    :arg interval: seconds between two calls.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            with client.until(deadline):
                error = problem()
        except ClusterSecretsError as raised:
            if not passes(raised):
                raise
            error = raised
        if error is None:
            return
        if time.monotonic() >= deadline:
            raise error
        time.sleep(interval)
        client.forget()


def wait_until_gone(client: Client, resource: Resource, names: Set[str], seconds: float) -> None:
    """Wait until all are gone; raises NotReady once none has gone for ``seconds``. ESO takes long for hundreds."""
    left = set(names)

    def stalled() -> NotReady | None:
        live, _version = client.list(resource, partial=True)
        gone = left - {item["metadata"]["name"] for item in live}
        left.difference_update(gone)
        if gone:
            return None
        shown = shortened(sorted(left))
        return NotReady(
            "ClusterExternalSecrets are being deleted, and none has gone for %d s: %s. ESO removes their finalizer; "
            "is its controller running?" % (seconds, shown)
        )

    while left:
        wait_while(client, stalled, seconds)
        time.sleep(0.2)


def reads_once(run: Callable[[Context], Result]) -> Callable[[Context], Result]:
    """The run function of a module that only reads and never waits: it asks the API server for nothing twice."""

    def once(context: Context) -> Result:
        with context.client.remembering():
            return run(context)

    return once


def outcome(run: Callable[[Context], Result], context: Context) -> Result:
    """The result of ``run(context)``; an error of the collection becomes a failed result with its text.

    Texts that came from a cluster can't rule a terminal any more.
    """
    try:
        result = run(context)
    except ClusterSecretsError as error:
        result = {"failed": True, "msg": str(error)}
    context.name_unreadable()
    shown: Result = printable_in(result)
    return shown


def masked_values(secrets: Set[str], params: Mapping[str, Any], options: Options) -> set[str]:
    """What Ansible has to mask in a result: of a kubeconfig given as a mapping, what may be a credential.

    It would mask every text in there, such as ``v1`` and the names of contexts, wherever it stands.

    :arg secrets: the texts that Ansible would mask; :arg params: the values of the options, and :arg options: their
        specification.
    """
    given = params.get("kubeconfig")
    proxy = password_of(params.get("proxy"))
    secrets = {*secrets, proxy} if proxy else set(secrets)
    if not isinstance(given, Mapping):
        return secrets
    public = set(texts([given.get(key) for key in ("apiVersion", "kind", "current-context", "contexts")]))
    named = [one for kind in ("clusters", "users") for one in given.get(kind) or [] if isinstance(one, Mapping)]
    public.update(texts([one.get("name") for one in named]))
    private = set(texts([one.get(kind) for one in named for kind in ("cluster", "user")]))
    for name, spec in options.items():
        if name != "kubeconfig" and (spec.get("no_log") or spec.get("options")):
            private.update(texts(params.get(name)))
    return set(secrets) - (public - private)


#: What is shorter can't be kept secret, and masking it would only show where it is: '1', 'git', 'true'.
_SHORTEST = 6

#: The words of the commands that messages name: without them, no fix could be followed.
_COMMANDS = "ansible-playbook ansible-vault platform.cluster_secrets kubectl talosctl external-secrets"

#: Characters of the pieces by which secrets are looked for.
_PIECE = 8


def spoken(secrets: Set[str], said: Iterable[str], params: Mapping[str, Any], options: Options) -> list[str]:
    """Those of ``secrets`` that are in one of the texts ``said`` and have to be masked there, longest first.

    What the options say in the open (names of the catalog, say) is no secret, and masking it would damage a result and
    show the value by its absence.

    AnsibleModule looks for each secret in each text, which costs seconds for thousands of them. Here few are looked for
    at all: those of which a piece is in a text.
    """
    whole = "\0".join(set(said))
    # As a webhook may quote them, too.
    secrets = {*secrets, *(form for secret in secrets for form in forms(secret.encode("utf-8", "ignore")))}
    pieces = {whole[at : at + _PIECE] for at in range(len(whole))} if len(secrets) > _PIECE else set()
    suspects = (
        secret
        for secret in secrets
        if len(secret) >= _SHORTEST and (not pieces or len(secret) < _PIECE or secret[:_PIECE] in pieces)
    )
    contained = [suspect for suspect in suspects if suspect in whole]
    if not contained:
        return []
    public = [texts(params.get(name)) for name, spec in options.items() if not spec.get("no_log")]
    named = "\0".join([_COMMANDS, *(one for part in (*public, *map(_keys, params.values())) for one in part)])
    return sorted((one for one in contained if one not in named), key=len, reverse=True)


def _parts(value: Any) -> Iterator[tuple[bool, Any]]:
    """(whether it is a key, the key or value) of all mappings and lists in a structure."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield True, key
            yield from _parts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _parts(item)
    else:
        yield False, value


def _keys(value: Any) -> Iterator[str]:
    """The keys of all mappings in a structure."""
    return (str(part) for is_key, part in _parts(value) if is_key)


def said_in(value: Any) -> Iterator[str]:
    """Every text in a result, the keys of mappings and numbers included."""
    return (str(part) for _is_key, part in _parts(value))


def texts(value: Any) -> Iterator[str]:
    """Every text in a structure, keys of mappings left out."""
    return (part for is_key, part in _parts(value) if not is_key and isinstance(part, str))


def spellings(name: str, spec: Mapping[str, Any]) -> tuple[str, ...]:
    """An option's name, and its aliases."""
    return (name, *spec.get("aliases", ()))


#: What is given to helm: values of a chart may have a credential in them, and masking all of their words would damage
#: every message.
_OF_HELM = ("values", "options")

#: What stands for the value of an option that is not logged.
HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def hidden(params: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """The options of a task without the values of those that are not logged, for whoever looks at a task."""
    secret = {
        key
        for name, spec in options.items()
        if spec.get("no_log")
        or any(option.get("no_log") for option in (spec.get("options") or {}).values())
        or (name in _OF_HELM and spec.get("type") == "dict")
        for key in spellings(name, spec)
    }
    shown: dict[str, Any] = {}
    for name, value in params.items():
        if name in secret and value is not None:
            value = HIDDEN
        elif name == "proxy" and password_of(value):
            value = shown_proxy(value)
        shown[name] = value
    return shown


def run_module(run: Callable[[Context], Result], options: Options) -> None:
    """Create the AnsibleModule, call ``run(context)`` and exit with the result it returns."""
    # The action plugin has no use for this import.
    from ansible.module_utils.basic import AnsibleModule

    every = {**AUTH_OPTIONS, **options}
    module = AnsibleModule(argument_spec=every, supports_check_mode=True)
    warnings: list[str] = []
    secrets = masked_values(module.no_log_values, module.params, every)
    result = outcome(run, Context(module.params, module.check_mode, module._diff, warnings.append))
    module.no_log_values = set(spoken(secrets, said_in([result, warnings]), module.params, every))
    # Ansible would add the options by itself, and mask there what is no longer masked everywhere.
    result["invocation"] = {"module_args": hidden(module.params, every)}
    for warning in warnings:
        module.warn(warning)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)
