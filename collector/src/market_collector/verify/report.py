"""What `verify` found out: frozen records that `table`, `picture` and `document` print.

Times are nanoseconds since 1970.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

FINDINGS_KEPT = 100
"""Of one stream and replica."""
Span = tuple[int, int]
"""From and to."""


class HoleState(StrEnum):
    """What became of a hole, from harmless to worst."""

    REPAIRED = "repaired"
    """All that was missing is in the output of the same replica."""
    BRIDGED = "bridged"
    """Another replica has all that is missing in this one."""
    LOST = "lost"
    """Missing, and the data says so (`lost`, or a book's updates that were `dropped`)."""
    OPEN = "open"
    """Missing, found by the collector, and neither repaired nor given up when the recording ended."""
    UNREPORTED = "unreported"
    """Missing, and no record tells of it (or one says that it was repaired): what must never happen."""


MISSING = (HoleState.LOST, HoleState.OPEN, HoleState.UNREPORTED)
"""States in which something is not in the output."""


class Verdict(StrEnum):
    """The answer in one word."""

    COMPLETE = "complete"
    HOLES = "holes"
    UNREADABLE = "unreadable"


EXIT_CODES = {Verdict.COMPLETE: 0, Verdict.HOLES: 1, Verdict.UNREADABLE: 2}


@dataclass(frozen=True, slots=True)
class Hole:
    """Something that was missing once, or is."""

    state: HoleState
    first: str | None
    """Trades: first missing id; candles: first missing open time in milliseconds; books: the last good sequence."""
    last: str | None
    """Trades and candles: the last missing one; books: the sequence from which on the data goes on."""
    missing: int | None
    """How many ids are in no replica's output; null for books, whose numbers do not tell."""
    from_ns: int | None
    to_ns: int | None
    reason: str
    gap_id: str | None = None
    """Of the gap record that names it."""
    replica: str = ""
    """Where it was found; empty for what no replica has."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Records that contradict each other, or a book that cannot be right."""

    kind: str
    detail: str
    time_ns: int | None
    replica: str = ""


def find(findings: list[Finding], kind: str, detail: str, time_ns: int | None) -> None:
    """Adds a finding, unless there are so many already that more say nothing new."""
    if len(findings) < FINDINGS_KEPT:
        findings.append(Finding(kind, detail, time_ns))


def of(replica: str, findings: Iterable[Finding]) -> list[Finding]:
    """The findings with the name of the replica in which they were made."""
    return [replace(finding, replica=replica) for finding in findings]


@dataclass(frozen=True, slots=True)
class Books:
    """How many of a book's records leave it in a state that is proved: by a snapshot, a link to it, a checksum."""

    proved: int
    unproved: int


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The outcome of one stream's continuity rules over all replicas."""

    holes: tuple[Hole, ...] = ()
    missing: Mapping[HoleState, int] = field(default_factory=dict)
    """Trades and candles: ids that no replica has, each counted once."""
    findings: tuple[Finding, ...] = ()
    pauses: tuple[Span, ...] = ()
    """Books: times between two runs, or before an unasked snapshot, that no replica's chain covers."""
    duplicates: int = 0
    distinct: int | None = None
    """Trades and candles: ids that are there."""
    books: Books | None = None


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
    """How many records of each kind of event name this stream."""
    out_of_order: int
    """Tickers: records whose exchange time is before the last one's."""
    longest_silence_ns: int
    """Within one run of one replica, by receive time."""
    busy: tuple[Span, ...]
    """Times with data."""
    reconnects: tuple[Span, ...]
    """Times of disconnections and resyncs."""
    running: tuple[Span, ...]
    """Times at which a replica ran."""

    @property
    def counts(self) -> Counter[HoleState]:
        """Holes by their state, counted in each replica."""
        return Counter(hole.state for hole in self.reckoning.holes)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing and nothing contradicts."""
        return not self.reckoning.findings and not any(self.counts[state] for state in MISSING)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that could not be read."""

    file: str
    line: int | None
    reason: str
    """What is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything."""

    streams: Sequence[StreamReport]
    files: int
    records: int
    """Of all kinds."""
    raw: int
    """The exchange's own frames among them; they are only counted."""
    troubles: Sequence[Trouble] = ()
    notes: Sequence[str] = ()
    """What does not change the verdict: a torn last line, a record of an unknown kind."""

    @property
    def verdict(self) -> Verdict:
        """Unreadable lines may hide anything, so they go first."""
        if self.troubles:
            return Verdict.UNREADABLE
        return Verdict.COMPLETE if all(stream.is_complete for stream in self.streams) else Verdict.HOLES
