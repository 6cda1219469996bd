"""A deduplicating work queue: a key waits at most once, and one worker at a time processes it.

A key that is added while a worker processes it is queued again afterwards, so no event is lost. The queue holds at most
one entry per key.

Urgent keys, a user's changes, come first. While many resources are new, each one's managed objects cause several
events; these wait, so that one reconcile handles all of them.
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
    """Backoff delays in seconds: they double from 0.5 s to 5 minutes, minus up to half as jitter."""
    delay = FIRST_DELAY
    while True:
        yield delay * (1 - chance() / 2)
        delay = min(delay * 2, LONGEST_DELAY)


@dataclass(slots=True)
class Counts:
    """Totals for the metrics."""

    adds: int = 0
    retries: int = 0


@dataclass(slots=True)
class WorkQueue:
    """The queue. All methods are called from the event loop's thread."""

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
        """Queues `key` now: at the end, or before all keys that are not urgent."""
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
        """Queues `key` after its next backoff delay, but not before `at_least` seconds."""
        self.counts.retries += 1
        self.add_after(key, max(at_least, next(self._failures.setdefault(key, delays()))))

    def succeeded(self, key: Key) -> None:
        """Resets the backoff of `key`."""
        self._failures.pop(key, None)

    async def take(self) -> tuple[Key, float]:
        """The next key and its waiting time in seconds. Call `done` after the work."""
        while not self.depth:
            self._wake.clear()
            await self._wake.wait()
        key, since = (self._urgent or self._waiting).popitem(last=False)
        now = self.clock()
        self._working[key] = now
        return key, now - since

    def done(self, key: Key) -> None:
        """The work on `key` has ended, successfully or not."""
        del self._working[key]
        if (is_urgent := self._again.pop(key, None)) is not None:
            self.add(key, is_urgent)

    def forget(self, key: Key) -> None:
        """Cancels everything scheduled for a resource that is gone."""
        self._unschedule(key)
        self._failures.pop(key, None)

    def close(self) -> None:
        """Cancels all scheduled keys."""
        for key in [*self._later]:
            self._unschedule(key)

    @property
    def depth(self) -> int:
        """Number of waiting keys."""
        return len(self._urgent) + len(self._waiting)

    @property
    def longest_work(self) -> float:
        """Age of the oldest unfinished work in seconds."""
        return self.clock() - min(self._working.values()) if self._working else 0.0

    @property
    def unfinished_work(self) -> float:
        """Total age of all unfinished work in seconds."""
        now = self.clock()
        return sum(now - since for since in self._working.values())

    def _waits(self, key: Key) -> bool:
        return key in self._urgent or key in self._waiting

    def _unschedule(self, key: Key) -> None:
        if known := self._later.pop(key, None):
            known[1].cancel()
