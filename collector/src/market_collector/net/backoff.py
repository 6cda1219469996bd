"""Delays between attempts: full jitter, capped, reset by success, longer when the exchange requires it."""

import random
from collections.abc import Iterator

from market_collector.errors import ConnectionFailedError
from market_collector.net.rest_host import LONGEST_STOP_S

TOO_MANY_REQUESTS, BANNED = 429, 418
STOPS = frozenset({TOO_MANY_REQUESTS, BANNED})
"""HTTP statuses of handshakes that concern every connection to the address."""
RETRY_AFTER_MAX_S = 600.0
"""Longest ``Retry-After`` honoured: rate limits count seconds or minutes, so ten minutes suffice."""


def requested_delay(error: ConnectionFailedError) -> float | None:
    """Return the delay that a refused handshake requests, in seconds; None if it requests none.

    A ban lasts up to three days, and attempts during it make it longer.
    """
    if error.retry_after_s is None:
        return None
    return min(error.retry_after_s, LONGEST_STOP_S if error.status == BANNED else RETRY_AFTER_MAX_S)


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

        ``Retry-After`` is honoured, with jitter added. HTTP 429 and 418 without it get a long delay.
        """
        delay = next(self._delays)
        if error is None:
            return delay
        if (requested := requested_delay(error)) is not None:
            return requested + delay
        return self.long() if error.status in STOPS else delay

    def long(self) -> float:
        """Return a long delay: uniform between half the longest delay and the longest."""
        return self._chance.uniform(self._max_s / 2, self._max_s)
