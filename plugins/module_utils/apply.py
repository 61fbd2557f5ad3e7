# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a plan to the API server: checked for permissions first, then concurrently, with retries.

The only code of the collection that writes to the cluster.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, List, Tuple, Union

from .desired.distribution import is_owned
from .errors import ApiError, ApiUnreachable, ClusterSecretsError, Denied, Drift, MissingPermission, WriteError, passes
from .plan.actions import Action, holds
from .resources import decode, unquoted

if TYPE_CHECKING:
    from .api.client import Client
    from .resources import Object

#: How often one write is tried again when the object changed in between.
CONFLICT_RETRIES = 8

#: Seconds for which a write is tried again that a fault of the server keeps from being done, such as a change of
#: etcd's leader; and one that an admission webhook keeps from being done, whose pod may be starting.
PATIENCE = 30.0
WEBHOOK_PATIENCE = 120.0

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

#: A permission as RBAC has it: verb, API group, resource, namespace (None: the whole cluster).
_Permission = Tuple[str, str, str, Union[str, None]]

#: The verbs that RBAC has for the requests that an action makes.
_VERBS = {
    "apply": ("patch", "create"),
    "create": ("create",),
    "merge": ("patch",),
    "json": ("patch",),
    "delete": ("delete",),
}


#: What has to be done about an object, for people.
_TO_BE = {"created": "to be created", "updated": "to be updated", "deleted": "to be deleted"}


