from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_simulator.engine.quantities import decimal_text, decimals_of, fixed_text, plain, price_key, split_size


@pytest.mark.parametrize(
    ("units", "decimals", "text"),
    [(302440, 1, "30244"), (302445, 1, "30244.5"), (1, 8, "0.00000001"), (7, 0, "7"), (0, 4, "0"), (10, 1, "1")],
)
def test_units_are_written_as_the_exchange_writes_them(units: int, decimals: int, text: str) -> None:
    assert decimal_text(units, decimals) == text


@pytest.mark.parametrize(("units", "decimals", "text"), [(302440, 1, "30244.0"), (5, 3, "0.005"), (7, 0, "7")])
def test_units_keep_their_zeros_where_the_exchange_does(units: int, decimals: int, text: str) -> None:
    assert fixed_text(units, decimals) == text


def test_price_keys_order_prices_exactly() -> None:
    prices = ["0.000000000001", "0.1", "0.10000000000001", "9.9", "10", "64040.2", "64040.20000001"]
    assert sorted(set(prices), key=price_key) == prices
    assert price_key("1.50") == price_key("1.5")


@pytest.mark.parametrize("text", ["", "abc", "NaN", "Infinity"])
def test_invalid_number_has_no_price_key(text: str) -> None:
    with pytest.raises(ValueError, match="is not a decimal number"):
        price_key(text)


def test_plain_text_has_neither_exponent_nor_trailing_zeros() -> None:
    assert [plain(Decimal(text)) for text in ("1E+3", "0.500", "0E-8", "12")] == ["1000", "0.5", "0", "12"]


def test_decimals_are_counted() -> None:
    assert [decimals_of(text) for text in ("12", "0.1", "0.00240857")] == [0, 1, 8]


@given(st.integers(1, 10**12), st.integers(0, 8), st.integers(1, 60))
def test_split_sizes_are_positive_and_sum_to_the_whole(units: int, decimals: int, parts: int) -> None:
    whole = decimal_text(units, decimals)
    sizes = [Decimal(size) for size in split_size(whole, parts)]
    assert len(sizes) == parts
    assert all(size > 0 for size in sizes)
    assert sum(sizes) == Decimal(whole)
