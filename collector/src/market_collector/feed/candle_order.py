"""Order of a candle's states. A channel may lag, and overlapping connections deliver the same states twice."""

import msgspec

from market_collector.model.events import Candle

CLOSED_KEPT = 16
"""Closed candles whose values are remembered for one stream: overlapping connections differ by seconds."""


class CandleOrder(msgspec.Struct):
    """The candles of one stream that were published last. Candles are numbered by `Stream.candle_number`."""

    running: Candle | None = None
    """The open candle published last."""
    closed: dict[int, int] = msgspec.field(default_factory=dict)
    """By number, a hash of the values of the closed candles published last."""

    def advance(self, candle: Candle) -> bool:
        """Return whether an open candle is newer than the last one of its interval: volume never falls."""
        last = self.running
        if last is not None and last.open_time_ns == candle.open_time_ns:
            volume, known = float(candle.volume), float(last.volume)
            if volume < known or (volume == known and _values(candle) == _values(last)):
                return False
        self.running = candle
        return True

    def close(self, number: int, candle: Candle) -> None:
        """Remember a closed candle."""
        self.closed[number] = hash(_values(candle))
        if len(self.closed) > CLOSED_KEPT:
            del self.closed[next(iter(self.closed))]

    def is_changed(self, number: int, candle: Candle) -> bool:
        """Return whether a closed candle was published with other values lately."""
        return self.closed.get(number) not in (None, hash(_values(candle)))


def _values(candle: Candle) -> tuple[float, ...]:
    return tuple(map(float, (candle.open, candle.high, candle.low, candle.close, candle.volume)))
