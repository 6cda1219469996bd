"""Candles of one instrument, built from its trades."""

from bisect import bisect_left
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from market_simulator.engine.events import TradeRow
from market_simulator.engine.instruments import Instrument

_ZERO: Final = Decimal(0)
_KEPT_SECONDS, _KEPT_MINUTES = 7_200, 50_000


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar's name, length and the shift of its boundaries, in milliseconds."""

    name: str
    length_ms: int
    shift_ms: int = 0

    def open_ms(self, at_ms: int) -> int:
        """Opening time of the bar that contains a time."""
        return at_ms - (at_ms + self.shift_ms) % self.length_ms


SECOND: Final = Bar("1s", 1_000)
MINUTE: Final = Bar("1m", 60_000)


@dataclass(slots=True)
class Candle:
    """One bar. Prices are decimal strings; `turnover` is that of the instrument.

    `first_id` and `last_id` are those of its fills, -1 without one. `bought` is the volume that takers bought, and
    `bought_turnover` its turnover in quote currency.
    """

    open_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: Decimal
    turnover: tuple[Decimal, Decimal]
    first_id: int = -1
    last_id: int = -1
    bought: Decimal = _ZERO
    bought_turnover: Decimal = _ZERO

    def add(self, other: "Candle") -> None:
        """Add a later part of the same bar."""
        self.high = max(self.high, other.high, key=Decimal)
        self.low = min(self.low, other.low, key=Decimal)
        self.close = other.close
        self.volume += other.volume
        self.turnover = (self.turnover[0] + other.turnover[0], self.turnover[1] + other.turnover[1])
        if other.last_id >= 0:
            self.first_id = other.first_id if self.first_id < 0 else self.first_id
            self.last_id = other.last_id
            self.bought += other.bought
            self.bought_turnover += other.bought_turnover


def flat(open_ms: int, price: str) -> Candle:
    """The candle of a bar without a trade."""
    return Candle(open_ms, price, price, price, price, Decimal(0), (Decimal(0), Decimal(0)))


class _Series:
    """The newest `kept` candles of one bar in order of time."""

    def __init__(self, bar: Bar, kept: int) -> None:
        self.bar = bar
        self.candles: list[Candle] = []
        self._kept = kept

    def add(self, candle: Candle, at_ms: int) -> None:
        candle.open_ms = self.bar.open_ms(at_ms)
        if self.candles and self.candles[-1].open_ms == candle.open_ms:
            self.candles[-1].add(candle)
            return
        self.candles.append(candle)
        if len(self.candles) > self._kept + self._kept // 10:
            del self.candles[: -self._kept]

    def between(self, start_ms: int, end_ms: int) -> list[Candle]:
        """Candles that open at or after `start_ms` and before `end_ms`."""
        first, end = (bisect_left(self.candles, at, key=lambda candle: candle.open_ms) for at in (start_ms, end_ms))
        return self.candles[first:end]


class Candles:
    """All bars of one instrument. Seconds and minutes are stored; longer bars are computed from minutes."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._seconds = _Series(SECOND, _KEPT_SECONDS)
        self._minutes = _Series(MINUTE, _KEPT_MINUTES)
        self._last_ms = 0

    def add(self, trade: TradeRow, not_before_ms: int) -> None:
        """Add a trade. A late trade, whose bar is already closed, is added at `not_before_ms`."""
        at_ms = self._last_ms = max(trade.ts_ms, not_before_ms, self._last_ms)
        price, size = Decimal(trade.price), Decimal(trade.size)
        turnover = self._instrument.turnover(price, size)
        bought = (size, turnover[1]) if trade.side == "buy" else (_ZERO, _ZERO)
        p, ids = trade.price, (trade.first_id, trade.last_id)
        for series in (self._seconds, self._minutes):
            series.add(Candle(0, p, p, p, p, size, turnover, *ids, *bought), at_ms)

    def candle(self, bar: Bar, open_ms: int) -> Candle | None:
        """The bar that opened at this time, or None if it has no trade."""
        parts = self._base(bar).between(open_ms, open_ms + bar.length_ms)
        return _together(open_ms, parts)

    def first_ms(self, bar: Bar) -> int | None:
        """Opening time of the oldest stored bar, or None before the first trade."""
        candles = self._base(bar).candles
        return bar.open_ms(candles[0].open_ms) if candles else None

    def last_minutes(self, start_ms: int) -> list[Candle]:
        """The minutes with trades since `start_ms`."""
        return self._minutes.between(start_ms, self._last_ms + 1)

    def history(self, bar: Bar, oldest_ms: int, newest_ms: int) -> list[Candle]:
        """The bars that opened in this range (inclusive), newest first. Bars without a trade are flat."""
        first = self.first_ms(bar)
        if first is None:
            return []
        start_ms, end_ms = max(bar.open_ms(oldest_ms), first), bar.open_ms(newest_ms) + bar.length_ms
        if end_ms <= start_ms:
            return []
        before = self._base(bar).between(first, start_ms)[-1:]
        parts = self._base(bar).between(start_ms, end_ms)
        return _filled(bar, [*(flat(start_ms, c.close) for c in before), *parts], end_ms)[::-1]

    def _base(self, bar: Bar) -> _Series:
        return self._minutes if bar.length_ms >= MINUTE.length_ms else self._seconds


def _together(open_ms: int, parts: list[Candle]) -> Candle | None:
    if not parts:
        return None
    total = flat(open_ms, parts[0].open)
    for part in parts:
        total.add(part)
    return total


def _filled(bar: Bar, parts: list[Candle], end_ms: int) -> list[Candle]:
    filled: list[Candle] = []
    for part in parts:
        open_ms = bar.open_ms(part.open_ms)
        _fill_to(filled, open_ms, bar)
        if not filled or filled[-1].open_ms != open_ms:
            filled.append(flat(open_ms, part.open))
        if part.volume:
            filled[-1] = _joined(filled[-1], part)
    _fill_to(filled, end_ms, bar)
    return filled


def _joined(total: Candle, part: Candle) -> Candle:
    if not total.volume:  # the price of a flat candle comes from the previous trade
        return replace(part, open_ms=total.open_ms)
    total.add(part)
    return total


def _fill_to(filled: list[Candle], end_ms: int, bar: Bar) -> None:
    while filled and filled[-1].open_ms + bar.length_ms < end_ms:
        filled.append(flat(filled[-1].open_ms + bar.length_ms, filled[-1].close))
