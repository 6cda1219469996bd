"""Bybit on a connection: pings, books with numbers of their topic, refused topics, and trades without dense ids."""

import json
from collections.abc import Iterable
from typing import Any

from market_collector.errors import RequestFailedError
from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.exchanges.interface import Closing, ProblemKind, RestProblem
from market_collector.feed.effects import Effect, Emit, Fetch, Question, Reconnect, Send
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Gap, Lost, Orderbook, Record, Recording, Refused, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream, StreamState
from market_collector.net.connection_plan import plan_connections

BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TRADES = Stream("BTC-USDT", DataType.TRADE)
OTHER = Stream("ETH-USDT", DataType.TRADE)
BYBIT = Bybit()
ACK = {"success": True, "ret_msg": "subscribe", "conn_id": "x", "op": "subscribe"}
REGION = RequestFailedError("GET https://x/y: HTTP 403 Forbidden: your country", RestProblem(ProblemKind.REGION, 600.0))


def at(seconds: float) -> Moment:
    return Moment(1000.0 + seconds, int((1_790_000_000 + seconds) * 1e9))


class Connections:
    """Connections of one category that share a ledger."""

    def __init__(self, *streams: Stream) -> None:
        self.streams = streams
        self.ledger = Ledger("bybit", streams, 60.0, at(0), book_rule=BYBIT.books, has_dense_trade_ids=False)
        self.records: list[Record] = []

    def open(self, seconds: float = 0.0, *, is_acked: bool = True) -> Feed:
        feed = Feed("spot", BYBIT, self.streams, self.ledger, ping_interval_s=20.0, book_depth=50)
        self.keep(feed.opened(at(seconds)))
        if is_acked:
            self.gets(feed, ACK | {"req_id": "1"}, seconds)
        return feed

    def keep(self, effects: Iterable[Effect]) -> list[Effect]:
        found = list(effects)
        self.records += [record for effect in found if isinstance(effect, Emit) for record in effect.records]
        return found

    def gets(self, feed: Feed, message: Any, seconds: float) -> list[Effect]:
        return self.keep(feed.received(json.dumps(message, separators=(",", ":")).encode(), at(seconds)))

    def book(self, feed: Feed, kind: str, u: int, seconds: float, bids: list[list[str]] | None = None) -> list[Effect]:
        data = {"s": "BTCUSDT", "b": [["5", str(u)]] if bids is None else bids, "a": [], "u": u, "seq": u * 7}
        message = {"topic": "orderbook.50.BTCUSDT", "ts": int(seconds * 1000), "type": kind, "data": data}
        return self.gets(feed, message | {"cts": int(seconds * 1000)}, seconds)

    def trade(self, feed: Feed, name: str, seconds: float) -> list[Effect]:
        row = {"i": name, "T": int(seconds * 1000), "p": "5", "v": "1", "S": "Buy", "seq": 1, "s": "BTCUSDT"}
        return self.gets(feed, {"topic": "publicTrade.BTCUSDT", "ts": 1, "type": "snapshot", "data": [row]}, seconds)

    def wakes(self, feed: Feed, seconds: float) -> list[Effect]:
        return self.keep(feed.woken(at(seconds)))

    @property
    def steps(self) -> list[tuple[int | None, int | None]]:
        """From and to of each published book record."""
        books = [record for record in self.records if isinstance(record, Orderbook)]
        return [(record.previous_sequence, record.sequence) for record in books]

    def of(self, kind: type[Any]) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]


def sent(effects: Iterable[Effect]) -> list[dict[str, Any]]:
    return [json.loads(effect.text) for effect in effects if isinstance(effect, Send)]


def recent(*trades: tuple[str, float]) -> bytes:
    """The answer about the newest trades, of which the test gives the oldest first."""
    rows = [
        {"execId": name, "price": "5", "size": "1", "side": "Buy", "time": str(int(seconds * 1000)), "seq": "1"}
        for name, seconds in reversed(trades)
    ]
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": rows}}).encode()


# -- books


def test_update_follows_the_one_before() -> None:
    run = Connections(BOOK)
    feed = run.open()
    run.book(feed, "delta", 9, 0.5)
    run.book(feed, "snapshot", 10, 1)
    for u in (11, 11, 9, 12):
        run.book(feed, "delta", u, 2)
    assert run.steps == [(None, 10), (10, 11), (11, 12)]
    assert run.ledger.resyncs == 0


