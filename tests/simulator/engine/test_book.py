import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_simulator.engine.book import Book, Side
from market_simulator.engine.events import Level
from market_simulator.engine.quantities import price_key


def level(price: str, size: str) -> Level:
    return Level(price_key(price), price, size, "1")


def prices(levels: list[Level]) -> list[str]:
    return [row.price for row in levels]


def test_the_best_bid_is_the_highest_and_the_best_ask_the_lowest() -> None:
    book = Book()
    book.apply([level("9", "1"), level("10", "1"), level("8.5", "1")], [level("12", "1"), level("11", "1")])
    assert prices(book.bids.best()) == ["10", "9", "8.5"]
    assert prices(book.bids.best(2)) == ["10", "9"]
    assert prices(book.asks.best(1)) == ["11"]
    assert book.bids.key(0) == price_key("10")
    assert book.bids.key(-1) == price_key("8.5")
    assert book.asks.key(-1) == price_key("12")


def test_size_zero_deletes_and_deleting_nothing_is_allowed() -> None:
    side = Side(best_is_highest=True)
    side.apply([level("9", "1"), level("9", "0"), level("7", "0")])
    assert len(side) == 0
    with pytest.raises(IndexError):
        side.key(0)


_sides = st.dictionaries(st.integers(1, 60), st.integers(1, 9), max_size=30)


@given(_sides, _sides, st.booleans())
def test_the_changes_between_two_states_lead_exactly_from_one_to_the_other(
    old: dict[int, int], new: dict[int, int], best_is_highest: bool
) -> None:
    side = Side(best_is_highest)
    side.apply([level(str(price), str(size)) for price, size in old.items()])
    wanted = [level(str(price), str(size)) for price, size in new.items()]
    changes = side.changes_to(wanted)
    assert len(changes) == len({*old.items()} ^ {*new.items()}) - len({p for p in old if new.get(p, old[p]) != old[p]})
    side.apply(changes)
    assert sorted(side.best()) == sorted(wanted)
