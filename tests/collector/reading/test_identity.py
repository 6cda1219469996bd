"""Identity of records, and which record of an identity wins."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from market_collector.model.events import Balance, Candle, Data, Record
from market_collector.reading.identity import event_time_ns, identity, is_better, order
from records import at, candle, connected, snapshot, ticker, trade, update

BALANCE = Balance("okx", "account", at(1), at(2), "USDT", "1", "1", "0")
RECORDS = [trade(1), snapshot(1), update(1, 2), ticker(1), candle(1), BALANCE]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_receive_time_does_not_change_the_identity(record: Data) -> None:
    assert identity(replace(record, receive_time_ns=at(9))) == identity(record)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
@pytest.mark.parametrize("change", [{"symbol": "ETH-USDT"}, {"exchange": "kraken"}])
def test_exchange_and_symbol_belong_to_the_identity(record: Data, change: dict[str, str]) -> None:
    assert identity(replace(record, **change)) != identity(record)


@pytest.mark.parametrize(
    ("record", "change"),
    [
        (trade(1), {"trade_id": "2"}),
        (trade(1), {"exchange_time_ns": at(7)}),
        (update(1, 2), {"sequence": 3}),
        (update(1, 2), {"action": "snapshot"}),
        (candle(1), {"interval": "1h"}),
        (candle(1), {"open_time_ns": 60}),
        (ticker(1), {"bid": "2"}),
        (BALANCE, {"asset": "BTC"}),
        (BALANCE, {"exchange_time_ns": at(7)}),
    ],
)
def test_each_part_of_the_identity_counts(record: Data, change: dict[str, object]) -> None:
    assert identity(replace(record, **change)) != identity(record)


def test_live_trade_wins_over_a_backfilled_one() -> None:
    live, backfilled = replace(trade(1), receive_time_ns=at(9)), trade(1, backfilled=True)
    assert (is_better(live, backfilled), is_better(backfilled, live)) == (True, False)


def test_closed_candle_wins_then_the_later_one() -> None:
    closed, running = candle(1), candle(1, closed=False)
    later_open = replace(running, receive_time_ns=running.receive_time_ns + 1)
    ranked: list[Candle] = [running, later_open, closed, replace(closed, receive_time_ns=closed.receive_time_ns + 1)]
    for worse, better in pairwise(ranked):
        assert (is_better(better, worse), is_better(worse, better)) == (True, False)


def test_record_received_first_wins_otherwise() -> None:
    early, late = snapshot(1), replace(snapshot(1), receive_time_ns=at(9))
    assert (is_better(early, late), is_better(late, early)) == (True, False)


ORDERED: list[list[Record]] = [
    [trade(9, 1), trade(10, 1), trade(2, 2)],
    [update(4, 5, 1), snapshot(5, 1), update(5, 6, 1), snapshot(1, 2)],
    [candle(1), candle(2)],
    [ticker(1), ticker(2)],
    [connected(1), connected(2)],
]


@pytest.mark.parametrize("records", ORDERED, ids=lambda records: type(records[0]).__name__)
def test_order_is_by_time_and_number(records: list[Record]) -> None:
    backwards = records[::-1]
    assert sorted(backwards, key=order) == records


def test_event_time_is_the_receive_time_if_the_exchange_sends_none() -> None:
    assert [event_time_ns(trade(1)), event_time_ns(connected(3))] == [at(1), at(3)]
