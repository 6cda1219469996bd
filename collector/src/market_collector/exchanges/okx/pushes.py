"""OKX pushes: the wire types of data frames, and the records made from them."""

import re
from collections.abc import Callable
from functools import partial
from typing import Literal

import msgspec
from msgspec import structs

from market_collector.exchanges.decimals import DECIMAL, check_decimals
from market_collector.exchanges.interface import Batch
from market_collector.exchanges.okx.derivatives import STATES, states
from market_collector.exchanges.okx.rows import (
    BOOK_DEPTH,
    NAME,
    BookRow,
    CandleRow,
    TickerRow,
    TradeRow,
    candle_of,
    ticker_of,
    trade_of,
)
from market_collector.model.events import Orderbook
from market_collector.model.streams import DataType, Stream


class TradePush(msgspec.Struct, gc=False):
    """``{"arg":{...},"data":[TradeRow, ...]}``; ``arg`` selected the reader and is not decoded again."""

    data: list[TradeRow]


class BookPush(msgspec.Struct, gc=False):
    """Wire type: ``{"arg":{...},"action":"snapshot","data":[BookRow]}``."""

    action: Literal["snapshot", "update"]
    data: list[BookRow]


class TickerPush(msgspec.Struct, gc=False):
    """Wire type: ``{"arg":{...},"data":[TickerRow]}``."""

    data: list[TickerRow]


class CandlePush(msgspec.Struct, gc=False):
    """``{"arg":{...},"data":[CandleRow, ...]}``, on the business connection."""

    data: list[CandleRow]


read_trade_push = msgspec.json.Decoder(TradePush, strict=False).decode
read_book_push = msgspec.json.Decoder(BookPush, strict=False).decode
read_ticker_push = msgspec.json.Decoder(TickerPush, strict=False).decode
read_candle_push = msgspec.json.Decoder(CandlePush, strict=False).decode
"""Not strict: times and ids are integers in text."""

_LEVELS = rf'(?:\["{DECIMAL}","{DECIMAL}",[0-9",]++\],?+)*+'
_HEAD = r'\{"arg":[^}]++\},"action":"[a-z]++","data":\[\{'
_TAIL = r'"ts":"[0-9]++"(?:,"[A-Za-z]++":-?+[0-9]++)*+\}\]\}'
has_decimal_levels = re.compile(f'{_HEAD}"asks":\\[{_LEVELS}\\],"bids":\\[{_LEVELS}\\],{_TAIL}'.encode()).fullmatch
"""Matches the frame of a book, as OKX writes it, if all its prices and amounts are plain decimals."""

Reader = Callable[[bytes, int], Batch]


def reader_of(stream: Stream) -> Reader:
    """Return the reader of the stream's frames. It raises one of `rows.UNREADABLE`."""
    match stream.data_type:
        case DataType.TRADE:
            return partial(_trades, stream, stream.symbol)
        case DataType.ORDERBOOK:
            return partial(_books, stream, stream.symbol)
        case DataType.TICKER:
            return partial(_tickers, stream, stream.symbol)
        case DataType.CANDLE:
            return partial(_candles, stream)
        case kind if kind in STATES:
            return partial(states, stream)
    raise ValueError(f"OKX does not offer {stream}")


def _trades(stream: Stream, symbol: str, frame: bytes, receive_time_ns: int) -> Batch:
    return Batch(stream, [trade_of(symbol, row, receive_time_ns) for row in read_trade_push(frame).data])


def _books(stream: Stream, symbol: str, frame: bytes, receive_time_ns: int) -> Batch:
    """Make a batch of books. One pattern checks all levels: a check of each takes twice as long."""
    push = read_book_push(frame)
    if not has_decimal_levels(frame):
        check_decimals(text for row in push.data for level in (*row.bids, *row.asks) for text in structs.astuple(level))
    is_snapshot = push.action == "snapshot"
    cause, depth = ("exchange", BOOK_DEPTH) if is_snapshot else (None, None)
    records = []
    for row in push.data:
        time_ms = row.ts
        records.append(
            Orderbook(
                NAME, symbol, None if time_ms is None else time_ms * 1_000_000, receive_time_ns, push.action, row.bids,
                row.asks, row.seqId, None if is_snapshot else row.prevSeqId, row.checksum or None, cause, depth,
            )
        )  # fmt: skip
    return Batch(stream, records)


def _tickers(stream: Stream, symbol: str, frame: bytes, receive_time_ns: int) -> Batch:
    return Batch(stream, [ticker_of(symbol, row, receive_time_ns) for row in read_ticker_push(frame).data])


def _candles(stream: Stream, frame: bytes, receive_time_ns: int) -> Batch:
    return Batch(stream, [candle_of(stream, row, receive_time_ns) for row in read_candle_push(frame).data])
