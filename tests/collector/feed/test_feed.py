"""One connection: records and decisions from opening to close."""

import pytest

from feed_life import BOOK, TICKER, TRADES, Life, arg, at, book_message, emitted, reconnects, sent, trade_message
from market_collector.feed import feed as rules
from market_collector.feed import subscription
from market_collector.feed.effects import Replace, Warn
from market_collector.model.events import (
    Connected,
    Disconnected,
    Gap,
    Raw,
    Trade,
)

TICKER_ROW = dict.fromkeys(
    ["last", "lastSz", "askPx", "askSz", "bidPx", "bidSz", "open24h", "high24h", "low24h", "volCcy24h", "vol24h"], "1"
) | {"instType": "SPOT", "instId": "BTC-USDT", "ts": "5"}


def test_open_connection_is_recorded_and_subscribes_to_all_streams() -> None:
    life = Life()
    assert [type(record) for record in emitted(life.opening)] == [Connected]
    (request,) = sent(life.opening)
    assert [a["channel"] for a in request["args"]] == ["trades-all", "books", "tickers"]


def test_data_before_the_ack_counts() -> None:
    life = Life(TRADES)
    assert [type(r) for r in emitted(life.gets(trade_message(1)))] == [Trade]
    assert life.feed.is_serving
    assert reconnects(life.feed.woken(at(subscription.SUBSCRIBE_TIMEOUT_S + 1))) == []


def test_feed_is_settled_when_every_stream_is_served_or_refused() -> None:
    life = Life()
    life.is_acked(TRADES, BOOK)
    life.gets({"event": "error", "code": "60018", "msg": "no such", "arg": arg(TICKER)})
    assert not life.feed.is_settled
    life.gets(book_message("snapshot", 7, -1))
    assert life.feed.is_settled


def test_acknowledgement_is_not_enough_to_be_serving() -> None:
    life = Life(TRADES)
    life.is_acked(TRADES)
    assert not life.feed.is_serving
    life.gets(trade_message(1))
    assert life.feed.is_serving


def test_quiet_stream_is_serving_when_the_exchange_confirms_it() -> None:
    life = Life(TRADES)
    life.ledger.confirm(life.progress(TRADES), at(0.1))
    life.is_acked(TRADES, seconds=0.5)
    assert not life.feed.is_serving, "confirmed before this connection was acknowledged"
    life.ledger.confirm(life.progress(TRADES), at(30))
    assert life.feed.is_serving


def test_it_wants_to_be_woken_again_and_again() -> None:
    life = Life(TRADES)
    assert life.feed.wake_at == rules.TICK_S
    life.feed.woken(at(7))
    assert life.feed.wake_at == 7 + rules.TICK_S
    assert Life(BOOK).feed.wake_at == rules.BOOK_TICK_S


def test_an_announced_end_asks_for_another_connection() -> None:
    life = Life()
    effects = life.gets({"event": "notice", "code": "64008", "msg": "service upgrade", "connId": "a"})
    assert effects == [Replace("the exchange announced: service upgrade")]


def test_a_connection_can_take_over_when_it_brings_every_stream() -> None:
    life = Life()
    life.is_acked(TRADES, BOOK, TICKER)
    assert not life.feed.is_complete
    life.gets(trade_message(1))
    life.gets({"arg": arg(TICKER), "data": [TICKER_ROW]})
    assert not life.feed.is_complete
    life.gets(book_message("snapshot", 5, -1))
    assert life.feed.is_complete
    life.gets(book_message("update", 9, 8))  # out of sync: the book is requested again
    assert not life.feed.is_complete


def test_a_refused_stream_does_not_keep_a_connection_from_taking_over() -> None:
    life = Life(TRADES, TICKER)
    life.is_acked(TRADES)
    life.gets(trade_message(1))
    life.gets({"event": "error", "code": "60018", "msg": "wrong", "arg": arg(TICKER)})
    assert life.feed.is_complete


def test_gap_reason_is_slow_reading_after_a_slow_reader_close() -> None:
    life = Life(BOOK)
    life.gets(book_message("snapshot", 10, -1))
    _, gap = emitted(life.feed.closed("closed by the exchange: 4005", at(2), 4005))
    assert isinstance(gap, Gap)
    assert gap.reason == "SlowReading"


def test_stop_is_recorded_and_leaves_no_gap() -> None:
    life = Life()
    life.gets(book_message("snapshot", 10, -1))
    *_, event = emitted(life.feed.stopped(at(2)))
    assert isinstance(event, Disconnected)
    assert (event.reason, life.ledger.gaps.detected) == ("Stopped", 0)


@pytest.mark.parametrize("frame", ["", "{", "no json", '{"event":"party"}', '{"arg":{"channel":"books"', "\x00\xff"])
def test_an_unreadable_frame_is_counted_shown_and_survived(frame: str) -> None:
    life = Life(BOOK)
    life.gets(book_message("snapshot", 10, -1))
    (warning,) = life.gets(frame, 2)
    assert isinstance(warning, Warn)
    assert life.ledger.unreadable_frames == 1
    assert life.ledger.last_unreadable is not None
    assert life.ledger.last_unreadable.excerpt == frame[:120]
    assert emitted(life.gets(book_message("update", 11, 10), 3)) != []


def test_a_connection_that_speaks_only_nonsense_is_ended() -> None:
    life = Life(BOOK)
    effects = [effect for _ in range(rules.MAX_UNREADABLE) for effect in life.gets("nonsense")]
    assert len(reconnects(effects)) == 1


def test_raw_frames_go_into_the_data_when_asked_for() -> None:
    life = Life(TRADES, store_raw=True)
    raws = [record for record in emitted(life.opening) if isinstance(record, Raw)]
    assert [(raw.direction, raw.connection) for raw in raws] == [("out", "public")]
    got = emitted(life.gets("garbage"))
    assert [(raw.direction, raw.frame) for raw in got if isinstance(raw, Raw)] == [("in", "garbage")]
