# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole cluster of one node: the control plane, and beside it a real kubelet, containerd, runc, kube-proxy and
CoreDNS, in network, mounts and processes of their own. ESO runs in pods, as its chart says, with its webhook
and cert-controller. It needs root on Linux; :func:`lacking` says what is missing.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from . import build, sandbox
from .cluster import START, ClusterError, ControlPlane
from .images import Image
from .pki import Pki

NAME = "node-1"
SERVICES, DNS, PODS = "10.211.0.0/16", "10.211.0.10", "10.210.0.0/24"
#: Where pods reach the API.
API_SERVICE = "10.211.0.1"
SANDBOX_IMAGE = "localhost/workload:1"
#: What the private registry is known as to containerd: the one that the catalog's credentials are for.
PRIVATE_REGISTRY = "ghcr.io"
PRIVATE_IMAGE = f"{PRIVATE_REGISTRY}/private/workload:1"
DNS_IMAGE = "localhost/coredns:1"

_NEEDED = {"unshare": "util-linux", "nsenter": "util-linux", "mount": "mount", "ip": "iproute2", "nft": "nftables"}


@functools.cache
def lacking() -> str | None:
    """Why there can be no node on this machine; None if there can."""
    if sys.platform != "linux":
        return "a node needs Linux"
    if os.geteuid():
        return "a node needs root"
    missing = sorted({package for program, package in _NEEDED.items() if not shutil.which(program)})
    if not shutil.which("gcc") or not Path("/usr/include/seccomp.h").exists():
        missing.append("gcc and libseccomp-dev")
    if missing:
        return f"a node needs {', '.join(missing)} (make node-packages installs them on Debian)"
    if not sandbox.hierarchies():
        return "a node needs control groups under /sys/fs/cgroup"
    argv = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "node", "/run"]
    tried = subprocess.run(argv, capture_output=True, text=True, check=False)
    return f"this machine lets nobody make a node: {tried.stderr.strip()}" if tried.returncode else None


