"""Token buckets by name: a burst, then one token per interval. Pure, with time as an argument."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(slots=True)
class TokenBuckets:
    """Each name has `burst` tokens at first and gets one back every `seconds_each`.

    Full buckets take no memory.
    """

    burst: int
    seconds_each: float
    # The time at which each bucket is full again, the latest used last.
    _full_at: OrderedDict[Hashable, float] = field(default_factory=OrderedDict)

    def wait(self, name: Hashable, now: float) -> float:
        """Seconds until there is a token; 0 means now."""
        missing = max(self._full_at.get(name, now) - now, 0.0)
        return max(missing - (self.burst - 1) * self.seconds_each, 0.0)

    def take(self, name: Hashable, now: float) -> None:
        """Takes a token, which there must be."""
        self._full_at[name] = max(self._full_at.get(name, now), now) + self.seconds_each
        self._full_at.move_to_end(name)
        while self._full_at and next(iter(self._full_at.values())) <= now:
            self._full_at.popitem(last=False)

    def forget(self, name: Hashable) -> None:
        """Forgets a bucket, which is full afterwards."""
        self._full_at.pop(name, None)

    def __len__(self) -> int:
        return len(self._full_at)
