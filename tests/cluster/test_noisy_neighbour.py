"""Pods that hang, resources that flap and constant edits in one namespace; a resource next door notices nothing.

MC_NOISY_SCALE=1 plays 600 hanging pods and 400 flapping resources. The default is a tenth, which takes a minute.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

SCALE = float(os.environ.get("MC_NOISY_SCALE", "0.1"))
REPLICAS = 4
HANGING = [f"hanging-{number}" for number in range(round(600 * SCALE) // REPLICAS)]
FLAPPING = [f"flapping-{number}" for number in range(round(400 * SCALE))]
INTERVAL_S, WATCHED_S = 1.0, 15.0
RESTART_S = 5.0
"""Until a restarted pod of the neighbour is Ready."""
TAKEOVER_S, TAKEOVER_RATIO = 10.0, 4.0
"""Until a restarted operator serves the neighbour; on a busy machine, as a multiple of the time without noise."""
Start = Callable[..., Any]
Eventually = Callable[..., None]


@pytest.fixture
def neighbour(new_ground: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    """Another namespace. The operator of the test serves it, too."""
    with new_ground() as found:
        yield found


def with_streams(report: dict[str, Any], state: str) -> dict[str, Any]:
    return {**report, "streams": [{**each, "state": state} for each in report["streams"]]}


def flap(pod: Any) -> None:
    """Lets every probe of a pod find another state."""
    reports = itertools.cycle([with_streams(pod.report, state) for state in ("live", "stale")])
    pod.source = lambda: next(reports)


@contextmanager
def noise(place: Any, kubelet: Any) -> Iterator[None]:
    """Plays the noisy namespace, and edits its resources until the end of the context."""
    for name in HANGING:
        place.create(name, replicas=REPLICAS, healthCheckInterval="1s")
    for name in FLAPPING:
        place.create(name, healthCheckInterval="1s")
    stop = threading.Event()

    def hang() -> dict[str, Any]:
        stop.wait()
        return {}

    def edit() -> None:
        for number, name in enumerate(itertools.cycle(HANGING)):
            if stop.wait(0.05):
                return
            place.change(name, healthCheckInterval=f"{1 + number // len(HANGING) % 2}s")

    for pod in kubelet.run_all(REPLICAS * len(HANGING) + len(FLAPPING)):
        if pod.name.startswith("flapping-"):
            flap(pod)
        else:
            pod.source = hang
    editor = threading.Thread(target=edit)
    editor.start()
    try:
        yield
    finally:
        stop.set()
        editor.join()


def observe_probes(pod: Any) -> list[float]:
    """The times at which a pod is probed from now on."""
    seen: list[float] = []

    def read() -> dict[str, Any]:
        seen.append(time.monotonic())
        report: dict[str, Any] = pod.report
        return report

    pod.source = read
    return seen


@pytest.mark.alone
@pytest.mark.quiet
@pytest.mark.long
@pytest.mark.timeout(300 if SCALE <= 0.1 else 1800)
def test_noisy_namespace_does_not_slow_a_neighbour_down(
    place: Any, kubelet: Any, start: Start, neighbour: Any, eventually: Eventually
) -> None:
    operator = start("--namespace", neighbour.namespace)
    quiet = neighbour.place
    quiet.create(healthCheckInterval="1s")
    [pod] = neighbour.kubelet.run_all(1)
    quiet.expect("Ready", "True", "Ready")

    def restarted(interval: str, within_s: float) -> float:
        """Restarts the operator; returns the seconds until it has seen a change and probed the neighbour twice."""
        nonlocal operator
        assert operator.stop() == 0
        changed = quiet.change(healthCheckInterval=interval)
        seen = observe_probes(pod)
        started = time.monotonic()
        operator = start("--namespace", neighbour.namespace)
        eventually(lambda: _is_reconciled(quiet, changed["metadata"]["generation"]), within_s)
        eventually(lambda: _has_probes(seen, 2), within_s)
        return time.monotonic() - started

    quiet.change(healthCheckInterval="2s")
    usual_s = restarted("1s", 60.0)
    with noise(place, kubelet):
        seen = observe_probes(pod)
        start_time = time.monotonic()
        eventually(lambda: _has_passed(start_time + WATCHED_S))
        times = [start_time, *seen, time.monotonic()]
        assert max(later - sooner for sooner, later in itertools.pairwise(times)) <= 2 * INTERVAL_S

        changed = quiet.change(healthCheckInterval="2s")
        eventually(lambda: _is_reconciled(quiet, changed["metadata"]["generation"]), 2.0)

        pod.report = with_streams(pod.report, "stale")
        quiet.expect("Ready", "False", "StreamsStale")
        eventually(lambda: _has_event(quiet, "StreamsStale"))

        quiet.api.delete("pods", quiet.namespace, pod.name)
        [pod] = neighbour.kubelet.run_all(1)
        quiet.expect("Ready", "True", "Ready", seconds=RESTART_S)

        limit_s = max(TAKEOVER_S, TAKEOVER_RATIO * usual_s)
        assert restarted("1s", limit_s) <= limit_s


def _has_passed(moment: float) -> None:
    assert time.monotonic() >= moment


def _has_probes(seen: list[float], count: int) -> None:
    assert len(seen) >= count


def _is_reconciled(place: Any, generation: int) -> None:
    assert place.status()["observedGeneration"] == generation


def _has_event(place: Any, reason: str) -> None:
    found = place.api.call("GET", f"apis/events.k8s.io/v1/namespaces/{place.namespace}/events")["items"]
    assert reason in {each["reason"] for each in found if each["regarding"]["kind"] == "MarketCollector"}
