"""OKX's data of derivatives: rows of pushes and REST answers, and the records made from them (section 5.5)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, TypeVar

import msgspec

from market_collector.errors import UNREADABLE, FrameError
from market_collector.exchanges.decimals import Milliseconds, check_decimals, check_signed_decimals
from market_collector.exchanges.interface import Batch, Message
from market_collector.exchanges.okx.rows import NAME, decode_row
from market_collector.exchanges.readable import read_shared
from market_collector.model.events import Funding, Liquidation, MarkPrice, OpenInterest, Side, State
from market_collector.model.streams import DataType, Stream

LIQUIDATIONS = "liquidation-orders"
"""The only channel that is about all instruments of a type: its ``arg`` has an ``instType`` and no ``instId``."""
CHANNELS = {
    DataType.FUNDING: "funding-rate",
    DataType.MARKPRICE: "mark-price",
    DataType.OPENINTEREST: "open-interest",
}
"""Names of the channels, and of the REST paths with the same rows."""

POSITIONS: Mapping[str, Literal["long", "short"]] = {"long": "long", "short": "short"}
"""``posSide`` is "net" for accounts that do not separate long and short positions."""


class FundingRow(msgspec.Struct, gc=False):
    """``{"fundingRate":"0.00002523","fundingTime":"1790784000000","prevFundingTime":"1790755200000"}`` [rec].

    ``fundingRate`` changes until ``fundingTime``. ``settFundingRate`` was paid at ``prevFundingTime`` if ``settState``
    is "settled"; while it is "processing", the payment is under way.
    """

    fundingTime: Milliseconds
    ts: Milliseconds
    fundingRate: str | None = None
    nextFundingRate: str | None = None
    nextFundingTime: Milliseconds | None = None
    prevFundingTime: Milliseconds | None = None
    settFundingRate: str | None = None
    settState: str = ""


class MarkRow(msgspec.Struct, gc=False):
    """``{"instId":"BTC-USDT-SWAP","instType":"SWAP","markPx":"83003.8","ts":"1790757203016"}`` [rec]."""

    markPx: str
    ts: Milliseconds


class InterestRow(msgspec.Struct, gc=False):
    """``{"oi":"2874486.99000000925","oiCcy":"28744.8699000000925","oiUsd":"2385812703.7","ts":"1790757195759"}`` [rec].

    In contracts, base currency and US dollars.
    """

    oi: str
    ts: Milliseconds
    oiCcy: str | None = None
    oiUsd: str | None = None


class LiquidationDetail(msgspec.Struct, gc=False):
    """``{"bkPx":"0.007831","posSide":"short","side":"buy","sz":"13","ts":"1692266434010",...}``; size in contracts."""

    sz: str
    ts: Milliseconds
    bkPx: str | None = None
    side: Side | None = None
    posSide: str = ""


class LiquidationRow(msgspec.Struct, gc=False):
    """``{"instId":"IOST-USDT-SWAP","details":[LiquidationDetail, ...],...}``."""

    instId: str
    details: list[msgspec.Raw]


class LiquidationPush(msgspec.Struct, gc=False):
    """``{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[LiquidationRow, ...]}``."""

    data: list[LiquidationRow]


R = TypeVar("R", FundingRow, MarkRow, InterestRow)


class Push(msgspec.Struct, gc=False):
    """``{"arg":{...},"data":[...]}``; ``arg`` has selected the reader."""

    data: list[msgspec.Raw]


read_push = msgspec.json.Decoder(Push).decode
read_liquidation_push = msgspec.json.Decoder(LiquidationPush).decode


def fundings_of(symbol: str, row: FundingRow, receive_time_ns: int) -> list[Funding]:
    """Make the record of the predicted rate, after that of the last settled one."""
    predicted = _funding(symbol, row, receive_time_ns)
    if row.settState != "settled" or not row.settFundingRate or row.prevFundingTime is None:
        return [predicted]
    check_signed_decimals((row.settFundingRate,))
    settled = msgspec.structs.replace(
        predicted,
        kind="settled",
        rate=row.settFundingRate,
        predicted_rate=None,
        funding_time_ns=row.prevFundingTime * 1_000_000,
        next_funding_time_ns=predicted.funding_time_ns,
        interval_s=None,
    )
    return [settled, predicted]


def _funding(symbol: str, row: FundingRow, receive_time_ns: int) -> Funding:
    rates = row.fundingRate or None, row.nextFundingRate or None
    check_signed_decimals(rates)
    next_ns = None if row.nextFundingTime is None else row.nextFundingTime * 1_000_000
    interval_s = None if row.prevFundingTime is None else (row.fundingTime - row.prevFundingTime) // 1000
    return Funding(
        NAME, symbol, row.ts * 1_000_000, receive_time_ns, "predicted", *rates, row.fundingTime * 1_000_000, next_ns,
        interval_s, None, None,
    )  # fmt: skip


def _mark_prices_of(symbol: str, row: MarkRow, receive_time_ns: int) -> list[MarkPrice]:
    check_decimals((row.markPx,))
    return [MarkPrice(NAME, symbol, row.ts * 1_000_000, receive_time_ns, row.markPx, None, None)]


def _open_interests_of(symbol: str, row: InterestRow, receive_time_ns: int) -> list[OpenInterest]:
    amounts = row.oi, row.oiCcy or None, row.oiUsd or None
    check_decimals(amounts)
    contracts, base, dollars = amounts
    return [
        OpenInterest(NAME, symbol, row.ts * 1_000_000, receive_time_ns, contracts, base, None, dollars, polled=False)
    ]


def _states(
    kind: type[R],
    made: Callable[[str, R, int], Sequence[State]],
    symbol: str,
    row: msgspec.Raw,
    receive_time_ns: int,
) -> Sequence[State]:
    return made(symbol, decode_row(row, kind), receive_time_ns)


STATES: Mapping[DataType, Callable[[str, msgspec.Raw, int], Sequence[State]]] = {
    DataType.FUNDING: partial(_states, FundingRow, fundings_of),
    DataType.MARKPRICE: partial(_states, MarkRow, _mark_prices_of),
    DataType.OPENINTEREST: partial(_states, InterestRow, _open_interests_of),
}
"""Makers of the records of a row, the newest state last. They raise one of `UNREADABLE`."""


def states(stream: Stream, frame: bytes, receive_time_ns: int) -> Batch:
    """Read a push of funding rates, mark prices or open interest."""
    made = STATES[stream.data_type]
    rows = read_push(frame).data
    return Batch(stream, [each for row in rows for each in made(stream.symbol, row, receive_time_ns)])


def liquidations(streams: Mapping[str, Stream], frame: bytes, receive_time_ns: int) -> Sequence[Message]:
    """Read the liquidations of these streams, by ``instId``; those of other instruments are not wanted.

    Raises:
        FrameError: there is one stream only, whose liquidations cannot be read.
    """
    rows = read_liquidation_push(frame).data
    wanted = [(streams[row.instId], row) for row in rows if row.instId in streams]
    readers = [(stream, partial(_liquidations_of, stream, row)) for stream, row in wanted]
    return read_shared(readers, frame, receive_time_ns, "OKX")


def _liquidations_of(stream: Stream, row: LiquidationRow, _: bytes, receive_time_ns: int) -> Batch:
    try:
        details = [decode_row(each, LiquidationDetail) for each in row.details]
        return Batch(stream, [_liquidation(stream.symbol, each, receive_time_ns) for each in details])
    except UNREADABLE as error:
        raise FrameError(f"OKX's liquidations of {row.instId} cannot be read: {error}", stream) from error


def _liquidation(symbol: str, detail: LiquidationDetail, receive_time_ns: int) -> Liquidation:
    """OKX pushes at most one liquidation a second and instrument, so it does not report all."""
    price = detail.bkPx or None
    check_decimals((price, detail.sz))
    return Liquidation(
        NAME, symbol, detail.ts * 1_000_000, receive_time_ns, None, detail.side, POSITIONS.get(detail.posSide), price,
        None, detail.sz, None, complete=False,
    )  # fmt: skip
