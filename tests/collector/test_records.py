"""The typed records in public: one name for each type, the same from a file, a callback and the collector."""

from typing import get_args

import msgspec
import pytest

from market_collector import records
from market_collector.api.points import data_point, stream_event
from market_collector.records import AnyRecord, Balance, Candle, Level, Orderbook, Ticker, Trade
from record_lines import lines
from records import gap, lost

TRADE = Trade("okx", "BTC-USDT", 5, 6, "7", "6", 2, "buy", "1.10", "2", 9)
RECORDS: list[AnyRecord] = [
    TRADE,
    Orderbook("okx", "BTC-USDT", 5, 6, "update", [Level("1", "0")], [Level("1.50", "3")], 5, 4, -7),
    Ticker("okx", "BTC-USDT", 5, 6, "1", None, *["2"] * 9),
    Candle("okx", "BTC-USDT", None, 6, "1m", 60, "1", "2", "1", "2", "9", None, None, True),
    Balance("okx", "account", 5, 6, "USDT", "-1", None, "0"),
    gap("g", 1, 3, from_time_ns=2, to_time_ns=4, missing=3, merges=["f"]),
    lost("g", [(1, 2)]),
]


def test_every_type_of_record_is_exported() -> None:
    assert {kind.__name__ for kind in get_args(AnyRecord)} <= set(records.__all__)
    assert all(hasattr(records, name) for name in records.__all__)


def test_every_exported_name_has_a_docstring() -> None:
    assert [name for name in records.__all__ if not getattr(records, name).__doc__] == []


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_record_is_the_same_from_a_line_and_from_a_callback(record: AnyRecord) -> None:
    assert msgspec.json.decode(lines([record]), type=AnyRecord) == record
    given = data_point(record) if isinstance(record, records.Data) else stream_event(record)
    assert given.record == record
    assert type(given.record) is type(record)


def test_record_of_changed_data_is_an_error() -> None:
    point = data_point(TRADE)
    point.data["count"] = "two"
    with pytest.raises(msgspec.ValidationError, match=r"Expected `int`, got `str` - at `\$\.count`"):
        point.record  # noqa: B018
