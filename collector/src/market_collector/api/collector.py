"""One collector as an object with `start`, `stop` and status, in any order and as often as needed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from market_collector.api import report
from market_collector.api.book import BookView
from market_collector.api.callbacks import CallbackSink, DataCallback, EventCallback, Subscriptions
from market_collector.api.configuration import (
    ExchangeCollectorConfig,
    collected_type,
    known_type,
    options_of,
    settings_of,
)
from market_collector.api.debug_log import debug_log, file_of
from market_collector.api.loop import check_loop
from market_collector.api.model import instance_of
from market_collector.api.report import CollectorStatus, HealthStatus, State
from market_collector.api.stream import RecordStream, StreamInlet
from market_collector.app import Collector, single_errors
from market_collector.book.book import Book
from market_collector.errors import CollectorError, ConfigurationError, ConnectionFailedError, StreamRefusedError
from market_collector.model.streams import ConnectionState, DataType, Stream, StreamState
from market_collector.net.clock import read_clock
from market_collector.net.link import Link
from market_collector.net.poller import Poller
from market_collector.telemetry.status import Health, Status
from market_spec.messages import shown

POLL_S = 0.02
"""Interval at which a start checks the connections."""

CONFIG_EXAMPLE = 'Write ExchangeCollectorConfig("okx", "BTC-USDT", [DataType.TRADE])'
LOOP_ENDED = (
    "the event loop of start() has ended, as asyncio.run() ends it. Await start(), the work and stop() in one coroutine"
)
LOOP_PAUSED = "the event loop of start() does not run, so that nothing is collected. Keep it running"

log = logging.getLogger(__name__)


class ExchangeCollector:
    """Collects symbols of one exchange and calls callbacks; `ExchangeFactory.create_collector` makes one.

    While it runs, it belongs to the event loop of `start` and is not thread-safe. Elsewhere its methods raise
    `WrongLoopError`, except for the status. Callbacks run on that loop, each in order, one call at a time. After 10 ms
    of callbacks everything else on the loop gets a turn.
    """

    def __init__(self, config: ExchangeCollectorConfig) -> None:
        """Reads the configuration; connects nothing yet.

        Raises:
            ConfigurationError: ``config`` is something else, or would send the API key unencrypted.
            InputError: ``config/EXCHANGE_config.json`` cannot be read, or something in it is not allowed.
        """
        self.config = instance_of(ExchangeCollectorConfig, "config", config, CONFIG_EXAMPLE)
        self.name = f"{config.exchange}_{config.title.lower().replace('-', '_')}"
        self._options = options_of(config.exchange, config.custom_params)
        self._settings = settings_of(config, self._options)
        self._subscriptions = Subscriptions()
        self._run: _Run | None = None

    # --- callbacks ---

    def add_data_callback(self, data_type: DataType, callback: DataCallback) -> None:
        """Calls ``callback(data_point)`` for each record of this type, from now on; a coroutine function is awaited.

        A type may have several callbacks. An exception is logged and counted (`get_status`), and the calls go on.

        Raises:
            ConfigurationError: the collector does not collect such a type, or the callback is no function.
        """
        self._check_loop()
        self._subscriptions.add_data(collected_type(self.config, data_type), callback)

    def remove_data_callback(self, data_type: DataType, callback: DataCallback) -> bool:
        """Ends the calls; the current one finishes. False: there was no such callback."""
        self._check_loop()
        return self._subscriptions.remove(known_type(data_type), callback)

    def add_event_callback(self, callback: EventCallback) -> None:
        """Calls ``callback(stream_event)`` for each stream event: gaps, backfills, reconnects, refusals."""
        self._check_loop()
        self._subscriptions.add_events(callback)

    def remove_event_callback(self, callback: EventCallback) -> bool:
        """Ends the calls. False: there was no such callback."""
        self._check_loop()
        return self._subscriptions.remove(None, callback)

    # --- stream ---

    def stream(self, *data_types: DataType | str) -> RecordStream:
        """The records of these types, or of all, and all events, in the order in which they were collected.

        ``async for record in collector.stream():`` yields records of `market_collector.records`. It starts with a
        snapshot of each order book that is in sync, and ends with the collector. A failed collector raises its error.
        After a stop, records that are still queued follow. Leaving the loop ends the stream; with a reference to it,
        ``aclose()`` does. Its queue has the bound of a callback's queue, and the same happens when it is full.

        Raises:
            ConfigurationError: The collector does not run, or does not collect such a type, or has a stream already.
            WrongLoopError: The collector runs in another event loop.
        """
        self._check_loop()
        wanted = [collected_type(self.config, each) for each in data_types] or self.config.data_types
        if self._run is None or self._run.state not in (State.STARTING, State.RUNNING):
            raise ConfigurationError(
                f"{self.name}: stream() needs a collector that runs, and it is {self.state}. Await start() first, or"
                " write: async with collector"
            )
        if any(each.is_stream for each in self._subscriptions):
            raise ConfigurationError(
                f"{self.name}: has a stream already. Use that one for all data types, or end it with aclose()"
            )
        return self._run.open_stream(self._subscriptions, dict.fromkeys(wanted), self.stream)

    # --- books ---

    def book(self, symbol: str) -> BookView:
        """The present order book of a symbol, to read at any time; without values while the book is not proved.

        Raises:
            ConfigurationError: The collector does not collect this symbol, or no order books.
            WrongLoopError: The collector runs in another event loop.
        """
        self._check_loop()
        collected_type(self.config, DataType.ORDERBOOK)
        if symbol not in self.config.symbols:
            raise ConfigurationError(f"symbol: {self.name} does not collect {shown(symbol)}. Add it to its symbols")
        return BookView(symbol, partial(self._proved_book, Stream(symbol, DataType.ORDERBOOK)))

    def _proved_book(self, stream: Stream) -> Book | None:
        self._check_loop()
        if self._run is None or not self._run.is_running:
            return None
        books = self._run.collector.ledger.books
        return books.proved(books.streams[stream])

    def _check_loop(self) -> None:
        if self._run is not None and not self._run.is_over:
            check_loop(self.name, self._run.loop)

    # --- life ---

    async def start(self) -> bool:
        """Connects, and returns True once the exchange has accepted every stream and sent every book's snapshot.

        Does nothing when the collector runs already. An error leaves nothing running, and `start` can be called again.
        After a `stop` within a callback, a new task must call `start`, because the stop waits for that callback.

        Raises:
            WrongLoopError: The collector runs in another event loop.
            StreamRefusedError: The exchange refuses a stream, for example because it does not know the symbol.
            ConnectionFailedError: No connection after ``max_reconnect_attempts``, not connected within
                ``start_timeout`` seconds, stopped meanwhile, or called in a callback that has called `stop`. The
                message gives the reason.
        """
        self.check_start()
        run = await self._present_run()
        if run.state is State.RUNNING:
            return True
        try:
            await run.connected(self._options.start_timeout)
        except BaseException as error:
            run.fail(error)
            await run.stop()
            raise
        return True

    async def _present_run(self) -> _Run:
        while self._run is not None and self._run.state is State.STOPPING:
            await self._run.ended()
        if self._run is None or self._run.is_over:
            self._subscriptions.release_streams()
            sink = CallbackSink(self._subscriptions)
            collector = Collector(self._settings, self._options.state_directory, [sink])
            self._run = _Run(self.name, self.config, collector, sink)
        return self._run

    def check_start(self) -> None:
        """Makes sure that the caller may call `start`.

        Raises:
            WrongLoopError: The collector runs in another event loop.
            ConnectionFailedError: The caller is a callback that has called `stop`.
        """
        self._check_loop()
        if self.state is State.STOPPING and self._run is not None and self._run.is_in_callback():
            raise ConnectionFailedError(
                f"{self.name}: start() in a callback cannot wait for the stop, because the stop waits for the callback."
                " Start in a task of its own: asyncio.create_task(collector.start())"
            )

    async def stop(self) -> None:
        """Disconnects; returns once the callbacks have the received records (20 s at most) and no task is left.

        Within a callback of this collector it only requests the stop, because that callback must return first.
        Callbacks that are still running after 4 s are cancelled. A call that never waits cannot be cancelled: the stop
        waits for its end.

        Raises:
            WrongLoopError: The collector runs in another event loop.
        """
        self._check_loop()
        if self._run is not None:
            await self._run.stop()

    def ask_to_stop(self) -> None:
        """Requests a stop, without waiting for it."""
        self._check_loop()
        if self._run is not None:
            self._run.ask_to_stop()

    async def wait_until_stopped(self) -> None:
        """Returns once the collector has stopped or failed; `get_status` shows which."""
        self._check_loop()
        if self._run is not None:
            await self._run.ended()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # --- status ---

    @property
    def state(self) -> State:
        """``stopped``, ``starting``, ``running``, ``stopping`` or ``failed``."""
        return State.STOPPED if self._run is None else self._run.state

    def get_status(self) -> CollectorStatus:
        """State and counters since the last start."""
        document = self._document()
        return {
            "name": self.name,
            "exchange": self.config.exchange,
            "symbol": self.config.symbol,
            "symbols": list(self.config.symbols),
            "data_types": [str(each) for each in self.config.data_types],
            "state": str(self.state),
            "error": self._error(),
            "health": str(report.health(document, self._issues(document))),
            "websocket_state": str(report.websocket_state(document.connections)),
            "websocket_stats": report.stats(document),
            "messages_processed": document.counters.messages,
            "records": document.counters.records,
            "dropped_records": document.counters.dropped_records,
            "last_message_time": document.last_message_time,
            "gaps": report.gaps(document),
            "streams": report.plain(document.streams),
            "connections": report.plain(document.connections),
            "sinks": report.plain(document.sinks),
            "callbacks": [report.callback(each) for each in self._subscriptions],
        }

    def get_health_status(self) -> HealthStatus:
        """Health, with every issue."""
        document = self._document()
        issues = self._issues(document)
        word = report.health(document, issues)
        return {
            "name": self.name,
            "is_healthy": word is Health.HEALTHY,
            "health": str(word),
            "issues": issues,
            "last_message_time": document.last_message_time,
        }

    def _issues(self, document: Status) -> list[str]:
        return report.issues(document, self.state, self._error(), self._subscriptions)

    def _error(self) -> str:
        if self._run is None:
            return ""
        error = self._run.error
        if error is None or isinstance(error, CollectorError):
            return str(error or self._run.interruption)
        return f"{type(error).__name__}: {error}"

    def _document(self) -> Status:
        if self._run is None:
            return report.never_started(self.name)
        document = self._run.collector.status()
        return document if self._run.is_running else report.at_rest(document)


class _Run:
    """One run, from start to stop: the collector underneath and its task."""

    def __init__(self, name: str, config: ExchangeCollectorConfig, collector: Collector, sink: CallbackSink) -> None:
        self._name = name
        self._config = config
        self._stop = asyncio.Event()
        self._sink = sink
        self._was_connected = False
        self.error: Exception | None = None
        self.collector = collector
        self.loop = asyncio.get_running_loop()
        self.task = asyncio.create_task(self._collect(), name=f"collector {name}")
        self.task.add_done_callback(sink.finish_streams)

    @property
    def state(self) -> State:
        """The state of the run."""
        if self.is_over:
            return State.FAILED if self.error else State.STOPPED
        if self._stop.is_set():
            return State.STOPPING
        return State.RUNNING if self._was_connected else State.STARTING

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or can never go on because its event loop is closed."""
        return self.task.done() or self.loop.is_closed()

    @property
    def is_running(self) -> bool:
        """Whether the event loop runs its task."""
        return not self.is_over and self.loop.is_running()

    @property
    def interruption(self) -> str:
        """The reason why it does not go on without a stop or an error; empty otherwise."""
        if self.is_running or self._stop.is_set():
            return ""
        if self.loop.is_closed():
            return LOOP_ENDED
        return "its task was cancelled" if self.task.cancelled() else "" if self.task.done() else LOOP_PAUSED

    def is_in_callback(self) -> bool:
        """Whether the present task is one that calls its callbacks."""
        return self._sink.owns(asyncio.current_task())

    # --- streams ---

    def open_stream(self, subscriptions: Subscriptions, wanted: Collection[DataType], name: object) -> RecordStream:
        """A stream of these types, from the next record on; before that, snapshots of the books that are in sync."""
        books, now = self.collector.ledger.books, read_clock()
        subscription = subscriptions.add_stream(wanted, name, self.collector.fanout.next_number(self._sink.name))
        if DataType.ORDERBOOK in wanted:
            for progress in books.streams.values():
                subscription.waiting.extend(books.current_snapshots(progress, now))
        inlet = StreamInlet(subscription, self._stop.is_set)
        self._sink.add_stream(inlet)
        return RecordStream(self._name, subscriptions, inlet, self.loop, lambda: self.error)

    # --- the task ---

    async def _collect(self) -> None:
        with debug_log(file_of(self._config.exchange, self._config.title)):
            log.info("%s: starting", self._name)
            log.debug("%s: %s", self._name, self.collector.settings)
            watch = asyncio.create_task(self._watch_health(), name=f"health of {self._name}")
            try:
                await self.collector.run(self._stop)
            except* Exception as group:
                self.fail(next(single_errors(group)))
                log.exception("%s: failed", self._name)
            finally:
                watch.cancel()
                await asyncio.wait([watch])
                log.info("%s: stopped", self._name)

    async def _watch_health(self) -> None:
        """Logs each change of health, and with DEBUG the counters."""
        last = Health.HEALTHY
        while True:
            await asyncio.sleep(self._config.health_check_interval)
            document = self.collector.status()
            if document.health is not last:
                log.warning("%s: %s %s", self._name, document.health, document.reason)
            log.debug("%s: %s %s", self._name, document.health, document.counters)
            last = document.health

    # --- stop ---

    def fail(self, error: BaseException) -> None:
        """Records the error that ends the run, unless a stop was requested."""
        if isinstance(error, Exception) and not self._stop.is_set():
            self.error = self.error or error

    def ask_to_stop(self) -> None:
        """Requests the end of the task."""
        self._was_connected = self._was_connected or self._is_connected()
        if not self.is_over:
            self._stop.set()

    async def ended(self) -> None:
        """Returns when the task has ended; cancelling the wait does not cancel the task."""
        if not self.is_over:
            await asyncio.wait([self.task])

    async def stop(self) -> None:
        """Ends the task. Within one of its callbacks it does not wait, because the task waits for the callback."""
        self.ask_to_stop()
        if not self.is_in_callback():
            await self.ended()

    # --- start ---

    async def connected(self, timeout_s: float) -> None:
        """Returns once every stream is accepted, even if a callback has already requested the stop."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (self._was_connected or self._is_connected()):
                    self._raise_if_hopeless()
                    await asyncio.wait([self.task], timeout=POLL_S)
        except TimeoutError:
            raise ConnectionFailedError(
                f"{self._name}: not connected within start_timeout, {timeout_s:g} s: {self._waits_for()}"
            ) from None
        self._was_connected = True

    def _is_connected(self) -> bool:
        are_settled = all(
            link.state is ConnectionState.CONNECTED and link.feed is not None and link.feed.is_settled
            for link in self._links
        )
        are_polled = all(poller.state is ConnectionState.CONNECTED for poller in self._pollers)
        return are_settled and are_polled and not any(self._refusals())

    def _raise_if_hopeless(self) -> None:
        if self._stop.is_set() or self.task.done():
            raise self.error or ConnectionFailedError(f"{self._name}: stopped before it was connected")
        for refusal in self._refusals():
            raise refusal
        for link in self._links:
            if link.exhausted:
                raise ConnectionFailedError(
                    f"{self._name}: the {link.name} connection {link.exhausted} (max_reconnect_attempts)"
                )

    def _refusals(self) -> Iterator[StreamRefusedError]:
        for page in self.collector.ledger.streams.values():
            if page.state is StreamState.REFUSED:
                yield StreamRefusedError(self._config.exchange, str(page.stream), page.reason, page.message)

    def _waits_for(self) -> str:
        links = [f"{link.name} connection: {link.state} {link.reason}".rstrip() for link in self._links]
        links += [f"{poller.name} poll: {poller.state} {poller.reason}".rstrip() for poller in self._pollers]
        pages = self.collector.ledger.streams.values()
        silent = [str(page.stream) for page in pages if page.state is StreamState.PENDING]
        return ", ".join(links) + (f"; no answer for {', '.join(silent)}" if silent else "")

    @property
    def _links(self) -> Sequence[Link]:
        return self.collector.supervisor.links

    @property
    def _pollers(self) -> Sequence[Poller]:
        return self.collector.supervisor.pollers
