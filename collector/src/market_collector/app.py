"""One collector process: builds the components, runs them, and stops them in the right order."""

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from market_collector import __version__, core_dumps
from market_collector.checkpoint import Checkpoint, Samples
from market_collector.config.settings import Settings
from market_collector.containment import Containment
from market_collector.errors import CollectorError, InputError
from market_collector.exchanges import EXCHANGES
from market_collector.feed.backfill import Backfiller
from market_collector.feed.checkpoint_state import (
    Positions,
    StreamPosition,
    Written,
    by_stream,
    of_streams,
    positions,
    reported,
    resume,
)
from market_collector.feed.handover import Takeover
from market_collector.feed.ledger import Ledger
from market_collector.feed.volume_audit import VolumeAudit
from market_collector.model.events import SCHEMA, Header, Record
from market_collector.model.moment import Moment
from market_collector.model.streams import ACCOUNT, DataType, Stream
from market_collector.net.backfill_task import BackfillTask
from market_collector.net.clock import read_clock
from market_collector.net.deadlines import DEADLINES, Deadlines
from market_collector.net.instrument_watch import InstrumentWatch
from market_collector.net.predecessors import HandoverFile, Predecessors
from market_collector.net.supervisor import Supervisor
from market_collector.sinks.fanout import QUEUE_LIMIT, Fanout
from market_collector.sinks.interface import Memory, Origin, Sink
from market_collector.sinks.registry import make_sinks
from market_collector.telemetry import http, metrics, report
from market_collector.telemetry.slices import in_slices
from market_collector.telemetry.status import Status, StreamStatus, encode, rfc3339, termination_message

E = TypeVar("E", bound=Exception)

log = logging.getLogger(__name__)

DRAIN_S = 12.0
"""Time for the sinks to acknowledge their queues at a stop. Kubernetes kills the process after 30 s in total: the
handover, this, the end of calls into sinks that hang, and the last answer."""
RECORDING_S = 60.0
"""Interval of `recording` records."""
CHECKPOINT_S = 1.0
REPEAT_CHECK_S = 1.0
"""Interval of checks whether a snapshot of a book is due."""
HANDOVER_S = 10.0
"""How long a pod that is asked to stop keeps its streams for its successor, within the 30 s that Kubernetes grants."""
ANSWER_HOLDS_S = 5.0
"""How long a successor's word counts. It asks every half second."""
LAST_ANSWER_S = 2.0


