"""The timeline, cell by cell: one cell a second."""

from dataclasses import replace

import pytest

from market_collector.verify.report import MissingRange, RangeState, Reckoning, StreamReport
from market_collector.verify.timeline import BLOCKS, LETTERS, MEANINGS, blocks, legend, paint, whole_time
from records import SECOND_NS, at

STREAM = StreamReport(
    "okx", "A-B/trade", ("a",), at(0), at(10) - 1, 1, Reckoning(), {}, 0, 0, (), (), running=((at(0), at(10)),)
)
TIME = (at(0), at(10) - 1)


def second(first: int, last: int | None = None) -> tuple[int, int]:
    return at(first), at((first if last is None else last) + 1) - 1


def missing_range(state: RangeState, from_ns: int | None, to_ns: int | None) -> MissingRange:
    return MissingRange(state, "1", "2", 2, from_ns, to_ns, "")


def test_timeline_shows_data_quiet_reconnects_and_unrecorded_time() -> None:
    stream = replace(STREAM, running=(second(1, 8),), busy=(second(1, 3), second(6)), reconnects=(second(4),))
    assert paint(stream, TIME, 10) == " ###|.#.. "


@pytest.mark.parametrize(("state", "letter"), LETTERS.items())
def test_gap_is_painted_over_data(state: RangeState, letter: str) -> None:
    stream = replace(
        STREAM, busy=(second(0, 9),), reckoning=Reckoning(missing_ranges=(missing_range(state, *second(2, 4)),))
    )
    assert paint(stream, TIME, 10) == "##" + 3 * letter + "#####"


def test_worse_gaps_are_painted_over_better_ones() -> None:
    states = list(RangeState)
    missing_ranges = tuple(missing_range(state, *second(0, 2 * number)) for number, state in enumerate(states))
    assert paint(replace(STREAM, reckoning=Reckoning(missing_ranges=missing_ranges[::-1])), TIME, 10) == "!!!!!!!!!."


def test_gap_without_an_end_continues_and_without_a_start_is_a_point() -> None:
    missing_ranges = (
        missing_range(RangeState.OPEN, at(7), None),
        missing_range(RangeState.LOST, None, at(2)),
        missing_range(RangeState.LOST, None, None),
    )
    assert paint(replace(STREAM, reckoning=Reckoning(missing_ranges=missing_ranges)), TIME, 10) == "..x....???"


def test_gap_across_a_clock_that_goes_back_is_painted() -> None:
    lost = missing_range(RangeState.LOST, at(7), at(5))
    assert paint(replace(STREAM, reckoning=Reckoning(missing_ranges=(lost,))), TIME, 10) == ".....xxx.."


def test_times_outside_the_timeline_are_not_painted() -> None:
    stream = replace(STREAM, running=(), busy=((at(-5), at(-1)), (at(-1), at(0)), (at(9), at(20)), (at(11), at(20))))
    assert paint(stream, TIME, 10) == "#        #"


@pytest.mark.parametrize("width", [1, 7, 300])
def test_any_width_is_filled(width: int) -> None:
    assert paint(replace(STREAM, busy=((at(0), at(10)),)), TIME, width) == width * "#"
    moment = replace(STREAM, busy=((at(0), at(0) + SECOND_NS),))
    assert paint(moment, (at(0), at(0)), width).startswith("#")


def test_the_time_is_that_of_all_streams() -> None:
    assert whole_time([STREAM, replace(STREAM, from_ns=at(-1), to_ns=at(3))]) == (at(-1), at(10) - 1)
    assert whole_time([replace(STREAM, from_ns=None, to_ns=None)]) is None
    assert whole_time([]) is None


def test_every_letter_has_a_block_and_a_meaning() -> None:
    assert set(BLOCKS) == set(MEANINGS)
    assert len(set(BLOCKS.values())) == len(BLOCKS)
    assert blocks("#.|") == "█▁│"
    assert legend(has_blocks=False).isascii()
    assert "█ data" in legend(has_blocks=True)
