"""Pings, and REST probes that tell quiet markets from stale streams."""

import json
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any

import pytest

from feed_life import (
    BOOK,
    CHANNELS,
    NO_ANSWER,
    TICKER,
    TRADES,
    Life,
    arg,
    ask,
    at,
    book_message,
    emitted,
    reconnects,
    sent,
    trade_message,
)
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed import liveness
from market_collector.feed.effects import Effect, Fetch, Question, Send, Warn
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import (
    Gap,
    Resync,
)
from market_collector.model.streams import DataType, Stream, StreamState
from market_collector.telemetry.report import readiness

EMPTY = b'{"code":"0","data":[]}'
CHANNEL = {stream.data_type: channel for stream, channel in CHANNELS.items()}


def fetched(effects: Sequence[Effect], question: Question = Question.NEWEST) -> list[Fetch]:
    return [effect for effect in effects if isinstance(effect, Fetch) and effect.question is question]


def market(*types: DataType, quantity: int) -> tuple[Life, list[Stream]]:
    """A life with these streams of so many symbols, all acknowledged at 0.5 s."""
    return served(*(Stream(f"S{n}-USDT", data_type) for n in range(quantity) for data_type in types))


def served(*streams: Stream) -> tuple[Life, list[Stream]]:
    """A life with these streams, all acknowledged at 0.5 s."""
    life = Life(*streams)
    for stream in streams:
        name = {"channel": CHANNEL[stream.data_type], "instId": stream.symbol}
        life.gets({"event": "subscribe", "arg": name}, 0.5)
    return life, list(streams)


def overview(*rows: dict[str, Any]) -> bytes:
    """The answer with these tickers."""
    return json.dumps({"code": "0", "data": rows}).encode()


def ticker(stream: Stream, ts: int, volume: str = "7") -> dict[str, Any]:
    prices = {"bidPx": "100", "bidSz": "1", "askPx": "", "askSz": ""}
    return {"instId": stream.symbol, "last": "1", "lastSz": "2", "vol24h": volume, "ts": str(ts), **prices}


def overview_of(life: Life, seconds: float) -> Fetch:
    (fetch,) = fetched(life.feed.woken(at(seconds)), Question.OVERVIEW)
    return fetch


def states(life: Life) -> set[StreamState]:
    return {progress.state for progress in life.ledger.streams.values()}


def test_silence_is_answered_with_a_ping_and_then_with_the_end() -> None:
    life = Life(TRADES, TICKER)
    life.is_acked(TRADES, TICKER)
    assert sent(life.feed.woken(at(20.4))) == []
    assert sent(life.feed.woken(at(20.5))) == ["ping"]
    assert sent(life.feed.woken(at(30))) == []
    assert reconnects(life.feed.woken(at(40.5))) == ["no answer to a ping for 20 s"]


def test_a_pong_is_counted_and_keeps_the_connection() -> None:
    life = Life(TRADES, TICKER)
    life.is_acked(TRADES, TICKER)
    life.feed.woken(at(20.5))
    life.gets("pong", 21)
    assert (life.feed.pings_sent, life.feed.pongs_received) == (1, 1)
    assert sent(life.feed.woken(at(40))) == []
    assert sent(life.feed.woken(at(41))) == ["ping"]


def test_ping_interval_stays_below_the_limit_of_the_exchange() -> None:
    ledger = Ledger("okx", [TRADES], 60.0, at(0))
    feed = Feed("public", Okx(), [TRADES], ledger, ping_interval_s=500.0)
    feed.opened(at(0))
    feed.received(b'{"event":"subscribe","arg":{"channel":"trades-all","instId":"BTC-USDT"}}', at(0))
    assert sent(feed.woken(at(25))) == ["ping"]


def test_a_quiet_market_is_confirmed_by_the_exchange() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    assert not [e for e in life.feed.woken(at(5.9)) if isinstance(e, Fetch)]
    (fetch,) = fetched(life.feed.woken(at(6)))
    assert fetch.request.path == "/api/v5/market/trades?instId=BTC-USDT&limit=1"
    assert not [e for e in life.feed.woken(at(7)) if isinstance(e, Fetch)]
    life.feed.answered(ask(TRADES), b'{"code":"0","data":[{"tradeId":"100"}]}', at(7))
    life.ledger.age(at(12))
    assert life.progress(TRADES).state is StreamState.QUIET


