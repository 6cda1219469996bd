"""Delays between attempts: full jitter, capped, reset by success, longer when the exchange says so."""

import random
from collections.abc import Iterator

from market_collector.errors import ConnectionFailedError

TOO_MANY_REQUESTS = 429
RETRY_AFTER_MAX_S = 600.0
"""A ``Retry-After`` above this is not believed: ten minutes without an attempt must be enough for any limit of a
second's or a minute's making."""


def full_jitter(initial_s: float, max_s: float, chance: random.Random) -> Iterator[float]:
    """Endless delays in seconds, each evenly between 0 and a bound that doubles from initial_s to max_s.

    Full jitter, because many pods behind one address that reconnect together is the normal way to be banned.
    """
    bound = initial_s
    while True:
        yield chance.uniform(0, bound)
        bound = min(bound * 2, max_s)


class Backoff:
    """The delays of one link; `reset` after a success."""

    def __init__(self, initial_s: float, max_s: float, chance: random.Random) -> None:
        self._initial_s = initial_s
        self._max_s = max_s
        self._chance = chance
        self.reset()

    def reset(self) -> None:
        """The next delay is short again."""
        self._delays = full_jitter(self._initial_s, self._max_s, self._chance)

    def after(self, error: ConnectionFailedError | None) -> float:
        """The delay after a failed attempt (None: after a connection that ended), in seconds.

        ``Retry-After`` is kept to, and jittered beyond; HTTP 429 without it costs a long wait.
        """
        delay = next(self._delays)
        if error is None:
            return delay
        if error.retry_after_s is not None:
            return min(error.retry_after_s, RETRY_AFTER_MAX_S) + delay
        return self.long() if error.status == TOO_MANY_REQUESTS else delay

    def long(self) -> float:
        """A delay near the longest: evenly over its upper half."""
        return self._chance.uniform(self._max_s / 2, self._max_s)
