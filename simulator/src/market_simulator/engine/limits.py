"""Rate limits per caller: a maximum number of calls in a sliding window."""

from collections import defaultdict, deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `calls` in any window of `seconds`."""

    calls: int
    seconds: float


class Limiter:
    """Counts calls per (limit, caller) in a sliding window. `now` is seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._calls: defaultdict[tuple[Limit, str], deque[float]] = defaultdict(deque)

    def allows(self, limit: Limit, caller: str, now: float) -> bool:
        """Whether one more call is within the limit. Only allowed calls are counted."""
        calls = self._calls[limit, caller]
        while calls and calls[0] <= now - limit.seconds:
            calls.popleft()
        if len(calls) >= limit.calls:
            return False
        calls.append(now)
        return True
