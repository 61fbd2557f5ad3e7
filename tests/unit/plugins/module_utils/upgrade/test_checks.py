# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upgrade would stop, each kind of it, and nothing else."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.advisories import parse
from ansible_collections.platform.cluster_secrets.plugins.module_utils.upgrade import checks, schemas

CANARY = "CANARYx7Q"

SPEC = {
    "type": "object",
    "required": ["store"],
    "properties": {
        "store": {"type": "string"},
        "engine": {"type": "string", "enum": ["v1", "v2"]},
        "free": {"type": "object", "additionalProperties": {"type": "string"}},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "items": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        "mode": {"type": "string", "default": "x"},
        "target": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "provider": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


def schema(**changes):
    properties = {**SPEC["properties"], **changes}
    spec = {**SPEC, "properties": {key: value for key, value in properties.items() if value is not None}}
    return {"type": "object", "properties": {"spec": spec}}


def definition(kind, versions, openapi=None):
    """A definition that serves some versions, of which the first is stored."""
    plural = kind.lower() + "s"
    return {
        "metadata": {"name": f"{plural}.external-secrets.io"},
        "spec": {
            "group": "external-secrets.io",
            "names": {"kind": kind, "plural": plural},
            "versions": [
                {
                    "name": name,
                    "served": True,
                    "storage": index == 0,
                    "schema": {"openAPIV3Schema": openapi or schema()},
                }
                for index, name in enumerate(versions)
            ],
        },
    }


def live(kind="ExternalSecret", spec=None, versions=("v1",), **more):
    found = definition(kind, versions)
    meta = {"name": "x", "namespace": "team", **more.pop("metadata", {})}
    item = {"apiVersion": f"external-secrets.io/{versions[0]}", "kind": kind, "metadata": meta, "spec": spec or {}}
    name = found["metadata"]["name"]
    given = {"deployment": None, "templates": {}, "values": {}, "defaults": {}, **more}
    return checks.Live(definitions={name: found}, objects={name: [item]}, **given)


def stage(release="2.9.0", kind="ExternalSecret", versions=("v1",), openapi=None, defaults=None):
    found = definition(kind, versions, openapi)
    return checks.Stage(parse(release), {found["metadata"]["name"]: found}, defaults)


def judged(cluster, *stages):
    return [f"{one.check}: {one.object}: {one.message}" for one in checks.judge(cluster, list(stages))]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"store": "s", "engine": "v2", "free": {"a": "b"}, "any": {"a": 1}, "items": [{"a": 1}]}, set()),
        ({"engine": "v1"}, {("spec.store", "is required")}),
        ({"store": 5}, {("spec.store", "must be of type string")}),
        ({"store": True}, {("spec.store", "must be of type string")}),
        ({"store": "s", "engine": CANARY}, {("spec.engine", "must be v1 or v2")}),
        ({"store": "s", "free": {"a": 1}}, {("spec.free.a", "must be of type string")}),
        (
            {"store": "s", "items": [{"b": 1}, {"b": 2}]},
            {("spec.items[].b", "is not known any more, it would be lost")},
        ),
        ({"store": "s", "items": [{"a": True}]}, {("spec.items[].a", "must be of type integer")}),
        ({"store": "s", "new": {"x": CANARY}}, {("spec.new", "is not known any more, it would be lost")}),
        ({"store": "s", "engine": None}, set()),
    ],
)
def test_what_a_schema_loses_or_refuses(spec, expected):
    found = schemas.violations({"apiVersion": "v1", "metadata": {"odd": 1}, "status": {"x": 1}, "spec": spec}, schema())
    assert found == expected


def test_fields_that_go_are_named_once_and_those_that_never_counted_are_not():
    cluster = live(spec={"store": "s", "engine": "v1", "odd": CANARY})
    without = stage("0.16.0", openapi=schema(engine={"type": "string", "enum": ["v2"]}))
    assert judged(cluster, without, stage("0.20.3", openapi=schema(engine={"type": "string", "enum": ["v2"]}))) == [
        "fields: ExternalSecret team/x: spec.engine must be v2 with 0.16.0"
    ]
    assert judged(cluster, stage(openapi=schema(engine=None, store=None))) == [
        "fields: ExternalSecret team/x: spec.engine is not known any more, it would be lost with 2.9.0",
        "fields: ExternalSecret team/x: spec.store is not known any more, it would be lost with 2.9.0",
    ]


def test_what_a_cluster_external_secret_made_is_named_by_it():
    owner = {"kind": "ClusterExternalSecret", "apiVersion": "external-secrets.io/v1beta1", "name": "c"}
    cluster = live(spec={"store": "s", "engine": "v1"}, metadata={"ownerReferences": [owner]})
    assert judged(cluster, stage(openapi=schema(engine=None))) == []


