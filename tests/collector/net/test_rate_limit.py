"""Turns that keep a limit, whatever is asked when."""

import random

from hypothesis import given
from hypothesis import strategies as st

from market_collector.net.rate_limit import RateLimit, rate_limit_of


@given(
    waits=st.lists(st.floats(0, 2), min_size=4, max_size=30),
    seed=st.integers(0, 1000),
    per_second=st.sampled_from([1.0, 3.0, 20.0]),
)
def test_no_second_has_more_turns_than_allowed(waits: list[float], seed: int, per_second: float) -> None:
    limit, now, turns = RateLimit(per_second, random.Random(seed)), 0.0, []
    for wait in waits:
        now += wait
        turns.append(now + limit.reserve(now))
    allowed = int(per_second)
    assert all(later - earlier > 1.0 for earlier, later in zip(turns, turns[allowed:], strict=False))


def test_first_turn_is_immediate_and_later_ones_are_jittered() -> None:
    seconds = set()
    for seed in range(20):
        limit = RateLimit(3.0, random.Random(seed))
        assert limit.reserve(5.0) == 0.0
        seconds.add(limit.reserve(5.0))
    assert len(seconds) == 20
    assert all(1 / 3 < second <= 0.5 for second in seconds)


def test_nobody_has_a_turn_while_the_exchange_wants_none() -> None:
    limit = RateLimit(3.0, random.Random(1))
    limit.hold(60.0)
    limit.hold(30.0)
    assert limit.reserve(10.0) == 50.0


def test_rate_limit_is_shared_per_address() -> None:
    assert rate_limit_of("wss://one.example", 3.0) is rate_limit_of("wss://one.example", 3.0)
    assert rate_limit_of("wss://one.example", 3.0) is not rate_limit_of("wss://other.example", 3.0)
