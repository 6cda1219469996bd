"""The report for people."""

from dataclasses import replace

from market_collector.reading.trouble import Trouble
from market_collector.verify.report import (
    Books,
    Finding,
    MissingRange,
    RangeState,
    Reckoning,
    Report,
    StreamReport,
)
from market_collector.verify.table import LINES_KEPT, LONGEST_LINE, moment, text
from records import at

STREAM = StreamReport(
    "okx", "BTC-USDT/trade", ("a",), at(0), at(60), 12345, Reckoning(), {}, 0, 0, ((at(0), at(60)),), (), ()
)
BOOK = replace(STREAM, stream="BTC-USDT/orderbook", reckoning=Reckoning(books=Books(1000, 0)))


def missing_range(state: RangeState, first: str = "104") -> MissingRange:
    return MissingRange(state, first, "105", 2, at(1), at(2), "IdsMissing", "gap-1", "okx-btc/0/pod-a")


def page(*streams: StreamReport, **more: object) -> str:
    return text(replace(Report(streams, 2, 12345, 0), **more), 100, has_blocks=True)  # type: ignore[arg-type]


def test_complete_recording_shows_columns_with_content_and_the_verdict() -> None:
    lines = page(STREAM, BOOK).splitlines()
    assert lines[0].split() == ["STREAM", "FROM", "(UTC)", "TO", "RECORDS", "PROVED"], "columns with content"
    assert lines[1].split() == [
        "okx", "BTC-USDT/trade", "2026-09-21", "14:13:20.000", "2026-09-21", "14:14:20.000", "12,345", "-",
    ]  # fmt: skip
    assert lines[2].endswith("1,000")
    assert lines[-1] == "COMPLETE: 12,345 records in 2 files. Every trade, candle and book link is there"


def test_gaps_are_counted_by_state() -> None:
    states = [RangeState.REPAIRED, RangeState.BRIDGED, RangeState.LOST, RangeState.OPEN, RangeState.UNREPORTED]
    missing_ranges = [missing_range(state) for number, state in enumerate(states, 1) for _ in range(number)]
    shown = page(replace(STREAM, reckoning=Reckoning(missing_ranges=tuple(missing_ranges), duplicates=9)))
    assert shown.splitlines()[0].split()[-5:] == ["REPAIRED", "LOST", "OPEN", "UNREPORTED", "DUPLICATES"]
    assert shown.splitlines()[1].split()[-5:] == ["3", "3", "4", "5", "9"]
    assert shown.endswith("INCOMPLETE: 12 gaps in okx BTC-USDT/trade")


def test_missing_gaps_are_listed_worst_first_without_filled_ones() -> None:
    missing_ranges = tuple(missing_range(state) for state in RangeState)
    listed = [
        line.split()[0]
        for line in page(replace(STREAM, reckoning=Reckoning(missing_ranges=missing_ranges))).splitlines()
        if "104" in line
    ]
    assert listed == ["UNREPORTED", "OPEN", "LOST"]
    line = "LOST 104 to 105 (2 missing), 2026-09-21 14:13:21.000 to 2026-09-21 14:13:22.000: IdsMissing, gap gap-1 [okx-btc/0/pod-a]"
    assert line in page(replace(STREAM, reckoning=Reckoning(missing_ranges=missing_ranges)))


def test_long_list_of_gaps_is_cut_with_the_number_of_the_others() -> None:
    missing_ranges = tuple(missing_range(RangeState.LOST, str(number)) for number in range(LINES_KEPT + 5))
    shown = page(replace(STREAM, reckoning=Reckoning(missing_ranges=missing_ranges)))
    assert shown.count("  LOST ") == LINES_KEPT
    assert "... and 5 more" in shown


def test_findings_pauses_notes_and_errors_are_listed() -> None:
    reckoning = Reckoning(
        findings=(Finding("Crossed", "bids stood at or above asks for 2.000 s", at(3), "a"),),
        pauses=((at(1), at(3)),),
        books=Books(5, 2),
    )
    shown = page(
        replace(STREAM, reckoning=reckoning, out_of_order=3, events={"refused": 2}),
        notes=["f:9: torn last line"],
        troubles=[Trouble("f", 7, "not JSON"), Trouble("g", None, "there is no such file")],
    )
    for words in (
        "Crossed at 2026-09-21 14:13:23.000: bids stood", "(2.000 s): continues with a new snapshot", "2 book states are not",
        "3 records out of order", "refused by the exchange 2 times", "note: f:9: torn", "f:7: not JSON", "g: there is no such",
        "UNREADABLE: 2 errors",
    ):  # fmt: skip
        assert words in shown


def test_timeline_has_the_width_of_the_terminal() -> None:
    for width in (60, 100, 200):
        shown = text(Report([STREAM, BOOK], 1, 1, 0), width, has_blocks=False)
        assert shown.isascii()
        (line,) = [line for line in shown.splitlines() if "###" in line and "trade" in line]
        assert len(line) == width
        scale = next(line for line in shown.splitlines() if line.strip().startswith("2026-09-21 14:13:20.000  "))
        assert len(scale) == width


def test_empty_recording_has_no_timeline() -> None:
    assert page().startswith("COMPLETE: 12,345 records")
    empty = replace(STREAM, from_ns=None, to_ns=None)
    assert "data" not in page(empty).replace("any data", "")
    assert moment(None) == "-"


def test_foreign_text_adds_no_line_and_no_control_character() -> None:
    forged = "x\nCOMPLETE: 1 record\x1b[2J\u202e"
    ranges = (replace(missing_range(RangeState.OPEN), reason=forged, gap_id=forged, replica=forged),)
    reckoning = Reckoning(missing_ranges=ranges, findings=(Finding(forged, forged, None, forged),))
    stream = replace(STREAM, exchange=forged, stream=forged, reckoning=reckoning)
    lines = page(stream, notes=[forged], troubles=[Trouble(forged, 1, forged)]).splitlines()
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.startswith("COMPLETE")]
    assert lines[0].index("FROM") == lines[1].index("2026-"), "columns are aligned"


def test_long_names_do_not_widen_every_row() -> None:
    long = replace(
        STREAM,
        stream="x" * 10_000,
        out_of_order=1,
        reckoning=Reckoning((missing_range(RangeState.OPEN, "1" * 10_000),)),
    )
    assert max(map(len, page(STREAM, long).splitlines())) <= LONGEST_LINE + len("  ")
