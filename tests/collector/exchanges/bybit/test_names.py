"""Names of symbols, categories and topics."""

import pytest

from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.exchanges.bybit.names import native_name, topics
from market_collector.model.streams import ACCOUNT, DataType, Stream


@pytest.mark.parametrize(
    ("symbol", "native", "route"),
    [
        ("BTC-USDT", "BTCUSDT", "spot"),
        ("BTC-USDT-PERP", "BTCUSDT", "linear"),
        ("BTC-USDC", "BTCUSDC", "spot"),
        ("BTC-USDC-PERP", "BTCPERP", "linear"),
        ("1000PEPE-USDT-PERP", "1000PEPEUSDT", "linear"),
    ],
)
def test_canonical_symbol_has_a_native_name_and_a_category(symbol: str, native: str, route: str) -> None:
    stream = Stream(symbol, DataType.TRADE)
    assert (native_name(symbol), topics(stream, 50), Bybit().route(stream)) == (
        native,
        (f"publicTrade.{native}",),
        route,
    )


def test_each_data_type_has_its_topics() -> None:
    assert topics(Stream("BTC-USDT", DataType.ORDERBOOK), 200) == ("orderbook.200.BTCUSDT",)
    assert topics(Stream("BTC-USDT", DataType.TICKER), 200) == ("tickers.BTCUSDT", "orderbook.1.BTCUSDT")
    assert topics(Stream("BTC-USDT-PERP", DataType.TICKER), 200) == ("tickers.BTCUSDT",)
    assert topics(Stream("BTC-USDT", DataType.CANDLE, "1h"), 200) == ("kline.60.BTCUSDT",)


def test_account_has_a_connection_of_its_own() -> None:
    assert Bybit().route(Stream(ACCOUNT, DataType.BALANCE)) == "private"


def test_candles_of_one_second_are_not_offered() -> None:
    assert "1s" not in Bybit.candle_intervals
    assert "12h" in Bybit.candle_intervals


def test_arguments_of_a_full_connection_stay_below_the_limit() -> None:
    """Bybit accepts topics of 21,000 characters in all."""
    longest = Stream("1000000BABYDOGE-USDT", DataType.TICKER)
    size = sum(map(len, topics(longest, 1000)))
    limit = Bybit.routes["spot"].streams_per_connection
    assert limit is not None
    assert size * limit < 21_000
