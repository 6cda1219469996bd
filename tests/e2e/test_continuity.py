"""Every loss is reported when a pod moves. `verify` over the output of all pods is the judge.

With the default sink the output is the pods' logs. Each is followed from its start, and kept after the pod has ended.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from book_ranges import chains_of, ranges_of
from e2e_operator import Operator
from e2e_places import (
    LABEL,
    Place,
    condition,
    is_ready,
    kill_container,
    local_processes,
    market_collector,
    pod_is_ready,
    restarts,
    simulator_objects,
    volume,
    volume_directory,
)
from kube import CommandError, Document, Log, eventually

pytestmark = pytest.mark.e2e
SYMBOLS = ["BTC-USDT", "ETH-USDT"]
PASSING = [f"S{number}-USDT" for number in range(8)]
"""Symbols that a random walk adds and removes, each once: what a stream lacks between two such times is no gap."""
TYPES = ["trade", "orderbook", "candle"]
REST_WITHIN_S = 120.0
WALK_S = float(os.environ.get("WALK_SECONDS", "60"))
"""Length of the random walk. `WALK_SECONDS=600` is the long one."""


class Output:
    """The logs of all pods that a resource ever had."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._place, self._folder = place, folder
        self._logs: dict[str, Log] = {}
        """By pod and number of its container. A container delivers before its startup probe says so."""
        self._stack = ExitStack()
        self._ends = threading.Event()
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    def _follow(self) -> None:
        while not self._ends.wait(0.2):
            for pod in self._place.pods():
                name, number = pod["metadata"]["name"], restarts(pod)
                if _has_run(pod, "state"):
                    self._keep(f"{name}.{number}", name)
                if _has_run(pod, "lastState"):  # its log may be unknown, or that of its successor
                    self._keep(f"{name}.{number - 1}.whole", name, "--previous")

    def _keep(self, container: str, *pod: str) -> None:
        if container not in self._logs:
            self._logs[container] = self._stack.enter_context(self._place.log(*pod))

    def close(self) -> None:
        self._ends.set()
        self._follower.join()
        self._stack.close()

    def records(self) -> dict[str, list[Document]]:
        return {name: log.records() for name, log in self._logs.items()}

    def of_type(self, *types: str) -> list[Document]:
        return [record for records in self.records().values() for record in records if record["type"] in types]

    def verdict(self) -> Any:
        """The report of `verify` about the output so far, each pod's in a file of its own."""
        folder = self._folder / f"output-{time.monotonic_ns()}"
        folder.mkdir()
        for name, records in self.records().items():
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        return verified(folder)


