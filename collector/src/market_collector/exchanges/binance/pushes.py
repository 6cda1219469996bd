"""Binance's market data: the wire types of events on a combined connection, and the records made from them."""

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import msgspec

from market_collector.exchanges.binance.rows import NAME, checked_levels, is_perpetual, is_zero, taker_side
from market_collector.exchanges.decimals import Id, Milliseconds, check_decimals, is_decimal
from market_collector.exchanges.interface import Batch
from market_collector.model.events import Candle, Level, Orderbook, Ticker, Trade
from market_collector.model.streams import LARGEST_ID, OF_DERIVATIVES, DataType, Stream

LastId = Annotated[int, msgspec.Meta(ge=-1, le=LARGEST_ID)]
"""A trade id; -1 stands for none."""


class TradeEvent(msgspec.Struct, gc=False):
    """One fill.

    ``{"e":"trade","E":1789295134226,"s":"BTCUSDT","t":388510,"p":"76745.19000000","q":"0.00065000",
    "T":1789295134225,"m":false,"M":true}`` [rec]

    ``T`` is the time of the trade, ``E`` that of the event. ``m``: the buyer was the maker, so the taker sold.
    """

    e: Literal["trade"]
    t: Id
    p: str
    q: str
    T: Milliseconds
    m: bool


class TradePush(msgspec.Struct, gc=False):
    """``{"stream":"btcusdt@trade","data":TradeEvent}``; ``stream`` selected the reader and is not decoded again."""

    data: TradeEvent


class DepthEvent(msgspec.Struct, gc=False):
    """The changed levels of a book with the update ids ``U`` to ``u``; the amount "0.00000000" deletes a level.

    ``{"e":"depthUpdate","E":1633998512068,"s":"NKNUSDT","U":499869750,"u":499869752,
    "b":[["0.35130000","6195.00000000"]],"a":[]}`` [rec]
    """

    e: Literal["depthUpdate"]
    E: Milliseconds
    U: Id
    u: Id
    b: list[Level]
    a: list[Level]


class DepthPush(msgspec.Struct, gc=False):
    """Wire type: ``{"stream":"btcusdt@depth@100ms","data":DepthEvent}``."""

    data: DepthEvent


class TickerEvent(msgspec.Struct, gc=False):
    """The last 24 hours, with best bid ``b``, best ask ``a``, last price ``c`` and last trade id ``L``.

    Perpetuals have no best prices. Any field may be absent or "".

    ``{"e":"24hrTicker","E":1672515782136,"s":"BNBBTC","p":"0.0015","P":"250.00","w":"0.0018","x":"0.0009",
    "c":"0.0025","Q":"10","b":"0.0024","B":"10","a":"0.0026","A":"100","o":"0.0010","h":"0.0025","l":"0.0010",
    "v":"10000","q":"18","O":0,"C":86400000,"F":0,"L":18150,"n":18151}``
    """

    e: Literal["24hrTicker"]
    E: Milliseconds | None = None
    b: str | None = None
    B: str | None = None
    a: str | None = None
    A: str | None = None
    c: str | None = None
    Q: str | None = None
    o: str | None = None
    h: str | None = None
    l: str | None = None  # noqa: E741 - the exchange's name
    v: str | None = None
    q: str | None = None
    L: LastId | None = None


class TickerPush(msgspec.Struct, gc=False):
    """Wire type: ``{"stream":"btcusdt@ticker","data":TickerEvent}``."""

    data: TickerEvent


class Kline(msgspec.Struct, gc=False):
    """A candle. ``T`` is its last millisecond, ``n`` the number of fills. ``x`` is true once it is closed.

    ``{"t":1787380860000,"T":1787380919999,"s":"BTCUSDT","i":"1m","f":6601225492,"L":6601226390,
    "o":"77560.64000000","c":"77539.56000000","h":"77568.87000000","l":"77539.56000000","v":"2.89566000","n":899,
    "x":false,"q":"224590.84896810","V":"1.51980000","Q":"117873.71400110","B":"0"}`` [rec]
    """

    t: Milliseconds
    i: str
    o: str
    c: str
    h: str
    l: str  # noqa: E741 - the exchange's name
    v: str
    n: Id
    x: bool
    q: str | None = None


class CandleEvent(msgspec.Struct, gc=False):
    """Wire type: ``{"e":"kline","E":1787380868016,"s":"BTCUSDT","k":Kline}`` [rec]."""

    e: Literal["kline"]
    E: Milliseconds
    k: Kline


class CandlePush(msgspec.Struct, gc=False):
    """Wire type: ``{"stream":"btcusdt@kline_1m","data":CandleEvent}``."""

    data: CandleEvent


read_trade_push = msgspec.json.Decoder(TradePush).decode
read_depth_push = msgspec.json.Decoder(DepthPush).decode
read_ticker_push = msgspec.json.Decoder(TickerPush).decode
read_candle_push = msgspec.json.Decoder(CandlePush).decode

