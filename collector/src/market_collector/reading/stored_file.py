"""Reads the records of one recorded file, and tells apart what is no record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from market_collector.errors import UNREADABLE
from market_collector.model.events import SCHEMA, AnyRecord, Header
from market_collector.model.schema_0 import record_decoder
from market_collector.reading.files import present
from market_collector.reading.newer import KINDS, Word, without_unknown_words
from market_collector.sinks.names import COMPRESSED
from market_collector.sinks.reader import stored_lines

START_OF_RECORD = b'{"type":"'
"""First bytes of every record."""
HEADER = Header.__struct_config__.tag
UNKNOWN_KEPT = 20
"""Unknown types, and unknown words, that are counted by name for one file."""
LONGEST_NAME = 60
"""Characters of such a name that are kept. A line may have 64 MiB."""
OTHERS = "others"
"""Stands for the unknown types and words above `UNKNOWN_KEPT`."""
Decode = Callable[[bytes], AnyRecord]


@cache
def decoder() -> Decode:
    """A function that decodes a line. Making it takes 2 ms."""
    return record_decoder()


class LaterSchemaError(Exception):
    """The file has a later schema than this version reads. The message says what to do."""


class StoredFile:
    """One file, read once from the first line to the last."""

    def __init__(self, path: Path, decode: Decode, reject: Callable[[StoredFile, Exception], None]) -> None:
        """``reject`` is called with the file and the error of each unreadable line, whose number is `line`."""
        self.path = path
        self.line = 0
        """Number of lines read so far."""
        self.unreadable = 0
        """Number of lines that are no record."""
        self.torn_bytes = 0
        """Size of a last line that was not written completely; 0 if there is none."""
        self.unknown: Counter[str] = Counter()
        """Number of records by type, for types that this version does not know."""
        self.unknown_words: Counter[Word] = Counter()
        """Number of records by word, for words that this version does not know."""
        self._decode = decode
        self._reject = reject

    def records(self, skipped: tuple[bytes, ...] = ()) -> Iterator[AnyRecord]:
        """Yield the records. Lines that start with one of ``skipped`` are left out without decoding them.

        Raises:
            OSError, DamagedError: as `stored_lines`. All records before were yielded.
            LaterSchemaError: a header names a later schema.
        """
        decode = self._decode
        for line in stored_lines(present(self.path)):
            self.line += 1
            if skipped and line.startswith(skipped):
                continue
            try:
                record = decode(line)
            except UNREADABLE as error:
                if (newer := self._read_again(line, error)) is not None:
                    yield newer
                continue
            if type(record) is Header:
                _check_schema(record.schema, record.writer_version)
            yield record

    def reject(self, error: Exception) -> None:
        """Count the present line as unreadable, and report it."""
        self.unreadable += 1
        self._reject(self, error)

    @property
    def is_foreign(self) -> bool:
        """Whether no line is a record."""
        return 0 < self.line == self.unreadable

    def _read_again(self, line: bytes, error: Exception) -> AnyRecord | None:
        """Return a record of a newer version without its unknown words. Count or reject any other line."""
        words, record = without_unknown_words(line)
        for word in words:
            count = self.unknown_words
            short = word._replace(word=word.word[:LONGEST_NAME])
            count[short if _is_counted(short, count) else word._replace(word=OTHERS)] += 1
        if not words:
            self._cannot_read(line, error)
        return record

    def _cannot_read(self, line: bytes, error: Exception) -> None:
        if not line.endswith(b"\n") and not self._is_compressed and self._may_be_torn(line):
            self.torn_bytes = len(line)
        elif line.startswith(start_of(str(HEADER))):
            _check_header(line)
            self.reject(error)
        elif (kind := _unknown_kind(line)) is not None:
            self.unknown[kind if _is_counted(kind, self.unknown) else OTHERS] += 1
        else:
            self.reject(error)

    @property
    def _is_compressed(self) -> bool:
        return self.path.name.endswith(tuple(COMPRESSED.values()))

    def _may_be_torn(self, line: bytes) -> bool:
        """Whether the last line may be the beginning of a record, rather than content of another program."""
        if self.unreadable < self.line - 1:
            return True
        start = line[: len(START_OF_RECORD)]
        return START_OF_RECORD.startswith(start) and not _is_json(line)


def start_of(kind: str) -> bytes:
    """First bytes of each line with a record of this type."""
    return b'%b%b"' % (START_OF_RECORD, kind.encode())


def damage(error: OSError | ValueError) -> str:
    """The reason why the rest of a file cannot be read."""
    return f"unreadable from here on: {getattr(error, 'strerror', None) or error}"


class _Kind(msgspec.Struct):
    """Fields of every record, whatever its type."""

    type: str
    exchange: str
    receive_time_ns: int


class _Header(msgspec.Struct):
    """Fields of a header in each schema."""

    schema: int
    writer_version: str


def _check_header(line: bytes) -> None:
    try:
        header = msgspec.json.decode(line, type=_Header)
    except UNREADABLE:
        return
    _check_schema(header.schema, header.writer_version)


def _check_schema(schema: int, writer_version: str) -> None:
    """Raise `LaterSchemaError` for a schema that this version does not read."""
    if schema > SCHEMA:
        writer_version = writer_version[:LONGEST_NAME]
        reason = f"has schema {schema} of market-collector {writer_version}, but this version reads up to {SCHEMA}"
        raise LaterSchemaError(f"{reason}. Read it with market-collector {writer_version} or later")


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except UNREADABLE:
        return False
    return True


def _unknown_kind(line: bytes) -> str | None:
    """The type of a record of a newer version; None if the line has another error."""
    try:
        kind = msgspec.json.decode(line, type=_Kind).type
    except UNREADABLE:
        return None
    return None if kind in KINDS else kind[:LONGEST_NAME]


def _is_counted(name: str | Word, counts: Counter[Any]) -> bool:
    """Whether an unknown name is counted by itself, so that a file of such names does not fill the memory."""
    return name in counts or len(counts) < UNKNOWN_KEPT
