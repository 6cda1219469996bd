"""Order books of one connection: keeps them in sync, and resyncs those whose continuity is broken.

The steps are those of OKX's published recipe for maintaining a book.
"""

from collections.abc import Sequence
from typing import cast

from market_collector.book.book import Book
from market_collector.book.continuity import is_crossed, is_next
from market_collector.errors import FrameError
from market_collector.exchanges.interface import Exchange
from market_collector.feed.effects import Effect, Emit, Fetch, Question, Reconnect, Warn
from market_collector.feed.ledger import Ledger
from market_collector.feed.subscription import BookSubscription, Subscriptions, retry_delay_s
from market_collector.model.events import Data, Orderbook, Record
from market_collector.model.moment import Moment

MAX_RESYNCS = 6
"""More resyncs of one book than this within `RESYNC_WINDOW_S` need another connection."""
RESYNC_WINDOW_S = 300.0
CROSSED_GRACE_S = 1.0
"""In a continuous market a book is not crossed for longer than this."""
AUCTION_RECHECK_S = 30.0
"""Interval of checks whether an instrument with a crossed book is in a call auction."""


class BookSync:
    """All order books of one connection."""

    def __init__(self, exchange: Exchange, ledger: Ledger, subscriptions: Subscriptions, connection: int) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._subscriptions = subscriptions
        self._connection = connection

    # -- data

    def on_records(self, subscription: BookSubscription, records: Sequence[Data], now: Moment) -> list[Effect]:
        """Apply snapshots and updates; publish them while the book is in sync."""
        if len(records) == 1:  # nearly always
            return self._on_record(subscription, cast(Orderbook, records[0]), now)
        return [effect for record in records for effect in self._on_record(subscription, cast(Orderbook, record), now)]

    def _on_record(self, subscription: BookSubscription, record: Orderbook, now: Moment) -> list[Effect]:
        if record.action == "snapshot":
            return self._on_snapshot(subscription, record, now)
        return self._on_update(subscription, record, now)

    def _on_snapshot(self, subscription: BookSubscription, snapshot: Orderbook, now: Moment) -> list[Effect]:
        """Replace the whole book. A snapshot may arrive at any time (steps 1 and 5)."""
        book = Book(snapshot)
        if snapshot.checksum is not None and not self._exchange.is_intact(book, snapshot.checksum):
            return self.start_resync(subscription, "ChecksumMismatch", describe_link(subscription, snapshot), now)
        if subscription.was_crossed and is_crossed(book):
            return self.start_resync(subscription, "Crossed", "the new snapshot, too", now)
        subscription.was_crossed = False
        subscription.book = book
        subscription.has_data = True
        subscription.crossed_since = None
        subscription.asked_at = None
        records = self._ledger.books.add_snapshot(subscription.progress, self._connection, book, snapshot, now)
        subscription.progress.observe(snapshot, now)
        return [Emit(records)] if records else []

    def _on_update(self, subscription: BookSubscription, update: Orderbook, now: Moment) -> list[Effect]:
        book = subscription.book
        if book is None:  # out of sync: the gap is recorded and a snapshot requested
            self._ledger.skipped_updates += 1
            return []
        if not is_next(book, update):
            return self.start_resync(subscription, "SequenceGap", describe_link(subscription, update), now)
        book.apply(update)
        if update.checksum is not None and not self._exchange.is_intact(book, update.checksum):
            return self.start_resync(subscription, "ChecksumMismatch", describe_link(subscription, update), now)
        progress = subscription.progress
        progress.observe(update, now)
        if update.previous_sequence != progress.head:
            return []  # another connection has published it, or will
        progress.head = update.sequence
        return [Emit([update])]

    # -- out of sync

    def start_resync(self, subscription: BookSubscription, reason: str, detail: str, now: Moment) -> list[Effect]:
        """Stop publishing a book whose continuity is broken, and request a snapshot (steps 2 and 8)."""
        stream = subscription.progress.stream
        recent = (at for at in subscription.resyncs if now.at - at < RESYNC_WINDOW_S)
        subscription.resyncs = (*recent, now.at)
        detail = f"{reason}: {detail}"
        events = [*self.discard(subscription, reason, now), self._ledger.resync(stream, detail, now)]
        effects: list[Effect] = [Emit(events), Warn(f"{stream}: {detail}; asking for a new snapshot")]
        return effects + self._request_snapshot(subscription, now)

    def discard(self, subscription: BookSubscription, reason: str, now: Moment) -> list[Record]:
        """Drop the connection's book; returns the records of the gap that this opens, if any."""
        subscription.book = None
        return self._ledger.books.remove(subscription.progress, self._connection, reason, now)

    def _request_snapshot(self, subscription: BookSubscription, now: Moment) -> list[Effect]:
        """Subscribe again: first at once, then after growing delays, finally on another connection."""
        stream, attempts = subscription.progress.stream, len(subscription.resyncs)
        if attempts > MAX_RESYNCS:
            return [Reconnect(f"{stream} lost its sequence {attempts} times in {RESYNC_WINDOW_S:g} s")]
        if attempts == 1:
            return self._subscriptions.resubscribe([stream], now)
        subscription.ask_again_at = now.at + retry_delay_s(attempts - 2)
        return []

    # -- crossed books

    def check_crossed(self, now: Moment) -> list[Effect]:
        """Ask REST whether instruments whose book stays crossed are in an auction."""
        return [effect for each in self._subscriptions.books if each.book for effect in self._check_crossed(each, now)]

    def _check_crossed(self, subscription: BookSubscription, now: Moment) -> list[Effect]:
        assert subscription.book is not None
        if not is_crossed(subscription.book):
            subscription.crossed_since = None
        elif subscription.crossed_since is None:
            subscription.crossed_since = now.at
        elif now.at - subscription.crossed_since >= CROSSED_GRACE_S:
            subscription.crossed_since = now.at + AUCTION_RECHECK_S
            stream = subscription.progress.stream
            return [Fetch(stream, Question.STATE, self._exchange.rest_api.state(stream))]
        return []

    def on_trading_state(self, subscription: BookSubscription, answer: bytes | None, now: Moment) -> list[Effect]:
        """Resync a crossed book unless its instrument is in a call auction (step 7). No answer counts as no auction."""
        book, stream = subscription.book, subscription.progress.stream
        if book is None or subscription.crossed_since is None or not is_crossed(book):
            return []
        if self._is_trading(subscription, answer):
            subscription.was_crossed = True
            return self.start_resync(subscription, "Crossed", "best bid at or above best ask", now)
        return [Warn(f"{stream}: the book is crossed, and the instrument is in an auction")]

    def _is_trading(self, subscription: BookSubscription, answer: bytes | None) -> bool:
        try:
            return answer is None or self._exchange.rest_api.is_trading(subscription.progress.stream, answer)
        except FrameError:
            return True


def describe_link(subscription: BookSubscription, record: Orderbook) -> str:
    """Describe a record's sequences and the one before, for messages."""
    last = subscription.book.sequence if subscription.book else None
    return f"after sequence {last} came {record.previous_sequence} → {record.sequence}"
