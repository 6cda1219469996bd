"""Continuity of streams with dense numbers: trade ids, and open times of closed candles counted in intervals.

* Every number between the lowest and the highest is in the output, or a gap record covers it. At an exchange that sends
  no candle of an interval without trades, a candle that no record names need not exist.
* The state of each gap (filled, or lost with exact ids) agrees with the output.
* Each number occurs once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from market_collector.model.events import Dropped, Gap, Lost, Repaired
from market_collector.model.reasons import EndReason
from market_collector.model.streams import DataType, GapState, Stream
from market_collector.reading.ranges import IdRuns, Run, absent, common, merged, minus, size
from market_collector.verify.report import MISSING, Finding, MissingRange, RangeState, Reckoning, Span, apart, find, of

UNBOUNDED: Run = (0, -1)
"""An empty run, for a record without bounds."""

BETWEEN_RUNS = "the collector did not run, and started without its checkpoint (see --state-dir)"


@dataclass(slots=True)
class GapLife:
    """A gap record, with its state by later records."""

    gap_id: str
    first: int
    last: int
    """Below ``first`` when the bounds are unknown."""
    from_ns: int | None
    to_ns: int | None
    reason: str
    missing: int | None = None
    """As in the gap record."""
    state: GapState = GapState.OPEN
    is_merged: bool = False
    """Another gap replaced it."""
    given_up: list[Run] | None = None
    """Lost ids; None means the entire gap."""
    has_nothing: bool = False
    """The exchange's history shows that the missing candles never existed."""
    newest_backfill: int | None = None
    before: int | None = None
    """The next number of its process, when the bounds are unknown."""
    is_repeated: bool = False
    """The gap was open when the recording started, so earlier files may have some of its records."""


@dataclass(slots=True)
class Drop:
    """``count`` records that a sink dropped, after the number ``after`` and before ``before``."""

    after: int | None
    before: int | None
    count: int
    time_ns: int
    reason: str


@dataclass(slots=True)
class Numbering:
    """Records between two restarts of the exchange's numbering."""

    started_ns: int = 0
    ended_ns: int = 0
    """Earliest and latest exchange time."""
    is_restart: bool = False
    runs: IdRuns = field(default_factory=IdRuns)
    gaps: dict[str, GapLife] = field(default_factory=dict)
    drops: list[Drop] = field(default_factory=list)
    between_runs: list[Run] = field(default_factory=list)
    """Numbers missing between the end of one run and the start of the next."""
    live_from: int | None = None
    """The first live number, if the recording lacks earlier files of its run. Backfilled ones may be lower."""


