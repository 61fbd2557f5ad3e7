# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The External Secrets Operator itself: which release runs, which one a chart installs, what hardening would break.

Reading the cluster takes a client, :func:`of_chart` reads the chart's files; all else is pure.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import advisories, files, permissions
from ..desired.distribution import is_owned
from ..errors import ApiError, Denied, EsoError, FileError
from ..resources import DEPLOYMENTS, ESO_GROUP, ESO_VERSIONS, RBAC, Object, label_of, resource_of
from . import release as helm

if TYPE_CHECKING:
    from ..advisories import Advisory, Lists
    from ..api.client import Client

#: The chart that first has rbac.serviceAccountTokenCreate.
LIMITED_TOKENS_SINCE = (2, 5, 0)

#: The release that first serves nothing but v1.
V1_ONLY_SINCE = (0, 17, 0)

#: The label by which ESO's chart names its parts, and the controller's value of it.
NAME_LABEL, CONTROLLER = "app.kubernetes.io/name", "external-secrets"

CONTROLLER_SELECTOR = "%s=%s" % (NAME_LABEL, CONTROLLER)


@dataclass(frozen=True, eq=False)
class Release:
    """A release of ESO. ``number`` is (major, minor, patch), or None with ``problem`` saying why it isn't known.

    ``absent`` says that it isn't known because there is none. ``lists`` are those that it is judged by.
    """

    number: advisories.Number | None
    problem: str | None = None
    image: str | None = None
    absent: bool = False
    lists: Lists = advisories.OURS

    @property
    def text(self) -> str | None:
        """'2.9.0', or None."""
        return advisories.text(self.number) if self.number else None

    @property
    def advisories(self) -> list[Advisory]:
        """The :class:`Advisory` objects that apply; none when the release is unknown."""
        return advisories.known(self.number, self.lists) if self.number else []

    def unsupported(self, today: str) -> str | None:
        """Why upstream doesn't support it any more on a day (2026-11-29); None if it does, or is unknown."""
        return advisories.unsupported(self.number, today, self.lists) if self.number else None

    def may_be_open_to(self, advisory: Advisory) -> bool:
        """Whether an advisory applies, or can't be ruled out."""
        return self.number is None or advisory.since <= self.number < advisory.fixed


def vulnerable(release: Release, where: str) -> str:
    """The text that refuses a release with known vulnerabilities.

    :arg where: the beginning, such as 'the cluster runs'.
    """
    shown = "; ".join(
        "%s (%s; fixed in %s)" % (advisory.id, advisory.what, advisories.text(advisory.fixed))
        for advisory in release.advisories
    )
    return (
        "%s External Secrets %s, which has known vulnerabilities: %s. Use %s or newer "
        "('cluster_secrets_eso_chart_version'), or add 'vulnerable' to cluster_secrets_eso_allow."
        % (where, release.text, shown, advisories.safe(release.number or (0, 0, 0), release.lists))
    )


def served(client: Client) -> tuple[str | None, list[str]]:
    """The API version of ESO that the collection uses on this cluster (None: there is none), and all that are
    served."""
    versions = client.served_versions(ESO_GROUP)
    return next((version for version in ESO_VERSIONS if version in versions), None), versions


def controller(client: Client, namespace: str, name: str | None = None) -> Object | None:
    """The live Deployment of ESO's controller, or None.

    :arg name: the Deployment's name; without it, it is found by the chart's label.
    """
    if name:
        return client.get(DEPLOYMENTS.path(name, namespace), "cannot look at ESO's controller")
    # Without a selector, so that who looks at everything beside it, too, has read it by this.
    deployments, _version = client.list(DEPLOYMENTS, namespace=namespace, what="cannot look at ESO's controller")
    return next(
        (item for item in deployments if (item["metadata"].get("labels") or {}).get(NAME_LABEL) == CONTROLLER), None
    )


