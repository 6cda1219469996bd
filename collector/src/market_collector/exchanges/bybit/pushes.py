"""Bybit's messages of trades, books and candles, and the records made from them."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Literal

import msgspec

from market_collector.exchanges.bybit.derivatives import FIELDS, fields_of, liquidations
from market_collector.exchanges.bybit.names import INTERVALS, NAME, SPOT, category
from market_collector.exchanges.bybit.tickers import SpotTicker, linear_ticker
from market_collector.exchanges.decimals import DECIMAL, Id, Milliseconds, check_decimals, is_decimal
from market_collector.exchanges.interface import Batch
from market_collector.model.events import Candle, Level, Orderbook, Side, Trade
from market_collector.model.streams import DataType, Stream

TradeId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
"""A UUID on linear, a long number on spot."""
SIDES: Mapping[str, Side] = {"Buy": "buy", "Sell": "sell"}


class TradeRow(msgspec.Struct, gc=False):
    """One fill; ``S`` is the taker's side.

    ``{"i":"2290000001190010739","T":1786538700833,"p":"64104.5","v":"0.00325","S":"Sell","seq":112571834644,
    "s":"BTCUSDT","BT":false,"RPI":false}`` [rec]

    ``BT`` marks a block trade, ``RPI`` a retail price improvement order, which books lack. Rows of 2023 have neither
    ``seq`` nor ``RPI`` [rec].
    """

    i: TradeId
    T: Milliseconds
    p: str
    v: str
    S: Literal["Buy", "Sell"]
    seq: Id | None = None
    BT: bool = False
    RPI: bool = False


class TradePush(msgspec.Struct, gc=False):
    """``{"topic":"publicTrade.BTCUSDT","ts":1786538700834,"type":"snapshot","data":[TradeRow, ...]}`` [rec].

    Despite its type it has new trades. Several messages may have the fills of one taker order.
    """

    data: list[TradeRow]


class BookData(msgspec.Struct, gc=False):
    """Levels as ``["75848.62","0.014895"]``; the amount "0" deletes one. ``u`` counts the messages of the topic."""

    b: list[Level]
    a: list[Level]
    u: Id


class BookPush(msgspec.Struct, gc=False):
    """A snapshot or the changes of a book.

    ``{"topic":"orderbook.50.BTCUSDT","ts":1731035685345,"type":"delta","data":{"s":"BTCUSDT",
    "b":[["75848.62","0.014895"],["75837.13","0"]],"a":[["75848.89","0.088149"]],"u":2876701,"seq":47474967823},
    "cts":1731035685342}`` [rec]

    ``cts`` is the time of the matching engine. Messages of 2023 lack it [rec].
    """

    type: Literal["snapshot", "delta"]
    ts: Milliseconds
    data: BookData
    cts: Milliseconds | None = None


class CandleRow(msgspec.Struct, gc=False):
    """A candle. ``end`` is its last millisecond; ``confirm`` is true once it is closed.

    ``{"start":1786538700000,"end":1786538759999,"interval":"1","open":"64104.5","close":"64096.4","high":"64104.5",
    "low":"64096.4","volume":"1.01673","turnover":"65173.1079222","confirm":false,"timestamp":1786538714563}`` [rec]
    """

    start: Milliseconds
    interval: str
    open: str
    close: str
    high: str
    low: str
    volume: str
    confirm: bool
    turnover: str | None = None


class CandlePush(msgspec.Struct, gc=False):
    """``{"type":"snapshot","topic":"kline.1.BTCUSDT","data":[CandleRow, ...],"ts":1786538714563}`` [rec].

    It may have the closed candle and the next one.
    """

    ts: Milliseconds
    data: list[CandleRow]


read_trade_push = msgspec.json.Decoder(TradePush).decode
read_book_push = msgspec.json.Decoder(BookPush).decode
read_candle_push = msgspec.json.Decoder(CandlePush).decode

_LEVELS = rf'(?:\["{DECIMAL}","{DECIMAL}"\],?+)*+'
has_decimal_levels = re.compile(rf'[^\[]*+\[{_LEVELS}\],"a":\[{_LEVELS}\][^\[]*+'.encode()).fullmatch
"""Matches the frame of a book, as Bybit writes it, if all its prices and amounts are plain decimals."""
find_zero = re.compile(rb'"0\.0++"\]').search
is_zero = re.compile(r"0++(?:\.0++)?+").fullmatch

Reader = Callable[[bytes, int], Batch]


def readers_of(stream: Stream, topics: Sequence[str], book_depth: int) -> dict[str, Reader]:
    """Return the readers of the stream's topics. They raise one of `UNREADABLE`."""
    match stream.data_type:
        case DataType.TRADE:
            return {topics[0]: partial(_trades, stream, stream.symbol)}
        case DataType.ORDERBOOK:
            return {topics[0]: partial(_book, stream, stream.symbol, book_depth)}
        case DataType.TICKER if category(stream.symbol) == SPOT:
            ticker = SpotTicker(stream)
            return dict(zip(topics, (ticker.read, ticker.read_book), strict=True))
        case DataType.TICKER:
            return {topics[0]: linear_ticker(stream).read}
        case DataType.CANDLE:
            return {topics[0]: partial(_candles, stream)}
        case DataType.LIQUIDATION:
            return {topics[0]: partial(liquidations, stream)}
        case kind if kind in FIELDS:
            return {topics[0]: fields_of(stream).read}
    raise ValueError(f"Bybit does not offer {stream}")


