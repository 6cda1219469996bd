"""Publishes one sequence of states per order book, from whichever connection delivers it first.

Methods return the records to emit.
"""

from collections.abc import Mapping, Sequence

from msgspec import structs

from market_collector.book.book import Book
from market_collector.book.continuity import REORDER_WINDOW_S
from market_collector.book.rule import BookRule
from market_collector.feed.gaps import GapBounds, Gaps
from market_collector.feed.stream_state import Best, BookProgress
from market_collector.model.events import Event, Orderbook, Quote, Record
from market_collector.model.moment import Moment
from market_collector.model.reasons import EndReason, GapReason
from market_collector.model.streams import Stream, StreamState

CERTAIN = (StreamState.LIVE, StreamState.QUIET)
"""States of a stream whose last data is the exchange's newest."""
UPDATES_PER_LEVEL = 4
"""Updates for each level of a snapshot before the book is repeated. A level takes a tenth of an update's bytes."""
MAX_REPEATS = 24
"""Books repeated at one check. One takes up to 1 ms, so a check holds up the data for less than 25 ms."""


class PublishedBooks:
    """All order books of one process."""

    has_own_numbers = False
    """Whether the published numbers are the collector's, so that those of two processes cannot be compared."""

    def __init__(
        self,
        exchange: str,
        streams: Mapping[Stream, BookProgress],
        gaps: Gaps,
        rule: BookRule,
        *,
        has_quotes: bool = False,
    ) -> None:
        self.streams = streams
        self.has_quotes = has_quotes
        self.duplicates = 0
        """Updates whose changes the book of their connection contained already."""
        self._exchange = exchange
        self._gaps = gaps
        self._rule = rule

    def add_snapshot(
        self, progress: BookProgress, connection: int, book: Book, snapshot: Orderbook, now: Moment
    ) -> list[Record]:
        """Take a connection's snapshot. It is published unless another connection's book is in sync."""
        progress.books[connection] = book
        if any(each != connection for each in progress.books):
            return []
        return self._start(progress, book, snapshot, now)

    def add_update(self, progress: BookProgress, book: Book, update: Orderbook, now: Moment) -> Sequence[Record]:
        """Publish an update of a connection's book, unless another connection has published it, or will.

        The published update follows exactly the state that was published last.
        """
        head = progress.head
        if update.previous_sequence != head:
            if not self._rule.is_next(head, update):
                return ()
            update = structs.replace(update, previous_sequence=head)
        progress.head, progress.head_ns = update.sequence, update.exchange_time_ns
        progress.updates_left -= 1
        return [update, *self.quotes(progress, book, update)] if self.has_quotes else (update,)

    def remove(self, progress: BookProgress, connection: int, reason: GapReason, now: Moment) -> list[Record]:
        """Drop a connection's book: it is out of sync, or the connection ended.

        Opens the stream's gap unless another connection continues from the state published last.
        """
        if progress.books.pop(connection, None) is None and progress.books:
            return []
        if not progress.books:
            return self._open_gap(progress, reason, now)
        book = next(iter(progress.books.values()))
        if book.sequence is None or progress.head is None or book.sequence <= progress.head:
            return []
        return self._republish_snapshot(progress, book, reason, now)

    def can_continue(self, progress: BookProgress, connection: int) -> bool:
        """Return whether a connection whose book is in sync can publish without a gap, once the publisher is gone."""
        return True

    def hand_over(self, progress: BookProgress, connection: int, now: Moment) -> list[Record]:
        """Let another connection publish, as this one is about to be removed on purpose. Any of them can do so."""
        return []

    def check_left_behind(self, progress: BookProgress, now: Moment) -> list[Record]:
        """Republish a snapshot when every connection's book has left the published sequence.

        A book that is ahead of it, or numbered differently, would never link to it. A book that lags may need a moment.
        """
        for book in progress.books.values():  # a loop, as this runs for each book several times a second
            if book.sequence == progress.head:
                progress.left_behind_at = None
                return []
        if progress.left_behind_at is None:
            progress.left_behind_at = now.at
        if now.at - progress.left_behind_at >= REORDER_WINDOW_S:
            return self._republish_snapshot(
                progress, next(reversed(progress.books.values())), GapReason.LEFT_BEHIND, now
            )
        return []

    def current_snapshots(self, progress: BookProgress, now: Moment) -> list[Record]:
        """Return the state published last as a snapshot, if a connection has exactly that state."""
        return [self._snapshot(progress, book, now) for book in self._current(progress)]

    def repeat_all(self, cause: str, now: Moment) -> list[Orderbook] | None:
        """Return a snapshot of the published state of each book that is in sync.

        None while a book is between two connections: the one that has its state is gone, the other one lags. Updates
        of the second will continue that state.
        """
        repeated: list[Orderbook] = []
        for progress in self.streams.values():
            current = self._current(progress)
            if progress.books and not current:
                return None
            repeated += [self._repeat(progress, book, cause, now) for book in current]
        return repeated

    def repeat_due(self, interval_s: float, now: Moment) -> list[Orderbook]:
        """Return snapshots of books whose last one is older than the interval, and small against the updates since."""
        due = [
            (progress, book)
            for progress in self.streams.values()
            if progress.updates_left <= 0 and now.at - progress.snapshot_at >= interval_s
            for book in self._current(progress)
        ]
        repeated = []
        for progress, book in due[:MAX_REPEATS]:
            repeated.append(snapshot := self._repeat(progress, book, "interval", now))
            _count_from(progress, snapshot, now)
        return repeated

    def quotes(self, progress: BookProgress, book: Book, record: Orderbook) -> list[Quote]:
        """Return the best prices after a published record, if they have changed."""
        if not self.has_quotes:
            return []
        top = _top(book)
        if top == progress.top:
            return []
        progress.top = top
        return [_quote(record, top)]

    def current_quotes(self, progress: BookProgress, now: Moment) -> list[Record]:
        """Return the quote of the state published last, if a connection has exactly that state."""
        return [_quote(self._snapshot(progress, book, now), _top(book)) for book in self._current(progress)]

    def proved(self, progress: BookProgress) -> Book | None:
        """Return the book that has the state published last. Read it only.

        None while that is uncertain: out of sync, behind or ahead of the published state, or stale.
        """
        return next(iter(self._current(progress)), None) if progress.state in CERTAIN else None

    def resume(self, progress: BookProgress, head: int | None, head_ns: int | None, now: Moment) -> list[Record]:
        """Continue from the sequence that an earlier process published last, with its exchange time.

        Later updates are missing until the first snapshot: opens a gap, unless one is open already.
        """
        if head is None:
            return []
        progress.head, progress.head_ns = head, head_ns
        return self.open_unseen(progress, head, head_ns, GapReason.RESTARTED, now)

    def open_unseen(
        self, progress: BookProgress, after: int | None, from_ns: int | None, reason: GapReason, now: Moment
    ) -> list[Record]:
        """Open the gap in which no process of the resource saw the book, unless one is open already.

        ``after`` is the sequence published last, with its exchange time ``from_ns``; None if unknown. If a snapshot was
        published since, the gap is lost at once: no exchange offers past updates.
        """
        events: list[Record] = []
        if progress.gap_id is None:
            gap, *_ = self._gaps.open(progress.stream, GapBounds(after=after, from_ns=from_ns), reason, now)
            progress.gap_id = gap.gap_id
            events.append(gap)
        if progress.first is None:
            return events
        return [*events, *self._close_gap(progress, progress.first, progress.first_ns, now)]

    def _current(self, progress: BookProgress) -> list[Book]:
        return [book for book in progress.books.values() if book.sequence == progress.head][:1]

    def _republish_snapshot(self, progress: BookProgress, book: Book, reason: GapReason, now: Moment) -> list[Record]:
        events = self._open_gap(progress, reason, now)
        return [*events, *self._start(progress, book, self._snapshot(progress, book, now), now)]

    def _start(self, progress: BookProgress, book: Book, snapshot: Orderbook, now: Moment) -> list[Record]:
        """Publish a snapshot that starts the book, with its quote even if the prices are those before a gap."""
        progress.head, progress.head_ns = snapshot.sequence, snapshot.exchange_time_ns
        if progress.first is None:
            progress.first, progress.first_ns = snapshot.sequence, snapshot.exchange_time_ns or snapshot.receive_time_ns
        _count_from(progress, snapshot, now)
        progress.top = None
        return [
            *self._close_gap(progress, snapshot.sequence, snapshot.exchange_time_ns, now),
            snapshot,
            *self.quotes(progress, book, snapshot),
        ]

    def _repeat(self, progress: BookProgress, book: Book, cause: str, now: Moment) -> Orderbook:
        return book.snapshot(self._exchange, progress.stream.symbol, now.wall_ns, cause)

    def _snapshot(self, progress: BookProgress, book: Book, now: Moment) -> Orderbook:
        """Return the book as a record: the exchange sends none, since nothing is wrong on its side."""
        return book.snapshot(self._exchange, progress.stream.symbol, now.wall_ns)

    def _open_gap(self, progress: BookProgress, reason: GapReason, now: Moment) -> list[Record]:
        if progress.gap_id is not None or not isinstance(progress.last, Orderbook):
            return []
        bounds = GapBounds(after=progress.head, from_ns=progress.head_ns)
        gap, *_ = self._gaps.open(progress.stream, bounds, reason, now)
        progress.gap_id = gap.gap_id
        return [gap]

    def _close_gap(self, progress: BookProgress, sequence: int | None, time_ns: int | None, now: Moment) -> list[Event]:
        """Close the stream's gap: a snapshot with this sequence and exchange time replaces the book.

        No exchange offers past updates, so the gap is lost, unless the sequence shows that there were none.
        """
        if progress.gap_id is None:
            return []
        known, progress.gap_id = self._gaps.known[progress.gap_id], None
        known.resumes(to_ns=time_ns, sequence=sequence)
        if sequence is not None and known.gap.after_sequence == sequence:
            return [self._gaps.close(known, EndReason.NOTHING_CHANGED, now)]
        return [self._gaps.close_lost(known, EndReason.REPLACED_BY_SNAPSHOT, now)]


def _count_from(progress: BookProgress, snapshot: Orderbook, now: Moment) -> None:
    """Start to count the updates after a published snapshot."""
    progress.snapshot_at = now.at
    progress.updates_left = UPDATES_PER_LEVEL * (len(snapshot.bids) + len(snapshot.asks))


def _top(book: Book) -> Best:
    """Return the best bid with its amount, and the best ask with its amount."""
    bids, bid_amounts, asks, ask_amounts = book.best(1)
    bid = (bids[0], bid_amounts[0]) if bids else (None, None)
    ask = (asks[0], ask_amounts[0]) if asks else (None, None)
    return *bid, *ask


def _quote(record: Orderbook, top: Best) -> Quote:
    return Quote(
        record.exchange, record.symbol, record.exchange_time_ns, record.receive_time_ns, *top, record.sequence, "book"
    )
