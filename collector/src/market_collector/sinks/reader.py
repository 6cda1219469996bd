"""Reading back what a file sink wrote, plain or compressed. Blocking."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

from market_collector.sinks.names import COMPRESSED

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_BYTES = 1 << 16
PACKED_BYTES = 1 << 15
GZIP = 31
"""zlib's name for gzip's format with its largest window."""


class DamagedError(ValueError):
    """A compressed file was cut off, or is none; what came before this was whole."""


def stored_lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """A file's lines, from a byte of its plain text on; the last one of a plain file may be torn.

    Raises:
        OSError: it cannot be read.
        DamagedError: from here on a compressed file cannot be read.
    """
    with _open(path) as file:
        _skip(file, offset)
        yield from file


def _open(path: Path) -> IO[bytes]:
    """Each library is imported when it is needed: a collector at work needs none."""
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
    """What zlib and zstandard have in common: one compressed piece; a file is one or more of them."""

    @property
    def eof(self) -> bool:
        """Whether the piece is complete, and its checksum right."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What came after it."""
        ...

    def decompress(self, packed: bytes, /) -> bytes:
        """As much as can be told by now."""
        ...


class _Unpacked(io.RawIOBase):
    """The content of a compressed file. (zstandard's own reader takes a file that was cut off for a whole one.)"""

    def __init__(self, path: Path, start: Callable[[], Frame], damage: type[Exception]) -> None:
        self._source = path.open("rb")
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
        """As many bytes as are at hand; 0 at the end; raises like `stored_lines`."""
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
