# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make bench``: the collection against kubernetes.core.k8s and raw HTTP, side by side in one run.

Four ways: (a) kubernetes.core.k8s with a loop, (b) kubernetes.core.k8s with one multi-document
template, (c) the collection, (d) raw concurrent HTTP, by itself and started by a play. Five workloads:
labelling namespaces and seeding master Secrets, each changed and unchanged, and a rotation until every
target holds the new value. Times include the start of the process. Then ``status`` over 1 to 50 clusters.
"""

from __future__ import annotations

import argparse
import json
import os
import platform as host
import shutil
import statistics
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.client import Client
from ansible_collections.platform.cluster_secrets.plugins.module_utils.api.kubeconfig import connection
from ansible_collections.platform.cluster_secrets.plugins.module_utils.errors import ApiError

from bench import fleet, scale
from bench.ways import (
    APPLY,
    CHART,
    ENTRIES,
    ENTRY,
    HERE,
    LABEL,
    LOOP,
    LOOP_SIZE,
    OURS,
    PASSWORD,
    PLAYS,
    RAW,
    RAW_PLAY,
    ROTATED,
    SOURCE,
    STORE,
    TEMPLATE,
    TEMPLATES,
    VALUES,
    VARIABLES,
    WAYS,
    WORKLOADS,
)
from controlplane import build, cluster, values


def whole_chart(variables: dict[str, Any], folder: Path) -> dict[str, Any]:
    """``variables`` with a chart that has its CRDs, as a released one, which the module of Go's proxy lacks."""
    chart = folder / "chart"
    shutil.copytree(variables["cluster_secrets_eso_chart"], chart)
    crds = Path(variables["cluster_secrets_eso_crds"]).read_text()
    (chart / "templates/crds/bundle.yaml").write_text("{{- if .Values.installCRDs }}\n" + crds + "\n{{- end }}\n")
    return {**variables, "cluster_secrets_eso_chart": str(chart), "cluster_secrets_eso_crds": ""}