class Collector:
    """Everything that one process collects."""

    def __init__(
        self,
        settings: Settings,
        state_dir: Path | None = None,
        sinks: Sequence[Sink] = (),
        *,
        deadlines: Deadlines = DEADLINES,
        queue_limit: int = QUEUE_LIMIT,
        handover: Path | None = None,
        termination_log: Path | None = None,
    ) -> None:
        """``sinks`` are used in addition to those of the settings; see `Fanout` for ``queue_limit``.

        ``handover`` is the operator's document about the streams' positions; only pods have one. ``termination_log`` is
        the file of `write_termination_message`.
        """
        now = read_clock()
        self.settings = settings
        has_quotes = DataType.QUOTE in settings.data_types
        exchange = EXCHANGES[settings.exchange]
        self.ledger = Ledger(
            settings.exchange,
            streams(settings),
            settings.stale_after_s,
            now,
            has_quotes=has_quotes,
            book_rule=exchange.books,
            skips_empty_candles=exchange.skips_empty_candles,
            has_dense_trade_ids=exchange.has_dense_trade_ids,
        )
        self.checkpoint = Checkpoint(state_dir) if state_dir else None
        host = os.environ.get("POD_NAME") or socket.gethostname()
        self._origin = Origin(settings.name, settings.shard, host)
        all_sinks = [*make_sinks(settings.sinks, self._origin, read_clock), *sinks]
        self._containment = Containment(self.ledger.complaints, read_clock)
        self._audit = VolumeAudit(self.ledger) if settings.audit_volumes else None
        self.fanout = Fanout(
            all_sinks,
            read_clock,
            queue_limit=queue_limit,
            on_loss=self.ledger.on_sink_loss,
            start_file=self._start_file,
        )
        self.supervisor = Supervisor(
            settings,
            exchange,
            self.ledger,
            emit=self._emit_audited if settings.audit_volumes else self.fanout.emit,
            clock=read_clock,
            chance=random.Random(),  # noqa: S311 - jitter, not a secret
            deadlines=deadlines,
        )
        self.backfill = BackfillTask(
            Backfiller(EXCHANGES[settings.exchange].rest_api, self.ledger),
            self.supervisor.rest,
            self.fanout,
            read_clock,
            self.ledger.complaints,
        )
        self._instruments = InstrumentWatch(
            EXCHANGES[settings.exchange].rest_api, self.ledger, self.supervisor.rest, self.fanout.emit, read_clock
        )
        self._termination_log = termination_log
        self._left_counts = (0, 0, 0)
        """Gaps detected, filled and lost in the last termination message."""
        self._samples = Samples()
        self._acknowledged = Positions({}, [], [], {})
        self._handover = HandoverFile(handover) if handover else None
        self._replaced = asyncio.Event()
        self._takeover: Takeover | None = None
        self._replaced_at = float("-inf")
        self._asked = asyncio.Event()
        self._asked_at = float("-inf")
        epoch = f"{os.environ.get('POD_UID', f'pid-{os.getpid()}')}/{rfc3339(now.wall_ns)}"
        self._identity = report.Identity(
            settings.name, settings.namespace, settings.shard, __version__, epoch, now.wall_ns
        )

    def status(self, streams: Iterable[StreamStatus] | None = None) -> Status:
        """The present status document; ``streams`` if they were made before."""
        return self._status(streams, reported(self.ledger, self._acknowledged, self.unsettled))

    @property
    def unsettled(self) -> tuple[str, ...]:
        """Streams that another pod may have delivered before, and nobody has said how far."""
        uncertain = self._takeover.uncertain if self._takeover else ()
        return tuple(name for name in self._acknowledged.unsettled if name in uncertain)

    def _status(self, streams: Iterable[StreamStatus] | None, positions: Mapping[str, StreamPosition | None]) -> Status:
        error = self.checkpoint.error if self.checkpoint else ""
        output = report.Output(self.fanout.status(), self.fanout.records, self._samples.by_sink, positions, error)
        return report.status(self._identity, self.ledger, self.supervisor, output, read_clock(), streams)

    def _emit_audited(self, records: Sequence[Record]) -> None:
        self.fanout.emit(records)
        with self._containment.of("volume audit"):
            assert self._audit is not None
            self._audit.take(records)

    def is_ready(self) -> tuple[bool, str]:
        """For the readiness probe."""
        return report.readiness(self.ledger, self.fanout.status())

    def is_alive(self) -> tuple[bool, str]:
        """For the liveness probe: false only when the process itself is stuck, never because the exchange is down."""
        return (False, "the supervisor does not run any more") if self.supervisor.is_stuck() else (True, "running")

    async def status_page(self) -> bytes:
        """The body of ``GET /status``. Frames are handled while it is made, so its streams are a moment older."""
        streams = await in_slices(report.stream_statuses(self.ledger, self._samples.by_sink))
        return encode(self.status(streams))

    async def metrics_page(self) -> bytes:
        """The body of ``GET /metrics``."""
        await asyncio.to_thread(metrics.load)
        pieces = metrics.render(self._status((), {}), self.settings.exchange, self.ledger.streams.values())
        return b"".join(await in_slices(pieces))

    def on_successor(self, is_ready: bool) -> None:
        """A pod that takes over has asked. If ``is_ready``, it delivers every stream of this one."""
        self._asked_at = read_clock().at
        self._asked.set()
        if is_ready:
            self._replaced_at = self._asked_at
            self._replaced.set()

    async def answer_successor(self) -> None:
        """After the end, waits until a successor that asks has the last positions. Otherwise it would report a gap."""
        if read_clock().at - self._asked_at <= ANSWER_HOLDS_S:
            await _until(self._asked, LAST_ANSWER_S)

    async def run(self, stop: asyncio.Event) -> int:
        """Collects until ``stop`` is set or it is cancelled, then stops reading and drains the sinks.

        Returns how many records could not be written, summed over the sinks.

        Raises:
            InputError: another collector uses the state directory.
        """
        with self.checkpoint.held() if self.checkpoint else contextlib.nullcontext():
            return await self._run(stop)

    def _start_file(self, now: Moment) -> Sequence[Record]:
        """The records that make a file usable by itself: a header, instruments, open gaps, and each book in sync."""
        with self._containment.of("header of a file"):
            books = self.ledger.books.repeat_all("rotation", now)
            if books is None:
                return ()
            return [self._header(now), *self.ledger.instruments.repeat(now), *self.ledger.gaps.repeat(now), *books]
        return ()

    def _header(self, now: Moment) -> Header:
        name, shard, host = msgspec.structs.astuple(self._origin)
        names = sorted(map(str, self.ledger.streams))
        return Header(
            self.settings.exchange, None, None, now.wall_ns, SCHEMA, __version__, name, shard, host,
            self._identity.started_ns, now.wall_ns, names,
        )  # fmt: skip

    async def _run(self, stop: asyncio.Event) -> int:
        self.fanout.start_files()
        await self._resume()
        async with asyncio.TaskGroup() as writing:
            writing.create_task(self.fanout.run(), name="sinks")
            try:
                await self._read_until(stop)
            finally:
                left = await self.fanout.drain(DRAIN_S)
                self._advance_checkpoint()
                if left:
                    log.error("%d records could not be written before the end", left)
        return left

    async def _resume(self) -> None:
        """Resumes each stream from the checkpoint, or from the end of a sink's files, or from where another pod ended.

        Then saves a checkpoint at once, so that the next run detects even a crash before the first data. The status
        has these positions until the sinks acknowledge newer ones: a pod that takes over must not find none.
        """
        if not self.checkpoint:
            return
        saved = self.checkpoint.load() or Positions({}, [], [], {})
        memory = await self.fanout.recall(saved.places) or Memory()
        written = Written(memory.numbers, memory.heads, memory.gaps, memory.closed, memory.head_times, memory.trades)
        written = written.without_heads(saved.held)
        if self._handover:
            own_uid = os.environ.get("POD_UID", "")
            self._takeover = Takeover(self.ledger, self._handover.read_change(), own_uid)
            saved, records = self._takeover.inherit(saved, written, read_clock())
            self.fanout.emit(records)
        for effect in resume(self.ledger, saved, written, read_clock()):
            self.fanout.emit(effect.records, effect.sink)
        names = {str(stream) for stream in self.ledger.streams}
        known = of_streams({name: at for name, at in by_stream(saved).items() if name in names})
        self._acknowledged = self._takeover.hold(known) if self._takeover else known
        if not saved.places:
            self.checkpoint.save(self._positions())

    async def _read_until(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as reading:
            tasks = [
                reading.create_task(self.supervisor.run(), name="supervisor"),
                reading.create_task(self.backfill.run(), name="backfill"),
                reading.create_task(self._save_checkpoints(), name="checkpoints"),
                reading.create_task(self._instruments.run(), name="instruments"),
                reading.create_task(self._repeat_books(), name="snapshots of books"),
                reading.create_task(self._report_recordings(), name="recordings"),
            ]
            if self._handover and self._takeover:
                asking = self._predecessors(self._handover, self._takeover).run()
                tasks.append(reading.create_task(asking, name="predecessors"))
            await stop.wait()
            if self._handover:
                await self._await_successor()
            for task in tasks:
                task.cancel()

    def _predecessors(self, file: HandoverFile, takeover: Takeover) -> Predecessors:
        names = {str(stream) for stream in self.ledger.streams}
        return Predecessors(
            takeover, file, names, self.fanout.emit, lambda: self.is_ready()[0], read_clock, self._containment
        )

    async def _await_successor(self) -> None:
        """Keeps the streams until a successor delivers them all, for `HANDOVER_S` at most."""
        if read_clock().at - self._replaced_at <= ANSWER_HOLDS_S:
            return
        log.info("asked to stop: waiting %g s at most for the pod that takes over", HANDOVER_S)
        await _until(self._replaced, HANDOVER_S)

    async def _save_checkpoints(self) -> None:
        while True:
            self._advance_checkpoint()
            await asyncio.sleep(CHECKPOINT_S)

    async def _repeat_books(self) -> None:
        """Writes snapshots of books that are due, for readers that start in the middle."""
        while self.fanout.is_recording:
            await asyncio.sleep(REPEAT_CHECK_S)
            with self._containment.of("snapshots of books"):
                due = self.ledger.books.repeat_due(self.settings.snapshot_interval_s, read_clock())
                self.fanout.repeat(due)

    async def _report_recordings(self) -> None:
        while True:
            await asyncio.sleep(RECORDING_S)
            with self._containment.of("recordings"):
                self.fanout.emit(self.ledger.recordings(read_clock()))

    def _advance_checkpoint(self) -> None:
        try:
            self._save_acknowledged()
        except Exception as error:  # also at the end, when the sinks have written everything
            reason = self._containment.report("checkpoint", error)
            if self.checkpoint:
                self.checkpoint.fail(reason)

    def _save_acknowledged(self) -> None:
        self._samples.take(self._positions, self.fanout.mark)
        newest = self._samples.acknowledged(self.fanout.reached())
        if newest is not None and self.checkpoint:
            self._leave_counters()
            self._acknowledged = newest
            self.checkpoint.save(newest)

    def _leave_counters(self) -> None:
        """Writes a termination message when gaps were counted, in case the process is killed.

        The next process continues the gaps of the checkpoint without counting them again.
        """
        gaps = self.ledger.gaps
        counts = gaps.detected, gaps.repaired, gaps.lost
        if self._termination_log and counts != self._left_counts:
            self._left_counts = counts
            write_termination_message(self._status((), {}), self._termination_log)

    def _positions(self) -> Positions:
        found = positions(self.ledger, self.fanout.unreported_losses(), self.fanout.places())
        return self._takeover.hold(found) if self._takeover else found


async def _until(event: asyncio.Event, longest_s: float) -> None:
    """Waits until an event is set again."""
    event.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            await event.wait()


def streams(settings: Settings) -> list[Stream]:
    """Every stream that the settings select."""
    of_account = [Stream(ACCOUNT, DataType.BALANCE)] if DataType.BALANCE in settings.data_types else []
    return of_account + [
        Stream(symbol, data_type, interval)
        for symbol in settings.symbols
        for data_type in settings.data_types
        if data_type not in (DataType.BALANCE, DataType.QUOTE)
        for interval in (settings.candle_intervals if data_type is DataType.CANDLE else ("",))
    ]


async def run(
    settings: Settings,
    *,
    host: str,
    port: int,
    state_dir: Path | None,
    termination_log: Path,
    handover: Path | None = None,
) -> int:
    """Runs a collector until SIGTERM or SIGINT; returns the exit code."""
    if DataType.BALANCE in settings.data_types:
        core_dumps.forbid()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    collector = Collector(settings, state_dir, handover=handover, termination_log=termination_log)
    server = await http.serve(
        host,
        port,
        is_alive=collector.is_alive,
        is_ready=collector.is_ready,
        status=collector.status_page,
        metrics=collector.metrics_page,
        on_successor=collector.on_successor,
    )
    log.info("collecting %d streams of %s", len(collector.ledger.streams), settings.exchange)
    code = 0
    try:
        code = 1 if await collector.run(stop) else 0
        await collector.answer_successor()
        log.info("stopped")
    except* CollectorError as group:
        errors = list(single_errors(group))
        for error in errors:
            log.error("failed: %s", error)  # noqa: TRY400 - the message is written for the user
        code = 2 if any(isinstance(error, InputError) for error in errors) else 1
    finally:
        write_termination_message(collector.status(), termination_log, collector.unsettled)
        await server.close()
    return code


def single_errors(group: ExceptionGroup[E]) -> Iterator[E]:
    """Flattens the nested exception groups of nested task groups."""
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from single_errors(error)
        else:
            yield error


def write_termination_message(status: Status, file: Path, unsettled: Collection[str] = ()) -> None:
    """Writes the counters to the termination message file, so that the operator counts the last seconds too.

    The kubelet creates the file before it starts the container. If there is no file, nothing is written.
    """
    if not file.exists():
        return
    try:
        with file.open("r+b", buffering=0) as log_file:  # one write: a kill leaves the old message or the new one
            log_file.write(termination_message(status, unsettled))
            log_file.truncate()
    except OSError as error:
        log.warning("cannot write %s: %s", file, error)