def verified(folder: Path) -> Any:
    command = [sys.executable, "-m", "market_collector", "verify", "-o", "json", str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert answer.stdout, answer.stderr
    return json.loads(answer.stdout)


def _has_run(pod: Document, state: str) -> bool:
    containers = pod["status"].get("containerStatuses", [])
    return bool(containers) and not {"running", "terminated"}.isdisjoint(containers[0][state])


def _has_started(pod: Document) -> bool:
    containers = pod["status"].get("containerStatuses", [])
    return bool(containers) and bool(containers[0].get("started"))


@contextmanager
def following(place: Place, folder: Path) -> Iterator[Output]:
    output = Output(place, folder)
    try:
        yield output
    finally:
        output.close()


@pytest.fixture
def output(place: Place, tmp_path: Path) -> Iterator[Output]:
    """The output of a resource with two symbols, which is ready and available."""
    place.apply(collector(shards=1))
    place.wait_ready()
    place.wait_available()
    with following(place, tmp_path) as found:
        yield found


def collector(**spec: Any) -> Document:
    fields = {"symbol": None, "symbols": SYMBOLS, "dataTypes": TYPES, "candle": {"intervals": ["1s"]}}
    return market_collector(**{**fields, **spec})


def comes_to_rest(place: Place, verdict: Callable[[], Any]) -> Any:
    """Wait until only wanted pods are left and no gap is open, and return the verdict.

    A collector that was started again delivers all streams seconds before it knows its gaps. A status may still describe
    the pod that was replaced. Both must therefore be at rest before the verdict and after it.
    """
    deadline = time.monotonic() + REST_WITHIN_S
    while True:
        wait_for_rest(place)
        report = verdict()
        is_settled = is_at_rest(place) and not any(map(has_unsettled_gaps, report["streams"]))
        if is_settled or time.monotonic() > deadline:
            return report


def has_unsettled_gaps(stream: Any) -> bool:
    """Whether a gap may still be filled, or still be reported. Nobody fills those of a symbol that was removed."""
    if is_passing(stream):
        return False
    gaps = gap_counts(stream)
    return gaps["open"] + gaps["unreported"] > 0


def is_passing(stream: Any) -> bool:
    """Whether a stream's symbol is added and removed meanwhile."""
    return stream["stream"].partition("/")[0] in PASSING


def gap_counts(stream: Any) -> Mapping[str, int]:
    """A stream's gaps by state."""
    counts: Mapping[str, int] = stream["holes"]  # the key in verify's JSON
    return counts


def is_at_rest(place: Place) -> bool:
    """Whether there are only wanted pods, these deliver, and the status says so and knows of no open gap."""
    resource = place.resource()
    wanted = resource["spec"].get("shards", 1) * resource["spec"].get("replicas", 1)
    pods = place.pods()
    if len(pods) != wanted or not all(map(pod_is_ready, pods)):
        return False
    return is_ready(resource) and condition(resource, "Complete").status == "True"


def wait_for_rest(place: Place) -> None:
    what = "only wanted pods are left, and no gap is open"
    eventually(lambda: is_at_rest(place), what, within=REST_WITHIN_S)
    time.sleep(3)  # the last records reach the logs


def check_nothing_is_missing(place: Place, output: Output) -> None:
    """Every trade, candle and book update is there, and nobody reported a gap."""
    report = comes_to_rest(place, output.verdict)
    assert report["verdict"] == "complete", json.dumps(report)[:4000]
    assert output.of_type("gap") == []
    assert place.status()["gaps"]["detected"] == 0


def check_only_reported_updates_are_missing(place: Place, output: Output) -> None:
    """Every trade and candle is there. Updates of books may be lost if a gap record says so, and the status too."""
    check_only_reported_updates(comes_to_rest(place, output.verdict), place)
    check_breaks_of_books(output)


def check_breaks_of_books(output: Output) -> None:
    """A gap record covers each time in which no pod continues a book. `verify` cannot tell: each file starts with a snapshot."""
    outputs = list(output.records().values())
    for symbol in {record["symbol"] for records in outputs for record in records if record["type"] == "orderbook"}:
        of_symbol = [[record for record in records if record["symbol"] == symbol] for records in outputs]
        gaps = [
            (record["after_sequence"] or 0, record["resumed_sequence"])
            for records in of_symbol
            for record in records
            if record["type"] in ("lost", "repaired") and record["resumed_sequence"] is not None
        ]
        ranges = ranges_of([chain for records in of_symbol for chain in chains_of(records)])
        for (_, last), (first, _) in pairwise(ranges):
            assert any(start <= last and first <= end for start, end in gaps), (symbol, last, first)


def check_only_reported_updates(report: Any, place: Place) -> None:
    for stream in report["streams"]:
        gaps = gap_counts(stream)
        assert gaps["unreported"] == 0, json.dumps(stream)[:4000]
        assert gaps["open"] == 0 or is_passing(stream), json.dumps(stream)[:4000]
        if not (stream["stream"].endswith("/orderbook") or is_passing(stream)):
            assert gaps["lost"] == 0, json.dumps(stream)[:4000]
        assert stream["findings"] == []
    counted = place.status()["gaps"]
    assert counted["open"] == 0, counted
    assert counted["detected"] >= counted["repaired"] + counted["lost"], "a killed pod's open gap is detected again"


def evict(place: Place) -> None:
    pod = place.pods()[0]["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": place.namespace}}
    path = f"/api/v1/namespaces/{place.namespace}/pods/{pod}/eviction"
    place.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


def delete(place: Place) -> None:
    place.kubectl("delete", "pod", place.pods()[0]["metadata"]["name"], "--wait=false")


def kill(place: Place) -> None:
    """As after the loss of a node: nobody asks the collector, and its emptyDir is gone.

    The kubelet grants even a pod deleted by force a second or two, in which its replacement may start. On this machine
    its processes are therefore killed.
    """
    pod = place.pods()[0]
    processes = local_processes(pod)
    place.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def kill_process(place: Place) -> None:
    """As when the memory of a container runs out. It may have ended by itself meanwhile."""
    if started := [pod for pod in place.pods() if _has_started(pod)]:
        with suppress(CommandError, ProcessLookupError):
            kill_container(place, started[0])


