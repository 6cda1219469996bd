"""Binance on a connection: pace, signs of life, snapshots that join updates, and refused symbols."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest

from market_collector.errors import RequestFailedError
from market_collector.exchanges.binance.exchange import ACCOUNT, MARKET, Binance
from market_collector.exchanges.binance.rest import BinanceRestApi
from market_collector.exchanges.interface import Access, Closing
from market_collector.feed.effects import Effect, Emit, Fetch, Question, Reconnect, Replace, Send
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.feed.recording import recordings
from market_collector.model.events import Gap, Orderbook, Record, Refused
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream, StreamState

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
BINANCE = Binance()


def at(seconds: float) -> Moment:
    return Moment(1000.0 + seconds, int((1_790_000_000 + seconds) * 1e9))


class Connections:
    """Connections that share a ledger."""

    def __init__(self, *streams: Stream, depth: int | None = 50) -> None:
        self.streams, self.depth = streams, depth
        self.ledger = Ledger("binance", streams, 60.0, at(0), book_rule=BINANCE.books)
        self.records: list[Record] = []

    def open(self, seconds: float = 0.0, *, is_acked: bool = True) -> Feed:
        feed = Feed(MARKET, BINANCE, self.streams, self.ledger, ping_interval_s=20.0, book_depth=self.depth)
        self.keep(feed.opened(at(seconds)))
        if is_acked:
            self.gets(feed, {"result": None, "id": 1}, seconds)
        return feed

    def keep(self, effects: Iterable[Effect]) -> list[Effect]:
        found = list(effects)
        self.records += [record for effect in found if isinstance(effect, Emit) for record in effect.records]
        return found

    def gets(self, feed: Feed, message: Any, seconds: float) -> list[Effect]:
        return self.keep(feed.received(json.dumps(message, separators=(",", ":")).encode(), at(seconds)))

    def changes(self, feed: Feed, first: int, last: int, seconds: float, **sides: Any) -> list[Effect]:
        event = {"e": "depthUpdate", "E": 1633998512068, "s": "BTCUSDT", "U": first, "u": last, "b": [], "a": []}
        return self.gets(feed, {"stream": "btcusdt@depth@100ms", "data": event | sides}, seconds)

    def wakes(self, feed: Feed, seconds: float, question: Question = Question.SNAPSHOT) -> list[Fetch]:
        effects = self.keep(feed.woken(at(seconds)))
        return [effect for effect in effects if isinstance(effect, Fetch) and effect.question is question]

    def is_answered(self, feed: Feed, fetch: Fetch, last: int, seconds: float, **sides: Any) -> list[Effect]:
        body = {"lastUpdateId": last, "bids": [["9.00000000", "1.00000000"]], "asks": []} | sides
        return self.keep(feed.answered(fetch, json.dumps(body).encode(), at(seconds)))

    @property
    def steps(self) -> list[tuple[int | None, int | None]]:
        """From and to of each published book record."""
        books = [record for record in self.records if isinstance(record, Orderbook)]
        return [(record.previous_sequence, record.sequence) for record in books]


# -- books


def test_snapshot_is_requested_after_the_acknowledgement() -> None:
    run = Connections(BOOK)
    feed = run.open(is_acked=False)
    assert run.wakes(feed, 1) == []
    run.gets(feed, {"result": None, "id": 1}, 1.5)
    (fetch,) = run.wakes(feed, 2)
    assert fetch.request.path == "/api/v3/depth?symbol=BTCUSDT&limit=100"


@pytest.mark.parametrize("last", [12, 14, 15])
def test_snapshot_joins_the_updates_that_waited(last: int) -> None:
    """12 directly precedes the first kept update, 14 lies inside of it, and 15 is its end."""
    run = Connections(BOOK)
    feed = run.open()
    (fetch,) = run.wakes(feed, 0.5)
    for first, end in ((10, 12), (13, 15), (16, 18)):
        run.changes(feed, first, end, 1)
    run.is_answered(feed, fetch, last, 1.5)
    run.changes(feed, 19, 19, 2)
    joined = [(last, 15)] if last < 15 else []
    assert run.steps == [(None, last), *joined, (15, 18), (18, 19)]
    assert not [record for record in run.records if isinstance(record, Gap)]


def test_old_snapshot_is_requested_again_with_growing_delays() -> None:
    """At a high load each snapshot may be too old for a while. The stream stays as it is."""
    run = Connections(BOOK)
    feed = run.open()
    run.changes(feed, 100, 101, 0.1)
    asked, seconds = list[float](), 0.25
    while len(asked) < 5:
        for fetch in run.wakes(feed, seconds):
            asked.append(seconds)
            effects = run.is_answered(feed, fetch, 98, seconds)
            assert not [effect for effect in effects if isinstance(effect, Reconnect | Send)]
        seconds += 0.25
    assert [later - earlier for earlier, later in pairwise(asked)] == [0.5, 1.0, 2.0, 4.0]


def test_missing_update_is_a_gap_and_needs_only_a_snapshot() -> None:
    run = Connections(BOOK)
    feed = run.open()
    run.is_answered(feed, run.wakes(feed, 0.5)[0], 10, 0.6)
    run.changes(feed, 11, 12, 1)
    effects = run.changes(feed, 14, 15, 2)
    (fetch,) = [effect for effect in effects if isinstance(effect, Fetch)]
    assert not [effect for effect in effects if isinstance(effect, Send)]
    run.changes(feed, 16, 16, 2.1)
    run.is_answered(feed, fetch, 15, 2.5)
    assert run.steps == [(None, 10), (10, 12), (None, 15), (15, 16)]
    assert [record.reason for record in run.records if isinstance(record, Gap)] == ["SequenceGap"]


def test_published_states_are_one_chain_though_servers_cut_differently() -> None:
    run = Connections(BOOK)
    first = run.open()
    run.is_answered(first, run.wakes(first, 0.5)[0], 10, 0.6)
    run.changes(first, 11, 13, 1)
    second = run.open(1)
    run.is_answered(second, run.wakes(second, 1.5)[0], 12, 1.6)
    run.changes(second, 12, 14, 2)
    run.changes(second, 15, 17, 2.1)
    run.keep(first.closed("lost", at(3)))
    run.changes(second, 18, 19, 4)
    assert run.steps == [(None, 10), (10, 13), (None, 14), (14, 17), (17, 19)]
    assert not [record for record in run.records if isinstance(record, Gap)]


def test_nothing_beyond_the_known_range_is_published() -> None:
    bids = [[f"{900 - n}.00000000", "1.00000000"] for n in range(100)]
    run = Connections(BOOK)
    feed = run.open()
    run.is_answered(feed, run.wakes(feed, 0.5)[0], 10, 0.6, bids=bids)
    rows = [["801.00000000", "5.00000000"], ["800.00000000", "5.00000000"], ["899.50000000", "0.00000000"]]
    run.changes(feed, 11, 12, 1, b=rows)
    (_, update) = [record for record in run.records if isinstance(record, Orderbook)]
    assert [(level.price, level.amount) for level in update.bids] == [
        ("801.00000000", "5.00000000"),
        ("899.50000000", "0"),
    ]


def test_range_is_renewed_without_a_gap_before_it_is_used_up() -> None:
    bids = [[f"{900 - n}.00000000", "1.00000000"] for n in range(100)]
    run = Connections(BOOK)
    feed = run.open()
    run.is_answered(feed, run.wakes(feed, 0.5)[0], 10, 0.6, bids=bids)
    run.changes(feed, 11, 12, 1, b=[[price, "0.00000000"] for price, _ in bids[:45]])
    run.wakes(feed, 1.3)
    (fetch,) = run.wakes(feed, 1.6)
    run.is_answered(feed, fetch, 12, 2, bids=[[f"{855 - n}.00000000", "1.00000000"] for n in range(100)])
    assert run.steps == [(None, 10), (10, 12), (None, 12)]
    assert not [record for record in run.records if isinstance(record, Gap)]


@pytest.mark.parametrize(("last", "times"), [(14, [5, 5, 7]), (15, [5, 7]), (18, [7]), (20, [None])])
def test_snapshot_has_the_time_of_an_update_that_shows_its_state(last: int, times: list[int | None]) -> None:
    """Of the one that led to it, or else of the next one. Otherwise it would come after updates that follow it."""
    run = Connections(BOOK)
    feed = run.open()
    (fetch,) = run.wakes(feed, 0.5)
    run.changes(feed, 13, 15, 1, E=5)
    run.changes(feed, 16, 18, 1, E=7)
    run.is_answered(feed, fetch, last, 1.5)
    found = [record.exchange_time_ns for record in run.records if isinstance(record, Orderbook)]
    assert found == [None if time is None else time * 1_000_000 for time in times]


def test_book_without_a_time_is_recorded_from_its_arrival() -> None:
    run = Connections(BOOK)
    feed = run.open()
    run.is_answered(feed, run.wakes(feed, 0.5)[0], 10, 1.5)
    (recording,) = recordings("binance", [run.ledger.streams[BOOK]], at(2))
    assert recording.from_time_ns == recording.to_time_ns == at(1.5).wall_ns


# -- the connection


def test_requests_leave_one_a_second_and_one_at_a_time() -> None:
    """A full connection, as after a mass reconnect: pongs and requests stay below 5 frames a second."""
    streams = [Stream(f"A{n}-USDT", DataType.TRADE) for n in range(800)]
    run = Connections(*streams)
    feed = Feed(MARKET, BINANCE, streams, run.ledger, ping_interval_s=20.0)
    sent = [0.0 for effect in feed.opened(at(0)) if isinstance(effect, Send)]
    for tick in range(1, 60):
        run.gets(feed, {"result": None, "id": len(sent)}, tick / 10)
        sent += [tick / 10 for effect in feed.woken(at(tick / 10)) if isinstance(effect, Send)]
    assert len(sent) == 4
    assert all(1.0 <= later - earlier < 1.25 for earlier, later in pairwise(sent))


def test_limits_are_stricter_than_those_of_the_exchange() -> None:
    limits, route = BINANCE.limits, BINANCE.routes[MARKET]
    assert (limits.one_request_at_a_time, limits.life_s) == (True, 24 * 3600)
    assert limits.dial.count < 300
    assert limits.dial.seconds == 300
    assert (route.streams_per_connection or 9999) < 1024


@pytest.mark.parametrize(("silence_s", "is_ended"), [(59.0, False), (60.0, True)])
def test_control_frames_show_life(silence_s: float, is_ended: bool) -> None:
    run = Connections(TRADES)
    feed = run.open()
    feed.note_control_frame(at(100).at)
    effects = feed.woken(at(100 + silence_s))
    assert [type(effect) for effect in effects if isinstance(effect, Reconnect)] == [Reconnect] * is_ended
    assert not [effect for effect in effects if isinstance(effect, Send)]


def test_shutdown_of_a_server_is_followed_by_another_connection() -> None:
    run = Connections(TRADES)
    effects = run.gets(run.open(), {"e": "serverShutdown", "E": 1770123456789}, 1)
    assert [effect.reason for effect in effects if isinstance(effect, Replace)] == [
        "the exchange announced: the server shuts down"
    ]


@pytest.mark.parametrize(
    ("code", "reason", "closing"),
    [
        (1008, "Too many requests", Closing.TOO_MANY),
        (1008, "Pong timeout", Closing.OTHER),
        (1001, "", Closing.OTHER),
    ],
)
def test_close_for_too_many_requests_is_known(code: int, reason: str, closing: Closing) -> None:
    assert BINANCE.closing(code, reason) is closing


# -- instruments


def test_unknown_symbol_is_refused_though_its_stream_is_acknowledged() -> None:
    run = Connections(TRADES)
    feed = run.open()
    (fetch,) = run.wakes(feed, 2.5, Question.NEWEST)
    body = b'{"code":-1121,"msg":"Invalid symbol."}'
    problem = BinanceRestApi().refusal(400, {}, body)
    run.keep(feed.answered(fetch, RequestFailedError("HTTP 400", problem, body), at(3)))
    assert [record.reason for record in run.records if isinstance(record, Refused)] == ["SymbolNotFound"]
    assert run.ledger.streams[TRADES].state is StreamState.REFUSED


@pytest.mark.parametrize("status", ["CANCEL_ONLY", "BREAK", "HALT", "END_OF_DAY"])
def test_instrument_that_does_not_trade_is_quiet_with_its_state(status: str) -> None:
    run = Connections(TRADES)
    feed = run.open()
    for seconds in (2.5, 5.0, 40.0, 75.0):
        for fetch in run.wakes(feed, seconds, Question.NEWEST):
            run.keep(feed.answered(fetch, b'[{"id":7}]', at(seconds + 0.1)))
        row = {"symbol": "BTCUSDT", "status": status, "baseAsset": "BTC", "quoteAsset": "USDT"}
        for fetch in run.wakes(feed, seconds + 0.2, Question.HALTS):
            assert fetch.request.path == "/api/v3/exchangeInfo?symbol=BTCUSDT&showPermissionSets=false"
            run.keep(feed.answered(fetch, json.dumps({"symbols": [row]}).encode(), at(seconds + 0.3)))
    progress = run.ledger.streams[TRADES]
    assert progress.state is StreamState.QUIET
    assert status in f"{progress.reason} {progress.message}"


# -- the account


def test_account_has_a_connection_of_its_own_that_is_signed() -> None:
    balances = Stream("account", DataType.BALANCE)
    assert [BINANCE.route(stream) for stream in (TRADES, balances)] == [MARKET, ACCOUNT]
    route = BINANCE.routes[ACCOUNT]
    assert (route.access, route.sends_whole_accounts, BINANCE.hosts[route.host]) == (
        Access.SIGNED,
        False,
        "wss://ws-api.binance.com:9443",
    )
    codecs = [BINANCE.codec(BINANCE.route(stream), [stream], None) for stream in (TRADES, balances)]
    assert [codec.path for codec in codecs] == ["/stream", "/ws-api/v3"]
    assert BINANCE.signer().fields == ("apiKey", "secretKey")
