"""Pings, and REST probes that tell quiet markets from stale streams."""

import json

from feed_life import BOOK, TICKER, TRADES, Life, arg, ask, at, emitted, reconnects, sent, trade_message
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed import liveness
from market_collector.feed.effects import Fetch, Warn
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import (
    Gap,
    Resync,
)
from market_collector.model.streams import DataType, Stream, StreamState


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
    (fetch,) = [e for e in life.feed.woken(at(6)) if isinstance(e, Fetch)]
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
    assert life.feed.answered(ask(TRADES), None, at(7)) == []
    life.feed.woken(at(11))
    assert [type(e) for e in life.feed.answered(ask(TRADES), b"<html>", at(11.2))] == [Warn]
    life.ledger.age(at(12))
    assert life.progress(TRADES).state is StreamState.STALE


def test_few_questions_are_asked_at_once() -> None:
    streams = [Stream(f"S{n}-USDT", DataType.TRADE) for n in range(20)]
    life = Life(*streams)
    for stream in streams:
        life.gets({"event": "subscribe", "arg": {"channel": "trades-all", "instId": stream.symbol}}, 0.5)
    first = [e.stream for e in life.feed.woken(at(3)) if isinstance(e, Fetch)]
    assert len(first) == liveness.MAX_CONCURRENT_PROBES
    life.feed.answered(ask(first[0]), None, at(3.5))
    second = [e.stream for e in life.feed.woken(at(4)) if isinstance(e, Fetch)]
    assert len(second) == 1
    assert second[0] not in first


def test_newer_data_at_rest_is_a_gap_when_a_stream_is_stale() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    life.feed.woken(at(6))
    life.feed.answered(ask(TRADES), b'{"code":"0","data":[{"tradeId":"103"}]}', at(6.1))
    (gap,) = emitted(life.feed.woken(at(7.2)))
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last) == ("101", "103")


def test_stream_without_data_is_checked_soon_after_a_reconnect() -> None:
    life = Life(TRADES)
    life.gets(trade_message(100))
    life.feed.closed("reset", at(2))
    second = Feed("public", Okx(), [TRADES], life.ledger, ping_interval_s=20.0)
    second.opened(at(3))
    second.received(json.dumps({"event": "subscribe", "arg": arg(TRADES)}).encode(), at(3.1))
    assert [e for e in second.woken(at(3.2 + liveness.PROBE_AFTER_S)) if isinstance(e, Fetch)]