def drain(place: Place, node: str) -> None:
    """Evict the pods of the resource from a node, wait until they are gone, and let the node take pods again."""
    try:
        which = ("--pod-selector", place.selector(), "--delete-emptydir-data", "--timeout=60s")
        place.tools.kubectl("drain", node, *which)
    finally:
        place.tools.kubectl("uncordon", node)


@contextmanager
def unless_gone() -> Iterator[None]:
    """Accept that a pod ended by itself between the choice and the request."""
    try:
        yield
    except CommandError as error:
        if "NotFound" not in error.stderr:
            raise


def scale(place: Place, shards: int) -> None:
    place.kubectl("scale", "marketcollector", "okx", f"--replicas={shards}")


@pytest.mark.parametrize("replace", [evict, delete])
def test_replaced_pod_leaves_only_reported_gaps(place: Place, output: Output, replace: Callable[[Place], None]) -> None:
    before = {pod["metadata"]["name"] for pod in place.pods()}
    replace(place)
    eventually(lambda: before.isdisjoint(pod["metadata"]["name"] for pod in place.pods()), "the pod was replaced")
    check_only_reported_updates_are_missing(place, output)


def test_killed_pod_leaves_only_reported_gaps(place: Place, output: Output) -> None:
    before = place.pod()["metadata"]["name"]
    kill(place)
    eventually(lambda: place.pods() and place.pod()["metadata"]["name"] != before, "the pod was replaced")
    check_only_reported_updates_are_missing(place, output)
    assert {gap["reason"] for gap in output.of_type("gap")} <= {"Restarted"}, "the kubelet may grant it seconds"


def test_killed_process_leaves_only_reported_gaps(place: Place, output: Output) -> None:
    """As when its memory runs out: the container is started again in the same pod."""
    kill_container(place, place.pod())
    eventually(lambda: restarts(place.pod()) == 1, "the container is started again")
    check_only_reported_updates_are_missing(place, output)


def test_pod_lost_in_its_back_off_leaves_only_reported_gaps(place: Place, output: Output) -> None:
    """Its last container was killed as soon as it had counted a gap, before the sink acknowledged anything."""
    pod = place.pod()
    kill_container(place, pod)
    eventually(lambda: restarts(place.pod()) and output.of_type("lost"), "the book goes on with a new snapshot")
    kill_container(place, place.pod())
    eventually(lambda: not pod_is_ready(place.pod()), "the container waits to be started again")
    kill(place)
    eventually(lambda: place.pods() and place.pod()["metadata"]["name"] != pod["metadata"]["name"], "it was replaced")
    check_only_reported_updates_are_missing(place, output)


def test_killed_process_keeps_its_files_without_a_claim(place: Place, tmp_path: Path) -> None:
    """The files are in an emptyDir, which stays as long as the pod."""
    place.apply(collector(sinks=[{"name": "archive", "type": "file", "file": {"directory": "/data"}}]))
    place.wait_ready()
    kill_container(place, place.pod())
    eventually(lambda: restarts(place.pod()) == 1, "the container is started again")
    report = comes_to_rest(place, lambda: verified(copied_files(place, tmp_path)))
    check_only_reported_updates(report, place)


def copied_files(place: Place, folder: Path) -> Path:
    """A copy of the files in /data of the only pod."""
    copy = folder / f"files-{time.monotonic_ns()}"
    copy.mkdir()
    in_pod = ("exec", place.pod()["metadata"]["name"], "--")
    for name in place.kubectl(*in_pod, "ls", "/data").split():
        (copy / name).write_text(place.kubectl(*in_pod, "cat", f"/data/{name}"))
    return copy


@pytest.mark.alone
def test_drained_node_leaves_only_reported_gaps(place: Place, output: Output) -> None:
    """With a single node, the new pod waits until the node takes pods again."""
    before = place.pod()
    drain(place, before["spec"]["nodeName"])
    name = before["metadata"]["name"]
    eventually(lambda: [pod["metadata"]["name"] for pod in place.pods()] not in ([], [name]), "the pod was replaced")
    check_only_reported_updates_are_missing(place, output)


