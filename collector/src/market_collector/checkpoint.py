"""The checkpoint: the position of every stream, kept across restarts in ``--state-dir``.

In a pod the directory is an emptyDir, which outlives a crashed container. The gap in between is then found like any
other. All sinks have acknowledged the positions in a checkpoint.
"""

import fcntl
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from market_collector.errors import UNREADABLE, InputError
from market_collector.feed.checkpoint_state import Positions

log = logging.getLogger(__name__)

FILE = "checkpoint.json"
LOCK = "lock"
"""File that a running collector holds locked. The kernel releases it even when the process is killed."""
SAMPLES_KEPT = 60
"""Largest number of positions that wait for acknowledgement."""


class Checkpoint:
    """The checkpoint file. A failure to read or write it is logged and shown, and never stops the collector."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / FILE
        self._saved = b""
        self._unread = ""
        self._unwritten = ""

    @property
    def error(self) -> str:
        """The reason that it could not be read at the start, or cannot be written now; empty without one."""
        return self._unwritten or self._unread

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the directory for this collector.

        Raises:
            InputError: another running collector uses the directory.
        """
        lock = self._open_lock()
        try:
            if lock is not None:
                self._take(lock)
            yield
        finally:
            if lock is not None:
                os.close(lock)

    def _open_lock(self) -> int | None:
        """Return the lock file's descriptor; None if it cannot be opened, which `save` reports."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            return os.open(self._directory / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        except BlockingIOError as error:
            owner = os.pread(lock, 200, 0).decode(errors="replace") or "another process"
            raise InputError(
                f"{self._directory}: {owner} uses this state directory. "
                "End that collector, or give this one a directory of its own"
            ) from error
        except OSError as error:  # a file system without locks, or a full one
            log.warning("%s: cannot be locked, so a second collector would not be noticed: %s", self._directory, error)

    def load(self) -> Positions | None:
        """The positions of the last run; None if there are none, or they are unreadable."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Positions)
        except FileNotFoundError:
            return None
        except (OSError, *UNREADABLE) as error:
            self._unread = f"{self._path}: cannot be read, so a gap since the last run is not detected: {error}"
            log.warning("%s", self._unread)
            return None

    def save(self, positions: Positions) -> None:
        """Replaces the file atomically."""
        text = msgspec.json.encode(positions)
        if text == self._saved:
            self._unwritten = ""
            return
        part = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            self.fail(error.strerror or str(error))
            return
        self._saved, self._unwritten = text, ""

    def fail(self, reason: str) -> None:
        """Show that the positions are not saved. The log has each reason once, although each second tries again."""
        error = f"{self._path}: cannot be written, so a crash would lose the positions: {reason}"
        if error != self._unwritten:
            log.warning("%s", error)
        self._unwritten = error


class Samples:
    """Positions that wait until every sink has acknowledged them."""

    def __init__(self) -> None:
        self._taken: dict[int, Positions] = {}
        self._number = 0
        self.by_sink: dict[str, Positions] = {}
        """The newest positions that each sink has acknowledged."""

    def take(self, positions: Callable[[], Positions], mark: Callable[[int], None]) -> None:
        """Takes the current positions and marks them in every sink's queue."""
        if len(self._taken) < SAMPLES_KEPT:
            self._number += 1
            self._taken[self._number] = positions()
            mark(self._number)

    def acknowledged(self, reached: Mapping[str, int]) -> Positions | None:
        """The newest positions that every sink has reached, or None if there are no newer ones. Drops older ones."""
        for sink, mark in reached.items():
            if mark in self._taken:
                self.by_sink[sink] = self._taken[mark]
        done = [number for number in self._taken if number <= min(reached.values(), default=0)]
        newest = self._taken.get(done[-1]) if done else None
        for number in done:
            del self._taken[number]
        return newest
