# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of a task, templated without a visit of Ansible's to each text that holds no template.

Ansible wraps, audits and copies each item of an argument, which takes it seconds and hundreds of MiB for thousands of
catalog entries. Nearly all of them are plain data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .plain import PlainDict, PlainList, key_of, plain

try:
    # Since ansible-core 2.19, the first that lets an action template its own arguments.
    from ansible.errors import AnsibleValueOmittedError
    from ansible.template import is_trusted_as_template
except ImportError:  # an older one never gets here
    AnsibleValueOmittedError = None
    is_trusted_as_template = None

#: What every template has, an invalid one too.
_TEMPLATE = re.compile(r"\{[{%#]|\A#jinja2:")


def resolved(value: Any, engine: Any, name: str = "") -> Any:
    """What the engine's ``template(value)`` returns, as JSON has it when it is a mapping or a list.

    :arg engine: Ansible's TemplateEngine; :arg name: the argument's. :raises AnsibleError: as it does.
    """
    container = engine.resolve_to_container(value)
    if not isinstance(container, (Mapping, list, tuple)):
        return container
    try:
        walked = _walked(container, engine, (name,))
        return PlainDict(walked) if isinstance(walked, dict) else PlainList(walked)
    except AnsibleValueOmittedError:
        # Something within is to be left out, which only the whole knows how to do.
        return plain(engine.template(value), (name,))


def _walked(value: Any, engine: Any, where: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        if _TEMPLATE.search(value) and is_trusted_as_template(value):
            return plain(engine.template(value), where)
        return str(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    # What Ansible has wrapped knows itself how it is to be templated; so does everything else that is not plain data.
    if not hasattr(value, "_lazy_options"):
        if isinstance(value, dict):
            return {key_of(key, where): _walked(item, engine, (*where, str(key))) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [_walked(item, engine, where) for item in value]
    return plain(engine.template(value), where)
