"""Everything that was recorded, in the order of arrival, as a collector's stream delivers it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from heapq import merge
from operator import itemgetter

from market_collector.book.book import Book
from market_collector.book.continuity import is_next
from market_collector.errors import RecordingError
from market_collector.model.events import AnyRecord, Data, Gap, Orderbook
from market_collector.model.streams import DataType
from market_collector.reading.files import Recording
from market_collector.reading.gap_order import gaps_first
from market_collector.reading.merge import Merge, is_of_book
from market_collector.reading.newer import KINDS
from market_collector.reading.plausible import check_ids
from market_collector.reading.speed import Pace, Time, time_ns
from market_collector.reading.strict import (
    Files,
    Symbols,
    check_kind,
    find_recordings,
    first_time_ns,
    records_of_run,
    symbols_of,
)

FIND_LINE = "Find the line with market-collector verify, and restore the file from a copy"
TURN = 100
"""Records after which an asynchronous replay lets other tasks run."""
OF_FILES = {"raw", "header", "instrument", "recording"}
"""Types that a stream does not have: left out unless they are asked for."""
GAPS = {"gap", "repaired", "lost"}
OF_BOOKS = GAPS | {"disconnected"}
"""Events that change whether a book is in sync."""
DATA = {kind for kind, record in KINDS.items() if issubclass(record, Data)}
ORDERBOOK = str(DataType.ORDERBOOK)
Placed = tuple[int, int, AnyRecord | None]
"""Time, number of the replica, and a record; None before and after the records of a process."""


class Replay:
    """Records of recordings in the order of arrival; iterate with ``for`` or ``async for``. Made by `replay`."""

    def __init__(
        self,
        recordings: list[Recording],
        kinds: frozenset[str],
        symbols: frozenset[str] | None,
        span: tuple[int | None, int | None],
        speed: float | None,
    ) -> None:
        self._recordings = recordings
        self._kinds = kinds
        self._symbols = symbols
        self._start_ns, self._end_ns = span
        self._speed = speed
        Pace(speed)

    def __iter__(self) -> Iterator[AnyRecord]:
        """Yield the records, and sleep between them if there is a speed."""
        pace = Pace(self._speed)
        for placed_ns, record in self._records():
            if (delay := pace.delay(placed_ns, time.monotonic())) > 0:
                time.sleep(delay)
            yield record

    async def __aiter__(self) -> AsyncIterator[AnyRecord]:
        """Yield the records. Files are read on the event loop; other tasks run every hundred records."""
        pace = Pace(self._speed)
        for number, (placed_ns, record) in enumerate(self._records()):
            delay = pace.delay(placed_ns, time.monotonic())
            if delay > 0 or number % TURN == 0:
                await asyncio.sleep(delay)
            yield record

    def _records(self) -> Iterator[tuple[int, AnyRecord]]:
        """The required records with their places in time."""
        try:
            yield from self._between()
        except ValueError as error:  # from a book: checking each level would take a third of the time of a replay
            names = ", ".join(recording.replica for recording in self._recordings)
            raise RecordingError(f"{names}: impossible book: {error}. {FIND_LINE}") from error

    def _between(self) -> Iterator[tuple[int, AnyRecord]]:
        books: dict[tuple[str, str], Book] = {}
        start_ns = self._start_ns
        for placed_ns, record in self._merged():
            if start_ns is not None:
                if placed_ns < start_ns:
                    _follow(books, record)
                    continue
                for (exchange, symbol), book in books.items() if ORDERBOOK in self._kinds else ():
                    yield start_ns, book.snapshot(exchange, symbol, start_ns)
                start_ns = None
            if self._end_ns is not None and placed_ns >= self._end_ns:
                return
            if _kind(record) in self._kinds:
                yield placed_ns, record

    def _merged(self) -> Iterator[tuple[int, AnyRecord]]:
        merged = Merge()
        replicas = [self._placed(number, recording) for number, recording in enumerate(self._recordings)]
        for placed_ns, replica, record in merge(*replicas, key=itemgetter(0, 1)):
            if record is None:
                merged.end(replica)
                continue
            for each in merged.take(replica, record):
                yield placed_ns, each

    def _placed(self, replica: int, recording: Recording) -> Iterator[Placed]:
        kinds = self._needed_kinds()
        placed_ns = first_time_ns(recording)
        yield placed_ns, replica, None  # later pods' files stay closed until it is their time
        for run in recording.runs:
            for placed_ns, record in gaps_first(self._of_symbols(records_of_run(run, kinds, check_ids))):
                yield placed_ns, replica, record
            yield placed_ns, replica, None

    def _of_symbols(self, records: Iterable[AnyRecord]) -> Iterable[AnyRecord]:
        wanted = self._symbols
        if wanted is None:
            return records
        return (record for record in records if record.symbol is None or record.symbol in wanted)

    def _needed_kinds(self) -> frozenset[str]:
        """Gap records depend on all data, and books on gap records."""
        if self._kinds & GAPS:
            return self._kinds | OF_BOOKS | DATA
        return self._kinds | OF_BOOKS if ORDERBOOK in self._kinds else self._kinds


def replay(
    files: Files,
    start: Time = None,
    end: Time = None,
    speed: float | None = None,
    symbols: Symbols = None,
    types: str | Iterable[str] | None = None,
) -> Replay:
    """Replay recorded files: data and events as typed records, in the order in which they were received.

    Replicas are merged as if one collector had recorded everything that any of them has. Each fact appears once, and a
    gap that another replica bridges is left out. Any other gap record precedes every record beyond the gap. Its
    ``receive_time_ns`` is when the gap was noticed, so it may be later than that of the next records.

    Memory holds the last 10 s of records of each replica, at most 100,000, 0.5 to 5 kB each. Ranges of ids grow with
    the number of gaps.
    ``start`` adds one book for each symbol.

    Args:
        files: a file, a folder with all recorded files below it, or several. They may still grow.
        start: the earliest receive time. It is a string in ISO 8601 with a time zone, an aware `datetime`, or
            nanoseconds since 1970. Earlier records are read, but only a snapshot of each book at that time is left.
        end: the receive time before which the replay ends.
        speed: 1 replays at the speed of the recording, 10 ten times faster; None without delays.
        symbols: a symbol such as ``BTC-USDT``, or several. Events of whole connections are always included.
        types: record types, such as ``trade`` or ``gap``. If absent, all but ``raw``, ``header`` and ``instrument``.

    Raises:
        RecordingError: a file is missing or, while iterating, a line cannot be read. The message names file and line.
        InputError: an argument is invalid.
    """
    given = [types] if isinstance(types, str) else types
    kinds = KINDS.keys() - OF_FILES if given is None else {check_kind(kind, "types") for kind in given}
    span = time_ns(start, "start"), time_ns(end, "end")
    return Replay(find_recordings(files), frozenset(kinds), symbols_of(symbols), span, speed)


def _follow(books: dict[tuple[str, str], Book], record: AnyRecord) -> None:
    """Apply a record to the books before the start."""
    match record:
        case Orderbook(action="snapshot"):
            books[record.exchange, record.symbol] = Book(record)
        case Orderbook() if (book := books.get((record.exchange, record.symbol))) is not None:
            if is_next(book, record):
                book.apply(record)
            else:
                del books[record.exchange, record.symbol]
        case Gap() if record.symbol is not None and is_of_book(record):
            books.pop((record.exchange, record.symbol), None)


def _kind(record: AnyRecord) -> str:
    return str(type(record).__struct_config__.tag)