def test_update_that_is_skipped_needs_a_new_subscription() -> None:
    run = Connections(BOOK)
    feed = run.open()
    run.book(feed, "snapshot", 10, 1)
    requests = sent(run.book(feed, "delta", 12, 2))
    requests += [*sent(run.wakes(feed, 2.1)), *sent(run.wakes(feed, 2.2))]
    assert [(each["op"], each.get("args")) for each in requests if each["op"] != "ping"] == [
        ("unsubscribe", ["orderbook.50.BTCUSDT"]),
        ("subscribe", ["orderbook.50.BTCUSDT"]),
    ]
    run.book(feed, "snapshot", 20, 3)
    run.book(feed, "delta", 21, 4)
    assert run.steps == [(None, 10), (None, 20), (20, 21)]
    assert [gap.after_sequence for gap in run.of(Gap)] == [10]
    assert len(run.of(Lost)) == 1


def test_snapshot_replaces_the_book_at_any_time() -> None:
    """The number 1 is a restart of the service, and an empty book with it a delisting."""
    run = Connections(BOOK)
    feed = run.open()
    for kind, u in (("snapshot", 10), ("delta", 11), ("snapshot", 1), ("delta", 2)):
        run.book(feed, kind, u, u)
    run.book(feed, "snapshot", 1, 20, [])
    assert run.steps == [(None, 10), (10, 11), (None, 1), (1, 2), (None, 1)]
    assert not run.of(Gap)


def test_snapshot_may_precede_the_acknowledgement() -> None:
    """As users of Bybit.Net report it."""
    run = Connections(BOOK)
    feed = run.open(is_acked=False)
    run.book(feed, "snapshot", 10, 1)
    run.gets(feed, ACK | {"req_id": "1"}, 1.1)
    run.book(feed, "delta", 11, 2)
    assert run.steps == [(None, 10), (10, 11)]
    assert run.ledger.streams[BOOK].state is StreamState.LIVE


def test_deletion_of_a_level_that_is_not_there_changes_nothing() -> None:
    """pybit drops such a message, as its users report."""
    run = Connections(BOOK)
    feed = run.open()
    run.book(feed, "snapshot", 10, 1, [["5", "1"]])
    run.book(feed, "delta", 11, 2, [["4", "0"]])
    assert run.steps == [(None, 10), (10, 11)]
    assert run.ledger.resyncs == 0


def test_two_connections_publish_one_line() -> None:
    run = Connections(BOOK)
    one, two = run.open(), run.open()
    for feed in (one, two):
        run.book(feed, "snapshot", 10, 1)
    run.book(one, "delta", 11, 2)
    run.book(two, "delta", 11, 2)
    run.book(two, "delta", 12, 3)
    run.keep(one.closed("reset", at(4)))
    run.book(two, "delta", 13, 5)
    assert run.steps == [(None, 10), (10, 11), (11, 12), (12, 13)]
    assert not run.of(Gap)


# -- requests and signs of life


def test_ping_is_sent_every_20_s_whatever_arrives() -> None:
    run = Connections(TRADES)
    feed = run.open()
    for second in range(1, 45):
        run.trade(feed, f"t{second}", second)
        pings = [each for each in sent(run.wakes(feed, second)) if each["op"] == "ping"]
        if pings:
            run.gets(feed, {"success": True, "ret_msg": "pong", "conn_id": "x", "op": "ping"}, second + 0.1)
    assert (feed.pings_sent, feed.pongs_received) == (3, 3)


def test_connection_without_a_frame_for_10_s_after_a_ping_is_dead() -> None:
    run = Connections(TRADES)
    feed = run.open()
    ends = [second for second in range(1, 60) if any(isinstance(e, Reconnect) for e in run.wakes(feed, second))]
    assert (feed.pings_sent, ends[0]) == (1, 11)


def test_streams_beside_a_refused_topic_are_requested_again() -> None:
    run = Connections(TRADES, OTHER)
    feed = run.open(is_acked=False)
    words = "Invalid symbol :[publicTrade.ETHUSDT]"
    effects = run.gets(feed, {"success": False, "ret_msg": words, "conn_id": "x", "op": "subscribe"}, 1)
    requests = sent([*effects, *run.wakes(feed, 1.2)])
    assert [each["args"] for each in requests if each["op"] == "subscribe"] == [["publicTrade.BTCUSDT"]]
    run.gets(feed, ACK | {"req_id": "2"}, 1.5)
    assert [(refused.stream, refused.reason) for refused in run.of(Refused)] == [("ETH-USDT/trade", "SymbolNotFound")]
    run.trade(feed, "a", 2)
    assert run.ledger.streams[TRADES].state is StreamState.LIVE


def test_categories_have_connections_of_their_own() -> None:
    streams = [Stream(f"A{n}-USDT{end}", DataType.TRADE) for n in range(400) for end in ("", "-PERP")]
    planned = plan_connections(BYBIT, streams)
    assert [(each.name, len(each.streams)) for each in planned] == [
        ("spot/1", 350),
        ("spot/2", 50),
        ("linear/1", 350),
        ("linear/2", 50),
    ]
    assert BYBIT.codec("linear", planned[2].streams).path == "/v5/public/linear"


