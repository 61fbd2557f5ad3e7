# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup values_file: read the values of the central store from a file that ansible-vault or sops encrypted."""

from __future__ import annotations

DOCUMENTATION = r"""
name: values_file
short_description: Read a YAML mapping from a file encrypted with ansible-vault or sops
version_added: 1.0.0
description:
  - Returns the mapping in a YAML file, decrypted with the vault passwords of the run, or by sops.
  - No error ever quotes the file's content.
author: platform.cluster_secrets contributors (@platform-cluster-secrets)
options:
  _terms:
    description: The path of the file, which is searched for as in other lookups, and finally in the current folder.
    required: true
  allow_plaintext:
    description: Whether to accept a file that is not encrypted.
    type: bool
    default: false
  encrypted_by:
    description: What the file is encrypted by. With V(sops), P(community.sops.sops#lookup) decrypts it.
    type: str
    choices: [ansible_vault, sops]
    default: ansible_vault
"""

EXAMPLES = r"""
- name: Seed the central store
  platform.cluster_secrets.central_secrets:
    catalog: "{{ cluster_secrets_catalog }}"
    values: "{{ lookup('platform.cluster_secrets.values_file', 'secrets.vault.yml') }}"
"""

RETURN = r"""
_raw:
  description: The mapping.
  type: list
  elements: dict
"""

import codecs
import datetime
import json
import os
from typing import Any, Callable

import yaml
from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.module_utils.common.text.converters import to_bytes
from ansible.parsing.vault import AnsibleVaultError, is_encrypted
from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase

from ..module_utils.errors import OWN_CATALOG
from ..plugin_utils.plain import VALUES, plain


class _Twice(ValueError):
    """A key that a mapping has twice, of which only the last would count."""


#: What takes the place of a key and is none, such as '<<'.
_NO_KEYS = ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Refuses a key that is there twice."""

    def construct_document(self, node: Any) -> Any:
        """See yaml.SafeLoader. A mapping that is merged into others gets their keys while it is made."""
        nodes, seen = [node], set()
        while nodes:
            one = nodes.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            if isinstance(one, yaml.MappingNode):
                keys = [key for key, _value in one.value if key.tag not in _NO_KEYS]
                _refuse_twice([self.construct_object(key) for key in keys if isinstance(key, yaml.ScalarNode)])
                nodes += [value for _key, value in one.value]
            elif isinstance(one, yaml.SequenceNode):
                nodes += one.value
        return super().construct_document(node)


def _refuse_twice(keys: list[Any]) -> None:
    """Raise _Twice for keys that are the same text."""
    seen: set[str] = set()
    for key in map(str, keys):
        if key in seen:
            raise _Twice(key)
        seen.add(key)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _refuse_twice([key for key, _value in pairs])
    return dict(pairs)


class _Inline(str):
    """A value that stood encrypted in a file that is not."""


def _parsed(text: bytes, decrypt: Callable[[bytes], bytes]) -> Any:
    """What YAML says. Thousands of values are read from JSON, which is YAML too, in no time.

    :arg decrypt: gives the text of a value with the tag !vault.
    """
    try:
        return json.loads(text, object_pairs_hook=_pairs)
    except _Twice:
        raise
    except (ValueError, RecursionError):
        pass

    class Loader(_Loader):
        """Knows this run's passwords."""

    for tag in ("!vault", "!vault-encrypted"):
        Loader.add_constructor(
            tag, lambda loader, node: _Inline(decrypt(str(node.value).encode("utf-8")).decode("utf-8"))
        )
    # No value of the file is a template.
    Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))
    # What an entry takes for binary data.
    Loader.add_constructor(
        "tag:yaml.org,2002:binary", lambda loader, node: {"base64": "".join(loader.construct_scalar(node).split())}
    )
    return yaml.load(text, Loader=Loader)


def _in_clear(value: Any) -> bool:
    """Whether a value, or one below it, stands in a file as it is."""
    if isinstance(value, dict):
        return any(map(_in_clear, value.values()))
    return not isinstance(value, _Inline)


