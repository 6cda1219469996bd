"""Books: every rule by hand, then random recordings of several replicas against a model of plain sets."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import records
from imaginary_exchange import ImaginaryExchange
from market_collector.book.book import Book
from market_collector.book.checksum import interleaved_crc32
from market_collector.book.rule import BookRule, Proof, Scope
from market_collector.exchanges import EXCHANGES
from market_collector.model.events import Dropped, Gap, Instrument, Level, Lost, Orderbook, Record, Repaired
from market_collector.verify.books import BookLine, Chain, Mark, joined, reckon
from market_collector.verify.report import MISSING, Books, RangeState, Reckoning
from records import at, instrument, repeat, snapshot, update

NEW_RUN = "new run"
REPAIRED, BRIDGED, LOST, OPEN, UNREPORTED = RangeState
Entry = Record | str


def gap(gap_id: str, sequence: int | None, merges: list[str] | None = None) -> Gap:
    from_ns = None if sequence is None else at(sequence)
    return records.gap(gap_id, sequence, None, stream=records.BOOK, merges=merges, from_time_ns=from_ns)


def lost(gap_id: str) -> Lost:
    return records.lost(gap_id, stream=records.BOOK)


def repaired(gap_id: str) -> Repaired:
    return records.repaired(gap_id, stream=records.BOOK)


def dropped(count: int) -> Dropped:
    return records.dropped(count, stream=records.BOOK)


def line(entries: Sequence[Entry]) -> BookLine:
    line = BookLine()
    for entry in entries:
        match entry:
            case Orderbook():
                line.take(entry, entry.exchange_time_ns or 0)
            case Gap():
                line.gap(entry)
            case Repaired() | Lost():
                line.close(entry)
            case Dropped():
                line.dropped(entry)
            case Instrument():
                line.instrument(entry)
            case _:
                line.start_run()
    line.finish()
    return line


def judge(*replicas: Sequence[Entry]) -> Reckoning:
    return reckon([(str(number), line(entries)) for number, entries in enumerate(replicas)])


def missing_ranges(reckoning: Reckoning) -> list[tuple[RangeState, str | None, str | None]]:
    return [
        (missing_range.state, missing_range.first, missing_range.last) for missing_range in reckoning.missing_ranges
    ]


START: list[Entry] = [snapshot(1), update(1, 2), update(2, 5)]


@pytest.mark.parametrize(
    ("entries", "expected", "books"),
    [
        (START, [], Books(3, 0)),
        ([*START, update(5, 5)], [], Books(4, 0)),
        ([*START, update(5, 3, 6), update(3, 4, 7)], [], Books(5, 0)),
        ([*START, update(7, 9)], [(UNREPORTED, "5", "7")], Books(3, 1)),
        ([*START, update(7, 9), update(9, 10), snapshot(12), update(12, 13)], [(UNREPORTED, "5", "7")], Books(5, 2)),
        ([*START, gap("g", 5)], [(OPEN, "5", None)], Books(3, 0)),
        ([*START, gap("g", 5), snapshot(9)], [(OPEN, "5", "9")], Books(4, 0)),
        ([*START, gap("g", 5), lost("g"), snapshot(9), update(9, 10)], [(LOST, "5", "9")], Books(5, 0)),
        ([*START, gap("g", 5), repaired("g"), snapshot(5, 9), update(5, 10)], [(REPAIRED, "5", "5")], Books(5, 0)),
        ([*START, gap("g", 5), repaired("g"), snapshot(9)], [(UNREPORTED, "5", "9")], Books(4, 0)),
        ([*START, gap("g", 5), update(5, 6), repaired("g")], [(REPAIRED, "5", "6")], Books(4, 0)),
        ([*START, gap("a", 5), gap("b", 5, ["a"]), lost("b"), snapshot(9)], [(LOST, "5", "9")], Books(4, 0)),
        ([*START, dropped(3), update(5, 6)], [], Books(4, 0)),
        ([*START, dropped(3), update(7, 9), snapshot(12)], [(LOST, "5", "7")], Books(4, 1)),
        ([*START, dropped(3), snapshot(9)], [(LOST, "5", "9")], Books(4, 0)),
        ([*START, dropped(3), snapshot(5, 9)], [], Books(4, 0)),
        ([*START, dropped(3)], [(OPEN, "5", None)], Books(3, 0)),
        ([*START, dropped(3), gap("g", 7), lost("g"), snapshot(9)], [(LOST, "5", "9")], Books(4, 0)),
        ([dropped(3), snapshot(9)], [(LOST, None, "9")], Books(1, 0)),
        ([lost("older"), snapshot(9)], [], Books(1, 0)),
        ([update(5, 6), update(6, 7), snapshot(9)], [], Books(1, 2)),
        ([*START, snapshot(9), update(9, 10)], [], Books(5, 0)),
        ([*START, NEW_RUN, update(7, 9)], [(UNREPORTED, "5", "7")], Books(3, 1)),
    ],
)
def test_break_is_a_gap_with_the_state_of_its_records(
    entries: list[Entry], expected: list[tuple[RangeState, str, str]], books: Books
) -> None:
    reckoning = judge(entries)
    assert missing_ranges(reckoning) == expected
    assert reckoning.books == books
    assert not reckoning.findings


def test_repeated_update_is_a_duplicate_and_no_break() -> None:
    again = [update(1, 2), update(2, 5)]
    reckoning = judge([*START, *again, update(5, 6), update(5, 6), gap("g", 6), *again, lost("g"), snapshot(9)])
    assert missing_ranges(reckoning) == [(LOST, "6", "9")]
    assert (reckoning.duplicates, reckoning.books, reckoning.findings) == (5, Books(5, 0), ())
    assert judge([*START, update(7, 3, 6)]).duplicates == 0, "a lower number is later here"


def test_updates_published_out_of_sync_are_reported_once() -> None:
    (finding,) = judge([*START, gap("g", 5), update(7, 9), update(9, 10), lost("g"), snapshot(12)]).findings
    assert finding.kind == "PublishedInDoubt"


def test_time_between_two_runs_is_a_pause() -> None:
    reckoning = judge([*START, NEW_RUN, snapshot(9), update(9, 10)])
    assert reckoning.pauses == ((at(5), at(9)),)
    assert not reckoning.missing_ranges
    assert judge([*START, NEW_RUN, snapshot(5, 9)]).pauses == ()
    assert judge([*START, gap("g", 5), lost("g"), snapshot(9)]).pauses == ()
    assert judge([*START, NEW_RUN, snapshot(9)], [snapshot(2), update(2, 5), update(5, 9)]).pauses == ()


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ([snapshot(2), update(2, 5), update(5, 7), update(7, 9), update(9, 11)], BRIDGED),
        ([snapshot(5, 6), update(5, 7), update(7, 9)], BRIDGED),
        ([snapshot(2), update(2, 5), update(5, 7)], LOST),
        ([snapshot(7), update(7, 9), update(9, 11)], LOST),
        ([snapshot(2), update(2, 5), update(5, 7), gap("h", 7), lost("h"), snapshot(9)], LOST),
    ],
)
def test_gap_is_bridged_by_a_chain_that_spans_it(other: list[Entry], expected: RangeState) -> None:
    broken: list[Entry] = [*START, gap("g", 5), lost("g"), snapshot(9), update(9, 11)]
    assert judge(broken, other).missing_ranges[0].state is expected
    assert judge(other, broken).missing_ranges[-1].state is expected


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([lost("g"), snapshot(9)], LOST),
        ([repaired("g"), snapshot(5, 9), update(5, 10)], BRIDGED),
        ([repaired("g"), snapshot(9)], UNREPORTED),
        ([gap("h", 5), lost("h"), snapshot(9)], LOST),
        ([gap("h", 2), lost("h"), snapshot(9)], LOST),
        ([gap("h", None), lost("h"), snapshot(9)], LOST),
        ([gap("h", 5), lost("h")], OPEN),
        ([gap("h", 5), snapshot(9)], OPEN),
        ([gap("h", 7), lost("h"), snapshot(9)], OPEN),
        ([snapshot(9)], OPEN),
    ],
)
def test_gap_that_a_process_left_open_ends_with_the_next(later: list[Entry], expected: RangeState) -> None:
    """The next process ends it by its id, or reports the same missing updates as a gap of its own."""
    states = [each.state for each in judge([*START, gap("g", 5)], later).missing_ranges]
    assert states[0] is expected


@pytest.mark.parametrize(
    ("process", "expected"),
    [
        ([gap("g", 5)], BRIDGED),
        ([gap("g", 5), lost("g"), snapshot(9)], BRIDGED),
        ([gap("g", 11)], OPEN),
        ([gap("g", 13)], OPEN),
        ([gap("g", 5), lost("g"), snapshot(13)], LOST),
        ([gap("g", None), lost("g"), snapshot(9)], LOST),
    ],
)
def test_gap_to_another_process_is_bridged_by_a_third(process: list[Entry], expected: RangeState) -> None:
    """Its record names the last state before it, which its own file does not have."""
    chain = [snapshot(2), update(2, 5), update(5, 7), update(7, 9), update(9, 11)]
    states = [each.state for each in judge(process, chain).missing_ranges]
    assert states == [expected]


def test_an_open_end_is_bridged_by_a_chain_that_goes_on() -> None:
    assert judge([*START, gap("g", 5)], [snapshot(2), update(2, 5), update(5, 7)]).missing_ranges[0].state is BRIDGED
    assert judge([*START, gap("g", 5)], [snapshot(2), update(2, 5)]).missing_ranges[0].state is OPEN


def test_chains_touch_by_time_or_by_sequence() -> None:
    def chain(start: tuple[int, int], end: tuple[int, int]) -> Chain:
        return Chain(Mark(*start), Mark(*end))

    assert len(joined([chain((5, 50), (9, 90)), chain((1, 10), (6, 60))])) == 1
    assert len(joined([chain((1, 10), (4, 40)), chain((5, 40), (9, 90))])) == 1
    assert len(joined([chain((1, 10), (4, 40)), chain((5, 50), (9, 90))])) == 2
    assert len(joined([chain((1, 90), (4, 99)), chain((5, 10), (9, 20))])) == 2, "a lower number is later here"


def checksum_of(*entries: Orderbook) -> int:
    book = Book(entries[0])
    for entry in entries[1:]:
        book.apply(entry)
    return interleaved_crc32(book)


def test_checksums_are_verified_where_they_are() -> None:
    first = snapshot(1, checksum=checksum_of(snapshot(1)))
    change = update(1, 2, bids=[("10.5", "2")])
    good = checksum_of(first, change)
    right = judge([first, update(1, 2, bids=[("10.5", "2")], checksum=good)])
    assert (right.books, right.findings) == (Books(2, 0), ())
    wrong = judge([first, update(1, 2, bids=[("10.5", "3")], checksum=good), update(2, 3)])
    assert wrong.books == Books(1, 2)
    assert [finding.kind for finding in wrong.findings] == ["ChecksumMismatch"]


def test_book_that_stays_crossed_is_reported() -> None:
    crossed = update(1, 2, 10, bids=[("11", "1")])
    calm = update(2, 3, 10.5, bids=[("11", "0")])
    late = update(2, 3, 12.5, bids=[("11", "0")])
    assert not judge([snapshot(1), crossed, calm]).findings
    assert [each.kind for each in judge([snapshot(1), crossed, late]).findings] == ["Crossed"]
    assert [each.kind for each in judge([snapshot(1), crossed, snapshot(9, 12.5)]).findings] == ["Crossed"]
    assert not judge([snapshot(1), crossed, gap("g", 2), lost("g"), snapshot(9, 12)]).findings


CROSS = update(1, 2, 10, bids=[("11", "1")])
LATER = update(2, 3, 12.5), update(3, 4, 15)
AUCTION, HALTED, LIVE = "auction", "halted", "trading"


@pytest.mark.parametrize("status", [AUCTION, HALTED, "pre_launch", "rebase"])
def test_book_may_be_crossed_when_the_instrument_does_not_trade(status: str) -> None:
    assert not judge([snapshot(1), CROSS, instrument(11.3, status=status), *LATER]).findings
    assert not judge([instrument(0, status=status), snapshot(1), CROSS, *LATER]).findings
    assert not judge([instrument(0, status=status), snapshot(1), CROSS, snapshot(9, 15)]).findings
    assert crossings([snapshot(1), CROSS, instrument(11.3), *LATER]) == ["12.500"]


def crossings(entries: list[Entry]) -> list[str]:
    """Second of each reported crossing."""
    findings = judge(entries).findings
    assert {each.kind for each in findings} <= {"Crossed"}
    return [f"{((each.time_ns or 0) - at(0)) / 1e9:.3f}" for each in findings]


def test_auction_that_is_known_late_explains_the_crossing() -> None:
    """The exchange's answer may take longer than a crossing may last."""
    late: list[Entry] = [snapshot(1), CROSS, *LATER, instrument(16, status=AUCTION)]
    assert crossings(late) == []
    assert crossings([*late, update(4, 5, 40)]) == []
    calm = update(3, 4, 13, bids=[("11", "0")])
    assert crossings([snapshot(1), CROSS, LATER[0], calm, instrument(13.5, status=AUCTION)]) == []


