import pytest

from market_simulator.engine.faults.calls import Page, Rest, Status, joined
from market_simulator.engine.faults.turns import Turns


def test_a_fault_meets_calls_of_its_path_and_symbol() -> None:
    fault = Rest("/a", "A-B", Turns(), Status(500))
    assert fault.meets("/a", "A-B")
    assert not fault.meets("/b", "A-B")
    assert not fault.meets("/a", "C-D")
    assert Rest(None, None, Turns(), Status(500)).meets("/b", "")


def test_a_page_loses_its_end_first_and_then_every_so_many_rows() -> None:
    assert Page(first=5, every=2).rows(list("abcdefgh")) == ["a", "c", "e"]
    assert Page(every=1).rows(list("abc")) == []


@pytest.mark.parametrize(
    ("ranges", "gaps"),
    [
        ([], ()),
        ([(5, 6), (1, 2)], ((1, 2), (5, 6))),
        ([(1, 2), (3, 4)], ((1, 4),)),
        ([(1, 9), (3, 4), (8, 12)], ((1, 12),)),
        ([(5, 4)], ()),
    ],
)
def test_ranges_become_gaps_apart_from_each_other(ranges: list[tuple[int, int]], gaps: object) -> None:
    assert joined(ranges) == gaps
