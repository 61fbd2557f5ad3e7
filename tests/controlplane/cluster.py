# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the control plane: etcd, kube-apiserver, controller-manager, scheduler, kwok and one kubelet
stand-in that runs the External Secrets controller as a host process.

Everything listens on free loopback ports, keeps its state in one run folder and can be stopped and
restarted piece by piece, as the upgrade tests need.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from . import build
from .pki import Pki, write_kubeconfig

#: Who the kubeconfig's client certificate says it is; the audit log is counted by this name.
ADMIN_USER = "cluster-admin"

#: How many seconds a part may take to start. It takes two, and a minute on two cores that three workers keep busy.
START = 180

#: The user agent of the harness's own requests, which no test counts.
HARNESS = "test-harness"

_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    # Metadata only: who, what verb, which object. Bodies would put secret values into the log.
    "rules": [{"level": "Metadata"}],
}


class ClusterError(RuntimeError):
    """The control plane could not be started or reached; the message says what to look at."""


class Api:
    """The few requests that the harness itself makes, over one client certificate."""

    def __init__(self, address: str, port: int, pki: Path) -> None:
        self._address, self._port = address, port
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", timeout: float = 10
    ) -> tuple[int, Any]:
        """Send one request; returns the status and the decoded body (text when it is not JSON)."""
        connection = http.client.HTTPSConnection(self._address, self._port, context=self._context, timeout=timeout)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(
                method, path, data, {"Content-Type": content_type, "Accept": "application/json", "User-Agent": HARNESS}
            )
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(raw)
        except ValueError:
            return response.status, raw.decode(errors="replace")


#: The ports that this process has given out: what is to listen there may not do so yet.
_given: set[int] = set()