class Executor:
    """Applies plans through one client.

    ``force_conflicts`` takes over fields that another manager set to something else, as the option
    of that name does in kubernetes.core. With ``read_only``, because GitOps owns the objects, a plan
    that is not empty is an error.
    """

    def __init__(
        self, client: Client, check_mode: bool = False, force_conflicts: bool = True, read_only: bool = False
    ) -> None:
        self.client = client
        self.read_only = read_only
        self.check_mode = check_mode
        self.force_conflicts = force_conflicts
        self._told = False

    def run(self, *batches: list[Action]) -> list[Action]:
        """Carry out lists of actions, one list after the other, each list concurrently.

        The permissions for all of them are checked before the first write, in check mode as well,
        so that a missing one stops a run before it has changed anything.

        :returns: all actions, in order.
        :raises Drift: with ``read_only``; :raises MissingPermission: before the first write; :raises WriteError: for
            what failed, after all of the batch ended.
        """
        self.check(*batches)
        if self.check_mode:
            return [action for batch in batches for action in batch]
        return self.send(*batches)

    def check(self, *batches: list[Action]) -> None:
        """Raise Drift or MissingPermission for what may not be written; see :meth:`run`."""
        actions = [action for batch in batches for action in batch]
        if actions and self.read_only:
            raise Drift(
                "GitOps owns the distribution, and %d object(s) are not what the catalog says: %s%s. Commit what "
                "platform.cluster_secrets.render writes. None of them was written."
                % (
                    len(actions),
                    ", ".join("%s (%s)" % (action.label(), _TO_BE[action.result]) for action in actions[:5]),
                    " and %d more" % (len(actions) - 5) if len(actions) > 5 else "",
                )
            )
        self._check_permissions(actions)

    def send(self, *batches: list[Action]) -> list[Action]:
        """Write what was checked, one list after the other, each concurrently; returns all actions, in order.

        :raises WriteError: for what failed, after all of the batch ended.
        """
        for batch in batches:
            self._run_batch(batch)
        return [action for batch in batches for action in batch]

    def has_effect(self, action: Action, live: Object) -> bool:
        """Whether an apply would change a live object, by a dry run: old API servers drop fields that they don't know.

        One that is refused has: the write itself then says why.
        """
        query = {"fieldManager": action.manager, "force": "true", "dryRun": "All"}
        try:
            answer = self.client.request("PATCH", action.path, query, action.body, "application/apply-patch+yaml")
        except ApiError:
            return True
        return _content(answer) != _content(live)

    def _run_batch(self, batch: list[Action]) -> None:
        lost: List[ApiUnreachable] = []

        def attempt(action: Action) -> ClusterSecretsError | None:
            if lost:
                return lost[0]  # or thousands would be waited for, each as long as the first
            try:
                self._write(action)
            except ApiUnreachable as error:
                lost.append(error)
                return error
            except ClusterSecretsError as error:
                return error
            return None

        ended = list(zip(batch, self.client.each(attempt, batch)))
        errors = [error for _action, error in ended if error is not None]
        if errors:
            done = [action for action, error in ended if error is None]
            more = "and %d more like it; " % (len(errors) - 1) if len(errors) > 1 else ""
            more += "%d of %d writes were done, a rerun does the rest" % (len(done), len(batch))
            raise WriteError("%s (%s)" % (errors[0], more) if len(batch) > 1 else str(errors[0]), done)

    def _write(self, action: Action) -> Any:
        what = "cannot %s %s" % ({"delete": "delete", "create": "create"}.get(action.verb, "change"), action.label())
        current: Action | None = action
        conflicts, begun = 0, time.monotonic()
        waited: ApiError | None = None
        while current is not None:
            try:
                answer = self._send(current, current.path, what)
                if waited is not None:
                    self._tell_once(waited, time.monotonic() - begun)
                return answer
            except ApiError as error:
                # An empty patch only makes the API server store an object anew, as does one with the owners' new names.
                # So is a namespace that ends before its labels are removed.
                removes = current.verb == "delete" or (current.verb == "merge" and current.body == {})
                passed_by = current.replan and current.verb != "apply" and not _gives_labels(current)
                if error.status == 404 and (removes or passed_by):
                    return None
                if passes(error) and not self.client.is_late():
                    _wait_for(error, begun)
                    waited = error
                    continue
                if error.status not in (409, 422) or conflicts == CONFLICT_RETRIES:
                    raise
                current = self._again(current, error, what, 0.05 * 2**conflicts)
                conflicts += 1
        return None

    def _tell_once(self, error: ApiError, seconds: float) -> None:
        """Say what writes had to wait for; of many that waited for the same, one does."""
        if not self._told:
            self._told = True
            self.client.tell("writes had to wait for %d s, until this was over: %s" % (seconds, error.detail))

    def _again(self, action: Action, error: ApiError, what: str, pause: float) -> Action | None:
        """The action to try after a conflict, or None when nothing is left to do. Raises where there is none."""
        if action.verb == "create":
            if error.status != 409:
                raise error
            live = self.client.get(action.path, what)
            if live and "deletionTimestamp" not in live["metadata"] and holds(live, action.body):
                return None  # the answer to an earlier try was lost
            if action.kind == "Secret" or error.reason != "AlreadyExists":
                time.sleep(pause)  # the old one is still being deleted
                return action
            if action.replan and action.replan(live) is action:
                raise WriteError("%s: somebody made it meanwhile. Run this again to see it." % what)
            # Someone else was quicker; what is left to do is to add our labels.
            return _patch_instead(action)
        uid = action.body["metadata"].get("uid") if action.verb == "apply" else None
        try:
            live = self.client.get(action.path, what) if uid or action.replan else None
        except Denied:
            if action.replan:
                raise
            uid = live = None  # it may be written and not be read; the error says what is wrong
        # Another uid is a conflict for some kinds and an invalid field for others.
        if uid and (not live or live["metadata"]["uid"] != uid):
            raise WriteError("%s: somebody removed or replaced it meanwhile. Run this again to see it." % what)
        if action.replan:
            # 422: what a JSON patch tests for, or removes, is no longer there.
            if action.verb == "apply":
                if live and holds(live, _unbound(action.body)):
                    return None  # the answer to an earlier try was lost
                if live and action.result == "created" and not is_owned(live):
                    raise WriteError("%s: somebody made it meanwhile. Run this again to see it." % what)
            if live is None and _gives_labels(action):
                raise error
            again = action.replan(live) if live or action.verb == "apply" else None
            if again is action:
                raise WriteError("%s: somebody changed it meanwhile, so it stays. Run this again to see it." % what)
            return again
        if error.status == 409 and (action.verb == "merge" or (action.verb == "apply" and self.force_conflicts)):
            time.sleep(pause)
            return action
        raise error

    def _send(self, action: Action, path: str, what: str) -> Any:
        try:
            return self._sent(action, path, what)
        except ApiError as error:
            if action.kind != "Secret" or not isinstance(action.body, dict):
                raise
            # A webhook may quote what it refuses. A patch has no text for what goes.
            data = {key: text for key, text in (action.body.get("data") or {}).items() if isinstance(text, str)}
            detail = unquoted(error.detail, decode({"data": data}).values(), (action.name, action.namespace or ""))
            raise type(error)(error.status, error.reason, detail, what) from None

    def _sent(self, action: Action, path: str, what: str) -> Any:
        client = self.client
        manager = {"fieldManager": action.manager}
        if action.verb == "apply":
            query = {**manager, "force": "true" if self.force_conflicts else "false"}
            return client.request("PATCH", path, query, action.body, "application/apply-patch+yaml", what=what)
        if action.verb == "merge":
            return client.request("PATCH", path, manager, action.body, "application/merge-patch+json", what=what)
        if action.verb == "json":
            return client.request("PATCH", path, manager, action.body, "application/json-patch+json", what=what)
        if action.verb == "create":
            collection = action.resource.path(namespace=action.namespace)
            return client.request("POST", collection, manager, action.body, what=what)
        return client.request("DELETE", path, body=action.body, what=what)

    # -- permissions ---------------------------------------------------------------------------

    def _check_permissions(self, actions: list[Action]) -> None:
        """Raise MissingPermission naming the first permission that is missing for ``actions``."""
        wanted: dict[_Permission, List[Action]] = {}
        for action in actions:
            for verb in _VERBS[action.verb]:
                if verb == "create" and action.verb == "apply" and action.result != "created":
                    continue
                resource = "/".join(filter(None, (action.resource.plural, action.subresource)))
                wanted.setdefault((verb, action.resource.group, resource, action.namespace), []).append(action)
        denied = [one for one, allowed in zip(wanted, self.client.each(self._allowed, list(wanted))) if not allowed]
        for permission in denied:
            # A rule may name the very objects; only then is it worth asking about each.
            verb, group, plural, namespace = permission
            names = [] if verb == "create" else [action.name for action in wanted[permission]]
            if not names or not all(self.client.each(functools.partial(self._allowed, permission), names)):
                place = "in namespace '%s'" % namespace if namespace else "at the cluster scope"
                first = wanted[permission][0]
                raise MissingPermission(
                    "missing permission: '%s' on %s%s %s, needed for %s%s. None of it was written. Grant it to the "
                    "identity that this play uses."
                    % (
                        verb,
                        plural,
                        ".%s" % group if group else "",
                        place,
                        first.label(),
                        " and %d more" % (len(wanted[permission]) - 1) if len(wanted[permission]) > 1 else "",
                    )
                )

    def _allowed(self, permission: _Permission, name: str | None = None) -> bool:
        verb, group, resource, namespace = permission
        plural, _slash, subresource = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": plural}
        if subresource:
            attributes["subresource"] = subresource
        if name:
            attributes["name"] = name
            if not namespace and not group and plural == "namespaces":
                namespace = name  # Kubernetes asks so, and a RoleBinding in the namespace is enough
        if namespace:
            attributes["namespace"] = namespace
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        try:
            answer = self.client.request("POST", _REVIEWS, body=body, what="cannot check permissions")
        except ApiError as error:
            if error.status in (403, 404):
                return True  # it can't be asked; the write itself will show it
            raise
        return bool(answer.get("status", {}).get("allowed"))


