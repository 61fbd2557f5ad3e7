# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which releases of the External Secrets Operator have which known vulnerability. Pure.

Only those are listed that affect a cluster that distributes Secrets through the Kubernetes provider.
Those of other providers (AWS, 1Password, BeyondTrust and others) and of dependencies are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple, Tuple

from .errors import CatalogError

_GHSA = "https://github.com/external-secrets/external-secrets/security/advisories/"
_PULL = "https://github.com/external-secrets/external-secrets/pull/"

#: 'v' is upstream's, the suffixes are those of its images on other bases.
_RELEASE = re.compile(r"v?([0-9]+)\.([0-9]+)\.([0-9]+)(-ubi|-boringssl|-ubi-boringssl)?\Z")


#: A release: (major, minor, patch).
Number = Tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Advisory:
    """One vulnerability.

    ``since`` is the first release that has it and ``fixed`` the first that doesn't, as (major, minor,
    patch). ``functions`` are the template functions by which it is used. ``source`` is a URL.
    """

    id: str
    what: str
    since: Number
    fixed: Number
    source: str
    functions: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The advisory as a module returns it."""
        return {
            "id": self.id,
            "what": self.what,
            "since": text(self.since),
            "fixed_in": text(self.fixed),
            "source": self.source,
        }


ADVISORIES = (
    Advisory(
        "CVE-2024-45041",
        "the cert-controller's token reads every Secret and changes any webhook",
        (0, 0, 0),
        (0, 10, 2),
        _GHSA + "GHSA-qwgc-rr35-h4x9",
    ),
    Advisory(
        "CVE-2025-55196",
        "a PushSecret's selector reads Secrets and stores of other namespaces",
        (0, 15, 0),
        (0, 19, 2),
        _GHSA + "GHSA-fcxq-v2r3-cc8h",
    ),
    Advisory(
        "CVE-2026-22822",
        "the template function getSecretKey reads any Secret of the cluster",
        (0, 20, 2),
        (1, 2, 0),
        _GHSA + "GHSA-77v3-r3jw-j2v2",
        ("getSecretKey",),
    ),
    Advisory(
        "CVE-2026-26287",
        "a Webhook generator sends out Secrets that are not marked for it",
        (0, 10, 0),
        (1, 3, 2),
        _GHSA + "GHSA-q7hv-xx6h-q2x8",
    ),
    Advisory(
        "#5884", "errors in status and events quote parts of a Secret's value", (0, 0, 0), (1, 3, 2), _PULL + "5884"
    ),
    Advisory(
        "CVE-2026-34984",
        "the template function getHostByName sends values out in DNS queries",
        (0, 0, 0),
        (2, 3, 0),
        _GHSA + "GHSA-r2pg-r6h7-crf3",
        ("getHostByName",),
    ),
    Advisory(
        "CVE-2026-42875",
        "a SecretStore's caProvider uses a ConfigMap of another namespace",
        (0, 0, 0),
        (2, 4, 0),
        _GHSA + "GHSA-wv26-88m5-6h59",
    ),
    Advisory(
        "CVE-2026-42876",
        "an ExternalSecret's template makes a ServiceAccount token",
        (0, 0, 0),
        (2, 4, 1),
        _GHSA + "GHSA-fq7h-9x26-6j22",
    ),
    Advisory(
        "#6735",
        "templateFrom.target writes privileged fields of a Secret (also #6730)",
        (1, 0, 0),
        (2, 9, 0),
        _PULL + "6735",
    ),
    Advisory(
        "#7149",
        "errors in conditions and events quote values",
        (2, 10, 0),
        (2, 14, 0),
        _PULL + "7149",
    ),
)

#: When minor releases came out; upstream supports the newest only, so each ends the one before it. Source: upstream's
#: page "Stability and Support", and the releases themselves since 2.9. Of 2.14 only the month is known.
RELEASED: dict[tuple[int, int], str] = {
    (0, 14): "2025-02-04",
    (0, 15): "2025-03-19",
    (0, 16): "2025-04-14",
    (0, 17): "2025-05-14",
    (0, 18): "2025-07-17",
    (0, 19): "2025-08-02",
    (0, 20): "2025-09-22",
    (1, 0): "2025-11-07",
    (1, 1): "2025-11-21",
    (1, 2): "2025-12-19",
    (1, 3): "2026-01-23",
    (2, 0): "2026-02-06",
    (2, 1): "2026-03-06",
    (2, 2): "2026-03-20",
    (2, 3): "2026-04-10",
    (2, 4): "2026-04-24",
    (2, 5): "2026-05-15",
    (2, 6): "2026-06-05",
    (2, 7): "2026-06-26",
    (2, 10): "2026-08-28",
    (2, 11): "2026-09-18",
    (2, 13): "2026-10-16",
    (2, 14): "2026-11-30",
}
_SUPPORT = "https://external-secrets.io/latest/introduction/stability-support/"

#: The newest Kubernetes that upstream tested a minor release with, and each before it. Source: the same page, which
#: says nothing yet of those after 2.9.
_TESTED: dict[tuple[int, int], tuple[int, int]] = {
    (0, 14): (1, 32),
    (0, 17): (1, 33),
    (0, 20): (1, 34),
    (2, 0): (1, 35),
    (2, 8): (1, 36),
}


class Lists(NamedTuple):
    """What is known of releases: their vulnerabilities, and when minor releases came out (2026-11-30)."""

    advisories: tuple[Advisory, ...]
    released: dict[tuple[int, int], str]


OURS = Lists(ADVISORIES, RELEASED)

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def lists_of(document: Any, where: str) -> Lists:
    """The lists that somebody gives instead of ours.

    :arg document: a dict with 'advisories', of dicts as :meth:`Advisory.as_dict` makes them, and 'functions' if there
        are any, and 'released', of days by minor release; where one is missing, ours is kept. :arg where: for errors.
    :raises CatalogError: naming what is wrong.
    """
    if not isinstance(document, dict) or not document or set(document) - {"advisories", "released"}:
        raise CatalogError("%s must hold 'advisories', 'released', or both, and nothing else." % where)
    listed = document.get("advisories")
    if listed is not None and not isinstance(listed, list):
        raise CatalogError("'advisories' in %s must be a list." % where)
    released = document.get("released")
    if released is not None and not isinstance(released, dict):
        raise CatalogError("'released' in %s must be a dict of days, such as '2.14': 2026-11-30." % where)
    return Lists(
        OURS.advisories if listed is None else tuple(_advisory(advisory, where) for advisory in listed),
        OURS.released if released is None else dict(sorted(_minor(*one, where) for one in released.items())),
    )


def _advisory(item: Any, where: str) -> Advisory:
    wanted = ("id", "what", "since", "fixed_in", "source")
    texts = isinstance(item, dict) and all(isinstance(item.get(key), str) and item[key] for key in wanted)
    if not texts or set(item) - {*wanted, "functions"}:
        raise CatalogError(
            "each advisory in %s must have the texts %s, and may have 'functions'." % (where, ", ".join(wanted))
        )
    since, fixed = parse(item["since"]), parse(item["fixed_in"])
    functions = item.get("functions") or []
    if since is None or fixed is None or since >= fixed:
        raise CatalogError("'since' and 'fixed_in' of %s in %s must be releases such as 2.9.0." % (item["id"], where))
    if not isinstance(functions, list) or not all(re.match(r"[A-Za-z0-9]+\Z", str(name)) for name in functions):
        raise CatalogError("'functions' of %s in %s must be a list of template functions." % (item["id"], where))
    return Advisory(item["id"], item["what"], since, fixed, item["source"], tuple(functions))


def _minor(name: Any, day: Any, where: str) -> tuple[tuple[int, int], str]:
    number = parse("%s.0" % name)
    if number is None or not _DAY.match(str(day)):
        raise CatalogError(
            "'released' in %s must be like '2.14': 2026-11-30, and one is '%s': %s." % (where, name, day)
        )
    return number[:2], str(day)


def parse(release: str | None) -> Number | None:
    """A release such as 'v0.20.4' as (major, minor, patch); None for anything that upstream doesn't publish."""
    match = _RELEASE.match(release or "")
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def text(release: Number) -> str:
    """(major, minor, patch) as text."""
    return ".".join(str(number) for number in release)


