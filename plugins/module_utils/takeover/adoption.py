# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a live cluster to the variables and values that the collection needs to run it. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..catalog.entries import Entry, Unreadable, parse_catalog
from ..catalog.values import written_by_others
from ..desired import consumers, stores
from ..errors import CatalogError
from ..resources import Object, decode, is_of_kind
from . import preflight
from .express import expressed
from .templates import Inexpressible

if TYPE_CHECKING:
    from ..live.eso import Release
    from ..live.snapshot import Cluster


@dataclass(frozen=True, eq=False)
class Adoption:
    """What a live cluster says.

    ``catalog`` are entries as YAML holds them, ``values`` are ``{source: {key: str or {"base64": str}}}``, ``foreign``
    maps each ClusterExternalSecret that no entry can express to the reason.
    """

    catalog: list[dict[str, Any]]
    values: dict[str, dict[str, Any]]
    foreign: dict[str, str]
    isolation: str
    central: str

    def entries(self) -> list[Entry]:
        """The catalog, parsed."""
        return parse_catalog(self.catalog, self.central)


def read(layout: stores.Layout, cluster: Cluster, targets: dict[tuple[str, str], Object]) -> Adoption:
    """The catalog and values of a live cluster.

    :arg targets: the live Secrets that ESO manages, by (namespace, name).
    """
    filled = _filled(cluster, targets)
    own = stores.own_entries(cluster.stores.values(), layout)
    known = {layout.store, *map(layout.own_store, own)}
    pushed = _pushed(cluster, known)
    catalog: list[dict[str, Any]] = []
    foreign: dict[str, str] = {}
    for live in sorted(cluster.users.distributed, key=lambda one: one["metadata"]["name"]):
        name = live["metadata"]["name"]
        if not _is_central(live, known):
            continue
        try:
            entry = expressed(live, known, cluster.namespaces, layout.namespace)
            written = {
                source: " and ".join(preflight.writers(cluster.central[source])) or pushed.get(source, "")
                for source in parse_catalog([entry])[0].sources
                if source in cluster.central
            }
            writers = {source: who for source, who in written.items() if who}
            if writers:
                # Its value is somebody else's to renew.
                entry["written_by"] = writers[entry["source"]] if list(writers) == [entry["source"]] else writers
            _check(entry, cluster, {key: item for key, item in targets.items() if filled.get(key) == name})
            parse_catalog([*catalog, entry])
        except (Inexpressible, CatalogError) as error:
            foreign[name] = str(error)
            continue
        catalog.append(entry)
    parsed = parse_catalog(catalog)
    sources = {source for entry in parsed for source in entry.sources} - set(written_by_others(parsed))
    values = {name: _values(item) for name, item in sorted(cluster.central.items()) if name in sources}
    return Adoption(catalog, values, foreign, stores.ENTRY if own else stores.SHARED, layout.namespace)


def _pushed(cluster: Cluster, known: set[str]) -> dict[str, str]:
    """The master Secrets that PushSecrets have written through the ``known`` stores, each with the label of one."""
    return {
        source: one.label()
        for store in sorted(known)
        for one in cluster.users.consumers(store, ())
        if consumers.has_pushed(one.item, store)
        for source in one.writes or ()
    }


def nothing_found(layout: stores.Layout, cluster: Cluster) -> str:
    """What is said where no ClusterExternalSecret reads through the store of a layout: which others look like one."""
    text = "nothing reads through a ClusterSecretStore '%s' of the namespace '%s'" % (layout.store, layout.namespace)
    reasons = []
    for (kind, name), item in sorted(cluster.stores.items()):
        provider = ((item.get("spec") or {}).get("provider") or {}).get("kubernetes")
        readers = sum(_is_central(live, {name}) for live in cluster.users.distributed)
        if kind == "ClusterSecretStore" and provider and readers:
            place = provider.get("remoteNamespace") or "default"
            reasons.append(
                "-e cluster_secrets_store=%s -e cluster_secrets_store_namespace=%s (%d ClusterExternalSecrets)"
                % (name, place, readers)
            )
    if not reasons:
        return (
            text + ", and no other one copies Secrets of this cluster to ClusterExternalSecrets. Nothing was written."
        )
    return "%s. Nothing was written. These look like one: %s." % (text, "; ".join(reasons))


def _is_central(live: Object, known: set[str]) -> bool:
    reference = ((live.get("spec") or {}).get("externalSecretSpec") or {}).get("secretStoreRef") or {}
    return reference.get("kind") == "ClusterSecretStore" and reference.get("name") in known


def _filled(cluster: Cluster, targets: dict[tuple[str, str], Object]) -> dict[tuple[str, str], str]:
    """The live Secrets, by (namespace, name), that a ClusterExternalSecret fills, each with its name.

    One that a tenant took from it says nothing of the entry.
    """
    makers = {item["metadata"].get("uid"): consumers.maker(item) for item in cluster.users.externals}
    filled = {}
    for key, item in targets.items():
        for owner in item["metadata"].get("ownerReferences") or []:
            name = makers.get(owner.get("uid")) if is_of_kind(owner, "ExternalSecret") else None
            if owner.get("controller") and name:
                filled[key] = name
    return filled


