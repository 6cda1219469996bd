"""After any updates, the incrementally sorted side equals a freshly sorted one."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_collector.book.ranking import Ranking
from market_collector.model.events import Level

Best = Literal["highest", "lowest"]
PRICES = ("1", "1.0", "2", "9.5", "10", "10.00", "100", "0.001", "9" * 400)
"""Some are different forms of one price: they are one level. The last one is infinite as a float."""
levels = st.builds(Level, st.sampled_from(PRICES), st.sampled_from(("0", "0", "1", "2.50")))


def expected(side: dict[str, str], best: Best) -> list[float]:
    return sorted(map(float, side), reverse=best == "highest")


@given(st.lists(st.lists(levels, max_size=8), max_size=12), st.sampled_from(("highest", "lowest")))
def test_ranking_equals_a_sorted_side(updates: list[list[Level]], best: Best) -> None:
    side = {"10": "4", "9.5": "1"}
    plain = dict(side)
    ranking = Ranking(side, best=best)
    for update in updates:
        ranking.apply(update)
        for level in update:
            plain = {price: amount for price, amount in plain.items() if float(price) != float(level.price)}
            if level.amount != "0":
                plain[level.price] = level.amount
        prices, amounts = ranking.best(len(PRICES))
        assert dict(zip(prices, amounts, strict=True)) == plain == side
        assert [float(price) for price in prices] == expected(plain, best)


@pytest.mark.parametrize(("best", "found"), [("highest", ["3", "2"]), ("lowest", ["1", "2"])])
def test_best_returns_only_the_best_prices(best: Best, found: list[str]) -> None:
    assert Ranking({"2": "b", "3": "c", "1": "a"}, best=best).best(2)[0] == found


def test_best_returns_all_prices_when_more_are_requested() -> None:
    assert Ranking({"2": "b"}, best="lowest").best(25) == (["2"], ["b"])
    assert Ranking({}, best="lowest").best(25) == ([], [])


def test_deletion_of_an_absent_price_changes_nothing() -> None:
    side = {"2": "b"}
    ranking = Ranking(side, best="lowest")
    ranking.apply([Level("7", "0")])
    assert ranking.best(9) == (["2"], ["b"])
    assert side == {"2": "b"}


@pytest.mark.parametrize("zero", ["0", "0.0", "0.000", "00"])
def test_zero_in_any_form_deletes_a_price(zero: str) -> None:
    ranking = Ranking({"10": "4", "9.5": "0.5"}, best="highest")
    ranking.apply([Level("10", zero)])
    assert ranking.best(2) == (["9.5"], ["0.5"])
