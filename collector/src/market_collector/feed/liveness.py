"""Liveness of one connection and its streams: pings, and REST probes that tell quiet markets from stale streams."""

from market_collector.errors import FrameError
from market_collector.exchanges.interface import Exchange
from market_collector.feed.book_sync import BookSync
from market_collector.feed.effects import Effect, Emit, Fetch, Question, Reconnect, Send, Warn
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import IdProgress
from market_collector.feed.subscription import BookSubscription, StreamSubscription, Subscriptions
from market_collector.model.events import Record
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, StreamState

PROBE_AFTER_S = 2.0
"""An acknowledged stream without any data is probed over REST after this time."""
MAX_CONCURRENT_PROBES = 4
"""Probes of one connection under way at the same time."""


class Liveness:
    """Detects a connection that is down, and streams without data."""

    def __init__(
        self,
        exchange: Exchange,
        ledger: Ledger,
        subscriptions: Subscriptions,
        book_sync: BookSync,
        ping_interval_s: float,
    ) -> None:
        self.pings_sent = 0
        self.ping_interval_s = min(ping_interval_s, exchange.heartbeat.max_interval_s)
        self._exchange = exchange
        self._ledger = ledger
        self._subscriptions = subscriptions
        self._book_sync = book_sync
        self._pinged_at = float("-inf")

    # -- the connection

    def check_connection(self, received_at: float, now: Moment) -> list[Effect]:
        """Send a ping when nothing was received for the ping interval; reconnect when that is not answered either."""
        if self._pinged_at > received_at:  # not answered yet
            if now.at - self._pinged_at >= self.ping_interval_s:
                return [Reconnect(f"no answer to a ping for {self.ping_interval_s:g} s")]
            return []
        if now.at - received_at < self.ping_interval_s:
            return []
        self._pinged_at = now.at
        self.pings_sent += 1
        return [Send(self._exchange.heartbeat.ping)]

    # -- streams without data

    def probe_silent(self, now: Moment) -> list[Effect]:
        """Probe streams without data over REST, the least recently probed first."""
        subscriptions = self._subscriptions.by_stream.values()
        under_way = sum(each.is_probed for each in subscriptions)
        due = sorted((each for each in subscriptions if self._is_due(each, now)), key=lambda each: each.probed_at)
        return [self._probe(each, now) for each in due[: MAX_CONCURRENT_PROBES - under_way]]

    def _probe(self, subscription: StreamSubscription, now: Moment) -> Fetch:
        subscription.is_probed = True
        subscription.probed_at = now.at
        stream = subscription.progress.stream
        return Fetch(stream, Question.NEWEST, self._exchange.rest_api.newest(stream))

    def _is_due(self, subscription: StreamSubscription, now: Moment) -> bool:
        progress, acked_at = subscription.progress, subscription.acked_at
        if progress.stream.data_type is DataType.BALANCE or subscription.is_probed or acked_at is None:
            return False
        patience_s = self._ledger.stale_after_s / 2
        if progress.last_at < acked_at:
            patience_s = min(patience_s, PROBE_AFTER_S)  # finds data missed while disconnected at once
        return now.at - max(progress.last_at, acked_at, subscription.probed_at) >= patience_s

    def on_newest(self, subscription: StreamSubscription, answer: bytes | None, now: Moment) -> list[Effect]:
        """Judge a probe's answer (None: the request failed). A failed probe changes no state."""
        subscription.is_probed = False
        if answer is None:
            return []
        try:
            newest = self._exchange.rest_api.newest_mark(subscription.progress.stream, answer)
        except FrameError as error:
            return [Warn(str(error))]
        return self._judge(subscription, newest, now)

    def _judge(self, subscription: StreamSubscription, newest: int, now: Moment) -> list[Effect]:
        """A stream is quiet when REST has nothing newer; otherwise it is subscribed again once it is stale."""
        progress = subscription.progress
        if isinstance(subscription, BookSubscription) and subscription.book is None:
            return []  # a book without a snapshot is never merely quiet
        known = subscription.probe_mark if progress.last is None else self._exchange.rest_api.mark(progress.last)
        subscription.probe_mark = newest
        if known is not None and newest <= known:
            self._ledger.confirm(progress, now)
            return []
        if isinstance(progress, IdProgress):
            self._ledger.ids.expect(progress, newest, now)
        if progress.state is not StreamState.STALE or subscription.acked_at is None:
            return []
        return self._resubscribe(subscription, f"silent, but the exchange has newer data ({newest} after {known})", now)

    def _resubscribe(self, subscription: StreamSubscription, reason: str, now: Moment) -> list[Effect]:
        stream = subscription.progress.stream
        events: list[Record] = [self._ledger.resync(stream, reason, now)]
        if isinstance(subscription, BookSubscription):
            events += self._book_sync.discard(subscription, "Silent", now)
        return [Emit(events), Warn(f"{stream}: {reason}"), *self._subscriptions.resubscribe([stream], now)]
