"""Continuity of order books: each update continues the last one, unless a snapshot or a gap record comes between.

Starting at a snapshot, a chain of linked updates contains every change until its end. Chains of two replicas that
overlap or touch are merged. A break in one replica is bridged if it lies within a chain of another replica.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from market_collector.book.book import ALL_LEVELS, Book
from market_collector.exchanges import EXCHANGES, has_own_numbers
from market_collector.model.events import REPEATED, TRADING, Dropped, Gap, Instrument, Level, Lost, Orderbook, Repaired
from market_collector.model.streams import GapState
from market_collector.verify.crossing import AUCTION_KNOWN_NS, CrossWatch
from market_collector.verify.report import Books, Finding, MissingRange, RangeState, Reckoning, apart, find, of


class Mark(NamedTuple):
    """A state of the book. The exchange may restart its sequence or set its clock back, so neither orders states."""

    time_ns: int
    sequence: int


WRONG_SNAPSHOT = "WrongSnapshot"


@dataclass(slots=True, eq=False)
class Chain:
    """States from ``start`` to ``end`` without a break."""

    start: Mark
    end: Mark
    proved: Mark | None = None
    """The first state that a snapshot shows; all states from there on are proved."""
    parts: list[list[Mark]] = field(default_factory=list)
    """First and last state of each part in which neither time nor sequence goes back."""
    part_of: Chain | None = None
    """The chain of all replicas that it was joined to."""
    is_timed: bool = False
    """Whether chains of two replicas are compared by time, since each replica numbers the states itself."""

    def __post_init__(self) -> None:
        """Start the first part."""
        self.parts = self.parts or [[self.start, self.end]]

    def advance(self, mark: Mark) -> None:
        """Add the next state, or a later time of the last one."""
        if mark.time_ns >= self.end.time_ns and mark.sequence >= self.end.sequence:
            self.parts[-1][1] = mark
        else:
            self.parts.append([mark, mark])
        self.end = mark

    def holds(self, mark: Mark) -> bool:
        """Whether the chain contains this state."""
        return any(_is_between(mark, start, end) for start, end in self.parts)

    def covers(self, mark: Mark) -> bool:
        """Whether the chain contains this state of any replica."""
        return any(self.is_within(mark, start, end) for start, end in self.parts)

    def is_within(self, mark: Mark, start: Mark, end: Mark) -> bool:
        """Whether a state of any replica lies in a part of the chain."""
        return start.time_ns <= mark.time_ns <= end.time_ns if self.is_timed else _is_between(mark, start, end)

    def earliest_ns(self) -> int:
        """Return the earliest time of a state."""
        return min(start.time_ns for start, _ in self.parts)

    def whole(self) -> Chain:
        """Return the chain of all replicas that contains it."""
        chain = self
        while chain.part_of is not None:
            chain = chain.part_of
        return chain


@dataclass(slots=True)
class BookGap:
    """A gap record, with its state by later records."""

    gap_id: str
    reason: str
    start: Mark | None
    """The last state before the gap, by its record; None if the collector did not know it."""
    state: GapState = GapState.OPEN


@dataclass(slots=True)
class Break:
    """A break between two chains of one replica."""

    start: Mark | None
    """The last good state."""
    number: int
    """Number of the chains before it."""
    end: Mark | None = None
    """The state at which the data continues; None at the end of the recording."""
    gaps: list[BookGap] = field(default_factory=list)
    dropped: Dropped | None = None
    is_healed: bool = False
    """The next record continued the last one after all."""
    has_unsynced: bool = False
    """Updates were written while the book was out of sync."""

    @property
    def since(self) -> Mark | None:
        """The last good state, by the gap record if another process published it."""
        return self.start or (self.gaps[0].start if self.gaps else None)


class BookLine:
    """One book in one replica's files, in the order in which they were written."""

    def __init__(self) -> None:
        self.chains: list[Chain] = []
        self.breaks: list[Break] = []
        self.proved = 0
        self.unproved = 0
        self.duplicates = 0
        """Repeated updates, which the continuity check skips."""
        self.findings: list[Finding] = []
        self._book: Book | None = None
        """The state of the book while it is proved."""
        self._is_timed = False
        """Whether this replica numbers the states itself."""
        self._watch: CrossWatch | None = None
        self._crossing: tuple[int, Finding] | None = None
        """When the last crossing that took too long was received, and the finding if no auction explains it."""
        self._may_be_crossed = False
        """Whether the instrument does not trade continuously."""
        self._out_of_sync: Break | None = None
        """The break of an open gap."""
        self._dropped: Dropped | None = None
        """Records that the sink dropped since the last record."""
        self._gaps: dict[str, BookGap] = {}
        self.ended: dict[str, GapState] = {}
        """Gaps of another process that ended here."""

    def take(self, record: Orderbook, time_ns: int) -> None:
        """Check the next record, whose event happened at ``time_ns``."""
        self._is_timed = has_own_numbers(record.exchange)
        if record.action == "snapshot" and record.cause in REPEATED:
            self._repeated(record, time_ns)
        elif record.action == "snapshot":
            self._snapshot(record, time_ns)
        else:
            self._update(record, time_ns)

    def start_run(self) -> None:
        """Start the records of another process, whose book starts with a snapshot."""
        self._book, self._may_be_crossed = None, False
        self._judge_crossing()

    def instrument(self, record: Instrument) -> None:
        """Note whether the instrument trades continuously. Otherwise it may be in an auction, and its book crossed."""
        may_be_crossed, received_ns = record.status != TRADING, record.receive_time_ns
        if may_be_crossed is self._may_be_crossed:
            return
        if self._book is not None and self._watch is not None and self._end is not None:
            if may_be_crossed:
                self._report_crossing(self._watch.lasted(received_ns, received_ns), received_ns, received_ns)
            else:
                self._watch.restart(self._end.time_ns, received_ns)
        self._may_be_crossed = may_be_crossed
        if may_be_crossed and self._crossing is not None and received_ns - self._crossing[0] <= AUCTION_KNOWN_NS:
            self._crossing = None

    def gap(self, gap: Gap) -> None:
        """Note a gap: the book is out of sync."""
        start = None if gap.from_time_ns is None else Mark(gap.from_time_ns, _sequence(gap.after_sequence))
        life = self._gaps[gap.gap_id] = BookGap(gap.gap_id, gap.reason, start)
        for gap_id in gap.merges or ():
            self._gaps[gap_id] = life
        if self._out_of_sync is None:
            self._out_of_sync = self._break()
            self.breaks.append(self._out_of_sync)
        self._out_of_sync.gaps.append(life)
        self._judge_crossing()
        if self._watch is not None:
            self._watch.forget()

    def close(self, event: Repaired | Lost) -> None:
        """Note the end of a gap. The snapshot comes after it."""
        state = GapState.REPAIRED if isinstance(event, Repaired) else GapState.LOST
        if (life := self._gaps.pop(event.gap_id, None)) is not None:
            life.state = state
        else:
            self.ended[event.gap_id] = state

    def dropped(self, event: Dropped) -> None:
        """Note that the sink dropped records here."""
        self._dropped = event

    def finish(self) -> None:
        """End the recording."""
        self._judge_crossing()
        if self._dropped is not None and self._out_of_sync is None:
            self.breaks.append(self._break(dropped=self._dropped))
            self._dropped = None

    @property
    def _end(self) -> Mark | None:
        return self.chains[-1].end if self.chains else None

    def _break(self, end: Mark | None = None, dropped: Dropped | None = None) -> Break:
        return Break(self._end, len(self.chains), end, dropped=dropped)

    def _repeated(self, record: Orderbook, time_ns: int) -> None:
        """Check a snapshot that must show the present state. It starts the book where that is not known."""
        mark, end = Mark(time_ns, _sequence(record.sequence)), self._end
        if end is None or self._dropped is not None:
            self._snapshot(record, time_ns)
        elif self._out_of_sync is not None:
            self._reject(f"the snapshot at sequence {record.sequence} repeats a book that is out of sync", time_ns)
        elif mark.sequence == end.sequence:
            self._compare(record, time_ns)
        elif _is_inside(self.chains[-1], mark):
            self._reject(f"the snapshot at sequence {record.sequence} came after sequence {end.sequence}", time_ns)
        else:
            self.breaks.append(self._break(mark))
            self._snapshot(record, time_ns)

    def _reject(self, detail: str, time_ns: int) -> None:
        self.unproved += 1
        find(self.findings, WRONG_SNAPSHOT, detail, time_ns)

    def _compare(self, record: Orderbook, time_ns: int) -> None:
        if self._book is not None and _is_same(self._book, record):
            self._stay(time_ns)
            self._prove(record, time_ns)
            return
        if self._book is not None:
            detail = f"the snapshot at sequence {record.sequence} differs from the book that led to it"
            find(self.findings, WRONG_SNAPSHOT, detail, time_ns)
        self._snapshot(record, time_ns)

    def _snapshot(self, record: Orderbook, time_ns: int) -> None:
        mark = Mark(time_ns, _sequence(record.sequence))
        is_same = self._end is not None and self._end.sequence == mark.sequence
        if self._out_of_sync is not None:
            self._out_of_sync.end, self._out_of_sync.is_healed, self._out_of_sync = mark, is_same, None
        elif self._dropped is not None and not is_same:
            self.breaks.append(self._break(mark, self._dropped))
        self._dropped = None
        if is_same:
            self._stay(time_ns)
            self.chains[-1].proved = self.chains[-1].proved or mark
        else:
            self.chains.append(Chain(mark, mark, mark, is_timed=self._is_timed))
        if self._book is not None and self._watch is not None:
            lasted_ns = self._watch.lasted(time_ns, record.receive_time_ns)
            self._report_crossing(lasted_ns, time_ns, record.receive_time_ns)
        self._book = Book(record)
        self._watch = CrossWatch(self._book, time_ns, record.receive_time_ns)
        self._prove(record, time_ns)

    def _stay(self, time_ns: int) -> None:
        """Note that a snapshot showed the last state at this time."""
        chain = self.chains[-1]
        chain.advance(Mark(max(time_ns, chain.end.time_ns), chain.end.sequence))

    def _update(self, record: Orderbook, time_ns: int) -> None:
        chain = self.chains[-1] if self.chains else None
        if chain is not None and record.previous_sequence == chain.end.sequence:
            chain.advance(Mark(time_ns, _sequence(record.sequence)))
            self._continue(record, time_ns)
        elif chain is not None and _is_inside(chain, Mark(time_ns, _sequence(record.sequence))):
            self.duplicates += 1
        elif self._out_of_sync is not None:
            self._unsynced(self._out_of_sync, record, time_ns)
        else:
            self._start_in_the_middle(record, time_ns)

    def _continue(self, record: Orderbook, time_ns: int) -> None:
        if self._out_of_sync is not None:
            self._out_of_sync.end, self._out_of_sync.is_healed, self._out_of_sync = self._end, True, None
        self._dropped = None
        if self._book is None or self._watch is None:
            self.unproved += 1
            return
        self._book.apply(record)
        self._report_crossing(self._watch.follow(self._book, record, time_ns), time_ns, record.receive_time_ns)
        self._prove(record, time_ns)

    def _unsynced(self, out_of_sync: Break, record: Orderbook, time_ns: int) -> None:
        self.unproved += 1
        if not out_of_sync.has_unsynced:
            out_of_sync.has_unsynced = True
            find(
                self.findings,
                "PublishedInDoubt",
                f"sequence {record.sequence} came after a gap, without a snapshot",
                time_ns,
            )

    def _start_in_the_middle(self, record: Orderbook, time_ns: int) -> None:
        """Handle a broken link, or a recording that starts late. The state is unknown until the next snapshot."""
        mark = Mark(time_ns, _sequence(record.previous_sequence))
        if self._end is not None or self._dropped is not None:
            self.breaks.append(self._break(mark, self._dropped))
        self._dropped = None
        end = Mark(time_ns, _sequence(record.sequence))
        self.chains.append(Chain(mark, end, is_timed=self._is_timed))
        self._book = None
        self.unproved += 1

    def _prove(self, record: Orderbook, time_ns: int) -> None:
        assert self._book is not None
        exchange = EXCHANGES.get(record.exchange)
        if record.checksum is None or (exchange is not None and exchange.is_intact(self._book, record.checksum)):
            self.proved += 1
            return
        self.unproved += 1
        if exchange is None:
            return
        self._book = None
        detail = f"the book at sequence {record.sequence} does not have the exchange's checksum {record.checksum}"
        find(self.findings, "ChecksumMismatch", detail, time_ns)

    def _report_crossing(self, crossed_ns: int | None, time_ns: int, received_ns: int) -> None:
        if crossed_ns is None or self._may_be_crossed:
            return
        self._judge_crossing()
        detail = f"bids stood at or above asks for {crossed_ns / 1e9:.3f} s"
        self._crossing = received_ns - crossed_ns, Finding("Crossed", detail, time_ns)

    def _judge_crossing(self) -> None:
        """Report the last crossing that took too long: no record has shown an auction until here."""
        if self._crossing is not None:
            finding, self._crossing = self._crossing[1], None
            find(self.findings, finding.kind, finding.detail, finding.time_ns)


