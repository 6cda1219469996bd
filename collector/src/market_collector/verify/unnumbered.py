"""Trades whose ids are not dense: no missing one can be seen, but each interruption must be accounted for.

* After an interruption, a gap record or a `recording` record about that time precedes the next live trade. An
  interruption is a time without a connection, or without a process.
* Each trade occurs once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from market_collector.model.events import Dropped, Gap, Lost, Recording, Repaired
from market_collector.model.reasons import GapReason
from market_collector.model.streams import GapState
from market_collector.reading.ranges import absent, merged, minus
from market_collector.reading.seen_ids import SeenIds
from market_collector.verify.ids import BETWEEN_RUNS
from market_collector.verify.report import MISSING, MissingRange, RangeState, Reckoning, Span, apart

NO_CONNECTION = "no connection carried the stream, and neither a gap record nor a recording record accounts for it"
NO_REPLICA = "no replica recorded it, and no gap record reports it"


@dataclass(slots=True)
class TradeGap:
    """A time in which trades are missing, or may be. Times are exchange times; None if unknown."""

    state: RangeState
    from_ns: int | None
    to_ns: int | None
    reason: str
    missing: int | None = None
    gap_id: str | None = None

    @property
    def span(self) -> Span | None:
        """From and to, in order; None if one of them is unknown."""
        if self.from_ns is None or self.to_ns is None:
            return None
        return min(self.from_ns, self.to_ns), max(self.from_ns, self.to_ns)


class UnnumberedLine:
    """One stream in one replica's files, in the order in which they were written."""

    def __init__(self, *, starts_inside: bool = False) -> None:
        """With ``starts_inside``, a file before this one is absent."""
        self.duplicates = 0
        self.distinct = 0
        self.gaps: list[TradeGap] = []
        self.proofs: list[Span] = []
        """Interruptions that the collector has proved harmless."""
        self._ids = SeenIds()
        self._open: dict[str, TradeGap] = {}
        self._first_ns: int | None = None
        self._has_live = starts_inside
        self._newest_ns = 0
        self._interrupted: tuple[int, str] | None = None
        """The time of the last trade before an interruption, which the next live trade needs an account for."""
        self._drop: TradeGap | None = None

    def take(self, trade_id: str, time_ns: int, is_backfilled: bool) -> bool:
        """Add a trade. Returns whether it is no double."""
        is_new = self._ids.add(trade_id)
        self.distinct += is_new
        self.duplicates += not is_new
        if not is_backfilled:
            self._on_live(time_ns)
        if self._first_ns is None or time_ns < self._first_ns:
            self._first_ns = time_ns
        self._newest_ns = max(self._newest_ns, time_ns)
        return is_new

    def _on_live(self, time_ns: int) -> None:
        self._has_live = True
        if self._drop is not None:
            self._drop.to_ns, self._drop = time_ns, None
        is_explained = any(gap.state is RangeState.OPEN for gap in self._open.values())
        if self._interrupted is not None and not is_explained:
            from_ns, reason = self._interrupted
            self.gaps.append(TradeGap(RangeState.UNREPORTED, from_ns, time_ns, reason))
        self._interrupted = None

    def interrupt(self, reason: str = NO_CONNECTION) -> None:
        """Note that no connection carries the stream any more."""
        if self._first_ns is not None and self._interrupted is None:
            self._interrupted = self._newest_ns, reason

    def start_run(self) -> None:
        """Start the records of another process."""
        self._interrupted = None
        self.interrupt(BETWEEN_RUNS)

    def recording(self, event: Recording) -> None:
        """Take the collector's word that nothing is missing in a time. It counts if it is about the interruption.

        The one before the first live trade is about the time since another pod.
        """
        is_later = self._interrupted is not None and event.from_time_ns >= self._interrupted[0]
        if is_later or not self._has_live:
            self.proofs.append((event.from_time_ns, event.to_time_ns))
            self._interrupted = None

    def gap(self, gap: Gap) -> None:
        """Add a gap. That of dropped trades is reported by the record about the drop."""
        if gap.reason == GapReason.DROPPED:
            return
        found = TradeGap(RangeState.OPEN, gap.from_time_ns, gap.to_time_ns, gap.reason, gap.missing, gap.gap_id)
        self._open[gap.gap_id] = found
        self.gaps.append(found)
        self._interrupted = None

    def close(self, event: Repaired | Lost) -> None:
        """Close a gap, whose record of the end has its final bounds."""
        found = self._open.pop(event.gap_id, None)
        if found is not None:
            found.state = RangeState(GapState.REPAIRED if isinstance(event, Repaired) else GapState.LOST)
            found.to_ns = found.to_ns if event.to_time_ns is None else event.to_time_ns

    def dropped(self, event: Dropped) -> None:
        """Note that the sink dropped trades here."""
        reason = f"{event.count} records dropped: {event.detail or event.reason}"
        self._drop = TradeGap(RangeState.LOST, self._newest_ns or None, None, reason, event.count)
        self.gaps.append(self._drop)

    def covers(self) -> list[Span]:
        """Return the times in which no trade is known to be missing."""
        if self._first_ns is None:
            return []
        missing = [gap.span for gap in self.gaps if gap.state in MISSING and gap.span is not None]
        return minus([(self._first_ns, self._newest_ns)], merged([missing]))


def reckon(lines: Sequence[tuple[str, UnnumberedLine]]) -> Reckoning:
    """Judge one stream in all replicas, each given with its name."""
    found = [each for at in range(len(lines)) for each in _judged(lines, at)]
    covered = merged(line.covers() for _, line in lines)
    between = _between(lines, covered)
    return Reckoning(
        missing_ranges=(*found, *between),
        duplicates=sum(line.duplicates for _, line in lines),
        distinct=lines[0][1].distinct if len(lines) == 1 else None,
        proved=apart(minus(covered, [(each.from_ns or 0, each.to_ns or 0) for each in between])),
        is_numbered=False,
    )


def _judged(lines: Sequence[tuple[str, UnnumberedLine]], at: int) -> Iterator[MissingRange]:
    """Yield the gaps of one replica. One is bridged if the others have no gap in all of that time."""
    replica, line = lines[at]
    others = merged(other.covers() for place, (_, other) in enumerate(lines) if place != at)
    for gap in line.gaps:
        is_bridged = gap.state in MISSING and gap.span is not None and not minus([gap.span], others)
        state = RangeState.BRIDGED if is_bridged else gap.state
        yield MissingRange(
            state, None, None, gap.missing, gap.from_ns, gap.to_ns, gap.reason, gap.gap_id, replica
        )  # fmt: skip


def _between(lines: Sequence[tuple[str, UnnumberedLine]], covered: Sequence[Span]) -> list[MissingRange]:
    """Return the times between replicas that nothing accounts for."""
    if not covered:
        return []
    explained = [gap.span for _, line in lines for gap in line.gaps if gap.span is not None]
    known = merged([covered, explained, *(line.proofs for _, line in lines)])
    return [
        MissingRange(RangeState.UNREPORTED, None, None, None, start - 1, end + 1, NO_REPLICA)
        for start, end in absent(known, covered[0][0], covered[-1][1])
    ]
