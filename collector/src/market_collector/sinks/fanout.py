"""Sends every record to every sink. Each sink has a queue and a writer, so a slow or failing one harms no other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import TypeVar

from market_collector.errors import SinkError, SinkGoneError
from market_collector.feed.ledger import Loss
from market_collector.model.events import Record
from market_collector.model.moment import Moment
from market_collector.model.report import SinkStatus
from market_collector.sinks.interface import Memory, Packed, RememberingSink, Sink
from market_collector.sinks.queue import Queue

BEHIND_RATIO = 0.5
"""A sink whose queue is fuller than this is behind, and its gaps are not backfilled."""
QUEUE_LIMIT = 100_000
"""Queue length beyond which records are dropped: 100,000 trades, or other records of the same memory (45 MB)."""
BATCH_RECORDS = 10_000
UNSYNCED_RECORDS = 20_000
"""Largest number of written records that wait in memory for a sync."""
IDLE_SYNC_S = 1.0
"""Interval at which an idle sink is synced, since files are also rotated by age."""
ABANDON_S = 0.2
CLOSE_S = 5.0
"""Longest time that closing a sink takes, after the deadline of `Fanout.drain`."""
STALL_TIMEOUT_S = 10.0
"""A call into a sink that takes longer makes the sink unhealthy."""

Clock = Callable[[], Moment]
OnLoss = Callable[[Loss, Moment], Sequence[Record]]
"""Called with the loss of a sink that accepts data again; returns records to write to it at once."""
StartFile = Callable[[Moment], Sequence[Record]]
"""Returns a header and the records after it that make a file usable by itself; empty: not now."""
T = TypeVar("T")

log = logging.getLogger(__name__)


class Fanout:
    """Feeds all sinks. `run` starts the writers, `emit` never waits, and only `drain` ends them.

    A cancelled writer goes on, because `asyncio.run` cancels every task at the end of the program. Records that wait
    would be lost otherwise.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        clock: Clock,
        *,
        queue_limit: int = QUEUE_LIMIT,
        on_loss: OnLoss = lambda loss, now: (),
        start_file: StartFile = lambda now: (),
    ) -> None:
        self._clock = clock
        self._writers = [_Writer(sink, clock, queue_limit, on_loss, start_file) for sink in sinks]
        self.records = 0
        """Records emitted, in total."""

    @property
    def dropped(self) -> int:
        """Records dropped, summed over the sinks."""
        return sum(writer.queue.dropped for writer in self._writers)

    @property
    def is_recording(self) -> bool:
        """Whether a sink has readers that may start in the middle."""
        return any(writer.sink.is_recording for writer in self._writers)

    def start_files(self) -> None:
        """Queues the header of the first file of each sink that has files. Call it before `emit`."""
        for writer in self._writers:
            writer.start_file()

    def emit(self, records: Sequence[Record], sink: str | None = None) -> None:
        """Queues records for every sink, or for one. A full queue drops and counts them."""
        if not records:
            return
        self.records += len(records)
        for writer in self._writers:
            if sink is None or sink == writer.name:
                writer.put(records)

    def repeat(self, records: Sequence[Record]) -> None:
        """Queues records that repeat a state, for the recording sinks. They do not count as records.

        A sink that is behind gets none.
        """
        for writer in self._writers:
            if writer.sink.is_recording and records:
                writer.repeat(records)

    def next_number(self, sink: str) -> int:
        """Number of the next record that is queued for this sink, which gets them in this order; the first has 0."""
        return sum(writer.queue.taken for writer in self._writers if writer.name == sink)

    def full_sinks(self) -> frozenset[str]:
        """Sinks that are far behind."""
        return frozenset(writer.name for writer in self._writers if writer.queue.share > BEHIND_RATIO)

    def places(self) -> dict[str, str]:
        """The end of the acknowledged data, by sink that can be read back."""
        return {w.name: w.sink.place() for w in self._writers if isinstance(w.sink, RememberingSink)}

    async def recall(self, places: Mapping[str, str]) -> Memory | None:
        """The content of the only sink after its position; None if it cannot be read back.

        Several sinks may have different content. Each then avoids writing its own content again.
        """
        is_only_sink = len(self._writers) == 1
        memories = [await writer.recall(places.get(writer.name), keep=not is_only_sink) for writer in self._writers]
        return memories[0] if is_only_sink else None

    def mark(self, number: int) -> None:
        """Adds a mark to every queue. ``number`` grows from mark to mark."""
        for writer in self._writers:
            writer.queue.mark(number)

    def reached(self) -> dict[str, int]:
        """The newest mark by sink, up to which it has acknowledged everything that was not dropped."""
        return {writer.name: writer.queue.reached for writer in self._writers}

    def unreported_losses(self) -> list[Loss]:
        """Losses of sinks that do not accept data again yet."""
        return [loss for writer in self._writers for loss in writer.queue.losses()]

    async def run(self) -> None:
        """Writes until `drain` is done; call it once. `drain` must follow, also after an error.

        Raises:
            SinkGoneError: no sink can ever write again.
        """
        running, gone = {writer.start() for writer in self._writers}, 0
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                try:
                    task.result()
                except SinkGoneError:
                    gone += 1
                    if gone == len(self._writers):
                        raise
                except asyncio.CancelledError:
                    pass  # `drain` has given it up

    async def drain(self, deadline_s: float) -> int:
        """Writes and acknowledges all that is queued, closes the sinks, and ends `run`. Cannot be cancelled.

        Returns how many records could not be acknowledged within ``deadline_s`` seconds, summed over the sinks.
        """
        for writer in self._writers:
            writer.hurry()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # a run() whose task is new starts first
        for writer in self._writers:
            if writer.task is not None:
                writer.start()
        await self._ended(deadline_s)
        for timeout_s in (ABANDON_S, CLOSE_S):  # twice: a write in a thread ignores the first cancellation
            for writer in self._writers:
                writer.give_up()
            await self._ended(timeout_s)
        return sum(len(writer.queue) for writer in self._writers)

    async def _ended(self, timeout_s: float) -> None:
        """Waits for the writers, also when cancelled meanwhile."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout_s
        while (tasks := [w.task for w in self._writers if w.task and not w.task.done()]) and loop.time() < ends_at:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(tasks, timeout=ends_at - loop.time())

    def status(self) -> list[SinkStatus]:
        """Every sink as ``/status`` shows it."""
        now = self._clock().at
        return [writer.status(now) for writer in self._writers]


def _delays() -> Iterator[float]:
    """Seconds before the next attempt after 1, 2, ... failures."""
    delay = 0.1
    while True:
        yield delay
        delay = min(delay * 2, 5.0)


async def _wait(event: asyncio.Event, longest_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            await event.wait()


class _Writer:
    """One sink, its queue, and the task between them."""

    def __init__(self, sink: Sink, clock: Clock, queue_limit: int, on_loss: OnLoss, start_file: StartFile) -> None:
        self.sink = sink
        self._on_loss = on_loss
        self._start_file = start_file
        self._clock = clock
        self._is_open = False
        self._again: list[Packed] = []
        self._most_unsynced = min(UNSYNCED_RECORDS, max(1, queue_limit // 2))
        self._synced_at = clock().at
        self._turn_at = self._synced_at
        """Time of the next write of less than a full batch."""
        self._calling_since: float | None = None
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        self._hurry = asyncio.Event()
        self._error = ""
        self._delays = _delays()
        self._has_run = False
        self._is_given_up = False
        self._is_closing = False
        self.task: asyncio.Task[None] | None = None
        self.name = sink.name
        self.queue = Queue(sink.name, queue_limit, sink.pack)

    def put(self, records: Sequence[Record]) -> None:
        self.queue.put(records, self._error)
        self._report_losses()
        self._wake.set()
        if self.queue.waiting >= BATCH_RECORDS:
            self._full.set()

    def repeat(self, records: Sequence[Record]) -> None:
        if not self.queue.is_losing and self.queue.share <= BEHIND_RATIO:
            self.queue.put_own(records)
            self._wake.set()

    def start_file(self) -> None:
        """Queues a header if the sink needs one: the records so far are those that led to the states in it.

        A queue that drops records lacks some of them. The sink then writes on in its present file.
        """
        if not self.sink.needs_header or self.queue.has_header or self.queue.is_losing:
            return
        if records := self._start_file(self._clock()):
            self.queue.start_file(records)
            self._wake.set()

    async def recall(self, place: str | None, *, keep: bool) -> Memory | None:
        if not isinstance(self.sink, RememberingSink):
            return None
        try:
            return await self.sink.recall(place, keep=keep)
        except SinkError as error:
            log.warning("sink %s: %s; it is read again when the sink opens", self.name, error)
            return None

    def _report_losses(self) -> None:
        """Passes newly reported losses to ``on_loss`` and queues the records that it returns."""
        for loss in self.queue.take_reported():
            if records := self._on_loss(loss, self._clock()):
                self.queue.put(records)

    def start(self) -> asyncio.Task[None]:
        """Starts the writing task, unless it has run. A task that is cancelled before its first step never runs."""
        if self.task is None or (self.task.done() and not self._has_run):
            self.task = asyncio.create_task(self.run(), name=f"sink {self.name}")
        return self.task

    def give_up(self) -> None:
        """Cancels the task, unless it closes the sink already. From now on a cancellation ends it."""
        self._is_given_up = True
        if self.task is not None and not self._is_closing:
            self.task.cancel()

    def hurry(self) -> None:
        """Stops all waiting: writes everything queued, then ends."""
        self._hurry.set()
        self._wake.set()
        self._full.set()

    def status(self, now: float) -> SinkStatus:
        error = self._error or self._hanging(now) or self._losing() or self._behind()
        queue = self.queue
        return SinkStatus(
            name=self.name,
            type=self.sink.type,
            healthy=not error,
            queued=len(queue),
            acknowledged=queue.acknowledged,
            dropped=queue.dropped,
            error=error,
        )

    def _hanging(self, now: float) -> str:
        since = self._calling_since
        if since is None or now - since < STALL_TIMEOUT_S:
            return ""
        return f"has taken no data for {now - since:.0f} s; {len(self.queue)} records wait"

    def _losing(self) -> str:
        return f"is slower than the data; {self.queue.dropped} records dropped so far" if self.queue.is_losing else ""

    def _behind(self) -> str:
        share = self.queue.share
        return (
            f"is behind: {len(self.queue)} records wait, its queue is {share:.0%} full" if share > BEHIND_RATIO else ""
        )

    # --- the task ---

    async def run(self) -> None:
        """Writes until `hurry` was called and everything is acknowledged. Retries failures with a growing delay.

        Raises:
            SinkGoneError: no retry can help.
        """
        self._has_run = True
        try:
            while not (self._hurry.is_set() and self._is_done()):
                try:
                    await self._attempt()
                except asyncio.CancelledError:
                    if self._is_given_up:
                        raise
        finally:
            await self._close()

    async def _attempt(self) -> None:
        try:
            await self._step()
        except SinkGoneError as error:
            self._fail(str(error))
            raise
        except SinkError as error:
            self._fail(str(error))
            await self._pause(next(self._delays))
        else:
            self._recover()
            self._delays = _delays()

    def _is_done(self) -> bool:
        return not (self.queue.waiting or self.queue.written or self.queue.is_losing)

    async def _step(self) -> None:
        if not self._is_open:
            await self._timed(self.sink.open())
            self._is_open = True
        await self._until_there_is_work()
        if self._is_sync_due():
            await self._sync()
        if await self._write() or self._is_sync_due():
            await self._sync()

    async def _until_there_is_work(self) -> None:
        if not (self.queue.waiting or self.queue.is_losing or self._hurry.is_set()):
            self._wake.clear()
            await _wait(self._wake, self._sync_at() - self._clock().at)
        pause_s = self._turn_at - self._clock().at
        if pause_s > 0 and 0 < self.queue.waiting < BATCH_RECORDS and not (self._again or self._hurry.is_set()):
            await self._fill_batch(pause_s)

    async def _fill_batch(self, longest_s: float) -> None:
        """Waits for a full batch, so that many records share the cost of a write."""
        self._full.clear()
        await _wait(self._full, longest_s)

    def _sync_at(self) -> float:
        """Time of the next sync if nothing more is written."""
        interval_s = self.sink.sync_interval_s
        return self._synced_at + (interval_s if self.queue.written else max(interval_s, IDLE_SYNC_S))

    def _is_sync_due(self) -> bool:
        is_wanted = bool(self._error) or self.queue.is_losing or self._hurry.is_set()
        is_urgent = is_wanted and self.queue.written > 0
        return is_urgent or self.queue.written >= self._most_unsynced or self._clock().at >= self._sync_at()

    async def _write(self) -> bool:
        self.queue.report_losses(self._clock().wall_ns)
        self._report_losses()
        if self.queue.is_at_header and self.queue.written:
            await self._sync()
        batch = self._again or self.queue.next_batch(BATCH_RECORDS)
        if not batch:
            return False
        self._again = batch
        wants_sync = await self._timed(self.sink.write(batch))
        self._again = []
        self._turn_at = max(self._turn_at, self._clock().at - self.sink.pause_s) + self.sink.pause_s
        self.queue.mark_written(len(batch))
        return wants_sync

    async def _sync(self) -> None:
        try:
            await self._timed(self.sink.sync())
        except SinkError:
            self._again = []
            self.queue.rewind()
            raise
        self.queue.acknowledge()
        self._synced_at = self._clock().at
        if not self._hurry.is_set():
            self.start_file()

    async def _timed(self, call: Coroutine[object, object, T]) -> T:
        self._calling_since = self._clock().at
        try:
            return await call
        finally:
            self._calling_since = None

    async def _pause(self, delay_s: float) -> None:
        """Waits before a retry; after `hurry` only long enough that a broken sink does not spin."""
        if self._hurry.is_set():
            await asyncio.sleep(min(delay_s, 0.1))
        else:
            await _wait(self._hurry, delay_s)

    def _fail(self, error: str) -> None:
        if error != self._error:
            log.warning("sink %s: %s; %d records wait", self.name, error, len(self.queue), extra={"sink": self.name})
        self._error = error

    def _recover(self) -> None:
        if self._error:
            log.info("sink %s takes data again", self.name, extra={"sink": self.name})
        self._error = ""

    async def _close(self) -> None:
        self._is_closing = True
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.sink.close()
        except (SinkError, TimeoutError) as error:
            reason = str(error) or f"it needs more than {CLOSE_S:g} s"
            log.warning("sink %s did not close cleanly: %s", self.name, reason, extra={"sink": self.name})
