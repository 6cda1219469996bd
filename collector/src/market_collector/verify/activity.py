"""Approximate times of events, as a bounded set of time buckets that widen with the covered time."""

from __future__ import annotations

from market_collector.verify.report import Span

LIMIT = 4096
"""Buckets kept. Beyond that, neighbours are merged in pairs."""
FINEST_SHIFT = 26
"""The first buckets are 2**26 ns (67 ms) wide."""


class Activity:
    """A set of times."""

    __slots__ = ("_buckets", "_last", "_shift")

    def __init__(self) -> None:
        self._shift = FINEST_SHIFT
        self._buckets: set[int] = set()
        self._last = -1

    def add(self, time_ns: int) -> None:
        """Adds a time, nanoseconds since 1970."""
        bucket = time_ns >> self._shift
        if bucket == self._last:
            return
        self._last = bucket
        self._buckets.add(bucket)
        while len(self._buckets) > LIMIT:
            self._shift += 1
            self._buckets = {each >> 1 for each in self._buckets}
            self._last = -1

    def spans(self) -> list[Span]:
        """The buckets, neighbours joined."""
        spans: list[Span] = []
        for bucket in sorted(self._buckets):
            start, end = bucket << self._shift, ((bucket + 1) << self._shift) - 1
            if spans and spans[-1][1] + 1 == start:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        return spans
