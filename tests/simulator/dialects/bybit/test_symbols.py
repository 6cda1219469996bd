import pytest

from market_simulator.dialects.bybit.instruments import made_instrument
from market_simulator.dialects.bybit.symbols import category, form_of, native, padded


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("BTC-USDT", ("spot", "BTCUSDT")),
        ("BTC-USDT-PERP", ("linear", "BTCUSDT")),
        ("BTC-USDC-PERP", ("linear", "BTCPERP")),
    ],
)
def test_categories_share_native_names(symbol: str, expected: tuple[str, str]) -> None:
    assert (category(symbol), native(symbol)) == expected


def test_only_linear_has_fixed_decimals() -> None:
    linear, spot = (form_of(made_instrument(name, "0.1", "0.001")) for name in ("BTC-USDT-PERP", "BTC-USDT"))
    assert (linear.price("64000"), linear.size("0.32")) == ("64000.0", "0.320")
    assert (spot.price("64000"), spot.size("0.32")) == ("64000", "0.32")


def test_padding_keeps_longer_numbers() -> None:
    assert [padded("1", 0), padded("1", 2), padded("0.12345", 2)] == ["1", "1.00", "0.12345"]
