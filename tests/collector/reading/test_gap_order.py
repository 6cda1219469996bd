"""Gap records come before every record beyond their gap."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from market_collector.model.events import AnyRecord, Gap
from market_collector.reading import gap_order
from market_collector.reading.gap_order import WINDOW_NS, gaps_first, numbers_of
from records import BOOK, CANDLES, SECOND_NS, at, candle, gap, open_ms, snapshot, ticker, trade


def ordered(*records: AnyRecord) -> list[AnyRecord]:
    return [record for _, record in gaps_first(records)]


def test_gap_of_trades_comes_before_the_first_trade_beyond() -> None:
    late = gap("g", 3, 4, seconds=7)
    found = ordered(trade(2), ticker(3), trade(5), ticker(6), trade(7), late, trade(3, 8, backfilled=True))
    assert found == [trade(2), ticker(3), late, trade(5), ticker(6), trade(7), trade(3, 8, backfilled=True)]


def test_moved_gap_has_the_place_of_the_record_that_it_precedes() -> None:
    late = gap("g", 3, 4, seconds=7)
    assert list(gaps_first([trade(2), trade(5), late])) == [(at(2), trade(2)), (at(5), late), (at(5), trade(5))]


def test_gap_of_candles_comes_before_the_next_candle() -> None:
    first = open_ms(2)
    late = gap("g", first, first, stream=CANDLES)
    received = [replace(each, receive_time_ns=at(0)) for each in (candle(1), candle(2, closed=False), candle(3))]
    hourly = replace(received[2], interval="1h")
    assert ordered(*received[:2], hourly, received[2], late) == [*received[:2], hourly, late, received[2]]


@pytest.mark.parametrize(
    "late",
    [
        gap("g", 3, 4, stream=BOOK, seconds=7),
        gap("g", None, 4, seconds=7),
        gap("g", 3, 4, stream="ETH-USDT/trade", seconds=7),
        gap("g", 3, 4, stream="BTC-USDT/quote", seconds=7),
        gap("g", 3, 4, stream="BTC-USDT/candle:1x", seconds=7),
        replace(gap("g", 3, 4, seconds=7), exchange="kraken"),
        gap("g", 7, 8, seconds=7),
    ],
    ids=["book", "no start", "other symbol", "unknown type", "unknown interval", "other exchange", "nothing beyond"],
)
def test_any_other_gap_stays_in_its_place(late: Gap) -> None:
    assert ordered(trade(2), snapshot(5), trade(5), late, trade(9)) == [trade(2), snapshot(5), trade(5), late, trade(9)]


def test_backfilled_trades_are_not_beyond_a_gap() -> None:
    late = gap("g", 3, 4, seconds=7)
    assert ordered(trade(9, 2, backfilled=True), late) == [trade(9, 2, backfilled=True), late]


def test_records_are_held_back_for_the_window_only() -> None:
    seconds = WINDOW_NS // SECOND_NS
    records: list[AnyRecord] = [trade(1), trade(2), ticker(seconds + 1.5)]
    source = iter(records)
    stream = gaps_first(source)
    assert next(stream) == (at(1), trade(1))
    assert next(source, None) is None
    assert [record for _, record in stream] == [trade(2), ticker(seconds + 1.5)]


def test_gap_after_a_long_silence_comes_before_the_record_beyond() -> None:
    late = gap("g", 2, 4, seconds=60)
    assert ordered(trade(1), trade(5), late, trade(6, 61)) == [trade(1), late, trade(5), trade(6, 61)]


@pytest.mark.parametrize("step_s", [-3600, -1, 0], ids=["set back", "going back", "standing still"])
def test_number_of_held_records_is_bounded_when_time_does_not_pass(
    step_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock may be set back, and a hostile file may have any times."""
    monkeypatch.setattr(gap_order, "MOST_HELD", 100)
    taken = 0

    def records() -> Iterator[AnyRecord]:
        nonlocal taken
        for taken in range(1, 501):
            yield trade(taken, taken * step_s)

    held = [taken - number for number, _ in enumerate(gaps_first(records()), 1) if taken < 500]
    assert held
    assert max(held) <= 100


def test_numbers_of_a_gap_are_ids_or_intervals() -> None:
    found = numbers_of(gap("g", 3, 4))
    assert found is not None
    assert found[1:] == (3, 4)
    assert numbers_of(gap("g", 3, None)) == (found[0], 3, None)
    assert numbers_of(gap("g", 3, 4, stream=BOOK)) is None


@given(st.lists(st.integers(1, 40), unique=True, min_size=2).map(sorted), st.integers(0, 5))
def test_each_gap_precedes_what_is_beyond_it(numbers: list[int], delay: int) -> None:
    """A gap is reported ``delay`` trades late. Nothing is lost and trades keep their order."""
    records: list[AnyRecord] = []
    pending: list[tuple[int, Gap]] = []
    for index, number in enumerate(numbers):
        records.append(trade(number, index))
        if index and number > numbers[index - 1] + 1:
            pending.append(
                (index + delay, gap(f"g{number}", numbers[index - 1] + 1, number - 1, seconds=index + delay))
            )
        records += [each for due, each in pending if due == index]
        pending = [each for each in pending if each[0] > index]
    found = ordered(*records)
    assert [each for each in found if each in records and not isinstance(each, Gap)] == [
        trade(n, i) for i, n in enumerate(numbers)
    ]
    assert len(found) == len(records)
    seen = 0
    for each in found:
        if isinstance(each, Gap):
            assert seen < int(each.first_id or 0)
        else:
            seen = int(getattr(each, "trade_id", 0))
