"""Recent records of a stream without ids, to recognize repetitions."""

from collections.abc import Hashable

from market_collector.model.events import Data
from market_collector.model.identity import identity

KEPT = 4096
"""Records of one stream. A repetition comes within seconds, from another connection."""


class Recent:
    """Identities of the newest records of one stream."""

    def __init__(self) -> None:
        self._known: dict[Hashable, None] = {}

    def add(self, record: Data) -> bool:
        """Add a record. Return whether it is new."""
        key = identity(record)
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        return True