def neighbours(client: Client, namespace: str) -> tuple[list[Object], list[str]]:
    """ESO's live Deployments in its namespace, and what else runs pods there, as 'Deployment name'."""
    kinds = ("Deployment", "StatefulSet", "DaemonSet")
    listed = client.each(
        lambda kind: client.list(
            resource_of("apps/v1", kind), namespace=namespace, what="cannot look at what runs beside ESO"
        )[0],
        kinds,
    )
    own = [
        item for item in listed[0] if (item["metadata"].get("labels") or {}).get(NAME_LABEL, "").startswith(CONTROLLER)
    ]
    return own, sorted(label_of(kind, item) for kind, items in zip(kinds, listed) for item in items if item not in own)


def controllers(client: Client) -> list[Object]:
    """The live Deployments of ESO's controllers in all namespaces.

    Anyone may label a Deployment like one, so that only those count whose ServiceAccount may write all ExternalSecrets.
    """
    deployments, _version = client.list(
        DEPLOYMENTS, selector=CONTROLLER_SELECTOR, what="cannot look for ESO's controller"
    )
    if not deployments:
        return []
    kinds = ("ClusterRoleBinding", "ClusterRole")
    bindings, roles = client.each(lambda kind: client.list(resource_of(RBAC, kind))[0], kinds)
    writers = {
        (grant.subject.get("namespace"), grant.subject["name"])
        for grant in permissions.grants([], bindings, [], roles)
        if grant.subject["kind"] == "ServiceAccount"
        and grant.allows(ESO_GROUP, "externalsecrets", ("update", "patch"))[0]
    }
    return [
        item
        for item in deployments
        if (
            item["metadata"]["namespace"],
            item["spec"]["template"]["spec"].get("serviceAccountName") or "default",
        )
        in writers
    ]


def elsewhere(client: Client, namespace: str) -> list[Object]:
    """The controllers of ESO that run in other namespaces; none where the play may not look."""
    try:
        return [
            item
            for item in controllers(client)
            if item["metadata"]["namespace"] != namespace and item["spec"].get("replicas", 1)
        ]
    except Denied:
        return []


def lists(src: str | None) -> Lists:
    """The advisories and dates of a file or URL, YAML or JSON; ours without one. Raises FileError or CatalogError."""
    if not src:
        return advisories.OURS
    import yaml

    content = files.fetch(src, "file with advisories")
    try:
        # Days stay texts.
        document = yaml.load(content, yaml.BaseLoader)
    except yaml.YAMLError:
        raise FileError("'%s' is not valid YAML." % src) from None
    return advisories.lists_of(document, "'%s'" % src)


