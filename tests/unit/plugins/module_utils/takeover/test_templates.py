# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Go templates: what the catalog can say, and what it can not."""

from __future__ import annotations

import time

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.catalog.pieces import Reference, decoded
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover.templates import Inexpressible, parse

KEYS = {name: Reference("", key) for name, key in (("user", "u"), ("pass", "p"), ("tls.crt", "tls.crt"), ("enc", "e"))}
SOURCE = {"u": b"me", "p": b"p{w}", "tls.crt": b"cert", "e": b"cGxhaW4="}


def look_up(reference):
    return decoded(SOURCE[reference.key], reference.decoding)


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("plain", b"plain"),
        ("{{ .user }}", b"me"),
        ("{{.user}}:{{ $.pass }}", b"me:p{w}"),
        ("a {{- .user -}} b", b"ameb"),
        ('{{ index . "tls.crt" }}', b"cert"),
        ("{{ index . `tls.crt` | toString }}", b"cert"),
        ("{{ .user | b64enc }}", b"bWU="),
        ("{{ b64enc .user }}", b"bWU="),
        ('{{ printf "%s:%s" .user .pass | b64enc }}', b"bWU6cHt3fQ=="),
        ('{{ (printf "%s:%s" .user .pass) | b64enc }}', b"bWU6cHt3fQ=="),
        ("{{ .user | toJson }}", b'"me"'),
        ('{{ "{{ .evil }} }}" }}{{ .user }}', b"{{ .evil }} }}me"),
        ("", b""),
        ("{{/* a comment */}}x", b"x"),
        ('{{ printf "%s" .user }}', b"me"),
        ('{{ printf "https://%s@%v/100%%" .user "host" }}', b"https://me@host/100%"),
        ('{{ printf "robot:%s" .pass | b64enc }}', b"cm9ib3Q6cHt3fQ=="),
        ('{{ "robot:x" | b64enc }}', b"cm9ib3Q6eA=="),
        ("{{ .enc | b64dec }}", b"plain"),
        ("{{ .pass | urlquery }}", b"p%7Bw%7D"),
        ("{{ .user | quote }}", b'"me"'),
        ("{{ quote .user }}", b'"me"'),
        ("{{ .user | squote }}", b"'me'"),
        ("{{ .user | trim }}", b"me"),
        ('{{ index $ "tls.crt" }}', b"cert"),
    ],
)
def test_what_can_be_said(template, rendered):
    assert parse(template, KEYS).render(look_up) == rendered


@pytest.mark.parametrize(
    "template",
    [
        "{{ .other }}",
        "{{ .user | upper }}",
        "{{ if .user }}x{{ end }}",
        "{{ .user | b64enc | b64enc }}",
        '{{ printf "%d" .user }}',
        "{{ fromJson .user }}",
        "{{ .user",
        "{{ }}",
        "{{ .user .pass }}",
        '{{ "\\x41" }}',
        '{{ printf "%s%s" .user .pass | b64enc }}',
        "{{ .user | quote | b64enc }}",
        "{{ .enc | b64dec | b64enc }}",
        "{{ .enc | b64dec | toJson }}",
        "{{ .enc | b64dec | b64dec }}",
        '{{ printf "%s:%s" .user }}',
        "{{ range . }}{{ end }}",
    ],
)
def test_what_can_not(template):
    with pytest.raises(Inexpressible):
        parse(template, KEYS)


@pytest.mark.parametrize(
    "template",
    ["{{ " * 8000, "{{ .a " * 4000, '{{ "' * 6000, "{{ " + "(" * 20000 + " }}", "{{ " + "b64enc " * 4000 + ".a }}"],
    ids=["open", "names", "quotes", "parentheses", "functions"],
)
def test_what_a_tenant_makes_long_is_refused_at_once(template):
    began = time.monotonic()
    with pytest.raises(Inexpressible):
        parse(template, {"a": Reference("", "a")})
    assert time.monotonic() - began < 1


def test_a_long_template_is_read_in_time():
    began = time.monotonic()
    assert parse("x {{ .a }}" * 4000, {"a": Reference("", "a")})
    assert time.monotonic() - began < 2
