"""Tables of polars and pandas: columns, types and exact values."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from market_collector.errors import InputError, MissingLibraryError
from market_collector.model.events import AnyRecord, Candle, Funding, Lost, Ticker
from market_collector.reading import frames
from market_collector.reading.newer import KINDS
from records import START_NS, candle, funding, gap, lost, raw, ticker, trade, update

ODD_NS = START_NS + 123_456_789
TRADE = replace(trade(7), exchange_time_ns=ODD_NS, price="0.1", amount="12345678.12345678")
BOOK = update(1, 2, bids=[("10.5", "0"), ("10", "2")])
TABLES = [frames.to_polars, frames.to_pandas]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("table", TABLES)
def test_columns_are_the_fields_of_each_type_without_any_record(table: Any, kind: type[AnyRecord]) -> None:
    fields = [name.removesuffix("_ns") for name in kind.__struct_encode_fields__]
    assert list(table(kind, [], "float").columns) == fields


def test_polars_columns_have_types() -> None:
    table = frames.to_polars(type(TRADE), [TRADE], "float")
    time = pl.Datetime("ns", "UTC")
    types = {
        "exchange_time": time,
        "price": pl.Float64,
        "trade_id": pl.String,
        "count": pl.Int64,
        "backfilled": pl.Boolean,
    }
    assert {name: table.schema[name] for name in types} == types
    assert frames.to_polars(type(TRADE), [], "float").schema == table.schema


def test_pandas_columns_have_types() -> None:
    table = frames.to_pandas(type(TRADE), [TRADE], "float")
    types = {"exchange_time": "datetime64[ns, UTC]", "price": "float64", "count": "int64", "sequence": "Int64"}
    assert {name: str(table.dtypes[name]) for name in types} == types
    assert str(frames.to_pandas(type(TRADE), [], "float").dtypes["price"]) == "float64"


def test_times_keep_every_nanosecond() -> None:
    polars_time = frames.to_polars(type(TRADE), [TRADE], "float")["exchange_time"]
    pandas_time = frames.to_pandas(type(TRADE), [TRADE], "float")["exchange_time"]
    assert (polars_time.to_physical()[0], pandas_time[0].value) == (ODD_NS, ODD_NS)
    seconds, odd_us = divmod(ODD_NS // 1000, 1_000_000)
    assert polars_time[0] == datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=odd_us)


@pytest.mark.parametrize("table", TABLES)
def test_numbers_are_floats_or_exact_strings(table: Any) -> None:
    assert list(table(type(TRADE), [TRADE], "float")["amount"]) == [12345678.12345678]
    assert list(table(type(TRADE), [TRADE], "text")["amount"]) == ["12345678.12345678"]


@given(st.decimals(0, 10**12, allow_nan=False, allow_infinity=False, places=12).map(str))
def test_numbers_are_the_nearest_floats(number: str) -> None:
    record = replace(TRADE, price=number)
    assert [table(type(TRADE), [record], "float")["price"][0] for table in TABLES] == [float(number)] * 2


@pytest.mark.parametrize("table", TABLES)
def test_another_form_of_numbers_is_an_error(table: Any) -> None:
    with pytest.raises(InputError, match='numbers: "decimal" is not allowed: must be float or text'):
        table(type(TRADE), [TRADE], "decimal")


def test_books_are_lists_of_price_and_amount() -> None:
    bids = frames.to_polars(type(BOOK), [BOOK], "float")["bids"]
    assert bids.to_list() == [[{"price": 10.5, "amount": 0.0}, {"price": 10.0, "amount": 2.0}]]
    texts = frames.to_polars(type(BOOK), [BOOK], "text")
    assert texts["bids"].to_list() == [[{"price": "10.5", "amount": "0"}, {"price": "10", "amount": "2"}]]
    assert texts["asks"].to_list() == [[]]
    assert list(frames.to_pandas(type(BOOK), [BOOK], "float")["bids"]) == [[(10.5, 0.0), (10.0, 2.0)]]
    assert list(frames.to_pandas(type(BOOK), [BOOK], "text")["bids"]) == [[("10.5", "0"), ("10", "2")]]


@pytest.mark.parametrize("record", [ticker(1), candle(1)], ids=["ticker", "candle"])
def test_absent_values_stay_absent(record: Ticker | Candle) -> None:
    name = "bid" if type(record).__name__ == "Ticker" else "quote_volume"
    assert frames.to_polars(type(record), [record], "float")[name].to_list() == [None]
    assert frames.to_pandas(type(record), [record], "float")[name].isna().all()
    times = frames.to_pandas(type(record), [replace(record, exchange_time_ns=None)], "float")
    assert times["exchange_time"].isna().all()


def test_negative_rates_become_numbers() -> None:
    rates = frames.to_polars(Funding, [funding(1), replace(funding(2), rate=None)], "float")["rate"]
    assert rates.to_list() == [-0.0001, None]
    assert frames.to_pandas(Funding, [funding(1)], "float")["rate"].to_list() == [-0.0001]


def test_events_become_tables() -> None:
    ranges = frames.to_polars(Lost, [lost("g", [(1, 2)]), lost("h")], "float")["ranges"]
    assert ranges.to_list() == [[["1", "2"]], None]
    assert list(frames.to_pandas(Lost, [lost("g", [(1, 2)])], "float")["ranges"]) == [[("1", "2")]]
    assert list(frames.to_pandas(type(raw()), [raw()], "float")["frame"]) == ["pong"]
    assert list(frames.to_pandas(type(gap("g", 3, 4)), [gap("g", 3, 4)], "float")["first_id"]) == ["3"]


@pytest.mark.parametrize(("table", "name"), [(frames.to_polars, "polars"), (frames.to_pandas, "pandas")])
def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, table: Any, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        MissingLibraryError, match=rf"{name} is not installed\. Run pip install 'market-collector\[{name}\]'"
    ):
        table(type(TRADE), [TRADE], "float")


def test_pandas_table_is_a_table_of_pandas() -> None:
    assert isinstance(frames.to_pandas(type(TRADE), [TRADE], "float"), pd.DataFrame)
