"""OKX v5: rows that pushes and REST answers share, and the records made from them.

exchange.py names the sources. Prices, sizes and times are JSON strings; times are in milliseconds.
"""

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import structs

from market_collector.exchanges.decimals import DECIMAL, Id, Milliseconds, check_decimals, is_decimal
from market_collector.model.events import Candle, Level, Side, Ticker, Trade
from market_collector.model.streams import LARGEST_ID, Stream

NAME = "okx"

BARS = {
    "1s": "1s", "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "2h": "2H", "4h": "4H",
    "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc", "1w": "1Wutc",
}  # fmt: skip
"""Our interval names to OKX's. Bars of 6 hours and longer open on UTC+8 boundaries unless "utc" is appended."""


BOOK_DEPTH = 400
"""Levels on each side of a book of the channel `books`."""


class TradeRow(msgspec.Struct, gc=False):
    """One fill; ``side`` is the taker's.

    ``{"instId":"BTC-USDT","tradeId":"1040968613","px":"64040.2","sz":"0.00240857","side":"buy",
    "ts":"1786538760218","source":"0","seqId":79706765242}``

    ``source`` is "1" for a retail price improvement (RPI) order, which books lack.

    A row of channel `trades` may merge fills of one taker order at one price [rec]. ``"count":"2"`` is their number,
    ``tradeId`` the last of their ids. The 2022 recording has neither count nor seqId.
    """

    tradeId: Id
    px: str
    sz: str
    side: Side | None = None
    ts: Milliseconds | None = None
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    seqId: Id | None = None
    source: Any = None


class BookRow(msgspec.Struct, gc=False):
    """A snapshot or an update of a book. A level is price, size, a deprecated "0", and the number of orders.

    ``{"asks":[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":0,
    "seqId":123456,"prevSeqId":-1}``

    ``checksum`` is always 0 since 2026-06-23 [rec].
    """

    asks: list[Level]
    bids: list[Level]
    ts: Milliseconds | None = None
    checksum: int = 0
    seqId: Id | None = None
    prevSeqId: Annotated[int, msgspec.Meta(ge=-1, le=LARGEST_ID)] | None = None


class TickerRow(msgspec.Struct, gc=False):
    """One ticker. Numbers may be "" or absent on instruments without trading.

    ``{"instType":"SPOT","instId":"BTC-USDT","last":"64028.6","lastSz":"0.0011553","askPx":"64028.7",...}`` [rec]

    Since 2025-11-26 best bid and ask may lie inside the book's (RPI orders). ``vol24h`` is in base currency for SPOT
    and in contracts for others; ``volCcy24h`` is in quote currency for SPOT and in base currency for others.
    """

    bidPx: str | None = None
    bidSz: str | None = None
    askPx: str | None = None
    askSz: str | None = None
    last: str | None = None
    lastSz: str | None = None
    open24h: str | None = None
    high24h: str | None = None
    low24h: str | None = None
    vol24h: str | None = None
    volCcy24h: str | None = None
    ts: Milliseconds | None = None


class CandleRow(msgspec.Struct, array_like=True, gc=False):
    """``["1786538760000","64040.2","64040.2","64025.7","64033.5","2.16787395","138825.2","138825.2","0"]`` [rec].

    ``vol`` and ``volCcy`` have the units of a ticker's; ``volCcyQuote`` is in quote currency.
    """

    ts: Milliseconds
    open: str
    high: str
    low: str
    close: str
    vol: str
    volCcy: str | None
    volCcyQuote: str | None
    confirm: Literal["0", "1"]


T = TypeVar("T")


def decode_row(row: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Decode one row of an answer. Integers may be strings. An optional field that is null or "" counts as absent.

    Raises:
        msgspec.MsgspecError: the row does not have this type.
    """
    try:
        return msgspec.json.decode(row, type=kind, strict=False)
    except msgspec.ValidationError:
        return msgspec.json.decode(without_empty_fields(row), type=kind, strict=False)


def without_empty_fields(frame: bytes | msgspec.Raw) -> bytes:
    """Return the JSON without the fields that are null or "". Raises `msgspec.DecodeError`."""
    return msgspec.json.encode(_without_empty(msgspec.json.decode(frame)))


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_empty(each) for name, each in value.items() if each is not None and each != ""}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value


def is_spot(symbol: str) -> bool:
    """Whether this is a spot instrument; the ids of swaps, futures and options have more parts."""
    return symbol.count("-") == 1


def trade_of(symbol: str, row: TradeRow, receive_time_ns: int) -> Trade:
    if not (is_decimal(row.px) and is_decimal(row.sz)):
        check_decimals((row.px, row.sz))
    last, fills, time_ms = str(row.tradeId), row.count, row.ts
    if fills > row.tradeId + 1:
        raise ValueError(f"trade {last} has {fills} fills, more than there are ids")
    first = last if fills == 1 else str(row.tradeId - fills + 1)
    time_ns = None if time_ms is None else time_ms * 1_000_000
    kind = "rpi" if row.source == "1" else None
    return Trade(
        NAME, symbol, time_ns, receive_time_ns, last, first, fills, row.side, row.px, row.sz, row.seqId, False, kind
    )  # fmt: skip


def ticker_of(symbol: str, row: TickerRow, receive_time_ns: int) -> Ticker:
    *numbers, time_ms = structs.astuple(row)
    numbers = [text or None for text in numbers]
    if not _are_numbers(";".join([text or "0" for text in numbers])):
        check_decimals(numbers)
    if not is_spot(symbol):
        numbers[-1:] = None, numbers[-1]
    return Ticker(NAME, symbol, None if time_ms is None else time_ms * 1_000_000, receive_time_ns, *numbers)


_are_numbers = re.compile(f"{DECIMAL}(?:;{DECIMAL}){{{len(TickerRow.__struct_fields__) - 2}}}").fullmatch
"""Matches the numbers of a ticker in one text: four times as fast as one after the other."""


def candle_of(stream: Stream, row: CandleRow, receive_time_ns: int) -> Candle:
    quote_volume = row.volCcyQuote or None
    base_volume = None if is_spot(stream.symbol) else row.volCcy or None
    check_decimals((row.open, row.high, row.low, row.close, row.vol, quote_volume, base_volume))
    return Candle(
        NAME, stream.symbol, None, receive_time_ns, stream.interval, row.ts * 1_000_000, row.open, row.high, row.low,
        row.close, row.vol, quote_volume, None, row.confirm == "1", False, base_volume,
    )  # fmt: skip
