"""Records: everything that the collector writes, one JSON object per line.

Fields that several records share:

* ``exchange_time_ns``: the exchange's own time of the event in nanoseconds since 1970, or null if it sends none.
* ``receive_time_ns``: when the frame was read from the socket, nanoseconds since 1970, this machine's clock.
* ``price``, ``amount``, ``rate``: the decimal string that the exchange sent, never a float. Amounts are in the base
  currency for spot instruments and in contracts for derivatives. In a book, amount "0" deletes the level.
* ``sequence``: the exchange's number of the event. At OKX, trades and books of an instrument share one sequence.
* Absent values are null, never 0 or "". Fields that schema 1 added are left out when they are null.
* Lists of words are closed (a `Literal`) or open (a string, whose words are named). An open list may get new words.

A record's identity (docs/records.md) uses exchange data only. So any sink can merge the records of two replicas, of a
rolling update's overlap, or of a backfill.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

SCHEMA = 1
"""Version of the records, for `Header.schema`."""

REPEATED = frozenset({"interval", "rotation"})
"""Causes of snapshots that repeat the present book: `Orderbook.cause`."""

Side = Literal["buy", "sell"]

NULL = type(None)
"""Makes the default of a field that is written even when it is null: a plain default is left out."""

Number = Annotated[str, msgspec.Meta(description="a decimal number")]
"""A price or an amount, as the exact string that the exchange sent. The annotation tells numbers from other strings."""


SignedNumber = Annotated[str, msgspec.Meta(description="a decimal number; a negative one starts with a minus")]
"""A rate that may be negative, as the exact string that the exchange sent."""

NUMBERS = (Number, SignedNumber)


class Level(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One price of a book as ``[price, amount]``; the amount is the new total at that price, "0" deletes it."""

    price: Number
    amount: Number


class Data(msgspec.Struct, tag_field="type", frozen=True, gc=False, omit_defaults=True):
    """Base of all market data records. A field with a plain default is not written when it has that value."""

    exchange: str
    symbol: str
    exchange_time_ns: int | None
    receive_time_ns: int


class Event(msgspec.Struct, tag_field="type", frozen=True):
    """Base of all events of a stream, or of a whole connection (``symbol`` null)."""

    exchange: str
    symbol: str | None
    exchange_time_ns: int | None
    receive_time_ns: int


class Trade(Data, tag="trade", frozen=True, gc=False):
    """One fill, or several of one taker order at one price where the exchange merges them."""

    trade_id: str
    """The exchange's id; that of the last fill where several were merged."""
    first_trade_id: str
    """Id of the first fill in this record; equals ``trade_id`` where nothing was merged."""
    count: int
    """Number of fills merged into this record."""
    side: Side | None
    """The taker's side; null if the exchange does not say, as in an auction."""
    price: Number
    amount: Number
    sequence: int | None = msgspec.field(default_factory=NULL)
    backfilled: bool = msgspec.field(default_factory=bool)
    """Whether the record came from the exchange's history, after a gap."""
    kind: str | None = None
    """Open list: ``block``, ``liquidation``, ``auction``, ``rpi`` (a retail price improvement order). Null for an
    ordinary trade, or if the exchange does not say."""


class Orderbook(Data, tag="orderbook", frozen=True, gc=False):
    """A book's snapshot (replaces all earlier state) or update (applies to the present book)."""

    action: Literal["snapshot", "update"]
    bids: list[Level]
    """Best (highest) first in a snapshot."""
    asks: list[Level]
    """Best (lowest) first in a snapshot."""
    sequence: int | None
    previous_sequence: int | None
    """The sequence that this update follows; null for a snapshot that starts a book."""
    checksum: int | None = msgspec.field(default_factory=NULL)
    """The exchange's checksum of the book after this record, where it sends one."""
    cause: str | None = None
    """Open list: why a snapshot was written; null for an update.

    * ``exchange``: a book starts, with a state that the exchange sent.
    * ``interval``, ``rotation``: the collector repeats its book, so that a file can be used by itself.
      ``previous_sequence`` equals ``sequence``, and the next update continues.
    """
    depth: int | None = None
    """Snapshots only: levels that are kept on each side; null for the whole book."""