_DELETED, _DELETION = b'"0.00000000"]', b'"0"         ]'
"""Of one length, by white space that JSON allows. The replacement then takes half the time."""
_LEVELS = r'(?:\["[0-9]{1,40}+\.[0-9]{1,40}+","(?:0" *+|[0-9]{1,40}+\.[0-9]{8}+")\],?+)*+'
_HEAD = r'\{"stream":"[^"]++","data":\{"e":"depthUpdate","E":[0-9]++,"s":"[^"]++","U":[0-9]++,"u":[0-9]++,'
has_usual_levels = re.compile(f'{_HEAD}"b":\\[{_LEVELS}\\],"a":\\[{_LEVELS}\\]\\}}\\}}'.encode()).fullmatch
"""Matches the frame of a book, as Binance writes it, if all its prices and amounts are plain decimals, prices have a
point, and amounts have 8 decimals or are "0"."""

Reader = Callable[[bytes, int], Batch]


def reader_of(stream: Stream) -> Reader:
    """Return the reader of the stream's frames. It raises one of `UNREADABLE`."""
    if stream.data_type in OF_DERIVATIVES:
        from market_collector.exchanges.binance import derivatives  # here and below: loaded only for them

        return derivatives.reader_of(stream)
    if is_perpetual(stream.symbol):
        from market_collector.exchanges.binance import futures

        if (reader := futures.reader_of(stream)) is not None:
            return reader
    match stream.data_type:
        case DataType.TRADE:
            return partial(_trade, stream, stream.symbol)
        case DataType.ORDERBOOK:
            return partial(_depth, stream, stream.symbol)
        case DataType.TICKER:
            return partial(_ticker, stream, stream.symbol)
        case DataType.CANDLE:
            return partial(_candle, stream)
    raise ValueError(f"Binance does not offer {stream}")


def _trade(stream: Stream, symbol: str, frame: bytes, receive_time_ns: int) -> Batch:
    event = read_trade_push(frame).data
    if not (is_decimal(event.p) and is_decimal(event.q)):
        check_decimals((event.p, event.q))
    trade_id, side = str(event.t), taker_side(is_buyer_maker=event.m)
    trade = Trade(
        NAME, symbol, event.T * 1_000_000, receive_time_ns, trade_id, trade_id, 1, side, event.p, event.q
    )  # fmt: skip
    return Batch(stream, [trade])


def _depth(stream: Stream, symbol: str, frame: bytes, receive_time_ns: int) -> Batch:
    """Make an update. One replacement turns all deletions into ours, and one pattern checks all levels."""
    frame = frame.replace(_DELETED, _DELETION)
    event = read_depth_push(frame).data
    bids, asks = event.b, event.a
    if not has_usual_levels(frame):
        bids, asks = checked_levels(bids), checked_levels(asks)
    if event.u < event.U:
        raise ValueError(f"the update ids end with {event.u}, before the first one {event.U}")
    update = Orderbook(
        NAME, symbol, event.E * 1_000_000, receive_time_ns, "update", bids, asks, event.u, event.U - 1
    )  # fmt: skip
    return Batch(stream, [update])


def _ticker(stream: Stream, symbol: str, frame: bytes, receive_time_ns: int) -> Batch:
    """Make a ticker. A price of zero stands for none."""
    event = read_ticker_push(frame).data
    given = event.b, event.B, event.a, event.A, event.c, event.Q, event.o, event.h, event.l, event.v, event.q
    numbers = [text or None for text in given]
    check_decimals(numbers)
    bid, bid_amount, ask, ask_amount, last, last_amount, *prices, volume, quote_volume = numbers
    best = *_quoted(bid, bid_amount), *_quoted(ask, ask_amount)
    day = *_quoted(last, last_amount), *map(_price, prices), volume, quote_volume
    time_ns = None if event.E is None else event.E * 1_000_000
    ticker = Ticker(NAME, symbol, time_ns, receive_time_ns, *best, *day)
    return Batch(stream, [ticker], event.L)


def _quoted(price: str | None, amount: str | None) -> tuple[str | None, str | None]:
    return (None, None) if _price(price) is None else (price, amount)


def _price(text: str | None) -> str | None:
    return None if text is None or is_zero(text) else text


def _candle(stream: Stream, frame: bytes, receive_time_ns: int) -> Batch:
    event = read_candle_push(frame).data
    kline = event.k
    if kline.i != stream.interval:
        raise ValueError(f"a candle of {kline.i[:20]!r}")
    quote_volume = kline.q or None
    check_decimals((kline.o, kline.h, kline.l, kline.c, kline.v, quote_volume))
    candle = Candle(
        NAME, stream.symbol, event.E * 1_000_000, receive_time_ns, stream.interval, kline.t * 1_000_000, kline.o,
        kline.h, kline.l, kline.c, kline.v, quote_volume, kline.n, kline.x,
    )  # fmt: skip
    return Batch(stream, [candle])
