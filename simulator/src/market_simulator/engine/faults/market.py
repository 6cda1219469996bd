"""Faults of the market itself, which change the truth: restarted numbers and crossed books."""

from dataclasses import dataclass, field, replace
from typing import Final

from market_simulator.engine.book import Book, Checksum
from market_simulator.engine.events import BookChange, Level, Levels, TradeRow, Trades
from market_simulator.engine.faults.turns import Turns

_DEPTH: Final = 20  # the crossing bid has the price of this ask, far enough away that the market rarely reaches it


@dataclass(slots=True)
class Crossed:
    """Cross a book from its next change until the first change after the end.

    `preopen`: REST shows the instrument in its call auction meanwhile.
    """

    symbol: str
    turns: Turns
    preopen: bool
    _ours: dict[int, Level] = field(default_factory=dict, repr=False)

    @property
    def is_holding(self) -> bool:
        """Whether the book has bids that this fault added."""
        return bool(self._ours)

    def changed(self, now: float, change: BookChange, book: Book, checksum: Checksum) -> BookChange:
        """The change with the levels that cross or uncross the book; `book` is the book before it."""
        if change.is_no_change or change.is_snapshot:
            return change
        for level in change.bids:
            self._ours.pop(level.key, None)  # the market now has its own bid at this price
        after = book.copy()
        after.apply(change.bids, change.asks)
        more = self._removed() if self.turns.is_over(now) else self._crossing(after)
        after.bids.apply(more)
        return replace(change, bids=_merged(change.bids, more), checksum=checksum(after) if change.checksum else 0)

    def _crossing(self, book: Book) -> list[Level]:
        if book.is_crossed or not (asks := book.asks.best(_DEPTH)):
            return []
        level = asks[-1]
        self._ours[level.key] = level
        return [level]

    def _removed(self) -> list[Level]:
        gone = [level._replace(size="0", orders="0") for level in self._ours.values()]
        self._ours.clear()
        return gone


def _merged(bids: Levels, more: list[Level]) -> Levels:
    return tuple(sorted((*bids, *more), key=lambda level: level.key, reverse=True))


class Numbering:
    """One instrument's sequence numbers and trade ids, with restarts.

    After a restart, the next change of the book has a lower sequence number than the previous one. The numbers
    continue from half of the last value.
    """

    def __init__(self) -> None:
        self._sequence_shift = self._id_shift = 0
        self._sequence_restarts = self._ids_restart = False
        self._jump = 0

    def jump(self, by: int) -> None:
        """Continue with the book's next change as if numbers up to `by` had been lost before it."""
        self._jump = by

    def restart(self, trades: bool) -> None:
        """Restart sequence numbers with the book's next change and, if `trades`, trade ids with the next trade."""
        self._sequence_restarts = True
        self._ids_restart = trades

    def book_change(self, change: BookChange) -> BookChange:
        """The change with its current numbers."""
        if self._jump and not change.is_no_change and not change.is_snapshot:
            self._sequence_shift += self._jump
            self._jump = 0
        previous = change.previous + self._sequence_shift
        if self._sequence_restarts and not change.is_no_change and not change.is_snapshot:
            self._sequence_restarts = False
            self._sequence_shift = previous // 2 - change.sequence
        if not self._sequence_shift:
            return change
        first = change.first and change.first + self._sequence_shift
        return replace(change, previous=previous, sequence=change.sequence + self._sequence_shift, first=first)

    def trades(self, event: Trades) -> Trades:
        """The trades with their current numbers."""
        if self._ids_restart:
            self._ids_restart = False
            first = event.rows[0].first_id
            self._id_shift = (first + self._id_shift) // 2 - first
        if not self._sequence_shift and not self._id_shift:
            return event
        return replace(event, rows=tuple(self._row(row) for row in event.rows))

    def _row(self, row: TradeRow) -> TradeRow:
        return replace(row, last_id=row.last_id + self._id_shift, sequence=row.sequence + self._sequence_shift)
