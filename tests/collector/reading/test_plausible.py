"""Values that decoding accepts, but that no collector writes."""

import pytest
from msgspec.structs import replace

from market_collector.model.events import AnyRecord, Level
from market_collector.reading.plausible import IMPOSSIBLE, check_ids, check_values
from records import candle, connected, gap, lost, snapshot, ticker, trade, update

RECORDS: list[AnyRecord] = [
    trade(1),
    update(1, 2),
    ticker(1),
    candle(1),
    connected(),
    gap("g", 1, 2),
    lost("g", [(1, 2)]),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_of_a_collector_pass(record: AnyRecord) -> None:
    check_ids(record)
    check_values(record)


@pytest.mark.parametrize(
    "record",
    [
        replace(trade(1), trade_id="one"),
        replace(trade(1), first_trade_id=""),
        replace(candle(1), interval="1x"),
        replace(candle(1), interval="0m"),
        replace(candle(1), volume="much"),
    ],
)
def test_impossible_ids_and_intervals_are_errors(record: AnyRecord) -> None:
    with pytest.raises(IMPOSSIBLE):
        check_ids(record)


@pytest.mark.parametrize(
    "record",
    [
        replace(trade(1), exchange_time_ns=2**63),
        replace(trade(1), sequence=-(2**63) - 1),
        replace(trade(1), price="one"),
        replace(ticker(1), bid=""),
        replace(snapshot(1), asks=[Level("1", "2"), Level("3", "x")]),
    ],
)
def test_values_that_fit_into_no_column_are_errors(record: AnyRecord) -> None:
    with pytest.raises(IMPOSSIBLE):
        check_values(record)
