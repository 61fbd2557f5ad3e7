# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments are what Ansible's own templating makes of them, whatever way they come."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils import arguments
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils.plain import PlainDict, PlainList, plain

template = pytest.importorskip("ansible.template")
if not hasattr(template, "trust_as_template"):
    pytest.skip("this ansible-core templates all arguments itself", allow_module_level=True)

from ansible.parsing.vault import EncryptedString, VaultSecretsContext  # new in 2.19 too


def trusted(value):
    """``value`` as Ansible reads it from a play, where each text may be a template."""
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return template.trust_as_template(value) if isinstance(value, str) else value


@pytest.fixture
def engine(monkeypatch):
    loader = DataLoader()
    password = [("default", VaultSecret(b"password"))]
    encrypted = VaultLib(password).encrypt("hunter2").decode()
    entry = {"name": "a", "namespaces": ["x", "{{ other }}"], "enabled": "{{ flag }}", "data": {"K": "k{{ '}}' }}"}}
    variables = trusted(
        {
            "other": "y",
            "flag": False,
            "number": 7,
            "catalog": [entry, {"name": "b", "namespaces": "{{ names }}", "rotate_after": 90}],
            "names": ["n1", "n2"],
            "chain": "{{ chained }}",
            "chained": "{{ catalog }}",
            "more": [{"name": "c", "labels": {"{{ other }}": "{{ number }}"}, "text": None, "share": 1.5}],
            "undefined_inside": [{"name": "{{ nowhere }}"}],
            "left_out": [{"name": "a", "label": "{{ omit }}"}, "{{ omit }}"],
            "header": ["#jinja2:variable_start_string:'[[',variable_end_string:']]'\n[[ other ]]"],
            "broken": [{"name": "{{ other"}],
        }
    )
    # What a lookup or a filter brings is data, whatever it looks like.
    variables["untrusted"] = {"a": "{{ other }}", "b": ["{% x %}", "{# y #}"]}
    variables["vaulted"] = {"token": EncryptedString(ciphertext=encrypted)}
    monkeypatch.setattr(VaultSecretsContext, "_current", VaultSecretsContext(password))
    return template.Templar(loader=loader, variables=variables)._engine


SHAPES = [
    "{{ catalog }}",
    "{{ chain }}",
    "{{ catalog + more }}",
    "{{ catalog | list }}",
    "{{ catalog | selectattr('name', 'equalto', 'a') }}",
    "{{ more | map('combine', {'owner': other}) | list }}",
    "{{ untrusted }}",
    "{{ [untrusted, other] }}",
    "{{ untrusted | dict2items }}",
    "{{ vaulted }}",
    "{{ left_out }}",
    "{{ header }}",
    "{{ lookup('ansible.builtin.vars', 'chain') }}",
    '{{ \'[{"name": "{{ other }}"}]\' | from_json }}',
    "{{ number }}",
    "{{ flag }}",
    "text {{ other }}",
    "no template",
    [],
    {},
    7,
    None,
    ["{{ other }}", {"{{ other }}": "{{ catalog }}"}, ["{{ names }}"]],
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_what_ansible_makes_of_it(engine, shape):
    expected = plain(engine.template(trusted(shape)))
    found = arguments.resolved(trusted(shape), engine)
    assert found == expected and json.dumps(found) == json.dumps(expected)
    if isinstance(found, (dict, list)):
        assert all(type(item) in (dict, list, str, int, float, bool, type(None)) for item in items(found))


def items(value):
    """All that is in a container, at any depth."""
    for item in [*value, *value.values()] if isinstance(value, dict) else value:
        yield item
        if isinstance(item, (dict, list)):
            yield from items(item)


@pytest.mark.parametrize("shape", ["{{ undefined_inside }}", "{{ broken }}", "{{ nowhere }}"])
def test_it_fails_where_ansible_does(engine, shape):
    with pytest.raises(AnsibleError) as theirs:
        engine.template(trusted(shape))
    with pytest.raises(AnsibleError) as ours:
        arguments.resolved(trusted(shape), engine)
    assert type(ours.value) is type(theirs.value)


def test_what_is_left_out_as_a_whole_is_left_out(engine):
    with pytest.raises(arguments.AnsibleValueOmittedError):
        arguments.resolved(trusted("{{ omit }}"), engine)


def test_a_plain_argument_is_its_own_copy():
    given = PlainDict({"a": [1]})
    assert plain(given) is given and deepcopy({"values": given})["values"] is given
    entries = PlainList([{"name": "a"}])
    assert plain(entries) is entries and deepcopy({"catalog": entries})["catalog"] is entries
