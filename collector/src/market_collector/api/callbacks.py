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
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from time import monotonic
from types import CoroutineType

from market_collector.api.loop import timed, turns_of
from market_collector.api.points import DataPoint, StreamEvent, data_point, data_type, stream_event
from market_collector.errors import ConfigurationError
from market_collector.model.events import Data, Event, Instrument, Raw, Record, Recording
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
    """One callback for one data type (None: stream events), or one stream, with its counters."""

    data_type: DataType | None
    callback: object
    """The object that the user gave; it names and identifies the subscription."""
    call: Callable[[Record], Awaitable[object] | object] | None
    """None: a stream (`api/stream.py`), whose user takes the records."""
    starts_at: int = 0
    """Number of its first record among all that the sink writes."""
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
    def is_stream(self) -> bool:
        """Whether it is a stream, not a callback."""
        return self.call is None

    @property
    def title(self) -> str:
        """The subject of a sentence about it."""
        return "stream()" if self.is_stream else f"callback {self.name}"

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
        return iter(dict.fromkeys(each for group in self._by_type.values() for each in group))

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

    def add_stream(self, wanted: Iterable[DataType], stream: object, starts_at: int) -> Subscription:
        """One queue for several types and all events, in the order of the records."""
        subscription = Subscription(None, stream, None, starts_at)
        for each in (*wanted, None):
            self._by_type[each] = (*self._by_type.get(each, ()), subscription)
        return subscription

    def _add(self, subscription: Subscription) -> None:
        if not callable(subscription.callback):
            raise ConfigurationError(_no_function(subscription.callback))
        self._by_type[subscription.data_type] = (*self._by_type.get(subscription.data_type, ()), subscription)

    def remove(self, wanted: DataType | None, callback: object) -> bool:
        """Removes every subscription of the callback, and its queue. False: there was none."""
        gone = [each for each in self._by_type.get(wanted, ()) if each.callback == callback and not each.is_stream]
        for each in gone:
            self.discard(each)
        return bool(gone)

    def discard(self, subscription: Subscription) -> None:
        """Removes a subscription and its queue."""
        self._release(subscription)
        subscription.is_removed = True
        subscription.waiting.clear()

    def release_streams(self) -> None:
        """Ends the streams of a run that is over. Their users may take the queued records later."""
        for each in self:
            if each.is_stream:
                self._release(each)

    def _release(self, subscription: Subscription) -> None:
        for wanted, group in self._by_type.items():
            self._by_type[wanted] = tuple(each for each in group if each is not subscription)

    def of(self, record: Record) -> tuple[Subscription, ...]:
        """The subscriptions for this record; raw frames and instruments go only to files."""
        if isinstance(record, Data):
            return self._by_type.get(data_type(type(record)), ())
        return () if isinstance(record, Raw | Instrument | Recording) else self._by_type.get(None, ())


