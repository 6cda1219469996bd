"""Counts and times of one stream."""

from market_collector.model.streams import DataType, Stream
from market_collector.verify.ids import NumberLine
from market_collector.verify.stream import StreamCheck
from records import at


def test_it_knows_from_when_to_when_and_how_much() -> None:
    check = StreamCheck(None)
    for second in (5, 3, 9):
        check.note(at(second), at(second))
    assert (check.from_ns, check.to_ns, check.records) == (at(3), at(9), 3)
    assert len(check.busy.spans()) == 3


def test_silence_is_measured_within_a_run() -> None:
    check = StreamCheck(NumberLine(Stream("A-B", DataType.TRADE)))
    check.note(at(1), at(1))
    check.note(at(2), at(4))
    check.start_run()
    check.note(at(60), at(60))
    assert check.longest_silence_ns == at(3) - at(0)


def test_time_that_goes_back_is_counted() -> None:
    check = StreamCheck(None)
    for second in (1, 3, 2, 3):
        check.note_in_order(at(second), at(9))
    assert check.out_of_order == 1
    assert check.longest_silence_ns == 0
