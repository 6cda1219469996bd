"""Faults that need a scene of their own: a ban, a message that only one connection lacks, and wrong checksums."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

import evidence
from collector_thread import ListSink, collector_thread, settings_for
from cut_replicas import connections_of
from exchange_words import ALL_WORDS, BINANCE, BYBIT, OKX
from fault_cases import BOOKS, TRADES, gap_of_trades
from market_collector.errors import RequestFailedError
from market_collector.exchanges import EXCHANGES
from market_collector.exchanges.binance import errors
from market_collector.exchanges.bybit import answers
from market_collector.feed import backfill
from market_collector.model.streams import StreamState
from market_collector.net.catalogue import catalogue
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
MARKET = ("--market", "29", "--symbols", "BTC-USDT", "--rate", "300", "--start", "now")
BAN_S = 4


@pytest.fixture
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with simulator(*MARKET, exchange=request.param) as running:
        yield running


def refused_calls(exchange: Simulator) -> int:
    calls = exchange.get("/state")["counters"]["calls"].values()
    return sum(by_status.get(status, 0) for by_status in calls for status in ("403", "418"))


@pytest.mark.parametrize("exchange", [BINANCE.name, BYBIT.name], indirect=True)
def test_banned_collector_asks_nothing_and_streams_go_on(exchange: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "BLOCKED_S", BAN_S)
    sink = ListSink()
    with collector_thread(settings_for(exchange), sink) as collector:
        collector.is_served()
        exchange.post("/faults/ban", {"seconds": BAN_S})
        for fault, body in (gap_of_trades(exchange.words), ("lose", BOOKS | {"count": 1})):
            exchange.post(f"/faults/{fault}", body)
        time.sleep(BAN_S - 0.5)
        trades = next(each for each in collector.status()["streams"] if each["stream"].endswith("/trade"))
        refused = refused_calls(exchange)
        assert trades["state"] == StreamState.LIVE
        assert 1 <= refused <= 3, "those under way"
        collector.is_served()
        status = collector.stop()
    records = sink.output()
    evidence.check(records, Truth(exchange))
    evidence.check_counters(records, status["counters"])
    assert {gap["stream"] for gap in evidence.of_type(records, "gap")} == {"BTC-USDT/trade", "BTC-USDT/orderbook"}
    assert refused_calls(exchange) == refused


@pytest.mark.parametrize("exchange", [BINANCE.name], indirect=True)
def test_banned_collector_connects_once_the_ban_has_ended(exchange: Simulator) -> None:
    """Its longest delay is 0.5 s otherwise, and each attempt during a ban would make that longer."""
    sink = ListSink()
    with collector_thread(settings_for(exchange), sink) as collector:
        collector.is_served()
        exchange.post("/faults/ban", {"seconds": BAN_S})
        exchange.post("/faults/drop")
        collector.comes(lambda status: status["connections"][0]["state"] == "backoff")
        collector.is_served()
        collector.stop()
    assert exchange.get("/state")["counters"]["refusedHandshakes"] == 1
    evidence.check(sink.output(), Truth(exchange))


@pytest.mark.parametrize(
    ("exchange", "words"),
    [(BINANCE.name, "from a restricted location"), (BYBIT.name, "access from your country")],
    indirect=["exchange"],
)
def test_excluded_collector_has_the_words_and_connects_once_it_may(
    exchange: Simulator, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "BLOCKED_S", BAN_S)
    monkeypatch.setattr(errors, "FORBIDDEN_S", BAN_S)
    sink = ListSink()
    with collector_thread(settings_for(exchange), sink) as collector:
        collector.is_served()
        exchange.post("/faults/ban", {"seconds": 600, "region": True})
        exchange.post("/faults/drop")
        collector.comes(lambda status: all(map(is_excluded, status["connections"])), 20, "excluded")
        time.sleep(BAN_S / 2)
        status = collector.status()
        (connection,) = status["connections"]
        assert connection["state"] == "backoff"
        assert words in connection["reason"]
        assert f"{connection['name']} connection: {connection['reason']}" in status["reason"]
        assert exchange.get("/state")["counters"]["refusedHandshakes"] == 1, "asked rarely"
        with pytest.raises(RequestFailedError, match=rf"RegionRestricted: HTTP 4\d\d .*{words}"):
            catalogue(EXCHANGES[exchange.words.name], exchange.rest)
        exchange.clear_faults()
        collector.is_served()
        assert not any(map(is_excluded, collector.stop()["connections"]))
    evidence.check(sink.output(), Truth(exchange))


def is_excluded(connection: dict[str, Any]) -> bool:
    return bool(connection["problem"] == "RegionRestricted")


def test_gap_of_trades_is_lost_in_a_country_without_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes on. After 4,096 trades, no page of recent ones reaches the gap."""
    monkeypatch.setattr(answers, "BLOCKED_S", 1.0)
    sink = ListSink()
    with simulator(*MARKET, "--rate", "1000", exchange=BYBIT.name) as exchange:
        with collector_thread(settings_for(exchange), sink) as collector:
            collector.is_served()
            exchange.post("/faults/ban", {"seconds": 60, "region": True})
            fault, body = gap_of_trades(exchange.words)
            exchange.post(f"/faults/{fault}", body)
            collector.comes(lambda status: status["counters"]["gapsLost"] == 1, 40, "the gap is lost")
            exchange.clear_faults()
            collector.stop()
        evidence.check(sink.output(), Truth(exchange))
    (gap,) = evidence.of_type(sink.output(), "gap")
    assert (gap["stream"], gap["reason"]) == ("BTC-USDT/trade", "Unreadable")


