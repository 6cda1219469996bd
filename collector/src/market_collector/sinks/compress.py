"""A finished file compressed beside itself; at no time is the data in neither of the two."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO, cast

from market_collector.sinks.log_file import open_no_link, sync_directory
from market_collector.sinks.names import compressed_path, unfinished_path

READ_BYTES = 1 << 20


def compress(plain: Path, compression: str, should_stop: Callable[[], bool]) -> Path | None:
    """Replaces a plain file by its compressed form (``gzip`` or ``zstd``).

    The plain file is removed after the compressed one is durable. Returns None if ``should_stop`` returned True
    meanwhile. The plain file is then unchanged.

    Raises:
        OSError: compression failed. The plain file is unchanged.
    """
    target = compressed_path(plain, compression)
    unfinished = unfinished_path(target)
    try:
        unfinished.unlink(missing_ok=True)  # of a crash, or a link that somebody else put there
        with open(unfinished, "xb", opener=open_no_link) as raw, open(plain, "rb", opener=open_no_link) as source:
            with _compressor(raw, compression) as packed:
                is_whole = _copy(source, packed, should_stop)
            os.fchmod(raw.fileno(), stat.S_IMODE(os.fstat(source.fileno()).st_mode))
            raw.flush()
            os.fsync(raw.fileno())
        if not is_whole:
            return None
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_directory(plain.parent)
    plain.unlink()
    sync_directory(plain.parent)
    return target


def _compressor(raw: BinaryIO, compression: str) -> IO[bytes]:
    if compression == "gzip":
        import gzip

        return cast(IO[bytes], gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6))
    import zstandard

    return cast(IO[bytes], zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(raw, closefd=False))


def _copy(source: BinaryIO, packed: IO[bytes], should_stop: Callable[[], bool]) -> bool:
    while block := source.read(READ_BYTES):
        if should_stop():
            return False
        packed.write(block)
    return True
