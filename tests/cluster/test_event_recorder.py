"""Kubernetes Events on a real API server: on turns only, once each, and shown where people look."""

import subprocess
import time
from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
Eventually = Callable[..., None]


def events(place: Any) -> list[tuple[str, str]]:
    """Type and reason of what was said of the resource, in order."""
    found = place.api.call("GET", f"apis/events.k8s.io/v1/namespaces/{place.namespace}/events")["items"]
    ours = [each for each in found if each["regarding"]["kind"] == "MarketCollector"]
    return [(each["type"], each["reason"]) for each in sorted(ours, key=lambda each: each["eventTime"])]


def set_streams(pod: Any, state: str) -> None:
    pod.report = {**pod.report, "streams": [{**each, "state": state} for each in pod.report["streams"]]}


def test_a_turn_is_told_once_and_kubectl_describe_shows_it(place: Any, pod: Any, eventually: Eventually) -> None:
    eventually(lambda: _says(place, ("Normal", "Ready")))
    before = events(place)
    set_streams(pod, "stale")
    place.expect("Ready", "False", "StreamsStale")
    eventually(lambda: _says(place, ("Warning", "StreamsStale")))
    assert events(place) == [*before, ("Warning", "StreamsStale")], "Ready and Streaming turned for one cause"
    command = ["kubectl", "describe", "mcol/okx-btc", "-n", place.namespace]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    [line] = [line for line in shown.split("Events:")[1].splitlines() if "StreamsStale" in line]
    assert line.split()[:2] == ["Warning", "StreamsStale"]
    assert "market-operator  Ready False, Streaming False: 0 of 2 streams deliver" in line


def _says(place: Any, expected: tuple[str, str]) -> None:
    assert expected in events(place)


def test_what_stays_and_what_only_counts_is_not_told(place: Any, pod: Any, eventually: Eventually) -> None:
    eventually(lambda: _says(place, ("Normal", "Ready")))
    before = events(place)
    for number in range(5):
        pod.report = {**pod.report, "counters": {"messages": 1000 + number, "reconnections": 7 + number}}
        time.sleep(1)

    def counted() -> None:
        assert place.status()["reconnections"] == 11

    eventually(counted)
    assert events(place) == before


def test_an_operator_that_is_started_again_repeats_nothing(place: Any, kubelet: Any, start: Start) -> None:
    operator = start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    operator.stop()
    before = events(place)
    again = start("--sweep-interval", "1s")
    time.sleep(4)
    assert again.metric("reconcile_total") > 1
    assert events(place) == before


def test_a_stream_that_flaps_is_told_of_so_often_and_written_only_when_it_turns(
    place: Any, pod: Any, eventually: Eventually
) -> None:
    """One version of the status for each turn, apart from counters, and the time of a condition moves only then."""
    seen: dict[str, set[str]] = {}
    for number in range(6):
        state, ready = ("stale", "False") if number % 2 == 0 else ("live", "True")
        set_streams(pod, state)
        place.expect("Ready", ready, "StreamsStale" if state == "stale" else "Ready")
        found = {each["type"]: each for each in place.status()["conditions"]}
        seen.setdefault(found["WorkloadReady"]["lastTransitionTime"], set()).add(found["Ready"]["lastTransitionTime"])
        time.sleep(1.1)
    assert [len(times) for times in seen.values()] == [6]
    eventually(lambda: _told(place, 3))


def _told(place: Any, times: int) -> None:
    assert events(place).count(("Warning", "StreamsStale")) == times
    assert events(place).count(("Normal", "Ready")) == times + 1