class CallbackSink:
    """Calls the callbacks of one run. A record is acknowledged once it is in all of their queues."""

    name = "callbacks"
    type = "callback"
    sync_interval_s = 0.0
    pause_s = 0.0
    is_recording = False
    needs_header = False

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._inlets: dict[Subscription, Inlet] = {}
        self._written = 0

    def add_stream(self, inlet: Inlet) -> None:
        """Queues the records of a subscription here, instead of calling a callback."""
        self._inlets[inlet.subscription] = inlet

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
                if self._written >= subscription.starts_at:
                    await self._inlet(subscription).put(record)
            self._written += 1
        return False

    async def sync(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Waits for the callbacks, at most 4.5 s; cancels them after 4 s and logs undelivered records.

        A stream keeps its queue, from which its user may take the rest after the stop.
        """
        workers = self._workers
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
                self._inlets.pop(worker.subscription, None)

    def finish_streams(self, run: asyncio.Task[None]) -> None:
        """Ends the streams after the queued records: the run has ended, and its state is known."""
        for inlet in self._inlets.values():
            inlet.finish()

    def owns(self, task: asyncio.Task[object] | None) -> bool:
        """Whether this task is one that calls callbacks."""
        return any(worker.task is task for worker in self._workers)

    @property
    def _workers(self) -> list[_Worker]:
        return [each for each in self._inlets.values() if isinstance(each, _Worker)]

    def _inlet(self, subscription: Subscription) -> Inlet:
        if subscription not in self._inlets:
            self._inlets[subscription] = _Worker(subscription)
        return self._inlets[subscription]

    def _finish_removed(self) -> None:
        for each in list(self._inlets):
            if each.is_removed and (each.is_stream or each.running_since is None):
                self._inlets.pop(each).finish()


def _no_function(callback: object) -> str:
    was_called = callback is None or isawaitable(callback)
    hint = ". Pass the function itself, without calling it" if was_called else ""
    return f"callback: must be a function or coroutine function, not {callback!r}{hint}"


async def _ended(workers: Sequence[_Worker], timeout_s: float) -> None:
    if workers:
        await asyncio.wait([worker.task for worker in workers], timeout=timeout_s)


class Inlet:
    """Fills the bounded queue of one subscription."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self._wake = asyncio.Event()
        self._is_finishing = False
        self._is_cancelled = False

    async def put(self, record: Record) -> None:
        """Queues a record, as soon as there is room."""
        subscription = self.subscription
        while len(subscription.waiting) >= QUEUE_RECORDS and self._may_wait():
            await self._room()
        if not subscription.is_removed:
            subscription.waiting.append(record)
            self._wake.set()

    def _may_wait(self) -> bool:
        return not self._is_cancelled

    async def _room(self) -> None:
        """Waits for room. A cancellation is the end of the program, and the queue may then be longer."""
        try:
            await asyncio.sleep(POLL_S)  # a removal makes room too
        except asyncio.CancelledError:
            self._is_cancelled = True

    def finish(self) -> None:
        """Ends the subscription after the queued records."""
        self._is_finishing = True
        self._wake.set()


class _Worker(Inlet):
    """Calls one callback, one record after the other."""

    def __init__(self, subscription: Subscription) -> None:
        super().__init__(subscription)
        self._is_given_up = False
        self._turns = turns_of(asyncio.get_running_loop())
        self.task = asyncio.create_task(self._work(), name=f"callback {subscription.name}")

    def give_up(self) -> None:
        """Cancels the current call, clears the queue, and logs the undelivered records."""
        self._is_given_up = True
        self.task.cancel()
        if left := len(self.subscription.waiting):
            log.error("callback %s: %d records were not delivered before the stop", self.subscription.name, left)
        self.subscription.waiting.clear()

    def report_survival(self) -> None:
        """Logs a callback that ignores its cancellation."""
        if not self.task.done():
            log.error("callback %s ignores its cancellation and still runs", self.subscription.name)

    async def _work(self) -> None:
        """Delivers until `finish` or `give_up`. The end of the program cancels every task, and does not end it."""
        while self.subscription.waiting or not self._is_finishing:
            try:
                await self._deliver_waiting()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if self._is_given_up or task is None:
                    raise
                task.uncancel()

    async def _deliver_waiting(self) -> None:
        waiting = self.subscription.waiting
        self._wake.clear()
        await self._turns.wait()
        while waiting:
            record = waiting.popleft()
            try:
                await self._deliver(record)
            except asyncio.CancelledError:
                if not (self._is_given_up or self.subscription.is_removed):
                    waiting.appendleft(record)
                raise
            if self._turns.are_over:
                await self._turns.wait()
        if not self._is_finishing:
            await self._wake.wait()

    async def _deliver(self, record: Record) -> None:
        subscription = self.subscription
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
        call, started = self.subscription.call, monotonic()
        assert call is not None
        try:
            return call(record)
        finally:
            self._take(monotonic() - started)

    def _take(self, duration_s: float) -> None:
        self._turns.used_s += duration_s
        if duration_s > BLOCK_S:
            self.subscription.add_block(duration_s)

    def _fail(self, error: BaseException) -> None:
        subscription = self.subscription
        subscription.failures += 1
        subscription.last_error = f"{type(error).__name__}: {error}"
        if subscription.failures <= FAILURES_LOGGED or subscription.failures % 100 == 0:
            counts = (subscription.failures, subscription.calls)
            log.error("callback %s failed (%d of %d calls)", subscription.name, *counts, exc_info=error)


async def _awaited(result: Awaitable[object]) -> None:
    await result