def _check(raw: dict[str, Any], cluster: Cluster, targets: dict[tuple[str, str], Object]) -> None:
    """Raise Inexpressible unless the entry renders each live target byte for byte."""
    entry = parse_catalog([raw])[0]
    for source in entry.sources:
        live = cluster.central.get(source)
        if live is None:
            raise Inexpressible("its source %s is not in the central namespace" % source)
        empty = sorted(key for key, value in decode(live).items() if not value and entry.reads(source, key))
        if empty:
            raise Inexpressible("its source %s has nothing in %s" % (source, ", ".join(empty)))
    try:
        expected = entry.render({source: decode(cluster.central[source]) for source in entry.sources})
    except Unreadable as error:
        raise Inexpressible(str(error)) from None
    for (namespace, name), secret in targets.items():
        labels = cluster.namespaces.get(namespace, {"metadata": {}})["metadata"].get("labels") or {}
        if name != entry.target or not entry.selects(namespace, labels):
            continue
        if decode(secret) != expected or secret.get("type") != entry.type:
            raise Inexpressible("its target in namespace %s holds something other than it says today" % namespace)


def _values(secret: Object) -> dict[str, Any]:
    return {key: _value(value) for key, value in sorted(decode(secret).items()) if value}


def _value(value: bytes) -> str | dict[str, str]:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    # YAML keeps what can be printed, and line breaks.
    if text is not None and all(one.isprintable() or one in "\n\t" for one in text):
        return text
    return {"base64": base64.b64encode(value).decode("ascii")}


def variables(
    adoption: Adoption,
    layout: stores.Layout,
    release: Release,
    eso: tuple[str, str],
    answers: dict[str, str],
    server_url: str,
    values_file: str,
) -> dict[str, Any]:
    """The variables for a bootstrap of the cluster; what a default says already is left out.

    :arg eso: (namespace, ServiceAccount) of the running controller; :arg server_url: how the live store reaches the
        API.
    """
    given: dict[str, Any] = {
        "cluster_secrets_catalog": adoption.catalog,
        "cluster_secrets_values_file": values_file,
        "cluster_secrets_eso_method": "existing",
    }
    for name, value, default in (
        ("cluster_secrets_isolation", adoption.isolation, stores.SHARED),
        ("cluster_secrets_store", layout.store, "central-secret-store"),
        ("cluster_secrets_store_namespace", layout.namespace, "central-secret-store"),
        ("cluster_secrets_store_server_url", server_url, "https://kubernetes.default.svc"),
        ("cluster_secrets_eso_namespace", eso[0], "external-secrets"),
        ("cluster_secrets_eso_service_account", eso[1], "external-secrets"),
        ("cluster_secrets_eso_allow", ["vulnerable"] if release.advisories else [], []),
        ("cluster_secrets_takeover", {kind: one for kind, one in answers.items() if one != preflight.REFUSE}, {}),
    ):
        if value != default:
            given[name] = value
    return given


def answers(findings: list[preflight.Existing]) -> dict[str, str]:
    """The gentlest answers, ``{kind: answer}``, that let everything go on as it is; what needs a person is refused."""
    by_kind = dict.fromkeys(preflight.ANSWERS, preflight.REFUSE)
    for kind in by_kind:
        of_kind = [finding for finding in findings if finding.check == kind]
        for answer in (preflight.KEEP, preflight.ADOPT):
            if of_kind and all(answer in finding.answers for finding in of_kind):
                by_kind[kind] = answer
                break
    return by_kind


def server_url(layout: stores.Layout, cluster: Cluster) -> str:
    """The URL at which the live store reaches the API, as the collection writes it."""
    store = cluster.stores.get(("ClusterSecretStore", layout.store))
    provider = ((store or {}).get("spec", {}).get("provider") or {}).get("kubernetes") or {}
    url = (provider.get("server") or {}).get("url") or ""
    # ESO's own default has no scheme.
    return url if url.startswith("https://") else "https://%s" % url if url else "https://kubernetes.default.svc"


def report(adoption: Adoption, findings: list[preflight.Existing], chosen: dict[str, str], release: Release) -> str:
    """What was found and what remains to be decided, as Markdown."""
    lines = ["# Take-over of the central secret store", ""]
    lines += ["External Secrets %s." % (release.text or "of an unknown release"), ""]
    lines += ["- %s" % advisory.id for advisory in release.advisories] + ([""] if release.advisories else [])
    lines += ["## Entries", ""]
    for entry in adoption.entries():
        places = [
            *entry.namespaces,
            *entry.namespaces_by_name,
            *(["what it selects"] if entry.namespace_selectors else []),
        ]
        lines.append(
            "- `%s`: from `%s`, to %s" % (entry.name, "`, `".join(entry.sources), ", ".join(places) or "no namespace")
        )
    lines += ["", "## Kept as they are", ""]
    lines += ["- `%s`: no entry can express it: %s" % pair for pair in sorted(adoption.foreign.items())] or ["- none"]
    lines += ["", "## What a bootstrap does", ""]
    for finding in findings:
        answer = chosen[finding.check]
        done = (
            "`%s: %s`" % (finding.check, answer)
            if finding.accepted(chosen)
            else "**to be decided** (`%s`)" % finding.check
        )
        lines.append("- %s: %s. %s" % (finding.object, finding.message, done))
    lines += [] if findings else ["- nothing noticeable"]
    return "\n".join(lines) + "\n"
