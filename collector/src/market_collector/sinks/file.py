"""Records as JSON lines in files: rotated by size and age, compressed afterwards, durable when acknowledged.

Every run starts new files and never appends to those of an older run. When the sink opens, it recovers and compresses
older files. A file is written uncompressed and compressed after it is finished. The last file of a run stays
uncompressed until the next run.

A file that is large or old enough needs a header (`Sink.needs_header`). The next file starts with the header's batch,
so that the snapshots behind the header show the books at exactly this place.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence, Set
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec.json import decode
from msgspec.structs import replace

from market_collector.config.settings import FileSinkSettings
from market_collector.errors import SinkError
from market_collector.model.events import Candle, Header, Record, Trade
from market_collector.model.moment import Moment
from market_collector.sinks.compress import compress
from market_collector.sinks.encode import line
from market_collector.sinks.interface import PAUSE_S, Memory, Origin
from market_collector.sinks.log_file import Segment, create
from market_collector.sinks.names import file_name
from market_collector.sinks.queue import dense_number, stream_name
from market_collector.sinks.recovery import Leftover, put_in_order
from market_collector.sinks.replay import recall, recall_end
from market_collector.threads import finish_in_thread, in_thread

CLOSE_S = 2.0
"""Time for which closing waits for a call that hangs in the file system."""
ADVICE = {
    errno.ENOSPC: "make room on the volume",
    errno.EDQUOT: "raise the quota, or make room",
    errno.EROFS: "mount the volume writable",
    errno.EACCES: "let the collector's user write there",
    errno.EPERM: "let the collector's user write there",
    errno.ENOTDIR: "a file stands where a directory should be: move it away, or name another directory",
    errno.EEXIST: "a file stands where a directory should be: move it away, or name another directory",
    errno.EIO: "check the disk",
    errno.EFBIG: "the file has reached the size that is allowed; lower rotate.size",
}

NUMBERED = (b'{"type":"trade"', b'{"type":"candle"')
"""Prefixes of the records with dense numbers."""
HEADER = b'{"type":"header"'

T = TypeVar("T")
log = logging.getLogger(__name__)


class FileSink:
    """Files below one directory. All file work runs in threads, one call at a time."""

    type = "file"
    pause_s = PAUSE_S
    is_recording = True

    def __init__(self, settings: FileSinkSettings, origin: Origin, clock: Callable[[], Moment]) -> None:
        self.name = settings.name
        self.sync_interval_s = settings.fsync_interval_s
        self._settings = settings
        self._origin = origin
        self._clock = clock
        self.needs_header = True
        self._header: Header | None = None
        """The last one, without the fields that differ between files."""
        self._last_file: str | None = None
        """Name of the last file with a durable part."""
        self._counter = 0
        self._place = f"{file_name(origin, clock().wall_ns, 0)}:0"
        self._to_recall: str | None = None
        self._is_to_recall = False
        self._held: Set[tuple[str, int | str]] = frozenset()
        self._segment: Segment | None = None
        self._cannot_grow = False
        self._finished: deque[Leftover] = deque()
        self._compressor: asyncio.Task[None] | None = None
        self._is_closed = threading.Event()
        self._turn = threading.Lock()

    # --- called by the fan-out ---

    async def open(self) -> None:
        """Makes the directory, checks that it is writable, and recovers the files of earlier runs."""
        await self._in_thread(self._open)
        self._compress_finished()

    def pack(self, record: Record) -> bytes:
        """Encodes a line on the event loop, since a thread would hold the interpreter for the same time.

        Measured with a thread at full load: a queue of 100,000 overflowed at a third of the rate.
        """
        return line(record)

    async def write(self, batch: Sequence[bytes]) -> bool:
        """Appends complete lines to the present file, or to a new one after a header."""
        header = decode(batch[0], type=Header) if batch and batch[0].startswith(HEADER) else None
        lines = batch if header is None else batch[1:]
        text = b"".join([each for each in lines if not self._holds(each)] if self._held else lines)
        is_full = await self._in_thread(lambda: self._write(header, text))
        self._compress_finished()
        return is_full

    async def sync(self) -> None:
        """Makes everything durable. Needs a header if the file is large or old enough."""
        await self._in_thread(self._sync)
        self._compress_finished()

    def place(self) -> str:
        """Name of the present file and size of its durable part."""
        return self._place

    async def recall(self, place: str | None, *, keep: bool) -> Memory:
        """Reads the records written after a place. If that fails, the sink tries again when it opens."""
        self._place, self._to_recall, self._is_to_recall = place or self._place, place, True
        memory = await self._in_thread(self._recall)
        if keep:
            self._keep(memory)
        return memory

    def _recall(self) -> Memory:
        directory, place = self._settings.directory, self._to_recall
        if not directory.is_dir():
            memory = Memory()  # the first run makes it
        else:
            memory = recall_end(directory, self._origin) if place is None else recall(directory, place)
        self._is_to_recall = False
        return memory

    def _keep(self, memory: Memory) -> None:
        """Remembers the records in ``memory``, so that they are not written again."""
        numbers = {(stream, number) for stream, pairs in memory.numbers.items() for number, _ in pairs}
        self._held = numbers | {(stream, name) for stream, pairs in memory.trades.items() for name, _ in pairs}

    def _holds(self, text: bytes) -> bool:
        """Whether the sink has this record already. Decodes the line, since this is needed only after a crash."""
        if not text.startswith(NUMBERED):
            return False
        record = decode(text, type=Trade | Candle)
        name = dense_number(record)
        if name is None and isinstance(record, Trade):
            return (stream_name(record), record.trade_id) in self._held
        return (stream_name(record), name) in self._held

    async def close(self) -> None:
        """Closes the file and aborts a running compression, which the next start repeats."""
        self._is_closed.set()
        if self._compressor is not None:
            await asyncio.wait([self._compressor])
        await in_thread(self._close)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await finish_in_thread(lambda: self._in_turn(work))
        except OSError as error:
            advice = ADVICE.get(error.errno or 0, "the collector tries again")
            raise SinkError(f"{error.filename or self._settings.directory}: {error.strerror}; {advice}") from error
        except ValueError as error:
            raise SinkError(f"{self._settings.directory}: cannot be read back: {error}; move the file away") from error

    def _in_turn(self, work: Callable[[], T]) -> T:
        with self._turn:
            return work()

    # --- in a thread ---

    def _open(self) -> None:
        directory = self._settings.directory
        directory.mkdir(parents=True, exist_ok=True)
        self._try_to_write(directory)
        if self._is_to_recall:
            self._keep(self._recall())
        self._finished.extend(put_in_order(directory, self._origin))
        if self._settings.compression == "none":
            self._let_go()

    def _try_to_write(self, directory: Path) -> None:
        """Detects an unwritable directory before the first record."""
        probe = directory / (file_name(self._origin, self._clock().wall_ns, 0) + ".probe")
        probe.write_bytes(b"\n")
        probe.unlink()

    def _write(self, header: Header | None, text: bytes) -> bool:
        if header is not None:
            self._header, self.needs_header = header, False
            if self._segment is not None and self._segment.size:
                self._finish(self._segment)
                self._segment = None
        if self._segment is None:
            self._segment = self._start()
        if self._segment.size == 0:
            self.needs_header = self.needs_header or header is None
            text = self._header_line() + text
        try:
            self._segment.append(text)
        except OSError as error:
            self._cannot_grow = error.errno == errno.EFBIG
            raise OSError(error.errno, error.strerror, str(self._segment.path)) from error
        return self._segment.size >= self._settings.rotate_bytes

    def _header_line(self) -> bytes:
        """The header of the present file, which may start without one after a failure."""
        if self._header is None:
            return b""
        now_ns = self._clock().wall_ns if self.needs_header else self._header.start_time_ns
        times = {"receive_time_ns": now_ns, "start_time_ns": now_ns}
        return line(replace(self._header, file=self._counter, previous_file=self._last_file, **times))

    def _start(self) -> Segment:
        self._settings.directory.mkdir(parents=True, exist_ok=True)
        now = self._clock()
        while True:
            self._counter += 1
            path = self._settings.directory / file_name(self._origin, now.wall_ns, self._counter)
            with contextlib.suppress(FileExistsError):
                return create(path, now.at)

    def _sync(self) -> None:
        segment = self._segment
        if segment is None:
            return
        if not segment.is_synced:
            self._sync_or_abandon(segment)
            self._place = f"{segment.path.name}:{segment.synced_size}"
            self._last_file = segment.path.name
        if self._cannot_grow:
            self._segment = None
            self._finish(segment)
        elif self._is_finished(segment):
            self.needs_header = True

    def _sync_or_abandon(self, segment: Segment) -> None:
        try:
            segment.sync()
        except OSError as error:
            self._segment = None
            with contextlib.suppress(OSError):  # records that stay in the file are written twice, never lost
                segment.abandon()
            raise OSError(error.errno, error.strerror, str(segment.path)) from error

    def _is_finished(self, segment: Segment) -> bool:
        age_s = self._clock().at - segment.started_at
        is_old = age_s >= self._settings.rotate_interval_s
        return segment.size >= self._settings.rotate_bytes or is_old

    def _finish(self, segment: Segment) -> None:
        self._cannot_grow = False
        if segment.size == 0:
            segment.path.unlink(missing_ok=True)
        if segment.size == 0 or self._settings.compression == "none":
            segment.close()
        else:
            self._finished.append(Leftover(segment.path, segment.descriptor))

    def _close(self) -> None:
        if not self._turn.acquire(timeout=CLOSE_S):
            log.warning("sink %s: a call hangs in the file system; its file is left open", self.name)
            return
        segment, self._segment = self._segment, None
        if segment is not None and segment.size == 0:
            segment.path.unlink(missing_ok=True)
        if segment is not None:
            segment.close()
        self._let_go()
        self._turn.release()

    def _let_go(self) -> None:
        while self._finished:
            os.close(self._finished.popleft().descriptor)

    # --- compression, concurrent with writing ---

    def _compress_finished(self) -> None:
        if self._compressor is not None and self._compressor.done():
            self._compressor.result()
            self._compressor = None
        if self._finished and self._compressor is None:
            self._compressor = asyncio.create_task(self._compress_all(), name=f"sink {self.name}: compression")

    async def _compress_all(self) -> None:
        kind = self._settings.compression
        while self._finished and not self._is_closed.is_set():
            file = self._finished.popleft()
            try:
                await finish_in_thread(partial(compress, file.path, kind, self._is_closed.is_set))
            except OSError as error:
                log.warning("%s stays uncompressed until the next start: %s", file.path, error.strerror)
            finally:
                os.close(file.descriptor)
