"""The end of a connection whose client has sent no ping for too long."""

import re
from dataclasses import dataclass
from typing import Final

from market_simulator.engine.dialect import Close, Effect

SILENCES: Final = 20
"""A connection may be without a ping for 10 minutes: a `silence_limit` of 30 s, times 20."""
_UNITS: Final = {"s": 1.0, "m": 60.0}


@dataclass(slots=True)
class Upkeep:
    """State of one connection. `limit` is in seconds."""

    limit: float
    _pinged: float = 0.0

    def pinged(self, now: float) -> None:
        self._pinged = now

    def tick(self, opened: float, now: float) -> list[Effect]:
        """Close a connection without a ping."""
        return [Close(1000, "", True)] if now - max(opened, self._pinged) >= self.limit else []


def own_limit(query: str, default: float) -> float:
    """The limit of a private connection, as `max_active_time=30s` to `10m` sets it."""
    found = re.search(r"(?:^|&)max_active_time=(\d+)([sm])(?:&|$)", query)
    return default if found is None else min(max(int(found[1]) * _UNITS[found[2]], 30.0), 600.0)
