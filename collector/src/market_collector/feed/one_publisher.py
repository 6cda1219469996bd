"""Publishes each book from one connection, where the books of two connections differ although both are right."""

from collections.abc import Sequence

from market_collector.book.book import Book
from market_collector.feed.published_book import PublishedBooks
from market_collector.feed.stream_state import BookProgress
from market_collector.model.events import Orderbook, Record
from market_collector.model.moment import Moment


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


class KnownRangeBooks(OnePublisherBooks):
    """Books of which each connection knows another range of prices.

    When the publisher has ended, another connection starts with a snapshot of its range, in the state that follows.
    """

    def add_update(self, progress: BookProgress, book: Book, update: Orderbook, now: Moment) -> Sequence[Record]:
        """Publish an update of the publisher's book, or the first state of its successor that is new."""
        if progress.publisher in progress.books:
            is_publisher = progress.books[progress.publisher] is book
            return super().add_update(progress, book, update, now) if is_publisher else ()
        if not self._rule.is_next(progress.head, update):
            return ()
        return self._start(progress, book, self._snapshot(progress, book, now), now)

    def check_left_behind(self, progress: BookProgress, now: Moment) -> list[Record]:
        """Start with a connection's snapshot if it has the state published last, as no update may come for hours."""
        if progress.publisher not in progress.books:
            for book in progress.books.values():
                if book.sequence == progress.head:
                    return self._start(progress, book, self._snapshot(progress, book, now), now)
        return super().check_left_behind(progress, now)
