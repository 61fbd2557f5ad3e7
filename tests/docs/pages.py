# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of made-up clusters, for the tests and for the pictures in docs/images (``make screenshots``)."""

from __future__ import annotations

import datetime
import shutil
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils.audit.life import End, Life
from ansible_collections.platform.cluster_secrets.plugins.module_utils.findings import (
    ROTATE,
    Finding,
    Fix,
    playbook,
    rotation,
)
from ansible_collections.platform.cluster_secrets.plugins.module_utils.fleet import Fleet
from ansible_collections.platform.cluster_secrets.plugins.module_utils.report import page, text
from ansible_collections.platform.cluster_secrets.plugins.plugin_utils import screen

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs/images"
NOW = datetime.datetime(2026, 11, 26, 3, 12, tzinfo=datetime.timezone.utc)
PLACE = {"server": "https://10.0.0.2:6443", "context": "admin@production"}


def _entries() -> list[dict[str, Any]]:
    defaults = yaml.safe_load((ROOT / "roles/catalog/defaults/main.yml").read_text())
    return [entry for entry in defaults["cluster_secrets_catalog"] if entry["name"] != "talos-config"]


def rows(extra: int = 0) -> list[dict[str, Any]]:
    """The pairs of the default catalog, one of them stale and one unlabelled, and those of ``extra`` namespaces."""
    found = []
    for entry in _entries():
        names = [*entry["namespaces"], *(f"team-{number:03}" for number in range(extra))]
        for namespace in names:
            status, message = "synced", ""
            if (namespace, entry["name"]) == ("backstage", "github-oauth-credentials"):
                status, message = "stale", "it does not hold the source's current value"
            if (namespace, entry["name"]) == ("n8n", "application-docker-registry"):
                status, message = "unlabelled", "the namespace does not carry secrets/gh-docker-registry=true"
            cloudflare = entry["name"] == "cloudflare-api-token"
            found.append(
                {
                    "namespace": namespace,
                    "secret": entry.get("target", entry["name"]),
                    "source": entry["source"],
                    "status": status,
                    "synced": status == "synced",
                    "message": message,
                    "value_age": 86400 * (120 if entry["source"] == "github-pat" else 12),
                    "value_ends": "2026-12-01T00:00:00Z" if cloudflare else None,
                    "owner": "team-platform",
                    "consumers": [f"Deployment {namespace}/{namespace}"],
                    "old_consumers": [f"Deployment {namespace}/{namespace}"] if namespace == "market-making" else [],
                }
            )
    return sorted(found, key=lambda row: (row["namespace"], row["secret"]))


def findings() -> list[Finding]:
    """What an audit found."""
    store = "central-secret-store"
    return [
        Finding(
            "error",
            "stale",
            "backstage",
            "gh-oauth",
            "it does not hold the source's current value",
            ROTATE,
        ),
        Finding(
            "warning",
            "rotation-due",
            store,
            "github-pat",
            "its value is 120 days old, and is to be rotated after 90 (owner: team-platform)",
            rotation("Give it a new value, then", "github-pat"),
        ),
        Finding(
            "warning",
            "old-value",
            "market-making",
            "Deployment market-making",
            "runs with an older value of gh-oauth",
            playbook("rotate", "Restart it, or let rotate do so", rotate_restart="restart"),
        ),
        Finding(
            "error",
            "vulnerable-eso",
            "external-secrets",
            "CVE-2026-42876",
            "ESO 2.4.0: an ExternalSecret's template makes a ServiceAccount token "
            "(https://github.com/external-secrets/external-secrets/security/advisories/GHSA-fq7h-9x2w-8f9p)",
            playbook("eso_upgrade", "Upgrade to 2.4.1 or newer"),
        ),
        Finding(
            "info", "unused-target", "ai-dev", "gh-docker-registry-creds", "nothing names it", Fix("see the guide")
        ),
    ]