def known(release: Number, lists: Lists = OURS) -> list[Advisory]:
    """The advisories that a release (major, minor, patch) is open to."""
    return [advisory for advisory in lists.advisories if advisory.since <= release < advisory.fixed]


def unsupported(release: Number, today: str, lists: Lists = OURS) -> str | None:
    """Why upstream doesn't support a release any more on a day (2026-11-29); None if it does, as far as is known."""
    after = sorted((day, minor) for minor, day in lists.released.items() if minor > release[:2] and day <= today)
    if not after:
        return None
    day, minor = after[0]
    return "upstream supports its newest minor release only, and %d.%d came out on %s (%s)" % (*minor, day, _SUPPORT)


def tested_until(release: Number) -> tuple[int, int] | None:
    """The newest minor release of Kubernetes that upstream tested a release with; None if that is not known."""
    if release[:2] > (2, 9):
        return None
    earlier = [tested for minor, tested in sorted(_TESTED.items()) if minor <= release[:2]]
    return earlier[-1] if earlier else None


def safe(release: Number, lists: Lists = OURS) -> str:
    """The lowest release above ``release`` that no known advisory applies to, as text."""
    candidates = sorted({advisory.fixed for advisory in lists.advisories if advisory.fixed > release})
    return text(next(candidate for candidate in candidates if not known(candidate, lists)))


def release_of_image(image: str | None) -> tuple[Number | None, str | None]:
    """(release, None) of a container image by its tag, or (None, why it is unknown)."""
    if not image:
        return None, "no image of ESO's controller is known"
    name, _at, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    release = parse(tag)
    if release:
        return release, None
    if tag:
        return None, "the tag '%s' of the image '%s' is not an upstream release" % (tag, image)
    return None, "the image '%s' is named by %s, which shows no release" % (image, "a digest" if digest else "no tag")
