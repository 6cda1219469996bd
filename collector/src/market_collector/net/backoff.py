"""Delays between attempts: full jitter, capped, reset by making a new one."""

import random
from collections.abc import Iterator


def full_jitter(initial_s: float, max_s: float, chance: random.Random) -> Iterator[float]:
    """Endless delays in seconds, each evenly between 0 and a bound that doubles from initial_s to max_s.

    Full jitter, because many pods behind one address that reconnect together is the normal way to be banned.
    """
    bound = initial_s
    while True:
        yield chance.uniform(0, bound)
        bound = min(bound * 2, max_s)
