# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What on the way to another release of ESO would stop working, of all objects in all namespaces. Pure."""

from __future__ import annotations

import re
from typing import Any, Iterator, NamedTuple

from ..advisories import ADVISORIES, Number, text
from ..desired.distribution import WHOLE_NAME
from ..findings import Finding, problem
from ..live.eso import LIMITED_TOKENS_SINCE
from ..plan.definitions import storage_version
from ..resources import Object, label_of
from ..tools import GITOPS
from . import schemas

#: What may be accepted, each with what it is about.
CHECKS = {
    "owner": "a GitOps controller would undo the upgrade",
    "image": "the release's values name another image",
    "values": "the release sets values of the chart that are gone",
    "versions": "no version is served by two releases that follow each other",
    "fields": "a field or value is gone, that of a provider that was removed for example",
    "functions": "a template function was removed",
    "ca-provider": "a SecretStore's certificate comes from another namespace",
    "token-secret": "a template makes a ServiceAccount's token",
    "names": "the name of a ClusterExternalSecret is too long for its finalizer",
    "tokens": "stores would no longer get the token of their ServiceAccount",
    "conflicts": "somebody else changed what helm applies",
    "controllers": "another ESO in the cluster has the same definitions",
}

#: The releases that refuse what the advisories of these numbers are about.
_FIXED = {one.id: one.fixed for one in ADVISORIES}
_CA_PROVIDER, _TOKEN_SECRET = _FIXED["CVE-2026-42875"], _FIXED["CVE-2026-42876"]

_FUNCTIONS = {name: one.fixed for one in ADVISORIES for name in one.functions}
_FUNCTION = re.compile(r"\b(%s)\b" % "|".join(sorted(_FUNCTIONS)))

#: A word of every language, which counts within braces only. (upstream #7019)
_BRACES, _FAIL, _FAIL_GONE = re.compile(r"\{\{([^{}]*)\}\}"), re.compile(r"\bfail\b"), (2, 12, 0)

#: The releases that make a finalizer of the whole name; later ones cut it (upstream #7016, #7040).
_WHOLE_NAMES_SINCE, _WHOLE_NAMES_UNTIL = (0, 20, 0), (2, 14, 0)

#: Who writes ESO's objects without an intention of its own: ESO, and this collection, which writes what is served.
_OWN_MANAGERS = ("external-secrets", "platform.cluster_secrets")


def refused(accepted: Any) -> str | None:
    """What is wrong with the list of what is accepted, kinds of problems or objects; None if nothing is."""
    for name in accepted:
        # An object has its kind before its name, or is a definition.
        if name not in CHECKS and not {" ", "."} & {*str(name)}:
            said = "'%s' is no kind of problem (%s), nor an object like 'ExternalSecret team/token'"
            return said % (name, ", ".join(CHECKS))
    return None


class Stage(NamedTuple):
    """A release on the way: its number, its CustomResourceDefinitions by name, and its chart's own values.

    ``defaults`` is None where the chart was not looked into.
    """

    release: Number
    definitions: dict[str, Object]
    defaults: dict[str, Any] | None


class Live(NamedTuple):
    """The cluster: ESO's Deployment, its definitions by name, each one's objects, and templates in ConfigMaps.

    ``values`` and ``defaults`` are those of helm's record, ``templates`` the texts by (namespace, name).
    ``token_stores`` are the stores not of ours that need a ServiceAccount's token, as long as ESO may ask for any.
    ``elsewhere`` are the (namespace, name) of other controllers of ESO.
    """

    deployment: Object | None
    definitions: dict[str, Object]
    objects: dict[str, list[Object]]
    templates: dict[tuple[str, str], list[str]]
    values: dict[str, Any]
    defaults: dict[str, Any]
    token_stores: list[str] = []
    elsewhere: list[tuple[str, str]] = []


def judge(live: Live, stages: list[Stage]) -> list[Finding]:
    """What would stop, each named at the first release at which it does, the causes for all before single objects."""
    problems = list(_owner(live))
    problems += [
        problem("controllers", "Deployment %s/%s" % place, "it is another ESO, of whose release nothing is known here")
        for place in live.elsewhere
    ]
    problems += _images(live)
    problems += _repositories(live, stages)
    problems += _values(live, stages)
    problems += _names(live, stages)
    problems += _tokens(live, stages)
    problems += _versions(live, stages)
    for name, items in sorted(live.objects.items()):
        kind = live.definitions[name]["spec"]["names"]["kind"]
        for item in items:
            # What a ClusterExternalSecret makes is named by it.
            if not _made(item):
                label = label_of(kind, item)
                problems += _fields(live.definitions[name], item, label, stages)
                problems += _refused(kind, item, label, live.templates, stages[-1].release)
    return problems


