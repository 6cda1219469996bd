"""``make bench-operator``: time, memory and idle load of the operator with many resources.

bench/README.md describes the measurements. FULL=1 adds 10,000 resources; RESOURCES=1,200 sets the runs. HELD=1 stops
the cluster's controllers from the start.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from bench import bare, cluster, results
from bench.cluster import Document, Progress
from bench.process import cpu_ns, memory
from bench.results import Goal
from bench.subjects import ROOT, end, free_port

from market_operator.manifests.networkpolicy import NetworkRules
from market_operator.resource.naming import Key
from market_operator.settings import Settings

OPERATOR = Path(sys.executable).with_name("market-operator")
QUIET_S = 5.0
"""Time without a pass after which the operator has handled all events of its managed objects."""
NO_OTHER_OPERATOR_S = 3.0
CHILDREN = ("deployments", "configmaps", "services", "networkpolicies")
READER: Document = {"podSelector": {}}
AS_IN_CHART = ("--health-via", "direct", "--allow-from", json.dumps(READER))
"""Options as in the chart's defaults, with a NetworkPolicy for each resource."""
SETTINGS = Settings(traffic=NetworkRules(readers=(READER,)))
"""The corresponding settings of the managed objects."""
IDLE_S = SETTINGS.sweep_interval
"""Long enough to include one of the operator's complete listings."""
NO_NODE = {"bench.marketcollector.dev/runs-on": "no-node"}
"""A node selector that fits no node. Managed objects are real, but no pod runs, so only the operator is measured."""

GOALS: dict[int, dict[str, Goal]] = {
    1_000: {"seconds": Goal(15), "rss_peak_mb": Goal(90), "idle_writes_per_minute": Goal(0)},
    10_000: {
        "seconds": Goal(120),
        "rss_peak_mb": Goal(110),
        "idle_cpu_percent": Goal(1),
        "idle_writes_per_minute": Goal(0),
        "one_change_s": Goal(1),
        "restart_s": Goal(60),
        "restart_writes": Goal(0),
    },
}


class BenchError(Exception):
    """A measurement was not possible."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A running ``market-operator run``, and its HTTP address."""

    process: subprocess.Popen[bytes]
    http: str
    started: float
    """Start time in seconds of the monotonic clock."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def writes(self) -> Counter[str]:
        """The operator's own count of its writes to the API server, by label."""
        return api_writes(self._metrics())

    def passes(self) -> int:
        """The operator's own count of its passes over resources."""
        return passes(self._metrics())

    def _metrics(self) -> str:
        with urlopen(self.http + "/metrics", timeout=10) as answer:
            return str(answer.read().decode())


def main() -> None:
    """Run all sizes, print the table and write the result file."""
    runs: list[Document] = []
    is_held = os.environ.get("HELD") == "1"
    for resources in sizes(os.environ):
        say(f"{resources} resources")
        with cluster.own_namespace(f"mc-bench-{secrets.token_hex(3)}", within_s=120 + resources * 0.3) as namespace:
            runs.append({**results.place(), **run(namespace, resources, is_held)})
            # Written before the removal, which takes longest with many resources.
            file = results.write("operator.json", runs)
            say(f"removing {resources} resources and their managed objects")
    print(table(runs))
    say(f"written to {file.relative_to(ROOT)}")
    say("API server, etcd, controller manager and scheduler share these cores with the operator (control_plane_cpu_s).")


def sizes(environment: Mapping[str, str]) -> list[int]:
    """The numbers of resources to measure with."""
    if given := environment.get("RESOURCES"):
        return [int(number) for number in given.split(",")]
    return [1, 1_000, 10_000] if environment.get("FULL") == "1" else [1, 1_000]


