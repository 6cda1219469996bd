"""Recovers the files of earlier runs before a new one starts. Blocking; raises OSError.

A crash may leave a torn last line, an incomplete compressed file, or a file both plain and compressed. Another process,
such as a replica on the same volume, locks its open files. They are skipped.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from pathlib import Path

import msgspec

from market_collector.sinks.interface import Origin
from market_collector.sinks.log_file import is_regular, lock, open_no_link, sync_directory
from market_collector.sinks.names import COMPRESSED, compressed_path, plain_files, plain_of, unfinished_files

BLOCK_BYTES = 1 << 16

log = logging.getLogger(__name__)


class Leftover(msgspec.Struct, frozen=True):
    """A plain file of an earlier run without a torn line, locked until its descriptor is closed."""

    path: Path
    descriptor: int


def put_in_order(directory: Path, origin: Origin) -> list[Leftover]:
    """Recovers the files of this shard's earlier runs and returns the plain ones.

    Raises:
        OSError: the directory or a file in it cannot be read or changed.
    """
    kept = [leftover for path in plain_files(directory, origin) if (leftover := _adopt(path)) is not None]
    for unfinished in unfinished_files(directory, origin):
        plain = plain_of(unfinished)
        if unfinished.is_dir() and not unfinished.is_symlink():
            _warn_of(unfinished)
        elif not plain.exists() or any(leftover.path == plain for leftover in kept):
            unfinished.unlink(missing_ok=True)
    sync_directory(directory)
    return kept


def _adopt(path: Path) -> Leftover | None:
    try:
        descriptor = open_no_link(str(path), os.O_RDWR | os.O_NONBLOCK)
    except FileNotFoundError:
        return None  # another process was faster
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise
        _warn_of(path)
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            _warn_of(path)
        elif lock(descriptor, without_locks=False) and not _is_superfluous(path, descriptor):
            return Leftover(path, descriptor)
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _warn_of(path: Path) -> None:
    """Log that a link or a special file is skipped; no sink made it."""
    log.warning("%s: is not a regular file, so it is skipped. Remove it", path)


def _is_superfluous(path: Path, descriptor: int) -> bool:
    """Cuts a torn last line. Removes the file and returns True if it is empty or was compressed already."""
    is_compressed = any(is_regular(compressed_path(path, compression)) for compression in COMPRESSED)
    if not is_compressed:
        cut_torn_line(path, descriptor)
    if is_compressed or os.fstat(descriptor).st_size == 0:
        path.unlink()
        return True
    return False


def cut_torn_line(path: Path, descriptor: int) -> int:
    """Cuts the bytes after the last newline, which were never acknowledged. Returns their number."""
    size = os.fstat(descriptor).st_size
    end = _end_of_last_line(descriptor, size)
    if end < size:
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)
        log.warning("%s: cut %d bytes of a torn last line", path, size - end, extra={"bytes": size - end})
    return size - end


def _end_of_last_line(descriptor: int, size: int) -> int:
    end = size
    while end > 0:
        start = max(0, end - BLOCK_BYTES)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
