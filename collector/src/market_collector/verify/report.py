"""The findings of `verify`: frozen records that `table`, `timeline` and `document` print.

Times are nanoseconds since 1970.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from market_collector.reading.ranges import merged, minus
from market_collector.reading.trouble import Trouble

FINDINGS_KEPT = 100
"""Findings kept per stream and replica."""
Span = tuple[int, int]
"""From and to."""


class RangeState(StrEnum):
    """The end of a gap, from harmless to worst."""

    REPAIRED = "repaired"
    """The same replica has all missing records."""
    BRIDGED = "bridged"
    """Another replica has all missing records."""
    LOST = "lost"
    """Missing and reported as `lost`, or book updates that were `dropped`."""
    OPEN = "open"
    """Missing and reported, but neither filled nor lost when the recording ended."""
    UNREPORTED = "unreported"
    """Missing without a gap record, or reported as filled. This must never happen."""


MISSING = (RangeState.LOST, RangeState.OPEN, RangeState.UNREPORTED)
"""States with records missing from the output."""


class Completeness(StrEnum):
    """The result in one word."""

    COMPLETE = "complete"
    INCOMPLETE = "holes"
    UNREADABLE = "unreadable"


EXIT_CODES = {Completeness.COMPLETE: 0, Completeness.INCOMPLETE: 1, Completeness.UNREADABLE: 2}


@dataclass(frozen=True, slots=True)
class MissingRange:
    """A gap in one stream."""

    state: RangeState
    first: str | None
    """Trades: first missing id; candles: first missing open time in milliseconds; books: the last good sequence."""
    last: str | None
    """Trades and candles: the last missing one; books: the sequence at which the data continues."""
    missing: int | None
    """Number of ids that no replica has; None for books, whose sequences are not dense."""
    from_ns: int | None
    to_ns: int | None
    reason: str
    gap_id: str | None = None
    """Id of its gap record."""
    replica: str = ""
    """The replica with the gap; empty if no replica has the records."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Contradicting records, or an impossible book."""

    kind: str
    detail: str
    time_ns: int | None
    replica: str = ""


def find(findings: list[Finding], kind: str, detail: str, time_ns: int | None) -> None:
    """Adds a finding, up to FINDINGS_KEPT."""
    if len(findings) < FINDINGS_KEPT:
        findings.append(Finding(kind, detail, time_ns))


def of(replica: str, findings: Iterable[Finding]) -> list[Finding]:
    """The findings with the name of the replica in which they were made."""
    return [replace(finding, replica=replica) for finding in findings]


def apart(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans without the times that two of them have.

    A gap is between two spans. They overlap only if the exchange set its clock back, and data is missing then.
    """
    ordered, twice, latest = sorted((min(span), max(span)) for span in spans), list[Span](), 0
    for start, end in ordered:
        if start < latest:
            twice.append((start, min(end, latest)))
        latest = max(latest, end)
    return tuple(minus(ordered, merged([twice])))


@dataclass(frozen=True, slots=True)
class Books:
    """Number of a book's records whose resulting state is proved by a snapshot, a link to one, or a checksum."""

    proved: int
    unproved: int


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The outcome of one stream's continuity rules over all replicas."""

    missing_ranges: tuple[MissingRange, ...] = ()
    missing: Mapping[RangeState, int] = field(default_factory=dict)
    """Trades and candles: ids that no replica has, each counted once."""
    findings: tuple[Finding, ...] = ()
    pauses: tuple[Span, ...] = ()
    """Books: times between two runs, or before an unasked snapshot, that no replica's chain covers."""
    duplicates: int = 0
    distinct: int | None = None
    """Trades and candles: ids that are there."""
    books: Books | None = None
    is_numbered: bool = True
    """Trades: whether a missing one would be seen by its id."""
    audited: int | None = None
    """Minutes whose trades sum up to the volume of their candle; None if that was not checked."""
    proved: tuple[Span, ...] = ()
    """Intervals in which the data of all replicas together is whole, in exchange time."""


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One stream of one exchange, all replicas merged."""

    exchange: str
    stream: str
    replicas: tuple[str, ...]
    from_ns: int | None
    to_ns: int | None
    records: int
    reckoning: Reckoning
    events: Mapping[str, int]
    """Number of event records of this stream, by kind."""
    out_of_order: int
    """Tickers and other states: records whose exchange time is before the last one's."""
    longest_silence_ns: int
    """Within one run of one replica, by receive time."""
    busy: tuple[Span, ...]
    """Times with data."""
    reconnects: tuple[Span, ...]
    """Times of disconnections and resyncs."""
    running: tuple[Span, ...]
    """Times at which a replica ran."""
    connected: tuple[Span, ...] = ()
    """Receive times between which a connection of some replica carried the stream."""

    @property
    def counts(self) -> Counter[RangeState]:
        """Number of gaps by state, counted in each replica."""
        return Counter(missing_range.state for missing_range in self.reckoning.missing_ranges)

    @property
    def is_complete(self) -> bool:
        """Whether no record is missing and no records contradict each other."""
        return not self.reckoning.findings and not any(self.counts[state] for state in MISSING)


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of all streams."""

    streams: Sequence[StreamReport]
    files: int
    records: int
    """Of all kinds."""
    raw: int
    """The exchange's own frames among them; they are only counted."""
    troubles: Sequence[Trouble] = ()
    notes: Sequence[str] = ()
    """Remarks that do not change the verdict: a torn last line, a record of an unknown kind."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was checked: no market data, no error, and no gap record."""
        is_complete = self.verdict is Completeness.COMPLETE
        return is_complete and not any(stream.records for stream in self.streams)

    @property
    def verdict(self) -> Completeness:
        """Unreadable lines come first, since they may hide any record."""
        if self.troubles:
            return Completeness.UNREADABLE
        return Completeness.COMPLETE if all(stream.is_complete for stream in self.streams) else Completeness.INCOMPLETE
