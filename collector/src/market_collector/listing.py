"""The command ``market-collector exchanges``: what each exchange offers, and the catalogue of one."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from market_collector.book.rule import Proof
from market_collector.errors import InputError
from market_collector.exchanges import EXCHANGES, is_partial
from market_collector.exchanges.interface import REST, WEBSOCKET, Exchange
from market_collector.model.events import Instrument
from market_collector.model.streams import DataType
from market_collector.net.catalogue import catalogue
from market_spec.exchanges import CAPABILITIES, KINDS_OF_TYPES
from market_spec.messages import not_among
from market_spec.names import KINDS

CONNECTION = "connection"
"""Nothing in the data shows a loss: only the times at which a connection was down are known."""
PARTIAL = "nothing (a part of all)"
"""The exchange itself reports only a part."""
BOOKS = {Proof.CHECKSUM: "checksums", Proof.CONNECTION: "message numbers"}
PROOFS = {
    DataType.TRADE: "ids",
    DataType.CANDLE: "open times",
    DataType.BALANCE: "whole accounts",
}
Row = Mapping[str, Any]


def print_exchanges(name: str | None, output: str, rest_endpoint: str | None) -> int:
    """Print the exchanges, or the catalogue of one; returns the exit code.

    Raises:
        InputError: there is no such exchange here.
        RequestFailedError: the exchange does not answer.
    """
    rows = [_offer(each) for each in EXCHANGES.values()] if name is None else _catalogue(name, rest_endpoint)
    if output == "json":
        print(json.dumps(rows, indent=2))
    elif name is None:
        print("\n".join(_table([line for row in rows for line in _by_type(row)], TYPE_COLUMNS)))
    else:
        print("\n".join(_table(rows, INSTRUMENT_COLUMNS)))
    return 0


# -- exchanges

TYPE_COLUMNS = {
    "EXCHANGE": "exchange",
    "DATA TYPE": "type",
    "KINDS": "kinds",
    "PROVED BY": "proof",
    "DEPTHS, INTERVALS": "choices",
}
CHOICES = {DataType.ORDERBOOK: "orderbookDepths", DataType.CANDLE: "candleIntervals"}


def _offer(exchange: Exchange) -> Row:
    return {
        "exchange": exchange.name,
        "kinds": list(CAPABILITIES[exchange.name].kinds),
        "dataTypes": sorted(exchange.offers),
        "orderbookDepths": list(exchange.book_depths),
        "candleIntervals": list(exchange.candle_intervals),
        "proofs": {str(data_type): proof_of(exchange, data_type) for data_type in sorted(exchange.offers)},
        "websocket": exchange.hosts[WEBSOCKET],
        "rest": exchange.hosts[REST],
    }


def _by_type(offer: Row) -> Iterator[Row]:
    """A line of the table for each data type, in the order of the spec."""
    for each in filter(offer["proofs"].__contains__, DataType):
        kinds = [kind for kind in offer["kinds"] if kind in KINDS_OF_TYPES.get(each, KINDS)]
        yield {
            "exchange": offer["exchange"],
            "type": each,
            "kinds": None if each is DataType.BALANCE else kinds,
            "proof": offer["proofs"][each],
            "choices": offer.get(CHOICES.get(each, "")),
        }


def proof_of(exchange: Exchange, data_type: DataType) -> str:
    """The part of the data that shows whether a record of this type was lost."""
    if is_partial(exchange.name, data_type):
        return PARTIAL
    if data_type in (DataType.ORDERBOOK, DataType.QUOTE):
        return BOOKS.get(exchange.books.proof, "sequences")
    if data_type is DataType.TRADE and not exchange.has_dense_trade_ids:
        return "overlaps"
    return PROOFS.get(data_type, CONNECTION)


# -- instruments

INSTRUMENT_COLUMNS = {
    "SYMBOL": "symbol",
    "NATIVE": "nativeSymbol",
    "KIND": "kind",
    "SETTLED IN": "settlement",
    "TICK": "priceIncrement",
    "LOT": "amountIncrement",
    "UNIT": "amountUnit",
    "CONTRACT": "contractSize",
    "STATE": "status",
}


def _catalogue(name: str, rest_endpoint: str | None) -> list[Row]:
    if name not in EXCHANGES:
        raise InputError(f"exchanges: {not_among(name, sorted(EXCHANGES))}")
    return [_instrument(each) for each in catalogue(EXCHANGES[name], rest_endpoint)]


def _instrument(instrument: Instrument) -> Row:
    return {
        "symbol": instrument.symbol,
        "nativeSymbol": instrument.native_symbol,
        "kind": instrument.kind,
        "base": instrument.base,
        "quote": instrument.quote,
        "settlement": instrument.settlement,
        "priceDecimals": decimals_of(instrument.price_increment),
        "amountDecimals": decimals_of(instrument.amount_increment),
        "priceIncrement": instrument.price_increment,
        "amountIncrement": instrument.amount_increment,
        "amountUnit": instrument.amount_unit,
        "contractSize": instrument.contract_size,
        "contractUnit": instrument.contract_unit,
        "status": instrument.status,
    }


def decimals_of(increment: str | None) -> int | None:
    """The digits after the point of the multiples of an increment; None if that is unknown."""
    if increment is None:
        return None
    return len(increment.rstrip("0").partition(".")[2]) if "." in increment else 0


# -- tables


def _table(rows: Sequence[Row], columns: Mapping[str, str]) -> list[str]:
    lines = [list(columns), *([_cell(row[field]) for field in columns.values()] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def _cell(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
