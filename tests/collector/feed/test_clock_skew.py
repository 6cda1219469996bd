"""The measured clock skew, and decisions that must not depend on the wall clock."""

import json
import re
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recordings
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.clock_skew import SAMPLES_KEPT, STEP_S, Timekeeper
from market_collector.feed.effects import Effect, Emit
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream, StreamState

EPOCH_NS = 1_790_000_000_000_000_000
HOUR_S = 3600.0


def at(seconds: float, wall_ahead_s: float = 0.0) -> Moment:
    return Moment(seconds, EPOCH_NS + round((seconds + wall_ahead_s) * 1e9))


def server_ns(seconds: float) -> int:
    return EPOCH_NS + round(seconds * 1e9)


# -- steps


@pytest.mark.parametrize(("step_s", "words"), [(HOUR_S, "forward by 3600.000 s"), (-0.75, "back by 0.750 s")])
def test_a_clock_that_is_set_is_noticed_once(step_s: float, words: str) -> None:
    keeper = Timekeeper(at(0))
    assert keeper.check_clocks(at(1)) == ""
    assert words in keeper.check_clocks(at(2, step_s))
    assert keeper.check_clocks(at(3, step_s)) == ""
    assert keeper.steps == 1


@given(slews=st.lists(st.floats(-0.0005, 0.0005), max_size=200))
def test_a_clock_that_is_slewed_was_not_set_however_far_it_gets(slews: list[float]) -> None:
    keeper, ahead_s = Timekeeper(at(0)), 0.0
    for second, slew in enumerate(slews, 1):
        ahead_s += slew
        assert keeper.check_clocks(at(second, ahead_s)) == ""
    assert keeper.steps == 0


def test_a_process_that_did_not_run_for_an_hour_saw_no_step() -> None:
    keeper = Timekeeper(at(0))
    assert keeper.check_clocks(at(HOUR_S)) == ""


# -- skew


