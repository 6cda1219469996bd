"""Rate limits: at most so many calls in so many seconds, per caller."""

from collections import defaultdict, deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `calls` within any `seconds`."""

    calls: int
    seconds: float


class Limiter:
    """Counts calls per (limit, caller) in a sliding window. `now` is seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._calls: defaultdict[tuple[Limit, str], deque[float]] = defaultdict(deque)

    def allows(self, limit: Limit, caller: str, now: float) -> bool:
        """Whether one more call is within the limit; it is counted only when it is."""
        calls = self._calls[limit, caller]
        while calls and calls[0] <= now - limit.seconds:
            calls.popleft()
        if len(calls) >= limit.calls:
            return False
        calls.append(now)
        return True