class NumberLine:
    """One stream in one replica's files, in the order in which they were written."""

    def __init__(self, stream: Stream, *, starts_inside: bool = False, skips_numbers: bool = False) -> None:
        """Start without records.

        Args:
            stream: has dense numbers.
            starts_inside: earlier files of the run are not there, and may have gaps that are filled here.
            skips_numbers: numbers may not exist: candles of intervals without trades.
        """
        self.stream = stream
        self.skips_numbers = skips_numbers
        self.numberings = [Numbering()]
        self._starts_inside = starts_inside
        self.duplicates = 0
        self.findings: list[Finding] = []
        self._is_watching = starts_inside
        """Whether the next live record starts a run, restarts the numbering, or ends a drop."""
        self._starts_run = False
        self._restarts = False
        self._filling: GapLife | None = None

    def take(self, first: int, last: int, time_ns: int, is_backfilled: bool) -> None:
        """Add a record with the numbers first..last."""
        numbering = self.numberings[-1]
        if is_backfilled:
            numbering = self._numbering_at(time_ns)
            self._check_order(numbering, first, time_ns)
        elif self._is_watching:
            numbering = self._on_first_live(first, time_ns)
        if time_ns > numbering.ended_ns:
            numbering.ended_ns = time_ns
            numbering.started_ns = numbering.started_ns or time_ns
        elif is_backfilled and time_ns < numbering.started_ns:
            numbering.started_ns = time_ns
        self.duplicates += last - first + 1 - numbering.runs.add(first, last, time_ns)

    def has(self, number: int) -> bool:
        """Return whether a record with this number came before."""
        return self.numberings[-1].runs.has(number)

    def start_run(self) -> None:
        """Start the records of another process."""
        self._is_watching = self._starts_run = True
        self._filling = None
        for life in self.numberings[-1].gaps.values():
            life.newest_backfill = None

    def restart(self) -> None:
        """Restart the exchange's numbering with the next record."""
        self._is_watching = self._restarts = True

    def gap(self, gap: Gap) -> None:
        """Add a gap. One without bounds cannot be compared with numbers, so it keeps the state of its records."""
        numbering = self.numberings[-1]
        is_bounded = gap.first_id is not None and gap.last_id is not None
        first, last = (self._number(gap.first_id), self._number(gap.last_id)) if is_bounded else UNBOUNDED
        before, after = numbering.runs.times_around(first, last) if is_bounded else (None, None)
        start = max((time for time in (before, gap.from_time_ns) if time is not None), default=None)
        end = min((time for time in (after, gap.to_time_ns) if time is not None), default=None)
        life = GapLife(gap.gap_id, first, last, start, end, gap.reason, gap.missing, is_repeated=self._starts_inside)
        numbering.gaps[gap.gap_id] = life
        self._is_watching = self._is_watching or not is_bounded
        for gap_id in gap.merges or ():
            if (old := self._find(gap_id)) is not None:
                old.is_merged = True

    def close(self, event: Repaired | Lost) -> None:
        """Close a gap. If its gap record is missing, only the lost ids are known."""
        ranges = event.ranges if isinstance(event, Lost) else None
        given_up = None if ranges is None else merged([[(self._number(a), self._number(b)) for a, b in ranges]])
        life = self._find(event.gap_id)
        if life is None:
            if not given_up:
                return
            life = GapLife(event.gap_id, given_up[0][0], given_up[-1][1], None, None, event.reason)
            self.numberings[-1].gaps[event.gap_id] = life
        life.state = GapState.REPAIRED if isinstance(event, Repaired) else GapState.LOST
        life.given_up = given_up
        life.has_nothing = event.reason == EndReason.NOTHING_TRADED

    def dropped(self, event: Dropped) -> None:
        """Note that the sink dropped records here."""
        numbering = self.numberings[-1]
        after = numbering.runs.high if numbering.runs else None
        numbering.drops.append(Drop(after, None, event.count, event.receive_time_ns, event.detail or event.reason))
        self._is_watching = True

    def name(self, number: int) -> str:
        """Return a number as in reports: a trade id, or a candle's open time in milliseconds."""
        return self.stream.format_position(number)

    def _number(self, text: str | None) -> int:
        return self.stream.parse_id(text or "0")

    def _on_first_live(self, first: int, time_ns: int) -> Numbering:
        self._is_watching = False
        numbering = self.numberings[-1]
        if self._starts_inside:
            numbering.live_from, self._starts_inside = first, False
        if self._restarts or (self._starts_run and _restarts(numbering, first, time_ns)):
            numbering = Numbering(is_restart=True)
            self.numberings.append(numbering)
        if self._starts_run and numbering.runs and first > numbering.runs.high + 1:
            numbering.between_runs.append((numbering.runs.high + 1, first - 1))
        self._restarts = self._starts_run = False
        for life in numbering.gaps.values():
            if life.last < life.first and life.before is None:
                life.before = first
        for drop in numbering.drops:
            if drop.before is None and (drop.after is None or first > drop.after):
                drop.before = first
        return numbering

    def _numbering_at(self, time_ns: int) -> Numbering:
        """Return the numbering of that time, since backfilled records may belong to an earlier one."""
        fitting = (numbering for numbering in reversed(self.numberings) if numbering.started_ns <= time_ns)
        return next(fitting, self.numberings[0])

    def _check_order(self, numbering: Numbering, number: int, time_ns: int) -> None:
        life = self._filling
        if life is None or not life.first <= number <= life.last:
            lives = (each for each in reversed(numbering.gaps.values()) if not each.is_merged)
            life = self._filling = next((each for each in lives if each.first <= number <= each.last), None)
        if life is None:
            return
        if life.newest_backfill is not None and number < life.newest_backfill:
            detail = f"{self.name(number)} came after {self.name(life.newest_backfill)} in gap {life.gap_id}"
            find(self.findings, "BackfillOutOfOrder", detail, time_ns)
        life.newest_backfill = number

    def _find(self, gap_id: str) -> GapLife | None:
        found = (numbering.gaps[gap_id] for numbering in reversed(self.numberings) if gap_id in numbering.gaps)
        return next(found, None)


