# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is there: read the cluster in a few lists, and judge every namespace/secret pair.

Reading takes a client; judging (:func:`judge`) is pure.
"""

from __future__ import annotations

import base64
import datetime

from .catalog import LABEL_VALUE
from .desired import ESO_GROUP, ESO_MANAGED_LABEL
from .plan import CRDS, NAMESPACES, SECRETS, Resource, condition_of

SYNCED = "synced"
STALE = "stale"
MISSING = "missing"
FAILING = "failing"
UNLABELLED = "unlabelled"
ABSENT_NAMESPACE = "no namespace"

#: The states in which a target is not what the catalog asks for.
NOT_SYNCED = (STALE, MISSING, FAILING, UNLABELLED, ABSENT_NAMESPACE)


def external_secrets(version):
    """The resource of ExternalSecrets in an API version of ESO."""
    return Resource("%s/%s" % (ESO_GROUP, version), "externalsecrets")


def cluster_external_secrets(version):
    """The resource of ClusterExternalSecrets in an API version of ESO."""
    return Resource("%s/%s" % (ESO_GROUP, version), "clusterexternalsecrets", namespaced=False)


def definitions(client):
    """ESO's live CustomResourceDefinitions."""
    # Schemas are large and other groups' are many, so the metadata says which to get.
    found, _version = client.list(CRDS, partial=True)
    names = [item["metadata"]["name"] for item in found if item["metadata"]["name"].endswith("." + ESO_GROUP)]
    return [item for item in client.each(lambda name: client.get(CRDS.path(name)), names) if item]


class Snapshot:
    """What was read: each attribute is a list of live objects, or a dict by (namespace, name).

    ``secrets`` holds the Secrets that ESO manages, ``sources`` those of the central store by name
    (None: they may not be read), ``version`` is the resourceVersion of the list of ``secrets``.
    """

    def __init__(self, namespaces, secrets, version, externals, sources):
        self.namespaces = {item["metadata"]["name"]: item for item in namespaces}
        self.secrets = {key_of(item): item for item in secrets}
        self.version = version
        self.externals = {key_of(item): item for item in externals}
        self.sources = sources


def key_of(item):
    """(namespace, name) of a live object."""
    meta = item["metadata"]
    return meta["namespace"], meta["name"]


def decode(secret):
    """A Secret's data, ``{key: bytes}``."""
    return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}


def read(client, entries, eso_version, store_namespace, read_sources=True):
    """Read all that :func:`judge` needs, each list concurrently with the others."""
    resource = external_secrets(eso_version)
    calls = [
        lambda: client.list(NAMESPACES, partial=True),
        lambda: client.list(SECRETS, selector=ESO_MANAGED_LABEL + "=true"),
        lambda: client.list(resource, missing_ok=True),
        lambda: client.list(SECRETS, namespace=store_namespace) if read_sources else (None, None),
    ]
    (namespaces, _v), (secrets, version), (externals, _v), (central, _v) = client.each(lambda call: call(), calls)
    sources = None
    if central is not None:
        wanted = {entry.source for entry in entries}
        sources = {item["metadata"]["name"]: decode(item) for item in central if item["metadata"]["name"] in wanted}
    return Snapshot(namespaces, secrets, version, externals, sources)


def labelled(namespaces, entry):
    """The names of the namespaces that carry the entry's label, sorted."""
    return sorted(name for name, item in namespaces.items() if (item["metadata"].get("labels") or {}).get(entry.label) == LABEL_VALUE)


def expected_data(entry, sources):
    """What a target of ``entry`` should hold, ``{key: bytes}``, and None; or None and the problem."""
    source = sources.get(entry.source)
    if source is None:
        return None, "source '%s' is not in the central store" % entry.source
    try:
        return entry.render(source), None
    except KeyError as error:
        return None, "source '%s' has no key '%s'" % (entry.source, error.args[0])
    except UnicodeDecodeError:
        return None, "source '%s' holds text that is not UTF-8" % entry.source