class Node(ControlPlane):
    """A control plane with a real node; what runs inside is started through the sandbox."""

    components = (
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "registry",
        "containerd",
        "kubelet",
        "kube-proxy",
    )
    more_ports = ("registry",)
    clients = ("kube-controller-manager", "kube-scheduler", "node", "kube-proxy")

    @property
    def address(self) -> str:
        return self._state["sandbox"]["address"]

    @property
    def login(self) -> Path:
        """The file with the private registry's ``user:password``."""
        return self.run / "registry/login"

    @property
    def repository(self) -> str:
        """The helm repository's URL."""
        return f"http://{self.address}:{self.port_of('registry')}"

    def _programs(self) -> dict[str, Path]:
        problem = lacking()
        if problem:
            raise ClusterError(problem)
        return {**super()._programs(), **build.ensure(build.NODE)}

    # -- start and stop ------------------------------------------------------------------------

    def start(self) -> None:
        super().start()
        try:
            self._dns()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        # Everything inside ends with it.
        self.stop_component("sandbox", seconds=30)
        super().stop()

    def status(self) -> dict[str, bool]:
        return {"sandbox": self.alive("sandbox"), **super().status()}

    def _place(self) -> None:
        self._spawn("sandbox", [sys.executable, "-m", "controlplane.sandbox", str(self.run)])
        place = self.run / "sandbox.json"
        self._wait("sandbox", place.exists, START)
        self._state["sandbox"] = json.loads(place.read_text())
        self._save()
        self._configure()

    def _issue(self, pki: Pki) -> None:
        pki.issue("apiserver", "kube-apiserver", server=True, addresses=(self.address, API_SERVICE))
        pki.issue("kubelet-client", "kube-apiserver", "system:masters")
        pki.issue("node", f"system:node:{NAME}", "system:nodes")
        pki.issue("kubelet", f"system:node:{NAME}", "system:nodes", server=True, addresses=(self.address,))
        pki.issue("kube-proxy", "system:kube-proxy")

    #: Where the log of what was started last begins.
    _log_begins = 0

    def _spawn(self, component: str, argv: list[str]) -> int:
        log = self.log(component)
        self._log_begins = log.stat().st_size if log.exists() else 0
        if component == "sandbox":
            return super()._spawn(component, argv)
        inside = ["nsenter", f"--target={self._state['sandbox']['pid']}", "--net", "--mount", "--pid", "--"]
        outer = super()._spawn(component, [*inside, *argv])
        # nsenter waits for it, and ends as it does.
        pid = sandbox.child_of(outer)
        self._record(component, pid)
        return pid

    def inside(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the node; raises ClusterError with what it said if it fails."""
        target = f"--target={self._state['sandbox']['pid']}"
        done = subprocess.run(
            ["nsenter", target, "--net", "--mount", "--pid", "--", *argv], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ClusterError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
        return done

    # -- what runs -----------------------------------------------------------------------------

    def argv(self, component: str) -> list[str]:
        run, programs = self.run, self._state["binaries"]
        if component == "registry":
            module = [sys.executable, "-m", "controlplane.registry"]
            return [*module, self.address, str(self.port_of("registry")), programs["workload"], f"{run}/registry"]
        if component == "containerd":
            return [programs["containerd"], f"--config={run}/containerd.toml"]
        if component == "kubelet":
            kubeconfig = f"--kubeconfig={run}/node.kubeconfig"
            names = [f"--hostname-override={NAME}", f"--node-ip={self.address}"]
            return [programs["kubelet"], f"--config={run}/kubelet.json", kubeconfig, *names]
        if component == "kube-proxy":
            return [programs["kube-proxy"], f"--config={run}/kube-proxy.json"]
        own = {
            # The last of two flags counts.
            "kube-apiserver": [
                "--bind-address=0.0.0.0",
                f"--advertise-address={self.address}",
                f"--service-cluster-ip-range={SERVICES}",
                "--endpoint-reconciler-type=lease",
                f"--kubelet-client-certificate={self.pki}/kubelet-client.crt",
                f"--kubelet-client-key={self.pki}/kubelet-client.key",
                "--kubelet-preferred-address-types=InternalIP",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true",
            ],
            # The default: this kubelet says again that its pods are ready.
            "kube-controller-manager": ["--node-monitor-grace-period=50s"],
        }
        return [*super().argv(component), *own.get(component, [])]

    def _started(self, component: str) -> None:
        super()._started(component)
        if component == "containerd":
            self._wait(component, self._containerd_answers, START)
            self._import_images()
        elif component == "kubelet":
            self._wait(component, self._node_ready, START)

    def _containerd_answers(self) -> bool:
        # It answers before its part for kubelets does, without which these end.
        if b"containerd successfully booted" not in self.log("containerd").read_bytes()[self._log_begins :]:
            return False
        try:
            self.inside(self._state["binaries"]["ctr"], "version")
        except ClusterError:
            return False
        return True

    def _node_ready(self) -> bool:
        return self._ready_node(NAME)

    # -- its files -----------------------------------------------------------------------------

    def _configure(self) -> None:
        run, programs = self.run, self._state["binaries"]
        (run / "registry/charts").mkdir(parents=True)
        self.login.touch(mode=0o600)
        self.login.write_text("robot:first")
        mirror = run / "registries" / PRIVATE_REGISTRY
        mirror.mkdir(parents=True)
        (mirror / "hosts.toml").write_text(f'server = "{self.repository}"\n')
        (run / "cni").mkdir()
        bridge = {
            "type": "bridge",
            "bridge": "pods",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
        }
        network = {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}
        (run / "cni/pods.conflist").write_text(json.dumps(network))
        (run / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        (run / "containerd.toml").write_text(self._containerd_toml(Path(programs["containerd"]).parent))
        (run / "kubelet.json").write_text(json.dumps(self._kubelet_configuration()))
        proxy = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": f"{run}/kube-proxy.kubeconfig"},
            "mode": "nftables",
            "clusterCIDR": PODS,
            "hostnameOverride": NAME,
            # These are the machine's, and can't be written from inside.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "oomScoreAdj": 0,
        }
        (run / "kube-proxy.json").write_text(json.dumps(proxy))

    def _containerd_toml(self, programs: Path) -> str:
        snapshotters = ("blockfile", "btrfs", "devmapper", "erofs", "zfs")
        disabled = [f"io.containerd.snapshotter.v1.{name}" for name in snapshotters] + ["io.containerd.nri.v1.nri"]
        # In a sandbox without CAP_SYS_RESOURCE nothing may make itself less likely to be killed.
        return f"""\
version = 3
disabled_plugins = {json.dumps(disabled)}
[plugins.'io.containerd.internal.v1.opt']
path = "/var/lib/containerd/opt"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{SANDBOX_IMAGE}"
[plugins.'io.containerd.cri.v1.images'.registry]
config_path = "{self.run}/registries"
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{programs}"]
conf_dir = "{self.run}/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{programs}/runc"
SystemdCgroup = false
"""

    def _kubelet_configuration(self) -> dict[str, Any]:
        nothing = {f"{what}.{left}": "0%" for what in ("nodefs", "imagefs") for left in ("available", "inodesFree")}
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "failSwapOn": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._state['sandbox']['cgroup']}",
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "address": self.address,
            "tlsCertFile": f"{self.pki}/kubelet.crt",
            "tlsPrivateKeyFile": f"{self.pki}/kubelet.key",
            "authentication": {"x509": {"clientCAFile": f"{self.pki}/ca.crt"}, "anonymous": {"enabled": False}},
            "clusterDNS": [DNS],
            "clusterDomain": "cluster.local",
            "resolvConf": f"{self.run}/resolv.conf",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            # The machine's disk may be as full as it is.
            "evictionHard": {**nothing, "memory.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            # A pod is looked at again soon, and so is a Secret.
            "syncFrequency": "10s",
            "oomScoreAdj": 0,
        }

    def _import_images(self) -> None:
        programs = {name: Path(path) for name, path in self._state["binaries"].items()}
        images = {SANDBOX_IMAGE: programs["workload"], DNS_IMAGE: programs["coredns"]}
        for release in self._releases:
            image = yaml.safe_load((build.eso_chart(release) / "values.yaml").read_text())["image"]
            tag = build.eso_release(release)
            program = programs.get(f"external-secrets:{tag}", programs["external-secrets"])
            images[f"{image['repository']}:{tag}"] = program
        known = self.inside(str(programs["ctr"]), "-n", "k8s.io", "images", "list", "-q").stdout.split()
        archive = self.run / "image.tar"
        for name, program in images.items():
            if name not in known:
                Image.of(program).save(archive, [name])
                self.inside(str(programs["ctr"]), "-n", "k8s.io", "images", "import", str(archive))
        archive.unlink(missing_ok=True)

    # -- what a cluster has beside its node --------------------------------------------------------

    def _dns(self) -> None:
        for path, body in _coredns():
            status, answer = self.api.request("POST", path, body)
            if status not in (201, 409):
                raise ClusterError(f"cannot create {path}: {status} {answer}")
        self._wait("kubelet", self._dns_ready, START)

    def _dns_ready(self) -> bool:
        _status, body = self.api.request("GET", "/apis/apps/v1/namespaces/kube-system/deployments/coredns")
        return body.get("status", {}).get("readyReplicas", 0) > 0

    # -- what tests and people need ------------------------------------------------------------

    def serve_chart(self, release: str | None = None) -> str:
        """Put a release's chart, its CRDs in it, into the helm repository; returns its version."""
        charts = self.run / "registry/charts"
        helm, chart = self._state["binaries"][self._helm], build.eso_chart(release, crds=True)
        for argv in (
            [helm, "package", str(chart), "--destination", str(charts)],
            [helm, "repo", "index", str(charts), "--url", self.repository],
        ):
            subprocess.run(argv, check=True, capture_output=True, text=True)
        return build.eso_release(release).lstrip("v")

    def ansible_variables(self) -> dict[str, Any]:
        """What a user says who has a mirror of ESO's chart, and a release in it with known vulnerabilities."""
        return {
            "cluster_secrets_eso_chart_repo": self.repository,
            "cluster_secrets_eso_chart_version": build.eso_release(self.eso).lstrip("v"),
            "cluster_secrets_eso_allow": ["vulnerable"],
        }

    def kill(self, component: str) -> None:
        """End one component as the kernel would when memory is short."""
        self.stop_component(component, signal.SIGKILL)

    def set_system(self, name: str) -> None:
        """Have the node's system be called this, as its kubelet sees it when it starts."""
        release = self.run / "os-release"
        first = not release.exists()
        release.write_text(f'PRETTY_NAME="{name}"\n')
        if first:
            self.inside("mount", "--bind", str(release), "/etc/os-release")

    def power_off(self) -> None:
        """End all that runs on the node at once; the control plane goes on."""
        for component in ("kubelet", "containerd"):
            self.kill(component)
        self.kill_in_pods("")

    def power_on(self) -> None:
        """Start what :meth:`power_off` ended."""
        for component in ("containerd", "kubelet"):
            self.start_component(component)

    def kill_in_pods(self, words: str) -> None:
        """Kill what runs in a pod and has these words in its command line; the kubelet starts it again."""
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                own = self._state["sandbox"]["cgroup"] in (path / "cgroup").read_text()
                if own and words in (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                    os.kill(int(path.name), signal.SIGKILL)


def _coredns() -> list[tuple[str, dict[str, Any]]]:
    """CoreDNS as a Deployment with what it needs: (collection's path, object)."""
    meta = {"name": "coredns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    rules = [
        {"apiGroups": [""], "resources": ["namespaces", "pods", "services"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    plugins = ["errors", "health", "ready", "kubernetes cluster.local in-addr.arpa", "cache 10", "loop", "reload"]
    container = {
        "name": "coredns",
        "image": DNS_IMAGE,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 10},
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
    }
    pod = {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    selector = {"k8s-app": "kube-dns"}
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "coredns"}
    subject = {"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}
    corefile = ".:53 {\n%s\n}\n" % "\n".join(f"  {line}" for line in plugins)
    ports = [{"name": name, "port": 53, "protocol": protocol} for name, protocol in (("dns", "UDP"), ("tcp", "TCP"))]
    core = "/api/v1/namespaces/kube-system"
    return [
        (f"{core}/serviceaccounts", {"metadata": meta}),
        (f"{rbac}/clusterroles", {"metadata": {"name": "coredns"}, "rules": rules}),
        (f"{rbac}/clusterrolebindings", {"metadata": {"name": "coredns"}, "roleRef": role, "subjects": [subject]}),
        (f"{core}/configmaps", {"metadata": meta, "data": {"Corefile": corefile}}),
        (
            "/apis/apps/v1/namespaces/kube-system/deployments",
            {
                "metadata": meta,
                "spec": {
                    "selector": {"matchLabels": selector},
                    "template": {"metadata": {"labels": selector}, "spec": pod},
                },
            },
        ),
        (
            f"{core}/services",
            {
                "metadata": {**meta, "name": "kube-dns"},
                "spec": {"clusterIP": DNS, "selector": selector, "ports": ports},
            },
        ),
    ]
