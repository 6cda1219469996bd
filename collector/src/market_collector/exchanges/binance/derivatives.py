"""Binance's data of derivatives: mark prices with funding rates, liquidations, and open interest (section 14.1).

Loaded only when they are collected.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import msgspec

from market_collector.exchanges.binance.pushes import Reader
from market_collector.exchanges.binance.rows import NAME, is_zero
from market_collector.exchanges.decimals import Milliseconds, check_decimals, check_signed_decimals
from market_collector.exchanges.interface import Batch
from market_collector.model.events import Funding, Liquidation, MarkPrice, OpenInterest, Side, State
from market_collector.model.streams import DataType, Stream


class MarkEvent(msgspec.Struct, gc=False):
    """Mark price ``p``, index price ``i`` and the rate ``r`` that is due at ``T``, once a second.

    ``{"e":"markPriceUpdate","E":1790757176000,"s":"BTCUSDT","p":"83003.10000000","ap":"83003.10000000",
    "P":"83198.80343841","i":"83045.69043478","r":"-0.00001012","T":1790784000000,"st":1}`` [rec]

    ``P`` is the estimated price of settlement. ``T`` moves in the first event after a payment [rec]. ``i``, ``P`` and
    ``r`` may be absent or "".
    """

    e: Literal["markPriceUpdate"]
    E: Milliseconds
    p: str
    T: Milliseconds
    i: str | None = None
    P: str | None = None
    r: str | None = None


class MarkPush(msgspec.Struct, gc=False):
    """Wire type: ``{"stream":"btcusdt@markPrice@1s","data":MarkEvent}``."""

    data: MarkEvent


class PremiumRow(msgspec.Struct, gc=False):
    """The same over REST, where the rate that is due next is named ``lastFundingRate``.

    ``{"symbol":"BTCUSDT","markPrice":"11793.63104562","indexPrice":"11781.80495970",
    "estimatedSettlePrice":"11781.16138815","lastFundingRate":"0.00038246","interestRate":"0.00010000",
    "nextFundingTime":1597392000000,"time":1597370495002}``
    """

    E: Milliseconds = msgspec.field(name="time")
    p: str = msgspec.field(name="markPrice")
    T: Milliseconds = msgspec.field(name="nextFundingTime")
    i: str | None = msgspec.field(name="indexPrice", default=None)
    P: str | None = msgspec.field(name="estimatedSettlePrice", default=None)
    r: str | None = msgspec.field(name="lastFundingRate", default=None)


class LiquidationOrder(msgspec.Struct, gc=False):
    """The order that closes a position.

    ``{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910","ap":"9910","X":"FILLED","l":"0.014",
    "z":"0.014","T":1568014460893}``

    ``q`` is its amount at the price ``p``; ``z`` has been filled at the average price ``ap``.
    """

    S: Literal["BUY", "SELL"]
    q: str
    p: str
    ap: str
    z: str
    T: Milliseconds


class LiquidationEvent(msgspec.Struct, gc=False):
    """Wire type: ``{"e":"forceOrder","E":1568014460893,"o":LiquidationOrder}``."""

    e: Literal["forceOrder"]
    o: LiquidationOrder


class LiquidationPush(msgspec.Struct, gc=False):
    """Wire type: ``{"stream":"btcusdt@forceOrder","data":LiquidationEvent}``."""

    data: LiquidationEvent


class InterestAnswer(msgspec.Struct, gc=False):
    """``{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}``, in base currency."""

    openInterest: str
    time: Milliseconds


class SettledRow(msgspec.Struct, gc=False):
    """A rate that was paid; the time may be some milliseconds after the payment.

    ``{"symbol":"BTCUSDT","fundingRate":"0.00010000","fundingTime":1570636800000,"markPrice":"34287.54619963"}``

    ``markPrice`` is "" for old ones.
    """

    fundingRate: str
    fundingTime: Milliseconds
    markPrice: str = ""


read_mark_push = msgspec.json.Decoder(MarkPush).decode
read_liquidation_push = msgspec.json.Decoder(LiquidationPush).decode
CLOSED: Mapping[str, tuple[Side, Literal["long", "short"]]] = {"SELL": ("sell", "long"), "BUY": ("buy", "short")}
"""Side of the order and of the position, by the side of the order."""

# -- states, from an event or a row of REST


def _funding(symbol: str, event: MarkEvent | PremiumRow, receive_time_ns: int) -> Funding | None:
    """A rate whose time has passed is not known: the event with the next time is still to come."""
    index = event.i or None
    check_signed_decimals((event.r or None,))
    check_decimals((event.p, index))
    if not event.r or event.T <= event.E:
        return None
    return Funding(
        NAME, symbol, event.E * 1_000_000, receive_time_ns, "predicted", event.r, None, event.T * 1_000_000, None,
        None, event.p, index,
    )  # fmt: skip


def _mark_price(symbol: str, event: MarkEvent | PremiumRow, receive_time_ns: int) -> MarkPrice:
    index, settlement = event.i or None, event.P or None
    check_decimals((event.p, index, settlement))
    return MarkPrice(NAME, symbol, event.E * 1_000_000, receive_time_ns, event.p, index, settlement)


MAKERS: Mapping[DataType, Callable[[str, MarkEvent | PremiumRow, int], State | None]] = {
    DataType.FUNDING: _funding,
    DataType.MARKPRICE: _mark_price,
}


def state_of(stream: Stream, row: PremiumRow) -> State | None:
    """Return the state in an answer about one symbol. Raises ValueError."""
    return MAKERS[stream.data_type](stream.symbol, row, 0)


def open_interest_of(symbol: str, answer: InterestAnswer, receive_time_ns: int) -> OpenInterest:
    """Make the record of an answer. Raises ValueError."""
    check_decimals((answer.openInterest,))
    return OpenInterest(
        NAME, symbol, answer.time * 1_000_000, receive_time_ns, answer.openInterest, None, None, None, polled=True
    )


def settled_of(symbol: str, receive_time_ns: int, row: SettledRow) -> Funding:
    """Make the record of a settled rate. The answer has no time of its own. Raises ValueError."""
    mark, due_ns = row.markPrice or None, row.fundingTime * 1_000_000
    check_signed_decimals((row.fundingRate,))
    check_decimals((mark,))
    return Funding(
        NAME, symbol, None, receive_time_ns, "settled", row.fundingRate, None, due_ns, None, None, mark, None
    )  # fmt: skip


# -- frames


def reader_of(stream: Stream) -> Reader:
    """Return the reader of the stream's frames. It raises one of `UNREADABLE`."""
    if stream.data_type is DataType.LIQUIDATION:
        return partial(_liquidation, stream)
    return partial(_state, stream)


def _state(stream: Stream, frame: bytes, receive_time_ns: int) -> Batch:
    state = MAKERS[stream.data_type](stream.symbol, read_mark_push(frame).data, receive_time_ns)
    return Batch(stream, [] if state is None else [state])


def _liquidation(stream: Stream, frame: bytes, receive_time_ns: int) -> Batch:
    """Binance pushes only the largest liquidation of a second and symbol, so it does not report all."""
    order = read_liquidation_push(frame).data.o
    check_decimals((order.q, order.p, order.ap, order.z))
    side, position = CLOSED[order.S]
    average = None if is_zero(order.ap) else order.ap
    record = Liquidation(
        NAME, stream.symbol, order.T * 1_000_000, receive_time_ns, None, side, position, order.p, average, order.q,
        order.z, complete=False,
    )  # fmt: skip
    return Batch(stream, [record])
