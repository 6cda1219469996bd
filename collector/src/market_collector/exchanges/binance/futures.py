"""Binance's USD-M perpetuals: wire types that differ from spot, and the records made from them (section 14).

Loaded only when perpetuals are collected. Numbers have the decimals of the instrument, not always 8.
"""

import re
from functools import partial
from typing import Literal

import msgspec

from market_collector.exchanges.binance.pushes import Reader
from market_collector.exchanges.binance.rows import NAME, checked_levels, taker_side
from market_collector.exchanges.decimals import DECIMAL, Id, Milliseconds, check_decimals, is_decimal
from market_collector.exchanges.interface import Batch
from market_collector.model.events import Level, Orderbook, Trade
from market_collector.model.streams import DataType, Stream


class Aggregate(msgspec.Struct, gc=False):
    """The fills of one taker order at one price; the ids ``a`` are dense, and ``f`` to ``l`` are those of the fills.

    ``{"e":"aggTrade","E":1789469121904,"a":3091,"s":"BTCUSDT","p":"77021.6","q":"0.012","nq":"0.012","f":7120,
    "l":7122,"T":1789469121836,"m":false}``. REST's rows have the same names without ``e``, ``E`` and ``s``.
    """

    a: Id
    p: str
    q: str
    f: Id
    l: Id  # noqa: E741 - the exchange's name
    T: Milliseconds
    m: bool


class AggregatePush(msgspec.Struct, gc=False):
    """Wire type: ``{"stream":"btcusdt@aggTrade","data":Aggregate}``."""

    data: Aggregate


class DepthEvent(msgspec.Struct, gc=False):
    """The changed levels of a book. ``pu`` is the ``u`` of the event before, while ``U`` may be far above it [rec].

    ``{"e":"depthUpdate","E":1789469121904,"T":1789469121836,"s":"BTCUSDT","ps":"BTCUSDT","U":429012275424,
    "u":429012275789,"pu":429012275360,"b":[],"a":[["77021.60","650.0043"]],"st":1}`` [rec]

    ``T`` is the time of the matching engine.
    """

    e: Literal["depthUpdate"]
    T: Milliseconds
    u: Id
    pu: Id
    b: list[Level]
    a: list[Level]


class DepthPush(msgspec.Struct, gc=False):
    """Wire type: ``{"stream":"btcusdt@depth@100ms","data":DepthEvent}``."""

    data: DepthEvent


read_aggregate = msgspec.json.Decoder(AggregatePush).decode
read_depth = msgspec.json.Decoder(DepthPush).decode

_LEVELS = rf'(?:\["{DECIMAL}","{DECIMAL}"\],?+)*+'
has_decimal_levels = re.compile(rf'[^\[]*+\[{_LEVELS}\],"a":\[{_LEVELS}\][^\[]*+'.encode()).fullmatch
"""Matches the frame of a book, as Binance writes it, if all its prices and amounts are plain decimals."""
find_zero = re.compile(rb'"0\.0++"\]').search


def reader_of(stream: Stream) -> Reader | None:
    """Return the reader of the stream's frames; None if they are those of spot. It raises one of `UNREADABLE`."""
    match stream.data_type:
        case DataType.TRADE:
            return partial(_trade, stream)
        case DataType.ORDERBOOK:
            return partial(_depth, stream)
    return None


def _trade(stream: Stream, frame: bytes, receive_time_ns: int) -> Batch:
    return Batch(stream, [trade_of(stream.symbol, read_aggregate(frame).data, receive_time_ns)])


def trade_of(symbol: str, row: Aggregate, receive_time_ns: int, *, is_history: bool = False) -> Trade:
    """Make the record of an aggregate trade. Raises ValueError."""
    if not (is_decimal(row.p) and is_decimal(row.q)):
        check_decimals((row.p, row.q))
    if row.l < row.f:
        raise ValueError(f"the fills end with {row.l}, before the first one {row.f}")
    trade_id, side = str(row.a), taker_side(is_buyer_maker=row.m)
    return Trade(
        NAME, symbol, row.T * 1_000_000, receive_time_ns, trade_id, trade_id, row.l - row.f + 1, side, row.p, row.q,
        None, is_history,
    )  # fmt: skip


def _depth(stream: Stream, frame: bytes, receive_time_ns: int) -> Batch:
    """Make an update, which follows each state from ``pu`` to before ``u``."""
    event = read_depth(frame).data
    bids, asks = event.b, event.a
    if not has_decimal_levels(frame) or (b'"0.0' in frame and find_zero(frame)):
        bids, asks = checked_levels(bids), checked_levels(asks)
    if event.u < event.pu:
        raise ValueError(f"the update ids end with {event.u}, before the last one {event.pu}")
    update = Orderbook(
        NAME, stream.symbol, event.T * 1_000_000, receive_time_ns, "update", bids, asks, event.u, event.pu
    )  # fmt: skip
    return Batch(stream, [update])
