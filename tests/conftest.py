# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests need first: Ansible's own importer of collections, before anything of one is imported."""

from __future__ import annotations

import os

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader([os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").split(":")[0]])
