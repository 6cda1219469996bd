"""Rate limit shared by several callers."""

import random
from functools import cache


class RateLimit:
    """Spaces turns by the interval that ``per_second`` allows, plus 10 to 50 % at random.

    The network moves arrivals closer together, hence the 10 %. Jitter separates processes behind the same address.
    """

    def __init__(self, per_second: float, chance: random.Random) -> None:
        self._spacing_s = 1 / per_second
        self._chance = chance
        self._free_at = 0.0

    def reserve(self, now: float) -> float:
        """Take the next turn; returns the seconds until then. The first is immediate."""
        turn = max(now, self._free_at)
        self._free_at = turn + self._spacing_s * self._chance.uniform(1.1, 1.5)
        return turn - now

    def hold(self, until: float) -> None:
        """Give no turn before ``until`` (monotonic seconds): the exchange reported too many requests."""
        self._free_at = max(self._free_at, until)


@cache
def rate_limit_of(address: str, per_second: float) -> RateLimit:
    """Return the process's rate limit for an address: exchanges count by IP address, not by collector."""
    return RateLimit(per_second, random.Random())  # noqa: S311 - jitter, not a secret
