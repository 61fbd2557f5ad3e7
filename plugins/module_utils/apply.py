# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Send a plan to the API server: checked for rights first, then concurrently, with retries.

The only code of the collection that writes.
"""

from __future__ import annotations

import time

from .desired import MANAGER
from .kube import CONFLICT_RETRIES, ApiError, KubeError
from .plan import Action

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

#: What RBAC calls the requests that an action makes.
_RIGHTS = {"apply": ("patch", "create"), "create": ("create",), "merge": ("patch",), "json": ("patch",), "delete": ("delete",)}


class Executor:
    """Applies plans through one client.

    ``force_conflicts`` takes over fields that another manager set to something else, as the option
    of that name does in kubernetes.core.
    """

    def __init__(self, client, check_mode=False, force_conflicts=True):
        self.client = client
        self.check_mode = check_mode
        self.force_conflicts = force_conflicts

    def run(self, *batches):
        """Carry out lists of actions, one list after the other, each list concurrently.

        The rights for all of them are asked about before the first write, in check mode as well, so
        that a missing right stops a run before it has changed anything.

        :returns: all actions, in order.
        :raises KubeError: when a right is missing, or for what failed, after all of the batch ended.
        """
        actions = [action for batch in batches for action in batch]
        if not actions:
            return actions
        self.check_rights(actions)
        if not self.check_mode:
            for batch in batches:
                self._run_batch(batch)
        return actions

    def _run_batch(self, batch):
        def attempt(action):
            try:
                self._write(action)
            except KubeError as error:
                return error
            return None

        errors = [error for error in self.client.each(attempt, batch) if error is not None]
        if errors:
            done = len(batch) - len(errors)
            more = " (and %d more like it; %d of %d writes were done, a rerun does the rest)" % (len(errors) - 1, done, len(batch)) if len(errors) > 1 else ""
            raise KubeError(str(errors[0]) + more)

    def _write(self, action):
        path = action.resource.path(action.name, action.namespace)
        what = "cannot %s %s" % ({"delete": "delete", "create": "create"}.get(action.verb, "change"), action.label())
        current = action
        for attempt in range(CONFLICT_RETRIES + 1):
            try:
                return self._send(current, path, what)
            except ApiError as error:
                if error.status == 404 and current.verb == "delete":
                    return None
                conflict = error.status == 409 and attempt < CONFLICT_RETRIES
                if conflict and current.verb == "create" and error.reason == "AlreadyExists":
                    # Someone else was quicker; what is left to do is a patch of our fields.
                    current = _patch_instead(current)
                elif conflict and current.verb == "apply" and self.force_conflicts:
                    time.sleep(0.05 * 2**attempt)
                elif conflict and current.verb == "merge":
                    time.sleep(0.05 * 2**attempt)
                elif current.replan and error.status in (409, 422) and attempt < CONFLICT_RETRIES:
                    # 422: what a JSON patch tests for, or removes, is no longer there.
                    live = self.client.get(path, what)
                    current = current.replan(live) if live else None
                    if current is None:
                        return None
                else:
                    raise
        return None

    def _send(self, action, path, what):
        client = self.client
        if action.verb == "apply":
            query = {"fieldManager": MANAGER, "force": "true" if self.force_conflicts else "false"}
            return client.request("PATCH", path, query, action.body, "application/apply-patch+yaml", what=what)
        if action.verb == "merge":
            return client.request("PATCH", path, {"fieldManager": MANAGER}, action.body, "application/merge-patch+json", what=what)
        if action.verb == "json":
            return client.request("PATCH", path, {"fieldManager": MANAGER}, action.body, "application/json-patch+json", what=what)
        if action.verb == "create":
            collection = action.resource.path(namespace=action.namespace)
            return client.request("POST", collection, {"fieldManager": MANAGER}, action.body, what=what)
        return client.request("DELETE", path, what=what)

    # -- rights --------------------------------------------------------------------------------

    def check_rights(self, actions):
        """Raise KubeError naming the first right that is missing for ``actions``."""
        wanted = {}
        for action in actions:
            for verb in _RIGHTS[action.verb]:
                if verb == "create" and action.verb == "apply" and action.result != "created":
                    continue
                resource = action.resource
                wanted.setdefault((verb, resource.group, resource.plural, action.namespace), []).append(action)
        denied = [right for right, allowed in zip(wanted, self.client.each(self._allowed, list(wanted))) if not allowed]
        for right in denied:
            # A rule may name the very objects; only then is it worth asking about each.
            verb, group, plural, namespace = right
            names = [] if verb == "create" else [action.name for action in wanted[right]]
            if not names or not all(self.client.each(lambda name, right=right: self._allowed(right, name), names)):
                place = "in namespace '%s'" % namespace if namespace else "at the cluster scope"
                first = wanted[right][0]
                raise KubeError(
                    "missing right: '%s' on %s%s %s, needed for %s%s. Nothing was changed. Grant it to the identity that this play uses."
                    % (
                        verb,
                        plural,
                        ".%s" % group if group else "",
                        place,
                        first.label(),
                        " and %d more" % (len(wanted[right]) - 1) if len(wanted[right]) > 1 else "",
                    )
                )

    def _allowed(self, right, name=None):
        verb, group, plural, namespace = right
        attributes = {"verb": verb, "group": group, "resource": plural}
        if namespace:
            attributes["namespace"] = namespace
        if name:
            attributes["name"] = name
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
        try:
            answer = self.client.request("POST", _REVIEWS, body=body, what="cannot ask which rights there are")
        except ApiError as error:
            if error.status in (403, 404):
                return True  # it can't be asked; the write itself will tell
            raise
        return bool(answer.get("status", {}).get("allowed"))


def _patch_instead(action):
    """The patch that stands in for a creation when the object has come into being meanwhile."""
    labels = action.body["metadata"]["labels"]
    return Action("merge", action.result, action.resource, action.kind, action.name, action.namespace, body={"metadata": {"labels": labels}})
