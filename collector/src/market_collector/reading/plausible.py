"""Checks of values that decoding accepts, but that no collector writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from market_collector.model.events import AnyRecord, Candle, Number, Trade
from market_collector.model.streams import DataType, Stream
from market_collector.reading.columns import columns, is_list_of_structs, item_hints

IMPOSSIBLE = (ValueError, KeyError, ArithmeticError)
"""Errors that the checks raise."""
LIMIT = 2**63

Check = Callable[[AnyRecord], None]


def check_ids(record: AnyRecord) -> None:
    """Raise one of `IMPOSSIBLE` for an id or an interval by which records cannot be merged."""
    match record:
        case Trade():
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
    for name in fields.numbers:
        if (text := getattr(record, name)) is not None:
            float(text)
    for name, numbers in fields.lists:
        for item in getattr(record, name):
            for number in numbers:
                float(getattr(item, number))


@dataclass(frozen=True, slots=True)
class _Fields:
    """Names of fields of a record type."""

    integers: tuple[str, ...]
    numbers: tuple[str, ...]
    """Prices and amounts."""
    lists: tuple[tuple[str, tuple[str, ...]], ...]
    """Lists of structs, with the prices and amounts of these."""


@cache
def _fields(kind: type[AnyRecord]) -> _Fields:
    return _Fields(
        tuple(each.field for each in columns(kind) if each.hint is int),
        tuple(each.field for each in columns(kind) if each.hint == Number),
        tuple((each.field, _numbers_of(each.hint)) for each in columns(kind) if is_list_of_structs(each.hint)),
    )


def _numbers_of(hint: Any) -> tuple[str, ...]:
    return tuple(name for name, each in item_hints(hint).items() if each == Number)
