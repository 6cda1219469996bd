"""A feed with helpers for its inputs, and records for its ledger."""

import json
from collections.abc import Sequence
from typing import Any

from market_collector.book.book import Book
from market_collector.errors import RequestFailedError
from market_collector.exchanges.interface import Request
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.effects import Effect, Emit, Fetch, Question, Reconnect, Send
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import (
    Candle,
    Orderbook,
    Record,
    Trade,
)
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Stream("BTC-USDT", DataType.TICKER)
CHANNELS = {TRADES: "trades-all", BOOK: "books", TICKER: "tickers"}
NO_ANSWER = RequestFailedError("GET https://x/y: HTTP 403 Forbidden: Access denied")
CANDLES = Stream("BTC-USDT", DataType.CANDLE, "1m")


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


def second_of(life: Life) -> Feed:
    """Another connection for the same streams, subscribed."""
    feed = Feed("public", Okx(), list(life.ledger.streams), life.ledger, ping_interval_s=20.0)
    feed.opened(at(1))
    return feed


def gets(feed: Feed, message: dict[str, Any], seconds: float = 2.0) -> list[Record]:
    return emitted(feed.received(json.dumps(message, separators=(",", ":")).encode(), at(seconds)))


def arg(stream: Stream) -> dict[str, str]:
    return {"channel": CHANNELS[stream], "instId": stream.symbol}


def book_message(action: str, sequence: int, previous: int, price: str = "100", amount: str = "1") -> dict[str, Any]:
    row = {"asks": [], "bids": [[price, amount, "0", "1"]], "ts": "5", "checksum": 0}
    return {"arg": arg(BOOK), "action": action, "data": [row | {"seqId": sequence, "prevSeqId": previous}]}


def trade_message(trade_id: int, ts: int = 1_000) -> dict[str, Any]:
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


def trade(last: int, count: int = 1, time_ns: int = 5) -> Trade:
    return Trade("okx", "BTC-USDT", time_ns, 1, str(last), str(last - count + 1), count, "buy", "1", "1")


def candle(minute: int, *, closed: bool) -> Candle:
    return Candle(
        "okx", "BTC-USDT", None, 1, "1m", minute * 60_000_000_000, "1", "2", "3", "4", "5", None, None, closed
    )  # fmt: skip


def snapshot(sequence: int) -> Orderbook:
    return Orderbook("okx", "BTC-USDT", sequence, 2, "snapshot", [], [], sequence, None)


def ledger() -> Ledger:
    return Ledger("okx", [TRADES, BOOK], 10.0, at(0))


def start_book(book: Ledger, sequence: int, seconds: float, connection: int = 1) -> list[Record]:
    """Add a snapshot of a connection."""
    progress, record = book.books.streams[BOOK], snapshot(sequence)
    records = book.books.add_snapshot(progress, connection, Book(record), record, at(seconds))
    progress.observe(record, at(seconds))
    return records
