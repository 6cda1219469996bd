"""Faults around a collector on a real node: the status reports them, nothing crashes or is counted twice."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from e2e_places import Place, condition, kill_container, market_collector, restarts, volume
from kube import Document, eventually

pytestmark = pytest.mark.e2e

TOTALS = ("messages", "records", "reconnections", "resyncs", "droppedRecords")


def decreases(versions: list[Document], total: str) -> list[tuple[int, int]]:
    """Every step in which a total of the status decreased."""
    values = [int(version.get("status", {}).get(total) or 0) for version in versions]
    return [(before, after) for before, after in pairwise(values) if after < before]


def not_ready(versions: list[Document]) -> list[str]:
    """The reasons of every version that was not Ready."""
    return [condition(v, "Ready").reason for v in versions if condition(v, "Ready").status != "True"]


def test_totals_only_grow_when_the_process_is_killed(place: Place) -> None:
    place.apply(market_collector())
    place.wait_ready()
    before = place.wait_moving("messages")
    pod = place.pod()
    with place.history("marketcollector", "okx") as history:
        kill_container(place, pod)
        eventually(lambda: restarts(place.pod()) == 1, what="the container is started again")
        place.wait_ready()
        place.wait_moving("messages")
    assert place.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
    assert place.status()["messages"] > before
    assert {total: decreases(history.documents(), total) for total in TOTALS} == {total: [] for total in TOTALS}


def test_totals_only_grow_when_the_pod_is_deleted(place: Place) -> None:
    place.apply(market_collector())
    place.wait_ready()
    before = place.wait_moving("messages")
    gone = place.pod()["metadata"]
    with place.history("marketcollector", "okx") as history:
        place.kubectl("delete", "pod", gone["name"], "--wait=false")
        eventually(lambda: [pod for pod in place.pods() if pod["metadata"]["uid"] != gone["uid"]], "a new pod is made")
        eventually(lambda: place.pod()["metadata"]["uid"] != gone["uid"], what="the old pod is gone")
        place.wait_ready()
        place.wait_moving("messages")
    assert place.status()["messages"] > before
    assert {total: decreases(history.documents(), total) for total in TOTALS} == {total: [] for total in TOTALS}


def test_reconnections_count_every_drop_and_ready_stays_true(place: Place) -> None:
    place.apply(market_collector())
    place.wait_ready()
    pod = place.pod()["metadata"]["name"]
    before = int(place.status().get("reconnections") or 0)
    dropped = 0
    with place.history("marketcollector", "okx") as history:
        for _ in range(3):
            dropped += connections_dropped(place)
            wait_back(place, pod, before + dropped)
        eventually(lambda: place.status()["reconnections"] == before + dropped, f"{dropped} reconnections are reported")
        place.wait_moving("messages")
    assert place.status()["reconnections"] == before + dropped
    assert place.status()["lastReconnect"]["reason"]
    assert not_ready(history.documents()) == []
    assert restarts(place.pod()) == 0


def connections_dropped(place: Place) -> int:
    """Makes the exchange drop all connections; returns their number."""
    number: int = place.fault("drop", path=None, code=None)["dropped"]
    assert number >= 1
    return number


def wait_back(place: Place, pod: str, reconnections: int) -> None:
    """Returns when the collector has reconnected that often and all its streams are live again."""

    def is_back() -> bool:
        report = place.collector_status(pod)
        connected = all(connection["state"] == "connected" for connection in report["connections"])
        streaming = all(stream["state"] == "live" for stream in report["streams"])
        return connected and streaming and report["counters"]["reconnections"] >= reconnections

    eventually(is_back, what=f"reconnection {reconnections} has happened")


def test_exchange_outage_is_reported_and_needs_no_restart(place: Place) -> None:
    place.apply(market_collector(staleAfter="5s"))
    place.wait_ready()
    pod = place.pod()["metadata"]["uid"]
    place.scale_simulator(0)
    found = place.wait_condition("Streaming", "False")
    assert found.reason
    assert found.message
    assert place.wait_condition("Ready", "False", within=5).reason
    assert place.status()["unhealthyStreams"]
    place.scale_simulator(1)
    place.wait_condition("Streaming", "True")
    place.wait_ready()
    assert place.pod()["metadata"]["uid"] == pod
    assert restarts(place.pod()) == 0


def test_exclusion_of_the_country_is_reported_with_the_answer(place: Place) -> None:
    place.apply(market_collector())
    place.wait_ready()
    place.fault("ban", seconds=600, region=True, status=451)
    connections_dropped(place)

    def excluded() -> Document | None:
        resource = place.resource()
        return resource if condition(resource, "Ready").reason == "RegionRestricted" else None

    resource = eventually(excluded, "the exclusion is reported")
    assert "HTTP 451" in condition(resource, "Ready").message
    assert condition(resource, "Streaming").reason == "RegionRestricted"
    assert place.wait_condition("Stalled", "True").reason == "RegionRestricted"
    assert restarts(place.pod()) == 0


def test_unknown_symbol_is_named_and_nothing_crashes(place: Place) -> None:
    place.apply(market_collector(symbol="NOPE-USDT"))
    found = place.wait_condition("Accepted", "False")
    assert found.reason == "SymbolNotFound"
    assert "NOPE-USDT" in found.message
    assert condition(place.resource(), "Ready").status == "False"
    assert sum(restarts(pod) for pod in place.pods()) == 0
    place.patch({"symbol": "BTC-USDT"})
    place.wait_ready()


def test_unknown_symbol_does_not_stop_the_others(place: Place) -> None:
    place.apply(market_collector(symbol=None, symbols=["BTC-USDT", "NOPE-USDT"]))
    found = place.wait_condition("Accepted", "False")
    assert found.reason == "SymbolNotFound"
    assert "NOPE-USDT" in found.message
    assert "BTC-USDT" not in found.message
    place.wait_moving("messages")


GARBAGE = (
    "this is not JSON",
    '{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-',
    '{"arg":{"channel":"no-such-channel","instId":"BTC-USDT"},"data":[{}]}',
    '{"event":"never-heard-of"}',
    "[]",
    "",
)


def test_unreadable_frames_are_counted_and_crash_nothing(place: Place) -> None:
    place.apply(market_collector())
    place.wait_ready()
    pod = place.pod()["metadata"]["name"]

    def report() -> Document:
        return place.collector_status(pod)

    for number, frame in enumerate(GARBAGE, start=1):
        assert place.fault("raw", frame=frame, path="business")["sent"] == 1
        eventually(lambda: report()["counters"]["unreadableFrames"] >= number, f"{frame!r} is counted")  # noqa: B023
    assert report()["lastUnreadable"]["reason"]
    assert report()["counters"]["unreadableFrames"] == len(GARBAGE)
    place.wait_moving("messages")
    place.wait_ready()
    assert restarts(place.pod()) == 0


def test_lost_messages_are_reported_until_the_gap_is_filled(place: Place) -> None:
    place.apply(market_collector())
    place.wait_ready()
    before = place.status()["gaps"]["detected"]
    place.fault("rest", path="market/history-trades", status=500, seconds=600)
    place.fault("lose", channel="trades-all", symbol="BTC-USDT", count=3)
    eventually(lambda: place.status()["gaps"]["detected"] > before, what="the gap is reported")
    gap = place.status()["gaps"]
    assert gap["missingTrades"] >= 1
    assert gap["open"] >= 1, "the gap stays open while the exchange's history is unavailable"
    assert place.wait_condition("Complete", "False", within=5).reason
    place.clear_faults()
    place.wait_condition("Complete", "True")
    after = place.status()["gaps"]
    assert (after["open"], after["repaired"]) == (0, after["detected"])
    assert restarts(place.pod()) == 0


def test_gap_in_the_order_book_is_reported_and_resynced(place: Place) -> None:
    place.apply(market_collector())
    place.wait_ready()
    before = place.status()
    place.fault("lose", channel="books", symbol="BTC-USDT", count=1)
    eventually(lambda: place.status()["gaps"]["detected"] > before["gaps"]["detected"], "the gap is reported")
    eventually(lambda: place.status()["resyncs"] > before["resyncs"], what="the book is fetched again")
    place.wait_ready()


def test_unwritable_directory_is_reported(place: Place) -> None:
    with volume(place) as archive:
        place.apply(market_collector(sinks=[archive]))
        found = place.wait_condition("SinksHealthy", "False")
        assert found.reason
        assert "archive" in found.message
        assert condition(place.resource(), "Ready").status == "False"


def test_file_sink_acknowledges_records_and_compresses_finished_files(place: Place) -> None:
    settings = {"directory": "/data", "rotate": {"interval": "1s"}, "compression": "gzip"}
    place.apply(market_collector(sinks=[{"name": "archive", "type": "file", "file": settings}]))
    place.wait_ready()
    pod = place.pod()["metadata"]["name"]

    def acknowledged() -> int:
        (sink,) = place.collector_status(pod)["sinks"]
        return int(sink["acknowledged"])

    eventually(acknowledged, what="records are acknowledged by the file sink")
    in_pod = ("exec", pod, "--", "sh", "-c")
    eventually(lambda: ".jsonl.gz" in place.kubectl(*in_pod, "ls /data"), "a finished file is compressed")
    records = [json.loads(line) for line in place.kubectl(*in_pod, "zcat /data/*.jsonl.gz").splitlines()]
    assert {record["symbol"] for record in records if record["type"] == "trade"} == {"BTC-USDT"}
