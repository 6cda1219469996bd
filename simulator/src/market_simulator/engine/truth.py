"""The truth: every fill and every state of every book, within bounds.

The bounds are numbers of merged trades and of book changes for the process. All instruments have equal shares, and
the oldest rows are removed first.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from market_simulator.engine.book import Book
from market_simulator.engine.events import NO_LEVELS, BookChange, Event, Level, Levels, TradeRow, Trades
from market_simulator.engine.packed import BookPiece, PackedChange, TradePiece, pack_book, pack_trades

_PIECE = 256  # rows of trades in a piece, changes between two full states


class NotKeptError(LookupError):
    """The truth does not have the requested rows, or no longer has them. The message has the kept range."""


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
    """About `kept` of the newest trades of one instrument, in order of their ids and without gaps.

    If ids restart, the older eras are kept as well. An id that is in two eras refers to the newer one.
    """

    def __init__(self, kept: int) -> None:
        self._piece = min(_PIECE, max(1, kept // 10))
        self._eras = [_Era(self._piece)]
        self._kept = kept

    def add(self, rows: Iterable[TradeRow]) -> None:
        for row in rows:
            if row.first_id <= self._eras[-1].last_id:
                self._eras.append(_Era(self._piece))
            self._eras[-1].add(row)
        while len(self) - self._eras[0].oldest >= self._kept:
            self._eras[0].forget_oldest()
            if not len(self._eras[0]):
                del self._eras[0]

    def __len__(self) -> int:
        """Number of kept rows."""
        return sum(map(len, self._eras))

    @property
    def first_id(self) -> int:
        """The smallest kept fill id, or 0."""
        return min(era.first_id for era in self._eras)

    @property
    def last_id(self) -> int:
        """The id of the newest fill."""
        return self._eras[-1].last_id

    def merged(self, first_id: int, last_id: int) -> Iterator[TradeRow]:
        """The rows with any of these fills, oldest first."""
        for era in self._eras:
            yield from takewhile(lambda row: row.first_id <= last_id, era.rows_from(first_id))

    def fills(self, first_id: int, last_id: int) -> Iterator[Fill]:
        """The single fills with these ids (inclusive), oldest first."""
        for row in self.merged(first_id, last_id):
            yield from (fill for fill in _fills(row) if first_id <= fill.id <= last_id)

    def backwards(self, before_id: int, from_id: int) -> Iterator[Fill]:
        """The fills with `from_id` <= id < `before_id`, newest first."""
        for era in reversed(self._eras):
            fills = (fill for row in era.rows_back(before_id) for fill in reversed(_fills(row)) if fill.id < before_id)
            yield from takewhile(lambda fill: fill.id >= from_id, fills)

    def id_at(self, ts_ms: int) -> int:
        """The smallest id of a row at `ts_ms` or later, or the next id if there is none."""
        return self._eras[-1].id_at(ts_ms)


class _Era:
    """Rows with ascending ids: old ones in pieces, the newest ones unpacked."""

    def __init__(self, piece: int) -> None:
        self._piece = piece
        self.pieces: list[TradePiece] = []
        self._newest: list[TradeRow] = []
        self._packed = 0  # rows in pieces

    def add(self, row: TradeRow) -> None:
        self._newest.append(row)
        if len(self._newest) > self._piece:
            self.pieces.append(pack_trades(self._newest[: self._piece]))
            self._packed += self._piece
            del self._newest[: self._piece]

    @property
    def oldest(self) -> int:
        """Number of rows that `forget_oldest` removes."""
        return self.pieces[0].count if self.pieces else len(self._newest)

    def forget_oldest(self) -> None:
        if self.pieces:
            self._packed -= self.pieces.pop(0).count
        else:
            self._newest.clear()

    def __len__(self) -> int:
        return self._packed + len(self._newest)

    @property
    def first_id(self) -> int:
        if self.pieces:
            return self.pieces[0].first_id
        return self._newest[0].first_id if self._newest else 0

    @property
    def last_id(self) -> int:
        return self._newest[-1].last_id if self._newest else 0

    def rows_from(self, fill_id: int) -> Iterator[TradeRow]:
        """The rows from the one with this fill, or the first one after it, on."""
        for place in range(bisect_left(self.pieces, fill_id, key=_last_id), len(self.pieces)):
            rows = self.pieces[place].rows()
            yield from rows[bisect_left(rows, fill_id, key=_last_id) :]
        yield from self._newest[bisect_left(self._newest, fill_id, key=_last_id) :]

    def rows_back(self, fill_id: int) -> Iterator[TradeRow]:
        """The rows in descending order from the one with this fill, or the last one before it."""
        yield from reversed(self._newest[: bisect_right(self._newest, fill_id, key=_first_id)])
        for place in range(bisect_right(self.pieces, fill_id, key=_first_id) - 1, -1, -1):
            rows = self.pieces[place].rows()
            yield from reversed(rows[: bisect_right(rows, fill_id, key=_first_id)])

    def id_at(self, ts_ms: int) -> int:
        if not self._newest or ts_ms > self._newest[0].ts_ms:
            place = bisect_left(self._newest, ts_ms, key=_time)
            return self._newest[place].first_id if place < len(self._newest) else self.last_id + 1
        before = bisect_left(self.pieces, ts_ms, key=lambda piece: piece.first_ms)
        rows = self.pieces[before - 1].rows() if before else []
        place = bisect_left(rows, ts_ms, key=_time)
        if place < len(rows):
            return rows[place].first_id
        return self.pieces[before].first_id if before < len(self.pieces) else self._newest[0].first_id


def _first_id(rows: TradeRow | TradePiece) -> int:
    return rows.first_id


def _last_id(rows: TradeRow | TradePiece) -> int:
    return rows.last_id


def _time(row: TradeRow) -> int:
    return row.ts_ms


def _fills(row: TradeRow) -> list[Fill]:
    return [Fill(row.first_id + place, size, row) for place, size in enumerate(row.sizes)]


class BookHistory:
    """One instrument's book states by published sequence number; about the newest `kept`."""

    def __init__(self, kept: int) -> None:
        self._pieces: deque[BookPiece] = deque()
        self._state = (NO_LEVELS, NO_LEVELS)  # bids and asks after the first of the newest changes
        self._newest: list[PackedChange] = []
        self._packed = 0
        self._kept = kept

    def add(self, change: BookChange, book: Book) -> None:
        """Note a change; `book` is the book after it. A push that nothing changed makes no new state."""
        if change.is_no_change:
            return
        if len(self._newest) >= _PIECE or (self._newest and change.sequence <= self._newest[-1].sequence):
            self._pack()
        if not self._newest:
            self._state = (tuple(book.bids.best()), tuple(book.asks.best()))
        self._newest.append(
            PackedChange(change.sequence, change.previous, change.ts_ms, change.checksum, change.bids, change.asks)
        )

    def _pack(self) -> None:
        self._pieces.append(pack_book(*self._state, self._newest))
        self._packed += len(self._newest)
        self._newest = []
        while self._pieces and self._packed - len(self._pieces[0].sequences) >= self._kept:
            self._packed -= len(self._pieces.popleft().sequences)

    @property
    def first_sequence(self) -> int:
        """The oldest sequence number whose state is kept; -1 when there is none."""
        if self._pieces:
            return self._pieces[0].sequences[0]
        return self._newest[0].sequence if self._newest else -1

    @property
    def last_sequence(self) -> int:
        return self._newest[-1].sequence if self._newest else -1

    def before(self, changes: int) -> BookState | None:
        """The book before the newest `changes`, or the oldest one that is kept. None before the first state."""
        if changes < len(self._newest):
            return self.at(self._newest[-1 - changes].sequence)
        left = changes - len(self._newest)
        for piece in reversed(self._pieces):
            if left < len(piece.sequences):
                return self.at(piece.sequences[-1 - left])
            left -= len(piece.sequences)
        return self.at(self.first_sequence) if self.first_sequence >= 0 else None

    def at(self, sequence: int) -> BookState:
        """The book after the change with this number (the newest such change, if numbers restarted).

        Raises:
            NotKeptError: No change with this number was published, or it is no longer kept.
        """
        bids, asks, changes = self._piece_of(sequence)
        book = Book()
        book.apply(bids, asks)
        for change in changes[1:]:
            book.apply(change.bids, change.asks)
        last = changes[-1]
        return BookState(last.sequence, last.previous, last.ts_ms, last.checksum, book.bids.best(), book.asks.best())

    def _piece_of(self, sequence: int) -> tuple[Levels, Levels, list[PackedChange]]:
        """The state before a change, and the changes up to it."""
        place = _place(sequence, [change.sequence for change in self._newest])
        if place is not None:
            return *self._state, self._newest[: place + 1]
        for piece in reversed(self._pieces):
            if (place := _place(sequence, piece.sequences)) is not None:
                bids, asks, changes = piece.unpacked()
                return bids, asks, changes[: place + 1]
        kept = f"kept are {self.first_sequence} to {self.last_sequence}"
        raise NotKeptError(f"sequence {sequence} was never published for this book or is no longer kept; {kept}")

    def changes(self) -> Iterator[PackedChange]:
        """All kept changes, oldest first."""
        for piece in list(self._pieces):
            yield from piece.unpacked()[2]
        yield from list(self._newest)


def _place(sequence: int, sequences: Sequence[int]) -> int | None:
    place = bisect_left(sequences, sequence)
    return place if place < len(sequences) and sequences[place] == sequence else None


class Truth:
    """The histories of all instruments."""

    def __init__(self, instruments: Iterable[str], kept_trades: int, kept_books: int) -> None:
        names = list(instruments)
        share = max(1, len(names))
        self.trades = {name: TradeHistory(max(1, kept_trades // share)) for name in names}
        self.books = {name: BookHistory(max(1, kept_books // share)) for name in names}
        self.time_us = 0

    def record(self, event: Event, book: Book | None) -> None:
        """Record an event; `book` is the instrument's book after a `BookChange`."""
        self.time_us = event.time_us
        if isinstance(event, Trades):
            self.trades[event.instrument].add(event.rows)
        elif isinstance(event, BookChange) and book is not None:
            self.books[event.instrument].add(event, book)

    def summary(self) -> dict[str, Any]:
        """First and last kept trade id and sequence of each instrument, and the market's time."""
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
