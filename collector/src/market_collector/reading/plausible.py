"""Checks of values that decoding accepts, but that no collector writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import filterfalse
from typing import Any

from market_collector.exchanges import has_dense_trade_ids
from market_collector.exchanges.decimals import DECIMAL, is_decimal
from market_collector.model.events import NUMBERS, AnyRecord, Candle, Data, Orderbook, SignedNumber, Trade
from market_collector.model.streams import DataType, Stream
from market_collector.reading.columns import columns, is_list_of_structs, item_hints

_are_decimals = re.compile(rf"{DECIMAL}(?:;{DECIMAL})*+").fullmatch
IMPOSSIBLE = (ValueError, KeyError, ArithmeticError)
"""Errors that the checks raise."""
LIMIT = 2**63

Check = Callable[[AnyRecord], None]


def check_ids(record: AnyRecord) -> None:
    """Raise one of `IMPOSSIBLE` for an id or an interval by which records cannot be merged."""
    match record:
        case Trade() if has_dense_trade_ids(record.exchange):
            int(record.trade_id), int(record.first_trade_id)
        case Candle():
            Stream(record.symbol, DataType.CANDLE, record.interval).candle_number(record.open_time_ns)
            float(record.volume)


def check_values(record: AnyRecord) -> None:
    """Raise one of `IMPOSSIBLE` for a value that does not fit into a column of a table."""
    fields = _fields(type(record))
    for name in fields.integers:
        value = getattr(record, name)
        if value is not None and not -LIMIT <= value < LIMIT:
            raise ValueError(f"{name}: {value} is out of range: must have at most 64 bits")
    for name in (*fields.unsigned, *fields.signed):
        if (text := getattr(record, name)) is not None:
            float(text)
    for name, numbers in fields.lists:
        for item in getattr(record, name):
            for number in numbers:
                float(getattr(item, number))


def check_numbers(record: Data) -> None:
    """Raise `ValueError` for a price or amount that is no plain decimal. Only some may be negative."""
    if isinstance(record, Orderbook):
        levels = [*record.bids, *record.asks]
        text, count = ";".join([f"{level.price};{level.amount}" for level in levels]), 2 * len(levels)
    else:
        fields = _fields(type(record))
        texts = [each for name in fields.unsigned if (each := getattr(record, name)) is not None]
        signed = [each for name in fields.signed if (each := getattr(record, name)) is not None]
        texts += [each.removeprefix("-") for each in signed]
        text, count = ";".join(texts), len(texts)
    if count and (text.count(";") != count - 1 or not _are_decimals(text)):
        odd = next(filterfalse(is_decimal, text.split(";")), text)
        raise ValueError(f"{odd[:60]!r} is not a plain decimal")


@dataclass(frozen=True, slots=True)
class _Fields:
    """Names of fields of a record type."""

    integers: tuple[str, ...]
    unsigned: tuple[str, ...]
    """Prices and amounts."""
    signed: tuple[str, ...]
    """Numbers that may be negative."""
    lists: tuple[tuple[str, tuple[str, ...]], ...]
    """Lists of structs, with the prices and amounts of these."""


@cache
def _fields(kind: type[AnyRecord] | type[Data]) -> _Fields:
    return _Fields(
        tuple(each.field for each in columns(kind) if each.hint is int),
        tuple(each.field for each in columns(kind) if each.hint in NUMBERS and each.hint != SignedNumber),
        tuple(each.field for each in columns(kind) if each.hint == SignedNumber),
        tuple((each.field, _numbers_of(each.hint)) for each in columns(kind) if is_list_of_structs(each.hint)),
    )


def _numbers_of(hint: Any) -> tuple[str, ...]:
    return tuple(name for name, each in item_hints(hint).items() if each in NUMBERS)
