"""Connections to exchanges that do not exist, to test rules of books that OKX does not need.

A frame is a book record as JSON, so that a test decides about numbers and levels.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from feed_life import BOOK, at, emitted
from imaginary_exchange import ImaginaryExchange
from market_collector.book.rule import BookRule
from market_collector.errors import FrameError
from market_collector.exchanges.interface import Ack, Batch, Message, Request
from market_collector.feed.effects import Answer, Effect, Fetch
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Level, Orderbook, Record
from market_collector.model.streams import Stream

ACK = b"ack"


class PlainCodec:
    """Frames are records of one book."""

    path = "/"

    def __init__(self, stream: Stream, depth: int | None) -> None:
        self._stream = stream
        self._depth = depth

    def subscribe(self, streams: Sequence[Stream]) -> list[str]:
        return ["subscribe" if self._depth is None else f"subscribe {self._depth} levels"]

    def unsubscribe(self, streams: Sequence[Stream]) -> list[str]:
        return ["unsubscribe"]

    def read(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        if frame == ACK:
            return [Ack((self._stream,))]
        return [Batch(self._stream, [msgspec.json.decode(frame, type=Orderbook)])]


class PlainSnapshots:
    """Answers are records of one book."""

    def request(self, stream: Stream, depth: int | None) -> Request:
        return Request(f"/book?depth={depth}")

    def read(self, stream: Stream, depth: int | None, body: bytes, receive_time_ns: int) -> Orderbook:
        try:
            return msgspec.json.decode(body, type=Orderbook)
        except msgspec.MsgspecError as error:
            raise FrameError("not a book") from error


class BookExchange(ImaginaryExchange):
    """An exchange whose books follow any rule."""

    def codec(self, route: str, streams: Sequence[Stream], book_depth: int | None) -> Any:
        return PlainCodec(streams[0], book_depth)


class Connections:
    """Connections to an imaginary exchange that carry the same book, with one ledger."""

    def __init__(self, rule: BookRule, *, depth: int | None = None, **facts: Any) -> None:
        self.depth = depth
        self.exchange = BookExchange(books=rule, **facts)
        self.ledger = Ledger("okx", [BOOK], 60.0, at(0), book_rule=rule)
        self.records: list[Record] = []
        """Everything emitted, in order."""

    def open(self, seconds: float = 0.0) -> Feed:
        feed = Feed("public", self.exchange, [BOOK], self.ledger, ping_interval_s=20.0, book_depth=self.depth)
        feed.opened(at(seconds))
        self.gets(feed, ACK, seconds)
        return feed

    def gets(self, feed: Feed, message: Orderbook | bytes, seconds: float = 1.0) -> list[Effect]:
        frame = message if isinstance(message, bytes) else msgspec.json.encode(message)
        return self.keep(feed.received(frame, at(seconds)))

    def asks(self, feed: Feed, seconds: float) -> list[Fetch]:
        """Let time pass; return the REST requests that are due."""
        return [each for each in self.keep(feed.woken(at(seconds))) if isinstance(each, Fetch)]

    def answers(self, feed: Feed, fetch: Fetch, answer: Orderbook | Answer, seconds: float) -> list[Effect]:
        """Answer a REST request."""
        body = msgspec.json.encode(answer) if isinstance(answer, Orderbook) else answer
        return self.keep(feed.answered(fetch, body, at(seconds)))

    def keep(self, effects: Sequence[Effect]) -> list[Effect]:
        self.records += emitted(effects)
        return list(effects)

    @property
    def books(self) -> list[Orderbook]:
        """The published records of the book."""
        return [record for record in self.records if isinstance(record, Orderbook)]


def whole(sequence: int, bids: dict[str, str], asks: dict[str, str] | None = None, **fields: Any) -> Orderbook:
    """A snapshot."""
    return Orderbook(
        "okx", BOOK.symbol, sequence, 1, "snapshot", levels(bids), levels(asks or {}), sequence, None, cause="exchange",
        **fields,
    )  # fmt: skip


def change(first: int, last: int, bids: dict[str, str], asks: dict[str, str] | None = None, **fields: Any) -> Orderbook:
    """An update that follows state ``first`` and leads to ``last``."""
    return Orderbook("okx", BOOK.symbol, last, 1, "update", levels(bids), levels(asks or {}), last, first, **fields)


def levels(amounts: dict[str, str]) -> list[Level]:
    """Levels from amounts by price."""
    return [Level(price, amount) for price, amount in amounts.items()]


class Rebuilt:
    """Rebuilds the published book from its records, without the collector's code."""

    def __init__(self) -> None:
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.sequence: int | None = None

    def take(self, record: Orderbook) -> None:
        """Apply a record, which must follow the one before."""
        if record.action == "snapshot":
            self.bids, self.asks = {}, {}
        else:
            assert record.previous_sequence == self.sequence, f"{record} after {self.sequence}"
        for side, changed in ((self.bids, record.bids), (self.asks, record.asks)):
            for level in changed:
                side[level.price] = level.amount
                if level.amount == "0":
                    del side[level.price]
        self.sequence = record.sequence


class RangedMarket:
    """The exchange's truth: one change per number, from 1 on, and the book after each."""

    def __init__(self, changes: list[tuple[str, str]]) -> None:
        self.changes = changes
        self.states = [dict[str, str]()]
        for price, amount in changes:
            book = {**self.states[-1], price: amount}
            self.states.append({price: amount for price, amount in book.items() if amount != "0"})

    def update(self, first: int, last: int) -> dict[str, str]:
        """The last amounts of the prices that changes ``first`` + 1 to ``last`` touch."""
        return dict(self.changes[first:last])