def _is_between(mark: Mark, start: Mark, end: Mark) -> bool:
    return start.time_ns <= mark.time_ns <= end.time_ns and start.sequence <= mark.sequence <= end.sequence


def _is_inside(chain: Chain, mark: Mark) -> bool:
    """Whether the chain contains this state after its start."""
    return mark != chain.start and chain.holds(mark)


def _is_same(book: Book, snapshot: Orderbook) -> bool:
    """Whether a snapshot has exactly the levels of the book."""
    sides = (book.best_bids(ALL_LEVELS), snapshot.bids), (book.best_asks(ALL_LEVELS), snapshot.asks)
    return all(_values(ours) == _values(others) for ours, others in sides)


def _values(levels: Iterable[Level]) -> list[tuple[float, float]]:
    return [(float(level.price), float(level.amount)) for level in levels]


def _sequence(number: int | None) -> int:
    """Return -1 if there is no sequence: the book of such an exchange is one unbroken chain."""
    return -1 if number is None else number


# -- all replicas together


def reckon(lines: Sequence[tuple[str, BookLine]]) -> Reckoning:
    """Judge one book in all replicas, each given with its name."""
    cover = joined(chain for _, line in lines for chain in line.chains)
    _end_elsewhere([line for _, line in lines])
    missing_ranges = [
        missing_range
        for replica, line in lines
        for each in line.breaks
        if (missing_range := _judge(each, replica, line.chains, cover)) is not None
    ]
    ends = {each.start for _, line in lines for each in line.breaks}
    between = [(a.end.time_ns, b.start.time_ns) for a, b in pairwise(cover) if a.end not in ends]
    return Reckoning(
        missing_ranges=tuple(missing_ranges),
        findings=tuple(finding for replica, line in lines for finding in of(replica, line.findings)),
        pauses=tuple((start, end) for start, end in between if start <= end),
        duplicates=sum(line.duplicates for _, line in lines),
        proved=apart((chain.proved.time_ns, _latest_ns(chain)) for chain in cover if chain.proved is not None),
        books=Books(sum(line.proved for _, line in lines), sum(line.unproved for _, line in lines)),
    )


