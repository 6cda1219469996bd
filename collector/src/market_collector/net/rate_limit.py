"""Rate limit shared by several callers."""

import random
from functools import cache

from market_collector.exchanges.interface import Window

SPACING = (1.1, 1.5)
"""Range of the factor by which turns are further apart than the limit allows.

The network moves arrivals closer together, hence the 10 %. Jitter separates processes behind the same address.
"""


class RateLimit:
    """Gives turns within a window's limit, in the order of asking.

    First come as many at once as the limit allows, then turns that are spaced evenly with jitter.
    """

    def __init__(self, window: Window, chance: random.Random) -> None:
        self._spacing_s = window.seconds / (window.count - window.burst + 1)
        self._burst_s = self._spacing_s * SPACING[0] * (window.burst - 1)
        """How far the turns may be ahead of their spacing."""
        self._chance = chance
        self.holds = 0
        """How often the exchange has reported too many requests."""
        self._free_at = 0.0
        """When the spacing of the turns so far ends, monotonic seconds."""

    def reserve(self, now: float) -> float:
        """Take the next turn; returns the seconds until then. The first is immediate."""
        turn = max(now, self._free_at - self._burst_s)
        self._free_at = max(self._free_at, turn) + self._spacing_s * self._chance.uniform(*SPACING)
        return turn - now

    def hold(self, until: float) -> None:
        """Give no turn before ``until`` (monotonic seconds): the exchange reported too many requests.

        Those that wait for a turn must reserve another one.
        """
        self.holds += 1
        self._free_at = max(self._free_at, until + self._burst_s)


@cache
def rate_limit_of(address: str, window: Window) -> RateLimit:
    """Return the process's rate limit for an address: exchanges count by IP address, not by collector."""
    return RateLimit(window, random.Random())  # noqa: S311 - jitter, not a secret
