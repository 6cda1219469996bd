"""Records for tests, with defaults for all other fields."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from market_collector.model.events import (
    Candle,
    Connected,
    Disconnected,
    Dropped,
    Funding,
    Gap,
    Header,
    Instrument,
    Level,
    Liquidation,
    Lost,
    MarkPrice,
    OpenInterest,
    Orderbook,
    Quote,
    Raw,
    Refused,
    Repaired,
    Resync,
    Ticker,
    Trade,
)

START_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
MINUTE_MS = 60_000
TRADES, BOOK, TICKER, CANDLES = "BTC-USDT/trade", "BTC-USDT/orderbook", "BTC-USDT/ticker", "BTC-USDT/candle:1m"


def at(seconds: float) -> int:
    """Convert seconds since `START_NS` to nanoseconds since 1970."""
    return START_NS + int(seconds * SECOND_NS)


def header(seconds: float = 0, *, schema: int = 1) -> Header:
    """A header as the collector queues it, before a file sink completes it."""
    time_ns = at(seconds)
    return Header("okx", None, None, time_ns, schema, "0.1.0", "okx-btc", 0, "pod-1", at(0), time_ns, [TRADES, BOOK])


def repeat(book: Orderbook, seconds: float | None = None, cause: str = "rotation") -> Orderbook:
    """A snapshot that repeats this one's state."""
    received_ns = book.receive_time_ns if seconds is None else at(seconds)
    return replace(book, receive_time_ns=received_ns, previous_sequence=book.sequence, cause=cause)


def trade(number: int, seconds: float | None = None, *, first: int | None = None, backfilled: bool = False) -> Trade:
    """A trade. By default, trade 7 has second 7 as its time."""
    time_ns = at(number if seconds is None else seconds)
    start = number if first is None else first
    count = number - start + 1
    return Trade("okx", "BTC-USDT", time_ns, time_ns, str(number), str(start), count, "buy", "1", "1", None, backfilled)


def snapshot(
    sequence: int, seconds: float | None = None, *, bid: str = "10", ask: str = "11", checksum: int | None = None
) -> Orderbook:
    """A book with one level per side. By default, sequence 7 has second 7 as its time."""
    time_ns = at(sequence if seconds is None else seconds)
    bids, asks = [Level(bid, "1")], [Level(ask, "1")]
    return Orderbook("okx", "BTC-USDT", time_ns, time_ns, "snapshot", bids, asks, sequence, None, checksum)


def update(
    previous: int,
    sequence: int,
    seconds: float | None = None,
    *,
    bids: Sequence[tuple[str, str]] = (),
    asks: Sequence[tuple[str, str]] = (),
    checksum: int | None = None,
) -> Orderbook:
    """An update of a book."""
    time_ns = at(sequence if seconds is None else seconds)
    sides = [Level(*level) for level in bids], [Level(*level) for level in asks]
    return Orderbook("okx", "BTC-USDT", time_ns, time_ns, "update", *sides, sequence, previous, checksum)


def quote(sequence: int, seconds: float | None = None, *, bid: str = "10") -> Quote:
    """Best prices of a book. By default, sequence 7 has second 7 as its time."""
    time_ns = at(sequence if seconds is None else seconds)
    return Quote("okx", "BTC-USDT", time_ns, time_ns, bid, "1", "11", "1", sequence, "book")


def ticker(seconds: float) -> Ticker:
    """A ticker without any value."""
    return Ticker("okx", "BTC-USDT", at(seconds), at(seconds), *([None] * 11))


def funding(seconds: float, *, kind: str = "predicted", rate: str = "-0.0001", due: float = 3600) -> Funding:
    """A funding rate that is paid at ``due``."""
    time_ns = at(seconds)
    return Funding("okx", "BTC-USDT", time_ns, time_ns, kind, rate, None, at(due), None, 28_800, None, None)


def mark_price(seconds: float, price: str = "100") -> MarkPrice:
    """A mark price."""
    return MarkPrice("okx", "BTC-USDT", at(seconds), at(seconds), price, None, None)


def open_interest(seconds: float, amount: str = "7") -> OpenInterest:
    """The open interest."""
    return OpenInterest("okx", "BTC-USDT", at(seconds), at(seconds), amount, None, None, None, False)


def liquidation(seconds: float, amount: str = "3") -> Liquidation:
    """The end of a long position."""
    return Liquidation(
        "okx", "BTC-USDT", at(seconds), at(seconds), None, "sell", "long", "99", None, amount, None, False
    )


def open_ms(minute: int) -> int:
    """Open time of the candle of that minute, milliseconds since 1970."""
    return START_NS // 1_000_000 // MINUTE_MS * MINUTE_MS + minute * MINUTE_MS