def test_stale_stream_is_not_quiet_and_is_requested_again() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    life.feed.woken(at(6))
    newer = b'{"code":"0","data":[{"tradeId":"140"}]}'
    assert life.feed.answered(ask(TRADES), newer, at(6.1)) == []
    life.ledger.age(at(11.5))
    assert life.progress(TRADES).state is StreamState.STALE
    assert [e for e in life.feed.woken(at(11.5)) if isinstance(e, Fetch)]
    effects = life.feed.answered(ask(TRADES), newer, at(11.6))
    assert [type(record) for record in emitted(effects)] == [Resync]
    assert [request["op"] for request in sent(effects)] == ["unsubscribe", "subscribe"]


def test_stream_without_trades_is_quiet_when_the_exchange_has_none() -> None:
    life = Life(TRADES)
    life.is_acked(TRADES, seconds=1)
    same = b'{"code":"0","data":[{"tradeId":"100"}]}'
    for second in (3.0, 5.0):
        assert [e for e in life.feed.woken(at(second)) if isinstance(e, Fetch)]
        assert life.progress(TRADES).state is StreamState.PENDING
        life.feed.answered(ask(TRADES), same, at(second))
    assert life.progress(TRADES).state is StreamState.QUIET


def test_a_book_without_snapshot_is_never_quiet() -> None:
    life = Life(BOOK)
    life.is_acked(BOOK, seconds=1)
    for second in (3.0, 5.0, 7.0):
        life.feed.woken(at(second))
        life.feed.answered(ask(BOOK), b'{"code":"0","data":[{"seqId":5}]}', at(second))
    assert life.progress(BOOK).state is StreamState.PENDING


def test_an_unanswered_or_unreadable_question_proves_nothing() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    life.feed.woken(at(6))
    assert [type(e) for e in life.feed.answered(ask(TRADES), NO_ANSWER, at(7))] == [Warn]
    life.feed.woken(at(11))
    assert life.feed.answered(ask(TRADES), b"<html>", at(11.2)) == []
    life.ledger.age(at(12))
    assert life.progress(TRADES).state is StreamState.UNKNOWN


ODD_ROWS: dict[DataType, dict[str, Any]] = {
    DataType.TRADE: {"px": "1"},
    DataType.ORDERBOOK: {"asks": []},
    DataType.TICKER: {"last": "1"},
}


@pytest.mark.parametrize("odd_type", ODD_ROWS)
def test_answer_that_lacks_a_field_concerns_its_stream_only(odd_type: DataType) -> None:
    """The probes of others go on. Its own stream says so, is logged once a minute, and is probed less often."""
    odd = [Stream(f"ODD{n}-USDT", odd_type) for n in range(2 * liveness.MAX_CONCURRENT_PROBES)]
    good = [Stream(f"S{n}-USDT", DataType.TRADE) for n in range(20)]
    life, _ = served(*odd, *good)
    probed, warnings = list[float](), list[str]()
    for second in range(3, 200):
        fetches = [effect for effect in life.feed.woken(at(second)) if isinstance(effect, Fetch)]
        for fetch in fetches:
            row = [ODD_ROWS[odd_type]] if fetch.stream in odd else []
            effects = life.feed.answered(fetch, overview(*row), at(second))
            fetches += fetched(effects)
            probed += [second] if fetch.stream == odd[0] else []
            warnings += [effect.message for effect in effects if isinstance(effect, Warn)]
        life.ledger.age(at(second))
        assert {life.progress(stream).state for stream in good} == {StreamState.QUIET}
    for stream in odd:
        progress, problem = life.progress(stream), f"OKX's answer for {stream} cannot be read"
        assert (progress.state, progress.reason) == (StreamState.UNKNOWN, "NotConfirmed")
        assert problem in progress.message
        assert 1 <= len([warning for warning in warnings if problem in warning]) <= 4
    assert min(after - before for before, after in pairwise(probed)) >= life.ledger.stale_after_s / 2


def test_few_streams_are_probed_at_once_and_the_next_with_each_answer() -> None:
    life, streams = market(DataType.TRADE, quantity=20)
    life.feed.answered(overview_of(life, 3), overview(), at(3.1))
    first = fetched(life.feed.woken(at(4)))
    assert first == [], "the answer itself was followed by the first probes"
    second = fetched(life.feed.answered(ask(streams[0]), EMPTY, at(3.5)))
    assert [each.stream for each in second] == [streams[liveness.MAX_CONCURRENT_PROBES]]