@pytest.mark.parametrize("exchange", ALL_WORDS, indirect=True)
def test_message_that_one_connection_lacks_is_in_the_union(
    exchange: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dense ids its replica reports the gap, which history cannot fill here. Otherwise nothing shows it."""
    monkeypatch.setattr(backfill, "GIVE_UP_AFTER_S", 1.0)
    monkeypatch.setattr(backfill, "GIVE_UP_ANSWERS", 2)
    exchange.post("/faults/no-history", {"symbol": "BTC-USDT", "from": 0, "to": 1 << 60})
    sinks = [ListSink("a"), ListSink("b")]
    with (
        collector_thread(settings_for(exchange), sinks[0]) as first,
        collector_thread(settings_for(exchange), sinks[1]) as second,
    ):
        for collector in (first, second):
            collector.is_served()
        for connection in connections_of(exchange, first, second)[0]:
            exchange.post("/faults/lose", TRADES | {"count": 5, "connection": connection})
        time.sleep(1)
        for collector in (first, second):
            collector.is_served()
            collector.stop()
    lacking, whole = (trade_ids(sink.output()) for sink in sinks)
    swallowed = Truth(exchange).swallowed()
    assert swallowed
    assert swallowed <= whole - lacking
    lost = evidence.lost_numbers(sinks[0].output(), "/trade")
    assert lost == (swallowed if exchange.words.has_dense_ids else set())
    assert not evidence.of_type(sinks[1].output(), "gap")
    for sink in sinks:
        evidence.check(sink.output(), Truth(exchange))


def trade_ids(records: list[Any]) -> set[int]:
    return {evidence.trade_id(trade) for trade in evidence.of_type(records, "trade")}


def test_book_with_a_wrong_checksum_is_out_of_sync() -> None:
    sink = ListSink()
    with simulator(*MARKET, "--checksum", exchange=OKX.name) as exchange:
        with collector_thread(settings_for(exchange), sink) as collector:
            collector.is_served()
            exchange.post("/faults/wrong-checksum", BOOKS | {"count": 1})
            collector.comes(lambda status: status["counters"]["resyncs"] == 1, 20, "out of sync")
            collector.is_served()
            collector.stop()
        records = sink.output()
        evidence.check(records, Truth(exchange))
    assert [gap["reason"] for gap in evidence.of_type(records, "gap")] == ["ChecksumMismatch"]
    assert all(book["checksum"] for book in evidence.of_type(records, "orderbook"))