def _restarts(numbering: Numbering, first: int, time_ns: int) -> bool:
    """Whether the numbering restarted while no collector ran: a used number has a later time."""
    runs = numbering.runs
    if not runs or first > runs.high or time_ns <= numbering.ended_ns:
        return False
    return runs.has(first) or first < runs.low


# -- all replicas together


@dataclass(frozen=True, slots=True)
class _Member:
    """One replica's part of a numbering."""

    replica: str
    line: NumberLine
    numbering: Numbering
    there: list[Run]


@dataclass(slots=True)
class _Account:
    """Missing numbers of one numbering, and the records that account for them."""

    members: Sequence[_Member]
    there: list[Run]
    given_up: list[Run]
    """Numbers that any process reported as lost."""
    missing_ranges: list[MissingRange] = field(default_factory=list)
    claims: dict[RangeState, list[Run]] = field(default_factory=dict)
    earlier: list[Run] = field(default_factory=list)
    """Numbers that an earlier file has, which was not read."""
    findings: list[Finding] = field(default_factory=list)

    def claim(self, state: RangeState, runs: Iterable[Run]) -> None:
        self.claims.setdefault(state, []).extend(runs)

    def claimed(self) -> list[Run]:
        return merged(self.claims.values())


def reckon(lines: Sequence[tuple[str, NumberLine]]) -> Reckoning:
    """Judge one stream in all replicas, each given with its name."""
    accounts = [_account(members) for members in _same_numberings(lines)]
    missing = dict.fromkeys((RangeState.LOST, RangeState.OPEN, RangeState.UNREPORTED), 0)
    for account in accounts:
        known: list[Run] = []
        for state in missing:
            claims = merged([account.claims.get(state, [])])
            missing[state] += size(minus(claims, known))
            known = merged([known, claims])
    own = [finding for replica, line in lines for finding in of(replica, line.findings)]
    return Reckoning(
        missing_ranges=tuple(missing_range for account in accounts for missing_range in account.missing_ranges),
        missing=missing,
        findings=(*own, *(finding for account in accounts for finding in account.findings)),
        duplicates=sum(line.duplicates for _, line in lines),
        distinct=sum(size(account.there) for account in accounts),
        proved=apart(span for account in accounts for span in _proved(account)),
    )


def _proved(account: _Account) -> Iterator[Span]:
    """Yield the times from the first to the last record of each range without a missing number."""
    if not account.there:
        return
    missing = merged([*(account.claims.get(state, []) for state in MISSING), account.earlier])
    stream = account.members[0].line.stream
    for first, last in absent(missing, account.there[0][0], account.there[-1][1]):
        if stream.data_type is DataType.CANDLE:
            yield stream.candle_open_ns(first), stream.candle_open_ns(last + 1)
        else:
            starts = [each.numbering.runs.times_around(first - 1, first - 1)[1] for each in _having(account, first)]
            ends = [each.numbering.runs.times_around(last + 1, last + 1)[0] for each in _having(account, last)]
            if any(starts) and any(ends):  # not in a damaged file
                yield min(filter(None, starts)), max(filter(None, ends))