def test_newer_data_at_rest_is_a_gap_when_a_stream_is_stale() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    life.feed.woken(at(6))
    life.feed.answered(ask(TRADES), b'{"code":"0","data":[{"tradeId":"103"}]}', at(6.1))
    (gap,) = emitted(life.feed.woken(at(7.2)))
    assert isinstance(gap, Gap)
    assert (gap.first_id, gap.last_id) == ("101", "103")


def test_stream_without_data_is_checked_soon_after_a_reconnect() -> None:
    life = Life(TRADES)
    life.gets(trade_message(100))
    life.feed.closed("reset", at(2))
    second = Feed("public", Okx(), [TRADES], life.ledger, ping_interval_s=20.0)
    second.opened(at(3))
    second.received(json.dumps({"event": "subscribe", "arg": arg(TRADES)}).encode(), at(3.1))
    assert [e for e in second.woken(at(3.2 + liveness.PROBE_AFTER_S)) if isinstance(e, Fetch)]


# -- many streams


@pytest.mark.parametrize("data_type", [DataType.TRADE, DataType.TICKER])
def test_one_answer_confirms_many_streams_without_data_of_their_own(data_type: DataType) -> None:
    life, streams = market(data_type, quantity=100)
    rows = [ticker(stream, 1000) for stream in streams]
    requests = 0
    for second in range(3, 300):
        for fetch in [e for e in life.feed.woken(at(second)) if isinstance(e, Fetch)]:
            requests += 1
            assert fetch.stream is None
            life.feed.answered(fetch, overview(*rows), at(second + 0.1))
        life.ledger.age(at(second + 0.2))
    assert states(life) == {StreamState.QUIET}
    assert requests < 20


class PacedRest:
    """REST of a quiet market. Each path is asked at its pace, as by `net/rest.py`, and an answer takes 250 ms."""

    def __init__(self, tickers: bytes) -> None:
        self._tickers = tickers
        self._next_at: dict[str, float] = {}
        self._sent: list[tuple[float, int, Fetch]] = []
        self.requests = 0

    def take(self, effects: Sequence[Effect], now: float) -> None:
        """Queue the requests among the effects."""
        for fetch in [effect for effect in effects if isinstance(effect, Fetch)]:
            path = fetch.request.path.partition("?")[0]
            turn = max(now, self._next_at.get(path, 0.0))
            self._next_at[path] = turn + 1 / Okx.rest_api.budgets[fetch.request.bucket].per_second
            self.requests += 1
            heappush(self._sent, (turn + 0.25, self.requests, fetch))

    def answers(self, life: Life, until: float) -> list[Effect]:
        """Give the answers that come before this time; return all effects."""
        effects: list[Effect] = []
        while self._sent and self._sent[0][0] < until:
            now, _, fetch = heappop(self._sent)
            caused = life.feed.answered(fetch, self._body(fetch), at(now))
            self.take(caused, now)
            effects += caused
        return effects

    def _body(self, fetch: Fetch) -> bytes:
        if fetch.question is Question.OVERVIEW:
            return self._tickers
        if fetch.stream is None:
            return EMPTY  # no instrument is halted
        rows: dict[DataType, dict[str, Any]] = {
            DataType.TRADE: {"tradeId": "5"},
            DataType.ORDERBOOK: {"seqId": 10},
            DataType.TICKER: {"ts": "5"},
        }
        return overview(rows[fetch.stream.data_type])


@pytest.mark.repeats
def test_five_hundred_quiet_symbols_with_three_types_stay_ready() -> None:
    """For 18 minutes, in which trades and books are also probed by themselves. Trades have no data of their own."""
    life, streams = market(DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, quantity=500)
    for stream in streams:
        name = {"channel": CHANNEL[stream.data_type], "instId": stream.symbol}
        if stream.data_type is DataType.ORDERBOOK:
            life.gets(book_message("snapshot", 10, -1) | {"arg": name}, 1)
        elif stream.data_type is DataType.TICKER:
            life.gets({"arg": name, "data": [ticker(stream, 5)]}, 1)
    rest = PacedRest(overview(*(ticker(stream, 5) for stream in streams[::3])))
    for second in range(2, 1100):
        effects = life.feed.woken(at(second))
        rest.take(effects, second)
        effects += rest.answers(life, second + 1)
        life.ledger.age(at(second + 1))
        assert not [effect for effect in effects if not isinstance(effect, Fetch | Send)]
        assert not [request for request in sent(effects) if request != "ping"], "nothing is subscribed again"
        if second >= 10:
            assert readiness(life.ledger, []) == (True, "1500 streams")
        life.gets("pong", second + 1)
    assert states(life) == {StreamState.QUIET}
    assert 1_000 < rest.requests < 1_100, "trades and books once, and the overviews"


