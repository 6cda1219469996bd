"""Subscriptions of one connection: requests to subscribe, acknowledgements, refusals and their deadlines."""

from collections import deque
from collections.abc import Sequence
from typing import Literal

import msgspec

from market_collector.book.book import Book
from market_collector.book.known_range import WHOLE_BOOK, KnownRange
from market_collector.book.packed_update import PackedUpdate
from market_collector.exchanges.interface import Ack, Codec, Evidence, Limits, Refusal, Sign
from market_collector.feed.effects import Effect, Emit, Reconnect, Send, SendSigned, Warn
from market_collector.feed.ledger import Ledger
from market_collector.feed.outbox import Outbox, Outgoing
from market_collector.feed.stream_state import BookProgress, LiquidationProgress, StreamProgress, UnnumberedProgress
from market_collector.model.events import Raw
from market_collector.model.moment import Moment
from market_collector.model.reasons import GapReason
from market_collector.model.streams import DataType, Stream, StreamState

SUBSCRIBE_TIMEOUT_S = 10.0
"""A subscription neither served nor refused within this time is stuck; so is a book without a snapshot."""
REFUSED_RETRY_S = 300.0
"""Interval of retries after a permanent refusal: an instrument may be listed later."""
RETRY_S = (5.0, 10.0, 20.0, 40.0, 60.0)
"""Delays before subscribing again after a temporary refusal or a resync. OKX allows 480 requests an hour and
connection."""


class StreamSubscription(msgspec.Struct):
    """One stream on one connection."""

    progress: StreamProgress
    asked_at: float | None = None
    """When it was requested; None once served (a book: once its snapshot arrived) or refused."""
    acked_at: float | None = None
    needs_answer: bool = False
    """Whether only an answer shows that it is served: trades on the way may be from before it was unsubscribed."""
    has_data: bool = False
    """Whether this connection has delivered any data."""
    ask_again_at: float | None = None
    refusals: int = 0
    unreadable: int = 0
    """How often it was requested again because its snapshot could not be read."""
    is_probed: bool = False
    """Whether a probe is under way, or waits for its turn."""
    probed_at: float = float("-inf")
    answer: Evidence | None = None
    """The evidence of the last answer about its newest event."""
    answer_at: float = float("-inf")
    is_answer_unreadable: bool = False
    """Whether its data in the answer to the last probe could not be read."""
    newer_at: float = float("-inf")
    """When REST last had newer data."""
    resubscribes: int = 0
    """How often it was subscribed again because REST had newer data."""
    resubscribe_at: float = float("-inf")
    """When it may be subscribed again for that reason."""
    seen: Sign | None = None
    """The sign of its newest event in the last overview; "" if the overview lacks the instrument."""
    proven: Sign | None = None
    """The sign that an overview had when the stream lacked nothing. An equal one proves that nothing has come since."""
    proven_at: float = float("-inf")


UPDATES_WAITING = 2000
"""Updates that wait for a snapshot. A book that changes every 100 ms has 100 of them in 10 s."""


class BookSubscription(StreamSubscription, kw_only=True):
    """An order book on one connection."""

    progress: BookProgress
    book: Book | None = None
    """The state while it is in sync; None while it is not."""
    resyncs: tuple[float, ...] = ()
    """When it was resynced lately, monotonic seconds."""
    was_crossed: bool = False
    """The last resync was for a crossed book: a snapshot that is crossed too is not published."""
    crossed_since: float | None = None
    """Since when the best bid is not below the best ask."""
    state_asked_at: float = float("-inf")
    """When the state of its instrument was last requested, monotonic seconds."""
    is_in_auction: bool = False
    """Whether the instrument did not trade continuously by the last answer, so that the book may be crossed."""
    looked_at: float = float("-inf")
    """When it was last examined for a cross, monotonic seconds."""
    waiting: deque[tuple[float, PackedUpdate]] = msgspec.field(default_factory=lambda: deque(maxlen=UPDATES_WAITING))
    """Updates that a REST snapshot will precede, with the time when each arrived, monotonic seconds."""
    fetching: float | None = None
    """When the subscription was acknowledged for which a REST snapshot is requested; None if none is."""
    held: bytes | None = None
    """The answer with a snapshot that is ahead of the book."""
    known: KnownRange = WHOLE_BOOK
    """The range of the last snapshot."""
    is_short: bool = False
    """Whether the known range has too few levels left, so that another snapshot is needed."""
    snapshot_at: float = float("-inf")
    """When a REST snapshot may be requested."""
    snapshot_tries: int = 0
    """REST snapshots in a row that were of no use."""


def retry_delay_s(retries: int) -> float:
    """Return the delay before subscribing again after this many retries."""
    return RETRY_S[min(retries, len(RETRY_S) - 1)]


def is_delivering(subscription: StreamSubscription) -> bool:
    """Return whether the stream is acknowledged and delivers data, a book in sync."""
    is_synced = not isinstance(subscription, BookSubscription) or subscription.book is not None
    has_data = subscription.has_data or isinstance(subscription.progress, LiquidationProgress)  # there may be none
    return subscription.acked_at is not None and has_data and is_synced