def _having(account: _Account, number: int) -> list[_Member]:
    return [each for each in account.members if each.numbering.runs.has(number)]


def _same_numberings(lines: Sequence[tuple[str, NumberLine]]) -> list[list[_Member]]:
    """Group the numberings of the replicas by the numbering of the exchange."""
    members = [
        _Member(replica, line, numbering, numbering.runs.runs())
        for replica, line in lines
        for numbering in line.numberings
    ]
    groups: list[list[_Member]] = []
    for member in sorted(members, key=lambda each: each.numbering.started_ns):
        if groups and _continues(groups[-1], member):
            groups[-1].append(member)
        else:
            groups.append([member])
    return groups


def _continues(group: Sequence[_Member], member: _Member) -> bool:
    high = max((each.there[-1][1] for each in group if each.there), default=None)
    if high is None or not member.there:
        return True
    if member.numbering.started_ns <= max(each.numbering.ended_ns for each in group):
        return True
    return not member.numbering.is_restart and member.there[-1][1] >= high


def _account(members: Sequence[_Member]) -> _Account:
    given_up = merged(life.given_up or [] for member in members for life in member.numbering.gaps.values())
    account = _Account(members, merged(member.there for member in members), given_up)
    for member in members:
        for life in member.numbering.gaps.values():
            if not life.is_merged:
                _judge_gap(account, member, life)
    named = account.claimed()
    for member in members:
        for drop in member.numbering.drops:
            _judge_drop(account, member, drop, named)
    _add_unreported(account)
    if len(members) > 1:
        for member in members:
            _add_silently_bridged(account, member)
    return account


def _judge_gap(account: _Account, member: _Member, life: GapLife) -> None:
    if life.last < life.first:
        _judge_unbounded(account, member, life)
        return
    missing = absent(account.there, life.first, life.last)
    is_ended_here = life.is_repeated and life.state is not GapState.OPEN
    earlier = minus(missing, life.given_up or []) if is_ended_here else []
    account.earlier, missing = [*account.earlier, *earlier], minus(missing, merged([earlier]))
    if life.has_nothing:
        account.claim(RangeState.REPAIRED, missing)
        missing = []
    state, claimed, reason = RangeState.OPEN, missing, life.reason
    if life.state is GapState.LOST:
        state = RangeState.LOST
        if life.given_up is not None:
            claimed = minus(life.given_up, account.there)
            _check_given_up(account, member, life, life.given_up)
    elif missing and life.state is GapState.REPAIRED:
        state = RangeState.UNREPORTED
        reason = f"gap {life.gap_id} is reported as filled, but is not"
    elif life.state is GapState.OPEN and not minus(missing, account.given_up):
        state = RangeState.LOST  # its process was killed, and the next one ended another gap of these numbers
    if not claimed:
        own = absent(member.there, life.first, life.last)
        state = RangeState.BRIDGED if own and not (missing or earlier or life.has_nothing) else RangeState.REPAIRED
    account.claim(state, claimed)
    first, last = member.line.name(life.first), member.line.name(life.last)
    account.missing_ranges.append(
        MissingRange(state, first, last, size(claimed), life.from_ns, life.to_ns, reason, life.gap_id, member.replica)
    )


def _judge_unbounded(account: _Account, member: _Member, life: GapLife) -> None:
    """A gap whose beginning nobody knows explains the missing ids right before the next record of its process."""
    state = RangeState(life.state)
    before = [] if life.before is None else absent(account.there, account.there[0][0], life.before - 1)
    claimed = [run for run in before if run[1] + 1 == life.before]
    account.claim(state, claimed)
    first, last = map(member.line.name, claimed[0]) if claimed else (None, None)
    missing = size(claimed) if claimed else life.missing
    account.missing_ranges.append(
        MissingRange(state, first, last, missing, life.from_ns, life.to_ns, life.reason, life.gap_id, member.replica)
    )


