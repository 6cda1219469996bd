import pytest

from market_simulator.dialects.bybit.symbols import Listing, listing_of


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("BTC-USDT", ("spot", "BTCUSDT")),
        ("BTC-USDT-PERP", ("linear", "BTCUSDT")),
        ("BTC-USDC-PERP", ("linear", "BTCPERP")),
    ],
)
def test_categories_share_native_names(symbol: str, expected: tuple[str, str]) -> None:
    assert listing_of(symbol) == Listing(expected[1], expected[0])