@pytest.mark.parametrize(
    ("before", "way", "expected"),
    [
        (("v1beta1",), [("0.20.3", ("v1",))], ["1 object(s) are v1beta1, and 0.20.3 serves v1 only"]),
        (("v1beta1",), [("0.16.0", ("v1", "v1beta1")), ("0.20.3", ("v1",))], []),
        (("v1beta1",), [("0.16.0", ("v1", "v1beta1")), ("9.0.0", ("v2",))], ["1 object(s) are v1, v1beta1, and 9.0.0"]),
    ],
)
def test_two_releases_must_serve_a_version_in_common(before, way, expected):
    cluster = live(spec={"store": "s"}, versions=before)
    found = judged(cluster, *[stage(release, versions=versions) for release, versions in way])
    assert len(found) == len(expected)
    assert all(text in one for text, one in zip(expected, found))


@pytest.mark.parametrize(
    ("function", "release", "stops"),
    [
        ("getSecretKey", "1.2.0", True),
        ("getSecretKey", "1.0.0", False),
        ("getHostByName", "2.3.0", True),
        ("getHostByName", "2.2.0", False),
        ("getHostByNames", "2.9.0", False),
    ],
)
def test_removed_template_functions(function, release, stops):
    text = {"data": {"k": "{{ %s .a }}" % function}}
    from_map = {"templateFrom": [{"configMap": {"name": "maps"}}]}
    expected = [f"functions: ExternalSecret team/x: its template calls {function}, which {release} removed"] * stops
    assert judged(live(spec={"store": "s", "target": {"template": text}}), stage(release)) == expected
    maps = {("team", "maps"): [text["data"]["k"]], ("other", "maps"): ["{{ getSecretKey }}"]}
    assert (
        judged(live(spec={"store": "s", "target": {"template": from_map}}, templates=maps), stage(release)) == expected
    )


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("SecretStore", {"provider": {"webhook": {"url": "https://{{ getSecretKey .a }}"}}}),
        ("SecretStore", {"provider": {"webhook": {"result": {"jsonPath": "{{ getSecretKey .a }}"}}}}),
        ("ExternalSecret", {"dataFrom": [{"rewrite": [{"transform": {"template": "{{ getSecretKey .a }}"}}]}]}),
        ("Webhook", {"body": "{{ getSecretKey .a }}"}),
    ],
)
def test_what_eso_runs_as_a_template_elsewhere(kind, spec):
    found = judged(live(kind, spec), stage("2.9.0", kind))
    assert [one for one in found if one.startswith("functions: ")] == [
        f"functions: {kind} team/x: its template calls getSecretKey, which 1.2.0 removed"
    ]


def test_a_store_whose_certificate_comes_from_another_namespace():
    spec = {"store": "s", "provider": {"vault": {"caProvider": {"type": "ConfigMap", "name": "ca", "namespace": "b"}}}}
    cluster = live("SecretStore", spec)
    assert judged(cluster, stage("2.4.0", "SecretStore")) == [
        "ca-provider: SecretStore team/x: its caProvider names namespace 'b', which 2.4.0 refuses"
    ]
    assert judged(cluster, stage("2.3.0", "SecretStore")) == []
    spec["provider"]["vault"]["caProvider"]["namespace"] = "team"
    assert judged(cluster, stage("2.4.0", "SecretStore")) == []


def test_a_template_that_makes_a_token():
    spec = {"store": "s", "target": {"template": {"type": "kubernetes.io/service-account-token"}}}
    assert judged(live(spec=spec), stage("2.4.1")) == [
        "token-secret: ExternalSecret team/x: its template makes a ServiceAccount's token, which 2.4.1 refuses"
    ]
    assert judged(live(spec=spec), stage("2.4.0")) == []


def test_the_values_of_the_release():
    values = {
        "image": {"tag": "v0.14.3", "repository": CANARY},
        "webhook": {"rbac": {"create": False}, "port": 1, "image": {"tag": "x"}},
        "podAnnotations": {"a": CANARY},
        "concurrent": 1,
    }
    defaults = {
        "image": {"tag": "", "repository": "r"},
        "webhook": {"rbac": {"create": True}, "port": 10250, "image": {"tag": ""}},
        "podAnnotations": {},
        "concurrent": 1,
    }
    after = {"image": {"tag": "", "repository": "r"}, "webhook": {"image": {"tag": ""}}, "podAnnotations": {}}
    cluster = live(spec={"store": "s"}, values=values, defaults=defaults)
    assert judged(cluster, stage("0.16.0", defaults=defaults), stage("0.20.3", defaults=after)) == [
        "image: value image.tag: is set: that image would go on running after each step",
        "image: value webhook.image.tag: is set: that image would go on running after each step",
        "values: value webhook.port: is not known to the chart of 0.20.3",
        "values: value webhook.rbac: is not known to the chart of 0.20.3",
    ]
    assert judged(cluster._replace(values={}), stage("0.20.3", defaults=after)) == []


@pytest.mark.parametrize(
    ("mark", "who"),
    [("argocd.argoproj.io/tracking-id", "Argo CD"), ("helm.toolkit.fluxcd.io/name", "Flux"), ("other", None)],
)
def test_a_gitops_controller_that_would_undo_it(mark, who):
    deployment = {"metadata": {"name": "external-secrets", "labels": {mark: "x"}}}
    expected = [f"owner: Deployment external-secrets: {who} applies it: upgrade ESO there"] if who else []
    assert judged(live(spec={"store": "s"}, deployment=deployment), stage()) == expected


