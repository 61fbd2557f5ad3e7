# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether each namespace/secret pair is what the catalog asks for.

Judging (:func:`judge`) is pure; :func:`follow` watches the cluster until all is well.
"""

from __future__ import annotations

import datetime
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional, Tuple

from ..catalog.entries import Unreadable
from ..desired.consumers import maker
from ..desired.distribution import CHANGED, MANAGER, RESTORER, applied_by_us, selected
from ..errors import ApiError, ApiUnreachable, passes
from ..resources import (
    NAMESPACES,
    SECRETS,
    Object,
    decode,
    external_secrets,
    key_of,
    one_line,
    ready_condition,
    unquoted,
)

if TYPE_CHECKING:
    from ..api.client import Client
    from ..catalog.entries import Entry
    from .snapshot import Snapshot

SYNCED = "synced"
STALE = "stale"
MISSING = "missing"
FAILING = "failing"
UNLABELLED = "unlabelled"
ABSENT_NAMESPACE = "no namespace"

#: Seconds without an event after which a watch is opened anew.
IDLE = 2.0

#: Seconds before a watch that failed is opened anew.
RETRY = 1.0

#: Seconds after which the namespaces are looked at, of which some may be gone.
LOOK = 5.0

#: The same while Secrets change all the time.
_BUSY = 30.0

#: What a target should hold, or the problem that keeps it from being known.
Expected = Tuple[Optional[dict], Optional[str]]


def labelled(namespaces: dict[str, Object], entry: Entry) -> list[str]:
    """The names of the namespaces that the entry selects, sorted; those that are being deleted get nothing."""
    return sorted(name for name, item in namespaces.items() if selected(item, entry))


def expected_data(entry: Entry, sources: dict[str, dict[str, bytes]]) -> Expected:
    """What a target of ``entry`` should hold, ``{key: bytes}``, and None; or None and the problem."""
    try:
        return entry.render(sources), None
    except Unreadable as error:
        return None, str(error)


def reads_any(entry: Entry, changed: dict[str, Any]) -> bool:
    """Whether targets of an entry depend on what changed in the central store, ``{source: keys}``."""
    return any(entry.reads(source, key) for source in entry.sources for key in changed.get(source) or ())


@dataclass(eq=False)
class Row:
    """One namespace/secret pair and its state, with the type of the Secret and when it was created, if it is there."""

    entry: Entry
    namespace: str
    status: str
    message: str = ""
    type: str | None = None
    created: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name) of the target."""
        return self.namespace, self.entry.target

    def as_dict(self, now: datetime.datetime | None = None) -> dict[str, Any]:
        """The row as a module returns it. ``age`` is in seconds."""
        return {
            "namespace": self.namespace,
            "secret": self.entry.target,
            "entry": self.entry.name,
            "source": self.entry.sources_text(),
            "status": self.status,
            "synced": self.status == SYNCED,
            "type": self.type,
            "created": self.created,
            "age": None
            if self.created is None
            else max(0, int(((now or utcnow()) - (time_of(self.created) or utcnow())).total_seconds())),
            "message": self.message,
        }


def utcnow() -> datetime.datetime:
    """The current time, aware of its zone."""
    return datetime.datetime.now(datetime.timezone.utc)


#: How Kubernetes writes a time.
TIME = "%Y-%m-%dT%H:%M:%SZ"


def parse_time(text: str) -> datetime.datetime:
    """A Kubernetes timestamp as a datetime. Raises ValueError for any other text."""
    return datetime.datetime.strptime(text, TIME).replace(tzinfo=datetime.timezone.utc)


def time_of(text: Any) -> datetime.datetime | None:
    """A Kubernetes timestamp as a datetime, or None for what is none: anyone may write the year 0000 somewhere."""
    try:
        return parse_time(text)
    except (ValueError, TypeError):
        return None


def written_at(secret: Object) -> datetime.datetime | None:
    """When the value of a live Secret was last written, by the API server's own record of who wrote it, to the second.

    None when the record has been removed. A writer's other fields, such as labels, count too.
    """
    times = [
        time_of(record.get("time"))
        for record in secret["metadata"].get("managedFields") or []
        if "f:data" in (record.get("fieldsV1") or {})
    ]
    # Writers may say any time of themselves; a clock may be wrong by a little.
    latest = utcnow() + datetime.timedelta(days=1)
    return max((when for when in times if when and when <= latest), default=None)