@pytest.mark.parametrize(
    "between",
    [
        [instrument(31, status=AUCTION)],
        [update(3, 4, 13, bids=[("11", "0")]), instrument(31, status=AUCTION)],
        [gap("g", 3), instrument(14, status=AUCTION), lost("g"), snapshot(9, 15)],
        [NEW_RUN, instrument(14, status=AUCTION), snapshot(9, 15)],
        [],
    ],
)
def test_crossing_that_no_auction_explains_is_reported(between: list[Entry]) -> None:
    assert crossings([snapshot(1), CROSS, LATER[0], *between]) == ["12.500"]


def test_book_without_records_is_judged_when_the_auction_starts() -> None:
    assert crossings([snapshot(1), CROSS, instrument(40, status=AUCTION), update(2, 3, 41)]) == ["40.000"]


def test_crossing_counts_from_the_end_of_the_auction() -> None:
    during: list[Entry] = [instrument(0, status=AUCTION), snapshot(1), CROSS, *LATER, instrument(20)]
    assert crossings([*during, update(4, 5, 21.9), update(5, 6, 22, bids=[("11", "0")])]) == []
    assert crossings([*during, update(4, 5, 21.9), update(5, 6, 22.1)]) == ["22.100"]
    assert crossings([*during, gap("g", 4), lost("g"), snapshot(9, 30)]) == []
    calm = [*during[:2], update(1, 2, 10), instrument(20), update(2, 3, 21, bids=[("11", "1")])]
    assert crossings([*calm, update(3, 4, 23)]) == []
    assert crossings([*calm, update(3, 4, 23.1)]) == ["23.100"]


