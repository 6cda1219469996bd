"""Repeated reading of a tape."""

from collections import Counter

from bench import passes
from bench.passes import Pass


def test_a_tape_is_read_until_the_time_is_filled() -> None:
    left = iter([Pass(100_000_000, 1_000, Counter(books=9))] * 3)
    answer = passes.measure(lambda: next(left), at_least_s=0.25)
    assert answer == {"us": 100.0, "records": {"books": 9}, "surprises": []}
    assert [*left] == []


def test_a_tape_is_read_once_at_least() -> None:
    answer = passes.measure(lambda: Pass(2_000_000, 1_000, Counter()), at_least_s=0)
    assert answer["us"] == 2.0