def value_changed(master: Object) -> datetime.datetime:
    """When a value of a live master Secret last changed.

    The collection writes it down when it changes one; whoever else wrote the data later counts too. Without either, it
    is when the Secret was made; the value may be older then, but no younger.
    """
    meta = master["metadata"]
    # A backup that the collection restores brings its own time along.
    others = [record for record in meta.get("managedFields") or [] if record.get("manager") not in (MANAGER, RESTORER)]
    written, noted = written_at({"metadata": {"managedFields": others}}), _noted(master)
    if noted is None:
        return written or written_at(master) or parse_time(meta["creationTimestamp"])
    return max(noted, written) if written else noted


def _noted(master: Object) -> datetime.datetime | None:
    """When the collection changed a value of a live master Secret, as it wrote down there itself."""
    return time_of((master["metadata"].get("annotations") or {}).get(CHANGED))


def rotated_at(master: Object) -> datetime.datetime | None:
    """When the collection changed a value of a live master Secret, or None where somebody else wrote it later."""
    noted = _noted(master)
    records = master["metadata"].get("managedFields") or []
    others = [record for record in records if not applied_by_us(record) and record.get("manager") != RESTORER]
    written = written_at({"metadata": {"managedFields": others}})
    return None if noted is None or (written and written >= noted) else noted


def judge_target(
    entry: Entry, namespace: str, secret: Object | None, external: Object | None, expected: Expected
) -> Row:
    """The :class:`Row` of one labelled namespace.

    :arg secret: the live target if ESO manages it, else None.
    :arg external: the live ExternalSecret, or None.
    :arg expected: see :func:`expected_data`; neither data nor a problem means that it can't be known.
    """
    data, problem = expected
    condition = ready_condition(external)
    failed = condition is not None and condition.get("status") != "True"
    hindered = hindrance(entry, external)
    message = problem or hindered or (_said(condition) if failed else "")
    if secret is None:
        return Row(entry, namespace, FAILING if failed else MISSING, message or "ESO has not written it yet")
    # Whoever makes a Secret may make its type as long as he likes.
    kind = one_line(secret.get("type"), 100)
    row = Row(entry, namespace, SYNCED, "", kind, secret["metadata"]["creationTimestamp"])
    if secret.get("type") != entry.type:
        row.status, row.message = STALE, "its type is %s, not %s" % (kind, entry.type)
    elif problem or failed or "deletionTimestamp" in ((external or {}).get("metadata") or {}):
        # With its ExternalSecret, the Secret goes.
        row.status, row.message = FAILING, message
    elif data is not None and decode(secret) != data:
        row.status, row.message = STALE, "it does not hold the source's current value"
        row.message += "; %s" % hindered if hindered else ""
    return row


def said_by(item: Object) -> str:
    """What ESO says of a live object of its kinds."""
    return _said(ready_condition(item))


def _said(condition: Object | None) -> str:
    return str((condition or {}).get("message") or "")


def hindrance(entry: Entry, external: Object | None) -> str:
    """Why a live ExternalSecret (None: absent) can't be what brings the entry's target; empty when nothing is seen."""
    if external is None:
        return ""
    meta = external["metadata"]
    if maker(external) != entry.name:
        return (
            "the ExternalSecret %s there was not made by ClusterExternalSecret %s, so ESO leaves it alone; "
            "delete it" % (meta["name"], entry.name)
        )
    if "deletionTimestamp" in meta:
        held = ", ".join(meta.get("finalizers") or [])
        return "its ExternalSecret is being deleted" + (", and held by the finalizer %s" % held if held else "")
    return ""


def judge_external(entry: Entry, namespace: str, external: Object | None) -> Row:
    """:func:`judge_target` where no Secret was read: what ESO says of its ExternalSecret (None: absent) is all."""
    condition = ready_condition(external)
    if condition is None:
        said = "there is no ExternalSecret yet" if external is None else "ESO has not looked at its ExternalSecret yet"
        return Row(entry, namespace, MISSING, said)
    hindered = hindrance(entry, external)
    if hindered or condition.get("status") != "True":
        return Row(entry, namespace, FAILING, hindered or _said(condition))
    return Row(entry, namespace, SYNCED)


def not_ready(live: list[Object], names: set[str]) -> list[tuple[str, str | None]]:
    """The objects of ``names``, of one of ESO's kinds, that are not ready, as (name, what ESO says, or None), sorted;
    an absent one says nothing either."""
    by_name = {item["metadata"]["name"]: item for item in live}
    waiting = []
    for name in sorted(names):
        condition = ready_condition(by_name.get(name))
        if not condition or condition.get("status") != "True":
            waiting.append((name, (condition or {}).get("message")))
    return waiting


