"""Sets of integers as runs, compared with plain sets."""

from hypothesis import given
from hypothesis import strategies as st

from market_collector.reading.ranges import IdRuns, Run, absent, common, merged, minus, size

PARTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1])))


def ids(runs: list[Run]) -> set[int]:
    return {number for first, last in runs for number in range(first, last + 1)}


@given(PARTS)
def test_add_counts_only_new_numbers(parts: list[Run]) -> None:
    runs, model = IdRuns(), set[int]()
    for first, last in parts:
        before = len(model)
        model |= set(range(first, last + 1))
        assert runs.add(first, last, first) == len(model) - before
    assert ids(runs.runs()) == model
    assert all(runs.has(number) == (number in model) for number in range(70))
    assert all(left[1] + 1 < right[0] for left, right in zip(runs.runs(), runs.runs()[1:], strict=False))
    if model:
        assert (runs.low, runs.high) == (min(model), max(model))
    assert bool(runs) == bool(model)


@given(PARTS, st.integers(0, 60), st.integers(0, 6))
def test_times_around_are_those_of_the_neighbours(parts: list[Run], first: int, length: int) -> None:
    runs = IdRuns()
    for start, end in merged([parts]):
        for number in range(start, end + 1):
            runs.add(number, number, time_ns=number)
    missing = set(range(first, first + length + 1)) - ids(parts)
    before = max((number for number in ids(parts) if missing and number < min(missing)), default=None)
    after = min((number for number in ids(parts) if missing and number > max(missing)), default=None)
    assert runs.times_around(first, first + length) == (before, after)


@given(PARTS, PARTS)
def test_the_algebra_is_that_of_sets(left: list[Run], right: list[Run]) -> None:
    whole, other = merged([left]), merged([right])
    assert ids(whole) == ids(left)
    assert ids(merged([left, right])) == ids(left) | ids(right)
    assert ids(minus(whole, other)) == ids(left) - ids(right)
    assert ids(common(whole, other)) == ids(left) & ids(right)
    assert ids(absent(whole, 10, 40)) == set(range(10, 41)) - ids(left)
    assert size(whole) == len(ids(left))
