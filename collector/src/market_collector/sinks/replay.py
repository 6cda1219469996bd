"""Reads the records after a place in a file sink after a crash, so that none is written twice. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from market_collector.errors import UNREADABLE
from market_collector.exchanges import has_dense_trade_ids
from market_collector.model.events import AnyRecord, Candle, Gap, Lost, Orderbook, Record, Repaired, Trade
from market_collector.model.schema_0 import record_decoder
from market_collector.sinks.interface import Memory, Origin
from market_collector.sinks.log_file import is_regular
from market_collector.sinks.names import COMPRESSED, PLAIN, our_files, parts_of
from market_collector.sinks.queue import dense_number, stream_name
from market_collector.sinks.reader import stored_lines

END_BYTES = 16 * 2**20
"""Bytes read from the end of a plain file, about 40,000 records."""


def recall_end(directory: Path, origin: Origin) -> Memory:
    """Reads the end of the newest file of a shard, from any host. Raises like `recall`."""
    memory = Memory()
    newest = max(filter(is_regular, our_files(directory, origin)), key=_start, default=None)
    if newest is None:
        return memory
    is_plain = newest.name.endswith(PLAIN)
    offset = max(0, newest.stat().st_size - END_BYTES) if is_plain else 0
    for record in _records(newest, offset, is_in_line=offset > 0):
        is_backfill = isinstance(record, Trade | Candle) and record.backfilled
        if not is_backfill or stream_name(record) in memory.numbers:  # a backfilled number may be far below the newest
            _remember(memory, record)
    return memory


def recall(directory: Path, place: str) -> Memory:
    """Reads the records that this run and later runs on the same host wrote after a place, ``NAME.jsonl:BYTES``.

    Skips a torn last line.

    Raises:
        OSError: a file cannot be read.
        ValueError: an invalid place, line or compressed file.
    """
    memory = Memory()
    name, _, offset = place.rpartition(":")
    for path in _files_from(directory, name):
        for record in _records(path, int(offset) if _plain_name(path) == name else 0):
            _remember(memory, record)
    return memory


def _records(path: Path, offset: int, *, is_in_line: bool = False) -> Iterator[Record]:
    """Yields the records from an offset. If the offset is within a line, starts at the next line."""
    lines = stored_lines(path, offset)
    if is_in_line:
        next(lines, None)
    decode = _decoder()
    try:
        for line in lines:
            if line.endswith(b"\n"):
                yield decode(line)
    except UNREADABLE as error:
        raise ValueError(f"{path.name}: {error}") from error


@cache
def _decoder() -> Callable[[bytes], AnyRecord]:
    """Creates the decoder when needed: it takes 2 ms, and most starts have no earlier files."""
    return record_decoder()


def _remember(memory: Memory, record: Record) -> None:
    match record:
        case Gap():
            memory.gaps[record.gap_id] = record
            for merged in record.merges or ():
                memory.gaps.pop(merged, None)
                memory.closed.add(merged)
        case Repaired() | Lost():
            memory.gaps.pop(record.gap_id, None)
            memory.closed.add(record.gap_id)
        case Orderbook() if record.sequence is not None:
            memory.heads[stream_name(record)] = record.sequence
            memory.head_times[stream_name(record)] = record.exchange_time_ns or 0
        case Trade() if not has_dense_trade_ids(record.exchange):
            memory.trades.setdefault(stream_name(record), []).append((record.trade_id, record.exchange_time_ns or 0))
        case _ if (number := dense_number(record)) is not None:
            memory.numbers.setdefault(stream_name(record), []).append((number, record.exchange_time_ns or 0))


def _files_from(directory: Path, name: str) -> list[Path]:
    """The file of that name and later files of the same host, the plain one if there is also a compressed one."""
    prefix = name.rsplit("_", 2)[0] + "_"
    found: dict[str, Path] = {}
    for path in sorted(directory.iterdir(), reverse=True):  # X.jsonl.gz first, X.jsonl in its place
        plain = _plain_name(path)
        if plain is not None and plain.startswith(prefix) and plain >= name and is_regular(path):
            found[plain] = path
    return [found[plain] for plain in sorted(found)]


def _start(path: Path) -> tuple[str, int]:
    name = parts_of(path.name)
    return (name.start, name.counter) if name else ("", 0)


def _plain_name(path: Path) -> str | None:
    """The file's name before compression; None for a file without records."""
    for ending in ("", *COMPRESSED.values()):
        if path.name.endswith(PLAIN + ending):
            return path.name.removesuffix(ending)
    return None
