"""Callbacks as a sink: each has a queue of its own and, while the collector runs, a task.

A callback that fails is counted and logged, and the others still run. A slow callback first fills its own queue, then
blocks the sink, so that the queue of the fan-out grows. When that is full, records are dropped, counted and reported in
a ``dropped`` event, like any gap. `get_status` shows each step.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from time import monotonic
from types import CoroutineType

from market_collector.api.loop import timed, turns_of
from market_collector.api.points import DataPoint, StreamEvent, data_point, data_type, stream_event
from market_collector.errors import ConfigurationError
from market_collector.model.events import Data, Event, Raw, Record
from market_collector.model.streams import DataType

QUEUE_RECORDS = 10_000
"""Most records that one callback may lag behind before it blocks the others."""
POLL_S = 0.01
"""Interval at which a blocked sink checks for room."""
BLOCK_S = 0.05
"""A callback that holds up the event loop for longer is counted, and the health names it."""
CLOSE_S = 4.0
"""Longest time that closing waits for slow callbacks before it cancels them."""
CANCEL_S = 0.5
"""Longest time that closing waits for cancelled callbacks."""
FAILURES_LOGGED = 10
"""Failures of a callback that are logged one by one; later only each hundredth, to save the disk."""

DataCallback = Callable[[DataPoint], Awaitable[object] | object]
EventCallback = Callable[[StreamEvent], Awaitable[object] | object]

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Subscription:
    """One callback for one data type (None: stream events), with its counters."""

    data_type: DataType | None
    callback: object
    """The object that the user gave; it names and identifies the subscription."""
    call: Callable[[Record], Awaitable[object] | object]
    waiting: deque[Record] = field(default_factory=deque)
    calls: int = 0
    failures: int = 0
    last_error: str = ""
    """Of the last call; empty when it succeeded."""
    slowest_s: float = 0.0
    blocks: int = 0
    """Times that it held up the event loop for longer than `BLOCK_S`."""
    longest_block_s: float = 0.0
    blocked_at: float = -math.inf
    """End of the last of them, monotonic seconds."""
    running_since: float | None = None
    """Start of the current call, monotonic seconds; None without one."""
    is_removed: bool = False

    @property
    def name(self) -> str:
        """The name of the callback in logs and the status."""
        return str(getattr(self.callback, "__qualname__", None) or repr(self.callback))

    def add_block(self, duration_s: float) -> None:
        """Counts that it has just held up the event loop."""
        self.blocks += 1
        self.longest_block_s = max(self.longest_block_s, duration_s)
        self.blocked_at = monotonic()


class Subscriptions:
    """All callbacks of one collector, in the order in which they were added; added and removed at any time."""

    def __init__(self) -> None:
        self._by_type: dict[DataType | None, tuple[Subscription, ...]] = {}

    def __iter__(self) -> Iterator[Subscription]:
        return (each for group in self._by_type.values() for each in group)

    def add_data(self, wanted: DataType, callback: DataCallback) -> None:
        """One that is added twice is called twice."""

        def call(record: Record) -> Awaitable[object] | object:
            assert isinstance(record, Data)
            return callback(data_point(record))

        self._add(Subscription(wanted, callback, call))

    def add_events(self, callback: EventCallback) -> None:
        """One that is added twice is called twice."""

        def call(record: Record) -> Awaitable[object] | object:
            assert isinstance(record, Event)
            return callback(stream_event(record))

        self._add(Subscription(None, callback, call))

    def _add(self, subscription: Subscription) -> None:
        if not callable(subscription.callback):
            raise ConfigurationError(_no_function(subscription.callback))
        self._by_type[subscription.data_type] = (*self._by_type.get(subscription.data_type, ()), subscription)

    def remove(self, wanted: DataType | None, callback: object) -> bool:
        """Removes every subscription of the callback, and its queue. False: there was none."""
        group = self._by_type.get(wanted, ())
        gone = [each for each in group if each.callback == callback]
        self._by_type[wanted] = tuple(each for each in group if each not in gone)
        for each in gone:
            each.is_removed = True
            each.waiting.clear()
        return bool(gone)

    def of(self, record: Record) -> tuple[Subscription, ...]:
        """The subscriptions for this record; raw frames go only to files."""
        if isinstance(record, Data):
            return self._by_type.get(data_type(type(record)), ())
        return () if isinstance(record, Raw) else self._by_type.get(None, ())


class CallbackSink:
    """Calls the callbacks of one run. A record is acknowledged once it is in all of their queues."""

    name = "callbacks"
    type = "callback"
    sync_interval_s = 0.0
    pause_s = 0.0

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._workers: dict[Subscription, _Worker] = {}

    def pack(self, record: Record) -> Record:
        """The record itself; callbacks get its fields."""
        return record

    async def open(self) -> None:
        """Nothing to do."""

    async def write(self, records: Sequence[Record]) -> bool:
        """Queues the records for the callbacks; waits while the queue of one is full."""
        self._finish_removed()
        for record in records:
            if isinstance(record, Event) and not isinstance(record, Raw):
                log.debug("%s", record)
            for subscription in self._subscriptions.of(record):
                await self._worker(subscription).put(record)
        return False

    async def sync(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Waits for the callbacks, at most 4.5 s; cancels them after 4 s and logs undelivered records."""
        workers = list(self._workers.values())
        for worker in workers:
            worker.finish()
        try:
            await _ended(workers, CLOSE_S)
        finally:
            for worker in workers:
                worker.give_up()
            await _ended(workers, CANCEL_S)
            for worker in workers:
                worker.report_survival()
            self._workers.clear()

    def owns(self, task: asyncio.Task[object] | None) -> bool:
        """Whether this task is one that calls callbacks."""
        return any(worker.task is task for worker in self._workers.values())

    def _worker(self, subscription: Subscription) -> _Worker:
        if subscription not in self._workers:
            self._workers[subscription] = _Worker(subscription)
        return self._workers[subscription]

    def _finish_removed(self) -> None:
        for subscription in [each for each in self._workers if each.is_removed and each.running_since is None]:
            self._workers.pop(subscription).finish()


