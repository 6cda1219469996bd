"""Names of other programs, and the canonical names that messages suggest for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_spec.foreign_names import QUOTES, canonical_names, is_option
from market_spec.names import parsed


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("BTC-USDT-SWAP", ["BTC-USDT-PERP"]),  # OKX
        ("BTC-USD-SWAP", ["BTC-USD-PERP-BTC"]),
        ("BTC-USD-20270326", ["BTC-USD-270326-BTC"]),
        ("BTCUSDT", ["BTC-USDT", "BTC-USDT-PERP"]),  # Binance, Bybit
        ("ETHBTC", ["ETH-BTC", "ETH-BTC-PERP"]),
        ("BTCTUSD", ["BTC-TUSD", "BTC-TUSD-PERP"]),
        ("1000PEPEUSDT", ["1000PEPE-USDT", "1000PEPE-USDT-PERP"]),
        ("BTCUSD_PERP", ["BTC-USD-PERP-BTC"]),
        ("BTCUSDT_270326", ["BTC-USDT-270326"]),
        ("BTCUSDT-26MAR27", ["BTC-USDT-270326"]),  # Bybit
        ("BTCPERP", ["BTC-USDC-PERP"]),
        ("BTC/USDT", ["BTC-USDT"]),  # ccxt
        ("BTC/USDT:USDT", ["BTC-USDT-PERP"]),
        ("BTC/USD:BTC", ["BTC-USD-PERP-BTC"]),
        ("BTC/USD:BTC-270326", ["BTC-USD-270326-BTC"]),
        ("BTCUSDT-LINEAR", ["BTC-USDT-PERP"]),  # Nautilus
        ("btc_usdt", ["BTC-USDT"]),
        ("BTC-USDT\n", ["BTC-USDT"]),
        ("BTC-USD-270326-60000-C", []),
        ("BTC/USD:BTC-270326-60000-P", []),
        ("BTC-27MAR26-60000-C-USDT", []),
        ("BTC-USDT-271326", []),
        ("BTC-USDT-99999999", []),
        ("A-" + "B" * 39, []),
        ("XYZ", []),
        ("-", []),
    ],
)
def test_foreign_names_stand_for_these_instruments(text: str, names: list[str]) -> None:
    assert canonical_names(text) == names


@pytest.mark.parametrize("text", ["BTC-USD-270326-60000-C", "btc-usd-270326-60000-p", "BTC-27MAR26-60000-C-USDT"])
def test_options_are_recognized(text: str) -> None:
    assert is_option(text)


@pytest.mark.parametrize("text", ["BTC-USDT-SWAP", "A-C", "A-P", "C-P-C"])
def test_other_instruments_are_no_options(text: str) -> None:
    assert not is_option(text)


def test_a_longer_quote_precedes_its_own_end() -> None:
    ends = [(one, other) for one in QUOTES for other in QUOTES if one != other and one.endswith(other)]
    assert all(QUOTES.index(one) < QUOTES.index(other) for one, other in ends)


@given(st.text(alphabet="ABCDTUS1260327-_/:PERSWA", max_size=30))
def test_every_suggestion_is_canonical(text: str) -> None:
    assert all(str(parsed(name)) == name != text for name in canonical_names(text))
