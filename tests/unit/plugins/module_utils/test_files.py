# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are written whole, and what is no file, or a link to one, stays what it is."""

from __future__ import annotations

import os
import threading

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import errors, files


def test_a_link_stays_and_its_file_is_written(tmp_path):
    place, link = tmp_path / "place", tmp_path / "link"
    place.write_text("old")
    link.symlink_to(place)
    files.write(str(link), "new", "report")
    assert link.is_symlink() and place.read_text() == "new"
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "later")
    files.write(str(dangling), "new", "report")
    assert dangling.is_symlink() and (tmp_path / "later").read_text() == "new"


def test_a_device_and_a_pipe_are_written_to(tmp_path):
    files.write("/dev/null", "gone", "report")
    assert not os.path.isfile("/dev/null") and os.path.exists("/dev/null")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    files.write(str(pipe), "through", "report")
    reader.join(5)
    assert read == ["through"] and not pipe.is_file()


def test_a_folder_is_an_error_of_one_sentence(tmp_path):
    with pytest.raises(errors.FileError, match="cannot write the report"):
        files.write(str(tmp_path), "text", "report")