def test_auction_of_a_process_is_not_that_of_the_next_one() -> None:
    earlier: list[Entry] = [instrument(0, status=AUCTION), snapshot(1), update(1, 2, 5), NEW_RUN]
    crossed = [snapshot(2, 9, bid="11"), update(2, 3, 12)]
    assert crossings([*earlier, *crossed]) == ["12.000"]
    assert crossings([*earlier, instrument(8.5, status=AUCTION), *crossed]) == []


def test_clock_that_goes_back_across_a_gap_bridges_nothing() -> None:
    broken: list[Entry] = [*START, gap("g", 5), lost("g"), snapshot(9, 4), update(9, 11, 6)]
    assert [each.state for each in judge(broken).missing_ranges] == [LOST]
    other: list[Entry] = [snapshot(2), update(2, 5), update(5, 7), update(7, 9, 4), update(9, 10, 5)]
    assert [each.state for each in judge(broken, other).missing_ranges] == [BRIDGED]
    assert [each.state for each in judge(broken, other[:-2]).missing_ranges] == [LOST]


# -- random recordings: sequence n is the state after change n, at second n until the clock is set back


@st.composite
def recordings(draw: st.DrawFn) -> list[tuple[list[Entry], set[int], list[tuple[int, int]]]]:
    """Replicas of an exchange that sets its clock back once."""
    turn, back = draw(st.integers(0, 20)), draw(st.integers(0, 8))
    clock = [float(number if number < turn else number - back) for number in range(60)]
    return draw(st.lists(recording(clock), min_size=1, max_size=3))