def books(quantity: int) -> tuple[Life, bytes]:
    """A life with so many books, and the overview that agrees with them."""
    life, streams = market(DataType.ORDERBOOK, quantity=quantity)
    for stream in streams:
        message = book_message("snapshot", 10, -1)
        life.gets(message | {"arg": message["arg"] | {"instId": stream.symbol}}, 1)
    return life, overview(*(ticker(stream, 1000) for stream in streams))


def test_books_that_agree_with_an_overview_are_quiet() -> None:
    life, answer = books(3 * liveness.MAX_BOOKS_COMPARED)
    assert life.feed.answered(overview_of(life, 31), answer, at(31.1)) == []
    confirmed = [progress.confirmed_at for progress in life.ledger.streams.values()]
    assert confirmed.count(31.1) == liveness.MAX_BOOKS_COMPARED, "few at once"
    assert fetched([*life.feed.woken(at(32)), *life.feed.woken(at(33))]) == []
    life.ledger.age(at(62))
    assert states(life) == {StreamState.QUIET}


def test_a_book_that_only_overviews_confirmed_is_probed_after_ten_minutes() -> None:
    life, answer = books(10)
    for second in (31, 61, 630):
        assert fetched(life.feed.answered(overview_of(life, second), answer, at(second))) == []
    assert fetched(life.feed.answered(overview_of(life, 661), answer, at(661)))


def test_stream_that_an_overview_cannot_settle_is_probed_once() -> None:
    life, streams = market(DataType.TRADE, quantity=5)
    for stream in streams:
        message = trade_message(100)
        life.gets(message | {"arg": message["arg"] | {"instId": stream.symbol}}, 1)
    rows = [ticker(stream, 1000) for stream in streams]
    probes = fetched(life.feed.answered(overview_of(life, 31), overview(*rows), at(31)))
    while probes:
        answer = b'{"code":"0","data":[{"tradeId":"100"}]}'
        probes += fetched(life.feed.answered(probes.pop(), answer, at(31.5)))
    assert fetched(life.feed.answered(overview_of(life, 62), overview(*rows), at(62))) == []
    assert states(life) == {StreamState.QUIET}
    rows[0] = ticker(streams[0], 2000, volume="8")
    (probe,) = fetched(life.feed.answered(overview_of(life, 93), overview(*rows), at(93)))
    assert probe.stream == streams[0], "something was traded"


def test_streams_probed_at_different_times_share_the_next_overview() -> None:
    life, streams = market(DataType.TICKER, quantity=10)
    probes = fetched(life.feed.answered(overview_of(life, 3), overview(), at(3)))
    for number in range(len(streams)):
        probes += fetched(life.feed.answered(probes[number], EMPTY, at(3 + 2 * number)))
    fetches = [effect for second in range(31, 36) for effect in fetched(life.feed.woken(at(second)), Question.OVERVIEW)]
    assert len(fetches) == 1
    assert fetched(life.feed.answered(fetches[0], overview(), at(36))) == []
    assert not fetched(life.feed.woken(at(60)), Question.OVERVIEW)
    assert states(life) == {StreamState.QUIET}


def test_streams_of_instruments_that_the_overview_lacks_are_probed() -> None:
    life, streams = market(DataType.TICKER, quantity=5)
    probes = fetched(life.feed.answered(overview_of(life, 3), overview(), at(3)))
    assert len(probes) == liveness.MAX_CONCURRENT_PROBES
    assert {probe.stream for probe in probes} <= set(streams)


def test_exchange_without_an_overview_is_asked_about_each_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Okx.rest_api, "overview", lambda kind: None)
    life, streams = market(DataType.TRADE, quantity=20)
    probes = fetched(life.feed.woken(at(3)))
    for probe in probes:
        probes += fetched(life.feed.answered(probe, EMPTY, at(3)))
    assert [probe.stream for probe in probes] == streams
    assert states(life) == {StreamState.QUIET}