def _trades(stream: Stream, symbol: str, frame: bytes, receive_time_ns: int) -> Batch:
    records = []
    for row in read_trade_push(frame).data:
        if not (is_decimal(row.p) and is_decimal(row.v)):
            check_decimals((row.p, row.v))
        kind = kind_of(is_block=row.BT, is_rpi=row.RPI) if row.BT or row.RPI else None
        records.append(
            Trade(
                NAME, symbol, row.T * 1_000_000, receive_time_ns, row.i, row.i, 1, SIDES[row.S], row.p, row.v, row.seq,
                False, kind,
            )
        )  # fmt: skip
    return Batch(stream, records)


def kind_of(*, is_block: bool, is_rpi: bool) -> str | None:
    """Return the kind of a trade; None for an ordinary one."""
    if is_block:
        return "block"
    return "rpi" if is_rpi else None


def _book(stream: Stream, symbol: str, depth: int, frame: bytes, receive_time_ns: int) -> Batch:
    """Make a snapshot or an update, which follows the state with the number before its own."""
    push = read_book_push(frame)
    data = push.data
    bids, asks = data.b, data.a
    if not has_decimal_levels(frame) or (b'"0.0' in frame and find_zero(frame)):
        bids, asks = _checked(bids), _checked(asks)
    time_ns = (push.ts if push.cts is None else push.cts) * 1_000_000
    if push.type == "delta":
        record = Orderbook(NAME, symbol, time_ns, receive_time_ns, "update", bids, asks, data.u, data.u - 1)
    else:
        record = Orderbook(
            NAME, symbol, time_ns, receive_time_ns, "snapshot", bids, asks, data.u, None, None, "exchange", depth
        )
    return Batch(stream, [record])


def _checked(levels: list[Level]) -> list[Level]:
    """Return the levels with "0" for each zero amount. Raises ValueError."""
    check_decimals(text for level in levels for text in (level.price, level.amount))
    return [Level(level.price, "0") if is_zero(level.amount) else level for level in levels]


def _candles(stream: Stream, frame: bytes, receive_time_ns: int) -> Batch:
    push = read_candle_push(frame)
    rows = sorted(push.data, key=lambda row: row.start)
    return Batch(stream, [_candle(stream, row, push.ts, receive_time_ns) for row in rows])


def _candle(stream: Stream, row: CandleRow, time_ms: int, receive_time_ns: int) -> Candle:
    if row.interval != INTERVALS[stream.interval]:
        raise ValueError(f"a candle of {row.interval[:20]!r}")
    quote_volume = row.turnover or None
    check_decimals((row.open, row.high, row.low, row.close, row.volume, quote_volume))
    return Candle(
        NAME, stream.symbol, time_ms * 1_000_000, receive_time_ns, stream.interval, row.start * 1_000_000, row.open,
        row.high, row.low, row.close, row.volume, quote_volume, None, row.confirm,
    )  # fmt: skip