def unlabelled(entry: Entry, namespace: str) -> Row:
    """The :class:`Row` of a live namespace that does not carry an entry's label."""
    return Row(entry, namespace, UNLABELLED, "the namespace does not carry %s" % entry.label_text())


def judge(entries: list[Entry], snapshot: Snapshot) -> list[Row]:
    """One :class:`Row` for every labelled namespace and every namespace that the catalog lists."""
    rows = []
    for entry in entries:
        expected: Expected = (None, None) if snapshot.sources is None else expected_data(entry, snapshot.sources)
        carrying = labelled(snapshot.namespaces, entry)
        for namespace in carrying:
            secret = snapshot.secrets.get((namespace, entry.target))
            external = snapshot.externals.get((namespace, entry.external_secret))
            if snapshot.values_read:
                rows.append(judge_target(entry, namespace, secret, external, expected))
            else:
                rows.append(judge_external(entry, namespace, external))
        for namespace in sorted({*entry.named()} - set(carrying)):
            live = snapshot.namespaces.get(namespace)
            if live is not None and "deletionTimestamp" in live["metadata"]:
                rows.append(Row(entry, namespace, ABSENT_NAMESPACE, "the namespace is being deleted"))
            elif live is not None:
                rows.append(unlabelled(entry, namespace))
            else:
                rows.append(
                    Row(entry, namespace, ABSENT_NAMESPACE, "the catalog lists a namespace that does not exist")
                )
    for row in rows:
        if row.status == FAILING:
            row.message = without_values(row.entry, row.namespace, row.message, snapshot.sources)
    return rows


def without_values(entry: Entry, namespace: str, text: str, sources: dict[str, dict[str, bytes]] | None) -> str:
    """A text about an entry's target without the values of its sources (None: they were not read)."""
    values = [value for source in entry.sources for value in (sources or {}).get(source, {}).values()]
    public = (entry.name, entry.target, entry.external_secret, *entry.sources, namespace)
    return unquoted(text, values, public)


