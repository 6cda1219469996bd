"""One file while it is written: appended to, synced, cut back after a failure. Blocking; raises OSError."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class Segment:
    """An open, locked file of ours. ``size`` counts only whole batches; what a failed write left behind is cut off
    before anything else is written.
    """

    def __init__(self, path: Path, descriptor: int, started_at: float) -> None:
        self.path = path
        self.started_at = started_at
        """Monotonic seconds."""
        self.size = 0
        self.synced_size = 0
        """How much of it is durable."""
        self._is_torn = False
        self.descriptor = descriptor

    def append(self, text: bytes) -> None:
        """Writes all of it, or (as far as a reader can see) nothing.

        Raises:
            OSError: disk full, read-only, an I/O error; the file is as before, or will be before the next write.
        """
        if self._is_torn:
            self._cut_to(self.size)
        try:
            self._write_all(text)
        except OSError:
            self._is_torn = True
            with contextlib.suppress(OSError):  # then before the next write
                self._cut_to(self.size)
            raise
        self.size += len(text)

    def _write_all(self, text: bytes) -> None:
        rest = memoryview(text)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]

    def _cut_to(self, size: int) -> None:
        os.ftruncate(self.descriptor, size)
        self._is_torn = False

    @property
    def is_synced(self) -> bool:
        """Whether everything written is on disk."""
        return self.synced_size == self.size

    def sync(self) -> None:
        """Makes everything written durable.

        Raises:
            OSError: it is not, and a second attempt would not tell the truth (Linux forgets a failed page): abandon
                the file with `abandon`.
        """
        if os.fstat(self.descriptor).st_nlink == 0:
            raise FileNotFoundError(2, "the file was removed while it was written", str(self.path))
        os.fsync(self.descriptor)
        self.synced_size = self.size

    def abandon(self) -> None:
        """Closes the file with only what was synced in it; without anything synced, it goes."""
        try:
            self._cut_to(self.synced_size)
            if self.synced_size == 0:
                self.path.unlink(missing_ok=True)
        finally:
            self.close()

    def close(self) -> None:
        """Closes the file, which also unlocks it."""
        os.close(self.descriptor)


def create(path: Path, now: float) -> Segment:
    """A new file, its name durable in the directory, locked as long as it is open.

    Raises:
        FileExistsError: there is one already, or somebody else took it for a leftover: try another name.
        OSError: it cannot be made.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        if not lock(descriptor, without_locks=True):
            raise FileExistsError(17, "is being cleaned up by another process", str(path))
        sync_directory(path.parent)
    except OSError:
        os.close(descriptor)
        raise
    return Segment(path, descriptor, now)


def lock(descriptor: int, *, without_locks: bool) -> bool:
    """Whether this process alone has the file now, and the file still has a name.

    ``without_locks`` is the answer on a file system that has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return without_locks
    return os.fstat(descriptor).st_nlink > 0


def sync_directory(directory: Path) -> None:
    """Makes names that were added to or removed from a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
