"""A complete collector (`app.Collector`) in a thread with its own event loop.

It starts quickly, keeps its output in memory and has short deadlines for tests.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from collector_settings import settings_of
from market_collector.app import Collector
from market_collector.config.settings import Settings
from market_collector.model.events import Record
from market_collector.model.streams import ConnectionState, DataType
from market_collector.net.deadlines import Deadlines
from market_collector.sinks.encode import line
from market_collector.sinks.fanout import QUEUE_LIMIT
from market_collector.sinks.interface import Sink
from market_collector.telemetry.report import SERVED
from simulator_process import Simulator

T = TypeVar("T")
DEADLINES = Deadlines(open_s=1.0, subscribe_s=2.0, drain_s=5.0, close_s=0.5)
REST_S = 1.6
"""Longer than the detection of a gap takes, so that the collector has found a new one."""


class ListSink:
    """A sink that keeps all records in memory."""

    type = "memory"
    sync_interval_s = 0.0
    pause_s = 0.05
    is_recording = False
    needs_header = False

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.lines: list[bytes] = []

    def pack(self, record: Record) -> bytes:
        """Encode as a line, like the other sinks."""
        return line(record)

    def output(self) -> list[Any]:
        """The decoded records."""
        return [json.loads(text) for text in self.lines]

    async def open(self) -> None:
        """Nothing to do."""

    async def write(self, batch: Sequence[bytes]) -> bool:
        """Keep the records."""
        self.lines += batch
        return False

    async def sync(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""


def settings_for(exchange: Simulator) -> Settings:
    """All types of market data of one symbol, with short timeouts and backoff."""
    return settings_of(
        exchange.websocket,
        *(DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLE),
        rest=exchange.rest,
        exchange=exchange.words.name,
        symbols=(exchange.words.symbol,),
        candle_intervals=(exchange.words.interval,),
        stale_after_s=exchange.words.stale_after_s,
        ping_interval_s=1.0,
        backoff_initial_s=0.05,
        backoff_max_s=0.5,
        sinks=(),
    )


class CollectorThread:
    """A running collector. The test's thread can call every method."""

    def __init__(
        self,
        settings: Settings,
        sinks: Sequence[Sink],
        *,
        queue_limit: int = QUEUE_LIMIT,
        state_dir: Path | None = None,
        deadlines: Deadlines = DEADLINES,
    ) -> None:
        self._make: Callable[[], Collector] = lambda: Collector(
            settings, state_dir, sinks, deadlines=deadlines, queue_limit=queue_limit
        )
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="collector")
        self.complaints: list[dict[str, Any]] = []
        """Contexts passed to the loop's exception handler."""
        self.left: list[str] = []
        """Tasks and timers that remained after the collector had stopped."""

    def start(self) -> None:
        """Start the thread, and return once the collector runs."""
        self._thread.start()
        assert self._ready.wait(60), "the collector did not start"

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._error = error
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda loop, context: self.complaints.append(context))
        self._collector, self._stop = self._make(), asyncio.Event()
        self._ready.set()
        await self._collector.run(self._stop)
        self.left = [repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        self.left += [repr(timer) for timer in self._loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]

    def ask(self, question: Callable[[Collector], T]) -> T:
        """Call a function with the collector in the collector's thread."""

        async def answer() -> T:
            return question(self._collector)

        assert self._thread.is_alive(), f"the collector ended: {self._error!r}"
        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(10)

    def status(self) -> Any:
        """The status document."""
        return self.ask(status_document)

    def comes(self, is_so: Callable[[Any], Any], within_s: float = 60.0, what: str = "") -> Any:
        """Wait until the condition is true for the status document."""
        end = time.monotonic() + within_s
        while not (answer := is_so(status := self.status())):
            assert time.monotonic() < end, f"not so within {within_s:g} s: {what}; {json.dumps(status)[:3_000]}"
            time.sleep(0.05)
        return answer

    def is_served(self, within_s: float = 60.0) -> None:
        """Wait until all streams are served and no gap is open."""
        self.comes(lambda status: self.ask(_is_whole), within_s, "all streams served, no gap open")

    def stop(self) -> Any:
        """Stop it at a time without an open gap, as far as it knows, and return the last status."""
        time.sleep(REST_S)
        end = time.monotonic() + 40
        while not self.ask(self._stop_if_whole):
            assert time.monotonic() < end, f"still incomplete: {json.dumps(self.status())[:3_000]}"
            time.sleep(0.02)
        return self.end()

    def _stop_if_whole(self, collector: Collector) -> bool:
        if _is_whole(collector):
            self._stop.set()
        return self._stop.is_set()

    @property
    def is_running(self) -> bool:
        """Whether it has started and not ended."""
        return self._thread.is_alive()

    def end(self) -> Any:
        """Stop it now, and return the last status."""
        with suppress(RuntimeError):  # the loop is closed: the collector has ended, and its thread is about to
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error
        return status_document(self._collector)


def status_document(collector: Collector) -> Any:
    """The status document as in GET /status."""
    return json.loads(msgspec.json.encode(collector.status()))


def _is_whole(collector: Collector) -> bool:
    ledger, links = collector.ledger, collector.supervisor.links
    return (
        all(link.state is ConnectionState.CONNECTED for link in links)
        and all(page.state in SERVED for page in ledger.streams.values())
        and not any(page.ids.waiting for page in ledger.ids.streams.values())
        and all(page.interruption is None for page in ledger.trades.streams.values())
        and not ledger.gaps.all_open()
        and all(not sink.queued for sink in collector.fanout.status() if not sink.healthy)
    )


@contextmanager
def collector_thread(settings: Settings, *sinks: Sink, **options: Any) -> Iterator[CollectorThread]:
    """Run a collector, and end it in any case."""
    running = CollectorThread(settings, sinks, **options)
    running.start()
    try:
        yield running
    finally:
        if running.is_running:
            running.end()