def index(repository: str) -> Any:
    """The index of a helm repository by its URL. Raises FileError."""
    import yaml

    url = repository.rstrip("/") + "/index.yaml"
    try:
        return yaml.load(files.download(url), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        raise FileError("'%s' is not valid YAML." % url) from None


def running(deployment: Object | None, known: Lists = advisories.OURS) -> Release:
    """The :class:`Release` of a live Deployment of the controller (None: absent)."""
    if deployment is None:
        return Release(None, "no controller of ESO was found", absent=True, lists=known)
    containers = deployment["spec"]["template"]["spec"]["containers"]
    image = next((container for container in containers if container["name"] == "external-secrets"), containers[0]).get(
        "image"
    )
    number, problem = advisories.release_of_image(image)
    return Release(number, problem, image, lists=known)


def running_as(client: Client, namespace: str, known: Lists = advisories.OURS) -> tuple[Release, str | None]:
    """The running :class:`Release`, and the controller's ServiceAccount ('': the default one; None: not seen).

    Without the permission to read the Deployment, it is an unknown one.
    """
    try:
        deployment = controller(client, namespace)
        account = None if deployment is None else deployment["spec"]["template"]["spec"].get("serviceAccountName", "")
        return running(deployment, known), account
    except Denied:
        missing = "the permission to list deployments.apps in namespace '%s' is missing" % namespace
        return Release(None, missing, lists=known), None


def of_chart(chart: str, version: str | None, values: dict[str, Any], known: Lists = advisories.OURS) -> Release:
    """The :class:`Release` that a chart installs.

    :arg chart: what helm takes: a name, a URL, the path of a folder or archive.
    :arg version: the chart's version; upstream gives chart and controller the same.
    :arg values: the chart's values; an image tag among them takes precedence.
    :raises FileError: when the chart is a path that can't be read; :raises EsoError: without a readable Chart.yaml.
    """
    said = values.get("image")
    image: dict[str, Any] = said if isinstance(said, dict) else {}
    given = str(image.get("tag") or "")
    if not given:
        given = str(_chart(chart).get("appVersion") or "") if chart.startswith((".", "/")) else str(version or "")
        if not given:
            return Release(None, "no version of the chart '%s' is given" % chart, lists=known)
    number, problem = advisories.release_of_image("%s:%s" % (image.get("repository") or "external-secrets", given))
    return Release(number, problem, lists=known)


def is_installed(client: Client, namespace: str, name: str, chart: str, version: str | None, values: Object) -> bool:
    """Whether helm has finished a release of just this chart and these values, so that it need not be asked.

    :arg namespace: that of the release; :arg chart: and ``version``, as :func:`of_chart` takes them.
    """
    try:
        record = helm.settled(client, namespace, name)
        if record is None or record.values != values:
            return False
        if not chart.startswith((".", "/")):
            return (record.chart, record.chart_version) == (chart.rstrip("/").rpartition("/")[2], version)
        meta = _chart(chart)
    except (ApiError, EsoError, FileError):
        return False  # helm says what is wrong
    wanted = tuple(str(meta.get(key) or "") for key in ("name", "version", "appVersion"))
    return (record.chart, record.chart_version, record.app_version) == wanted


def _chart(path: str) -> Object:
    """What the Chart.yaml of a chart's folder or archive says."""
    import tarfile

    import yaml

    try:
        if os.path.isdir(path):
            text = files.read(os.path.join(path, "Chart.yaml"), "chart")
        else:
            with tarfile.open(path) as archive:
                member = archive.extractfile("external-secrets/Chart.yaml")
                text = member.read() if member else b""
        chart = yaml.safe_load(text)
    except OSError as error:
        raise FileError("cannot read the chart '%s': %s." % (path, error.strerror or error)) from None
    except (KeyError, EOFError, tarfile.TarError, yaml.YAMLError):
        chart = None
    if not isinstance(chart, dict):
        raise EsoError("'%s' is not a chart of the External Secrets Operator: it has no readable Chart.yaml." % path)
    return chart


def pushes(deployment: Object) -> bool:
    """Whether the live controller processes PushSecrets."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return not any("--enable-push-secret-reconciler=false" in (container.get("args") or []) for container in containers)


def may_create_any_token(client: Client, deployment: Object) -> bool:
    """Whether the chart lets the live controller ask for the token of any ServiceAccount."""
    role = client.get(resource_of(RBAC, "ClusterRole").path(deployment["metadata"]["name"] + "-controller"))
    return any("serviceaccounts/token" in (rule.get("resources") or []) for rule in (role or {}).get("rules") or [])


def dependents(client: Client, version: str) -> tuple[list[str], list[str]]:
    """The live objects that ESO serves less, or not at all, once it is hardened.

    :arg version: the API version of ESO's stores.
    :returns: (PushSecrets, stores not of ours that need a ServiceAccount's token), each as sorted texts.
    """
    api, alpha = "%s/%s" % (ESO_GROUP, version), ESO_GROUP + "/v1alpha1"
    kinds = [(alpha, "PushSecret"), (alpha, "ClusterPushSecret"), (api, "SecretStore"), (api, "ClusterSecretStore")]
    lists = client.each(lambda one: client.list(resource_of(*one), missing_ok=True)[0], kinds)
    pushing = [label_of(kind, item) for (_api, kind), items in zip(kinds[:2], lists) for item in items]
    stores = [
        label_of(kind, item)
        for (_api, kind), items in zip(kinds[2:], lists[2:])
        for item in items
        if not is_owned(item) and _needs_token(item.get("spec") or {})
    ]
    return sorted(pushing), sorted(stores)


def _needs_token(value: Any) -> bool:
    if isinstance(value, dict):
        return any(
            (key in ("serviceAccountRef", "serviceAccount") and isinstance(item, dict)) or _needs_token(item)
            for key, item in value.items()
        )
    return isinstance(value, list) and any(map(_needs_token, value))