def _unbound(body: Object) -> Object:
    """What an apply is about: without what it is bound to, and without what the path says."""
    meta = {key: value for key, value in body["metadata"].items() if key not in ("uid", "resourceVersion")}
    return {**{key: value for key, value in body.items() if key not in ("apiVersion", "kind")}, "metadata": meta}


def _content(live: Object) -> Object:
    """What people write of a live object."""
    meta = live["metadata"]
    return {
        "labels": meta.get("labels") or {},
        "annotations": meta.get("annotations") or {},
        **{key: value for key, value in live.items() if key not in ("apiVersion", "kind", "metadata", "status")},
    }


def _wait_for(error: ApiError, begun: float) -> None:
    """Wait a little before a write is tried again; raises the error once its time is over."""
    patience = WEBHOOK_PATIENCE if "webhook" in error.detail else PATIENCE
    if time.monotonic() - begun >= patience:
        raise error
    time.sleep(1)


def _gives_labels(action: Action) -> bool:
    """Whether it is about a namespace that has no label if it is gone."""
    return action.kind == "Namespace" and action.verb == "merge"


def _patch_instead(action: Action) -> Action:
    """The patch of the labels that replaces a creation when the object was created meanwhile."""
    labels = action.body["metadata"]["labels"]
    return Action(
        "merge",
        action.result,
        action.resource,
        action.kind,
        action.name,
        action.namespace,
        body={"metadata": {"labels": labels}},
    )
