"""Plain decimals: the only numbers that are published."""

import pytest

from market_collector.exchanges.decimals import check_decimals, integer_of, is_decimal
from odd_decimals import NOT_DECIMAL


@pytest.mark.parametrize("text", ["0", "0.0", "7", "100.10", "0.00000001", "9" * 40])
def test_plain_decimal_is_accepted(text: str) -> None:
    assert is_decimal(text)


@pytest.mark.parametrize("text", ["", *NOT_DECIMAL])
def test_other_text_is_refused_with_its_text(text: str) -> None:
    check_decimals(["1", None])
    with pytest.raises(ValueError, match="is not a plain decimal") as raised:
        check_decimals(["1", text])
    assert repr(text[:60]) in str(raised.value)


@pytest.mark.parametrize("text", ["", *NOT_DECIMAL, "1.0", "101", "9" * 5_000])
def test_other_text_than_a_small_integer_is_refused(text: str) -> None:
    assert integer_of("100", 100) == 100
    with pytest.raises(ValueError, match="is not an integer up to 100"):
        integer_of(text, 100)
