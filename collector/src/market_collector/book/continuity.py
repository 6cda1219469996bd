"""Whether data is whole: does a book update follow the last one, and which dense ids are missing."""

from enum import Enum
from itertools import pairwise

import msgspec

from market_collector.book.book import Book
from market_collector.model.events import Orderbook

REORDER_WINDOW_S = 1.0
"""OKX may interleave rows of one taker order that have different sources (docs/exchanges/okx.md section 7): an id that
comes within this time was late, not missing."""


def follows(book: Book, update: Orderbook) -> bool:
    """Whether the update continues the book.

    Only the link counts. The number itself may be smaller than the last one (the exchange restarted its numbering) or
    equal to it (a push that says "nothing changed"): docs/exchanges/okx.md section 6, steps 3 and 4.
    """
    return update.previous_sequence == book.sequence


HOLES_KEPT = 20_000
"""Missing pieces of one stream that are known one by one (2 MB); beyond that neighbours become one."""


def is_crossed(book: Book) -> bool:
    """Whether the best bid is at or above the best ask."""
    bids, asks = book.bids, book.asks
    return bool(bids and asks) and max(map(float, bids)) >= min(map(float, asks))


class Hole(msgspec.Struct, frozen=True, order=True):
    """Ids first..last, both inclusive, that are not there; ``since`` in monotonic seconds."""

    first: int
    last: int
    since: float

    @property
    def size(self) -> int:
        """How many ids are missing."""
        return self.last - self.first + 1


class Verdict(Enum):
    """What a record's ids say about it."""

    NEW = "new"
    """Never delivered before, in order."""
    LATE = "late"
    """Never delivered before, but others after it were: it fills a hole."""
    DUPLICATE = "duplicate"
    """All of it was delivered before."""
    RESTART = "restart"
    """The exchange began to count anew: ids that were used before, at a later time. Holes under the old numbers are
    still there; whoever hears of it must give them up."""


NEW = Verdict.NEW  # before Python 3.12 it takes 70 ns to look up an enum's member


class IdLine:
    """The dense numbers of one stream (trade ids; open times of closed candles, counted in intervals): each is
    delivered once, late ones are waited for, missing ones are named."""

    __slots__ = ("last_id", "last_time_ns", "missing", "waiting")

    def __init__(self, last_id: int | None = None, last_time_ns: int = 0) -> None:
        self.last_id = last_id
        """Highest id that was delivered or is known to exist; None before the first."""
        self.last_time_ns = last_time_ns
        """The latest exchange time that was delivered."""
        self.waiting: list[Hole] = []
        """Holes that may still be filled by rows that are only late."""
        self.missing: list[Hole] = []
        """Holes that `overdue` has handed out; a repair, or a very late row, still fills them."""

    def take(self, first: int, last: int, time_ns: int, now: float) -> Verdict:
        """Notes that ids first..last are there."""
        if self.last_id is None:
            self.last_id, self.last_time_ns = last, time_ns
            return NEW
        if first > self.last_id:
            if first > self.last_id + 1:
                self.waiting.append(Hole(self.last_id + 1, first - 1, now))
            self.last_id = last
            if time_ns > self.last_time_ns:
                self.last_time_ns = time_ns
            return NEW
        return self._take_late(first, last, time_ns)

    def _take_late(self, first: int, last: int, time_ns: int) -> Verdict:
        assert self.last_id is not None
        is_late = bool(self.holes(first, last))
        if is_late:
            self.waiting = without(self.waiting, first, last)
            self.missing = without(self.missing, first, last)
        is_later, self.last_time_ns = time_ns > self.last_time_ns, max(time_ns, self.last_time_ns)
        if last > self.last_id:
            self.last_id = last
            return Verdict.LATE if is_late else Verdict.NEW
        if is_late:
            return Verdict.LATE
        if is_later:
            self.last_id = last
            return Verdict.RESTART
        return Verdict.DUPLICATE

    def expect(self, last: int, now: float) -> None:
        """Ids up to ``last`` exist: those that were never delivered are a hole."""
        if self.last_id is None:
            self.last_id = last
        elif last > self.last_id:
            self.waiting.append(Hole(self.last_id + 1, last, now))
            self.last_id = last

    def overdue(self, now: float) -> list[Hole]:
        """Holes that were waited for long enough: from now on they are missing. Each is returned once."""
        late = [hole for hole in self.waiting if now - hole.since >= REORDER_WINDOW_S]
        self.waiting = self.waiting[len(late) :]
        self.missing += late
        if len(self.missing) > HOLES_KEPT:
            self.missing = _halved(self.missing)
        return late

    def abandoned(self) -> list[Hole]:
        """Holes that nobody waits for any more; from now on they are missing."""
        late, self.waiting = self.waiting, []
        self.missing += late
        return late

    def call_missing(self, first: int, last: int) -> None:
        """A hole that was handed out before: nobody waits any more for what is not there of it."""
        holes = self.holes(first, last)
        self.give_up(first, last)
        self.missing += holes

    def holes(self, first: int, last: int) -> list[Hole]:
        """What of the ids first..last is not there, in order."""
        parts = (hole for hole in (*self.missing, *self.waiting) if hole.first <= last and hole.last >= first)
        return sorted(Hole(max(hole.first, first), min(hole.last, last), hole.since) for hole in parts)

    def open_ids(self, first: int, last: int) -> int:
        """How many of the ids first..last are not there."""
        return sum(hole.size for hole in self.holes(first, last))

    def give_up(self, first: int, last: int) -> None:
        """Ids first..last will never come: nobody waits for them any more."""
        self.waiting = without(self.waiting, first, last)
        self.missing = without(self.missing, first, last)


def _halved(holes: list[Hole]) -> list[Hole]:
    """Every two neighbours as one: what lies between them may be delivered twice, and nothing less than once."""
    holes = sorted(holes)
    merged = [Hole(left.first, right.last, left.since) for left, right in pairwise(holes)][::2]
    return merged + holes[len(merged) * 2 :]


def without(holes: list[Hole], first: int, last: int) -> list[Hole]:
    """What remains of holes when ids first..last are there."""
    return [part for hole in holes for part in _without(hole, first, last)]


def _without(hole: Hole, first: int, last: int) -> list[Hole]:
    """What remains of a hole when ids first..last are there."""
    if last < hole.first or first > hole.last:
        return [hole]
    left = [Hole(hole.first, first - 1, hole.since)] if first > hole.first else []
    right = [Hole(last + 1, hole.last, hole.since)] if last < hole.last else []
    return left + right
