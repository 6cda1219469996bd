from decimal import Decimal

import pytest

from market_simulator.dialects.okx.instruments import made_instrument, recorded_instrument
from market_simulator.engine.instruments import kind_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("BTC-USDT", "SPOT"),
        ("BTC-USDT-SWAP", "SWAP"),
        ("BTC-USD-220527", "FUTURES"),
        ("BTC-USD-220527-30000-C", "OPTION"),
    ],
)
def test_kind_follows_from_the_name(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_a_made_instrument_has_the_columns_that_a_collector_needs() -> None:
    row = made_instrument("ETH-BTC", "0.00001", "0.000001").row
    expected = {"instId": "ETH-BTC", "baseCcy": "ETH", "quoteCcy": "BTC", "tickSz": "0.00001", "state": "live"}
    assert expected.items() <= row.items()


def test_turnover_is_in_quote_for_spot_and_in_base_and_quote_otherwise() -> None:
    price, size = Decimal(50000), Decimal(2)
    assert made_instrument("BTC-USDT", "0.1", "1").turnover(price, size) == (Decimal(100000), Decimal(100000))
    assert made_instrument("BTC-USDT-SWAP", "0.1", "1").turnover(price, size) == (Decimal("0.02"), Decimal(1000))
    assert made_instrument("BTC-USD-SWAP", "0.1", "1").turnover(price, size) == (Decimal("0.004"), Decimal(200))


def test_a_recorded_row_is_kept_as_it_is() -> None:
    row = {"instId": "A-B", "instType": "SPOT", "surprise": 1}
    assert recorded_instrument(row).row is row