@st.composite
def recording(draw: st.DrawFn, clock: Sequence[float]) -> tuple[list[Entry], set[int], list[tuple[int, int]]]:
    """A replica's entries, the changes that it has (n stands for n-1 → n), and its breaks (from, to)."""
    entries: list[Entry] = []
    changes: set[int] = set()
    breaks: list[tuple[int, int]] = []
    state = draw(st.integers(0, 3))
    entries.append(snapshot(state, clock[state]))
    for number, (steps, skipped) in enumerate(
        draw(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), max_size=5))
    ):
        for _ in range(steps):
            state += 1
            entries.append(update(state - 1, state, clock[state]))
            changes.add(state)
        entries += [gap(str(number), state), lost(str(number)), snapshot(state + skipped, clock[state + skipped])]
        breaks.append((state, state + skipped))
        state += skipped
    return entries, changes, breaks


@given(recordings())
def test_gap_is_bridged_exactly_when_the_replicas_have_every_change(
    made: list[tuple[list[Entry], set[int], list[tuple[int, int]]]],
) -> None:
    there = set().union(*(changes for _, changes, _ in made))
    expected = [
        BRIDGED if set(range(start + 1, end + 1)) <= there else LOST for _, _, breaks in made for start, end in breaks
    ]
    reckoning = judge(*(entries for entries, _, _ in made))
    assert [missing_range.state for missing_range in reckoning.missing_ranges] == expected
    assert any(missing_range.state in MISSING for missing_range in reckoning.missing_ranges) == (LOST in expected)


