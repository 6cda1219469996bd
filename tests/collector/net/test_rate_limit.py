"""Turns that keep a limit, whatever is asked when."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_collector.exchanges.interface import Window
from market_collector.net.rate_limit import RateLimit, rate_limit_of


@given(
    waits=st.lists(st.floats(0, 2), min_size=4, max_size=30),
    seed=st.integers(0, 1000),
    per_second=st.sampled_from([1.0, 3.0, 20.0]),
)
def test_no_second_has_more_turns_than_allowed(waits: list[float], seed: int, per_second: float) -> None:
    limit, now, turns = RateLimit(Window(int(per_second), 1.0), random.Random(seed)), 0.0, []
    for wait in waits:
        now += wait
        turns.append(now + limit.reserve(now))
    allowed = int(per_second)
    assert all(later - earlier > 1.0 for earlier, later in zip(turns, turns[allowed:], strict=False))


def test_first_turn_is_immediate_and_later_ones_are_jittered() -> None:
    seconds = set()
    for seed in range(20):
        limit = RateLimit(Window(3, 1.0), random.Random(seed))
        assert limit.reserve(5.0) == 0.0
        seconds.add(limit.reserve(5.0))
    assert len(seconds) == 20
    assert all(1 / 3 < second <= 0.5 for second in seconds)


def test_nobody_has_a_turn_while_the_exchange_wants_none() -> None:
    limit = RateLimit(Window(3, 1.0), random.Random(1))
    limit.hold(60.0)
    limit.hold(30.0)
    assert limit.reserve(10.0) == pytest.approx(50.0)


def test_rate_limit_is_shared_per_address() -> None:
    assert rate_limit_of("wss://one.example", Window(3, 1.0)) is rate_limit_of("wss://one.example", Window(3, 1.0))
    assert rate_limit_of("wss://one.example", Window(3, 1.0)) is not rate_limit_of(
        "wss://other.example", Window(3, 1.0)
    )


@given(
    waits=st.lists(st.floats(0, 30), min_size=10, max_size=40),
    seed=st.integers(0, 1000),
    window=st.builds(Window, st.just(6), st.sampled_from([1.0, 60.0]), st.integers(1, 6)),
)
def test_no_window_has_more_turns_than_allowed_with_a_burst(waits: list[float], seed: int, window: Window) -> None:
    limit, now, turns = RateLimit(window, random.Random(seed)), 0.0, []
    for wait in waits:
        now += wait
        turns.append(now + limit.reserve(now))
    assert all(later - earlier > window.seconds for earlier, later in zip(turns, turns[6:], strict=False))


def test_burst_is_immediate_and_the_rest_is_spaced() -> None:
    limit = RateLimit(Window(300, 300.0, burst=101), random.Random(1))
    waits = [limit.reserve(0.0) for _ in range(150)]
    assert waits[:75] == [0.0] * 75
    assert all(1.65 <= later - earlier <= 2.25 for earlier, later in itertools.pairwise(waits[110:]))


def test_burst_does_not_shorten_a_hold() -> None:
    limit = RateLimit(Window(10, 1.0, burst=10), random.Random(1))
    limit.hold(60.0)
    assert limit.reserve(10.0) == pytest.approx(50.0)


@given(
    steps=st.lists(st.tuples(st.floats(0, 3), st.booleans()), min_size=2, max_size=30),
    seed=st.integers(0, 1000),
    burst=st.integers(1, 6),
)
def test_turns_come_in_the_order_of_asking(steps: list[tuple[float, bool]], seed: int, burst: int) -> None:
    """Holds do not let a later caller pass an earlier one, even if they end before turns that were given."""
    limit, now, turns = RateLimit(Window(6, 2.0, burst), random.Random(seed)), 0.0, []
    for wait, is_held in steps:
        now += wait / 10
        if is_held:
            limit.hold(now + wait)
        turns.append(now + limit.reserve(now))
    assert turns == sorted(turns)
