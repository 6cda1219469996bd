"""Columns follow the record types."""

import pytest

from market_collector.model.events import AnyRecord, Gap, Level, Number, Orderbook, Trade
from market_collector.reading.columns import Column, columns, is_list_of_structs, item_hints
from market_collector.reading.newer import KINDS


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_field_is_a_column(kind: type[AnyRecord]) -> None:
    names = [name.removesuffix("_ns") for name in kind.__struct_encode_fields__]
    assert [column.name for column in columns(kind)] == names


def test_columns_know_times_numbers_and_absent_values() -> None:
    trade = {column.name: column for column in columns(Trade)}
    assert trade["exchange_time"] == Column("exchange_time", "exchange_time_ns", int, is_nullable=True, is_time=True)
    assert trade["price"] == Column("price", "price", Number, is_nullable=False, is_time=False)
    assert trade["trade_id"] == Column("trade_id", "trade_id", str, is_nullable=False, is_time=False)


def test_names_are_those_of_the_json_lines() -> None:
    assert [column.name for column in columns(Gap) if column.field.endswith("_id")] == ["gap_id", "first_id", "last_id"]


def test_levels_of_a_book_are_lists_of_structs() -> None:
    hints = {column.name: column.hint for column in columns(Orderbook)}
    assert [is_list_of_structs(hints[name]) for name in ("bids", "sequence")] == [True, False]
    assert item_hints(list[Level]) == {"price": Number, "amount": Number}
