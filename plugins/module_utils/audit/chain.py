# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the chain from a source to one namespace's pods breaks, and what fixes it. Pure."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from .. import lifetimes, permissions, workloads
from ..desired import consumers
from ..desired.distribution import cluster_external_secret, failed_namespaces, held_for, is_owned
from ..errors import DependencyError
from ..findings import BOOTSTRAP, LOGS, NO_FIX, ROTATE, Fix, offboarding, onboarding, playbook, rotation
from ..live import state
from ..live.chain import Chain
from ..live.snapshot import Snapshot
from ..plan.actions import differences, plan_apply
from ..resources import (
    ESO_GROUP,
    Object,
    decode,
    holds_true,
    is_of_kind,
    key_of,
    owners_of,
    reading_account,
    ready_condition,
    shortened,
)
from . import gate, life, usage
from .findings import shadow_fix, value_fix

if TYPE_CHECKING:
    from ..catalog.entries import Entry
    from ..desired.stores import Layout

OK, BROKEN, FOLLOWS, UNKNOWN = "ok", "broken", "follows", "unknown"

#: ESO makes what is gone at its next look, which may be in an hour.
_ALWAYS = playbook("rotate", verify_refresh="always")


class Link(NamedTuple):
    """One link of the chain: its state, what is so, and what fixes it.

    ``symptom`` marks what is broken and may be so only because another link is.
    """

    step: str
    state: str
    message: str
    fix: Fix = NO_FIX
    symptom: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The link as a module returns it."""
        fix = self.fix._asdict()
        return {"step": self.step, "state": self.state, "message": self.message, **fix}


def choose(entries: list[Entry], namespace: str, labels: dict[str, str], secret: str) -> Entry | None:
    """The entry that a namespace gets a Secret from, by the name of the target, of the entry or of its ExternalSecrets.

    Of several, one whose target has the name, then the one that selects the namespace, then one that lists it.
    """
    named = [entry for entry in entries if secret in (entry.target, entry.name, entry.external_secret)]
    ranked = sorted(
        named,
        key=lambda entry: (
            not entry.enabled,
            entry.target != secret,
            not entry.selects(namespace, labels),
            namespace not in entry.namespaces + entry.namespaces_by_name,
        ),
    )
    return ranked[0] if ranked else None


def beside(external: Object, said: str) -> list[Link]:
    """The links of a Secret that a live ExternalSecret makes which is none of the catalog's.

    :arg said: what ESO says of it, without values.
    """
    place = "%s/%s" % key_of(external)
    owner = consumers.maker(external)
    by = " of ClusterExternalSecret %s" % owner if owner else ""
    links = [Link("entry", OK, "no catalog entry makes it, but ExternalSecret %s%s; nothing verifies it" % (place, by))]
    if holds_true(external, "Ready"):
        return [*links, Link("ExternalSecret", OK, "%s is ready" % place)]
    look = "kubectl --namespace %s describe externalsecret %s" % key_of(external)
    return [
        *links,
        Link("ExternalSecret", BROKEN, "ESO says of %s: %s" % (place, said or "nothing yet"), Fix("Look at why", look)),
    ]


def without_entry(entries: list[Entry], entry: Entry | None, secret: str) -> Link | None:
    """The broken link where no enabled entry (None: none at all) makes the Secret; None where one does."""
    if entry is None:
        known = ", ".join(sorted({each.target for each in entries if each.enabled})) or "none"
        message = "no catalog entry makes a Secret '%s'; the catalog's are: %s" % (secret, known)
        fix = Fix("Correct the name, or add an entry to the catalog and run bootstrap")
        return Link("entry", BROKEN, message, fix)
    if not entry.enabled:
        fix = playbook("bootstrap", "Enable the entry in the catalog, then")
        return Link("entry", BROKEN, "the entry '%s' is not enabled" % entry.name, fix)
    return None


def judge(
    entry: Entry, namespace: str, layout: Layout, chain: Chain, now: datetime.datetime, gitops: bool = False
) -> list[Link]:
    """All links for one enabled entry and one namespace, in the order in which a value takes them.

    Where one is broken for a reason of its own, those that may be broken because of it are marked as following.

    :arg gitops: whether GitOps writes the distribution, so that its commands are others.
    """
    view = _View(entry, namespace, layout, chain, now, gitops)
    links: list[Link] = [Link("entry", OK, "'%s', from the source '%s'" % (entry.name, "', '".join(entry.sources)))]
    judges: dict[str, Callable[[], Link]] = {
        "namespace": view.namespace_link,
        "label": view.label,
        "operator": view.operator,
        "ClusterExternalSecret": view.distributed,
        "ExternalSecret": view.external,
        "store": view.store,
        "permission": view.permission,
        "source": view.source,
        "keys": view.keys,
        "target": view.target,
        "consumers": view.consumers,
    }
    for step, judged in judges.items():
        denied = [chain.denied[name] for name in _NEEDED.get(step, ()) if name in chain.denied]
        links.append(Link(step, UNKNOWN, denied[0], Fix("Ask for the permission")) if denied else judged())
    values = {name: decode(live) for name, live in chain.sources.items()}
    links = [link._replace(message=state.without_values(entry, namespace, link.message, values)) for link in links]
    # Whoever uses the Secret breaks nothing before it.
    causes = [link for link in links if link.state == BROKEN and not link.symptom and link.step != "consumers"]
    if causes:
        links = [link._replace(state=FOLLOWS) if link.state == BROKEN and link.symptom else link for link in links]
    return links


def permission(
    entry: Entry, namespace: str, layout: Layout, chain: Chain, now: datetime.datetime, gitops: bool = False
) -> Link | None:
    """The broken link where the store of ``chain`` may not read an entry's sources; None where it may, or nobody knows.

    :arg chain: as of any entry that reads through the same store.
    """
    if any(name in chain.denied for name in _NEEDED["permission"]):
        return None
    link = _View(entry, namespace, layout, chain, now, gitops).permission()
    return link if link.state == BROKEN else None


def broken(links: list[Link]) -> Link | None:
    """The first broken link, if any is."""
    return next((link for link in links if link.state == BROKEN), None)


#: What each link can't be judged without.
_NEEDED = {
    "namespace": ("namespace",),
    "label": ("namespace",),
    "operator": ("deployments", "webhooks", "endpoints"),
    "ClusterExternalSecret": ("distributed",),
    "ExternalSecret": ("external",),
    "store": ("store",),
    "permission": ("store", "roles", "bindings", "cluster_roles", "cluster_bindings", "account"),
    "source": ("sources",),
    "keys": ("sources",),
    "target": ("target",),
    "consumers": ("usage", "target"),
}


class _View:
    """One pair and what is live of it; each method judges one link."""

    def __init__(
        self,
        entry: Entry,
        namespace: str,
        layout: Layout,
        chain: Chain,
        now: datetime.datetime,
        gitops: bool,
    ) -> None:
        self.entry = entry
        self.name = namespace
        self.layout = layout
        self.chain = chain
        self.now = now
        self.gitops = gitops
        self.bootstrap = self._after("")

    def _after(self, hint: str) -> Fix:
        """What brings the catalog to the cluster, once what the hint says was done."""
        if self.gitops:
            return playbook("render", ", then ".join(filter(None, (hint, "let GitOps apply what this writes"))))
        return playbook("bootstrap", hint and hint + ", then")

    def _labels(self) -> dict[str, str]:
        return ((self.chain.namespace or {}).get("metadata") or {}).get("labels") or {}

    def namespace_link(self) -> Link:
        live = self.chain.namespace
        if live is None:
            message = "the namespace '%s' does not exist" % self.name
            fix = self._after("Create it, or list it in the catalog")
            return Link("namespace", BROKEN, message, fix)
        if "deletionTimestamp" in live["metadata"]:
            held = ", ".join(live["metadata"].get("finalizers") or []) or "what is in it"
            left = held_for(live)
            fix = offboarding(self.name, ",".join(left)) if left else Fix("Recreate it once it is gone")
            return Link("namespace", BROKEN, "it is being deleted, held by %s" % held, fix)
        return Link("namespace", OK, "'%s' exists" % self.name)

    def label(self) -> Link:
        entry = self.entry
        if self.chain.namespace is None:
            return Link("label", BROKEN, "there is no namespace to carry %s" % entry.label_text(), symptom=True)
        if entry.selects(self.name, self._labels()):
            if entry.label and self._labels().get(entry.label[0]) == entry.label[1]:
                return Link("label", OK, entry.label_text())
            named = self.name in entry.namespaces_by_name
            return Link("label", OK, "the entry %s the namespace" % ("names" if named else "selects"))
        if not entry.label:
            verb = "select" if entry.namespace_selectors else "name"
            fix = self._after("Add it to the entry's namespaces_by_name")
            return Link("label", BROKEN, "the entry does not %s this namespace" % verb, fix)
        there = self._labels().get(entry.label[0])
        message = (
            "the namespace does not carry %s" % entry.label_text()
            if there is None
            else "%s is '%s' and not '%s'" % (entry.label[0], there, entry.label[1])
        )
        fix = onboarding(self.name, entry.name)
        if self.gitops:
            fix = self._after("Add the namespace to the entry's namespaces")
        return Link("label", BROKEN, message, fix)

    def operator(self) -> Link:
        if self.chain.version is None:
            message = "the External Secrets Operator is not installed: its API is not served"
            if self.chain.served:
                message = "the External Secrets Operator serves %s only" % ", ".join(self.chain.served)
                return Link("operator", BROKEN, message, Fix("Upgrade it; see the guides"))
            return Link("operator", BROKEN, message, BOOTSTRAP)
        problems = gate.stopped(self.chain)
        if problems:
            text = "; ".join("%s: %s" % (problem.object, problem.message) for problem in problems)
            where = self.layout.eso[0]
            fix = Fix("Look at them", "kubectl --namespace %s get deployments,pods" % where)
            return Link("operator", BROKEN, text, fix)
        return Link("operator", OK, "the External Secrets Operator is available")

    def distributed(self) -> Link:
        step, live, entry = "ClusterExternalSecret", self.chain.distributed, self.entry
        if live is None:
            missing = "there is none of the name '%s'" % entry.name
            return Link(step, BROKEN, missing, self.bootstrap, self.chain.version is None)
        if "deletionTimestamp" in live["metadata"]:
            return Link(step, BROKEN, "it is being deleted", self._after("Wait until it is gone"))
        wanted = cluster_external_secret(entry, self.layout.store_of(entry.name), self.chain.version or "")
        action = plan_apply(wanted, live)
        changed = [path for path in differences(action) if path.startswith("spec.")] if action else []
        if changed:
            message = "it is not what the catalog asks for: %s" % ", ".join(changed)
            hint = "Somebody else made it. Write down what is there"
            fix = self.bootstrap if is_owned(live) else playbook("adopt", hint, dest="adopted")
            return Link(step, BROKEN, message, fix)
        reason = failed_namespaces(live).get(self.name)
        if reason is not None and not self._is_made():
            message = "ESO could not make the ExternalSecret here: %s" % reason
            return Link(step, BROKEN, message, playbook("rotate", "Fix what it names, then"), symptom=True)
        condition = ready_condition(live)
        if (condition or {}).get("status") != "True" and not self._is_made():
            said = (condition or {}).get("message") or "ESO has not looked at it yet"
            return Link(step, BROKEN, "it is not ready: %s" % said, LOGS, symptom=True)
        if not entry.selects(self.name, self._labels()):
            return Link(step, OK, "'%s' is what the catalog asks for, and does not select this namespace" % entry.name)
        return Link(step, OK, "'%s' selects this namespace" % entry.name)

    def _is_made(self) -> bool:
        """Whether the ExternalSecret is the one that the ClusterExternalSecret makes."""
        distributed, external = self.chain.distributed, self.chain.external
        if distributed is None or external is None:
            return False
        return consumers.maker(external) == distributed["metadata"]["name"]

    def external(self) -> Link:
        step, live = "ExternalSecret", self.chain.external
        name = "%s/%s" % (self.name, self.entry.external_secret)
        if live is None:
            return Link(step, BROKEN, "there is no ExternalSecret %s" % name, LOGS, symptom=True)
        kubectl = "kubectl --namespace %s delete externalsecret %s" % (self.name, self.entry.external_secret)
        anew = "%s && %s" % (kubectl, _ALWAYS.command)
        if "deletionTimestamp" in live["metadata"]:
            return Link(step, BROKEN, "%s is being deleted" % name, LOGS, symptom=True)
        if self.chain.distributed is not None and not self._is_made():
            message = "somebody else made %s, and ESO does not touch it" % name
            fix = Fix("Delete it, with the Secret that it makes, and have it made anew", anew)
            return Link(step, BROKEN, message, fix)
        spec = ((self.chain.distributed or {}).get("spec") or {}).get("externalSecretSpec")
        if spec is not None:
            api = "%s/%s" % (ESO_GROUP, self.chain.version)
            meta = {"name": self.entry.external_secret, "namespace": self.name}
            action = plan_apply({"apiVersion": api, "kind": step, "metadata": meta, "spec": spec}, live)
            changed = differences(action) if action else []
            if changed:
                message = "%s was edited: %s" % (name, ", ".join(changed))
                return Link(step, BROKEN, message, Fix("Delete it, and have it made anew", anew))
        condition = ready_condition(live)
        if condition is None:
            return Link(step, BROKEN, "ESO has not looked at %s yet" % name, LOGS, symptom=True)
        if condition.get("status") != "True":
            look = "kubectl --namespace %s describe externalsecret %s" % (self.name, self.entry.external_secret)
            fix = playbook("rotate", "Look at why (%s), fix that, then" % look)
            said = "; ".join(filter(None, (condition.get("message", ""), self.chain.refusal)))
            return Link(step, BROKEN, "ESO says of %s: %s" % (name, said), fix, True)
        return Link(step, OK, "%s is ready" % name)

    def store(self) -> Link:
        live, name = self.chain.store, self.layout.store_of(self.entry.name)
        if live is None:
            missing = "there is no ClusterSecretStore '%s'" % name
            return Link("store", BROKEN, missing, self.bootstrap, self.chain.version is None)
        spec = live.get("spec") or {}
        provider = (spec.get("provider") or {}).get("kubernetes") or {}
        if provider.get("remoteNamespace") != self.layout.namespace:
            message = "'%s' reads the namespace '%s', not '%s'" % (
                name,
                provider.get("remoteNamespace"),
                self.layout.namespace,
            )
            return Link("store", BROKEN, message, self.bootstrap)
        if self.chain.namespace is not None and not consumers.admits(
            spec.get("conditions") or [], self.name, self._labels()
        ):
            # Without the label the store may well refuse.
            follows = not self.entry.selects(self.name, self._labels())
            return Link("store", BROKEN, "'%s' does not admit this namespace" % name, self.bootstrap, follows)
        condition = ready_condition(live)
        if (condition or {}).get("status") != "True":
            said = (condition or {}).get("message") or "ESO has not looked at it yet"
            return Link("store", BROKEN, "'%s' is not ready: %s" % (name, said), LOGS, symptom=True)
        return Link("store", OK, "'%s' is ready and admits this namespace" % name)

    def permission(self) -> Link:
        step, account = "permission", reading_account(self.chain.store)
        if self.chain.store is None:
            return Link(step, BROKEN, "there is no store whose permissions matter", self.bootstrap, symptom=True)
        if account is None:
            return Link(step, UNKNOWN, "the store reads with credentials that nobody here can look into")
        where, name = account[0] or self.layout.namespace, account[1]
        who = "ServiceAccount %s/%s" % (where, name)
        if self.chain.account is None:
            return Link(step, BROKEN, "the store's %s does not exist" % who, self.bootstrap)
        chain = self.chain
        everything = permissions.grants(chain.bindings, chain.cluster_bindings, chain.roles, chain.cluster_roles)
        mine = [grant for grant in everything if permissions.is_account(grant.subject, where, name)]
        for source in self.entry.sources:
            if not _allowed(mine, "secrets", source, ("get",), self.layout.namespace):
                message = "%s may not read the source '%s'" % (who, source)
                return Link(step, BROKEN, message, self.bootstrap)
        eso = [grant for grant in everything if permissions.is_account(grant.subject, *self.layout.eso)]
        if self.layout.eso[1] and not _allowed(eso, "serviceaccounts/token", name, ("create",), where):
            message = "ESO (ServiceAccount %s/%s) may not ask for the token of %s" % (*self.layout.eso, who)
            return Link(step, BROKEN, message, self.bootstrap)
        return Link(step, OK, "%s may read the source" % who)

    def source(self) -> Link:
        missing = self._missing()
        if missing:
            message = "'%s' is not in the central store" % "', '".join(missing)
            return Link("source", BROKEN, message, value_fix(self.entry, dict.fromkeys(missing)))
        held = self.chain.sources
        changed = {name: state.value_changed(live) for name, live in held.items()}
        snapshot = Snapshot([], [], None, [], {name: decode(live) for name, live in held.items()}, changed)
        lives = life.look([self.entry], snapshot, lambda _text: None)
        due = life.findings(lives, self.layout.namespace, self.now, 0)
        ages = ["'%s', %d days old" % (name, (lives[name].age(self.now) or 0) // 86400) for name in self.entry.sources]
        return Link("source", OK, "; ".join([*ages, *(finding.message for finding in due)]))

    def keys(self) -> Link:
        if self._missing():
            return Link("keys", BROKEN, "without the source there are none", symptom=True)
        _data, problem = self._expected()
        needed = self.entry.source_keys()
        if problem:
            held = {source: set(live.get("data") or {}) for source, live in self.chain.sources.items()}
            missing = {source: set(keys) - held[source] for source, keys in needed.items()}
            lacking = {source: keys for source, keys in missing.items() if keys}
            fix = rotation("Correct the value, then", ",".join(self.entry.sources))
            return Link("keys", BROKEN, problem, value_fix(self.entry, lacking) if lacking else fix)
        over = self._ended()
        if over:
            source, told = over
            fix = rotation("Give it a new value, then", source)
            return Link("keys", BROKEN, told, fix)
        shown = [
            key if source == self.entry.source else source + "/" + key for source in needed for key in needed[source]
        ]
        return Link("keys", OK, ", ".join(shown) or "all")

    def _ended(self) -> tuple[str, str] | None:
        """(the source, what is said) of a certificate or token that is no longer good; None where all are."""
        for source, keys in self.entry.source_keys().items():
            held = decode(self.chain.sources[source])
            for key in keys or held:
                try:
                    over = lifetimes.ended(held.get(key, b""), self.now)
                except DependencyError:
                    return None  # the audit says that it can't look
                if over:
                    return source, "source '%s', key '%s': %s" % (source, key, over)
        return None

    def _missing(self) -> list[str]:
        return [source for source in self.entry.sources if source not in self.chain.sources]

    def _expected(self) -> state.Expected:
        return state.expected_data(self.entry, {name: decode(live) for name, live in self.chain.sources.items()})

    def target(self) -> Link:
        live, name = self.chain.target, "%s/%s" % (self.name, self.entry.target)
        delete = "kubectl --namespace %s delete secret %s" % (self.name, self.entry.target)
        fix = Fix("ESO makes it once it is gone", delete)
        if live is not None and not self._owns(live):
            owners = owners_of(live)
            who = "somebody who names %s as its owner" % shortened(owners, 3) if owners else "somebody"
            message = "%s made Secret %s, and ESO has not taken it over" % (who, name)
            return Link("target", BROKEN, message, shadow_fix(self.name, owners, fix))
        expected: state.Expected = (None, None) if "sources" in self.chain.denied else self._expected()
        row = state.judge_target(self.entry, self.name, live, None, expected)
        if row.status == state.SYNCED:
            known = "sources" not in self.chain.denied
            return Link("target", OK, "Secret %s %s" % (name, "holds the current value" if known else "is there"))
        message = "Secret %s: %s: %s" % (name, row.status, row.message)
        if live is not None and live.get("immutable"):
            return Link("target", BROKEN, message + "; it is immutable", fix)
        if live is not None and (live.get("type") or "Opaque") != self.entry.type:
            return Link("target", BROKEN, message + "; nobody can change the type of a Secret", fix)
        return Link("target", BROKEN, message, ROTATE, symptom=True)

    def _owns(self, secret: Object) -> bool:
        """Whether a live Secret belongs to the entry's ExternalSecret."""
        owners = secret["metadata"].get("ownerReferences") or []
        name = self.entry.external_secret
        return any(is_of_kind(owner, "ExternalSecret") and owner.get("name") == name for owner in owners)

    def consumers(self) -> Link:
        usage_read = self.chain.usage
        if usage_read is None:
            return Link("consumers", OK, "not looked at")
        live = {(self.name, self.entry.target): self.chain.target} if self.chain.target else {}
        using = [use for use in usage.uses(usage_read) if use.key == (self.name, self.entry.target)]
        if not using:
            return Link("consumers", OK, "no object that is looked at references the Secret")
        keys = set((self.chain.target or {}).get("data") or {})
        wrong = [use for use in using if use.reference.key not in (None, *keys) and not use.reference.optional]
        if wrong:
            one = wrong[0]
            message = "%s names the key '%s', which the Secret does not have" % (one.owner.label(), one.reference.key)
            fix = Fix("Correct the workload, or the entry")
            return Link("consumers", BROKEN, message, fix, self.chain.target is None)
        old = usage.workloads_with_old_values(usage.old(usage_read, usage.changes(live)))
        if old:
            owners = sorted(owner for owner, _secrets in old)
            names = ", ".join(owner.label() for owner in owners)
            fix = playbook("rotate", rotate_restart="restart")
            if not any(owner.kind in workloads.RESTARTABLE for owner in owners):
                fix = Fix("Recreate the pods: only their owner can")
            return Link("consumers", BROKEN, "running with an older value: %s" % names, fix)
        return Link("consumers", OK, ", ".join(dict.fromkeys(use.owner.label() for use in using)))


def _allowed(grants: list[permissions.Grant], resource: str, name: str, verbs: tuple[str, ...], namespace: str) -> bool:
    for grant in grants:
        if grant.namespace not in (None, namespace):
            continue
        if grant.allows_on(name, "", resource, verbs):
            return True
    return False