def count(rows: list[Row]) -> dict[str, int]:
    """How many rows are in each state that occurs."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.status] = counts.get(row.status, 0) + 1
    return counts


def follow(
    client: Client,
    entries: list[Entry],
    snapshot: Snapshot,
    rows: list[Row],
    seconds: float,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    nudge: Callable[[list[Row]], None] = lambda _rows: None,
    asked: Callable[[Row], bool] = lambda _row: False,
) -> list[Row]:
    """Follow the managed Secrets until all rows are synced; returns the rows that are not after ``seconds``.

    A list and one watch serve any number of namespaces.

    :arg progress: is told, again and again, how many of how many are synced; :arg nudge: what are not, each
        :data:`LOOK` seconds; :arg asked: see :func:`without_what_ends`.
    """
    deadline = time.monotonic() + seconds
    sources = snapshot.sources or {}
    expected = {entry.name: expected_data(entry, sources) for entry in entries}
    pending = {row.key: row for row in rows if row.status != SYNCED}

    def look(row: Row, secret: Object | None) -> None:
        # Only the Secret tells the truth while ESO is at work: its ExternalSecret's condition lags behind.
        judged = judge_target(row.entry, row.namespace, secret, None, expected[row.entry.name])
        if judged.status == SYNCED:
            del pending[row.key]
        else:
            pending[row.key] = judged

    def look_at_all(secrets: dict[tuple[str, str], Object]) -> None:
        for row in list(pending.values()):
            look(row, secrets.get(row.key))

    look_at_all(snapshot.secrets)
    version = snapshot.version
    looked = time.monotonic()
    with client.until(deadline):
        while pending and time.monotonic() < deadline:
            begun = time.monotonic()
            left = deadline - begun
            progress(len(rows) - len(pending), len(rows))
            try:
                if begun - looked > LOOK:
                    pending = {row.key: row for row in without_what_ends(client, list(pending.values()), asked)}
                    nudge(list(pending.values()))
                    looked = time.monotonic()
                idle = False
                for event in client.watch(
                    SECRETS, version, selector=snapshot.selector, seconds=left, idle=min(IDLE, max(0.1, left))
                ):
                    if event is None:
                        idle = True
                        break
                    kind, item = event
                    if kind == "ERROR":
                        # The version is too old to go on from: list once more.
                        listed, version = client.list(SECRETS, selector=snapshot.selector)
                        look_at_all({key_of(one): one for one in listed})
                        break
                    version = item["metadata"]["resourceVersion"]
                    if kind == "BOOKMARK":
                        continue
                    row = pending.get(key_of(item))
                    if row is not None:
                        look(row, None if kind == "DELETED" else item)
                        progress(len(rows) - len(pending), len(rows))
                    # A Secret that changes all the time keeps nobody from what is due.
                    if not pending or time.monotonic() - looked > _BUSY:
                        break
                if pending and not idle and time.monotonic() - begun < RETRY:
                    # A server, or what stands before it, that ends each watch at once is not asked all the time.
                    time.sleep(min(RETRY, max(0.0, deadline - time.monotonic())))
            except (ApiUnreachable, ApiError) as error:
                # An API server that restarts, or is too busy, is what the wait is for.
                if not passes(error):
                    raise
                time.sleep(min(RETRY, max(0.0, deadline - time.monotonic())))
    if pending:
        try:
            return without_what_ends(client, list(pending.values()), asked)
        except (ApiUnreachable, ApiError):
            pass  # then all are named
    return list(pending.values())


def without_what_ends(client: Client, rows: list[Row], asked: Callable[[Row], bool]) -> list[Row]:
    """The rows whose namespace is still there, and not being deleted: the others are waited for no more.

    One that has lost its label is an error if it was ``asked`` for.
    """
    live = {item["metadata"]["name"]: item for item in client.list(NAMESPACES, partial=True)[0]}
    left = []
    for row in rows:
        item = live.get(row.namespace)
        if item is None or "deletionTimestamp" in item["metadata"]:
            continue
        if selected(item, row.entry):
            left.append(row)
        elif row.entry.label and asked(row):
            row.status, row.message = UNLABELLED, "somebody took %s away from the namespace" % row.entry.label_text()
            left.append(row)
    return left


def explain(
    client: Client, eso_version: str, rows: list[Row], sources: dict[str, dict[str, bytes]] | None = None
) -> None:
    """Add to each row's message what its ExternalSecret says now, without the values of the ``sources``."""
    listed, _version = client.list(external_secrets(eso_version))
    externals = {key_of(item): item for item in listed}
    for row in rows:
        external = externals.get((row.namespace, row.entry.external_secret))
        condition = ready_condition(external)
        hindered = hindrance(row.entry, external)
        if hindered:
            _add(row, hindered)
        elif condition is None:
            row.message += (
                "; there is no ExternalSecret yet" if external is None else "; its ExternalSecret has no condition yet"
            )
        elif condition.get("status") != "True":
            row.message += "; ESO says: %s" % without_values(row.entry, row.namespace, _said(condition), sources)
            _add(row, refusal(client, row.namespace, row.entry.external_secret))


def _add(row: Row, said: str | None) -> None:
    """Add to a row's message what it does not say yet."""
    if said and said not in row.message:
        row.message += "; %s" % said


#: For so many targets the events are asked.
_ASKED = 20


def add_refusals(client: Client, rows: list[Row]) -> None:
    """Add to the message of each row that fails what its ExternalSecret's events say of a quota; of a few, since each
    costs a request."""
    failing = [row for row in rows if row.status == FAILING][:_ASKED]
    said = client.each(lambda row: refusal(client, row.namespace, row.entry.external_secret), failing)
    for row, reason in zip(failing, said):
        _add(row, reason)


#: What the API server says of a quota; the rest of an event may quote a value.
_REFUSAL = re.compile(r"exceeded quota: [^\n]{1,200}?limited: [^\s]{1,200}|exceeded quota: [^\n]{1,200}")


def _by_eso(event: Any) -> bool:
    said = (event.get("reportingComponent"), (event.get("source") or {}).get("component"))
    return any("external-secret" in str(one or "") for one in said)


def _when(event: Any) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime"))


def refusal(client: Client, namespace: str, name: str) -> str | None:
    """Why the API server refused what ESO would write for an ExternalSecret, by its events; None if they don't say."""
    query = {"fieldSelector": "involvedObject.kind=ExternalSecret,involvedObject.name=%s" % name, "limit": "50"}
    try:
        events = client.request("GET", "/api/v1/namespaces/%s/events" % namespace, query)["items"] or []
    except (ApiError, KeyError):
        return None
    # Whoever may make events may give them any time; ESO's own come before what anybody else says.
    for event in sorted(events, key=lambda one: (_by_eso(one), _when(one)), reverse=True):
        match = _REFUSAL.search(str(event.get("message")))
        if match:
            return match[0]
    return None