def candle(minute: int, *, closed: bool = True, backfilled: bool = False) -> Candle:
    """The one-minute candle of that minute."""
    open_ns = open_ms(minute) * 1_000_000
    received_ns = open_ns + 60 * SECOND_NS
    prices = ("1", "1", "1", "1", "1")
    return Candle("okx", "BTC-USDT", None, received_ns, "1m", open_ns, *prices, None, None, closed, backfilled)


def gap(
    gap_id: str,
    first: int | None,
    last: int | None = None,
    *,
    stream: str = TRADES,
    seconds: float = 0,
    merges: list[str] | None = None,
    missing: int | None = None,
    reason: str = "IdsMissing",
    from_time_ns: int | None = None,
    to_time_ns: int | None = None,
) -> Gap:
    """A record of a new gap. ``first`` is a book's last sequence, a trade id, or an open time in milliseconds."""
    ids = (None, None) if stream == BOOK else (_id(stream, first), _id(stream, last))
    return Gap(
        "okx",
        "BTC-USDT",
        None,
        at(seconds),
        gap_id=gap_id,
        first_id=ids[0],
        last_id=ids[1],
        after_sequence=first if stream == BOOK else None,
        from_time_ns=from_time_ns,
        to_time_ns=to_time_ns,
        missing=missing,
        reason=reason,
        merges=merges,
        **fields_of(stream),
    )


def _id(stream: str, number: int | None) -> str | None:
    if number is None:
        return None
    return str(number * 1_000_000 if "/candle" in stream else number)


def fields_of(stream: str) -> dict[str, Any]:
    """The fields of an event that name its stream."""
    data_type, _, interval = stream.rpartition("/")[2].partition(":")
    return {"stream": stream, "data_type": data_type, "interval": interval or None}


def repaired(gap_id: str, *, stream: str = TRADES, seconds: float = 0) -> Repaired:
    """A record of a filled gap."""
    return Repaired(
        "okx",
        "BTC-USDT",
        None,
        at(seconds),
        gap_id=gap_id,
        recovered=1,
        missing=0,
        reason="Backfilled",
        **fields_of(stream),
    )


def lost(
    gap_id: str, ranges: Sequence[tuple[int, int]] | None = None, *, stream: str = TRADES, seconds: float = 0
) -> Lost:
    """A record of a lost gap."""
    return Lost(
        "okx",
        "BTC-USDT",
        None,
        at(seconds),
        gap_id=gap_id,
        recovered=0,
        missing=1,
        reason="NotInHistory",
        ranges=None
        if ranges is None
        else [(_id(stream, first) or "", _id(stream, last) or "") for first, last in ranges],
        **fields_of(stream),
    )


def dropped(count: int, *, stream: str = TRADES, seconds: float = 0) -> Dropped:
    """A record of records that a slow sink has dropped."""
    named = fields_of(stream) if "/" in stream and not stream.endswith("/raw") else {"stream": stream}
    return Dropped(
        "okx",
        "BTC-USDT",
        None,
        at(seconds),
        sink="archive",
        count=count,
        reason="SinkFailed",
        detail="the sink is slower than the data",
        **named,
    )


def resync(reason: str, *, stream: str = TRADES, seconds: float = 0, detail: str | None = None) -> Resync:
    """A record of a stream that starts again."""
    return Resync("okx", "BTC-USDT", None, at(seconds), reason=reason, detail=detail, **fields_of(stream))


def instrument(seconds: float = 0, *, status: str = "trading", symbol: str = "BTC-USDT") -> Instrument:
    """A spot instrument."""
    time_ns, (base, quote) = at(seconds), symbol.split("-")
    increments = "0.1", "0.00000001", "0.00001", None
    return Instrument(
        "okx", symbol, None, time_ns, time_ns, symbol, "spot", base, quote, "base", *increments, status,
        START_NS, "dense", "exchange", True, ["rpi"],
    )  # fmt: skip


def connected(seconds: float = 0) -> Connected:
    """A record of an opened connection."""
    return Connected("okx", None, None, at(seconds), None, "Opened", None, "public", 1, [TRADES])


def disconnected(seconds: float = 0, reason: str = "reset") -> Disconnected:
    """A record of an ended connection."""
    return Disconnected("okx", None, None, at(seconds), None, reason)


def refused(stream: str = TRADES) -> Refused:
    """A record of a stream that the exchange refuses."""
    detail = "OKX error 60018"
    return Refused("okx", "BTC-USDT", None, at(0), reason="SymbolNotFound", detail=detail, **fields_of(stream))


def raw() -> Raw:
    """A record of a frame of the exchange."""
    return Raw("okx", None, None, at(0), "public", "in", "pong")