def audit(extra: int = 0) -> str:
    """The page of an audit."""
    lives = {}
    for entry in _entries():
        source = entry["source"]
        age = datetime.timedelta(days=120 if source == "github-pat" else 12)
        days = {"cloudflare-api-token": 5, "code-server-ssh-key": -3}.get(source)
        ends = (End(NOW + datetime.timedelta(days=days), "api-token", "token"),) if days else ()
        after = 90 if source == "github-pat" else None
        lives[source] = Life(source, NOW - age, ends, after, "team-platform", "")
    return page.audit_page(rows(extra), findings(), NOW, lives, True, PLACE)


def status(extra: int = 0) -> str:
    """The page of a status."""
    return page.status_page(rows(extra), NOW, True, PLACE)


def fleet(clusters: int = 12, namespaces: int = 40) -> str:
    """The page of a fleet, one cluster of which was not reached."""
    results: dict[str, Any] = {}
    for cluster in range(clusters):
        name = f"cluster-{cluster:02}"
        results[name] = {
            "rows": [
                {
                    "namespace": f"team-{number:03}",
                    "secret": secret,
                    "status": "stale" if (cluster * number) % 97 == 3 else "synced",
                    "message": "it does not hold the source's current value" if (cluster * number) % 97 == 3 else "",
                }
                for number in range(namespaces)
                for secret in ("gh-oauth", "git-credentials")
            ]
        }
    results["cluster-99"] = {"msg": "cannot reach the API server"}
    return page.fleet_page(Fleet(results), "2026-11-26 03:12 UTC")


def terminal(columns: int) -> str:
    """The same audit on a terminal of so many columns, as a page."""
    command = "$ ansible-playbook platform.cluster_secrets.audit"
    lines = [(command, None), (f"Cluster: {text.place_text(PLACE)}", None)]
    lines += screen.painted(text.findings_table(findings()), columns)
    shown = "\n".join(f'<span class="{color or ""}">{escape(line)}</span>' for line, color in lines)
    style = (
        "body{margin:0;background:#15171a}pre{font:14px/1.4 monospace;margin:1rem;color:#e6e8eb;width:%dch;" % columns
    )
    # A terminal breaks what is longer wherever its width ends.
    style += "white-space:pre-wrap;word-break:break-all}"
    return f"<style>{style}.red{{color:#ffb4ab}}.yellow{{color:#ffc27a}}</style><pre>{shown}</pre>"


def framed(page_text: str, width: int, height: int) -> str:
    """A page as it is on a screen that is narrower than any window of Chromium."""
    style = f"width:{width}px;height:{height}px;border:0"
    return f'<body style="margin:0"><iframe style="{style}" srcdoc="{escape(page_text)}"></iframe>'


class Picture(NamedTuple):
    """A picture: its name, the page, the size in pixels, and whether its reader prefers light colours."""

    name: str
    text: str
    width: int
    height: int
    light: bool = True


def pictures() -> list[Picture]:
    """All of docs/images. Chromium's windows are 500 pixels wide at least."""
    return [
        Picture("audit", audit(), 1280, 900),
        Picture("audit-390", framed(audit(), 390, 1200), 500, 1200),
        Picture("status-dark", status(), 1280, 900, False),
        Picture("fleet", fleet(), 1280, 900),
        Picture("fleet-390", framed(fleet(), 390, 1200), 500, 1200),
        Picture("terminal-80", terminal(80), 720, 560),
        Picture("terminal-140", terminal(140), 1220, 340),
    ]


def main() -> None:
    """Take the pictures, in a real Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        sys.exit("install chromium (make browser)")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for one in pictures():
            source = Path(folder, f"{one.name}.html")
            source.write_text(one.text)
            flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"]
            flags += ["--hide-scrollbars", f"--blink-settings=preferredColorScheme={int(one.light)}"]
            flags += [f"--window-size={one.width},{one.height}", f"--screenshot={IMAGES / one.name}.png"]
            subprocess.run([program, *flags, source.as_uri()], check=True, capture_output=True, timeout=60)
            print(f"wrote {IMAGES / one.name}.png")


if __name__ == "__main__":
    main()
