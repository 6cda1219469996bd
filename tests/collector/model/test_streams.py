"""Streams: their names, and the ids of candles."""

from datetime import UTC, datetime

import pytest

from market_collector.model.streams import ACCOUNT, DataType, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)


def candles(interval: str) -> Stream:
    return Stream("BTC-USDT", DataType.CANDLE, interval)


@pytest.mark.parametrize(
    ("stream", "name"),
    [
        (TRADES, "BTC-USDT/trade"),
        (candles("1m"), "BTC-USDT/candle:1m"),
        (Stream(ACCOUNT, DataType.BALANCE), "account/balance"),
    ],
)
def test_stream_name_has_symbol_type_and_interval(stream: Stream, name: str) -> None:
    assert (str(stream), Stream.parse(name)) == (name, stream)


@pytest.mark.parametrize("name", ["", "BTC-USDT", "BTC-USDT/quotes"])
def test_other_names_are_no_streams(name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid DataType"):
        Stream.parse(name)


@pytest.mark.parametrize(
    ("interval", "opens"),
    [
        ("1m", datetime(2026, 11, 28, 13, 7, tzinfo=UTC)),
        ("4h", datetime(2026, 11, 28, 12, tzinfo=UTC)),
        ("1d", datetime(2026, 11, 28, tzinfo=UTC)),
        ("1w", datetime(2026, 11, 23, tzinfo=UTC)),  # a Monday
    ],
)
def test_candle_number_is_the_interval_that_contains_a_time(interval: str, opens: datetime) -> None:
    stream, open_ns = candles(interval), int(opens.timestamp()) * 1_000_000_000
    number = stream.candle_number(open_ns)
    assert stream.candle_open_ns(number) == open_ns
    assert stream.candle_number(open_ns - 1) == number - 1
    assert stream.candle_open_ns(number + 1) > int(datetime(2026, 11, 28, 13, 7, tzinfo=UTC).timestamp()) * 10**9


def test_ids_of_records_are_trade_ids_or_open_times_in_nanoseconds() -> None:
    assert (TRADES.format_id(105), TRADES.parse_id("105")) == ("105", 105)
    assert (candles("1m").format_id(8), candles("1m").parse_id("480000000000")) == ("480000000000", 8)


def test_positions_are_trade_ids_or_open_times_in_milliseconds() -> None:
    assert (TRADES.format_position(105), TRADES.parse_position("105")) == ("105", 105)
    assert (candles("1m").format_position(8), candles("1m").parse_position("480000")) == ("480000", 8)
    assert candles("1w").format_position(0) == str(4 * 86_400_000)


@pytest.mark.parametrize("interval", ["", "0s", "-1m", "m", "x1m"])
def test_candle_of_an_impossible_interval_has_no_number(interval: str) -> None:
    with pytest.raises(ValueError, match=r"is no interval|invalid literal"):
        candles(interval).candle_number(0)
