"""Merges the updates of one order book from several replicas into one sequence of states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from market_collector.book.book import Book
from market_collector.book.continuity import is_next
from market_collector.model.events import REPEATED, Gap, Lost, Orderbook, Repaired
from market_collector.reading.order import event_time_ns

CATCH_UP_NS = 1_000_000_000
"""Receive time after which a replica whose book is ahead replaces those that do not reach it."""

BookRecord = Orderbook | Gap | Repaired | Lost


TURNS_KEPT = 4


class Mark(NamedTuple):
    """A state of the book. The exchange may restart its sequence or set its clock back, so neither orders states."""

    time_ns: int
    sequence: int


@dataclass(slots=True)
class _Ahead:
    """A replica whose records do not continue the merged book yet."""

    since_ns: int
    book: Book | None
    """Its book; None if it has no snapshot."""
    events: list[BookRecord] = field(default_factory=list)
    """Events of its gap, which are dropped if the others bridge it."""


class BookMerge:
    """One order book. Methods return the records to emit.

    A replica is in sync while each of its records continues the merged book or repeats a part of it. A gap of one
    replica is dropped, with its snapshot, if another one in sync continues the book.
    """

    def __init__(self) -> None:
        self._head: Mark | None = None
        self._turns: list[Mark] = []
        """The last states before time or sequence went back."""
        self._in_sync: set[int] = set()
        self._ahead: dict[int, _Ahead] = {}
        self._events: dict[int, list[BookRecord]] = {}
        """Events of a gap that another replica bridges so far, by replica."""
        self._is_proved = False
        """Whether a snapshot was emitted, and every record since continues it."""

    def take(self, replica: int, record: Orderbook) -> Sequence[BookRecord]:
        """Take the next record of a replica."""
        mark = Mark(event_time_ns(record), -1 if record.sequence is None else record.sequence)
        if record.action == "snapshot":
            return self._snapshot(replica, record, mark)
        return self._update(replica, record, mark)

    def gap(self, replica: int, gap: Gap) -> Sequence[BookRecord]:
        """Take a gap record: the replica is out of sync until its next snapshot."""
        self._in_sync.discard(replica)
        ahead = self._ahead.pop(replica, None)
        events = [*self._events.pop(replica, []), *(ahead.events if ahead else []), gap]
        if self._in_sync:
            self._events[replica] = events
            return []
        self._is_proved = False
        return events

    def close(self, replica: int, event: Repaired | Lost) -> Sequence[BookRecord]:
        """Take the end of a gap, which precedes the snapshot."""
        if replica in self._events:
            self._events[replica].append(event)
            return []
        return [event]

    def end(self, replica: int) -> None:
        """End the records of a replica's process."""
        self._in_sync.discard(replica)
        self._ahead.pop(replica, None)
        self._events.pop(replica, None)

    def _snapshot(self, replica: int, record: Orderbook, mark: Mark) -> Sequence[BookRecord]:
        if record.cause in REPEATED and replica in self._in_sync and self._is_known(mark):
            return []  # it only repeats the state for readers that start here
        events = self._events.pop(replica, [])
        self._ahead.pop(replica, None)
        if not self._in_sync - {replica}:
            return [*events, *self._start(replica, record, mark)]
        if self._is_known(mark):
            self._in_sync.add(replica)
        else:
            self._in_sync.discard(replica)
            self._ahead[replica] = _Ahead(record.receive_time_ns, Book(record), events)
        return []

    def _is_known(self, mark: Mark) -> bool:
        """Whether the merged book has been in this state. A snapshot may be later than the change that led to it."""
        return self._head is not None and (self._is_past(mark) or mark.sequence == self._head.sequence)

    def _is_past(self, mark: Mark) -> bool:
        ends = self._turns if self._head is None else [self._head, *self._turns]
        return any(mark.time_ns <= end.time_ns and mark.sequence <= end.sequence for end in ends)

    def _advance(self, mark: Mark) -> None:
        head, self._head = self._head, mark
        if head is not None and (mark.time_ns < head.time_ns or mark.sequence < head.sequence):
            self._turns = [head, *self._turns][:TURNS_KEPT]

    def _start(self, replica: int, snapshot: Orderbook, mark: Mark) -> Sequence[BookRecord]:
        self._advance(mark)
        self._is_proved, self._in_sync = True, {replica}
        return [snapshot]

    def _update(self, replica: int, record: Orderbook, mark: Mark) -> Sequence[BookRecord]:
        head = self._head
        if head is not None and (self._is_past(mark) or record.previous_sequence == head.sequence):
            self._ahead.pop(replica, None)
            if self._is_proved:
                self._in_sync.add(replica)
            if record.previous_sequence != head.sequence or mark == head:
                return []
            self._advance(mark)
            return [record]
        return self._update_ahead(replica, record, mark)

    def _update_ahead(self, replica: int, record: Orderbook, mark: Mark) -> Sequence[BookRecord]:
        """Take an update that does not continue the merged book. Others in sync may reach it in a moment."""
        self._in_sync.discard(replica)
        ahead = self._ahead.setdefault(replica, _Ahead(record.receive_time_ns, None))
        if ahead.book is not None and is_next(ahead.book, record):
            ahead.book.apply(record)
        else:
            ahead.book = None
        if self._in_sync and record.receive_time_ns - ahead.since_ns < CATCH_UP_NS:
            return []
        del self._ahead[replica]
        if ahead.book is not None:
            snapshot = ahead.book.snapshot(record.exchange, record.symbol, record.receive_time_ns)
            return [*ahead.events, *self._start(replica, snapshot, mark)]
        self._advance(mark)
        self._is_proved, self._in_sync = False, set()
        return [*ahead.events, record]
