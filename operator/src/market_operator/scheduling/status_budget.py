"""Limits status writes that only change counters, per resource and in total. Pure."""

from dataclasses import dataclass, field

from market_operator.resource.naming import Key

WRITES_PER_SECOND = 10.0


@dataclass(slots=True)
class StatusBudget:
    """`interval` is the shortest time between two such writes for one resource. Times are in seconds since 1970.

    When the total is used up, each waiting resource gets a slot of its own, so that they do not all return at once.
    """

    interval: float
    _written: dict[Key, float] = field(default_factory=dict)
    _reserved: dict[Key, float] = field(default_factory=dict)
    _next_slot: float = 0.0

    def wait(self, key: Key, now: float) -> float:
        """Seconds until the resource may write counters again; 0 means now."""
        return max(0.0, self._written.get(key, now - self.interval) + self.interval - now)

    def slot(self, key: Key, now: float) -> float:
        """Seconds until the reserved slot of `key` in the total budget; 0 means now."""
        slot = self._reserved.get(key)
        if slot is None:
            slot = self._reserved[key] = max(now, self._next_slot)
            self._next_slot = slot + 1 / WRITES_PER_SECOND
        return max(0.0, slot - now)

    def wrote(self, key: Key, now: float) -> None:
        """Notes a write of the status, whatever its reason."""
        self._written[key] = now
        self._reserved.pop(key, None)

    def forget(self, key: Key) -> None:
        """Forgets a resource."""
        self._written.pop(key, None)
        self._reserved.pop(key, None)
