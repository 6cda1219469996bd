"""Records as JSON lines on standard output: the pod's log, or the next program of a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
from collections.abc import Sequence

from market_collector.errors import SinkError
from market_collector.model.events import Record
from market_collector.sinks.encode import line
from market_collector.sinks.interface import PAUSE_S

ATOMIC_BYTES = 4096
"""A pipe that polls as writable takes this much without blocking (one page; PIPE_BUF of Linux)."""
POLL_S = 0.1
"""How soon a write that waits for the reader notices that it should end."""


class StdoutSink:
    """Writes to a file descriptor that may be shared, so it is neither made non-blocking nor closed.

    A reader that has stopped reading blocks only this sink's thread. After a failed write the next one continues with
    the remaining bytes, so that no line is torn or written twice.
    """

    type = "stdout"
    pause_s = PAUSE_S
    sync_interval_s = 0.0

    def __init__(self, name: str, descriptor: int = 1) -> None:
        self.name = name
        self._descriptor = descriptor
        self._rest = memoryview(b"")
        self._is_closed = threading.Event()

    async def open(self) -> None:
        """Does nothing, since the descriptor is open already."""

    def pack(self, record: Record) -> bytes:
        """Encodes a line."""
        return line(record)

    async def write(self, batch: Sequence[bytes]) -> bool:
        """Writes all lines, or fails and keeps the rest for the same batch's next attempt."""
        if not self._rest:
            self._rest = memoryview(b"".join(batch))
        await asyncio.to_thread(self._send_rest)
        return False

    async def sync(self) -> None:
        """Does nothing, since the reader of the pipe has the data already."""

    async def close(self) -> None:
        """Ends a write that waits for a reader."""
        self._is_closed.set()

    def _send_rest(self) -> None:
        try:
            while self._rest:
                self._wait_until_writable()
                self._send_some()
        except BrokenPipeError as error:
            raise SinkError("standard output: its reader has gone; start both again") from error
        except OSError as error:
            raise SinkError(f"standard output: {error.strerror}; make room, or write elsewhere") from error

    def _send_some(self) -> None:
        with contextlib.suppress(BlockingIOError):  # another owner of the descriptor made it non-blocking
            sent = os.write(self._descriptor, self._rest[:ATOMIC_BYTES])
            self._rest = self._rest[sent:]

    def _wait_until_writable(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while not poll.poll(POLL_S * 1000):
            if self._is_closed.is_set():
                raise SinkError("standard output: closed while its reader was not reading")
