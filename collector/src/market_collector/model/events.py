"""Records: everything that the collector writes, one JSON object a line (the table is in the README).

Fields that several records share, said once:

* ``exchange_time_ns``: the exchange's own time of the event, nanoseconds since 1970; null where it gives none.
* ``receive_time_ns``: when the frame was read from the socket, nanoseconds since 1970, this machine's clock.
* ``price`` and ``amount``: exact decimal text as the exchange sent it, never a float. Amounts are in the base
  currency for spot instruments and in contracts for derivatives. In a book, amount "0" deletes the level.
* ``sequence``: the exchange's number of the event. For OKX trades and books of an instrument share one number line.
* Absent values are null, never 0 or "".

A record's identity is (exchange, symbol, type, trade_id or sequence or open_time_ns; of a balance: asset and
exchange_time_ns): made from exchange data alone,
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


class Data(msgspec.Struct, tag_field="type", frozen=True, gc=False):
    """What every record of market data has."""

    exchange: str
    symbol: str
    exchange_time_ns: int | None
    receive_time_ns: int


class Event(msgspec.Struct, tag_field="type", frozen=True):
    """What every event of a stream, or of a whole connection (``symbol`` null), has."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int


class Trade(Data, tag="trade", frozen=True, gc=False):
    """One fill; or several of one taker order at one price, where the exchange merges them."""

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


class Orderbook(Data, tag="orderbook", frozen=True, gc=False):
    """A book's snapshot (forget all before) or update (apply to the present book)."""

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


class Ticker(Data, tag="ticker", frozen=True, gc=False):
    """Best prices, last trade and the last 24 hours; volumes in base and in quote currency."""

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


class Candle(Data, tag="candle", frozen=True, gc=False):
    """Open, high, low, close and volume of one interval; sent again until ``closed``."""

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


class Balance(Data, tag="balance", frozen=True, gc=False):
    """What the account holds of one asset from now on; ``symbol`` is "account", since it belongs to no instrument.

    Amounts are in the asset itself. ``exchange_time_ns`` is when this asset's balance changed last. An asset that is
    not held any more comes once with all amounts "0".
    """

    asset: str
    """The currency, for example ``USDT``."""
    total: str | None
    available: str | None
    """What can be used for orders and withdrawals."""
    locked: str | None
    """What is not available: in open orders, or frozen otherwise."""


class Connected(Event, tag="connected", frozen=True):
    """A connection is open and its streams were asked for; the reason names the connection."""

    stream: str | None
    reason: str


class Disconnected(Event, tag="disconnected", frozen=True):
    """A connection ended: until the next ``connected`` nothing can be received."""

    stream: str | None
    reason: str


class Resync(Event, tag="resync", frozen=True):
    """A book is in doubt: what follows for it counts only from its next snapshot on."""

    stream: str | None
    reason: str


class Refused(Event, tag="refused", frozen=True):
    """The exchange will not serve this stream."""

    stream: str | None
    reason: str


class Gap(Event, tag="gap", frozen=True):
    """Data is missing here: from and to are the first and last missing trade id or sequence, null where unknown."""

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
    merges: list[str] | None = None
    """Ids of earlier gaps that this one takes the place of, when too many were open."""


class Repaired(Event, tag="repaired", frozen=True):
    """A gap is closed: all that was missing is in the output, or a new snapshot replaced it."""

    gap_id: str
    stream: str
    recovered: int | None
    missing: int | None
    reason: str


class Lost(Event, tag="lost", frozen=True):
    """A gap can never be closed; ``missing`` of it stay missing."""

    gap_id: str
    stream: str
    recovered: int | None
    missing: int | None
    reason: str
    ranges: list[tuple[str, str]] | None = None
    """Which ids stay missing, first and last of each run; null where the exchange's numbers do not tell (books)."""


class Dropped(Event, tag="dropped", frozen=True):
    """A sink took too long: ``count`` records of this stream were not written to it."""

    stream: str
    sink: str
    count: int
    reason: str


class Raw(Event, tag="raw", frozen=True):
    """The exchange's own frame, text untouched (``spec.storeRawData``)."""

    connection: str
    direction: Literal["in", "out"]
    frame: str


Record = Data | Event
"""What most code takes: any record, by its base."""

AnyRecord = (
    Trade
    | Orderbook
    | Ticker
    | Candle
    | Balance
    | Connected
    | Disconnected
    | Resync
    | Refused
    | Gap
    | Repaired
    | Lost
    | Dropped
    | Raw
)
"""The same, type by type: what a decoder of stored lines needs. A new type of record is one more line here."""
