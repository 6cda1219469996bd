"""OKX's names of instruments."""

import pytest

from market_simulator.dialects.okx.instruments import market_name


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("BTC-USDT", "BTC-USDT"),
        ("BTC-USDT-PERP", "BTC-USDT-SWAP"),
        ("BTC-USD-PERP-BTC", "BTC-USD-SWAP"),
        ("BTC-USDT-270326", "BTC-USDT-270326"),
        ("BTC-USD-270326-BTC", "BTC-USD-270326"),
        ("BTC-USDT-SWAP", "BTC-USDT-SWAP"),
        ("BTC-USD-270326-60000-C", "BTC-USD-270326-60000-C"),
    ],
)
def test_canonical_names_become_those_of_the_exchange(symbol: str, name: str) -> None:
    assert market_name(symbol) == name
