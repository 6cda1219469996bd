"""Delays between attempts: full jitter, capped, reset by success, longer when the exchange requires it."""

import random
from collections.abc import Iterator

from market_collector.errors import ConnectionFailedError

TOO_MANY_REQUESTS = 429
RETRY_AFTER_MAX_S = 600.0
"""Longest ``Retry-After`` honoured: rate limits count seconds or minutes, so ten minutes suffice."""


def full_jitter(initial_s: float, max_s: float, chance: random.Random) -> Iterator[float]:
    """Yield delays in seconds, each uniform between 0 and a bound that doubles from ``initial_s`` to ``max_s``.

    Full jitter: pods behind one address that reconnect together are likely to be banned.
    """
    bound = initial_s
    while True:
        yield chance.uniform(0, bound)
        bound = min(bound * 2, max_s)


class Backoff:
    """Delays of one link; call `reset` after a success."""

    def __init__(self, initial_s: float, max_s: float, chance: random.Random) -> None:
        self._initial_s = initial_s
        self._max_s = max_s
        self._chance = chance
        self.reset()

    def reset(self) -> None:
        """Start again with the shortest delay."""
        self._delays = full_jitter(self._initial_s, self._max_s, self._chance)

    def after(self, error: ConnectionFailedError | None) -> float:
        """Return the delay in seconds after a failed attempt (None: after a connection that ended).

        ``Retry-After`` is honoured, with jitter added. HTTP 429 without it gets a long delay.
        """
        delay = next(self._delays)
        if error is None:
            return delay
        if error.retry_after_s is not None:
            return min(error.retry_after_s, RETRY_AFTER_MAX_S) + delay
        return self.long() if error.status == TOO_MANY_REQUESTS else delay

    def long(self) -> float:
        """Return a long delay: uniform between half the longest delay and the longest."""
        return self._chance.uniform(self._max_s / 2, self._max_s)