def test_who_still_applies_the_old_version():
    def record(manager, version, **more):
        return {"manager": manager, "apiVersion": f"external-secrets.io/{version}", **more}

    fields = [
        record("kubectl-client-side-apply", "v1beta1"),
        record("external-secrets", "v1beta1"),
        record("argocd-controller", "v1"),
        record("odd", "v1beta1", subresource="status"),
    ]
    cluster = live(spec={"store": "s"}, metadata={"managedFields": fields})
    (said,) = checks.clients(cluster, [stage()])
    assert said.startswith("kubectl-client-side-apply last wrote 1 object(s) as external-secrets.io/v1beta1, such as")
    assert checks.clients(cluster, [stage(versions=("v1", "v1beta1"))]) == []


def test_a_value_that_takes_an_effect_on_the_way():
    values = {"rbac": {"serviceAccountTokenCreate": False, "create": True}, "concurrent": 8}
    before = {"rbac": {"create": True}, "concurrent": 1}
    after = {"rbac": {"create": True, "serviceAccountTokenCreate": True}, "concurrent": 1}
    cluster = live(spec={"store": "s"}, values=values, defaults=before, token_stores=["SecretStore team/s"])
    assert judged(cluster, stage("2.4.1", defaults=before)) == []
    assert judged(cluster, stage("2.4.1", defaults=before), stage("2.9.0", defaults=after)) == [
        "tokens: SecretStore team/s: value rbac.serviceAccountTokenCreate is false, which the chart of 2.9.0 is the "
        "first to know"
    ]
    assert checks.effective(cluster, [stage("2.4.1", defaults=before), stage("2.9.0", defaults=after)]) == [
        "the values of the release that take effect with 2.9.0: rbac.serviceAccountTokenCreate."
    ]


@pytest.mark.parametrize(
    ("limits", "value", "kept"),
    [
        ({"type": "object", "maxProperties": 1, "additionalProperties": True}, {"a": 1, "b": 2}, False),
        ({"type": "object", "minProperties": 1, "additionalProperties": True}, {"a": 1}, True),
        ({"type": "string", "minLength": 1}, "", False),
        ({"type": "string", "maxLength": 3}, CANARY, False),
        ({"type": "array", "minItems": 1}, [], False),
        ({"type": "array", "maxItems": 2}, [1, 2], True),
    ],
)
def test_limits_of_a_schema(limits, value, kept):
    found = schemas.violations({"spec": {"store": "s", "x": value}}, schema(x=limits))
    assert (found == set()) is kept and CANARY not in str(found)


def test_names_that_some_releases_can_not_make_a_finalizer_of():
    long = {"metadata": {"name": "n" * 60, "namespace": None}, "spec": {"store": "s"}}
    cluster = live("ClusterExternalSecret", **long)
    kind = "ClusterExternalSecret"
    found = judged(cluster, stage("0.16.0", kind), stage("0.20.4", kind), stage("2.14.0", kind))
    assert len(found) == 1 and "longer than 59 characters, of which 0.20.4 can't make a finalizer" in found[0]
    assert judged(cluster, stage("2.14.0", kind)) == [] == judged(cluster, stage("0.16.0", kind))
    assert (
        judged(live("ClusterExternalSecret", metadata={"name": "n" * 59}, spec={"store": "s"}), stage(kind=kind)) == []
    )
    assert judged(live(**long), stage()) == []


@pytest.mark.parametrize(
    ("text", "release", "stops"),
    [
        ('{{ if not .a }}{{ fail "no a" }}{{ end }}', "2.12.0", True),
        ('{{ fail "no a" }}', "2.11.0", False),
        ("what may fail: {{ .a }}, or fail", "2.14.0", False),
        ("{{ .failure }}", "2.14.0", False),
        # Any tenant may write this: it must not take long.
        ("{{ " + "fail " * 200_000, "2.14.0", False),
    ],
)
def test_fail_counts_within_braces(text, release, stops):
    found = judged(live(spec={"store": "s", "target": {"template": {"data": {"k": text}}}}), stage(release))
    assert found == ["functions: ExternalSecret team/x: its template calls fail, which 2.12.0 removed"] * stops


def test_a_repository_that_the_charts_left():
    old, new = "oci.example/eso", "ghcr.example/eso"
    defaults, later = ({"image": {"repository": one}, "webhook": {"image": {"repository": one}}} for one in (old, new))
    said = {"image": {"repository": old}, "webhook": {"image": {"repository": "mirror.example/eso"}}}
    found = judged(live(spec={"store": "s"}, values=said, defaults=defaults), stage("1.0.0", defaults=later))
    assert found == [
        f"image: value image.repository: is set to {old}, and the chart of 1.0.0 has left that for {new}: unset it, or "
        "accept this"
    ]
    assert judged(live(spec={"store": "s"}, defaults=defaults), stage("1.0.0", defaults=later)) == []
