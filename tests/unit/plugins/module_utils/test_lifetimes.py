# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a Secret has an end, and when."""

from __future__ import annotations

import base64
import datetime
import json

import pytest
import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils.lifetimes import ends, talos_roles
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

BEGIN = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
END = datetime.datetime(2031, 1, 1, tzinfo=datetime.timezone.utc)


def certificate(name="one", end=END):
    key, subject = ed25519.Ed25519PrivateKey.generate(), x509.Name.from_rfc4514_string(f"CN={name}")
    made = x509.CertificateBuilder(subject, subject, key.public_key(), 1, BEGIN, end).sign(key, None)
    return made.public_bytes(serialization.Encoding.PEM)


def token(claims):
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in ({"alg": "none"}, claims)]
    return b".".join([*parts, b"c2ln"])


def test_certificates_and_chains():
    later = END + datetime.timedelta(days=1)
    chain = b"text before\n" + certificate("later", later) + certificate()
    assert ends(chain) == [("certificate CN=one", END), ("certificate CN=later", later)]


def test_configurations_and_tokens():
    crt = base64.b64encode(certificate()).decode()
    talosconfig = yaml.safe_dump({"context": "a", "contexts": {"a": {"crt": crt}, "b": {"crt": "?"}, "c": None}})
    assert ends(talosconfig.encode()) == [("certificate CN=one", END)]
    jwt = token({"exp": END.timestamp()})
    users = [{"user": {"client-certificate-data": crt}}, {"user": {"token": jwt.decode()}}, "odd", {}]
    kubeconfig = yaml.safe_dump({"users": users, "contexts": []})
    assert ends(kubeconfig.encode()) == [("certificate CN=one", END), ("token", END)]
    assert ends(jwt + b"\n") == [("token", END)]


def test_the_roles_of_a_talosconfig():
    crt = base64.b64encode(certificate("x,O=os:reader,O=os:admin")).decode()
    talosconfig = yaml.safe_dump({"contexts": {"a": {"crt": crt}, "b": None}}).encode()
    assert talos_roles(talosconfig) == [(["os:admin", "os:reader"], END)]
    kubeconfig = yaml.safe_dump({"contexts": [], "users": [{"user": {"client-certificate-data": crt}}]})
    assert talos_roles(kubeconfig.encode()) == talos_roles(b"\xff") == talos_roles(b"contexts: [") == []


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"eyJ.a.b",
        b"eyJhbGciOiJub25lIn0.e30.c2ln",
        token({"exp": "soon"}),
        token({"exp": 1e300}),
        token([]),
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        b"-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----",
        b"contexts: [",
        b"contexts: {a: {crt: 5}}",
        b"- contexts:",
        b"contexts: 5\nusers: {}",
    ],
)
def test_what_has_no_end_is_no_error(value):
    assert ends(value) == []
