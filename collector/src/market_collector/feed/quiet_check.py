"""Decides what REST's answers mean for a stream without data: quiet, stale, refused, or unknown."""

from market_collector.errors import InstrumentRefusedError
from market_collector.exchanges.freshness import by_number
from market_collector.exchanges.interface import Exchange, Finding, Freshness, Seen, Sign, Top
from market_collector.feed.book_sync import BookSync
from market_collector.feed.effects import Effect, Emit, Reconnect, Warn
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import IdProgress, StateProgress
from market_collector.feed.subscription import BookSubscription, StreamSubscription, Subscriptions, retry_delay_s
from market_collector.model.events import Level, Record
from market_collector.model.moment import Moment
from market_collector.model.reasons import GapReason, ResyncReason
from market_collector.model.streams import DataType, StreamState

PROOF_S = 600.0
"""A stream that only overviews confirmed for this long is probed by itself: a cache may be stuck, or a book may have
changed below its best prices."""

MAX_RESUBSCRIBES = 20
"""More within `RESUBSCRIBE_WINDOW_S` need another connection. OKX allows 480 requests an hour and connection."""
RESUBSCRIBE_WINDOW_S = 300.0


class QuietCheck:
    """Judges the streams of one connection."""

    def __init__(self, exchange: Exchange, ledger: Ledger, subscriptions: Subscriptions, book_sync: BookSync) -> None:
        self.last_idle_at = float("-inf")
        """Since when the stream that became quiet last has had no data, monotonic seconds."""
        self._resubscribed_at: list[float] = []
        self._rest_api = exchange.rest_api
        self._ledger = ledger
        self._subscriptions = subscriptions
        self._book_sync = book_sync

    # -- no answer

    def expect_answer(self, subscription: StreamSubscription) -> None:
        """Until it is answered, nobody knows whether a stream is quiet or stale."""
        progress = subscription.progress
        is_known = progress.unchecked and not _has_new_data(subscription)
        if not is_known and subscription.newer_at < progress.last_at:
            progress.unchecked = "no answer yet"

    def leave_unchecked(self, subscription: StreamSubscription, reason: str, now: Moment) -> None:
        """A stream's question has no usable answer."""
        if not _has_new_data(subscription):
            subscription.progress.unchecked = reason
            subscription.progress.age(now, self._ledger.stale_after_s)

    # -- the overview

    def on_sign(self, subscription: StreamSubscription, sign: Sign, now: Moment) -> list[Effect] | None:
        """Judge the sign of a stream's newest event; None if the stream needs a probe of its own.

        One whose proof is old is confirmed until its probe is answered.
        """
        progress = subscription.progress
        subscription.seen = sign
        if isinstance(sign, int):
            last = subscription.progress.last
            known = seen_of(subscription).answer if last is None else self._rest_api.mark(last)
            return self.on_freshness(subscription, by_number(sign, known), now)
        if subscription.proven == sign and subscription.proven_at >= progress.last_at:
            self._confirm(subscription, now)
            return [] if now.at - subscription.proven_at < PROOF_S else None
        is_first = progress.last is None and subscription.proven is None and progress.state is not StreamState.REFUSED
        if is_first and sign:
            self._prove(subscription, now)
            return []
        return None

    def confirm_book(self, subscription: StreamSubscription, now: Moment) -> bool:
        """Confirm a book whose best prices agree with the overview. It reads the whole book, so compare few at once."""
        is_expired = subscription.proven_at >= subscription.progress.last_at
        if is_expired or not isinstance(subscription, BookSubscription) or not isinstance(subscription.seen, Top):
            return False
        if subscription.seen != _top(subscription):
            return False
        self._prove(subscription, now)
        self._confirm(subscription, now)
        return True

    def _prove(self, subscription: StreamSubscription, now: Moment) -> None:
        subscription.proven, subscription.proven_at = subscription.seen, now.at

    # -- a stream's own probe

    def on_freshness(self, subscription: StreamSubscription, freshness: Freshness, now: Moment) -> list[Effect]:
        """A stream is quiet when REST has nothing newer; otherwise it is subscribed again once it is stale."""
        progress = subscription.progress
        if subscription.acked_at is None or _has_new_data(subscription):
            return []
        if progress.state is StreamState.REFUSED:
            return self._serve_again(subscription, now)
        if freshness.finding is Finding.EMPTY:  # a complete answer: the exchange has nothing
            subscription.asked_at = None
        elif isinstance(subscription, BookSubscription) and subscription.book is None:
            return []  # a book without a snapshot is never merely quiet
        if freshness.evidence is not None:
            subscription.answer, subscription.answer_at = freshness.evidence, now.at
        return self._on_finding(subscription, freshness, now)

    def _on_finding(self, subscription: StreamSubscription, freshness: Freshness, now: Moment) -> list[Effect]:
        progress = subscription.progress
        match freshness.finding:
            case Finding.NEWER:
                return self._on_newer(subscription, freshness, now)
            case Finding.OLDER if isinstance(progress, StateProgress) and progress.older_at > progress.last_at:
                return self._go_back(progress, freshness, now)
            case Finding.OLDER:
                reason = f"its answer is older than the last data ({freshness.detail})"
                self.leave_unchecked(subscription, reason, now)
            case Finding.UNKNOWN if freshness.detail:
                self.leave_unchecked(subscription, freshness.detail, now)
            case Finding.UNKNOWN:
                self._prove(subscription, now)
            case Finding.QUIET | Finding.EMPTY:
                self._prove(subscription, now)
                self._confirm(subscription, now)
        return []

    def _go_back(self, progress: StateProgress, freshness: Freshness, now: Moment) -> list[Effect]:
        """Publish states from an earlier time: the channel and REST agree that the last one's time was too late."""
        progress.last = None
        states = "tickers" if progress.stream.data_type is DataType.TICKER else "states"
        detail = f"the exchange's {states} are older than the last one ({freshness.detail})"
        return [Emit([self._ledger.resync(progress.stream, ResyncReason.CLOCK_SET_BACK, detail, now)])]

    def _confirm(self, subscription: StreamSubscription, now: Moment) -> None:
        progress = subscription.progress
        self.last_idle_at = max(self.last_idle_at, progress.last_at, subscription.acked_at or 0.0)
        self._ledger.confirm(progress, now)

    def _on_newer(self, subscription: StreamSubscription, freshness: Freshness, now: Moment) -> list[Effect]:
        progress = subscription.progress
        subscription.newer_at, progress.unchecked = now.at, ""
        if isinstance(progress, IdProgress) and freshness.newest is not None:
            self._ledger.ids.expect(progress, freshness.newest, now)
        if progress.state is StreamState.UNKNOWN:
            progress.age(now, self._ledger.stale_after_s)
        if progress.state is not StreamState.STALE or now.at < subscription.resubscribe_at:
            return []
        reason = f"silent, but the exchange has newer data ({freshness.detail})"
        self._resubscribed_at = [at for at in self._resubscribed_at if now.at - at < RESUBSCRIBE_WINDOW_S]
        if len(self._resubscribed_at) >= MAX_RESUBSCRIBES:
            return [Reconnect(f"{progress.stream} is {reason}, like others of this connection")]
        self._resubscribed_at.append(now.at)
        subscription.resubscribe_at = now.at + retry_delay_s(subscription.resubscribes)
        subscription.resubscribes += 1
        return self._resubscribe(subscription, reason, now)

    def _resubscribe(self, subscription: StreamSubscription, reason: str, now: Moment) -> list[Effect]:
        stream = subscription.progress.stream
        events: list[Record] = [self._ledger.resync(stream, ResyncReason.SILENT, reason, now)]
        if isinstance(subscription, BookSubscription):
            events += self._book_sync.discard(subscription, GapReason.SILENT, now)
        return [Emit(events), Warn(f"{stream}: {reason}"), *self._subscriptions.resubscribe([stream], now)]

    # -- instruments that the exchange does not serve

    def on_refusal(self, subscription: StreamSubscription, error: InstrumentRefusedError, now: Moment) -> list[Effect]:
        """REST refuses the instrument of a subscribed stream: it was delisted."""
        if subscription.acked_at is None or _has_new_data(subscription):
            return []
        self._prove(subscription, now)
        return self._subscriptions.refuse_served(subscription, error.reason, str(error), now)

    def _serve_again(self, subscription: StreamSubscription, now: Moment) -> list[Effect]:
        """REST serves the instrument of a refused stream again: it was listed again."""
        stream = subscription.progress.stream
        subscription.answer, subscription.proven, subscription.refusals = None, None, 0
        self._ledger.expect_data(subscription.progress, now)
        return [Warn(f"{stream}: served by the exchange again"), *self._subscriptions.resubscribe([stream], now)]


def seen_of(subscription: StreamSubscription) -> Seen:
    """Return the data of a stream that an answer is compared with."""
    progress = subscription.progress
    is_newest = progress.last_at <= subscription.answer_at
    book = subscription.book if isinstance(subscription, BookSubscription) else None
    return Seen(progress.last, progress.evidence, subscription.answer if is_newest else None, book)


def _has_new_data(subscription: StreamSubscription) -> bool:
    """Return whether data came after the probe was sent, which the answer cannot know."""
    return subscription.progress.last_at > subscription.probed_at


def _top(subscription: BookSubscription) -> Top | None:
    book = subscription.book
    if book is None:
        return None
    bids, asks = book.best_bids(1), book.best_asks(1)
    bid, ask = bids[0] if bids else NO_LEVEL, asks[0] if asks else NO_LEVEL
    return Top(bid.price, bid.amount, ask.price, ask.amount)


NO_LEVEL = Level("", "")