def _no_function(callback: object) -> str:
    was_called = callback is None or isawaitable(callback)
    hint = ". Pass the function itself, without calling it" if was_called else ""
    return f"callback: must be a function or coroutine function, not {callback!r}{hint}"


async def _ended(workers: Sequence[_Worker], timeout_s: float) -> None:
    if workers:
        await asyncio.wait([worker.task for worker in workers], timeout=timeout_s)


class _Worker:
    """Calls one callback, one record after the other."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._wake = asyncio.Event()
        self._is_finishing = False
        self._is_cancelled = False
        self._is_given_up = False
        self._turns = turns_of(asyncio.get_running_loop())
        self.task = asyncio.create_task(self._work(), name=f"callback {subscription.name}")

    async def put(self, record: Record) -> None:
        """Queues a record, as soon as there is room."""
        subscription = self._subscription
        while len(subscription.waiting) >= QUEUE_RECORDS and not self._is_cancelled:
            await self._room()
        if not subscription.is_removed:
            subscription.waiting.append(record)
            self._wake.set()

    async def _room(self) -> None:
        """Waits for room. A cancellation is the end of the program, and the queue may then be longer."""
        try:
            await asyncio.sleep(POLL_S)  # a removal makes room too
        except asyncio.CancelledError:
            self._is_cancelled = True

    def finish(self) -> None:
        """Lets the task end after the queued records."""
        self._is_finishing = True
        self._wake.set()

    def give_up(self) -> None:
        """Cancels the current call, clears the queue, and logs the undelivered records."""
        self._is_given_up = True
        self.task.cancel()
        if left := len(self._subscription.waiting):
            log.error("callback %s: %d records were not delivered before the stop", self._subscription.name, left)
        self._subscription.waiting.clear()

    def report_survival(self) -> None:
        """Logs a callback that ignores its cancellation."""
        if not self.task.done():
            log.error("callback %s ignores its cancellation and still runs", self._subscription.name)

    async def _work(self) -> None:
        """Delivers until `finish` or `give_up`. The end of the program cancels every task, and does not end it."""
        while self._subscription.waiting or not self._is_finishing:
            try:
                await self._deliver_waiting()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if self._is_given_up or task is None:
                    raise
                task.uncancel()

    async def _deliver_waiting(self) -> None:
        waiting = self._subscription.waiting
        self._wake.clear()
        await self._turns.wait()
        while waiting:
            record = waiting.popleft()
            try:
                await self._deliver(record)
            except asyncio.CancelledError:
                if not (self._is_given_up or self._subscription.is_removed):
                    waiting.appendleft(record)
                raise
            if self._turns.are_over:
                await self._turns.wait()
        if not self._is_finishing:
            await self._wake.wait()

    async def _deliver(self, record: Record) -> None:
        subscription = self._subscription
        subscription.calls += 1
        subscription.running_since = started = monotonic()
        try:
            result = self._call(record)
            if result is not None and isawaitable(result):
                await timed(result if isinstance(result, CoroutineType) else _awaited(result), self._take)
            subscription.last_error = ""
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._fail(error)  # cancelled is what the callback awaited, not the callback
        except Exception as error:
            self._fail(error)
        finally:
            subscription.running_since = None
            subscription.slowest_s = max(subscription.slowest_s, monotonic() - started)

    def _call(self, record: Record) -> Awaitable[object] | object:
        started = monotonic()
        try:
            return self._subscription.call(record)
        finally:
            self._take(monotonic() - started)

    def _take(self, duration_s: float) -> None:
        self._turns.used_s += duration_s
        if duration_s > BLOCK_S:
            self._subscription.add_block(duration_s)

    def _fail(self, error: BaseException) -> None:
        subscription = self._subscription
        subscription.failures += 1
        subscription.last_error = f"{type(error).__name__}: {error}"
        if subscription.failures <= FAILURES_LOGGED or subscription.failures % 100 == 0:
            counts = (subscription.failures, subscription.calls)
            log.error("callback %s failed (%d of %d calls)", subscription.name, *counts, exc_info=error)


async def _awaited(result: Awaitable[object]) -> None:
    await result
