"""Canonical names of OKX's instruments, and its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_collector.exchanges.okx.names import OKX, canonical_name, instrument_type, native_name
from market_spec.exchanges import symbol_rules
from market_spec.names import Name, parsed

ASSETS = st.from_regex("[A-Z][A-Z0-9]{0,5}", fullmatch=True)
DAYS = st.dates().map(lambda day: f"{day:%y%m%d}")
NAMES = st.builds(Name, ASSETS, ASSETS | st.just("USD")) | st.builds(
    Name.contract, ASSETS, ASSETS | st.just("USD"), st.just("") | DAYS
).map(OKX.canonical)


@given(NAMES)
def test_own_name_leads_back_to_the_canonical_one(name: Name) -> None:
    assert not any(rule.check(str(name)) for rule in symbol_rules("okx", OKX)), "OKX offers it"
    assert canonical_name(native_name(str(name))) == name
    assert canonical_name(native_name(str(name)), name.settlement) == name


@pytest.mark.parametrize(
    ("symbol", "name", "kind"),
    [
        ("BTC-USDT", "BTC-USDT", "SPOT"),
        ("BTC-USDT-PERP", "BTC-USDT-SWAP", "SWAP"),
        ("BTC-USD-PERP-BTC", "BTC-USD-SWAP", "SWAP"),
        ("BTC-USD-270326-BTC", "BTC-USD-270326", "FUTURES"),
    ],
)
def test_names_and_types_are_those_of_the_documentation(symbol: str, name: str, kind: str) -> None:
    assert (native_name(symbol), instrument_type(symbol)) == (name, kind)
    assert canonical_name(name) == parsed(symbol)


@pytest.mark.parametrize(
    "name", ["BTC-USD-270326-60000-C", "BTC-USD_UM-SWAP", "BTC-USDT-SPREAD", "BTC-USDT-271326", "BTC", ""]
)
def test_instrument_without_a_canonical_name_has_none(name: str) -> None:
    assert canonical_name(name) is None
