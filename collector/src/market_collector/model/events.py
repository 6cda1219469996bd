"""Records: everything that the collector writes, one JSON object a line (the table is in the README).

Fields that several records share, said once:

* ``exchange_time_ns``: the exchange's own time of the event, nanoseconds since 1970; null where it gives none.
* ``receive_time_ns``: when the frame was read from the socket, nanoseconds since 1970, this machine's clock.
* ``price`` and ``amount``: exact decimal text as the exchange sent it, never a float. Amounts are in the base
  currency for spot instruments and in contracts for derivatives. In a book, amount "0" deletes the level.
* ``sequence``: the exchange's number of the event. For OKX trades and books of an instrument share one number line.
* Absent values are null, never 0 or "".

A record's identity is (exchange, symbol, type, trade_id or sequence or open_time_ns): made from exchange data alone,
so that two replicas, a roll-out's overlap or a repair can be merged by any sink.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Side = Literal["buy", "sell"]


class Level(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One price of a book as ``[price, amount]``; the amount is the new total at that price, "0" deletes it."""

    price: str
    amount: str


class Trade(msgspec.Struct, tag_field="type", tag="trade", frozen=True, gc=False):
    """One or more fills of one taker order at one price."""

    exchange: str
    symbol: str
    exchange_time_ns: int | None
    receive_time_ns: int
    trade_id: str
    """The exchange's id; of the last fill where it merged several."""
    first_trade_id: str
    """Id of the first fill in this record; equals ``trade_id`` where nothing was merged."""
    count: int
    """Number of fills merged into this record."""
    side: Side
    """The taker's side."""
    price: str
    amount: str
    sequence: int | None = None
    backfilled: bool = False
    """True when the record came from the exchange's history, after a gap."""


class Orderbook(msgspec.Struct, tag_field="type", tag="orderbook", frozen=True, gc=False):
    """A book's snapshot (forget all before) or update (apply to the present book)."""

    exchange: str
    symbol: str
    exchange_time_ns: int | None
    receive_time_ns: int
    action: Literal["snapshot", "update"]
    bids: list[Level]
    """Best (highest) first in a snapshot."""
    asks: list[Level]
    """Best (lowest) first in a snapshot."""
    sequence: int | None
    previous_sequence: int | None
    """The sequence that this update follows; null for a snapshot."""
    checksum: int | None = None
    """The exchange's checksum of the book after this record, where it sends one."""


class Ticker(msgspec.Struct, tag_field="type", tag="ticker", frozen=True, gc=False):
    """Best prices, last trade and the last 24 hours; volumes in base and in quote currency."""

    exchange: str
    symbol: str
    exchange_time_ns: int | None
    receive_time_ns: int
    bid: str | None
    bid_amount: str | None
    ask: str | None
    ask_amount: str | None
    last: str | None
    last_amount: str | None
    open_24h: str | None
    high_24h: str | None
    low_24h: str | None
    volume_24h: str | None
    quote_volume_24h: str | None


class Candle(msgspec.Struct, tag_field="type", tag="candle", frozen=True, gc=False):
    """Open, high, low, close and volume of one interval; sent again until ``closed``."""

    exchange: str
    symbol: str
    exchange_time_ns: int | None
    receive_time_ns: int
    interval: str
    open_time_ns: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str | None
    trades: int | None
    closed: bool
    backfilled: bool = False


class Connected(msgspec.Struct, tag_field="type", tag="connected", frozen=True):
    """A connection is open and its streams were asked for; the reason names the connection."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int
    stream: str | None
    reason: str


class Disconnected(msgspec.Struct, tag_field="type", tag="disconnected", frozen=True):
    """A connection ended: until the next ``connected`` nothing can be received."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int
    stream: str | None
    reason: str


class Resync(msgspec.Struct, tag_field="type", tag="resync", frozen=True):
    """A book is in doubt: what follows for it counts only from its next snapshot on."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int
    stream: str | None
    reason: str


class Refused(msgspec.Struct, tag_field="type", tag="refused", frozen=True):
    """The exchange will not serve this stream."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int
    stream: str | None
    reason: str


class Gap(msgspec.Struct, tag_field="type", tag="gap", frozen=True):
    """Data is missing here: from and to are the first and last missing trade id or sequence, null where unknown."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int
    gap_id: str
    stream: str
    first: str | None = msgspec.field(name="from")
    last: str | None = msgspec.field(name="to")
    from_time_ns: int | None
    """Exchange time of the last data before the gap."""
    to_time_ns: int | None
    """Exchange time of the first data after it."""
    missing: int | None
    """How many are missing; null where the exchange's numbers do not tell."""
    reason: str


class Repaired(msgspec.Struct, tag_field="type", tag="repaired", frozen=True):
    """A gap is closed: all that was missing is in the output, or a new snapshot replaced it."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int
    gap_id: str
    stream: str
    recovered: int | None
    missing: int | None
    reason: str


class Lost(msgspec.Struct, tag_field="type", tag="lost", frozen=True):
    """A gap can never be closed; ``missing`` of it stay missing."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int
    gap_id: str
    stream: str
    recovered: int | None
    missing: int | None
    reason: str


class Dropped(msgspec.Struct, tag_field="type", tag="dropped", frozen=True):
    """A sink took too long: ``count`` records of this stream were not written to it."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int
    stream: str
    sink: str
    count: int
    reason: str


class Raw(msgspec.Struct, tag_field="type", tag="raw", frozen=True):
    """The exchange's own frame, text untouched (``spec.storeRawData``)."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int
    connection: str
    direction: Literal["in", "out"]
    frame: str


Data = Trade | Orderbook | Ticker | Candle
Event = Connected | Disconnected | Resync | Refused | Gap | Repaired | Lost | Dropped
Record = Data | Event | Raw
