# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx settings of the documentation site; ``make docs`` builds it."""

from __future__ import annotations

project = "platform.cluster_secrets"
copyright = "2026, platform.cluster_secrets contributors"
html_title = "platform.cluster_secrets"
html_theme = "sphinx_ansible_theme"
html_theme_options = {"vcs_pageview_mode": "blob", "documentation_home_url": "index.html"}
html_show_sphinx = False
extensions = ["sphinx_antsibull_ext", "myst_parser"]
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
myst_heading_anchors = 3
# Links between the Markdown notes and the README work where these are read as files, too.
suppress_warnings = ["myst.xref_missing"]
default_role = "any"
nitpicky = False
