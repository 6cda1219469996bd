"""Continuity rules: whether a book update follows the last one, and which consecutive ids are missing."""

from collections.abc import Iterable
from enum import Enum
from itertools import pairwise

import msgspec

from market_collector.book.book import Book
from market_collector.model.events import Orderbook

REORDER_WINDOW_S = 1.0
"""OKX may reorder the fills of one taker order. An id that arrives within this time is late, not missing."""
REORDERED_IDS = 100_000
"""Ids by which a late row may precede the first one. One further below belongs to another numbering."""
MISSING_RANGES_KEPT = 20_000
"""Missing ranges kept separately for one stream (2 MB). Beyond that, neighbours are merged."""


def is_next(book: Book, update: Orderbook) -> bool:
    """Return whether the update continues the book.

    Only ``previous_sequence`` counts. OKX may restart its numbering, so the new sequence may be smaller than the last
    one. It may also equal the last one: such a push reports that nothing changed.
    """
    return update.previous_sequence == book.sequence


class IdRange(msgspec.Struct, frozen=True):
    """Missing ids ``first`` to ``last``, both inclusive."""

    first: int
    last: int
    since: float
    """When the range was found missing, monotonic seconds."""
    from_ns: int | None = None
    """Exchange time of the last record before the range, nanoseconds since 1970; None if unknown."""
    to_ns: int | None = None
    """Exchange time of the first record after it; None if unknown, or while there is none."""

    @property
    def size(self) -> int:
        """Number of ids in the range."""
        return self.last - self.first + 1


def in_order(ranges: Iterable[IdRange]) -> list[IdRange]:
    """Return the ranges, lowest ids first."""
    return sorted(ranges, key=lambda each: (each.first, each.last))


class Arrival(Enum):
    """Relation of a record's ids to those delivered before."""

    NEW = "new"
    """Not delivered before, in order."""
    LATE = "late"
    """Not delivered before, but later ids were: fills a missing range."""
    DUPLICATE = "duplicate"
    """Delivered before in full, or long before the first row."""
    RESTART = "restart"
    """The exchange restarted its numbering: an id was reused at a later time. The caller must give up the ranges that
    are missing under the old numbering."""


NEW = Arrival.NEW  # before Python 3.12 an enum member lookup takes 70 ns


