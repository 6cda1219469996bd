"""Snapshots that an exchange sends over REST, while the updates wait that a connection brings meanwhile."""

from collections.abc import Iterable

from msgspec import structs

from market_collector.book.packed_update import pack
from market_collector.book.rule import BookRule
from market_collector.errors import FrameError
from market_collector.exchanges.interface import BookSnapshots
from market_collector.feed.complaints import Complaints
from market_collector.feed.effects import Answer, Effect, Fetch, Question
from market_collector.feed.subscription import BookSubscription
from market_collector.model.events import Orderbook
from market_collector.model.moment import Moment

WAIT_S = 10.0
"""Time for which updates wait. A snapshot may be older than these, but not by more."""
RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 60.0)
"""Delays before a snapshot is requested again. It is usually older than the first update, which a moment cures."""


class _UnusableError(Exception):
    """An answer that starts no book. Its message says why."""


class RestSnapshots:
    """Requests snapshots of a connection's books and joins them with the updates."""

    def __init__(self, source: BookSnapshots, rule: BookRule, depth: int | None, complaints: Complaints) -> None:
        self._source = source
        self._rule = rule
        self._depth = depth
        self._complaints = complaints

    def wait(self, subscription: BookSubscription, update: Orderbook, now: Moment) -> None:
        """Keep an update until there is a snapshot. Those kept follow each other."""
        waiting = subscription.waiting
        last = waiting[-1][1].head.sequence if waiting else None
        if self._rule.contains(last, update):
            return
        if waiting and not self._rule.is_next(last, update):
            waiting.clear()
        while waiting and now.at - waiting[0][0] > WAIT_S:
            waiting.popleft()
        waiting.append((now.at, pack(update)))

    def requests(self, subscriptions: Iterable[BookSubscription], now: Moment) -> list[Effect]:
        """Return the requests that are due. One made before the acknowledgement would not prove a quiet book."""
        return [self._request(each) for each in subscriptions if _is_due(each, now)]

    def _request(self, subscription: BookSubscription) -> Fetch:
        subscription.fetching = subscription.acked_at
        stream = subscription.progress.stream
        return Fetch(stream, Question.SNAPSHOT, self._source.request(stream, self._depth))

    def take(self, subscription: BookSubscription, answer: Answer, now: Moment) -> tuple[list[Orderbook], list[Effect]]:
        """Return the snapshot and the updates that continue it; none and warnings if it is requested again.

        One that is ahead of a book in sync is held until the book reaches it.
        """
        subscription.held = None
        try:
            snapshot, body = self._read(subscription, answer, now)
            if _is_ahead(subscription, snapshot):
                subscription.held = body
                return [], []
            records = self._join(subscription, snapshot)
        except _UnusableError as error:
            return [], self._try_later(subscription, str(error), now)
        subscription.waiting.clear()
        subscription.fetching, subscription.snapshot_tries = None, 0
        return records, []

    def _read(self, subscription: BookSubscription, answer: Answer, now: Moment) -> tuple[Orderbook, bytes]:
        if subscription.acked_at != subscription.fetching:
            raise _UnusableError("it was requested for an earlier subscription")
        if not isinstance(answer, bytes):
            raise _UnusableError(str(answer))
        try:
            return self._source.read(subscription.progress.stream, self._depth, answer, now.wall_ns), answer
        except FrameError as error:
            raise _UnusableError(str(error)) from error

    def _join(self, subscription: BookSubscription, snapshot: Orderbook) -> list[Orderbook]:
        at, book = snapshot.sequence, subscription.book
        later = [kept for _, kept in subscription.waiting if not self._rule.contains(at, kept.head)]
        if later and not self._rule.is_next(at, later[0].head):
            raise _UnusableError(f"it is older than the updates: {at}, then {later[0].head.previous_sequence}")
        if book is not None and book.sequence != (later[-1].head if later else snapshot).sequence:
            raise _UnusableError(f"it is older than the book: {at}, then {book.sequence}")
        if snapshot.exchange_time_ns is None:
            snapshot = structs.replace(snapshot, exchange_time_ns=_time_ns(subscription, at))
        return [snapshot, *(kept.unpack() for kept in later)]

    def _try_later(self, subscription: BookSubscription, problem: str, now: Moment) -> list[Effect]:
        stream, delay_s = subscription.progress.stream, RETRY_S[min(subscription.snapshot_tries, len(RETRY_S) - 1)]
        subscription.fetching, subscription.snapshot_at = None, now.at + delay_s
        subscription.snapshot_tries += 1
        return [*self._complaints.warn(f"{stream}: snapshot", f"{stream}: no snapshot: {problem}", now)]


def _time_ns(subscription: BookSubscription, at: int | None) -> int | None:
    """Return the exchange time of the update that led to a state, or of the next one; None while neither is known."""
    waiting = [each.head for _, each in subscription.waiting]
    return next((each.exchange_time_ns for each in waiting if (each.sequence or 0) >= (at or 0)), None)


def _is_ahead(subscription: BookSubscription, snapshot: Orderbook) -> bool:
    """Whether a book in sync must first reach the snapshot, as no published state may be skipped."""
    at = None if subscription.book is None else subscription.book.sequence
    return at is not None and snapshot.sequence is not None and snapshot.sequence > at


def _is_due(subscription: BookSubscription, now: Moment) -> bool:
    is_wanted = (subscription.book is None or subscription.is_short) and subscription.acked_at is not None
    return is_wanted and subscription.fetching is None and now.at >= subscription.snapshot_at