class Bench:
    """One control plane and the measuring on it."""

    def __init__(self, plane: cluster.ControlPlane, folder: Path) -> None:
        self.plane = plane
        self.folder = folder
        self.environment = {**os.environ, **plane.environment(), "ANSIBLE_PIPELINING": "true", "ANSIBLE_NOCOLOR": "1"}
        self.client = Client(connection({"kubeconfig": str(plane.kubeconfig)}))
        self.variables = whole_chart(plane.ansible_variables(), folder)
        self.runner = subprocess.Popen(
            [sys.executable, str(HERE / "runner.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.rotation = 0
        self.results: list[dict[str, Any]] = []
        self.grown: list[dict[str, Any]] = []
        for name, tasks in PLAYS.items():
            play = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
            (folder / f"{name.replace(' ', '-')}.yml").write_text(json.dumps(play))
        for name, text in TEMPLATES.items():
            (folder / name).write_text(text)

    # -- setting up, by raw requests -------------------------------------------------------------

    def send(self, method: str, path: str, body: Any = None, kind: str | None = None) -> Any:
        return self.client.request(method, path, body=body, content_type=kind)

    def ignore_missing(self, method: str, path: str) -> None:
        try:
            self.send(method, path)
        except ApiError as error:
            if error.status != 404:
                raise

    def job(self, size: int) -> dict[str, Any]:
        """The variables of one size, for the plays and for raw.py."""
        names = [f"bench-{number:04d}" for number in range(size)]
        entry = {"name": ENTRY, "source": SOURCE, "label": LABEL, "data": {"KEY": "key"}, "namespaces": names}
        seeds = [
            {
                **entry,
                "name": f"seed-{n}",
                "source": f"seed-{n:04d}",
                "label": f"secrets/seed-{n}",
                "target": f"seed-{n}",
                "namespaces": [],
            }
            for n in range(size)
        ]
        return {
            "catalog": [entry],
            "namespaces": names,
            "seeds": seeds,
            "values": {seed["source"]: {"key": f"value of {seed['source']}"} for seed in seeds},
            "label": LABEL,
            "entry": ENTRY,
            "source": SOURCE,
            "store_namespace": STORE,
            "server": f"https://127.0.0.1:{self.plane.port}",
            "ca": str(self.plane.pki / "ca.crt"),
            "cert": str(self.plane.pki / "admin.crt"),
            "key": str(self.plane.pki / "admin.key"),
        }

    def namespaces(self, names: list[str]) -> None:
        def create(name: str) -> None:
            try:
                self.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
            except ApiError as error:
                if error.status != 409:
                    raise

        self.client.each(create, names)

    def unlabel(self, names: list[str]) -> None:
        body = {"metadata": {"labels": {LABEL: None}}}
        self.client.each(
            lambda name: self.send("PATCH", f"/api/v1/namespaces/{name}", body, "application/merge-patch+json"), names
        )

    def unseed(self, names: list[str]) -> None:
        self.client.each(
            lambda name: self.ignore_missing("DELETE", f"/api/v1/namespaces/{STORE}/secrets/{name}"), names
        )

    # -- measuring -------------------------------------------------------------------------------

    def command(self, way: str, workload: str, job: Path) -> list[str]:
        verb = workload.split(",")[0]
        if way == RAW:
            return [sys.executable, str(HERE / "raw.py"), verb, str(job)]
        if way in (RAW_PLAY, APPLY):
            started = "apply" if way == APPLY else verb
            return ["ansible-playbook", str(self.folder / "raw.yml"), "-e", f"verb={started} job={job}"]
        kind = {LOOP: "loop", TEMPLATE: "template", OURS: "ours", CHART: "ours", VARIABLES: "variables"}[way]
        play = ["ansible-playbook", str(self.folder / f"{kind}-{verb}.yml")]
        if (way, verb) == (OURS, "seed"):
            return [*play, "--vault-password-file", str(self.folder / PASSWORD)]
        return [*play, "-e", f"@{job}"]

    def run(self, argv: list[str], may_fail: bool = False) -> dict[str, float]:
        """Seconds, requests to the API server and the largest process's peak memory, in MiB."""
        mark = self.plane.audit_mark()
        log = self.folder / "output.log"
        work = {"argv": argv, "environment": self.environment, "folder": str(self.folder), "log": str(log)}
        assert self.runner.stdin and self.runner.stdout
        self.runner.stdin.write(json.dumps(work) + "\n")
        self.runner.stdin.flush()
        ended = json.loads(self.runner.stdout.readline())
        if ended["status"] and not may_fail:
            raise SystemExit(f"bench: {' '.join(argv)} failed\n{log.read_text()[-3000:]}")
        events = self.plane.audit_events(mark)
        mine = [
            event
            for event in events
            if event["user"]["username"] == cluster.ADMIN_USER and event["userAgent"] != cluster.HARNESS
        ]
        writes = [
            event
            for event in mine
            if event["verb"] not in ("get", "list", "watch")
            # A review asks who one is or may do what, by a POST.
            and not event["objectRef"].get("resource", "").endswith("reviews")
        ]
        return {
            "seconds": ended["seconds"],
            "requests": len(mine),
            "writes": len(writes),
            "memory": ended["memory"],
            "failed": bool(ended["status"]),
        }

    def measure(self, size: int, workload: str, way: str, runs: int, before: Callable[[], None]) -> None:
        job = self.job(size)
        path = self.folder / "job.json"
        samples, empties = [], []
        for _number in range(runs):
            before()
            # Beside it, because a machine is not as fast at all times.
            empties.append(self.empty_play())
            if workload == "rotate":
                self.rotation += 1
                value = f"rotation {self.rotation}"
                job.update(value=value, rotated={SOURCE: {"key": value}}, stamp=str(self.rotation))
            # Each workload gets its own variables only, or reading the others' would count as its time.
            left_out = {"label": ("seeds", "values"), "seed": ("namespaces", "catalog"), "rotate": ("seeds", "values")}[
                workload.split(",", maxsplit=1)[0]
            ]
            spoken = {key: value for key, value in job.items() if key not in left_out}
            if workload == "rotate":
                spoken["values"] = job["rotated"]
            path.write_text(json.dumps(spoken))
            if workload.startswith("seed"):
                (self.folder / ENTRIES).write_text(json.dumps(job["seeds"]))
                values.write_vault(job["values"], self.folder / VALUES, self.folder / PASSWORD)
            # ESO removes a touched annotation again, so that the usual way may miss some targets.
            samples.append(
                self.run(self.command(way, workload, path), may_fail=workload == "rotate" and way in (LOOP, TEMPLATE))
            )
            # One that failed used up its whole wait, and would again.
            if samples[-1]["failed"] or sum(sample["seconds"] for sample in samples) > scale.ENOUGH:
                break
        runs = len(samples)
        row: dict[str, Any] = {"size": size, "workload": workload, "way": way, "runs": runs}
        for key in ("seconds", "requests", "writes", "memory"):
            row[key] = statistics.median(sample[key] for sample in samples)
        row["net"] = row["seconds"] - statistics.median(empties)
        row["failed"] = sum(sample["failed"] for sample in samples)
        row["spread"] = [min(s["seconds"] for s in samples), max(s["seconds"] for s in samples)]
        self.results.append(row)
        gave_up = f", {row['failed']} of {runs} runs gave up" if row["failed"] else ""
        build.say(
            f"  {size:>5}  {workload:<17} {way:<13} {row['seconds']:8.2f} s  {row['requests']:>6.0f} requests{gave_up}"
        )

    def empty_play(self) -> float:
        """Seconds that a play without a task takes."""
        return self.run(["ansible-playbook", str(self.folder / "empty.yml")])["seconds"]

    @staticmethod
    def ways(size: int, verb: str) -> list[str]:
        """Which ways are measured; rotations() adds the one with the chart's limits, which takes minutes."""
        only = {LOOP: size <= LOOP_SIZE, VARIABLES: verb == "seed", APPLY: verb == "seed", CHART: False}
        return [way for way in WAYS if only.get(way, True)]

    def labels(self, size: int, runs: int, ways: Iterable[str] = ()) -> None:
        names = self.job(size)["namespaces"]
        for way in ways or self.ways(size, "label"):
            self.measure(size, "label, changed", way, runs, lambda: self.unlabel(names))
            self.measure(size, "label, unchanged", way, runs, lambda: None)

    def seeds(self, size: int, runs: int, ways: Iterable[str] = ()) -> None:
        names = list(self.job(size)["values"])
        for way in ways or self.ways(size, "seed"):
            self.measure(size, "seed, changed", way, runs, lambda: self.unseed(names))
            # kubernetes.core and ours write different metadata; each is measured on what it wrote itself.
            self.measure(size, "seed, unchanged", way, runs, lambda: None)
        self.unseed(names)

    def rotations(self, size: int, runs: int, ways: Iterable[str] = ()) -> None:
        job = self.job(size)
        catalog = {"catalog": job["catalog"], "values": {SOURCE: {"key": "at first"}}}
        (self.folder / "setup.json").write_text(json.dumps(catalog))
        tasks = [
            {"platform.cluster_secrets.central_secrets": {"catalog": "{{ catalog }}", "values": "{{ values }}"}},
            {
                "platform.cluster_secrets.cluster_secret_store": {
                    "catalog": "{{ catalog }}",
                    "server_url": job["server"],
                }
            },
            {"platform.cluster_secrets.cluster_external_secrets": {"catalog": "{{ catalog }}"}},
            {"platform.cluster_secrets.namespace_labels": {"catalog": "{{ catalog }}", "exclusive": True}},
            {"platform.cluster_secrets.sync": {"catalog": "{{ catalog }}", "wait_timeout": 900}},
        ]
        (self.folder / "setup.yml").write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}])
        )
        self.run(["ansible-playbook", str(self.folder / "setup.yml"), "-e", f"@{self.folder / 'setup.json'}"])
        for way in ways or self.ways(size, "rotate"):
            self.measure(size, "rotate", way, runs, lambda: None)
        if size == ROTATED:
            install_eso(self, CHARTS)
            self.measure(size, "rotate", CHART, 1, lambda: None)
            install_eso(self)


