# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what the collection knows of ESO's vulnerabilities with what osv.dev and GitHub know: ``make advisories``.

It names each record that is not known, and each whose first fixed release is another one, and ends with 1 if there is
any, with 2 if one of them is out of reach. What doesn't concern the collection goes into IGNORED, with the reason.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from typing import Any, NamedTuple

from ansible_collections.platform.cluster_secrets.plugins.module_utils import advisories

MODULE = "github.com/external-secrets/external-secrets"
OSV = "https://api.osv.dev/v1/query"
GITHUB = (
    "https://api.github.com/repos/external-secrets/external-secrets/security-advisories?state=published&per_page=100"
)

#: Number of a record -> why it doesn't concern a cluster that distributes Secrets through the Kubernetes provider.
IGNORED: dict[str, str] = {}


class Record(NamedTuple):
    """One vulnerability as a database has it: its numbers, the first releases that have it and that have the fix, what
    it is. A database may not say since when."""

    numbers: frozenset[str]
    since: tuple[advisories.Number, ...]
    fixed: tuple[advisories.Number, ...]
    what: str


def of_osv(answer: dict[str, Any]) -> list[Record]:
    """The records of osv.dev's answer that were not withdrawn."""
    found = []
    for one in answer.get("vulns") or []:
        if one.get("withdrawn"):
            continue
        events = [
            event
            for affected in one.get("affected") or []
            if affected.get("package", {}).get("name") == MODULE
            for ranged in affected.get("ranges") or []
            for event in ranged["events"]
        ]
        numbers = frozenset([one["id"], *(one.get("aliases") or [])])
        since = ["0.0.0" if event.get("introduced") == "0" else event.get("introduced", "") for event in events]
        fixed = _releases([event.get("fixed", "") for event in events])
        found.append(Record(numbers, _releases(since), fixed, one.get("summary", "")))
    return found


def of_github(answer: list[dict[str, Any]]) -> list[Record]:
    """The records of GitHub's answer."""
    found = []
    for one in answer:
        texts = [str(vulnerable.get("patched_versions") or "") for vulnerable in one.get("vulnerabilities") or []]
        numbers = frozenset(number for number in (one.get("ghsa_id"), one.get("cve_id")) if number)
        found.append(Record(numbers, (), _releases(re.split(r"[,\s]+", " ".join(texts))), one.get("summary", "")))
    return found


def _releases(texts: list[str]) -> tuple[advisories.Number, ...]:
    found = {advisories.parse(text.lstrip("v=>")) for text in texts}
    return tuple(sorted(number for number in found if number))


def differences(records: list[Record], known: tuple[advisories.Advisory, ...] = advisories.ADVISORIES) -> list[str]:
    """What the databases say and the collection doesn't, a line each."""
    said = []
    for record in records:
        if record.numbers & set(IGNORED):
            continue
        shown = ", ".join(sorted(record.numbers))
        ours = [one for one in known if record.numbers & {one.id, one.source.rpartition("/")[2]}]
        if not ours:
            fixed = ", ".join(map(advisories.text, record.fixed)) or "nothing yet"
            said.append(f"{shown}: not known: {record.what} (fixed in {fixed})")
        elif record.fixed and ours[0].fixed not in record.fixed:
            fixed = ", ".join(map(advisories.text, record.fixed))
            said.append(f"{shown}: fixed in {fixed}, and not in {advisories.text(ours[0].fixed)}")
        elif record.since and record.since[0] < ours[0].since:
            said.append(f"{shown}: since {advisories.text(record.since[0])}, and not {advisories.text(ours[0].since)}")
    return sorted(set(said))


def _asked(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", "User-Agent": "cluster-secrets"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def main() -> int:
    """Ask both, and print the differences."""
    try:
        query: dict[str, Any] = {"package": {"name": MODULE, "ecosystem": "Go"}}
        records = of_github(_asked(GITHUB))
        while query:
            answer = _asked(OSV, query)
            records += of_osv(answer)
            token = answer.get("next_page_token")
            query = {**query, "page_token": token} if token else {}
    except OSError as error:
        print(f"osv.dev or GitHub is out of reach: {error}", file=sys.stderr)
        return 2
    found = differences(records)
    print("\n".join(found) or f"{len(records)} records, all known")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
