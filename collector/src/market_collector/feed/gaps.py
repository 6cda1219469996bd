"""All gaps of the process, from detection to their end: open, then filled or lost.

A `Gap` record holds a gap's bounds, a `KnownGap` its progress. Methods return the records to emit.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from market_collector.book.continuity import IdRange
from market_collector.model.events import Gap, Lost, Repaired
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, GapState, Stream

CLOSED_GAPS_KEPT = 20
"""Closed gaps that /status still lists. The counters count all."""
OPEN_GAPS_KEPT = 500
"""Open gaps kept separately for one stream. Beyond that, the two nearest neighbours are merged."""


class KnownGap(msgspec.Struct):
    """A gap and its progress."""

    gap: Gap
    stream: Stream
    sink: str | None = None
    """The only sink that lacks the data, because its queue was full; None when every sink lacks it."""
    state: GapState = GapState.OPEN
    recovered: int = 0
    lost: list[IdRange] = msgspec.field(default_factory=list)
    """Ids that the exchange no longer has."""
    missing: list[IdRange] = msgspec.field(default_factory=list)
    """Ids still missing, only if ``sink`` is set. Otherwise the stream's `IdTracker` has them."""

    @property
    def written_bounds(self) -> tuple[int, int]:
        """First and last missing id as written in the record, for candles the open times. Both bounds must be set."""
        return int(self.gap.first or 0), int(self.gap.last or 0)


class GapBounds(msgspec.Struct, frozen=True):
    """First and last missing id or sequence, and the exchange times around them, nanoseconds since 1970."""

    first: str | None
    last: str | None = None
    missing: int | None = None
    from_ns: int | None = None
    to_ns: int | None = None


class Gaps:
    """All gaps, and their counters."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self.known: dict[str, KnownGap] = {}
        """By gap id, oldest first: all open gaps and the last closed ones."""
        self.detected = 0
        self.repaired = 0
        self.lost = 0
        self.missing_trades = 0
        """Trades in all gaps found so far."""
        self.recovered_trades = 0
        self.lost_trades = 0

    def open(
        self,
        stream: Stream,
        span: GapBounds,
        reason: str,
        now: Moment,
        *,
        sink: str | None = None,
        missing: Iterable[IdRange] = (),
    ) -> list[Gap]:
        """Open a gap. Returns its record, and that of a merged gap when too many were open.

        Args:
            sink: the only sink that lacks the data.
            missing: the missing ids, where ``sink`` is set.
        """
        self.detected += 1
        if stream.data_type is DataType.TRADE:
            self.missing_trades += span.missing or 0
        gap = self._new(stream, span, reason, now)
        self.known[gap.gap_id] = KnownGap(gap, stream, sink, missing=list(missing))
        return [gap, *self._merge_nearest(stream, sink, now)]

    def resume(self, known: KnownGap) -> None:
        """Add a gap that an earlier process left open and has counted."""
        self.known[known.gap.gap_id] = known

    def all_open(self) -> list[KnownGap]:
        """Return the open gaps, oldest first."""
        return [known for known in self.known.values() if known.state is GapState.OPEN]

    def open_of(self, stream: Stream, sink: str | None = None) -> list[KnownGap]:
        """Return the open gaps of one stream that only this sink has (None: that every sink has), oldest first."""
        return [known for known in self.all_open() if known.stream == stream and known.sink == sink]

    def recover(self, known: KnownGap, count: int) -> None:
        """Count missing ids that were delivered."""
        known.recovered += count
        if known.stream.data_type is DataType.TRADE:
            self.recovered_trades += count

    def lose(self, known: KnownGap, ranges: Sequence[IdRange]) -> None:
        """Count missing ids that can never be delivered."""
        known.lost = joined([*known.lost, *ranges])
        if known.stream.data_type is DataType.TRADE:
            self.lost_trades += sum(each.size for each in ranges)

    def close(
        self, known: KnownGap, reason: str, now: Moment, format_id: Callable[[int], str] = str
    ) -> Repaired | Lost:
        """Close a gap whose ids are all delivered or lost. It is filled unless some ids were lost."""
        if known.lost:
            ranges = [(format_id(each.first), format_id(each.last)) for each in known.lost]
            return self._lost(known, sum(each.size for each in known.lost), reason, now, ranges)
        self.repaired += 1
        return Repaired(*self._end(known, GapState.REPAIRED, now), known.recovered, 0, reason)

    def close_lost(self, known: KnownGap, reason: str, now: Moment) -> Lost:
        """Close a gap as lost when the number of missing records is unknown (updates of a book)."""
        return self._lost(known, None, reason, now, None)

    def _lost(
        self, known: KnownGap, missing: int | None, reason: str, now: Moment, ranges: list[tuple[str, str]] | None
    ) -> Lost:
        self.lost += 1
        return Lost(*self._end(known, GapState.LOST, now), known.recovered, missing, reason, ranges)

    def _end(self, known: KnownGap, state: GapState, now: Moment) -> tuple[str, str | None, None, int, str, str]:
        known.state = state
        closed = [gap_id for gap_id, each in self.known.items() if each.state is not GapState.OPEN]
        for gap_id in closed[:-CLOSED_GAPS_KEPT]:
            del self.known[gap_id]
        gap = known.gap
        return self._exchange, gap.symbol, None, now.wall_ns, gap.gap_id, gap.stream

    def _merge_nearest(self, stream: Stream, sink: str | None, now: Moment) -> list[Gap]:
        mergeable = sorted(
            (known for known in self.open_of(stream, sink) if known.gap.last), key=lambda known: known.written_bounds
        )
        if len(mergeable) <= OPEN_GAPS_KEPT:
            return []
        bounds = [known.written_bounds for known in mergeable]
        at = min(range(len(mergeable) - 1), key=lambda i: bounds[i + 1][0] - bounds[i][1])
        left, right = mergeable[at], mergeable[at + 1]
        del self.known[left.gap.gap_id], self.known[right.gap.gap_id]
        merged = self._new(stream, _around(left.gap, right.gap), "Merged", now, [left.gap.gap_id, right.gap.gap_id])
        self.known[merged.gap_id] = KnownGap(
            merged, stream, sink, GapState.OPEN, left.recovered + right.recovered, left.lost + right.lost,
            left.missing + right.missing,
        )  # fmt: skip
        return [merged]

    def _new(self, stream: Stream, span: GapBounds, reason: str, now: Moment, merges: list[str] | None = None) -> Gap:
        gap_id = f"{stream}:{span.first or 'start'}@{now.wall_ns // 1_000_000}"
        while gap_id in self.known:
            gap_id += "+"
        return Gap(
            self._exchange, stream.symbol, None, now.wall_ns, gap_id, str(stream), span.first, span.last, span.from_ns,
            span.to_ns, span.missing, reason, merges,
        )  # fmt: skip


def joined(ranges: Iterable[IdRange]) -> list[IdRange]:
    """Return the ranges in order, adjacent ones merged."""
    merged: list[IdRange] = []
    for each in sorted(ranges):
        if merged and merged[-1].last + 1 == each.first:
            merged[-1] = IdRange(merged[-1].first, each.last, merged[-1].since)
        else:
            merged.append(each)
    return merged


def _around(left: Gap, right: Gap) -> GapBounds:
    missing = (left.missing or 0) + (right.missing or 0)
    return GapBounds(left.first, right.last, missing, left.from_time_ns, right.to_time_ns)
