"""Reads the files of a file sink, plain or compressed. Blocking."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

from market_collector.sinks.names import COMPRESSED

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_BYTES = 1 << 16
PACKED_BYTES = 1 << 9
"""Decompressed at once. zstandard has no limit of its own: 512 bytes become at most 16 MiB."""
LONGEST_LINE_BYTES = 1 << 26
"""Above any record: a raw frame of 16 MiB whose characters are escaped."""
GZIP = 31
"""zlib's name for gzip's format with its largest window."""


class DamagedError(ValueError):
    """A compressed file is truncated or damaged, or a line is too long. All lines before the damage were yielded."""


def stored_lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Yields a file's lines from an offset of its uncompressed content. The last line of a plain file may be torn.

    Raises:
        OSError: the file cannot be read.
        DamagedError: a line is too long, or the rest of a compressed file cannot be read.
    """
    with _open(path) as file:
        _skip(file, offset)
        while line := file.readline(LONGEST_LINE_BYTES + 1):
            if len(line) > LONGEST_LINE_BYTES:
                raise DamagedError(f"a line of more than {LONGEST_LINE_BYTES >> 20} MiB")
            yield line


def _open(path: Path) -> IO[bytes]:
    """Imports each library only when needed, since a running collector needs none."""
    if path.suffix == COMPRESSED["gzip"]:
        import zlib

        return _unpacked(path, lambda: zlib.decompressobj(GZIP), zlib.error)
    if path.suffix == COMPRESSED["zstd"]:
        import zstandard

        return _unpacked(path, lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError)
    return path.open("rb", BUFFER_BYTES)


def _unpacked(path: Path, start: Callable[[], Frame], damage: type[Exception]) -> IO[bytes]:
    return cast(IO[bytes], io.BufferedReader(_Unpacked(path, start, damage), BUFFER_BYTES))


def _skip(file: IO[bytes], offset: int) -> None:
    if file.seekable():
        file.seek(offset)
        return
    while offset > 0 and (block := file.read(min(offset, 1 << 20))):
        offset -= len(block)


class Frame(Protocol):
    """Common interface of zlib and zstandard: one compressed frame. A file has one or more of them."""

    @property
    def eof(self) -> bool:
        """Whether the frame is complete and its checksum correct."""
        ...

    @property
    def unused_data(self) -> bytes:
        """Input after the end of the frame."""
        ...

    def decompress(self, packed: bytes, /) -> bytes:
        """Returns all content that can be decompressed so far."""
        ...


class _Unpacked(io.RawIOBase):
    """The content of a compressed file. Detects truncation, which zstandard's own reader does not."""

    def __init__(self, path: Path, start: Callable[[], Frame], damage: type[Exception]) -> None:
        self._source = path.open("rb", BUFFER_BYTES)
        self._start = start
        self._damage = damage
        self._frame: Frame | None = start()
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._source.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Reads the bytes that are available, 0 at the end. Raises like `stored_lines`."""
        while not self._ready:
            packed = self._source.read(PACKED_BYTES)
            if not packed and self._frame is not None:
                raise DamagedError("it was cut off")
            if not packed:
                return 0
            self._ready = memoryview(b"".join(self._pieces(packed)))
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._ready))
        target[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def _pieces(self, packed: bytes) -> Iterator[bytes]:
        while packed:
            frame = self._frame or self._start()
            try:
                yield frame.decompress(packed)
            except self._damage as error:
                raise DamagedError(str(error)) from error
            packed, self._frame = (frame.unused_data, None) if frame.eof else (b"", frame)