def test_preempted_pod_leaves_only_reported_gaps(place: Place, tmp_path: Path) -> None:
    """The new pod waits until the more important one has gone."""
    with priority_classes(place) as (low, high), scarce_resource(place) as amounts:
        place.apply(collector(template={"priorityClassName": low, "resources": amounts}))
        place.wait_ready()
        place.wait_available()
        before = place.pod()["metadata"]["name"]
        with following(place, tmp_path) as output:
            place.apply(important_pod(high, amounts))
            place.kubectl("wait", "pod/important", "--for=condition=PodScheduled", "--timeout=100s")
            assert [event["regarding"]["name"] for event in events(place, "Preempted")] == [before]
            assert place.wait_condition("WorkloadReady", "False").reason == "Unschedulable"
            place.kubectl("delete", "pod", "important", "--now")
            check_only_reported_updates_are_missing(place, output)


@contextmanager
def scarce_resource(place: Place) -> Iterator[Document]:
    """Requests and limits that only one pod can have, by a resource of this place that one node offers once."""
    name = f"marketcollector.dev/{place.namespace}"
    node = place.tools.items("nodes")[0]["metadata"]["name"]

    def offer(amount: str | None) -> None:
        patch = json.dumps({"status": {"capacity": {name: amount}, "allocatable": {name: amount}}})
        place.tools.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "-p", patch)

    offer("1")
    try:
        yield {"requests": {"cpu": "20m", "memory": "48Mi", name: "1"}, "limits": {name: "1"}}
    finally:
        offer(None)


@contextmanager
def priority_classes(place: Place) -> Iterator[tuple[str, str]]:
    """Two priority classes below that of all other pods, so that the scheduler can only end the collector."""
    values = {f"{place.namespace}-low": -1000, f"{place.namespace}-high": -500}
    classes = [
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": value}
        | {"metadata": {"name": name, "labels": LABEL}}
        for name, value in values.items()
    ]
    place.tools.apply(*classes)
    try:
        low, high = values
        yield low, high
    finally:
        place.tools.kubectl("delete", "priorityclass", *values, "--wait=false")


def important_pod(priority: str, amounts: Document) -> Document:
    """A pod that takes the scarce resource from the collector. Its image does not exist."""
    container = {
        "name": "none",
        "image": "localhost/none",
        "imagePullPolicy": "Never",
        "resources": amounts,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "priorityClassName": priority,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "important"}, "spec": spec}


def events(place: Place, reason: str) -> list[Document]:
    return place.tools.items("-n", place.namespace, "events.events.k8s.io", f"--field-selector=reason={reason}")


def test_deleted_replica_leaves_no_gap(place: Place, tmp_path: Path) -> None:
    place.apply(collector(replicas=2))
    place.wait_ready()
    place.wait_available()
    with following(place, tmp_path) as output:
        before = {pod["metadata"]["name"] for pod in place.pods()}
        delete(place)
        eventually(lambda: {pod["metadata"]["name"] for pod in place.pods()} - before, "the pod was replaced")
        report = comes_to_rest(place, output.verdict)
    assert report["verdict"] == "complete", json.dumps(report)[:4000]


def test_claims_lose_nothing_when_symbols_move_between_shards(place: Place) -> None:
    """A shard with a claim stops before its successor starts, so each move is a gap that history fills."""
    directory = volume_directory(place)
    directory.mkdir()
    directory.chmod(0o777)
    with volume(place) as archive:
        place.apply(collector(sinks=[archive]))
        place.wait_ready()
        if not local_processes(place.pod()):
            pytest.skip("the files of the claim are on another machine")
        for shards in (2, 1):
            scale(place, shards)
            place.wait_ready()
            eventually(lambda wanted=shards: len(place.pods()) == wanted, f"{shards} pods are left", within=120)  # type: ignore[misc]
        check_only_reported_updates(comes_to_rest(place, lambda: verified(directory)), place)
        assert sorted(each.name for each in directory.iterdir()) == ["shard-0", "shard-1"]


def test_scaling_down_and_up_leaves_no_gap(place: Place, output: Output) -> None:
    for shards in (2, 1):
        scale(place, shards)
        place.wait_ready()
        eventually(lambda wanted=shards: len(place.pods()) == wanted, f"{shards} pods are left", within=120)  # type: ignore[misc]
    check_nothing_is_missing(place, output)


