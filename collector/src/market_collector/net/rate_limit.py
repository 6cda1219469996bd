"""Turns: how a limit of so many a second is shared."""

import random
from functools import cache


class Pace:
    """Turns that are never closer together than ``per_second`` allows; a tenth to a half further, by chance.

    The tenth is for the network, which moves arrivals together; the chance for other processes behind our address.
    """

    def __init__(self, per_second: float, chance: random.Random) -> None:
        self._spacing_s = 1 / per_second
        self._chance = chance
        self._free_at = 0.0

    def reserve(self, now: float) -> float:
        """Takes the next turn; returns the seconds until then. The first is at once."""
        turn = max(now, self._free_at)
        self._free_at = turn + self._spacing_s * self._chance.uniform(1.1, 1.5)
        return turn - now

    def hold(self, until: float) -> None:
        """Gives no turn before this moment (monotonic seconds): the exchange said that we are too many."""
        self._free_at = max(self._free_at, until)


@cache
def pace_to(address: str, per_second: float) -> Pace:
    """The one pace of this process to an address: an exchange counts by IP, whatever collector the connection is of."""
    return Pace(per_second, random.Random())  # noqa: S311 - jitter, not a secret
