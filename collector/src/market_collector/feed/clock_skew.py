"""What is known of this machine's wall clock: how far it is from the exchange's, and when it was set.

Nothing is decided by the wall clock (deadlines and ages are monotonic); it is in the records, so people must know how
far to trust it. Pure: time is an argument.
"""

from collections import deque

import msgspec

from market_collector.model.moment import Moment

STEP_S = 0.5
"""A wall clock that moved this much against the monotonic one between two looks was set; slewing (at most 0.5 ms a
second) stays far below."""
SKEW_TOLD_S = 1.0
SAMPLES_KEPT = 5
RESOLUTION_S = 0.001
"""Exchanges tell milliseconds."""


class Skew(msgspec.Struct, frozen=True):
    """One comparison with the exchange's clock."""

    seconds: float
    """Exchange's time minus ours: above 0 our clock is behind. True within ``uncertainty_s`` either way."""
    uncertainty_s: float
    """Half the round trip, and the resolution."""
    checked_ns: int
    """When, by our clock."""

    @property
    def is_large(self) -> bool:
        """More than `SKEW_TOLD_S` for certain: a slow answer proves nothing."""
        return abs(self.seconds) - self.uncertainty_s > SKEW_TOLD_S


class Timekeeper:
    """Judges the wall clock. Each method returns a warning for people, or "" when there is nothing to say."""

    def __init__(self, now: Moment) -> None:
        self.steps = 0
        """How often the wall clock was set."""
        self._seen = now
        self._samples: deque[Skew] = deque(maxlen=SAMPLES_KEPT)
        self._was_large = False

    @property
    def skew(self) -> Skew | None:
        """The most certain of the last comparisons; None while there is none since the clock was last set."""
        return min(self._samples, key=lambda sample: sample.uncertainty_s, default=None)

    @property
    def checked_ns(self) -> int | None:
        """When the last comparison was made."""
        return self._samples[-1].checked_ns if self._samples else None

    def looked(self, now: Moment) -> str:
        """To be called about once a second: compares this machine's two clocks."""
        moved_s = _wall_s(self._seen, now) - (now.at - self._seen.at)
        self._seen = now
        if abs(moved_s) <= STEP_S:
            return ""
        self.steps += 1
        self._samples.clear()  # they were about another clock
        self._was_large = False
        return f"the wall clock was set {'forward' if moved_s > 0 else 'back'} by {abs(moved_s):.3f} s"

    def answered(self, asked: Moment, server_ns: int, now: Moment) -> str:
        """The exchange told its time, in nanoseconds since 1970, at some moment between these two."""
        round_trip_s = now.at - asked.at
        if abs(_wall_s(asked, now) - round_trip_s) > RESOLUTION_S:
            return ""  # our clock was set meanwhile: this says nothing about either setting
        ours_ns = asked.wall_ns + int(round_trip_s * 1e9 / 2)
        sample = Skew((server_ns - ours_ns) / 1e9, round_trip_s / 2 + RESOLUTION_S, now.wall_ns)
        self._samples.append(sample)
        was_large, self._was_large = self._was_large, sample.is_large
        if not sample.is_large or was_large:
            return ""
        side = "behind" if sample.seconds > 0 else "ahead of"
        return (
            f"this machine's clock is {abs(sample.seconds):.1f} s {side} the exchange's"
            f" (± {sample.uncertainty_s:.1f} s): receive times and latencies are off by as much; set it (NTP)"
        )


def _wall_s(earlier: Moment, later: Moment) -> float:
    return (later.wall_ns - earlier.wall_ns) / 1e9