def test_shard_that_has_no_room_yet_costs_nothing(place: Place, output: Output) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "room"}, "spec": {"hard": {"pods": "2"}}}
    place.apply(quota)
    old = place.pod()["metadata"]["name"]
    scale(place, 2)
    place.wait_condition("Reconciling", "True")
    time.sleep(5)
    assert place.pod()["metadata"]["name"] == old, "it delivers both symbols until the new shard delivers one"
    place.kubectl("delete", "resourcequota", "room")
    check_nothing_is_missing(place, output)


def test_added_and_removed_symbols_leave_no_gap(place: Place, tmp_path: Path) -> None:
    place.apply(collector(symbols=SYMBOLS[:1]))
    place.wait_ready()
    with following(place, tmp_path) as output:
        place.patch({"symbols": SYMBOLS})
        eventually(lambda: place.status()["streams"]["live"] == 2 * len(TYPES), "the new symbol is delivered")
        place.patch({"symbols": SYMBOLS[:1]})
        check_nothing_is_missing(place, output)


def test_fields_that_restart_pods_leave_no_gap(place: Place, output: Output) -> None:
    place.patch({"logLevel": "debug"})
    place.patch({"logLevel": "info", "staleAfter": "11s"})
    place.patch({"logLevel": "warning"})
    check_nothing_is_missing(place, output)


def test_change_before_the_pod_is_available_leaves_no_gap(place: Place, tmp_path: Path) -> None:
    place.apply(collector())
    place.wait_ready()
    with following(place, tmp_path) as output:
        place.patch({"logLevel": "debug"})
        time.sleep(1.5)
        place.patch({"logLevel": "warning"})
        check_nothing_is_missing(place, output)


@pytest.mark.alone
def test_killed_pod_without_an_operator_leaves_only_reported_gaps(
    place: Place, output: Output, operator: Operator
) -> None:
    before = place.pod()["metadata"]["name"]
    operator.pause()
    try:
        kill(place)
        eventually(lambda: place.pods() and place.pod()["metadata"]["name"] != before, "the pod was replaced")
        eventually(lambda: output.of_type("gap"), "the new pod reports the gap without an operator")
    finally:
        operator.resume()
    check_only_reported_updates_are_missing(place, output)


@pytest.mark.alone
def test_scaling_without_an_operator_leaves_no_gap(place: Place, output: Output, operator: Operator) -> None:
    """The next operator scales before it knows anything about the pods."""
    operator.pause()
    try:
        scale(place, 2)
    finally:
        operator.resume()
    check_nothing_is_missing(place, output)


@pytest.fixture
def passing_output(place: Place, tmp_path: Path) -> Iterator[Output]:
    """As `output`, at an exchange that also has the symbols in PASSING."""
    place.apply(*simulator_objects((*SYMBOLS, *PASSING)))
    place.wait_simulator()
    place.apply(collector(shards=1))
    place.wait_ready()
    place.wait_available()
    with following(place, tmp_path) as found:
        yield found


@pytest.mark.alone
def test_random_walk_leaves_only_reported_gaps(place: Place, passing_output: Output, operator: Operator) -> None:
    seed = int(os.environ.get("WALK_SEED", str(random.randrange(10**6))))
    print(f"WALK_SEED={seed}")
    chance = random.Random(seed)
    lists_of_symbols = iter([more for symbol in PASSING for more in ([*SYMBOLS, symbol], SYMBOLS)])
    steps: list[Callable[[], None]] = [
        lambda: scale(place, chance.choice((1, 2))),
        lambda: evict(place),
        lambda: delete(place),
        lambda: kill(place),
        lambda: kill_process(place),
        lambda: place.patch({"symbols": next(lists_of_symbols, SYMBOLS)}),
        lambda: place.patch({"logLevel": chance.choice(("debug", "info", "warning"))}),
        lambda: place.patch({"template": {"annotations": {"example.com/step": str(chance.random())}}}),
        operator.kill,
    ]
    end = time.monotonic() + WALK_S
    while time.monotonic() < end:
        if place.pods():
            with unless_gone():
                chance.choice(steps)()
        time.sleep(chance.uniform(0.5, 8))
    check_only_reported_updates_are_missing(place, passing_output)