def is_proven(subscription: StreamSubscription) -> bool:
    """Return whether the stream has brought data, or the exchange confirmed since its answer that there is none."""
    acked_at = subscription.acked_at
    return subscription.has_data or (acked_at is not None and subscription.progress.confirmed_at > acked_at)


class Subscriptions:
    """All subscriptions of one connection."""

    def __init__(
        self,
        name: str,
        codec: Codec,
        streams: Sequence[Stream],
        ledger: Ledger,
        *,
        limits: Limits,
        timeout_s: float,
        store_raw: bool,
        has_rest_snapshots: bool,
        is_signed: bool,
        connection: int,
    ) -> None:
        """With ``is_signed``, requests need a signature, and pings do not. ``connection`` is its number."""
        self._connection = connection
        self.by_stream = {stream: _subscription(ledger.streams[stream]) for stream in streams}
        self.books = [each for each in self.by_stream.values() if isinstance(each, BookSubscription)]
        self.outbox = Outbox(limits)
        self.store_raw = store_raw
        self._is_unanswered = False
        """Whether no answer came after the last signed request."""
        self._is_signed = is_signed
        self._name = name
        self._codec = codec
        self._ledger = ledger
        self._timeout_s = timeout_s
        self._has_rest_snapshots = has_rest_snapshots

    # -- requests

    def subscribe(self, streams: Sequence[Stream], now: Moment) -> list[Effect]:
        """Request streams."""
        for stream in streams:
            subscription = self.by_stream[stream]
            subscription.asked_at, subscription.ask_again_at = now.at, None
            if subscription.progress.reason == "NotConnected":
                subscription.progress.set_state(subscription.progress.state, "Subscribing", now)
        return self._send(self._codec.subscribe(streams), now)

    def subscribe_all(self, now: Moment) -> list[Effect]:
        """Request all streams of the connection."""
        return self.subscribe(list(self.by_stream), now)

    def resubscribe(self, streams: Sequence[Stream], now: Moment) -> list[Effect]:
        """Request streams again; those that are served are unsubscribed first."""
        served = [stream for stream in streams if self.by_stream[stream].acked_at is not None]
        for stream in served:
            self._end_service(self.by_stream[stream], now)
        requests = self._codec.unsubscribe(served) if served else []
        return [*self._send(requests, now), *self.subscribe(streams, now)]

    def _end_service(self, subscription: StreamSubscription, now: Moment) -> None:
        subscription.acked_at = None
        if isinstance(progress := subscription.progress, UnnumberedProgress):
            subscription.needs_answer = True
            self._ledger.trades.interrupt(progress, self._connection, GapReason.SILENT, now)

    def _send(self, requests: Sequence[str], now: Moment) -> list[Effect]:
        for request in requests:
            self.outbox.put(Outgoing(request, now.at))
        return self.send_due(now)

    def ping(self, text: str, now: Moment) -> list[Effect]:
        """Send a ping before the requests that wait."""
        self.outbox.put(Outgoing(text, now.at, is_ping=True))
        return self.send_due(now)

    def send_due(self, now: Moment) -> list[Effect]:
        """Send the frames whose turn has come."""
        return [effect for frame in self.outbox.take_due(now.at) for effect in self._effects(frame, now)]

    def _effects(self, frame: Outgoing, now: Moment) -> list[Effect]:
        if frame.is_ping:
            return [Send(frame.text)]
        self._is_unanswered = True
        send = SendSigned(frame.text) if self._is_signed else Send(frame.text)
        return [self.raw("out", frame.text, now), send] if self.store_raw else [send]

    def raw(self, direction: Literal["in", "out"], text: str, now: Moment) -> Emit:
        """Return a frame's text as a record."""
        return Emit([Raw(self._ledger.exchange, None, None, now.wall_ns, self._name, direction, text)])

    @property
    def awaits_signed(self) -> bool:
        """Whether a signed request is not answered yet. Each of several has an answer."""
        return self._is_signed and (self._is_unanswered or any(map(_is_asked, self.by_stream.values())))

    # -- answers

    def on_answer(self, answer: Ack | Refusal, now: Moment) -> list[Effect]:
        """Handle the answer to a request, and send the requests that waited for it."""
        self.outbox.on_answer()
        self._is_unanswered = self._is_unanswered and answer.streams == ()  # of an unsubscribe request
        if isinstance(answer, Refusal):
            spared = [stream for stream in answer.spared if self.by_stream[stream].acked_at is None]
            again = self.subscribe(spared, now) if spared else []
            return [*self._on_refusal(answer, now), *again, *self.send_due(now)]
        for stream in answer.streams:
            if self.by_stream[stream].acked_at is None:  # some exchanges repeat all streams in each answer
                self.acknowledge(self.by_stream[stream], now)
        return self.send_due(now)

    def acknowledge(self, subscription: StreamSubscription, now: Moment) -> None:
        """Record that the exchange serves the stream."""
        if subscription.progress.stream.data_type not in (DataType.ORDERBOOK, DataType.BALANCE):
            subscription.asked_at = None  # these two start with a snapshot
        subscription.ask_again_at = None
        subscription.acked_at, subscription.needs_answer = now.at, False
        subscription.refusals = 0
        if isinstance(subscription.progress, UnnumberedProgress):
            self._ledger.trades.serve(subscription.progress, self._connection)
        if subscription.progress.state is StreamState.REFUSED:
            self._ledger.expect_data(subscription.progress, now)
        if subscription.progress.reason == "Subscribing":
            message = "subscribed; the exchange has not sent any data yet"
            subscription.progress.set_state(subscription.progress.state, "NoDataYet", now, message)

    def on_unreadable(self, subscription: StreamSubscription, now: Moment) -> None:
        """Request a snapshot again later: perhaps the message that cannot be read was the one that is waited for.

        Without this, the missing snapshot would end the connection of all streams.
        """
        if subscription.asked_at is not None and subscription.acked_at is not None:
            subscription.asked_at = None
            subscription.ask_again_at = now.at + retry_delay_s(subscription.unreadable)
            subscription.unreadable += 1

    def _on_refusal(self, refusal: Refusal, now: Moment) -> list[Effect]:
        """Retry refused streams later. A permanent refusal of several does not name one: halves are requested."""
        unserved = [stream for stream in refusal.streams if self.by_stream[stream].acked_at is None]
        if not unserved and len(refusal.streams) == 1 and refusal.is_permanent:
            return self._end_served(self.by_stream[refusal.streams[0]], refusal, now)
        if len(unserved) > 1 and refusal.is_permanent:
            middle = len(unserved) // 2
            return [*self.subscribe(unserved[:middle], now), *self.subscribe(unserved[middle:], now)]
        effects: list[Effect] = [Warn(f"{', '.join(map(str, unserved)) or 'a request'}: {refusal.message}")]
        for stream in unserved:
            effects += self._refuse(self.by_stream[stream], refusal, now)
        return effects

    def _refuse(self, subscription: StreamSubscription, refusal: Refusal, now: Moment) -> list[Effect]:
        wait_s = REFUSED_RETRY_S if refusal.is_permanent else retry_delay_s(subscription.refusals)
        subscription.refusals += 1
        subscription.asked_at = None
        subscription.ask_again_at = now.at + wait_s
        events = self._ledger.refuse(subscription.progress, refusal.reason, refusal.message, now)
        return [Emit(events)] if events else []

    def _end_served(self, subscription: StreamSubscription, refusal: Refusal, now: Moment) -> list[Effect]:
        """The exchange ends one stream that it served: its instrument was delisted."""
        self._end_service(subscription, now)
        return [Warn(f"{subscription.progress.stream}: {refusal.message}"), *self._refuse(subscription, refusal, now)]

    def refuse_served(self, subscription: StreamSubscription, reason: str, message: str, now: Moment) -> list[Effect]:
        """Refuse a stream that stays subscribed: data, or REST, show when its instrument is listed again."""
        subscription.refusals += 1
        subscription.asked_at = None
        events = self._ledger.refuse(subscription.progress, reason, message, now)
        return [Emit(events), Warn(f"{subscription.progress.stream}: {message}")] if events else []

    # -- deadlines

    def check_deadlines(self, now: Moment) -> list[Effect]:
        """Reconnect when a request is not answered in time; otherwise repeat the requests that are due."""
        subscriptions = self.by_stream.values()
        latest = now.at - self._timeout_s
        is_late = self.outbox.waited_until(now.at) <= latest
        stuck = [each for each in subscriptions if is_late and self._is_stuck(each, latest)]
        if stuck:
            names = ", ".join(str(each.progress.stream) for each in stuck[:3])
            return [Reconnect(f"no answer to subscribe for {self._timeout_s:g} s: {names}")]
        return self.repeat_due(now)

    def repeat_due(self, now: Moment) -> list[Effect]:
        """Request the streams again whose time has come, together."""
        subscriptions = self.by_stream.values()
        due = [s.progress.stream for s in subscriptions if s.ask_again_at is not None and now.at >= s.ask_again_at]
        return self.resubscribe(due, now) if due else []

    def _is_stuck(self, subscription: StreamSubscription, latest: float) -> bool:
        """Whether a request has no answer in time. A connection is not at fault for a snapshot that REST owes."""
        if subscription.asked_at is None or subscription.asked_at > latest:
            return False
        waits_for_rest = self._has_rest_snapshots and isinstance(subscription, BookSubscription)
        return not (waits_for_rest and subscription.acked_at is not None)


def _is_asked(subscription: StreamSubscription) -> bool:
    return subscription.asked_at is not None and subscription.acked_at is None


def _subscription(progress: StreamProgress) -> StreamSubscription:
    return BookSubscription(progress=progress) if isinstance(progress, BookProgress) else StreamSubscription(progress)