def test_data_that_overtakes_an_overview_is_not_compared_with_it() -> None:
    life, streams = market(DataType.TICKER, quantity=5)
    fetch = overview_of(life, 3)
    row = {
        "instId": "S0-USDT",
        "last": "1",
        "lastSz": "1",
        "askPx": "",
        "askSz": "",
        "bidPx": "",
        "bidSz": "",
        "ts": "9",
    }
    row |= {"open24h": "", "high24h": "", "low24h": "", "volCcy24h": "", "vol24h": ""}
    life.gets({"arg": {"channel": "tickers", "instId": "S0-USDT"}, "data": [row]}, 3.5)
    life.feed.answered(fetch, overview(*(ticker(stream, 5) for stream in streams)), at(4))
    progress = life.progress(streams[0])
    assert (progress.state, progress.unchecked) == (StreamState.LIVE, "no answer yet")


def test_failed_overview_and_failed_probes_take_turns() -> None:
    life, _ = market(DataType.TRADE, quantity=20)
    assert fetched(life.feed.answered(overview_of(life, 3), NO_ANSWER, at(3.5))) == []
    assert life.feed.woken(at(5.4)) == [], "a pause"
    probes = fetched(life.feed.woken(at(5.5)))
    assert len(probes) == liveness.MAX_CONCURRENT_PROBES
    assert fetched(life.feed.answered(probes[0], NO_ANSWER, at(6))) == []
    assert overview_of(life, 10)


def test_pauses_of_failing_probes_grow_and_one_warning_is_logged() -> None:
    life, _ = market(DataType.TRADE, quantity=1)
    asked, warnings = [], 0
    for tick in range(4, 1200):
        for fetch in fetched(life.feed.woken(at(tick / 2))):
            asked.append(tick / 2)
            answer = life.feed.answered(fetch, NO_ANSWER, at(tick / 2))
            warnings += sum(isinstance(effect, Warn) for effect in answer)
    pauses = [after - before for before, after in pairwise(asked)]
    assert pauses[:5] == [2, 4, 8, 16, 30]
    assert set(pauses[5:]) == {30}
    assert warnings == 1
    life.ledger.age(at(600))
    progress = life.progress(Stream("S0-USDT", DataType.TRADE))
    assert (progress.state, progress.reason) == (StreamState.UNKNOWN, "NotConfirmed")
    assert progress.message.endswith("HTTP 403 Forbidden: Access denied")


def test_an_unanswered_probe_leaves_a_stream_unknown_not_stale() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    assert fetched(life.feed.woken(at(6)))
    life.ledger.age(at(12))
    assert life.progress(TRADES).state is StreamState.UNKNOWN
    life.feed.closed("reset", at(13))
    life.ledger.age(at(13))
    assert life.progress(TRADES).state is StreamState.STALE, "there is no connection: that is known"


def test_confirmed_stream_without_any_data_is_not_probed_every_two_seconds() -> None:
    life = Life(TRADES)
    life.is_acked(TRADES, seconds=1)
    assert fetched(life.feed.woken(at(3)))
    life.feed.answered(ask(TRADES), EMPTY, at(3))
    assert fetched(life.feed.woken(at(32.9))) == []
    assert fetched(life.feed.woken(at(33)))


# -- instruments that do not trade


def test_quiet_stream_of_a_suspended_instrument_says_so() -> None:
    life = Life(TRADES)
    life.is_acked(TRADES, seconds=1)
    life.feed.woken(at(3))
    life.feed.answered(ask(TRADES), EMPTY, at(3))
    (halts,) = fetched(life.feed.woken(at(4)), Question.HALTS)
    assert halts.request.path.endswith("instId=BTC-USDT")
    life.feed.answered(halts, overview({"instId": "BTC-USDT", "state": "suspend"}), at(4))
    progress = life.progress(TRADES)
    assert (progress.state, progress.reason) == (StreamState.QUIET, "NotTrading")
    assert progress.message.endswith("its instrument's state is suspend")
    assert fetched(life.feed.woken(at(64)), Question.HALTS) == [], "the same silence"
    life.feed.answered(ask(TRADES), EMPTY, at(64))
    life.feed.answered(halts, overview({"instId": "BTC-USDT", "state": "live"}), at(65))
    assert progress.reason == "QuietMarket"


def test_instruments_that_do_not_trade_are_requested_in_one_answer() -> None:
    life, streams = market(DataType.TICKER, quantity=3)
    life.feed.woken(at(3))
    for stream in streams:
        life.feed.answered(ask(stream), EMPTY, at(3))
    (halts,) = fetched(life.feed.woken(at(4)), Question.HALTS)
    assert halts.request.path.endswith("instruments?instType=SPOT")
    assert life.feed.answered(halts, NO_ANSWER, at(4)) == []
    assert {progress.reason for progress in life.ledger.streams.values()} == {"QuietMarket"}
