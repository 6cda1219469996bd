"""Order of states: open candles and tickers never go back in time, and a closed candle stays closed."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from market_collector.model.events import Candle, Record, Ticker
from market_collector.verify.order import CLOSED_KEPT
from market_collector.verify.replica import RecordError, ReplicaCheck
from records import CANDLES, TICKER, candle, open_ms, ticker


def check(*runs: list[Record]) -> ReplicaCheck:
    replica = ReplicaCheck("a")
    for records in runs:
        replica.start_run()
        for record in records:
            replica.take(record)
    replica.finish()
    return replica


def kinds(name: str, *runs: list[Record]) -> list[str]:
    return [finding.kind for finding in check(*runs).streams["okx", name].order.findings]


def duplicates(name: str, *runs: list[Record]) -> int:
    return check(*runs).streams["okx", name].order.duplicates


def running(minute: int, volume: str = "1") -> Candle:
    return replace(candle(minute, closed=False), volume=volume)


def bid(seconds: float, price: str) -> Ticker:
    return replace(ticker(seconds), bid=price)


@pytest.mark.parametrize(
    "records",
    [
        [running(0), candle(0), running(1), candle(1)],
        [running(0), running(1), candle(0), running(1, "2"), candle(1)],  # a closed one may be late
        [running(0, "3"), candle(0), running(1, "1")],
        [candle(0), running(2), candle(1, backfilled=True), running(2, "2")],
        [running(0), candle(0), candle(0)],
    ],
)
def test_candles_in_order_are_no_finding(records: list[Record]) -> None:
    assert not kinds(CANDLES, records)


@pytest.mark.parametrize(
    ("records", "kind"),
    [
        ([running(0), candle(0), running(0)], "CandleOpenAgain"),
        ([candle(0), running(1), running(0)], "CandleOpenAgain"),
        ([candle(0, backfilled=True), running(0)], "CandleOpenAgain"),
        ([running(5), running(4)], "CandleBackInTime"),
        ([candle(5), running(3)], "CandleBackInTime"),
        ([running(0, "9"), running(0, "10"), running(0, "9.5")], "CandleBackInTime"),
        ([candle(0), replace(candle(0), close="2")], "CandleChanged"),
        ([candle(0), candle(1), replace(candle(0, backfilled=True), volume="2")], "CandleChanged"),
    ],
)
def test_candle_out_of_order_is_a_finding(records: list[Record], kind: str) -> None:
    assert kinds(CANDLES, records) == [kind]


def test_finding_names_the_candle() -> None:
    (finding,) = check([candle(0), running(0)]).streams["okx", CANDLES].order.findings
    assert finding.detail == f"candle {open_ms(0)} is open again after it was closed"
    assert finding.time_ns == open_ms(0) * 1_000_000


def test_closed_candle_stays_closed_in_the_next_run() -> None:
    assert kinds(CANDLES, [candle(0)], [running(0)]) == ["CandleOpenAgain"]


def test_states_of_another_run_are_no_order() -> None:
    """A new process does not know the states of the last one."""
    assert not kinds(CANDLES, [running(0, "9"), running(2)], [running(0, "8")])
    assert not kinds(TICKER, [ticker(2)], [ticker(1)])
    assert duplicates(TICKER, [ticker(1)], [ticker(1)]) == 0


def test_values_of_closed_candles_are_kept_for_a_while() -> None:
    many: list[Record] = [candle(minute) for minute in range(CLOSED_KEPT + 1)]
    changed = [replace(candle(minute), close="2") for minute in (0, CLOSED_KEPT)]
    assert kinds(CANDLES, [*many, *changed]) == ["CandleChanged"]


def test_equal_values_in_another_form_are_no_change() -> None:
    assert not kinds(CANDLES, [candle(0), replace(candle(0), close="1.0")])


def test_ticker_that_goes_back_in_time_is_a_finding_each_time() -> None:
    assert kinds(TICKER, [ticker(1), ticker(3), ticker(2), ticker(2.5), ticker(4)]) == ["TickerBackInTime"] * 2


def test_tickers_of_one_time_with_other_values_are_in_order() -> None:
    assert not kinds(TICKER, [bid(1, "10"), bid(1, "11")])
    assert duplicates(TICKER, [bid(1, "10"), bid(1, "11")]) == 0


@pytest.mark.parametrize(("name", "make"), [(TICKER, lambda: ticker(1)), (CANDLES, lambda: running(0))])
def test_state_that_is_there_twice_is_a_duplicate(name: str, make: Callable[[], Record]) -> None:
    assert duplicates(name, [make(), make(), make()]) == 2


def test_ticker_without_a_time_is_not_compared() -> None:
    timeless = replace(ticker(1), exchange_time_ns=None)
    assert not kinds(TICKER, [ticker(2), timeless, timeless])


def test_volume_that_is_no_number_is_an_error() -> None:
    with pytest.raises(RecordError, match="a candle record"):
        check([running(0), running(0, "many")])
