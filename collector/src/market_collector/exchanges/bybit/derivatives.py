"""Bybit's data of derivatives: fields of linear tickers, and liquidations (section 5.4)."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from market_collector.exchanges.bybit.names import NAME
from market_collector.exchanges.bybit.tickers import Changed, ChangePush, Fields, LinearFields, Maker, ReadPush
from market_collector.exchanges.decimals import LATEST_MS, Milliseconds, check_decimals, check_signed_decimals
from market_collector.exchanges.interface import Batch
from market_collector.model.events import Funding, Liquidation, MarkPrice, OpenInterest, Side, State
from market_collector.model.streams import DataType, Stream


class FundingFields(msgspec.Struct, gc=False):
    """``"fundingRate":"-0.00007774","nextFundingTime":"1790784000000","fundingIntervalHour":"8"`` [rec]."""

    fundingRate: Changed = msgspec.UNSET
    nextFundingTime: Changed = msgspec.UNSET
    fundingIntervalHour: Changed = msgspec.UNSET


class MarkFields(msgspec.Struct, gc=False):
    """``"markPrice":"83024.70","indexPrice":"83074.01"`` [rec]."""

    markPrice: Changed = msgspec.UNSET
    indexPrice: Changed = msgspec.UNSET


class InterestFields(msgspec.Struct, gc=False):
    """``"singleOpenInterest":"28559.256","singleOpenInterestValue":"2371123661.62"`` in base and quote currency [rec].

    ``openInterest`` counts both sides, so it is twice as much [rec].
    """

    singleOpenInterest: Changed = msgspec.UNSET
    singleOpenInterestValue: Changed = msgspec.UNSET


class LiquidationRow(msgspec.Struct, gc=False):
    """``{"T":1739502302929,"s":"ROSEUSDT","S":"Sell","v":"20000","p":"0.04499"}``.

    ``S`` is the side of the position: "Buy" is a long one. ``p`` is its bankruptcy price.
    """

    T: Milliseconds
    S: Literal["Buy", "Sell"]
    v: str
    p: str


class LiquidationPush(msgspec.Struct, gc=False):
    """``{"topic":"allLiquidation.ROSEUSDT","type":"snapshot","ts":1739502303204,"data":[LiquidationRow, ...]}``."""

    data: list[LiquidationRow]


read_liquidation_push = msgspec.json.Decoder(LiquidationPush).decode
CLOSED: Mapping[str, tuple[Side, Literal["long", "short"]]] = {"Buy": ("sell", "long"), "Sell": ("buy", "short")}
"""Side of the order and of the position, by the side of the position."""

# -- states, from fields that are strings or None


def _funding(symbol: str, time_ns: int, receive_time_ns: int, fields: Fields) -> State | None:
    """A rate whose time has passed is not known: the change with the next time is still to come."""
    rate, due, hours = fields
    check_signed_decimals((rate,))
    check_decimals((due, hours))
    if rate is None or due is None or not time_ns < int(due) * 1_000_000 <= LATEST_MS * 1_000_000:
        return None  # the time is "0" before the listing
    interval_s = None if hours is None else int(hours) * 3600
    return Funding(
        NAME, symbol, time_ns, receive_time_ns, "predicted", rate, None, int(due) * 1_000_000, None, interval_s, None,
        None,
    )  # fmt: skip


def _mark_price(symbol: str, time_ns: int, receive_time_ns: int, fields: Fields) -> State | None:
    check_decimals(fields)
    mark, index = fields
    return None if mark is None else MarkPrice(NAME, symbol, time_ns, receive_time_ns, mark, index, None)


def _open_interest(symbol: str, time_ns: int, receive_time_ns: int, fields: Fields) -> State | None:
    check_decimals(fields)
    amount, value = fields
    if amount is None:
        return None
    return OpenInterest(NAME, symbol, time_ns, receive_time_ns, amount, None, value, None, polled=False)


FIELDS: Mapping[DataType, type[msgspec.Struct]] = {
    DataType.FUNDING: FundingFields,
    DataType.MARKPRICE: MarkFields,
    DataType.OPENINTEREST: InterestFields,
}
MAKERS: Mapping[DataType, Maker] = {
    DataType.FUNDING: _funding,
    DataType.MARKPRICE: _mark_price,
    DataType.OPENINTEREST: _open_interest,
}
_PUSHES: Mapping[DataType, ReadPush] = {
    DataType.FUNDING: msgspec.json.Decoder(ChangePush[FundingFields]).decode,
    DataType.MARKPRICE: msgspec.json.Decoder(ChangePush[MarkFields]).decode,
    DataType.OPENINTEREST: msgspec.json.Decoder(ChangePush[InterestFields]).decode,
}


def fields_of(stream: Stream) -> LinearFields:
    """Return the reader of a state's fields in the messages of a linear ticker."""
    return LinearFields(stream, _PUSHES[stream.data_type], MAKERS[stream.data_type])


def state_of(stream: Stream, row: msgspec.Raw, time_ms: int) -> State | None:
    """Return the state in a row of REST's tickers. Raises one of `UNREADABLE`."""
    fields = msgspec.structs.astuple(msgspec.json.decode(row, type=FIELDS[stream.data_type]))
    given = [None if each is msgspec.UNSET else each or None for each in fields]
    return MAKERS[stream.data_type](stream.symbol, time_ms * 1_000_000, 0, given)


def liquidations(stream: Stream, frame: bytes, receive_time_ns: int) -> Batch:
    """Read a message of liquidations. Bybit reports all of them."""
    records = []
    for row in read_liquidation_push(frame).data:
        check_decimals((row.v, row.p))
        side, position = CLOSED[row.S]
        records.append(
            Liquidation(
                NAME, stream.symbol, row.T * 1_000_000, receive_time_ns, None, side, position, row.p, None, row.v, None,
                complete=True,
            )
        )  # fmt: skip
    return Batch(stream, records)