def run(namespace: str, resources: int, is_held: bool) -> Document:
    """Measure one size in an empty namespace.

    With `is_held` the cluster's controllers are stopped from the start, and bare calls are measured as well. Otherwise
    they are stopped once all resources are applied. They stay stopped until the second operator has ended, because it
    would react to their changes.
    """
    cluster.create_all([resource(namespace, number) for number in range(resources)])
    with Progress(namespace) as progress, ExitStack() as stack:
        _require_no_other_operator(progress)
        if is_held:
            stack.enter_context(cluster.held_still())
        with operator(namespace) as running:
            document = {"controllers_held": is_held, **_applied(running, progress, namespace, resources)}
            if not is_held:
                stack.enter_context(cluster.held_still())
            document |= _at_rest(running, progress, namespace)
        with operator(namespace) as running:
            document |= _restarted(running, resources)
        return document | _bare(namespace, resources, document["seconds"]) if is_held else document


def _require_no_other_operator(progress: Progress) -> None:
    """Fail if another operator serves the resources, because it would do part of the work."""
    time.sleep(NO_OTHER_OPERATOR_S)
    if progress.settled:
        raise BenchError("another operator serves all namespaces of this cluster; stop it first (make demo-down)")


def _applied(running: Operator, progress: Progress, namespace: str, resources: int) -> Document:
    """Measure from no objects to all managed objects and statuses."""
    plane = cluster.control_plane_cpu_s()
    _until(lambda: progress.settled >= resources, running, 60 + resources * 0.1, f"{resources} have a status")
    first = {
        "resources": resources,
        "seconds": round(progress.last_at - running.started, 2),
        "api_writes": running.writes().total(),
        "passes": running.passes(),
        "operator_cpu_s": round(cpu_ns(running.pid) / 1e9, 2),
        "control_plane_cpu_s": _since(plane),
    }
    children = {kind: cluster.count(namespace, kind) for kind in CHILDREN}
    if children["deployments"] != resources:
        raise BenchError(f"{resources} resources have a status, but there are {children}")
    return {**first, "children": children}


def _at_rest(running: Operator, progress: Progress, namespace: str) -> Document:
    """Measure the idle operator, and then one change."""
    _quiet(running)
    say(f"all resources are applied; measuring the idle operator for {IDLE_S / 60:.0f} minutes")
    return {**_idle(running), **_one_change(running, progress, namespace)}


def _idle(running: Operator) -> Document:
    """Load of the operator while nothing changes."""
    writes, cpu, started = running.writes(), cpu_ns(running.pid), time.monotonic()
    time.sleep(IDLE_S)
    took, used = time.monotonic() - started, cpu_ns(running.pid) - cpu
    found, written = memory(running.pid), running.writes() - writes
    return {
        "rss_mb": round(found.resident, 1),
        "rss_peak_mb": round(found.peak, 1),
        "idle_cpu_percent": round(used / took / 1e7, 2),
        "idle_writes_per_minute": round(written.total() * 60 / took, 1),
        "idle_writes": dict(written),
    }


def _one_change(running: Operator, progress: Progress, namespace: str) -> Document:
    """Time from a user's change until the status shows that it is applied."""
    name = _name(0)
    generation = progress.generation(name)
    started = time.monotonic()
    patch = json.dumps({"spec": {"logLevel": "warning"}})
    cluster.kubectl("-n", namespace, "patch", "marketcollector", name, "--type=merge", "-p", patch)
    changed = time.monotonic()
    _until(lambda: progress.generation(name) > generation, running, 60, f"{name} has a status for its change")
    took = max(0.0, progress.settled_at(name) - changed)
    return {"one_change_s": round(took, 3), "one_change_with_kubectl_s": round(progress.settled_at(name) - started, 3)}


def _restarted(running: Operator, resources: int) -> Document:
    """Measure a second operator that takes over all objects and has nothing to write."""
    _until(lambda: _passes(running) >= resources, running, 60 + resources * 0.1, f"{resources} have had a pass")
    took = time.monotonic() - running.started
    time.sleep(QUIET_S)
    return {
        "restart_s": round(took, 2),
        "restart_writes": running.writes().total(),
        "restart_rss_peak_mb": round(memory(running.pid).peak, 1),
    }


def _bare(namespace: str, resources: int, seconds: float) -> Document:
    """Measure the same calls for the same number of new resources, without an operator."""
    say("making the same calls without an operator")
    served = json.loads(cluster.kubectl("-n", namespace, "get", "marketcollector", _name(0), "-o", "json"))
    numbers = range(resources, 2 * resources)
    cluster.create_all([resource(namespace, number) for number in numbers])
    took = bare.write_all([Key(namespace, _name(number)) for number in numbers], served["status"], SETTINGS)
    return {"bare_s": round(took, 2), "bare_ratio": round(took / seconds, 2)}