class Quote(Data, tag="quote", frozen=True, gc=False):
    """Best bid and ask, at each change of a price or an amount. A side that has no level is null."""

    bid: Number | None
    bid_amount: Number | None
    ask: Number | None
    ask_amount: Number | None
    sequence: int | None
    """Sequence of the book that has these prices."""
    source: str
    """Open list: ``book``, from the order book that the collector keeps in sync."""


class Ticker(Data, tag="ticker", frozen=True, gc=False):
    """Best prices, last trade and the last 24 hours."""

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
    """In the unit of amounts: base currency, or contracts."""
    quote_volume_24h: Number | None
    """In quote currency."""
    base_volume_24h: Number | None = None
    """In base currency, if amounts are contracts and the exchange says it."""


class Candle(Data, tag="candle", frozen=True, gc=False):
    """Open, high, low, close and volume of one interval; repeated until ``closed``."""

    interval: str
    open_time_ns: int
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    """In the unit of amounts: base currency, or contracts."""
    quote_volume: Number | None
    """In quote currency."""
    trades: int | None
    closed: bool
    backfilled: bool = msgspec.field(default_factory=bool)
    base_volume: Number | None = None
    """In base currency, if amounts are contracts and the exchange says it."""


class Balance(Data, tag="balance", frozen=True, gc=False):
    """The account's balance of one asset; ``symbol`` is "account", since it belongs to no instrument.

    Amounts are in the asset itself. ``exchange_time_ns`` is when this asset's balance changed last. An asset no
    longer held is written once with all amounts "0".
    """

    asset: str
    """The currency, for example ``USDT``."""
    total: SignedNumber | None
    available: Number | None
    """Available for orders and withdrawals."""
    locked: Number | None
    """Not available: in open orders, or frozen otherwise."""


class Funding(Data, tag="funding", frozen=True, gc=False):
    """A funding rate of a perpetual: the fraction of a position's value that longs pay to shorts once.

    It belongs to one interval and is never annualized: "0.0001" is one basis point. If it is negative, shorts pay.
    """

    kind: str
    """Open list: ``predicted``, which changes until ``funding_time_ns``, or ``settled``, which was paid then."""
    rate: SignedNumber | None
    """Due at ``funding_time_ns``."""
    predicted_rate: SignedNumber | None
    """Due at ``next_funding_time_ns``, where the exchange predicts it already."""
    funding_time_ns: int
    """When ``rate`` is paid, nanoseconds since 1970."""
    next_funding_time_ns: int | None
    interval_s: int | None
    """Seconds between the payment before and this one. It may change."""
    mark_price: Number | None
    """Of the same message, where it has one."""
    index_price: Number | None


class MarkPrice(Data, tag="markprice", frozen=True, gc=False):
    """The price by which an exchange values positions of a derivative, and liquidates them."""

    mark_price: Number
    index_price: Number | None
    """Of the same message, where it has one."""
    settle_price: Number | None
    """The exchange's estimate of the price of settlement."""


class OpenInterest(Data, tag="openinterest", frozen=True, gc=False):
    """The sum of all open positions of a derivative, one side counted."""

    amount: Number
    """In the unit of amounts: contracts, or base currency."""
    base_amount: Number | None
    """In base currency, if amounts are contracts and the exchange says it."""
    quote_amount: Number | None
    """In quote currency."""
    usd_amount: Number | None
    """In US dollars, where the exchange says it."""
    polled: bool
    """Whether it was requested over REST, since the exchange does not push it."""


