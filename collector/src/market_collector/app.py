"""One collector process: builds the components, runs them, and stops them in the right order."""

import asyncio
import logging
import os
import random
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from market_collector import __version__
from market_collector.checkpoint import Checkpoint, Samples
from market_collector.config.settings import Settings
from market_collector.errors import CollectorError, InputError
from market_collector.exchanges import EXCHANGES
from market_collector.feed.backfill import Backfiller
from market_collector.feed.checkpoint_state import Positions, Written, positions, resume
from market_collector.feed.ledger import Ledger
from market_collector.model.streams import ACCOUNT, DataType, Stream
from market_collector.net.backfill_task import BackfillTask
from market_collector.net.clock import read_clock
from market_collector.net.deadlines import DEADLINES, Deadlines
from market_collector.net.supervisor import Supervisor
from market_collector.sinks.fanout import QUEUE_LIMIT, Fanout
from market_collector.sinks.interface import Memory, Origin, Sink
from market_collector.sinks.registry import make_sinks
from market_collector.telemetry import http, metrics, report
from market_collector.telemetry.status import Status, rfc3339, termination_message

E = TypeVar("E", bound=Exception)

log = logging.getLogger(__name__)

DRAIN_S = 15.0
"""Time for the sinks to acknowledge their queues at a stop. Kubernetes kills the process after 30 s in total."""
CHECKPOINT_S = 1.0


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
    ) -> None:
        """``sinks`` are used in addition to those of the settings; see `Fanout` for ``queue_limit``."""
        now = read_clock()
        self.settings = settings
        self.ledger = Ledger(settings.exchange, streams(settings), settings.stale_after_s, now)
        self.checkpoint = Checkpoint(state_dir) if state_dir else None
        host = os.environ.get("POD_NAME") or socket.gethostname()
        origin = Origin(settings.name, settings.shard, host)
        all_sinks = [*make_sinks(settings.sinks, origin, read_clock), *sinks]
        self.fanout = Fanout(all_sinks, read_clock, queue_limit=queue_limit, on_loss=self.ledger.on_sink_loss)
        self.supervisor = Supervisor(
            settings,
            EXCHANGES[settings.exchange],
            self.ledger,
            emit=self.fanout.emit,
            clock=read_clock,
            chance=random.Random(),  # noqa: S311 - jitter, not a secret
            deadlines=deadlines,
        )
        self.backfill = BackfillTask(
            Backfiller(EXCHANGES[settings.exchange].rest_api, self.ledger),
            self.supervisor.rest,
            self.fanout,
            read_clock,
        )
        self._samples = Samples()
        epoch = f"{os.environ.get('POD_UID', f'pid-{os.getpid()}')}/{rfc3339(now.wall_ns)}"
        self._identity = report.Identity(
            settings.name, settings.namespace, settings.shard, __version__, epoch, now.wall_ns
        )

    def status(self) -> Status:
        """The present status document."""
        output = report.Output(self.fanout.status(), self.fanout.records, self._samples.by_sink)
        return report.status(self._identity, self.ledger, self.supervisor, output, read_clock())

    def is_ready(self) -> tuple[bool, str]:
        """For the readiness probe."""
        return report.readiness(self.ledger, self.fanout.status())

    def is_alive(self) -> tuple[bool, str]:
        """For the liveness probe: false only when the process itself is stuck, never because the exchange is down."""
        return (False, "the supervisor does not run any more") if self.supervisor.is_stuck() else (True, "running")

    def metrics(self) -> bytes:
        """The page for Prometheus."""
        latencies = {str(stream): page.latency for stream, page in self.ledger.streams.items()}
        return metrics.render(self.status(), self.settings.exchange, latencies)

    async def run(self, stop: asyncio.Event) -> None:
        """Collects until ``stop`` is set, then stops reading and drains the sinks."""
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

    async def _resume(self) -> None:
        """Resumes from the checkpoint, or from the end of a sink's files if there is none.

        Then saves a checkpoint at once, so that the next run detects even a crash before the first data.
        """
        if not self.checkpoint:
            return
        saved = self.checkpoint.load() or Positions({}, [], [], {})
        memory = await self.fanout.recall(saved.places) or Memory()
        written = Written(memory.numbers, memory.heads, memory.gaps, memory.closed)
        for effect in resume(self.ledger, saved, written, read_clock()):
            self.fanout.emit(effect.records, effect.sink)
        if not saved.places:
            self.checkpoint.save(self._positions())

    async def _read_until(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as reading:
            tasks = [
                reading.create_task(self.supervisor.run(), name="supervisor"),
                reading.create_task(self.backfill.run(), name="backfill"),
                reading.create_task(self._save_checkpoints(), name="checkpoints"),
            ]
            await stop.wait()
            for task in tasks:
                task.cancel()

    async def _save_checkpoints(self) -> None:
        while True:
            self._advance_checkpoint()
            await asyncio.sleep(CHECKPOINT_S)

    def _advance_checkpoint(self) -> None:
        self._samples.take(self._positions, self.fanout.mark)
        newest = self._samples.acknowledged(self.fanout.reached())
        if newest is not None and self.checkpoint:
            self.checkpoint.save(newest)

    def _positions(self) -> Positions:
        return positions(self.ledger, self.fanout.unreported_losses(), self.fanout.places())


def streams(settings: Settings) -> list[Stream]:
    """Every stream that the settings select."""
    of_account = [Stream(ACCOUNT, DataType.BALANCE)] if DataType.BALANCE in settings.data_types else []
    return of_account + [
        Stream(symbol, data_type, interval)
        for symbol in settings.symbols
        for data_type in settings.data_types
        if data_type is not DataType.BALANCE
        for interval in (settings.candle_intervals if data_type is DataType.CANDLE else ("",))
    ]


async def run(settings: Settings, *, host: str, port: int, state_dir: Path | None, termination_log: Path) -> int:
    """Runs a collector until SIGTERM or SIGINT; returns the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    collector = Collector(settings, state_dir)
    server = await http.serve(
        host,
        port,
        is_alive=collector.is_alive,
        is_ready=collector.is_ready,
        status=collector.status,
        metrics=collector.metrics,
    )
    log.info("collecting %d streams of %s", len(collector.ledger.streams), settings.exchange)
    code = 0
    try:
        await collector.run(stop)
        log.info("stopped")
    except* CollectorError as group:
        errors = list(single_errors(group))
        for error in errors:
            log.error("failed: %s", error)  # noqa: TRY400 - the message is written for the user
        code = 2 if any(isinstance(error, InputError) for error in errors) else 1
    finally:
        write_termination_message(collector.status(), termination_log)
        await server.close()
    return code


def single_errors(group: ExceptionGroup[E]) -> Iterator[E]:
    """Flattens the nested exception groups of nested task groups."""
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from single_errors(error)
        else:
            yield error


def write_termination_message(status: Status, file: Path) -> None:
    """Writes the final counters to the termination message file, so that the operator counts the last seconds too.

    The kubelet creates the file before it starts the container. If there is no file, nothing is written.
    """
    if not file.exists():
        return
    try:
        file.write_bytes(termination_message(status))
    except OSError as error:
        log.warning("cannot write %s: %s", file, error)