class Row:
    """One namespace/secret pair and its state."""

    __slots__ = ("created", "entry", "message", "namespace", "status", "type")

    def __init__(self, entry, namespace, status, message="", kind=None, created=None):
        self.entry = entry
        self.namespace = namespace
        self.status = status
        self.message = message
        self.type = kind
        self.created = created

    @property
    def key(self):
        return self.namespace, self.entry.target

    def as_dict(self, now=None):
        """The row as a module returns it. ``age`` is in seconds."""
        return {
            "namespace": self.namespace,
            "secret": self.entry.target,
            "entry": self.entry.name,
            "source": self.entry.source,
            "status": self.status,
            "synced": self.status == SYNCED,
            "type": self.type,
            "created": self.created,
            "age": None if self.created is None else max(0, int(((now or utcnow()) - parse_time(self.created)).total_seconds())),
            "message": self.message,
        }


def utcnow():
    """The current time, aware of its zone."""
    return datetime.datetime.now(datetime.timezone.utc)


def parse_time(text):
    """A Kubernetes timestamp as a datetime."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)


def judge_target(entry, namespace, secret, external, expected, problem):
    """The :class:`Row` of one labelled namespace.

    :arg secret: the live target if ESO manages it, else None.
    :arg external: the live ExternalSecret, or None.
    :arg expected: see :func:`expected_data`; None with no problem means that it can't be known.
    """
    condition = ready_condition(external)
    failed = condition is not None and condition.get("status") != "True"
    message = problem or (condition.get("message", "") if failed else "")
    if secret is None:
        return Row(entry, namespace, FAILING if failed else MISSING, message or "ESO has not written it yet")
    row = Row(entry, namespace, SYNCED, "", secret.get("type"), secret["metadata"]["creationTimestamp"])
    if secret.get("type") != entry.type:
        row.status, row.message = STALE, "its type is %s, not %s" % (secret.get("type"), entry.type)
    elif problem or failed:
        row.status, row.message = FAILING, message
    elif expected is not None and decode(secret) != expected:
        row.status, row.message = STALE, "it does not hold the source's current value"
    return row


def ready_condition(item):
    """The Ready condition of a live object of ESO, or None."""
    return condition_of(item, "Ready")


def not_ready(live_stores, names):
    """The stores of ``names`` that are not ready, as (name, what ESO says, or None), sorted; an absent one says nothing either."""
    by_name = {item["metadata"]["name"]: item for item in live_stores}
    found = []
    for name in sorted(names):
        condition = ready_condition(by_name.get(name))
        if not condition or condition.get("status") != "True":
            found.append((name, (condition or {}).get("message")))
    return found


def judge(entries, snapshot):
    """One :class:`Row` for every labelled namespace and every namespace that the catalog lists."""
    rows = []
    for entry in entries:
        expected, problem = (None, None) if snapshot.sources is None else expected_data(entry, snapshot.sources)
        carrying = labelled(snapshot.namespaces, entry)
        for namespace in carrying:
            secret = snapshot.secrets.get((namespace, entry.target))
            external = snapshot.externals.get((namespace, entry.name))
            rows.append(judge_target(entry, namespace, secret, external, expected, problem))
        for namespace in sorted(set(entry.namespaces) - set(carrying)):
            if namespace in snapshot.namespaces:
                rows.append(Row(entry, namespace, UNLABELLED, "the namespace does not carry %s=%s" % (entry.label, LABEL_VALUE)))
            else:
                rows.append(Row(entry, namespace, ABSENT_NAMESPACE, "the catalog lists a namespace that does not exist"))
    return rows


def count(rows):
    """How many rows are in each state that occurs."""
    counts = {}
    for row in rows:
        counts[row.status] = counts.get(row.status, 0) + 1
    return counts


def table(rows, now=None):
    """The rows as lines of aligned text: namespace, secret, status, type, age, message."""
    lines = [("NAMESPACE", "SECRET", "STATUS", "TYPE", "AGE", "")]
    for row in sorted(rows, key=lambda row: row.key):
        shown = row.as_dict(now)
        lines.append((row.namespace, row.entry.target, row.status, row.type or "-", age_text(shown["age"]), row.message))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths + [0])).rstrip() for line in lines]


def age_text(seconds):
    """An age as kubectl writes it, roughly: the largest unit only."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return "%d%s" % (seconds // size, unit)
    return "%ds" % seconds
