"""Requests of one connection for the recent trades of interrupted streams."""

from collections.abc import Sequence

from market_collector.errors import FrameError, RequestFailedError
from market_collector.exchanges.interface import RecentTrades
from market_collector.feed.effects import Answer, Effect, Emit, Fetch, Question
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import UnnumberedProgress
from market_collector.feed.subscription import StreamSubscription, Subscriptions
from market_collector.model.events import Data, Trade
from market_collector.model.moment import Moment
from market_collector.model.reasons import GapReason
from market_collector.model.streams import Stream


class RecentCheck:
    """The trades without dense ids of one connection."""

    def __init__(
        self, source: RecentTrades | None, ledger: Ledger, subscriptions: Subscriptions, connection: int
    ) -> None:
        """``source`` is None if the exchange's trade ids are dense."""
        self._source = source
        self._ledger = ledger
        self._connection = connection
        self._subscriptions = [
            each for each in subscriptions.by_stream.values() if isinstance(each.progress, UnnumberedProgress)
        ]

    def __bool__(self) -> bool:
        return bool(self._subscriptions)

    def requests(self, now: Moment) -> Sequence[Effect]:
        """Request the recent trades of the interrupted streams that this connection serves."""
        return [effect for each in self._subscriptions for effect in self.request(each, now)]

    def on_data(self, subscription: StreamSubscription, records: Sequence[Data], now: Moment) -> Sequence[Effect]:
        """Handle trades of an interrupted stream. Those before the exchange's answer may be from an earlier request."""
        if subscription.acked_at is not None:
            trades = [each for each in records if isinstance(each, Trade)]
            self._ledger.trades.note_live(_progress(subscription), trades, now)
        return self.request(subscription, now)

    def request(self, subscription: StreamSubscription, now: Moment) -> Sequence[Effect]:
        """Request the recent trades of one stream, if they are due."""
        progress, acked_at = _progress(subscription), subscription.acked_at
        if progress.interruption is None or acked_at is None or self._source is None:
            return ()
        if not self._ledger.trades.is_due(progress, acked_at, now):
            return ()
        progress.interruption.asked_by = self._connection
        return (Fetch(progress.stream, Question.RECENT, self._source.request(progress.stream)),)

    def on_answer(self, subscription: StreamSubscription, answer: Answer, now: Moment) -> list[Effect]:
        """Take the recent trades. Without an answer, nothing is proved."""
        progress, warnings = _progress(subscription), list[Effect]()
        try:
            records = self._ledger.trades.take_page(progress, self._read(progress.stream, answer, now), now)
        except (RequestFailedError, FrameError) as error:
            records = self._ledger.trades.miss_page(progress, now)
            message = f"{progress.stream}: the recent trades cannot be read yet: {error}"
            warnings += self._ledger.complaints.warn(f"{progress.stream}: recent trades", message, now)
        return [*warnings, *([Emit(records)] if records else ())]

    def _read(self, stream: Stream, answer: Answer, now: Moment) -> Sequence[Trade]:
        if isinstance(answer, RequestFailedError):
            raise answer
        assert self._source is not None
        return self._source.read(stream, answer, now.wall_ns)

    def on_missing(self, subscription: StreamSubscription, reason: GapReason, now: Moment) -> None:
        """Note that a message of a stream may be missing, though the connection goes on."""
        progress = subscription.progress
        if isinstance(progress, UnnumberedProgress):
            self._ledger.trades.interrupt(progress, self._connection, reason, now, is_served=True)

    def on_damaged(self, now: Moment) -> None:
        """Note that a damaged message may have had trades of any stream."""
        for subscription in self._subscriptions:
            self.on_missing(subscription, GapReason.UNREADABLE, now)


def _progress(subscription: StreamSubscription) -> UnnumberedProgress:
    assert isinstance(subscription.progress, UnnumberedProgress)
    return subscription.progress
