"""Kubernetes Events on a real API server: one for each change of a condition, shown by kubectl describe."""

import subprocess
import time
from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
Eventually = Callable[..., None]


def events(place: Any) -> list[tuple[str, str]]:
    """Types and reasons of the resource's Events, in order."""
    found = place.api.call("GET", f"apis/events.k8s.io/v1/namespaces/{place.namespace}/events")["items"]
    ours = [each for each in found if each["regarding"]["kind"] == "MarketCollector"]
    return [(each["type"], each["reason"]) for each in sorted(ours, key=lambda each: each["eventTime"])]


def set_streams(pod: Any, state: str) -> None:
    pod.report = {**pod.report, "streams": [{**each, "state": state} for each in pod.report["streams"]]}


def test_changed_condition_gives_one_event_that_kubectl_describe_shows(
    place: Any, pod: Any, eventually: Eventually
) -> None:
    eventually(lambda: _has_event(place, ("Normal", "Ready")))
    before = events(place)
    set_streams(pod, "stale")
    place.expect("Ready", "False", "StreamsStale")
    eventually(lambda: _has_event(place, ("Warning", "StreamsStale")))
    assert events(place) == [*before, ("Warning", "StreamsStale")], "Ready and Streaming changed for one cause"
    command = ["kubectl", "describe", "mcol/okx-btc", "-n", place.namespace]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    [line] = [line for line in shown.split("Events:")[1].splitlines() if "StreamsStale" in line]
    assert line.split()[:2] == ["Warning", "StreamsStale"]
    assert "market-operator  Ready False, Streaming False: 0 of 2 streams deliver" in line


def _has_event(place: Any, expected: tuple[str, str]) -> None:
    assert expected in events(place)


def test_unchanged_condition_gives_no_event_when_counters_change(place: Any, pod: Any, eventually: Eventually) -> None:
    eventually(lambda: _has_event(place, ("Normal", "Ready")))
    before = events(place)
    for number in range(5):
        pod.report = {**pod.report, "counters": {"messages": 1000 + number, "reconnections": 7 + number}}
        time.sleep(1)

    def counted() -> None:
        assert place.status()["reconnections"] == 11

    eventually(counted)
    assert events(place) == before


def test_restarted_operator_repeats_no_event(place: Any, kubelet: Any, start: Start, eventually: Eventually) -> None:
    operator = start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    operator.stop()
    before = events(place)
    again = start("--sweep-interval", "1s")

    def repeats_its_work() -> None:
        assert again.metric("sweeps_total") > 2

    eventually(repeats_its_work)
    assert again.metric("reconcile_total") > 1
    assert events(place) == before


def test_flapping_stream_gives_one_event_and_one_status_per_change(
    place: Any, pod: Any, eventually: Eventually
) -> None:
    """Apart from counters, the status and the times of its conditions change only with the stream."""
    seen: dict[str, set[str]] = {}
    for number in range(6):
        state, ready = ("stale", "False") if number % 2 == 0 else ("live", "True")
        set_streams(pod, state)
        place.expect("Ready", ready, "StreamsStale" if state == "stale" else "Ready")
        found = {each["type"]: each for each in place.status()["conditions"]}
        seen.setdefault(found["WorkloadReady"]["lastTransitionTime"], set()).add(found["Ready"]["lastTransitionTime"])
        time.sleep(1.1)
    assert [len(times) for times in seen.values()] == [6]
    eventually(lambda: _has_events(place, 3))


def _has_events(place: Any, times: int) -> None:
    assert events(place).count(("Warning", "StreamsStale")) == times
    assert events(place).count(("Normal", "Ready")) == times + 1
