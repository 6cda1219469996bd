"""Times of a replay: its start, its end and its pace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from market_collector.errors import InputError

Time = str | int | datetime | None
"""ISO 8601 with a time zone, nanoseconds since 1970, or an aware `datetime`."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXAMPLE = "2026-11-28T05:00:00Z"


def time_ns(time: Time, argument: str) -> int | None:
    """Return a time as nanoseconds since 1970; None if there is none.

    Raises:
        InputError: it is no time, or it has no time zone.
    """
    if time is None or isinstance(time, int):
        return time
    try:
        moment = time if isinstance(time, datetime) else datetime.fromisoformat(time)
    except ValueError as error:
        raise InputError(f"{argument}: {time!r} is not a time. Write it like {EXAMPLE}") from error
    if moment.tzinfo is None:
        raise InputError(f"{argument}: {str(time)!r} has no time zone. Write it like {EXAMPLE}")
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


class Pace:
    """Delays between records, for a replay at a given speed: 1 is that of the recording, 10 is ten times faster."""

    def __init__(self, speed: float | None) -> None:
        """None is as fast as possible.

        Raises:
            InputError: the speed is not positive.
        """
        if speed is not None and not speed > 0:
            raise InputError(f"speed: {speed} is out of range: must be above 0. Leave it out for no delays")
        self._speed = speed
        self._start: tuple[int, float] | None = None

    def delay(self, time_ns: int, now: float) -> float:
        """Return the seconds to wait before a record of ``time_ns``; ``now`` is monotonic."""
        if self._speed is None:
            return 0.0
        if self._start is None:
            self._start = time_ns, now
        first_ns, started = self._start
        return max(0.0, started + (time_ns - first_ns) / 1e9 / self._speed - now)
