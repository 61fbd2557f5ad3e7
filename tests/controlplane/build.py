# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the pinned programs of the control plane into a cache outside the checkout.

Every program is built by the Go toolchain from modules whose versions are pinned here or in the
``go.mod``/``go.sum`` files beside this one. A build is keyed by the digest of what went into it, so
a second start builds nothing.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Callable, Iterator

HERE = Path(__file__).resolve().parent
GO_SOURCES = HERE / "go"

KUBERNETES = "v1.37.2"
ESO = "v0.20.4"
#: As tests/controlplane/go/controlplane/go.mod has it; its stages are read from the module.
KWOK = "v0.8.0"

#: Another release of Kubernetes to run the tests on: one of OTHER_KUBERNETES.
KUBERNETES_VARIABLE = "CLUSTER_SECRETS_KUBERNETES"

#: The newest of each minor release of which all modules are to be had.
OTHER_KUBERNETES = ("v1.30.14", "v1.31.13", "v1.32.9", "v1.33.13", "v1.34.4", "v1.35.4", "v1.36.3")

#: Older releases whose controller some tests run; each is built when a test first asks for it.
OLDER_ESO = ("v0.14.4", "v0.16.1")

#: ESO releases whose CRDs the API-version tests install.
ESO_CRD_VERSIONS = ("v0.14.4", "v0.16.1", "v0.20.4", "v1.3.2")
ESO_MODULE = "github.com/external-secrets/external-secrets"

#: What the two register packages import here; all other providers are left out of the build.
ESO_PROVIDERS = ("fake", "kubernetes")
ESO_GENERATORS = ("fake", "password")

#: Environment variables that replace the built release of ESO with another one: a ready
#: controller binary, the folder of its chart, a file with its CRDs. Each goes with the other two.
ESO_BINARY_VARIABLE = "CLUSTER_SECRETS_ESO_BINARY"
ESO_CHART_VARIABLE = "CLUSTER_SECRETS_ESO_CHART"
ESO_CRDS_VARIABLE = "CLUSTER_SECRETS_ESO_CRDS"

#: Go 1.26 is what Kubernetes 1.37 asks for.
MINIMUM_GO = (1, 26)


class BuildError(RuntimeError):
    """A program could not be built; the message says which and where its log is."""


def cache_root() -> Path:
    """The folder that holds builds and run state; ``CLUSTER_SECRETS_CACHE`` moves it."""
    base = os.environ.get("CLUSTER_SECRETS_CACHE")
    if base:
        return Path(base).expanduser().resolve()
    xdg = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(xdg).expanduser().resolve() / "platform-cluster-secrets"


