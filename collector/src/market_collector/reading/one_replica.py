"""Merges one order book whose replicas differ, in its numbers or its range of prices: one is read at a time."""

from __future__ import annotations

from collections.abc import Sequence

from market_collector.book.book import Book
from market_collector.book.continuity import is_next
from market_collector.model.events import REPEATED, Gap, Lost, Orderbook, Repaired

BookRecord = Orderbook | Gap | Repaired | Lost


class OneReplicaMerge:
    """One order book. Methods return the records to emit.

    The records of one replica are emitted. When it has a gap or ends, another one that is in sync continues with its
    snapshot, and the gap is dropped.
    """

    def __init__(self) -> None:
        self._leader: int | None = None
        self._books: dict[int, Book] = {}
        """By replica, its book while it is in sync."""
        self._bridged: set[str] = set()
        """Gaps that another replica bridges."""

    def take(self, replica: int, record: Orderbook) -> Sequence[BookRecord]:
        """Take the next record of a replica."""
        is_repeated = record.cause in REPEATED and replica in self._books
        self._follow(replica, record)
        if self._leader == replica:
            return [] if is_repeated else [record]
        if self._leader is not None:
            return []
        self._leader = replica
        if record.action == "snapshot" or replica not in self._books:
            return [record]
        return [self._state(record)]

    def _state(self, now: Orderbook | Gap) -> Orderbook:
        """Return the leader's book at the time of this record."""
        assert self._leader is not None
        return self._books[self._leader].snapshot(now.exchange, now.symbol or "", now.receive_time_ns)

    def _follow(self, replica: int, record: Orderbook) -> None:
        book = self._books.get(replica)
        if record.action == "snapshot":
            self._books[replica] = Book(record)
        elif book is not None and is_next(book, record):
            book.apply(record)
        else:
            self._books.pop(replica, None)

    def gap(self, replica: int, gap: Gap) -> Sequence[BookRecord]:
        """Take a gap record: the replica is out of sync until its next snapshot."""
        self._books.pop(replica, None)
        if not self._books:
            self._leader = None
            return [gap]
        self._bridged.add(gap.gap_id)
        if replica != self._leader:
            return []
        self._leader = next(iter(self._books))
        return [self._state(gap)]

    def close(self, _replica: int, event: Repaired | Lost) -> Sequence[BookRecord]:
        """Take the end of a gap, which precedes the snapshot."""
        return [] if event.gap_id in self._bridged else [event]

    def end(self, replica: int) -> None:
        """End the records of a replica's process."""
        self._books.pop(replica, None)
        if self._leader == replica:
            self._leader = None
