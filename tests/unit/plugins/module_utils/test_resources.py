# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came from a cluster can't rule a terminal."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import errors, module
from ansible_collections.platform.cluster_secrets.plugins.module_utils.resources import printable


@pytest.mark.parametrize("text", ["plain", "two\nlines\tand a tab", "é ü ß 漢字 😀", ""])
def test_text_stays(text):
    assert printable(text) == text


@pytest.mark.parametrize("evil", ["\x1b[2J", "\x07", "\r", "\x9b", "\u202e", "\u2028", "\u200b", "\x00", "\x7f"])
def test_what_rules_a_terminal_goes_from_errors_warnings_and_results(evil):
    said = []
    context = module.Context({}, False, False, said.append)

    def fails(own):
        own.warn("warned %s of it" % evil)
        raise errors.NotReady("failed %s so" % evil)

    result = module.outcome(fails, context)
    assert evil not in result["msg"] and "failed \ufffd" in result["msg"] and evil not in said[0]
    found = module.outcome(lambda _own: {"changed": False, "rows": [{"a": ["x%sy" % evil]}]}, context)
    assert evil not in found["rows"][0]["a"][0]
