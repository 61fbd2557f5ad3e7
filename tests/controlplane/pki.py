# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate authority of a control plane, and the kubeconfigs that use it."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Pki:
    """The cluster's certificate authority and what it signs, as PEM files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._ca_key = ec.generate_private_key(ec.SECP256R1())
        self._ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "embedded-control-plane")])
        certificate = (
            self._builder(self._ca_name, self._ca_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(self._usage(sign_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._ca_key.public_key()), critical=False)
            .sign(self._ca_key, hashes.SHA256())
        )
        self._write("ca", certificate, self._ca_key)

    @staticmethod
    def _usage(sign_certificates: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=sign_certificates,
            crl_sign=sign_certificates,
            key_encipherment=False,
            content_commitment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=365))
        )

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        (self.folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.write_key(name, key)

    def write_key(self, name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
        path = self.folder / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
        )

    def issue(
        self, name: str, user: str, group: str | None = None, server: bool = False, addresses: tuple[str, ...] = ()
    ) -> None:
        """Sign a certificate for ``user`` (CN) in ``group`` (O); a server's also names loopback and ``addresses``."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if server else [])
        builder = (
            self._builder(x509.Name(attributes), key)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(self._usage(sign_certificates=False), critical=True)
            # Python 3.13 refuses certificates that don't name their issuer's key.
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), critical=False
            )
        )
        if server:
            names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName("kubernetes.default.svc")]
            names += [x509.IPAddress(ipaddress.ip_address(one)) for one in ("127.0.0.1", "10.0.0.1", *addresses)]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        self._write(name, builder.sign(self._ca_key, hashes.SHA256()), key)


def write_kubeconfig(
    path: Path,
    port: int,
    pki: Path,
    *,
    client: str | None = None,
    token: str | None = None,
    address: str = "127.0.0.1",
) -> None:
    """Write a kubeconfig (JSON is YAML) with a client certificate or a bearer token, mode 0600."""

    def b64(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    user: dict[str, str] = (
        {"token": token}
        if token
        else {"client-certificate-data": b64(f"{client}.crt"), "client-key-data": b64(f"{client}.key")}
    )
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "embedded",
                "cluster": {"server": f"https://{address}:{port}", "certificate-authority-data": b64("ca.crt")},
            }
        ],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": "user"}}],
        "current-context": "embedded",
    }
    staged = path.with_suffix(".tmp")
    staged.touch(mode=0o600)
    staged.write_text(json.dumps(document, indent=1))
    staged.replace(path)
