# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the collection. The text of each is fit for a user and holds no value of a Secret.

* :class:`ClusterSecretsError`

  * :class:`CatalogError`: the catalog, a value, or an option that names entries is not usable
  * :class:`ConnectionOptionsError`: the kubeconfig or another connection option is not usable
  * :class:`FileError`: a file can't be read or written, or does not hold what it should
  * :class:`DependencyError`: a Python package is missing
  * :class:`ApiUnreachable`: the API server does not answer
  * :class:`ApiError`: the API server answers with an error status

    * :class:`Denied`: it is 403

  * :class:`MissingPermission`: the identity of the play may not do what the plan needs
  * :class:`WriteError`: some of a batch of writes failed
  * :class:`MissingNamespace`: a namespace does not exist and is not to be created
  * :class:`EsoError`: the External Secrets Operator is absent or too old, or a chart is not readable as its chart
  * :class:`NotReady`: something was not ready in time
  * :class:`Drift`: GitOps owns objects that are not what the catalog says
  * :class:`LockOut`: the admission policies would lock out the play, ESO or a GitOps controller
"""

from __future__ import annotations

from typing import Any, Sequence

#: What is said where the catalog may be another than the one that is meant: the collection's own is an example.
OWN_CATALOG = (
    "For a catalog of your own, go to the folder that 'init' made, or make one: ansible-playbook "
    "platform.cluster_secrets.init -e cluster_secrets_dest=platform"
)


class ClusterSecretsError(Exception):
    """The base class of the collection's errors."""


class CatalogError(ClusterSecretsError, ValueError):
    """The catalog, or a value given for it, is not usable. The text names the entry and the fix."""


class ConnectionOptionsError(ClusterSecretsError):
    """The kubeconfig, or another option that says how to reach the API, is not usable."""


class FileError(ClusterSecretsError):
    """A file can't be read or written, or does not hold what it should."""


class DependencyError(ClusterSecretsError):
    """A Python package is missing."""


class ApiUnreachable(ClusterSecretsError):
    """The API server did not answer."""


class ApiError(ClusterSecretsError):
    """The API server answered with an error status.

    ``status`` is the HTTP status (0: what answered is not a Kubernetes API), ``reason`` Kubernetes' own word for it,
    ``detail`` its message.
    """

    def __init__(self, status: int, reason: str, detail: str, what: str) -> None:
        self.status = status
        self.reason = reason
        self.detail = detail
        text = "%s: %s" % (what, detail)
        if status == 401:
            text = "%s: the API server does not accept these credentials (401 Unauthorized)" % what
        elif status == 403 and (" cannot " in detail or "not currently held" in detail):
            # RBAC's own words; other refusals (admission, a terminating namespace) say what they are.
            text = "%s: missing permission: %s" % (what, detail)
        super().__init__(text)


class Denied(ApiError):
    """The API server answered 403: a permission is missing, or admission refuses the request."""


def passes(error: Exception) -> bool:
    """Whether an error is of a kind that passes by itself: the server is out of reach, too busy, or has a fault."""
    return isinstance(error, ApiUnreachable) or (
        isinstance(error, ApiError) and (error.status == 429 or error.status >= 500)
    )


class MissingPermission(ClusterSecretsError):
    """The identity of the play may not do what the plan needs. The plan changed nothing."""


class WriteError(ClusterSecretsError):
    """Some writes of a batch failed; the others, ``done``, were done."""

    def __init__(self, text: str, done: Sequence[Any] = ()) -> None:
        self.done = list(done)
        super().__init__(text)


class MissingNamespace(ClusterSecretsError):
    """A namespace does not exist and is not to be created."""


class EsoError(ClusterSecretsError):
    """The External Secrets Operator is absent or too old, or a chart is not readable as its chart."""


class NotReady(ClusterSecretsError):
    """Something was not ready in time."""


class Drift(ClusterSecretsError):
    """GitOps owns objects that are not what the catalog says. Nothing was changed."""


class LockOut(ClusterSecretsError):
    """The admission policies would lock out the play, ESO or a GitOps controller."""
