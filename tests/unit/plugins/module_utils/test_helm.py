# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which helm kubernetes.core can drive."""

from __future__ import annotations

import pytest
from ansible_collections.platform.cluster_secrets.plugins.module_utils import helm


@pytest.mark.parametrize(
    ("version", "driver", "refused"),
    [
        ("v4.3.2", "6.4.0", True),
        ("v4.0.1+g12", "6.2.0", True),
        ("v4.3.2", "6.5.0", False),
        ("v4.3.2", "10.0.0", False),
        ("v3.19.0", "6.2.0", False),
        ("something else", "6.2.0", False),
        ("v4.3.2", "", False),
    ],
)
def test_what_can_not_be_driven_is_refused(version, driver, refused):
    said = helm.refusal("/bin/helm", helm.parsed(version), helm.parsed(driver))
    assert (said is not None) is refused
    assert said is None or ("kubernetes.core 6.5 or newer" in said and driver in said and "Nothing was changed" in said)
