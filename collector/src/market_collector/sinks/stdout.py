"""Records as JSON lines on standard output: the pod's log, or the next program of a pipe."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import sys
import threading
from collections.abc import Sequence

from market_collector.errors import SinkError, SinkGoneError
from market_collector.model.events import Record
from market_collector.sinks.encode import line
from market_collector.sinks.interface import PAUSE_S
from market_collector.threads import finish_in_thread

STDOUT = 1
ATOMIC_BYTES = 4096
"""A pipe that polls as writable takes this much without blocking (one page; PIPE_BUF of Linux)."""
GONE = frozenset({errno.EPIPE, errno.EBADF, errno.ECONNRESET, errno.ENOTCONN})
"""Errors of a pipe or socket that nobody can ever read again."""
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
    is_recording = True

    def __init__(self, name: str, descriptor: int = STDOUT) -> None:
        self.name = name
        self.needs_header = True
        self._descriptor = descriptor
        self._rest = memoryview(b"")
        self._is_closed = threading.Event()

    async def open(self) -> None:
        """Checks that the process was started with a standard output."""
        if self._descriptor == STDOUT and sys.__stdout__ is None:
            raise SinkGoneError("standard output is closed; start with one, or use another sink")

    def pack(self, record: Record) -> bytes:
        """Encodes a line."""
        return line(record)

    async def write(self, batch: Sequence[bytes]) -> bool:
        """Writes all lines, or fails and keeps the rest for the same batch's next attempt."""
        self.needs_header = False
        if not self._rest:
            self._rest = memoryview(b"".join(batch))
        await finish_in_thread(self._send_rest)
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
        except OSError as error:
            if error.errno == errno.EPIPE and self._is_named_pipe():
                raise SinkError("standard output: its reader has gone; start one again") from error
            if error.errno in GONE or (error.errno == errno.EIO and self._is_terminal()):
                raise SinkGoneError("standard output: its reader has gone; start both again") from error
            raise SinkError(f"standard output: {error.strerror}; make room, or write elsewhere") from error

    def _is_terminal(self) -> bool:
        """Whether it is a terminal, also one that is closed already. On a disk the same error may pass."""
        return stat.S_ISCHR(os.fstat(self._descriptor).st_mode)

    def _is_named_pipe(self) -> bool:
        """Whether a new reader may open the pipe by its name. Linux shows others as ``pipe:[number]``."""
        try:
            return os.path.isabs(os.readlink(f"/proc/self/fd/{self._descriptor}"))
        except OSError:  # no /proc
            return False

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
