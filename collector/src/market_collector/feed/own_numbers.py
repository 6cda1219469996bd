"""Publishes books of exchanges whose numbers count on one connection only.

One connection publishes a book, with running numbers of the collector. A reader sees by them that a record is missing
from a file. They start at the collector's clock, so those of two replicas differ.
"""

from collections.abc import Sequence

from msgspec import structs

from market_collector.book.book import Book
from market_collector.feed.one_publisher import OnePublisherBooks
from market_collector.feed.stream_state import BookProgress
from market_collector.model.events import Orderbook, Record
from market_collector.model.moment import Moment
from market_collector.model.reasons import GapReason


class OwnNumberedBooks(OnePublisherBooks):
    """All order books of one process. Each has a publisher while a connection has it in sync."""

    has_own_numbers = True

    def add_update(self, progress: BookProgress, book: Book, update: Orderbook, now: Moment) -> Sequence[Record]:
        """Publish an update of the publisher's book with the next number."""
        head = progress.head
        if head is None or progress.books.get(progress.publisher) is not book:
            return ()
        numbered = structs.replace(update, previous_sequence=head, sequence=head + 1)
        return super().add_update(progress, book, numbered, now)

    def remove(self, progress: BookProgress, connection: int, reason: GapReason, now: Moment) -> list[Record]:
        """Drop a connection's book. If it was the publisher's, another connection starts the book after a gap.

        There is no gap if that connection has the same book.
        """
        removed = progress.books.pop(connection, None)
        if not progress.books:
            return self._open_gap(progress, reason, now)
        if connection != progress.publisher:
            return []
        progress.publisher, book = _newest(progress)
        if removed is not None and _is_same(removed, book):
            return []
        return self._republish_snapshot(progress, book, reason, now)

    def hand_over(self, progress: BookProgress, connection: int, now: Moment) -> list[Record]:
        """Let the newest other connection publish; it starts with a snapshot, unless it has the same book."""
        others = [number for number in progress.books if number != connection]
        if progress.publisher != connection or not others:
            return []
        progress.publisher = max(others)
        book = progress.books[progress.publisher]
        if _is_same(progress.books[connection], book):
            return []
        return self._start(progress, book, self._snapshot(progress, book, now), now)

    def check_left_behind(self, progress: BookProgress, now: Moment) -> list[Record]:
        """Let the newest connection publish as soon as it has the published book: the earlier one will end."""
        number, book = _newest(progress)
        if number != progress.publisher and _is_same(progress.books[progress.publisher], book):
            progress.publisher = number
        return []

    def proved(self, progress: BookProgress) -> Book | None:
        """Return the book that has the state published last, with that number."""
        book = super().proved(progress)
        if book is not None:
            book.number = progress.head
        return book

    def _start(self, progress: BookProgress, book: Book, snapshot: Orderbook, now: Moment) -> list[Record]:
        head = now.wall_ns // 1000 if progress.head is None else progress.head + 1
        return super()._start(progress, book, structs.replace(snapshot, sequence=head), now)

    def _snapshot(self, progress: BookProgress, book: Book, now: Moment) -> Orderbook:
        return structs.replace(super()._snapshot(progress, book, now), sequence=progress.head)

    def _repeat(self, progress: BookProgress, book: Book, cause: str, now: Moment) -> Orderbook:
        repeated = super()._repeat(progress, book, cause, now)
        return structs.replace(repeated, sequence=progress.head, previous_sequence=progress.head)


def _newest(progress: BookProgress) -> tuple[int, Book]:
    return max(progress.books.items())


def _is_same(one: Book, other: Book) -> bool:
    """Return whether two books have the same levels, as one exchange writes them."""
    return one.bids == other.bids and one.asks == other.asks