#: What the chart and ESO have by default where the role has something else, as values of the chart.
CHARTS = {"concurrent": 1, "extraArgs": {"client-qps": "50", "client-burst": "100"}}


def install_eso(bench: Bench, values: dict[str, Any] | None = None) -> None:
    """The real chart with the role's defaults, or with other ``values`` for the chart."""
    variables = {
        **bench.variables,
        "cluster_secrets_eso_values": {**bench.variables["cluster_secrets_eso_values"], **(values or {})},
    }
    (bench.folder / "eso.json").write_text(json.dumps(variables))
    play = [{"hosts": "localhost", "gather_facts": False, "roles": ["platform.cluster_secrets.eso"]}]
    (bench.folder / "eso.yml").write_text(json.dumps(play))
    bench.run(["ansible-playbook", str(bench.folder / "eso.yml"), "-e", f"@{bench.folder / 'eso.json'}"])


def table(results: list[dict[str, Any]]) -> list[str]:
    """The results as lines: seconds, requests, memory, and ratios to ours."""
    lines = [
        f"{'namespaces':>10}  {'workload':<17} {'way':<13} {'seconds':>8} {'requests':>9} {'writes':>7} "
        f"{'MiB':>5} {'to ours':>8} {'to raw*':>8}"
    ]
    cells = {(row["size"], row["workload"], row["way"]): row for row in results}
    for row in results:
        ours, raw = cells[row["size"], row["workload"], OURS], cells[row["size"], row["workload"], RAW_PLAY]
        net = "" if row["way"] == RAW else f"{row['net'] / raw['net']:7.1f}x"
        lines.append(
            f"{row['size']:>10}  {row['workload']:<17} {row['way']:<13} {row['seconds']:8.2f} {row['requests']:>9.0f} "
            f"{row['writes']:>7.0f} {row['memory']:>5.0f} {row['seconds'] / ours['seconds']:7.1f}x {net:>8}"
            + (f"  {row['failed']} of {row['runs']} runs gave up with targets left" if row["failed"] else "")
        )
    return [*lines, "* to the raw process started by a play, the seconds of an empty play beside it taken from both"]