class IdTracker:
    """Tracks the consecutive ids of one stream: trade ids, or numbers of closed candles.

    Each id is delivered once. A missing id is first waited for, then reported as missing. The first rows may come out
    of order as well: an id before the first one is late, unless `first_id` is 0.
    """

    __slots__ = ("_started_at", "first_id", "head_ns", "last_id", "last_time_ns", "missing", "waiting")

    def __init__(self, last_id: int | None = None, last_time_ns: int = 0) -> None:
        self.resume(last_id, last_time_ns)
        self.first_id = 0
        """Lowest id that was delivered or is known to exist. 0 if an earlier process delivered those before."""
        self._started_at = 0.0
        """When the first id of this numbering arrived, monotonic seconds."""
        self.waiting: list[IdRange] = []
        """Ranges that late rows may still fill within `REORDER_WINDOW_S`."""
        self.missing: list[IdRange] = []
        """Ranges that `take_overdue` has returned; a backfill or a very late row still fills them."""

    def resume(self, last_id: int | None, time_ns: int) -> None:
        """Continue after an id that another process delivered, with its exchange time."""
        self.last_id = last_id
        """Highest id that was delivered or is known to exist; None before the first."""
        self.last_time_ns = time_ns
        """Latest exchange time delivered, nanoseconds since 1970."""
        self.head_ns = time_ns
        """Exchange time of the delivered row with the highest id: earlier than `last_time_ns` after the exchange set
        its clock back. 0 if unknown."""

    def take(self, first: int, last: int, time_ns: int, now: float) -> Arrival:
        """Record the arrival of ids ``first`` to ``last``, with exchange time ``time_ns``."""
        if self.last_id is None:
            self.last_time_ns = time_ns
            self._start(first, last, time_ns, now)
            return NEW
        if first > self.last_id:
            if first > self.last_id + 1:
                self.waiting.append(IdRange(self.last_id + 1, first - 1, now, self.head_ns or None, time_ns))
            self.last_id, self.head_ns = last, time_ns
            if time_ns > self.last_time_ns:
                self.last_time_ns = time_ns
            return NEW
        return self._take_late(first, last, time_ns, now)

    def _start(self, first: int, last: int, time_ns: int, now: float) -> None:
        self.first_id, self.last_id, self.head_ns, self._started_at = first, last, time_ns, now

    def _take_late(self, first: int, last: int, time_ns: int, now: float) -> Arrival:
        assert self.last_id is not None
        is_later, self.last_time_ns = time_ns > self.last_time_ns, max(time_ns, self.last_time_ns)
        is_late = bool(self.missing_in(first, last))
        if is_late:
            self.waiting = without(self.waiting, first, last, time_ns)
            self.missing = without(self.missing, first, last, time_ns)
        elif first < self.first_id and self._is_before_start(last, now, is_later=is_later):
            self._extend_start(first, last, time_ns, now)
            is_late = True
        if last > self.last_id:
            self.last_id, self.head_ns = last, time_ns
            return Arrival.LATE if is_late else Arrival.NEW
        if is_late and last == self.last_id:
            self.head_ns = time_ns
        if is_late:
            return Arrival.LATE
        if is_later:
            self._start(first, last, time_ns, now)
            return Arrival.RESTART
        return Arrival.DUPLICATE

    def _is_before_start(self, last: int, now: float, *, is_later: bool) -> bool:
        """Return whether a row with an unknown id below `first_id` is a late one, not of another numbering."""
        if self.first_id - last > REORDERED_IDS:
            return False
        return now - self._started_at < REORDER_WINDOW_S or (last >= self.first_id - 1 and not is_later)

    def _extend_start(self, first: int, last: int, time_ns: int, now: float) -> None:
        if last < self.first_id - 1:
            self.waiting.append(IdRange(last + 1, self.first_id - 1, now, time_ns))
        self.first_id = first

    def expect(self, last: int, now: float) -> None:
        """Record that ids up to ``last`` exist; those not delivered are missing."""
        if self.last_id is None:
            self._start(last + 1, last, 0, now)
        elif last > self.last_id:
            self.waiting.append(IdRange(self.last_id + 1, last, now, self.head_ns or None))
            self.last_id = last

    def take_below(self, number: int) -> list[IdRange]:
        """Return ranges before a delivered id and count them as missing. Each is returned once."""
        below = [each for each in self.waiting if each.last < number]
        self.waiting = [each for each in self.waiting if each.last >= number]
        self._add_missing(below)
        return below

    def take_overdue(self, now: float) -> list[IdRange]:
        """Return ranges older than `REORDER_WINDOW_S` and count them as missing. Each is returned once."""
        overdue = [each for each in self.waiting if now - each.since >= REORDER_WINDOW_S]
        self.waiting = self.waiting[len(overdue) :]
        self._add_missing(overdue)
        return overdue

    def _add_missing(self, ranges: list[IdRange]) -> None:
        self.missing += ranges
        if len(self.missing) > MISSING_RANGES_KEPT:
            self.missing = _halved(self.missing)

    def take_waiting(self) -> list[IdRange]:
        """Return all ranges that are still waited for and count them as missing."""
        waiting, self.waiting = self.waiting, []
        self.missing += waiting
        return waiting

    def mark_missing(self, first: int, last: int) -> None:
        """Count undelivered ids among ``first`` to ``last`` as missing: they were reported before."""
        ranges = self.missing_in(first, last)
        self.give_up(first, last)
        self.missing += ranges

    def missing_in(self, first: int, last: int) -> list[IdRange]:
        """Return the undelivered ranges among ``first`` to ``last``, in order."""
        parts = (each for each in (*self.missing, *self.waiting) if each.first <= last and each.last >= first)
        return in_order(_part(each, max(each.first, first), min(each.last, last)) for each in parts)

    def give_up(self, first: int, last: int) -> None:
        """Stop waiting for ids ``first`` to ``last``: they will never arrive."""
        self.waiting = without(self.waiting, first, last)
        self.missing = without(self.missing, first, last)


def _halved(ranges: list[IdRange]) -> list[IdRange]:
    """Merge pairs of neighbours. Ids between them may be delivered twice, but none is skipped."""
    ranges = in_order(ranges)
    merged = [
        IdRange(left.first, right.last, left.since, left.from_ns, right.to_ns) for left, right in pairwise(ranges)
    ][::2]
    return merged + ranges[len(merged) * 2 :]


def without(ranges: list[IdRange], first: int, last: int, time_ns: int | None = None) -> list[IdRange]:
    """Return the parts of the ranges outside ``first`` to ``last``, whose exchange time is ``time_ns``."""
    return [part for each in ranges for part in _without(each, first, last, time_ns)]


def _without(one: IdRange, first: int, last: int, time_ns: int | None) -> list[IdRange]:
    if time_ns is not None and last == one.first - 1:
        return [IdRange(one.first, one.last, one.since, time_ns, one.to_ns)]
    if last < one.first or first > one.last:
        return [one]
    left = [IdRange(one.first, first - 1, one.since, one.from_ns, time_ns)] if first > one.first else []
    right = [IdRange(last + 1, one.last, one.since, time_ns, one.to_ns)] if last < one.last else []
    return left + right


def _part(one: IdRange, first: int, last: int) -> IdRange:
    return IdRange(
        first,
        last,
        one.since,
        one.from_ns if first == one.first else None,
        one.to_ns if last == one.last else None,
    )
