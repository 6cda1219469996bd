"""Skew of this machine's wall clock against the exchange's, and steps of the wall clock.

Deadlines and ages use the monotonic clock. The wall clock is only in records, whose readers need to know its error.
Pure: time is an argument.
"""

from collections import deque

import msgspec

from market_collector.model.moment import Moment

STEP_S = 0.5
"""A wall clock that moved by more than this against the monotonic one between two checks was set. Slewing is at most
0.5 ms a second."""
SKEW_WARNING_S = 1.0
SAMPLES_KEPT = 5
RESOLUTION_S = 0.001
"""Exchanges report milliseconds."""


class Skew(msgspec.Struct, frozen=True):
    """One comparison with the exchange's clock."""

    seconds: float
    """Exchange time minus local time, within ``uncertainty_s``: above 0 the local clock is behind."""
    uncertainty_s: float
    """Half the round trip plus the resolution."""
    checked_ns: int
    """Local time of the comparison, nanoseconds since 1970."""

    @property
    def is_large(self) -> bool:
        """Whether the skew exceeds `SKEW_WARNING_S` despite its uncertainty: a slow answer proves nothing."""
        return abs(self.seconds) - self.uncertainty_s > SKEW_WARNING_S


class Timekeeper:
    """Checks the wall clock. `check_clocks` and `add_answer` return a warning, or "" without one."""

    def __init__(self, now: Moment) -> None:
        self.steps = 0
        """Number of times the wall clock was set."""
        self._seen = now
        self._samples: deque[Skew] = deque(maxlen=SAMPLES_KEPT)
        self._was_large = False

    @property
    def skew(self) -> Skew | None:
        """The most certain of the last comparisons; None without one since the clock was last set."""
        return min(self._samples, key=lambda sample: sample.uncertainty_s, default=None)

    @property
    def checked_ns(self) -> int | None:
        """Local time of the last comparison."""
        return self._samples[-1].checked_ns if self._samples else None

    def check_clocks(self, now: Moment) -> str:
        """Compare this machine's two clocks. Call it about once a second."""
        moved_s = _wall_s(self._seen, now) - (now.at - self._seen.at)
        self._seen = now
        if abs(moved_s) <= STEP_S:
            return ""
        self.steps += 1
        self._samples.clear()  # the samples belong to the old setting
        self._was_large = False
        return f"the wall clock was set {'forward' if moved_s > 0 else 'back'} by {abs(moved_s):.3f} s"

    def add_answer(self, asked: Moment, server_ns: int, now: Moment) -> str:
        """Add the exchange's time (nanoseconds since 1970), read at some moment between ``asked`` and ``now``."""
        round_trip_s = now.at - asked.at
        if abs(_wall_s(asked, now) - round_trip_s) > RESOLUTION_S:
            return ""  # the local clock was set meanwhile
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
