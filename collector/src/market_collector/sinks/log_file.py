"""A file that is being written: append, sync, truncate after a failure. Blocking; raises OSError."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class Segment:
    """An open file, locked by this process.

    ``size`` counts only complete batches. The remains of a failed write are cut off before the next write.
    """

    def __init__(self, path: Path, descriptor: int, started_at: float) -> None:
        self.path = path
        self.started_at = started_at
        """Monotonic seconds."""
        self.size = 0
        self.synced_size = 0
        """Size of the durable part."""
        self._is_torn = False
        self.descriptor = descriptor

    def append(self, text: bytes) -> None:
        """Writes all bytes, or none as far as a reader can see.

        Raises:
            OSError: disk full, read-only, an I/O error. The file is restored now or before the next write.
        """
        if self._is_torn:
            self._cut_to(self.size)
        try:
            self._write_all(text)
        except OSError:
            self._is_torn = True
            with contextlib.suppress(OSError):  # the next write tries again
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
            OSError: it is not durable. Call `abandon`: a second sync could succeed wrongly, because Linux drops a page
                that it failed to write.
        """
        if os.fstat(self.descriptor).st_nlink == 0:
            raise FileNotFoundError(2, "the file was removed while it was written", str(self.path))
        os.fsync(self.descriptor)
        self.synced_size = self.size

    def abandon(self) -> None:
        """Cuts the file to its durable part and closes it. Removes a file without a durable part."""
        try:
            self._cut_to(self.synced_size)
            if self.synced_size == 0:
                self.path.unlink(missing_ok=True)
        finally:
            self.close()

    def close(self) -> None:
        """Closes the file, which also unlocks it."""
        os.close(self.descriptor)


MODE = 0o640
"""Records may be private, such as balances. A pod's fsGroup can read them."""


def create(path: Path, now: float) -> Segment:
    """Creates a file, locks it while it is open, and makes its name durable in the directory.

    Raises:
        FileExistsError: it exists, or another process took it for a leftover. Try another name.
        OSError: it cannot be created.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, MODE)
    try:
        if not lock(descriptor, without_locks=True):
            raise FileExistsError(17, "is being cleaned up by another process", str(path))
        sync_directory(path.parent)
    except OSError:
        os.close(descriptor)
        raise
    return Segment(path, descriptor, now)


def lock(descriptor: int, *, without_locks: bool) -> bool:
    """Locks the file. Returns whether this process has the only lock and the file still has a name.

    ``without_locks`` is the result on a file system that has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return without_locks
    return os.fstat(descriptor).st_nlink > 0


def open_no_link(path: str, flags: int) -> int:
    """An opener that follows no link: others may write to a shared volume.

    Raises:
        OSError: it is a link, or cannot be opened.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)


def is_regular(path: Path) -> bool:
    """Whether a sink may have made it: others plant links on a shared volume, and a pipe would be read for hours."""
    return path.is_file() and not path.is_symlink()


def sync_directory(directory: Path) -> None:
    """Makes names that were added to or removed from a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
