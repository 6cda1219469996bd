"""One connection: sent frames, emitted records and decisions for all its inputs."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from market_collector.exchanges.interface import Request
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed import book_sync, liveness, subscription
from market_collector.feed import feed as rules
from market_collector.feed.effects import Effect, Emit, Fetch, Question, Reconnect, Replace, Send, Warn
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import (
    Connected,
    Disconnected,
    Gap,
    Lost,
    Orderbook,
    Raw,
    Record,
    Refused,
    Resync,
    Trade,
)
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream, StreamState

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Stream("BTC-USDT", DataType.TICKER)
TICKER_ROW = dict.fromkeys(
    ["last", "lastSz", "askPx", "askSz", "bidPx", "bidSz", "open24h", "high24h", "low24h", "volCcy24h", "vol24h"], "1"
) | {"instType": "SPOT", "instId": "BTC-USDT", "ts": "5"}
CHANNELS = {TRADES: "trades-all", BOOK: "books", TICKER: "tickers"}


def at(seconds: float) -> Moment:
    return Moment(seconds, int(seconds * 1e9))


class Life:
    """A feed with helpers for its inputs."""

    def __init__(self, *streams: Stream, stale_after_s: float = 60.0, store_raw: bool = False) -> None:
        wanted = streams or (TRADES, BOOK, TICKER)
        self.ledger = Ledger("okx", wanted, stale_after_s, at(0))
        self.feed = Feed("public", Okx(), wanted, self.ledger, ping_interval_s=20.0, store_raw=store_raw)
        self.opening = self.feed.opened(at(0))

    def progress(self, stream: Stream) -> Any:
        return self.ledger.streams[stream]

    def gets(self, message: dict[str, Any] | str, seconds: float = 1.0) -> list[Effect]:
        text = message if isinstance(message, str) else json.dumps(message, separators=(",", ":"))
        return self.feed.received(text.encode(), at(seconds))

    def is_acked(self, *streams: Stream, seconds: float = 0.5) -> None:
        for stream in streams:
            self.gets({"event": "subscribe", "arg": arg(stream)}, seconds)


def arg(stream: Stream) -> dict[str, str]:
    return {"channel": CHANNELS[stream], "instId": stream.symbol}


def book(action: str, sequence: int, previous: int, price: str = "100", amount: str = "1") -> dict[str, Any]:
    row = {"asks": [], "bids": [[price, amount, "0", "1"]], "ts": "5", "checksum": 0}
    return {"arg": arg(BOOK), "action": action, "data": [row | {"seqId": sequence, "prevSeqId": previous}]}


def trade(trade_id: int, ts: int = 1_000) -> dict[str, Any]:
    row = {"instId": "BTC-USDT", "tradeId": str(trade_id), "px": "1", "sz": "2", "side": "sell", "ts": str(ts)}
    return {"arg": arg(TRADES), "data": [row | {"seqId": 1}]}


def ask(stream: Stream, question: Question = Question.NEWEST) -> Fetch:
    return Fetch(stream, question, Request("/"))


def emitted(effects: Sequence[Effect]) -> list[Record]:
    return [record for effect in effects if isinstance(effect, Emit) for record in effect.records]


def sent(effects: Sequence[Effect]) -> list[Any]:
    return [e.text if e.text == "ping" else json.loads(e.text) for e in effects if isinstance(e, Send)]


def reconnects(effects: Sequence[Effect]) -> list[str]:
    return [effect.reason for effect in effects if isinstance(effect, Reconnect)]


# -- opening


def test_open_connection_is_recorded_and_subscribes_to_all_streams() -> None:
    life = Life()
    assert [type(record) for record in emitted(life.opening)] == [Connected]
    (request,) = sent(life.opening)
    assert [a["channel"] for a in request["args"]] == ["trades-all", "books", "tickers"]


def test_data_before_the_ack_counts() -> None:
    life = Life(TRADES)
    assert [type(r) for r in emitted(life.gets(trade(1)))] == [Trade]
    assert life.feed.is_serving
    assert reconnects(life.feed.woken(at(subscription.SUBSCRIBE_TIMEOUT_S + 1))) == []


def test_feed_is_settled_when_every_stream_is_served_or_refused() -> None:
    life = Life()
    life.is_acked(TRADES, BOOK)
    life.gets({"event": "error", "code": "60018", "msg": "no such", "arg": arg(TICKER)})
    assert life.feed.is_serving
    assert not life.feed.is_settled
    life.gets(book("snapshot", 7, -1))
    assert life.feed.is_settled


def test_connection_ends_when_a_subscribe_is_unanswered() -> None:
    life = Life()
    life.is_acked(TRADES, TICKER)
    assert reconnects(life.feed.woken(at(subscription.SUBSCRIBE_TIMEOUT_S - 0.1))) == []
    (reason,) = reconnects(life.feed.woken(at(subscription.SUBSCRIBE_TIMEOUT_S)))
    assert "BTC-USDT/orderbook" in reason


def test_a_book_that_is_acknowledged_but_gets_no_snapshot_is_stuck() -> None:
    life = Life()
    life.is_acked(TRADES, BOOK, TICKER)
    (reason,) = reconnects(life.feed.woken(at(subscription.SUBSCRIBE_TIMEOUT_S)))
    assert "BTC-USDT/orderbook" in reason


# -- link


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
    life.gets(trade(1))
    life.gets({"arg": arg(TICKER), "data": [TICKER_ROW]})
    assert not life.feed.is_complete
    life.gets(book("snapshot", 5, -1))
    assert life.feed.is_complete
    life.gets(book("update", 9, 8))  # out of sync: the book is requested again
    assert not life.feed.is_complete


def test_a_refused_stream_does_not_keep_a_connection_from_taking_over() -> None:
    life = Life(TRADES, TICKER)
    life.is_acked(TRADES)
    life.gets(trade(1))
    life.gets({"event": "error", "code": "60018", "msg": "wrong", "arg": arg(TICKER)})
    assert life.feed.is_complete


# -- books


def test_a_book_in_order_is_published_record_by_record() -> None:
    life = Life()
    frames = [book("snapshot", 10, -1), book("update", 15, 10), book("update", 15, 15), book("update", 3, 15)]
    records = [record for frame in frames for record in emitted(life.gets(frame))]
    assert [(r.action, r.sequence) for r in records if isinstance(r, Orderbook)] == [
        ("snapshot", 10),
        ("update", 15),
        ("update", 15),
        ("update", 3),
    ]


def test_sequence_gap_is_recorded_and_requests_a_snapshot() -> None:
    life = Life()
    life.is_acked(BOOK)
    life.gets(book("snapshot", 10, -1))
    effects = life.gets(book("update", 20, 17), 2)
    gap, resync = emitted(effects)
    assert isinstance(gap, Gap)
    assert (gap.first, gap.reason) == ("10", "SequenceGap")
    assert isinstance(resync, Resync)
    assert resync.reason == "SequenceGap: after sequence 10 came 17 → 20"
    assert [(request["op"], request["args"]) for request in sent(effects)] == [
        ("unsubscribe", [arg(BOOK)]),
        ("subscribe", [arg(BOOK)]),
    ]
    assert emitted(life.gets(book("update", 25, 20), 2.1)) == []
    assert life.ledger.skipped_updates == 1
    lost, snapshot = emitted(life.gets(book("snapshot", 30, -1), 2.2))
    assert isinstance(lost, Lost)
    assert isinstance(snapshot, Orderbook)
    assert emitted(life.gets(book("update", 31, 30), 2.3)) != []


def test_an_update_without_a_snapshot_is_never_published() -> None:
    life = Life()
    assert emitted(life.gets(book("update", 20, 17))) == []


def test_resyncs_of_one_book_slow_down_and_end_with_another_connection() -> None:
    life = Life()
    life.is_acked(BOOK)
    asked_at, ended = [], []
    for second in range(1, 400):
        for effect in life.feed.woken(at(second)):
            asked_at += [second] if isinstance(effect, Send) and '"subscribe"' in effect.text else []
        life.gets(book("snapshot", 10, -1), second + 0.1)
        effects = life.gets(book("update", 20, 17), second + 0.2)
        asked_at += [second] if any('"subscribe"' in e.text for e in effects if isinstance(e, Send)) else []
        ended += reconnects(effects)
        if ended:
            break
    assert asked_at[0] == 1
    assert "lost its sequence" in ended[0]
    assert len(asked_at) <= book_sync.MAX_RESYNCS


def test_unrequested_snapshot_replaces_the_book() -> None:
    life = Life()
    life.gets(book("snapshot", 10, -1))
    assert [type(r) for r in emitted(life.gets(book("snapshot", 50, -1)))] == [Orderbook]
    assert [type(r) for r in emitted(life.gets(book("update", 51, 50)))] == [Orderbook]
    assert life.ledger.gaps.detected == 0


# -- trades


def test_trade_gap_is_recorded_after_the_reorder_window() -> None:
    life = Life(TRADES)
    life.gets(trade(100))
    life.gets(trade(108, ts=2_000), 2)
    assert emitted(life.feed.woken(at(2.5))) == []
    (gap,) = emitted(life.feed.woken(at(3.1)))
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last, gap.missing) == ("101", "107", 7)


def test_gap_across_a_reconnect_is_found() -> None:
    life = Life(TRADES)
    life.gets(trade(100))
    life.feed.closed("reset", at(2))
    second = Feed("public", Okx(), [TRADES], life.ledger, ping_interval_s=20.0)
    second.opened(at(3))
    second.received(json.dumps(trade(103), separators=(",", ":")).encode(), at(4))
    (gap,) = emitted(second.woken(at(6)))
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last) == ("101", "102")


def test_gap_reason_is_slow_reading_after_a_slow_reader_close() -> None:
    life = Life(BOOK)
    life.gets(book("snapshot", 10, -1))
    _, gap = emitted(life.feed.closed("closed by the exchange: 4005", at(2), 4005))
    assert isinstance(gap, Gap)
    assert gap.reason == "SlowReading"


def test_stop_is_recorded_and_leaves_no_gap() -> None:
    life = Life()
    life.gets(book("snapshot", 10, -1))
    (event,) = emitted(life.feed.stopped(at(2)))
    assert isinstance(event, Disconnected)
    assert (event.reason, life.ledger.gaps.detected) == ("stopped", 0)


# -- refusals


def refusal(request_id: str, code: str = "60018") -> dict[str, str]:
    return {"event": "error", "id": request_id, "code": code, "msg": "channel:trades-all,instId:NO-SUCH doesn't exist"}


def test_one_unknown_symbol_is_found_by_halves_and_the_others_live() -> None:
    streams = [Stream(symbol, DataType.TRADE) for symbol in ("A-B", "C-D", "NO-SUCH", "E-F")]
    life = Life(*streams)
    pending = sent(life.opening)
    requests = 0
    while pending:
        request = pending.pop(0)
        requests += 1
        symbols = [a["instId"] for a in request["args"]]
        if "NO-SUCH" in symbols:
            pending += sent(life.gets(refusal(request["id"]), 2.0))
        else:
            for one in request["args"]:
                life.gets({"event": "subscribe", "arg": one}, 2.0)
    states = {stream.symbol: life.progress(stream).state for stream in streams}
    assert states.pop("NO-SUCH") is StreamState.REFUSED
    assert set(states.values()) == {StreamState.PENDING}
    assert life.progress(streams[2]).reason == "SymbolNotFound"
    assert requests == 5


def test_refused_stream_is_recorded_and_requested_again_much_later() -> None:
    life = Life(TRADES)
    (refused,) = emitted(life.gets(refusal("1"), 2))
    assert isinstance(refused, Refused)
    assert sent(life.feed.woken(at(15))) == []
    assert reconnects(life.feed.woken(at(15))) == []
    life.gets("pong", 301)
    (again,) = sent(life.feed.woken(at(2 + subscription.REFUSED_RETRY_S)))
    assert again["op"] == "subscribe"
    life.is_acked(TRADES, seconds=303)
    assert life.progress(TRADES).state is StreamState.PENDING


def test_a_refusal_that_may_pass_is_retried_soon_and_then_slower() -> None:
    life = Life(TRADES)
    life.gets(refusal("1", "60014"), 1)
    assert [r["op"] for r in sent(life.feed.woken(at(1 + subscription.RETRY_S[0])))] == ["subscribe"]
    life.gets(refusal("2", "60014"), 7)
    assert sent(life.feed.woken(at(7 + subscription.RETRY_S[0]))) == []
    assert [r["op"] for r in sent(life.feed.woken(at(7 + subscription.RETRY_S[1])))] == ["subscribe"]


# -- frames that are not what they should be


@pytest.mark.parametrize("frame", ["", "{", "no json", '{"event":"party"}', '{"arg":{"channel":"books"', "\x00\xff"])
def test_an_unreadable_frame_is_counted_shown_and_survived(frame: str) -> None:
    life = Life(BOOK)
    life.gets(book("snapshot", 10, -1))
    (warning,) = life.gets(frame, 2)
    assert isinstance(warning, Warn)
    assert life.ledger.unreadable_frames == 1
    assert life.ledger.last_unreadable is not None
    assert life.ledger.last_unreadable.excerpt == frame[:120]
    assert emitted(life.gets(book("update", 11, 10), 3)) != []


def test_a_connection_that_speaks_only_nonsense_is_ended() -> None:
    life = Life(BOOK)
    effects = [effect for _ in range(rules.MAX_UNREADABLE) for effect in life.gets("nonsense")]
    assert len(reconnects(effects)) == 1


# -- silence


def test_a_quiet_market_is_confirmed_by_the_exchange() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade(100), 1)
    assert not [e for e in life.feed.woken(at(5.9)) if isinstance(e, Fetch)]
    (fetch,) = [e for e in life.feed.woken(at(6)) if isinstance(e, Fetch)]
    assert fetch.request.path == "/api/v5/market/trades?instId=BTC-USDT&limit=1"
    assert not [e for e in life.feed.woken(at(7)) if isinstance(e, Fetch)]
    life.feed.answered(ask(TRADES), b'{"code":"0","data":[{"tradeId":"100"}]}', at(7))
    life.ledger.age(at(12))
    assert life.progress(TRADES).state is StreamState.QUIET


def test_stale_stream_is_not_quiet_and_is_requested_again() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade(100), 1)
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
    life.gets(trade(100), 1)
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
    life.gets(trade(100), 1)
    life.feed.woken(at(6))
    life.feed.answered(ask(TRADES), b'{"code":"0","data":[{"tradeId":"103"}]}', at(6.1))
    (gap,) = emitted(life.feed.woken(at(7.2)))
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last) == ("101", "103")


def test_stream_without_data_is_checked_soon_after_a_reconnect() -> None:
    life = Life(TRADES)
    life.gets(trade(100))
    life.feed.closed("reset", at(2))
    second = Feed("public", Okx(), [TRADES], life.ledger, ping_interval_s=20.0)
    second.opened(at(3))
    second.received(json.dumps({"event": "subscribe", "arg": arg(TRADES)}).encode(), at(3.1))
    assert [e for e in second.woken(at(3.2 + liveness.PROBE_AFTER_S)) if isinstance(e, Fetch)]


# -- two connections at once


def second_of(life: Life) -> Feed:
    """Another connection for the same streams, subscribed."""
    feed = Feed("public", Okx(), list(life.ledger.streams), life.ledger, ping_interval_s=20.0)
    feed.opened(at(1))
    return feed


def gets(feed: Feed, message: dict[str, Any], seconds: float = 2.0) -> list[Record]:
    return emitted(feed.received(json.dumps(message, separators=(",", ":")).encode(), at(seconds)))


def test_two_connections_deliver_each_trade_once() -> None:
    life = Life(TRADES)
    second = second_of(life)
    life.gets(trade(100))
    assert gets(second, trade(100)) == []
    assert [type(r) for r in gets(second, trade(101))] == [Trade]
    assert emitted(life.gets(trade(101))) == []


def test_two_connections_publish_each_book_update_once_whichever_is_first() -> None:
    life = Life(BOOK)
    second = second_of(life)
    life.gets(book("snapshot", 10, -1))
    assert gets(second, book("snapshot", 10, -1)) == []
    first, again = emitted(life.gets(book("update", 11, 10))), gets(second, book("update", 11, 10))
    assert ([type(r) for r in first], again) == ([Orderbook], [])
    first, again = gets(second, book("update", 12, 11)), emitted(life.gets(book("update", 12, 11)))
    assert ([type(r) for r in first], again) == ([Orderbook], [])


def test_a_connection_that_is_behind_goes_on_where_the_other_one_stopped() -> None:
    life = Life(BOOK)
    second = second_of(life)
    life.gets(book("snapshot", 10, -1))
    gets(second, book("snapshot", 10, -1))
    life.gets(book("update", 11, 10))
    assert [type(r) for r in emitted(life.feed.closed("cut", at(3)))] == [Disconnected]
    assert gets(second, book("update", 11, 10)) == []
    assert [type(r) for r in gets(second, book("update", 12, 11))] == [Orderbook]
    assert life.ledger.gaps.detected == 0


# -- crossed books


def crossed(sequence: int, previous: int) -> dict[str, Any]:
    message = book("update", sequence, previous, price="101")
    message["data"][0]["asks"] = [["100.5", "1", "0", "1"]]
    return message


def crossed_for_long(life: Life) -> list[Fetch]:
    life.gets(book("snapshot", 10, -1))
    life.gets(crossed(11, 10), 1.5)
    fetches = [e for second in (2, 2.9, 3.1) for e in life.feed.woken(at(second)) if isinstance(e, Fetch)]
    return [fetch for fetch in fetches if fetch.question is Question.STATE]


@pytest.mark.parametrize("answer", [b'{"code":"0","data":[{"instId":"BTC-USDT","state":"live"}]}', b"<html>", None])
def test_book_is_out_of_sync_when_it_stays_crossed(answer: bytes | None) -> None:
    life = Life(BOOK)
    (fetch,) = crossed_for_long(life)
    assert fetch.request.path == "/api/v5/public/instruments?instType=SPOT&instId=BTC-USDT"
    records = emitted(life.feed.answered(fetch, answer, at(3.2)))
    assert [type(record) for record in records] == [Gap, Resync]
    assert isinstance(records[0], Gap)
    assert records[0].reason == "Crossed"


def test_crossed_snapshot_is_not_published_when_the_book_was_crossed() -> None:
    life = Life(BOOK)
    (fetch,) = crossed_for_long(life)
    life.feed.answered(fetch, None, at(3.2))
    again = crossed(20, -1) | {"action": "snapshot"}
    assert [type(record) for record in emitted(life.gets(again, 3.5))] == [Resync]
    assert life.ledger.gaps.all_open()
    lost, state = emitted(life.gets(book("snapshot", 30, -1), 9))
    assert [type(lost), type(state)] == [Lost, Orderbook]


def test_in_an_auction_a_book_may_be_crossed() -> None:
    life = Life(BOOK)
    (fetch,) = crossed_for_long(life)
    answer = b'{"code":"0","data":[{"instId":"BTC-USDT","state":"preopen"}]}'
    assert emitted(life.feed.answered(fetch, answer, at(3.2))) == []
    assert [type(r) for r in emitted(life.gets(book("update", 12, 11), 4))] == [Orderbook]


def test_a_moment_of_crossing_is_nothing() -> None:
    life = Life(BOOK)
    life.gets(book("snapshot", 10, -1))
    life.gets(crossed(11, 10), 1.5)
    life.feed.woken(at(2))
    life.gets(book("update", 12, 11, price="101", amount="0"), 2.5)
    assert [e for second in (3, 4, 5) for e in life.feed.woken(at(second)) if isinstance(e, Fetch)] == []


# -- raw data


def test_raw_frames_go_into_the_data_when_asked_for() -> None:
    life = Life(TRADES, store_raw=True)
    raws = [record for record in emitted(life.opening) if isinstance(record, Raw)]
    assert [(raw.direction, raw.connection) for raw in raws] == [("out", "public")]
    got = emitted(life.gets("garbage"))
    assert [(raw.direction, raw.frame) for raw in got if isinstance(raw, Raw)] == [("in", "garbage")]
