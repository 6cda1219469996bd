"""Two collectors of one market, or two connections of one collector, together have every record once."""

import random
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import evidence
from collector_thread import CollectorThread, ListSink, collector_thread, settings_for
from market_collector.feed import backfill
from market_collector.model.events import Trade
from market_collector.model.identity import union
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    with simulator("--market", "13", "--symbols", "BTC-USDT", "--rate", "300", "--start", "now") as running:
        yield running


def connections(exchange: Simulator) -> set[str]:
    return {connection["id"] for connection in exchange.get("/state")["connections"]}


def test_two_replicas_merged_by_identity_are_every_fill_once(
    exchange: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each loses its connections in turn, and REST has no history, so each has gaps that stay lost."""
    monkeypatch.setattr(backfill, "GIVE_UP_AFTER_S", 1.0)
    monkeypatch.setattr(backfill, "GIVE_UP_ANSWERS", 2)
    exchange.post("/faults/no-history", {"symbol": "BTC-USDT", "from": 0, "to": 1 << 60})
    chance, sinks = random.Random(3), [ListSink("a"), ListSink("b")]
    with (
        collector_thread(settings_for(exchange), sinks[0]) as first,
        collector_thread(settings_for(exchange), sinks[1]) as second,
    ):
        for _ in range(4):
            first.is_served()
            second.is_served()
            time.sleep(0.5)
            for connection in chance.choice(of_each(exchange, first, second)):
                exchange.post(f"/faults/{chance.choice(['drop', 'reset'])}", {"connection": connection})
        for collector in (first, second):
            collector.is_served()
            collector.stop()
    outputs = [sink.output() for sink in sinks]
    for output in outputs:
        evidence.check(output, Truth(exchange))
        assert evidence.lost_numbers(output, "/trade")
    merged = merge(*outputs)
    ids = sorted(evidence.trade_id(record) for record in merged)
    assert ids == list(range(ids[0], ids[-1] + 1))
    evidence.check_trades(merged, Truth(exchange))


def of_each(exchange: Simulator, *collectors: CollectorThread) -> list[list[str]]:
    """The connections of each collector, by the ports of their sockets."""
    rows = exchange.get("/state")["connections"]
    peers = [set(collector.ask(lambda c: [life_port(link) for link in c.supervisor.links])) for collector in collectors]
    return [[row["id"] for row in rows if port_of(row["peer"]) in ports] for ports in peers]


def life_port(link: Any) -> int:
    """The local port of a link's newest connection."""
    (*_, session) = link._sessions.values()
    return int(session._connection._transport.get_extra_info("sockname")[1])


def port_of(peer: str) -> int:
    return int(peer.rpartition(":")[2])


def merge(*outputs: list[Any]) -> list[Any]:
    """Merge trades by their identity."""
    trades = [msgspec.convert(evidence.of_type(output, "trade"), list[Trade]) for output in outputs]
    merged: list[Any] = msgspec.to_builtins(union(*trades))
    return merged


def test_an_announced_end_loses_and_doubles_nothing_and_breaks_no_book(exchange: Simulator) -> None:
    sink, states = ListSink(), set()
    with collector_thread(settings_for(exchange), sink) as collector:
        collector.is_served()
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
    assert (counters["reconnections"], counters["gapsDetected"], counters["resyncs"]) == (6, 0, 0)
    assert counters["duplicates"] > 0  # both connections brought them
    assert len([book for book in evidence.of_type(records, "orderbook") if book["action"] == "snapshot"]) == 1
    assert "draining" in states
