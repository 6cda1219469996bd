"""Turns that keep a limit, whatever is asked when."""

import random

from hypothesis import given
from hypothesis import strategies as st

from market_collector.net.rate_limit import Pace, pace_to


@given(
    waits=st.lists(st.floats(0, 2), min_size=4, max_size=30),
    seed=st.integers(0, 1000),
    per_second=st.sampled_from([1.0, 3.0, 20.0]),
)
def test_no_second_has_more_turns_than_allowed(waits: list[float], seed: int, per_second: float) -> None:
    pace, now, turns = Pace(per_second, random.Random(seed)), 0.0, []
    for wait in waits:
        now += wait
        turns.append(now + pace.reserve(now))
    allowed = int(per_second)
    assert all(later - earlier > 1.0 for earlier, later in zip(turns, turns[allowed:], strict=False))


def test_the_first_turn_is_at_once_and_the_next_ones_are_not_at_the_same_time_everywhere() -> None:
    seconds = set()
    for seed in range(20):
        pace = Pace(3.0, random.Random(seed))
        assert pace.reserve(5.0) == 0.0
        seconds.add(pace.reserve(5.0))
    assert len(seconds) == 20
    assert all(1 / 3 < second <= 0.5 for second in seconds)


def test_nobody_has_a_turn_while_the_exchange_wants_none() -> None:
    pace = Pace(3.0, random.Random(1))
    pace.hold(60.0)
    pace.hold(30.0)
    assert pace.reserve(10.0) == 50.0


def test_the_process_has_one_pace_to_an_address() -> None:
    assert pace_to("wss://one.example", 3.0) is pace_to("wss://one.example", 3.0)
    assert pace_to("wss://one.example", 3.0) is not pace_to("wss://other.example", 3.0)
