"""OKX v5 over REST: requests, and readers for their answers. exchange.py names the sources."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
from msgspec import structs

from market_collector.errors import FrameError
from market_collector.exchanges.interface import Request
from market_collector.exchanges.okx.rows import (
    BARS,
    UNREADABLE,
    CandleRow,
    TradeRow,
    candle_of,
    check_numbers,
    trade_of,
)
from market_collector.model.events import Candle, Data, Orderbook, Trade
from market_collector.model.streams import DataType, Stream

RECENT_CANDLES = 1440

T = TypeVar("T")


class Reply(msgspec.Struct, gc=False):
    """Envelope of an answer. Most errors come with HTTP 200, so ``code`` decides."""

    code: str
    msg: str = ""
    data: list[msgspec.Raw] = []


class TradeMark(msgspec.Struct, gc=False):
    """The field of a trade that `OkxRestApi.newest_mark` reads."""

    tradeId: str


class BookMark(msgspec.Struct, gc=False):
    """The field of a book that `OkxRestApi.newest_mark` reads."""

    seqId: int


class InstrumentRow(msgspec.Struct, gc=False):
    """``{"instId":"BTC-USDT","instType":"SPOT","state":"live",...}``; other states are suspend, preopen, test, ..."""

    instId: str
    state: str


class TimeMark(msgspec.Struct, gc=False):
    """The time of a ticker, or the exchange's time."""

    ts: str


read_reply = msgspec.json.Decoder(Reply).decode


class OkxRestApi:
    """OKX's REST requests with their rate limits, and readers for the answers."""

    history_page = 100

    def instruments(self) -> Request:
        """Request all spot instruments. Limit: 20 requests per 2 s and IP address."""
        return Request("/api/v5/public/instruments?instType=SPOT")

    def live_symbols(self, body: bytes) -> list[str]:
        """Return the ``instId`` of each live instrument. For spot it has the canonical form BASE-QUOTE already."""
        with _reading("its instruments"):
            rows = [msgspec.json.decode(row, type=InstrumentRow) for row in _rows("its instruments", body)]
        return sorted(row.instId for row in rows if row.state == "live")

    def time(self) -> Request:
        """Request the time. Limit: 10 requests per 2 s and IP address."""
        return Request("/api/v5/public/time")

    def read_time(self, body: bytes) -> int:
        """Read ``{"code":"0","msg":"","data":[{"ts":"1597026383085"}]}``, in milliseconds."""
        with _reading("its time"):
            return int(_first("its time", body, TimeMark).ts) * 1_000_000

    def newest(self, stream: Stream) -> Request:
        """Request the newest event. Limit: 20 requests per 2 s and IP address, the lowest of the four paths."""
        instrument = f"instId={stream.symbol}"
        match stream.data_type:
            case DataType.TRADE:
                return Request(f"/api/v5/market/trades?{instrument}&limit=1")
            case DataType.ORDERBOOK:
                return Request(f"/api/v5/market/books?{instrument}&sz=1")
            case DataType.TICKER:
                return Request(f"/api/v5/market/ticker?{instrument}")
            case DataType.CANDLE:
                return Request(f"/api/v5/market/candles?{instrument}&bar={BARS[stream.interval]}&limit=1")
        raise ValueError(f"OKX does not offer {stream}")

    def newest_mark(self, stream: Stream, body: bytes) -> int:
        """Read the first row, since REST lists the newest first."""
        with _reading(stream):
            match stream.data_type:
                case DataType.TRADE:
                    return int(_first(stream, body, TradeMark).tradeId)
                case DataType.ORDERBOOK:
                    return _first(stream, body, BookMark).seqId
                case DataType.CANDLE:
                    return int(_first(stream, body, CandleRow).ts)
            return int(_first(stream, body, TimeMark).ts)

    def mark(self, record: Data) -> int:
        """Return the trade id, book sequence, or exchange time in milliseconds."""
        match record:
            case Trade():
                return int(record.trade_id)
            case Orderbook():
                return record.sequence or 0
            case Candle():
                return record.open_time_ns // 1_000_000
        return (record.exchange_time_ns or 0) // 1_000_000

    def state(self, stream: Stream) -> Request:
        """Request the instrument's state. Limit: 20 requests per 2 s, IP address and instrument type."""
        kind = "SPOT" if stream.symbol.count("-") == 1 else "SWAP" if stream.symbol.endswith("-SWAP") else "FUTURES"
        return Request(f"/api/v5/public/instruments?instType={kind}&instId={stream.symbol}")

    def is_trading(self, stream: Stream, body: bytes) -> bool:
        """Return whether the state is live. Any other state may be an auction (section 6, step 7)."""
        with _reading(stream):
            return _first(stream, body, InstrumentRow).state == "live"

    def history(self, stream: Stream, last: int, newest: int) -> Request:
        """Request a page of history, which OKX answers newest first (sections 7 and 8).

        ``after`` means older than, for ids and for times. Trades reach back three months, candles years. The last
        1,440 candles have a path of their own.
        """
        instrument = f"instId={stream.symbol}"
        if stream.data_type is DataType.TRADE:
            page = f"type=1&after={last + 1}&limit={self.history_page}"
            return Request(f"/api/v5/market/history-trades?{instrument}&{page}")
        page = f"after={stream.candle_open_ns(last + 1) // 1_000_000}&limit={self.history_page}"
        which = "candles" if newest - last + self.history_page < RECENT_CANDLES else "history-candles"
        return Request(f"/api/v5/market/{which}?{instrument}&bar={BARS[stream.interval]}&{page}")

    def read_history(self, stream: Stream, body: bytes, receive_time_ns: int) -> list[Data]:
        """Return single fills, which have no sequence here, or closed candles."""
        with _reading(stream):
            rows = reversed(_rows(stream, body))
            if stream.data_type is DataType.TRADE:
                fills = [msgspec.json.decode(row, type=TradeRow) for row in rows]
                check_numbers(text for row in fills for text in (row.px, row.sz))
                trades = (trade_of(stream.symbol, row, receive_time_ns) for row in fills)
                return [structs.replace(trade, backfilled=True) for trade in trades]
            bars = (msgspec.json.decode(row, type=CandleRow) for row in rows)
            candles = (candle_of(stream, row, receive_time_ns) for row in bars)
            return [structs.replace(candle, backfilled=True) for candle in candles if candle.closed]


@contextmanager
def _reading(what: Stream | str) -> Iterator[None]:
    """Turn a decoding error into a FrameError that names the request."""
    try:
        yield
    except UNREADABLE as error:
        raise FrameError(f"OKX's answer for {what} cannot be read: {error}") from error


def _rows(what: Stream | str, body: bytes) -> list[msgspec.Raw]:
    reply = read_reply(body)
    if reply.code != "0":
        raise FrameError(f"OKX answered code {reply.code} ({reply.msg}) for {what}")
    return reply.data


def _first(what: Stream | str, body: bytes, kind: type[T]) -> T:
    """Return the first row of an answer, which is the newest."""
    rows = _rows(what, body)
    if not rows:
        raise FrameError(f"OKX answered without data for {what}")
    return msgspec.json.decode(rows[0], type=kind)