def test_connections_stay_at_half_of_the_limit() -> None:
    """Bybit accepts 500 new ones in 5 minutes."""
    dial = BYBIT.limits.dial
    assert (dial.count, dial.seconds) == (250, 300.0)


def test_close_frames_have_no_special_meaning() -> None:
    assert BYBIT.closing(1008, "") is BYBIT.closing(1006, "bye") is Closing.OTHER


# -- trades


def test_first_trade_after_a_reconnect_requests_the_newest_ones_at_once() -> None:
    run = Connections(TRADES)
    first = run.open()
    run.trade(first, "a", 1)
    run.keep(first.closed("reset", at(2)))
    second = run.open(3)
    (fetch,) = [each for each in run.trade(second, "c", 3.5) if isinstance(each, Fetch)]
    assert (fetch.question, fetch.request.path) == (
        Question.RECENT,
        "/v5/market/recent-trade?category=spot&symbol=BTCUSDT&limit=60",
    )
    run.keep(second.answered(fetch, recent(("a", 1), ("b", 2.5), ("c", 3.5)), at(3.6)))
    assert [(each.trade_id, each.backfilled) for each in run.of(Trade)] == [("a", False), ("b", True), ("c", False)]
    assert [(each.from_time_ns, each.to_time_ns) for each in run.of(Recording)] == [(10**9, 3_500_000_000)]


def test_symbol_with_more_trades_than_a_page_is_not_whole() -> None:
    run = Connections(TRADES)
    first = run.open()
    run.trade(first, "a", 1)
    run.keep(first.closed("reset", at(2)))
    second = run.open(3)
    (fetch,) = [each for each in run.trade(second, "z", 5) if isinstance(each, Fetch)]
    page = [(f"m{number}", 3 + number / 100) for number in range(59)]
    run.keep(second.answered(fetch, recent(*page, ("z", 5)), at(5.1)))
    (gap,), (lost,) = run.of(Gap), run.of(Lost)
    assert (gap.missing, gap.from_time_ns, gap.to_time_ns) == (None, 10**9, 3 * 10**9)
    assert (lost.missing, lost.recovered, lost.ranges) == (None, 59, None)


def test_refusal_by_region_leaves_streams_unknown_while_they_go_on() -> None:
    """REST refuses addresses in some countries for which the connection works."""
    run = Connections(TRADES)
    feed = run.open()
    run.trade(feed, "a", 1)
    for second in range(2, 100):
        for effect in run.wakes(feed, second):
            if isinstance(effect, Fetch):
                run.keep(feed.answered(effect, REGION, at(second + 0.1)))
        run.ledger.age(at(second))
    assert run.ledger.streams[TRADES].state is StreamState.UNKNOWN
    run.trade(feed, "b", 100)
    assert [each.trade_id for each in run.of(Trade)] == ["a", "b"]


def listed(base: str, status: str, cursor: str) -> bytes:
    row = {"symbol": f"{base}USDT", "baseCoin": base, "quoteCoin": "USDT", "status": status}
    result = {"category": "spot", "list": [row], "nextPageCursor": cursor}
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": result}).encode()


def test_states_of_instruments_come_from_all_pages() -> None:
    run = Connections(TRADES, OTHER)
    feed = run.open()
    first = Fetch(None, Question.HALTS, BYBIT.rest_api.instruments("perpetual"))
    (second,) = run.keep(feed.answered(first, listed("BTC", "PreLaunch", "next"), at(1)))
    assert isinstance(second, Fetch)
    assert (second.question, second.request.path.partition("cursor=")[2]) == (Question.HALTS, "next")
    assert run.keep(feed.answered(second, listed("ETH", "Trading", ""), at(2))) == []
    halts = [run.ledger.streams[stream].halt for stream in (TRADES, OTHER)]
    assert halts == ["PreLaunch", ""]


def test_damaged_frame_of_an_unknown_stream_interrupts_all_trades() -> None:
    connections = Connections(TRADES, OTHER)
    feed = connections.open()
    for frame, expected in ((b'{"topic":"publicTra', True), (b'{"op":"news"}', False)):
        connections.trade(feed, f"before {expected}", 1.0)
        connections.keep(feed.received(frame, at(1.1)))
        effects = connections.trade(feed, f"after {expected}", 1.2)
        asked = [each.stream for each in effects if isinstance(each, Fetch) and each.question is Question.RECENT]
        assert asked == ([TRADES] if expected else [])
        connections.ledger.trades.streams[TRADES].interruption = None
