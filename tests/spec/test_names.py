"""Canonical names: their parts, and their form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_spec.names import FUTURE, PERPETUAL, SPOT, Name, parsed

NAMES = {
    "BTC-USDT": Name("BTC", "USDT", SPOT),
    "1INCH-USDT": Name("1INCH", "USDT"),
    "BTC-USDT-PERP": Name("BTC", "USDT", PERPETUAL, settlement="USDT"),
    "BTC-USD-PERP-BTC": Name("BTC", "USD", PERPETUAL, settlement="BTC"),
    "1000PEPE-USDT-PERP": Name("1000PEPE", "USDT", PERPETUAL, settlement="USDT"),
    "BTC-USDT-270326": Name("BTC", "USDT", FUTURE, "270326", "USDT"),
    "BTC-USD-270326-BTC": Name("BTC", "USD", FUTURE, "270326", "BTC"),
}
ASSETS = st.from_regex("[A-Z0-9]{1,9}", fullmatch=True)


@pytest.mark.parametrize(("symbol", "name"), NAMES.items())
def test_a_canonical_name_has_these_parts(symbol: str, name: Name) -> None:
    assert parsed(symbol) == name
    assert str(name) == symbol


@given(ASSETS, ASSETS, ASSETS, st.sampled_from(["", "270326"]))
def test_every_contract_is_read_as_it_was_written(base: str, quote: str, settlement: str, expiry: str) -> None:
    name = Name.contract(base, quote, expiry, settlement)
    assert parsed(str(name)) == name
    assert name.is_settled_otherwise == (str(name).count("-") == 3)


@pytest.mark.parametrize(
    "text",
    ["", "BTC", "btc-usdt", "BTC-USDT\n", "BTC-USDT-SWAP", "BTC-USDT-271326", "BTC-USDT-270332", "BTC-USDT-2703266",
     "BTC-USDT-USDT", "BTC-USDT-PERP-", "BTC-USD-PERP-BTC-BTC", "BTC-USD-270326-60000-C", "ÄBC-USDT"],
)  # fmt: skip
def test_another_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a canonical name"):
        parsed(text)
