# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every module of the collection shares: options, connection, results, failures."""

from __future__ import annotations

import time

from .catalog import CatalogError, enabled_entries
from .desired import ESO_GROUP, ESO_VERSIONS
from .kube import CONCURRENCY, Client, KubeError, connection
from .stores import ISOLATIONS, SHARED

#: kubernetes.core's options of the same names; env fallbacks are read in kube.connection().
AUTH_OPTIONS = {
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
        "options": {"proxy_basic_auth": {"type": "str", "no_log": True}, "basic_auth": {"type": "str", "no_log": True}, "user_agent": {"type": "str"}},
    },
    "impersonate_user": {"type": "str"},
    "impersonate_groups": {"type": "list", "elements": "str"},
    "concurrency": {"type": "int", "default": CONCURRENCY},
}

CATALOG_OPTION = {"catalog": {"type": "list", "elements": "dict", "required": True}}

ESO_OBJECT_OPTIONS = {"force_conflicts": {"type": "bool", "default": True}, "assume_installed": {"type": "bool", "default": False}}

STORE_NAMESPACE_OPTION = {"store_namespace": {"type": "str", "default": "central-secret-store"}}

ISOLATION_OPTION = {"isolation": {"type": "str", "choices": list(ISOLATIONS), "default": SHARED}}

ESO_IDENTITY_OPTIONS = {"eso_namespace": {"type": "str", "default": "external-secrets"}, "eso_service_account": {"type": "str", "default": "external-secrets"}}

PLATFORM_OPTIONS = {
    "platform_users": {"type": "list", "elements": "str", "default": []},
    "platform_groups": {"type": "list", "elements": "str", "default": ["system:masters"]},
}

STORE_OPTION = {"store": {"type": "str", "default": "central-secret-store"}}


class EsoAbsent(KubeError):
    """The cluster serves no API of ESO that the collection can use."""


class Context:
    """What a module's work function gets: its options, how it runs, and an API client.

    ``warn`` takes the text of a warning for the user.
    """

    def __init__(self, params, check_mode, diff_mode, warn):
        self.params = params
        self.check_mode = check_mode
        self.diff_mode = diff_mode
        self.warn = warn
        self._client = None
        self._entries = None

    @property
    def client(self):
        if self._client is None:
            self._client = Client(connection(self.params), self.params["concurrency"])
        return self._client

    @property
    def entries(self):
        """The enabled entries of the catalog option."""
        if self._entries is None:
            self._entries = enabled_entries(self.params["catalog"])
        return self._entries

    def eso_version(self, assumed=False):
        """The API version of ESO to use.

        :arg assumed: check mode of a run that will install ESO first: take the newest version.
        """
        served = self.client.served_versions(ESO_GROUP)
        for version in ESO_VERSIONS:
            if version in served:
                return version
        if assumed and self.check_mode:
            return ESO_VERSIONS[0]
        if served:
            shown = (", ".join(served), ESO_GROUP, ", ".join(ESO_VERSIONS))
            raise EsoAbsent("the cluster serves %s of %s, and none of %s. Upgrade the External Secrets Operator." % shown)
        raise EsoAbsent(
            "the External Secrets Operator is not installed: the API group %s is not served. Run the role platform.cluster_secrets.eso first." % ESO_GROUP
        )

    def result(self, actions, **more):
        """The result of a module that carried out (or, in check mode, would carry out) ``actions``."""
        result = {"changed": bool(actions), "changes": [_summary(action) for action in actions]}
        if self.diff_mode:
            result["diff"] = [_diff(action) for action in actions]
        result["api_requests"] = self.client.requests
        result.update(more)
        return result


def _summary(action):
    summary = {"kind": action.kind, "name": action.name, "result": action.result}
    if action.namespace:
        summary["namespace"] = action.namespace
    return summary


def _diff(action):
    header = action.label()
    return {"before_header": header, "after_header": header, "before": action.before, "after": action.after}


def wait_while(problem, seconds, interval=0.2):
    """Call ``problem()`` until it returns None.

    :arg problem: returns the KubeError that is raised when it is still returned after ``seconds``.
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


def outcome(work, context):
    """The result of ``work(context)``; that of a CatalogError or KubeError has its text as the only message."""
    try:
        return work(context)
    except (CatalogError, KubeError) as error:
        return {"failed": True, "msg": str(error)}


def run_module(work, options):
    """Create the AnsibleModule, call ``work(context)`` and exit with the result it returns."""
    # The action plugin has no use for this import.
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule(argument_spec={**AUTH_OPTIONS, **options}, supports_check_mode=True)
    result = outcome(work, Context(module.params, module.check_mode, module._diff, module.warn))
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)