class Liquidation(Data, tag="liquidation", frozen=True, gc=False):
    """A position that the exchange closed by force."""

    liquidation_id: str | None
    side: Side | None
    """The order's side: ``sell`` closes a long position."""
    position: Literal["long", "short"] | None
    price: Number | None
    """The order's price, or the bankruptcy price of the position."""
    average_price: Number | None
    """Average price of the fills."""
    amount: Number
    """In the unit of amounts: contracts, or base currency."""
    filled_amount: Number | None
    complete: bool
    """Whether the exchange reports every liquidation. If not, there were more than those that have records."""


class Header(Event, tag="header", frozen=True, omit_defaults=True):
    """First line of a file, and of standard output: who wrote the records after it, and what they mean.

    ``schema`` and ``writer_version`` keep their names in each later schema.
    """

    schema: int
    """Version of the records. A reader of an earlier version must not read the file."""
    writer_version: str
    """Version of market-collector."""
    resource: str
    shard: int
    host: str
    """The pod, or the host outside of Kubernetes."""
    run_id: int
    """Start of the process, nanoseconds since 1970."""
    start_time_ns: int
    """Start of the file."""
    streams: list[str]
    """All streams that the process collects."""
    file: int | None = None
    """Number of the file in its run, from 1; null on standard output."""
    previous_file: str | None = None
    """Name of the file before, uncompressed; null for the first one of a run."""


TRADING = "trading"
"""The usual `Instrument.status`."""


class Instrument(Event, tag="instrument", frozen=True, omit_defaults=True):
    """The exchange's description of a symbol: once at the start of the collector, and again when it changes."""

    valid_from_ns: int
    """When the collector first read this description, nanoseconds since 1970; equal in repetitions."""
    native_symbol: str
    """The exchange's own name."""
    kind: str
    """Open list: ``spot``, ``perpetual``, ``future``."""
    base: str | None
    quote: str | None
    amount_unit: str
    """Open list: ``base``, ``quote``, ``contract``. The unit of amounts in trades, books, tickers and candles."""
    price_increment: Number | None
    """Prices are multiples of it."""
    amount_increment: Number | None
    min_amount: Number | None
    """Smallest amount of an order."""
    min_notional: Number | None
    """Smallest price times amount of an order, in quote currency."""
    status: str
    """Open list: ``trading``, ``auction``, ``halted``, ``cancel_only``, ``post_only``, ``pre_launch``, ``delisted``,
    or the exchange's own word."""
    listed_time_ns: int | None
    trade_ids: str
    """Open list: ``dense`` if each trade id is one above the last, otherwise ``unnumbered``."""
    sequence_scope: str
    """Open list: ``exchange`` if ``sequence`` is the exchange's, so that replicas agree; ``collector`` if not."""
    trades_share_sequence: bool
    """Whether ``sequence`` of trades and books is one numbering."""
    trade_kinds: list[str]
    """Values of `Trade.kind` that the exchange marks."""
    settlement: str | None = None
    """Contracts only: the asset that settles it."""
    contract_size: Number | None = None
    """Value of one contract in `contract_unit`, where ``amount_unit`` is ``contract``."""
    contract_unit: str | None = None
    """Open list: ``base``, ``quote``."""
    expiry_time_ns: int | None = None
    """Dated futures only: when it expires."""


class ConnectionEvent(Event, frozen=True):
    """Base of the events of a connection. Files of earlier versions lack the fields that have defaults."""

    stream: str | None
    """Null: the event is about all streams of the connection."""
    reason: str
    """A word of `model.reasons`, or one of a later version."""
    detail: str | None = None
    """The reason for people, where the word is not enough."""
    connection: str | None = None
    """The connection's name, such as ``public``."""
    connection_id: int | None = None
    """The connection's number in its process, from 1. A new connection has a new number."""
    streams: list[str] | None = None
    """Names of the streams that the connection carries."""


class Connected(ConnectionEvent, tag="connected", frozen=True):
    """A connection is open and its streams were requested."""


class Disconnected(ConnectionEvent, tag="disconnected", frozen=True):
    """A connection ended: it delivers nothing any more."""


