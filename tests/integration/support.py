# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Integration tests: the real API server, the real ESO controller, the collection as installed.

``CLUSTER_SECRETS_TEST_KUBECONFIG`` runs them against a cluster that is already there instead of
the embedded one (with ``CLUSTER_SECRETS_TEST_VARS`` naming a file of role variables that fit it);
tests that need the control plane's audit log or processes are then skipped.
"""

from __future__ import annotations

import base64
import datetime
import fcntl
import html
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

import pytest
import yaml
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.client import Client
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.kubeconfig import connection
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import ApiError
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from controlplane import build, cluster, values

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").split(":")[0]

CANARY = "CANARYx7Q"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}
#: Reviews are POSTs that store nothing.
REVIEWS = ("selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews", "tokenreviews")


@dataclass
class Outcome:
    """What a playbook or module run left: exit status, output, and a module's result."""

    rc: int
    stdout: str
    stderr: str
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def recap(self) -> dict[str, int]:
        found = re.search(r"^localhost\s+: (.*)$", self.stdout, re.MULTILINE)
        assert found, self.output
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", found.group(1))}

    @property
    def table(self) -> list[str]:
        """What a playbook says that it changed, or would change: the lines of its table, none without a change."""
        found = re.search(r"^CHANGE +KIND .*\n(?:.+\n)+\nObjects: .*$", self.stdout, re.MULTILINE)
        return found[0].splitlines() if found else []


