"""Frames of one connection leave within the exchange's limits, in order, and pings first."""

from itertools import pairwise
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from market_collector.exchanges.interface import Limits, Window
from market_collector.feed.outbox import Outbox, Outgoing

DIAL = Window(1000, 1.0)


def outbox(frames_per_s: float | None = None, *, one_at_a_time: bool = False) -> Outbox:
    return Outbox(Limits(dial=DIAL, frames_per_s=frames_per_s, one_request_at_a_time=one_at_a_time))


def texts(one: Outbox, now: float) -> list[str]:
    return [frame.text for frame in one.take_due(now)]


def put(one: Outbox, *requests: str, at: float = 0.0) -> Outbox:
    for request in requests:
        one.put(Outgoing(request, at))
    return one


def test_without_limits_every_frame_leaves_at_once() -> None:
    one = put(outbox(), "a", "b", "c")
    assert texts(one, 0.0) == ["a", "b", "c"]
    assert one.due_at == inf
    assert one.waited_until(5.0) == -inf


@given(
    waits=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    frames_per_s=st.sampled_from([0.5, 1.0, 8.0]),
    pings=st.sets(st.integers(0, 29)),
)
def test_no_second_has_more_frames_than_allowed(waits: list[float], frames_per_s: float, pings: set[int]) -> None:
    one, now, sent_at = outbox(frames_per_s), 0.0, list[float]()
    for number, wait in enumerate(waits):
        now += wait
        one.put(Outgoing(str(number), now, is_ping=number in pings))
        sent_at += [now] * len(one.take_due(now))
    while one.due_at < inf:
        now = max(now, one.due_at)
        sent_at += [now] * len(one.take_due(now))
    assert len(sent_at) == len(waits)
    assert all(later - earlier > 1 / frames_per_s for earlier, later in pairwise(sent_at))


def test_ping_goes_before_requests_and_needs_no_answer() -> None:
    one = put(outbox(1.0, one_at_a_time=True), "a", "b")
    assert texts(one, 0.0) == ["a"]
    one.put(Outgoing("ping", 0.5, is_ping=True))
    assert texts(one, 2.0) == ["ping"]
    assert texts(one, 9.0) == []


def test_next_request_leaves_when_the_last_one_is_answered() -> None:
    one = put(outbox(one_at_a_time=True), "a", "b", "c")
    assert texts(one, 0.0) == ["a"]
    assert (texts(one, 9.0), one.due_at) == ([], inf)
    one.on_answer()
    assert texts(one, 9.0) == ["b"]


def test_frame_that_was_sent_without_the_outbox_counts() -> None:
    one = outbox(1.0)
    one.note_sent(0.0)
    put(one, "a")
    assert texts(one, 1.0) == []
    assert texts(one, one.due_at) == ["a"]


def test_request_counts_as_waiting_until_it_leaves() -> None:
    one = put(outbox(0.5), "a", "b")
    assert texts(one, 0.0) == ["a"]
    assert one.waited_until(1.5) == 1.5
    assert texts(one, 3.0) == ["b"]
    assert one.waited_until(7.0) == 3.0


def test_request_that_waits_for_an_answer_does_not_count_as_waiting() -> None:
    """Otherwise a request that is never answered would not end the connection."""
    one = put(outbox(one_at_a_time=True), "a", "b")
    texts(one, 0.0)
    assert one.waited_until(9.0) == -inf
