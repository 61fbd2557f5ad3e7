# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated values for the catalog's sources, and the ansible-vault file that holds them."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519


def generate(canary: str = "") -> dict[str, dict[str, str]]:
    """A value for each key of each default source. ``canary`` is put into every one of them.

    The values hold what makes quoting go wrong: quotes, backslashes, braces, ``<&>``, line breaks
    and text that is not ASCII.
    """

    def token(prefix: str = "", odd: str = "") -> str:
        return f"{prefix}{canary}{secrets.token_hex(16)}{odd}"

    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return {
        "github-pat": {"username": token("robot-"), "token": token("ghp_", '"<&>\\')},
        "github-oauth": {"client-id": token("Iv1."), "client-secret": token("", "{{ .x }}"), "token": token("gho_")},
        "kargo-admin-credentials": {"password-hash": token("$2a$10$"), "token-signing-key": token("", "é€")},
        "cloudflare-api-token": {"api-token": token()},
        "code-server-ssh-key": {"ssh-privatekey": key.decode() + (f"# {canary}\n" if canary else "")},
        "market-making-kucoin-credentials": {
            "api-key": token(),
            "api-secret": token("", "'\"`$(x)"),
            "api-passphrase": token("", " {% x %}"),
        },
    }


def write_vault(values: object, path: Path, password_file: Path) -> None:
    """Encrypt ``values`` into ``path``; the plain text only goes through a pipe."""
    if not password_file.exists():
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(24) + "\n")
    text = yaml.safe_dump(values, allow_unicode=True)
    path.unlink(missing_ok=True)
    subprocess.run(
        ["ansible-vault", "encrypt", "--vault-password-file", str(password_file), "--output", str(path), "-"],
        input=text,
        text=True,
        check=True,
        capture_output=True,
        env={**os.environ, "ANSIBLE_VAULT_PASSWORD_FILE": ""},
    )


def read_vault(path: Path, password_file: Path) -> object:
    """What an encrypted YAML file holds."""
    done = subprocess.run(
        ["ansible-vault", "view", "--vault-password-file", str(password_file), str(path)],
        text=True,
        check=True,
        capture_output=True,
        env={**os.environ, "ANSIBLE_VAULT_PASSWORD_FILE": "", "PAGER": "cat"},
    )
    return yaml.safe_load(done.stdout)
