"""Bybit's tickers, whose fields come in parts. Each reader keeps those of one stream on one connection."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType, structs

from market_collector.exchanges.bybit.names import NAME
from market_collector.exchanges.decimals import Id, Milliseconds, check_decimals
from market_collector.exchanges.interface import Batch
from market_collector.model.events import Level, State, Ticker
from market_collector.model.streams import Stream

Changed = str | UnsetType
Fields = Sequence[str | None]
Prices = tuple[str | None, str | None, str | None, str | None]
"""Best bid with its amount, and best ask with its amount."""


class Day(msgspec.Struct, gc=False):
    """Last price and the last 24 hours of a spot instrument. Any field may be absent or "".

    ``{"symbol":"BTCUSDT","lastPrice":"77606.8","highPrice24h":"78685.3","lowPrice24h":"76412.6",
    "prevPrice24h":"78605.2","volume24h":"7654.575275","turnover24h":"594624551.61837538","price24hPcnt":"-0.0127",
    "usdIndexPrice":"77561.956977"}`` [rec]
    """

    lastPrice: str | None = None
    prevPrice24h: str | None = None
    highPrice24h: str | None = None
    lowPrice24h: str | None = None
    volume24h: str | None = None
    turnover24h: str | None = None


class DayPush(msgspec.Struct, gc=False):
    """``{"topic":"tickers.BTCUSDT","ts":1788335008126,"type":"snapshot","cs":113508069165,"data":Day}`` [rec]."""

    ts: Milliseconds
    data: Day


class Best(msgspec.Struct, gc=False):
    """The best level of each side."""

    b: list[Level]
    a: list[Level]
    u: Id


class BestPush(msgspec.Struct, gc=False):
    """``{"topic":"orderbook.1.BTCUSDT","ts":1786613159749,"type":"snapshot","data":{...,"u":72212457},...}`` [rec].

    After 3 s without a change it comes again with the same ``u``.
    """

    ts: Milliseconds
    data: Best


class Changes(msgspec.Struct, gc=False):
    """The changed fields of a linear ticker, or all; "" is no value.

    ``{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","ask1Price":"83024.70",
    "ask1Size":"3.383"},"cs":818232112716,"ts":1790757082383}`` [rec]
    """

    bid1Price: Changed = UNSET
    bid1Size: Changed = UNSET
    ask1Price: Changed = UNSET
    ask1Size: Changed = UNSET
    lastPrice: Changed = UNSET
    prevPrice24h: Changed = UNSET
    highPrice24h: Changed = UNSET
    lowPrice24h: Changed = UNSET
    volume24h: Changed = UNSET
    turnover24h: Changed = UNSET


read_day_push = msgspec.json.Decoder(DayPush).decode
read_best_push = msgspec.json.Decoder(BestPush).decode


class SpotTicker:
    """The ticker of a spot instrument: its day, with the best prices of the book of one level.

    Before both are known, there is no ticker: a price that has not come yet would look absent.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._day: Fields | None = None
        self._best: Prices | None = None
        self._update: int | None = None
        self._latest_ms = 0
        """The latest time of both topics: one may lag behind the other."""

    def read(self, frame: bytes, receive_time_ns: int) -> Batch:
        """Read a message of the topic of tickers."""
        push = read_day_push(frame)
        day = [text or None for text in structs.astuple(push.data)]
        check_decimals(day)
        self._day = day
        return self._batch(push.ts, receive_time_ns)

    def read_book(self, frame: bytes, receive_time_ns: int) -> Batch:
        """Read a message of the book. One with the same number only shows that the connection is alive."""
        push = read_best_push(frame)
        if push.data.u == self._update:
            return Batch(self._stream, ())
        (bid, bid_amount), (ask, ask_amount) = _quoted(push.data.b), _quoted(push.data.a)
        check_decimals((bid, bid_amount, ask, ask_amount))
        self._update, self._best = push.data.u, (bid, bid_amount, ask, ask_amount)
        return self._batch(push.ts, receive_time_ns)

    def _batch(self, time_ms: int, receive_time_ns: int) -> Batch:
        self._latest_ms = max(self._latest_ms, time_ms)
        if self._day is None or self._best is None:
            return Batch(self._stream, ())
        last, *day = self._day
        ticker = Ticker(
            NAME, self._stream.symbol, self._latest_ms * 1_000_000, receive_time_ns, *self._best, last, None, *day
        )
        return Batch(self._stream, (ticker,))


def _quoted(levels: list[Level]) -> tuple[str | None, str | None]:
    return (levels[0].price, levels[0].amount) if levels else (None, None)


F = TypeVar("F")


class ChangePush(msgspec.Struct, Generic[F], gc=False):
    """A message of a linear ticker, of which only some fields are read."""

    type: Literal["snapshot", "delta"]
    ts: Milliseconds
    data: F


read_change_push = msgspec.json.Decoder(ChangePush[Changes]).decode


ReadPush = Callable[[bytes], ChangePush[Any]]
Maker = Callable[[str, int, int, Fields], State | None]
"""Gets symbol, exchange time, receive time and all fields. It raises ValueError, and returns None without a state."""


class LinearFields:
    """Some fields of a contract's ticker: all of them first, then the changed ones."""

    def __init__(self, stream: Stream, read_push: ReadPush, made: Maker) -> None:
        self._stream = stream
        self._read_push = read_push
        self._made = made
        self._fields: list[str | None] | None = None

    def read(self, frame: bytes, receive_time_ns: int) -> Batch:
        """Read a message. Changes before the first whole ticker are skipped, and those of other fields too.

        After a message that cannot be read, the fields that it changed are unknown: all of them if it is damaged.
        """
        before, self._fields = self._fields, None
        push = self._read_push(frame)
        changes = structs.astuple(push.data)
        known: list[str | None] | None = [None] * len(changes) if push.type == "snapshot" else before
        if known is None:
            return Batch(self._stream, ())
        fields = [old if new is UNSET else new or None for old, new in zip(known, changes, strict=True)]
        self._fields = [old if new is UNSET else None for old, new in zip(known, changes, strict=True)]
        record = (
            None if fields == before else self._made(self._stream.symbol, push.ts * 1_000_000, receive_time_ns, fields)
        )
        self._fields = fields
        return Batch(self._stream, () if record is None else (record,))


def linear_ticker(stream: Stream) -> LinearFields:
    """Return the reader of a contract's ticker."""
    return LinearFields(stream, read_change_push, _ticker)


def _ticker(symbol: str, time_ns: int, receive_time_ns: int, fields: Fields) -> Ticker:
    check_decimals(fields)
    bid, bid_amount, ask, ask_amount, last, start, high, low, volume, turnover = fields
    return Ticker(
        NAME, symbol, time_ns, receive_time_ns, bid, bid_amount, ask, ask_amount, last, None, start, high, low, volume,
        turnover,
    )  # fmt: skip
