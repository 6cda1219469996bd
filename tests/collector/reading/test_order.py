"""Order of records."""

import pytest
from msgspec.structs import replace

from market_collector.model.events import Record
from market_collector.reading.order import event_time_ns, order
from records import at, candle, connected, quote, snapshot, ticker, trade, update

ORDERED: list[list[Record]] = [
    [trade(9, 1), trade(10, 1), trade(2, 2)],
    [update(4, 5, 1), snapshot(5, 1), update(5, 6, 1), snapshot(1, 2)],
    [replace(candle(1, backfilled=True), receive_time_ns=at(999)), candle(2)],
    [ticker(1), ticker(2)],
    [quote(7, 1), quote(8, 1), quote(1, 2)],
    [connected(1), connected(2)],
]


@pytest.mark.parametrize("records", ORDERED, ids=lambda records: type(records[0]).__name__)
def test_order_is_by_time_and_number(records: list[Record]) -> None:
    backwards = records[::-1]
    assert sorted(backwards, key=order) == records


def test_event_time_is_the_receive_time_if_the_exchange_sends_none() -> None:
    assert [event_time_ns(trade(1)), event_time_ns(connected(3))] == [at(1), at(3)]
