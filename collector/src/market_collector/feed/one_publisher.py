"""Publishes each book from one connection, where the books of two connections differ although both are right."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from market_collector.book.book import Book
from market_collector.book.packed_update import PackedUpdate, pack
from market_collector.book.rule import BookRule
from market_collector.feed.published_book import PublishedBooks
from market_collector.feed.stream_state import BookProgress
from market_collector.model.events import Orderbook, Record
from market_collector.model.moment import Moment
from market_collector.model.reasons import GapReason
from market_collector.model.streams import Stream

UPDATES_KEPT = 50
"""Of a connection that does not publish: 5 s of a book that changes every 100 ms."""


class OnePublisherBooks(PublishedBooks):
    """All order books of one process. Each has a publisher while a connection has it in sync."""

    def add_snapshot(
        self, progress: BookProgress, connection: int, book: Book, snapshot: Orderbook, now: Moment
    ) -> list[Record]:
        """Take a connection's snapshot. It is published unless another connection publishes the book."""
        progress.books[connection] = book
        if progress.publisher != connection and progress.publisher in progress.books:
            return []
        return self._start(progress, book, snapshot, now)

    def _start(self, progress: BookProgress, book: Book, snapshot: Orderbook, now: Moment) -> list[Record]:
        progress.publisher = next(number for number, each in progress.books.items() if each is book)
        return super()._start(progress, book, snapshot, now)

    def _current(self, progress: BookProgress) -> list[Book]:
        return [book for number, book in progress.books.items() if number == progress.publisher]


class Trail:
    """An earlier state of a connection's book, and the updates that led from it to the present one."""

    def __init__(self, snapshot: Orderbook) -> None:
        self.book = Book(snapshot, is_packed=True)
        self.updates: deque[PackedUpdate] = deque()

    def add(self, update: Orderbook) -> None:
        """Keep an update."""
        if len(self.updates) == UPDATES_KEPT:
            self.book.apply(self.updates.popleft().unpack())
        self.updates.append(pack(update))

    def advance(self, head: int | None, rule: BookRule) -> bool:
        """Advance to this state, or past the update that leads on from it. Returns whether that was possible."""
        while self.book.sequence != head:
            if not self.updates:
                return False
            update = self.updates.popleft().unpack()
            self.book.apply(update)
            if rule.is_next(head, update):
                return True
        return True


class KnownRangeBooks(OnePublisherBooks):
    """Books of which each connection knows another range of prices.

    When the publisher has ended, another connection starts with a snapshot of its range, in the state that follows. It
    may be ahead of the publisher, whose updates end elsewhere, so its last updates are kept.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._trails: dict[tuple[Stream, int], Trail] = {}
        """By stream and connection, of those that do not publish."""

    def add_snapshot(
        self, progress: BookProgress, connection: int, book: Book, snapshot: Orderbook, now: Moment
    ) -> list[Record]:
        """Take a connection's snapshot, and keep it unless it is published."""
        records = super().add_snapshot(progress, connection, book, snapshot, now)
        if progress.publisher != connection:
            self._trails[progress.stream, connection] = Trail(snapshot)
        return records

    def add_update(self, progress: BookProgress, book: Book, update: Orderbook, now: Moment) -> Sequence[Record]:
        """Publish an update of the publisher's book, or the first state of its successor that is new."""
        if progress.books.get(progress.publisher) is book:
            return PublishedBooks.add_update(self, progress, book, update, now)  # `super()` takes twice as long
        if progress.publisher in progress.books:
            self._keep(progress, book, update, now)
            return ()
        if not self._rule.is_next(progress.head, update):
            return ()
        return self._start(progress, book, self._snapshot(progress, book, now), now)

    def _keep(self, progress: BookProgress, book: Book, update: Orderbook, now: Moment) -> None:
        key = progress.stream, next(number for number, each in progress.books.items() if each is book)
        if key in self._trails:
            self._trails[key].add(update)
        else:
            self._trails[key] = Trail(self._snapshot(progress, book, now))

    def can_continue(self, progress: BookProgress, connection: int) -> bool:
        """A snapshot over REST is ahead of the publisher, which must reach it first."""
        trail = self._trails.get((progress.stream, connection))
        if trail is None or progress.publisher not in progress.books:
            return True
        return (trail.book.sequence or 0) <= (progress.head or 0)

    def remove(self, progress: BookProgress, connection: int, reason: GapReason, now: Moment) -> list[Record]:
        """Drop a connection's book. After the publisher's, the newest other one that can continue starts."""
        self._trails.pop((progress.stream, connection), None)
        if connection == progress.publisher and connection in progress.books:
            for number in sorted(progress.books.keys() - {connection}, reverse=True):
                if records := self._take_over(progress, number, now):
                    del progress.books[connection]
                    return records
        return super().remove(progress, connection, reason, now)

    def _take_over(self, progress: BookProgress, number: int, now: Moment) -> list[Record]:
        """Publish a connection's snapshot in the state that follows, and the updates that led on from there."""
        trail = self._trails.pop((progress.stream, number), None)
        if trail is None or not trail.advance(progress.head, self._rule):
            return []
        progress.publisher, book = number, trail.book
        records = PublishedBooks._start(self, progress, book, self._snapshot(progress, book, now), now)
        for update in map(PackedUpdate.unpack, trail.updates):
            book.apply(update)
            records += super().add_update(progress, book, update, now)
        return records

    def check_left_behind(self, progress: BookProgress, now: Moment) -> list[Record]:
        """Start with a connection's snapshot if it has the state published last, as no update may come for hours."""
        if progress.publisher not in progress.books:
            for book in progress.books.values():
                if book.sequence == progress.head:
                    return self._start(progress, book, self._snapshot(progress, book, now), now)
        return super().check_left_behind(progress, now)