def free_port() -> int:
    """A free port outside the range from which systems take ports for outgoing connections, another each time.

    One from inside that range could be taken by a client while the server restarts, even by a
    client that tries to reach this very server. Workers of the test runner have a range each.
    """
    first = 20000 + 1000 * (build.worker() % 10)
    for port in random.sample(sorted(set(range(first, first + 1000)) - _given), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                _given.add(port)
                return port
            except OSError:
                continue
    raise ClusterError("no free port was found on 127.0.0.1 between %d and %d" % (first, first + 999))


def die_with_parent() -> None:
    """Ask Linux to end this child when its parent dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        if Path("/proc/self").exists():
            return ""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout


class ControlPlane:
    """One control plane, named by its run folder.

    ``bound`` ties every process to the life of this one (for test sessions); otherwise they go on
    until ``stop``. ``apiserver_flags`` are added to the API server's own. ``eso`` is one of
    build.OLDER_ESO, instead of the release under test, and ``upgrades`` are those that may follow it (None: the release
    under test): which controller runs says the image of its pod. ``helm`` is build.HELM or build.HELM_3, and the newest
    that can be driven unless said.
    """

    #: Its processes, in the order in which they start.
    components: tuple[str, ...] = (
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kwok",
        "kubelet",
    )
    #: Who listens on a port of its own, beside those that each has.
    more_ports: tuple[str, ...] = ()
    #: Who has a kubeconfig of his own, beside the administrator.
    clients: tuple[str, ...] = ("kube-controller-manager", "kube-scheduler", "kwok")

    def __init__(
        self,
        name: str = "default",
        bound: bool = False,
        apiserver_flags: tuple[str, ...] = (),
        eso: str | None = None,
        upgrades: tuple[str | None, ...] = (),
        helm: str | None = None,
    ) -> None:
        self.name = name
        self._helm = helm or build.helm()
        self.eso = eso
        self._releases = (eso, *upgrades)
        self.bound = bound
        self._apiserver_flags = apiserver_flags
        self.run = build.run_root() / name
        self.pki = self.run / "pki"
        self.kubeconfig = self.run / "kubeconfig"
        self.audit_log = self.run / "audit.log"
        self._state_file = self.run / "state.json"
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._state: dict[str, Any] = {}
        if self._state_file.exists():
            self._state = json.loads(self._state_file.read_text())

    # -- state ---------------------------------------------------------------------------------

    def _save(self) -> None:
        staged = self._state_file.with_suffix(".tmp")
        staged.write_text(json.dumps(self._state, indent=1))
        staged.replace(self._state_file)

    def reload(self) -> None:
        """Learn which processes another process has started of it."""
        self._state = json.loads(self._state_file.read_text())

    @property
    def address(self) -> str:
        """Where the API server listens."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The API server's port."""
        return self._state["ports"]["apiserver"]

    def port_of(self, name: str) -> int:
        """The port of another part on 127.0.0.1."""
        return self._state["ports"][name]

    @property
    def pids(self) -> dict[str, int]:
        """The process of each component that was started."""
        return self._state.get("pids", {})

    def program(self, *names: str) -> str:
        """The path of the first of these programs that the control plane has."""
        return next(self._state["binaries"][name] for name in names if name in self._state["binaries"])

    @property
    def api(self) -> Api:
        return Api(self.address, self.port, self.pki)

    def log(self, component: str) -> Path:
        return self.run / f"{component}.log"

    def alive(self, component: str) -> bool:
        """Whether the process recorded for ``component`` runs and is still ours."""
        child = self._children.get(component)
        if child is not None:
            # A dying process loses its command line before it lets go of its ports.
            return child.poll() is None
        pid = self._state.get("pids", {}).get(component)
        # The run folder is in every command line, so a reused pid is never mistaken for ours.
        return bool(pid) and str(self.run) in command_line(pid)

    def status(self) -> dict[str, bool]:
        """Each component with whether its process runs."""
        return {component: self.alive(component) for component in self.components}

    def ready(self) -> bool:
        """Whether the API server answers that it is ready."""
        try:
            return self.api.request("GET", "/readyz", timeout=2)[0] == 200
        except (OSError, KeyError, http.client.HTTPException):
            return False

    # -- start and stop ------------------------------------------------------------------------

    def start(self) -> None:
        """Build what is missing, start everything, return when the API server is ready.

        On any failure, an interrupt included, what was started is stopped again.
        """
        binaries = self._programs()
        with build.locked(build.run_root() / f"{self.name}.lock"):
            if all(self.status().values()) and self.ready():
                return
            self.stop()
            shutil.rmtree(self.run, ignore_errors=True)
            try:
                self._prepare(binaries)
                for component in self.components:
                    self.start_component(component)
                self._wait("kube-controller-manager", self._controllers_run, START)
            except BaseException:
                self.stop()
                raise

    def _programs(self) -> dict[str, Path]:
        programs = [f"external-secrets-{one}" if one else "external-secrets" for one in self._releases]
        others = [name for name in build.CONTROL_PLANE if name != "external-secrets"]
        helms = ["helm-oldest"] if self._helm == build.HELM_OLDEST else []
        binaries = build.ensure((*others, *programs, *helms))
        # Only where there are several, so that any image will do for one.
        later = {
            f"external-secrets:{build.eso_release(one)}": binaries[program]
            for one, program in list(zip(self._releases, programs))[1:]
        }
        return {**binaries, "external-secrets": binaries[programs[0]], **later}

    def _prepare(self, binaries: dict[str, Path]) -> None:
        self.run.mkdir(parents=True, mode=0o700)
        (self.run / "audit-policy.json").write_text(json.dumps(_AUDIT_POLICY))
        names = (
            "etcd",
            "etcd_peer",
            "apiserver",
            "controller_manager",
            "scheduler",
            "kwok",
            "kubelet",
            *self.more_ports,
        )
        self._state = {
            "ports": {name: free_port() for name in (*names, *self.more_ports)},
            "pids": {},
            "binaries": {k: str(v) for k, v in binaries.items()},
        }
        self._place()
        pki = Pki(self.pki)
        pki.issue("admin", ADMIN_USER, "system:masters")
        pki.issue("kube-controller-manager", "system:kube-controller-manager")
        pki.issue("kube-scheduler", "system:kube-scheduler")
        self._issue(pki)
        pki.write_key("service-account", rsa.generate_private_key(public_exponent=65537, key_size=2048))
        write_kubeconfig(self.kubeconfig, self.port, self.pki, client="admin", address=self.address)
        for name in self.clients:
            write_kubeconfig(self.run / f"{name}.kubeconfig", self.port, self.pki, client=name, address=self.address)
        self._save()

    def _place(self) -> None:
        """Make the place in which the processes run, where that is another than this machine's own."""

    def _issue(self, pki: Pki) -> None:
        """Sign the certificates that depend on what the processes are."""
        pki.issue("apiserver", "kube-apiserver", server=True)
        pki.issue("kwok", "kwok", "system:masters")
        pki.issue("kubelet", "kubelet", server=True)

    def argv(self, component: str) -> list[str]:
        """The command line of ``component``."""
        ports, run, pki = self._state["ports"], self.run, self.pki
        etcd = f"http://127.0.0.1:{ports['etcd']}"
        peer = f"http://127.0.0.1:{ports['etcd_peer']}"
        if component == "kubelet":
            return [sys.executable, "-m", "controlplane.kubelet", str(run)]
        flags = {
            "etcd": [
                f"--data-dir={run}/etcd",
                "--unsafe-no-fsync",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--quota-backend-bytes=4294967296",
                "--log-level=warn",
            ],
            "kube-apiserver": [
                f"--etcd-servers={etcd}",
                f"--secure-port={ports['apiserver']}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--cert-dir={run}/apiserver",
                f"--client-ca-file={pki}/ca.crt",
                f"--tls-cert-file={pki}/apiserver.crt",
                f"--tls-private-key-file={pki}/apiserver.key",
                f"--service-account-key-file={pki}/service-account.key",
                f"--service-account-signing-key-file={pki}/service-account.key",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--authorization-mode=Node,RBAC",
                "--service-cluster-ip-range=10.0.0.0/16",
                f"--audit-policy-file={run}/audit-policy.json",
                f"--audit-log-path={self.audit_log}",
                # One file, however long (in MB): those who count keep a place in it.
                "--audit-log-maxsize=100000",
                # Every event is in the file when the request is answered, so that tests can count.
                "--audit-log-mode=blocking",
                "--endpoint-reconciler-type=none",
                *self._apiserver_flags,
            ],
            "kube-controller-manager": [
                f"--kubeconfig={run}/kube-controller-manager.kubeconfig",
                f"--authentication-kubeconfig={run}/kube-controller-manager.kubeconfig",
                f"--authorization-kubeconfig={run}/kube-controller-manager.kubeconfig",
                f"--cert-dir={run}/controller-manager",
                f"--service-account-private-key-file={pki}/service-account.key",
                f"--root-ca-file={pki}/ca.crt",
                f"--secure-port={ports['controller_manager']}",
                "--bind-address=127.0.0.1",
                "--use-service-account-credentials",
                "--controllers=*,-nodeipam",
                "--leader-elect=false",
                # An API server that takes its time to come back is no node's death: the pods would stay unready, for
                # kwok says only once that they are ready.
                "--node-monitor-grace-period=1h",
            ],
            "kube-scheduler": [
                f"--kubeconfig={run}/kube-scheduler.kubeconfig",
                f"--authentication-kubeconfig={run}/kube-scheduler.kubeconfig",
                f"--authorization-kubeconfig={run}/kube-scheduler.kubeconfig",
                f"--cert-dir={run}/scheduler",
                f"--secure-port={ports['scheduler']}",
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
            ],
            "kwok": [
                f"--kubeconfig={run}/kwok.kubeconfig",
                "--manage-all-nodes=true",
                f"--server-address=127.0.0.1:{ports['kwok']}",
                # Where the API server asks for logs.
                "--node-ip=127.0.0.1",
                f"--node-port={ports['kubelet']}",
                *[f"--config={stage}" for stage in build.kwok_stages()],
            ],
        }
        return [self._state["binaries"][component], *flags[component]]

    def start_component(self, component: str) -> None:
        """Start one component (again) on its recorded ports and data; waits for the API server, and for kwok's node."""
        self._spawn(component, self.argv(component))
        self._started(component)

    def _spawn(self, component: str, argv: list[str]) -> int:
        """Start a process whose output goes to the component's log, and remember it; returns its pid."""
        with self.log(component).open("ab") as log:
            child = subprocess.Popen(
                argv,
                cwd=self.run,
                # Some are modules of this package.
                env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent if self.bound else None,
            )
        self._children[component] = child
        self._record(component, child.pid)
        return child.pid

    def _record(self, component: str, pid: int) -> None:
        self._state.setdefault("pids", {})[component] = pid
        self._save()

    def _started(self, component: str) -> None:
        """Wait until what was just started can be used, where others need it."""
        if component == "kube-apiserver":
            self._wait(component, self.ready, START)
            self._wait(component, self._bootstrapped, START)
        elif component == "kwok":
            self._create_node()
            self._wait(component, self._node_ready, START)

    def _bootstrapped(self) -> bool:
        return self.api.request("GET", "/api/v1/namespaces/default")[0] == 200

    def _controllers_run(self) -> bool:
        """Whether the controllers are past their start, during which a restart of the API server ends the
        controller-manager."""
        return self.api.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")[0] == 200

    def _node_ready(self) -> bool:
        return self._ready_node("node-0")

    def _ready_node(self, name: str) -> bool:
        status, node = self.api.request("GET", f"/api/v1/nodes/{name}")
        conditions = node["status"].get("conditions", []) if status == 200 else []
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def _create_node(self) -> None:
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "node-0", "labels": {"kubernetes.io/os": "linux"}},
        }
        status, body = self.api.request("POST", "/api/v1/nodes", node)
        if status not in (201, 409):
            raise ClusterError(f"cannot create the node: {status} {body}")

    def _wait(self, component: str, condition: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if not self.alive(component):
                tail = "\n".join(self.log(component).read_text(errors="replace").splitlines()[-10:])
                raise ClusterError(f"{component} ended at start; see {self.log(component)}\n{tail}")
            if time.monotonic() > deadline:
                raise ClusterError(f"{component} was not ready after {seconds:.0f} s; see {self.log(component)}")
            time.sleep(0.1)

    def stop_component(self, component: str, signal_number: int = signal.SIGTERM, seconds: float = 10) -> None:
        """End one component and wait until it is gone; after ``seconds`` it is killed."""
        if not self.alive(component):
            return
        pid = self._state["pids"][component]
        deadline = time.monotonic() + seconds
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)
        while self.alive(component):
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                deadline += seconds
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop everything, in reverse order. The run folder stays, for its logs, until the next start."""
        for component in reversed(self.components):
            # The API server waits for its watchers when asked politely; its data is thrown away.
            self.stop_component(
                component, signal.SIGKILL if component in ("kube-apiserver", "etcd") else signal.SIGTERM
            )
        if self._state:
            self._state["pids"] = {}
            self._save()

    def kill_eso(self) -> None:
        """Kill ESO's controller, as the kernel would; the kubelet starts it again."""
        try:
            os.kill(int((self.run / "external-secrets.pid").read_text()), signal.SIGKILL)
        except (OSError, ValueError):
            pass

    def restart(self, signal_number: int, lose_data: bool = False) -> None:
        """End API server and etcd (and so, for a while, all that talks to them), and ESO; start them again.

        :arg lose_data: whether etcd comes back empty.
        """
        self.kill_eso()
        for component in ("kube-apiserver", "etcd"):
            self.stop_component(component, signal_number)
        if lose_data:
            shutil.rmtree(self.run / "etcd")
            for component in self.components[2:]:
                self.stop_component(component, signal.SIGKILL)
        # A kubelet would start a static pod that ended meanwhile.
        for component in self.components:
            if not self.alive(component):
                self.start_component(component)
        if lose_data:
            self._wait("kube-controller-manager", self._controllers_run, START)

    # -- the audit log -----------------------------------------------------------------------------

    def audit_mark(self) -> int:
        """A place in the audit log, for :meth:`audit_events`."""
        return self.audit_log.stat().st_size

    def audit_events(self, mark: int) -> list[dict[str, Any]]:
        """The events since ``mark``. A line that was or is still being written at either end is left out."""
        with self.audit_log.open("rb") as log:
            log.seek(max(0, mark - 1))
            lines = (b"\n" * (mark == 0) + log.read()).split(b"\n")
        return [json.loads(line) for line in lines[1:-1]]

    # -- etcd itself, for states that no request can make ----------------------------------------

    def _etcd(self, call: str, body: dict[str, str]) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._state["ports"]["etcd"], timeout=10)
        try:
            connection.request("POST", f"/v3/kv/{call}", json.dumps(body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ClusterError(f"etcd refused {call}: {answer}")
        return answer

    def etcd_get(self, key: str) -> Any:
        """What etcd holds under ``key``, a custom resource or its definition: these are stored as JSON."""
        found = self._etcd("range", {"key": base64.b64encode(key.encode()).decode()})
        return json.loads(base64.b64decode(found["kvs"][0]["value"]))

    def etcd_put(self, key: str, value: Any) -> None:
        """Write ``value`` as JSON under ``key``. The API server must not run."""
        self._etcd(
            "put",
            {
                "key": base64.b64encode(key.encode()).decode(),
                "value": base64.b64encode(json.dumps(value).encode()).decode(),
            },
        )

    # -- what tests and people need ------------------------------------------------------------

    @property
    def variables_file(self) -> Path:
        return self.run / "vars.json"

    def ansible_variables(self) -> dict[str, Any]:
        """The roles' variables that differ on this control plane from their defaults."""
        return {
            "cluster_secrets_eso_chart": str(build.eso_chart(self.eso)),
            "cluster_secrets_eso_crds": str(build.eso_crds(self.eso)),
            # 0.20.4 has known vulnerabilities; newer controllers can't be built from Go modules.
            "cluster_secrets_eso_allow": ["vulnerable"],
            # What was interrupted is waited for as long as helm may take, and a little longer.
            "cluster_secrets_eso_timeout": "30s",
            # No kubelet and no service network: nothing could answer the chart's webhook here.
            "cluster_secrets_eso_values": {"webhook": {"create": False}, "certController": {"create": False}},
            "cluster_secrets_store_server_url": f"https://127.0.0.1:{self.port}",
        }

    def environment(self) -> dict[str, str]:
        """Variables that point kubernetes clients, helm and the playbooks at this control plane."""
        self.variables_file.write_text(json.dumps(self.ansible_variables(), indent=1))
        helm = str(Path(self._state["binaries"][self._helm]).parent)
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "K8S_AUTH_KUBECONFIG": str(self.kubeconfig),
            "PATH": helm + os.pathsep + os.environ["PATH"],
            "HELM_CACHE_HOME": str(self.run / "helm/cache"),
            "HELM_CONFIG_HOME": str(self.run / "helm/config"),
            "HELM_DATA_HOME": str(self.run / "helm/data"),
            "CLUSTER_SECRETS_TEST_VARS": str(self.variables_file),
        }

    def token_kubeconfig(self, namespace: str, service_account: str, path: Path) -> Path:
        """Write a kubeconfig that acts as a ServiceAccount, by a token from the TokenRequest API."""
        url = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        status, body = self.api.request("POST", url, {"spec": {"expirationSeconds": 86400}})
        if status != 201:
            raise ClusterError(f"no token for {namespace}/{service_account}: {status} {body}")
        write_kubeconfig(path, self.port, self.pki, token=body["status"]["token"], address=self.address)
        return path
