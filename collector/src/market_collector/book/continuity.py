"""Whether data is whole: does a book update follow the last one, and which trade ids are missing."""

from dataclasses import dataclass
from enum import Enum

from market_collector.book.book import Book
from market_collector.model.events import Orderbook

REORDER_WINDOW_S = 1.0
"""OKX may interleave rows of one taker order that have different sources (exchanges/okx.md section 7): an id that
comes within this time was late, not missing."""


def follows(book: Book, update: Orderbook) -> bool:
    """Whether the update continues the book.

    Only the link counts. The number itself may be smaller than the last one (the exchange restarted its numbering) or
    equal to it (a push that says "nothing changed"): exchanges/okx.md section 6, steps 3 and 4.
    """
    return update.previous_sequence == book.sequence


@dataclass(frozen=True, slots=True)
class Hole:
    """Trade ids first..last, both inclusive, that are not there; ``since`` in monotonic seconds."""

    first: int
    last: int
    since: float

    @property
    def size(self) -> int:
        """How many ids are missing."""
        return self.last - self.first + 1


class Verdict(Enum):
    """What a trade's ids say about it."""

    NEW = "new"
    """Never delivered before, in order."""
    LATE = "late"
    """Never delivered before, but others after it were: it fills a hole."""
    DUPLICATE = "duplicate"
    """All of it was delivered before."""
    RESTART = "restart"
    """The exchange began to count anew: ids that were used before, at a later time."""


class TradeLine:
    """The ids of one stream's trades: each is delivered once, late ones are waited for, missing ones are named."""

    __slots__ = ("last_id", "last_time_ns", "missing", "waiting")

    def __init__(self, last_id: int | None = None, last_time_ns: int = 0) -> None:
        self.last_id = last_id
        """Highest id that was delivered; None before the first trade."""
        self.last_time_ns = last_time_ns
        """Its exchange time."""
        self.waiting: list[Hole] = []
        """Holes that may still be filled by rows that are only late."""
        self.missing: list[Hole] = []
        """Holes that `overdue` has handed out; a repair, or a very late row, still fills them."""

    def take(self, first: int, last: int, time_ns: int, now: float) -> Verdict:
        """Notes that ids first..last are there."""
        if self.last_id is None:
            self.last_id, self.last_time_ns = last, time_ns
            return Verdict.NEW
        if first > self.last_id:
            if first > self.last_id + 1:
                self.waiting.append(Hole(self.last_id + 1, first - 1, now))
            self.last_id, self.last_time_ns = last, time_ns
            return Verdict.NEW
        return self._take_late(first, last, time_ns)

    def _take_late(self, first: int, last: int, time_ns: int) -> Verdict:
        assert self.last_id is not None
        before = self.open_ids(0, self.last_id)
        self.waiting = _without_all(self.waiting, first, last)
        self.missing = _without_all(self.missing, first, last)
        is_late = self.open_ids(0, self.last_id) < before
        if last > self.last_id:
            self.last_id, self.last_time_ns = last, time_ns
            return Verdict.LATE if is_late else Verdict.NEW
        if is_late:
            return Verdict.LATE
        if time_ns > self.last_time_ns:
            self.last_id, self.last_time_ns = last, time_ns
            self.waiting.clear()
            return Verdict.RESTART
        return Verdict.DUPLICATE

    def overdue(self, now: float) -> list[Hole]:
        """Holes that were waited for long enough: from now on they are missing. Each is returned once."""
        late = [hole for hole in self.waiting if now - hole.since >= REORDER_WINDOW_S]
        self.waiting = self.waiting[len(late) :]
        self.missing += late
        return late

    def open_ids(self, first: int, last: int) -> int:
        """How many of the ids first..last are not there."""
        return sum(max(0, min(hole.last, last) - max(hole.first, first) + 1) for hole in (*self.waiting, *self.missing))


def _without_all(holes: list[Hole], first: int, last: int) -> list[Hole]:
    return [part for hole in holes for part in _without(hole, first, last)]


def _without(hole: Hole, first: int, last: int) -> list[Hole]:
    """What remains of a hole when ids first..last are there."""
    if last < hole.first or first > hole.last:
        return [hole]
    left = [Hole(hole.first, first - 1, hole.since)] if first > hole.first else []
    right = [Hole(last + 1, hole.last, hole.since)] if last < hole.last else []
    return left + right