# -- snapshots that repeat the book


def test_repeated_snapshot_is_proved_and_continues_the_chain() -> None:
    states: list[Entry] = [snapshot(1), update(1, 2, bids=[("10", "7")]), repeat(book_at(2)), update(2, 3)]
    found = judge(states)
    assert (found.findings, found.missing_ranges, found.pauses) == ((), (), ())
    assert found.books == Books(4, 0)


@pytest.mark.parametrize("cause", ["interval", "rotation"])
def test_single_file_is_proved_from_its_repeated_snapshot(cause: str) -> None:
    found = judge([repeat(book_at(2), cause=cause), update(2, 3)])
    assert (found.findings, found.books) == ((), Books(2, 0))


def test_repeated_snapshot_ends_an_unproved_start() -> None:
    assert judge([update(1, 2), repeat(book_at(2)), update(2, 3)]).books == Books(2, 1)


@pytest.mark.parametrize("levels", [[("10", "1")], [("10", "7"), ("9", "1")], [("10.5", "7")], []])
def test_repeated_snapshot_with_other_levels_is_a_finding(levels: list[tuple[str, str]]) -> None:
    wrong = replace(book_at(2), bids=[Level(*level) for level in levels])
    (finding,) = judge([snapshot(1), update(1, 2, bids=[("10", "7")]), repeat(wrong)]).findings
    assert (finding.kind, finding.detail) == (
        "WrongSnapshot",
        "the snapshot at sequence 2 differs from the book that led to it",
    )


def test_repeated_snapshot_may_write_numbers_in_another_way() -> None:
    same = replace(book_at(2), bids=[Level("10.0", "7.00")])
    assert judge([snapshot(1), update(1, 2, bids=[("10", "7")]), repeat(same)]).findings == ()


def test_repeated_snapshot_of_an_earlier_state_is_a_finding() -> None:
    found = judge([snapshot(1), update(1, 2, bids=[("10", "7")]), update(2, 3), repeat(book_at(2)), update(3, 4)])
    (finding,) = found.findings
    assert finding.detail == "the snapshot at sequence 2 came after sequence 3"
    assert found.books == Books(4, 1)