def effective(live: Live, stages: list[Stage]) -> list[str]:
    """The set values that the running chart doesn't know and a later one does, as sentences."""
    before, changes = live.defaults, []
    for stage in stages:
        if stage.defaults is not None:
            # What is gone on the way back is new on the way there.
            names = sorted(_gone(live.values, stage.defaults, before))
            if names:
                changes.append(
                    "the values of the release that take effect with %s: %s." % (text(stage.release), ", ".join(names))
                )
            before = stage.defaults
    return changes


def clients(live: Live, stages: list[Stage]) -> list[str]:
    """Who last wrote objects in a version that is not served any more at the end, as sentences."""
    writers: dict[tuple[str, str], list[str]] = {}
    for name, items in sorted(live.objects.items()):
        definition = stages[-1].definitions.get(name)
        if definition is None:
            continue
        group, served = definition["spec"]["group"], _served(definition)
        for item in items:
            for record in item["metadata"].get("managedFields") or []:
                _group, _slash, version = record.get("apiVersion", "").rpartition("/")
                manager = record.get("manager", "")
                if (
                    version not in served
                    and not record.get("subresource")
                    and not manager.startswith(_OWN_MANAGERS)
                    and not _made(item)
                ):
                    label = label_of(definition["spec"]["names"]["kind"], item)
                    writers.setdefault((manager, "%s/%s" % (group, version)), []).append(label)
    return [
        "%s last wrote %d object(s) as %s, such as %s. The objects stay; what it applies must say another version "
        "before it applies them again." % (manager, len(labels), version, labels[0])
        for (manager, version), labels in sorted(writers.items())
    ]


def _served(definition: Object) -> list[str]:
    return [version["name"] for version in definition["spec"]["versions"] if version["served"]]


def _made(item: Object) -> bool:
    owners = item["metadata"].get("ownerReferences") or []
    return any(owner.get("kind") in ("ClusterExternalSecret", "ClusterPushSecret") for owner in owners)


def _owner(live: Live) -> Iterator[Finding]:
    if live.deployment is None:
        return
    meta = live.deployment["metadata"]
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    for who in sorted(name for name, tool in GITOPS.items() if any(mark in marks for mark in tool.marks)):
        yield problem("owner", "Deployment %s" % meta["name"], "%s applies it: upgrade ESO there" % who)


def _images(live: Live) -> Iterator[Finding]:
    for part in ("", "webhook", "certController"):
        said = live.values.get(part) if part else live.values
        image = said.get("image") if isinstance(said, dict) else None
        if isinstance(image, dict) and image.get("tag"):
            name = "%s.image.tag" % part if part else "image.tag"
            yield problem("image", "value %s" % name, "is set: that image would go on running after each step")


def _repositories(live: Live, stages: list[Stage]) -> Iterator[Finding]:
    """A repository that is said, and that charts have said themselves until a later one: it may be retired."""
    for part in ("", "webhook", "certController"):
        name = ".".join(filter(None, (part, "image", "repository")))
        said, before = _value(live.values, name), _value(live.defaults, name)
        if not said or said != before:
            continue
        for stage in stages:
            after = _value(stage.defaults or {}, name)
            if after and after != said:
                message = "is set to %s, and the chart of %s has left that for %s: unset it, or accept this"
                yield problem("image", "value %s" % name, message % (said, text(stage.release), after))
                break


def _value(values: dict[str, Any], name: str) -> Any:
    value: Any = values
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _names(live: Live, stages: list[Stage]) -> Iterator[Finding]:
    """ClusterExternalSecrets of which a release on the way can make no finalizer, and so makes nothing."""
    stage = next((stage for stage in stages if _WHOLE_NAMES_SINCE <= stage.release < _WHOLE_NAMES_UNTIL), None)
    if stage is None:
        return
    for definition, items in sorted(live.objects.items()):
        if live.definitions[definition]["spec"]["names"]["kind"] != "ClusterExternalSecret":
            continue
        for item in items:
            if len(item["metadata"]["name"]) > WHOLE_NAME:
                message = "its name is longer than %d characters, of which %s can't make a finalizer (%s and newer can)"
                shown = (WHOLE_NAME, text(stage.release), text(_WHOLE_NAMES_UNTIL))
                yield problem("names", label_of("ClusterExternalSecret", item), message % shown)


def _values(live: Live, stages: list[Stage]) -> Iterator[Finding]:
    before, named = live.defaults, set()
    for stage in stages:
        if stage.defaults is None:
            continue
        for name in _gone(live.values, before, stage.defaults):
            if name not in named:
                named.add(name)
                yield problem("values", "value %s" % name, "is not known to the chart of %s" % text(stage.release))
        before = stage.defaults


def _gone(values: dict[str, Any], before: dict[str, Any], after: dict[str, Any], path: str = "") -> Iterator[str]:
    """The set values that one chart knows and the next doesn't. What a chart leaves open (an empty mapping) is free."""
    for name, value in sorted(values.items()):
        if name not in before or value == before[name]:
            continue
        if name not in after:
            yield path + name
        elif isinstance(value, dict) and isinstance(before[name], dict) and isinstance(after[name], dict):
            yield from _gone(value, before[name], after[name], path + name + ".") if after[name] else ()


