"""Two collectors of one market, or two connections of one collector, together have every record once."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import evidence
from book_ranges import check_book_ranges, is_within
from collector_thread import ListSink, collector_thread, settings_for
from cut_replicas import cut
from exchange_words import MARKETS, WORDS
from market_collector.feed import backfill, unnumbered
from market_collector.model.events import Trade
from market_collector.model.identity import union
from market_collector.verify import Interval, coverage
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


@pytest.fixture(params=MARKETS)
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    market = ("--market", "13", "--symbols", MARKETS[request.param].symbol, "--rate", "300", "--start", "now")
    with simulator(*market, exchange=request.param) as running:
        yield running


def connections(exchange: Simulator) -> set[str]:
    return {connection["id"] for connection in exchange.get("/state")["connections"]}


def have_no_history(exchange: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let REST have no trades, and the collectors give up soon."""
    for module in (backfill, unnumbered):
        monkeypatch.setattr(module, "GIVE_UP_AFTER_S", 1.0)
        monkeypatch.setattr(module, "GIVE_UP_ANSWERS", 2)
    exchange.post("/faults/no-history", {"symbol": exchange.words.symbol, "from": 0, "to": 1 << 60})


def test_two_replicas_merged_by_identity_are_every_fill_once(
    exchange: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each loses its connections in turn, and REST has no history, so each has gaps that stay lost."""
    have_no_history(exchange, monkeypatch)
    chance, sinks = random.Random(3), [ListSink("a"), ListSink("b")]
    with (
        collector_thread(settings_for(exchange), sinks[0]) as first,
        collector_thread(settings_for(exchange), sinks[1]) as second,
    ):
        for _ in range(4):
            first.is_served()
            second.is_served()
            time.sleep(0.5)
            cut(exchange, chance.choice((first, second)), fault=lambda: chance.choice(("drop", "reset")))
        for collector in (first, second):
            collector.is_served()
            collector.stop()
    outputs = [sink.output() for sink in sinks]
    for output in outputs:
        evidence.check(output, Truth(exchange))
        assert evidence.lost_times(output)
    merged = merge(*outputs)
    ids = sorted(evidence.trade_id(record) for record in merged)
    assert ids == list(range(ids[0], ids[-1] + 1))
    evidence.check_trades(merged, Truth(exchange))


def test_coverage_of_two_replicas_is_that_of_the_truth(
    exchange: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each replica loses its connections, once both at the same time. History has nothing, so only replicas help."""
    have_no_history(exchange, monkeypatch)
    sinks = [ListSink("a"), ListSink("b")]
    with (
        collector_thread(settings_for(exchange), sinks[0]) as first,
        collector_thread(settings_for(exchange), sinks[1]) as second,
    ):
        for together in (False, True, False):
            first.is_served()
            second.is_served()
            time.sleep(0.7)
            if together:  # a replica that connects again at once may miss nothing
                exchange.post("/faults/refuse", {"status": 503, "seconds": 0.5})
            cut(exchange, *((first, second) if together else (second,)))
        for collector in (first, second):
            collector.is_served()
            collector.stop()
    outputs = [sink.output() for sink in sinks]
    for name, output in zip("ab", outputs, strict=True):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in output))
    trades = {evidence.trade_id(record) for output in outputs for record in evidence.of_type(output, "trade")}
    expected = truth_intervals(Truth(exchange), trades)
    assert len(expected) > 1
    found = [(each.from_time_ns, each.to_time_ns) for each in coverage(tmp_path, "trade")]
    assert found == (expected if exchange.words.has_dense_ids else without_bounds(expected))
    check = check_book_coverage if exchange.words.has_exact_links else check_book_ranges
    check(outputs, coverage(tmp_path, "orderbook"))


def truth_intervals(truth: Truth, ids: set[int]) -> list[tuple[int, int]]:
    """Exchange times of the first and the last fill of each range of the exchange's fills that all have these ids."""
    found: list[list[int]] = []
    is_open = False
    for fill in truth.fills(min(ids), max(ids)):
        time_ns = fill.time_ns
        if fill.id not in ids:
            is_open = False
        elif is_open:
            found[-1][1] = time_ns
        else:
            found.append([time_ns, time_ns])
            is_open = True
    return [(start, end) for start, end in found]


def without_bounds(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The intervals without the times next to a gap, at which there may be trades without dense ids that it lacks."""
    last = len(intervals) - 1
    return [(start + (place > 0), end - (place < last)) for place, (start, end) in enumerate(intervals)]


def check_book_coverage(outputs: list[list[Any]], intervals: list[Interval]) -> None:
    """Check that each interval is one chain of updates, and that every published state lies in one."""
    books = [record for output in outputs for record in evidence.of_type(output, "orderbook")]
    assert len(intervals) > 1
    assert all(any(is_within(book, each) for each in intervals) for book in books)
    for each in intervals:
        inside = [book for book in books if is_within(book, each)]
        known = {book["sequence"] for book in inside}
        first = min(known)
        updates = {book["sequence"]: book["previous_sequence"] for book in inside if book["action"] == "update"}
        assert all(previous in known or sequence == first for sequence, previous in updates.items())
        assert known <= updates.keys() | {first}, "a state without the update that led to it"


def merge(*outputs: list[Any]) -> list[Any]:
    """Merge trades by their identity."""
    trades = [msgspec.convert(evidence.of_type(output, "trade"), list[Trade]) for output in outputs]
    merged: list[Any] = msgspec.to_builtins(union(*trades))
    return merged


@pytest.mark.parametrize("exchange", WORDS, indirect=True)
def test_an_announced_end_loses_and_doubles_nothing_and_breaks_no_book(exchange: Simulator) -> None:
    sink, states = ListSink(), set()
    with collector_thread(settings_for(exchange), sink) as collector:
        collector.is_served()
        links = len(collector.status()["connections"])
        for _ in range(3):
            old = connections(exchange)
            exchange.post("/faults/notice", {"seconds": 4})
            while connections(exchange) & old:
                states |= {connection["state"] for connection in collector.status()["connections"]}
                time.sleep(0.02)
        collector.is_served()
        counters = collector.stop()["counters"]
    records = sink.output()
    evidence.check(records, Truth(exchange))
    evidence.check_counters(records, counters)
    assert (counters["reconnections"], counters["gapsDetected"], counters["resyncs"]) == (3 * links, 0, 0)
    assert counters["duplicates"] > 0  # both connections brought them
    snapshots = [book for book in evidence.of_type(records, "orderbook") if book["action"] == "snapshot"]
    assert len(snapshots) == (1 if exchange.words.has_exact_links else 4), "one for each range of prices"
    assert "draining" in states
