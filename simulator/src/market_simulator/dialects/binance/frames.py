"""Binance's market data: names of symbols and streams, numbers with 8 decimals, and events."""

import json
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from market_simulator.engine.candles import MINUTE, SECOND, Bar, Candle
from market_simulator.engine.events import Level

_HOUR: Final = 3_600_000
_DAY: Final = 24 * _HOUR
_MINUTES: Final = [Bar(f"{n}m", n * MINUTE.length_ms) for n in (3, 5, 15, 30)]
_HOURS: Final = [Bar(f"{n}h", n * _HOUR) for n in (1, 2, 4, 6, 8, 12)]
_DAYS: Final = [Bar("1d", _DAY), Bar("1w", 7 * _DAY, 3 * _DAY)]  # weeks open on Mondays, and 1970-01-01 was a Thursday
BARS: Final = {bar.name: bar for bar in (SECOND, MINUTE, *_MINUTES, *_HOURS, *_DAYS)}
"""The supported intervals, up to one week."""

KLINES: Final = {f"kline_{name}": bar for name, bar in BARS.items()}
DEPTHS: Final = {"depth@100ms": 100_000, "depth": 1_000_000}
"""The period of each depth stream in microseconds."""
STREAMS: Final = frozenset({"trade", "ticker", "bookTicker", *DEPTHS, *KLINES})


PERPETUAL: Final = "-PERP"


def native(symbol: str) -> str:
    """The exchange's name of a symbol, which spot and perpetuals share: `native("BTC-USDT-PERP") == "BTCUSDT"`."""
    return symbol.removesuffix(PERPETUAL).replace("-", "")


def compact(value: Any) -> str:
    """Encode JSON without blanks."""
    return json.dumps(value, separators=(",", ":"))


def eight(text: str) -> str:
    """A decimal string with 8 decimals: `eight("0.5") == "0.50000000"`."""
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<8}"


@lru_cache(maxsize=65536)
def number(text: str) -> Decimal:
    """The value of a decimal string."""
    return Decimal(text)


def rounded(value: Decimal) -> str:
    """A number with 8 decimals."""
    return f"{value:.8f}"


def combined(stream: str, data: str) -> str:
    """An event on a combined connection."""
    return f'{{"stream":"{stream}","data":{data}}}'


def trade(event_ms: int, name: str, fill_id: int, price: str, size: str, ts_ms: int, is_sell: bool) -> str:
    """One fill. `m`: the buyer was the maker, so the taker sold."""
    return (
        f'{{"e":"trade","E":{event_ms},"s":"{name}","t":{fill_id},"p":"{eight(price)}","q":"{eight(size)}",'
        f'"T":{ts_ms},"m":{"true" if is_sell else "false"},"M":true}}'
    )


def depth_update(event_ms: int, name: str, first: int, last: int, bids: Iterable[Level], asks: Iterable[Level]) -> str:
    """The changes of a book with the update ids `first` to `last`."""
    return (
        f'{{"e":"depthUpdate","E":{event_ms},"s":"{name}","U":{first},"u":{last},'
        f'"b":{levels(bids)},"a":{levels(asks)}}}'
    )


def levels(rows: Iterable[Level]) -> str:
    """The levels of a side: `[["price","size"],...]`."""
    return "[" + ",".join([f'["{eight(price)}","{eight(size)}"]' for _, price, size, _ in rows]) + "]"


def book_ticker(name: str, last: int, bid: Level, ask: Level) -> str:
    """The best levels after the update id `last`. It has neither an event type nor a time."""
    return (
        f'{{"u":{last},"s":"{name}","b":"{eight(bid.price)}","B":"{eight(bid.size)}",'
        f'"a":"{eight(ask.price)}","A":"{eight(ask.size)}"}}'
    )


def kline(event_ms: int, name: str, bar: Bar, candle: Candle, is_closed: bool) -> str:
    """A candle. `T` is its last millisecond; `f` and `L` are -1 without a trade."""
    return (
        f'{{"e":"kline","E":{event_ms},"s":"{name}","k":{{"t":{candle.open_ms},'
        f'"T":{candle.open_ms + bar.length_ms - 1},"s":"{name}","i":"{bar.name}","f":{candle.first_id},'
        f'"L":{candle.last_id},"o":"{eight(candle.open)}","c":"{eight(candle.close)}","h":"{eight(candle.high)}",'
        f'"l":"{eight(candle.low)}","v":"{rounded(candle.volume)}","n":{fills(candle)},'
        f'"x":{"true" if is_closed else "false"},"q":"{rounded(candle.turnover[1])}","V":"{rounded(candle.bought)}",'
        f'"Q":"{rounded(candle.bought_turnover)}","B":"0"}}}}'
    )


def fills(candle: Candle) -> int:
    """Number of fills; their ids are dense."""
    return candle.last_id - candle.first_id + 1 if candle.last_id >= 0 else 0


def kline_row(bar: Bar, candle: Candle) -> str:
    """A candle as a row of `GET /api/v3/klines`."""
    prices = [eight(price) for price in (candle.open, candle.high, candle.low, candle.close)]
    taken = (rounded(candle.bought), rounded(candle.bought_turnover), "0")
    end_ms = candle.open_ms + bar.length_ms - 1
    numbers = (rounded(candle.volume), end_ms, rounded(candle.turnover[1]), fills(candle))
    return compact([candle.open_ms, *prices, *numbers, *taken])
