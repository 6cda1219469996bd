"""How often the status may be written for counters alone: seldom per resource, and within a budget for all."""

from dataclasses import dataclass, field

from market_operator.resource.naming import Key

WRITES_PER_SECOND = 10.0


@dataclass(slots=True)
class StatusBudget:
    """Times are in seconds since 1970; `interval` is the shortest time between two writes for one resource.

    Who finds the budget used up is given a time of its own, so that thousands who wait do not all come back at once.
    """

    interval: float
    _written: dict[Key, float] = field(default_factory=dict)
    _reserved: dict[Key, float] = field(default_factory=dict)
    _next_slot: float = 0.0

    def wait(self, key: Key, now: float) -> float:
        """Seconds until the next write for counters alone; 0 means now."""
        return max(0.0, self._written.get(key, now - self.interval) + self.interval - now)

    def slot(self, key: Key, now: float) -> float:
        """Seconds until the budget of all resources has room for `key`, which is kept for it; 0 means now."""
        slot = self._reserved.get(key)
        if slot is None:
            slot = self._reserved[key] = max(now, self._next_slot)
            self._next_slot = slot + 1 / WRITES_PER_SECOND
        return max(0.0, slot - now)

    def wrote(self, key: Key, now: float) -> None:
        """The status of `key` was written, for whatever reason."""
        self._written[key] = now
        self._reserved.pop(key, None)

    def forget(self, key: Key) -> None:
        """A resource is gone."""
        self._written.pop(key, None)
        self._reserved.pop(key, None)
