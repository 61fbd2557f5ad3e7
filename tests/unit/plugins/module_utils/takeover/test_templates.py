# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Go templates: what the catalog can say, and what it can not."""

from __future__ import annotations

import time

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils.takeover.templates import Inexpressible, parse

KEYS = {"user": "u", "pass": "p", "tls.crt": "tls.crt"}
SOURCE = {"u": b"me", "p": b"p{w}", "tls.crt": b"cert"}


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
    ],
)
def test_what_can_be_said(template, rendered):
    assert parse(template, KEYS).render(SOURCE) == rendered


@pytest.mark.parametrize(
    "template",
    [
        "{{ .other }}",
        "{{ .user | upper }}",
        "{{ if .user }}x{{ end }}",
        "{{ .user | b64enc | b64enc }}",
        '{{ printf "%d" .user }}',
        '{{ printf "%s" .user }}',
        "{{ fromJson .user }}",
        "{{ .user",
        "{{ }}",
        "{{ .user .pass }}",
        '{{ "\\x41" }}',
        "{{/* comment */}}",
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
        parse(template, {"a": "a"})
    assert time.monotonic() - began < 1


def test_a_long_template_is_read_in_time():
    began = time.monotonic()
    assert parse("x {{ .a }}" * 4000, {"a": "a"})
    assert time.monotonic() - began < 2
