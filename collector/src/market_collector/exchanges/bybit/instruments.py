"""Bybit's descriptions of instruments."""

from collections.abc import Set

import msgspec

from market_collector.exchanges.bybit.names import NAME, SPOT
from market_collector.exchanges.decimals import LATEST_MS, check_decimals
from market_collector.model.events import Instrument
from market_spec.names import Name, parsed

TRADING = "Trading"
STATUSES = {TRADING: "trading", "PreLaunch": "pre_launch", "Delivering": "halted", "Closed": "delisted"}
"""Our words for Bybit's states; others are published as they are."""
PERPETUAL = "LinearPerpetual"


class Lot(msgspec.Struct, gc=False):
    """Steps and least amounts of orders: of spot ``basePrecision`` and ``minOrderAmt``, of linear the others."""

    basePrecision: str | None = None
    qtyStep: str | None = None
    minOrderQty: str | None = None
    minOrderAmt: str | None = None
    minNotionalValue: str | None = None


class PriceFilter(msgspec.Struct, gc=False):
    """``{"tickSize":"0.1"}`` [rec]."""

    tickSize: str | None = None


class InstrumentRow(msgspec.Struct, gc=False):
    """``{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","status":"Trading","priceFilter":{...},...}`` [rec].

    Contracts have ``"contractType":"LinearPerpetual"``, ``"launchTime":"1584230400000"`` and ``"settleCoin":"USDT"``.
    """

    symbol: str
    status: str
    baseCoin: str
    quoteCoin: str
    contractType: str = ""
    settleCoin: str = ""
    launchTime: str = ""
    lotSizeFilter: Lot = msgspec.field(default_factory=Lot)
    priceFilter: PriceFilter = msgspec.field(default_factory=PriceFilter)

    def name(self, category: str) -> Name | None:
        """The canonical name; None for dated futures, and for names that have none."""
        if category == SPOT:
            name = Name(self.baseCoin, self.quoteCoin)
        elif self.contractType == PERPETUAL:
            name = Name.contract(self.baseCoin, self.quoteCoin, settlement=self.settleCoin)
        else:
            return None
        try:
            return parsed(str(name))
        except ValueError:  # lowercase or other characters
            return None


class InstrumentList(msgspec.Struct, gc=False):
    """``{"category":"linear","list":[InstrumentRow, ...],"nextPageCursor":""}`` [rec]."""

    list: list[msgspec.Raw]
    category: str = SPOT
    nextPageCursor: str = ""


def instrument_of(category: str, symbols: Set[str] | None, receive_time_ns: int, raw: msgspec.Raw) -> Instrument | None:
    """Make the record of a symbol; None for others. Amounts are in the base currency in both categories."""
    row = msgspec.json.decode(raw, type=InstrumentRow)
    name = row.name(category)
    if name is None or (symbols is not None and str(name) not in symbols):
        return None
    lot = row.lotSizeFilter
    numbers = [
        text or None
        for text in (
            row.priceFilter.tickSize, lot.basePrecision or lot.qtyStep, lot.minOrderQty,
            lot.minOrderAmt or lot.minNotionalValue,
        )
    ]  # fmt: skip
    check_decimals(numbers)
    price_step, amount_step, min_amount, min_notional = numbers
    return Instrument(
        NAME, str(name), None, receive_time_ns,
        valid_from_ns=receive_time_ns,
        native_symbol=row.symbol,
        kind=name.kind,
        base=row.baseCoin,
        quote=row.quoteCoin,
        amount_unit="base",
        price_increment=price_step,
        amount_increment=amount_step,
        min_amount=min_amount,
        min_notional=min_notional,
        status=STATUSES.get(row.status, row.status),
        listed_time_ns=_nanoseconds(row.launchTime),
        trade_ids="unnumbered",
        sequence_scope="exchange",
        trades_share_sequence=False,
        trade_kinds=["block", "rpi"],
        settlement=name.settlement or None,
    )  # fmt: skip


def _nanoseconds(text: str) -> int | None:
    return int(text) * 1_000_000 if text.isdecimal() and 0 < int(text) <= LATEST_MS else None
