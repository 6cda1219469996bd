"""Latency of events from the exchange to the collector, counted in buckets."""

from bisect import bisect_left

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, seconds."""


class LatencyHistogram:
    """Histogram of seconds from an event's exchange time to its receive time."""

    __slots__ = ("counts", "last_s", "negative", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        """Observations per bucket, not cumulative. The last bucket has no upper bound."""
        self.sum_s = 0.0
        self.negative = 0
        """Events received before their exchange time: this machine's clock is behind the exchange's."""
        self.last_s: float | None = None

    def observe(self, seconds: float) -> None:
        """Count one event. A negative latency goes to the first bucket, adds 0 to the sum and counts as `negative`."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.last_s = seconds
        if seconds > 0.0:
            self.sum_s += seconds
        elif seconds < 0.0:
            self.negative += 1
