"""Tickers of lagging and overlapping connections: each once, and in order."""

from typing import Any

import pytest

from feed_life import TICKER, Life, arg, ask, at, emitted, gets, second_of
from market_collector.feed.effects import Effect, Fetch
from market_collector.feed.ledger import Ledger
from market_collector.feed.states import take_states
from market_collector.feed.stream_state import StateProgress
from market_collector.model.events import Resync, Ticker
from market_collector.model.streams import StreamState

TICKER_ROW = dict.fromkeys(
    ["last", "lastSz", "askPx", "askSz", "bidPx", "bidSz", "open24h", "high24h", "low24h", "volCcy24h", "vol24h"], "1"
)


def ticker(time_ns: int | None, bid: str = "1", received_ns: int = 1) -> Ticker:
    return Ticker("okx", "BTC-USDT", time_ns, received_ns, bid, *([None] * 10))


def progress() -> StateProgress:
    made = Ledger("okx", [TICKER], 10.0, at(0)).streams[TICKER]
    assert isinstance(made, StateProgress)
    return made


def message(ts: int, **values: str) -> dict[str, Any]:
    return {"arg": arg(TICKER), "data": [TICKER_ROW | {"ts": str(ts)} | values]}


def test_older_ticker_is_not_published() -> None:
    stream = progress()
    assert take_states(stream, [ticker(5)], at(1)) == [ticker(5)]
    assert take_states(stream, [ticker(4)], at(2)) == []
    assert take_states(stream, [ticker(6)], at(3)) == [ticker(6)]
    assert (stream.last, stream.last_at) == (ticker(6), 3)


def test_tickers_of_one_message_are_in_order() -> None:
    assert take_states(progress(), [ticker(5), ticker(4), ticker(7), ticker(6)], at(1)) == [ticker(5), ticker(7)]


def test_ticker_of_the_same_time_is_published_when_it_differs() -> None:
    stream = progress()
    take_states(stream, [ticker(5)], at(1))
    assert take_states(stream, [ticker(5, received_ns=9)], at(2)) == []
    assert take_states(stream, [ticker(5, bid="2")], at(3)) == [ticker(5, bid="2")]


def test_tickers_without_a_time_are_all_published() -> None:
    stream = progress()
    for _ in range(2):
        assert take_states(stream, [ticker(None)], at(1)) == [ticker(None)]


def test_overlapping_connections_publish_each_ticker_once_and_in_order() -> None:
    life = Life(TICKER)
    second = second_of(life)
    times = [1, 2, 1, 3, 2, 3, 4]
    feeds = [life.feed, life.feed, second, life.feed, second, second, second]
    published = [record for feed, ts in zip(feeds, times, strict=True) for record in gets(feed, message(ts))]
    assert [record.exchange_time_ns for record in published] == [n * 1_000_000 for n in (1, 2, 3, 4)]
    assert second.is_complete


def rest_answers(life: Life, ts: int, second: float) -> list[Effect]:
    """The effects of REST's newest ticker, once it was asked for."""
    assert any(isinstance(effect, Fetch) for effect in life.feed.woken(at(second)))
    return life.feed.answered(ask(TICKER), f'{{"code":"0","data":[{{"ts":"{ts}"}}]}}'.encode(), at(second))


def test_tickers_go_on_from_an_earlier_time_when_rest_agrees() -> None:
    """The exchange set its clock back, or one ticker had a time in the future."""
    life = Life(TICKER, stale_after_s=10.0)
    life.gets(message(900), 1)
    assert emitted(life.gets(message(80), 5)) == []
    [event] = emitted(rest_answers(life, 81, 6))
    assert isinstance(event, Resync)
    assert (event.reason, event.detail) == (
        "ClockSetBack",
        "the exchange's tickers are older than the last one (81 before 900)",
    )
    published = [*emitted(life.gets(message(82), 7)), *emitted(life.gets(message(81), 8))]
    assert [record.exchange_time_ns for record in published] == [82_000_000]
    assert life.progress(TICKER).state is StreamState.LIVE


@pytest.mark.parametrize(("channel", "rest"), [(None, 81), (900, 81), (80, 900)])
def test_late_ticker_or_late_answer_proves_no_earlier_time(channel: int | None, rest: int) -> None:
    life = Life(TICKER, stale_after_s=10.0)
    life.gets(message(900), 1)
    if channel is not None:
        life.gets(message(channel), 5)
    assert emitted(rest_answers(life, rest, 6)) == []
    assert emitted(life.gets(message(82), 7)) == []


def test_stream_with_only_old_tickers_becomes_stale() -> None:
    life = Life(TICKER, stale_after_s=10.0)
    assert len(emitted(life.gets(message(9), 1))) == 1
    for second in range(2, 20):
        assert emitted(life.gets(message(8), second)) == []
    life.ledger.age(at(20))
    assert life.progress(TICKER).state is StreamState.STALE
