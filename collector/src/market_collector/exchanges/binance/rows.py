"""Binance: rows of REST answers that several modules read, and the records made from them.

exchange.py names the sources. Prices and amounts are JSON strings with 8 decimals; times are in milliseconds.
"""

import re

import msgspec

from market_collector.exchanges.decimals import Id, Milliseconds, check_decimals, is_decimal
from market_collector.model.events import Candle, Level, Side, Trade
from market_collector.model.streams import Stream
from market_spec import names

NAME = "binance"
INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w")
"""Our intervals, which have the same names here. All open in UTC, weeks on Mondays."""

is_zero = re.compile(r"0++(?:\.0++)?+").fullmatch


class TradeRow(msgspec.Struct, gc=False):
    """One fill.

    ``{"id":409018748,"isBestMatch":true,"isBuyerMaker":false,"price":"0.06436200","qty":"0.01580000",
    "quoteQty":"0.00101691","time":1679280337591}`` [rec]
    """

    id: Id
    price: str
    qty: str
    time: Milliseconds
    isBuyerMaker: bool


class CandleRow(msgspec.Struct, array_like=True, gc=False):
    """One candle.

    ``[1672516800000,"16570.14000000","16574.97000000","16564.09000000","16568.60000000","2622.14355000",
    1672520399999,"43448487.12000000",91814,"1248.69","20690384.23","0"]`` [rec].

    An interval without trades has a row too. The running candle is the last row, and no field tells it from a closed
    one.
    """

    open_ms: Milliseconds
    open: str
    high: str
    low: str
    close: str
    volume: str
    last_ms: Milliseconds
    quote_volume: str
    trades: Id


def native_name(symbol: str) -> str:
    """Binance's name of a symbol: ``BTCUSDT`` for ``BTC-USDT``, and for the perpetual too."""
    return symbol.removesuffix(f"-{names.PERP}").replace("-", "")


def is_perpetual(symbol: str) -> bool:
    """Whether the symbol is a perpetual, which has other addresses than spot."""
    return names.parsed(symbol).kind == names.PERPETUAL


def taker_side(*, is_buyer_maker: bool) -> Side:
    """Return the side of the order that met the one in the book."""
    return "sell" if is_buyer_maker else "buy"


def trade_of(symbol: str, row: TradeRow, receive_time_ns: int) -> Trade:
    """Make the record of a fill of history. Raises ValueError."""
    trade_id, side = str(row.id), taker_side(is_buyer_maker=row.isBuyerMaker)
    if not (is_decimal(row.price) and is_decimal(row.qty)):
        check_decimals((row.price, row.qty))
    return Trade(
        NAME, symbol, row.time * 1_000_000, receive_time_ns, trade_id, trade_id, 1, side, row.price, row.qty,
        backfilled=True,
    )  # fmt: skip


def candle_of(stream: Stream, row: CandleRow, receive_time_ns: int) -> Candle:
    """Make the record of a closed candle of history. Raises ValueError."""
    check_decimals((row.open, row.high, row.low, row.close, row.volume, row.quote_volume))
    return Candle(
        NAME, stream.symbol, None, receive_time_ns, stream.interval, row.open_ms * 1_000_000, row.open, row.high,
        row.low, row.close, row.volume, row.quote_volume, row.trades, closed=True, backfilled=True,
    )  # fmt: skip


def checked_levels(levels: list[Level]) -> list[Level]:
    """Return the levels with "0" for each zero amount, which deletes a level.

    Raises:
        ValueError: a price or an amount is no plain decimal.
    """
    check_decimals(text for level in levels for text in (level.price, level.amount))
    return [Level(level.price, "0") if is_zero(level.amount) else level for level in levels]
