"""Crossed books: a moment is normal, longer than two seconds is not."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from market_collector.book.book import Book
from market_collector.verify.crossing import CrossWatch
from records import SECOND_NS, snapshot, update

SECOND = SECOND_NS
CROSS, UNCROSS = update(1, 2, bids=[("11.5", "1")]), update(2, 3, bids=[("11.5", "0")])


def follow(watch: CrossWatch, book: Book, change: object, time_ns: int, received_ns: int | None = None) -> int | None:
    assert hasattr(change, "bids")
    change = structs.replace(change, receive_time_ns=time_ns if received_ns is None else received_ns)  # type: ignore[type-var]
    book.apply(change)  # type: ignore[arg-type]
    return watch.follow(book, change, time_ns)  # type: ignore[arg-type]


def test_book_crossed_for_more_than_2_seconds_is_reported_once() -> None:
    book = Book(snapshot(1))
    watch = CrossWatch(book, 0, 0)
    assert follow(watch, book, CROSS, SECOND) is None
    assert follow(watch, book, update(2, 2), 3 * SECOND) is None
    assert follow(watch, book, update(2, 2), 3 * SECOND + 1) == 2 * SECOND + 1
    assert follow(watch, book, UNCROSS, 4 * SECOND) is None
    assert follow(watch, book, CROSS, 5 * SECOND) is None
    assert follow(watch, book, UNCROSS, 9 * SECOND) == 4 * SECOND


def test_book_is_not_crossed_while_it_is_out_of_sync() -> None:
    book = Book(snapshot(1))
    watch = CrossWatch(book, 0, 0)
    assert follow(watch, book, CROSS, SECOND) is None
    watch.forget()
    assert watch.lasted(9 * SECOND, 9 * SECOND) is None


def test_step_of_one_clock_does_not_make_a_crossing_longer() -> None:
    book = Book(snapshot(1))
    watch = CrossWatch(book, 0, 0)
    assert follow(watch, book, CROSS, SECOND) is None
    assert follow(watch, book, update(2, 2), 7 * SECOND, 2 * SECOND) is None, "the exchange's clock jumped"
    assert follow(watch, book, update(2, 2), 2 * SECOND, 7 * SECOND) is None, "the collector's clock jumped"
    assert follow(watch, book, update(2, 2), 7 * SECOND, 4 * SECOND) == 3 * SECOND


def test_a_moment_is_normal() -> None:
    book = Book(snapshot(1))
    watch = CrossWatch(book, 0, 0)
    assert follow(watch, book, CROSS, SECOND) is None
    assert follow(watch, book, UNCROSS, 2 * SECOND) is None


def test_a_snapshot_may_be_crossed_and_end_it() -> None:
    watch = CrossWatch(Book(snapshot(1, bid="12")), 0, 0)
    assert watch.lasted(2 * SECOND, 2 * SECOND) is None
    watch = CrossWatch(Book(snapshot(1, bid="11")), 0, 0)
    assert watch.lasted(2 * SECOND + 1, 2 * SECOND + 1) == 2 * SECOND + 1


def test_an_empty_side_crosses_nothing() -> None:
    book = Book(snapshot(1))
    watch = CrossWatch(book, 0, 0)
    assert follow(watch, book, update(1, 2, asks=[("11", "0")]), 0) is None
    assert follow(watch, book, update(2, 3, bids=[("99", "1")]), SECOND) is None
    assert follow(watch, book, update(3, 4, asks=[("99", "1")]), 3 * SECOND) is None
    assert watch.lasted(9 * SECOND, 9 * SECOND) == 6 * SECOND


LEVELS = st.lists(st.tuples(st.integers(8, 14).map(str), st.sampled_from(["0", "1"])), max_size=4)


@given(st.lists(st.tuples(LEVELS, LEVELS)))
def test_the_best_prices_are_those_of_the_whole_book(
    changes: list[tuple[list[tuple[str, str]], list[tuple[str, str]]]],
) -> None:
    book = Book(snapshot(1))
    watch = CrossWatch(book, 0, 0)
    for bids, asks in changes:
        follow(watch, book, update(1, 1, bids=bids, asks=asks), 0)
        assert watch._bid == max(map(float, book.bids), default=float("-inf"))
        assert watch._ask == min(map(float, book.asks), default=float("inf"))