def _tokens(live: Live, stages: list[Stage]) -> Iterator[Finding]:
    """A value that an older chart ignores takes an effect with the first that knows it."""
    said = live.values.get("rbac")
    stage = next((stage for stage in stages if stage.release >= LIMITED_TOKENS_SINCE), None)
    if stage is None or not isinstance(said, dict) or said.get("serviceAccountTokenCreate") is not False:
        return
    message = "value rbac.serviceAccountTokenCreate is false, which the chart of %s is the first to know"
    for store in live.token_stores:
        yield problem("tokens", store, message % text(stage.release))


def _versions(live: Live, stages: list[Stage]) -> Iterator[Finding]:
    for name, items in sorted(live.objects.items()):
        served = _served(live.definitions[name])
        for stage in stages:
            definition = stage.definitions.get(name)
            if definition is None:
                # Definitions that a file leaves out stay as they are.
                continue
            after = _served(definition)
            if items and not set(served) & set(after):
                message = "%d object(s) are %s, and %s serves %s only" % (
                    len(items),
                    ", ".join(served) or "not served",
                    text(stage.release),
                    ", ".join(after) or "nothing",
                )
                yield problem("versions", name, message)
                break
            served = after


def _fields(definition: Object, item: Object, label: str, stages: list[Stage]) -> Iterator[Finding]:
    version = item.get("apiVersion", "").rpartition("/")[2] or _served(definition)[0]
    known = schemas.violations(item, schemas.schema_of(definition, version) or {})
    for stage in stages:
        after = stage.definitions.get(definition["metadata"]["name"])
        if after is None:
            continue
        violations = schemas.violations(item, schemas.schema_of(after, storage_version(after)) or {})
        for path, what in sorted(violations - known):
            yield problem("fields", label, "%s %s with %s" % (path, what, text(stage.release)))
        known |= violations


def _refused(
    kind: str, item: Object, label: str, texts: dict[tuple[str, str], list[str]], last: Number
) -> Iterator[Finding]:
    spec = item.get("spec") or {}
    if kind == "SecretStore" and last >= _CA_PROVIDER:
        namespace = item["metadata"]["namespace"]
        for other in sorted(set(_ca_namespaces(spec)) - {namespace}):
            message = "its caProvider names namespace '%s', which %s refuses" % (other, text(_CA_PROVIDER))
            yield problem("ca-provider", label, message)
    written = [*(_strings(spec) if kind == "Webhook" else _run_elsewhere(spec))]
    for template in templates(kind, item):
        if template.get("type") == "kubernetes.io/service-account-token" and last >= _TOKEN_SECRET:
            yield problem(
                "token-secret",
                label,
                "its template makes a ServiceAccount's token, which %s refuses" % text(_TOKEN_SECRET),
            )
        written += _strings(template)
        names, namespace = set(config_maps(template)), item["metadata"].get("namespace")
        # Those of a ClusterExternalSecret lie in the namespaces that it selects.
        for place, some in texts.items():
            if place[1] in names and namespace in (None, place[0]):
                written += some
    for function in sorted({one for some in written for one in _FUNCTION.findall(some)}):
        if last >= _FUNCTIONS[function]:
            message = "its template calls %s, which %s removed" % (function, text(_FUNCTIONS[function]))
            yield problem("functions", label, message)
    if last >= _FAIL_GONE and any(_FAIL.search(one) for some in written for one in _BRACES.findall(some)):
        yield problem("functions", label, "its template calls fail, which %s removed" % text(_FAIL_GONE))


def templates(kind: str, item: Object) -> Iterator[dict[str, Any]]:
    """The templates of an object of ESO."""
    spec = item.get("spec") or {}
    if kind == "ClusterExternalSecret":
        spec = spec.get("externalSecretSpec") or {}
    elif kind == "ClusterPushSecret":
        spec = spec.get("pushSecretSpec") or {}
    template = (spec.get("target") or {}).get("template") if kind.endswith("ExternalSecret") else spec.get("template")
    if isinstance(template, dict):
        yield template


def _run_elsewhere(value: Any) -> Iterator[str]:
    """What ESO runs as a template without being one: a webhook, of a store or generator, and how keys are rewritten."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _strings(item) if name in ("webhook", "rewrite") else _run_elsewhere(item)
    elif isinstance(value, list):
        for item in value:
            yield from _run_elsewhere(item)


def config_maps(template: dict[str, Any]) -> Iterator[str]:
    """The names of the ConfigMaps that a template takes texts from."""
    for source in template.get("templateFrom") or []:
        name = (source.get("configMap") or {}).get("name")
        if name:
            yield name


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _ca_namespaces(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        provider = value.get("caProvider")
        if isinstance(provider, dict) and provider.get("namespace"):
            yield provider["namespace"]
        for item in value.values():
            yield from _ca_namespaces(item)
    elif isinstance(value, list):
        for item in value:
            yield from _ca_namespaces(item)
