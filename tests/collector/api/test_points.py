"""Callbacks receive plain data, the exchange's time, and the field names of the records."""

from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest
from msgspec.structs import replace

from market_collector.api.points import data_point, data_type, stream_event
from market_collector.model.events import AnyData, Candle, Data, Level, Orderbook, Ticker, Trade
from market_collector.model.streams import DataType
from record_lines import lines
from records import funding, gap, liquidation

TRADE = Trade("okx", "BTC-USDT", 1_700_000_000_123_456_789, 1_700_000_001_000_000_000, "7", "7", 1, "buy", "1.10", "2")
OPEN_NS = 1_699_999_920_000_000_000
CANDLE = Candle(
    "okx", "BTC-USDT", None, 1_700_000_001_000_000_000, "1m", OPEN_NS, "1", "2", "1", "2", "9", None, None, True
)
BOOK = Orderbook("okx", "BTC-USDT", 1, 2, "update", [Level("1", "0")], [], 5, 4)


def test_a_trade_is_a_point_with_its_fields_and_the_exchanges_time() -> None:
    point = data_point(TRADE)
    assert (point.exchange, point.symbol, point.data_type) == ("okx", "BTC-USDT", DataType.TRADE)
    assert point.data["trade_id"] == "7"
    assert (point.data["price"], point.data["amount"], point.data["side"]) == ("1.10", "2", "buy")
    assert point.timestamp == datetime(2023, 11, 14, 22, 13, 20, 123_456, UTC)


def test_timestamp_of_a_candle_is_its_open_time() -> None:
    assert data_point(CANDLE).timestamp == datetime(2023, 11, 14, 22, 12, tzinfo=UTC)


def test_timestamp_without_a_time_of_the_exchange_is_that_of_receipt() -> None:
    ticker = Ticker("okx", "BTC-USDT", None, 1_700_000_001_000_000_000, *[None] * 11)
    assert data_point(ticker).timestamp == datetime(2023, 11, 14, 22, 13, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    "record", [TRADE, CANDLE, BOOK, funding(1), liquidation(1)], ids=lambda record: type(record).__name__
)
def test_the_fields_are_those_of_the_json_lines(record: Data) -> None:
    point = data_point(record)
    assert point.data == msgspec.json.decode(lines([record]))
    assert point.record == record


def test_each_callback_has_a_dictionary_of_its_own() -> None:
    data_point(BOOK).data["bids"].clear()
    assert data_point(BOOK).data["bids"] == [["1", "0"]]


def test_every_kind_of_record_has_its_data_type() -> None:
    kinds: tuple[type[Data], ...] = get_args(AnyData)
    assert sorted(data_type(kind) for kind in kinds) == sorted(DataType)


def test_an_event_tells_its_kind_and_bounds() -> None:
    event = stream_event(replace(gap("g", 1, 3), receive_time_ns=1_700_000_001_000_000_000))
    assert (event.kind, event.symbol, event.data["first_id"], event.data["last_id"]) == ("gap", "BTC-USDT", "1", "3")
    assert event.timestamp == datetime(2023, 11, 14, 22, 13, 21, tzinfo=UTC)
