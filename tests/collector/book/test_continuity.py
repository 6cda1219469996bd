"""Continuity rules: missing, late and duplicate trade ids, and linked book updates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_collector.book.book import Book
from market_collector.book.continuity import REORDER_WINDOW_S, Arrival, IdRange, IdTracker, is_next
from market_collector.model.events import Orderbook


def book(sequence: int | None) -> Book:
    return Book(Orderbook("okx", "BTC-USDT", 1, 2, "snapshot", [], [], sequence, None))


def update(previous: int | None, sequence: int | None) -> Orderbook:
    return Orderbook("okx", "BTC-USDT", 1, 2, "update", [], [], sequence, previous)


def missing_count(ids: IdTracker, first: int, last: int) -> int:
    return sum(each.size for each in ids.missing_in(first, last))


@pytest.mark.parametrize(
    ("last", "previous", "sequence", "is_legal"),
    [
        (10, 10, 15, True),
        (15, 15, 15, True),  # the no-change push
        (20, 20, 3, True),  # the exchange restarted its numbering
        (10, 11, 15, False),
        (10, 9, 15, False),  # an update from before the snapshot
        (10, None, 15, False),
        (None, None, None, True),  # the 2022 recording: no sequence at all, the checksum watches
    ],
)
def test_an_update_follows_when_it_links_to_the_last_one(
    last: int | None, previous: int | None, sequence: int | None, is_legal: bool
) -> None:
    assert is_next(book(last), update(previous, sequence)) is is_legal


def test_first_trade_starts_the_ids_at_any_number() -> None:
    ids = IdTracker()
    assert ids.take(1_000_000, 1_000_003, 1, 0.0) is Arrival.NEW
    assert ids.take_overdue(99.0) == []


def test_merged_fills_leave_no_missing_ids() -> None:
    ids = IdTracker(100, 1)
    assert ids.take(101, 103, 2, 0.0) is Arrival.NEW
    assert ids.take(104, 104, 2, 0.0) is Arrival.NEW
    assert ids.take_overdue(99.0) == []


def test_missing_ids_are_named_once_and_only_after_the_reorder_window() -> None:
    ids = IdTracker(100, 1)
    ids.take(106, 107, 2, 10.0)
    assert ids.take_overdue(10.0 + REORDER_WINDOW_S / 2) == []
    assert ids.take_overdue(10.0 + REORDER_WINDOW_S) == [IdRange(101, 105, 10.0, from_ns=1, to_ns=2)]
    assert ids.take_overdue(99.0) == []
    assert missing_count(ids, 101, 105) == 5


def test_gap_starts_at_the_row_before_it_when_the_clock_goes_back() -> None:
    ids = IdTracker(100, 1)
    ids.take(101, 101, 5_000, 10.0)
    ids.take(102, 102, 2_000, 10.1)
    ids.take(104, 104, 2_100, 10.2)
    assert ids.take_overdue(99.0) == [IdRange(103, 103, 10.2, from_ns=2_000, to_ns=2_100)]
    ids.expect(105, 20.0)
    assert ids.take_overdue(99.0) == [IdRange(105, 105, 20.0, from_ns=2_100)]
    assert ids.take(50, 50, 4_000, 30.0) is Arrival.DUPLICATE


def test_gap_starts_at_the_row_before_it_when_that_comes_late() -> None:
    ids = IdTracker(100, 1)
    ids.expect(102, 10.0)
    ids.take(102, 102, 7, 11.0)
    ids.take(105, 105, 9, 11.0)
    ids.take(108, 108, 12, 11.1)
    ids.take(104, 104, 8, 11.2)
    assert [(each.first, each.from_ns, each.to_ns) for each in ids.take_overdue(99.0)] == [
        (101, 1, 7), (103, 7, 8), (106, 9, 12),
    ]  # fmt: skip
    ids.expect(110, 20.0)
    ids.expect(112, 20.1)
    ids.take(110, 110, 14, 20.2)
    ids.take(109, 109, 13, 20.2)
    assert [(each.first, each.from_ns) for each in ids.take_overdue(99.0)] == [(111, 14)]


def test_late_row_fills_its_range_and_is_not_a_duplicate() -> None:
    ids = IdTracker(100, 1)
    ids.take(104, 104, 2, 10.0)
    assert ids.take(101, 103, 2, 10.5) is Arrival.LATE
    assert ids.take_overdue(99.0) == []


def test_very_late_row_fills_a_range_reported_missing() -> None:
    ids = IdTracker(100, 1)
    ids.take(104, 104, 2, 10.0)
    ids.take_overdue(20.0)
    assert ids.take(102, 102, 2, 30.0) is Arrival.LATE
    assert missing_count(ids, 101, 103) == 2
    assert ids.take(102, 102, 2, 31.0) is Arrival.DUPLICATE


def test_ids_that_start_again_at_a_later_time_are_not_taken_for_duplicates() -> None:
    ids = IdTracker(100, 1_000)
    assert ids.take(5, 5, 999, 0.0) is Arrival.DUPLICATE
    assert ids.take(5, 5, 2_000, 0.0) is Arrival.RESTART
    assert ids.take(6, 6, 2_001, 0.0) is Arrival.NEW
    assert ids.take_overdue(99.0) == []


# -- before the first id


@pytest.mark.parametrize("time_ns", [9, 10, 11])
def test_id_before_the_first_one_is_late_within_the_window(time_ns: int) -> None:
    ids = IdTracker()
    ids.take(100, 100, 10, 5.0)
    assert ids.take(99, 99, time_ns, 5.5) is Arrival.LATE
    assert ids.take(99, 99, time_ns, 5.6) is Arrival.DUPLICATE
    assert ids.take(101, 101, 12, 5.7) is Arrival.NEW
    assert (ids.first_id, ids.take_overdue(99.0)) == (99, [])


def test_numbers_that_restart_right_after_the_first_row_are_no_late_rows() -> None:
    ids = IdTracker()
    ids.take(794_845_251, 794_845_260, 1_000, 10.0)
    assert ids.take(397_422_944, 397_422_944, 1_001, 10.5) is Arrival.RESTART
    assert ids.take(397_422_945, 397_422_945, 1_002, 10.5) is Arrival.NEW
    assert ids.take_overdue(99.0) == []


def test_ids_between_the_first_rows_are_missing_when_they_do_not_come() -> None:
    ids = IdTracker()
    ids.take(100, 100, 10, 5.0)
    ids.take(96, 97, 10, 5.5)
    assert ids.take(99, 99, 10, 5.9) is Arrival.LATE
    assert ids.take_overdue(9.0) == [IdRange(98, 98, 5.5, from_ns=10, to_ns=10)]


def test_merged_row_that_overlaps_the_first_one_is_late() -> None:
    ids = IdTracker()
    ids.take(100, 100, 10, 5.0)
    assert ids.take(98, 100, 10, 5.5) is Arrival.LATE
    assert (ids.first_id, ids.last_id, ids.take_overdue(99.0)) == (98, 100, [])


def test_id_next_to_the_first_one_may_come_much_later() -> None:
    ids = IdTracker()
    ids.take(100, 100, 10, 5.0)
    assert ids.take(99, 99, 10, 60.0) is Arrival.LATE
    assert ids.take(97, 97, 10, 60.0) is Arrival.DUPLICATE
    assert ids.take(97, 97, 11, 60.0) is Arrival.RESTART


def test_first_ids_after_a_restart_of_the_numbers_may_be_out_of_order() -> None:
    ids = IdTracker()
    ids.take(1_000, 1_000, 10, 5.0)
    assert ids.take(2, 2, 20, 60.0) is Arrival.RESTART
    assert ids.take(1, 1, 21, 60.1) is Arrival.LATE
    assert ids.take(3, 3, 21, 60.2) is Arrival.NEW
    assert ids.take_overdue(99.0) == []


def test_ids_before_the_known_last_one_are_duplicates() -> None:
    """A tracker that continues for an earlier process."""
    ids = IdTracker(100, 10)
    assert ids.take(99, 99, 10, 0.0) is Arrival.DUPLICATE
    assert ids.take_overdue(99.0) == []


def test_number_before_the_first_expected_one_is_late() -> None:
    """The first closed candle comes after the first open one."""
    ids = IdTracker()
    ids.expect(100, 5.0)
    assert ids.take(100, 100, 0, 65.0) is Arrival.LATE
    assert ids.take(101, 101, 0, 66.0) is Arrival.NEW
    assert ids.take_overdue(99.0) == []


@given(st.permutations(range(1, 9)), st.sampled_from([0, 1]))
def test_first_ids_in_any_order_are_each_delivered_once(order: list[int], step_ns: int) -> None:
    """For equal times, and for times that grow with the arrival."""
    ids = IdTracker()
    arrivals = [ids.take(number, number, step_ns * place, place / 10) for place, number in enumerate(order)]
    assert not {Arrival.DUPLICATE, Arrival.RESTART} & set(arrivals)
    assert (ids.first_id, ids.last_id, ids.take_overdue(99.0)) == (1, 8, [])


rows = st.lists(st.tuples(st.integers(1, 200), st.integers(0, 5)), max_size=60)


@given(rows)
def test_every_id_is_delivered_or_open_and_none_is_both(rows: list[tuple[int, int]]) -> None:
    """For rows in any order, each id between the first and the last was in a NEW row, or is open."""
    ids = IdTracker(0, 10)
    there = {0}
    for number, (first, extra) in enumerate(rows):
        arrived = set(range(first, first + extra + 1))
        arrival = ids.take(first, first + extra, 10, float(number))
        assert (arrival is Arrival.DUPLICATE) == (not arrived - there)
        assert (arrival is Arrival.LATE) == bool((arrived & set(range(1, max(there)))) - there)
        there |= arrived
        ids.take_overdue(float(number))
    assert ids.last_id == max(there)
    for number in range(1, max(there) + 1):
        assert missing_count(ids, number, number) == (0 if number in there else 1)


def test_row_of_a_known_gap_before_the_start_is_late_and_opens_nothing() -> None:
    """A backfill may deliver it within a second of the first row."""
    ids = IdTracker(90, 1)
    ids.first_id = 100
    ids.take(100, 100, 9, 5.0)
    assert ids.take_below(100) == [IdRange(91, 99, 5.0, from_ns=1, to_ns=9)]
    assert ids.take(91, 91, 2, 5.1) is Arrival.LATE
    assert (ids.waiting, ids.missing) == ([], [IdRange(92, 99, 5.0, from_ns=2, to_ns=9)])
