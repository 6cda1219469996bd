"""What really happened: every fill, and every state of every book, as far back as the bounds say.

The bounds count for the whole process and are shared evenly by the instruments: so many rows of merged trades, so many
changes of books. What falls out is forgotten oldest first.
"""

import json
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from market_simulator.book import Book
from market_simulator.events import BookChange, Event, Level, TradeRow, Trades, levels
from market_simulator.quantities import price_key

_CHUNK = 256  # changes between two whole states


class NotKeptError(LookupError):
    """The truth about this was never there or has fallen out; the text says which."""


@dataclass(frozen=True, slots=True)
class Fill:
    """One fill: a part of a merged trade."""

    id: int
    size: str
    row: TradeRow


@dataclass(frozen=True, slots=True)
class BookState:
    """A book after the change with this sequence number; levels best first."""

    sequence: int
    previous: int
    ts_ms: int
    checksum: int
    bids: list[Level]
    asks: list[Level]


class TradeHistory:
    """One instrument's trades in order of their ids, without a hole; the newest `kept` rows."""

    def __init__(self, kept: int) -> None:
        self.rows: list[TradeRow] = []
        self._kept = kept

    def add(self, rows: Iterable[TradeRow]) -> None:
        self.rows.extend(rows)
        if len(self.rows) > self._kept + self._kept // 10:
            del self.rows[: -self._kept]

    @property
    def first_id(self) -> int:
        """The oldest fill that is kept; 0 when there is none."""
        return self.rows[0].first_id if self.rows else 0

    @property
    def last_id(self) -> int:
        return self.rows[-1].last_id if self.rows else 0

    def merged(self, first_id: int, last_id: int) -> Iterator[TradeRow]:
        """The rows that hold any of these fills, oldest first."""
        for place in range(self._place(first_id), len(self.rows)):
            if self.rows[place].first_id > last_id:
                return
            yield self.rows[place]

    def fills(self, first_id: int, last_id: int) -> Iterator[Fill]:
        """The single fills with these ids (both ends included), oldest first."""
        for row in self.merged(first_id, last_id):
            yield from (fill for fill in _fills(row) if first_id <= fill.id <= last_id)

    def newest(self, before_id: int, after_id: int, count: int) -> list[Fill]:
        """At most `count` fills with `after_id` < id < `before_id`, newest first."""
        start = min(self._place(before_id), len(self.rows) - 1)
        backwards = (fill for place in range(start, -1, -1) for fill in reversed(_fills(self.rows[place])))
        wanted = (fill for fill in backwards if fill.id < before_id)
        return [fill for fill in islice(wanted, count) if fill.id > after_id]

    def id_at(self, ts_ms: int) -> int:
        """The smallest id of a row whose time is `ts_ms` or later (the next id to come, when there is none)."""
        place = bisect_left(self.rows, ts_ms, key=lambda row: row.ts_ms)
        return self.rows[place].first_id if place < len(self.rows) else self.last_id + 1

    def _place(self, fill_id: int) -> int:
        return bisect_left(self.rows, fill_id, key=lambda row: row.last_id)


def _fills(row: TradeRow) -> list[Fill]:
    return [Fill(row.first_id + place, size, row) for place, size in enumerate(row.sizes)]


@dataclass(slots=True)
class _Chunk:
    """A whole state as text, and the changes after it as text: a tenth of what objects would take."""

    bids: str
    asks: str
    changes: list[tuple[int, int, int, int, str, str]] = field(default_factory=list)


class BookHistory:
    """One instrument's book states by published sequence number; about the newest `kept`."""

    def __init__(self, kept: int) -> None:
        self._chunks: deque[_Chunk] = deque()
        self._where: dict[int, tuple[_Chunk, int]] = {}
        self._kept = kept
        self.last_sequence = -1

    def add(self, change: BookChange, book: Book) -> None:
        """Note a change; `book` is the book after it. A push that nothing changed makes no new state."""
        if change.is_no_change:
            return
        if not self._chunks or len(self._chunks[-1].changes) >= _CHUNK:
            self._chunks.append(_Chunk(levels(book.bids.best()).text, levels(book.asks.best()).text))
            self._forget()
        chunk = self._chunks[-1]
        self._where[change.sequence] = (chunk, len(chunk.changes))
        entry = (change.sequence, change.previous, change.ts_ms, change.checksum, change.bids.text, change.asks.text)
        chunk.changes.append(entry)
        self.last_sequence = change.sequence

    @property
    def first_sequence(self) -> int:
        """The oldest sequence number whose state is kept; -1 when there is none."""
        return self._chunks[0].changes[0][0] if self._chunks else -1

    def at(self, sequence: int) -> BookState:
        """The book after the change with this number (the newest one, should numbering have been restarted).

        Raises:
            NotKeptError: no change with this number was published, or it has fallen out.
        """
        if sequence not in self._where:
            kept = f"kept are {self.first_sequence} to {self.last_sequence}"
            raise NotKeptError(f"sequence {sequence} was never published for this book or is no longer kept; {kept}")
        chunk, place = self._where[sequence]
        book = Book()
        book.apply(_levels(chunk.bids), _levels(chunk.asks))
        for _, _, _, _, bids, asks in chunk.changes[1 : place + 1]:
            book.apply(_levels(bids), _levels(asks))
        number, previous, ts_ms, checksum, _, _ = chunk.changes[place]
        return BookState(number, previous, ts_ms, checksum, book.bids.best(), book.asks.best())

    def sequences(self) -> Iterator[tuple[int, int, int]]:
        """(sequence, previous, ts_ms) of every change that is kept, oldest first."""
        return ((c[0], c[1], c[2]) for chunk in self._chunks for c in chunk.changes)

    def _forget(self) -> None:
        while (len(self._chunks) - 1) * _CHUNK > self._kept:
            for sequence, *_ in self._chunks.popleft().changes:
                if self._where[sequence][0] not in self._chunks:
                    del self._where[sequence]


def _levels(text: str) -> list[Level]:
    rows: list[list[str]] = json.loads(text)
    return [Level(price_key(price), price, size, orders) for price, size, _, orders in rows]


class Truth:
    """The histories of all instruments."""

    def __init__(self, instruments: Iterable[str], kept_trades: int, kept_books: int) -> None:
        names = list(instruments)
        share = max(1, len(names))
        self.trades = {name: TradeHistory(max(1, kept_trades // share)) for name in names}
        self.books = {name: BookHistory(max(1, kept_books // share)) for name in names}
        self.time_us = 0

    def record(self, event: Event, book: Book | None) -> None:
        """Note an event; `book` is the instrument's book after it, for a `BookChange`."""
        self.time_us = event.time_us
        if isinstance(event, Trades):
            self.trades[event.instrument].add(event.rows)
        elif isinstance(event, BookChange) and book is not None:
            self.books[event.instrument].add(event, book)

    def summary(self) -> dict[str, Any]:
        """Per instrument: first and last kept trade id, first and last kept sequence; the market's time."""
        rows = {
            name: {
                "firstTradeId": trades.first_id,
                "lastTradeId": trades.last_id,
                "firstSequence": self.books[name].first_sequence,
                "lastSequence": self.books[name].last_sequence,
            }
            for name, trades in self.trades.items()
        }
        return {"timeUs": self.time_us, "symbols": rows}
