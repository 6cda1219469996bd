"""States of one candle: an older one is not newer, and equal ones are one state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from feed_life import candle
from market_collector.feed.candle_order import CLOSED_KEPT, CandleOrder
from market_collector.model.events import Candle


def running(volume: str, close: str = "1", minute: int = 7) -> Candle:
    return replace(candle(minute, closed=False), volume=volume, close=close)


@pytest.mark.parametrize(
    ("first", "second", "is_newer"),
    [
        (running("9"), running("10"), True),
        (running("10"), running("9.9"), False),
        (running("10"), running("10", close="2"), True),
        (running("10"), running("10.0"), False),
        (running("10"), running("1", minute=8), True),
    ],
)
def test_open_candle_is_newer_when_its_volume_has_not_fallen(first: Candle, second: Candle, is_newer: bool) -> None:
    order = CandleOrder()
    assert order.advance(first)
    assert order.advance(second) is is_newer


def test_candle_is_changed_when_its_values_differ() -> None:
    order = CandleOrder()
    assert not order.is_changed(7, running("1"))
    order.close(7, running("1"))
    assert not order.is_changed(7, running("1.0"))
    assert order.is_changed(7, running("1", close="2"))


def test_only_the_last_closed_candles_are_remembered() -> None:
    order = CandleOrder()
    for number in range(CLOSED_KEPT + 5):
        order.close(number, running("1"))
    assert sorted(order.closed) == list(range(5, CLOSED_KEPT + 5))


@given(st.lists(st.integers(0, 9), max_size=20), st.lists(st.integers(0, 9), max_size=20), st.randoms())
def test_two_lagging_connections_never_take_a_candle_back(one: list[int], two: list[int], random: object) -> None:
    """For any two ascending sequences of the same states, in any interleaving."""
    order = CandleOrder()
    queues = [sorted(one), sorted(two)]
    published: list[int] = []
    while any(queues):
        queue = random.choice([queue for queue in queues if queue])  # type: ignore[attr-defined]
        volume = queue.pop(0)
        if order.advance(running(str(volume))):
            published.append(volume)
    assert published == sorted(set(published))
