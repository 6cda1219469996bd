"""A side reads the same whether its levels are packed or not."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_collector.book.side import BEST_KEPT, BEST_SHARE, Side
from market_collector.model.events import Level

Best = Literal["highest", "lowest"]

PRICES = ["9.9", "100", "20", "20.5", "3", "0.1"]
LEVELS = st.lists(st.builds(Level, st.sampled_from(PRICES), st.sampled_from(["0", "1", "2.5"])), max_size=8)


@given(LEVELS, st.lists(LEVELS, max_size=6), st.sampled_from(["highest", "lowest"]), st.booleans())
def test_packed_side_reads_like_an_unpacked_one(
    first: list[Level], updates: list[list[Level]], best: Best, is_packed: bool
) -> None:
    packed, plain = Side(first, best=best, is_packed=is_packed), Side(first, best=best)
    for update in updates:
        for side in (packed, plain):
            side.changes |= {level.price: level for level in update}
        assert set(packed.levels()) == set(plain.levels())
        is_at_least = packed.bound().__ge__ if best == "highest" else packed.bound().__le__
        assert is_at_least(plain.best())
        assert packed.best() == plain.best()
        if len(update) % 2:
            packed.pack()


@pytest.mark.parametrize(("best", "price"), [("highest", float("-inf")), ("lowest", float("inf"))])
def test_best_price_of_an_empty_side_is_worse_than_any(best: Best, price: float) -> None:
    side = Side([Level("1", "1")], best=best, is_packed=True)
    side.changes["1"] = Level("1", "0")
    for _ in range(2):
        assert (side.levels(), side.best()) == ([], price)
        side.pack()


def test_a_packed_side_keeps_only_text() -> None:
    levels = [Level(f"{8000 + place / 100:.2f}", f"{place}.123456") for place in range(400)]
    side = Side(levels, best="lowest", is_packed=True)
    assert side.changes == {}
    assert side.levels() == levels


@pytest.mark.parametrize("zero", ["0", "0.0", "0.000", "00"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_zero_in_any_form_deletes_a_level(zero: str, is_packed: bool) -> None:
    side = Side([Level("1", "1"), Level("2", "0.01")], best="highest", is_packed=is_packed)
    side.changes["2"] = Level("2", zero)
    side.bound()
    assert ([level.price for level in side.levels()], side.best()) == (["1"], 1.0)


@pytest.mark.parametrize("is_packed", [False, True])
def test_equal_prices_are_one_level(is_packed: bool) -> None:
    side = Side([Level("100", "1"), Level("99", "1")], best="highest", is_packed=is_packed)
    side.changes["100.0"] = Level("100.0", "2")
    side.bound()
    assert sorted(level.amount for level in side.levels()) == ["1", "2"]
    side.changes["100.00"] = Level("100.00", "0")
    side.bound()
    assert ([level.price for level in side.levels()], side.best()) == (["99"], 99.0)


@pytest.mark.parametrize("count", [400, 20_000])
def test_bound_is_the_best_price_until_the_kept_prices_have_changed(count: int) -> None:
    prices = [str(price) for price in range(count, 0, -1)]
    side = Side([Level(price, "1") for price in prices], best="highest")
    side.pack()
    kept = max(BEST_KEPT, count // BEST_SHARE)
    for price in prices[: kept - 1]:
        side.changes[price] = Level(price, "0")
    assert side.bound() == side.best() == count - kept + 1
    for price in prices[kept - 1 : kept + 9]:
        side.changes[price] = Level(price, "0")
    assert side.bound() == count - kept + 1 > side.best()


def test_bound_of_a_short_side_is_always_its_best_price() -> None:
    side = Side([Level("2", "1"), Level("1", "1")], best="highest", is_packed=True)
    assert side.bound() == 2.0
    side.changes |= {price: Level(price, "0") for price in ("2", "1")}
    assert side.bound() == side.best() == float("-inf")
