"""Order books of one connection: keeps them in sync, and resyncs those whose continuity is broken.

The steps are those of OKX's published recipe for maintaining a book.
"""

from collections.abc import Sequence
from typing import cast

from msgspec import structs

from market_collector.book.book import ALL_LEVELS, Book
from market_collector.book.known_range import KnownRange, known_range
from market_collector.book.rule import BookWindow, Proof
from market_collector.errors import FrameError
from market_collector.exchanges.interface import Exchange
from market_collector.feed.effects import Answer, Effect, Emit, Fetch, Question, Reconnect, Warn
from market_collector.feed.ledger import Ledger
from market_collector.feed.rest_snapshots import RestSnapshots
from market_collector.feed.stream_state import UNPROVED
from market_collector.feed.subscription import BookSubscription, Subscriptions, retry_delay_s
from market_collector.model.events import TRADING, Data, Instrument, Orderbook, Record
from market_collector.model.moment import Moment
from market_collector.model.reasons import GapReason, ResyncReason
from market_collector.model.streams import Stream, StreamState

NOT_OF_THE_CONNECTION = (ResyncReason.UNREADABLE, ResyncReason.OUT_OF_RANGE)
"""Reasons that another connection would have as well."""
MAX_RESYNCS = 6
"""More resyncs of one book than this within `RESYNC_WINDOW_S` need another connection."""
RESYNC_WINDOW_S = 300.0
UNRELIABLE_AFTER = 3
"""Checksum mismatches within `RESYNC_WINDOW_S` after which a checksum that is the only proof counts as unreliable."""
CROSSED_GRACE_S = 1.0
"""In a continuous market a book is not crossed for longer than this."""
CHANGES_UNPACKED, UNPACKED_SHARE = 256, 32
"""A book is packed when more levels have changed than this (50 KB), and than this part of its levels."""
AUCTION_RECHECK_S = 30.0
"""Interval of checks whether an instrument with a crossed book is still in a call auction."""
RENEWAL_S = 10.0
"""Shortest time between two snapshots of a book that is in sync."""
RENEWAL_SHARE = 4
"""A book's known range is renewed when this part of the levels beyond the wanted ones is left."""
MAX_LOOKS = 24
"""Books examined at one check. One takes up to 0.3 ms, so a check holds up the data for less than 10 ms."""