class EventOfStream(Event, frozen=True, kw_only=True):
    """Base of the events of one stream. Files of earlier versions lack the fields that have defaults."""

    stream: str
    """Its name, such as ``BTC-USDT/candle:1m``."""
    reason: str
    """A word of `model.reasons`, or one of a later version."""
    detail: str | None = None
    """The reason for people, where the word is not enough."""
    data_type: str | None = None
    """The type of the stream's records, such as ``candle``."""
    interval: str | None = None
    """Candles only."""


class Resync(EventOfStream, tag="resync", frozen=True):
    """A stream is out of sync; a book is valid again from its next snapshot."""


class Refused(EventOfStream, tag="refused", frozen=True):
    """The exchange refuses to serve this stream."""


class GapEvent(EventOfStream, frozen=True, kw_only=True):
    """Base of the events of a gap. The last event of a gap has its final bounds."""

    gap_id: str
    first_id: str | None = None
    """First missing trade id, or open time of the first missing candle; null for books, or where unknown."""
    last_id: str | None = None
    """Last missing trade id, or open time of the last missing candle."""
    after_sequence: int | None = None
    """Books: the last sequence before the gap."""
    resumed_sequence: int | None = None
    """Books: the first sequence after it; null while the gap is open."""
    from_time_ns: int | None = None
    """Exchange time of the last record before the gap. Candles: the open time before the first missing one."""
    to_time_ns: int | None = None
    """Exchange time of the first record after the gap; null while there is none. Candles: the open time."""
    missing: int | None = None
    """Number of missing records; null if the exchange's ids are not dense, as for books."""


class Gap(GapEvent, tag="gap", frozen=True, kw_only=True):
    """Missing data. The record precedes every record beyond the gap."""

    merges: list[str] | None = None
    """Ids of the gaps that this one replaces, when too many were open."""


class Repaired(GapEvent, tag="repaired", frozen=True, kw_only=True):
    """A gap is closed: every missing record was delivered, or a snapshot showed that none was missing."""

    recovered: int | None = None
    """Number of records that were delivered."""


class Lost(GapEvent, tag="lost", frozen=True, kw_only=True):
    """A gap that can never be filled: ``missing`` records stay missing."""

    recovered: int | None = None
    """Number of records that were delivered."""
    ranges: list[tuple[str, str]] | None = None
    """First and last id of each range that stays missing; null if ids are not dense (books)."""


class Dropped(EventOfStream, tag="dropped", frozen=True, kw_only=True):
    """A sink's queue was full: ``count`` records of this stream were not written to it."""

    sink: str
    count: int


class Recording(Event, tag="recording", frozen=True):
    """The time in which a stream was recorded: whole, except for gaps in it that are open or lost.

    One record a minute and one at the end replace those of the same ``stream`` and ``from_time_ns``.
    """

    stream: str
    data_type: str
    interval: str | None
    from_time_ns: int
    """Exchange time of the first record; candles: its open time; tickers and balances: when they were subscribed."""
    to_time_ns: int
    """Exchange time of the newest record; candles: the open time; other streams without ids: the present or the end."""


class Raw(Event, tag="raw", frozen=True):
    """A frame as sent or received, text unchanged (``spec.storeRawData``)."""

    connection: str
    direction: Literal["in", "out"]
    frame: str


Record = Data | Event
"""Any record, by its base class."""

State = Ticker | MarkPrice | OpenInterest | Funding
"""Records of a present state, each of which replaces the one before."""

AnyData = Trade | Orderbook | Quote | Ticker | Candle | Balance | Funding | MarkPrice | OpenInterest | Liquidation
"""Any market data record, type by type. Add each new one here."""

AnyEvent = (
    Header
    | Instrument
    | Connected
    | Disconnected
    | Resync
    | Refused
    | Gap
    | Repaired
    | Lost
    | Dropped
    | Recording
    | Raw
)
"""Any event, type by type. Add each new one here."""

AnyRecord = AnyData | AnyEvent
"""Any record, type by type, for decoders of stored lines."""
