"""A deduplicating work queue: a key waits at most once, and one worker at a time processes it.

A key that is added while a worker processes it is queued again afterwards, so no event is lost. The queue holds at most
one entry per key.

Namespaces take turns, so that many keys of one do not delay another. Within a namespace, urgent keys, a user's changes,
come first. While many resources are new, each one's managed objects cause several events; these wait, so that one
reconcile handles all of them. Only after 5 minutes do they alternate with urgent keys, which may never end.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from market_operator.resource.naming import Key

FIRST_DELAY = 0.5
LONGEST_DELAY = 300.0
OLD_AFTER_S = 300.0
OVERWRITTEN_DELAY = 1.0
"""Seconds until a status that another writer changed causes a reconcile, so that many changes cause one."""


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
class _Waiting:
    """The waiting keys of a namespace, each with the time since when it waits."""

    urgent: OrderedDict[Key, float] = field(default_factory=OrderedDict)
    others: OrderedDict[Key, float] = field(default_factory=OrderedDict)
    was_urgent: bool = False

    def __len__(self) -> int:
        return len(self.urgent) + len(self.others)

    def take(self, now: float) -> tuple[Key, float]:
        """The next key: urgent, unless another one is old and it is that one's turn."""
        is_old = bool(self.others) and now - next(iter(self.others.values())) > OLD_AFTER_S
        self.was_urgent = bool(self.urgent) and not (is_old and self.was_urgent)
        return (self.urgent if self.was_urgent else self.others).popitem(last=False)


@dataclass(slots=True)
class WorkQueue:
    """The queue. All methods are called from the event loop's thread."""

    clock: Callable[[], float]
    counts: Counts = field(default_factory=Counts)
    _namespaces: OrderedDict[str, _Waiting] = field(default_factory=OrderedDict)
    """In the order of their turns."""
    _depth: int = 0
    _working: dict[Key, float] = field(default_factory=dict)
    _again: dict[Key, bool] = field(default_factory=dict)
    _later: dict[Key, tuple[float, asyncio.TimerHandle]] = field(default_factory=dict)
    _failures: dict[Key, Iterator[float]] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, key: Key, is_urgent: bool = False) -> None:
        """Queues `key` now: at the end of its namespace, or before those that are not urgent."""
        self._unschedule(key)
        if key in self._working:
            self._again[key] = is_urgent or self._again.get(key, False)
        elif not self._waits(key):
            self.counts.adds += 1
            self._depth += 1
            keys = self._namespaces.setdefault(key.namespace, _Waiting())
            (keys.urgent if is_urgent else keys.others)[key] = self.clock()
            self._wake.set()
        elif is_urgent and key in (keys := self._namespaces[key.namespace]).others:
            keys.urgent[key] = keys.others.pop(key)

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
        while not (found := self._next()):
            self._wake.clear()
            await self._wake.wait()
        key, since = found
        now = self.clock()
        self._working[key] = now
        return key, now - since

    def done(self, key: Key) -> None:
        """The work on `key` has ended, successfully or not."""
        del self._working[key]
        if (is_urgent := self._again.pop(key, None)) is not None:
            self.add(key, is_urgent)

    def is_in_work(self, key: Key) -> bool:
        """Whether a worker has `key`."""
        return key in self._working

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
        return self._depth

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
        keys = self._namespaces.get(key.namespace)
        return keys is not None and (key in keys.urgent or key in keys.others)

    def _next(self) -> tuple[Key, float] | None:
        if not self._namespaces:
            return None
        namespace, keys = self._namespaces.popitem(last=False)
        self._depth -= 1
        found = keys.take(self.clock())
        if keys:
            self._namespaces[namespace] = keys
        return found

    def _unschedule(self, key: Key) -> None:
        if known := self._later.pop(key, None):
            known[1].cancel()
