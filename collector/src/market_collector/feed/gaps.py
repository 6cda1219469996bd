"""Every hole of the process, from its detection to its end: open, then repaired or lost, never forgotten.

A `Gap` record says where the hole is; `KnownGap` says where it stands. Methods return the records that must go into
the data.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from market_collector.book.continuity import Hole
from market_collector.model.events import Gap, Lost, Repaired
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, GapState, Stream

CLOSED_GAPS_KEPT = 20
"""Repaired and lost gaps that /status still lists; the counters count all."""
OPEN_GAPS_KEPT = 500
"""Open gaps of one stream; beyond that the two nearest neighbours become one, which has the missing of both."""


class KnownGap(msgspec.Struct):
    """A gap and where it stands in its life."""

    gap: Gap
    stream: Stream
    sink: str | None = None
    """The only sink that misses it (its queue was full); None: nobody has it."""
    state: GapState = GapState.OPEN
    recovered: int = 0
    lost: list[Hole] = msgspec.field(default_factory=list)
    """Ids that the exchange does not have any more."""
    holes: list[Hole] = msgspec.field(default_factory=list)
    """What is still missing, where ``sink`` is set; otherwise the stream's line knows."""

    @property
    def names(self) -> tuple[int, int]:
        """First and last name (id, or a candle's time) of what is missing; only of gaps that have both. `Ledger.bounds`
        are the same as dense numbers."""
        return int(self.gap.first or 0), int(self.gap.last or 0)


class Span(msgspec.Struct, frozen=True):
    """Where a hole is: first and last missing id or sequence, and exchange times around it (nanoseconds)."""

    first: str | None
    last: str | None = None
    missing: int | None = None
    from_ns: int | None = None
    to_ns: int | None = None


class Gaps:
    """All gaps, and counters that only grow."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self.known: dict[str, KnownGap] = {}
        """By gap id, oldest first: all that are open, and the last that were closed."""
        self.detected = 0
        self.repaired = 0
        self.lost = 0
        self.missing_trades = 0
        """Trades in all gaps that were ever found."""
        self.recovered_trades = 0
        self.lost_trades = 0

    def open(
        self,
        stream: Stream,
        span: Span,
        reason: str,
        now: Moment,
        *,
        sink: str | None = None,
        holes: Iterable[Hole] = (),
    ) -> list[Gap]:
        """A hole was found: its record; and another one when so many are open that two neighbours became one."""
        self.detected += 1
        if stream.data_type is DataType.TRADE:
            self.missing_trades += span.missing or 0
        gap = self._new(stream, span, reason, now)
        self.known[gap.gap_id] = KnownGap(gap, stream, sink, holes=list(holes))
        return [gap, *self._merge_nearest(stream, sink, now)]

    def resume(self, known: KnownGap) -> None:
        """A gap that an earlier run of this process has left open; that run has counted it."""
        self.known[known.gap.gap_id] = known

    def all_open(self) -> list[KnownGap]:
        """Gaps that are not closed, oldest first."""
        return [known for known in self.known.values() if known.state is GapState.OPEN]

    def open_of(self, stream: Stream, sink: str | None = None) -> list[KnownGap]:
        """The open gaps of one stream (that only this sink misses), oldest first."""
        return [known for known in self.all_open() if known.stream == stream and known.sink == sink]

    def recover(self, known: KnownGap, count: int) -> None:
        """So many of its missing ids are in the output now."""
        known.recovered += count
        if known.stream.data_type is DataType.TRADE:
            self.recovered_trades += count

    def lose(self, known: KnownGap, holes: Sequence[Hole]) -> None:
        """These of its missing ids will never come."""
        known.lost = joined([*known.lost, *holes])
        if known.stream.data_type is DataType.TRADE:
            self.lost_trades += sum(hole.size for hole in holes)

    def close(self, known: KnownGap, reason: str, now: Moment, name_of: Callable[[int], str] = str) -> Repaired | Lost:
        """Nothing of it is missing any more, or will come: repaired, unless something was lost."""
        if known.lost:
            ranges = [(name_of(hole.first), name_of(hole.last)) for hole in known.lost]
            return self._lost(known, sum(hole.size for hole in known.lost), reason, now, ranges)
        self.repaired += 1
        return Repaired(*self._end(known, GapState.REPAIRED, now), known.recovered, 0, reason)

    def close_lost(self, known: KnownGap, reason: str, now: Moment) -> Lost:
        """It can never be closed, and nobody can tell how much was in it (the updates of a book)."""
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
            (known for known in self.open_of(stream, sink) if known.gap.last), key=lambda known: known.names
        )
        if len(mergeable) <= OPEN_GAPS_KEPT:
            return []
        at = min(range(len(mergeable) - 1), key=lambda i: mergeable[i + 1].names[0] - mergeable[i].names[1])
        left, right = mergeable[at], mergeable[at + 1]
        del self.known[left.gap.gap_id], self.known[right.gap.gap_id]
        merged = self._new(stream, _around(left.gap, right.gap), "Merged", now, [left.gap.gap_id, right.gap.gap_id])
        self.known[merged.gap_id] = KnownGap(
            merged, stream, sink, GapState.OPEN, left.recovered + right.recovered, left.lost + right.lost,
            left.holes + right.holes,
        )  # fmt: skip
        return [merged]

    def _new(self, stream: Stream, span: Span, reason: str, now: Moment, merges: list[str] | None = None) -> Gap:
        gap_id = f"{stream}:{span.first or 'start'}@{now.wall_ns // 1_000_000}"
        while gap_id in self.known:
            gap_id += "+"
        return Gap(
            self._exchange, stream.symbol, None, now.wall_ns, gap_id, str(stream), span.first, span.last, span.from_ns,
            span.to_ns, span.missing, reason, merges,
        )  # fmt: skip


def joined(holes: Iterable[Hole]) -> list[Hole]:
    """The same in order, neighbours as one: history is read page by page, and told in runs."""
    runs: list[Hole] = []
    for hole in sorted(holes):
        if runs and runs[-1].last + 1 == hole.first:
            runs[-1] = Hole(runs[-1].first, hole.last, runs[-1].since)
        else:
            runs.append(hole)
    return runs


def _around(left: Gap, right: Gap) -> Span:
    missing = (left.missing or 0) + (right.missing or 0)
    return Span(left.first, right.last, missing, left.from_time_ns, right.to_time_ns)
