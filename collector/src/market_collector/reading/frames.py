"""Tables of polars and pandas. Columns follow the record types; both libraries are optional and loaded on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import astuple

from market_collector.errors import InputError, MissingLibraryError
from market_collector.model.events import NUMBERS, AnyRecord
from market_collector.reading.columns import Column, columns, is_list_of_structs, item_hints
from market_spec.messages import not_among

if TYPE_CHECKING:
    import pandas
    import polars

Numbers = Literal["float", "text"]
NOT_A_TIME = -(2**63)
ROW = ""
"""Name of a column that no record has."""


def to_polars(kind: type[AnyRecord], records: Sequence[AnyRecord], numbers: Numbers) -> polars.DataFrame:
    """Return a table of these records; see `Recorded.to_polars`."""
    _check_numbers(numbers)
    pl = _library("polars")
    table: polars.DataFrame = pl.DataFrame([_polars_series(pl, each, records, numbers) for each in columns(kind)])
    return table


def to_pandas(kind: type[AnyRecord], records: Sequence[AnyRecord], numbers: Numbers) -> pandas.DataFrame:
    """Return a table of these records; see `Recorded.to_pandas`."""
    _check_numbers(numbers)
    pd = _library("pandas")
    return pd.DataFrame({column.name: _pandas_series(pd, column, records, numbers) for column in columns(kind)})


def _check_numbers(numbers: str) -> None:
    if numbers not in get_args(Numbers):
        raise InputError(f"numbers: {not_among(numbers, get_args(Numbers))}")


def _library(name: str) -> Any:
    try:
        module: ModuleType = import_module(name)
    except ImportError as error:
        raise MissingLibraryError(f"{name} is not installed. Run pip install 'market-collector[{name}]'") from error
    return module


# -- polars


def _polars_series(pl: Any, column: Column, records: Sequence[AnyRecord], numbers: Numbers) -> Any:
    values = [getattr(record, column.field) for record in records]
    if column.is_time:
        return pl.Series(column.name, values, pl.Int64).cast(pl.Datetime("ns", "UTC"))
    if is_list_of_structs(column.hint):
        return _polars_lists(pl, column, values, numbers)
    return pl.Series(column.name, _numbers(values, column.hint, numbers), _polars_type(pl, column.hint, numbers))


def _numbers(values: Sequence[Any], hint: Any, numbers: Numbers) -> Sequence[Any]:
    """Prices and amounts as floats if so required. Other values stay as they are."""
    if hint not in NUMBERS or numbers == "text":
        return values
    return [None if each is None else float(each) for each in values]


def _polars_lists(pl: Any, column: Column, values: Sequence[Sequence[Any]], numbers: Numbers) -> Any:
    """A column of lists, made of flat columns, which takes a seventh of the time of a dictionary for each level."""
    rows = [row for row, items in enumerate(values) for _ in items]
    flat = pl.DataFrame({ROW: pl.Series(rows, dtype=pl.Int64)})
    for name, hint in item_hints(column.hint).items():
        texts = [getattr(item, name) for items in values for item in items]
        flat = flat.with_columns(pl.Series(name, _numbers(texts, hint, numbers), _polars_type(pl, hint, numbers)))
    lists = flat.group_by(ROW, maintain_order=True).agg(pl.struct(pl.exclude(ROW)).alias(column.name))
    every = pl.DataFrame({ROW: pl.Series(range(len(values)), dtype=pl.Int64)})
    joined = every.join(lists, on=ROW, how="left", maintain_order="left")[column.name]
    empty = pl.Series([[]], dtype=_polars_type(pl, column.hint, numbers))
    return joined.fill_null(pl.lit(empty))


def _polars_type(pl: Any, hint: Any, numbers: Numbers) -> Any:
    if hint in NUMBERS:
        return pl.Float64 if numbers == "float" else pl.String
    if get_origin(hint) in (list, tuple):
        return pl.List(_polars_type(pl, get_args(hint)[0], numbers))
    if isinstance(hint, type) and issubclass(hint, Struct):
        hints = get_type_hints(hint, include_extras=True)
        return pl.Struct({name: _polars_type(pl, each, numbers) for name, each in hints.items()})
    return {int: pl.Int64, bool: pl.Boolean}.get(hint, pl.String)


# -- pandas


def _pandas_series(pd: Any, column: Column, records: Sequence[AnyRecord], numbers: Numbers) -> Any:
    values = [getattr(record, column.field) for record in records]
    if column.is_time:
        return _pandas_times(pd, values)
    if column.hint in NUMBERS and numbers == "float":
        return pd.Series(_numbers(values, column.hint, numbers), dtype="float64")
    if get_origin(column.hint) is list:
        convert = float if numbers == "float" else str
        return pd.Series([_pandas_list(each, convert) for each in values], dtype="object")
    if column.hint in (int, bool):
        names = {int: ("int64", "Int64"), bool: ("bool", "boolean")}[column.hint]
        return pd.Series(values, dtype=names[column.is_nullable])
    return pd.Series(values, dtype=None if any(each is not None for each in values) else "object")


def _pandas_times(pd: Any, values: Sequence[int | None]) -> Any:
    """Times in UTC. Every nanosecond is kept, which pandas' own conversion of nullable integers does not."""
    numpy = import_module("numpy")
    whole = numpy.array([NOT_A_TIME if each is None else each for each in values], dtype="int64")
    return pd.Series(whole.view("datetime64[ns]")).dt.tz_localize("UTC")


def _pandas_list(items: Sequence[Any] | None, convert: Callable[[str], Any]) -> list[Any] | None:
    if items is None:
        return None
    return [tuple(map(convert, astuple(item))) if isinstance(item, Struct) else item for item in items]
