"""The record types before schema 1, frozen: what a reader of the previous version knows. Never change them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Side = Literal["buy", "sell"]

Number = Annotated[str, msgspec.Meta(description="a decimal number")]


class Level(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """As schema 0 had it."""

    price: Number
    amount: Number


class Data(msgspec.Struct, tag_field="type", frozen=True, gc=False):
    """As schema 0 had it."""

    exchange: str
    symbol: str
    exchange_time_ns: int | None
    receive_time_ns: int


class Event(msgspec.Struct, tag_field="type", frozen=True):
    """As schema 0 had it."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int


class Trade(Data, tag="trade", frozen=True, gc=False):
    """As schema 0 had it."""

    trade_id: str
    first_trade_id: str
    count: int
    side: Side
    price: Number
    amount: Number
    sequence: int | None = None
    backfilled: bool = False


class Orderbook(Data, tag="orderbook", frozen=True, gc=False):
    """As schema 0 had it."""

    action: Literal["snapshot", "update"]
    bids: list[Level]
    asks: list[Level]
    sequence: int | None
    previous_sequence: int | None
    checksum: int | None = None


class Ticker(Data, tag="ticker", frozen=True, gc=False):
    """As schema 0 had it."""

    bid: Number | None
    bid_amount: Number | None
    ask: Number | None
    ask_amount: Number | None
    last: Number | None
    last_amount: Number | None
    open_24h: Number | None
    high_24h: Number | None
    low_24h: Number | None
    volume_24h: Number | None
    quote_volume_24h: Number | None


class Candle(Data, tag="candle", frozen=True, gc=False):
    """As schema 0 had it."""

    interval: str
    open_time_ns: int
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    quote_volume: Number | None
    trades: int | None
    closed: bool
    backfilled: bool = False


class Balance(Data, tag="balance", frozen=True, gc=False):
    """As schema 0 had it."""

    asset: str
    total: Number | None
    available: Number | None
    locked: Number | None


class Connected(Event, tag="connected", frozen=True):
    """As schema 0 had it."""

    stream: str | None
    reason: str


class Disconnected(Event, tag="disconnected", frozen=True):
    """As schema 0 had it."""

    stream: str | None
    reason: str


class Resync(Event, tag="resync", frozen=True):
    """As schema 0 had it."""

    stream: str | None
    reason: str


class Refused(Event, tag="refused", frozen=True):
    """As schema 0 had it."""

    stream: str | None
    reason: str


class Gap(Event, tag="gap", frozen=True):
    """As schema 0 had it."""

    gap_id: str
    stream: str
    first: str | None = msgspec.field(name="from")
    last: str | None = msgspec.field(name="to")
    from_time_ns: int | None
    to_time_ns: int | None
    missing: int | None
    reason: str
    merges: list[str] | None = None


class Repaired(Event, tag="repaired", frozen=True):
    """As schema 0 had it."""

    gap_id: str
    stream: str
    recovered: int | None
    missing: int | None
    reason: str


class Lost(Event, tag="lost", frozen=True):
    """As schema 0 had it."""

    gap_id: str
    stream: str
    recovered: int | None
    missing: int | None
    reason: str
    ranges: list[tuple[str, str]] | None = None


class Dropped(Event, tag="dropped", frozen=True):
    """As schema 0 had it."""

    stream: str
    sink: str
    count: int
    reason: str


class Raw(Event, tag="raw", frozen=True):
    """As schema 0 had it."""

    connection: str
    direction: Literal["in", "out"]
    frame: str


Record = Data | Event

AnyData = Trade | Orderbook | Ticker | Candle | Balance

AnyEvent = Connected | Disconnected | Resync | Refused | Gap | Repaired | Lost | Dropped | Raw

AnyRecord = AnyData | AnyEvent
