"""The verdict depends only on the findings."""

from dataclasses import replace

import pytest

from market_collector.reading.trouble import Trouble
from market_collector.verify.report import (
    EXIT_CODES,
    FINDINGS_KEPT,
    Finding,
    MissingRange,
    RangeState,
    Reckoning,
    Report,
    StreamReport,
    find,
    of,
)

STREAM = StreamReport("okx", "A-B/trade", ("a",), 0, 1, 1, Reckoning(), {}, 0, 0, (), (), ())


def report(reckoning: Reckoning, *troubles: Trouble) -> Report:
    return Report([STREAM, replace(STREAM, reckoning=reckoning)], 1, 2, 0, troubles)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (RangeState.REPAIRED, 0),
        (RangeState.BRIDGED, 0),
        (RangeState.LOST, 1),
        (RangeState.OPEN, 1),
        (RangeState.UNREPORTED, 1),
    ],
)
def test_exit_code_depends_on_the_state_of_a_gap(state: RangeState, code: int) -> None:
    missing_range = MissingRange(state, "1", "2", 2, None, None, "")
    assert EXIT_CODES[report(Reckoning(missing_ranges=(missing_range,))).verdict] == code


def test_exit_code_is_1_when_records_contradict() -> None:
    assert EXIT_CODES[report(Reckoning(findings=(Finding("Crossed", "", None),))).verdict] == 1


def test_pauses_and_duplicates_leave_a_recording_complete() -> None:
    assert EXIT_CODES[report(Reckoning(pauses=((0, 1),), duplicates=7)).verdict] == 0


def test_unreadable_file_decides_the_verdict_first() -> None:
    missing_range = MissingRange(RangeState.LOST, "1", "2", 2, None, None, "")
    assert EXIT_CODES[report(Reckoning(missing_ranges=(missing_range,)), Trouble("f", 1, "")).verdict] == 2


def test_findings_are_bounded_and_know_their_replica() -> None:
    findings: list[Finding] = []
    for number in range(FINDINGS_KEPT + 5):
        find(findings, "Crossed", "for 2 s", number)
    assert len(findings) == FINDINGS_KEPT
    assert of("a", findings[:1]) == [Finding("Crossed", "for 2 s", 0, "a")]
