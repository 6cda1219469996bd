"""A book is its snapshot and what followed; levels are looked at in order of price."""

from typing import Literal

import pytest

from market_collector.book.book import Book
from market_collector.book.side import CHANGES_KEPT
from market_collector.model.events import Level, Orderbook


def record(
    action: Literal["snapshot", "update"], bids: list[tuple[str, str]], asks: list[tuple[str, str]], sequence: int
) -> Orderbook:
    return Orderbook(
        "okx", "X-Y", sequence, 0, action, [Level(*b) for b in bids], [Level(*a) for a in asks], sequence, sequence - 1
    )


def test_best_levels_are_sorted_by_value_and_not_by_text() -> None:
    book = Book(record("snapshot", [("9.9", "1"), ("100", "2"), ("20", "3")], [("1000", "1"), ("200", "2")], 1))
    assert book.best_bids(2) == [Level("100", "2"), Level("20", "3")]
    assert book.best_asks(5) == [Level("200", "2"), Level("1000", "1")]


def test_an_update_sets_adds_and_deletes() -> None:
    book = Book(record("snapshot", [("10", "1"), ("9", "1")], [("11", "1")], 1))
    book.apply(record("update", [("10", "0"), ("9", "7"), ("8.5", "2")], [("12", "4"), ("99", "0")], 2))
    assert book.bids == {"9": "7", "8.5": "2"}
    assert book.asks == {"11": "1", "12": "4"}
    assert (book.sequence, book.exchange_time_ns) == (2, 2)


def test_book_reads_the_same_however_often_it_is_read() -> None:
    first = record("snapshot", [("10", "1"), ("9", "1")], [("11", "1"), ("12", "5")], 1)
    always, seldom = Book(first), Book(first)
    for number, price in enumerate(("9.5", "8", "9.75", "9.5", "7"), 2):
        update = record(
            "update", [(price, str(number)), ("10", "0" if number % 2 else "3")], [("11", str(number))], number
        )
        for book in (always, seldom):
            book.apply(update)
        bids, bid_amounts, asks, ask_amounts = shown = always.best(9)
        assert list(map(Level, bids, bid_amounts)) == always.best_bids(9) == seldom.best_bids(9)
        assert list(map(Level, asks, ask_amounts)) == always.best_asks(9) == seldom.best_asks(9)
        if number in (2, 4, 6):
            assert seldom.best(9) == shown
    assert (always.bids, always.asks) == (seldom.bids, seldom.asks)


@pytest.mark.parametrize("is_sorted", [False, True])
def test_equal_prices_are_one_level_whichever_form_comes_last(is_sorted: bool) -> None:
    book = Book(record("snapshot", [("100.0", "5"), ("99", "1")], [("100.5", "1")], 1))
    steps = [
        (("100", "7"), [Level("100", "7"), Level("99", "1")]),
        (("100.0", "3"), [Level("100.0", "3"), Level("99", "1")]),
        (("100", "8"), [Level("100", "8"), Level("99", "1")]),
        (("100.00", "0"), [Level("99", "1")]),
        (("0100", "2"), [Level("0100", "2"), Level("99", "1")]),
    ]
    for number, (level, expected) in enumerate(steps, 2):
        if is_sorted:
            book.best(1)
        book.apply(record("update", [level], [], number))
        assert book.best_bids(9) == expected
        assert book.bids == {each.price: each.amount for each in expected}


def test_deleted_best_price_in_another_form_does_not_cross_the_book() -> None:
    book = Book(record("snapshot", [("100", "1"), ("99", "1")], [("101", "1")], 1))
    book.apply(record("update", [("100", "2")], [("101", "0"), ("100", "1")], 2))
    assert book.is_crossed
    book.apply(record("update", [("100.0", "0")], [], 3))
    assert not book.is_crossed


def test_is_crossed_when_the_best_bid_is_at_or_above_the_best_ask() -> None:
    for is_packed in (True, False):
        book = Book(record("snapshot", [("10", "1"), ("9", "1")], [("11", "1")], 1), is_packed=is_packed)
        states = [book.is_crossed]
        for number, (bid, amount) in enumerate((("11", "1"), ("11", "0"), ("12", "1"), ("12", "0")), 2):
            book.apply(record("update", [(bid, amount)], [], number))
            states.append(book.is_crossed)
        assert states == [False, True, False, True, False]


def test_market_that_moved_past_its_packed_prices_is_not_crossed() -> None:
    book = Book(record("snapshot", [("10", "1")], [("11", "1"), ("13", "1")], 1))
    book.pack()
    book.apply(record("update", [("12", "1")], [("11", "0")], 2))
    assert not book.is_crossed
    assert book.unpacked_levels == 2
    book.pack()
    assert book.unpacked_levels == 0
    assert (book.bids, book.asks) == ({"10": "1", "12": "1"}, {"13": "1"})


def test_empty_side_is_not_crossed() -> None:
    book = Book(record("snapshot", [], [("11", "1")], 1), is_packed=True)
    book.apply(record("update", [], [("11", "0")], 2))
    assert not book.is_crossed
    book.best(1)
    assert not book.is_crossed


def test_book_that_is_kept_sorted_is_not_packed() -> None:
    book = Book(record("snapshot", [("10", "1")], [("11", "1")], 1))
    book.best(1)
    book.pack()
    book.apply(record("update", [("11", "2")], [], 2))
    assert book.is_crossed
    book.apply(record("update", [("11", "0")], [], 3))
    assert (book.bids, book.is_crossed) == ({"10": "1"}, False)


def test_many_changes_are_packed() -> None:
    book = Book(record("snapshot", [("10", "1")], [("11", "1")], 1))
    for number in range(2, 2 + CHANGES_KEPT):
        book.apply(record("update", [(f"1.{number:05}", "0")], [], number))
    assert book.unpacked_levels < 2
    assert book.bids == {"10": "1"}


def test_snapshot_is_the_present_state_with_the_best_levels_first() -> None:
    book = Book(record("snapshot", [("9", "1"), ("10", "1")], [("11", "1")], 1))
    book.apply(record("update", [("9.5", "2"), ("9", "0")], [("10.5", "3")], 2))
    bids, asks = [Level("10", "1"), Level("9.5", "2")], [Level("10.5", "3"), Level("11", "1")]
    assert book.snapshot("okx", "X-Y", 7) == Orderbook(
        "okx", "X-Y", 2, 7, "snapshot", bids, asks, 2, None, None, "exchange"
    )


def test_crossing_of_a_sorted_book_needs_no_copy_of_its_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book(record("snapshot", [("10", "1"), ("9", "1")], [("11", "1")], 1))
    book.best(1)
    monkeypatch.delattr(Book, "bids")
    monkeypatch.delattr(Book, "asks")
    assert not book.is_crossed
    book.apply(record("update", [("11.5", "1")], [], 2))
    assert book.is_crossed