def test_repeated_snapshot_beyond_missing_updates_is_an_unreported_gap() -> None:
    """As after a file that is missing. Another replica that has the updates bridges it."""
    single: list[Entry] = [snapshot(1), repeat(book_at(3)), update(3, 4)]
    assert missing_ranges(judge(single)) == [(UNREPORTED, "1", "3")]
    other = [snapshot(1), update(1, 2), update(2, 3), update(3, 4)]
    assert missing_ranges(judge(single, other)) == [(BRIDGED, "1", "3")]


def test_repeated_snapshot_of_a_book_out_of_sync_is_a_finding() -> None:
    found = judge([snapshot(1), gap("a", 1), repeat(snapshot(1)), lost("a"), snapshot(5)])
    assert [finding.detail for finding in found.findings] == [
        "the snapshot at sequence 1 repeats a book that is out of sync"
    ]


def test_repeated_snapshot_ends_a_drop_of_the_sink() -> None:
    found = judge([snapshot(1), dropped(2), repeat(book_at(3)), update(3, 4)])
    assert (missing_ranges(found), found.findings) == ([(LOST, "1", "3")], ())


def book_at(sequence: int) -> Orderbook:
    return snapshot(sequence, bid="10") if sequence != 2 else replace(snapshot(2), bids=[Level("10", "7")])


def test_checksum_is_judged_by_the_exchange_of_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checksum that OKX would not send: the number of bids."""
    other = ImaginaryExchange(is_intact=lambda book, checksum: len(book.bids) == checksum)
    monkeypatch.setitem(EXCHANGES, "imaginary", other)
    right, wrong = (
        replace(snapshot(7), exchange="imaginary", bids=[Level("1", "1")], checksum=checksum) for checksum in (1, 2)
    )
    assert judge([right]).books == Books(1, 0)
    judged = judge([wrong])
    assert (judged.books, [finding.kind for finding in judged.findings]) == (Books(0, 1), ["ChecksumMismatch"])


def test_checksum_of_an_unknown_exchange_proves_nothing() -> None:
    judged = judge([replace(snapshot(7), exchange="unknown", checksum=1)])
    assert (judged.books, judged.findings) == (Books(0, 1), ())


@pytest.fixture
def own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange whose books each collector numbers itself."""
    rule = BookRule(Proof.CONNECTION, Scope.CONNECTION)
    monkeypatch.setitem(EXCHANGES, "imaginary", ImaginaryExchange(books=rule))


def own(entries: Sequence[Entry]) -> list[Entry]:
    return [replace(each, exchange="imaginary") if isinstance(each, Orderbook) else each for each in entries]


@pytest.mark.usefixtures("own_numbers")
def test_replica_with_other_numbers_bridges_a_gap_at_its_time() -> None:
    broken = own([*START, gap("g", 5), lost("g"), snapshot(9), update(9, 10)])
    whole = own([snapshot(701, 4), update(701, 702, 6), update(702, 703, 11)])
    assert missing_ranges(judge(broken, whole)) == [(RangeState.BRIDGED, "5", "9")]


@pytest.mark.usefixtures("own_numbers")
@pytest.mark.parametrize("seconds", [6, 8])
def test_equal_numbers_of_two_replicas_bridge_nothing(seconds: float) -> None:
    broken = own([*START, gap("g", 5), lost("g"), snapshot(9), update(9, 10)])
    late = own([snapshot(5, seconds), update(5, 9, 11)])
    assert missing_ranges(judge(broken, late)) == [(LOST, "5", "9")]
    assert len(judge(broken, late).proved) == 2


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10)), min_size=1, max_size=8))
def test_replicas_with_own_numbers_cover_the_union_of_their_times(spans: list[tuple[int, int]]) -> None:
    """Each chain is a replica of its own; the chains joined are the intervals of time that touch."""
    chains = [
        Chain(Mark(start, 1000 * number), Mark(start + length, 1000 * number + length), is_timed=True)
        for number, (start, length) in enumerate(spans)
    ]
    covered = sorted({(each.start.time_ns, each.end.time_ns) for each in joined(chains)})
    expected: list[tuple[int, int]] = []
    for start, end in sorted((start, start + length) for start, length in spans):
        if expected and start <= expected[-1][1]:
            expected[-1] = expected[-1][0], max(end, expected[-1][1])
        else:
            expected.append((start, end))
    assert covered == expected