def _passes(running: Operator) -> int:
    try:
        return running.passes()
    except URLError:  # it does not listen yet
        return 0


def _quiet(running: Operator, within_s: float = 120.0) -> None:
    """Wait until the operator has made no pass for `QUIET_S`, at most ``within_s``."""
    started = last = time.monotonic()
    passes = running.passes()
    while time.monotonic() - last < QUIET_S and time.monotonic() - started < within_s:
        time.sleep(0.5)
        if (now := running.passes()) != passes:
            passes, last = now, time.monotonic()


def _until(is_so: Callable[[], bool], running: Operator, within_s: float, what: str) -> None:
    end_at = time.monotonic() + within_s
    while not is_so():
        if running.process.poll() is not None:
            raise BenchError(f"the operator ended with code {running.process.returncode} before {what}")
        if time.monotonic() > end_at:
            raise BenchError(
                f"not within {within_s:.0f} s: {what}; the operator has made {running.writes().total()} writes"
            )
        time.sleep(0.05)


@contextmanager
def operator(namespace: str) -> Iterator[Operator]:
    """An operator that serves only this namespace, ended by its process id."""
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(OPERATOR),
        "run",
        "--namespace",
        namespace,
        "--http",
        address,
        "--log-level",
        "warning",
        *AS_IN_CHART,
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment)
    try:
        yield Operator(process, f"http://{address}", started)
    finally:
        end(process)


def resource(namespace: str, number: int) -> Document:
    """A MarketCollector whose pods fit on no node."""
    return {
        "apiVersion": "marketcollector.dev/v1alpha1",
        "kind": "MarketCollector",
        "metadata": {"name": _name(number), "namespace": namespace},
        "spec": {
            "exchange": "okx",
            "symbol": "BTC-USDT",
            "dataTypes": ["trade", "orderbook", "ticker"],
            "template": {"nodeSelector": NO_NODE},
        },
    }


def _name(number: int) -> str:
    return f"bench-{number:05}"


def api_writes(metrics: str) -> Counter[str]:
    """All writes in the operator's metrics by label. Writes of a status have a metric of their own."""
    rows = re.findall(r"^market_operator_(api_writes|status_updates)_total\{(.*)\} (\S+)$", metrics, re.MULTILINE)
    return Counter({f"{name} {labels.replace(chr(34), '')}": int(float(value)) for name, labels, value in rows})


def passes(metrics: str) -> int:
    """All passes in the operator's metrics, with any result."""
    rows = re.findall(r"^market_operator_reconcile_total\{.*\} (\S+)$", metrics, re.MULTILINE)
    return sum(int(float(row)) for row in rows)


def table(runs: list[Document]) -> str:
    """The runs as a table for people, with the goals and whether they are reached."""
    head = ("resources", "s", "RSS MB (peak)", "writes", "idle CPU %", "writes/min", "change s", "restart s", "goals")
    return results.table([head, *(_row(each) for each in runs)])


def _row(each: Document) -> tuple[str, ...]:
    goals = GOALS.get(each["resources"], {})
    return (
        f"{each['resources']}",
        f"{each['seconds']}",
        f"{each['rss_mb']} ({each['rss_peak_mb']})",
        f"{each['api_writes']}",
        f"{each['idle_cpu_percent']}",
        f"{each['idle_writes_per_minute']}",
        f"{each['one_change_s']}",
        f"{each['restart_s']}",
        "; ".join(f"{field} {goal.verdict(each[field])}" for field, goal in goals.items()),
    )


def _since(before: float | None) -> float | None:
    now = cluster.control_plane_cpu_s()
    return None if before is None or now is None else round(now - before, 2)


def say(text: str) -> None:
    """Report progress on standard error."""
    print(f"- {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (BenchError, cluster.KubectlError) as error:
        sys.exit(f"error: {error}")
