"""Ranges of prices that a snapshot knows."""

from imaginary_books import change, whole
from market_collector.book.known_range import WHOLE_BOOK, known_range


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


def test_only_a_limited_side_is_short() -> None:
    known = known_range(whole(1, {"10": "1", "9": "1"}, {"11": "1"}, depth=2))
    assert known.is_short(2, 0, 3)
    assert not known.is_short(3, 0, 3)