class Platform:
    """A cluster under test, and how to run the collection against it."""

    def __init__(self, plane: Any, folder: Path) -> None:
        self.plane = plane
        self.folder = folder
        self.environment = {
            **os.environ,
            **(plane.environment() if plane else {}),
            "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
            "ANSIBLE_NOCOLOR": "1",
            "PYTHONPATH": COLLECTIONS,
        }
        if not plane:
            kubeconfig = os.environ["CLUSTER_SECRETS_TEST_KUBECONFIG"]
            self.environment.update(KUBECONFIG=kubeconfig, K8S_AUTH_KUBECONFIG=kubeconfig)
        self.kubeconfig = Path(self.environment["KUBECONFIG"])
        self.client = Client(connection({"kubeconfig": str(self.kubeconfig)}))
        self.values = values.generate(CANARY)
        self.vault = folder / "values.vault.yml"
        self.password = folder / "vault-password"
        values.write_vault(self.values, self.vault, self.password)

    # -- running -------------------------------------------------------------------------------

    def play(
        self,
        playbook: str,
        *arguments: str,
        variables: dict[str, Any] | None = None,
        check: bool = True,
        **environment: str,
    ) -> Outcome:
        """Run a playbook of the collection (by name) or of a file (by path)."""
        done = subprocess.run(
            self.argv(playbook, *arguments, variables=variables),
            capture_output=True,
            text=True,
            # Not the test runner's: ansible-core 2.21 ends where there is none.
            stdin=subprocess.DEVNULL,
            env={**self.environment, **environment},
            cwd=self.folder,
            check=False,
            # What a killed helm left is waited for as long as its own timeout.
            timeout=900,
        )
        outcome = Outcome(done.returncode, done.stdout, done.stderr)
        assert not check or done.returncode == 0, outcome.output
        # Whatever goes away in a later Ansible is fixed before it does; but for collections of another time.
        assert "ANSIBLE_COLLECTIONS_PATH" in environment or "[DEPRECATION" not in outcome.output, outcome.output
        return outcome

    def argv(self, playbook: str, *arguments: str, variables: dict[str, Any] | None = None) -> list[str]:
        """The command that :meth:`play` runs, in this environment and folder."""
        name = playbook if "/" in playbook else f"platform.cluster_secrets.{playbook}"
        argv = ["ansible-playbook", name, "-e", f"cluster_secrets_values_file={self.vault}"]
        if "--vault-password-file" not in arguments:
            argv += ["--vault-password-file", str(self.password)]
        if self.environment.get("CLUSTER_SECRETS_TEST_VARS"):
            argv += ["-e", f"@{self.environment['CLUSTER_SECRETS_TEST_VARS']}"]
        if playbook == "teardown":
            variables = {"cluster_secrets_teardown_confirmed": True, **(variables or {})}
        if variables:
            argv += ["-e", json.dumps(variables)]
        return [*argv, *arguments]

    def module(
        self,
        name: str,
        *,
        check: bool = True,
        check_mode: bool = False,
        diff: bool = False,
        kubeconfig: Path | None = None,
        **options: Any,
    ) -> Outcome:
        """Run one module the way Ansible does, with its options on standard input."""
        path = Path(COLLECTIONS) / "ansible_collections/platform/cluster_secrets/plugins/modules" / f"{name}.py"
        arguments = {**options, "_ansible_check_mode": check_mode, "_ansible_diff": diff}
        environment = {**self.environment, "K8S_AUTH_KUBECONFIG": str(kubeconfig or self.kubeconfig)}
        done = subprocess.run(
            [sys.executable, str(path)],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            # What a killed helm left is waited for as long as its own timeout.
            timeout=900,
        )
        try:
            result = json.loads(done.stdout)
        except ValueError:
            raise AssertionError(done.stdout + done.stderr) from None
        assert not check or not result.get("failed"), result
        return Outcome(done.returncode, done.stdout, done.stderr, result)

    # -- looking -------------------------------------------------------------------------------

    def get(self, path: str) -> dict[str, Any] | None:
        return self.client.get(path)

    def secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")

    def data(self, namespace: str, name: str) -> dict[str, str]:
        secret = self.secret(namespace, name)
        assert secret, f"{namespace}/{name} is not there"
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}

    def request(self, method: str, path: str, body: Any = None, content_type: str | None = None) -> dict[str, Any]:
        return self.client.request(method, path, body=body, content_type=content_type)

    def patch(self, path: str, body: Any) -> dict[str, Any]:
        return self.request("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str) -> None:
        try:
            self.request("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise

    def eventually(self, condition: Any, seconds: float = 20, what: str = "the condition") -> Any:
        """Wait until ``condition()`` is true; its value is returned."""
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
            time.sleep(0.1)

    # -- counting ------------------------------------------------------------------------------

    def mark(self) -> int:
        """A place in the audit log, for :meth:`requests`."""
        if not self.plane:
            pytest.skip("needs the embedded control plane's audit log")
        return self.plane.audit_mark()

    def requests(self, mark: int, user: str | None = None) -> list[dict[str, Any]]:
        """The audit events of our own identity, or of ``user``, since ``mark``."""
        who = user or cluster.ADMIN_USER
        return [
            event
            for event in self.plane.audit_events(mark)
            if event["user"]["username"] == who and event["userAgent"] != cluster.HARNESS
        ]

    def writes(self, mark: int) -> list[str]:
        """The write requests among them, as 'verb path'; a dry run writes nothing."""
        return [
            f"{event['verb']} {event['requestURI']}"
            for event in self.requests(mark)
            if event["verb"] in WRITES
            and event.get("objectRef", {}).get("resource") not in REVIEWS
            and "dryRun=All" not in event["requestURI"]
        ]


RBAC = "/apis/rbac.authorization.k8s.io/v1"
RBAC_GROUP = "rbac.authorization.k8s.io"


class Grants:
    """ServiceAccounts, roles and bindings of a test; the end of the block removes them."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.paths: list[str] = []

    def __enter__(self) -> Grants:
        return self

    def __exit__(self, *_error: object) -> None:
        for path in reversed(self.paths):
            self.platform.delete(path)

    def make(self, path: str, body: dict[str, Any]) -> None:
        self.platform.request("POST", path, body)
        self.paths.append(f"{path}/{body['metadata']['name']}")

    def account(self, name: str, namespace: str = "default") -> dict[str, str]:
        """Make a ServiceAccount; the result is the subject to bind."""
        self.make(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}

    def kubeconfig(self, name: str, namespace: str = "default") -> Path:
        """A kubeconfig that acts as a ServiceAccount."""
        return self.platform.plane.token_kubeconfig(namespace, name, self.platform.folder / f"{name}.kubeconfig")

    def __call__(
        self,
        name: str,
        rules: list[dict[str, Any]] | None = None,
        role: str | None = None,
        namespace: str | None = None,
        subject: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
    ) -> None:
        """Bind a ClusterRole or new rules to a user (or ``subject``), in a namespace or everywhere."""
        if rules:
            role = name
            self.make(f"{RBAC}/clusterroles", {"metadata": {"name": name, "labels": labels or {}}, "rules": rules})
        body = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role},
            "subjects": [subject or {"kind": "User", "name": name, "apiGroup": RBAC_GROUP}],
        }
        self.make(f"{RBAC}/namespaces/{namespace}/rolebindings" if namespace else f"{RBAC}/clusterrolebindings", body)


@contextmanager
def another(
    platform: Platform,
    name: str,
    apiserver_flags: tuple[str, ...] = (),
    eso: str | None = None,
    upgrades: tuple[str | None, ...] = (),
    helm: str | None = None,
) -> Iterator[Platform]:
    """One more control plane, empty, for the block; skips where the tests run on a cluster that is there.

    :arg eso: one of build.OLDER_ESO, instead of the release under test; :arg upgrades: those that may follow it.
    :arg helm: as the control plane takes it.
    """
    if not platform.plane:
        pytest.skip("needs a control plane of its own")
    plane = cluster.ControlPlane(name, True, apiserver_flags=apiserver_flags, eso=eso, upgrades=upgrades, helm=helm)
    plane.start()
    try:
        folder = platform.folder / name
        folder.mkdir(exist_ok=True)
        yield Platform(plane, folder)
    finally:
        plane.stop()


def upgrade_variables() -> dict[str, Any]:
    """The way of eso_upgrade from the oldest release to the one under test, by charts that are at hand."""
    return {
        "cluster_secrets_eso_chart": str(build.eso_chart()),
        "cluster_secrets_eso_crds": str(build.eso_crds()),
        "cluster_secrets_eso_upgrade_charts": [
            {"chart": str(build.eso_chart(one)), "crds": str(build.eso_crds(one))} for one in build.OLDER_ESO[1:]
        ],
        "cluster_secrets_wait_timeout": 60,
    }


def entry(name: str, namespaces: list[str], **changes: Any) -> dict[str, Any]:
    """A small catalog entry for tests, with a source and a label of its own."""
    return {
        "name": name,
        "source": f"{name}-source",
        "label": f"secrets/{name}",
        "data": {"KEY": "key"},
        "namespaces": namespaces,
        **changes,
    }


def talosconfig(hours: float, role: str = "os:admin") -> str:
    """A talosconfig whose certificate ends so many hours from now; its key is the canary."""
    now = datetime.datetime.now(datetime.timezone.utc)
    key, name = ed25519.Ed25519PrivateKey.generate(), x509.Name.from_rfc4514_string(f"O={role}")
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(hours=hours))
    pem = made.sign(key, None).public_bytes(serialization.Encoding.PEM)
    context = {"crt": base64.b64encode(pem).decode(), "key": CANARY}
    return yaml.safe_dump({"context": "one", "contexts": {"one": context}})


def found(platform: Platform, catalog: list[dict[str, Any]], **options: Any) -> set[tuple[str, str | None, str]]:
    """What the audit finds, but for mere information, as (check, namespace, name)."""
    result = platform.module("audit", catalog=catalog, **options).result
    findings = [one for one in result["findings"] if one["severity"] != "info"]
    names = [one["object"].removeprefix("%s/" % one["namespace"]) for one in findings]
    return {(one["check"], one["namespace"], name) for one, name in zip(findings, names, strict=True)}


def browser(folder: Path) -> list[str]:
    """The command that runs a real Chromium without a window, with its profile in ``folder``."""
    program = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    assert program, "install chromium (make browser)"
    flags = ["headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking"]
    flags += ["disable-component-update", "disable-sync", "disable-quic", f"user-data-dir={folder / 'profile'}"]
    return [program, *(f"--{flag}" for flag in flags), "--window-size=1280,1200"]


def browse(
    page: Path,
    script: str,
    folder: Path,
    scheme: str = "light",
    later: int = 0,
    width: int | None = None,
    fragment: str = "",
) -> Any:
    """What ``script`` gives to ``report()`` once a real Chromium has opened a page.

    :arg scheme: which colours the page's reader prefers, 'light' or 'dark'; :arg later: how many (virtual) seconds the
        script may take; without, it reports at once; :arg width: of the page in pixels, in a frame, since no window of
        Chromium is as narrow as a telephone; :arg fragment: what comes after '#' in its address.
    """
    probe = folder / "probe.html"
    own = "<script>const report = seen => { parent.document.title = JSON.stringify(seen); };%s</script>" % script
    text = page.read_text().replace("</body>", own + "</body>")
    if width:
        style = f"width:{width}px;height:900px;border:0"
        text = f'<title></title><iframe style="{style}" srcdoc="{html.escape(text)}"></iframe>'
    probe.write_text(text)
    done = subprocess.run(
        [
            *browser(folder),
            f"--blink-settings=preferredColorScheme={int(scheme == 'light')}",
            *([f"--virtual-time-budget={later * 1000}"] if later else []),
            "--dump-dom",
            probe.as_uri() + (f"#{fragment}" if fragment else ""),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r"<title>(\{.*?\})</title>", done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:]
    return json.loads(found.group(1).replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


def on_a_terminal(
    platform: Platform,
    argv: list[str],
    answers: list[tuple[str, str]],
    folder: Path,
    width: int = 100,
    **environment: str,
) -> tuple[int, str]:
    """The exit status of ``argv``, and what a person sees who answers its questions: (a question's end, the answer)."""
    pid, master = pty.fork()
    if not pid:
        os.chdir(folder)
        os.execvpe(argv[0], argv, {**platform.environment, "TERM": "xterm", **environment})
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    seen, answered, left, deadline = "", 0, list(answers), time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.5)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # how Linux says that nobody writes there any more
                break
            seen += chunk.decode(errors="replace")
        if left and left[0][0] in seen[answered:]:
            time.sleep(0.5)  # until the terminal's echo is off
            answered = len(seen)
            os.write(master, left.pop(0)[1].encode() + b"\r")
    else:
        os.kill(pid, signal.SIGKILL)  # it waits for an answer that nobody knows
    _pid, status = os.waitpid(pid, 0)
    os.close(master)
    return os.waitstatus_to_exitcode(status), seen


def leaked(text: str) -> list[str]:
    """The canary in the text, as it is or in base64 (at any of the three alignments)."""
    forms = [CANARY] + [
        base64.b64encode(("x" * shift + CANARY).encode()).decode()[4 if shift else 0 : -4] for shift in range(3)
    ]
    return [form for form in forms if form in text]
