"""Ranges of prices that a snapshot knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from imaginary_books import change, whole
from market_collector.book.book import Book
from market_collector.book.known_range import WHOLE_BOOK, KnownRange, known_range
from market_collector.model.events import Orderbook

PRICES = st.one_of(
    st.sampled_from(["9", "9.5", "9.50", "10", "10.0", "10.05", "99.9", "100.0", "100.00", "09.5", "0.5", "00.5"]),
    st.builds("{}.{}".format, st.integers(0, 120), st.integers(0, 99)),
    st.integers(0, 120).map(str),
)
"""Plain decimals, of which some are equal or have the same digits before the point."""
SIDES = st.lists(PRICES, max_size=6, unique=True).map(lambda prices: dict.fromkeys(prices, "2"))
FULL = st.lists(st.sampled_from(["9.5", "10.00", "10.50", "99.00", "100.0"]), min_size=2, max_size=4, unique=True).map(
    lambda prices: dict.fromkeys(prices, "1")
)
LIMITED = [{"10.00": "1", "9.50": "1"}, {"11.00": "1", "12.50": "1"}]


def reference(known: KnownRange, update: Orderbook) -> Orderbook:
    """The update without the levels beyond the range, by their numbers."""
    return structs.replace(
        update,
        bids=[level for level in update.bids if float(level.price) >= known.lowest_bid],
        asks=[level for level in update.asks if float(level.price) <= known.highest_ask],
    )


def test_range_ends_at_the_worst_price_of_a_full_side() -> None:
    known = known_range(whole(1, {"10": "1", "9.5": "1"}, {"11": "1"}, depth=2))
    assert (known.lowest_bid, known.highest_ask) == (9.5, float("inf"))


def test_snapshot_without_a_depth_knows_the_whole_book() -> None:
    assert known_range(whole(1, {"10": "1"})) == WHOLE_BOOK


def test_levels_beyond_the_range_are_cut_from_an_update() -> None:
    known = known_range(whole(1, {"10": "1", "9": "1"}, {"11": "1", "12": "1"}, depth=2))
    update = change(1, 2, {"9": "2", "8.9": "2"}, {"12": "2", "12.1": "2"})
    assert known.cut(update) == change(1, 2, {"9": "2"}, {"12": "2"})
    inside = change(1, 2, {"9": "2"}, {"11": "2"})
    assert known.cut(inside) is inside


def test_whole_book_cuts_nothing() -> None:
    update = change(1, 2, {"0": "2"}, {"1000000": "2"})
    assert WHOLE_BOOK.cut(update) is update


@given(
    bids=SIDES, asks=SIDES, updates=st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=3), is_sorted=st.booleans()
)
def test_book_within_a_range_equals_one_of_cut_updates(
    bids: dict[str, str], asks: dict[str, str], updates: list[tuple[dict[str, str], dict[str, str]]], is_sorted: bool
) -> None:
    """Prices have any form: with and without a point, of any length, with leading and trailing zeros."""
    snapshot = whole(1, bids, asks, depth=2)
    known, expected = known_range(snapshot), Book(snapshot, is_packed=True)
    book = Book(snapshot, is_packed=True, is_partial=True)
    for number, sides in enumerate(updates, 1):
        update = change(number, number + 1, *sides)
        if is_sorted:
            book.best(1)
        cut = reference(known, update)
        assert book.apply_within(known, update) == cut
        expected.apply(cut)
        assert book.has_empty_side == (0 in expected.count())
        assert (book.bids, book.asks, book.sequence) == (expected.bids, expected.asks, expected.sequence)


@pytest.mark.parametrize(
    ("bids", "asks", "bids_left", "asks_left"),
    [
        (["9.50", "10.00"], [], ["10.00"], []),
        (["9", "10.5"], [], ["10.5"], []),
        (["100.00", "9.999"], [], ["100.00"], []),
        ([], ["100.00", "99.00"], [], ["99.00"]),
        ([], ["99.0", "99.001", "9.99"], [], ["99.0", "9.99"]),
        (["10.00", "15.00"], ["99.00"], ["10.00", "15.00"], ["99.00"]),
    ],
    ids=["shorter", "shorter, without a point", "longer", "longer ask", "other decimals", "usual"],
)
@pytest.mark.parametrize("is_sorted", [False, True])
def test_only_levels_within_the_range_are_applied(
    bids: list[str], asks: list[str], bids_left: list[str], asks_left: list[str], is_sorted: bool
) -> None:
    snapshot = whole(1, {"20.00": "1", "10.00": "1"}, {"30.00": "1", "99.00": "1"}, depth=2)
    book = Book(snapshot)
    if is_sorted:
        book.best(1)
    applied = book.apply_within(known_range(snapshot), change(1, 2, dict.fromkeys(bids, "2"), dict.fromkeys(asks, "2")))
    assert applied == change(1, 2, dict.fromkeys(bids_left, "2"), dict.fromkeys(asks_left, "2"))
    assert [book.bids[price] for price in bids_left] == ["2"] * len(bids_left)
    assert [book.asks[price] for price in asks_left] == ["2"] * len(asks_left)
    assert min(map(float, book.bids)) == 10.0
    assert max(map(float, book.asks)) == 99.0


def test_last_change_counts_of_a_price_in_two_forms() -> None:
    snapshot = whole(1, *LIMITED, depth=2)
    known, book = known_range(snapshot), Book(snapshot, is_packed=True)
    for number, (price, amount) in enumerate([("9.7", "2"), ("9.70", "3"), ("9.7", "0")], 1):
        book.apply_within(known, change(number, number + 1, {price: amount}))
    assert sorted(book.bids) == ["10.00", "9.50"]


@pytest.mark.parametrize(
    ("bid", "ask"), [("9.50", "12.50"), ("9.51", "12.49"), ("9.999", "11.5")], ids=["edges", "next to them", "inside"]
)
def test_usual_prices_within_a_range_are_not_converted(monkeypatch: pytest.MonkeyPatch, bid: str, ask: str) -> None:
    snapshot = whole(1, *LIMITED, depth=2)
    known, update = known_range(snapshot), change(1, 2, {bid: "2"}, {ask: "2"})
    monkeypatch.delattr(KnownRange, "cut")
    assert Book(snapshot).apply_within(known, update) is update


def test_only_a_limited_side_is_short() -> None:
    known = known_range(whole(1, {"10": "1", "9": "1"}, {"11": "1"}, depth=2))
    assert known.is_short(2, 0, 3)
    assert not known.is_short(3, 0, 3)