def _check_given_up(account: _Account, member: _Member, life: GapLife, given_up: Sequence[Run]) -> None:
    for first, last in common(given_up, member.there):
        ids = f"{member.line.name(first)} to {member.line.name(last)}"
        detail = f"gap {life.gap_id} is reported with {ids} lost, but the records are there"
        account.findings.append(Finding("LostButThere", detail, life.to_ns, member.replica))


def _judge_drop(account: _Account, member: _Member, drop: Drop, named: Sequence[Run]) -> None:
    """Report the dropped numbers that no later record and no gap record covers."""
    claimed = minus(absent(account.there, *_bounds(member, drop)), named)
    if not claimed:
        return
    account.claim(RangeState.OPEN, claimed)
    first, last = member.line.name(claimed[0][0]), member.line.name(claimed[-1][1])
    reason = f"{drop.count} records dropped: {drop.reason}"
    account.missing_ranges.append(
        MissingRange(
            RangeState.OPEN, first, last, size(claimed), drop.time_ns, drop.time_ns, reason, replica=member.replica
        )
    )


def _bounds(member: _Member, drop: Drop) -> Run:
    """Return the bounds of dropped numbers.

    At an end of the recording the count of dropped trades gives the bounds. Candles have none there, since most
    dropped candles are not closed.
    """
    if drop.after is not None and drop.before is not None:
        return drop.after + 1, drop.before - 1
    if member.line.stream.data_type is DataType.CANDLE:
        return UNBOUNDED
    if drop.after is not None:
        return drop.after + 1, drop.after + drop.count
    return UNBOUNDED if drop.before is None else (drop.before - drop.count, drop.before - 1)


def _add_unreported(account: _Account) -> None:
    """Report the numbers that are expected, absent and not accounted for.

    Expected are those between the lowest and the highest number, and those in a gap. Where numbers may not exist, only
    those in a gap, and those between two runs.
    """
    expected = [_spans(member.numbering) for member in account.members]
    if account.there and account.members[0].line.skips_numbers:
        expected += [member.numbering.between_runs for member in account.members]
    elif account.there:
        starts = [start for member in account.members if (start := _start(member)) is not None]
        expected.append([(min(starts), account.there[-1][1])])
    accounted = merged([account.claimed(), account.earlier])
    missing = minus(minus(merged(expected), account.there), accounted)
    name = account.members[0].line.name
    for first, last in missing:
        times = [member.numbering.runs.times_around(first, last) for member in account.members]
        start = max((before for before, _ in times if before is not None), default=None)
        end = min((after for _, after in times if after is not None), default=None)
        is_pause = any(common([(first, last)], member.numbering.between_runs) for member in account.members)
        reason = BETWEEN_RUNS if is_pause else "no gap record reports it"
        account.missing_ranges.append(
            MissingRange(RangeState.UNREPORTED, name(first), name(last), last - first + 1, start, end, reason)
        )
    account.claim(RangeState.UNREPORTED, missing)


def _start(member: _Member) -> int | None:
    """The number from which everything is expected; None without records."""
    if member.numbering.live_from is not None:
        return member.numbering.live_from
    return member.there[0][0] if member.there else None


def _spans(numbering: Numbering) -> list[Run]:
    return [(life.first, life.last) for life in numbering.gaps.values() if life.first <= life.last]


def _add_silently_bridged(account: _Account, member: _Member) -> None:
    """Report the numbers that one replica lacks without a gap record, and another has."""
    if not member.there:
        return
    named = merged([_spans(member.numbering)])
    lacking = minus(absent(member.there, member.there[0][0], member.there[-1][1]), named)
    for first, last in common(lacking, account.there):
        start, end = member.numbering.runs.times_around(first, last)
        first_name, last_name = member.line.name(first), member.line.name(last)
        reason = "another replica has the records"
        account.missing_ranges.append(
            MissingRange(RangeState.BRIDGED, first_name, last_name, 0, start, end, reason, replica=member.replica)
        )
