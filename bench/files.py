"""``make bench-files``: what a record costs in a file, in CPU time and bytes.

ROUNDS sets the number of rounds (25). The tape of `frames.py` is read without and with quotes, in alternating order.
"""

import gc
import gzip
import os
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from typing import IO

import zstandard
from bench import dialects, feeds, frames, results
from bench.handler import TYPES
from bench.rounds import spread

from market_collector.feed.effects import Emit
from market_collector.feed.feed import Feed
from market_collector.model.events import Orderbook
from market_collector.model.streams import DataType, Stream
from market_collector.net.clock import read_clock
from market_collector.sinks.encode import line

LOOPS = 20
UPDATE_LOOPS = 40
"""Enough updates of one book for a repeated snapshot."""
BATCH = 1_000
"""Lines of one write."""
SNAPSHOTS = results.Goal(2.0)
"""Percent of a book's bytes."""

SIZES = ("gzip", "zstd", "with_quotes")
COSTS = {"without quotes": "us_a_message", "with quotes": "us_a_message_with_quotes"}


@dataclass(frozen=True, slots=True)
class Written:
    """One tape in a file."""

    cpu_us: float
    """For each message."""
    records: Counter[str]
    sizes: Counter[str]
    """Bytes by record type."""
    lines: bytes


class Tape:
    """The frames of the tape, for a collector with or without quotes."""

    def __init__(self, *, has_quotes: bool, loops: int = LOOPS) -> None:
        self._has_quotes = has_quotes
        self._frames = [text.encode() for text in frames.tape("sequence", range(loops), trades="trades-all")]

    def write(self) -> Written:
        """Read the tape on a new connection, and write it to a file."""
        wanted = [Stream(name, kind) for name in frames.instruments(2) for kind in TYPES]
        feed, _ = feeds.opened("okx", "public", wanted, has_quotes=self._has_quotes)
        gc.collect()
        with tempfile.TemporaryFile() as file:
            started = time.process_time_ns()
            lines = [each for frame in self._frames for each in _lines(feed, frame)]
            _write(file, lines)
            cpu_ns = time.process_time_ns() - started
        return _written(cpu_ns / len(self._frames) / 1_000, lines)


def _lines(feed: Feed, frame: bytes) -> list[bytes]:
    emitted = (effect.records for effect in feed.received(frame, read_clock()) if type(effect) is Emit)
    return [line(record) for records in emitted for record in records]


def _write(file: IO[bytes], lines: list[bytes]) -> None:
    for start in range(0, len(lines), BATCH):
        file.write(b"".join(lines[start : start + BATCH]))
    file.flush()


def _written(cpu_us: float, lines: list[bytes]) -> Written:
    records, sizes = Counter[str](), Counter[str]()
    for each in lines:
        kind = each[9 : each.index(b'"', 9)].decode()
        records[kind] += 1
        sizes[kind] += len(each)
    return Written(cpu_us, records, sizes, b"".join(lines))


def snapshot_percent() -> float:
    """The most that repeated snapshots add to a book's bytes: one as soon as there are enough updates."""
    feed, ledger = feeds.opened("okx", "public", [Stream(dialects.INSTRUMENT, DataType.ORDERBOOK)])
    snapshot, updates = dialects.snapshot_and_updates("okx", UPDATE_LOOPS)
    feed.received(snapshot.encode(), read_clock())
    size, due = 0, list[Orderbook]()
    while not due:
        size += sum(map(len, _lines(feed, updates.pop(0).encode())))
        due = ledger.books.repeat_due(0.0, read_clock())
    return len(line(due[0])) / size * 100


def measure(rounds: int) -> dict[str, list[Written]]:
    """The tape without and with quotes, round by round."""
    tapes = {"plain": Tape(has_quotes=False), "quotes": Tape(has_quotes=True)}
    for tape in tapes.values():
        tape.write()  # warms the caches and specialises the code
    found: dict[str, list[Written]] = {name: [] for name in tapes}
    for number in range(rounds):
        for name in list(tapes)[:: 1 if number % 2 else -1]:
            found[name].append(tapes[name].write())
    return found


def report(found: dict[str, list[Written]]) -> results.Document:
    """The values of the result file."""
    plain, quotes = (found[name][-1] for name in ("plain", "quotes"))
    return {
        **results.place(),
        "rounds": len(found["plain"]),
        "us_a_message": spread(each.cpu_us for each in found["plain"]).document(),
        "us_a_message_with_quotes": spread(each.cpu_us for each in found["quotes"]).document(),
        "bytes_a_record": {kind: round(quotes.sizes[kind] / count) for kind, count in quotes.records.items()},
        "bytes": len(plain.lines),
        "bytes_with_quotes": len(quotes.lines),
        "bytes_gzip": len(gzip.compress(plain.lines)),
        "bytes_zstd": len(zstandard.compress(plain.lines)),
        "repeated_snapshots_percent": round(snapshot_percent(), 2),
    }


def table(document: results.Document) -> str:
    """The same for people."""
    percent = document["repeated_snapshots_percent"]
    return results.table(
        [
            ("", "value", "goal"),
            *((f"bytes of a record: {kind}", str(size), "") for kind, size in document["bytes_a_record"].items()),
            *((f"size: {name}", f"{document[f'bytes_{name}'] / document['bytes']:.3f}", "") for name in SIZES),
            *((f"{name}: us a message", f"{document[field]['median']:.2f}", "") for name, field in COSTS.items()),
            ("repeated snapshots, at most, %", f"{percent:.2f}", SNAPSHOTS.verdict(percent)),
        ]
    )


def main() -> None:
    """Measure, print the table and write the result file."""
    document = report(measure(int(os.environ.get("ROUNDS", "25"))))
    print(table(document))
    results.write("files.json", document)


if __name__ == "__main__":
    main()
