"""OKX v5: rows that pushes and REST answers share, and the records made from them.

exchange.py names the sources. Prices, sizes and times are JSON strings; times are in milliseconds.
"""

from collections.abc import Iterable

import msgspec

from market_collector.model.events import Candle, Level, Side, Ticker, Trade
from market_collector.model.streams import Stream

NAME = "okx"

BARS = {
    "1s": "1s", "1m": "1m", "3m": "3m", "5m": "5m", "15m": "15m", "30m": "30m", "1h": "1H", "2h": "2H", "4h": "4H",
    "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc", "1w": "1Wutc",
}  # fmt: skip
"""Our interval names to OKX's. Bars of 6 hours and longer open on UTC+8 boundaries unless "utc" is appended."""

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""Errors that decoding malformed bytes may raise; RecursionError for deeply nested brackets."""


class TradeRow(msgspec.Struct, gc=False):
    """One fill; ``side`` is the taker's.

    ``{"instId":"BTC-USDT","tradeId":"1040968613","px":"64040.2","sz":"0.00240857","side":"buy",
    "ts":"1786538760218","source":"0","seqId":79706765242}``

    A row of channel `trades` may merge fills of one taker order at one price [rec]. ``"count":"2"`` is their number,
    ``tradeId`` the last of their ids. The 2022 recording has neither count nor seqId.
    """

    tradeId: str
    px: str
    sz: str
    side: Side
    ts: str
    count: str = "1"
    seqId: int | None = None


class BookRow(msgspec.Struct, gc=False):
    """A snapshot or an update of a book. A level is price, size, a deprecated "0", and the number of orders.

    ``{"asks":[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":0,
    "seqId":123456,"prevSeqId":-1}``

    ``checksum`` is always 0 since 2026-06-23 [rec].
    """

    asks: list[Level]
    bids: list[Level]
    ts: str
    checksum: int = 0
    seqId: int | None = None
    prevSeqId: int | None = None


class TickerRow(msgspec.Struct, gc=False):
    """One ticker. Prices may be "" on instruments without trading.

    ``{"instType":"SPOT","instId":"BTC-USDT","last":"64028.6","lastSz":"0.0011553","askPx":"64028.7",...}`` [rec]

    Since 2025-11-26 best bid and ask may lie inside the book's (RPI orders). For SPOT, ``vol24h`` is in base and
    ``volCcy24h`` in quote currency.
    """

    last: str
    lastSz: str
    askPx: str
    askSz: str
    bidPx: str
    bidSz: str
    open24h: str
    high24h: str
    low24h: str
    volCcy24h: str
    vol24h: str
    ts: str


class CandleRow(msgspec.Struct, array_like=True, gc=False):
    """``["1786538760000","64040.2","64040.2","64025.7","64033.5","2.16787395","138825.2","138825.2","0"]`` [rec]."""

    ts: str
    open: str
    high: str
    low: str
    close: str
    vol: str
    volCcy: str
    volCcyQuote: str
    confirm: str


def trade_of(symbol: str, row: TradeRow, receive_time_ns: int) -> Trade:
    last, fills = int(row.tradeId), int(row.count)
    first = row.tradeId if fills == 1 else str(last - fills + 1)
    return Trade(
        NAME, symbol, int(row.ts) * 1_000_000, receive_time_ns, row.tradeId, first, fills, row.side, row.px, row.sz,
        row.seqId,
    )  # fmt: skip


def ticker_of(symbol: str, row: TickerRow, receive_time_ns: int) -> Ticker:
    return Ticker(
        NAME, symbol, int(row.ts) * 1_000_000, receive_time_ns, row.bidPx or None, row.bidSz or None,
        row.askPx or None, row.askSz or None, row.last or None, row.lastSz or None, row.open24h or None,
        row.high24h or None, row.low24h or None, row.vol24h or None, row.volCcy24h or None,
    )  # fmt: skip


def candle_of(stream: Stream, row: CandleRow, receive_time_ns: int) -> Candle:
    float(row.open), float(row.high), float(row.low), float(row.close), float(row.vol)
    return Candle(
        NAME, stream.symbol, None, receive_time_ns, stream.interval, int(row.ts) * 1_000_000, row.open, row.high,
        row.low, row.close, row.vol, row.volCcyQuote or None, None, row.confirm == "1",
    )  # fmt: skip


def check_numbers(strings: Iterable[str]) -> None:
    """Raise ValueError if a string is not a number."""
    for string in strings:
        float(string)
