"""All gaps of the process, from detection to their end: open, then filled or lost.

A `Gap` record holds a gap's bounds, a `KnownGap` its progress. Methods return the records to emit.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from market_collector.book.continuity import IdRange, in_order
from market_collector.feed.event_head import event_head
from market_collector.model.events import Gap, GapEvent, Lost, Repaired
from market_collector.model.moment import Moment
from market_collector.model.reasons import EndReason, GapReason
from market_collector.model.streams import DataType, GapState, Stream

CLOSED_GAPS_KEPT = 20
"""Closed gaps that /status still lists. The counters count all."""
OPEN_GAPS_KEPT = 500
"""Open gaps kept separately for one stream. Beyond that, the two nearest neighbours are merged."""
_OF_THE_END = {"receive_time_ns", "reason", "detail", "missing"}
_REPEATED = [field.name for field in msgspec.structs.fields(GapEvent) if field.name not in _OF_THE_END]
"""Fields of a gap that the record of its end repeats."""


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
    def ids(self) -> tuple[int, int]:
        """First and last missing id, or number of a candle. Both bounds must be set."""
        return self.stream.parse_id(self.gap.first_id or "0"), self.stream.parse_id(self.gap.last_id or "0")

    def resumes(self, *, to_ns: int | None, sequence: int | None = None) -> None:
        """Note the first record after the gap, for the record of its end."""
        self.gap = msgspec.structs.replace(self.gap, to_time_ns=to_ns, resumed_sequence=sequence)


class GapBounds(msgspec.Struct, frozen=True):
    """First and last missing id, or a book's last sequence, and the exchange times around the gap."""

    first: int | None = None
    last: int | None = None
    after: int | None = None
    """Books: the last sequence before the gap."""
    from_ns: int | None = None
    to_ns: int | None = None

    @property
    def missing(self) -> int | None:
        """Number of missing ids; None if unknown."""
        return None if self.first is None or self.last is None else self.last - self.first + 1


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
        reason: GapReason,
        now: Moment,
        *,
        detail: str | None = None,
        sink: str | None = None,
        missing: Iterable[IdRange] = (),
    ) -> list[Gap]:
        """Open a gap. Returns its record, and that of a merged gap when too many were open.

        Args:
            detail: the reason for people, where the word is not enough.
            sink: the only sink that lacks the data.
            missing: the missing ids, where ``sink`` is set.
        """
        self.detected += 1
        if stream.data_type is DataType.TRADE:
            self.missing_trades += span.missing or 0
        gap = self._new(stream, span, reason, now, detail=detail)
        self.known[gap.gap_id] = KnownGap(gap, stream, sink, missing=list(missing))
        return [gap, *self._merge_nearest(stream, sink, now)]

    def resume(self, known: KnownGap) -> None:
        """Add a gap that an earlier process left open and has counted."""
        self.known[known.gap.gap_id] = known

    def all_open(self) -> list[KnownGap]:
        """Return the open gaps, oldest first."""
        return [known for known in self.known.values() if known.state is GapState.OPEN]

    def repeat(self, now: Moment) -> list[Gap]:
        """Return the open gaps again, for readers that start here. A gap of a single sink is left out."""
        return [
            msgspec.structs.replace(known.gap, receive_time_ns=now.wall_ns)
            for known in self.all_open()
            if known.sink is None
        ]

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

    def close(self, known: KnownGap, reason: EndReason, now: Moment) -> Repaired | Lost:
        """Close a gap whose ids are all delivered or lost. It is filled unless some ids were lost."""
        if known.lost:
            name = known.stream.format_id
            ranges = [(name(each.first), name(each.last)) for each in known.lost]
            return self._lost(known, sum(each.size for each in known.lost), reason, now, ranges)
        self.repaired += 1
        fields = self._end(known, GapState.REPAIRED, reason, now)
        return Repaired(**fields, missing=0, recovered=known.recovered)

    def close_lost(self, known: KnownGap, reason: EndReason, now: Moment) -> Lost:
        """Close a gap as lost when the number of missing records is unknown (updates of a book)."""
        return self._lost(known, None, reason, now, None)

    def _lost(
        self, known: KnownGap, missing: int | None, reason: EndReason, now: Moment, ranges: list[tuple[str, str]] | None
    ) -> Lost:
        self.lost += 1
        fields = self._end(known, GapState.LOST, reason, now)
        return Lost(**fields, missing=missing, recovered=known.recovered, ranges=ranges)

    def _end(self, known: KnownGap, state: GapState, reason: EndReason, now: Moment) -> dict[str, Any]:
        known.state = state
        closed = [gap_id for gap_id, each in self.known.items() if each.state is not GapState.OPEN]
        for gap_id in closed[:-CLOSED_GAPS_KEPT]:
            del self.known[gap_id]
        bounds = {name: getattr(known.gap, name) for name in _REPEATED}
        return {**bounds, "receive_time_ns": now.wall_ns, "reason": reason}

    def _merge_nearest(self, stream: Stream, sink: str | None, now: Moment) -> list[Gap]:
        mergeable = sorted(
            (known for known in self.open_of(stream, sink) if known.gap.last_id), key=lambda known: known.ids
        )
        if len(mergeable) <= OPEN_GAPS_KEPT:
            return []
        bounds = [known.ids for known in mergeable]
        at = min(range(len(mergeable) - 1), key=lambda i: bounds[i + 1][0] - bounds[i][1])
        left, right = mergeable[at], mergeable[at + 1]
        del self.known[left.gap.gap_id], self.known[right.gap.gap_id]
        around = GapBounds(left.ids[0], right.ids[1], from_ns=left.gap.from_time_ns, to_ns=right.gap.to_time_ns)
        missing = (left.gap.missing or 0) + (right.gap.missing or 0)
        merges = [left.gap.gap_id, right.gap.gap_id]
        merged = self._new(stream, around, GapReason.MERGED, now, merges=merges, missing=missing)
        self.known[merged.gap_id] = KnownGap(
            merged, stream, sink, GapState.OPEN, left.recovered + right.recovered, left.lost + right.lost,
            left.missing + right.missing,
        )  # fmt: skip
        return [merged]

    def _new(
        self,
        stream: Stream,
        span: GapBounds,
        reason: GapReason,
        now: Moment,
        *,
        detail: str | None = None,
        merges: list[str] | None = None,
        missing: int | None = None,
    ) -> Gap:
        first_id = None if span.first is None else stream.format_id(span.first)
        start = "start" if span.first is None and span.after is None else first_id or str(span.after)
        gap_id = f"{stream}:{start}@{now.wall_ns // 1_000_000}"
        while gap_id in self.known:
            gap_id += "+"
        return Gap(
            **event_head(self._exchange, stream, now),
            reason=reason,
            detail=detail,
            gap_id=gap_id,
            first_id=first_id,
            last_id=None if span.last is None else stream.format_id(span.last),
            after_sequence=span.after,
            from_time_ns=span.from_ns,
            to_time_ns=span.to_ns,
            missing=span.missing if missing is None else missing,
            merges=merges,
        )


def joined(ranges: Iterable[IdRange]) -> list[IdRange]:
    """Return the ranges in order, adjacent ones merged."""
    merged: list[IdRange] = []
    for each in in_order(ranges):
        if merged and merged[-1].last + 1 == each.first:
            merged[-1] = IdRange(merged[-1].first, each.last, merged[-1].since, merged[-1].from_ns, each.to_ns)
        else:
            merged.append(each)
    return merged