def worker() -> int:
    """The number of this process among the test runner's workers; 0 without any."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def run_root() -> Path:
    """The folder that holds the control planes' run folders; one for each of the test runner's workers."""
    return cache_root() / "run" / os.environ.get("PYTEST_XDIST_WORKER", "")


@dataclass(frozen=True)
class Program:
    """One build: the programs it yields, what it is keyed by and how it is made."""

    name: str
    outputs: tuple[str, ...]
    about: str
    make: Callable[[Path, Path], None]
    sources: tuple[Path, ...] = ()
    pins: tuple[str, ...] = field(default=())

    def key(self) -> str:
        digest = hashlib.sha256()
        for pin in (self.name, *self.outputs, *self.pins, *_FLAGS):
            digest.update(pin.encode() + b"\0")
        for source in self.sources:
            for path in sorted(source.rglob("*")):
                if path.is_file():
                    digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()[:16]


def _go_env() -> dict[str, str]:
    # GOFLAGS=-mod=mod or a vendor flag of the caller must not change what is built.
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _run(argv: list[str], cwd: Path, log: Path, env: dict[str, str] | None = None) -> None:
    """Run one step; its output goes to ``log``, and a line every 30 s shows that it is alive."""
    with log.open("ab") as out:
        out.write(("$ " + " ".join(argv) + "\n").encode())
        out.flush()
        process = subprocess.Popen(argv, cwd=cwd, stdout=out, stderr=subprocess.STDOUT, env=env or _go_env())
        started = time.monotonic()
        try:
            while True:
                try:
                    code = process.wait(timeout=30)
                    break
                except subprocess.TimeoutExpired:
                    say(f"  ... still building, {time.monotonic() - started:.0f} s")
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise BuildError(f"'{argv[0]} {argv[1]}' ended with status {code}; see {log}\n{tail}")


def say(line: str) -> None:
    """Report progress on stderr; stdout is for results."""
    print(line, file=sys.stderr, flush=True)


#: Nobody debugs these, and without what debuggers read a fifth of the time is saved.
_FLAGS = ("-trimpath", "-gcflags=all=-dwarf=false")


def _version_flags(release: str = KUBERNETES) -> str:
    _major, minor, _patch = release.lstrip("v").split(".")
    version = "k8s.io/component-base/version"
    return f"-s -w -X {version}.gitVersion={release} -X {version}.gitMajor=1 -X {version}.gitMinor={minor}"


def _make_kubernetes(packages: tuple[str, ...], work: Path, out: Path) -> None:
    """All in one module, so that what they share (client-go and more) has one version and is compiled once."""
    source = work / "source"
    shutil.copytree(GO_SOURCES / "controlplane", source)
    _run(
        ["go", "build", "-mod=readonly", *_FLAGS, "-ldflags", _version_flags(), "-o", f"{out}/", *packages],
        source,
        work / "build.log",
    )


#: helm 4, the newest helm 3 and the oldest that is supported, each called 'helm' in its folder.
HELM, HELM_3, HELM_OLDEST = "helm", "helm3/helm", "helm-oldest/helm"
_OLDEST_HELM = "v3.14.4"

#: What encrypts files of values, and makes its keys.
SOPS, AGE = "v3.13.3", "v1.3.2"


def _make_controlplane(work: Path, out: Path) -> None:
    """The control plane, and what talks to it."""
    programs = tuple(f"k8s.io/kubernetes/cmd/{name}" for name in _CONTROL_PLANE)
    _make_kubernetes((*programs, "helm.sh/helm/v4/cmd/helm", "sigs.k8s.io/kwok/cmd/kwok", "./etcd"), work, out)
    (out / HELM_3).parent.mkdir()
    argv = ["go", "build", "-mod=readonly", *_FLAGS, "-ldflags", "-s -w", "-o", str(out / HELM_3)]
    _run([*argv, "helm.sh/helm/v3/cmd/helm"], work / "source", work / "build.log")


def _make_of_module(module: str, release: str, packages: tuple[str, ...], flags: str, work: Path, out: Path) -> None:
    """Programs of another release of a module, with the dependencies that its own go.mod names.

    What Kubernetes requires of its own repository has the same version there, and a module of its own.
    """
    source = work / "source"
    source.mkdir()
    described = (module_dir(module, release) / "go.mod").read_text()
    own = sorted(set(re.findall(r"^\s*(k8s\.io/\S+) v0\.0\.0\s", described, re.MULTILINE)))
    lines = described[described.index("\nrequire") :].partition("\nreplace")[0].splitlines()
    same = "v0" + release.removeprefix("v1")
    go_mod = [
        "module matrix.test/controlplane",
        "go 1.26.0",
        "godebug default=go1.26",
        *lines,
        f"require {module} {release}",
        *(f"replace {one} => {one} {same}" for one in own),
    ]
    (source / "go.mod").write_text("\n".join(go_mod) + "\n")
    argv = ["go", "build", "-mod=mod", *_FLAGS, "-ldflags", flags, "-o", f"{out}/"]
    _run([*argv, *(f"{module}/cmd/{name}" for name in packages)], source, work / "build.log")


def _make_oldest_helm(work: Path, out: Path) -> None:
    folder = (out / HELM_OLDEST).parent
    folder.mkdir()
    _make_of_module("helm.sh/helm/v3", _OLDEST_HELM, ("helm",), "-s -w", work, folder)


def _module(module: str, release: str, name: str) -> Callable[[Path, Path], None]:
    return functools.partial(_make_of_module, module, release, (name,), "-s -w")


def version_of_helm(program: str) -> str:
    """The release of one of the three helms."""
    if program == HELM_OLDEST:
        return _OLDEST_HELM
    major = "v4" if program == HELM else "v3"
    found = re.search(rf"helm\.sh/helm/{major} (v\S+)", (GO_SOURCES / "controlplane/go.mod").read_text())
    assert found
    return found[1]


def other_kubernetes() -> str | None:
    """The release of Kubernetes that the environment asks for; None for the pinned one. Raises BuildError."""
    asked = os.environ.get(KUBERNETES_VARIABLE) or KUBERNETES
    if asked not in (KUBERNETES, *OTHER_KUBERNETES):
        raise BuildError(f"{KUBERNETES_VARIABLE} must be one of {', '.join(OTHER_KUBERNETES)}, and is '{asked}'")
    return asked if asked != KUBERNETES else None


def helm() -> str:
    """The program helm that the installed kubernetes.core can drive: 4 from the package ansible 14 on."""
    return HELM if int(metadata.version("ansible").partition(".")[0]) >= 14 else HELM_3


def _make_node(work: Path, out: Path) -> None:
    """containerd, its shim and client, the network plugins, runc, and what the pods run."""
    source, log = work / "source", work / "build.log"
    shutil.copytree(GO_SOURCES / "node", source)
    build = ["go", "build", "-mod=readonly", *_FLAGS]
    containerd = "github.com/containerd/containerd/v2"
    programs = [f"{containerd}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")]
    plugins = [f"github.com/containernetworking/plugins/plugins/{name}" for name in CNI_PLUGINS]
    _run([*build, "-ldflags", "-s -w", "-o", f"{out}/", *programs, *plugins, "./workload"], source, log)
    # runc enters namespaces in C, before Go's runtime starts; the chart's pods ask for a seccomp profile.
    _run(
        [*build, "-tags", "seccomp", "-ldflags", "-s -w", "-o", f"{out}/runc", "github.com/opencontainers/runc"],
        source,
        log,
        {**_go_env(), "CGO_ENABLED": "1"},
    )


def _make_main(name: str) -> Callable[[Path, Path], None]:
    def make(work: Path, out: Path) -> None:
        source = work / "source"
        shutil.copytree(GO_SOURCES / name, source)
        _run(
            ["go", "build", "-mod=readonly", *_FLAGS, "-ldflags", "-s -w", "-o", str(out / name), "."],
            source,
            work / "build.log",
        )

    return make


def module_dir(module: str, version: str) -> Path:
    """Download a Go module (once) and return its read-only folder in the module cache."""
    result = subprocess.run(
        ["go", "mod", "download", "-json", f"{module}@{version}"],
        capture_output=True,
        text=True,
        env=_go_env(),
        check=False,
        cwd="/",
    )
    try:
        return Path(json.loads(result.stdout)["Dir"])
    except (ValueError, KeyError):
        raise BuildError(f"cannot download {module}@{version}: {(result.stdout + result.stderr).strip()}") from None


def _register_package(kind: str, names: tuple[str, ...]) -> str:
    imports = "\n".join(f'\t_ "{ESO_MODULE}/pkg/{kind}/{name}"' for name in names)
    return f"package register\n\nimport (\n{imports}\n)\n"


def _make_eso(version: str, name: str, work: Path, out: Path) -> None:
    # The module as published pulls in dependencies of providers that are not needed here and cannot
    # be verified, so the copy registers only the providers the tests use.
    source = work / "source"
    shutil.copytree(module_dir(ESO_MODULE, version), source)
    for path in [source, *source.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    (source / "pkg/provider/register/register.go").write_text(_register_package("provider", ESO_PROVIDERS))
    (source / "pkg/generator/register/register.go").write_text(_register_package("generator", ESO_GENERATORS))
    log = work / "build.log"
    _run(["go", "mod", "edit", "-droprequire", "github.com/previder/vault-cli"], source, log)
    _run(
        ["go", "build", "-mod=mod", *_FLAGS, "-ldflags", "-s -w", "-o", str(out / name), "."],
        source,
        log,
    )


_CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_ON_A_NODE = ("kubelet", "kube-proxy")
CNI_PLUGINS = ("ipam/host-local", "main/bridge", "main/loopback")

PROGRAMS: dict[str, Program] = {
    program.name: program
    for program in (
        Program(
            "controlplane",
            ("etcd", *_CONTROL_PLANE, HELM, HELM_3, "kwok"),
            "about 5 min",
            _make_controlplane,
            (GO_SOURCES / "controlplane",),
            (KUBERNETES,),
        ),
        Program(
            "external-secrets",
            ("external-secrets",),
            "about 2 min",
            functools.partial(_make_eso, ESO, "external-secrets"),
            (),
            (ESO, *ESO_PROVIDERS, *ESO_GENERATORS),
        ),
        *(
            Program(
                f"external-secrets-{version}",
                (f"external-secrets-{version}",),
                "about 2 min",
                functools.partial(_make_eso, version, f"external-secrets-{version}"),
                (),
                (version, *ESO_PROVIDERS, *ESO_GENERATORS),
            )
            for version in OLDER_ESO
        ),
        Program(
            "kubelet",
            _ON_A_NODE,
            "about 1 min after the control plane",
            functools.partial(_make_kubernetes, tuple(f"k8s.io/kubernetes/cmd/{name}" for name in _ON_A_NODE)),
            (GO_SOURCES / "controlplane",),
            (KUBERNETES,),
        ),
        Program(
            "node",
            ("containerd", "containerd-shim-runc-v2", "ctr", "bridge", "host-local", "loopback", "runc", "workload"),
            "about 2 min",
            _make_node,
            (GO_SOURCES / "node",),
        ),
        Program("coredns", ("coredns",), "about 2 min", _make_main("coredns"), (GO_SOURCES / "coredns",)),
        Program("promrules", ("promrules",), "about 1 min", _make_main("promrules"), (GO_SOURCES / "promrules",)),
        Program("vault", ("vault",), "about 4 min", _make_main("vault"), (GO_SOURCES / "vault",)),
    )
}

#: What only the matrix needs, and builds when it does.
MATRIX: dict[str, Program] = {
    "helm-oldest": Program("helm-oldest", (HELM_OLDEST,), "about 1 min", _make_oldest_helm, (), (_OLDEST_HELM,)),
    "sops": Program("sops", ("sops",), "about 5 min", _module("github.com/getsops/sops/v3", SOPS, "sops"), (), (SOPS,)),
    "age": Program("age", ("age-keygen",), "seconds", _module("filippo.io/age", AGE, "age-keygen"), (), (AGE,)),
} | {
    f"kubernetes-{release}": Program(
        f"kubernetes-{release}",
        _CONTROL_PLANE,
        "about 5 min",
        functools.partial(_make_of_module, "k8s.io/kubernetes", release, _CONTROL_PLANE, _version_flags(release)),
        (),
        (release,),
    )
    for release in OTHER_KUBERNETES
}

#: What a node needs beside that; see node.py.
NODE = ("kubelet", "node", "coredns")

#: What a control plane needs; only the tests of values from Vault need Vault.
CONTROL_PLANE = ("controlplane", "external-secrets")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path`` for the block; two builds or starts never overlap."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def require_go() -> None:
    """Fail with one clear message when the Go toolchain is missing or too old."""
    if not shutil.which("go"):
        raise BuildError(
            f"the Go toolchain ({MINIMUM_GO[0]}.{MINIMUM_GO[1]} or newer) is needed to build the control plane, "
            "and 'go' is not on PATH"
        )
    text = subprocess.run(
        ["go", "env", "GOVERSION"], capture_output=True, text=True, check=True, env=_go_env(), cwd="/"
    ).stdout.strip()
    numbers = text.removeprefix("go").split(".")
    if (int(numbers[0]), int(numbers[1])) < MINIMUM_GO:
        raise BuildError(f"Go {MINIMUM_GO[0]}.{MINIMUM_GO[1]} or newer is needed, and this is {text}")


def given_eso() -> dict[str, Path]:
    """The release of ESO that the environment gives, by variable; empty when it gives none. Raises BuildError."""
    variables = (ESO_BINARY_VARIABLE, ESO_CHART_VARIABLE, ESO_CRDS_VARIABLE)
    given = {name: Path(os.environ[name]).resolve() for name in variables if os.environ.get(name)}
    if given and len(given) != len(variables):
        missing = ", ".join(name for name in variables if name not in given)
        raise BuildError(f"another release of ESO takes all of {', '.join(variables)}; set also {missing}")
    for name, path in given.items():
        if not path.exists():
            raise BuildError(f"{name} names '{path}', which does not exist")
    return given


def ensure(names: tuple[str, ...] = CONTROL_PLANE) -> dict[str, Path]:
    """Build what is missing of ``names``.

    Returns each program's name with its absolute path. Raises BuildError.
    """
    paths: dict[str, Path] = {}
    checked = False
    given = given_eso()
    other = other_kubernetes()
    if other and "controlplane" in names:
        # The later of two programs of one name counts.
        names = (*names, f"kubernetes-{other}")
    for position, name in enumerate(names, 1):
        program = PROGRAMS.get(name) or MATRIX[name]
        if name == "external-secrets" and given:
            paths[name] = given[ESO_BINARY_VARIABLE]
            continue
        target = cache_root() / "bin" / f"{name}-{program.key()}"
        with locked(cache_root() / "bin" / f"{name}.lock"):
            if not all((target / output).exists() for output in program.outputs):
                if not checked:
                    require_go()
                    checked = True
                say(f"[{position}/{len(names)}] building {', '.join(program.outputs)} ({program.about} the first time)")
                started = time.monotonic()
                work = target.with_suffix(".work")
                shutil.rmtree(work, ignore_errors=True)
                staged = work / "out"
                staged.mkdir(parents=True)
                program.make(work, staged)
                shutil.rmtree(target, ignore_errors=True)
                staged.rename(target)  # complete or absent, never half a build
                shutil.rmtree(work, ignore_errors=True)
                say(f"      done in {time.monotonic() - started:.0f} s")
        for output in program.outputs:
            paths[output] = target / output
    return paths


def eso_release(version: str | None = None) -> str:
    """The release that ESO ``version``'s chart installs, as its image's tag: in a module it is one behind the tag."""
    for line in (eso_chart(version) / "Chart.yaml").read_text().splitlines():
        if line.startswith("appVersion:"):
            return line.partition(":")[2].strip().strip('"')
    raise BuildError(f"the chart of {version or 'the given release'} has no appVersion")


def kwok_stages() -> list[Path]:
    """The stage files by which kwok makes nodes ready and pods run, as its module ships them."""
    stages = module_dir("sigs.k8s.io/kwok", KWOK) / "kustomize/stage"
    wanted = [stages / "node/fast", stages / "node/heartbeat", stages / "pod/fast"]
    return [path for folder in wanted for path in sorted(folder.glob("*.yaml")) if path.name != "kustomization.yaml"]


def eso_crds(version: str | None = None) -> Path:
    """The CRD bundle (multi-document YAML) that ESO ``version`` ships; that of the release under test, unless given."""
    given = given_eso()
    if version is None and given:
        return given[ESO_CRDS_VARIABLE]
    version = version or ESO
    return module_dir(ESO_MODULE, version) / "deploy/crds/bundle.yaml"


def eso_chart(version: str | None = None, crds: bool = False) -> Path:
    """A copy of ESO's chart, installable without network access; that of the release under test, unless given.

    The sub-chart it declares is an option nobody uses here and is not part of the module, and helm
    refuses a chart whose declared dependencies are absent; the copy drops that declaration.

    :arg crds: whether it has the CRDs too, as the published one does and the module's doesn't.
    """
    given = {} if version else given_eso()
    folder = "deploy/charts/external-secrets"
    source = given[ESO_CHART_VARIABLE] if given else module_dir(ESO_MODULE, version or ESO) / folder
    key = hashlib.sha256(f"{source}{' with CRDs' * crds}".encode()).hexdigest()[:16]
    target = cache_root() / "charts" / f"external-secrets-{key}"
    with locked(cache_root() / "charts" / "lock"):
        if not target.exists():
            staged = target.with_suffix(".work")
            shutil.rmtree(staged, ignore_errors=True)
            staged.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, staged)
            for path in [staged, *staged.rglob("*")]:
                path.chmod(path.stat().st_mode | 0o200)
            chart = staged / "Chart.yaml"
            chart.write_text(chart.read_text().split("\ndependencies:", maxsplit=1)[0] + "\n")
            (staged / "Chart.lock").unlink(missing_ok=True)
            if crds:
                bundle = eso_crds(version).read_text().replace("{{", '{{ "{{" }}')
                template = "{{- if .Values.installCRDs }}\n" + bundle + "\n{{- end }}\n"
                (staged / "templates/crds/bundle.yaml").write_text(template)
            staged.rename(target)
    return target
