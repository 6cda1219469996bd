"""OKX's bars and rows of candles (docs/exchanges/okx.md section 5.3)."""

from typing import Final

from market_simulator.engine.candles import MINUTE, SECOND, Bar, Candle
from market_simulator.engine.quantities import plain

_HOUR: Final = 3_600_000
_DAY: Final = 24 * _HOUR
_HONG_KONG_MS: Final = 8 * _HOUR  # bars of 6 hours and longer open on UTC+8 unless their name ends in utc


def _bars() -> dict[str, Bar]:
    bars = [SECOND]
    bars += [Bar(f"{n}m", n * MINUTE.length_ms) for n in (1, 3, 5, 15, 30)]
    bars += [Bar(f"{n}H", n * _HOUR) for n in (1, 2, 4)]
    for name, length in (("6H", 6 * _HOUR), ("12H", 12 * _HOUR), ("1D", _DAY)):
        bars += [Bar(name, length, _HONG_KONG_MS), Bar(f"{name}utc", length)]
    return {bar.name: bar for bar in bars}


BARS: Final = _bars()
"""The supported bars, up to one day."""


def row(candle: Candle, is_closed: bool) -> list[str]:
    """The nine columns of a candle."""
    numbers = [plain(value) for value in (candle.volume, *candle.turnover)]
    prices = (candle.open, candle.high, candle.low, candle.close)
    return [str(candle.open_ms), *prices, *numbers, "1" if is_closed else "0"]