class BookSync:
    """All order books of one connection."""

    def __init__(
        self,
        exchange: Exchange,
        ledger: Ledger,
        subscriptions: Subscriptions,
        connection: int,
        *,
        depth: int | None = None,
    ) -> None:
        """``depth`` is the wanted number of levels on each side; None for what the exchange sends."""
        self._exchange = exchange
        self._ledger = ledger
        self._subscriptions = subscriptions
        self._connection = connection
        self._books = subscriptions.books
        self._rule = exchange.books
        # Before Python 3.12 an enum member lookup takes 70 ns.
        self._is_exact = exchange.books.window is BookWindow.EXACT
        self._is_ranged = exchange.books.window is BookWindow.KNOWN_RANGE
        self._depth = depth
        self._publish = ledger.books.add_update
        source = exchange.book_snapshots
        self._snapshots = None if source is None else RestSnapshots(source, exchange.books, depth, ledger.complaints)

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
        book = Book(snapshot, is_packed=snapshot.checksum is None, is_partial=self._is_ranged)
        if snapshot.checksum is not None and not self._exchange.is_intact(book, snapshot.checksum):
            return self.start_resync(
                subscription, ResyncReason.CHECKSUM_MISMATCH, describe_link(subscription, snapshot), now
            )
        if subscription.was_crossed and book.is_crossed:
            return self.start_resync(subscription, ResyncReason.CROSSED, "the new snapshot, too", now)
        subscription.was_crossed = False
        subscription.book = book
        if self._is_ranged:
            subscription.known = known_range(snapshot)
        subscription.has_data = True
        subscription.crossed_since = None
        subscription.asked_at = subscription.ask_again_at = None
        subscription.unreadable = 0
        records = self._ledger.books.add_snapshot(subscription.progress, self._connection, book, snapshot, now)
        subscription.progress.observe(structs.replace(snapshot, bids=[], asks=[]), now)
        return [Emit(records)] if records else []

    def _on_update(self, subscription: BookSubscription, update: Orderbook, now: Moment) -> list[Effect]:
        book = subscription.book
        if book is None:  # out of sync: the gap is recorded and a snapshot requested
            return self._on_unsynced(subscription, update, now)
        if update.previous_sequence != book.sequence and not self._rule.is_next(book.sequence, update):
            return self._on_unlinked(subscription, book, update, now)
        if self._is_exact:
            book.apply(update)
        else:
            applied = self._apply_in_window(subscription, book, update, now)
            if book.has_empty_side and _is_used_up(subscription.known, book):
                return self._on_used_up(subscription, book, update, now)
            update = applied
        if update.checksum is not None and not self._exchange.is_intact(book, update.checksum):
            return self.start_resync(
                subscription, ResyncReason.CHECKSUM_MISMATCH, describe_link(subscription, update), now
            )
        progress = subscription.progress
        progress.observe(update, now)
        records = self._publish(progress, book, update, now)
        return [Emit(records)] if records else []

    def _apply_in_window(self, subscription: BookSubscription, book: Book, update: Orderbook, now: Moment) -> Orderbook:
        """Apply an update; return it as readers need it, with the deletions that keep their book the same."""
        if self._is_ranged:
            if subscription.fetching is not None and self._snapshots is not None:
                self._snapshots.wait(subscription, update, now)
            return book.apply_within(subscription.known, update)
        book.apply(update)
        bids, asks = book.trim(book.depth or ALL_LEVELS)
        if not bids and not asks:
            return update
        return structs.replace(update, bids=[*update.bids, *bids], asks=[*update.asks, *asks])

    def _on_used_up(self, subscription: BookSubscription, book: Book, update: Orderbook, now: Moment) -> list[Effect]:
        """Stop publishing a book with a side of which no level is known: the market has left the snapshot's prices."""
        if subscription.fetching is None and self._snapshots is not None:  # otherwise it waits already
            self._snapshots.wait(subscription, update, now)
        known, (bids, asks) = subscription.known, book.count()
        detail = f"{bids} bids from {known.lowest_bid:g} on and {asks} asks up to {known.highest_ask:g} are left"
        return self.start_resync(subscription, ResyncReason.OUT_OF_RANGE, detail, now)

    def _on_unlinked(self, subscription: BookSubscription, book: Book, update: Orderbook, now: Moment) -> list[Effect]:
        if self._rule.contains(book.sequence, update):
            self._ledger.books.duplicates += 1
            return []
        if self._snapshots is not None:
            self._snapshots.wait(subscription, update, now)
        return self.start_resync(subscription, ResyncReason.SEQUENCE_GAP, describe_link(subscription, update), now)

    def _on_unsynced(self, subscription: BookSubscription, update: Orderbook, now: Moment) -> list[Effect]:
        if self._snapshots is not None:
            self._snapshots.wait(subscription, update, now)
        else:
            self._ledger.skipped_updates += 1
        return []

    # -- snapshots over REST

    def request_snapshots(self, now: Moment) -> list[Effect]:
        """Request the snapshots that the connection does not bring."""
        if self._snapshots is None:
            return []
        held = [(each, each.held) for each in self._books if each.held is not None]
        effects = [effect for each, answer in held for effect in self.on_snapshot(each, answer, now)]
        return [*effects, *self._snapshots.requests(self._books, now)]

    def on_snapshot(self, subscription: BookSubscription, answer: Answer, now: Moment) -> list[Effect]:
        """Start the book with a snapshot from REST and the updates that waited for it."""
        assert self._snapshots is not None
        records, effects = self._snapshots.take(subscription, answer, now)
        if records and subscription.book is not None:
            return [*effects, *self._renew(subscription, records, now)]
        return [*effects, *self.on_records(subscription, records, now)]

    def _renew(self, subscription: BookSubscription, records: Sequence[Orderbook], now: Moment) -> list[Effect]:
        """Replace a book by one with the same state and a wider known range. Nothing is missing."""
        known, book = known_range(records[0]), Book(records[0], is_packed=True, is_partial=True)
        for update in records[1:]:
            book.apply_within(known, update)
        subscription.is_short, subscription.snapshot_at = False, now.at + RENEWAL_S
        if _is_used_up(known, book):
            return []
        subscription.known, subscription.book = known, book
        progress = subscription.progress
        snapshot = book.snapshot(self._exchange.name, progress.stream.symbol, now.wall_ns)
        published = self._ledger.books.add_snapshot(progress, self._connection, book, snapshot, now)
        return [Emit(published)] if published else []

    def on_missing(
        self, subscription: BookSubscription, reason: ResyncReason, message: str, now: Moment
    ) -> list[Effect]:
        """Stop publishing a book that lacks a message, or may lack one. `Subscriptions.repeat_due` requests it."""
        if subscription.book is not None:
            return self._lose_sync(subscription, reason, message, now)
        self._subscriptions.on_unreadable(subscription, now)
        return []

    # -- out of sync

    def start_resync(
        self, subscription: BookSubscription, reason: ResyncReason, detail: str, now: Moment
    ) -> list[Effect]:
        """Stop publishing a book whose continuity is broken, and request a snapshot (steps 2 and 8)."""
        return [*self._lose_sync(subscription, reason, detail, now), *self._subscriptions.repeat_due(now)]

    def _lose_sync(
        self, subscription: BookSubscription, reason: ResyncReason, detail: str, now: Moment
    ) -> list[Effect]:
        stream = subscription.progress.stream
        recent = (at for at in subscription.resyncs if now.at - at < RESYNC_WINDOW_S)
        subscription.resyncs = (*recent, now.at)
        gap_reason = GapReason(reason)
        events = [*self.discard(subscription, gap_reason, now), self._ledger.resync(stream, reason, detail, now)]
        effects: list[Effect] = [Emit(events), Warn(f"{stream}: {reason}: {detail}; asking for a new snapshot")]
        return effects + self._request_snapshot(subscription, reason, now)

    def discard(self, subscription: BookSubscription, reason: GapReason, now: Moment) -> list[Record]:
        """Drop the connection's book; returns the records of the gap that this opens, if any."""
        subscription.book = None
        return self._ledger.books.remove(subscription.progress, self._connection, reason, now)

    def release(self) -> None:
        """Drop all books and the updates that wait: the connection has ended.

        Objects of an ended connection refer to each other. They stay until the garbage collector runs, for minutes,
        because it does not count levels.
        """
        for subscription in self._books:
            subscription.book = subscription.held = None
            subscription.waiting.clear()

    def _request_snapshot(self, subscription: BookSubscription, reason: ResyncReason, now: Moment) -> list[Effect]:
        """Subscribe again: first at once, then after growing delays, finally on another connection.

        Where snapshots come over REST, the subscription stays. Where another connection would not help, its other
        streams would suffer.
        """
        stream, attempts = subscription.progress.stream, len(subscription.resyncs)
        if self._is_unreliable(reason, attempts):
            return self._give_up_for_now(subscription, now)
        if attempts > MAX_RESYNCS and reason not in NOT_OF_THE_CONNECTION:
            return [Reconnect(f"{stream} lost its sequence {attempts} times in {RESYNC_WINDOW_S:g} s")]
        ask_at = now.at if attempts == 1 else now.at + retry_delay_s(attempts - 2)
        if self._snapshots is not None:
            subscription.snapshot_at = ask_at
            return self._snapshots.requests([subscription], now)
        subscription.ask_again_at = ask_at
        return []

    def _is_unreliable(self, reason: ResyncReason, attempts: int) -> bool:
        """Whether snapshots do not help. Another connection would bring the same checksums, and interrupt others."""
        is_only_proof = self._rule.proof is Proof.CHECKSUM and reason == ResyncReason.CHECKSUM_MISMATCH
        return is_only_proof and attempts >= UNRELIABLE_AFTER

    def _give_up_for_now(self, subscription: BookSubscription, now: Moment) -> list[Effect]:
        """Publish nothing that cannot be proved, and try again later."""
        subscription.asked_at, subscription.ask_again_at = None, now.at + RESYNC_WINDOW_S
        message = f"the exchange's checksum did not match {UNRELIABLE_AFTER} times in {RESYNC_WINDOW_S:g} s"
        subscription.progress.set_state(StreamState.STALE, UNPROVED, now, message)
        return []

    # -- crossed books

    def check_crossed(self, now: Moment) -> list[Effect]:
        """Ask REST whether instruments whose book stays crossed are in an auction, until it is over.

        A book that only grows is resynced.
        Only books that changed since their last examination are examined, the least recently examined first.
        """
        changed = sorted(filter(_is_changed, self._books), key=lambda each: each.looked_at)
        effects = [effect for subscription in changed[:MAX_LOOKS] for effect in self._look(subscription, now)]
        return effects + [self._ask_state(each, now) for each in self._books if _is_state_due(each, now)]

    def _look(self, subscription: BookSubscription, now: Moment) -> list[Effect]:
        book = subscription.book
        assert book is not None
        subscription.looked_at = now.at
        if not book.is_crossed:
            subscription.crossed_since = None
        elif subscription.crossed_since is None:
            subscription.crossed_since = now.at
        if book.unpacked_levels > max(CHANGES_UNPACKED, book.size // UNPACKED_SHARE):
            book.pack()
        if self._is_ranged:
            subscription.is_short = self._is_short(subscription.known, book)
        if not book.is_too_large:
            return []
        detail = f"the book has {book.size} levels, and the exchange keeps {book.depth or 'fewer'} on each side"
        return self.start_resync(subscription, ResyncReason.UNREADABLE, detail, now)

    def _is_short(self, known: KnownRange, book: Book) -> bool:
        """Whether another snapshot is needed, some time before fewer levels than wanted are left."""
        wanted = self._depth or 0
        wanted += -(-max(0, (book.depth or 0) - wanted) // RENEWAL_SHARE)
        return known.is_short(*book.fewest, wanted) and known.is_short(*book.count(), wanted)

    def _ask_state(self, subscription: BookSubscription, now: Moment) -> Fetch:
        subscription.state_asked_at = now.at
        stream = subscription.progress.stream
        return Fetch(stream, Question.STATE, self._exchange.rest_api.state(stream))

    def on_state(self, subscription: BookSubscription, answer: bytes | None, now: Moment) -> list[Effect]:
        """Record the instrument's state. Resync a crossed book unless it is in a call auction (step 7).

        No answer counts as no auction.
        """
        found = self._read_state(subscription.progress.stream, answer, now)
        is_in_auction = any(each.status != TRADING for each in found)
        if found:
            subscription.is_in_auction = is_in_auction
        changed = self._ledger.instruments.update(found)
        effects: list[Effect] = [Emit(changed)] if changed else []
        return effects + self._on_crossed(subscription, now, may_be_crossed=is_in_auction)

    def _read_state(self, stream: Stream, answer: bytes | None, now: Moment) -> Sequence[Instrument]:
        try:
            read = self._exchange.rest_api.read_instruments
            return [] if answer is None else read({stream.symbol}, answer, now.wall_ns)
        except FrameError:
            return []

    def _on_crossed(self, subscription: BookSubscription, now: Moment, *, may_be_crossed: bool) -> list[Effect]:
        book, since = subscription.book, subscription.crossed_since
        if book is None or since is None or now.at - since < CROSSED_GRACE_S or not book.is_crossed:
            return []
        if may_be_crossed:
            return [Warn(f"{subscription.progress.stream}: the book is crossed, and the instrument is in an auction")]
        subscription.was_crossed = True
        return self.start_resync(subscription, ResyncReason.CROSSED, "best bid at or above best ask", now)


def _is_used_up(known: KnownRange, book: Book) -> bool:
    """Return whether no level is left of a side of which only a part is known."""
    return known.is_short(*book.count(), 1)


def _is_changed(subscription: BookSubscription) -> bool:
    return subscription.book is not None and subscription.progress.last_at >= subscription.looked_at


def _is_state_due(subscription: BookSubscription, now: Moment) -> bool:
    """Whether to ask about the instrument: soon for a crossing, then regularly until both have ended."""
    waited_s, since = now.at - subscription.state_asked_at, subscription.crossed_since
    if since is None or subscription.book is None or _is_changed(subscription) or now.at - since < CROSSED_GRACE_S:
        return subscription.is_in_auction and waited_s >= AUCTION_RECHECK_S
    return subscription.state_asked_at < since + CROSSED_GRACE_S or waited_s >= AUCTION_RECHECK_S


def describe_link(subscription: BookSubscription, record: Orderbook) -> str:
    """Describe a record's sequences and the one before, for messages."""
    last = subscription.book.sequence if subscription.book else None
    return f"after sequence {last} came {record.previous_sequence} → {record.sequence}"
