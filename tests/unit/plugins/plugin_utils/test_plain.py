# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values without Ansible's marks."""

from __future__ import annotations

import yaml
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils.plain import plain


class Marked(str):
    """As ansible-core before 2.19 marks a text: str() keeps the mark."""

    def __str__(self):
        return self


def test_a_mark_goes():
    found = plain({Marked("key"): [Marked("text"), 1, None, True]})
    assert found == {"key": ["text", 1, None, True]} and type(found["key"][0]) is str
    assert [type(key) for key in found] == [str] and yaml.safe_dump(found)