def joined(chains: Iterable[Chain]) -> list[Chain]:
    """Join chains that overlap or touch. Chains of one replica do so only by way of another replica's."""
    whole: list[Chain] = []
    near: list[Chain] = []
    """Those that later ones may touch: they reach their times, or are the last one."""
    for each in sorted(chains, key=lambda each: (each.earliest_ns(), each.end)):
        near = [other for other in near[:-1] if _latest_ns(other) >= each.earliest_ns()] + near[-1:]
        parts = [[*part] for part in each.parts]
        each.part_of = chain = Chain(each.start, each.end, each.proved, parts, is_timed=each.is_timed)
        for other in [other for other in near if _touch(other, chain)]:
            _join(other, chain)
            whole = [one for one in whole if one is not chain]
            near = [one for one in near if one is not chain]
            chain = other
        if chain is each.part_of:
            whole.append(chain)
            near.append(chain)
    return whole


def _latest_ns(chain: Chain) -> int:
    return max(end.time_ns for _, end in chain.parts)


def _touch(earlier: Chain, later: Chain) -> bool:
    """Compare sequences too, since a snapshot may be later than the change that led to its state."""
    is_later = later.start.sequence == earlier.end.sequence and later.start.time_ns >= earlier.end.time_ns
    return (is_later and not later.is_timed) or earlier.covers(later.start) or later.covers(earlier.start)


