"""Times of a replay, and the delays between records."""

from datetime import UTC, datetime

import pytest

from market_collector.errors import InputError
from market_collector.reading.speed import Pace, Time, time_ns
from records import START_NS, at


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (None, None),
        (START_NS + 1, START_NS + 1),
        ("2026-09-21T14:13:20Z", START_NS),
        ("2026-09-21T16:13:20.000001+02:00", START_NS + 1000),
        (datetime(2026, 9, 21, 14, 13, 20, 1, UTC), START_NS + 1000),
    ],
)
def test_times_become_nanoseconds(time: Time, expected: int | None) -> None:
    assert time_ns(time, "start") == expected


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ("yesterday", "start: 'yesterday' is not a time"),
        ("2026-09-21T14:13:20", "start: '2026-09-21T14:13:20' has no time zone"),
        (datetime(2026, 9, 21), "start: '2026-09-21 00:00:00' has no time zone"),
    ],
)
def test_invalid_time_is_an_error_with_an_example(time: Time, message: str) -> None:
    with pytest.raises(InputError, match=rf"{message}\. Write it like 2026-"):
        time_ns(time, "start")


def test_delays_follow_the_recording_at_its_speed() -> None:
    pace = Pace(2)
    assert [pace.delay(at(0), 100.0), pace.delay(at(3), 100.5), pace.delay(at(3), 102.0)] == [0.0, 1.0, 0.0]


def test_no_speed_means_no_delay() -> None:
    assert [Pace(None).delay(at(seconds), 0.0) for seconds in (0, 9)] == [0.0, 0.0]


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_speed_must_be_positive(speed: float) -> None:
    with pytest.raises(InputError, match=r"speed: .* is out of range: must be above 0"):
        Pace(speed)
