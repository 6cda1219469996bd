"""Dense numbers: every rule by hand, then random recordings against a model of plain sets."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_collector.model.events import Candle, Dropped, Gap, Lost, Record, Repaired, Resync, Trade
from market_collector.model.streams import DataType, Stream
from market_collector.verify.ids import NumberLine, reckon
from market_collector.verify.report import MISSING, RangeState, Reckoning
from records import at, candle, dropped, gap, lost, open_ms, repaired, resync, trade

TRADES = Stream("BTC-USDT", DataType.TRADE)
CANDLES = Stream("BTC-USDT", DataType.CANDLE, "1m")
NEW_RUN = "new run"
REPAIRED, BRIDGED, LOST, OPEN, UNREPORTED = RangeState
Entry = Record | str


def line(entries: Sequence[Entry], stream: Stream = TRADES, *, skips_numbers: bool = False) -> NumberLine:
    """A replica that wrote this."""
    line = NumberLine(stream, skips_numbers=skips_numbers)
    for entry in entries:
        match entry:
            case Trade():
                first, last = int(entry.first_trade_id), int(entry.trade_id)
                line.take(first, last, entry.exchange_time_ns or 0, entry.backfilled)
            case Candle():
                number = stream.candle_number(entry.open_time_ns)
                line.take(number, number, entry.open_time_ns, entry.backfilled)
            case Gap():
                line.gap(entry)
            case Repaired() | Lost():
                line.close(entry)
            case Dropped():
                line.dropped(entry)
            case Resync():
                line.restart()
            case _:
                line.start_run()
    return line


def judge(*replicas: Sequence[Entry]) -> Reckoning:
    return reckon([(str(number), line(entries)) for number, entries in enumerate(replicas)])


def trades(*numbers: int) -> list[Trade]:
    return [trade(number) for number in numbers]


def history(*numbers: int) -> list[Trade]:
    return [trade(number, backfilled=True) for number in numbers]


def missing_ranges(reckoning: Reckoning) -> list[tuple[RangeState, str | None, str | None, int | None]]:
    return [
        (missing_range.state, missing_range.first, missing_range.last, missing_range.missing)
        for missing_range in reckoning.missing_ranges
    ]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (trades(1, 2, 3), []),
        (trades(3, 1, 2), []),
        (trades(1, 4), [(UNREPORTED, "2", "3", 2)]),
        ([*trades(1, 4), gap("g", 2, 3)], [(OPEN, "2", "3", 2)]),
        ([*trades(1, 4), gap("g", 2, 3), *history(2, 3), repaired("g")], [(REPAIRED, "2", "3", 0)]),
        ([*trades(1, 4), gap("g", 2, 3), *trades(2, 3)], [(REPAIRED, "2", "3", 0)]),
        ([*trades(1, 4), gap("g", 2, 3), *history(2), repaired("g")], [(UNREPORTED, "2", "3", 1)]),
        ([*trades(1, 4), gap("g", 2, 3), lost("g")], [(LOST, "2", "3", 2)]),
        ([*trades(1, 5), gap("g", 2, 4), *history(3), lost("g", [(2, 2), (4, 4)])], [(LOST, "2", "4", 2)]),
        ([*trades(1, 5), gap("g", 2, 4), lost("g", [(2, 2)])], [(LOST, "2", "4", 1), (UNREPORTED, "3", "4", 2)]),
        ([*trades(1, 2), gap("g", 3, 5)], [(OPEN, "3", "5", 3)]),
        ([gap("g", 1, 2), *trades(3)], [(OPEN, "1", "2", 2)]),
        ([lost("older", [(4, 5)]), *trades(3, 6)], [(LOST, "4", "5", 2)]),
        ([repaired("older"), *trades(3, 4)], []),
        ([*trades(1), gap("g", 2, None)], [(OPEN, None, None, None)]),
        ([*trades(1), gap("g", 2, None, missing=7), lost("g")], [(LOST, None, None, 7)]),
        (
            [*trades(1, 3, 5), gap("a", 2, 2), gap("b", 4, 4), gap("c", 2, 4, merges=["a", "b"])],
            [(OPEN, "2", "4", 2)],
        ),
        (
            [*trades(1, 3, 5), gap("a", 2, 2), gap("b", 2, 4, merges=["a"]), *history(2, 4), repaired("b")],
            [(REPAIRED, "2", "4", 0)],
        ),
    ],
)
def test_missing_ids_are_gaps_with_the_state_of_their_records(
    entries: list[Entry], expected: list[tuple[RangeState, str, str, int]]
) -> None:
    assert missing_ranges(judge(entries)) == expected


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([*trades(1), dropped(2), *trades(4)], [(OPEN, "2", "3", 2)]),
        ([*trades(1), dropped(2), *trades(4), *history(2, 3)], []),
        ([*trades(1), dropped(2), *history(2, 3), *trades(4)], []),
        (
            [*trades(1), dropped(2), *trades(4), gap("g", 2, 3), *history(2, 3), repaired("g")],
            [(REPAIRED, "2", "3", 0)],
        ),
        ([*trades(1), dropped(2), *trades(4), gap("g", 2, 3)], [(OPEN, "2", "3", 2)]),
        ([*trades(1), dropped(2)], [(OPEN, "2", "3", 2)]),
        ([dropped(2), *trades(3)], [(OPEN, "1", "2", 2)]),
        ([*trades(1), dropped(2), *trades(4, 6)], [(OPEN, "2", "3", 2), (UNREPORTED, "5", "5", 1)]),
    ],
)
def test_dropped_ids_are_a_gap_unless_they_were_written_later(
    entries: list[Entry], expected: list[tuple[RangeState, str, str, int]]
) -> None:
    assert missing_ranges(judge(entries)) == expected


def test_fill_repeated_in_one_replica_is_a_duplicate() -> None:
    assert judge(trades(1, 2, 2, 3, 1)).duplicates == 2
    assert judge([*trades(1, 2, 3), NEW_RUN, *trades(3, 4)]).duplicates == 1
    assert judge([trade(4, first=1), *history(2, 3)]).duplicates == 2
    assert judge(trades(1, 2, 3), trades(2, 3, 4)).duplicates == 0


def test_merged_rows_hold_all_their_fills() -> None:
    reckoning = judge([trade(3, first=1), trade(6, first=4), trade(9, first=8)])
    assert missing_ranges(reckoning) == [(UNREPORTED, "7", "7", 1)]
    assert reckoning.distinct == 8


def test_gaps_of_one_replica_are_filled_by_another() -> None:
    reckoning = judge([*trades(1, 4), gap("g", 2, 3), lost("g")], trades(2, 3, 4, 5))
    assert missing_ranges(reckoning) == [(BRIDGED, "2", "3", 0)]
    assert missing_ranges(judge(trades(1, 4), trades(1, 2, 3))) == [(BRIDGED, "2", "3", 0)]
    assert missing_ranges(judge(trades(1, 2), trades(3, 4))) == []
    both: list[Entry] = [*trades(1, 4), gap("g", 2, 3), lost("g")]
    assert judge(both, both).missing == {LOST: 2, OPEN: 0, UNREPORTED: 0}


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([lost("g", [(3, 5)])], LOST),
        ([gap("h", 2, 6), lost("h", [(3, 5)])], LOST),
        ([gap("h", 3, 5), *history(5), lost("h", [(3, 4)])], LOST),
        ([gap("h", 3, 5), *history(3, 4, 5), repaired("h")], BRIDGED),
        ([gap("h", 3, 4), lost("h", [(3, 4)])], OPEN),
    ],
)
def test_gap_that_a_process_left_open_ends_with_the_next(later: list[Entry], expected: RangeState) -> None:
    """The next process ends it by its id, or reports the same missing ids as a gap of its own."""
    ranges = judge([*trades(1, 2, 6), gap("g", 3, 5)], [*later, *trades(7)]).missing_ranges
    assert next(each.state for each in ranges if each.gap_id == "g") is expected


def test_restarted_numbering_is_no_gap() -> None:
    restart = resync("trade ids restarted at 1")
    again = [trade(number, 100 + number) for number in (1, 2, 3)]
    assert judge([*trades(50, 51), restart, *again]) == Reckoning(
        missing={LOST: 0, OPEN: 0, UNREPORTED: 0},
        duplicates=0,
        distinct=5,
        proved=((at(50), at(51)), (at(101), at(103))),
    )
    assert judge([*trades(1, 2, 3), NEW_RUN, *again]).duplicates == 0
    assert judge([*trades(1, 3), restart, again[0], again[2]]).missing[UNREPORTED] == 2
    late = trade(2, 2, backfilled=True)
    assert judge([*trades(1, 3), gap("g", 2, 2), restart, *again, late, repaired("g")]).missing[UNREPORTED] == 0


def test_gap_between_two_runs_has_a_reason_of_its_own() -> None:
    reckoning = judge([*trades(1, 2), NEW_RUN, *trades(5, 7)])
    assert [
        (missing_range.first, "did not run" in missing_range.reason) for missing_range in reckoning.missing_ranges
    ] == [("3", True), ("6", False)]
    assert not judge([*trades(1, 2), NEW_RUN, *trades(5), gap("g", 3, 4), *history(3, 4), repaired("g")]).missing[
        UNREPORTED
    ]


def test_gap_without_a_beginning_ends_at_the_next_record() -> None:
    before, unknown = trades(1, 2), [gap("g", None, None), lost("g")]
    expected = [(LOST, "3", "6", 4)]
    assert missing_ranges(judge(before, [*unknown, *trades(7, 8)])) == expected
    assert missing_ranges(judge([*before, NEW_RUN, *unknown, *trades(7, 8)])) == expected
    assert missing_ranges(judge(before, [*unknown, *trades(3, 4)])) == [(LOST, None, None, None)]
    later = judge(before, [*unknown, *trades(7, 9)])
    assert missing_ranges(later) == [*expected, (UNREPORTED, "8", "8", 1)]


def test_replicas_agree_on_a_restarted_numbering() -> None:
    restart = resync("trade ids restarted at 1")
    again = [trade(number, 100 + number) for number in (1, 2, 3)]
    reckoning = judge([*trades(50, 51), restart, *again], [*trades(50, 51), restart, *again[1:]], again[1:])
    assert (reckoning.distinct, reckoning.duplicates, reckoning.missing_ranges) == (5, 0, ())


def test_backfill_out_of_order_within_a_gap_is_a_finding() -> None:
    live: list[Entry] = [*trades(1, 4, 7), gap("a", 2, 3), gap("b", 5, 6)]
    assert not judge([*live, *history(5, 6, 2, 3), repaired("a"), repaired("b")]).findings
    (finding,) = judge([*live, *history(3, 2), repaired("a")]).findings
    assert (finding.kind, finding.replica) == ("BackfillOutOfOrder", "0")
    assert not judge([*live, *history(3), NEW_RUN, *history(2)]).findings


def test_recorded_id_is_a_finding_when_it_is_reported_as_lost() -> None:
    reckoning = judge([*trades(1, 4), gap("g", 2, 3), *history(2), lost("g", [(2, 3)])])
    (finding,) = reckoning.findings
    assert finding.kind == "LostButThere"
    assert "2 to 2" in finding.detail


def test_gap_lies_between_the_times_of_its_neighbours() -> None:
    assert [(missing_range.from_ns, missing_range.to_ns) for missing_range in judge(trades(1, 4)).missing_ranges] == [
        (at(1), at(4))
    ]
    entries: list[Entry] = [*trades(1, 4), gap("g", 2, 3), *history(2, 3), repaired("g")]
    assert [(missing_range.from_ns, missing_range.to_ns) for missing_range in judge(entries).missing_ranges] == [
        (at(1), at(4))
    ]


def test_closed_candles_follow_each_other() -> None:
    missing = gap("g", open_ms(2), open_ms(2), stream=str(CANDLES))
    entries: list[Entry] = [candle(0), candle(1), candle(4), missing, candle(5)]
    reckoning = reckon([("0", line(entries, CANDLES))])
    assert missing_ranges(reckoning) == [
        (OPEN, str(open_ms(2)), str(open_ms(2)), 1),
        (UNREPORTED, str(open_ms(3)), str(open_ms(3)), 1),
    ]
    healed: list[Entry] = [*entries, candle(2, backfilled=True), repaired("g"), candle(3, backfilled=True), candle(5)]
    reckoning = reckon([("0", line(healed, CANDLES))])
    assert [missing_range.state for missing_range in reckoning.missing_ranges] == [REPAIRED]
    assert reckoning.duplicates == 1
    assert not reckon([("0", line([candle(0), dropped(3), candle(1), dropped(2)], CANDLES))]).missing_ranges


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([candle(0), candle(3)], []),
        ([candle(0), gap("g", open_ms(1), open_ms(2), stream=str(CANDLES)), candle(3)], [(OPEN, 2)]),
        (
            [candle(0), gap("g", open_ms(1), open_ms(2), stream=str(CANDLES)), repaired("g"), candle(3)],
            [(UNREPORTED, 2)],
        ),
        ([candle(0), NEW_RUN, candle(3)], [(UNREPORTED, 2)]),
        ([candle(0), candle(3), candle(5), NEW_RUN, candle(6)], []),
    ],
)
def test_candle_that_no_record_names_need_not_exist(
    entries: list[Entry], expected: list[tuple[RangeState, int]]
) -> None:
    one = line(entries, CANDLES, skips_numbers=True)
    reckoning = reckon([("0", one)])
    assert [(each.state, each.missing) for each in reckoning.missing_ranges] == expected
    assert sum(reckoning.missing.values()) == sum(size for _, size in expected)


def test_candle_that_only_one_replica_skips_existed() -> None:
    both = [line([candle(0), *rest, candle(3)], CANDLES, skips_numbers=True) for rest in ([], [candle(1)])]
    (bridged,) = reckon([(str(number), each) for number, each in enumerate(both)]).missing_ranges
    assert (bridged.state, bridged.replica) == (BRIDGED, "0")


@pytest.mark.parametrize("interval", ["1s", "5m", "1h", "1d", "1w"])
def test_candles_are_named_by_their_open_time(interval: str) -> None:
    monday_ms = 1_789_948_800_000
    line = NumberLine(Stream("BTC-USDT", DataType.CANDLE, interval))
    number = line.stream.candle_number(monday_ms * 1_000_000)
    assert line.name(number) == str(monday_ms)
    assert line.stream.candle_number(line.stream.candle_open_ns(number + 1)) == number + 1


# -- random recordings


@dataclass
class Model:
    """A reference implementation with unlimited memory."""

    present: set[int] = field(default_factory=set)
    gaps: list[tuple[set[int], str, set[int]]] = field(default_factory=list)
    duplicates: int = 0

    def missing(self) -> dict[RangeState, set[int]]:
        named = set().union(*(ids for ids, _, _ in self.gaps))
        between = set(range(min(self.present), max(self.present) + 1)) if self.present else set()
        missing = (between | named) - self.present
        given_up = set().union(*(given_up for _, state, given_up in self.gaps if state == "lost"))
        waited_for = set().union(*(ids for ids, state, _ in self.gaps if state == "open"))
        is_lost = missing & given_up
        is_open = missing & waited_for - is_lost
        return {LOST: is_lost, OPEN: is_open, UNREPORTED: missing - is_lost - is_open}


@st.composite
def recording(draw: st.DrawFn) -> tuple[list[Entry], Model]:
    entries: list[Entry] = []
    model = Model()
    for number in range(draw(st.integers(0, 4))):
        first = draw(st.integers(1, 30))
        last = first + draw(st.integers(0, 6))
        state = draw(st.sampled_from(["open", "repaired", "lost", "exactly"]))
        ids = set(range(first, last + 1))
        given_up = set(draw(st.sets(st.sampled_from(sorted(ids))))) if state == "exactly" else ids
        entries.append(gap(str(number), first, last))
        if state == "repaired":
            entries.append(repaired(str(number)))
        if state in ("lost", "exactly"):
            ranges = [(each, each) for each in sorted(given_up)] if state == "exactly" else None
            entries.append(lost(str(number), ranges))
        model.gaps.append((ids, "lost" if state == "exactly" else state, given_up))
    for number in draw(st.lists(st.integers(1, 35))):
        width = draw(st.integers(1, 2))
        ids = set(range(number, number + width))
        entries.append(trade(number + width - 1, first=number, backfilled=draw(st.booleans())))
        model.duplicates += len(ids & model.present)
        model.present |= ids
    return entries, model


@given(recording())
def test_the_verdict_is_that_of_plain_sets(made: tuple[list[Entry], Model]) -> None:
    entries, model = made
    reckoning = judge(entries)
    assert reckoning.missing == {state: len(ids) for state, ids in model.missing().items()}
    assert reckoning.duplicates == model.duplicates
    assert reckoning.distinct == len(model.present)
    is_whole = not any(model.missing().values())
    assert is_whole == (not any(missing_range.state in MISSING for missing_range in reckoning.missing_ranges))


@given(recording(), recording())
def test_two_replicas_are_judged_as_one_set(left: tuple[list[Entry], Model], right: tuple[list[Entry], Model]) -> None:
    whole = Model(left[1].present | right[1].present, left[1].gaps + right[1].gaps)
    reckoning = judge(left[0], right[0])
    assert reckoning.missing == {state: len(ids) for state, ids in whole.missing().items()}
    assert reckoning.duplicates == left[1].duplicates + right[1].duplicates
    assert reckoning.distinct == len(whole.present)