class LookupModule(LookupBase):
    """Reads, decrypts and parses; see DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """One mapping for each path in ``terms``."""
        self.set_options(var_options=variables, direct=kwargs)
        return [self._read(variables, term) for term in terms]

    def _by_sops(self, variables: dict[str, Any] | None, path: str) -> bytes:
        sops = lookup_loader.get("community.sops.sops", loader=self._loader, templar=self._templar)
        if sops is None:
            raise AnsibleLookupError(
                "the values file '%s' is to be decrypted by sops, and the collection community.sops is missing. "
                "Install it with: ansible-galaxy collection install community.sops" % path
            )
        return to_bytes(sops.run([path], variables=variables)[0])

    def _read(self, variables: dict[str, Any] | None, term: str) -> dict[str, Any]:
        by_sops = self.get_option("encrypted_by") == "sops"
        path = (
            term
            if os.path.isabs(term)
            else self.find_file_in_search_path(variables, "files", term, ignore_missing=True)
            # A playbook of a collection is searched for beside the collection, and people are elsewhere.
            or os.path.abspath(term)
        )
        if not path or not os.path.exists(path):
            create = "sops edit" if by_sops else "ansible-vault create"
            raise AnsibleLookupError(
                "the values file '%s' does not exist. Create it with: %s %s. %s" % (term, create, term, OWN_CATALOG)
            )
        if by_sops:
            return self._mapping(self._by_sops(variables, path), path, "sops edit", False)
        with open(path, "rb") as handle:
            # An editor may begin a file with a mark, or an empty line.
            content = handle.read().removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")
        inline = not is_encrypted(content) and b"!vault" in content
        if not is_encrypted(content):
            if not inline and not self.get_option("allow_plaintext"):
                raise AnsibleLookupError(
                    "the values file '%s' is not encrypted. Encrypt it with: ansible-vault encrypt %s" % (path, path)
                )
            text = content
        else:
            text = self._decrypt(content, path)
        return self._mapping(text, path, "ansible-vault edit", inline)

    def _mapping(self, text: bytes, path: str, edit: str, inline: bool) -> dict[str, Any]:
        """What a file's text says.

        :arg edit: what corrects it; :arg inline: whether its values are encrypted one by one.
        """
        try:
            # AnsibleLoader would let the file run templates and keep the text for its messages.
            values = _parsed(text, lambda secret: self._decrypt(secret, path))
        except _Twice as error:
            raise AnsibleLookupError(
                "the values file '%s' has the key '%s' twice, of which the last would count. Correct it with: "
                "%s %s" % (path, error, edit, path)
            ) from None
        # A scalar that is none of its type quotes itself.
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            where = " (line %d, column %d)" % (mark.line + 1, mark.column + 1) if mark else ""
            raise AnsibleLookupError(
                "the values file '%s' is not valid YAML%s. Correct it with: %s %s" % (path, where, edit, path)
            ) from None
        if not isinstance(values, dict):
            raise AnsibleLookupError(
                "the values file '%s' must hold a mapping of sources. Correct it with: %s %s" % (path, edit, path)
            )
        for source, keys in values.items():
            for key, value in keys.items() if isinstance(keys, dict) else ():
                if inline and not self.get_option("allow_plaintext") and _in_clear(value):
                    raise AnsibleLookupError(
                        "the values file '%s': source '%s': the value of '%s' is not encrypted, as others in it are. "
                        "Encrypt it with ansible-vault encrypt_string, or the whole file: ansible-vault encrypt %s"
                        % (path, source, key, path)
                    )
                if isinstance(value, datetime.date):
                    # Ansible would make a text of it, and another than what is written there.
                    raise AnsibleLookupError(
                        "the values file '%s': source '%s': the value of '%s' must be a string, not a date. Put it in "
                        "quotes: %s %s" % (path, source, key, edit, path)
                    )
        mapping: dict[str, Any] = plain(values, VALUES)
        return mapping

    def _decrypt(self, content: bytes, path: str) -> bytes:
        vault = getattr(self._loader, "_vault", None)
        if vault is None or not getattr(vault, "secrets", None):
            hint = "Use --vault-password-file or --ask-vault-pass."
            raise AnsibleLookupError(
                "the values file '%s' is encrypted, and no vault password was given. %s" % (path, hint)
            )
        try:
            return vault.decrypt(to_bytes(content))
        except (AnsibleVaultError, AnsibleError):
            raise AnsibleLookupError(
                "the values file '%s' can't be decrypted: the vault password is wrong." % path
            ) from None
