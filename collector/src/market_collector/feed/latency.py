"""How long an event travels from the exchange to here, counted in plain integers."""

from bisect import bisect_left

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency buckets."""


class LatencyHistogram:
    """Seconds from the exchange's time of an event to its arrival here, counted in buckets."""

    __slots__ = ("counts", "last_s", "negative", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        """Observations by bucket, each without those below; the last is beyond all bounds."""
        self.sum_s = 0.0
        self.negative = 0
        """Events that came before their own time: this machine's clock is behind the exchange's."""
        self.last_s: float | None = None

    def observe(self, seconds: float) -> None:
        """Counts one event; below zero it is in the first bucket, zero in the sum, and counted as `negative`."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.last_s = seconds
        if seconds > 0.0:
            self.sum_s += seconds
        elif seconds < 0.0:
            self.negative += 1
