"""Times in buckets: never lost, never far off, never many."""

from hypothesis import given
from hypothesis import strategies as st

import records
from market_collector.verify.activity import LIMIT, Activity


@given(st.lists(st.integers(0, 10**18), min_size=1))
def test_every_time_is_within_a_span(times: list[int]) -> None:
    activity = Activity()
    for time in times:
        activity.add(time)
    spans = activity.spans()
    assert all(any(start <= time <= end for start, end in spans) for time in times)
    assert spans == sorted(spans)


def test_a_moment_is_known_to_a_tenth_of_a_second() -> None:
    activity = Activity()
    activity.add(records.at(1))
    ((start, end),) = activity.spans()
    assert end - start < records.SECOND_NS / 10


def test_neighbours_are_one_span() -> None:
    activity = Activity()
    for tenth in range(100):
        activity.add(records.at(tenth / 20))
    assert len(activity.spans()) == 1


def test_a_long_time_takes_no_more_memory() -> None:
    activity = Activity()
    for minute in range(3 * LIMIT):
        activity.add(records.at(minute * 60))
    assert LIMIT / 4 < len(activity._buckets) <= LIMIT
    assert activity.spans()[-1][1] >= records.at((3 * LIMIT - 1) * 60)


def test_nothing_happened() -> None:
    assert Activity().spans() == []
