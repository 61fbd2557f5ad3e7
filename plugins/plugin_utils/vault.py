# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-vault with the passwords of the run."""

from __future__ import annotations

import hmac
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.module_utils.common.text.converters import to_bytes
from ansible.parsing.vault import AnsibleVaultError, PromptVaultSecret, VaultLib, is_encrypted, match_encrypt_secret

from ..module_utils.errors import FileError

_NO_PASSWORD = "no vault password was given. Use --vault-password-file or --ask-vault-pass."


class RunVault:
    """Encrypts and decrypts files.

    :arg loader: Ansible's DataLoader, which knows the passwords.
    """

    def __init__(self, loader: Any) -> None:
        self._vault: VaultLib | None = getattr(loader, "_vault", None)

    def encrypt(self, text: str, what: str) -> str:
        """The text, encrypted. Raises FileError naming ``what`` when the run has no vault password."""
        vault, secrets = self._vault, self._vault.secrets if self._vault is not None else None
        if vault is None or not secrets:
            raise FileError("the %s can't be encrypted: %s" % (what, _NO_PASSWORD))
        try:
            chosen, secret = match_encrypt_secret(secrets, encrypt_vault_id=C.DEFAULT_VAULT_ENCRYPT_IDENTITY)
        except AnsibleVaultError as error:
            raise FileError("the %s can't be encrypted: %s" % (what, error)) from None
        return vault.encrypt(to_bytes(text), secret=secret, vault_id=chosen).decode("ascii")

    def is_typed(self) -> bool:
        """Whether the password that encrypts was typed for this run."""
        return isinstance(self._encrypting(), PromptVaultSecret)

    def confirm(self, again: str) -> None:
        """Raise FileError unless the password that encrypts is what was typed again."""
        secret = self._encrypting()
        if secret is None or not hmac.compare_digest(bytes(secret.bytes), to_bytes(again).strip()):
            raise FileError("the two vault passwords that were typed differ. Nothing was written; run this again.")

    def _encrypting(self) -> Any:
        """The password that encrypts; None where there is none, or where it isn't clear which."""
        secrets = self._vault.secrets if self._vault is not None else None
        try:
            chosen = match_encrypt_secret(secrets or [], encrypt_vault_id=C.DEFAULT_VAULT_ENCRYPT_IDENTITY)
        except AnsibleVaultError:
            return None
        return chosen[1] if chosen else None

    def decrypt(self, content: bytes, what: str) -> str:
        """The text of an encrypted file's content. Raises FileError naming ``what``."""
        if not is_encrypted(content):
            raise FileError("the %s is not encrypted with ansible-vault." % what)
        if self._vault is None or not self._vault.secrets:
            raise FileError("the %s is encrypted, and %s" % (what, _NO_PASSWORD))
        try:
            return self._vault.decrypt(content).decode("utf-8")
        except (AnsibleError, UnicodeDecodeError):
            raise FileError("the %s can't be decrypted: the vault password is wrong." % what) from None