def goals(results: list[dict[str, Any]], fleets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the project promises, each with what was measured."""
    cells = {(row["size"], row["workload"], row["way"]): row for row in results}
    sizes = {row["size"] for row in results}

    def seconds(size: int, workload: str, way: str) -> float:
        return cells[size, workload, way]["seconds"]

    found = []
    for size in sorted(size for size in sizes if size >= 2000 and (size, "seed, unchanged", OURS) in cells):
        for workload, floor, bound in (
            ("seed, unchanged", RAW_PLAY, 1.5),
            ("seed, changed", RAW_PLAY, 1.3),
            ("seed, changed", APPLY, 1.3),
        ):
            net = [cells[size, workload, way]["net"] for way in (OURS, floor)]
            text = f"{size} {workload}, ours over {floor}, an empty play taken from both"
            found.append((text, net[0] / net[1], "<=", bound))
        memory = max(cells[size, workload, OURS]["memory"] for workload in ("seed, changed", "seed, unchanged"))
        found.append((f"{size} seeded, MiB", memory, "<=", 150))
    unchanged, changed = "label, unchanged", "label, changed"
    labelled = {size for size in sizes if (size, unchanged, OURS) in cells}
    if 200 in labelled:
        found.append(
            (
                "200 unchanged, template over ours",
                seconds(200, unchanged, TEMPLATE) / seconds(200, unchanged, OURS),
                ">=",
                2,
            )
        )
        if LOOP_SIZE in labelled:
            # Extrapolated: the loop's seconds for one namespace, from its own size.
            loop = seconds(LOOP_SIZE, unchanged, LOOP) / LOOP_SIZE
            found.append(
                (
                    "200 unchanged, loop over ours, for a namespace (extrapolated)",
                    loop / (seconds(200, unchanged, OURS) / 200),
                    ">=",
                    60,
                )
            )
    if 2000 in labelled:
        found.append(
            (
                "2000 unchanged, template over ours",
                seconds(2000, unchanged, TEMPLATE) / seconds(2000, unchanged, OURS),
                ">=",
                5,
            )
        )
        for workload in (changed, unchanged):
            net = [cells[2000, workload, way]["net"] for way in (OURS, RAW_PLAY)]
            found.append((f"2000 {workload}, ours over raw, an empty play taken from both", net[0] / net[1], "<=", 2))
    for size in sorted(sizes):
        if size in labelled:
            found.append(
                (
                    f"{size} unchanged, requests for a page of 500",
                    cells[size, unchanged, OURS]["requests"] / -(-size // 500),
                    "<=",
                    2,
                )
            )
        if (size, "rotate", CHART) in cells:
            ratio = seconds(size, "rotate", CHART) / seconds(size, "rotate", OURS)
            found.append((f"{size} rotate, the chart's limits over the role's", ratio, ">=", 5))
        if (size, "rotate", OURS) in cells:
            found.append((f"{size} rotate, writes of ours", cells[size, "rotate", OURS]["writes"], "<=", 2))
    if fleets:
        found += fleet.goals(fleets)
    return [
        {
            "goal": text,
            "measured": measured,
            "wanted": f"{sign} {bound}",
            "reached": measured >= bound if sign == ">=" else measured <= bound,
        }
        for text, measured, sign, bound in found
    ]


@contextmanager
def started(name: str) -> Iterator[Bench]:
    """A new control plane with the central store's namespace, for the block."""
    plane = cluster.ControlPlane(name, bound=True)
    plane.start()
    try:
        folder = plane.run / "bench"
        folder.mkdir(mode=0o700)
        bench = Bench(plane, folder)
        bench.send("POST", "/api/v1/namespaces", {"metadata": {"name": STORE}})
        yield bench
    finally:
        plane.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="20,200,2000,10000", help="numbers of namespaces (default: %(default)s)")
    parser.add_argument(
        "--runs", type=int, default=3, help="runs of each measurement; the median counts (default: %(default)s)"
    )
    parser.add_argument(
        "--workloads",
        default="label,seed,rotate,scale,fleet",
        help="what to measure; scale is what people run, by namespaces and by entries (default: %(default)s)",
    )
    parser.add_argument(
        "--entries", default="10,100,300", help="numbers of catalog entries for scale (default: %(default)s)"
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=build.cache_root() / "bench.json",
        help="where to write the results (default: %(default)s)",
    )
    options = parser.parse_args()
    sizes = sorted(int(size) for size in options.sizes.split(","))
    workloads = options.workloads.split(",")
    fleets: list[dict[str, Any]] = []
    with started("bench") as bench:
        empty = statistics.median(bench.empty_play() for _number in range(5))
        build.say(f"an empty play takes {empty:.2f} s")
        for size in sizes:
            bench.namespaces(bench.job(size)["namespaces"])
            if "label" in workloads:
                bench.labels(size, options.runs)
            if "seed" in workloads:
                bench.seeds(size, options.runs)
        if "rotate" in workloads:
            # ESO comes only now, so that its work is not in the times above.
            install_eso(bench)
            for size in sizes:
                if size <= ROTATED:
                    bench.rotations(size, options.runs)
        if "fleet" in workloads:
            fleets = fleet.measure(bench.folder, options.runs)
        results, grown = bench.results, bench.grown
    if "scale" in workloads:
        # In a cluster of its own, where nothing is listed that doesn't count.
        with started("bench-scale") as bench:
            for entries in map(int, options.entries.split(",")):
                scale.measure(bench, scale.FEW, entries, options.runs)
            for size in sizes:
                scale.measure(bench, size, 1, options.runs)
            grown = bench.grown
    results.sort(key=lambda row: (row["size"], WORKLOADS.index(row["workload"]), WAYS.index(row["way"])))
    print("\n".join([*table(results), *scale.table(grown)]))
    reached = goals(results, fleets) + scale.goals(grown)
    print()
    for goal in reached:
        word = "reached" if goal["reached"] else "MISSED "
        print(f"{word:<8} {goal['goal']}: {goal['measured']:.2f} (wanted {goal['wanted']})")
    machine = {
        "cores": os.cpu_count(),
        "python": host.python_version(),
        "kubernetes": build.KUBERNETES,
        "eso": build.ESO,
    }
    options.json.write_text(
        json.dumps(
            {
                "machine": machine,
                "empty_play": empty,
                "results": results,
                "grown": grown,
                "fleets": fleets,
                "goals": reached,
            },
            indent=1,
        )
    )
    print(f"\nwritten to {options.json}")
    return 0 if all(goal["reached"] for goal in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
