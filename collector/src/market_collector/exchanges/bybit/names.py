"""Bybit's names of symbols, categories, intervals and topics."""

from market_collector.model.streams import DataType, Stream
from market_spec import names

NAME = "bybit"
SPOT, LINEAR = "spot", "linear"
"""Categories. The same symbol has different instruments in both."""
INTERVALS = {
    "1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "2h": "120", "4h": "240", "6h": "360",
    "12h": "720", "1d": "D", "1w": "W",
}  # fmt: skip
"""Our interval names to Bybit's. All open in UTC, weeks on Mondays."""


def category(symbol: str) -> str:
    """The category of a symbol: spot, or contracts that are settled in their quote."""
    return SPOT if names.parsed(symbol).kind == names.SPOT else LINEAR


def native_name(symbol: str) -> str:
    """Bybit's name of a symbol: ``BTCUSDT``. Perpetuals in USDC are ``BTCPERP``."""
    name = names.parsed(symbol)
    is_usdc_perpetual = name.kind == names.PERPETUAL and name.quote == "USDC"
    return f"{name.base}{names.PERP}" if is_usdc_perpetual else f"{name.base}{name.quote}"


def topics(stream: Stream, book_depth: int) -> tuple[str, ...]:
    """The topics of a stream. A spot ticker has no bid and ask, so the book of one level completes it."""
    native = native_name(stream.symbol)
    match stream.data_type:
        case DataType.TRADE:
            return (f"publicTrade.{native}",)
        case DataType.ORDERBOOK:
            return (f"orderbook.{book_depth}.{native}",)
        case DataType.TICKER if category(stream.symbol) == SPOT:
            return f"tickers.{native}", f"orderbook.1.{native}"
        case DataType.TICKER | DataType.FUNDING | DataType.MARKPRICE | DataType.OPENINTEREST:
            return (f"tickers.{native}",)  # one topic has all of them
        case DataType.LIQUIDATION:
            return (f"allLiquidation.{native}",)
        case DataType.CANDLE:
            return (f"kline.{INTERVALS[stream.interval]}.{native}",)
    raise ValueError(f"Bybit does not offer {stream}")