def _join(chain: Chain, other: Chain) -> None:
    if other.covers(chain.start) and not chain.covers(other.start):
        chain.start = other.start
    if not chain.covers(other.end):
        chain.end = other.end
    chain.proved = min(filter(None, (chain.proved, other.proved)), default=None)
    other.part_of = chain
    for start, end in other.parts:
        last = chain.parts[-1]
        if chain.is_within(start, *last) and chain.is_within(last[1], start, end):
            last[1] = end  # usually, so that a chain of many has one part
        elif not any(chain.is_within(start, *part) and chain.is_within(end, *part) for part in chain.parts):
            chain.parts.append([start, end])


def _end_elsewhere(lines: Sequence[BookLine]) -> None:
    """End the gaps that a process left open, as those of the process after it say.

    That one ends a gap which it knows by its id. Otherwise it reports the same missing updates as a gap of its own,
    which starts at the same state or before, and ends later.
    """
    ended = {gap_id: state for line in lines for gap_id, state in line.ended.items()}
    breaks = [each for line in lines for each in line.breaks if each.gaps]
    lost = [(each.gaps[-1], each.end) for each in breaks if each.gaps[-1].state is GapState.LOST]
    for each in breaks:
        life = each.gaps[-1]
        if life.state is not GapState.OPEN:
            continue
        if life.gap_id in ended:
            life.state = ended[life.gap_id]
        elif each.since is not None and any(_is_within(each.since, gap, end) for gap, end in lost):
            life.state = GapState.LOST