@given(
    skew_s=st.floats(-100, 100),
    there_s=st.floats(0, 2),
    back_s=st.floats(0, 2),
)
def test_the_true_skew_is_within_the_uncertainty_however_the_way_is_shared(
    skew_s: float, there_s: float, back_s: float
) -> None:
    keeper = Timekeeper(at(0))
    keeper.add_answer(at(10), server_ns(10 + there_s + skew_s) // 1_000_000 * 1_000_000, at(10 + there_s + back_s))
    assert keeper.skew is not None
    assert abs(keeper.skew.seconds - skew_s) <= keeper.skew.uncertainty_s
    assert keeper.skew.uncertainty_s <= (there_s + back_s) / 2 + 0.002


def test_fastest_of_the_last_answers_counts() -> None:
    keeper = Timekeeper(at(0))
    keeper.add_answer(at(10), server_ns(10), at(10.01))
    for minute in range(1, SAMPLES_KEPT):
        keeper.add_answer(at(60 * minute), server_ns(60 * minute), at(60 * minute + 1))
    assert keeper.skew is not None
    assert keeper.skew.uncertainty_s < 0.01
    keeper.add_answer(at(900), server_ns(900), at(901))
    assert keeper.skew.uncertainty_s > 0.4
    assert keeper.checked_ns == at(901).wall_ns


def test_large_skew_is_logged_once_until_it_is_small_again() -> None:
    keeper = Timekeeper(at(0))
    assert "5.0 s behind the exchange's" in keeper.add_answer(at(1), server_ns(6), at(1))
    assert keeper.add_answer(at(2), server_ns(7), at(2)) == ""
    assert keeper.add_answer(at(3), server_ns(3), at(3)) == ""
    assert "2.0 s ahead of the exchange's" in keeper.add_answer(at(4), server_ns(2), at(4))


def test_a_slow_answer_proves_nothing() -> None:
    keeper = Timekeeper(at(0))
    assert keeper.add_answer(at(1), server_ns(5), at(5)) == ""


def test_skew_is_unknown_after_the_clock_is_set() -> None:
    keeper = Timekeeper(at(0))
    keeper.add_answer(at(1), server_ns(1), at(1))
    keeper.check_clocks(at(2, 10.0))
    assert (keeper.skew, keeper.checked_ns) == (None, None)
    assert "10.0 s ahead" in keeper.add_answer(at(3, 10.0), server_ns(3), at(3, 10.0))


def test_a_clock_that_is_set_while_the_exchange_answers_is_not_compared() -> None:
    keeper = Timekeeper(at(0))
    keeper.add_answer(at(1), server_ns(1), at(2, STEP_S))
    assert keeper.skew is None


# -- and nothing else depends on it

STREAMS = [Stream("BTC-USDT-PERP", kind) for kind in (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)]
FRAMES = [frame for frame in recordings.received(recordings.OKX_2026) if frame.text != "pong"]
LOST = {9, 13}
"""A trade's frame, and a book's."""
WALL_TEXT = re.compile(r"@\d+")
"""Gap ids end with the time of the detection."""


def decisions(wall: Callable[[float], float]) -> list[str]:
    """Replay a connection with lost frames, a pause and an end. Returns the decisions without wall clock times."""
    ledger = Ledger("okx", STREAMS, 10.0, at(0, wall(0)))
    feed = Feed("public", Okx(), STREAMS, ledger, ping_interval_s=20.0)
    effects: list[Effect] = [*feed.opened(at(0, wall(0)))]
    states: list[dict[Stream, StreamState]] = []
    for number, frame in enumerate(FRAMES):
        seconds = number / 10
        now = at(seconds, wall(seconds))
        if number not in LOST:
            effects += feed.received(frame.bytes, now)
        if now.at >= feed.wake_at:
            effects += feed.woken(now)
            ledger.age(now)
            states.append({stream: progress.state for stream, progress in ledger.streams.items()})
    silence = len(FRAMES) / 10
    for second in range(60):
        now = at(silence + second, wall(silence + second))
        effects += feed.woken(now)
        ledger.age(now)
        states.append({stream: progress.state for stream, progress in ledger.streams.items()})
    effects += feed.closed("the end", at(silence + 60, wall(silence + 60)))
    return [line for effect in effects for line in _said(effect)] + [str(states)]


def _said(effect: Effect) -> list[str]:
    if not isinstance(effect, Emit):
        return [repr(effect)]
    records = [msgspec.structs.replace(record, receive_time_ns=0) for record in effect.records]
    return [WALL_TEXT.sub("@", msgspec.json.encode(record).decode()) for record in records]


def test_an_hour_forth_or_back_at_any_time_changes_no_decision() -> None:
    calm = decisions(lambda seconds: 0.0)
    kinds = {json.loads(line)["type"] for line in calm if line.startswith("{")}
    assert {"gap", "resync", "trade", "orderbook", "disconnected"} <= kinds
    assert "StreamState.STALE" in calm[-1]
    assert decisions(lambda seconds: -5.0) == calm
    assert decisions(lambda seconds: HOUR_S if seconds > 1 else 0.0) == calm
    assert decisions(lambda seconds: -HOUR_S if seconds > 1 else 0.0) == calm
    assert decisions(lambda seconds: HOUR_S if int(seconds) % 2 else -HOUR_S) == calm


def test_last_message_time_follows_the_present_clock() -> None:
    """Keeps `time - lastMessageTime` in /status and the metric of the same meaning correct ages."""
    ledger = Ledger("okx", STREAMS, 10.0, at(0))
    progress = ledger.streams[STREAMS[0]]
    progress.last_at, progress.last_wall_ns = 5.0, at(5).wall_ns
    ledger.restate_times(at(8, HOUR_S))
    assert progress.last_wall_ns == at(5, HOUR_S).wall_ns
    assert ledger.streams[STREAMS[1]].last_wall_ns == 0
