# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What forked workers share."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils.shared import Shared

FORK = multiprocessing.get_context("fork")


def test_the_first_of_many_workers_looks_up_for_all(tmp_path):
    shared = Shared(4096)

    def look_up():
        with (tmp_path / "count").open("a") as count:
            count.write("once\n")
        time.sleep(0.05)
        return {"é": [1, None]}

    def work():
        assert shared.once(["lookup", {"a": 1}], look_up) == {"é": [1, None]}

    workers = [FORK.Process(target=work) for _number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 8 and (tmp_path / "count").read_text() == "once\n"
    assert shared.once(["lookup", {"a": 2}], lambda: "other") == "other"


def test_an_error_is_not_kept_and_a_killed_worker_blocks_nobody():
    shared = Shared(4096)

    def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        shared.once("key", fail)

    def hang():
        shared.once("key", lambda: os.kill(os.getpid(), signal.SIGKILL))

    worker = FORK.Process(target=hang)
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    assert shared.once("key", lambda: "value") == "value" == shared.once("key", fail)


def test_what_does_not_fit_is_looked_up_again():
    shared = Shared(64)
    assert shared.once("key", lambda: "x" * 100) == "x" * 100
    assert shared.once("key", lambda: "y") == "y"
