"""Our work queue: a key waits at most once, is worked on by one worker at a time, and may be put off.

A key that is added while it is worked on is queued again when the work is done, so no news is lost. The queue holds at
most one entry per key, so it is bounded by the number of resources.

What is urgent, a user's change, comes before all else. While many resources are new, the cluster reports each one's
children several times; that news waits, so that one pass answers all of it.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from market_operator.resource.naming import Key

FIRST_DELAY = 0.5
LONGEST_DELAY = 300.0


def delays(chance: Callable[[], float] = random.random) -> Iterator[float]:
    """Waiting times (seconds) between tries: they double from half a second to five minutes, less up to a half."""
    delay = FIRST_DELAY
    while True:
        yield delay * (1 - chance() / 2)
        delay = min(delay * 2, LONGEST_DELAY)


@dataclass(slots=True)
class Counts:
    """What the metrics show of the queue; times in seconds of the loop's clock."""

    adds: int = 0
    retries: int = 0


@dataclass(slots=True)
class WorkQueue:
    """The de-duplicating queue. All methods are called from the event loop's thread."""

    clock: Callable[[], float]
    counts: Counts = field(default_factory=Counts)
    _urgent: OrderedDict[Key, float] = field(default_factory=OrderedDict)
    _waiting: OrderedDict[Key, float] = field(default_factory=OrderedDict)
    _working: dict[Key, float] = field(default_factory=dict)
    _again: dict[Key, bool] = field(default_factory=dict)
    _later: dict[Key, tuple[float, asyncio.TimerHandle]] = field(default_factory=dict)
    _failures: dict[Key, Iterator[float]] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, key: Key, is_urgent: bool = False) -> None:
        """Queues `key` now: at the end, or before all that is not urgent."""
        self._unschedule(key)
        if key in self._working:
            self._again[key] = is_urgent or self._again.get(key, False)
        elif not self._waits(key):
            self.counts.adds += 1
            (self._urgent if is_urgent else self._waiting)[key] = self.clock()
            self._wake.set()
        elif is_urgent and key in self._waiting:
            self._urgent[key] = self._waiting.pop(key)

    def add_after(self, key: Key, delay: float) -> None:
        """Queues `key` in `delay` seconds, unless it is queued for sooner."""
        due = self.clock() + delay
        known = self._later.get(key)
        if self._waits(key) or (known and known[0] <= due):
            return
        self._unschedule(key)
        self._later[key] = due, asyncio.get_running_loop().call_later(delay, self.add, key)

    def retry(self, key: Key, at_least: float = 0.0) -> None:
        """Queues `key` after its next back-off delay, but not before `at_least` seconds."""
        self.counts.retries += 1
        self.add_after(key, max(at_least, next(self._failures.setdefault(key, delays()))))

    def succeeded(self, key: Key) -> None:
        """Resets the back-off of `key`."""
        self._failures.pop(key, None)

    async def take(self) -> tuple[Key, float]:
        """The next key and how long it waited (seconds); call `done` after the work."""
        while not self.depth:
            self._wake.clear()
            await self._wake.wait()
        key, since = (self._urgent or self._waiting).popitem(last=False)
        now = self.clock()
        self._working[key] = now
        return key, now - since

    def done(self, key: Key) -> None:
        """The work on `key` has ended, well or not."""
        del self._working[key]
        if (is_urgent := self._again.pop(key, None)) is not None:
            self.add(key, is_urgent)

    def forget(self, key: Key) -> None:
        """A resource is gone: nothing is put off for it any more."""
        self._unschedule(key)
        self._failures.pop(key, None)

    def close(self) -> None:
        """Cancels what was put off."""
        for key in [*self._later]:
            self._unschedule(key)

    @property
    def depth(self) -> int:
        """How many keys wait."""
        return len(self._urgent) + len(self._waiting)

    @property
    def longest_work(self) -> float:
        """How long the oldest unfinished work has been going on (seconds)."""
        return self.clock() - min(self._working.values()) if self._working else 0.0

    @property
    def unfinished_work(self) -> float:
        """Sum of the time that unfinished work has taken so far (seconds)."""
        now = self.clock()
        return sum(now - since for since in self._working.values())

    def _waits(self, key: Key) -> bool:
        return key in self._urgent or key in self._waiting

    def _unschedule(self, key: Key) -> None:
        if known := self._later.pop(key, None):
            known[1].cancel()
