"""OKX v5 over REST: what is asked, and what the answers mean. Sources are those of okx.py."""

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
    """REST's envelope; HTTP 200 also for most errors, so ``code`` decides."""

    code: str
    msg: str = ""
    data: list[msgspec.Raw] = []


class TradeMark(msgspec.Struct, gc=False):
    """What `OkxRestApi.newest_mark` needs of a trade."""

    tradeId: str


class BookMark(msgspec.Struct, gc=False):
    """What `OkxRestApi.newest_mark` needs of a book."""

    seqId: int


class InstrumentRow(msgspec.Struct, gc=False):
    """``{"instId":"BTC-USDT","instType":"SPOT","state":"live",...}``; other states: suspend, preopen, test, ..."""

    instId: str
    state: str


class TimeMark(msgspec.Struct, gc=False):
    """What is needed of a ticker, and of the exchange's time."""

    ts: str


read_reply = msgspec.json.Decoder(Reply).decode


class OkxRestApi:
    """Paths, and what their answers mean; each method says OKX's limit."""

    history_page = 100

    def instruments(self) -> Request:
        """All spot instruments at once (20 requests / 2 s and IP)."""
        return Request("/api/v5/public/instruments?instType=SPOT")

    def live_symbols(self, body: bytes) -> list[str]:
        """An ``instId`` of a spot instrument is canonical BASE-QUOTE already."""
        with _reading("its instruments"):
            rows = [msgspec.json.decode(row, type=InstrumentRow) for row in _rows("its instruments", body)]
        return sorted(row.instId for row in rows if row.state == "live")

    def time(self) -> Request:
        """10 requests / 2 s and IP."""
        return Request("/api/v5/public/time")

    def read_time(self, body: bytes) -> int:
        """``{"code":"0","msg":"","data":[{"ts":"1597026383085"}]}``, milliseconds."""
        with _reading("its time"):
            return int(_first("its time", body, TimeMark).ts) * 1_000_000

    def newest(self, stream: Stream) -> Request:
        """Each within 20 requests / 2 s and IP, the lowest limit of the four."""
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
        """Reads the first row: REST lists the newest first."""
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
        """Trade id, book sequence, or exchange time in milliseconds."""
        match record:
            case Trade():
                return int(record.trade_id)
            case Orderbook():
                return record.sequence or 0
            case Candle():
                return record.open_time_ns // 1_000_000
        return (record.exchange_time_ns or 0) // 1_000_000

    def state(self, stream: Stream) -> Request:
        """Within 20 requests / 2 s, IP and kind of instrument."""
        kind = "SPOT" if stream.symbol.count("-") == 1 else "SWAP" if stream.symbol.endswith("-SWAP") else "FUTURES"
        return Request(f"/api/v5/public/instruments?instType={kind}&instId={stream.symbol}")

    def is_trading(self, stream: Stream, body: bytes) -> bool:
        """Anything but live may be an auction (section 6, step 7)."""
        with _reading(stream):
            return _first(stream, body, InstrumentRow).state == "live"

    def history(self, stream: Stream, last: int, newest: int) -> Request:
        """``after`` means older than, for ids and for times; answers are newest first (sections 7 and 8). Trades
        reach three months back, candles years; the last 1,440 candles have an endpoint of their own."""
        instrument = f"instId={stream.symbol}"
        if stream.data_type is DataType.TRADE:
            page = f"type=1&after={last + 1}&limit={self.history_page}"
            return Request(f"/api/v5/market/history-trades?{instrument}&{page}")
        page = f"after={stream.candle_open_ns(last + 1) // 1_000_000}&limit={self.history_page}"
        which = "candles" if newest - last + self.history_page < RECENT_CANDLES else "history-candles"
        return Request(f"/api/v5/market/{which}?{instrument}&bar={BARS[stream.interval]}&{page}")

    def read_history(self, stream: Stream, body: bytes, receive_time_ns: int) -> list[Data]:
        """REST's trades are single fills without a sequence; of candles only closed ones count."""
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
    """What is read in here is the answer when OKX was asked for this."""
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
    """The first row of an answer: REST lists the newest first."""
    rows = _rows(what, body)
    if not rows:
        raise FrameError(f"OKX answered without data for {what}")
    return msgspec.json.decode(rows[0], type=kind)
