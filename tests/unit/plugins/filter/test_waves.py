# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many clusters go at a time, however it was given."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.platform.cluster_secrets.plugins.filter.waves import waves


@pytest.mark.parametrize(
    "given", [[1, "100%"], ["1", "100%"], '[1, "100%"]', "1,100%", "1, 100%", (1, "100%")], ids=repr
)
def test_a_list_however_it_was_given(given):
    assert waves(given) == ["1", "100%"]


def test_one_number():
    assert waves(2) == waves("2") == ["2"]


@pytest.mark.parametrize("given", ["", "abc", "0", 0, -1, "[1,", [], {"a": 1}, None, True, "1,,x", "50 %"], ids=repr)
def test_anything_else_is_named(given):
    with pytest.raises(AnsibleFilterError, match="cluster_secrets_serial can't be"):
        waves(given)
