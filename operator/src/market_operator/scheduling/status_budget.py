"""Limits writes of a status: those that only keep it fresh, refused ones, and changes of mind. Pure."""

from dataclasses import dataclass, field

from market_operator.resource.naming import Key
from market_operator.scheduling.token_buckets import TokenBuckets
from market_operator.scheduling.turns import Turns

WRITES_PER_SECOND = 9.0
HANDOVERS_PER_SECOND = 1.0
HANDOVER_INTERVAL_S = 300.0
REFUSED_INTERVAL_S = 30.0
# Changes of the conditions of one resource: a burst, then one per interval.
FLIPS_BURST, FLIP_INTERVAL_S = 25, 10.0


@dataclass(slots=True)
class StatusBudget:
    """`interval` is the shortest time between two such writes for one resource, `per_second` their total.

    Times are in seconds since 1970.

    When the total is used up, resources wait for slots, in which their namespaces take turns. Each waits for a time of
    its own, so that they do not all return at once.
    """

    interval: float
    per_second: float = WRITES_PER_SECOND
    _written: dict[Key, float] = field(default_factory=dict)
    _waiting: Turns = field(default_factory=Turns)
    _granted: set[Key] = field(default_factory=set)
    _held: dict[Key, tuple[float, bool]] = field(default_factory=dict)
    _flips: TokenBuckets = field(default_factory=lambda: TokenBuckets(FLIPS_BURST, FLIP_INTERVAL_S))
    _next_slot: float = 0.0

    def wait(self, key: Key, now: float) -> float:
        """Seconds until the resource may write counters again; 0 means now."""
        return max(0.0, self._written.get(key, now - self.interval) + self.interval - now)

    def slot(self, key: Key, now: float) -> float:
        """Seconds until the slot of `key` in the total budget; 0 means now."""
        if key not in self._granted and key not in self._waiting:
            if not self._waiting:
                self._next_slot = max(self._next_slot, now)
            self._waiting.add(key, now)
        while self._next_slot <= now and (found := self._waiting.take()):
            self._granted.add(found[0])
            self._next_slot += 1 / self.per_second
        if key in self._granted:
            return 0.0
        return self._next_slot - now + self._waiting.ahead(key) / self.per_second

    def flip_wait(self, key: Key, now: float) -> float:
        """Seconds until changed conditions may be written, at most FLIP_INTERVAL_S; 0 means now."""
        return self._flips.wait(key, now)

    def flipped(self, key: Key, now: float) -> None:
        """Notes a write of changed conditions."""
        if not self._flips.wait(key, now):
            self._flips.take(key, now)

    def refused(self, key: Key, now: float, is_essential: bool) -> None:
        """Notes that the API server refused a status, or even its conditions if `is_essential`."""
        self._held[key] = now + max(self.interval, REFUSED_INTERVAL_S), is_essential

    def held(self, key: Key, now: float, is_essential: bool = False) -> float:
        """Seconds until a refused status may be tried again; 0 means now."""
        until, is_total = self._held.get(key, (now, False))
        return max(0.0, until - now) if is_total or not is_essential else 0.0

    def wrote(self, key: Key, now: float) -> None:
        """Notes a write of the status, whatever its reason."""
        self._written[key] = now
        self._leave(key)

    def forget(self, key: Key) -> None:
        """Forgets a resource."""
        self._leave(key)
        self._flips.forget(key)
        for known in (self._written, self._held):
            known.pop(key, None)

    def _leave(self, key: Key) -> None:
        self._granted.discard(key)
        if key in self._waiting:
            self._waiting.pop(key)