def _is_within(mark: Mark, gap: BookGap, end: Mark | None) -> bool:
    return end is not None and mark.time_ns <= end.time_ns and (gap.start is None or gap.start.time_ns <= mark.time_ns)


def _is_covered(each: Break, own: Sequence[Chain], cover: Sequence[Chain]) -> bool:
    """Whether one joined chain spans the break between two chains of a replica, or of two processes."""
    since = each.since
    if since is None:
        return False
    spans = [own[each.number - 1].whole()] if each.start else [chain for chain in cover if chain.covers(since)]
    if each.end is None:
        return any(chain.end != since for chain in spans)
    return each.number < len(own) and any(own[each.number].whole() is chain for chain in spans)


def _judge(each: Break, replica: str, own: Sequence[Chain], cover: Sequence[Chain]) -> MissingRange | None:
    if each.is_healed and not each.gaps:
        return None
    state = _state(each, own, cover)
    return MissingRange(
        state,
        None if each.start is None else str(each.start.sequence),
        None if each.end is None else str(each.end.sequence),
        None,
        None if each.start is None else each.start.time_ns,
        None if each.end is None else each.end.time_ns,
        _reason(each, state),
        each.gaps[-1].gap_id if each.gaps else None,
        replica,
    )


def _state(each: Break, own: Sequence[Chain], cover: Sequence[Chain]) -> RangeState:
    if each.is_healed:
        return RangeState.REPAIRED
    if _is_covered(each, own, cover):
        return RangeState.BRIDGED
    if each.gaps:
        by_record = {GapState.OPEN: RangeState.OPEN, GapState.LOST: RangeState.LOST}
        return by_record.get(each.gaps[-1].state, RangeState.UNREPORTED)
    if each.dropped is not None:
        return RangeState.OPEN if each.end is None else RangeState.LOST
    return RangeState.UNREPORTED


def _reason(each: Break, state: RangeState) -> str:
    if state is RangeState.UNREPORTED:
        return (
            "no gap record reports it"
            if not each.gaps
            else f"gap {each.gaps[-1].gap_id} is reported as filled, but is not"
        )
    if each.gaps:
        return each.gaps[-1].reason
    return (
        ""
        if each.dropped is None
        else f"{each.dropped.count} records dropped: {each.dropped.detail or each.dropped.reason}"
    )
